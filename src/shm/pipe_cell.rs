//! A pipe in the cell table: a cell for each end, and one for what both share.
//!
//! | word | end ([`Kind::End`], what handles name) | pipe ([`Kind::Pipe`]) |
//! |---|---|---|
//! | `lock` | of whoever sends or receives at it | |
//! | `extra[2]` | those who wait at it: in the line that is read by the other end, and not the lock's | |
//! | `refers_to` | the pipe | |
//! | `item_size` | reference of the other end | |
//! | `type_code` | side, 0 or 1 | |
//! | `flags` | [`RECEIVES`], [`SENDS`], [`LANE`]; [`POLLED`] | |
//! | `len` | | not 0: the block is as it should be |
//! | `block` | | [`Block`] |
//!
//! An end is there as long as somebody has it: its creator, and every view of it (what a process was started with, or
//! has opened; what a task names). To have inherited it counts for nothing: whoever waits for the last one to let go
//! would wait for all of his children. When an end goes, the rings say so to the other one, and whoever waits there is woken. The pipe is there as
//! long as one of its ends is.

use super::arena::Arena;
use super::bell_table;
use super::cell::{Cell, Kind, Reference};
use super::heap::Heap;
use super::pipe::Ring;
use super::real::Real;
use super::wait_word::WaitWord;
use crate::error::{Error, Result};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Flag of an end: it receives.
pub const RECEIVES: u32 = 1;
/// Flag of an end: it sends.
pub const SENDS: u32 = 2;
/// Flag of an end, set once, by who has it: somebody polls, or has. See [`bell_table`].
pub const POLLED: u32 = 4;
/// Flag of an end: the server of a manager may open it. See [`crate::manager`].
pub const LANE: u32 = 8;

/// What both ends share: what the ends send, by side. All bytes zero are valid.
#[repr(C)]
pub struct Block {
    rings: [Ring<Real>; 2],
}

const ALIGNMENT: u64 = align_of::<Block>() as u64;

/// An end that was there when somebody looked. What it shows stays as long as the caller keeps the end.
#[derive(Clone, Copy)]
pub struct End {
    /// The end itself.
    pub cell: &'static Cell,
    /// Its generation.
    pub generation: u32,
    /// The other end.
    pub other: &'static Cell,
    other_generation: u32,
    /// What is sent here.
    pub out: &'static Ring<Real>,
    /// What is received here.
    pub into: &'static Ring<Real>,
}

impl End {
    /// The end of a reference; `None` if it is gone.
    pub fn of(arena: Arena, end: Reference) -> Option<End> {
        let cell = end.cell(arena).filter(|cell| cell.kind() == Kind::End)?;
        let pipe = Reference::from_bits(cell.refers_to.load(Acquire)).cell(arena)?;
        let block = block(arena, pipe)?;
        let other = Reference::from_bits(cell.item_size.load(Acquire));
        let side = cell.type_code.load(Acquire) as usize & 1;
        Some(End {
            cell,
            generation: end.generation,
            other: arena.cell(other.index)?,
            other_generation: other.generation,
            out: &block.rings[side],
            into: &block.rings[1 - side],
        })
    }

    /// The other end.
    pub fn receiver(&self, arena: Arena) -> Reference {
        reference(arena, self.other, self.other_generation)
    }

    /// Wakes whoever waits at the other end, and tells who polls.
    #[inline(always)]
    pub fn wake_other(&self, arena: Arena) {
        waiters(self.other).notify(u32::MAX);
        // Behind the fence of the line above.
        if self.other.flags.load(Relaxed) & POLLED != 0 {
            bell_table::tell(arena, self.receiver(arena).to_bits());
        }
    }

    /// From now on whoever has news for this end looks who polls it.
    pub fn set_polled(&self) {
        self.cell.flags.fetch_or(POLLED, AcqRel);
    }
}

