//! What the host hears of: events, and jobs whose hooks want to know.

use super::super::event::{self, Event};
use super::super::extras::News;
use super::super::job::Job;
use super::super::work::Work;
use super::Desk;
use crate::error::Error;
use crate::shm::lane::State;
use crate::shm::plan::EventRecord;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

impl Desk {
    /// From the first one on that wants to hear when it begins, all tell.
    pub(super) fn follow(&mut self, work: &Work) {
        let Some(hook) = work.hook() else { return };
        let (accepted, limits) = (hook.accepted, hook.limits);
        if accepted && !self.follows {
            self.follow_all();
        }
        if limits {
            self.plan.plan().wanted.fetch_or(event::SOFT_LIMIT, AcqRel);
        }
    }

    /// Every worker tells when it begins a task.
    pub(super) fn follow_all(&mut self) {
        self.follows = true;
        self.bays.iter_mut().for_each(|bay| bay.tells = true);
    }

    fn push(&mut self, event: Event) {
        if self.wanted & event.kind != 0 {
            self.events.push_back(event);
        }
    }

    /// Something that the template has reported.
    pub(super) fn take_in(&mut self, record: &EventRecord) {
        let (kind, pid) = (record.kind.load(Relaxed), record.pid.load(Relaxed));
        if kind == event::SOFT_LIMIT {
            return self.note_soft_limit(record);
        }
        let exit = crate::pool::exit_of(record.exit.load(Relaxed));
        self.push(Event { pid, exit, reason: record.reason.load(Relaxed), ..Event::of(kind) });
    }

    /// A task was told that it should stop; if it is settled by now, nobody cares.
    fn note_soft_limit(&mut self, record: &EventRecord) {
        let (lane, slot) = (record.exit.load(Relaxed) as usize, record.reason.load(Relaxed));
        let Some(bay) = self.bays.get(lane) else { return };
        let place = bay.places().find(|place| bay.slot_number(*place) == slot);
        let Some(work) = place.and_then(|place| bay.work_at(place)) else { return };
        let (Some(job), limits) = (work.job().cloned(), work.order.limits) else { return };
        let told = work.hook().is_some_and(|hook| hook.limits);
        let pid = record.pid.load(Relaxed);
        self.push(Event { pid, limits, job: Some(job.clone()), ..Event::of(event::SOFT_LIMIT) });
        if told {
            self.due.push_back((News::SoftLimit, job));
        }
    }

    /// Tasks that were begun since the last look.
    pub(super) fn note_begun(&mut self) {
        for index in 0..self.bays.len() {
            while let Some(place) = self.bays[index].next_begun() {
                let bay = &self.bays[index];
                let pid = bay.slot(place).pid.load(Relaxed);
                let Some((work, job)) = bay.work_at(place).and_then(|work| Some((work, work.job()?.clone()))) else {
                    continue;
                };
                let (limits, told) = (work.order.limits, work.hook().is_some_and(|hook| hook.accepted));
                self.push(Event { pid, limits, job: Some(job.clone()), ..Event::of(event::ACCEPTED) });
                if limits.hard_ns != 0 || limits.soft_ns != 0 {
                    self.push(Event { pid, limits, job: Some(job.clone()), ..Event::of(event::LIMIT_SET) });
                }
                if told {
                    self.due.push_back((News::Accepted, job));
                }
            }
        }
    }

    /// A task that was begun is over.
    pub(super) fn note_end(&mut self, work: &Work, state: State) {
        let limits = work.order.limits;
        if self.follows && state != State::Revoked && (limits.hard_ns != 0 || limits.soft_ns != 0) {
            let job = work.job().cloned();
            self.push(Event { limits, job, ..Event::of(event::LIMIT_CANCELLED) });
        }
    }

    /// A job is settled.
    pub fn tell_done(&mut self, job: Option<Arc<Job>>) {
        let Some(job) = job else { return };
        self.settled += 1;
        self.failed += job.failure().is_some() as u64;
        if let Some(extras) = job.extras() {
            if let Some(whole) = extras.leave() {
                return self.part_is_done(&whole, &job);
            }
            if let Some(hook) = &extras.hook {
                if hook.limits && job.is_out_of_time() {
                    self.due.push_back((News::HardLimit, job.clone()));
                }
                self.due.push_back((News::Done, job.clone()));
            }
        }
        let pid = job.pid();
        if job.is_out_of_time() {
            self.push(Event { pid, job: Some(job.clone()), ..Event::of(event::HARD_LIMIT) });
        }
        if self.wanted & event::DONE != 0 {
            self.push(Event { pid, job: Some(job), ..Event::of(event::DONE) });
        }
    }

    fn part_is_done(&mut self, whole: &Arc<Job>, part: &Job) {
        let Some(parts) = whole.parts() else { return };
        let early = parts.fail_fast && part.failure().is_some();
        let last = parts.count_one();
        if (last || early) && !whole.is_settled() {
            whole.settle_whole();
            self.tell_done(Some(whole.clone()));
            if !last {
                self.forget(whole);
            }
        }
    }

    /// Nobody waits for the parts of a whole any more: those that are not begun never are.
    pub fn forget(&mut self, whole: &Arc<Job>) {
        let (out, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|work| work.is_part_of_job(whole));
        self.waiting = kept.into();
        let mut cancelled: Vec<_> = out.into_iter().filter_map(|work| work.cancel(&Error::Cancelled)).collect();
        for bay in &mut self.bays {
            for place in bay
                .places()
                .filter(|place| bay.work_at(*place).is_some_and(|work| work.is_part_of_job(whole)))
                .collect::<Vec<_>>()
            {
                cancelled.extend(bay.revoke(place).and_then(|work| work.cancel(&Error::Cancelled)));
            }
        }
        cancelled.into_iter().for_each(|job| self.tell_done(Some(job)));
        self.ring_sleepers();
    }

    pub(super) fn note_drained(&mut self) {
        if self.closed && !self.drained && self.is_idle() {
            self.drained = true;
            self.push(Event::of(event::DRAINED));
        }
    }

    /// How many events wait.
    pub fn events_waiting(&self) -> usize {
        self.events.len()
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.called |= event.kind == event::WORKER_WANTED;
        Some(event)
    }

    /// The next event that asks the host for a worker, before all others.
    pub fn next_call(&mut self) -> Option<Event> {
        let at = self.events.iter().position(|event| event.kind == event::WORKER_WANTED)?;
        self.called = true;
        self.events.remove(at)
    }

    /// Whether the host was given a call for a worker; there is `somebody`, or nobody, to do tasks.
    pub fn is_called(&mut self, somebody: bool) -> bool {
        self.called &= !somebody;
        self.called
    }

    /// What a hook is to hear of next; of this job, or of any.
    pub fn next_due(&mut self, of: Option<&Job>) -> Option<(News, Arc<Job>)> {
        let at = match of {
            Some(job) => self.due.iter().position(|(_, due)| std::ptr::eq(&**due, job))?,
            None => 0,
        };
        self.due.remove(at)
    }

    /// Whether the hook of this job is to hear of something.
    pub fn is_due(&self, job: &Job) -> bool {
        self.due.iter().any(|(_, due)| std::ptr::eq(&**due, job))
    }

    /// Whether hooks are to hear of something.
    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }
}
