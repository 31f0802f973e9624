//! A lane as the host sees it: what it put there, and how.
#![forbid(unsafe_code)]

use super::work::{What, Work, kept};
use crate::error::{Error, Result};
use crate::shm::heap::Heap;
use crate::shm::job_note;
use crate::shm::lane::State;
use crate::shm::plan::{
    ACCEPTED, FLAG_EXACT, FLAG_HELD, FLAG_NAMED, FLAG_TELLS, FLAG_TERMS, INLINE, Lane, OFFERED, PlanRef, SLOTS, Set,
    Slot, TaskKind, Terms,
};
use crate::shm::region::Region;
use crate::wire::Encoding;
use std::ffi::CStr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A lane as the host sees it: places `head..tail` hold its work.
pub struct Bay {
    /// The lane.
    pub lane: &'static Lane,
    /// The oldest place that is not collected.
    pub head: u64,
    /// The next place to be filled.
    pub tail: u64,
    open: bool,
    /// Its worker tells when it begins a task.
    pub tells: bool,
    /// The next place that nobody was told of.
    begun: u64,
    /// Something was put there that the worker may not have heard of.
    rings: bool,
    /// What was put there.
    pub work: Vec<Option<Work>>,
}

impl Bay {
    /// An empty one.
    pub fn new(lane: &'static Lane) -> Bay {
        Bay {
            lane,
            head: 0,
            tail: 0,
            open: true,
            tells: false,
            begun: 0,
            rings: false,
            work: (0..SLOTS).map(|_| None).collect(),
        }
    }

    /// Which slot that is.
    pub fn slot_number(&self, place: u64) -> u32 {
        (place % SLOTS as u64) as u32
    }

    /// The next task that was begun, once.
    pub fn next_begun(&mut self) -> Option<u64> {
        self.begun = self.begun.max(self.head);
        while self.begun < self.tail {
            let state = self.slot(self.begun).word.load().state();
            if state == State::Free || state == State::Assigned && !self.is_offered(self.begun) {
                return None;
            }
            self.begun += 1;
            if state != State::Revoked {
                return Some(self.begun - 1);
            }
        }
        None
    }

    /// The task at a place, if nobody has begun it: it is no longer here.
    pub fn revoke(&mut self, place: u64) -> Option<Work> {
        let slot = self.slot(place);
        let task = slot.word.load();
        if task.state() != State::Assigned || slot.word.revoke(task).is_err() {
            return None;
        }
        self.wake_held(slot);
        let work = self.work[(place % SLOTS as u64) as usize].take()?;
        work.is_off();
        Some(work)
    }

    /// Whether the worker has come to the task at a place, and waits until the host accepts it, or has waited.
    pub fn is_offered(&self, place: u64) -> bool {
        let slot = self.slot(place);
        slot.flags.load(Relaxed) & FLAG_HELD != 0 && self.terms(place).held.load(Acquire) & OFFERED != 0
    }

    /// The task at a place may begin.
    pub fn accept(&mut self, place: u64) {
        if let Some(work) = self.work_mut(place) {
            work.order.held = false;
        }
        if self.slot(place).flags.load(Relaxed) & FLAG_HELD != 0 {
            self.terms(place).held.fetch_or(ACCEPTED, AcqRel);
            self.lane.bell.ring();
        }
    }

