//! The functions of pools and results for those of a manager. Every one begins with the error of the local way, on which no
//! look for a manager is lost.

use super::boundary::{bytes, bytes_mut, write_optional};
use super::call::{self, carom_argument, carom_function};
use super::handle::{self, Kind, Object, Use};
use super::managed::{target, values};
use super::options;
use super::pool::{absurd, carom_pool, statuses};
use super::pool_options::{carom_task_options, task_options};
use super::result::{self, carom_result, carom_verdict};
use crate::error::{Error, Result};
use crate::family;
use crate::manager::client::Target;
use crate::manager::custom::identity_of;
use crate::manager::task::{self, Remote, Seen, pack_task};
use crate::manager::value::Value;
use crate::pool::{PoolInfo, TaskOptions};
use std::ffi::c_void;

impl Object for Remote {
    const KIND: Kind = Kind::ManagedResult;
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
    target.call(method, arguments, None, 0, |value, adopt| match value {
        Value::Proxy(proxy) => Remote::new(adopt(*proxy)?),
        _ => Err(Error::Broken("the server answered something else".into())),
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
    let (target, (shown, options)) = (pool_of(pool)?, task_options(options)?);
    let out = bytes_mut(out, count.checked_mul(out_size).ok_or_else(absurd)?)?;
    let places = statuses(&shown, count)?;
    let (items, item_size, number) = items(data, item_size, count)?;
    let reply_size = i64::try_from(out_size).map_err(|_| absurd())?;
    let task = submit(&target, function, "map", items, &options.awaited()?, &[item_size, number, reply_size])?;
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

/// Calls a method that gives nothing.
#[cold]
pub(super) fn order(pool: *mut carom_pool, method: &str, timeout_ms: i64) -> Result<()> {
    pool_of(pool)?.order(method, timeout_ms)
}

#[cold]
pub(super) fn info(pool: *mut carom_pool) -> Result<PoolInfo> {
    task::unpack_info(&pool_of(pool)?.ask("info", Vec::new(), 0)?)
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

/// Ends a handle of one; whether it was one.
pub(super) fn free_result(result: *mut carom_result) -> bool {
    let is_managed = handle::is(result.cast(), Kind::ManagedResult);
    if is_managed {
        handle::free_object::<Remote, _>(result, family::current().ok().map(|family| family.me));
    }
    is_managed
}
