//! Tasks of a server's pools: objects, as long as somebody wants to know what becomes of them.
#![forbid(unsafe_code)]

use super::custom;
use super::object::Object;
use super::pool::Pool;
use super::protocol::LONGEST;
use super::server::Server;
use super::value::{ARGUMENT, Arguments, Proxy, Stored, Value};
use super::{Job, Outcome, kind, no_method, task};
use crate::error::{Error, Result};
use crate::pool::job::{self, Verdict};
use crate::pool::map::{Outputs, Shape};
use crate::sys::clock::now_ns;
use std::sync::{Arc, Weak};

/// Items of a map at most: each is a task.
pub(super) const MOST: u64 = 1 << 20;
/// Bytes of a reply's message that are not the reply.
const AROUND: usize = 64 << 10;

/// A task, or many with one result.
pub struct Task {
    /// The number of its pool.
    pub(super) pool: u64,
    of: Weak<crate::pool::Pool>,
    job: Arc<job::Job>,
    /// Of a map that is waited for: bytes of each reply.
    reply_size: Option<usize>,
    /// Whoever submitted it waits for it: without him it is not begun any more.
    awaited: bool,
    /// What it was submitted with: counted, and what it names kept, until it is settled.
    given: Option<Stored>,
    /// It is one of many with one result, and nobody is told when it is settled.
    is_part: bool,
}

/// A whole number that fits.
pub(super) fn small<T: TryFrom<i64>>(number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| Error::invalid("the number makes no sense here"))
}

/// Refuses more items than a map has, and replies that fit into no message.
fn check_count(count: u64, reply_size: Option<usize>) -> Result<()> {
    if count > MOST {
        return Err(Error::invalid("a map over a manager's pool has at most 1048576 items"));
    }
    // With the status of each, where they are sent.
    let of_each = reply_size.map_or(0, |size| size.saturating_add(ARGUMENT));
    match of_each.saturating_mul(count as usize) {
        needed if needed > LONGEST - AROUND => Err(Error::MessageSize { needed, capacity: LONGEST - AROUND }),
        _ => Ok(()),
    }
}

/// What became of a settled job, for its client, with the statuses of its parts. A reply that is too long for a message is none.
pub(super) fn pack_outcome(verdict: &Verdict, job: &job::Job, reply: Vec<u8>, statuses: &[i32]) -> Value {
    let needed = reply.len() + statuses.len() * ARGUMENT;
    if needed > LONGEST - AROUND {
        let mut verdict = Verdict::of(Err(Error::MessageSize { needed, capacity: LONGEST - AROUND }), job.item);
        verdict.pid = job.pid();
        return pack_outcome(&verdict, job, Vec::new(), &[]);
    }
    let statuses = statuses.iter().map(|status| Value::Integer(*status as i64)).collect();
    Value::List(vec![task::pack_verdict(verdict, job.id), Value::Bytes(reply), Value::List(statuses)])
}

/// The same of a single task.
pub(super) fn outcome_of(job: &job::Job) -> Value {
    let (verdict, mut reply) = (job.verdict(), Vec::new());
    if verdict.status.is_ok() {
        job.with_reply(|all| reply.extend_from_slice(all));
    }
    pack_outcome(&verdict, job, reply, &[])
}

impl Task {
    /// What is not begun of it never is.
    fn abandon(&self) {
        let Some(pool) = self.of.upgrade().filter(|_| !self.job.is_settled()) else { return };
        pool.with_desk(|desk| match self.job.parts() {
            Some(_) => desk.forget(&self.job),
            None => desk.abandon_job(&self.job),
        });
    }

    /// Verdict, reply, and of a map that is waited for the statuses of its items.
    fn outcome(&self) -> Result<Value> {
        let Some(parts) = self.job.parts() else { return Ok(outcome_of(&self.job)) };
        let (mut verdict, mut statuses, mut reply) = (self.job.verdict(), Vec::new(), Vec::new());
        match (self.reply_size, self.of.upgrade()) {
            (Some(reply_size), Some(pool)) => {
                let count = parts.jobs().len();
                statuses.resize(count, 0);
                reply.resize(count * reply_size, 0);
                let shape = Shape { item_size: 0, count, reply_size };
                let outputs = Outputs { out: &mut reply, statuses: Some(&mut statuses), deadline: Some(0) };
                let failed = pool.finish_batch(&self.job, shape, outputs)?;
                verdict = failed.unwrap_or_else(|| Verdict::of(Ok(()), 0));
            }
            _ if verdict.status.is_err() => {}
            _ => parts.jobs().iter().for_each(|job| job.with_reply(|part| reply.extend_from_slice(part))),
        }
        Ok(pack_outcome(&verdict, &self.job, reply, &statuses))
    }

    /// Its item `index`, as a task.
    fn item(&self, index: usize) -> Result<Task> {
        let jobs = self.job.parts().map_or(&[][..], |parts| parts.jobs());
        let job = jobs.get(index).ok_or(Error::NotFound("the result has not so many items"))?.clone();
        let of = self.of.clone();
        Ok(Task { pool: self.pool, of, job, reply_size: None, awaited: false, given: None, is_part: true })
    }

    /// It is not wanted any more, in one of three ways.
    fn end(&self, how: &str, given: &mut Arguments) -> Result<()> {
        match how {
            "stop" => self.job.stop(task::unpack_stop(given)?),
            "discard" => self.job.discard(),
            _ => {
                self.abandon();
                Ok(())
            }
        }
    }

    fn is_settled(&self) -> bool {
        self.job.is_settled_now()
    }
}