/// Makes a pipe for the process in `slot`, which has both ends; their flags.
pub fn make(arena: Arena, flags: [u32; 2], slot: u32) -> Result<[Reference; 2]> {
    let pipe = Cell::claim(arena, Kind::Pipe, slot)?;
    let generation = pipe.generation();
    let made = make_ends(arena, pipe, flags, slot);
    // From here on its ends keep it.
    pipe.let_go(arena, generation, slot);
    made
}

fn make_ends(arena: Arena, pipe: &'static Cell, flags: [u32; 2], slot: u32) -> Result<[Reference; 2]> {
    Heap::of(arena).take_zero(size_of::<Block>() as u64 + ALIGNMENT, &pipe.block)?;
    pipe.len.store(1, Release);
    let left = make_end(arena, pipe, 0, flags[0], slot)?;
    let right = make_end(arena, pipe, 1, flags[1], slot).inspect_err(|_| let_go(arena, left, slot))?;
    for (end, other) in [(left, right), (right, left)] {
        if let Some(cell) = end.cell(arena) {
            cell.item_size.store(other.to_bits(), Release);
        }
    }
    Ok([left, right])
}

fn make_end(arena: Arena, pipe: &'static Cell, side: u32, flags: u32, slot: u32) -> Result<Reference> {
    let cell = Cell::claim(arena, Kind::End, slot)?;
    cell.item_size.store(0, Relaxed);
    cell.type_code.store(side, Relaxed);
    cell.flags.store(flags, Release);
    let end = cell.reference(arena);
    cell.refer(arena, pipe.reference(arena)).inspect_err(|_| let_go(arena, end, slot))?;
    Ok(end)
}

fn let_go(arena: Arena, end: Reference, slot: u32) {
    if let Some(cell) = end.cell(arena) {
        cell.let_go(arena, end.generation, slot);
    }
}

fn block(arena: Arena, pipe: &Cell) -> Option<&'static Block> {
    let offset = pipe.block.load(Acquire);
    if offset == 0 || pipe.len.load(Acquire) == 0 {
        return None;
    }
    let address = arena.address(offset.next_multiple_of(ALIGNMENT), size_of::<Block>() as u64)?;
    // SAFETY: inside the mapping, which is never unmapped; aligned, since the mapping is and the offset was made so; made
    // of atomics. It is the pipe's as long as one of its ends is there (see the head of this module).
    Some(unsafe { &*address.cast::<Block>() })
}

/// Every field through which a pipe's messages own a block.
pub(super) fn each_block(arena: Arena, pipe: &Cell, visit: &mut dyn FnMut(&'static AtomicU64)) {
    let slots = block(arena, pipe).into_iter().flat_map(|block| &block.rings).flat_map(|ring| &ring.slots);
    slots.map(|slot| &slot.block).for_each(visit);
}

/// An end is going: whoever waits at the other one looks again. To be repeated if its caller dies.
pub(super) fn wake_other(arena: Arena, end: &Cell) {
    let (other, pipe) =
        (Reference::from_bits(end.item_size.load(Acquire)), Reference::from_bits(end.refers_to.load(Acquire)));
    if let Some(block) = pipe.cell(arena).and_then(|pipe| block(arena, pipe)) {
        // Behind the last message that was sent here: who sees this sees that.
        let side = end.type_code.load(Acquire) as usize & 1;
        block.rings[side].head.gone.store(1, Release);
        block.rings[1 - side].tail.gone.store(1, Release);
    }
    if let Some(cell) = other.cell(arena).filter(|cell| cell.kind() == Kind::End) {
        waiters(cell).broadcast(true);
        bell_table::tell_all_of(arena, other.to_bits());
    }
}

/// Where those who wait at an end are.
#[inline(always)]
pub fn waiters(end: &Cell) -> &WaitWord<Real> {
    WaitWord::of(&end.extra[2])
}

fn reference(arena: Arena, end: &Cell, generation: u32) -> Reference {
    Reference { index: arena.cell_index(end), generation, kind: Kind::End as u8 }
}

/// What a message that was sent here needs to become bytes again, or the reverse.
pub fn damaged() -> Error {
    Error::Broken("the pipe's memory was damaged".into())
}
