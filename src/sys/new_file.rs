//! Files that are there whole or not at all, for their owner's eyes only. Allocates nothing, for whoever forked it may not.

use super::descriptor::above_stdio;
use crate::error::{Error, Result};
use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};

/// How a file is opened that may be anything by now: not for ever, should it be a pipe.
pub const READING: i32 = libc::O_NONBLOCK | libc::O_CLOEXEC;

const MODE: libc::mode_t = 0o600;

/// Whether files can be made in a directory.
pub fn check_directory(directory: &CStr) -> Result<()> {
    // SAFETY: a C string; a new descriptor or -1.
    let opened = unsafe { libc::open(directory.as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) };
    above_stdio(opened, "open")?;
    // SAFETY: a C string.
    let allowed = unsafe { libc::access(directory.as_ptr(), libc::W_OK | libc::X_OK) } == 0;
    if allowed { Ok(()) } else { Err(Error::last_os("access")) }
}

/// Makes a file of these parts; fails if there is one at `path`, which is in `directory`. Whoever finds it finds all of it: where
/// the system cannot name a file when it is complete, its first part is written last.
pub fn create(directory: &CStr, path: &CStr, parts: &[&[u8]]) -> Result<()> {
    check_size(parts.iter().map(|part| part.len() as u64).sum())?;
    // SAFETY: a C string; a new descriptor or -1.
    let file = unsafe { libc::open(directory.as_ptr(), libc::O_TMPFILE | libc::O_WRONLY | libc::O_CLOEXEC, MODE) };
    if let Ok(file) = above_stdio(file, "open(O_TMPFILE)") {
        write(&file, parts)?;
        match link(&file, path) {
            Err(error) if error.os_errno() != libc::EEXIST => {}
            done => return done.map_err(taken),
        }
    }
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: as above.
    let file = above_stdio(unsafe { libc::open(path.as_ptr(), flags, MODE) }, "open").map_err(taken)?;
    write(&file, parts).inspect_err(|_| {
        // SAFETY: a C string; the file is the one just made.
        unsafe { libc::unlink(path.as_ptr()) };
    })
}

fn taken(error: Error) -> Error {
    if error.os_errno() == libc::EEXIST { Error::Exists("there is a file of that name") } else { error }
}

/// More than a file may have here would be a fatal signal.
fn check_size(size: u64) -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0;
    if known && limit.rlim_cur != libc::RLIM_INFINITY && size > limit.rlim_cur {
        return Err(Error::NoMemory("larger than a file may be here (RLIMIT_FSIZE)"));
    }
    Ok(())
}

fn write(file: &OwnedFd, parts: &[&[u8]]) -> Result<()> {
    let Some((first, others)) = parts.split_first() else { return Ok(()) };
    let mut at = first.len();
    for part in others {
        write_at(file, part, at)?;
        at += part.len();
    }
    write_at(file, first, 0)
}

fn write_at(file: &OwnedFd, mut bytes: &[u8], mut at: usize) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: bytes and a descriptor of ours.
        let written = unsafe { libc::pwrite(file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), at as libc::off_t) };
        match usize::try_from(written) {
            Ok(0) => return Err(Error::Os { call: "pwrite", errno: libc::EIO }),
            Ok(written) => {
                at += written;
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Err(_) => match Error::last_os("pwrite") {
                Error::Os { errno: libc::EINTR, .. } => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}

fn link(file: &OwnedFd, path: &CStr) -> Result<()> {
    let mut from = [0; 32];
    let absurd = || Error::invalid("a descriptor with more digits than there are");
    write!(&mut from[..], "/proc/self/fd/{}", file.as_raw_fd()).map_err(|_| absurd())?;
    let from = CStr::from_bytes_until_nul(&from).map_err(|_| absurd())?;
    // SAFETY: C strings.
    let linked =
        unsafe { libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_FOLLOW) };
    if linked == 0 { Ok(()) } else { Err(Error::last_os("linkat")) }
}
