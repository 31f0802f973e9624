//! The environment.

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    fn secure_getenv(name: *const c_char) -> *mut c_char;
}

/// The value of a variable, which is removed. `None` for one that is not set, and in a program that runs with more rights than its
/// caller.
///
/// To be called before the program has threads: they might look at the environment at the same time.
pub fn take(name: &CStr) -> Option<Vec<u8>> {
    // SAFETY: C strings; the value is copied before it goes.
    unsafe {
        let value = secure_getenv(name.as_ptr());
        if value.is_null() {
            return None;
        }
        let copy = CStr::from_ptr(value).to_bytes().to_vec();
        libc::unsetenv(name.as_ptr());
        Some(copy)
    }
}
