//! Queues of a server.
#![forbid(unsafe_code)]

use super::value::{Arguments, Stored, Value};
use super::{Job, Outcome, fit, no_method};
use crate::error::{Error, Result};
use std::collections::VecDeque;

/// A queue.
pub struct Queue {
    items: VecDeque<Stored>,
    most: usize,
    most_bytes: usize,
    /// What the items hold.
    bytes: usize,
    /// Put, and not yet said to be done.
    unfinished: u64,
    /// Nobody puts any more.
    shut: bool,
}

const SHUT: Error = Error::Closed("the queue was shut down");

fn limit(given: Option<i64>) -> usize {
    given.and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0).unwrap_or(usize::MAX)
}

fn done(value: Value) -> Result<Outcome> {
    Ok(Outcome::Done(value))
}

impl Queue {
    /// A queue of at most so many items, and so many bytes in them; 0 for any number.
    pub fn new(given: &mut Arguments) -> Result<Queue> {
        let (most, most_bytes) = (limit(given.optional_integer()?), limit(given.optional_integer()?));
        Ok(Queue { items: VecDeque::new(), most, most_bytes, bytes: 0, unfinished: 0, shut: false })
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.most || self.bytes >= self.most_bytes
    }

    /// Attempts a call. `taken`: what goes to the caller, and comes back if he dies first.
    pub fn call(&mut self, job: &mut Job, taken: &mut Vec<Stored>) -> Result<Outcome> {
        match &*job.method {
            "put" | "put_many" => self.put(job),
            "get" => self.get(job, taken),
            "get_many" => self.get_many(job, taken),
            "task_done" => {
                let left = self.unfinished.checked_sub(1);
                self.unfinished = left.ok_or(Error::NotPermitted("more tasks are done than were put"))?;
                done(Value::Nil)
            }
            "join" if self.unfinished > 0 => Ok(Outcome::Wait),
            "join" => done(Value::Nil),
            "shutdown" => {
                self.shut = true;
                done(Value::Nil)
            }
            "size" => done(Value::Integer(self.items.len() as i64)),
            "empty" => done(Value::Bool(self.items.is_empty())),
            "full" => done(Value::Bool(self.is_full())),
            _ => Err(no_method()),
        }
    }

    /// Puts one item, or all of a list, when there is room for all.
    fn put(&mut self, job: &mut Job) -> Result<Outcome> {
        if self.shut {
            return Err(SHUT);
        }
        let items = match (&*job.method, &job.arguments[..]) {
            ("put", [item]) => std::slice::from_ref(item),
            ("put_many", [Value::List(items)]) => items,
            _ => return Err(Error::invalid("put needs an item, put_many a list of items")),
        };
        let bytes: usize = items.iter().map(Value::payload).sum();
        if items.len() > self.most || bytes > self.most_bytes {
            return Err(Error::MessageSize { needed: bytes, capacity: self.most_bytes });
        }
        if items.len() > self.most - self.items.len() || bytes > self.most_bytes - self.bytes {
            return Ok(Outcome::Wait);
        }
        let items = match std::mem::take(&mut job.arguments).pop() {
            Some(Value::List(items)) if job.method == "put_many" => items,
            item => item.into_iter().collect(),
        };
        let items = Stored::all(items)?;
        self.unfinished += items.len() as u64;
        self.bytes += bytes;
        self.items.extend(items);
        done(Value::Nil)
    }

    fn take(&mut self) -> Option<Stored> {
        let item = self.items.pop_front()?;
        self.bytes -= item.value().payload();
        Some(item)
    }

    /// What there is for one who wants something, and waits for it.
    fn front(&self) -> Result<Option<&Value>> {
        match self.items.front() {
            None if self.shut => Err(SHUT),
            front => Ok(front.map(Stored::value)),
        }
    }

    fn get(&mut self, job: &Job, taken: &mut Vec<Stored>) -> Result<Outcome> {
        let Some(item) = self.front()? else { return Ok(Outcome::Wait) };
        fit(item, job.room)?;
        let value = item.clone();
        taken.extend(self.take());
        done(value)
    }

