//! The worker positions, as the host changes and shows them.

use super::super::bay::Bay;
use super::super::crew::{PoolInfo, WorkerInfo};
use super::super::job::Job;
use super::super::work::Work;
use super::Desk;
use crate::error::{Error, Result};
use crate::shm::lane::State;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

impl Desk {
    /// So many positions more; whether anything was settled meanwhile.
    pub fn grow(&mut self, count: u32) -> Result<bool> {
        let count = count as usize;
        let most = self.plan.room() as usize;
        if count > most - self.lanes() {
            return Err(Error::NoMemory("the pool has no room for so many workers"));
        }
        let opened =
            self.bays.iter_mut().filter(|bay| !bay.is_open()).take(count).map(|bay| bay.set_open(true)).count();
        for _ in opened..count {
            self.plan.add_lane();
        }
        let new = &self.plan.lanes()[self.bays.len()..];
        self.bays.extend(new.iter().map(Bay::new));
        if self.follows {
            self.follow_all();
        }
        Ok(self.pump_and_fill())
    }

    fn pump_and_fill(&mut self) -> bool {
        let settled = self.pump();
        self.fill();
        settled
    }

    /// So many positions less.
    pub fn shrink(&mut self, count: u32) -> Result<()> {
        self.pump();
        if count as usize > self.lanes() {
            return Err(Error::invalid("the pool has not so many workers"));
        }
        let idle = |bay: &Bay| bay.is_open() && bay.head == bay.tail;
        if self.bays.iter().filter(|bay| idle(bay)).count() < count as usize {
            return Err(Error::Again("not so many workers are idle"));
        }
        self.bays.iter_mut().rev().filter(|bay| idle(bay)).take(count as usize).for_each(|bay| bay.set_open(false));
        Ok(())
    }

    /// Tasks that are under way.
    pub fn load(&self) -> u64 {
        self.out as u64 + self.waiting.len() as u64
    }

    /// Nothing more is taken.
    pub fn is_over(&self) -> bool {
        self.closed
    }

    /// The figures of the desk.
    pub fn info(&self) -> PoolInfo {
        let states = || self.bays.iter().flat_map(|bay| bay.places().map(|place| bay.slot(place).word.load().state()));
        let at_work = states().filter(|state| state.is_at_work()).count();
        let assigned = states().filter(|state| *state == State::Assigned).count();
        PoolInfo {
            workers: self.lanes() as u32,
            busy: at_work as u32,
            waiting: (assigned + self.waiting.len()) as u64,
            submitted: self.submitted,
            settled: self.settled,
            failed: self.failed,
            deaths: 0,
            closed: self.closed,
            broken: matches!(self.over, Some(Error::Broken(_))),
        }
    }

    /// The worker that runs a job, 0 for none.
    pub fn begun_by(&self, job: &Job) -> u32 {
        let at_work = |bay: &Bay| {
            let mut places = bay.places();
            places.find(|place| {
                (bay.slot(*place).word.load().state() != State::Assigned || bay.is_offered(*place))
                    && bay.work_at(*place).is_some_and(|w| w.is_of(job))
            })
        };
        self.bays.iter().find_map(|bay| at_work(bay).map(|place| bay.slot(place).pid.load(Relaxed))).unwrap_or(0)
    }

    /// What position `index` of those in use is at.
    pub fn worker(&self, index: usize, now: u64) -> Option<WorkerInfo> {
        let bay = self.bays.iter().filter(|bay| bay.is_open()).nth(index)?;
        let mut info = WorkerInfo { pid: bay.lane.pid.load(Acquire), ..WorkerInfo::default() };
        if info.pid == 0 {
            return Some(info);
        }
        info.age_ns = now.saturating_sub(bay.lane.born_ns.load(Relaxed));
        info.tasks = bay.lane.begun.load(Relaxed);
        let at_work = |place: &u64| bay.slot(*place).word.load().state().is_at_work();
        if let Some(place) = bay.places().find(at_work) {
            let slot = bay.slot(place);
            info.busy = true;
            info.elapsed_ns = now.saturating_sub(slot.started_ns.load(Relaxed));
            info.item = slot.word.load().item();
            info.job = bay.work_at(place).map(Work::job_id).unwrap_or_default();
        }
        Some(info)
    }
}
