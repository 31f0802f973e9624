//! Processes: starting them, waiting for them, and what becomes of them.
#![forbid(unsafe_code)]

use crate::call::{Call, Input, Output};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function;
use crate::keeper;
use crate::log;
use crate::shm::arena::Arena;
use crate::shm::identity;
use crate::shm::member::{Inherits, Member, MemberId, Role, State};
use crate::shm::memory::Deadline;
use crate::shm::repair;
use crate::shm::stop;
use crate::start::handshake::Part;
use crate::start::{self, Method, letter, server, spawn};
use crate::sys::clock::now_ns;
use crate::sys::pidfd::{self, Exit, Reaped};
use crate::sys::{birth, descriptor, fork, futex, own};
use crate::wire;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What a new process is like.
#[derive(Default)]
pub struct Options {
    /// Its name; "Process-N" if there is none.
    pub name: Option<String>,
    /// Ends with this process, rather than being joined at a clean end.
    pub daemon: bool,
    /// How it is started; the default if nothing is said.
    pub method: Option<Method>,
}

/// How a process ended, as far as anybody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As the kernel said, or the process itself before it left.
    Known(Exit),
    /// The host reaped it, and this kernel does not say.
    Unknown,
}

/// A process that this one started.
pub struct Process {
    /// The process that started it: only there can it be joined.
    starter: MemberId,
    id: MemberId,
    pid: u32,
    name: Box<CStr>,
    daemon: bool,
    method: Method,
    pidfd: OwnedFd,
    /// Set once, when it has been reaped.
    ending: OnceLock<Ending>,
    reaping: Mutex<()>,
}

/// What `owner` started.
struct Children {
    owner: MemberId,
    started: AtomicU64,
    /// Those that it has not reaped.
    list: Mutex<Vec<Arc<Process>>>,
}

/// The children of this process. A forked child makes its own when it asks first: whatever the parent started
/// is not ours, and the parent's list may be locked for ever there.
static CHILDREN: AtomicPtr<Children> = AtomicPtr::new(std::ptr::null_mut());

impl Children {
    fn of(owner: MemberId) -> &'static Children {
        let make = || Children { owner, started: AtomicU64::new(0), list: Mutex::default() };
        crate::sys::once::get_or_make(&CHILDREN, |children| children.owner == owner, make)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Process>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the next one: the given one, or a numbered one. All are counted.
    fn name_next(&self, given: Option<String>) -> Result<Box<CStr>> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let name = given.unwrap_or_else(|| format!("Process-{number}"));
        let name = CString::new(name).map_err(|_| Error::invalid("a name has a zero byte in it"))?;
        Ok(name.into_boxed_c_str())
    }

    /// Reaps every child that has ended, so that none stays a zombie for want of a join.
    fn reap_finished(&self) {
        let list = self.list().clone();
        if list.is_empty() {
            return;
        }
        let fds: Vec<_> = list.iter().map(|process| process.pidfd.as_raw_fd()).collect();
        for index in pidfd::dead_among(&fds) {
            let _ = list[index].look();
        }
    }
}

/// Starts a process that runs the function at `address` with `arguments`, encoded.
pub fn start(address: usize, arguments: Vec<u8>, options: Options) -> Result<Arc<Process>> {
    function::check(address)?;
    let family = family::current()?;
    let children = Children::of(family.me);
    children.reap_finished();
    keeper::start(family)?;
    let name = children.name_next(options.name)?;
    let method = options.method.unwrap_or_else(start::default);
    let (id, pid, pidfd) = match method {
        Method::Fork => start_fork(family, address, arguments, &name, options.daemon)?,
        Method::Spawn | Method::Forkserver => start_anew(family, method, address, &arguments, &name, options.daemon)?,
    };
    let process = Arc::new(Process {
        starter: family.me,
        id,
        pid,
        name,
        daemon: options.daemon,
        method,
        pidfd,
        ending: OnceLock::new(),
        reaping: Mutex::new(()),
    });
    children.list().push(process.clone());
    log::debug(format_args!("started {} with pid {pid}, by {}", process.name_text(), method.text()));
    Ok(process)
}

/// Starts the forkserver of this process, if it has none that lives.
pub fn start_server() -> Result<()> {
    let family = family::current()?;
    keeper::start(family)?;
    server::start_server(family)
}

/// A process of the family, its pid, and a descriptor of it.
type Started = (MemberId, u32, OwnedFd);

fn claim(family: Family, inherits: Inherits, daemon: bool) -> Result<MemberId> {
    let id = Member::claim(family.arena, family.me, Role::Process, inherits)?;
    family.arena.member(id.slot).daemon.store(daemon as u32, Ordering::Release);
    Ok(id)
}

