//! Starting a program: a child that shares this process's memory until it executes another (as vfork has it), so that
//! it costs the same whatever the size of this process.

use super::raw;
use super::{
    descriptor::{self, above_stdio},
    fork::{self, Signals},
    pidfd, setup,
};
use crate::error::{Error, Result};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// The first descriptor that a program gets.
pub const FIRST: RawFd = 3;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}
const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// A program, and what it begins with.
pub struct Launch<'a> {
    /// What is executed.
    pub path: &'a CStr,
    /// Its arguments.
    pub arguments: &'a [&'a CStr],
    /// Its environment, as execve wants it.
    pub environment: *const *const c_char,
    /// Its standard streams, as `setup::place_streams` wants them.
    pub streams: [RawFd; 3],
    /// What it keeps of this thread's signals; `None`: nothing, all are as in a new program.
    pub signals: Option<Signals>,
    /// The descriptors that reach it besides the standard streams: as 3, 4, 5, … in this order.
    pub descriptors: &'a [RawFd],
    /// Not a child of this process, but of nobody: its death is told to nobody here.
    pub detached: bool,
    /// Called in the child with its pid, before it executes the program: in the memory of this process, in which
    /// this thread stands still. False: it must not go on.
    pub born: &'a dyn Fn(u32) -> bool,
}

/// What the child shares with the parent.
struct Shared<'a> {
    launch: &'a Launch<'a>,
    argv: &'a [*const c_char],
    /// Those of `launch.descriptors`, sorted, and their numbers in the program.
    given: &'a [RawFd],
    placed: &'a [RawFd],
    room: &'a [AtomicI32],
    stack: usize,
    /// The errno of what failed, 0 for nothing, and which call it was.
    errno: AtomicI32,
    failed: AtomicUsize,
    child: AtomicI32,
}

/// The calls that can fail in the child.
const CALLS: [&str; 4] = ["execve", "fcntl(F_DUPFD)", "clone", "dup2"];
const STACK: usize = 32 << 10;

/// Starts the program: its pid, and a descriptor of the process. An error says what failed in the child too; then
/// there is no child.
///
/// The child resets every signal to its default, and its mask, but what it is to keep.
pub fn launch(launch: &Launch<'_>) -> Result<(u32, OwnedFd)> {
    let mut argv: Vec<*const c_char> = launch.arguments.iter().map(|text| text.as_ptr()).collect();
    argv.push(std::ptr::null());
    let mut given = launch.descriptors.to_vec();
    given.sort_unstable();
    let placed: Vec<RawFd> = (FIRST..).take(launch.descriptors.len()).collect();
    let room: Vec<AtomicI32> = launch.descriptors.iter().map(|_| AtomicI32::new(-1)).collect();
    // One for the child, and one for its own: not on this thread's, which may be small.
    let mut stack: Vec<u8> = Vec::new();
    stack.try_reserve_exact(2 * STACK).map_err(|_| Error::NoMemory("no memory for a child's stack"))?;
    let shared = Shared {
        launch,
        argv: &argv,
        given: &given,
        placed: &placed,
        room: &room,
        stack: stack.as_mut_ptr() as usize,
        errno: AtomicI32::new(0),
        failed: AtomicUsize::new(0),
        child: AtomicI32::new(-1),
    };
    let alone = Alone::begin();
    let (pid, handle) = clone_into(&shared, if launch.detached { between } else { child }, 1)?;
    drop(alone);
    let failure = match shared.errno.load(Ordering::Acquire) {
        0 => None,
        errno => Some(Error::Os { call: CALLS[shared.failed.load(Ordering::Acquire) % CALLS.len()], errno }),
    };
    if launch.detached || failure.is_some() {
        fork::wait_for(pid);
    }
    match failure {
        Some(error) => Err(error),
        None if launch.detached => {
            let killed = || Error::Broken("a process was killed while it was started".into());
            // Whoever was to make it was killed at that: there is none, or one that will find its place taken away.
            let pid = u32::try_from(shared.child.load(Ordering::Acquire)).map_err(|_| killed())?;
            match pidfd::open(pid) {
                Err(Error::Os { errno: libc::ESRCH, .. }) => Err(killed()),
                opened => opened.map(|handle| (pid, handle)),
            }
        }
        None => Ok((pid, handle)),
    }
}

/// No signal handler runs in this thread, and nobody cancels it: its memory is a child's too.
struct Alone {
    mask: u64,
    cancel: c_int,
}

