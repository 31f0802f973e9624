//! Processes by descriptor: no number of a dead process is ever mistaken for a living one.

use super::clock::now_ns;
use super::descriptor::above_stdio;
use super::{raw, stat};
use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It left with this code, 0…255.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// As billiard has it: the code, or minus the signal.
    pub fn code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => -signal,
        }
    }
}

/// What a child used, as the kernel counted it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Peak resident memory in bytes.
    pub max_rss_bytes: u64,
    /// User and system time.
    pub cpu_ns: u64,
}

/// A descriptor for the process `pid`, readable when it is dead. `Error::Unsupported` where there are none.
pub fn open(pid: u32) -> Result<OwnedFd> {
    // SAFETY: plain call; returns a new descriptor (close-on-exec by definition) or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    above_stdio(fd as RawFd, "pidfd_open").map_err(|error| match error {
        Error::Os { errno: libc::ENOSYS | libc::EPERM, .. } => Error::Unsupported(
            "no other processes here: this kernel, sandbox or valgrind refuses pidfd_open (Linux 5.3)",
        ),
        error => error,
    })
}

/// In a child that has just begun: a descriptor of itself, to be sent and closed; -1 if there is none.
#[inline(always)]
pub fn open_own() -> RawFd {
    // SAFETY: plain call; returns a new descriptor or an error.
    unsafe { raw::syscall(libc::SYS_pidfd_open, super::fork::pid() as usize, 0, 0, 0).max(-1) as RawFd }
}

/// Fails where the death of a process cannot be found out, so that there must be no second one in a family.
/// Asked of the kernel each time: a sandbox may begin at any time. (A microsecond.)
pub fn check() -> Result<()> {
    match open(super::fork::pid()) {
        Err(error @ Error::Unsupported(_)) => Err(error),
        // Want of descriptors is told by whoever has more to say about it.
        _ => Ok(()),
    }
}

/// What tells this process from any other with the same number, where the kernel has it (6.9).
pub fn inode(fd: RawFd) -> u64 {
    // SAFETY: a zeroed stat is a valid one; the call only writes it.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        // Not by the C library, which makes a look-up of an empty path of it.
        let known = raw::syscall(libc::SYS_fstat, fd as usize, &raw mut stat as usize, 0, 0) == 0;
        if known { stat.st_ino } else { 0 }
    }
}

/// Sends a signal. A process that is dead already is no error.
pub fn signal(fd: RawFd, signal: i32) -> Result<()> {
    // SAFETY: plain call.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<u8>(), 0) };
    match sent {
        0 => Ok(()),
        _ => match Error::last_os("pidfd_send_signal") {
            Error::Os { errno: libc::ESRCH, .. } => Ok(()),
            error => Err(error),
        },
    }
}

/// Whether the process is dead. Where the kernel cannot say (no memory), only one that was reaped counts as dead: else
/// whoever waits for a death would wait for as long as the kernel has none.
pub fn is_dead(fd: RawFd) -> bool {
    super::descriptor::poll_readable(fd, Some(0)).unwrap_or_else(|_| takes_no_signal(fd))
}

fn takes_no_signal(fd: RawFd) -> bool {
    // SAFETY: plain call; signal 0 is none.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, 0, std::ptr::null::<u8>(), 0) };
    sent != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// Whether no living process has this number.
pub fn is_gone(pid: u32) -> bool {
    match open(pid) {
        Ok(handle) => is_dead(handle.as_raw_fd()),
        Err(error) => matches!(error, Error::Os { errno: libc::ESRCH, .. }),
    }
}

/// What became of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// It runs.
    Running,
    /// It ended, and is reaped.
    Exit(Exit),
    /// Somebody else reaped it, and the kernel does not tell.
    Unknown,
}

