//! What signals and their codes are called; what a server of ours does with its own.

use super::descriptor::above_stdio;
use super::fork;
use crate::error::Result;
use std::os::fd::{AsRawFd, OwnedFd};

/// In a server of ours: Ctrl-C is the host's to handle.
pub fn ignore_interrupt() {
    // SAFETY: changes the disposition of this process only, to one without code.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}

/// In a child of such a server, which has every other signal's default disposition: Ctrl-C ends it, and nothing is blocked.
#[inline(always)]
pub fn heed_interrupt() {
    fork::dispose(libc::SIGINT, false);
    fork::block(0);
}

/// Acts with all signals blocked: a thread that is made meanwhile runs no handler of the host's.
pub fn without_any<T>(act: impl FnOnce() -> T) -> T {
    // SAFETY: sets of ours; the mask is this thread's, and as it was when this returns.
    unsafe {
        let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let result = act();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        result
    }
}

/// In a server of ours: a descriptor that is readable once a child has ended. The signal itself is blocked.
pub fn child_events() -> Result<OwnedFd> {
    // SAFETY: a zeroed set is a valid one; all of it is this process's own.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        above_stdio(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK), "signalfd")
    }
}

/// Empties that descriptor.
pub fn hush(events: &OwnedFd) {
    let mut room = [0u8; 4 * size_of::<libc::signalfd_siginfo>()];
    // SAFETY: the kernel writes no more than the length of `room`.
    unsafe { libc::read(events.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
}

/// Ends whoever is over RLIMIT_CPU.
pub const OUT_OF_CPU: i32 = libc::SIGXCPU;
/// Ends whoever writes beyond RLIMIT_FSIZE.
pub const FILE_TOO_LARGE: i32 = libc::SIGXFSZ;

/// What nobody survives.
pub const KILL: i32 = libc::SIGKILL;

/// SIGTERM where none is named.
pub fn or_term(signal: i32) -> i32 {
    if signal == 0 { libc::SIGTERM } else { signal }
}

/// Whether there is such a signal.
pub fn is_one(signal: i32) -> bool {
    (1..=64).contains(&signal)
}

/// The name of a signal, as "SIGSEGV"; `None` for what is none, and for those of real time.
pub fn name(signal: i32) -> Option<&'static str> {
    macro_rules! names {
        ($($name:ident)*) => { match signal { $(libc::$name => Some(stringify!($name)),)* _ => None } };
    }
    names!(SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM
        SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF
        SIGWINCH SIGIO SIGPWR SIGSYS)
}

/// The name of a code that came with a signal, as "SEGV_MAPERR".
pub fn code_name(signal: i32, code: i32) -> Option<&'static str> {
    // The kernel's numbers, which the libc crate has only in part.
    let names: &[&str] = match (signal, code) {
        (_, 0) => return Some("SI_USER"),
        (_, 0x80) => return Some("SI_KERNEL"),
        (_, -1) => return Some("SI_QUEUE"),
        (_, -6) => return Some("SI_TKILL"),
        (libc::SIGSEGV, _) => &["SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"],
        (libc::SIGBUS, _) => &["BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"],
        (libc::SIGFPE, _) => &[
            "FPE_INTDIV",
            "FPE_INTOVF",
            "FPE_FLTDIV",
            "FPE_FLTOVF",
            "FPE_FLTUND",
            "FPE_FLTRES",
            "FPE_FLTINV",
            "FPE_FLTSUB",
        ],
        (libc::SIGILL, _) => &[
            "ILL_ILLOPC",
            "ILL_ILLOPN",
            "ILL_ILLADR",
            "ILL_ILLTRP",
            "ILL_PRVOPC",
            "ILL_PRVREG",
            "ILL_COPROC",
            "ILL_BADSTK",
        ],
        (libc::SIGTRAP, _) => &["TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT"],
        (libc::SIGSYS, _) => &["SYS_SECCOMP"],
        _ => &[],
    };
    usize::try_from(code).ok()?.checked_sub(1).and_then(|index| names.get(index)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_manual() {
        assert_eq!(
            (name(11), name(6), name(0), name(64), name(-1)),
            (Some("SIGSEGV"), Some("SIGABRT"), None, None, None)
        );
        assert_eq!(code_name(libc::SIGSEGV, 2), Some("SEGV_ACCERR"));
        assert_eq!(code_name(libc::SIGFPE, 1), Some("FPE_INTDIV"));
        assert_eq!((code_name(libc::SIGSEGV, 99), code_name(libc::SIGTERM, 1)), (None, None));
        assert_eq!((code_name(libc::SIGABRT, -6), code_name(libc::SIGSEGV, i32::MIN)), (Some("SI_TKILL"), None));
    }
}
