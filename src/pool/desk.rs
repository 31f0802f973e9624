//! The host's desk: what it has submitted, which lane has what, and what came back.
//!
//! No thread of its own: whoever calls in pumps. All of it is memory of the host, under one lock that is
//! held for moments; only slots are shared.
#![forbid(unsafe_code)]

mod roster;

use super::bay::Bay;
use super::event::{self, Event};
use super::evidence::Evidence;
use super::job::{Job, Limit, Verdict};
use super::map::Map;
use super::work::{What, Work, hand_over, kept};
use crate::error::{Error, Result};
use crate::shm::heap::Heap;
use crate::shm::lane::{State, Task};
use crate::shm::plan::{Lane, NOTHING_FAILED, Phase, PlanRef, SLOTS, Slot, WRONG_REPLY};
use crate::shm::region::Region;
use crate::sys::{descriptor, signals};
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

/// Whoever submits looks this often at what came back: seldom enough to find several at once.
const LOOK_EVERY: u64 = 16;

/// What a thread that goes to sleep waits for.
#[derive(Clone, Copy)]
pub enum Goal<'a> {
    /// Whatever is settled next.
    Any,
    /// One job.
    Job(&'a Job),
    /// That all of something is done.
    All,
}

/// The desk.
pub struct Desk {
    plan: PlanRef,
    bays: Vec<Bay>,
    waiting: VecDeque<Work>,
    events: VecDeque<Event>,
    wanted: u32,
    next_bay: usize,
    closed: bool,
    /// Why whatever is not settled never will be done.
    over: Option<Error>,
    left: bool,
    out: usize,
    submitted: u64,
    /// Wakes the template.
    doorbell: RawFd,
    /// A shorter time limit than any before is under way, and the template does not know yet.
    sooner: bool,
}

impl Desk {
    /// An empty desk.
    pub fn new(plan: PlanRef, wanted: u32, doorbell: RawFd) -> Desk {
        let bay = |lane: &'static Lane| Bay::new(lane);
        Desk {
            plan,
            bays: plan.lanes().iter().map(bay).collect(),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
            wanted,
            next_bay: 0,
            closed: false,
            over: None,
            left: false,
            out: 0,
            submitted: 0,
            doorbell,
            sooner: false,
        }
    }

    /// Takes a task, into a lane if one has room; whether something else was found settled meanwhile.
    pub fn submit(&mut self, mut work: Work, arguments: &[u8]) -> Result<bool> {
        self.check_open()?;
        self.note_limit(work.limits.least_ns());
        self.submitted += 1;
        let mut settled = self.submitted.is_multiple_of(LOOK_EVERY) && self.collect_all();
        if self.waiting.is_empty() {
            let mut place = self.emptiest();
            if place.is_none() && self.collect_all() {
                (settled, place) = (true, self.emptiest());
            }
            if let Some(index) = place {
                let limited = work.limits.least_ns() != 0;
                match self.bays[index].assign(self.plan, work, Some(arguments)) {
                    Ok(()) => {
                        self.assigned(index);
                        self.bays[index].ring();
                        if limited {
                            self.wake_clock();
                        }
                        return Ok(settled);
                    }
                    // The arena is full, which `fill` minds.
                    Err(refused) => work = refused.0,
                }
            }
        }
        work.arguments = kept(arguments)?;
        self.waiting.push_back(work);
        self.fill();
        Ok(settled)
    }

    fn assigned(&mut self, index: usize) {
        self.next_bay = if index + 1 < self.bays.len() { index + 1 } else { 0 };
        self.out += 1;
    }

    /// The template must look at its clock as often as the shortest limit asks for.
    fn note_limit(&mut self, limit_ns: u64) {
        let plan = self.plan.plan();
        let least = plan.least_limit_ns.load(Relaxed);
        if limit_ns != 0 && (least == 0 || limit_ns < least) {
            plan.least_limit_ns.store(limit_ns, Release);
            self.sooner = true;
        }
    }

    /// A task with a limit is in a lane: the template must not sleep without a timer.
    fn wake_clock(&mut self) {
        let plan = self.plan.plan();
        fence(SeqCst);
        let dozes = plan.dozing.load(Relaxed) != 0 && plan.dozing.swap(0, AcqRel) != 0;
        if dozes || self.sooner {
            self.sooner = false;
            descriptor::ring(self.doorbell);
        }
    }

    /// Takes no more.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether it takes tasks.
    pub fn check_open(&self) -> Result<()> {
        match &self.over {
            Some(error @ Error::Broken(_)) => Err(error.clone()),
            _ if self.closed => Err(Error::Closed("the pool takes no more tasks")),
            _ => Ok(()),
        }
    }

