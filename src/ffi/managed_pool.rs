//! The functions of pools and results for those of a manager. Every one begins with the error of the local way, on which no
//! look for a manager is lost.

use super::boundary::{bytes, bytes_mut, write_optional};
use super::call::{self, carom_argument, carom_function};
use super::handle::{self, Kind, Object, Use};
use super::imap::carom_iterator;
use super::managed::{target, unexpected, values};
use super::options;
use super::pool::{absurd, carom_pool, statuses};
use super::pool_options::{carom_task_options, task_options};
use super::result::{self, carom_result, carom_verdict};
use crate::error::{Error, Result};
use crate::family;
use crate::manager::client::Target;
use crate::manager::custom::identity_of;
use crate::manager::items::Items;
use crate::manager::task::{self, Remote, Seen, pack_task};
use crate::manager::value::Value;
use crate::pool::iterator::Source;
use crate::pool::{PoolInfo, TaskOptions, WorkerInfo};
use std::ffi::{c_char, c_void};
use std::ops::Range;

impl Object for Remote {
    const KIND: Kind = Kind::ManagedResult;
}

impl Object for Items {
    const KIND: Kind = Kind::ManagedIterator;
}

/// What is said where `error` came of a handle that is a manager's: `call` is not served there.
#[cold]
pub(super) fn or_refuse<T>(handle: *mut T, kind: Kind, error: Error, call: &'static str) -> Error {
    match handle::lives(handle, kind) {
        true => Error::NotServed(call),
        false => error,
    }
}

fn pool_of(pool: *mut carom_pool) -> Result<Target> {
    target(pool, Kind::ManagedPool)
}

fn result_of(result: *mut carom_result) -> Result<Use<Remote>> {
    handle::object(result)
}

fn identity(function: carom_function) -> Result<Value> {
    match call::address(function) {
        0 => Err(Error::Function("the function is NULL".into())),
        address => identity_of(address),
    }
}

fn submit(
    target: &Target,
    function: carom_function,
    method: &str,
    what: Value,
    options: &TaskOptions,
    more: &[i64],
) -> Result<Remote> {
    let mut arguments = vec![identity(function)?, what, pack_task(options)?, Value::Bool(options.awaited)];
    arguments.extend(more.iter().map(|number| Value::Integer(*number)));
    let correlation = options.correlation.clone();
    target.call(method, arguments, None, 0, |value, adopt| match value {
        Value::Proxy(proxy) => Remote::new(adopt(*proxy)?, correlation),
        _ => Err(unexpected()),
    })
}

fn make(remote: Remote) -> Result<*mut carom_result> {
    handle::of_object(remote, family::current()?.me)
}

#[cold]
pub(super) fn apply(
    pool: *mut carom_pool,
    (function, arguments, count): (carom_function, *const carom_argument, usize),
    options: *const carom_task_options,
    (data, capacity, len): (*mut c_void, usize, *mut usize),
    timeout_ms: i64,
) -> Result<()> {
    let (target, (shown, options)) = (pool_of(pool)?, task_options(options)?);
    bytes_mut(data, capacity)?;
    let arguments = Value::List(values(&target, arguments, count)?);
    let task = submit(&target, function, "apply", arguments, &options.awaited()?, &[])?;
    let seen = task.await_or_abandon(timeout_ms)?;
    if !shown.verdict.is_null() {
        show_here(shown.verdict, seen)?;
    }
    copy_reply(seen, data, capacity, len)
}

#[cold]
pub(super) fn apply_async(
    pool: *mut carom_pool,
    (function, arguments, count): (carom_function, *const carom_argument, usize),
    options: *const carom_task_options,
) -> Result<*mut carom_result> {
    let (target, (_, options)) = (pool_of(pool)?, task_options(options)?);
    let arguments = Value::List(values(&target, arguments, count)?);
    make(submit(&target, function, "apply", arguments, &options, &[])?)
}

/// An array, with its description.
fn items(data: *const c_void, item_size: usize, count: usize) -> Result<(Value, i64, i64)> {
    let items = bytes(data, count.checked_mul(item_size).ok_or_else(absurd)?)?;
    let number = |size: usize| i64::try_from(size).map_err(|_| absurd());
    Ok((Value::Bytes(items.to_vec()), number(item_size)?, number(count)?))
}

#[cold]
pub(super) fn map_async(
    pool: *mut carom_pool,
    function: carom_function,
    (data, item_size, count): (*const c_void, usize, usize),
    options: *const carom_task_options,
) -> Result<*mut carom_result> {
    let (target, (_, options)) = (pool_of(pool)?, task_options(options)?);
    let (items, item_size, count) = items(data, item_size, count)?;
    make(submit(&target, function, "map", items, &options, &[item_size, count, -1])?)
}

