//! Processes: starting them, waiting for them, and what becomes of them.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function;
use crate::keeper;
use crate::log;
use crate::pin;
use crate::pool::hosted::Place;
use crate::shm::identity;
use crate::shm::member::{Bond, Inherits, Member, MemberId, Role, State};
use crate::shm::memory::Deadline;
use crate::shm::repair;
use crate::shm::stop;
use crate::start::forked::{Duty, Label, Plan};
use crate::start::handshake::Part;
use crate::start::traits::Traits;
use crate::start::{self, Method, letter, server, spawn};
use crate::sys::clock::now_ns;
use crate::sys::pidfd::{self, Exit, Reaped};
use crate::sys::{descriptor, elf, fork, limits, own};
use crate::wire;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What a new process is like.
#[derive(Default)]
pub struct Options {
    /// Its name; "Process-N" if there is none.
    pub name: Option<String>,
    /// What it owes to this one.
    pub bond: Bond,
    /// How it is started; the default if nothing is said.
    pub method: Option<Method>,
    /// Everything else about it.
    pub traits: Traits,
}

/// How a process ended, as far as anybody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As the kernel said, or the process itself before it left.
    Known(Exit),
    /// The host reaped it, and this kernel does not say.
    Unknown,
}

/// A process that this one started, or is about to.
pub struct Process {
    /// The process that started it: only there can it be joined.
    starter: MemberId,
    id: MemberId,
    name: Box<CStr>,
    bond: Bond,
    method: Method,
    /// The pool that it works for: index of its cell, 0 for none.
    works_for: u64,
    /// How it is to be forked, for a host that forks itself, until it is.
    plan: Mutex<Option<Plan>>,
    /// Set once, when it is started.
    body: OnceLock<Body>,
    /// Set once, when it has been reaped.
    ending: OnceLock<Ending>,
    reaping: Mutex<()>,
    closed: AtomicBool,
}

struct Body {
    pid: u32,
    pidfd: OwnedFd,
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

    /// What the next one is called: as it was said, or a numbered name, as billiard has them. All are counted.
    fn label_next(&self, given: Option<String>, method: Option<Method>) -> Result<Label> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let identity = match own::identity() {
            Some(mine) => format!("{}:{number}", mine.to_string_lossy()),
            None => number.to_string(),
        };
        let kind = match method {
            None => "",
            Some(Method::Fork) => "Fork",
            Some(Method::Spawn) => "Spawn",
            Some(Method::Forkserver) => "ForkServer",
        };
        let name = given.unwrap_or_else(|| format!("{kind}Process-{identity}"));
        let text = |text: String| CString::new(text).map(CString::into_boxed_c_str);
        let name = text(name).map_err(|_| Error::invalid("a name has a zero byte in it"))?;
        Ok(Label { name, identity: text(identity).unwrap_or_default() })
    }

    /// Reaps every child that has ended, so that none stays a zombie for want of a join.
    fn reap_finished(&self) {
        let list = self.list().clone();
        if list.is_empty() {
            return;
        }
        let fds: Vec<_> = list.iter().map(|process| process.fd_or_none()).collect();
        for index in pidfd::dead_among(&fds) {
            let _ = list[index].look();
        }
    }

    fn add(&self, process: &Arc<Process>) {
        self.list().push(process.clone());
        let (name, method) = (process.name_text(), process.method.text());
        log::debug(format_args!("started {name} with pid {}, by {method}", process.pid().unwrap_or(0)));
    }
}

