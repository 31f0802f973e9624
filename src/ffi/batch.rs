//! Many tasks with one result.

use super::boundary::{self, bytes};
use super::call::{self, carom_argument, carom_function};
use super::handle::{self, Kind, Use};
use super::library::carom_status;
use super::managed_pool;
use super::pool::{absurd, carom_pool, finish_map, hand_out, pool_of, waited};
use super::pool_options::{carom_task_options, task_options};
use super::process::encode;
use super::result::{self, carom_result, result_of};
use crate::error::{Error, Result};
use crate::pool::job::Job;
use crate::pool::map::Shape;
use crate::pool::{Hold, Pool, TaskOptions};
use crate::sys::clock::deadline_after_ms;
use std::ffi::c_void;
use std::sync::Arc;

/// Submits a task for each of the `count` items of an array, which are copied; each is argument 0 of its call, and replies with as many bytes as it likes.
/// `*result` is settled when all of them are: it has failed if one of them has, with the verdict of the first of those. `carom_result_item` has them one by one.
/// `result` may be NULL; `on_result` and `on_error` hear of the whole. An item is a task: there are no chunks.
///
/// As `carom_pool_apply_async`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_map_async(
    pool: *mut carom_pool,
    function: carom_function,
    items: *const c_void,
    item_size: usize,
    count: usize,
    options: *const carom_task_options,
    result: *mut *mut carom_result,
) -> carom_status {
    let submit = |pool: Use<Hold>| {
        let (_, options) = task_options(options)?;
        let items = bytes(items, count.checked_mul(item_size).ok_or_else(absurd)?)?;
        pool.pool.map_async(call::address(function), items, item_size, count, &options)
    };
    let managed = || managed_pool::map_async(pool, function, (items, item_size, count), options);
    hand_out(pool_of(pool, "carom_pool_map_async"), result, submit, managed)
}

fn starmap(
    pool: &Arc<Pool>,
    function: carom_function,
    arguments: *const carom_argument,
    per_item: usize,
    count: usize,
    options: &TaskOptions,
) -> Result<Arc<Job>> {
    let all = boundary::items(arguments, count.checked_mul(per_item).ok_or_else(absurd)?)?;
    let lists = &mut |index: u64| encode(all[index as usize * per_item..].as_ptr(), per_item);
    pool.batch(call::address(function), count as u64, options, |index| index, lists)
}

/// The same over `count` lists of `per_item` arguments each.
///
/// As `carom_pool_map_async`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_starmap_async(
    pool: *mut carom_pool,
    function: carom_function,
    arguments: *const carom_argument,
    per_item: usize,
    count: usize,
    options: *const carom_task_options,
    result: *mut *mut carom_result,
) -> carom_status {
    let submit = |pool: Use<Hold>| {
        let (_, options) = task_options(options)?;
        starmap(&pool.pool, function, arguments, per_item, count, &options)
    };
    let managed = || managed_pool::starmap_async(pool, function, (arguments, per_item, count), options);
    hand_out(pool_of(pool, "carom_pool_starmap_async"), result, submit, managed)
}

/// Runs `function` over `count` lists of `per_item` arguments each, waits for all of them, and writes their replies, `out_size` bytes each, to `out`.
///
/// As `carom_pool_map`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_starmap(
    pool: *mut carom_pool,
    function: carom_function,
    arguments: *const carom_argument,
    per_item: usize,
    count: usize,
    options: *const carom_task_options,
    out: *mut c_void,
    out_size: usize,
    timeout_ms: i64,
) -> carom_status {
    if handle::lives(pool, Kind::ManagedPool) {
        return boundary::status(|| {
            let lists = (arguments, per_item, count);
            managed_pool::starmap(pool, function, lists, options, (out, out_size), timeout_ms)
        });
    }
    waited("carom_pool_starmap", pool, options, (out, out_size, count), timeout_ms, |pool, options, outputs| {
        let whole = starmap(pool, function, arguments, per_item, count, &options.awaited()?)?;
        let shape = Shape { item_size: 0, count, reply_size: out_size };
        pool.finish_batch(&whole, shape, outputs)
    })
}

/// Runs `function` over the indexes from `begin` to before `end`, a range of them at a time, and waits for all of them: arguments 0 and 1 of a call are the first
/// index and the one behind the last, int64_t both, and then come `arguments`. For work on shared memory in place: nothing is copied, and nothing replied.
/// `options->chunk_size` is the length of a range; 0: a quarter of each worker's share.
///
/// `CAROM_OK`, or the status of the failed range with the lowest index, which is `verdict.item`. `CAROM_ETIMEDOUT`: what is not begun never is. `CAROM_EINVAL` for
/// an end before the begin; else as `carom_pool_map`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_map_range(
    pool: *mut carom_pool,
    function: carom_function,
    begin: i64,
    end: i64,
    arguments: *const carom_argument,
    count: usize,
    options: *const carom_task_options,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let pool = match pool_of(pool, "carom_pool_map_range") {
            Err(Error::NotServed(_)) => {
                return managed_pool::map_range(pool, function, begin..end, (arguments, count), options, timeout_ms);
            }
            pool => pool?,
        };
        let (shown, options) = task_options(options)?;
        let rest = call::arguments::<false>(arguments, count)?;
        let deadline = deadline_after_ms(timeout_ms);
        finish_map(&shown, pool.pool.map_range(call::address(function), begin..end, &rest, &options, deadline)?)
    })
}

/// Of how many tasks it is the result: 1 unless there were many.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_count(result: *mut carom_result) -> i64 {
    boundary::answer(|| match result_of(result, "carom_result_count") {
        Err(Error::NotServed(_)) => managed_pool::count(result),
        result => Ok(result?.parts().map_or(1, |parts| parts.jobs().len()) as i64),
    })
}

/// The result of one of many tasks, settled or not; it is yours to free.
///
/// Never blocks. `CAROM_ENOENT` if there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_item(
    result: *mut carom_result,
    index: usize,
    item: *mut *mut carom_result,
) -> carom_status {
    boundary::create(item, || {
        let whole = match result_of(result, "carom_result_item") {
            Err(Error::NotServed(_)) => return managed_pool::item(result, index),
            whole => whole?,
        };
        let jobs = whole.parts().map_or(&[][..], |parts| parts.jobs());
        result::make(jobs.get(index).ok_or(Error::NotFound("the result has not so many items"))?.clone())
    })
}
