//! Stream sockets: addresses, bytes, and descriptors that travel with them.

use super::descriptor;
use super::futex::Deadline;
use crate::error::{Error, Result};
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// AF_UNIX, a name in the file system.
    Path(Vec<u8>),
    /// AF_UNIX, a name that goes with its socket.
    Abstract(Vec<u8>),
    /// AF_INET, AF_INET6.
    Internet(SocketAddr),
}

/// An address as the kernel has it.
struct Raw {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

const UNIX_NAME_AT: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);
const UNIX_NAME: usize = size_of::<libc::sockaddr_un>() - UNIX_NAME_AT;

impl Raw {
    fn empty() -> Raw {
        // SAFETY: all bytes zero are a valid sockaddr_storage.
        Raw { storage: unsafe { std::mem::zeroed() }, len: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    /// # Safety
    /// T is a sockaddr type of C.
    unsafe fn of<T>(address: T) -> Raw {
        const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
        let mut raw = Raw::empty();
        // SAFETY: the storage has room for every address and the alignment of each.
        unsafe { (&raw mut raw.storage).cast::<T>().write(address) };
        raw.len = size_of::<T>() as libc::socklen_t;
        raw
    }

    fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    fn bytes(&self) -> &[u8] {
        let len = (self.len as usize).min(size_of::<libc::sockaddr_storage>());
        // SAFETY: the storage is plain bytes, written or zeroed, and `len` is within it.
        unsafe { std::slice::from_raw_parts((&raw const self.storage).cast(), len) }
    }
}

impl Address {
    fn family(&self) -> libc::c_int {
        match self {
            Address::Path(_) | Address::Abstract(_) => libc::AF_UNIX,
            Address::Internet(SocketAddr::V4(_)) => libc::AF_INET,
            Address::Internet(SocketAddr::V6(_)) => libc::AF_INET6,
        }
    }

    fn to_raw(&self) -> Result<Raw> {
        let name = match self {
            Address::Internet(SocketAddr::V4(it)) => {
                // SAFETY: all bytes zero are a valid sockaddr_in, which is a sockaddr type.
                unsafe {
                    let mut raw: libc::sockaddr_in = std::mem::zeroed();
                    raw.sin_family = libc::AF_INET as u16;
                    raw.sin_port = it.port().to_be();
                    raw.sin_addr.s_addr = u32::from_ne_bytes(it.ip().octets());
                    return Ok(Raw::of(raw));
                }
            }
            Address::Internet(SocketAddr::V6(it)) => {
                // SAFETY: the same of sockaddr_in6.
                unsafe {
                    let mut raw: libc::sockaddr_in6 = std::mem::zeroed();
                    raw.sin6_family = libc::AF_INET6 as u16;
                    raw.sin6_port = it.port().to_be();
                    raw.sin6_addr.s6_addr = it.ip().octets();
                    raw.sin6_scope_id = it.scope_id();
                    return Ok(Raw::of(raw));
                }
            }
            // A path ends with a zero byte, which CPython, for one, expects to fit.
            Address::Path(path) => [path, &b"\0"[..]].concat(),
            Address::Abstract(name) => [b"\0", &name[..]].concat(),
        };
        if name.len() > UNIX_NAME {
            return Err(Error::Os {
                call: "bind or connect, a path of more than 107 bytes",
                errno: libc::ENAMETOOLONG,
            });
        }
        // SAFETY: all bytes zero are a valid sockaddr_un, which is a sockaddr type.
        let mut raw = unsafe {
            let mut raw: libc::sockaddr_un = std::mem::zeroed();
            raw.sun_family = libc::AF_UNIX as u16;
            for (place, byte) in raw.sun_path.iter_mut().zip(&name) {
                *place = *byte as libc::c_char;
            }
            Raw::of(raw)
        };
        raw.len = (UNIX_NAME_AT + name.len()) as libc::socklen_t;
        Ok(raw)
    }

    fn from_raw(raw: &Raw) -> Option<Address> {
        let bytes = raw.bytes();
        let octets = |at: usize| bytes.get(at..);
        match raw.storage.ss_family as libc::c_int {
            libc::AF_INET => {
                let port = u16::from_be_bytes(*octets(2)?.first_chunk()?);
                let ip = Ipv4Addr::from(*octets(4)?.first_chunk::<4>()?);
                Some(Address::Internet(SocketAddr::new(IpAddr::V4(ip), port)))
            }
            libc::AF_INET6 => {
                let port = u16::from_be_bytes(*octets(2)?.first_chunk()?);
                let ip = Ipv6Addr::from(*octets(8)?.first_chunk::<16>()?);
                Some(Address::Internet(SocketAddr::new(IpAddr::V6(ip), port)))
            }
            libc::AF_UNIX => match octets(UNIX_NAME_AT)? {
                [] => Some(Address::Path(Vec::new())),
                [0, name @ ..] => Some(Address::Abstract(name.to_vec())),
                path => Some(Address::Path(path.split(|byte| *byte == 0).next()?.to_vec())),
            },
            _ => None,
        }
    }
}

/// A stream socket. It can be closed while others look at it.
pub struct Socket {
    /// -1 once it is closed.
    fd: AtomicI32,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.close();
    }
}

/// What a receive found.
#[derive(Debug)]
pub enum Received {
    /// So many bytes.
    Bytes(usize),
    /// The same, and what came with the last of them.
    WithDescriptor(usize, Result<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// Nothing any more.
    End,
}

/// Room for the descriptors of one message: more than the one that we take, so that surplus ones are seen.
const CONTROL: usize = 64;

#[repr(C, align(8))]
struct Control([u8; CONTROL]);

impl Socket {
    /// Takes a descriptor over.
    pub fn of(fd: OwnedFd) -> Socket {
        Socket { fd: AtomicI32::new(fd.into_raw_fd()) }
    }

