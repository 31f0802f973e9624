//! Pools of a server: functions of its clients run in workers of its own.
//!
//! The pool's host is the server's loop, which never waits for it: the pool's descriptor is among those that the loop polls, and
//! what is settled then is told to whoever waits for it. A task is an object too, so that it goes with the last who needs it:
//! what is begun of it runs on, and the reply is dropped. The pool itself ends as every object does.
#![forbid(unsafe_code)]

use super::custom;
use super::object::Object;
use super::server::Server;
use super::tasks::small;
use super::value::{Arguments, Value};
use super::{Job, Outcome, kind, no_method, task};
use crate::error::{Error, Result};
use crate::pool::{Hold, HookOf, Options, event};
use crate::sys::clock::now_ns;
use std::os::fd::RawFd;

/// A pool.
pub struct Pool {
    pub(super) hold: Hold,
    fd: RawFd,
    /// Its own number among the objects.
    pub(super) number: u64,
}

/// What is known of a pool's workers.
fn ask_workers(of: &crate::pool::Pool, job: &Job) -> Result<Value> {
    let mut given = Arguments::new(job.arguments.clone());
    Ok(match &*job.method {
        "worker" => task::pack_worker(&of.worker(small(given.integer()?)?)?),
        "capabilities" => Value::Integer(of.capabilities()? as i64),
        _ => Value::Bool(of.did_start_ok()?),
    })
}

/// Does something about a pool's workers.
fn order_workers(of: &crate::pool::Pool, job: &Job) -> Result<()> {
    let mut given = Arguments::new(job.arguments.clone());
    match &*job.method {
        "grow" => of.grow(small(given.integer()?)?),
        "shrink" => of.shrink(small(given.integer()?)?),
        "restart" => of.restart(),
        "maintain" => of.maintain(),
        _ => of.stop_worker(small(given.integer()?)?, task::unpack_stop(&mut given)?),
    }
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
            "apply" | "map" | "starmap" | "range" => self.submit_task(job, pool)?,
            "imap" => self.make_stream(job, pool)?,
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
            "worker" | "capabilities" | "did_start_ok" => ask_workers(of, job)?,
            "grow" | "shrink" | "restart" | "maintain" | "terminate_job" => {
                order_workers(of, job)?;
                Value::Nil
            }
            _ => return Err(no_method()),
        };
        // What is settled by that makes no descriptor readable.
        self.stirred.push(pool.number);
        Ok(Outcome::Done(value))
    }

    /// Something has come from a pool's workers, or they are gone.
    pub(super) fn hear_pool(&mut self, number: u64) {
        let Some(Some(Object::Pool(pool))) = self.entries.get(&number).map(|entry| &entry.object) else { return };
        for task in pool.news() {
            self.tell_task(task);
        }
        self.settle(number);
        self.settle_watched();
    }

    /// Nobody needs a pool any more: whoever waits for a task of it hears that it was cancelled.
    pub(super) fn discard_pool(&mut self, pool: Pool) {
        self.reception.ignore(pool.fd);
        let number = pool.number;
        drop(pool);
        let is_its = |object: &Option<Object>| match object {
            Some(Object::Task(task)) => task.pool == number,
            Some(Object::Stream(stream)) => stream.pool == number,
            _ => false,
        };
        let tasks = self.entries.iter().filter(|(_, entry)| is_its(&entry.object)).map(|(task, _)| *task);
        tasks.collect::<Vec<_>>().into_iter().for_each(|task| self.tell_task(task));
        self.settle_watched();
    }
}
