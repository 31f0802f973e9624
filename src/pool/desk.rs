//! The host's desk: what it has submitted, which lane has what, and what came back.
//!
//! No thread of its own: whoever calls in pumps. All of it is memory of the host, under one lock that is
//! held for moments; only slots are shared.
#![forbid(unsafe_code)]

use super::event::{self, Event};
use super::job::{Job, Verdict};
use super::map::Map;
use crate::error::{Error, Result};
use crate::pin::Pins;
use crate::shm::heap::Heap;
use crate::shm::lane::{State, Task};
use crate::shm::plan::{INLINE, Lane, NOTHING_FAILED, Phase, PlanRef, SLOTS, Slot, TaskKind, WRONG_REPLY};
use crate::shm::region::Region;
use crate::sys::descriptor;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;
use std::sync::{Arc, Mutex};

/// Where settled jobs of an iterator wait for it.
pub type Sink = Arc<Mutex<VecDeque<Arc<Job>>>>;

/// What is to be done.
pub enum What {
    /// One task.
    Single {
        /// Its job.
        job: Arc<Job>,
        /// Encoded.
        arguments: Arguments,
        /// Where the job goes when it is settled.
        sink: Option<Sink>,
        /// Keeps what the arguments name until it is settled.
        pins: Option<Box<Pins>>,
    },
    /// Items of a map, `next..end`.
    Chunk {
        /// The map.
        map: Arc<Map>,
        /// First item.
        next: u64,
        /// Behind the last.
        end: u64,
    },
}

/// Encoded arguments; short ones need no allocation.
pub enum Arguments {
    /// Up to [`INLINE`] bytes.
    Short([u8; INLINE], u8),
    /// More.
    Long(Box<[u8]>),
}

impl Arguments {
    fn bytes(&self) -> &[u8] {
        match self {
            Arguments::Short(bytes, len) => &bytes[..*len as usize],
            Arguments::Long(bytes) => bytes,
        }
    }
}

/// A task on its way.
pub struct Work {
    what: What,
    function: u32,
    limit_ns: u64,
}

impl Work {
    /// One task.
    pub fn single(
        job: Arc<Job>,
        function: u32,
        arguments: &[u8],
        pins: Option<Box<Pins>>,
        limit_ns: u64,
    ) -> Result<Work> {
        Work::with_sink(job, function, arguments, pins, limit_ns, None)
    }

    /// One task whose job goes to `sink` when it is settled.
    pub fn with_sink(
        job: Arc<Job>,
        function: u32,
        arguments: &[u8],
        pins: Option<Box<Pins>>,
        limit_ns: u64,
        sink: Option<Sink>,
    ) -> Result<Work> {
        let arguments = if arguments.len() <= INLINE {
            let mut short = [0; INLINE];
            short[..arguments.len()].copy_from_slice(arguments);
            Arguments::Short(short, arguments.len() as u8)
        } else {
            let mut long = Vec::new();
            long.try_reserve_exact(arguments.len()).map_err(|_| Error::NoMemory("no memory for the arguments"))?;
            long.extend_from_slice(arguments);
            Arguments::Long(long.into())
        };
        Ok(Work { what: What::Single { job, arguments, sink, pins }, function, limit_ns })
    }

    /// Items of a map.
    pub fn chunk(map: Arc<Map>, next: u64, end: u64, function: u32, limit_ns: u64) -> Work {
        Work { what: What::Chunk { map, next, end }, function, limit_ns }
    }

    /// It is no longer in a lane.
    fn is_off(&self) {
        if let What::Chunk { map, .. } = &self.what {
            map.end_chunk();
        }
    }

    fn cancel(self, error: &Error) -> Option<Arc<Job>> {
        match self.what {
            What::Single { job, sink, .. } => {
                job.settle(Verdict::of(Err(error.clone()), job.item), Vec::new());
                hand_over(&job, sink);
                Some(job)
            }
            What::Chunk { map, next, end } => {
                map.fail(next, end, &Verdict::of(Err(error.clone()), next));
                map.done(end - next);
                None
            }
        }
    }
}

fn hand_over(job: &Arc<Job>, sink: Option<Sink>) {
    if let Some(sink) = sink {
        sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push_back(job.clone());
    }
}

/// A lane as the host sees it: places `head..tail` hold its work.
struct Bay {
    lane: &'static Lane,
    head: u64,
    tail: u64,
    work: Vec<Option<Work>>,
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
    cancelled: bool,
    left: bool,
    out: usize,
    /// Wakes the template.
    doorbell: RawFd,
    /// A shorter time limit than any before is under way, and the template does not know yet.
    sooner: bool,
}