/// Starts a process that runs the function at `address` with `arguments`, encoded.
pub fn start(address: usize, arguments: Vec<u8>, options: Options) -> Result<Arc<Process>> {
    function::check(address)?;
    let candidate = Candidate::new(&options.name, options.method)?;
    let method = options.method.unwrap_or_else(start::default);
    let name = candidate.label.name.clone();
    let (family, children) = (candidate.family, candidate.children);
    let (id, pid, pidfd) = match method {
        Method::Fork => {
            warn_of_threads();
            let (id, plan) = candidate.plan(address, arguments, options.bond, options.traits)?;
            let (pid, pidfd) = plan.fork()?;
            (id, pid, pidfd)
        }
        _ => candidate.start_anew(method, address, &arguments, options.bond, &options.traits)?,
    };
    let process = Arc::new(Process::new(family, id, name, options.bond, method));
    let _ = process.body.set(Body { pid, pidfd });
    children.add(&process);
    Ok(process)
}

/// A process that the host itself will fork.
pub fn prepare(address: usize, arguments: Vec<u8>, options: Options) -> Result<Arc<Process>> {
    if options.method.is_some_and(|method| method != Method::Fork) {
        return Err(Error::invalid("the host forks, so the start method is fork"));
    }
    function::check(address)?;
    let candidate = Candidate::new(&options.name, options.method)?;
    let (family, name) = (candidate.family, candidate.label.name.clone());
    let (id, plan) = candidate.plan(address, arguments, options.bond, options.traits)?;
    Ok(prepared(Process::new(family, id, name, options.bond, Method::Fork), plan))
}

/// The same for a worker, which ends with this process as a daemon does.
pub fn prepare_worker(place: Place) -> Result<Arc<Process>> {
    let works_for = place.works_for();
    match Candidate::new(&None, None).and_then(|candidate| candidate.claim_worker(works_for)) {
        Ok((candidate, id)) => {
            let (family, name) = (candidate.family, candidate.label.name.clone());
            let plan = Plan::of_worker(family, id, place, candidate.label);
            let mut process = Process::new(family, id, name, WORKERS_BOND, Method::Fork);
            process.works_for = works_for;
            Ok(prepared(process, plan))
        }
        Err(error) => {
            place.is_free();
            Err(error)
        }
    }
}

const WORKERS_BOND: Bond = Bond { daemon: true, signal: 0 };

fn prepared(process: Process, plan: Plan) -> Arc<Process> {
    fork::flush_streams();
    elf::before_fork();
    *process.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
    Arc::new(process)
}

/// Starts the forkserver of this process, if it has none that lives.
pub fn start_server() -> Result<()> {
    let family = family::current()?;
    keeper::start(family)?;
    server::start_server(family)
}

/// Where somebody looks for what goes wrong.
fn warn_of_threads() {
    if log::enabled(log::Level::Debug) && limits::threads() > 1 {
        log::debug(format_args!(
            "a process is forked from a program with threads, whose locks it finds as they are: start method forkserver \
             has no such trouble"
        ));
    }
}

/// A process of the family, its pid, and a descriptor of it.
type Started = (MemberId, u32, OwnedFd);

/// A process that is about to be.
struct Candidate {
    family: Family,
    children: &'static Children,
    label: Label,
}

impl Candidate {
    fn new(name: &Option<String>, method: Option<Method>) -> Result<Candidate> {
        let family = family::current()?;
        let children = Children::of(family.me);
        children.reap_finished();
        keeper::start(family)?;
        Ok(Candidate { family, children, label: children.label_next(name.clone(), method)? })
    }

    fn claim(&self, inherits: Inherits, bond: Bond) -> Result<MemberId> {
        let id = Member::claim(self.family.arena, self.family.me, Role::Process, inherits)?;
        self.family.arena.member(id.slot).set_bond(bond);
        Ok(id)
    }

    fn claim_worker(self, works_for: u64) -> Result<(Candidate, MemberId)> {
        let id = Member::claim(self.family.arena, self.family.me, Role::Worker, Inherits::Everything)?;
        let member = self.family.arena.member(id.slot);
        member.works_for.store(works_for, Ordering::Release);
        member.set_bond(WORKERS_BOND);
        Ok((self, id))
    }

