//! A pool in the arena: one block with what the host, the template and the workers share.
//!
//! ```text
//! Plan     words of the whole pool, events of the template
//! Lane[n]  one per worker position
//!   Slot[SLOTS]  a ring of tasks, in the order of the host's submissions
//! ```
//! Each field names who writes it. Host: the process that made the pool, its threads one at a time.
//! Worker: the lane's only one. Template: the pool's keeper, one at a time.

use super::arena::{Arena, Liveness};
use super::heap::Heap;
use super::lane::{Bell, TaskWord};
use super::real::Real;
use super::region::Region;
use super::seat::SeatWord;
use crate::error::{Error, Result};
use crate::sys::crash::Record;
use std::mem::offset_of;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Tasks that a lane holds at once.
pub const SLOTS: u32 = 64;
/// Workers of a pool.
pub const MAX_LANES: u32 = 1024;
/// Bytes of arguments, and of a reply, that need no block.
pub const INLINE: usize = 128;
/// Events that the host may not have fetched yet: birth, death and more of every worker that there can be.
pub const EVENTS: u32 = 4096;

/// What a pool is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u32)]
pub enum Phase {
    /// It runs tasks. Closed or not is the host's affair.
    Working = 0,
    /// Workers leave once their lanes are empty. Set by the host.
    Ending = 1,
    /// Workers are killed. Set by the host, or by the template when the host is dead.
    Stopping = 2,
    /// No worker is left. Set by the template.
    Ended = 3,
}

/// One thing that the template has to tell.
#[repr(C)]
pub struct EventRecord {
    /// Kind, a bit of `carom_pool_event`. Template.
    pub kind: AtomicU32,
    /// Worker. Template.
    pub pid: AtomicU32,
    /// How it ended: 0…255, minus a signal, or [`UNKNOWN_EXIT`]. Template.
    pub exit: AtomicU32,
    /// Why: see `pool::template`. Template.
    pub reason: AtomicU32,
}

/// Nobody can tell how a worker ended.
pub const UNKNOWN_EXIT: i32 = i32::MIN;

/// Deaths that a broken pool tells of.
pub const HISTORY: usize = 8;

/// A function that each worker runs, and its arguments.
#[repr(C)]
pub struct Hook {
    /// Index in the family's function table + 1; 0 for none.
    pub function: AtomicU32,
    pad: u32,
    /// The encoded arguments, in a block that the pool's cell owns; 0 for none.
    pub arguments: AtomicU64,
    /// Their bytes.
    pub len: AtomicU64,
}

