//! Pools of a server: functions of its clients run in workers of its own.
//!
//! The pool's host is the server's loop, which never waits for it: the pool's descriptor is among those that the loop polls, and
//! what is settled then is told to whoever waits for it. A task is an object too, so that it goes with the last who needs it:
//! what is begun of it runs on, and the reply is dropped. The pool itself ends as every object does.
#![forbid(unsafe_code)]

use super::custom;
use super::object::Object;
use super::server::{SWEEP_NS, Server};
use super::value::{Arguments, Proxy, Stored, Value};
use super::{Job, Outcome, kind, no_method, task};
use crate::error::{Error, Result};
use crate::pool::desk::Stop;
use crate::pool::job::{self, Verdict};
use crate::pool::map::{Outputs, Shape};
use crate::pool::{Hold, HookOf, Options, event};
use crate::sys::clock::now_ns;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};

/// Items of a map at most: each is a task.
const MOST: i64 = 1 << 20;

/// A pool.
pub struct Pool {
    hold: Hold,
    fd: RawFd,
    /// Its own number among the objects.
    number: u64,
}

/// A task, or many with one result.
pub struct Task {
    /// The number of its pool.
    pool: u64,
    of: Weak<crate::pool::Pool>,
    job: Arc<job::Job>,
    /// Of a map that is waited for: bytes of each reply.
    reply_size: Option<usize>,
    /// Whoever submitted it waits for it: without him it is not begun any more.
    awaited: bool,
    /// What it was submitted with: counted, and what it names kept, until it is settled.
    given: Option<Stored>,
}

/// A whole number that is no less than zero.
fn size(number: i64) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::invalid("a number of things is not negative"))
}

impl Pool {
    /// The tasks that are settled since the last time.
    fn news(&self) -> Vec<u64> {
        let pool = &self.hold.pool;
        let _ = pool.dispatch(0);
        let mut settled = Vec::new();
        while let Ok(event) = pool.next_event(Some(0)) {
            settled.extend(event.job.map(|job| job.context as u64));
        }
        settled.sort_unstable();
        settled.dedup();
        settled
    }
}

impl Task {
    /// Attempts a call.
    pub fn call(&mut self, job: &mut Job) -> Result<Outcome> {
        let mut given = Arguments::new(job.arguments.clone());
        let value = match &*job.method {
            "wait" if !self.job.is_settled_now() => return Ok(Outcome::Wait),
            "wait" => self.outcome()?,
            "pid" => Value::Integer(self.job.begun_by() as i64),
            "stop" => {
                let (grace, signal) = (given.integer()?, given.integer()?);
                self.job.stop(Stop { grace_ns: u64::try_from(grace).ok(), signal: signal as i32 })?;
                Value::Nil
            }
            "discard" => {
                self.job.discard()?;
                Value::Nil
            }
            "abandon" => {
                self.abandon();
                Value::Nil
            }
            _ => return Err(no_method()),
        };
        Ok(Outcome::Done(value))
    }

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
        let (mut verdict, mut statuses) = (self.job.verdict(), Vec::new());
        let mut reply = Vec::new();
        match (self.job.parts(), self.reply_size, self.of.upgrade()) {
            (Some(parts), Some(reply_size), Some(pool)) => {
                let count = parts.jobs().len();
                statuses.resize(count, 0);
                reply.resize(count * reply_size, 0);
                let shape = Shape { item_size: 0, count, reply_size };
                let outputs = Outputs { out: &mut reply, statuses: Some(&mut statuses), deadline: Some(0) };
                let failed = pool.finish_batch(&self.job, shape, outputs)?;
                verdict = failed.unwrap_or_else(|| Verdict::of(Ok(()), 0));
            }
            _ if verdict.status.is_err() => {}
            (Some(parts), ..) => {
                parts.jobs().iter().for_each(|job| job.with_reply(|part| reply.extend_from_slice(part)));
            }
            (None, ..) => self.job.with_reply(|all| reply.extend_from_slice(all)),
        }
        let statuses = statuses.into_iter().map(|status| Value::Integer(status as i64)).collect();
        Ok(Value::List(vec![task::pack_verdict(&verdict, self.job.id), Value::Bytes(reply), Value::List(statuses)]))
    }
}

impl Server {
    /// Makes a pool; its number.
    pub(super) fn make_pool(&mut self, given: Vec<Value>, persistent: bool) -> Result<u64> {
        let mut given = Arguments::new(given);
        let numbers = given.list()?;
        let mut cells = Vec::new();
        let mut hook = || -> Result<(usize, Vec<u8>)> {
            let (function, arguments) = (given.need()?, given.list()?);
            Ok((custom::address_of(&function)?, self.encode(&arguments, &mut cells)?))
        };
        let made = hook().and_then(|first| Ok((first, hook()?))).and_then(|(first, last)| {
            let options = Options {
                events: event::DONE | event::BROKEN,
                initializer: HookOf { address: first.0, arguments: &first.1 },
                finalizer: HookOf { address: last.0, arguments: &last.1 },
                ..task::unpack_pool(&numbers)?
            };
            Hold::new(options, None)
        });
        self.put_cells_away(&cells);
        let hold = made?;
        let (fd, number) = (hold.pool.fd()?, self.number());
        self.reception.watch_pool(fd, number)?;
        self.add_as(number, kind::POOL, Object::Pool(Pool { hold, fd, number }), persistent);
        Ok(number)
    }

