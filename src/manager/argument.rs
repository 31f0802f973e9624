//! What C passes, as it goes to a server.
#![forbid(unsafe_code)]

use super::client::proxy_of;
use super::protocol::LONGEST;
use super::value::{Scalar, Value};
use crate::error::{Error, Result};
use crate::shm::arena::Arena;
use crate::shm::cell::{Kind, Reference};
use crate::wire::Argument;
use std::sync::atomic::Ordering::Acquire;

fn gone() -> Error {
    Error::BadHandle("the manager of the object is gone".into())
}

/// What an argument says that is a scalar, where it lies.
pub fn to_scalar<'a>(argument: &Argument<'a>) -> Result<Option<Scalar<'a>>> {
    Ok(Some(match argument {
        Argument::Nil => Scalar::Nil,
        Argument::Bool(bool) => Scalar::Bool(*bool),
        Argument::Integer(number) => Scalar::Integer(*number),
        Argument::Real(number) => Scalar::Real(*number),
        Argument::Bytes(bytes) => Scalar::Bytes(sendable(bytes)?),
        Argument::String(bytes) => Scalar::String(sendable(bytes)?),
        _ => return Ok(None),
    }))
}

/// What an argument says, for a server: handles must be of its objects.
pub fn to_value(manager: (u64, u32), argument: &Argument<'_>) -> Result<Value> {
    if let Some(scalar) = to_scalar(argument)? {
        return Ok(scalar.into());
    }
    Ok(match argument {
        Argument::List(items) => {
            Value::List(items.iter().map(|item| to_value(manager, item)).collect::<Result<Vec<_>>>()?)
        }
        Argument::Map(pairs) => {
            let pair =
                |(key, value): &(Argument<'_>, Argument<'_>)| Ok((to_value(manager, key)?, to_value(manager, value)?));
            Value::Map(pairs.iter().map(pair).collect::<Result<Vec<_>>>()?)
        }
        Argument::Handle(bits) => {
            let reference = Reference::from_bits(*bits);
            let cell = Arena::get().and_then(|arena| reference.cell(arena)).ok_or_else(gone)?;
            let its = Reference::from_bits(cell.refers_to.load(Acquire));
            let same = cell.kind() == Kind::Proxy && (its.index, its.generation) == manager;
            if !same {
                return Err(Error::invalid("only objects of the same manager can be put into an object of a manager"));
            }
            Value::Proxy(proxy_of(cell))
        }
        _ => {
            return Err(Error::Unsupported("a manager takes no descriptors"));
        }
    })
}

/// Bytes that can be sent at all.
fn sendable(bytes: &[u8]) -> Result<&[u8]> {
    match bytes.len() {
        len if len > LONGEST => Err(Error::MessageSize { needed: len, capacity: LONGEST }),
        _ => Ok(bytes),
    }
}
