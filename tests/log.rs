//! The log as a host sees it. One test: level and callback are of the whole process.

use carom::log::{self, Level};
use carom::sys::sink;
use std::ffi::{CStr, c_char, c_void};
use std::io::Read;
use std::os::fd::FromRawFd;
use std::sync::Mutex;

static SEEN: Mutex<Vec<(u32, String)>> = Mutex::new(Vec::new());

unsafe extern "C" fn callback(level: u32, message: *const c_char, ctx: *mut c_void) {
    // SAFETY: the message is a C string during the call.
    let message = unsafe { CStr::from_ptr(message) }.to_str().unwrap().to_owned();
    assert_eq!(ctx as usize, 7);
    SEEN.lock().unwrap().push((level, message));
    // A host that calls carom from here must not come here again.
    log::error(format_args!("from inside"));
}

/// What `body` writes to standard error.
fn stderr_of(body: impl FnOnce()) -> String {
    let mut ends = [0; 2];
    // SAFETY: plain descriptors; standard error is put back, and the reader owns its end.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let before = libc::dup(2);
        libc::dup2(ends[1], 2);
        body();
        libc::dup2(before, 2);
        libc::close(before);
        libc::close(ends[1]);
        let mut text = String::new();
        std::fs::File::from_raw_fd(ends[0]).read_to_string(&mut text).unwrap();
        text
    }
}

#[test]
fn lines_go_to_stderr_or_to_the_callback_of_this_process() {
    let process = std::process::id();
    // SAFETY: no other thread of this test program reads or writes the environment.
    unsafe { std::env::set_var("CAROM_LOG", "info") };
    let text = stderr_of(|| {
        log::debug(format_args!("not this"));
        log::info(format_args!("slot {}", 3));
    });
    assert_eq!(text, format!("carom[{process}] info: slot 3\n"));

    log::set_level(Level::Off);
    assert_eq!(stderr_of(|| log::error(format_args!("nothing"))), "");

    log::set_level(Level::Debug);
    sink::set(Some(callback), 7 as *mut c_void);
    let mut child = 0;
    let text = stderr_of(|| {
        log::warning(format_args!("to the host"));
        // SAFETY: the child writes one line, without lock or allocation, and ends.
        unsafe {
            child = libc::fork();
            if child == 0 {
                log::debug(format_args!("from a child"));
                libc::_exit(0);
            }
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    });
    assert_eq!(*SEEN.lock().unwrap(), [(2, "to the host".to_owned())]);
    assert_eq!(text, format!("carom[{child}] debug: from a child\n"));

    sink::set(None, std::ptr::null_mut());
    assert!(stderr_of(|| log::error(format_args!("back"))).ends_with("error: back\n"));
}