#[cold]
pub(super) fn map(
    pool: *mut carom_pool,
    function: carom_function,
    (data, item_size, count): (*const c_void, usize, usize),
    options: *const carom_task_options,
    (out, out_size): (*mut c_void, usize),
    timeout_ms: i64,
) -> Result<()> {
    waited(pool, options, (out, out_size, count), timeout_ms, |target, options| {
        let (items, item_size, number) = items(data, item_size, count)?;
        let reply_size = i64::try_from(out_size).map_err(|_| absurd())?;
        submit(target, function, "map", items, options, &[item_size, number, reply_size])
    })
}

/// A map that is waited for: `count` replies of `out_size` bytes.
fn waited(
    pool: *mut carom_pool,
    options: *const carom_task_options,
    (out, out_size, count): (*mut c_void, usize, usize),
    timeout_ms: i64,
    submit: impl FnOnce(&Target, &TaskOptions) -> Result<Remote>,
) -> Result<()> {
    let (target, (shown, options)) = (pool_of(pool)?, task_options(options)?);
    let out = bytes_mut(out, count.checked_mul(out_size).ok_or_else(absurd)?)?;
    let places = statuses(&shown, count)?;
    let task = submit(&target, &options.awaited()?)?;
    let seen = task.await_or_abandon(timeout_ms)?;
    if seen.statuses.len() == count && seen.reply.len() == out.len() {
        for index in (0..count).filter(|index| seen.statuses[*index] == 0) {
            let place = index * out_size..(index + 1) * out_size;
            out[place.clone()].copy_from_slice(&seen.reply[place]);
        }
        places.into_iter().for_each(|places| places.copy_from_slice(&seen.statuses));
    }
    if !shown.verdict.is_null() {
        show_here(shown.verdict, seen)?;
    }
    seen.verdict.status.clone()
}

/// `count` lists of `per_item` arguments each.
fn lists(target: &Target, arguments: *const carom_argument, per_item: usize, count: usize) -> Result<Value> {
    let mut all = values(target, arguments, count.checked_mul(per_item).ok_or_else(absurd)?)?.into_iter();
    Ok(Value::List((0..count).map(|_| Value::List(all.by_ref().take(per_item).collect())).collect()))
}

#[cold]
pub(super) fn starmap_async(
    pool: *mut carom_pool,
    function: carom_function,
    (arguments, per_item, count): (*const carom_argument, usize, usize),
    options: *const carom_task_options,
) -> Result<*mut carom_result> {
    let (target, (_, options)) = (pool_of(pool)?, task_options(options)?);
    let lists = lists(&target, arguments, per_item, count)?;
    make(submit(&target, function, "starmap", lists, &options, &[-1])?)
}

#[cold]
pub(super) fn starmap(
    pool: *mut carom_pool,
    function: carom_function,
    (arguments, per_item, count): (*const carom_argument, usize, usize),
    options: *const carom_task_options,
    (out, out_size): (*mut c_void, usize),
    timeout_ms: i64,
) -> Result<()> {
    waited(pool, options, (out, out_size, count), timeout_ms, |target, options| {
        let reply_size = i64::try_from(out_size).map_err(|_| absurd())?;
        submit(target, function, "starmap", lists(target, arguments, per_item, count)?, options, &[reply_size])
    })
}

#[cold]
pub(super) fn map_range(
    pool: *mut carom_pool,
    function: carom_function,
    range: Range<i64>,
    (arguments, count): (*const carom_argument, usize),
    options: *const carom_task_options,
    timeout_ms: i64,
) -> Result<()> {
    waited(pool, options, (std::ptr::null_mut(), 0, 0), timeout_ms, |target, options| {
        let arguments = Value::List(values(target, arguments, count)?);
        submit(target, function, "range", arguments, options, &[range.start, range.end])
    })
}

#[cold]
pub(super) fn imap(
    pool: *mut carom_pool,
    function: carom_function,
    source: Source,
    options: &TaskOptions,
    ordered: bool,
) -> Result<*mut carom_iterator> {
    let target = pool_of(pool)?;
    let arguments = vec![identity(function)?, pack_task(options)?, Value::Bool(ordered)];
    let cell = target.call("imap", arguments, None, 0, |value, adopt| match value {
        Value::Proxy(proxy) => adopt(*proxy),
        _ => Err(unexpected()),
    })?;
    handle::of_object(Items::new(cell, source, options.correlation.clone())?, family::current()?.me)
}

#[cold]
pub(super) fn next(iterator: *mut carom_iterator, timeout_ms: i64) -> Result<*mut carom_result> {
    make(handle::object::<Items, _>(iterator)?.next(timeout_ms)?)
}