impl Server {
    /// Submits a task: `apply(function arguments options awaited)`, or as many as there are items:
    /// `map(function items options awaited item_size count reply_size)`, `starmap(function lists options awaited reply_size)`,
    /// `range(function arguments options awaited begin end)`. No reply size is -1.
    pub(super) fn submit_task(&mut self, job: &mut Job, pool: &Pool) -> Result<Value> {
        let mut given = Arguments::new(std::mem::take(&mut job.arguments));
        let function = custom::address_of(&given.need()?)?;
        let (what, options, awaited) = (given.need()?, given.list()?, given.integer()? != 0);
        let number = self.number();
        let options = task::unpack_task(&options, number as usize, awaited)?;
        let (mut cells, mut reply_size) = (Vec::new(), None);
        let of = &pool.hold.pool;
        let submit = || match (&what, &*job.method) {
            (Value::List(arguments), "apply") => {
                of.apply_async(function, (&*self.encode(arguments, &mut cells)?).into(), options)
            }
            (Value::Bytes(items), "map") => {
                let (item_size, count) = (small::<usize>(given.integer()?)?, small::<u64>(given.integer()?)?);
                reply_size = usize::try_from(given.integer()?).ok();
                check_count(count, reply_size)?;
                if item_size.checked_mul(count as usize) != Some(items.len()) {
                    return Err(Error::invalid("the size of an array is absurd"));
                }
                of.map_async(function, items, item_size, count as usize, &options)
            }
            (Value::List(lists), "starmap") => {
                reply_size = usize::try_from(given.integer()?).ok();
                check_count(lists.len() as u64, reply_size)?;
                let arguments = &mut |index: u64| match &lists[index as usize] {
                    Value::List(arguments) => self.encode(arguments, &mut cells),
                    _ => Err(Error::invalid("an item of a starmap is a list of arguments")),
                };
                of.batch(function, lists.len() as u64, &options, |index| index, arguments)
            }
            (Value::List(rest), "range") => {
                let ranges = of.ranges(given.integer()?..given.integer()?, options.chunk)?;
                reply_size = Some(0);
                check_count(ranges.count(), reply_size)?;
                let arguments = &mut |index| {
                    let (begin, end) = ranges.bounds(index);
                    let arguments = [&[Value::Integer(begin), Value::Integer(end)], &rest[..]].concat();
                    self.encode(&arguments, &mut cells)
                };
                of.batch_of_ranges(function, &ranges, &options, arguments)
            }
            _ => Err(Error::invalid("a task has a list of arguments, a map an array")),
        };
        let submitted = submit();
        self.put_cells_away(&cells);
        let (submitted, given) = (submitted?, Some(Stored::new(what)?));
        let of = Arc::downgrade(of);
        let task = Task { pool: pool.number, of, job: submitted, reply_size, awaited, given, is_part: false };
        self.add_as(number, kind::RESULT, Object::Task(task), false);
        Ok(Value::Proxy(Proxy { object: number, kind: kind::RESULT }))
    }

    /// Attempts a call of a task that was taken out of its entry.
    pub(super) fn call_task(&mut self, job: &mut Job, task: &mut Task) -> Result<Outcome> {
        let mut given = Arguments::new(job.arguments.clone());
        let value = match &*job.method {
            "wait" if task.is_settled() => task.outcome()?,
            "wait" => {
                if task.is_part {
                    self.watched.insert(job.object);
                }
                return Ok(Outcome::Wait);
            }
            "wait_any" => match self.first_settled(job, task) {
                Some(index) => Value::Integer(index as i64),
                None => {
                    self.watched.insert(job.object);
                    return Ok(Outcome::Wait);
                }
            },
            "count" => Value::Integer(task.job.parts().map_or(1, |parts| parts.jobs().len()) as i64),
            "item" => {
                let item = task.item(small(given.integer()?)?)?;
                let object = self.add(kind::RESULT, Object::Task(item), false);
                Value::Proxy(Proxy { object, kind: kind::RESULT })
            }
            "pid" => Value::Integer(task.job.begun_by() as i64),
            "stop" | "discard" | "abandon" => {
                // What is settled by that makes no descriptor readable.
                self.stirred.push(task.pool);
                task.end(&job.method, &mut given)?;
                Value::Nil
            }
            _ => return Err(no_method()),
        };
        Ok(Outcome::Done(value))
    }

    /// The first that is settled of a task and those that `job` names.
    fn first_settled(&self, job: &Job, task: &Task) -> Option<usize> {
        let is_settled = |value: &Value| match value {
            Value::Proxy(proxy) if proxy.object == job.object => task.is_settled(),
            Value::Proxy(proxy) => match self.entries.get(&proxy.object).map(|entry| &entry.object) {
                Some(Some(Object::Task(other))) => other.is_settled(),
                _ => false,
            },
            _ => false,
        };
        job.arguments.iter().position(is_settled)
    }

    /// A task, or an item of many, may be settled.
    pub(super) fn tell_task(&mut self, number: u64) {
        let is_settled = match self.entries.get_mut(&number).map(|entry| &mut entry.object) {
            Some(Some(Object::Task(task))) if task.job.is_settled() => {
                task.given = None;
                true
            }
            Some(Some(Object::Stream(stream))) => {
                stream.forget_settled();
                true
            }
            _ => false,
        };
        // The worker's pins of what its arguments name go soon.
        if is_settled {
            self.sweeps.soon(now_ns());
        }
        self.settle(number);
    }

    /// Somebody who waits and is not told may go on.
    pub(super) fn settle_watched(&mut self) {
        for task in std::mem::take(&mut self.watched) {
            self.settle(task);
        }
    }

    /// Nobody wants to know of a task any more.
    pub(super) fn discard_task(&mut self, task: &Task) {
        if task.awaited {
            task.abandon();
            self.stirred.push(task.pool);
        }
    }
}
