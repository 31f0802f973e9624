//! Passing on what others write to a stream, without ever waiting for whoever reads that.

use super::descriptor::above_stdio;
use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU8;

/// The standard error stream.
pub const STDERR: RawFd = 2;

/// As much as a pipe takes at once or not at all, and takes when it says that it would.
const AT_ONCE: usize = libc::PIPE_BUF;

/// A pipe: the end that is read from, which never blocks, and the end that is written to.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(Error::last_os("pipe2"));
    }
    let (from, to) = (above_stdio(ends[0], "pipe2"), above_stdio(ends[1], "pipe2"));
    let (from, to) = (from?, to?);
    // SAFETY: plain call on a descriptor of ours.
    unsafe { libc::fcntl(from.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    Ok((from, to))
}

/// In a child: standard error is `fd` from now on.
pub fn to_stderr(fd: RawFd) {
    // SAFETY: plain call.
    unsafe { libc::dup2(fd, STDERR) };
}

/// Bytes that were written to the pipe behind `fd`, and not yet read; 0 where there is none.
pub fn unread(fd: RawFd) -> u64 {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let known = unsafe { libc::ioctl(fd, libc::FIONREAD, &mut count) } == 0;
    if known { count.max(0) as u64 } else { 0 }
}

/// Reads what there is, without waiting; 0 if there is nothing.
pub fn read(fd: RawFd, buffer: &[AtomicU8]) -> usize {
    // SAFETY: bytes that may be written through a shared reference, and that no other thread knows of.
    let got = unsafe { libc::read(fd, buffer.as_ptr().cast_mut().cast(), buffer.len()) };
    usize::try_from(got).unwrap_or(0).min(buffer.len())
}

/// What became of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Passed {
    /// So many of them are written.
    Some(usize),
    /// There is no room at present.
    Full,
    /// Nobody will ever read them.
    Gone,
}

/// Writes as many of the bytes as can be without waiting. Leaves no SIGPIPE.
pub fn pass(fd: RawFd, bytes: &[AtomicU8]) -> Passed {
    let mut item = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: `item` outlives the call, which waits for nothing.
    match unsafe { libc::poll(&mut item, 1, 0) } {
        1.. if item.revents & libc::POLLOUT != 0 => {}
        1.. => return Passed::Gone,
        _ => return Passed::Full,
    }
    match without_sigpipe(|| write(fd, &bytes[..bytes.len().min(AT_ONCE)])) {
        Ok(written) => Passed::Some(written),
        Err(libc::EAGAIN | libc::EINTR) => Passed::Full,
        Err(_) => Passed::Gone,
    }
}

/// Another process may fill a pipe between a look and a write: newer kernels (6.4) can be told not to wait then.
fn write(fd: RawFd, bytes: &[AtomicU8]) -> std::result::Result<usize, i32> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let errno = |written: isize| usize::try_from(written).map_err(|_| Error::last_os("write").os_errno());
    // SAFETY: bytes of ours, which are only read.
    match errno(unsafe { libc::pwritev2(fd, &part, 1, -1, libc::RWF_NOWAIT) }) {
        Err(libc::EAGAIN) if !is_file(fd) => Err(libc::EAGAIN),
        // A file takes its time, but never for ever.
        // SAFETY: as above.
        Err(libc::EAGAIN | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS | libc::ESPIPE) => {
            errno(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) })
        }
        done => done,
    }
}

fn is_file(fd: RawFd) -> bool {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel writes a whole stat if it says so.
    unsafe { libc::fstat(fd, stat.as_mut_ptr()) == 0 && stat.assume_init_ref().st_mode & libc::S_IFMT == libc::S_IFREG }
}

fn without_sigpipe<T>(act: impl FnOnce() -> T) -> T {
    // SAFETY: sets of ours; what is taken away came from `act`, for it was not pending before.
    unsafe {
        let (mut pipe, mut before, mut pending): (libc::sigset_t, libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::sigpending(&mut pending);
        let was_pending = libc::sigismember(&pending, libc::SIGPIPE) == 1;
        libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before);
        let result = act();
        let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        while !was_pending && libc::sigtimedwait(&pipe, std::ptr::null_mut(), &none) == libc::SIGPIPE {}
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_and_nobody_is_killed() {
        let (from, to) = pipe().unwrap();
        let buffer = [const { AtomicU8::new(7) }; 1 << 17];
        assert_eq!(read(from.as_raw_fd(), &buffer), 0);
        let mut written = 0;
        loop {
            match pass(to.as_raw_fd(), &buffer[..5000]) {
                Passed::Some(len) => written += len,
                end => {
                    assert_eq!(end, Passed::Full);
                    break;
                }
            }
        }
        assert_eq!(unread(from.as_raw_fd()), written as u64);
        assert_eq!(read(from.as_raw_fd(), &buffer), written);
        drop(from);
        assert_eq!(pass(to.as_raw_fd(), &buffer), Passed::Gone);
        assert_eq!((pass(1 << 20, &buffer), unread(-1), read(-1, &buffer)), (Passed::Gone, 0, 0));
    }
}
