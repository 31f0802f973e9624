//! Pools: workers that may die, and tasks that know what became of them.

use super::boundary::{self, bytes, bytes_mut};
use super::call::{self, carom_argument, carom_function};
use super::handle::{self, Kind, Object, Use};
use super::library::carom_status;
use super::lock::free;
use super::managed_pool;
use super::pool_options::{carom_pool_options, carom_task_options, task_options, with_pool_options};
use super::process::{self, carom_process};
use super::result::{self, carom_result};
use crate::error::{Error, Result};
use crate::family;
use crate::pool::job::{Job, JobId, Verdict};
use crate::pool::map::{Outputs, Shape};
use crate::pool::{Hold, Pool, TaskOptions};
use crate::sys::clock::deadline_after_ms;
use std::ffi::c_void;
use std::sync::Arc;

/// A pool of workers. Opaque. Used by the process that made it only.
#[allow(non_camel_case_types)]
pub struct carom_pool {
    _opaque: [u8; 0],
}

impl Object for Hold {
    const KIND: Kind = Kind::Pool;
}

/// The pool behind a handle, for the function `call`, whose name is said where a manager does not serve it.
pub(super) fn pool_of(pool: *mut carom_pool, call: &'static str) -> Result<Use<Hold>> {
    family::current()?;
    handle::object(pool).map_err(|error| managed_pool::or_refuse(pool, Kind::ManagedPool, error, call))
}

/// Makes a pool: workers begin at once, forked from a template that this call forks from the program as it is now. Options may be NULL.
///
/// Workers start with default signal dispositions but ignore SIGINT, have stdin from /dev/null, stdout and stderr of the program, and no other descriptor of
/// it. A worker that dies costs the task that it was running, and is replaced. If this process dies, its workers do. No thread is made but by `service_thread`.
///
/// Blocks for as long as two forks do. `CAROM_EINVAL` for a bad number of workers, or limits that contradict each other, `CAROM_ENOTSUP` where the system has no
/// pidfd_open, `CAROM_ENOMEM`, or the
/// errno of fork or eventfd, or of a directory for capsules in which no file can be made.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_new(options: *const carom_pool_options, pool: *mut *mut carom_pool) -> carom_status {
    boundary::create(pool, || {
        let hold = with_pool_options(options, Hold::new)?;
        let me = hold.pool.family().me;
        handle::of_object(hold, me)
    })
}

/// Runs `function` with `arguments` in a worker, waits for it, and copies the reply to `data`; `*len` is its length (`len` may be NULL).
///
/// The status of the verdict if the task did not succeed (`CAROM_ETASKFAILED`, `CAROM_EWORKERLOST`, `CAROM_ETIMELIMIT`, …). `CAROM_ETIMEDOUT`: it is not begun any
/// more; if it was, it runs on and its reply is dropped. `CAROM_EMSGSIZE` for a small buffer: the reply is gone then. `CAROM_EFUNCTION`, `CAROM_ECLOSED`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_apply(
    pool: *mut carom_pool,
    function: carom_function,
    arguments: *const carom_argument,
    count: usize,
    options: *const carom_task_options,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let pool = match pool_of(pool, "carom_pool_apply") {
            Err(Error::NotServed(_)) => {
                let task = (function, arguments, count);
                return managed_pool::apply(pool, task, options, (data, capacity, len), timeout_ms);
            }
            pool => pool?,
        };
        let (shown, options) = task_options(options)?;
        bytes_mut(data, capacity)?;
        let deadline = deadline_after_ms(timeout_ms);
        let job = call::with_encoded(arguments, count, |encoded| {
            pool.pool.apply(call::address(function), encoded, options, deadline) //
        })?;
        job.settled()?;
        if !shown.verdict.is_null() {
            result::show(shown.verdict, &job.verdict(), job.id)?;
        }
        result::copy_reply(&job, data, capacity, len)
    })
}