/// Words of the whole pool.
#[repr(C, align(64))]
pub struct Plan {
    /// Whether the template lives.
    pub template: Liveness,
    /// [`Phase`]; only rises.
    pub phase: AtomicU32,
    /// Worker positions that there is room for. Written once.
    pub lanes: AtomicU32,
    /// Not 0: lanes that were never in use are zero. Written once.
    pub fresh: AtomicU32,
    /// The pool's maker: member slot and generation. Written once.
    pub host: AtomicU64,
    /// Template's slot and generation. Template.
    pub template_id: AtomicU64,
    /// Not 0: the template sleeps without a timer and must be woken for a task with a limit. Set by the
    /// template, cleared by whoever wakes it.
    pub dozing: AtomicU32,
    /// Bits of events that the host wants. Written once.
    pub wanted: AtomicU32,
    /// Shortest time limit of any task so far in ns, 0 for none. Host.
    pub least_limit_ns: AtomicU64,
    /// The host's threads sleep here; rung by workers and template.
    pub news: Bell<Real>,
    /// Not 0: the next news is also written to the host's eventfd. Set by the host, cleared by whoever writes.
    pub armed: AtomicU32,
    /// Not 0: a task that has no limit is to be ended. Set by the host, cleared by the template.
    pub attention: AtomicU32,
    /// Memory after which a worker is replaced once it has done its task, 0 for never. Written once.
    pub max_memory: AtomicU64,
    /// Every worker that was born before the last raise leaves after the task that it is at. Raised by the host.
    pub restarts: AtomicU32,
    /// Worker positions that are in use, or were: only rises. Host.
    pub active: AtomicU32,
    /// Not 0: too many workers died, the pool has ended. Template.
    pub broken: AtomicU32,
    /// What a worker runs first. Written once.
    pub initializer: Hook,
    /// What it runs last, where it leaves. Written once.
    pub finalizer: Hook,
    /// Tasks after which a worker leaves, 0 for never. Written once.
    pub max_tasks: AtomicU64,
    /// Bounds the ends that nobody wanted, see `pool::restarts`. Written once.
    pub max_restarts: AtomicU32,
    /// In so many seconds. Likewise.
    pub restart_window_s: AtomicU32,
    /// How many there were. Template.
    pub deaths: AtomicU32,
    /// Not 0: the host forks the workers, where a lane's seat asks for one. Written once.
    pub hosted: AtomicU32,
    /// The last of them: pid in the upper half, exit in the lower. Template.
    pub exits: [AtomicU64; HISTORY],
    /// The upper half of the name of each of its jobs. Written once.
    pub job_high: AtomicU64,
    pad: [u64; 6],
    /// Events written. Template.
    pub event_head: AtomicU32,
    /// Events fetched. Host.
    pub event_tail: AtomicU32,
    pad2: [u64; 7],
    /// Ring of events.
    pub events: [EventRecord; EVENTS as usize],
}

/// What a slot's task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum TaskKind {
    /// Arguments encoded in the slot.
    Inline = 0,
    /// Arguments encoded in the slot's block.
    Block = 1,
    /// A chunk of a map; [`Chunk`] is in the slot.
    Chunk = 2,
}

/// One task of a lane. A short task touches two lines that change hands: the first, from host to worker, and the
/// fourth, from worker to host. What is the same from task to task has lines of its own, and is written with [`Set`].
#[repr(C, align(128))]
pub struct Slot {
    /// What becomes of it. See [`super::lane`].
    pub word: TaskWord<Real>,
    /// While it runs: processor time of the worker's process when it began. Then: what it took. Worker; template if the
    /// worker died, 0 where that does not know. Here, since the worker has just taken the line, and the host reads it.
    pub cpu_ns: AtomicU64,
    /// Short arguments, or a [`Chunk`]. Host.
    pub arguments: [AtomicU64; INLINE / 8],
    /// Index in the family's function table. Host.
    pub function: AtomicU32,
    /// [`TaskKind`]. Host.
    pub kind: AtomicU32,
    /// Bytes of the arguments. Host.
    pub arguments_len: AtomicU64,
    /// Its time limit in ns, 0 for none; per item of a chunk. Host.
    pub limit_ns: AtomicU64,
    /// Block of the arguments. Host.
    pub arguments_block: AtomicU64,
    /// Block of the evidence of its worker's death, see `pool::evidence`. Template, and the host once the task is final.
    pub evidence_block: AtomicU64,
    /// What its [`Terms`] hold, and more: `FLAG_…`. Host.
    pub flags: AtomicU32,
    pad2: u32,
    /// When it was started. Worker.
    pub started_ns: AtomicU64,
    /// When it ended. Worker; template if the worker died.
    pub ended_ns: AtomicU64,
    /// Bytes of the reply, or of the message of a failure. Worker.
    pub reply_len: AtomicU64,
    /// What failed: [`NOTHING_FAILED`] or an item, the first. Worker.
    pub failed_item: AtomicU64,
    /// What the function returned, of a chunk's first failed item; or [`WRONG_REPLY`]. Worker.
    pub code: AtomicU64,
    /// Block of the reply or message. Worker, and the host once it is final.
    pub reply_block: AtomicU64,
    /// Short reply or message. Worker.
    pub reply: [AtomicU64; INLINE / 8],
    /// Peak resident memory of the dead worker. Template.
    pub max_rss: AtomicU64,
    /// How the worker ended, as in [`EventRecord`]. Template.
    pub exit: AtomicU32,
    /// Who ran it. Worker.
    pub pid: AtomicU32,
}