    fn plan(self, address: usize, arguments: Vec<u8>, bond: Bond, traits: Traits) -> Result<(MemberId, Plan)> {
        let id = self.claim(Inherits::Everything, bond)?;
        let family = self.family;
        let given = pin::give(family, id.slot, &arguments);
        let plan =
            given.and_then(|()| Plan::new(family, id, Duty::Function { address, arguments }, self.label, traits));
        Ok((id, plan.inspect_err(|_| repair::abandon(family.arena, id, family.me.slot))?))
    }

    /// By a method that gives it nothing of this process's memory. Not part of its caller, as `pin::give_each`.
    #[inline(never)]
    fn start_anew(
        self,
        method: Method,
        address: usize,
        arguments: &[u8],
        bond: Bond,
        traits: &Traits,
    ) -> Result<Started> {
        let family = self.family;
        let function = letter::index_of(family.arena, address)?;
        let reader = wire::Reader::new(arguments)?;
        let mut given = Vec::new();
        for number in reader.descriptors() {
            given.push(number? as RawFd);
        }
        // As a fork child, it may use what existed when it began; one that was given nothing keeps nothing.
        let id = self.claim(if reader.has_handles() { Inherits::Everything } else { Inherits::Nothing }, bond)?;
        let write = |()| letter::write(family.arena, id, &self.label, traits, &given, &[(function, arguments)], &[]);
        let written = pin::give(family, id.slot, arguments).and_then(write);
        let started = written.and_then(|()| start::begin(family, method, id, Part::Process, traits, &given));
        let (pid, pidfd) = started.inspect_err(|_| spawn::give_up(family, id))?;
        Ok((id, pid, pidfd))
    }
}

/// Whoever started it looks after it: it is not among the children that are listed and finished.
pub fn set_aside(family: Family, process: &Process) {
    Children::of(family.me).list().retain(|child| child.id != process.id);
}

/// Nobody looks after it any more: it is one of the children again, and leaves no zombie.
pub fn give_back(family: Family, process: Arc<Process>) {
    Children::of(family.me).list().push(process);
}

/// The living children of this process.
pub fn active() -> Result<Vec<Arc<Process>>> {
    let children = Children::of(family::current()?.me);
    children.reap_finished();
    Ok(children.list().clone())
}

/// Ends the workers of a pool that this process has forked.
pub fn kill_workers(works_for: u64) {
    let Ok(family) = family::current() else { return };
    let list = Children::of(family.me).list().clone();
    list.iter().filter(|process| process.works_for == works_for).for_each(|worker| _ = worker.signal(9));
}

/// Ends the daemonic children and joins the others; for a clean end of a program.
pub fn finish(deadline: Deadline) -> Result<()> {
    let list = active()?;
    for process in list.iter().filter(|process| process.bond.daemon) {
        process.signal(15)?;
    }
    list.iter().try_for_each(|process| process.join(deadline))?;
    fork::run_hooks();
    Ok(())
}

