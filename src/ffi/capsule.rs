//! Capsules: tasks that died, saved to be run once more.

use super::boundary::{self, write};
use super::handle::{self, Kind, Object, Use};
use super::library::carom_status;
use super::options::{self, Sized_};
use super::pool::{carom_pool, pool_of};
use super::pool_options::{carom_task_options, task_options};
use super::result::{self, carom_result};
use crate::capsule::{Capsule, HAS_INIT};
use crate::error::{Error, Result};
use crate::family;
use crate::shm::plan::UNKNOWN_EXIT;
use std::ffi::c_char;

/// A task that died, read from a file. Opaque. Needs no family: works in every process.
#[allow(non_camel_case_types)]
pub struct carom_capsule {
    _opaque: [u8; 0],
}

/// The function is in the program itself, not in a shared library: only that program can run it.
pub const CAROM_CAPSULE_IN_PROGRAM: u32 = 1;
/// The program calls `carom_init`, so it can be run for this task alone: see `carom_capsule_open`.
pub const CAROM_CAPSULE_HAS_INIT: u32 = 2;
/// Among the arguments is a handle or a descriptor, which is gone with its program: the task cannot be run.
pub const CAROM_CAPSULE_HAS_HANDLES: u32 = 4;

/// What a capsule holds. All pointers are valid until it is freed, and never NULL.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_capsule_description {
    /// sizeof(carom_capsule_description), set by the caller.
    pub size: usize,
    /// `CAROM_CAPSULE_…`, added.
    pub flags: u32,
    /// The worker that died.
    pub pid: i32,
    /// The signal that ended it, 0 for none.
    pub signal: i32,
    /// With what it left, if it did; -1 if nobody can tell how it ended.
    pub exitcode: i32,
    /// Index of the item, 0 for a task of its own.
    pub item: u64,
    /// The function: its registered name, or module and offset.
    pub function: *const c_char,
    /// The program.
    pub program: *const c_char,
    /// Its working directory.
    pub directory: *const c_char,
    /// Its environment, `NAME=value`, ended by NULL, as execve wants it.
    pub environment: *const *const c_char,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_capsule_description {
    const LEAST: usize = 24;
}

/// A capsule, and its environment as C reads it.
struct Opened {
    capsule: Capsule,
    environment: Vec<*const c_char>,
}

// SAFETY: the pointers are to strings of the capsule beside them, which nobody changes.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

impl Object for Opened {
    const KIND: Kind = Kind::Capsule;
}

fn capsule_of(capsule: *const carom_capsule) -> Result<Use<Opened>> {
    handle::object(capsule.cast_mut())
}

/// Reads the capsule in a file, such as `verdict.capsule` names. The library's program `carom-replay FILE` does all of this, and prints the verdict; `carom-replay
/// --gdb FILE` and `--valgrind` run the task under those.
///
/// A function of a shared library can be run anywhere: the library is loaded, and must be the same build. One of a program only there, so the program is started
/// with `CAROM_REPLAY=FILE` in its environment: its `carom_init` runs the task in a worker, prints the verdict and ends the program, with 0 if the task succeeded, 1 if
/// not, 2 if it could not be run. With `CAROM_REPLAY_HERE=1` too it runs it in the calling thread. What the program does before `carom_init` happens, what it does
/// behind that does not. A closure made at run time cannot be run again, nor can a task with a handle or a descriptor among its arguments. A capsule says what is
/// run, and with which environment: run only those that you trust.
///
/// May block as reading a file does. The errno of `open`; `CAROM_EBROKEN` for what is no capsule, or damaged; `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_capsule_open(path: *const c_char, capsule: *mut *mut carom_capsule) -> carom_status {
    boundary::create(capsule, || {
        let path = boundary::path(path).ok_or(Error::invalid("the path of a capsule is NULL"))?;
        let capsule = Capsule::open(path)?;
        let strings = capsule.environment.iter().map(|string| string.as_ptr());
        let environment = strings.chain([std::ptr::null()]).collect();
        handle::of_forkable_object(Opened { capsule, environment })
    })
}

/// What it holds. Set `info->size` first.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_capsule_info(
    capsule: *const carom_capsule,
    info: *mut carom_capsule_description,
) -> carom_status {
    boundary::status(|| {
        let opened = capsule_of(capsule)?;
        let Opened { capsule, environment } = &*opened;
        let exit = capsule.facts.exit as i32;
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let shown = carom_capsule_description {
            size: 0,
            flags: flag(capsule.is_in_program(), CAROM_CAPSULE_IN_PROGRAM)
                | flag(capsule.facts.flags & HAS_INIT != 0, CAROM_CAPSULE_HAS_INIT)
                | flag(capsule.has_handles(), CAROM_CAPSULE_HAS_HANDLES),
            pid: capsule.facts.pid as i32,
            signal: if exit == UNKNOWN_EXIT { 0 } else { exit.min(0).saturating_neg() },
            exitcode: if exit == UNKNOWN_EXIT { -1 } else { exit.max(0) },
            item: capsule.facts.item,
            function: capsule.function.as_ptr(),
            program: capsule.program.as_ptr(),
            directory: capsule.directory.as_ptr(),
            environment: environment.as_ptr(),
        };
        options::write(info, shown)
    })
}

/// Runs the task in this thread, and nowhere else: if it crashes, so does this process. `*code` is what its function returned. For debuggers, and for a test of
/// what once crashed.
///
/// Blocks as long as the task does. `CAROM_ENOTSUP` for a task with handles among its arguments, `CAROM_EFUNCTION` if the function is not here, or of another build.
#[unsafe(no_mangle)]
pub extern "C" fn carom_capsule_apply(capsule: *const carom_capsule, code: *mut i32) -> carom_status {
    boundary::status(|| {
        boundary::check(code)?;
        write(code, capsule_of(capsule)?.capsule.run()?.code)
    })
}

/// Submits the task to a pool, as `carom_pool_apply_async`; also what was an item of a map.
///
/// Never blocks on a worker. `CAROM_ENOTSUP` and `CAROM_EFUNCTION` as `carom_capsule_apply`, else as `carom_pool_apply_async`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_capsule_apply_async(
    capsule: *const carom_capsule,
    pool: *mut carom_pool,
    options: *const carom_task_options,
    result: *mut *mut carom_result,
) -> carom_status {
    boundary::create(result, || {
        let (capsule, pool) = (capsule_of(capsule)?, pool_of(pool, "carom_capsule_apply_async")?);
        let (_, options) = task_options(options)?;
        let (function, arguments) = capsule.capsule.task()?;
        result::make(pool.pool.apply_async(function, (&*arguments).into(), options)?)
    })
}

/// Ends this handle. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_capsule_free(capsule: *mut carom_capsule) {
    handle::free_object::<Opened, _>(capsule, family::current().ok().map(|family| family.me));
}