/// Its terms are this task's; else they are a former one's.
pub const FLAG_TERMS: u32 = 1;
/// The template may end an item of the chunk: its worker goes on by compare-and-swap.
pub const FLAG_EXACT: u32 = 2;
/// The host wants to hear when the task is begun.
pub const FLAG_TELLS: u32 = 4;
/// The worker does not begin the task before the host has accepted it.
pub const FLAG_HELD: u32 = 8;
/// The host has a name for it. See [`super::job_note`].
pub const FLAG_NAMED: u32 = 16;

/// A worker has come to the task and waits. See [`Terms::held`].
pub const OFFERED: u32 = 1;
/// It may begin.
pub const ACCEPTED: u32 = 2;

/// What few tasks have: said apart from the slot, lest all the others touch another line.
#[repr(C, align(64))]
pub struct Terms {
    /// Its soft time limit in ns, 0 for none; per item of a chunk. Host.
    pub soft_ns: AtomicU64,
    /// The item whose worker knows by now that it should stop: its word, as `Task::at_work` has it. Worker.
    pub noticed: AtomicU64,
    /// Not 0: it should stop now, and is ended at this instant. Host.
    pub kill_at_ns: AtomicU64,
    /// By this signal, 0 for SIGKILL. Host.
    pub kill_signal: AtomicU32,
    /// Why its worker is to be killed, a [`Sentence`]. Template, before the word says so.
    pub sentence: AtomicU32,
    /// Processor time that it may take in ns, 0 for no limit. Host.
    pub cpu_ns: AtomicU64,
    /// Bytes of memory that its worker may have come to meanwhile, likewise. Host.
    pub memory: AtomicU64,
    /// It is not begun after this instant, 0 for whenever. Host.
    pub expires_ns: AtomicU64,
    /// Which attempt it is, beginning with 1. Host.
    pub attempt: AtomicU32,
    /// Of a task with [`FLAG_HELD`]: [`OFFERED`], a bit that the worker adds, and [`ACCEPTED`], one that the host adds.
    pub held: AtomicU32,
}

/// Why a worker is killed over its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Sentence {
    /// Its time limit.
    Time = 0,
    /// The host does not want it any more.
    Cancelled = 1,
    /// Its memory limit.
    Memory = 2,
    /// Its limit of processor time.
    Cpu = 3,
}

impl Sentence {
    /// What stands in [`Terms::sentence`].
    pub fn from_word(word: u32) -> Sentence {
        [Sentence::Cancelled, Sentence::Memory, Sentence::Cpu]
            .into_iter()
            .find(|s| *s as u32 == word)
            .unwrap_or(Sentence::Time)
    }
}

impl Terms {
    /// None.
    pub fn clear(&self) {
        let words = [&self.soft_ns, &self.noticed, &self.kill_at_ns, &self.cpu_ns, &self.memory, &self.expires_ns];
        words.into_iter().for_each(|word| word.store(0, Relaxed));
        [&self.kill_signal, &self.sentence, &self.held].into_iter().for_each(|word| word.store(0, Relaxed));
        self.attempt.store(1, Relaxed);
    }

    /// Host: the task of `slot`, whose terms these are, should stop, and is ended at an instant.
    pub fn end_by(&self, slot: &Slot, instant_ns: u64, signal: u32) {
        self.kill_signal.store(signal, Relaxed);
        self.kill_at_ns.store(instant_ns, Relaxed);
        slot.flags.store(slot.flags.load(Relaxed) | FLAG_TERMS, Release);
    }
}