    fn terms(&self, place: u64) -> &'static Terms {
        &self.lane.terms[(place % SLOTS as u64) as usize]
    }

    /// What was taken back may be what the worker waits for to be accepted.
    fn wake_held(&self, slot: &Slot) {
        if slot.flags.load(Relaxed) & FLAG_HELD != 0 {
            self.lane.bell.ring();
        }
    }

    /// The slot of a place.
    pub fn slot(&self, place: u64) -> &'static Slot {
        &self.lane.slots[(place % SLOTS as u64) as usize]
    }

    /// Places that hold work.
    pub fn places(&self) -> std::ops::Range<u64> {
        self.head..self.tail
    }

    /// What was put at a place.
    pub fn work_at(&self, place: u64) -> Option<&Work> {
        self.work[(place % SLOTS as u64) as usize].as_ref()
    }

    /// The same, to be changed.
    pub fn work_mut(&mut self, place: u64) -> Option<&mut Work> {
        self.work[(place % SLOTS as u64) as usize].as_mut()
    }

    /// The last place whose task is still to be done here.
    pub fn last(&self) -> u64 {
        let revoked = |place: &u64| self.slot(*place).word.load().state() == State::Revoked;
        self.places().rev().find(|place| !revoked(place)).unwrap_or(self.head)
    }

    /// Whether the position is in use.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The position is in use from now on, or is not: then its worker leaves, and no other comes.
    pub fn set_open(&mut self, open: bool) {
        self.open = open;
        self.lane.wanted.store(open as u32, Release);
        self.lane.bell.ring_all();
    }

    /// Whether somebody is here to begin tasks.
    pub fn has_worker(&self) -> bool {
        self.lane.pid.load(Relaxed) != 0
    }

    /// Places of tasks that another lane could have: all but the next one, or all if nobody is here to begin it.
    fn spare_places(&self) -> std::ops::Range<u64> {
        if self.has_worker() { (self.head + 1).min(self.tail)..self.tail } else { self.head..self.tail }
    }

    /// How many of them there are. Some may have been begun: their words are the worker's to look at.
    pub fn takeable(&self) -> usize {
        self.spare_places().filter(|place| self.work_at(*place).is_some()).count()
    }

    /// The last task of the lane that another lane could have. Its place stays used: the worker skips it, and
    /// the host collects nothing there.
    pub fn take_back(&mut self, plan: PlanRef) -> Option<Work> {
        for place in self.spare_places().rev() {
            let slot = self.slot(place);
            let task = slot.word.load();
            if task.state() != State::Assigned {
                continue;
            }
            let single = self.work_at(place).is_some_and(|work| matches!(work.what, What::Single { .. }));
            let arguments = if single { kept(arguments_of(plan, slot)).ok()? } else { Box::default() };
            if slot.word.revoke(task).is_ok() {
                self.wake_held(slot);
                let _ = Heap::of(plan.arena).give(&slot.arguments_block);
                let mut work = self.work[(place % SLOTS as u64) as usize].take()?;
                work.is_off();
                work.arguments = arguments;
                return Some(work);
            }
        }
        None
    }

    /// Writes a task into the next place, of which the worker hears by [`Bay::ring`]; its arguments are its own where no others are given. On failure the
    /// work comes back.
    #[inline]
    pub fn assign(
        &mut self,
        plan: PlanRef,
        mut work: Work,
        arguments: Option<Encoding<'_>>,
    ) -> std::result::Result<(), Box<(Work, Error)>> {
        let slot = self.slot(self.tail);
        let first = match &work.what {
            What::Single { .. } => {
                if let Err(error) =
                    put_arguments(plan, slot, arguments.unwrap_or((&*work.arguments).into()), work.name())
                {
                    return Err(Box::new((work, error)));
                }
                0
            }
            What::Chunk { map, next, end } => {
                map.begin_chunk();
                slot.set_chunk(map.chunk(*end));
                slot.kind.set(TaskKind::Chunk as u32);
                *next
            }
        };
        work.arguments = Box::default();
        slot.function.set(work.function);
        slot.limit_ns.set(work.order.limits.hard_ns);
        let named = if work.name().is_empty() { 0 } else { FLAG_NAMED };
        let flags = self.put_terms(&work) | named | if self.tells { FLAG_TELLS } else { 0 };
        slot.flags.set(flags);
        self.lane.jobs[self.slot_number(self.tail) as usize].store(work.job_id().low, Relaxed);
        slot.word.assign(first);
        self.work[(self.tail % SLOTS as u64) as usize] = Some(work);
        self.tail += 1;
        self.rings = true;
        Ok(())
    }

    /// Writes what few tasks have; the flags that say so.
    #[inline]
    fn put_terms(&self, work: &Work) -> u32 {
        if !work.order.has_terms() && work.attempt == 1 {
            return 0;
        }
        let (order, limits) = (&work.order, &work.order.limits);
        let terms = self.terms(self.tail);
        terms.clear();
        terms.soft_ns.store(limits.soft_ns, Relaxed);
        terms.cpu_ns.store(limits.cpu_ns, Relaxed);
        terms.memory.store(limits.memory, Relaxed);
        terms.expires_ns.store(order.expires_ns, Relaxed);
        terms.attempt.store(work.attempt, Relaxed);
        let exact = if limits.least_ns() != 0 { FLAG_EXACT } else { 0 };
        FLAG_TERMS | exact | if order.held { FLAG_HELD } else { 0 }
    }

    /// Wakes the worker if tasks came since the last time. Once for many: the fence in it waits until the last
    /// of them is in memory.
    #[inline]
    pub fn ring(&mut self) {
        if std::mem::take(&mut self.rings) {
            self.lane.bell.ring();
        }
    }
}

/// The encoded arguments of a slot's task.
pub fn arguments_of(plan: PlanRef, slot: &'static Slot) -> &'static [u8] {
    let len = slot.arguments_len.load(Relaxed);
    let place = if slot.kind.load(Relaxed) == TaskKind::Inline as u32 {
        slot.arguments().part(0, len as usize)
    } else {
        Region::of(plan.arena, slot.arguments_block.load(Relaxed), len)
    };
    place.map_or(&[], Region::frozen)
}

fn put_arguments(plan: PlanRef, slot: &'static Slot, arguments: Encoding<'_>, name: &CStr) -> Result<()> {
    let length = arguments.length();
    let len = job_note::with_name(length, name).ok_or(Error::invalid("the name of a task is absurd"))?;
    let (place, kind) = if len <= INLINE {
        (slot.arguments(), TaskKind::Inline)
    } else {
        let offset = Heap::of(plan.arena).take(len as u64, &slot.arguments_block)?;
        let place = Region::of(plan.arena, offset, len as u64);
        (place.ok_or(Error::Panic("a block outside the arena".into()))?, TaskKind::Block)
    };
    match arguments.whole() {
        Some(whole) => _ = place.write(whole),
        None => write_pieces(place, arguments),
    }
    job_note::write_name(place, length, name);
    slot.arguments_len.set(length as u64);
    slot.kind.set(kind as u32);
    Ok(())
}

/// Apart: a short task has one piece, and would pay for the others.
#[cold]
fn write_pieces(place: Region, arguments: Encoding<'_>) {
    let mut rest = place;
    for piece in arguments.pieces() {
        rest.write(piece);
        rest = rest.from(piece.len()).unwrap_or(Region::EMPTY);
    }
}
