//! A queue in the cell table: two cells, so that those who put and those who get have lines and locks of their own.
//!
//! | word | inlet ([`Kind::Queue`], what handles name) | outlet ([`Kind::Outlet`]) |
//! |---|---|---|
//! | `lock` | of the tail | of the head |
//! | `inline[0]` | commit word of the tail | commit word of the head |
//! | `len` | not 0: the block is as it should be | tail as the head's holder saw it last |
//! | `item_size` | who alone puts ([`super::sole`]) | reference of the inlet |
//! | `extra[2]`, `owner_thread` | gate of those who wait for room | gate of those who wait for messages |
//! | `flags` | see below | [`POLLED`], and whether to look for parcels: [`super::parcel::CAME_BACK`] |
//! | `refers_to` | queue of the dead letters, 0 for none | |
//! | `type_code` | index of the outlet | slot of the process that got last |
//! | `depth` | | index of a view that was open when somebody looked last: a hint |
//! | `inline[1]` | the head's count as the tail's holder saw it last | those who wait for all tasks to be done |
//! | `inline[2]` | the parcel that was put last, or is being put: under the lock | tasks that are done, under the lock; who alone gets, where there are no tasks |
//! | `block` | [`Block`] | [`Ledger`] of a queue that can be joined |
//!
//! Cells are type-stable, so their words may be touched by whoever is late. All else is touched under one of the two
//! locks only, and whoever takes the queue apart holds both: so nobody is inside then. If one of them is held, he
//! leaves [`DOOMED`] behind, and whoever releases looks again. A dead holder's lock is released by the repair of his
//! death, which then looks too.
//!
//! Of a queue with one producer the tail's lock stays with its [`super::sole`] between calls, of one with one consumer that
//! of the head: who has a role and finds [`DOOMED`] gives it back, and looks again.
//!
//! *Open* is the queue for whoever may still put: its creator, and every view of it (what a process keeps, was started
//! with, or has put through; what a task or a message names), until it is closed, let go, or its process dies. That is
//! derived too: the end of a view wakes those who wait for messages.

use super::arena::{Arena, MEMBERS};
use super::bell_table;
use super::cell::{Cell, Kind, Reference};
use super::gate::Gate;
use super::heap::Heap;
use super::lock_word::Acquired;
use super::member::{MemberId, State};
use super::memory::Deadline;
use super::parcel::EVER;
use super::parcel_cell;
use super::queue::{Control, Queue, Store};
use super::real::Real;
use super::sole::Sole;
use super::wait_word::WaitWord;
use crate::error::{Error, Result};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Flag of an inlet, set once: its creator puts no more.
pub const CREATOR_CLOSED: u32 = 1;
/// Flag of an inlet, set once: nobody puts any more.
pub const SHUT: u32 = 2;
/// Flag of an inlet: somebody wanted to take the queue apart and found a lock held.
pub const DOOMED: u32 = 4;
/// Flag of an inlet, set before it is known: one thread only puts.
pub const ONE_PUTS: u32 = 64;
/// Flag of an inlet, set before it is known: one thread only gets.
pub const ONE_GETS: u32 = 128;
/// Flag of an inlet of such a queue, set before it is known: whoever sleeps makes the fence for both sides.
pub const LIGHT: u32 = 256;
/// Flag of a view of a queue: who has it puts no more.
pub const CLOSED: u32 = 1;
/// Flag of an outlet, set once, under its lock: somebody polls, or has. See [`bell_table`].
pub const POLLED: u32 = 1;

/// Segments in the heap of the arena. A block of `2^n - 16` bytes wastes nothing there.
#[derive(Clone, Copy)]
pub struct Segments(pub Arena);

