//! Managers: objects that a process serves to others, of its family or on other machines.
//!
//! [`server`] is one thread that owns all objects and answers one request after the other; [`client`] is a process's way to
//! it. What a process has of an object is a *proxy*, a cell of its family's arena: it travels as every other shared object
//! does, and the object lives as long as the cell. A server of the same family looks at the cells itself, so that nothing has
//! to be counted and no death can be missed; to one of another family the process that got the proxy answers for it.
#![forbid(unsafe_code)]

mod account;
pub mod argument;
mod array;
pub mod client;
mod crew;
pub mod custom;
mod dict;
pub mod items;
mod lane;
mod list;
mod numbers;
mod object;
mod pool;
pub mod protocol;
mod queue;
mod quick;
mod reception;
mod references;
mod server;
mod start;
mod stream;
mod sync;
pub mod task;
mod tasks;
#[cfg(test)]
mod tests;
pub mod value;

pub use start::{First, Manager, Options, run, serve};

use crate::error::{Error, Result};
use value::Value;

/// What the dict is called that every server has.
pub const DIRECTORY: &str = "directory";

/// Types of objects, by number.
pub mod kind {
    /// A dict.
    pub const DICT: u8 = 1;
    /// A list.
    pub const LIST: u8 = 2;
    /// A set.
    pub const SET: u8 = 3;
    /// A namespace.
    pub const NAMESPACE: u8 = 4;
    /// A value of one type.
    pub const VALUE: u8 = 5;
    /// An array of one type.
    pub const ARRAY: u8 = 6;
    /// A queue.
    pub const QUEUE: u8 = 7;
    /// A lock.
    pub const LOCK: u8 = 8;
    /// A recursive lock.
    pub const RLOCK: u8 = 9;
    /// A semaphore.
    pub const SEMAPHORE: u8 = 10;
    /// A semaphore that never has more units than at first.
    pub const BOUNDED_SEMAPHORE: u8 = 11;
    /// A condition.
    pub const CONDITION: u8 = 12;
    /// An event.
    pub const EVENT: u8 = 13;
    /// A barrier.
    pub const BARRIER: u8 = 14;
    /// A pool.
    pub const POOL: u8 = 15;
    /// A task of a pool.
    pub const RESULT: u8 = 16;
    /// Many items of a pool, whose results come one by one.
    pub const ITERATOR: u8 = 17;

    /// Those that store what their users give them.
    pub const CONTAINERS: [u8; 4] = [DICT, LIST, NAMESPACE, QUEUE];

    /// The first of the types that a program brings along.
    pub const CUSTOM: u8 = 64;

    /// Their names, those of billiard.
    pub const NAMES: [(&str, u8); 19] = [
        (super::DIRECTORY, DICT),
        ("dict", DICT),
        ("list", LIST),
        ("set", SET),
        ("Namespace", NAMESPACE),
        ("Value", VALUE),
        ("Array", ARRAY),
        ("Queue", QUEUE),
        ("JoinableQueue", QUEUE),
        ("Lock", LOCK),
        ("RLock", RLOCK),
        ("Semaphore", SEMAPHORE),
        ("BoundedSemaphore", BOUNDED_SEMAPHORE),
        ("Condition", CONDITION),
        ("Event", EVENT),
        ("Barrier", BARRIER),
        ("Pool", POOL),
        ("AsyncResult", RESULT),
        ("Iterator", ITERATOR),
    ];
}

/// Who calls: a process, and a thread of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The server's number of the process.
    pub session: u64,
    /// The process's number of the thread.
    pub thread: i64,
}

/// How far a call that waits has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has happened.
    Fresh,
    /// It is noted down as waiting; a condition's lock was released, with so many levels.
    Asleep {
        /// Levels of the lock.
        levels: u64,
    },
    /// It waits to have its lock again.
    Returning {
        /// Levels of the lock.
        levels: u64,
        /// Its time was over before the notification.
        late: bool,
    },
}

/// One call of a method.
#[derive(Debug)]
pub struct Job {
    /// Its number, never used again.
    pub number: u64,
    /// The connection that waits for the reply.
    pub client: u64,
    /// Who calls.
    pub who: Who,
    /// The object.
    pub object: u64,
    /// The method.
    pub method: String,
    /// What it is called with; taken when it is done.
    pub arguments: Vec<Value>,
    /// Bytes that the result may take.
    pub room: Option<usize>,
    /// When its time is over.
    pub deadline: Option<u64>,
    /// How far it is.
    pub phase: Phase,
}

/// What becomes of a call.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Its result.
    Done(Value),
    /// It has to wait.
    Wait,
}

/// Whether a result fits, before what it is of is taken out.
fn fit(value: &Value, room: Option<usize>) -> Result<()> {
    match room {
        Some(capacity) if value.room() > capacity => Err(Error::MessageSize { needed: value.room(), capacity }),
        _ => Ok(()),
    }
}

/// Room for one part after the other of a result.
struct Room {
    left: usize,
    is_new: bool,
}

impl Room {
    /// Of a walk in batches: less what the list around the parts takes.
    fn of_walk(room: Option<usize>) -> Room {
        let left = room.map_or(usize::MAX, |room| room.saturating_sub(4 * value::ARGUMENT));
        Room { left, is_new: true }
    }

    /// Whether one more part fits, of so many bytes. Not even the first one: an error.
    fn takes(&mut self, needed: usize) -> Result<bool> {
        match self.left.checked_sub(needed) {
            None if self.is_new => Err(Error::MessageSize { needed, capacity: self.left }),
            None => Ok(false),
            Some(left) => {
                (self.left, self.is_new) = (left, false);
                Ok(true)
            }
        }
    }
}

fn no_method() -> Error {
    Error::NotFound("the object has no such method")
}
