//! Channels between a process and one that it starts: a pair of sockets that nobody else can reach, on which every
//! message is whole or not there.

use super::descriptor::{self, above_stdio};
use super::futex::Deadline;
use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The longest message.
pub const MESSAGE: usize = 512;

/// A new channel: both ends, closed by exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `fds` has room for two.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) } != 0 {
        return Err(Error::last_os("socketpair"));
    }
    let [one, other] = fds.map(|fd| above_stdio(fd, "socketpair"));
    Ok((one?, other?))
}

/// Sends a message. Never blocks, and is no signal where nobody listens any more.
pub fn send(fd: RawFd, message: &[u8]) -> Result<()> {
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: `message` is ours.
    match unsafe { libc::send(fd, message.as_ptr().cast(), message.len(), flags) } {
        0.. => Ok(()),
        _ => Err(Error::last_os("send")),
    }
}

/// Receives a message into `room`: its length, 0 if the other end is closed, `None` if there is none yet.
pub fn receive(fd: RawFd, room: &mut [u8]) -> Result<Option<usize>> {
    take(fd, room, libc::MSG_DONTWAIT)
}

fn take(fd: RawFd, room: &mut [u8], flags: libc::c_int) -> Result<Option<usize>> {
    // SAFETY: the kernel writes no more than the length of `room`.
    match unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), flags) } {
        len @ 0.. => Ok(Some(len as usize)),
        _ => match Error::last_os("recv") {
            Error::Os { errno: libc::EAGAIN | libc::EINTR, .. } => Ok(None),
            Error::Os { errno: libc::ECONNRESET, .. } => Ok(Some(0)),
            error => Err(error),
        },
    }
}

/// Waits for a message until the deadline.
pub fn await_message(fd: RawFd, room: &mut [u8], deadline: Deadline) -> Result<usize> {
    loop {
        if let Some(len) = receive(fd, room)? {
            return Ok(len);
        }
        match descriptor::poll_readable(fd, deadline) {
            Ok(false) => return Err(Error::TimedOut),
            Ok(true) | Err(Error::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The message that waits in `fd`, if that is a channel, left where it is: of whatever program this is, it may be a
/// descriptor of somebody else's.
pub fn peek(fd: RawFd, room: &mut [u8]) -> Option<usize> {
    let option = |name: libc::c_int| {
        let (mut value, mut len) = (0 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: both are ours; what is no socket is an error.
        let asked = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut len) };
        (asked == 0).then_some(value)
    };
    if option(libc::SO_TYPE)? != libc::SOCK_SEQPACKET || option(libc::SO_DOMAIN)? != libc::AF_UNIX {
        return None;
    }
    take(fd, room, libc::MSG_DONTWAIT | libc::MSG_PEEK).ok().flatten()
}

/// Takes over a descriptor that this process was started with. From now on it is closed by exec.
pub fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: plain call; whoever started this process gave it the descriptor for this, and no code of the program has
    // run that could own it.
    unsafe {
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        OwnedFd::from_raw_fd(fd)
    }
}

/// The number of an end.
pub fn raw(fd: &OwnedFd) -> RawFd {
    fd.as_raw_fd()
}
