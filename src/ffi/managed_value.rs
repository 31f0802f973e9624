//! The functions of values and arrays for those of a manager. Every one begins with the error of the local way, on which no
//! look for a manager is lost.

use super::handle::Kind;
use super::object::managed;
use crate::error::{Error, Result};
use crate::manager::client::Target;
use crate::manager::value::Value;

fn target<T>(object: *mut T, kind: Kind, error: Error) -> Result<Target> {
    managed(object, kind)?.ok_or(error)
}

fn strange() -> Error {
    Error::Broken("the server answered something else".into())
}

fn number(number: usize) -> Result<Value> {
    i64::try_from(number).map(Value::Integer).map_err(|_| Error::invalid("the array has no such items"))
}

/// The bytes of items; what is more than there is room for is refused.
#[cold]
pub(super) fn load<T>(
    object: *mut T,
    kind: Kind,
    error: Error,
    (first, count): (usize, usize),
    timeout_ms: i64,
) -> Result<Vec<u8>> {
    match target(object, kind, error)?.ask("load", vec![number(first)?, number(count)?], timeout_ms)? {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(strange()),
    }
}

/// Other bytes for items from `first` on.
#[cold]
pub(super) fn store<T>(
    object: *mut T,
    kind: Kind,
    error: Error,
    first: usize,
    bytes: &[u8],
    timeout_ms: i64,
) -> Result<()> {
    let arguments = vec![number(first)?, Value::Bytes(bytes.to_vec())];
    target(object, kind, error)?.ask("store", arguments, timeout_ms).map(|_| ())
}

/// Type, length of an item, and how many there are.
#[cold]
pub(super) fn shape<T>(object: *mut T, kind: Kind, error: Error) -> Result<[i64; 3]> {
    match target(object, kind, error)?.ask("shape", Vec::new(), 0)? {
        Value::List(numbers) => match &numbers[..] {
            [Value::Integer(letter), Value::Integer(size), Value::Integer(count)] => Ok([*letter, *size, *count]),
            _ => Err(strange()),
        },
        _ => Err(strange()),
    }
}

/// Changes an integer in one step; what was there before.
#[cold]
pub(super) fn atomic<T>(object: *mut T, error: Error, operation: &str, operand: i64, expected: i64) -> Result<i64> {
    let arguments = vec![Value::text(operation), Value::Integer(operand), Value::Integer(expected)];
    target(object, Kind::Value, error)?.ask("atomic", arguments, 0)?.integer()
}
