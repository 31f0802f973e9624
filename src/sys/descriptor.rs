//! Descriptors: event counters, epoll, closing what is not ours.

use super::raw;
use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;

/// A descriptor in a static, none to begin with: all zero then, so it takes no room in the library and no page before it
/// is used.
pub struct Kept {
    /// The descriptor, and one more.
    number: AtomicI32,
}

impl Kept {
    /// None.
    pub const fn none() -> Kept {
        Kept { number: AtomicI32::new(0) }
    }

    /// The descriptor, -1 for none.
    #[inline]
    pub fn get(&self) -> RawFd {
        self.number.load(Relaxed) - 1
    }

    /// From now on it is this one; -1 for none.
    pub fn set(&self, fd: RawFd) {
        self.number.store(fd + 1, Relaxed);
    }

    /// The descriptor, which is not kept any more.
    pub fn take(&self) -> RawFd {
        self.number.swap(0, Relaxed) - 1
    }
}

/// A new eventfd, never 0, 1 or 2 and closed by exec.
pub fn event_counter() -> Result<OwnedFd> {
    // SAFETY: plain call; returns a new descriptor or -1.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    above_stdio(fd, "eventfd")
}

/// Takes ownership of a new descriptor, moved out of the way of the standard streams: a host with
/// closed streams must not find ours there.
pub fn above_stdio(fd: RawFd, call: &'static str) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Error::last_os(call));
    }
    // SAFETY: `fd` is new and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    // SAFETY: plain call on a descriptor of ours.
    let moved = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    if moved < 0 {
        return Err(Error::last_os("fcntl(F_DUPFD_CLOEXEC)"));
    }
    // SAFETY: `moved` is new and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

/// Writes all of it to somebody's descriptor.
pub fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: `bytes` is ours; a bad descriptor is an error.
        let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(0) => return Err(Error::Os { call: "write", errno: libc::EIO }),
            Ok(written) => bytes = &bytes[written.min(bytes.len())..],
            Err(_) => match Error::last_os("write") {
                Error::Os { errno: libc::EINTR, .. } => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}

/// Whether there is such a descriptor.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: plain call.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// In a child: makes `number` a duplicate of `fd`, another number, which programs that are executed have too.
#[inline(always)]
pub fn place(fd: RawFd, number: RawFd) {
    // SAFETY: plain call on descriptors of this process, which has no others' code in it yet.
    unsafe { raw::syscall(libc::SYS_dup3, fd as usize, number as usize, 0, 0) };
}