/// By a method that gives it nothing of this process's memory.
fn start_anew(
    family: Family,
    method: Method,
    address: usize,
    arguments: &[u8],
    name: &CStr,
    daemon: bool,
) -> Result<Started> {
    let function = letter::index_of(family.arena, address)?;
    // As a fork child, it may use what existed when it began; one that was given nothing keeps nothing.
    let has_handles = wire::Reader::new(arguments)?.has_handles();
    let id = claim(family, if has_handles { Inherits::Everything } else { Inherits::Nothing }, daemon)?;
    let written = letter::write(family.arena, id, name, &[(function, arguments)]);
    let started = written.and_then(|()| match method {
        Method::Forkserver => server::start(family, id),
        _ => spawn::start(family, id, Part::Process).map(|begun| (begun.pid, begun.handle)),
    });
    let (pid, pidfd) = started.inspect_err(|_| spawn::give_up(family, id))?;
    Ok((id, pid, pidfd))
}

fn start_fork(family: Family, address: usize, arguments: Vec<u8>, name: &CStr, daemon: bool) -> Result<Started> {
    let arena = family.arena;
    let name: Box<CStr> = name.into();
    let id = claim(family, Inherits::Everything, daemon)?;
    let member = arena.member(id.slot);
    arena.header().unwatched.store(1, Ordering::Release);
    fork::flush_streams();
    let pid = match birth::fork_child() {
        Err(error) => {
            member.give_up(id.generation);
            return Err(error);
        }
        Ok(fork::Side::Child) => run_child(family, id, address, arguments, name),
        Ok(fork::Side::Parent(pid)) => pid,
    };
    let opened = pidfd::open(pid);
    if let Ok(pidfd) = &opened {
        member.pidfd_inode.store(pidfd::inode(pidfd.as_raw_fd()), Ordering::Release);
        futex::wake(futex::low_half(&member.pidfd_inode), 1);
    }
    member.set_alive(id.generation, pid);
    // Once more after that store: a keeper that looked in between saw nobody to watch. Should this process die
    // before it, the keeper looks at everybody for its sake.
    family::tell_of_birth(arena);
    let pidfd = opened.inspect_err(|_| {
        // The child still waits for it, see `await_parent`: nothing of the user's has run.
        fork::kill_and_reap(pid);
        repair::repair(arena, id, family.me.slot);
        member.forget(id.generation);
    })?;
    Ok((id, pid, pidfd))
}

/// Allocates nothing and writes as few pages as it can: what parent and child share since the fork is copied,
/// page by page, as soon as one of them writes to it. Of code, too, every 64 KiB are a page fault: so all that
/// a child runs before and after the user's function is inlined here.
#[inline(always)]
fn run_child(family: Family, id: MemberId, address: usize, arguments: Vec<u8>, name: Box<CStr>) -> ! {
    if !family::be_quietly(family.arena, id) {
        fork::leave_at_once(1);
    }
    fork::purge_streams();
    fork::default_signals(&[]);
    descriptor::stdin_from_null();
    fork::catch_exit(record_exit);
    own::set_name(Box::leak(name));
    await_parent(family, id);
    run_target(address, arguments.leak())
}

#[inline(always)]
fn run_target(address: usize, arguments: &'static [u8]) -> ! {
    let mut call = Call::new(Input::Encoded(arguments), Output::Nowhere);
    let result = call.enter(|call| call.run(address)).unwrap_or(255);
    fork::leave_after(if (0..=255).contains(&result) { result } else { 255 }, record_exit)
}

/// In a process that was not forked, and is a member: runs what it was started for.
pub fn run_given(name: CString, address: usize, arguments: &'static [u8]) -> ! {
    fork::catch_exit(record_exit);
    own::set_name(Box::leak(name.into_boxed_c_str()));
    run_target(address, arguments)
}

/// In a child: it must neither run nor end before its parent has a descriptor for it. Where the host reaps
/// every child at once there would be nothing left to open, and nobody could tell how it ended; where there is
/// no room for a descriptor the start must fail as if there had been none. Hardly ever waits: the parent opens
/// it first thing after the fork. `LOOK_NS`: only against a parent that died before its wake.
#[inline(always)]
fn await_parent(family: Family, id: MemberId) {
    if family.arena.member(id.slot).pidfd_inode.load(Ordering::Acquire) == 0 {
        sleep_until_known(family, id);
    }
}