impl Desk {
    /// An empty desk.
    pub fn new(plan: PlanRef, wanted: u32, doorbell: RawFd) -> Desk {
        let bay = |lane: &'static Lane| Bay { lane, head: 0, tail: 0, work: (0..SLOTS).map(|_| None).collect() };
        Desk {
            plan,
            bays: plan.lanes().iter().map(bay).collect(),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
            wanted,
            next_bay: 0,
            closed: false,
            cancelled: false,
            left: false,
            out: 0,
            doorbell,
            sooner: false,
        }
    }

    /// Takes a task, into a lane if one has room.
    pub fn submit(&mut self, work: Work) -> Result<()> {
        if self.closed {
            return Err(Error::Closed("the pool takes no more tasks"));
        }
        self.note_limit(work.limit_ns);
        self.waiting.push_back(work);
        self.fill();
        Ok(())
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
        // What was settled a moment ago is collected, and whatever else is here is cancelled.
        self.pump();
        let left = self.bays.iter_mut().flat_map(|bay| bay.work.iter_mut()).filter_map(Option::take);
        for work in left.collect::<Vec<_>>() {
            work.cancel(&Error::Cancelled);
        }
        self.bays.clear();
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
        let mut settled = false;
        for index in 0..self.bays.len() {
            while self.bays[index].head < self.bays[index].tail && self.collect(index) {
                settled = true;
            }
        }
        if settled {
            self.fill();
        }
        if self.waiting.is_empty() {
            self.balance();
        }
        self.plan_rings();
        settled
    }