/// A word that mostly has the value already that it is to have.
pub trait Set<T> {
    /// Writes it if it has another one: a store would take its line from whoever reads it.
    fn set(&self, value: T);
}

macro_rules! set {
    ($($atomic:ident, $value:ident);*) => {
        $(impl Set<$value> for $atomic {
            #[inline(always)]
            fn set(&self, value: $value) {
                if self.load(Relaxed) != value {
                    self.store(value, Relaxed);
                }
            }
        })*
    };
}
set!(AtomicU32, u32; AtomicU64, u64);

/// No item failed.
pub const NOTHING_FAILED: u64 = u64::MAX;
/// A code that no function can return: the reply was missing, or of the wrong size.
pub const WRONG_REPLY: u64 = 1 << 32;
/// Likewise: nothing was begun, for it was too late.
pub const TOO_LATE: u64 = 2 << 32;
/// The same among the codes of a map's items, which need not tell one failure of a function from another.
pub const WRONG_ITEM: i32 = i32::MIN;

/// What a chunk works on, in [`Slot::arguments`]; all offsets in the arena.
#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    /// First byte of the items.
    pub items: u64,
    /// Bytes of one.
    pub item_size: u64,
    /// First byte of the replies, 0 for none.
    pub replies: u64,
    /// Bytes of one.
    pub reply_size: u64,
    /// First of the codes: one int32 per item, 0 unless it failed.
    pub codes: u64,
    /// Behind the last item of this chunk.
    pub end: u64,
    /// Items of the whole map.
    pub count: u64,
}

/// The word of [`Slot::arguments`] behind a [`Chunk`]: 0, or behind which item its worker left it. Worker.
const LEFT_AT: usize = 7;

/// One worker position.
#[repr(C, align(128))]
pub struct Lane {
    /// The worker sleeps here; rung by host and template.
    pub bell: Bell<Real>,
    /// Its pid, 0 for none. Worker and template; host where that forks.
    pub pid: AtomicU32,
    /// When the worker was born. Template; host where that forks.
    pub born_ns: AtomicU64,
    /// Why it leaves of its own will, a reason of `pool::event`; 0: it does not. Worker; template at its birth.
    pub leaving: AtomicU32,
    /// 0: the position is given up, its worker leaves, and no other comes. Host.
    pub wanted: AtomicU32,
    /// Where the host forks the workers.
    pub seat: SeatWord<Real>,
    pad0: u32,
    /// The worker's slot and generation there. Host, before the seat is taken.
    pub worker_id: AtomicU64,
    pad: [u64; 3],
    /// Place of the task at work or last at work. Worker, for each task: the host, which looks at the bell for
    /// each, must not meet it.
    pub place: AtomicU64,
    /// Tasks that the worker has begun. Worker.
    pub begun: AtomicU64,
    /// How much had been written to its stderr when the task began, if that is captured. Worker.
    pub stderr_mark: AtomicU64,
    /// Address of the call that runs here and may go on, in the worker's memory; 0: it should stop, or none runs. Worker,
    /// between two items; the template while the item's word is `Asked`, in which the worker does not leave it.
    pub going: AtomicU64,
    pad1: [u64; 4],
    /// The host is woken by tasks from this place on. Host.
    pub ring_from: AtomicU64,
    pad2: [u64; 7],
    /// How much of the worker's stderr was read so far, times two; one more while somebody reads. Template.
    pub stderr_read: AtomicU64,
    pad3: [u64; 7],
    /// The lower half of the name of each slot's job. Host, for each task; no worker looks unless its task asks.
    pub jobs: [AtomicU64; SLOTS as usize],
    /// The ring.
    pub slots: [Slot; SLOTS as usize],
    /// Terms of the slots' tasks.
    pub terms: [Terms; SLOTS as usize],
    /// How the worker crashed. Worker; template once that is dead.
    pub crash: Record,
}