/// Adds one to an eventfd. Never blocks; async-signal-safe.
pub fn ring(fd: RawFd) {
    let one = 1u64;
    // SAFETY: eight bytes of ours. A full counter is readable already, which is all that matters.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}

/// Empties an eventfd.
pub fn hush(fd: RawFd) {
    let mut count = 0u64;
    // SAFETY: eight bytes of ours. Empty is what was wanted.
    unsafe { libc::read(fd, (&raw mut count).cast(), 8) };
}

/// Closes every descriptor from 3 up that is not in `keep`, which is sorted.
pub fn close_all_but(keep: &[RawFd]) {
    let mut from = 3u32;
    for fd in keep.iter().filter(|fd| **fd >= 3).map(|fd| *fd as u32) {
        if from < fd {
            close_range(from, fd - 1);
        }
        from = fd + 1;
    }
    close_range(from, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: called in our own keeper processes only, where no descriptor of anybody else is needed.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // Before Linux 5.9 one by one: those that /proc names, else as far as there can be any.
    if close_named(first, last).is_none() {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is ours; closing a descriptor that is not open does nothing. The hard limit, since those
        // open now may lie above a soft one that was lowered later.
        unsafe {
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
            for fd in first..=last.min(limit.rlim_max.min(1 << 20) as u32) {
                libc::close(fd as RawFd);
            }
        }
    }
}

/// The same by the kernel's list of what is open, whatever the limits say. `None` where there is no such list.
/// Allocates nothing, as opendir would.
fn close_named(first: u32, last: u32) -> Option<()> {
    // struct linux_dirent64: 19 bytes and the name, ended by a zero byte; its length is in the two bytes at 16.
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    let mut entries = [0u8; 1024];
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string; a new descriptor or -1.
    let list = unsafe { libc::open(c"/proc/self/fd".as_ptr(), flags) };
    if list < 0 {
        return None;
    }
    let mut complete = None;
    loop {
        // SAFETY: the kernel writes no more than the length of `entries`.
        let len = unsafe { libc::syscall(libc::SYS_getdents64, list, entries.as_mut_ptr(), entries.len()) };
        if len == 0 {
            complete = Some(());
        }
        let Some(mut rest) = usize::try_from(len).ok().filter(|len| *len > 0).and_then(|len| entries.get(..len)) else {
            break;
        };
        while let Some(&[low, high]) = rest.get(LENGTH_AT..LENGTH_AT + 2) {
            let (entry, others) = rest.split_at(rest.len().min(u16::from_ne_bytes([low, high]).max(1) as usize));
            rest = others;
            // A number, or one of the two names of dots.
            let name = entry.get(NAME_AT..).unwrap_or_default();
            let digits = name.iter().take_while(|byte| byte.is_ascii_digit());
            let fd = digits.fold(0u32, |fd, digit| fd.wrapping_mul(10).wrapping_add((digit - b'0') as u32));
            if name.first().is_some_and(u8::is_ascii_digit) && (first..=last).contains(&fd) && fd != list as u32 {
                // The list goes by number, so what is closed disturbs nothing behind it.
                // SAFETY: as in `close_range`.
                unsafe { libc::close(fd as RawFd) };
            }
        }
    }
    // SAFETY: `list` is ours.
    unsafe { libc::close(list) };
    complete
}

/// In a child: makes standard input read nothing, unless it does so already.
#[inline(always)]
pub fn stdin_from_null() {
    // On the stack, since a page of constants costs a child a fault.
    let path = *b"/dev/null\0";
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: plain calls; the kernel writes a whole stat if it says so; `null` is ours.
    unsafe {
        let known = raw::syscall(libc::SYS_fstat, 0, stat.as_mut_ptr() as usize, 0, 0) == 0;
        if known && stat.assume_init_ref().st_rdev == libc::makedev(1, 3) {
            return;
        }
        let flags = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
        let null = raw::syscall(libc::SYS_openat, libc::AT_FDCWD as usize, path.as_ptr() as usize, flags, 0);
        if null > 0 {
            raw::syscall(libc::SYS_dup3, null as usize, 0, 0, 0);
            raw::syscall(libc::SYS_close, null as usize, 0, 0, 0);
        } else if null == 0 {
            // It was closed, and is what was opened. What is executed later has it too.
            raw::syscall(libc::SYS_fcntl, 0, libc::F_SETFD as usize, 0, 0);
        }
    }
}

/// Makes standard streams read nothing and swallow everything. What is executed later has them too.
#[cold]
pub fn streams_from_null(streams: &[RawFd]) {
    // SAFETY: plain calls; `null` is ours, and closed unless it became one of the streams itself.
    unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for stream in streams.iter().filter(|stream| null >= 0 && **stream != null) {
            libc::dup2(null, *stream);
        }
        if streams.contains(&null) {
            libc::fcntl(null, libc::F_SETFD, 0);
        } else if null >= 0 {
            libc::close(null);
        }
    }
}

/// Waits until `fd` is readable or the deadline passes; true if it is readable.
pub fn poll_readable(fd: RawFd, deadline: super::futex::Deadline) -> Result<bool> {
    poll_one(fd, true, false, deadline)
}

/// Waits until `fd` is readable, or writable, or the deadline passes; false if it passed.
pub fn poll_one(fd: RawFd, readable: bool, writable: bool, deadline: super::futex::Deadline) -> Result<bool> {
    let events = if readable { libc::POLLIN } else { 0 } | if writable { libc::POLLOUT } else { 0 };
    Ok(poll(&mut [libc::pollfd { fd, events, revents: 0 }], deadline)? > 0)
}

/// The same for one of two.
pub fn poll_either(fds: [RawFd; 2], deadline: super::futex::Deadline) -> Result<bool> {
    let mut items = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    Ok(poll(&mut items, deadline)? > 0)
}

/// Waits until one of the descriptors is ready or the deadline passes; how many are.
fn poll(items: &mut [libc::pollfd], deadline: super::futex::Deadline) -> Result<usize> {
    let left = deadline.map(|deadline| super::clock::timespec(deadline.saturating_sub(super::clock::now_ns())));
    let left = left.as_ref().map_or(std::ptr::null(), |left| left as *const libc::timespec);
    // SAFETY: `items` and `left` outlive the call.
    let ready = unsafe { libc::ppoll(items.as_mut_ptr(), items.len() as libc::nfds_t, left, std::ptr::null()) };
    usize::try_from(ready).map_err(|_| match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EINTR) => Error::Interrupted,
        _ => Error::last_os("ppoll"),
    })
}

