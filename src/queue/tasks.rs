//! Queues of tasks: what is got is said to be done, and somebody waits until all is.

use super::{JOINABLE, Queue};
use crate::error::{Error, Result};
use crate::family::Sentry;
use crate::shm::memory::Deadline;
use crate::shm::queue::count;
use crate::shm::stop;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

impl Queue {
    /// One of the tasks that were got is done.
    pub fn task_done(self) -> Result<()> {
        if self.ends.flags() & JOINABLE == 0 {
            return Err(Error::NotPermitted("the queue was not made to be joined"));
        }
        let inside = self.lock_head(None)?;
        if self.ends.done().load(Relaxed) >= count(self.ends.outlet.inline[0].load(Relaxed)) {
            return Err(Error::NotPermitted("every task that was got is done already"));
        }
        // In this order: who dies in between has not said it.
        self.count_done();
        self.ends.ledger(self.family.arena)?.add(self.family.me, -1);
        drop(inside);
        self.tell_joiners();
        Ok(())
    }

    /// One task more is done. The head's lock is held.
    pub(super) fn count_done(self) {
        let done = self.ends.done();
        done.store(done.load(Relaxed) + 1, Release);
    }

    pub(super) fn tell_joiners(self) {
        if self.is_done() {
            self.ends.joiners().notify(u32::MAX);
        }
    }

    /// Whether everything that was put is done, at this moment.
    fn is_done(self) -> bool {
        self.ends.done().load(Acquire) == count(self.ends.inlet.inline[0].load(Acquire))
    }

    /// Waits until everything that was put is done. [`Error::WorkerLost`] if that cannot be, because those who got the rest
    /// are dead.
    pub fn join(self, deadline: Deadline) -> Result<()> {
        if self.ends.flags() & JOINABLE == 0 {
            return Err(Error::NotPermitted("the queue was not made to be joined"));
        }
        let look = || self.joined(deadline).transpose();
        if let Some(answer) = look() {
            return answer;
        }
        let mut sentry = Sentry::new(self.family, deadline);
        if deadline == Some(0) {
            sentry.alarm();
            return look().unwrap_or(Err(Error::TimedOut));
        }
        let answer = self.ends.joiners().wait_until(deadline, || sentry.alarm(), look);
        answer.unwrap_or(Err(Error::TimedOut))
    }

    fn joined(self, deadline: Deadline) -> Result<Option<()>> {
        if self.is_done() {
            return Ok(Some(()));
        }
        if stop::notice() {
            return Err(Error::SoftLimit);
        }
        let inside = self.lock_head(deadline)?;
        let got = count(self.ends.outlet.inline[0].load(Relaxed));
        let undone = self.ends.done().load(Relaxed) < got;
        let lost = undone && self.is_all_gone() && !self.ends.ledger(self.family.arena)?.is_held();
        drop(inside);
        match lost {
            true => Err(Error::WorkerLost("processes died with tasks of the queue that they had not done".into())),
            false => Ok(None),
        }
    }
}