/// Submits a task: `function` with `arguments`, which are copied. `*result` tells what becomes of it; `result` may be NULL where the events do.
///
/// Never blocks on a worker. `CAROM_EFUNCTION` for a function that is NULL, or in no module (a closure made at run time); `CAROM_ECLOSED` after close or
/// terminate; `CAROM_EPERM` in another process than the one that made the pool; `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_apply_async(
    pool: *mut carom_pool,
    function: carom_function,
    arguments: *const carom_argument,
    count: usize,
    options: *const carom_task_options,
    result: *mut *mut carom_result,
) -> carom_status {
    let submit = |pool: Use<Hold>| {
        let (_, options) = task_options(options)?;
        call::with_encoded(arguments, count, |encoded| {
            pool.pool.apply_async(call::address(function), encoded, options) //
        })
    };
    let managed = || managed_pool::apply_async(pool, (function, arguments, count), options);
    hand_out(pool_of(pool, "carom_pool_apply_async"), result, submit, managed)
}

/// Gives the result of what `submit` submits to a pool, or of what `managed` does where that is a manager's. NULL: nobody wants it.
pub(super) fn hand_out(
    pool: Result<Use<Hold>>,
    result: *mut *mut carom_result,
    submit: impl FnOnce(Use<Hold>) -> Result<Arc<Job>>,
    managed: impl FnOnce() -> Result<*mut carom_result>,
) -> carom_status {
    let is_managed = matches!(pool, Err(Error::NotServed(_)));
    match (is_managed, result.is_null()) {
        (false, true) => boundary::status(|| submit(pool?).map(|_| ())),
        (false, false) => boundary::create(result, || result::make(submit(pool?)?)),
        (true, true) => boundary::status(|| managed().map(|unwanted| result::carom_result_free(unwanted))),
        (true, false) => boundary::create(result, managed),
    }
}

/// Runs `function` over the `count` items of an array, waits for all of them, and writes their replies, `out_size` bytes each, to `out` (NULL and 0 if there are
/// none). Each item is argument 0 of a call. Items go to workers in chunks; a worker that dies costs the item that it was at, the others go on.
///
/// `CAROM_OK`, or the status of the failed item with the lowest index; its slot of `out`, and that of any other failed item, is as it was. `options->statuses`
/// and `options->verdict` say more. `CAROM_ETIMEDOUT`: what is not begun never is, and `out` is not touched. `CAROM_EFUNCTION`, `CAROM_ECLOSED`, `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_map(
    pool: *mut carom_pool,
    function: carom_function,
    items: *const c_void,
    item_size: usize,
    count: usize,
    options: *const carom_task_options,
    out: *mut c_void,
    out_size: usize,
    timeout_ms: i64,
) -> carom_status {
    if handle::lives(pool, Kind::ManagedPool) {
        return boundary::status(|| {
            managed_pool::map(pool, function, (items, item_size, count), options, (out, out_size), timeout_ms)
        });
    }
    waited("carom_pool_map", pool, options, (out, out_size, count), timeout_ms, |pool, options, outputs| {
        let items = bytes(items, count.checked_mul(item_size).ok_or_else(absurd)?)?;
        let shape = Shape { item_size, count, reply_size: out_size };
        pool.map(call::address(function), items, shape, options, outputs)
    })
}

pub(super) fn absurd() -> Error {
    Error::invalid("the size of an array is absurd")
}

