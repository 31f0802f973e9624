//! Sealed anonymous memory files and their mappings.

use crate::error::{Error, Result};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Creates a sparse memory file of `size` bytes that nobody can shrink or grow.
fn create(name: &std::ffi::CStr, size: u64) -> Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: `name` is a C string; the call returns a new descriptor or -1.
    let mut fd = unsafe { libc::memfd_create(name.as_ptr(), flags | libc::MFD_NOEXEC_SEAL) };
    if fd < 0 {
        // Kernels before 6.3 do not know MFD_NOEXEC_SEAL.
        // SAFETY: as above.
        fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    }
    if fd < 0 {
        return Err(Error::last_os("memfd_create"));
    }
    // SAFETY: `fd` is new and owned by nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    // SAFETY: plain calls on a descriptor of ours.
    let sized = unsafe { libc::ftruncate(file.as_raw_fd(), size as libc::off_t) };
    if sized != 0 {
        return Err(Error::last_os("ftruncate"));
    }
    // Without seals a faulty process of the family could shrink the file, and every access would be SIGBUS.
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: as above.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(Error::last_os("fcntl(F_ADD_SEALS)"));
    }
    Ok(file)
}

/// A new sealed memory file of `size` bytes, mapped for ever: its address, and the file, for processes that
/// do not inherit the mapping.
pub fn map_for_ever(name: &std::ffi::CStr, size: u64) -> Result<(*mut u8, OwnedFd)> {
    let file = create(name, size)?;
    let address = map(&file, size)?;
    Ok((address, super::descriptor::above_stdio(OwnedFd::from(file).into_raw_fd(), "memfd_create")?))
}

/// Maps for ever what another process of the family made: its address and size. Refused is what could shrink.
pub fn map_again(file: &OwnedFd) -> Result<(*mut u8, u64)> {
    // SAFETY: plain call; what is no memory file is an error.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
        return Err(Error::Broken("what this process was given is not an arena".into()));
    }
    let (size, _) = facts(file.as_raw_fd()).ok_or(Error::last_os("fstat"))?;
    Ok((map(file, size)?, size))
}

/// Size of a file, and what tells it from others.
pub fn facts(file: RawFd) -> Option<(u64, (u64, u64))> {
    // SAFETY: a zeroed stat is a valid one; the call only writes it.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(file, &mut stat) == 0).then_some((stat.st_size as u64, (stat.st_dev, stat.st_ino)))
    }
}

fn map(file: &impl AsRawFd, size: u64) -> Result<*mut u8> {
    let len = usize::try_from(size).map_err(|_| Error::NoMemory("the address space is too small for the arena"))?;
    let map = MmapOptions::new().len(len).no_reserve_swap().map_raw(file.as_raw_fd());
    let map: MmapRaw = map.map_err(|error| match error.raw_os_error() {
        // EINVAL is how valgrind says it.
        None | Some(libc::EINVAL | libc::ENOMEM) => Error::NoMemory("the address space has no room for the arena"),
        Some(errno) => Error::Os { call: "mmap", errno },
    })?;
    let address = map.as_mut_ptr();
    // SAFETY: the range is the mapping just made. A core dump of a worker should not carry the
    // whole arena; a refusal changes nothing else.
    unsafe { libc::madvise(address.cast(), len, libc::MADV_DONTDUMP) };
    std::mem::forget(map);
    Ok(address)
}

/// Gives the pages of a range of a shared mapping back to the system; they read as zero afterwards.
///
/// # Safety
/// The range lies in a shared mapping of this process and nobody uses it.
pub unsafe fn give_back(address: *mut u8, len: usize) {
    // SAFETY: the caller owns the range. A refusal only costs memory.
    unsafe { libc::madvise(address.cast(), len, libc::MADV_REMOVE) };
}

/// Puts zeros in place of the pages from `page` on, and has the kernel do the same in every child that is forked from now on, whoever
/// forks.
///
/// # Safety
/// `len` bytes from `page` on are whole pages of a static, for whose type all bytes zero are valid, that is changed by others only
/// through atomics; nothing else lies in them.
pub unsafe fn wipe_on_fork(page: *mut libc::c_void, len: usize) -> Result<()> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: by contract. Only anonymous memory can be wiped, and what the loader has put there is its own affair: so it is made so.
    if unsafe { libc::mmap(page, len, protection, flags, -1, 0) } == libc::MAP_FAILED {
        return Err(Error::last_os("mmap"));
    }
    // SAFETY: the mapping just made.
    match unsafe { libc::madvise(page, len, libc::MADV_WIPEONFORK) } {
        0 => Ok(()),
        _ => Err(Error::last_os("madvise(MADV_WIPEONFORK)")),
    }
}

/// Bytes of a page of memory.
pub fn page_size() -> usize {
    // SAFETY: plain call.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// How large an arena this process may reserve: less than a quarter of its address space limit, and
/// within its file size limit, which for a memory file too would be a fatal signal.
pub fn reservable(wanted: u64) -> u64 {
    let mut size = wanted;
    for (resource, part) in [(libc::RLIMIT_AS, 4), (libc::RLIMIT_FSIZE, 1)] {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is ours.
        let known = unsafe { libc::getrlimit(resource, &mut limit) } == 0;
        if known && limit.rlim_cur != libc::RLIM_INFINITY {
            size = size.min(limit.rlim_cur / part);
        }
    }
    size & !0xffff
}