/// A descriptor that is waited for, and what was found.
#[repr(transparent)]
pub struct Polled(libc::pollfd);

impl Polled {
    /// To be waited for until it is readable, or writable. Not a negative one, which the kernel would pass over.
    pub fn new(fd: RawFd, writable: bool) -> Result<Polled> {
        if fd < 0 {
            return Err(NOT_OPEN);
        }
        Ok(Polled(libc::pollfd { fd, events: libc::POLLIN | if writable { libc::POLLOUT } else { 0 }, revents: 0 }))
    }

    /// Whether anything was found.
    pub fn is_ready(&self) -> bool {
        self.0.revents != 0
    }

    /// An error for what was not open.
    pub fn check(&self) -> Result<()> {
        if self.0.revents & libc::POLLNVAL == 0 { Ok(()) } else { Err(NOT_OPEN) }
    }
}

const NOT_OPEN: Error = Error::Os { call: "poll", errno: libc::EBADF };

/// Waits until one of the descriptors is ready or the deadline passes; how many are.
pub fn poll_all(items: &mut [Polled], deadline: super::futex::Deadline) -> Result<usize> {
    // SAFETY: `Polled` is a transparent wrapper of a pollfd.
    poll(unsafe { &mut *(items as *mut [Polled] as *mut [libc::pollfd]) }, deadline)
}

/// Makes an epoll instance report `fd` as `key` while it is readable.
pub fn add_readable(poll: RawFd, fd: RawFd, key: u64) -> Result<()> {
    add(poll, fd, key, libc::EPOLLIN)
}

/// Likewise while `fd` takes bytes without waiting; refused for what always does, such as a file.
pub fn add_writable(poll: RawFd, fd: RawFd, key: u64) -> Result<()> {
    add(poll, fd, key, libc::EPOLLOUT)
}

fn add(poll: RawFd, fd: RawFd, key: u64, events: libc::c_int) -> Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: key };
    // SAFETY: `event` outlives the call.
    match unsafe { libc::epoll_ctl(poll, libc::EPOLL_CTL_ADD, fd, &mut event) } {
        0 => Ok(()),
        _ => Err(Error::last_os("epoll_ctl")),
    }
}

/// Makes an epoll instance forget `fd`. Closing it would not do while a forked child has a copy.
pub fn remove(poll: RawFd, fd: RawFd) {
    // SAFETY: plain call.
    unsafe { libc::epoll_ctl(poll, libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
}

/// An epoll instance.
pub struct Poll {
    fd: OwnedFd,
}

impl Poll {
    /// A new instance.
    pub fn new() -> Result<Poll> {
        // SAFETY: plain call; returns a new descriptor or -1.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        Ok(Poll { fd: above_stdio(fd, "epoll_create1")? })
    }

    /// Reports `fd` as `key` while it is readable.
    pub fn add(&self, fd: RawFd, key: u64) -> Result<()> {
        add_readable(self.fd.as_raw_fd(), fd, key)
    }

    /// Reports `fd` while it takes bytes without waiting, and not while it is readable; or the other way round again.
    pub fn turn(&self, fd: RawFd, key: u64, writable: bool) -> Result<()> {
        let events = if writable { libc::EPOLLOUT } else { libc::EPOLLIN };
        let mut event = libc::epoll_event { events: events as u32, u64: key };
        // SAFETY: `event` outlives the call.
        match unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_MOD, fd, &mut event) } {
            0 => Ok(()),
            _ => Err(Error::last_os("epoll_ctl")),
        }
    }

    /// The descriptor, for [`add_readable`].
    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Waits up to `timeout_ns` (`None`: for ever) and fills `keys` with what is readable.
    pub fn wait(&self, keys: &mut [u64; 64], timeout_ns: Option<u64>) -> usize {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // Rounded up: a wake-up before the instant would only lead to another wait.
        let timeout = timeout_ns.map_or(-1, |ns| ns.div_ceil(1_000_000).min(i32::MAX as u64) as i32);
        // SAFETY: `events` has room for 64.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), 64, timeout) };
        let count = usize::try_from(count).unwrap_or(0);
        for (key, event) in keys.iter_mut().zip(&events[..count]) {
            *key = event.u64;
        }
        count
    }
}

/// Closes a descriptor of ours.
#[inline(always)]
pub fn close(fd: RawFd) {
    // SAFETY: the caller owns `fd` and uses it no more.
    unsafe { raw::syscall(libc::SYS_close, fd as usize, 0, 0, 0) };
}