    /// Whether it takes no more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.out == 0 && self.waiting.is_empty()
    }

    /// The pool is freed: the plan may go any moment, and is not looked at again.
    pub fn leave(&mut self) {
        // What is final, but was not collected yet, has its outcome.
        self.pump();
        for work in std::mem::take(&mut self.bays).into_iter().flat_map(|bay| bay.work).flatten() {
            let job = work.cancel(&Error::Cancelled);
            self.tell_done(job);
        }
        self.left = true;
    }

    /// What the pool is in.
    pub fn phase(&self) -> Phase {
        if self.left { Phase::Ended } else { self.plan.phase() }
    }

    /// How many events wait.
    pub fn events_waiting(&self) -> usize {
        self.events.len()
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Collects what is settled and fills the lanes; whether anything was settled.
    pub fn pump(&mut self) -> bool {
        if self.left {
            return false;
        }
        self.fetch_events();
        let mut settled = self.collect_all();
        if self.over.is_none() && self.plan.plan().broken.load(Acquire) != 0 {
            self.close();
            self.cancel_all(&super::crew::history(self.plan));
            settled = true;
        }
        if settled && !self.waiting.is_empty() {
            self.fill();
        }
        if self.waiting.is_empty() {
            self.balance();
        }
        settled
    }

    fn collect_all(&mut self) -> bool {
        let mut settled = false;
        for index in 0..self.bays.len() {
            while self.bays[index].head < self.bays[index].tail && self.collect(index) {
                settled = true;
            }
        }
        settled
    }

    fn fetch_events(&mut self) {
        let plan = self.plan.plan();
        let head = plan.event_head.load(Acquire);
        let mut tail = plan.event_tail.load(Relaxed);
        if tail == head {
            return;
        }
        while tail != head {
            let record = &plan.events[tail as usize % plan.events.len()];
            self.events.push_back(Event {
                kind: record.kind.load(Relaxed),
                pid: record.pid.load(Relaxed),
                exit: super::exit_of(record.exit.load(Relaxed)),
                reason: record.reason.load(Relaxed),
                job: None,
            });
            tail = tail.wrapping_add(1);
        }
        plan.event_tail.store(tail, Release);
    }

    /// The emptiest lane, if it has room.
    fn emptiest(&self) -> Option<usize> {
        // A position that was given up has no room.
        let used = |index: usize| match self.bays[index].is_open() {
            true => self.bays[index].tail - self.bays[index].head,
            false => SLOTS as u64,
        };
        let mut best = self.next_bay;
        self.bays.get(best)?;
        let mut least = used(best);
        for index in (best + 1..self.bays.len()).chain(0..best) {
            if least == 0 {
                break;
            }
            if used(index) < least {
                (best, least) = (index, used(index));
            }
        }
        (least < SLOTS as u64).then_some(best)
    }

    /// Puts waiting work into the emptiest lanes.
    fn fill(&mut self) {
        let limited = self.fill_lanes();
        self.bays.iter_mut().for_each(Bay::ring);
        if limited {
            self.wake_clock();
        }
    }

    /// Whether any of the work has a time limit.
    fn fill_lanes(&mut self) -> bool {
        let mut limited = false;
        while let Some(work) = self.waiting.pop_front() {
            let Some(index) = self.emptiest() else {
                self.waiting.push_front(work);
                return limited;
            };
            limited |= work.limits.least_ns() != 0;
            if let Err(refused) = self.bays[index].assign(self.plan, work, None) {
                let (work, error) = *refused;
                // The arena is full: it may have room once something has been collected.
                if self.out > 0 {
                    self.waiting.push_front(work);
                    return limited;
                }
                let job = work.cancel(&error);
                self.tell_done(job);
                continue;
            }
            self.assigned(index);
        }
        limited
    }

    /// Collects the oldest task of a lane if it is final.
    fn collect(&mut self, index: usize) -> bool {
        let bay = &mut self.bays[index];
        let slot = bay.slot(bay.head);
        let task = slot.word.load();
        if !task.state().is_final() {
            return false;
        }
        // Its lines come from another processor, which takes as long as all that is done here with one.
        bay.slot(bay.head + 2).prefetch();
        let work = bay.work[(bay.head % SLOTS as u64) as usize].take();
        let heap = Heap::of(self.plan.arena);
        work.iter().for_each(Work::is_off);
        let job = work.and_then(|work| self.settle(work, slot, task));
        for field in [&slot.arguments_block, &slot.reply_block, &slot.evidence_block] {
            if field.load(Relaxed) != 0 {
                let _ = heap.give(field);
            }
        }
        slot.word.release(task);
        self.bays[index].head += 1;
        self.out -= 1;
        self.tell_done(job);
        true
    }

    fn tell_done(&mut self, job: Option<Arc<Job>>) {
        if let Some(job) = job.filter(|_| self.wanted & event::DONE != 0) {
            let pid = job.pid();
            self.events.push_back(Event { kind: event::DONE, pid, exit: None, reason: 0, job: Some(job) });
        }
    }

    fn settle(&mut self, work: Work, slot: &'static Slot, task: Task) -> Option<Arc<Job>> {
        if task.state() == State::Revoked {
            // Work that was taken back to be done elsewhere is no longer here.
            return work.cancel(&Error::Cancelled);
        }
        match work.what {
            What::Single { job, sink, .. } => {
                if task.state() == State::Done && slot.failed_item.load(Relaxed) == NOTHING_FAILED {
                    job.succeed(slot, reply_of(self.plan, slot));
                } else {
                    job.fail(self.judge(slot, task, job.item, job.submitted_ns));
                }
                hand_over(&job, sink);
                Some(job)
            }
            What::Chunk { map, next, end } => {
                let rest = self.settle_chunk(&map, next..end, slot, task);
                if rest < end {
                    // Items behind the lost one were not begun: they go to whoever is free.
                    self.waiting.push_front(Work::chunk(map, rest, end, work.function, work.limits));
                }
                None
            }
        }
    }

    /// Settles the items of a chunk that were begun; the first that was not.
    fn settle_chunk(&mut self, map: &Map, items: std::ops::Range<u64>, slot: &'static Slot, task: Task) -> u64 {
        let end = items.end;
        let failed = slot.failed_item.load(Relaxed);
        let behind = match task.state() {
            State::Done if !map.is_abandoned() => slot.left_at().filter(|at| items.contains(at)).unwrap_or(end),
            _ if self.over.is_some() || map.is_abandoned() => {
                let why = self.over.clone().unwrap_or(Error::Cancelled);
                map.fail(task.item(), end, &Verdict::of(Err(why), task.item()));
                end
            }
            _ => {
                let verdict = self.judge(slot, task, task.item(), map.submitted_ns);
                map.fail(task.item(), task.item() + 1, &verdict);
                task.item() + 1
            }
        };
        if failed != NOTHING_FAILED {
            map.note_codes(items.start, behind, &self.failed(slot, failed));
        }
        map.done(behind - items.start);
        behind
    }

    /// The verdict on an item whose function said that it failed.
    fn failed(&self, slot: &'static Slot, item: u64) -> Verdict {
        let mut verdict = Verdict::of(Ok(()), item);
        verdict.pid = slot.pid.load(Relaxed);
        let code = slot.code.load(Acquire);
        if code == WRONG_REPLY {
            verdict.status = Err(Error::MessageSize { needed: 0, capacity: 0 });
            verdict.message = "the reply is missing, or of another size".into();
            return verdict;
        }
        verdict.code = code as i32;
        verdict.message = String::from_utf8_lossy(reply_of(self.plan, slot)).into_owned();
        verdict.status = Err(failure(verdict.code, &verdict.message));
        verdict
    }

    /// What the slot says about a task that is final and did not succeed.
    fn judge(&self, slot: &'static Slot, task: Task, item: u64, submitted_ns: u64) -> Verdict {
        let mut verdict = Verdict::of(Ok(()), item);
        let (started, ended) = (slot.started_ns.load(Relaxed), slot.ended_ns.load(Relaxed));
        verdict.pid = slot.pid.load(Relaxed);
        verdict.queued_ns = started.saturating_sub(submitted_ns);
        verdict.elapsed_ns = ended.saturating_sub(started);
        verdict.cpu_ns = slot.cpu_ns.load(Relaxed);
        match task.state() {
            State::Done => {
                let failed = self.failed(slot, item);
                (verdict.code, verdict.message, verdict.status) = (failed.code, failed.message, failed.status);
            }
            _ if self.over.is_some() => verdict.status = Err(self.over.clone().unwrap_or(Error::Cancelled)),
            state => lost(&mut verdict, slot, state, Evidence::of(self.plan.arena, slot)),
        }
        verdict
    }

    /// Work that stands behind a long task, or in a lane without a worker, while another worker is idle, is taken
    /// back and goes there.
    fn balance(&mut self) {
        let (mut limited, mut moved) = (false, false);
        for target in 0..self.bays.len() {
            let bay = &self.bays[target];
            if bay.head != bay.tail || !bay.has_worker() || !bay.is_open() {
                continue;
            }
            let longest = (0..self.bays.len()).map(|index| (self.bays[index].takeable(), index)).max();
            let Some((1.., source)) = longest else { break };
            let Some(work) = self.bays[source].take_back(self.plan) else { continue };
            limited |= work.limits.least_ns() != 0;
            moved = true;
            match self.bays[target].assign(self.plan, work, None) {
                Ok(()) => self.out += 1,
                // The arena is full.
                Err(refused) => self.waiting.push_front(refused.0),
            }
            self.bays[target].ring();
        }
        if moved {
            self.ring_sleepers();
        }
        if limited {
            self.wake_clock();
        }
    }

    /// Says to each lane from which place on its worker shall wake the host. Before a sleep, and before the last
    /// look that precedes it. What comes into a lane later is behind that place and rings too; a death always does.
    pub fn plan_rings(&self, goal: Goal, alone: bool) {
        for bay in &self.bays {
            let from = match goal {
                Goal::Job(_) | Goal::All if alone && self.waiting.is_empty() => bay.last(),
                Goal::Job(_) | Goal::All if alone => bay.head + (bay.tail - bay.head) / 2,
                _ => bay.head,
            };
            let place = match goal {
                Goal::Job(job) if alone => bay.places().find(|place| bay.work_at(*place).is_some_and(|w| w.is_of(job))),
                _ => None,
            };
            bay.lane.ring_from.store(place.unwrap_or(from).min(from), Relaxed);
        }
        fence(SeqCst);
    }

    /// Worker positions.
    pub fn lanes(&self) -> usize {
        self.bays.iter().filter(|bay| bay.is_open()).count()
    }

    /// A task was taken back. A sleeping thread may have asked for the end of this very task: it must ask anew.
    fn ring_sleepers(&self) {
        if !self.left {
            self.plan.plan().news.ring();
        }
    }

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
            for place in bay.places() {
                let slot = bay.slot(place);
                if bay.work_at(place).is_some_and(|work| work.is_of(job)) {
                    let task = slot.word.load();
                    if task.state() == State::Assigned && slot.word.revoke(task).is_ok() {
                        let work = bay.work[(place % SLOTS as u64) as usize].take();
                        work.map(|work| work.cancel(&Error::Cancelled));
                    }
                }
            }
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
}

