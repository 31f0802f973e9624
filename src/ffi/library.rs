//! Versions, errors, the log, and the moments in a program's life that concern all of it.

use super::options::{self, Sized_};
use super::{boundary, replay};
use crate::error::{Error, STATUSES};
use crate::log::{self, Level};
use crate::start::{child, executable};
use crate::sys::sink;
use crate::{capsule, family, process};
use std::ffi::{CStr, c_char, c_int, c_void};

/// What every fallible function returns: `CAROM_OK`, a negated errno (-1…-4095), or one of carom's own below -5000.
#[allow(non_camel_case_types)]
pub type carom_status = i32;

/// A timeout that never passes.
pub const CAROM_FOREVER: i32 = -1;
/// "Without", in an options struct where 0 means the default.
pub const CAROM_NONE: i32 = -1;

/// Detail of an error, see `carom_last_error`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_error {
    /// sizeof(carom_error), set by the caller.
    pub size: usize,
    /// The status that the call returned.
    pub status: carom_status,
    /// The errno behind it, 0 where there is none.
    pub os_errno: i32,
    /// What was wrong, in English; never NULL. Valid until the next failing call of this thread.
    pub message: *const c_char,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_error {
    const LEAST: usize = 24;
}

/// Version of the library in use, "major.minor.patch". Static; compare it with `CAROM_VERSION` to detect a header of another version.
#[unsafe(no_mangle)]
pub extern "C" fn carom_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// To be called first in `main`, before any other thread is made: children of start methods other than fork begin here, and never return. Nor does it
/// where the program was started to run one task again, with `CAROM_REPLAY` in its environment: see `carom_capsule_open`.
/// argc and argv are what the new program of such a child is called with; they may be 0 and NULL. May be called again. A library, or an interpreter's module, does not
/// call it: its host begins otherwise, see `carom_set_executable`.
///
/// Returns `CAROM_OK`, or `CAROM_EINVAL` for a negative argc.
#[unsafe(no_mangle)]
pub extern "C" fn carom_init(argc: c_int, argv: *mut *mut c_char) -> carom_status {
    boundary::status(|| {
        let count = usize::try_from(argc).map_err(|_| Error::invalid("argc is negative"))?;
        executable::begins(boundary::c_texts(argv.cast_const().cast(), Some(count))?);
        child::begin();
        capsule::note_init();
        replay::run_if_asked();
        Ok(())
    })
}

/// A clean end: terminates the daemonic children of this process (SIGTERM), then joins the others, and calls what `carom_exit_register` was told. Pools and managers are ended by their own functions.
/// What is not ended so ends with the program, whichever way that ends.
///
/// Blocks up to `timeout_ms`; `CAROM_ETIMEDOUT` if a child still runs then.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shutdown(timeout_ms: i64) -> carom_status {
    boundary::status(|| process::finish(crate::sys::clock::deadline_after_ms(timeout_ms)))
}

/// Makes a process that was forked without carom a member of the family: until then every call in it returns `CAROM_EFORKED`.
/// Nothing to do, and `CAROM_OK`, in a process that is one. `CAROM_ENOTSUP` where the system has no pidfd_open.
#[unsafe(no_mangle)]
pub extern "C" fn carom_attach() -> carom_status {
    boundary::status(family::attach)
}

/// Detail of the last error of the calling thread; of success if there was none.
///
/// `CAROM_EINVAL` if `error` is NULL or its size is not set.
#[unsafe(no_mangle)]
pub extern "C" fn carom_last_error(error: *mut carom_error) -> carom_status {
    boundary::status(|| {
        let last = boundary::last(|last| carom_error {
            size: 0,
            status: last.status,
            os_errno: last.os_errno,
            message: last.message(),
        });
        options::write(error, last)
    })
}

/// The message of the last error of the calling thread, "" if there was none; never NULL. Valid until the next failing call of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn carom_error_message() -> *const c_char {
    boundary::last(|last| last.message())
}

/// Name of a status, as "CAROM_ETIMEDOUT"; "unknown status" for what is none. Never NULL, static, async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn carom_status_name(status: carom_status) -> *const c_char {
    STATUSES.iter().find(|known| known.1 == status).map_or(c"unknown status", |known| known.0).as_ptr()
}

/// What a status means, in a few words of English. Never NULL, static, async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn carom_status_message(status: carom_status) -> *const c_char {
    STATUSES.iter().find(|known| known.1 == status).map_or(c"unknown status", |known| known.2).as_ptr()
}

/// Nothing is said.
pub const CAROM_LOG_OFF: u32 = 0;
/// What carom could not do, and no status tells.
pub const CAROM_LOG_ERROR: u32 = 1;
/// What is not as it should be, and was put right.
pub const CAROM_LOG_WARNING: u32 = 2;
/// Births, deaths, repairs.
pub const CAROM_LOG_INFO: u32 = 3;
/// Everything.
pub const CAROM_LOG_DEBUG: u32 = 4;

/// Gets a line of the log. `message` is borrowed until it returns. Called on whatever thread has something to say, with no lock held; lines of its own calls
/// of carom are dropped. Keepers, workers and other children of the process do not have it: their lines go to stderr.
#[allow(non_camel_case_types)]
pub type carom_log_callback = Option<unsafe extern "C" fn(level: u32, message: *const c_char, ctx: *mut c_void)>;

/// Lines of the log up to `level` go to `callback` from now on; NULL: to stderr. Without this call the environment variable
/// `CAROM_LOG=error|warning|info|debug` decides, and nothing is said if it is not set.
///
/// Never blocks. `CAROM_EINVAL` for an unknown level.
#[unsafe(no_mangle)]
pub extern "C" fn carom_log_set(callback: carom_log_callback, ctx: *mut c_void, level: u32) -> carom_status {
    boundary::status(|| {
        let level = match level {
            CAROM_LOG_OFF => Level::Off,
            CAROM_LOG_ERROR => Level::Error,
            CAROM_LOG_WARNING => Level::Warning,
            CAROM_LOG_INFO => Level::Info,
            CAROM_LOG_DEBUG => Level::Debug,
            _ => return Err(Error::invalid("there is no such level of the log")),
        };
        sink::set(callback, ctx);
        log::set_level(level);
        Ok(())
    })
}

/// How many processors this process may use: its affinity, and its cgroup's quota in whole processors; at least 1.
#[unsafe(no_mangle)]
pub extern "C" fn carom_cpu_count() -> i32 {
    crate::sys::limits::processors().min(i32::MAX as usize) as i32
}
