//! The objects of a server: how they are made, and how a call finds its way to one.
#![forbid(unsafe_code)]

use super::array::Array;
use super::custom::{self, Custom};
use super::dict::Dict;
use super::list::List;
use super::pool::Pool;
use super::queue::Queue;
use super::stream::Stream;
use super::sync::{Barrier, Condition, Event, Lock, Semaphore};
use super::tasks::Task;
use super::value::{Arguments, Stored, Value};
use super::{Job, Outcome, kind, no_method};
use crate::error::{Error, Result};

/// One object.
pub enum Object {
    /// A dict.
    Dict(Dict),
    /// A set.
    Set(Dict),
    /// A namespace.
    Namespace(Dict),
    /// A list.
    List(List),
    /// A value of one type.
    Value(Array),
    /// An array of one type.
    Array(Array),
    /// A queue.
    Queue(Queue),
    /// A lock.
    Lock(Lock),
    /// A semaphore.
    Semaphore(Semaphore),
    /// A condition.
    Condition(Condition),
    /// An event.
    Event(Event),
    /// A barrier.
    Barrier(Barrier),
    /// A pool.
    Pool(Pool),
    /// A task of a pool.
    Task(Task),
    /// Many items of a pool.
    Stream(Stream),
    /// One of a type that the program has brought along.
    Custom(Custom),
}

fn flag(given: &mut Arguments) -> Result<bool> {
    Ok(given.optional_integer()?.unwrap_or(0) != 0)
}

impl Object {
    /// A new object of a type. `is_lock` says whether an object is a lock.
    pub fn new(number: u8, given: Vec<Value>, is_lock: impl Fn(u64) -> bool) -> Result<Object> {
        let mut given = Arguments::new(given);
        let object = match number {
            kind::DICT | kind::NAMESPACE => {
                let dict = match given.optional() {
                    None | Some(Value::Nil) => Dict::default(),
                    Some(Value::Map(pairs)) => Dict::new(pairs)?,
                    Some(_) => return Err(Error::invalid("it is made of a map")),
                };
                if number == kind::DICT { Object::Dict(dict) } else { Object::Namespace(dict) }
            }
            kind::LIST | kind::SET => {
                let items = match given.optional() {
                    None | Some(Value::Nil) => Vec::new(),
                    Some(Value::List(items)) => items,
                    Some(_) => return Err(Error::invalid("it is made of a list")),
                };
                if number == kind::LIST {
                    Object::List(List::new(items)?)
                } else {
                    Object::Set(Dict::new(items.into_iter().map(|item| (item, Value::Nil)).collect())?)
                }
            }
            kind::VALUE => Object::Value(Array::new_value(&mut given)?),
            kind::ARRAY => Object::Array(Array::new(&mut given)?),
            kind::QUEUE => Object::Queue(Queue::new(&mut given)?),
            kind::LOCK | kind::RLOCK => Object::Lock(Lock::new(number == kind::RLOCK, flag(&mut given)?)),
            kind::SEMAPHORE | kind::BOUNDED_SEMAPHORE => {
                let units = given.optional_integer()?.unwrap_or(1);
                Object::Semaphore(Semaphore::new(units, number == kind::BOUNDED_SEMAPHORE, flag(&mut given)?)?)
            }
            kind::CONDITION => match given.need()? {
                Value::Proxy(proxy) if is_lock(proxy.object) => Object::Condition(Condition::new(proxy)?),
                _ => return Err(Error::invalid("a condition is over a lock of the same manager")),
            },
            kind::EVENT => Object::Event(Event::default()),
            kind::BARRIER => {
                let (parties, action) = (given.integer()?, given.optional().unwrap_or(Value::Nil));
                Object::Barrier(Barrier::new(parties, custom::address_of(&action)?)?)
            }
            kind::POOL | kind::RESULT | kind::ITERATOR => {
                return Err(Error::NotPermitted("objects of this type have a way of their own"));
            }
            _ => return Err(Error::NotFound("the manager has no such type")),
        };
        given.end().map(|()| object)
    }

    /// The lock that it needs.
    pub fn lock(&self) -> Option<u64> {
        if let Object::Condition(condition) = self { Some(condition.lock) } else { None }
    }

    /// Whether a call of it needs nothing else of the server.
    pub fn is_alone(&self) -> bool {
        !matches!(
            self,
            Object::Condition(_) | Object::Custom(_) | Object::Pool(_) | Object::Task(_) | Object::Stream(_)
        )
    }

    /// Attempts a call. `lock`: what [`Object::lock`] names. `taken`: what goes to the caller and comes back if he dies first.
    pub fn call(&mut self, job: &mut Job, lock: Option<&mut Object>, taken: &mut Vec<Stored>) -> Result<Outcome> {
        match (self, lock) {
            (Object::Lock(it), _) => it.call(job),
            (Object::Semaphore(it), _) => it.call(job),
            (Object::Event(it), _) => it.call(job),
            (Object::Barrier(it), _) => it.call(job),
            (Object::Queue(it), _) => it.call(job, taken),
            (Object::Condition(it), Some(Object::Lock(lock))) => it.call(job, lock),
            (Object::Condition(_), _) => Err(Error::Broken("the lock of the condition is gone".into())),
            (container, _) => container.call_container(job),
        }
    }

    fn call_container(&mut self, job: &mut Job) -> Result<Outcome> {
        // What may have to be attempted again keeps its arguments.
        let arguments = match &*job.method {
            "wait" => job.arguments.clone(),
            _ => std::mem::take(&mut job.arguments),
        };
        let (method, given, room) = (&*job.method, Arguments::new(arguments), job.room);
        match self {
            Object::Dict(it) => it.call(method, given, room),
            Object::Set(it) => it.call_set(method, given, room),
            Object::Namespace(it) => it.call_namespace(method, given, room),
            Object::List(it) => it.call(method, given, room),
            Object::Value(it) => it.call_value(method, given, room),
            Object::Array(it) => it.call(method, given, room),
            _ => Err(no_method()),
        }
    }

    /// A call does not wait any longer. `None`: it has to go on first.
    pub fn expire(&mut self, job: &mut Job) -> Option<Error> {
        match self {
            Object::Condition(it) if job.method == "wait" => {
                it.expire(job);
                return None;
            }
            Object::Barrier(it) => it.forget(job.number),
            _ => {}
        }
        Some(Error::TimedOut)
    }

    /// Whether somebody is at work at it who must not lose it.
    pub fn is_busy(&self) -> bool {
        matches!(self, Object::Custom(it) if it.is_busy())
    }

    /// Nobody waits for the call any more.
    pub fn forget(&mut self, number: u64) {
        match self {
            Object::Condition(it) => it.forget(number),
            Object::Barrier(it) => it.forget(number),
            _ => {}
        }
    }

    /// A process is gone; whether that changes something.
    pub fn lose(&mut self, session: u64) -> bool {
        match self {
            Object::Lock(it) => it.lose(session),
            Object::Semaphore(it) => it.lose(session),
            _ => false,
        }
    }
}