#[cold]
#[inline(never)]
fn sleep_until_known(family: Family, id: MemberId) {
    const LOOK_NS: u64 = 10_000_000;
    let parent = family.arena.member(family.me.slot).pid.load(Ordering::Acquire);
    let known = &family.arena.member(id.slot).pidfd_inode;
    while known.load(Ordering::Acquire) == 0 {
        if fork::parent() != parent {
            fork::leave_at_once(1);
        }
        futex::wait(futex::low_half(known), 0, None, Some(now_ns() + LOOK_NS));
    }
}

/// The process itself says how it ends, for hosts that reap or ignore everything.
#[inline]
fn record_exit(code: i32) {
    if let (Some(arena), Some(me)) = (Arena::get(), identity::get()) {
        arena.member(me.slot).record_exit(code);
    }
}

/// The living children of this process.
pub fn active() -> Result<Vec<Arc<Process>>> {
    let children = Children::of(family::current()?.me);
    children.reap_finished();
    Ok(children.list().clone())
}

/// Ends the daemonic children and joins the others; for a clean end of a program.
pub fn finish(deadline: Deadline) -> Result<()> {
    let list = active()?;
    for process in list.iter().filter(|process| process.daemon) {
        process.signal(15)?;
    }
    list.iter().try_for_each(|process| process.join(deadline))
}

impl Process {
    /// What became of it, without waiting; `None` while it runs.
    pub fn look(&self) -> Result<Option<Ending>> {
        if let Some(ending) = self.ending.get() {
            return Ok(Some(*ending));
        }
        let family = self.owner()?;
        let guard = self.reaping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ending) = self.ending.get() {
            return Ok(Some(*ending));
        }
        let member = family.arena.member(self.id.slot);
        let ending = match pidfd::reap(self.pidfd.as_raw_fd()).0 {
            Reaped::Running => return Ok(None),
            Reaped::Exit(exit) => Ending::Known(exit),
            Reaped::Unknown => self.written_ending(member).map_or(Ending::Unknown, Ending::Known),
        };
        repair::repair(family.arena, self.id, family.me.slot);
        member.forget(self.id.generation);
        let _ = self.ending.set(ending);
        drop(guard);
        log::debug(format_args!("{} with pid {} ended: {ending:?}", self.name_text(), self.pid));
        Children::of(family.me).list().retain(|process| process.id != self.id);
        Ok(Some(ending))
    }

    /// How it ended, as it said itself or the server that forked it. Its end is known here before the server, which
    /// reaps it, has heard of it.
    fn written_ending(&self, member: &'static Member) -> Option<Exit> {
        let patience = now_ns() + 1_000_000_000;
        while self.method == Method::Forkserver && member.recorded_exit().is_none() && now_ns() < patience {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        member.recorded_exit()
    }

    /// Waits until it has ended.
    pub fn join(&self, deadline: Deadline) -> Result<()> {
        self.owner()?;
        while self.ending.get().is_none() {
            match descriptor::poll_readable(self.pidfd.as_raw_fd(), deadline) {
                Ok(false) => return if self.look()?.is_some() { Ok(()) } else { Err(Error::TimedOut) },
                Ok(true) => _ = self.look()?,
                Err(Error::Interrupted) if stop::notice() => return Err(Error::SoftLimit),
                Err(Error::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.owner()?;
        match self.ending.get() {
            Some(_) => Ok(()),
            None => pidfd::signal(self.pidfd.as_raw_fd(), signal),
        }
    }

    /// How it ended.
    pub fn exit_code(&self) -> Result<i32> {
        match self.look()? {
            None => Err(Error::Again("the process runs")),
            Some(Ending::Known(exit)) => Ok(exit.code()),
            Some(Ending::Unknown) => {
                Err(Error::NotFound("the host reaped the process, and the kernel does not say how it ended"))
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    fn name_text(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// Whether it ends with this process.
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// Readable once it has ended.
    pub fn fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }

    /// Only its starter may ask: elsewhere the pid and the descriptor mean nothing, or another process.
    fn owner(&self) -> Result<Family> {
        let family = family::current()?;
        if family.me != self.starter {
            return Err(Error::NotPermitted("only the process that started it can ask for a process"));
        }
        Ok(family)
    }
}

/// The calling process: its pid and name.
pub fn current() -> Result<(u32, &'static CStr)> {
    family::current()?;
    Ok((fork::pid(), own::name().unwrap_or(c"MainProcess")))
}

/// The process that started the calling one: its pid, and whether it lives; `None` in the first.
pub fn parent() -> Result<Option<(u32, bool)>> {
    let family = family::current()?;
    let me = family.arena.member(family.me.slot);
    if me.parent() == 0 {
        return Ok(None);
    }
    let parent = family.arena.member(me.parent());
    let lives = me.has_parent(family.arena) && parent.state() == State::Alive;
    Ok(Some((parent.pid.load(Ordering::Acquire), lives)))
}