const _: () = assert!(size_of::<Slot>() == 384 && size_of::<Lane>() == 256 + 64 * (8 + 384 + 64) + size_of::<Record>());
// What a function reads and writes in place is aligned to 16.
const _: () = assert!(offset_of!(Slot, arguments).is_multiple_of(16) && offset_of!(Slot, reply).is_multiple_of(16));

/// A pool's plan, and the arena it is in.
#[derive(Clone, Copy)]
pub struct PlanRef {
    /// The arena.
    pub arena: Arena,
    plan: &'static Plan,
    lanes: &'static [Lane],
}

fn bytes(lanes: u32) -> u64 {
    size_of::<Plan>().next_multiple_of(align_of::<Lane>()) as u64
        + lanes as u64 * size_of::<Lane>() as u64
        + align_of::<Lane>() as u64
}

impl PlanRef {
    /// A new plan, all zero but its events, with `workers` positions in use and room for `lanes`, in a block that `field` owns.
    pub fn create(arena: Arena, field: &'static AtomicU64, workers: u32, lanes: u32) -> Result<PlanRef> {
        let (offset, fresh) = Heap::of(arena).take_block(bytes(lanes), field)?;
        let start = offset.next_multiple_of(align_of::<Lane>() as u64);
        // All but the events, of which only those that were written are read.
        let region = Region::of(arena, start, offset_of!(Plan, events) as u64);
        region.ok_or(Error::Panic("a block outside the arena".into()))?.clear();
        let plan = PlanRef::at(arena, offset, lanes)?;
        plan.plan.fresh.store(fresh as u32, Relaxed);
        plan.plan.lanes.store(lanes, Release);
        (0..workers).for_each(|_| _ = plan.add_lane());
        Ok(plan)
    }

    /// Host: one more worker position; false if there is no room.
    pub fn add_lane(self) -> bool {
        let active = self.plan.active.load(Relaxed);
        let Some(lane) = self.lanes.get(active as usize) else { return false };
        // Memory that nobody has used is left alone: a page of it takes longer than a task.
        if self.plan.fresh.load(Relaxed) == 0 {
            let region = Region::of(self.arena, self.arena.offset_of(lane), size_of::<Lane>() as u64);
            region.into_iter().for_each(Region::clear);
        }
        lane.wanted.store(1, Relaxed);
        self.plan.active.store(active + 1, Release);
        true
    }

    /// The plan in the block at `offset`.
    pub fn open(arena: Arena, offset: u64) -> Result<PlanRef> {
        let bare = PlanRef::at(arena, offset, 0)?;
        PlanRef::at(arena, offset, bare.plan.lanes.load(Acquire))
    }

    fn at(arena: Arena, offset: u64, lanes: u32) -> Result<PlanRef> {
        let nowhere = || Error::Panic("a pool's plan is not in the arena".into());
        if offset == 0 || lanes > MAX_LANES {
            return Err(nowhere());
        }
        let start = offset.next_multiple_of(align_of::<Lane>() as u64);
        let plan = arena.address(start, bytes(lanes) - align_of::<Lane>() as u64).ok_or_else(nowhere)?;
        // SAFETY: the range is inside the mapping (checked), which is never unmapped; `start` is aligned to
        // the stricter of the two types; both are made of atomics, for which any bytes are valid.
        let (plan, lanes) = unsafe {
            let first = plan.add(size_of::<Plan>().next_multiple_of(align_of::<Lane>())).cast::<Lane>();
            (&*plan.cast::<Plan>(), std::slice::from_raw_parts(first, lanes as usize))
        };
        Ok(PlanRef { arena, plan, lanes })
    }

