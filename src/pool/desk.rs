//! The host's desk: what it has submitted, which lane has what, and what came back.
//!
//! No thread of its own: whoever calls in pumps. All of it is memory of the host, under one lock that is
//! held for moments; only slots are shared.
#![forbid(unsafe_code)]

mod cancel;
mod news;
mod outcome;
mod roster;

pub use self::cancel::Stop;
use self::outcome::End;
use super::bay::Bay;
use super::event::{self, Event};
use super::extras::News;
use super::job::Job;
use super::work::{Work, kept};
use crate::error::{Error, Result};
use crate::shm::heap::Heap;
use crate::shm::plan::{Lane, Phase, PlanRef, SLOTS, Slot};
use crate::sys::descriptor;
use crate::wire::Encoding;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

/// Whoever submits looks this often at what came back: seldom enough to find several at once.
const LOOK_EVERY: u64 = 16;

/// Tasks in a lane where some are more important than others: one at work, and the next.
const SHALLOW: u64 = 2;

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
    /// What hooks are still to hear of.
    due: VecDeque<(News, Arc<Job>)>,
    events: VecDeque<Event>,
    /// The host was given a call for a worker, and none is there yet.
    called: bool,
    wanted: u32,
    next_bay: usize,
    /// Where the last task went.
    last_bay: usize,
    closed: bool,
    /// Why whatever is not settled never will be done.
    over: Option<Error>,
    left: bool,
    out: usize,
    submitted: u64,
    settled: u64,
    failed: u64,
    /// Wakes the template.
    doorbell: RawFd,
    /// Somebody wants to hear when tasks begin.
    follows: bool,
    /// It was told that nothing is left.
    drained: bool,
    /// So many tasks go into a lane at once.
    depth: u64,
    /// A shorter time limit than any before is under way, and the template does not know yet.
    sooner: bool,
}

impl Desk {
    /// An empty desk.
    pub fn new(plan: PlanRef, wanted: u32, doorbell: RawFd) -> Desk {
        let bay = |lane: &'static Lane| Bay::new(lane);
        let mut desk = Desk {
            plan,
            bays: plan.lanes().iter().map(bay).collect(),
            waiting: VecDeque::new(),
            due: VecDeque::new(),
            events: VecDeque::new(),
            called: false,
            wanted,
            next_bay: 0,
            last_bay: 0,
            closed: false,
            over: None,
            left: false,
            out: 0,
            submitted: 0,
            settled: 0,
            failed: 0,
            doorbell,
            follows: false,
            drained: false,
            depth: SLOTS as u64,
            sooner: false,
        };
        if wanted & (event::ACCEPTED | event::LIMIT_SET | event::LIMIT_CANCELLED) != 0 {
            desk.follow_all();
        }
        desk
    }

    /// Takes a task, into a lane if one has room; whether something else was found settled meanwhile.
    pub fn submit(&mut self, mut work: Work, arguments: Encoding<'_>) -> Result<bool> {
        self.check_open()?;
        self.note_limit(work.order.limits.least_ns());
        if work.order.priority != 0 {
            // What is in a lane is done in its order: from now on little is.
            self.depth = SHALLOW;
        }
        self.follow(&work);
        self.submitted += 1;
        let mut settled = self.submitted.is_multiple_of(LOOK_EVERY) && self.collect_all();
        if self.waiting.is_empty() {
            let mut place = self.place_of(&work);
            if place.is_none() && self.collect_all() {
                (settled, place) = (true, self.place_of(&work));
            }
            if let Some(index) = place {
                let limited = work.order.limits.least_ns() != 0;
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
        self.enqueue(work);
        self.fill();
        Ok(settled)
    }

    /// Behind all that is as important.
    fn enqueue(&mut self, work: Work) {
        let priority = work.order.priority;
        if priority == 0 && self.depth == SLOTS as u64 {
            return self.waiting.push_back(work);
        }
        let at = self.waiting.partition_point(|other| other.order.priority >= priority);
        self.waiting.insert(at, work);
    }

    fn assigned(&mut self, index: usize) {
        self.last_bay = index;
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
        self.note_drained();
        settled
    }

    fn collect_all(&mut self) -> bool {
        let mut settled = false;
        if self.follows {
            self.note_begun();
        }
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
        // Never more than there is room for, whatever the two say.
        let mut tail = plan.event_tail.load(Relaxed);
        tail = head.wrapping_sub(head.wrapping_sub(tail).min(plan.events.len() as u32));
        if tail == head {
            return;
        }
        while tail != head {
            self.take_in(&plan.events[tail as usize % plan.events.len()]);
            tail = tail.wrapping_add(1);
        }
        plan.event_tail.store(tail, Release);
    }

    /// Where work goes, if there is room.
    fn place_of(&self, work: &Work) -> Option<usize> {
        let has_room = |bay: &&Bay| bay.is_open() && bay.has_worker() && bay.tail - bay.head < self.depth;
        let beside = self.bays.get(self.last_bay).filter(has_room).map(|_| self.last_bay);
        beside.filter(|_| work.follows).or_else(|| self.emptiest())
    }

    /// The emptiest lane, if it has room.
    fn emptiest(&self) -> Option<usize> {
        // A position that was given up has no room.
        let used = |index: usize| match self.bays[index].is_open() {
            true => self.bays[index].tail - self.bays[index].head,
            false => SLOTS as u64,
        };
        // Of several that are empty the one that had work last: its worker may still be awake, and this task in its cache.
        let awake = self.bays.get(self.last_bay).is_some_and(|bay| bay.has_worker() && used(self.last_bay) == 0);
        let mut best = if awake { self.last_bay } else { self.next_bay };
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
        (least < self.depth).then_some(best)
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
            let Some(index) = self.place_of(&work) else {
                self.waiting.push_front(work);
                return limited;
            };
            limited |= work.order.limits.least_ns() != 0;
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
        if self.follows {
            work.iter().for_each(|work| self.note_end(work, task.state()));
        }
        let bay = &self.bays[index];
        let terms = &bay.lane.terms[(bay.head % SLOTS as u64) as usize];
        let terms = slot.has_terms().then_some(terms);
        let job = work.and_then(|work| self.settle(work, End { slot, task, terms }));
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
            limited |= work.order.limits.least_ns() != 0;
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

    /// Slots of which the next news come, of a few lanes: for who looks often.
    pub fn next_slots(&self) -> [Option<&'static Slot>; 4] {
        let mut next = self.bays.iter().filter(|bay| bay.head < bay.tail).map(|bay| bay.slot(bay.head));
        std::array::from_fn(|_| next.next())
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
}