    /// Attempts a call of a pool that was taken out of its entry.
    pub(super) fn call_pool(&mut self, job: &mut Job, pool: &mut Pool) -> Result<Outcome> {
        let of = &pool.hold.pool;
        let value = match &*job.method {
            "apply" | "map" => self.submit_task(job, pool)?,
            "close" => {
                of.close()?;
                Value::Nil
            }
            "terminate" => {
                of.terminate()?;
                Value::Nil
            }
            "join" => match of.join(Some(now_ns())) {
                Err(Error::TimedOut) => return Ok(Outcome::Wait),
                joined => joined.map(|()| Value::Nil)?,
            },
            "info" => task::pack_info(&of.info()?),
            _ => return Err(no_method()),
        };
        // What is settled by that makes no descriptor readable.
        self.stirred.push(pool.number);
        Ok(Outcome::Done(value))
    }

    /// Submits a task: `apply(function arguments options awaited)`, or
    /// `map(function items options awaited item_size count reply_size)`, where no reply size is -1.
    fn submit_task(&mut self, job: &mut Job, pool: &Pool) -> Result<Value> {
        let mut given = Arguments::new(std::mem::take(&mut job.arguments));
        let function = custom::address_of(&given.need()?)?;
        let (what, options, awaited) = (given.need()?, given.list()?, given.integer()? != 0);
        let number = self.number();
        let options = task::unpack_task(&options, number as usize, awaited)?;
        let (mut cells, mut reply_size) = (Vec::new(), None);
        let of = &pool.hold.pool;
        let submitted = match (&what, &*job.method) {
            (Value::List(arguments), "apply") => {
                let encoded = self.encode(arguments, &mut cells);
                encoded.and_then(|encoded| of.apply_async(function, &encoded, options))
            }
            (Value::Bytes(items), "map") => {
                let (item_size, count) = (size(given.integer()?)?, given.integer()?);
                reply_size = usize::try_from(given.integer()?).ok();
                if !(0..=MOST).contains(&count) || item_size.checked_mul(count as usize) != Some(items.len()) {
                    return Err(Error::invalid("a map over a manager's pool has at most 1048576 items"));
                }
                of.map_async(function, items, item_size, count as usize, &options)
            }
            _ => Err(Error::invalid("a task has a list of arguments, a map an array")),
        };
        self.put_cells_away(&cells);
        let (submitted, given) = (submitted?, Some(Stored::new(what)?));
        let of = Arc::downgrade(of);
        let task = Task { pool: pool.number, of, job: submitted, reply_size, awaited, given };
        self.add_as(number, kind::RESULT, Object::Task(task), false);
        Ok(Value::Proxy(Proxy { object: number, kind: kind::RESULT }))
    }

    /// Something has come from a pool's workers, or they are gone.
    pub(super) fn hear_pool(&mut self, number: u64) {
        let Some(Some(Object::Pool(pool))) = self.entries.get(&number).map(|entry| &entry.object) else { return };
        for task in pool.news() {
            self.tell_task(task);
        }
        self.settle(number);
    }

    /// A task may be settled.
    fn tell_task(&mut self, number: u64) {
        if let Some(Some(Object::Task(task))) = self.entries.get_mut(&number).map(|entry| &mut entry.object)
            && task.job.is_settled()
        {
            task.given = None;
            self.sweep_at.get_or_insert(now_ns() + SWEEP_NS);
        }
        self.settle(number);
    }

    /// Nobody needs a pool any more: whoever waits for a task of it hears that it was cancelled.
    pub(super) fn discard_pool(&mut self, pool: Pool) {
        self.reception.ignore(pool.fd);
        let number = pool.number;
        drop(pool);
        let is_its =
            |entry: &&super::server::Entry| matches!(&entry.object, Some(Object::Task(task)) if task.pool == number);
        let tasks = self.entries.iter().filter(|(_, entry)| is_its(entry)).map(|(task, _)| *task).collect::<Vec<_>>();
        tasks.into_iter().for_each(|task| self.tell_task(task));
    }

    /// Nobody wants to know of a task any more.
    pub(super) fn discard_task(&mut self, task: &Task) {
        if task.awaited {
            task.abandon();
            self.stirred.push(task.pool);
        }
    }
}
