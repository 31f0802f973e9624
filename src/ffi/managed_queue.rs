//! The functions of queues for those of a manager. Every one begins with the error of the local way, on which no look for a
//! manager is lost.

use super::boundary;
use super::handle::{self, Kind};
use super::queue::carom_queue;
use crate::error::{Error, Result};
use crate::family;
use crate::manager::client::Target;
use crate::manager::value::Value;
use crate::shm::cell;

/// The object of a manager behind the handle, and whether this process puts no more; `error` if it is none.
fn target(queue: *mut carom_queue, error: Error) -> Result<(Target, bool)> {
    match handle::held(queue, Kind::Queue, family::current()?.me) {
        Ok((cell, generation, _, closed)) if cell.kind() == cell::Kind::Proxy => {
            Ok((Target::of(cell, generation)?, closed))
        }
        _ => Err(error),
    }
}

/// Puts messages of so many bytes each, which lie behind each other, in one step.
#[cold]
pub(super) fn put(
    queue: *mut carom_queue,
    error: Error,
    items: &[u8],
    item_size: usize,
    count: usize,
    timeout_ms: i64,
) -> Result<()> {
    let (target, closed) = target(queue, error)?;
    if closed {
        return Err(Error::Closed("the queue was closed by this process"));
    }
    let item = |index: usize| Value::Bytes(items[index * item_size..][..item_size].to_vec());
    let (method, argument) = match count {
        1 => ("put", item(0)),
        count => ("put_many", Value::List((0..count).map(item).collect())),
    };
    target.ask(method, vec![argument], timeout_ms).map(|_| ())
}

/// Gets up to `most` messages; the length of each goes to `lens`, as far as there is room.
#[cold]
pub(super) fn get(
    queue: *mut carom_queue,
    error: Error,
    room: &mut [u8],
    item_size: usize,
    most: usize,
    lens: &mut [usize],
    timeout_ms: i64,
) -> Result<usize> {
    let (target, _) = target(queue, error)?;
    let number = |number: usize| Value::Integer(number.min(i64::MAX as usize) as i64);
    let got = target.call("get_many", vec![number(most), number(item_size)], None, timeout_ms, |value, _| {
        let Value::List(items) = value else { return Err(strange()) };
        for (index, item) in items.iter().take(most).enumerate() {
            let Value::Bytes(bytes) = item else { return Err(strange()) };
            let place = room.get_mut(index * item_size..).and_then(|rest| rest.get_mut(..bytes.len()));
            place.ok_or_else(strange)?.copy_from_slice(bytes);
            if let Some(len) = lens.get_mut(index) {
                *len = bytes.len();
            }
        }
        Ok(items.len())
    });
    got.map_err(|error| match error {
        Error::MessageSize { needed, .. } => Error::MessageSize { needed, capacity: item_size },
        error => error,
    })
}

fn strange() -> Error {
    Error::Broken("the server answered something else".into())
}

/// Calls a method without arguments that gives nothing.
#[cold]
pub(super) fn order(queue: *mut carom_queue, error: Error, method: &str, timeout_ms: i64) -> Result<()> {
    target(queue, error)?.0.order(method, timeout_ms)
}

/// The same for a number or a truth value.
#[cold]
pub(super) fn ask(queue: *mut carom_queue, error: Error, method: &str) -> Result<i64> {
    target(queue, error)?.0.number(method)
}

/// Only the memory of a family tells whoever polls: what a server has is asked for.
#[cold]
pub(super) fn no_descriptor<T>(queue: *mut carom_queue, error: Error) -> Result<T> {
    target(queue, error)?;
    Err(Error::Unsupported("a queue of a manager has no descriptor to poll: get from it, in a thread if need be"))
}

/// This process puts no more through this handle.
#[cold]
pub(super) fn close(queue: *mut carom_queue, error: Error) -> Result<()> {
    target(queue, error)?;
    handle::close(queue, Kind::Queue)
}

/// A result that does not fit says how long it is.
pub(super) fn say_needed<T>(result: Result<T>, len: *mut usize) -> Result<T> {
    if let Err(Error::MessageSize { needed, .. }) = result {
        boundary::write_optional(len, needed);
    }
    result
}