impl Process {
    fn new(family: Family, id: MemberId, name: Box<CStr>, bond: Bond, method: Method) -> Process {
        Process {
            starter: family.me,
            id,
            name,
            bond,
            method,
            works_for: 0,
            plan: Mutex::default(),
            body: OnceLock::new(),
            ending: OnceLock::new(),
            reaping: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    fn body(&self) -> Result<&Body> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed("the process was closed"));
        }
        self.body.get().ok_or(Error::NotPermitted("the process has not been started"))
    }

    /// The host has forked: this is the parent, and `pid` the child, which may run now.
    pub fn is_forked(self: &Arc<Process>, pid: u32) -> Result<()> {
        let family = self.owner()?;
        if !fork::is_child(pid) {
            return Err(Error::invalid("this is no child of this process"));
        }
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).take();
        let plan = plan.ok_or(Error::NotPermitted("the process was not prepared, or is forked already"))?;
        let pidfd = plan.greet(pid)?;
        let _ = self.body.set(Body { pid, pidfd });
        Children::of(family.me).add(self);
        Ok(())
    }

    /// The host has forked: this is the child, and does not return.
    pub fn be(&self) -> Error {
        let is_child = identity::get().is_none();
        // Who held the lock at the fork is not here.
        match self.plan.try_lock().ok().filter(|_| is_child).and_then(|mut plan| plan.take()) {
            Some(plan) => plan.be(),
            None => Error::NotPermitted("this is no child of a fork for a process that was prepared"),
        }
    }

    /// What became of it, without waiting; `None` while it runs.
    pub fn look(&self) -> Result<Option<Ending>> {
        let body = self.body()?;
        if let Some(ending) = self.ending.get() {
            return Ok(Some(*ending));
        }
        let family = self.owner()?;
        let guard = self.reaping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ending) = self.ending.get() {
            return Ok(Some(*ending));
        }
        let member = family.arena.member(self.id.slot);
        let reaped = match self.method {
            Method::Forkserver => self.look_at_servers_child(member, body),
            _ => pidfd::reap(body.pidfd.as_raw_fd()).0,
        };
        let ending = match reaped {
            Reaped::Running => return Ok(None),
            Reaped::Exit(exit) => Ending::Known(exit),
            Reaped::Unknown => self.written_ending(member).map_or(Ending::Unknown, Ending::Known),
        };
        repair::repair(family.arena, self.id, family.me.slot);
        member.forget(self.id.generation);
        let _ = self.ending.set(ending);
        drop(guard);
        log::debug(format_args!("{} with pid {} ended: {ending:?}", self.name_text(), body.pid));
        Children::of(family.me).list().retain(|process| process.id != self.id);
        Ok(Some(ending))
    }

    /// What it said before it left is known before the server has reaped it: so a join does not wait for that.
    fn look_at_servers_child(&self, member: &'static Member, body: &Body) -> Reaped {
        if !pidfd::is_dead(body.pidfd.as_raw_fd()) {
            return Reaped::Running;
        }
        member.recorded_exit().map_or_else(|| pidfd::reap(body.pidfd.as_raw_fd()).0, Reaped::Exit)
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
        let body = self.body()?;
        self.owner()?;
        while self.ending.get().is_none() {
            match descriptor::poll_readable(body.pidfd.as_raw_fd(), deadline) {
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
        let body = self.body()?;
        self.owner()?;
        match self.ending.get() {
            Some(_) => Ok(()),
            None => pidfd::signal(body.pidfd.as_raw_fd(), signal),
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

    /// Is no more asked for; it must have ended.
    pub fn close(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.body.get().is_some() && self.look()?.is_none() {
            return Err(Error::Again("the process runs"));
        }
        self.closed.store(true, Ordering::Release);
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.body()?.pid)
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
        self.bond.daemon
    }

    /// Readable once it has ended.
    pub fn fd(&self) -> Result<RawFd> {
        Ok(self.body()?.pidfd.as_raw_fd())
    }

    fn fd_or_none(&self) -> RawFd {
        self.body.get().map_or(-1, |body| body.pidfd.as_raw_fd())
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

impl Drop for Process {
    /// One that was prepared and never forked: there will be none. (In a forked child it is the parent's to say so.)
    fn drop(&mut self) {
        let plan = self.plan.get_mut().ok().and_then(Option::take);
        match (plan, self.owner()) {
            (Some(plan), Ok(_)) => plan.give_up(),
            // In a forked child: nothing of it is to be ended here.
            (plan, _) => std::mem::forget(plan),
        }
    }
}

/// The calling process: its pid and name.
pub fn current() -> Result<(u32, &'static CStr)> {
    family::current()?;
    Ok((fork::pid(), own::name().unwrap_or(c"MainProcess")))
}

/// Whether the calling process was started as a daemon.
pub fn is_daemon() -> Result<bool> {
    let family = family::current()?;
    Ok(family.arena.member(family.me.slot).bond().daemon)
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