/// Calls a method that gives nothing.
#[cold]
pub(super) fn order(pool: *mut carom_pool, method: &str, numbers: &[i64], timeout_ms: i64) -> Result<()> {
    ask(pool, method, numbers, timeout_ms).map(|_| ())
}

/// Calls a method with these numbers.
#[cold]
pub(super) fn ask(pool: *mut carom_pool, method: &str, numbers: &[i64], timeout_ms: i64) -> Result<Value> {
    pool_of(pool)?.ask(method, numbers.iter().map(|number| Value::Integer(*number)).collect(), timeout_ms)
}

#[cold]
pub(super) fn info(pool: *mut carom_pool) -> Result<PoolInfo> {
    task::unpack_info(&ask(pool, "info", &[], 0)?)
}

#[cold]
pub(super) fn worker(pool: *mut carom_pool, index: usize) -> Result<WorkerInfo> {
    task::unpack_worker(&ask(pool, "worker", &[index.min(i64::MAX as usize) as i64], 0)?)
}

fn shown(seen: &Seen) -> carom_verdict {
    let mut shown = result::shown(&seen.verdict, seen.job, Some(&seen.texts));
    (shown.signal_code, shown.fault_address) = seen.fault;
    shown
}

/// The verdict of a call that waited.
fn show_here(out: *mut carom_verdict, seen: &Seen) -> Result<()> {
    result::show_with(out, seen.texts.clone(), |texts| carom_verdict { message: texts.message.as_ptr(), ..shown(seen) })
}

fn copy_reply(seen: &Seen, data: *mut c_void, capacity: usize, len: *mut usize) -> Result<()> {
    seen.verdict.status.clone()?;
    let needed = seen.reply.len();
    write_optional(len, needed);
    if needed > capacity {
        return Err(Error::MessageSize { needed, capacity });
    }
    bytes_mut(data, needed)?.copy_from_slice(&seen.reply);
    Ok(())
}

fn not_ready() -> Error {
    Error::Again("the result is not ready")
}

#[cold]
pub(super) fn wait(result: *mut carom_result, timeout_ms: i64) -> Result<()> {
    result_of(result)?.wait(timeout_ms).map(|_| ())
}

#[cold]
pub(super) fn ready(result: *mut carom_result) -> Result<i32> {
    Ok(result_of(result)?.look()?.is_some() as i32)
}

#[cold]
pub(super) fn successful(result: *mut carom_result) -> Result<i32> {
    Ok(result_of(result)?.look()?.ok_or_else(not_ready)?.verdict.status.is_ok() as i32)
}

#[cold]
pub(super) fn get(
    result: *mut carom_result,
    (data, capacity, len): (*mut c_void, usize, *mut usize),
    timeout_ms: i64,
) -> Result<()> {
    let result = result_of(result)?;
    bytes_mut(data, capacity)?;
    copy_reply(result.wait(timeout_ms)?, data, capacity, len)
}

#[cold]
pub(super) fn verdict(result: *mut carom_result, verdict: *mut carom_verdict) -> Result<()> {
    let result = result_of(result)?;
    options::write(verdict, shown(result.look()?.ok_or_else(not_ready)?))
}

#[cold]
pub(super) fn pid(result: *mut carom_result) -> Result<i32> {
    Ok(result_of(result)?.pid()? as i32)
}

#[cold]
pub(super) fn stop(result: *mut carom_result, grace_ns: Option<u64>, signal: i32) -> Result<()> {
    result_of(result)?.stop(grace_ns, signal)
}

#[cold]
pub(super) fn discard(result: *mut carom_result) -> Result<()> {
    result_of(result)?.discard()
}

#[cold]
pub(super) fn count(result: *mut carom_result) -> Result<i64> {
    result_of(result)?.count()
}

#[cold]
pub(super) fn item(result: *mut carom_result, index: usize) -> Result<*mut carom_result> {
    make(result_of(result)?.item(index)?)
}

/// The name of a task, which lives as long as its handle.
#[cold]
pub(super) fn correlation(result: *mut carom_result) -> Result<*const c_char> {
    Ok(result_of(result)?.correlation.as_deref().unwrap_or_default().as_ptr())
}

#[cold]
pub(super) fn wait_any(results: &[*mut carom_result], timeout_ms: i64) -> Result<i64> {
    let tasks = results.iter().map(|result| result_of(*result)).collect::<Result<Vec<_>>>()?;
    Ok(task::wait_any(&tasks.iter().map(|task| &**task).collect::<Vec<_>>(), timeout_ms)? as i64)
}

/// Ends a handle of one; whether it was one.
pub(super) fn free_result(result: *mut carom_result) -> bool {
    let is_managed = handle::is(result.cast(), Kind::ManagedResult);
    if is_managed {
        handle::free_object::<Remote, _>(result, family::current().ok().map(|family| family.me));
    }
    is_managed
}
