//! Tasks that are not to be done any more.

use super::super::bay::Bay;
use super::super::job::Job;
use super::super::map::Map;
use super::super::work::Work;
use super::Desk;
use crate::error::Error;
use crate::shm::lane::State;
use crate::shm::plan::SLOTS;
use crate::sys::clock::now_ns;
use crate::sys::descriptor;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;

/// How a task that runs is to be stopped.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// Its worker is sent a signal after so long, in ns; `None`: never. It should stop at once.
    pub grace_ns: Option<u64>,
    /// The signal; what survives it is killed.
    pub signal: i32,
}

impl Desk {
    /// Nobody waits for the map any more: what is not begun never will be, and chunks at work end with the
    /// item that they are at.
    pub fn abandon(&mut self, map: &Arc<Map>) {
        let waiting = std::mem::take(&mut self.waiting);
        for work in waiting {
            if work.is_part_of(map) {
                work.cancel(&Error::Cancelled);
            } else {
                self.waiting.push_back(work);
            }
        }
        for bay in &self.bays {
            for place in bay.places().filter(|place| bay.work_at(*place).is_some_and(|work| work.is_part_of(map))) {
                let slot = bay.slot(place);
                let task = slot.word.load();
                if task.state() != State::Assigned || slot.word.revoke(task).is_err() {
                    slot.stop_chunk();
                }
            }
        }
        self.ring_sleepers();
    }

    /// Nobody waits for the job any more; it is not begun if it has not been.
    pub fn abandon_job(&mut self, job: &Arc<Job>) {
        if let Some(index) = self.waiting.iter().position(|work| work.is_of(job)) {
            self.waiting.remove(index).map(|work| work.cancel(&Error::Cancelled));
        }
        for bay in &mut self.bays {
            let place = bay.places().find(|place| bay.work_at(*place).is_some_and(|work| work.is_of(job)));
            place.and_then(|place| bay.revoke(place)).map(|work| work.cancel(&Error::Cancelled));
        }
        self.ring_sleepers();
    }

    /// Cancels whatever is not settled; for a pool that is terminated.
    pub fn cancel_all(&mut self, why: &Error) {
        self.over.get_or_insert_with(|| why.clone());
        while let Some(work) = self.waiting.pop_front() {
            let job = work.cancel(why);
            self.tell_done(job);
        }
        let mut jobs = Vec::new();
        for bay in &mut self.bays {
            for place in bay.head..bay.tail {
                let slot = bay.slot(place);
                let task = slot.word.load();
                if task.state() == State::Assigned {
                    let _ = slot.word.revoke(task);
                }
                if task.state().is_final() {
                    continue;
                }
                // Its worker may still write to the slot: the slot stays, the job is settled now.
                let work = bay.work[(place % SLOTS as u64) as usize].take();
                jobs.extend(work.and_then(|work| work.cancel(why)));
            }
        }
        self.ring_sleepers();
        jobs.into_iter().for_each(|job| self.tell_done(Some(job)));
    }

    /// A task that is not begun is cancelled; one that runs is told that it should stop, and its worker ended. What it
    /// has finished by then stays.
    pub fn stop_job(&mut self, job: &Job, stop: Stop) {
        if let Some(index) = self.waiting.iter().position(|work| work.is_of(job)) {
            let job = self.waiting.remove(index).and_then(|work| work.cancel(&Error::Cancelled));
            return self.tell_done(job);
        }
        let place = |bay: &Bay| bay.places().find(|place| bay.work_at(*place).is_some_and(|work| work.is_of(job)));
        if let Some((index, place)) = (0..self.bays.len()).find_map(|index| Some((index, place(&self.bays[index])?))) {
            self.stop_place(index, place, stop);
        }
    }

    /// A task that the host has held back may begin: once there is a worker, or by the one that waits for this.
    pub fn accept(&mut self, job: &Job) {
        self.waiting.iter_mut().filter(|work| work.is_of(job)).for_each(|work| work.order.held = false);
        for bay in &mut self.bays {
            let place = bay.places().find(|place| bay.work_at(*place).is_some_and(|work| work.is_of(job)));
            place.into_iter().for_each(|place| bay.accept(place));
        }
    }

    /// A job is settled now: a task that is not begun never is, one that runs runs on, and nobody hears of its end.
    pub fn discard(&mut self, job: &Job) {
        let waiting = self.waiting.iter().position(|work| work.is_of(job)).and_then(|at| self.waiting.remove(at));
        if let Some(work) = waiting {
            return self.tell_done(work.cancel(&Error::Cancelled));
        }
        for index in 0..self.bays.len() {
            let bay = &mut self.bays[index];
            let place = bay.places().find(|place| bay.work_at(*place).is_some_and(|work| work.is_of(job)));
            let Some(place) = place else { continue };
            let revoked = bay.revoke(place).and_then(|work| work.cancel(&Error::Cancelled));
            let settled = revoked.or_else(|| bay.work_mut(place).and_then(Work::discard));
            self.tell_done(settled);
            return self.ring_sleepers();
        }
    }

    /// The same as [`Desk::stop_job`] for what worker `pid` is at; false if it is at nothing.
    pub fn stop_worker(&mut self, pid: u32, stop: Stop) -> bool {
        let at_work = |bay: &Bay| bay.places().find(|place| bay.slot(*place).word.load().state().is_at_work());
        let of_worker =
            |bay: &Bay| (bay.lane.pid.load(std::sync::atomic::Ordering::Acquire) == pid).then(|| at_work(bay))?;
        let found = (0..self.bays.len()).find_map(|index| Some((index, of_worker(&self.bays[index])?)));
        if let Some((index, place)) = found {
            self.stop_place(index, place, stop);
        }
        found.is_some()
    }

    fn stop_place(&mut self, index: usize, place: u64, stop: Stop) {
        let bay = &mut self.bays[index];
        if let Some(work) = bay.revoke(place) {
            let job = work.cancel(&Error::Cancelled);
            self.tell_done(job);
            return self.ring_sleepers();
        }
        let slot = bay.slot(place);
        let kill_at = stop.grace_ns.map_or(u64::MAX, |grace| now_ns().saturating_add(grace).max(1));
        bay.lane.terms_of(slot, place).end_by(slot, kill_at, stop.signal as u32);
        self.plan.plan().attention.store(1, Release);
        descriptor::ring(self.doorbell);
    }
}
