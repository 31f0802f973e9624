//! Cells: one record per shared object, and their life.
//!
//! The word of a cell's life is in [`super::life`].
//!
//! There is no reference count, because a count is wrong as soon as somebody dies between his two
//! stores. Whether an object is still needed is *derived*: its creator holds it, or a living process
//! may have inherited it by fork, or a cell refers to it. What is derived needs no repair.

use super::arena::Arena;
use super::check::{broken, names};
use super::heap::Heap;
pub use super::kind::Kind;
use super::life::{Life, Seen};
use super::lock_word::LockWord;
use super::member::State;
use super::parcel::Parcel;
use super::parcel_cell;
use super::pipe_cell;
use super::plan::PlanRef;
use super::queue_cell;
use super::real::Real;
use super::transit;
use super::wait_word::WaitWord;
use crate::error::{Error, Result};
use crate::sys::seeded::bug;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Flag of [`Kind::Bulk`]: no task uses the memory any more. Set by the host.
pub const SETTLED: u32 = 1;

/// One shared object. 128 bytes; the words of a lock and of a small value share a cache line.
#[repr(C, align(128))]
pub struct Cell {
    life: Life<Real>,
    /// A valid lock word for ever, whatever the cell is: see [`LockWord`].
    pub lock: LockWord<Real>,
    /// Thread that holds a recursive lock, 0 before it is taken and as it is released. Written by the owner of `lock` only.
    pub owner_thread: AtomicU32,
    /// How often that thread has acquired it beyond the first time; so 0 when the lock is free, unless its owner died.
    /// Written by the owner of `lock` only.
    pub depth: AtomicU32,
    /// Length of the data in bytes. Written before the object is known to anybody.
    pub len: AtomicU64,
    /// Bytes of an item of a value or an array. Written before the object is known to anybody.
    pub item_size: AtomicU64,
    /// Data of up to 24 bytes.
    pub inline: [AtomicU64; 3],

    // The second cache line: what is read with every operation, and hardly ever written. Reading it does not
    // take the first line from whoever is about to write the lock word there.
    /// What the kind makes of them. Written before the object is known to anybody.
    pub flags: AtomicU32,
    /// Type of a value. Written before the object is known to anybody.
    pub type_code: AtomicU32,
    /// What the lock word is when it is free and nobody waits: a guess, right between two repairs. Written by
    /// whoever claims the cell, and by repairers.
    free_lock: AtomicU64,
    /// Heap block of larger data, 0 for none. Written by the heap.
    pub block: AtomicU64,
    /// Reference to another cell, 0 for none: the lock of a value, what a view keeps.
    pub refers_to: AtomicU64,
    /// Births in the family when this object was made.
    born: AtomicU64,
    /// More blocks, and words for what the kind makes of them.
    pub extra: [AtomicU64; 3],
}

const _: () = assert!(size_of::<Cell>() == 128);

/// A reference to a cell that outlives neither the object nor the family: what handles, arguments
/// and messages carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Index of the cell.
    pub index: u64,
    /// Its generation.
    pub generation: u32,
    /// Its kind.
    pub kind: u8,
}

impl Reference {
    /// As one word: kind, generation, index. Never 0. Bits 52 to 55 are left to whoever sends it.
    pub fn to_bits(self) -> u64 {
        (self.kind as u64) << 56 | (self.generation as u64 & 0xf_ffff) << 32 | self.index & 0xffff_ffff
    }

    /// The reverse; whether the object is there is for [`Reference::cell`] to say.
    pub fn from_bits(bits: u64) -> Reference {
        Reference { kind: (bits >> 56) as u8, generation: (bits >> 32) as u32 & 0xf_ffff, index: bits & 0xffff_ffff }
    }

    /// The cell, if the object still is what the reference says.
    pub fn cell(self, arena: Arena) -> Option<&'static Cell> {
        let cell = arena.cell(self.index)?;
        let life = cell.life.look();
        let same = life.kind_bits() == self.kind && life.generation() == self.generation;
        same.then_some(cell)
    }
}