impl Store<Real> for Segments {
    const LEAST: u64 = 4096 - 16;
    const MOST: u64 = (1 << 20) - 16;
    const SPARE: u64 = (256 << 10) - 16;
    #[inline(always)]
    fn word(self, offset: u64) -> Option<&'static AtomicU64> {
        self.0.word(offset)
    }
    #[inline(always)]
    fn words(self, offset: u64, count: u64) -> Option<&'static [AtomicU64]> {
        self.0.words(offset, count)
    }
    fn take(self, len: u64, field: &'static AtomicU64) -> Result<()> {
        Heap::of(self.0).take(len, field).map(|_| ())
    }
    fn give(self, field: &'static AtomicU64) -> Result<()> {
        Heap::of(self.0).give(field)
    }
    fn rearrange(self, moves: &[(&'static AtomicU64, u64)]) {
        Heap::of(self.0).rearrange(moves);
    }
}

/// How many tasks each process has got and not done: a word for each member slot, generation of the member above a count. It is
/// written under the lock of the head, by the process itself; who reads it counts the living only, so a death is no
/// reason to write here.
#[derive(Clone, Copy)]
pub struct Ledger {
    arena: Arena,
    at: u64,
}

const TASKS: u64 = 0xffff_ffff;

impl Ledger {
    fn entry(self, slot: u32) -> Option<&'static AtomicU64> {
        self.arena.word(self.at + slot as u64 * 8)
    }

    /// The process got so many more, or has done so many. (One may say it for another.)
    pub fn add(self, me: MemberId, tasks: i64) {
        if let Some(entry) = self.entry(me.slot) {
            let seen = entry.load(Relaxed);
            let mine = if seen >> 32 == me.generation as u64 { seen & TASKS } else { 0 };
            let now = mine.saturating_add_signed(tasks).min(TASKS);
            entry.store((me.generation as u64) << 32 | now, Relaxed);
        }
    }

    /// Whether a living process has any.
    pub fn is_held(self) -> bool {
        self.arena.slots().any(|slot| {
            let entry = self.entry(slot).map_or(0, |entry| entry.load(Relaxed));
            entry & TASKS != 0 && self.arena.member(slot).identity() == (State::Alive, (entry >> 32) as u32)
        })
    }
}

/// What is neither hot nor needed without a lock. Zero when the queue is made, and the limits then written once.
#[repr(C)]
pub struct Block {
    /// Blocks of the heap begin 16 bytes behind a cache line.
    gap: [u64; 6],
    control: Control<Real>,
    /// How often a message is delivered at most; 0 for any number.
    pub max_deliveries: AtomicU64,
    /// Messages that it may hold; 0 for any number.
    pub max_items: AtomicU64,
    /// Bytes of messages that it may hold; 0 for any number.
    pub max_bytes: AtomicU64,
}

/// The two cells of a queue that was there when somebody looked.
#[derive(Clone, Copy)]
pub struct Ends {
    /// What handles name.
    pub inlet: &'static Cell,
    /// Its generation.
    pub generation: u32,
    /// Where messages are taken.
    pub outlet: &'static Cell,
    /// Its generation.
    pub outlet_generation: u32,
}

impl Ends {
    /// Makes the cells and the block of a queue, for the process in `slot`.
    pub fn make(arena: Arena, slot: u32) -> Result<Ends> {
        let inlet = Cell::claim(arena, Kind::Queue, slot)?;
        let generation = inlet.generation();
        let made = Ends::make_outlet(arena, inlet, slot);
        made.inspect_err(|_| inlet.let_go(arena, generation, slot))
    }

    fn make_outlet(arena: Arena, inlet: &'static Cell, slot: u32) -> Result<Ends> {
        Heap::of(arena).take_zero(size_of::<Block>() as u64, &inlet.block)?;
        inlet.len.store(1, Release);
        let outlet = Cell::claim(arena, Kind::Outlet, slot)?;
        let outlet_generation = outlet.generation();
        // Not cleared at the end of a semaphore or the like.
        outlet.inline[2].store(0, Relaxed);
        outlet.item_size.store(inlet.reference(arena).to_bits(), Relaxed);
        inlet.type_code.store(arena.cell_index(outlet) as u32, Release);
        // It stays as long as the inlet names it.
        outlet.let_go(arena, outlet_generation, slot);
        Ok(Ends { inlet, generation: inlet.generation(), outlet, outlet_generation })
    }

    /// The cells of the queue of an inlet; `None` if it is gone.
    #[inline(always)]
    pub fn of(arena: Arena, inlet: &'static Cell, generation: u32) -> Option<Ends> {
        let outlet = arena.cell(inlet.type_code.load(Acquire) as u64)?;
        // In this order: the generation of an outlet that belonged to this inlet after it was read.
        let outlet_generation = outlet.generation();
        let owner = Reference::from_bits(outlet.item_size.load(Acquire));
        let belongs = owner.index == arena.cell_index(inlet)
            && owner.generation == generation
            && owner.kind == Kind::Queue as u8
            && outlet.kind() == Kind::Outlet;
        belongs.then_some(Ends { inlet, generation, outlet, outlet_generation })
    }

