//! What a task knows of itself: whether it should stop, and which job it is.

use super::boundary::{self, write};
use super::call::{carom_call, running};
use super::library::carom_status;
use crate::shm::stop;
use std::ffi::{c_char, c_void};

/// Names a job for ever: printable as two numbers, and unique beyond this machine.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_job_id {
    /// Of the pool.
    pub high: u64,
    /// Of the job in it.
    pub low: u64,
}

/// What a task wants to be called when it should stop.
#[allow(non_camel_case_types)]
pub type carom_hook = Option<extern "C" fn(ctx: *mut c_void)>;

/// 1 if the task should stop: it is past its soft time limit, or was cancelled. It may go on until its hard limit; what it returns counts as always. 0 in
/// a process, and before.
///
/// Never blocks. `CAROM_EBADHANDLE` for a call that is over.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_should_stop(call: *const carom_call) -> i32 {
    if stop::goes_on(call as usize) {
        return 0;
    }
    should_stop(call)
}

#[inline(never)]
fn should_stop(call: *const carom_call) -> i32 {
    boundary::answer(|| {
        running(call)?;
        let asked = stop::is_asked();
        // It has heard: no more signals.
        stop::notice();
        Ok(asked as i32)
    })
}

/// Which attempt at its task this is: 1, or more where `max_attempts` allows it. 0 in a process.
///
/// Never blocks. `CAROM_EBADHANDLE` for a call that is over.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_attempt(call: *const carom_call) -> i32 {
    boundary::answer(|| Ok(running(call)?.task.map_or(0, |task| task.attempt() as i32)))
}

/// Which job its task is, the same in each attempt, and as the verdict has it; of the items of a map that is waited for, the map. All zero in a process.
///
/// Never blocks. `CAROM_EBADHANDLE` for a call that is over.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_job_id(call: *const carom_call, job: *mut carom_job_id) -> carom_status {
    boundary::status(|| {
        let (high, low) = running(call)?.task.map_or((0, 0), |task| task.job());
        write(job, carom_job_id { high, low })
    })
}

/// The `correlation_id` of its task's options, "" if there is none, and in a process. Never NULL; valid until the function returns. "" for a call that is over.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_correlation_id(call: *const carom_call) -> *const c_char {
    let name = running(call).map(|call| call.task.map_or(c"", |task| task.name()).as_ptr());
    name.unwrap_or_else(|error| {
        boundary::fail(&error);
        c"".as_ptr()
    })
}

/// Calls `hook(ctx)` once when the task should stop, if it has not returned by then; at once, if it should already. For example `sqlite3_interrupt`. Each item of
/// a map sets its own; NULL takes it back.
///
/// The hook runs in a signal handler, on the thread that runs the task: it may do what is async-signal-safe, and `carom_event_set`. Besides, a system call that
/// the task is blocked in returns EINTR (the signal is SIGURG; without that the task notices at its next blocking call of carom, which returns
/// `CAROM_ESOFTLIMIT` once).
///
/// Never blocks. `CAROM_EBADHANDLE` for a call that is over.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_on_stop(call: *mut carom_call, hook: carom_hook, ctx: *mut c_void) -> carom_status {
    boundary::status(|| {
        running(call)?.on_stop(hook.map_or(0, |hook| hook as usize), ctx.expose_provenance());
        Ok(())
    })
}