impl Cell {
    /// A free cell that is now of `kind` and held by the process in `slot`. Its fields are zero except
    /// the lock word, which is free.
    pub fn claim(arena: Arena, kind: Kind, slot: u32) -> Result<&'static Cell> {
        let header = arena.header();
        if header.cells_free.load(Relaxed) > 0
            && let Some(cell) = Cell::search(arena, kind, slot)
        {
            return Ok(cell);
        }
        loop {
            let index = header.cell_high.fetch_add(1, Relaxed);
            let Some(cell) = arena.cell(index) else {
                header.cell_high.fetch_sub(1, Relaxed);
                return Cell::search_all(arena, kind, slot).ok_or(Error::NoMemory("the family has too many objects"));
            };
            if cell.try_claim(arena, kind, slot) {
                return Ok(cell);
            }
        }
    }

    /// Looks near the hint; a short search, for beyond it a fresh cell is cheaper.
    fn search(arena: Arena, kind: Kind, slot: u32) -> Option<&'static Cell> {
        let header = arena.header();
        let (high, start) = (
            header.cell_high.load(Relaxed).min(arena.cell_limit()),
            header.cell_hint.load(Relaxed) % arena.cell_limit(),
        );
        let reach = if header.cells_free.load(Relaxed) > high / 2 { high } else { 64 };
        let found = (0..reach).map(|step| 1 + (start + step) % high.max(2)).find_map(|index| {
            let cell = arena.cell(index).filter(|_| index < high)?;
            cell.try_claim(arena, kind, slot).then_some((cell, index))
        });
        let (cell, index) = found?;
        header.cell_hint.store(index, Relaxed);
        let _ = header.cells_free.fetch_update(Relaxed, Relaxed, |free| Some(free.saturating_sub(1)));
        Some(cell)
    }

    fn search_all(arena: Arena, kind: Kind, slot: u32) -> Option<&'static Cell> {
        arena.cells().find(|cell| cell.try_claim(arena, kind, slot))
    }

    fn try_claim(&self, arena: Arena, kind: Kind, slot: u32) -> bool {
        if !self.life.claim(kind, slot) {
            return false;
        }
        self.born.store(arena.header().births.load(Acquire), Relaxed);
        self.guess_lock();
        true
    }

    /// Whether the second inline word is one to wait at.
    fn has_waiters(&self) -> bool {
        matches!(self.former_kind(), Kind::Semaphore | Kind::Condition | Kind::Event | Kind::Barrier)
    }

    /// Where the waiters of a semaphore, condition, event or barrier are. The second inline word.
    #[inline(always)]
    pub fn wait_word(&self) -> &WaitWord<Real> {
        WaitWord::of(&self.inline[1])
    }

    /// The words that decide about it as a message.
    pub fn parcel(&self, generation: u32) -> Parcel<'_, Real> {
        Parcel { life: self.life.word(), number: &self.inline[0], generation }
    }

    /// Whether it is one of the two cells of a queue.
    fn is_of_queue(&self) -> bool {
        matches!(self.former_kind(), Kind::Queue | Kind::Outlet)
    }

    /// What it is, or was before somebody began to take it apart.
    fn former_kind(&self) -> Kind {
        self.life.look().former_kind()
    }

    /// Wakes whoever may wait at the cell, whatever its words say.
    pub(super) fn wake_waiters(&self) {
        if self.is_of_queue() {
            queue_cell::wake_all(self, self.former_kind() == Kind::Outlet, true);
        }
        if self.has_waiters() {
            self.wait_word().broadcast(true);
        }
        if self.kind() == Kind::End {
            pipe_cell::waiters(self).broadcast(true);
        }
    }

    fn guess_lock(&self) {
        // A lock of a manager is not here: nobody may take this word for it on the short way.
        let never = self.kind() == Kind::Proxy;
        self.free_lock.store(if never { u64::MAX } else { self.lock.when_free() }, Relaxed);
    }

    /// What the lock word probably is when it is free.
    #[inline(always)]
    pub fn free_lock(&self) -> u64 {
        self.free_lock.load(Relaxed)
    }

    /// Whether it ever was an object.
    #[inline(always)]
    pub(super) fn was_used(&self) -> bool {
        self.life.glance() != Seen(0)
    }

    /// What the cell is now.
    #[inline(always)]
    pub fn kind(&self) -> Kind {
        self.life.look().kind()
    }

    /// Its generation.
    #[inline(always)]
    pub fn generation(&self) -> u32 {
        self.life.look().generation()
    }

    /// Whether it is the object of this generation, and nobody takes it apart. Who waits at it asks this and no less:
    /// whoever takes it apart wakes the waiters first, and raises the generation last.
    #[inline(always)]
    pub fn is_there(&self, generation: u32) -> bool {
        let life = self.life.look();
        !life.is_ending() && life.generation() == generation
    }

    /// Whether another process may know it: one was born since it was made, or something refers to it.
    pub fn was_passed_on(&self, arena: Arena) -> bool {
        arena.header().births.load(Acquire) > self.born.load(Relaxed) || self.life.look().is_kept()
    }

    /// Slot of the process that holds it, 0 for none.
    pub fn creator(&self) -> u32 {
        self.life.look().creator()
    }

    /// A reference to the object that the cell is now.
    pub fn reference(&self, arena: Arena) -> Reference {
        let life = self.life.look();
        Reference { index: arena.cell_index(self), generation: life.generation(), kind: life.kind_bits() }
    }

    /// Makes this cell refer to `target`, which must still be there; [`Error::Exists`] if it refers to another already.
    pub fn refer(&self, arena: Arena, target: Reference) -> Result<()> {
        let first = self.refers_to.compare_exchange(0, target.to_bits(), AcqRel, Relaxed);
        first.map_err(|_| Error::Exists("the object refers to another already"))?;
        // After the store: a collector of the target that looked for references before it now fails.
        let cell = arena.cell(target.index).ok_or(Error::BadHandle("the object is gone".into()))?;
        if !cell.life.keep(target.kind, target.generation) {
            self.refers_to.store(0, Release);
            return Err(Error::BadHandle("the object is gone".into()));
        }
        Ok(())
    }

    /// The process in `slot` holds the object no longer; it goes if nobody else needs it.
    pub fn let_go(&'static self, arena: Arena, generation: u32, slot: u32) {
        let Some(life) = self.life.let_go(generation, slot) else { return };
        self.collect(arena, slot);
        match life.kind() {
            Kind::Queue => queue_cell::openness_changed(arena, self, generation),
            Kind::Parcel if life.is_sent() => parcel_cell::came_back(arena, self),
            _ => {}
        }
    }

    /// Takes the object apart if nobody needs it any more. `slot` is the calling process.
    pub fn collect(&'static self, arena: Arena, slot: u32) {
        let Some(life) = self.life.let_go_of() else { return };
        if self.is_needed(arena, life) {
            return;
        }
        if life.kind() == Kind::Queue && !queue_cell::close_doors(arena, self, slot) {
            return;
        }
        if self.life.begin_end(life, slot) {
            self.end(arena, slot, false);
        } else if life.kind() == Kind::Queue {
            queue_cell::open_doors(arena, self);
        }
    }

    fn is_needed(&self, arena: Arena, life: Seen) -> bool {
        // A pool, and its memory, is of no use in a copy: only its maker uses it.
        if matches!(life.kind(), Kind::Pool | Kind::Bulk) {
            return self.is_worked_on(arena, life.kind());
        }
        let referred_to = || life.is_kept() && self.is_referred_to(arena);
        // Whoever waits for an end to go, or for the last one who may put, must not wait for all who inherited it, or
        // somebody's view of it.
        let counted = [Kind::End as u8, Kind::Queue as u8];
        match life.kind() {
            Kind::End | Kind::Pipe => return referred_to(),
            Kind::Outlet => return queue_cell::is_named(arena, self),
            Kind::Transit => return transit::is_wanted(arena, self),
            Kind::Parcel => return life.is_sent() && parcel_cell::is_wanted(arena, self),
            Kind::View if counted.contains(&Reference::from_bits(self.refers_to.load(Acquire)).kind) => return false,
            _ => {}
        }
        let born = self.born.load(Relaxed);
        let inherited = arena.header().births.load(Acquire) > born
            && arena.slots().map(|slot| arena.member(slot)).any(|member| {
                matches!(member.state(), State::Claimed | State::Alive) && member.inherits.load(Acquire) > born
            });
        inherited || referred_to()
    }

    /// A pool, and memory that its workers may still write to, last as long as any of its workers, however
    /// they are about to end. [`SETTLED`] says that no worker has to do with it any more.
    fn is_worked_on(&self, arena: Arena, kind: Kind) -> bool {
        let pool = match kind {
            Kind::Pool => arena.cell_index(self),
            Kind::Bulk if self.flags.load(Acquire) & SETTLED == 0 => self.type_code.load(Acquire) as u64,
            _ => return false,
        };
        // Its maker died before it said whose it is: no worker has heard of it.
        if pool == 0 {
            return false;
        }
        arena.slots().map(|slot| arena.member(slot)).any(|member| {
            matches!(member.state(), State::Claimed | State::Alive) && member.works_for.load(Acquire) == pool
        })
    }

    fn is_referred_to(&self, arena: Arena) -> bool {
        let me = self.reference(arena).to_bits();
        arena.cells().any(|cell| {
            let kind = cell.kind();
            kind != Kind::Free && kind != Kind::Ending && cell.refers_to.load(Acquire) == me
        })
    }

    /// Every field through which the object owns a block of the heap, those in its own blocks first. What `end` gives
    /// back, and what [`super::check`] knows to be owned.
    pub(super) fn each_block(&'static self, arena: Arena, visit: &mut dyn FnMut(&'static AtomicU64)) {
        let kind = self.former_kind();
        // Before the plan is complete it holds whatever its block held before.
        if kind == Kind::Pool
            && self.len.load(Acquire) != 0
            && let Ok(plan) = PlanRef::open(arena, self.block.load(Acquire))
        {
            plan.each_block(visit);
        }
        if kind == Kind::Pipe {
            pipe_cell::each_block(arena, self, visit);
        }
        if kind == Kind::Queue && self.len.load(Acquire) != 0 {
            queue_cell::each_segment(arena, self, visit);
        }
        let fields = std::iter::once(&self.block).chain(&self.extra[..2]);
        fields.filter_map(|field| arena.word(arena.offset_of(field))).for_each(visit);
    }

    /// Whether its words are such as they can be; whether it is an object.
    pub(super) fn check(&'static self, arena: Arena) -> Result<bool> {
        let index = arena.cell_index(self);
        let life = self.life.look();
        let kind = life.kind();
        if kind != Kind::Ending && kind as u8 != life.kind_bits() {
            return broken(format_args!("object {index} is of kind {}", life.kind_bits()));
        }
        let unchanged = || self.life.look() == life;
        let generation = life.generation() as u16;
        match self.lock.owner(generation) {
            // Whoever takes it apart retires the lock first; that of an outlet while it still is one.
            None if kind == Kind::Outlet && !queue_cell::is_in_use(arena, self) => {}
            None if kind != Kind::Ending && unchanged() => {
                return broken(format_args!("the lock of object {index} is another object's"));
            }
            Some(_) => {
                let owner = || self.lock.owner(generation).unwrap_or(0);
                names(arena, format_args!("the holder of the lock of object {index}"), owner)?;
            }
            None => {}
        }
        names(arena, format_args!("what keeps object {index}"), || self.creator())?;
        if kind == Kind::Free {
            return Ok(false);
        }
        let target = Reference::from_bits(self.refers_to.load(Acquire));
        if target.index != 0 && arena.cell(target.index).is_none() && unchanged() {
            return broken(format_args!("object {index} refers to object {}", target.index));
        }
        Ok(true)
    }

    /// Takes apart a cell that is ENDING. May be repeated by the repairer of whoever began, with `force`.
    fn end(&'static self, arena: Arena, slot: u32, force: bool) {
        let next = (self.generation() + 1) & 0xf_ffff;
        self.lock.retire(next as u16, force);
        let has_waiters = self.has_waiters();
        if has_waiters {
            self.wait_word().broadcast(true);
        }
        if self.former_kind() == Kind::End {
            pipe_cell::waiters(self).broadcast(true);
            pipe_cell::wake_other(arena, self);
            let generation = self.generation();
            let me = Reference { index: arena.cell_index(self), generation, kind: Kind::End as u8 };
            transit::collect_all(arena, me, slot);
        }
        let of_queue = self.is_of_queue();
        if self.former_kind() == Kind::Queue
            && let Some(outlet) = queue_cell::take_apart(arena, self, slot, force)
        {
            self.type_code.store(0, Release);
            outlet.collect(arena, slot);
        }
        if of_queue {
            queue_cell::wake_all(self, self.former_kind() == Kind::Outlet, true);
        }
        // A damaged block is lost, and nothing else.
        if !(force && bug("cell: who ends it for the dead gives no block back")) {
            self.each_block(arena, &mut |field| _ = Heap::of(arena).give(field));
        }
        let target = self.refers_to.swap(0, AcqRel);
        // A wait word goes on counting: a thread that is still on its way to sleep must not find its number.
        let has_waiters = has_waiters || self.former_kind() == Kind::Outlet;
        let inline = if has_waiters { &self.inline[..1] } else { &self.inline[..] };
        let waits_there = of_queue || self.former_kind() == Kind::End;
        let extra = if waits_there { &self.extra[..2] } else { &self.extra[..] };
        for word in inline.iter().chain(extra).chain([&self.len, &self.block, &self.item_size]) {
            word.store(0, Relaxed);
        }
        if self.former_kind() == Kind::Outlet {
            // It counts nothing: tasks that are done, or who alone gets.
            self.inline[2].store(0, Relaxed);
        }
        for word in [&self.owner_thread, &self.depth, &self.flags, &self.type_code] {
            word.store(0, Relaxed);
        }
        arena.header().cells_free.fetch_add(1, Relaxed);
        arena.header().cell_hint.store(arena.cell_index(self).saturating_sub(1), Relaxed);
        self.life.free(next);
        if target != 0
            && let Some(cell) = Reference::from_bits(target).cell(arena)
        {
            cell.collect(arena, slot);
            if target >> 56 == Kind::Queue as u64 {
                queue_cell::openness_changed(arena, cell, Reference::from_bits(target).generation);
            }
        }
    }

    /// The repair of one cell after the death of the process in `dead`, by the process in `slot`.
    /// See [`super::repair`].
    pub(super) fn repair(&'static self, arena: Arena, dead: u32, force: bool, slot: u32) {
        let kind = self.kind();
        if kind == Kind::Ending && self.creator() == dead {
            self.end(arena, slot, true);
        } else if kind != Kind::Free && kind != Kind::Ending {
            if matches!(kind, Kind::Queue | Kind::Parcel) {
                parcel_cell::settle(arena, self, dead);
            }
            // Nobody may come in where a dead one was taking the queue apart: see `queue_cell`.
            if kind != Kind::Outlet || queue_cell::is_in_use(arena, self) {
                if matches!(kind, Kind::Queue | Kind::Outlet) {
                    queue_cell::give_role_back(arena, self, dead);
                }
                if !bug("repair: the dead keep their locks") {
                    self.lock.repair(dead, force);
                }
                self.guess_lock();
            }
            if kind == Kind::Outlet {
                parcel_cell::look_again(self);
            }
            if self.is_of_queue() {
                queue_cell::wake_all(self, kind == Kind::Outlet, force);
            }
            if self.has_waiters() {
                super::sync::repair(arena, self, kind, dead);
                self.wait_word().broadcast(force);
            }
            if kind == Kind::End {
                pipe_cell::waiters(self).broadcast(force);
            }
            self.let_go(arena, self.generation(), dead);
            if self.creator() == 0 {
                self.collect(arena, slot);
            }
            if kind == Kind::Outlet {
                queue_cell::collect_inlet(arena, self, slot);
            }
        }
    }
}