/// A map that the function `name` waits for: `run` gets what it is to fill, `count` replies of `out_size` bytes, and says what failed.
pub(super) fn waited(
    name: &'static str,
    pool: *mut carom_pool,
    options: *const carom_task_options,
    (out, out_size, count): (*mut c_void, usize, usize),
    timeout_ms: i64,
    run: impl FnOnce(&Arc<Pool>, TaskOptions, Outputs<'_>) -> Result<Option<Verdict>>,
) -> carom_status {
    boundary::status(|| {
        let pool = pool_of(pool, name)?;
        let (shown, options) = task_options(options)?;
        let out = bytes_mut(out, count.checked_mul(out_size).ok_or_else(absurd)?)?;
        let statuses = statuses(&shown, count)?;
        let deadline = deadline_after_ms(timeout_ms);
        finish_map(&shown, run(&pool.pool, options, Outputs { out, statuses, deadline })?)
    })
}

pub(super) fn statuses<'a>(options: &carom_task_options, count: usize) -> Result<Option<&'a mut [carom_status]>> {
    if options.statuses.is_null() {
        return Ok(None);
    }
    if !options.statuses.is_aligned() || count > isize::MAX as usize / 4 {
        return Err(Error::invalid("the statuses are not an array of carom_status"));
    }
    // SAFETY: not NULL, aligned, of a possible size; the caller's promise, as in `boundary::bytes_mut`.
    Ok(Some(unsafe { std::slice::from_raw_parts_mut(options.statuses, count) }))
}

pub(super) fn finish_map(options: &carom_task_options, failed: Option<Verdict>) -> Result<()> {
    let verdict = failed.unwrap_or_else(|| Verdict::of(Ok(()), 0));
    result::show(options.verdict, &verdict, JobId::default())?;
    verdict.status
}

/// Prepares a worker that a pool with `host_forks` wants: after a `CAROM_POOL_WORKER_WANTED`, at the beginning one for each worker, then for each that died or left. Then the
/// host forks; in the child it calls `carom_fork_child`, which works until the pool needs the worker no more, and does not return; in the parent `carom_fork_parent`. The
/// worker has all that this program has at that moment, its descriptors too. If the fork fails, free the process: the pool asks again. The process may also be freed
/// once it is forked; it is among `carom_process_children`, and the library reaps it.
///
/// Nothing forks on its own there: calls that wait (for results, room, the end) call `on_event` for the workers that are wanted, and where none is left, and none is
/// being forked, return `CAROM_EAGAIN`; then fork, and call again.
///
/// Never blocks. `CAROM_EAGAIN`: none is wanted (any more). `CAROM_EPERM` without `host_forks`; `CAROM_ECLOSED` once the pool has ended; `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_prepare(pool: *mut carom_pool, worker: *mut *mut carom_process) -> carom_status {
    boundary::create(worker, || process::make(pool_of(pool, "carom_pool_prepare")?.pool.prepare_worker()?))
}

/// Takes no more tasks; those that it has are finished, and then its workers leave when it is joined.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_close(pool: *mut carom_pool) -> carom_status {
    boundary::status(|| match pool_of(pool, "carom_pool_close") {
        Err(Error::NotServed(_)) => managed_pool::order(pool, "close", &[], 0),
        pool => pool?.pool.close(),
    })
}

/// Ends the pool at once: tasks that are not settled are `CAROM_ECANCELED`, their workers killed.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_terminate(pool: *mut carom_pool) -> carom_status {
    boundary::status(|| match pool_of(pool, "carom_pool_terminate") {
        Err(Error::NotServed(_)) => managed_pool::order(pool, "terminate", &[], 0),
        pool => pool?.pool.terminate(),
    })
}

/// Waits up to `timeout_ms` until every task is settled and every worker is gone. Only after `carom_pool_close` or `carom_pool_terminate`.
///
/// `CAROM_EPERM` before those; `CAROM_ETIMEDOUT`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_join(pool: *mut carom_pool, timeout_ms: i64) -> carom_status {
    boundary::status(|| match pool_of(pool, "carom_pool_join") {
        Err(Error::NotServed(_)) => managed_pool::order(pool, "join", &[], timeout_ms),
        pool => pool?.pool.join(deadline_after_ms(timeout_ms)),
    })
}

/// Ends this handle, and the pool if it is not joined: its workers are killed, without waiting for them; tasks that are not settled are `CAROM_ECANCELED`. Results
/// stay readable until their own free. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_free(pool: *mut carom_pool) {
    if handle::is(pool.cast(), Kind::ManagedPool) {
        return free(pool, Kind::ManagedPool);
    }
    // Not only by its last user: those who wait in it must hear of it.
    if let Ok(pool) = pool_of(pool, "carom_pool_free") {
        pool.pool.end();
    }
    handle::free_object::<Hold, _>(pool, family::current().ok().map(|family| family.me));
}