fn reply_of(plan: PlanRef, slot: &'static Slot) -> &'static [u8] {
    let len = slot.reply_len.load(Relaxed);
    let block = slot.reply_block.load(Acquire);
    let place = if block != 0 { Region::of(plan.arena, block, len) } else { slot.reply().part(0, len as usize) };
    place.map_or(&[], Region::frozen)
}

fn failure(code: i32, message: &str) -> Error {
    match (code, message) {
        (code, "") => Error::TaskFailed(format!("the function returned {code}").into()),
        (_, message) => Error::TaskFailed(message.to_string().into()),
    }
}

/// The verdict on a task whose worker died over it.
fn lost(verdict: &mut Verdict, slot: &'static Slot, state: State, evidence: Option<Evidence>) {
    // If nobody can tell how the worker ended, it may have told itself.
    let told = || evidence.as_ref().and_then(|evidence| evidence.crash.as_ref()).map(|crash| -crash.signal);
    let exit = super::exit_of(slot.exit.load(Relaxed)).or_else(told);
    verdict.max_rss_bytes = slot.max_rss.load(Relaxed);
    match exit {
        Some(code) if code < 0 => verdict.signal = -code,
        Some(code) => verdict.exit_code = code,
        None => verdict.exit_code = -1,
    }
    verdict.limit = match (state, verdict.signal) {
        (State::Expired, _) => Limit::Time,
        (_, signals::OUT_OF_CPU) => Limit::Cpu,
        (_, signals::FILE_TOO_LARGE) => Limit::FileSize,
        _ => Limit::None,
    };
    if state == State::Expired {
        verdict.status = Err(Error::TimeLimit);
    } else {
        let how = match exit {
            Some(code) if code < 0 => format!("the worker was ended by signal {}", -code),
            Some(code) => format!("the worker left with exit code {code}"),
            None => "the worker died".into(),
        };
        verdict.status = Err(Error::WorkerLost(how.into()));
    }
    verdict.message = verdict.status.as_ref().err().map(|error| error.to_string()).unwrap_or_default();
    // A time limit may have come while it wrote.
    verdict.evidence = evidence.map(|mut evidence| {
        evidence.crash = evidence.crash.filter(|crash| crash.signal == verdict.signal);
        Arc::new(evidence)
    });
}
