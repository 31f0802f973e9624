//! What can be done about a task that is under way.

use super::boundary;
use super::handle::{self, Kind};
use super::library::carom_status;
use super::managed_pool;
use super::result::{carom_result, result_of};
use super::task::carom_job_id;
use crate::error::{Error, Result};
use crate::pool::desk::Stop;
use crate::pool::job;
use crate::sys::clock::deadline_after_ms;
use crate::sys::signals;
use std::ffi::c_char;

/// 1 if a worker has begun the task, or has come to it and waits for `carom_result_accept`; 0 if none has yet, or it was cancelled before. Of a task that is begun again, this attempt.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_accepted(result: *mut carom_result) -> i32 {
    boundary::answer(|| match result_of(result, "carom_result_accepted") {
        Err(Error::NotServed(_)) => Ok((managed_pool::pid(result)? != 0) as i32),
        result => Ok((result?.begun_by() != 0) as i32),
    })
}

/// The worker that runs the task, or ran it; 0 if none has begun it.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_pid(result: *mut carom_result) -> i32 {
    boundary::answer(|| match result_of(result, "carom_result_pid") {
        Err(Error::NotServed(_)) => managed_pool::pid(result),
        result => Ok(result?.begun_by() as i32),
    })
}

pub(super) fn stop(grace_ms: i64, signal: i32) -> Result<Stop> {
    let grace_ns = match grace_ms {
        -1 => None,
        grace => {
            let grace = u64::try_from(grace).map_err(|_| Error::invalid("a grace is CAROM_NONE, 0 or more"))?;
            Some(grace.saturating_mul(1_000_000))
        }
    };
    if !signals::is_one(signal) {
        return Err(Error::invalid("there is no such signal"));
    }
    Ok(Stop { grace_ns, signal })
}

fn stop_by(result: *mut carom_result, name: &'static str, how: Result<Stop>) -> Result<()> {
    match result_of(result, name) {
        Err(Error::NotServed(_)) => how.and_then(|how| managed_pool::stop(result, how.grace_ns, how.signal)),
        result => result?.stop(how?),
    }
}

/// The task is not wanted any more. If no worker has begun it, none ever does. If one has, the task is told that it should stop, as by its soft limit, and its
/// worker is killed if it has not done so within `grace_ms`; `CAROM_NONE`: it is not killed.
///
/// Never blocks. Wait for the result: `CAROM_ECANCELED` if it was in time. A task that is settled stays as it is.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_cancel(result: *mut carom_result, grace_ms: i64) -> carom_status {
    boundary::status(|| stop_by(result, "carom_result_cancel", stop(grace_ms, signals::KILL)))
}

/// The same with a signal to the worker, at once; whoever survives that is killed half a second later. 0: SIGTERM.
///
/// Never blocks. `CAROM_EINVAL` for what is no signal.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_terminate(result: *mut carom_result, signal_number: i32) -> carom_status {
    boundary::status(|| stop_by(result, "carom_result_terminate", stop(0, signals::or_term(signal_number))))
}

/// The task may begin, in a pool with `acknowledge`: at once if a worker waits with it, else as soon as one comes to it. Of many with one result: all of them. A
/// task that has begun or is settled, or of a pool without that option, stays as it is.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_accept(result: *mut carom_result) -> carom_status {
    boundary::status(|| result_of(result, "carom_result_accept")?.accept())
}

/// Nobody wants to know: the result is settled now, with `CAROM_ECANCELED`. What no worker has begun never is; what one has runs on, and its reply is dropped.
///
/// Never blocks. A result that is settled stays as it is.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_discard(result: *mut carom_result) -> carom_status {
    boundary::status(|| match result_of(result, "carom_result_discard") {
        Err(Error::NotServed(_)) => managed_pool::discard(result),
        result => result?.discard(),
    })
}

/// The `correlation_id` of the task's options, "" if it has none. Never NULL; valid until the result is freed. "" for what is no result.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_correlation_id(result: *mut carom_result) -> *const c_char {
    let name = match result_of(result, "carom_result_correlation_id") {
        Err(Error::NotServed(_)) => managed_pool::correlation(result),
        result => result.map(|result| result.correlation().as_ptr()),
    };
    name.unwrap_or_else(|error| {
        boundary::fail(&error);
        c"".as_ptr()
    })
}

/// Waits up to `timeout_ms` until one of `count` results is settled. Moves their pools on from this thread; where they are of several pools, it looks at them
/// every few milliseconds.
///
/// The index of the first one that is; `CAROM_ETIMEDOUT`; `CAROM_EINVAL` for none, `CAROM_EBADHANDLE` if one of them is no result.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_wait_any(results: *const *mut carom_result, count: usize, timeout_ms: i64) -> i64 {
    boundary::answer(|| {
        let results = boundary::items(results, count)?;
        if !results.is_empty() && results.iter().all(|result| handle::lives(*result, Kind::ManagedResult)) {
            return managed_pool::wait_any(results, timeout_ms);
        }
        let jobs =
            results.iter().map(|result| result_of(*result, "carom_result_wait_any")).collect::<Result<Vec<_>>>()?;
        let jobs: Vec<&job::Job> = jobs.iter().map(|job| &**job).collect();
        Ok(job::wait_any(&jobs, deadline_after_ms(timeout_ms))? as i64)
    })
}

/// Writes the name of a job to `text`: 32 hexadecimal digits and a zero byte.
///
/// `CAROM_EMSGSIZE` if `capacity` is below 33, `CAROM_EINVAL`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_job_id_text(id: *const carom_job_id, text: *mut c_char, capacity: usize) -> carom_status {
    boundary::status(|| {
        let id = boundary::items(id, 1)?[0];
        let name = format!("{:016x}{:016x}\0", id.high, id.low);
        if capacity < name.len() {
            return Err(Error::MessageSize { needed: name.len(), capacity });
        }
        boundary::bytes_mut(text.cast(), name.len())?.copy_from_slice(name.as_bytes());
        Ok(())
    })
}