impl Alone {
    fn begin() -> Alone {
        let mut alone = Alone { mask: 0, cancel: 0 };
        let all = u64::MAX;
        // SAFETY: changes this thread only; the kernel reads and writes 8 bytes each.
        unsafe {
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut alone.cancel);
            let (new, old) = (&raw const all as usize, &raw mut alone.mask as usize);
            raw::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK as usize, new, old, 8);
        }
        alone
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe {
            let old = &raw const self.mask as usize;
            raw::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK as usize, old, 0, 8);
            pthread_setcancelstate(self.cancel, std::ptr::null_mut());
        }
    }
}

/// Makes a child that runs `body` on the `part`th half of the stack, and returns when it has executed or ended.
fn clone_into(shared: &Shared<'_>, body: extern "C" fn(*mut c_void) -> c_int, part: usize) -> Result<(u32, OwnedFd)> {
    let stack = (shared.stack + part * STACK + STACK) & !0xf;
    let argument = (shared as *const Shared<'_>).cast_mut().cast::<c_void>();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let mut handle: c_int = -1;
    // SAFETY: the child runs `body` on a stack of its own, in this memory, while this thread stands still (CLONE_VFORK)
    // with every signal blocked; `body` never returns but ends or executes, and takes no lock.
    let pid = unsafe { libc::clone(body, stack as *mut c_void, flags | libc::CLONE_PIDFD, argument, &raw mut handle) };
    if pid < 0 {
        return Err(Error::last_os("clone"));
    }
    above_stdio(handle, "clone").map(|handle| (pid as u32, handle))
}

extern "C" fn between(shared: *mut c_void) -> c_int {
    // SAFETY: `launch` passed it, and waits until this process has ended.
    let shared = unsafe { &*shared.cast::<Shared<'_>>() };
    let made = clone_into(shared, child, 0);
    match &made {
        Ok((pid, _)) => shared.child.store(*pid as i32, Ordering::Release),
        Err(error) => shared.fail(2, error.os_errno() as isize),
    }
    // The descriptor is this process's own, and goes with it.
    std::mem::forget(made);
    leave()
}

extern "C" fn child(shared: *mut c_void) -> c_int {
    // SAFETY: `launch` passed it, and stands still.
    let shared = unsafe { &*shared.cast::<Shared<'_>>() };
    if (shared.launch.born)(fork::pid()) {
        shared.prepare_and_execute();
    }
    leave()
}

/// Not by the C library, whose state is the parent's.
fn leave() -> ! {
    loop {
        // SAFETY: ends this process only.
        unsafe { raw::syscall(libc::SYS_exit_group, 127, 0, 0, 0) };
    }
}

impl Shared<'_> {
    fn fail(&self, call: usize, errno: isize) {
        self.failed.store(call, Ordering::Release);
        self.errno.store(errno as i32, Ordering::Release);
    }

    /// What the child does. The descriptors are its own: a table is not shared.
    fn prepare_and_execute(&self) {
        if let Err(errno) = setup::place_streams(self.launch.streams) {
            return self.fail(3, errno as isize);
        }
        // First what is not needed: there may be no room for more.
        descriptor::close_all_but(self.given);
        let above = (FIRST as usize + self.room.len()) as RawFd;
        for (fd, room) in self.launch.descriptors.iter().zip(self.room) {
            // SAFETY: plain calls on descriptors of this process.
            let moved =
                unsafe { raw::syscall(libc::SYS_fcntl, *fd as usize, libc::F_DUPFD as usize, above as usize, 0) };
            if moved < 0 {
                return self.fail(1, -moved);
            }
            room.store(moved as i32, Ordering::Relaxed);
        }
        for (room, place) in self.room.iter().zip(self.placed) {
            // SAFETY: as above. A duplicate is not closed by exec.
            unsafe { raw::syscall(libc::SYS_dup3, room.load(Ordering::Relaxed) as usize, *place as usize, 0, 0) };
        }
        descriptor::close_all_but(self.placed);
        // Also what has a handler: the parent's memory is no place for it to run in.
        self.launch.signals.unwrap_or(Signals { ignored: 0, blocked: 0 }).assume();
        // SAFETY: the strings and arrays end with a zero, and live in the parent, which stands still.
        let errno = unsafe {
            let (path, argv) = (self.launch.path.as_ptr() as usize, self.argv.as_ptr() as usize);
            raw::syscall(libc::SYS_execve, path, argv, self.launch.environment as usize, 0)
        };
        self.fail(0, -errno);
    }
}
