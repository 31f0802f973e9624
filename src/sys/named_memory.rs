//! Memory with a name, as shm_open has it, and its mappings.

use super::descriptor::above_stdio;
use crate::error::{Error, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// Where the C library keeps what shm_open makes.
const DIRECTORY: &CStr = c"/dev/shm";

/// Tells an object from any other that may have its name one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: libc::dev_t,
    inode: libc::ino_t,
}

/// Makes an object of `size` zero bytes, all of them reserved, lets `fill` write to it, and gives it the name, which
/// nobody has. Nobody sees it under its name before it is whole.
pub fn create(
    name: &CStr,
    size: usize,
    mode: libc::mode_t,
    fill: &dyn Fn(&View<'_>) -> Result<()>,
) -> Result<(Mapping, Identity)> {
    if identify(name).is_ok() {
        return Err(Error::Os { call: "shm_open", errno: libc::EEXIST });
    }
    let prepare = |file: &OwnedFd| {
        let mapping = Mapping::new(file, size, true)?;
        reserve(file, size)?;
        fill(&mapping.enter().ok_or(Error::Closed("the memory is unmapped"))?)?;
        Ok((mapping, status(file)?.0))
    };
    // SAFETY: a C string; returns a new descriptor or -1.
    let file = unsafe { libc::open(DIRECTORY.as_ptr(), libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC, mode) };
    if let Ok(file) = above_stdio(file, "open(O_TMPFILE)") {
        let made = prepare(&file)?;
        match publish(&file, name) {
            Err(error) if error.os_errno() != libc::EEXIST => (),
            done => return done.map(|()| made),
        }
    }
    // Without O_TMPFILE, or without /proc to link by: the name comes first, and goes again if anything fails.
    // SAFETY: as above.
    let file = unsafe { libc::shm_open(name.as_ptr(), libc::O_CREAT | libc::O_EXCL | libc::O_RDWR, mode) };
    prepare(&above_stdio(file, "shm_open")?).inspect_err(|_| {
        let _ = unlink(name);
    })
}

/// Gives a file that has no name one.
fn publish(file: &OwnedFd, name: &CStr) -> Result<()> {
    let absurd = |_| Error::invalid("a name has a zero byte");
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(absurd)?;
    let to = path(name);
    // SAFETY: C strings.
    let linked =
        unsafe { libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW) };
    if linked == 0 { Ok(()) } else { Err(Error::last_os("linkat")) }
}

fn path(name: &CStr) -> CString {
    let bytes = [DIRECTORY.to_bytes(), b"/", name.to_bytes()].concat();
    CString::new(bytes).unwrap_or_default()
}

/// Maps the whole of the object with that name.
pub fn open(name: &CStr, writable: bool) -> Result<(Mapping, Identity)> {
    let flags = if writable { libc::O_RDWR } else { libc::O_RDONLY };
    // SAFETY: a C string; returns a new descriptor or -1.
    let file = above_stdio(unsafe { libc::shm_open(name.as_ptr(), flags, 0) }, "shm_open")?;
    let (identity, size) = status(&file)?;
    let size = usize::try_from(size).map_err(|_| Error::NoMemory("the address space is too small for the object"))?;
    if size == 0 {
        return Err(Error::Again("the object has no bytes yet: whoever makes it is not done"));
    }
    Ok((Mapping::new(&file, size, writable)?, identity))
}

/// Takes a name away.
pub fn unlink(name: &CStr) -> Result<()> {
    // SAFETY: a C string.
    if unsafe { libc::shm_unlink(name.as_ptr()) } == 0 { Ok(()) } else { Err(Error::last_os("shm_unlink")) }
}

/// What has that name now.
pub fn identify(name: &CStr) -> Result<Identity> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a C string; the kernel writes a whole stat if it says so.
    let stat = unsafe {
        if libc::lstat(path(name).as_ptr(), stat.as_mut_ptr()) != 0 {
            return Err(Error::last_os("lstat"));
        }
        stat.assume_init()
    };
    Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
}

fn status(file: &OwnedFd) -> Result<(Identity, libc::off_t)> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a descriptor of ours; the kernel writes a whole stat if it says so.
    let stat = unsafe {
        if libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) != 0 {
            return Err(Error::last_os("fstat"));
        }
        stat.assume_init()
    };
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Error::invalid("what has that name is no shared memory"));
    }
    Ok((Identity { device: stat.st_dev, inode: stat.st_ino }, stat.st_size))
}

/// Gives a new file its size and all the memory for it: want of it is an error now, and not SIGBUS later.
fn reserve(file: &OwnedFd, size: usize) -> Result<()> {
    possible(size)?;
    // Piece by piece, for a signal undoes the piece at which it comes: with a timer running, a large one is never done.
    let (mut at, mut piece) = (0, 64 << 20);
    while at < size {
        let len = piece.min(size - at);
        // SAFETY: a descriptor of ours.
        let done = unsafe { libc::fallocate(file.as_raw_fd(), 0, at as libc::off_t, len as libc::off_t) };
        let errno = if done == 0 { 0 } else { Error::last_os("fallocate").os_errno() };
        match errno {
            0 => at += len,
            libc::EINTR => piece = (piece / 2).max(1 << 16),
            libc::EOPNOTSUPP => return write_to(file, size),
            libc::ENOSPC => return Err(Error::NoMemory("/dev/shm is full")),
            errno => return Err(Error::Os { call: "fallocate", errno }),
        }
    }
    Ok(())
}