    /// The words of the whole pool.
    #[inline(always)]
    pub fn plan(self) -> &'static Plan {
        self.plan
    }

    /// The lanes that are in use, or were.
    pub fn lanes(self) -> &'static [Lane] {
        let active = self.plan.active.load(Acquire) as usize;
        self.lanes.get(..active).unwrap_or(self.lanes)
    }

    /// How many there is room for.
    pub fn room(self) -> u32 {
        self.lanes.len() as u32
    }

    /// What the pool is in.
    #[inline(always)]
    pub fn phase(self) -> Phase {
        match self.plan.phase.load(Acquire) {
            0 => Phase::Working,
            1 => Phase::Ending,
            2 => Phase::Stopping,
            _ => Phase::Ended,
        }
    }

    /// The pool is in `phase` now, unless it is further already.
    pub fn advance(self, phase: Phase) {
        self.plan.phase.fetch_max(phase as u32, std::sync::atomic::Ordering::AcqRel);
    }

    /// Every field through which a slot owns a block.
    pub(super) fn each_block(self, visit: &mut dyn FnMut(&'static AtomicU64)) {
        for slot in self.lanes().iter().flat_map(|lane| &lane.slots) {
            [&slot.arguments_block, &slot.reply_block, &slot.evidence_block].into_iter().for_each(&mut *visit);
        }
    }
}

impl Lane {
    /// The task at work, or last at work: its slot and its terms, which may be a former task's (see [`FLAG_TERMS`]).
    pub fn current(&'static self) -> (&'static Slot, &'static Terms) {
        let at = (self.place.load(Relaxed) % SLOTS as u64) as usize;
        (&self.slots[at], &self.terms[at])
    }

    /// Host: the terms of the task at a place, cleared if it has none yet.
    pub fn terms_of(&'static self, slot: &Slot, place: u64) -> &'static Terms {
        let terms = &self.terms[(place % SLOTS as u64) as usize];
        if !slot.has_terms() {
            terms.clear();
        }
        terms
    }
}

impl Slot {
    /// Whether its task has terms.
    pub fn has_terms(&self) -> bool {
        self.flags.load(Acquire) & FLAG_TERMS != 0
    }

    /// Room for short arguments.
    pub fn arguments(&'static self) -> Region {
        Region::of_words(&self.arguments)
    }

    /// Fetches what the host reads of a short task into its cache.
    #[inline(always)]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing as far as the program is concerned, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>((&raw const self.word).cast());
            _mm_prefetch::<_MM_HINT_T0>((&raw const self.started_ns).cast());
        }
    }

    /// Room for a short reply.
    pub fn reply(&'static self) -> Region {
        Region::of_words(&self.reply)
    }

    /// Writes what a chunk works on.
    pub fn set_chunk(&self, chunk: Chunk) {
        let words =
            [chunk.items, chunk.item_size, chunk.replies, chunk.reply_size, chunk.codes, chunk.end, chunk.count];
        for (place, word) in self.arguments.iter().zip(words) {
            place.store(word, Relaxed);
        }
        self.arguments[LEFT_AT].store(0, Relaxed);
    }

    /// Worker: the rest of the chunk, from `item` on, is somebody else's.
    pub fn leave_chunk(&self, item: u64) {
        self.arguments[LEFT_AT].store(item, Relaxed);
    }

    /// The first item of a finished chunk that its worker did not do, if it left before its end.
    pub fn left_at(&self) -> Option<u64> {
        Some(self.arguments[LEFT_AT].load(Relaxed)).filter(|item| *item != 0)
    }

    /// Asks the worker to end the chunk with the item that it is at.
    pub fn stop_chunk(&self) {
        self.arguments[5].store(0, Relaxed);
    }

    /// Behind the last item of the chunk, which [`Slot::stop_chunk`] may have changed.
    #[inline(always)]
    pub fn chunk_end(&self) -> u64 {
        self.arguments[5].load(Relaxed)
    }

    /// What a chunk works on.
    pub fn chunk(&self) -> Chunk {
        let word = |index: usize| self.arguments[index].load(Relaxed);
        Chunk {
            items: word(0),
            item_size: word(1),
            replies: word(2),
            reply_size: word(3),
            codes: word(4),
            end: word(5),
            count: word(6),
        }
    }
}
