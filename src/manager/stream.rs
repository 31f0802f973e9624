//! Iterators of a server's pools: the client sends items as there is room for them, and takes their results one by one.
#![forbid(unsafe_code)]

use super::object::Object;
use super::pool::Pool;
use super::server::Server;
use super::tasks::outcome_of;
use super::value::{Arguments, Proxy, Stored, Value};
use super::{Job, Outcome, custom, kind, no_method, task};
use crate::error::{Error, Result};
use crate::pool::TaskOptions;
use crate::pool::job;
use crate::pool::work::Order;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// An item that is not handed out.
struct Item {
    job: Arc<job::Job>,
    /// Its arguments: counted, and what they name kept, until it is settled.
    given: Option<Stored>,
}

/// Many items.
pub struct Stream {
    /// The number of its pool.
    pub(super) pool: u64,
    of: Weak<crate::pool::Pool>,
    function: (u32, Order),
    options: TaskOptions,
    is_ordered: bool,
    /// In the order in which they came.
    items: VecDeque<Item>,
    /// Items that have come so far.
    count: u64,
}

impl Stream {
    /// How many items more it would take: fewer than none, if workers have gone.
    fn room(&self) -> Value {
        let window = self.of.upgrade().map_or(0, |pool| pool.window());
        Value::Integer(window as i64 - self.items.len() as i64)
    }

    /// What was kept of settled items is needed no more.
    pub(super) fn forget_settled(&mut self) {
        self.items.iter_mut().filter(|item| item.job.is_settled()).for_each(|item| item.given = None);
    }

    /// The next settled item: its outcome, and how many more it would take.
    fn next(&mut self) -> Result<Outcome> {
        if self.items.is_empty() {
            return Err(Error::End);
        }
        // One look at what has come back settles all that has.
        self.items.front().map(|first| first.job.is_settled_now());
        let most = if self.is_ordered { 1 } else { self.items.len() };
        let at = self.items.iter().take(most).position(|item| item.job.is_settled());
        let Some(item) = at.and_then(|at| self.items.remove(at)) else { return Ok(Outcome::Wait) };
        Ok(Outcome::Done(Value::List(vec![outcome_of(&item.job), self.room()])))
    }
}

impl Server {
    /// Makes an iterator: `imap(function options ordered)`.
    pub(super) fn make_stream(&mut self, job: &mut Job, pool: &Pool) -> Result<Value> {
        let mut given = Arguments::new(std::mem::take(&mut job.arguments));
        let (address, options) = (custom::address_of(&given.need()?)?, given.list()?);
        let is_ordered = given.integer()? != 0;
        let number = self.number();
        let options = task::unpack_task(&options, number as usize, false)?;
        let function = pool.hold.pool.prepare_items(address, &options)?;
        let of = Arc::downgrade(&pool.hold.pool);
        let items = VecDeque::new();
        let stream = Stream { pool: pool.number, of, function, options, is_ordered, items, count: 0 };
        self.add_as(number, kind::ITERATOR, Object::Stream(stream), false);
        Ok(Value::Proxy(Proxy { object: number, kind: kind::ITERATOR }))
    }

    /// Attempts a call of an iterator that was taken out of its entry: `put(lists of arguments)`, which gives how many more it would
    /// take, or `next()`.
    pub(super) fn call_stream(&mut self, job: &mut Job, stream: &mut Stream) -> Result<Outcome> {
        match &*job.method {
            "put" => {
                for item in Arguments::new(std::mem::take(&mut job.arguments)).list()? {
                    self.put_item(stream, item)?;
                }
                Ok(Outcome::Done(stream.room()))
            }
            "next" => stream.next(),
            _ => Err(no_method()),
        }
    }

    fn put_item(&mut self, stream: &mut Stream, item: Value) -> Result<()> {
        let pool = stream.of.upgrade().ok_or(Error::Closed("the pool is gone"))?;
        let Value::List(arguments) = &item else {
            return Err(Error::invalid("an item is a list of arguments"));
        };
        let mut cells = Vec::new();
        let encoded = self.encode(arguments, &mut cells);
        let submitted = encoded.and_then(|encoded| {
            // First, since what is submitted cannot be taken back.
            let given = Some(Stored::new(item)?);
            let job = pool.submit_item(stream.function, &stream.options, stream.count, &encoded, None)?;
            Ok(Item { job, given })
        });
        self.put_cells_away(&cells);
        stream.items.push_back(submitted?);
        stream.count += 1;
        Ok(())
    }
}