    /// Gives the descriptor back.
    pub fn into_fd(self) -> OwnedFd {
        let fd = self.fd.swap(-1, AcqRel);
        // SAFETY: it was this socket's own, and is not any more.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    fn new(address: &Address) -> Result<Socket> {
        // SAFETY: plain call; returns a new descriptor or -1.
        let fd = unsafe { libc::socket(address.family(), libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
        Ok(Socket::of(descriptor::above_stdio(fd, "socket")?))
    }

    /// The descriptor; -1 once it is closed.
    pub fn raw(&self) -> RawFd {
        self.fd.load(Acquire)
    }

    /// Closes it here.
    pub fn close(&self) {
        let fd = self.fd.swap(-1, AcqRel);
        if fd >= 0 {
            descriptor::close(fd);
        }
    }

    /// Ends the connection for both sides and every process that has it; who waits at it goes on.
    pub fn shut_down(&self) {
        // SAFETY: plain call; a socket that is closed or not connected is an error of no interest.
        unsafe { libc::shutdown(self.raw(), libc::SHUT_RDWR) };
    }

    fn option(&self, level: libc::c_int, name: libc::c_int) -> Result<libc::c_int> {
        let (mut value, mut len) = (0, size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: `value` and `len` are ours and belong together.
        let result = unsafe { libc::getsockopt(self.raw(), level, name, (&raw mut value).cast(), &mut len) };
        if result == 0 { Ok(value) } else { Err(Error::last_os("getsockopt")) }
    }

    fn set_option<T>(&self, level: libc::c_int, name: libc::c_int, value: T) {
        let len = size_of::<T>() as libc::socklen_t;
        // SAFETY: `value` outlives the call. What is refused is a matter of speed or convenience.
        unsafe { libc::setsockopt(self.raw(), level, name, (&raw const value).cast(), len) };
    }

    /// Whether it is a connected stream socket, and of AF_UNIX; an error for what is none.
    pub fn is_local_stream(&self) -> Result<bool> {
        let no_socket = |error: Error| match error.os_errno() {
            libc::ENOTSOCK => Error::invalid("the descriptor is not a socket"),
            _ => error,
        };
        if self.option(libc::SOL_SOCKET, libc::SO_TYPE).map_err(no_socket)? != libc::SOCK_STREAM {
            return Err(Error::invalid("the socket is not a stream"));
        }
        if self.option(libc::SOL_SOCKET, libc::SO_ACCEPTCONN)? != 0 {
            return Err(Error::invalid("the socket listens, and is no connection"));
        }
        Ok(self.option(libc::SOL_SOCKET, libc::SO_DOMAIN)? == libc::AF_UNIX)
    }

    /// Whether who is at the other end may do here what this process may: the same user, or root. An AF_UNIX socket only.
    pub fn is_of_our_user(&self) -> bool {
        let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: 0 };
        let mut len = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: `peer` and `len` are ours and belong together; geteuid cannot fail.
        unsafe {
            let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
            let known = libc::getsockopt(self.raw(), level, name, (&raw mut peer).cast(), &mut len) == 0;
            known && (peer.uid == 0 || peer.uid == libc::geteuid())
        }
    }

    /// Messages go out at once, however short.
    pub fn prompt(&self) {
        self.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1 as libc::c_int);
    }

    /// A socket that listens. A path gets `mode`, at once.
    pub fn listen(address: &Address, backlog: i32, mode: u32) -> Result<Socket> {
        let socket = Socket::new(address)?;
        let raw = address.to_raw()?;
        match address {
            Address::Internet(_) => socket.set_option(libc::SOL_SOCKET, libc::SO_REUSEADDR, 1 as libc::c_int),
            // What bind makes gets it from the socket, less the umask.
            // SAFETY: plain call on a descriptor of ours.
            Address::Path(_) => _ = unsafe { libc::fchmod(socket.raw(), mode) },
            Address::Abstract(_) => {}
        }
        // SAFETY: the address outlives the call.
        if unsafe { libc::bind(socket.raw(), raw.pointer(), raw.len) } != 0 {
            return Err(Error::last_os("bind"));
        }
        // SAFETY: plain calls on a descriptor of ours.
        unsafe {
            if libc::listen(socket.raw(), backlog) != 0 {
                return Err(Error::last_os("listen"));
            }
            libc::fcntl(socket.raw(), libc::F_SETFL, libc::O_NONBLOCK);
        }
        Ok(socket)
    }

    /// Where it listens.
    pub fn address(&self) -> Option<Address> {
        let mut raw = Raw::empty();
        // SAFETY: the storage has room for `len` bytes.
        let result = unsafe { libc::getsockname(self.raw(), (&raw mut raw.storage).cast(), &mut raw.len) };
        if result == 0 { Address::from_raw(&raw) } else { None }
    }

    /// The next of those who want to connect; `None` if nobody does.
    pub fn accept(&self) -> Result<Option<Socket>> {
        let nothing = std::ptr::null_mut();
        // SAFETY: no address is asked for; returns a new descriptor or -1.
        let fd = unsafe { libc::accept4(self.raw(), nothing, std::ptr::null_mut(), libc::SOCK_CLOEXEC) };
        if fd >= 0 {
            return Ok(Some(Socket::of(descriptor::above_stdio(fd, "accept4")?)));
        }
        match Error::last_os("accept4") {
            // The last ones: it was there, and has gone again.
            Error::Os {
                errno: libc::EAGAIN | libc::EINTR | libc::ECONNABORTED | libc::EPROTO | libc::ENETDOWN,
                ..
            } => Ok(None),
            error => Err(error),
        }
    }

    /// Connects, not longer than until the deadline. After a signal `goes_on` says whether it goes on.
    pub fn connect(address: &Address, deadline: Deadline, goes_on: impl Fn() -> Result<()>) -> Result<Socket> {
        let socket = Socket::new(address)?;
        let raw = address.to_raw()?;
        loop {
            // The kernel's own time limit, since a nonblocking connect to a full AF_UNIX listener tells nobody when there
            // is room. 0 would be for ever, and is the least there is.
            let left = deadline.map_or(0, |deadline| deadline.saturating_sub(super::clock::now_ns()).max(1000));
            socket.set_option(libc::SOL_SOCKET, libc::SO_SNDTIMEO, time_of(left));
            // SAFETY: the address outlives the call.
            if unsafe { libc::connect(socket.raw(), raw.pointer(), raw.len) } == 0 {
                break;
            }
            match Error::last_os("connect") {
                Error::Os { errno: libc::EINTR, .. } => goes_on()?,
                Error::Os { errno: libc::EISCONN, .. } => break,
                Error::Os { errno: libc::EAGAIN | libc::EINPROGRESS | libc::EALREADY, .. } => {
                    return Err(Error::TimedOut);
                }
                error => return Err(error),
            }
        }
        socket.set_option(libc::SOL_SOCKET, libc::SO_SNDTIMEO, time_of(0));
        Ok(socket)
    }

    /// From now on a receive that waits ends with nothing after so long.
    pub fn look_up_after(&self, ns: u64) {
        self.set_option(libc::SOL_SOCKET, libc::SO_RCVTIMEO, time_of(ns));
    }

    /// Receives what there is. `waits`: until there is something, unless the socket itself does not wait, or a signal comes.
    pub fn receive(&self, into: &mut [IoSliceMut<'_>], waits: bool) -> Result<Received> {
        let mut control = Control([0; CONTROL]);
        let flags = libc::MSG_CMSG_CLOEXEC | if waits { 0 } else { libc::MSG_DONTWAIT };
        // SAFETY: all bytes zero are a valid msghdr; what it points to outlives the call. An IoSliceMut is an
        // iovec, as std says.
        let (len, header) = unsafe {
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_iov = into.as_mut_ptr().cast();
            header.msg_iovlen = into.len() as _;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL as _;
            (libc::recvmsg(self.raw(), &mut header, flags), header)
        };
        if len > 0 {
            return Ok(match taken(&header) {
                None => Received::Bytes(len as usize),
                Some(descriptor) => Received::WithDescriptor(len as usize, descriptor),
            });
        }
        if len == 0 {
            return Ok(Received::End);
        }
        match Error::last_os("recvmsg") {
            Error::Os { errno: libc::EAGAIN | libc::EINTR, .. } => Ok(Received::Nothing),
            // It went without reading all of what it was sent, or its machine did.
            Error::Os { errno: libc::ECONNRESET | libc::EPIPE | libc::ETIMEDOUT, .. } => Ok(Received::End),
            error => Err(error),
        }
    }

    /// Sends as much as goes of what lies in one piece: half the kernel's work for a short message.
    pub fn send_piece(&self, from: &[u8], waits: bool) -> Result<Option<usize>> {
        let flags = libc::MSG_NOSIGNAL | if waits { 0 } else { libc::MSG_DONTWAIT };
        // SAFETY: the bytes outlive the call.
        sent(unsafe { libc::send(self.raw(), from.as_ptr().cast(), from.len(), flags) })
    }

    /// Sends as much as goes, with a descriptor if there is one; `None` if nothing goes now. Never raises SIGPIPE.
    pub fn send(&self, from: &[IoSlice<'_>], descriptor: Option<RawFd>, waits: bool) -> Result<Option<usize>> {
        let mut control = Control([0; CONTROL]);
        let flags = libc::MSG_NOSIGNAL | if waits { 0 } else { libc::MSG_DONTWAIT };
        // SAFETY: as in `receive`; the control message lies within its aligned room, which CMSG_SPACE of one
        // descriptor does not exceed.
        let result = unsafe {
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_iov = from.as_ptr().cast_mut().cast();
            header.msg_iovlen = from.len() as _;
            if let Some(descriptor) = descriptor {
                header.msg_control = control.0.as_mut_ptr().cast();
                header.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
                let message = libc::CMSG_FIRSTHDR(&header);
                (*message).cmsg_level = libc::SOL_SOCKET;
                (*message).cmsg_type = libc::SCM_RIGHTS;
                (*message).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
                libc::CMSG_DATA(message).cast::<RawFd>().write_unaligned(descriptor);
            }
            libc::sendmsg(self.raw(), &header, flags)
        };
        sent(result)
    }

    /// Waits until it is readable, or writable, or the deadline passes; false if it passed. Perhaps for nothing.
    pub fn wait(&self, readable: bool, writable: bool, deadline: Deadline) -> Result<bool> {
        if deadline == Some(0) {
            return Ok(false);
        }
        match descriptor::poll_one(self.raw(), readable, writable, deadline) {
            Err(Error::Interrupted) => Ok(true),
            ready => ready,
        }
    }
}

/// How much was sent, `None` if nothing goes now.
fn sent(result: isize) -> Result<Option<usize>> {
    if let Ok(sent) = usize::try_from(result) {
        return Ok(Some(sent));
    }
    match Error::last_os("sendmsg") {
        Error::Os { errno: libc::EAGAIN | libc::EINTR, .. } => Ok(None),
        Error::Os { errno: libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN, .. } => Err(GONE),
        error => Err(error),
    }
}

fn time_of(ns: u64) -> libc::timeval {
    libc::timeval { tv_sec: (ns / 1_000_000_000) as _, tv_usec: (ns % 1_000_000_000 / 1000) as _ }
}

/// What whoever sends to nobody hears.
pub const GONE: Error = Error::Closed("the other end of the connection is gone");

/// The descriptor that came with a message; `None` if none did, an error if it did not arrive, or others with it.
fn taken(header: &libc::msghdr) -> Option<Result<OwnedFd>> {
    let mut taken = None;
    let mut surplus = false;
    // SAFETY: the kernel filled the control room that the header names, which lives in the caller; each SCM_RIGHTS
    // message holds as many new descriptors as its length says, owned by nobody yet.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_RIGHTS {
                let len = (*message).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                for index in 0..len / size_of::<RawFd>() {
                    let fd = libc::CMSG_DATA(message).cast::<RawFd>().add(index).read_unaligned();
                    surplus |= taken.replace(OwnedFd::from_raw_fd(fd)).is_some();
                }
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    let lost = header.msg_flags & libc::MSG_CTRUNC != 0;
    match taken {
        _ if surplus => Some(Err(Error::Broken("the peer sent several descriptors at once".into()))),
        Some(_) if lost => Some(Err(Error::Broken("the peer sent several descriptors at once".into()))),
        None if lost => Some(Err(Error::Os { call: "recvmsg, a descriptor", errno: libc::EMFILE })),
        Some(fd) => Some(descriptor::above_stdio(fd.into_raw_fd(), "recvmsg")),
        None => None,
    }
}

/// Device and inode of what has a path, without following it.
pub fn identify(path: &[u8]) -> Option<(u64, u64)> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::symlink_metadata(std::ffi::OsStr::from_bytes(path)).ok()?;
    Some((found.dev(), found.ino()))
}

/// Takes a path away.
pub fn unlink(path: &[u8]) {
    use std::os::unix::ffi::OsStrExt;
    let _ = std::fs::remove_file(std::ffi::OsStr::from_bytes(path));
}

/// Bytes that nobody can guess.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: N bytes of ours; up to 256 come whole.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    if got == N as isize { Ok(bytes) } else { Err(Error::last_os("getrandom")) }
}

/// Takes over a descriptor that the caller says is his.
pub fn adopt(fd: RawFd) -> Result<OwnedFd> {
    if fd < 0 || !is_open(fd) {
        return Err(Error::Os { call: "taking a descriptor over", errno: libc::EBADF });
    }
    // SAFETY: open, and the caller's to give away.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether a descriptor is open here.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: plain call.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.raw()
    }
}
