//! The signal by which a worker hears that its task should stop: blocking system calls return EINTR, and the task's
//! hook is called.
//!
//! `SIGURG`, which is ignored where nobody handles it: one that comes to a program that the task has become, or to a task
//! that has taken the handler away, does no harm.

use super::fork;
use super::own::own;
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The signal.
pub const SIGNAL: c_int = libc::SIGURG;

/// In a process whose children are workers, which inherit it: the handler. Alone it does nothing.
pub fn install() {
    // SAFETY: a zeroed sigaction is a valid one; the handler has the signature of one without SA_SIGINFO. No SA_RESTART:
    // that a system call ends is the purpose.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(SIGNAL, &action, std::ptr::null_mut());
    }
}

/// In a worker: `is_due` says whether the task at work should stop and does not know.
pub fn attach(is_due: fn() -> bool) {
    own().is_due.store(is_due as usize, Release);
}

/// From now on `hook(context)` is called, once, when the task should stop; 0: nothing is.
pub fn set_hook(hook: usize, context: usize) {
    let own = own();
    own.hook.store(0, Release);
    own.hook_context.store(context, Relaxed);
    own.hook.store(hook, Release);
}

/// Calls the hook, if there is one that was not called.
pub fn call_hook() {
    let own = own();
    let (hook, context) = (own.hook.swap(0, AcqRel), own.hook_context.load(Relaxed));
    if hook != 0 {
        // SAFETY: only `set_hook` stores here, what the task passed as a `void (*)(void *)`; a function pointer and its
        // address have the same size.
        let hook: extern "C" fn(*mut c_void) = unsafe { std::mem::transmute(hook) };
        hook(std::ptr::with_exposed_provenance_mut(context));
    }
}

/// A signal that was sent has come when this returns, even if the task had blocked it.
pub fn let_in() {
    // SAFETY: changes the mask of this thread only.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&mut set, SIGNAL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
    }
}

extern "C" fn handler(_: c_int) {
    let is_due = own().is_due.load(Acquire);
    // SAFETY: plain calls. The first thread has the process's id; errno is this thread's.
    let (first, errno) = unsafe { (libc::syscall(libc::SYS_gettid) as u32 == fork::pid(), *libc::__errno_location()) };
    if is_due != 0 && !first {
        // The task is the first thread's affair, and its blocked mask too.
        // SAFETY: plain call.
        unsafe { libc::syscall(libc::SYS_tgkill, fork::pid(), fork::pid(), SIGNAL) };
    } else if is_due != 0 {
        // SAFETY: only `attach` stores here, and it stores a `fn() -> bool`.
        let is_due: fn() -> bool = unsafe { std::mem::transmute(is_due) };
        if is_due() {
            call_hook();
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}
