//! A program that was started to run one task again: see `carom_capsule_open`.

use super::capsule::{carom_capsule, carom_capsule_apply_async, carom_capsule_free, carom_capsule_open};
use super::library::{CAROM_FOREVER, carom_error_message, carom_status_name};
use super::options;
use super::pool::{carom_pool, carom_pool_free, carom_pool_new};
use super::pool_options::carom_pool_options;
use super::result::{
    carom_result, carom_result_free, carom_result_verdict, carom_result_wait, carom_verdict, carom_verdict_print,
};
use crate::capsule::Capsule;
use crate::error::{Result, Status};
use crate::sys::{descriptor, environment, fork};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;

const STDOUT: i32 = 1;
const STDERR: i32 = 2;
/// The task could not be run.
const NOT_RUN: i32 = 2;

/// Runs the task that the environment names, and ends the program; returns if it names none.
pub(super) fn run_if_asked() {
    let (path, here) = (environment::take(c"CAROM_REPLAY"), environment::take(c"CAROM_REPLAY_HERE"));
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        let code = if here.is_some() { run_here(&path) } else { run_in_worker(&path) };
        fork::leave(code);
    }
}

fn say(text: &str) {
    let _ = descriptor::write_all(STDERR, text.as_bytes());
}

fn run_here(path: &[u8]) -> i32 {
    let run = || -> Result<i32> {
        let outcome = Capsule::open(Path::new(OsStr::from_bytes(path)))?.run()?;
        let message = String::from_utf8_lossy(&outcome.message);
        let separator = if message.is_empty() { "" } else { ": " };
        say(&format!("carom-replay: the function returned {}{separator}{message}\n", outcome.code));
        Ok((outcome.code != 0) as i32)
    };
    run().unwrap_or_else(|error| {
        say(&format!("carom-replay: {error}\n"));
        NOT_RUN
    })
}

/// Through the C face, as any program would.
fn run_in_worker(path: &[u8]) -> i32 {
    let path = CString::new(path).unwrap_or_default();
    let (mut capsule, mut pool, mut result) =
        (null_mut::<carom_capsule>(), null_mut::<carom_pool>(), null_mut::<carom_result>());
    let mut run = || -> std::result::Result<i32, Status> {
        let good = |status: Status| if status == 0 { Ok(()) } else { Err(status) };
        let mut options = options::zeroed::<carom_pool_options>();
        (options.size, options.workers) = (size_of_val(&options), 1);
        good(carom_capsule_open(path.as_ptr(), &mut capsule))?;
        good(carom_pool_new(&options, &mut pool))?;
        good(carom_capsule_apply_async(capsule, pool, std::ptr::null(), &mut result))?;
        good(carom_result_wait(result, CAROM_FOREVER.into()))?;
        let mut verdict = options::zeroed::<carom_verdict>();
        verdict.size = size_of_val(&verdict);
        good(carom_result_verdict(result, &mut verdict))?;
        good(carom_verdict_print(&verdict, STDOUT))?;
        Ok((verdict.status != 0) as i32)
    };
    let code = run().unwrap_or_else(|status| {
        let text = |text| {
            // SAFETY: both are C strings of ours, never NULL.
            unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
        };
        say(&format!("carom-replay: {}: {}\n", text(carom_status_name(status)), text(carom_error_message())));
        NOT_RUN
    });
    carom_result_free(result);
    carom_pool_free(pool);
    carom_capsule_free(capsule);
    code
}