/// Reaps the child behind `fd` if it has ended; never waits.
pub fn reap(fd: RawFd) -> (Reaped, Usage) {
    // SAFETY: zeroed plain structs are valid; the call only writes them.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let mut usage: libc::rusage = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::__WALL;
        let result = libc::syscall(libc::SYS_waitid, libc::P_PIDFD, fd, &mut info, options, &mut usage);
        if result != 0 {
            return (stolen(fd), Usage::default());
        }
        if info.si_pid() == 0 {
            return (Reaped::Running, Usage::default());
        }
        let exit = match info.si_code {
            libc::CLD_EXITED => Exit::Code(info.si_status()),
            _ => Exit::Signal(info.si_status()),
        };
        (Reaped::Exit(exit), usage_of(&usage))
    }
}

/// What became of a process that may be another one's child; `pid` is its number. Never waits, and reaps nobody.
pub fn look_at(fd: RawFd, pid: u32) -> Reaped {
    if !is_dead(fd) {
        return Reaped::Running;
    }
    // Its number is its own for as long as it takes signals.
    match stat::exit_of(pid).filter(|_| !takes_no_signal(fd)) {
        Some(exit) => Reaped::Exit(exit),
        None => stolen(fd),
    }
}

/// Signals the process group that the process behind `fd` leads, whose number is `pid`, unless it is reaped.
pub fn signal_group_of(fd: RawFd, pid: u32, signal: i32) {
    if !takes_no_signal(fd) {
        signal_group(pid, signal);
    }
}

/// Which of the processes behind `fds` are dead, whoever reaped them: their indices. One call for all of them;
/// where that is refused, every one may be.
pub fn dead_among(fds: &[RawFd]) -> Vec<usize> {
    let mut items: Vec<_> = fds.iter().map(|fd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: `items` outlives the call, which waits for nothing.
    let ready = unsafe { libc::poll(items.as_mut_ptr(), items.len() as libc::nfds_t, 0) };
    let dead = |index: &usize| ready < 0 || items[*index].revents != 0;
    (0..items.len()).filter(dead).collect()
}

fn usage_of(usage: &libc::rusage) -> Usage {
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    Usage { max_rss_bytes: usage.ru_maxrss as u64 * 1024, cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime) }
}

/// struct pidfd_info of Linux 6.15, as far as we read it.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const _: () = assert!(size_of::<Info>() == 64);
const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// How long to look for the end of a dead process. Not so many times: a yield may take as long as others have work.
const LOOK_NS: u64 = 10_000_000;
/// _IOWR(0xFF, 11, 64 bytes): the size of the struct's first published form is part of the number.
const PIDFD_GET_INFO: libc::c_ulong = 0xc000_0000 | (size_of::<Info>() as libc::c_ulong) << 16 | 0xff << 8 | 11;

/// The host reaped our child, or ignores SIGCHLD: only the descriptor can still tell.
fn stolen(fd: RawFd) -> Reaped {
    if !is_dead(fd) {
        return Reaped::Running;
    }
    // Readable is earlier than known: between the two the kernel takes the process apart, on whatever
    // processor that is, and the descriptor still answers as for a living one.
    let until = now_ns() + LOOK_NS;
    loop {
        let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
        // SAFETY: `info` has the size that the request number says.
        if unsafe { libc::ioctl(fd, PIDFD_GET_INFO as _, &mut info) } != 0 {
            return Reaped::Unknown;
        }
        if info.mask & PIDFD_INFO_EXIT != 0 {
            let status = info.exit_code;
            return Reaped::Exit(match libc::WIFEXITED(status) {
                true => Exit::Code(libc::WEXITSTATUS(status)),
                false => Exit::Signal(libc::WTERMSIG(status)),
            });
        }
        if now_ns() > until {
            return Reaped::Unknown;
        }
        std::thread::yield_now();
    }
}

/// Signals the process group that the unreaped child behind `pid` leads.
pub fn signal_group(pid: u32, signal: i32) {
    // SAFETY: plain call. The number belongs to our unreaped child, so to no other group.
    unsafe { libc::kill(-(pid as i32), signal) };
}

/// The descriptor's number, for whoever only borrows it.
pub fn raw(fd: &OwnedFd) -> RawFd {
    fd.as_raw_fd()
}
