//! Forking, and how a forked child begins and ends.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

unsafe extern "C" {
    static mut stdout: *mut libc::FILE;
    static mut stderr: *mut libc::FILE;
    fn ftrylockfile(file: *mut libc::FILE) -> libc::c_int;
    fn funlockfile(file: *mut libc::FILE);
    fn fflush_unlocked(file: *mut libc::FILE) -> libc::c_int;
    fn __fpurge(file: *mut libc::FILE);
    fn on_exit(hook: extern "C" fn(libc::c_int, *mut libc::c_void), argument: *mut libc::c_void) -> libc::c_int;
}

/// Which side of a fork this is.
pub enum Side {
    /// The child.
    Child,
    /// The parent, with the child's pid.
    Parent(u32),
}

/// glibc's fork(): a raw clone would leave glibc with a stale thread id and no robust list.
///
/// # Safety
/// If the caller's process has threads, the child calls nothing that may wait for a lock of theirs
/// before the user's function, and ends by [`leave`].
pub unsafe fn fork() -> Result<Side> {
    // SAFETY: by the contract of this function.
    match unsafe { libc::fork() } {
        -1 => Err(Error::last_os("fork")),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid as u32)),
    }
}

/// Writes out stdout and stderr, so that a child does not write the same bytes again; a stream whose
/// lock another thread holds is left alone (that thread may sleep in it). True for each written out.
pub fn flush_streams() -> (bool, bool) {
    // SAFETY: glibc's own streams; each is touched only while its lock is ours.
    unsafe { (flush(stdout), flush(stderr)) }
}

/// # Safety
/// `file` is an open stream or NULL.
unsafe fn flush(file: *mut libc::FILE) -> bool {
    // SAFETY: by contract; the stream is only touched with its lock held.
    unsafe {
        if file.is_null() || ftrylockfile(file) != 0 {
            return false;
        }
        fflush_unlocked(file);
        funlockfile(file);
        true
    }
}

/// In a child: forgets what a stream held that could not be written out before the fork; it is the
/// parent's to write.
pub fn purge_streams(flushed: (bool, bool)) {
    // SAFETY: glibc's own streams, whose locks it resets in the child; the child has one thread.
    unsafe {
        if !flushed.0 && !stdout.is_null() {
            __fpurge(stdout);
        }
        if !flushed.1 && !stderr.is_null() {
            __fpurge(stderr);
        }
    }
}

/// In a child: default dispositions for every signal but those to ignore, and an empty mask.
pub fn default_signals(ignore: &[i32]) {
    // SAFETY: zeroed sigaction and sigset_t are valid; the calls change this process only.
    unsafe {
        for signal in 1..=64 {
            let mut action: libc::sigaction = std::mem::zeroed();
            let known = libc::sigaction(signal, std::ptr::null(), &mut action) == 0;
            let wanted = if ignore.contains(&signal) { libc::SIG_IGN } else { libc::SIG_DFL };
            if known && action.sa_sigaction != wanted {
                action = std::mem::zeroed();
                action.sa_sigaction = wanted;
                libc::sigaction(signal, &action, std::ptr::null_mut());
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Called with the exit code when a child leaves, whichever way it does.
static LEAVING: AtomicUsize = AtomicUsize::new(0);
static LEFT: AtomicBool = AtomicBool::new(false);

/// In a child: from now on a call of exit() by the user's code ends the process as [`leave`] does. The
/// host's own atexit handlers, registered before ours, never run here; those registered after, in the
/// child, do.
pub fn catch_exit(leaving: fn(i32)) {
    LEAVING.store(leaving as usize, Ordering::Release);
    LEFT.store(false, Ordering::Release);
    // SAFETY: registers plain functions. Without room for them exit() would run the host's handlers;
    // glibc allocates, and a failure is as rare as it is harmless to everybody else.
    unsafe {
        on_exit(exit_hook, std::ptr::null_mut());
    }
}

extern "C" fn exit_hook(code: libc::c_int, _: *mut libc::c_void) {
    leave(code);
}

/// Ends a child: what it wrote goes out, its code is recorded, no handler of the host runs.
pub fn leave(code: i32) -> ! {
    flush_streams();
    if !LEFT.swap(true, Ordering::AcqRel) {
        let leaving = LEAVING.load(Ordering::Acquire);
        if leaving != 0 {
            // SAFETY: only `catch_exit` stores here, and it stores a `fn(i32)`.
            let leaving: fn(i32) = unsafe { std::mem::transmute(leaving) };
            leaving(code);
        }
    }
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(code & 0xff) }
}

/// Ends a helper process of ours that never ran foreign code.
pub fn leave_at_once(code: i32) -> ! {
    // SAFETY: as `leave`.
    unsafe { libc::_exit(code) }
}

/// For a worker whose end is decided: does nothing more.
pub fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: plain call.
        unsafe { libc::pause() };
    }
}

/// Waits for a child of ours that is about to end by itself; its exit code.
pub fn wait_for(pid: u32) -> i32 {
    loop {
        let mut status = 0;
        // SAFETY: `status` is ours; `pid` is our own unreaped child.
        let reaped = unsafe { libc::waitpid(pid as i32, &mut status, libc::__WALL) };
        if reaped == pid as i32 {
            return if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 };
        }
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            // The host reaped it, or ignores SIGCHLD: it is gone, which is what the caller waits for.
            return 0;
        }
    }
}

/// Kills and reaps a child of ours.
pub fn end_child(pid: u32) {
    // SAFETY: plain call; `pid` is our own unreaped child.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    wait_for(pid);
}

/// This process's id.
pub fn pid() -> u32 {
    std::process::id()
}

/// The kernel kills this process when its parent dies: a second net, for children of a keeper, which
/// has one thread (the signal follows the thread that forked). False if the parent is dead already.
pub fn die_with(parent: u32) -> bool {
    // SAFETY: plain calls.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid() as u32 == parent
    }
}

/// Makes this process the leader of a group of its own, so that what it starts can be ended with it.
pub fn lead_group() {
    // SAFETY: plain call on this process.
    unsafe { libc::setpgid(0, 0) };
}

/// What the process is called in ps and top.
pub fn set_title(name: &std::ffi::CStr) {
    // SAFETY: `name` is a C string; the kernel copies 15 bytes of it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Calls the user's function at `address` with `context`, as C does: `int32_t function(context *)`.
///
/// An address gets here only through `function::identify` or `function::resolve`, which found it in
/// executable memory of this process or in the host's registrations; that it has this signature is the
/// host's promise, given where it passed a `carom_function`.
#[inline(always)]
pub fn call<T>(address: usize, context: &mut T) -> i32 {
    // SAFETY: see above; a function pointer and its address have the same size.
    let function: extern "C" fn(*mut T) -> i32 = unsafe { std::mem::transmute(address) };
    function(context)
}
