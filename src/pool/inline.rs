//! A pool whose workers are its callers: a task runs in whoever submits, or waits. For debuggers, sanitizers and unit tests.
//!
//! It has lanes like any other, some more than one, since a task may submit to the pool that it runs in and wait: what it waits
//! for runs in another lane than its own. No template, no other process: no limit is enforced, and a crash is the program's.
#![forbid(unsafe_code)]

use super::Pool;
use super::worker::Worker;
use crate::error::{Error, Result};
use crate::shm::lane::{Turn, at_place};
use crate::shm::plan::{Phase, PlanRef, SLOTS};
use crate::sys::fork;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lanes, and so tasks that wait for each other.
pub const LANES: u32 = 16;

/// The next place of each lane; `None`: a thread is at it.
pub struct Inline {
    places: Mutex<Vec<Option<u64>>>,
}

impl Inline {
    /// Of a plan that nobody works on yet.
    pub fn new(plan: PlanRef) -> Inline {
        plan.lanes().iter().for_each(|lane| lane.pid.store(fork::pid(), Release));
        Inline { places: Mutex::new(vec![Some(0); plan.lanes().len()]) }
    }

    fn places(&self) -> MutexGuard<'_, Vec<Option<u64>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lane with a task to be begun, and its place.
    fn take(&self, plan: PlanRef) -> Option<(usize, u64)> {
        for (index, entry) in self.places().iter_mut().enumerate() {
            while let Some(place) = *entry {
                let (slot, sequence) = at_place(place, SLOTS);
                match plan.lanes()[index].slots[slot as usize].word.load().turn(sequence) {
                    Turn::Run => {
                        *entry = None;
                        return Some((index, place));
                    }
                    Turn::Skip => *entry = Some(place + 1),
                    Turn::Wait => break,
                }
            }
        }
        None
    }
}

impl Pool {
    fn inline_worker(&self, index: usize) -> Worker {
        Worker::new(self.plan, index, self.notify.as_raw_fd(), false)
    }

    /// Runs what there is to run, if this pool's workers are its callers.
    pub(super) fn run_inline(&self) {
        let Some(inline) = &self.inline else { return };
        while !self.freed.load(Acquire)
            && let Some((index, place)) = inline.take(self.plan)
        {
            self.inline_worker(index).run_one(place);
            inline.places()[index] = Some(place + 1);
        }
    }

    /// What each worker does first is done here.
    pub(super) fn begin_inline(&self) -> Result<()> {
        match self.inline_worker(0).begin() {
            0 => Ok(()),
            code => Err(Error::TaskFailed(format!("the initializer returned {code}").into())),
        }
    }

    /// And what it does last; then there is nobody left.
    pub(super) fn end_inline(&self) {
        if self.inline.is_some() && self.plan.phase() < Phase::Ended {
            if self.plan.phase() < Phase::Stopping {
                self.inline_worker(0).end();
            }
            self.plan.advance(Phase::Ended);
        }
    }
}
