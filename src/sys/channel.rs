//! Channels between a process and one that it starts: a pair of sockets that nobody else can reach, on which every
//! message is whole or not there.

use super::descriptor::above_stdio;
use super::raw;
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
    send_with(fd, message, &[])
}

/// Descriptors that a message can carry: the kernel's limit.
pub const MOST: usize = 253;
/// Room for the kernel's header and so many descriptors, in words.
const CONTROL: usize = 2 + MOST.div_ceil(2);

/// The same with descriptors: who receives it gets duplicates of his own.
pub fn send_with(fd: RawFd, message: &[u8], along: &[RawFd]) -> Result<()> {
    if along.len() > MOST {
        return Err(Error::invalid("a process can be given 250 descriptors at most"));
    }
    let mut room = [0u64; CONTROL];
    let mut part = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
    // SAFETY: `room` is aligned as a header must be and holds one with MOST descriptors; the kernel reads no more than
    // the lengths say.
    let sent = unsafe {
        let mut whole: libc::msghdr = std::mem::zeroed();
        whole.msg_iov = &mut part;
        whole.msg_iovlen = 1;
        if !along.is_empty() {
            let bytes = size_of_val(along) as u32;
            whole.msg_control = room.as_mut_ptr().cast();
            whole.msg_controllen = libc::CMSG_SPACE(bytes) as _;
            let header = libc::CMSG_FIRSTHDR(&whole);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
            std::ptr::copy_nonoverlapping(along.as_ptr(), libc::CMSG_DATA(header).cast(), along.len());
        }
        libc::sendmsg(fd, &whole, SENDS)
    };
    if sent < 0 { Err(Error::last_os("sendmsg")) } else { Ok(()) }
}

/// In a child that has just begun: sends one byte and a descriptor, by nothing but what is inlined.
#[inline(always)]
pub fn send_first(fd: RawFd, byte: u8, along: RawFd) {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    // Header and descriptor, in words.
    let mut room = [0u64; HEADER / 8 + 1];
    room[0] = (HEADER + size_of::<RawFd>()) as u64;
    room[1] = (libc::SCM_RIGHTS as u64) << 32 | libc::SOL_SOCKET as u64;
    room[2] = along as u64;
    let mut part = libc::iovec { iov_base: (&raw const byte).cast_mut().cast(), iov_len: 1 };
    // SAFETY: the kernel reads no more than the lengths say; of a `cmsghdr` the length comes first, then level and type
    // (checked below), on machines whose lower bytes come first.
    unsafe {
        let mut whole: libc::msghdr = std::mem::zeroed();
        whole.msg_iov = &mut part;
        whole.msg_iovlen = 1;
        whole.msg_control = room.as_mut_ptr().cast();
        whole.msg_controllen = size_of_val(&room) as _;
        raw::syscall(libc::SYS_sendmsg, fd as usize, &raw const whole as usize, SENDS as usize, 0);
    }
}

const SENDS: libc::c_int = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
const _: () = assert!(
    size_of::<libc::cmsghdr>() == 16
        && std::mem::offset_of!(libc::cmsghdr, cmsg_level) == 8
        && std::mem::offset_of!(libc::cmsghdr, cmsg_type) == 12
        && cfg!(target_endian = "little")
);

/// Receives a message into `room`: its length, 0 if the other end is closed, `None` if there is none yet.
pub fn receive(fd: RawFd, room: &mut [u8]) -> Result<Option<usize>> {
    take(fd, room, libc::MSG_DONTWAIT)
}

/// The same with the descriptors that it carries, closed by exec. An error if there was no room for them: they are
/// gone then, and so is the message.
pub fn receive_with(fd: RawFd, room: &mut [u8], along: &mut Vec<OwnedFd>) -> Result<Option<usize>> {
    let mut control = [0u64; CONTROL];
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: the kernel writes no more than the lengths say; what it says to have written are descriptors that are new
    // and owned by nobody else.
    unsafe {
        let mut whole: libc::msghdr = std::mem::zeroed();
        whole.msg_iov = &mut part;
        whole.msg_iovlen = 1;
        whole.msg_control = control.as_mut_ptr().cast();
        whole.msg_controllen = size_of_val(&control) as _;
        let len = libc::recvmsg(fd, &mut whole, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC);
        if len < 0 {
            return nothing_yet(Error::last_os("recvmsg"));
        }
        let header = libc::CMSG_FIRSTHDR(&whole);
        if !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS {
            let count = ((*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
            let first: *const RawFd = libc::CMSG_DATA(header).cast();
            for index in 0..count {
                along.push(above_stdio(first.add(index).read_unaligned(), "recvmsg")?);
            }
        }
        match whole.msg_flags & libc::MSG_CTRUNC {
            0 => Ok(Some(len as usize)),
            _ => Err(Error::Os { call: "recvmsg", errno: libc::EMFILE }),
        }
    }
}

fn nothing_yet(error: Error) -> Result<Option<usize>> {
    match error {
        Error::Os { errno: libc::EAGAIN | libc::EINTR, .. } => Ok(None),
        Error::Os { errno: libc::ECONNRESET, .. } => Ok(Some(0)),
        error => Err(error),
    }
}

fn take(fd: RawFd, room: &mut [u8], flags: libc::c_int) -> Result<Option<usize>> {
    // SAFETY: the kernel writes no more than the length of `room`.
    match unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), flags) } {
        len @ 0.. => Ok(Some(len as usize)),
        _ => nothing_yet(Error::last_os("recv")),
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
    for _ in 0..LOOKS {
        match take(fd, room, libc::MSG_DONTWAIT | libc::MSG_PEEK) {
            Err(Error::Os { errno: libc::ENOMEM | libc::ENOBUFS | libc::EINTR, .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            seen => return seen.ok().flatten(),
        }
    }
    None
}

/// How often somebody looks for a message while the kernel has no memory for that.
const LOOKS: u32 = 100;

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