/// The same by the C library, which writes to each page.
fn write_to(file: &OwnedFd, size: usize) -> Result<()> {
    // SAFETY: a descriptor of ours.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, size as libc::off_t) } {
        0 => Ok(()),
        libc::ENOSPC => Err(Error::NoMemory("/dev/shm is full")),
        errno => Err(Error::Os { call: "posix_fallocate", errno }),
    }
}

/// Refuses what would be the end of this process: more than its file size limit is a fatal signal, more than the machine
/// has wakes the kernel's killer.
fn possible(size: usize) -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0;
    if known && limit.rlim_cur != libc::RLIM_INFINITY && size as u64 > limit.rlim_cur {
        return Err(Error::NoMemory("larger than a file may be here (RLIMIT_FSIZE)"));
    }
    let mut machine = std::mem::MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: the kernel writes a whole sysinfo; all bytes zero are one too.
    let machine = unsafe {
        libc::sysinfo(machine.as_mut_ptr());
        machine.assume_init()
    };
    let memory = (machine.totalram as u64 + machine.totalswap as u64).saturating_mul(machine.mem_unit as u64);
    if memory != 0 && size as u64 > memory {
        return Err(Error::NoMemory("more than this machine has"));
    }
    Ok(())
}

/// Eight bytes that nobody can foretell.
pub fn random() -> [u8; 8] {
    let mut bytes = super::clock::now_ns().to_ne_bytes();
    // SAFETY: eight bytes of ours. Where the kernel refuses, the time must do.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    bytes
}

const CLOSED: u64 = 1 << 63;

/// A mapping that can end before its owner does. No lock: after a fork it must work in the child, whatever other
/// threads were at. What they used in the child is then never unmapped there.
pub struct Mapping {
    address: *mut u8,
    len: usize,
    writable: bool,
    /// Closed, and how many use it; who leaves it last after its end unmaps it.
    state: AtomicU64,
}

// SAFETY: the address of a mapping that lives for as long as somebody is in it; all access is by raw copies.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &OwnedFd, len: usize, writable: bool) -> Result<Mapping> {
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // SAFETY: a new mapping of a file of ours.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if address == libc::MAP_FAILED {
            return Err(match Error::last_os("mmap") {
                // Nothing else is wrong with these arguments: so valgrind says that there is no room.
                Error::Os { errno: libc::EINVAL, .. } => {
                    Error::NoMemory("the address space has no room for the object")
                }
                error => error,
            });
        }
        Ok(Mapping { address: address.cast(), len, writable, state: AtomicU64::new(0) })
    }

    /// Where it lies; `None` once it is closed.
    pub fn address(&self) -> Option<*mut u8> {
        (self.state.load(Acquire) & CLOSED == 0).then_some(self.address)
    }

    /// Keeps it mapped for as long as the view lives; `None` once it is closed.
    pub fn enter(&self) -> Option<View<'_>> {
        let mut state = self.state.load(Acquire);
        while state & CLOSED == 0 {
            match self.state.compare_exchange_weak(state, state + 1, AcqRel, Acquire) {
                Ok(_) => return Some(View { mapping: self }),
                Err(now) => state = now,
            }
        }
        None
    }

    /// Unmaps it, once nobody is in it.
    pub fn close(&self) {
        if self.state.fetch_or(CLOSED, AcqRel) == 0 {
            self.unmap();
        }
    }

    fn unmap(&self) {
        // SAFETY: the mapping made in `new`; closed, and nobody is in it: this is called once.
        unsafe { libc::munmap(self.address.cast(), self.len) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.close();
    }
}

/// The bytes of a mapping, for as long as it is not unmapped. Others may write to them at any time.
pub struct View<'a> {
    mapping: &'a Mapping,
}

impl View<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        self.mapping.len
    }

    /// Whether there are none, which is never so.
    pub fn is_empty(&self) -> bool {
        self.mapping.len == 0
    }

    fn at(&self, at: usize, len: usize) -> Option<*mut u8> {
        let end = at.checked_add(len)?;
        (end <= self.mapping.len).then(|| self.mapping.address.wrapping_add(at))
    }

    /// Copies what lies at `at`; false if it is not all inside.
    pub fn read(&self, at: usize, bytes: &mut [u8]) -> bool {
        let Some(from) = self.at(at, bytes.len()) else { return false };
        // SAFETY: inside the mapping, which `self` keeps. Who else writes there is for the users to agree on; a torn
        // copy is the worst that could happen.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    /// Copies `bytes` to `at`; false if they do not fit, or the mapping is for reading.
    pub fn write(&self, at: usize, bytes: &[u8]) -> bool {
        let Some(to) = self.at(at, bytes.len()).filter(|_| self.mapping.writable) else { return false };
        // SAFETY: as `read`, the other way round.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        true
    }

    /// Writes `len` zeros to `at`, as `write`.
    pub fn clear(&self, at: usize, len: usize) -> bool {
        let Some(to) = self.at(at, len).filter(|_| self.mapping.writable) else { return false };
        // SAFETY: as `write`.
        unsafe { std::ptr::write_bytes(to, 0, len) };
        true
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if self.mapping.state.fetch_sub(1, AcqRel) == CLOSED | 1 {
            self.mapping.unmap();
        }
    }
}