    fn fetch_events(&mut self) {
        let plan = self.plan.plan();
        let head = plan.event_head.load(Acquire);
        let mut tail = plan.event_tail.load(Relaxed);
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

    /// Puts waiting work into the emptiest lanes.
    fn fill(&mut self) {
        if self.fill_lanes() {
            self.wake_clock();
        }
    }

    /// Whether any of the work has a time limit.
    fn fill_lanes(&mut self) -> bool {
        let mut limited = false;
        while let Some(work) = self.waiting.pop_front() {
            let count = self.bays.len();
            let at = |step: usize| (self.next_bay + step) % count;
            let emptiest = (0..count).map(at).min_by_key(|index| self.bays[*index].tail - self.bays[*index].head);
            let Some(index) = emptiest.filter(|index| self.bays[*index].has_room()) else {
                self.waiting.push_front(work);
                return limited;
            };
            limited |= work.limit_ns != 0;
            self.next_bay = index + 1;
            if let Err(refused) = self.bays[index].assign(self.plan, work) {
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
            self.out += 1;
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
        let work = bay.work[(bay.head % SLOTS as u64) as usize].take();
        let heap = Heap::of(self.plan.arena);
        work.iter().for_each(Work::is_off);
        let job = work.and_then(|work| self.settle(work, slot, task));
        let _ = heap.give(&slot.arguments_block);
        let _ = heap.give(&slot.reply_block);
        slot.word.release(task);
        self.bays[index].head += 1;
        self.out -= 1;
        self.tell_done(job);
        true
    }

    fn tell_done(&mut self, job: Option<Arc<Job>>) {
        if let Some(job) = job.filter(|_| self.wanted & event::DONE != 0) {
            let pid = job.outcome().map_or(0, |outcome| outcome.verdict.pid);
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
                let (verdict, reply) = self.judge(slot, task, job.item, job.submitted_ns);
                job.settle(verdict, reply);
                hand_over(&job, sink);
                Some(job)
            }
            What::Chunk { map, next, end } => {
                let rest = self.settle_chunk(&map, next..end, slot, task);
                if rest < end {
                    // Items behind the lost one were not begun: they go to whoever is free.
                    self.waiting.push_front(Work::chunk(map, rest, end, work.function, work.limit_ns));
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
            State::Done if !map.is_abandoned() => end,
            _ if self.cancelled || map.is_abandoned() => {
                map.fail(task.item(), end, &Verdict::of(Err(Error::Cancelled), task.item()));
                end
            }
            _ => {
                let (verdict, _) = self.judge(slot, task, task.item(), map.submitted_ns);
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
        verdict.message = String::from_utf8_lossy(&reply_of(self.plan, slot)).into_owned();
        verdict.status = Err(failure(verdict.code, &verdict.message));
        verdict
    }

    /// What the slot says about a task that is final, and its reply.
    fn judge(&self, slot: &'static Slot, task: Task, item: u64, submitted_ns: u64) -> (Verdict, Vec<u8>) {
        let mut verdict = Verdict::of(Ok(()), item);
        let (started, ended) = (slot.started_ns.load(Relaxed), slot.ended_ns.load(Relaxed));
        verdict.pid = slot.pid.load(Relaxed);
        verdict.queued_ns = started.saturating_sub(submitted_ns);
        verdict.elapsed_ns = ended.saturating_sub(started);
        match task.state() {
            State::Done => {
                if slot.failed_item.load(Relaxed) == NOTHING_FAILED {
                    return (verdict, reply_of(self.plan, slot));
                }
                let failed = self.failed(slot, item);
                (verdict.code, verdict.message, verdict.status) = (failed.code, failed.message, failed.status);
            }
            _ if self.cancelled => verdict.status = Err(Error::Cancelled),
            state => lost(&mut verdict, slot, state),
        }
        (verdict, Vec::new())
    }

    /// Work that stands behind a long task, or in a lane without a worker, while another worker is idle, is taken
    /// back and goes there.
    fn balance(&mut self) {
        let mut limited = false;
        for target in 0..self.bays.len() {
            let bay = &self.bays[target];
            if bay.head != bay.tail || !bay.has_worker() {
                continue;
            }
            let longest = (0..self.bays.len()).map(|index| (self.bays[index].takeable(), index)).max();
            let Some((1.., source)) = longest else { break };
            let Some(work) = self.bays[source].take_back(self.plan) else { continue };
            limited |= work.limit_ns != 0;
            match self.bays[target].assign(self.plan, work) {
                Ok(()) => self.out += 1,
                // The arena is full.
                Err(refused) => self.waiting.push_front(refused.0),
            }
        }
        if limited {
            self.wake_clock();
        }
    }

    /// Says to each lane from which place on its worker shall wake the host: when there is room for what
    /// waits, or when the lane is empty.
    fn plan_rings(&self) {
        for bay in &self.bays {
            bay.lane.ring_from.store(bay.head, Relaxed);
        }
    }

    /// Worker positions.
    pub fn lanes(&self) -> usize {
        self.bays.len()
    }

    /// Nobody waits for the map any more: what is not begun never will be, and chunks at work end with the
    /// item that they are at.
    pub fn abandon(&mut self, map: &Arc<Map>) {
        let belongs = |work: &Work| matches!(&work.what, What::Chunk { map: other, .. } if Arc::ptr_eq(other, map));
        let waiting = std::mem::take(&mut self.waiting);
        for work in waiting {
            if belongs(&work) {
                work.cancel(&Error::Cancelled);
            } else {
                self.waiting.push_back(work);
            }
        }
        for bay in &mut self.bays {
            for place in bay.head..bay.tail {
                let slot = bay.slot(place);
                if !bay.work[(place % SLOTS as u64) as usize].as_ref().is_some_and(belongs) {
                    continue;
                }
                let task = slot.word.load();
                if task.state() != State::Assigned || slot.word.revoke(task).is_err() {
                    slot.stop_chunk();
                }
            }
        }
    }

    /// Nobody waits for the job any more; it is not begun if it has not been.
    pub fn abandon_job(&mut self, job: &Arc<Job>) {
        let belongs = |work: &Work| matches!(&work.what, What::Single { job: other, .. } if Arc::ptr_eq(other, job));
        if let Some(index) = self.waiting.iter().position(belongs) {
            self.waiting.remove(index).map(|work| work.cancel(&Error::Cancelled));
        }
        for bay in &mut self.bays {
            for place in bay.head..bay.tail {
                let slot = bay.slot(place);
                if bay.work[(place % SLOTS as u64) as usize].as_ref().is_some_and(belongs) {
                    let task = slot.word.load();
                    if task.state() == State::Assigned && slot.word.revoke(task).is_ok() {
                        let work = bay.work[(place % SLOTS as u64) as usize].take();
                        work.map(|work| work.cancel(&Error::Cancelled));
                    }
                }
            }
        }
    }

    /// Cancels whatever is not settled; for a pool that is terminated.
    pub fn cancel_all(&mut self) {
        self.cancelled = true;
        while let Some(work) = self.waiting.pop_front() {
            let job = work.cancel(&Error::Cancelled);
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
                jobs.extend(work.and_then(|work| work.cancel(&Error::Cancelled)));
            }
        }
        jobs.into_iter().for_each(|job| self.tell_done(Some(job)));
    }
}

impl Bay {
    fn slot(&self, place: u64) -> &'static Slot {
        &self.lane.slots[(place % SLOTS as u64) as usize]
    }

    fn has_worker(&self) -> bool {
        self.lane.pid.load(Relaxed) != 0
    }

    /// Places of tasks that another lane could have: all but the next one, or all if nobody is here to begin it.
    fn spare_places(&self) -> std::ops::Range<u64> {
        if self.has_worker() { (self.head + 1).min(self.tail)..self.tail } else { self.head..self.tail }
    }

    /// How many of them nobody has begun.
    fn takeable(&self) -> usize {
        let open = |place: &u64| {
            self.work[(*place % SLOTS as u64) as usize].is_some()
                && self.slot(*place).word.load().state() == State::Assigned
        };
        self.spare_places().filter(open).count()
    }

    /// The last task of the lane that another lane could have. Its place stays used: the worker skips it, and
    /// the host collects nothing there.
    fn take_back(&mut self, plan: PlanRef) -> Option<Work> {
        for place in self.spare_places().rev() {
            let slot = self.slot(place);
            let task = slot.word.load();
            if task.state() == State::Assigned && slot.word.revoke(task).is_ok() {
                let _ = Heap::of(plan.arena).give(&slot.arguments_block);
                let work = self.work[(place % SLOTS as u64) as usize].take();
                work.iter().for_each(Work::is_off);
                return work;
            }
        }
        None
    }

    fn has_room(&self) -> bool {
        self.tail - self.head < SLOTS as u64
    }

    /// Writes a task into the next place. On failure the work comes back.
    fn assign(&mut self, plan: PlanRef, work: Work) -> std::result::Result<(), Box<(Work, Error)>> {
        let slot = self.slot(self.tail);
        let first = match &work.what {
            What::Single { arguments, .. } => {
                if let Err(error) = put_arguments(plan, slot, arguments.bytes()) {
                    return Err(Box::new((work, error)));
                }
                0
            }
            What::Chunk { map, next, end } => {
                map.begin_chunk();
                slot.set_chunk(map.chunk(*end));
                slot.kind.store(TaskKind::Chunk as u32, Relaxed);
                *next
            }
        };
        slot.function.store(work.function, Relaxed);
        slot.limit_ns.store(work.limit_ns, Relaxed);
        slot.word.assign(first);
        self.work[(self.tail % SLOTS as u64) as usize] = Some(work);
        self.tail += 1;
        self.lane.bell.ring();
        Ok(())
    }
}

fn put_arguments(plan: PlanRef, slot: &'static Slot, bytes: &[u8]) -> Result<()> {
    let kind = if bytes.len() <= INLINE {
        slot.arguments().write(bytes);
        TaskKind::Inline
    } else {
        let offset = Heap::of(plan.arena).take(bytes.len() as u64, &slot.arguments_block)?;
        let place = Region::of(plan.arena, offset, bytes.len() as u64);
        place.ok_or(Error::Panic("a block outside the arena".into()))?.write(bytes);
        TaskKind::Block
    };
    slot.arguments_len.store(bytes.len() as u64, Relaxed);
    slot.kind.store(kind as u32, Relaxed);
    Ok(())
}

fn reply_of(plan: PlanRef, slot: &'static Slot) -> Vec<u8> {
    let len = slot.reply_len.load(Relaxed);
    let block = slot.reply_block.load(Acquire);
    let place = if block != 0 { Region::of(plan.arena, block, len) } else { slot.reply().part(0, len as usize) };
    place.map_or_else(Vec::new, |place| place.frozen().to_vec())
}

fn failure(code: i32, message: &str) -> Error {
    match (code, message) {
        (code, "") => Error::TaskFailed(format!("the function returned {code}").into()),
        (_, message) => Error::TaskFailed(message.to_string().into()),
    }
}

/// The verdict on a task whose worker died over it.
fn lost(verdict: &mut Verdict, slot: &'static Slot, state: State) {
    let exit = super::exit_of(slot.exit.load(Relaxed));
    verdict.max_rss_bytes = slot.max_rss.load(Relaxed);
    match exit {
        Some(code) if code < 0 => verdict.signal = -code,
        Some(code) => verdict.exit_code = code,
        None => verdict.exit_code = -1,
    }
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
}
