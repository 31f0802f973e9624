//! A descriptor that any process can make readable by its name: a datagram socket with an abstract address that nobody can
//! guess. So a process that polls can be told by others which were born before it asked, and have none of its descriptors.

use super::descriptor::above_stdio;
use super::socket;
use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The descriptor of who is told.
pub struct Doorbell {
    fd: OwnedFd,
    name: u64,
}

/// `\0carom-` and sixteen digits.
const NAME: usize = 7 + 16;

fn address(name: u64) -> (libc::sockaddr_un, libc::socklen_t) {
    // SAFETY: all bytes zero are a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    let digits = (0..16).rev().map(|digit| b"0123456789abcdef"[(name >> (4 * digit)) as usize & 15]);
    for (place, byte) in address.sun_path.iter_mut().zip(b"\0carom-".iter().copied().chain(digits)) {
        *place = byte as libc::c_char;
    }
    (address, (std::mem::offset_of!(libc::sockaddr_un, sun_path) + NAME) as libc::socklen_t)
}

fn datagrams() -> Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: plain call; returns a new descriptor or -1.
    above_stdio(unsafe { libc::socket(libc::AF_UNIX, kind, 0) }, "socket")
}

impl Doorbell {
    /// A new one. Its name is even, and not 0.
    pub fn new() -> Result<Doorbell> {
        let name = u64::from_ne_bytes(socket::random::<8>()?) & !1 | 2;
        let (fd, (address, len)) = (datagrams()?, address(name));
        // SAFETY: the address outlives the call.
        match unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) } {
            0 => Ok(Doorbell { fd, name }),
            _ => Err(Error::last_os("bind")),
        }
    }

    /// By which others ring it.
    pub fn name(&self) -> u64 {
        self.name
    }

    /// The descriptor.
    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Not readable any more, until it is rung again.
    pub fn hush(&self) {
        let mut byte = 0u8;
        // SAFETY: one byte of ours. Empty, it is an error, and the end.
        while unsafe { libc::recv(self.raw(), (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT) } >= 0 {}
    }
}

/// How often, a millisecond apart, the kernel is asked that has no descriptor, or no memory.
const TRIES: u32 = 5;

/// Rings the bell of this name; false if it is gone. Waits for nobody. (It costs a socket each time, for a process that only
/// sends should not need to keep one; whoever is rung takes longer to wake.)
pub fn ring(name: u64) -> bool {
    for _ in 0..TRIES {
        match try_ring(name) {
            Ok(()) => return true,
            Err(Error::Os { errno: libc::ECONNREFUSED, .. }) => return false,
            Err(Error::Os { errno: libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS, .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            // A full one is readable already.
            Err(_) => return true,
        }
    }
    true
}

fn try_ring(name: u64) -> Result<()> {
    let fd = datagrams()?;
    let (address, len) = address(name);
    let byte = 1u8;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: one byte of ours; the address outlives the call.
    let sent =
        unsafe { libc::sendto(fd.as_raw_fd(), (&raw const byte).cast(), 1, flags, (&raw const address).cast(), len) };
    if sent == 1 { Ok(()) } else { Err(Error::last_os("sendto")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor;

    fn is_rung(fd: RawFd) -> bool {
        descriptor::poll_readable(fd, Some(0)).unwrap()
    }

    #[test]
    fn rings_and_is_hushed() {
        let bell = Doorbell::new().unwrap();
        assert!(!is_rung(bell.raw()));
        for _ in 0..1000 {
            assert!(ring(bell.name()));
        }
        assert!(is_rung(bell.raw()));
        bell.hush();
        assert!(!is_rung(bell.raw()));
        let name = bell.name();
        drop(bell);
        assert!(!ring(name));
    }
}
