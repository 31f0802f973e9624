//! Memory with a name, for programs that share nothing but the name: others of the user's, Python's
//! multiprocessing.shared_memory, the same program tomorrow. It is in no family, and works in every process; a child of
//! whatever fork has it too. To a pool's task pass its name. Within a family, values and arrays are cheaper, have
//! locks, and go when nobody needs them; a name stays until it is unlinked, whoever dies. (But Python before 3.13
//! unlinks, when it ends, whatever it had attached to; since then with track=False it does not.)

use super::boundary;
use super::handle::{self, Kind, Object};
use super::library::carom_status;
use super::options::{self, Sized_};
use crate::error::{Error, Result};
use crate::shared_memory::{self, SharedMemory};
use std::ffi::{CStr, c_char, c_void};

/// Memory with a name. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_shared_memory {
    _opaque: [u8; 0],
}

/// Options of memory with a name.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_shared_memory_options {
    /// sizeof(carom_shared_memory_options)
    pub size: usize,
    /// Who may use what is made, as for open(2), less the umask. 0: 0600, the user alone.
    pub mode: u32,
    /// Not 0: what is opened is mapped for reading only; to write there is SIGSEGV.
    pub read_only: u32,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_shared_memory_options {
    const LEAST: usize = 16;
}

impl Object for SharedMemory {
    const KIND: Kind = Kind::SharedMemory;
}

fn memory_of(memory: *mut carom_shared_memory) -> Result<handle::Use<SharedMemory>> {
    handle::object(memory)
}

/// A name that must be there.
pub(super) fn name<'a>(name: *const c_char) -> Result<&'a str> {
    boundary::text(name)?.ok_or(Error::invalid("the name is NULL"))
}

/// The name of an object that is in use; "" if there is none. It lives as long as the handle.
pub(super) fn shown(name: Result<*const CStr>) -> *const c_char {
    name.map_or_else(
        |error| {
            boundary::fail(&error);
            c"".as_ptr()
        },
        |name| name.cast(),
    )
}

/// Makes `size` zero bytes under `name`, which nothing may have yet. A slash may stand before it. NULL: under a name made up, see `carom_shared_memory_name`.
/// Options may be NULL. Others see it under its name once it is whole; all of it is reserved, so that want of memory is a status now and not SIGBUS later.
///
/// The name stays, with the memory, until somebody unlinks it: also when this process dies. The handle costs no descriptor.
///
/// Never blocks but for the kernel to find the memory. `CAROM_EEXIST`: the name is taken, and what has it is as it was. `CAROM_EINVAL` for a size of 0, or a
/// name that is empty, has another slash or is not UTF-8; -ENAMETOOLONG for one of more than 255 bytes. `CAROM_ENOMEM` if /dev/shm, the machine or this process's
/// limits (address space, file size) have no room for it. Or the errno of shm_open.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_new(
    name: *const c_char,
    size: usize,
    options: *const carom_shared_memory_options,
    memory: *mut *mut carom_shared_memory,
) -> carom_status {
    boundary::create(memory, || {
        let options = options::read(options)?;
        if options.read_only != 0 {
            return Err(Error::invalid("memory that nobody can write is of no use"));
        }
        let mode = if options.mode == 0 { 0o600 } else { options.mode };
        let made = SharedMemory::create(boundary::text(name)?, size, mode, &|_| Ok(()))?;
        let name = made.name().to_owned();
        handle::of_forkable_object(made).inspect_err(|_| {
            let _ = name.to_str().map(shared_memory::unlink);
        })
    })
}

/// Maps the memory that has this name, all of it, whoever made it. Options may be NULL.
///
/// Never blocks. `CAROM_ENOENT` if there is none; `CAROM_EAGAIN` if it has no bytes yet, since another library is about to make it; `CAROM_EINVAL` as
/// `carom_shared_memory_new`, and for a `mode`; `CAROM_ENOMEM` if the address space has no room. Or the errno of shm_open: -EACCES if it is another user's.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_open(
    name: *const c_char,
    options: *const carom_shared_memory_options,
    memory: *mut *mut carom_shared_memory,
) -> carom_status {
    boundary::create(memory, || {
        let options = options::read(options)?;
        if options.mode != 0 {
            return Err(Error::invalid("what is opened has its mode already"));
        }
        handle::of_forkable_object(SharedMemory::open(self::name(name)?, options.read_only == 0)?)
    })
}

/// Where it lies in this process, at the beginning of a page; valid until it is closed or freed here. NULL for a bad handle, or if it is closed.
///
/// Never blocks. Nothing guards what is there. Whoever may write to it may also cut it off: an access behind its end is SIGBUS then.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_data(memory: *mut carom_shared_memory) -> *mut c_void {
    boundary::pointer(|| Ok(memory_of(memory)?.data()?.cast()))
}

/// How many bytes: as many as it was made with, or as the object had when it was opened. Or `CAROM_EBADHANDLE`, `CAROM_ECLOSED`.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_size(memory: *mut carom_shared_memory) -> i64 {
    boundary::answer(|| Ok(memory_of(memory)?.view()?.len() as i64))
}

/// Its name, without a slash, as Python's SharedMemory takes it; "" for a bad handle, never NULL. Valid until the handle is freed.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_name(memory: *mut carom_shared_memory) -> *const c_char {
    shown(memory_of(memory).map(|memory| memory.name() as *const CStr))
}

/// Unmaps it in this process; its address is good for nothing from now on. The name, the memory and the handle stay, but data and size are `CAROM_ECLOSED`.
/// What is closed already stays so.
///
/// Never blocks. `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_close(memory: *mut carom_shared_memory) -> carom_status {
    boundary::status(|| {
        memory_of(memory)?.close();
        Ok(())
    })
}

/// Takes its name away, also if it is closed. Whoever has it mapped keeps it; it goes with the last.
///
/// Never blocks. `CAROM_ENOENT` if the name is gone, or another object's by now.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_unlink(memory: *mut carom_shared_memory) -> carom_status {
    boundary::status(|| memory_of(memory)?.unlink())
}

/// Takes the name of whatever memory has it away: what a process left that died.
///
/// Never blocks. `CAROM_ENOENT` if there is none; else as `carom_shared_memory_open`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_unlink_name(name: *const c_char) -> carom_status {
    boundary::status(|| shared_memory::unlink(self::name(name)?))
}

/// Ends this handle and unmaps the memory here; the name stays. NULL is nothing.
///
/// Never blocks; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shared_memory_free(memory: *mut carom_shared_memory) {
    handle::free_object::<SharedMemory, _>(memory, None);
}
