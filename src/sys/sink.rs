//! Where a line of the log goes: the host's callback, or standard error. No locks, no allocation,
//! and errno stays, because a line can come from anywhere in a call.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// What a host sets to get the lines itself. It must not unwind. The message is borrowed.
pub type Callback = unsafe extern "C" fn(level: u32, message: *const c_char, ctx: *mut c_void);

struct Sink {
    callback: Callback,
    ctx: *mut c_void,
    /// The callback is of this process: a forked child has not the interpreter that it may belong to.
    process: u32,
}

/// Written by [`set`], with sinks that are never freed: a thread may be in a callback at any time, and
/// a host sets few.
static SINK: AtomicPtr<Sink> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// A callback that calls carom again gets no line about that, or it would never end.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// From now on lines of this process go to `callback`; `None`: to standard error again.
pub fn set(callback: Option<Callback>, ctx: *mut c_void) {
    let sink = match callback {
        Some(callback) => Box::into_raw(Box::new(Sink { callback, ctx, process: process_id() })),
        None => std::ptr::null_mut(),
    };
    SINK.store(sink, Ordering::Release);
}

/// The kernel's id of this process.
pub fn process_id() -> u32 {
    std::process::id()
}

/// Hands the message to the host's callback; false if there is none in this process.
pub fn call(level: u32, message: &CStr) -> bool {
    // SAFETY: a sink that was published is whole (release, acquire) and lives for ever.
    let Some(sink) = (unsafe { SINK.load(Ordering::Acquire).as_ref() }) else { return false };
    if sink.process != process_id() {
        return false;
    }
    if INSIDE.replace(true) {
        return true;
    }
    // SAFETY: the host promised with `set` that the callback may be called with this ctx on any
    // thread of the process that set it, until it sets another; the message outlives the call.
    keeping_errno(|| unsafe { (sink.callback)(level, message.as_ptr(), sink.ctx) });
    INSIDE.set(false);
    true
}

/// Writes a line to standard error with one call of the kernel, so that lines of several processes
/// do not mix. What standard error does not take is lost.
pub fn write_stderr(line: &[u8]) {
    keeping_errno(|| {
        loop {
            // SAFETY: `line` is `line.len()` readable bytes.
            let written = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
            let interrupted = std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
            if written >= 0 || !interrupted {
                return;
            }
        }
    });
}

/// Copies a variable of the environment into `buffer`; `None` if it is not set or does not fit.
///
/// Not std::env::var, which takes a lock of the standard library that a fork may leave taken.
pub fn variable<'b>(name: &CStr, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    // SAFETY: `name` is a C string. The result is copied at once; a host that changes its environment
    // in another thread at this moment breaks the rule of setenv(3), and every other getenv with it.
    let value = unsafe {
        let value = libc::getenv(name.as_ptr());
        if value.is_null() { None } else { Some(CStr::from_ptr(value).to_bytes()) }
    }?;
    let buffer = buffer.get_mut(..value.len())?;
    buffer.copy_from_slice(value);
    Some(buffer)
}

fn keeping_errno(body: impl FnOnce()) {
    // SAFETY: __errno_location returns the address of this thread's errno, valid while it lives.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    body();
    // SAFETY: as above.
    unsafe { *errno = before };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_copied_or_not_there() {
        let mut buffer = [0; 4096];
        let expected = std::env::var("PATH").unwrap();
        assert_eq!(variable(c"PATH", &mut buffer).unwrap(), expected.as_bytes());
        assert_eq!(variable(c"PATH", &mut buffer[..1]), None);
        assert_eq!(variable(c"CAROM_NO_SUCH_VARIABLE", &mut buffer), None);
    }

    #[test]
    fn errno_stays() {
        // SAFETY: __errno_location returns the address of this thread's errno.
        let set = |errno| unsafe { *libc::__errno_location() = errno };
        set(77);
        keeping_errno(|| set(1));
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(77));
    }
}