    /// The same without a look at the outlet, whose line belongs to those who get: for whoever takes the lock of the tail next,
    /// which is there as long as the queue is. Its generation is not known. `None` for what has no block: a queue that is
    /// gone, or one of a manager.
    #[inline(always)]
    pub fn to_put(arena: Arena, inlet: &'static Cell, generation: u32) -> Option<Ends> {
        if inlet.block.load(Relaxed) == 0 {
            return None;
        }
        let outlet = arena.cell(inlet.type_code.load(Acquire) as u64)?;
        Some(Ends { inlet, generation, outlet, outlet_generation: 0 })
    }

    /// The queue of an outlet that was there.
    pub(super) fn of_outlet(arena: Arena, outlet: &Cell) -> Option<Ends> {
        let owner = Reference::from_bits(outlet.item_size.load(Acquire));
        let inlet = owner.cell(arena).filter(|cell| cell.kind() == Kind::Queue)?;
        Ends::of(arena, inlet, owner.generation).filter(|ends| std::ptr::eq(ends.outlet, outlet))
    }

    /// What names the queue.
    pub fn reference(self, arena: Arena) -> Reference {
        Reference { index: arena.cell_index(self.inlet), generation: self.generation, kind: Kind::Queue as u8 }
    }

    /// Whether nobody takes it apart.
    pub fn is_there(self) -> bool {
        self.inlet.is_there(self.generation)
    }

    /// The flags of the inlet.
    #[inline(always)]
    pub fn flags(self) -> u32 {
        self.inlet.flags.load(Acquire)
    }

    /// The block, for who holds one of the locks.
    #[inline(always)]
    pub fn block(self, arena: Arena) -> Result<&'static Block> {
        self.block_if_there(arena).ok_or_else(|| Error::Panic("a queue without its block".into()))
    }

    /// The same.
    #[inline(always)]
    pub fn block_if_there(self, arena: Arena) -> Option<&'static Block> {
        let offset = self.inlet.block.load(Acquire);
        let address = arena.address(offset, size_of::<Block>() as u64)?;
        if !offset.is_multiple_of(16) {
            return None;
        }
        // SAFETY: inside the mapping, which is never unmapped, aligned to 16, made of atomics. The block is the
        // queue's as long as the caller holds a lock of it (see the head of this module).
        Some(unsafe { &*address.cast::<Block>() })
    }

    /// The messages, for who holds one of the locks.
    #[inline(always)]
    pub fn queue(self, arena: Arena) -> Result<Queue<Real, Segments>> {
        Ok(self.queue_of(arena, self.block(arena)?))
    }

    /// The same, where the block is at hand.
    #[inline(always)]
    pub fn queue_of(self, arena: Arena, block: &'static Block) -> Queue<Real, Segments> {
        let (tail, head) = (&self.inlet.inline[0], &self.outlet.inline[0]);
        Queue { tail, head, control: &block.control, store: Segments(arena) }
    }

    /// Those who wait for room.
    #[inline(always)]
    pub fn room(self) -> Gate<'static, Real> {
        gate(self.inlet)
    }

    /// Those who wait for messages.
    #[inline(always)]
    pub fn news(self) -> Gate<'static, Real> {
        gate(self.outlet)
    }

    /// There is news for somebody at one of the two gates, who was roused: those who poll hear of it too.
    #[inline(always)]
    pub fn tell(self, arena: Arena) {
        if self.outlet.flags.load(Relaxed) & POLLED != 0 {
            bell_table::tell(arena, self.reference(arena).to_bits());
        }
    }

    /// Makes it a queue whose messages are tasks.
    pub fn make_ledger(self, arena: Arena) -> Result<()> {
        Heap::of(arena).take_zero(MEMBERS as u64 * 8, &self.outlet.block).map(|_| ())
    }

    /// Who has tasks, for who holds the head's lock.
    pub fn ledger(self, arena: Arena) -> Result<Ledger> {
        match self.outlet.block.load(Acquire) {
            0 => Err(Error::Panic("a queue without its ledger".into())),
            at => Ok(Ledger { arena, at }),
        }
    }

    /// How many tasks are done. Written under the head's lock.
    pub fn done(self) -> &'static AtomicU64 {
        &self.outlet.inline[2]
    }

    /// The parcel that was put last, or is being put.
    pub fn putting(self) -> &'static AtomicU64 {
        &self.inlet.inline[2]
    }

    /// Who alone puts.
    #[inline(always)]
    pub fn producer(self) -> &'static Sole<Real> {
        Sole::of(&self.inlet.item_size)
    }

    /// Who alone gets.
    #[inline(always)]
    pub fn consumer(self) -> &'static Sole<Real> {
        Sole::of(&self.outlet.inline[2])
    }

    /// Whether to look for parcels that came back.
    pub fn parcels(self) -> &'static AtomicU32 {
        &self.outlet.flags
    }

    /// Those who wait until all tasks are done.
    pub fn joiners(self) -> &'static WaitWord<Real> {
        WaitWord::of(&self.outlet.inline[1])
    }

    /// Whether anybody may still put.
    pub fn is_open(self, arena: Arena) -> bool {
        let flags = self.flags();
        if flags & SHUT != 0 {
            return false;
        }
        if self.inlet.creator() != 0 && flags & CREATOR_CLOSED == 0 {
            return true;
        }
        let me = self.reference(arena).to_bits();
        if arena.cell(self.outlet.depth.load(Relaxed) as u64).is_some_and(|cell| holds_open(cell, me)) {
            return true;
        }
        let found = arena.cells().find(|cell| holds_open(cell, me));
        found.inspect(|cell| self.outlet.depth.store(arena.cell_index(cell) as u32, Relaxed)).is_some()
    }
}

