//! How a pool is moved on: by whoever calls in, and by whoever waits.
#![forbid(unsafe_code)]

use super::Pool;
use super::desk::{Desk, Goal};
use super::job::Job;
use super::tend::HOLDER;
use crate::error::{Error, Result};
use crate::keeper;
use crate::shm::memory::{Deadline, Wake};
use crate::shm::plan::Slot;
use crate::shm::stop;
use crate::sys::clock::{self, now_ns};
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// How long the host looks for news before it sleeps: about the cost of a wake.
const SPIN_NS: u64 = 20_000;

impl Pool {
    /// Whether a job is settled, after a look at what came back.
    pub fn is_settled(&self, job: &Job) -> bool {
        if job.is_settled() {
            return true;
        }
        let _ = self.own().and_then(|()| self.mind_template());
        self.own().is_ok() && self.look(&mut |_| job.is_settled().then_some(())).is_some()
    }

    /// Waits until `done` has an answer, moving the pool on from this thread.
    pub fn wait<T>(&self, deadline: Deadline, goal: Goal, mut done: impl FnMut(&mut Desk) -> Option<T>) -> Result<T> {
        self.own()?;
        let mut spin_until = None;
        loop {
            if let Some(answer) = self.look(&mut done) {
                return Ok(answer);
            }
            if self.freed.load(Acquire) {
                return self.look(&mut done).ok_or(Error::Closed("the pool was freed"));
            }
            let now = now_ns();
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.arm();
                return self.look(&mut done).ok_or(Error::TimedOut);
            }
            if stop::notice() {
                return Err(Error::SoftLimit);
            }
            self.call_for_workers()?;
            let until = *spin_until.get_or_insert(now + SPIN_NS);
            if now < until {
                let next = self.desk().next_slots();
                let is_final = |slot: &&Slot| slot.word.load().state().is_final();
                clock::spin_or_yield(until - now, SPIN_NS, || next.iter().flatten().any(is_final));
                continue;
            }
            if let Some(answer) = self.sleep(deadline, goal, &mut done)? {
                return Ok(answer);
            }
            spin_until = None;
        }
    }

    pub(super) fn look<T>(&self, done: &mut impl FnMut(&mut Desk) -> Option<T>) -> Option<T> {
        self.run_inline();
        let mut desk = self.desk();
        let settled = desk.pump();
        let answer = done(&mut desk);
        drop(desk);
        self.pass_on(settled);
        answer
    }

    /// This thread may have collected what another one sleeps for.
    pub(super) fn pass_on(&self, settled: bool) {
        if settled && !self.freed.load(Acquire) && self.waiters.load(Acquire) > 0 {
            self.plan.plan().news.ring();
        }
    }

    fn sleep<T>(
        &self,
        deadline: Deadline,
        goal: Goal,
        done: &mut impl FnMut(&mut Desk) -> Option<T>,
    ) -> Result<Option<T>> {
        let plan = self.plan.plan();
        let alone = self.waiters.fetch_add(1, AcqRel) == 0;
        let ticket = plan.news.prepare();
        self.desk().plan_rings(goal, alone);
        let answer = self.look(done);
        let mut minded = Ok(());
        if answer.is_none() && !self.freed.load(Acquire) {
            let word = &plan.template.word;
            let seen = word.load(Acquire);
            minded = self.mind_template();
            // While a template is on its way, look after it.
            let until = if seen & HOLDER == 0 { Some(now_ns() + keeper::LOOK_NS) } else { None };
            let until = deadline.into_iter().chain(until).min();
            if minded.is_ok() {
                let _: Wake = plan.news.sleep(ticket, Some((word, seen)), until);
                // The kernel wakes only one of those who sleep on a dead template's word, and this thread
                // may leave before it revives it: out of time, or with an answer.
                if word.load(Acquire) != seen {
                    plan.news.ring_all();
                }
            }
        }
        self.waiters.fetch_sub(1, AcqRel);
        minded.map(|()| answer)
    }
}
