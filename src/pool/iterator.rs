//! Results of items that are submitted as there is room for them, as they come or in order.
#![forbid(unsafe_code)]

use super::desk::Goal;
use super::extras::Extras;
use super::job::Job;
use super::work::{Order, Sink, Work};
use super::{Pool, TaskOptions};
use crate::error::{Error, Result};
use crate::pin::Pins;
use crate::shm::memory::Deadline;
use crate::shm::plan::SLOTS;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Where the items come from: the encoded arguments of the next one, `None` at the end.
pub type Source = Box<dyn FnMut() -> Result<Option<Vec<u8>>> + Send>;

/// Hands out each item's job once it is settled.
pub struct Stream {
    pool: Arc<Pool>,
    function: u32,
    order: Order,
    options: TaskOptions,
    settled: Sink,
    /// In order: those that came early. `None`: as they come.
    early: Option<Mutex<Early>>,
    input: Mutex<Input>,
}

/// Settled jobs that wait for one before them, and which item is next.
#[derive(Default)]
struct Early {
    jobs: BTreeMap<u64, Arc<Job>>,
    next: u64,
}

struct Input {
    source: Option<Source>,
    /// Why the source ended early.
    error: Option<Error>,
    submitted: u64,
    delivered: u64,
}

impl Pool {
    /// Items of an iterator that are under way at once: enough to keep every lane busy, few enough to bound memory.
    pub fn window(&self) -> u64 {
        (self.with_desk(|desk| desk.lanes()) as u64).max(1) * SLOTS as u64 / 4
    }

    /// What a function of the host is to the workers, and how its tasks are to be done.
    pub fn prepare_items(&self, address: usize, options: &TaskOptions) -> Result<(u32, Order)> {
        self.own()?;
        self.with_desk(|desk| desk.check_open())?;
        Ok((self.function(address)?, self.order(options)?))
    }

    /// Submits one item, number `index`; its job goes to `sink` when it is settled.
    pub fn submit_item(
        self: &Arc<Pool>,
        (function, order): (u32, Order),
        options: &TaskOptions,
        index: u64,
        item: &[u8],
        sink: Option<Sink>,
    ) -> Result<Arc<Job>> {
        let job = Arc::new(Job::with_extras(self, index, options.context, Extras::of_item(options)));
        // (The window is full before that, unless others submit too.)
        let toll = self.await_room(options.patience_ns, item.len())?;
        let pins = Pins::of(self.family(), item)?;
        let follows = options.follows(index);
        self.submit(Work { toll, follows, ..Work::single(job.clone(), function, order, sink, pins) }, item.into())?;
        Ok(job)
    }
}

impl Stream {
    /// Runs the function at `address` over what `source` gives.
    pub fn new(pool: Arc<Pool>, address: usize, options: TaskOptions, source: Source, ordered: bool) -> Result<Stream> {
        let options = options.without_key()?;
        let (function, order) = pool.prepare_items(address, &options)?;
        let input = Input { source: Some(source), error: None, submitted: 0, delivered: 0 };
        let settled = Sink::default();
        let early = ordered.then(Mutex::default);
        let iterator = Stream { pool, function, order, options, settled, early, input: Mutex::new(input) };
        iterator.feed()?;
        Ok(iterator)
    }

    /// The pool that runs the items.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    fn feed(&self) -> Result<()> {
        let window = self.pool.window();
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        while input.submitted - input.delivered < window {
            let Some(source) = &mut input.source else { break };
            let item = match source() {
                Ok(Some(item)) => item,
                ended => {
                    input.source = None;
                    input.error = ended.err();
                    break;
                }
            };
            let (pool, sink) = (&self.pool, Some(self.settled.clone()));
            let submitted = pool.submit_item((self.function, self.order), &self.options, input.submitted, &item, sink);
            if let Err(error) = submitted {
                // An item that cannot be submitted ends the input, as a closed pool does; what is under way is
                // still handed out.
                input.source = None;
                input.error = Some(error);
                break;
            }
            input.submitted += 1;
        }
        Ok(())
    }

    /// The next settled job; [`Error::End`] after the last.
    pub fn next(&self, deadline: Deadline) -> Result<Arc<Job>> {
        let take = || self.take();
        let mut next = take();
        if next.is_none() {
            self.feed()?;
            self.check_end()?;
            next = Some(self.pool.wait(deadline, Goal::Any, |_| take())?);
        }
        self.input.lock().unwrap_or_else(PoisonError::into_inner).delivered += 1;
        // What goes wrong with the input is told once everything before it has been handed out.
        let _ = self.feed();
        next.ok_or(Error::End)
    }

    fn take(&self) -> Option<Arc<Job>> {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(early) = &self.early else { return settled.pop_front() };
        let mut early = early.lock().unwrap_or_else(PoisonError::into_inner);
        early.jobs.extend(settled.drain(..).map(|job| (job.item, job)));
        let next = early.next;
        let job = early.jobs.remove(&next);
        early.next += job.is_some() as u64;
        job
    }

    fn check_end(&self) -> Result<()> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        if input.submitted > input.delivered {
            return Ok(());
        }
        Err(input.error.take().unwrap_or(Error::End))
    }
}