const _: () = assert!(std::mem::offset_of!(Block, control) % 64 == 48);

fn gate(cell: &'static Cell) -> Gate<'static, Real> {
    Gate { wait: WaitWord::of(&cell.extra[2]), woken: &cell.owner_thread }
}

/// A view, or one on its way, that is not closed; or a queue whose dead letters go there.
fn holds_open(cell: &Cell, inlet: u64) -> bool {
    let opens = match cell.kind() {
        Kind::View | Kind::Transit | Kind::Parcel => cell.flags.load(Acquire) & CLOSED == 0,
        kind => kind == Kind::Queue,
    };
    opens && cell.refers_to.load(Acquire) == inlet
}

/// The views of a queue that the process in `slot` has.
pub fn views(arena: Arena, inlet: u64, slot: u32) -> impl Iterator<Item = &'static Cell> {
    arena.cells().filter(move |cell| {
        cell.kind() == Kind::View && cell.creator() == slot && cell.refers_to.load(Acquire) == inlet
    })
}

/// Whether an outlet is still named by its inlet.
pub(super) fn is_named(arena: Arena, outlet: &Cell) -> bool {
    let owner = Reference::from_bits(outlet.item_size.load(Acquire));
    // Also by one that is being taken apart: then the outlet goes with it.
    let inlet = arena.cell(owner.index).filter(|cell| cell.generation() == owner.generation);
    inlet.is_some_and(|inlet| inlet.type_code.load(Acquire) as u64 == arena.cell_index(outlet))
}

/// Whether the outlet's queue is there, and nobody takes it apart.
pub(super) fn is_in_use(arena: Arena, outlet: &Cell) -> bool {
    Ends::of_outlet(arena, outlet).is_some_and(Ends::is_there)
}

/// The repair of a death has released the outlet's lock: its queue may have waited for that to be taken apart.
pub(super) fn collect_inlet(arena: Arena, outlet: &Cell, slot: u32) {
    if let Some(ends) = Ends::of_outlet(arena, outlet)
        && ends.flags() & DOOMED != 0
    {
        ends.inlet.collect(arena, slot);
    }
}

/// Something may have changed for those who wait at the queue: whether it is open.
pub(super) fn openness_changed(arena: Arena, inlet: &'static Cell, generation: u32) {
    if let Some(ends) = Ends::of(arena, inlet, generation) {
        ends.news().rouse_all();
        ends.room().rouse_all();
        ends.tell(arena);
    }
}

/// Wakes everybody at a cell of a queue.
pub(super) fn wake_all(cell: &Cell, is_outlet: bool, force: bool) {
    WaitWord::<Real>::of(&cell.extra[2]).broadcast(force);
    if is_outlet {
        WaitWord::<Real>::of(&cell.inline[1]).broadcast(force);
    }
}