    /// Up to so many items of bytes, each of which has so much room: a list. What is longer, or no bytes, stays.
    fn get_many(&mut self, job: &Job, taken: &mut Vec<Stored>) -> Result<Outcome> {
        let [Value::Integer(most), Value::Integer(capacity)] = &job.arguments[..] else {
            return Err(Error::invalid("get_many needs how many items, and their length"));
        };
        let capacity = usize::try_from(*capacity).unwrap_or(0);
        match self.front()? {
            None => return Ok(Outcome::Wait),
            Some(Value::Bytes(bytes)) if bytes.len() <= capacity => {}
            Some(Value::Bytes(bytes)) => return Err(Error::MessageSize { needed: bytes.len(), capacity }),
            Some(_) => return Err(Error::invalid("the next item is no bytes: get it by carom_proxy_call")),
        }
        let mut values = Vec::new();
        while (values.len() as i64) < *most
            && let Ok(Some(Value::Bytes(bytes))) = self.front()
            && bytes.len() <= capacity
        {
            values.push(Value::Bytes(bytes.clone()));
            taken.extend(self.take());
        }
        done(Value::List(values))
    }

    /// What was taken did not arrive: it comes first again, in its order.
    pub fn give_back(&mut self, items: Vec<Stored>) {
        for item in items.into_iter().rev() {
            self.bytes += item.value().payload();
            self.items.push_front(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::super::{Phase, Who};
    use super::*;

    fn call(queue: &mut Queue, method: &str, arguments: Vec<Value>) -> (Result<Outcome>, Vec<Stored>) {
        let who = Who { session: 1, thread: 1 };
        let mut job = Job {
            number: 1,
            client: 1,
            who,
            object: 1,
            method: method.into(),
            arguments,
            room: None,
            deadline: None,
            phase: Phase::Fresh,
        };
        let mut taken = Vec::new();
        (queue.call(&mut job, &mut taken), taken)
    }

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.into())
    }

    #[test]
    fn batches_are_whole_and_come_back_in_order() {
        value::set_limits(1 << 20, 1 << 20);
        let mut given = Arguments::new(vec![Value::Integer(3), Value::Integer(10)]);
        let mut queue = Queue::new(&mut given).unwrap();
        let nothing = || Ok(Outcome::Done(Value::Nil));
        let list = |texts: &[&str]| Value::List(texts.iter().map(|text| bytes(text)).collect());
        assert_eq!(call(&mut queue, "put_many", vec![list(&["a", "bb"])]).0, nothing());
        assert_eq!(call(&mut queue, "put_many", vec![list(&["c", "d"])]).0, Ok(Outcome::Wait));
        assert!(matches!(call(&mut queue, "put_many", vec![list(&["c"; 4])]).0, Err(Error::MessageSize { .. })));
        assert_eq!(call(&mut queue, "put", vec![bytes("12345678")]).0, Ok(Outcome::Wait));
        assert!(matches!(call(&mut queue, "put", vec![bytes("12345678901")]).0, Err(Error::MessageSize { .. })));
        let most = || vec![Value::Integer(5), Value::Integer(2)];
        let (got, taken) = call(&mut queue, "get_many", most());
        assert_eq!(got, Ok(Outcome::Done(list(&["a", "bb"]))));
        queue.give_back(taken);
        let (got, taken) = call(&mut queue, "get_many", vec![Value::Integer(5), Value::Integer(1)]);
        assert_eq!(got, Ok(Outcome::Done(list(&["a"]))));
        drop(taken);
        let too_long = call(&mut queue, "get_many", vec![Value::Integer(5), Value::Integer(1)]).0;
        assert!(matches!(too_long, Err(Error::MessageSize { needed: 2, .. })));
        assert_eq!(call(&mut queue, "shutdown", vec![]).0, nothing());
        assert_eq!(call(&mut queue, "put", vec![bytes("x")]).0, Err(SHUT));
        assert_eq!(call(&mut queue, "get", vec![]).0, Ok(Outcome::Done(bytes("bb"))));
        assert_eq!(call(&mut queue, "get", vec![]).0, Err(SHUT));
        drop(queue);
        assert_eq!(value::bytes(), 0);
    }
}