/// Every field that owns a segment of an inlet's queue, for who holds the heap's lock.
pub(super) fn each_segment(arena: Arena, inlet: &'static Cell, visit: &mut dyn FnMut(&'static AtomicU64)) {
    // The outlet is not needed for it.
    let ends = Ends { inlet, generation: 0, outlet: inlet, outlet_generation: 0 };
    if let Ok(queue) = ends.queue(arena) {
        queue.each_segment(visit);
    }
}

/// Takes both locks for whoever wants to take the queue apart; false if somebody is inside, who will look again.
pub(super) fn close_doors(arena: Arena, inlet: &'static Cell, slot: u32) -> bool {
    let Some(ends) = Ends::of(arena, inlet, inlet.generation()) else {
        // Half made: nobody knows it.
        return true;
    };
    let now: Deadline = Some(0);
    let lock =
        |cell: &Cell, generation: u32| cell.lock.acquire(generation as u16, slot, true, now, || None) == Acquired::Held;
    // Before the locks are looked at: whoever releases one later sees it.
    inlet.flags.fetch_or(DOOMED, AcqRel);
    if lock(inlet, ends.generation) {
        if lock(ends.outlet, ends.outlet_generation) {
            return true;
        }
        inlet.lock.release(ends.generation as u16);
    }
    if inlet.flags.load(Acquire) & (ONE_PUTS | ONE_GETS) != 0 {
        // Who has a role may be asleep with it.
        ends.news().rouse_all();
        ends.room().rouse_all();
    }
    false
}

/// Before the repair of the death of the process in `dead` releases the lock of a cell of a queue: the role goes with it.
pub(super) fn give_role_back(arena: Arena, cell: &Cell, dead: u32) {
    let (inlet, role) = match cell.kind() {
        Kind::Queue => (Some(cell), &cell.item_size),
        _ => (Ends::of_outlet(arena, cell).map(|ends| ends.inlet), &cell.inline[2]),
    };
    let one = if cell.kind() == Kind::Queue { ONE_PUTS } else { ONE_GETS };
    let is_one = inlet.is_some_and(|inlet| inlet.flags.load(Acquire) & one != 0);
    if is_one && cell.lock.owner(cell.generation() as u16) == Some(dead) {
        Sole::<Real>::of(role).give_back();
    }
}

/// Lets go of both locks: it is needed after all.
pub(super) fn open_doors(arena: Arena, inlet: &'static Cell) {
    inlet.flags.fetch_and(!DOOMED, AcqRel);
    if let Some(ends) = Ends::of(arena, inlet, inlet.generation()) {
        ends.outlet.lock.release(ends.outlet_generation as u16);
        inlet.lock.release(ends.generation as u16);
    }
}

/// A queue whose doors are closed, and whose cell is ending, gives its memory back. May be repeated. Its outlet, if it has
/// one still.
pub(super) fn take_apart(arena: Arena, inlet: &'static Cell, slot: u32, force: bool) -> Option<&'static Cell> {
    let index = inlet.type_code.load(Acquire) as u64;
    let owner = Reference { index: arena.cell_index(inlet), generation: inlet.generation(), kind: Kind::Queue as u8 };
    let outlet = arena.cell(index).filter(|outlet| {
        outlet.kind() == Kind::Outlet && Reference::from_bits(outlet.item_size.load(Acquire)) == owner
    });
    // Nobody comes in any more, whatever becomes of the lock of a dead one.
    let ends = outlet.map(|outlet| {
        let next = (outlet.generation() + 1) & 0xf_ffff;
        outlet.lock.retire(next as u16, force);
        Ends { inlet, generation: owner.generation, outlet, outlet_generation: outlet.generation() }
    });
    if outlet.is_some_and(|outlet| outlet.flags.load(Acquire) & EVER != 0) {
        parcel_cell::collect_all(arena, owner, slot);
    }
    if let Some(Ok(queue)) = ends.filter(|_| inlet.len.load(Acquire) != 0).map(|ends| ends.queue(arena)) {
        // Damaged memory is lost, and nothing else.
        let _ = queue.give_all();
    }
    bell_table::tell_all_of(arena, owner.to_bits());
    outlet
}
