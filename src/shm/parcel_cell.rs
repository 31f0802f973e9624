//! Messages in memory of their own ([`super::parcel`]) in the cell table.
//!
//! | word | |
//! |---|---|
//! | `block`, `len` | its bytes |
//! | `item_size` | reference of the inlet of its queue. Written by its owner |
//! | `inline[0]` | its number |
//! | `inline[1]` | how often it was delivered. Written by its owner |
//! | `refers_to` | an object that is the message: kept by it. Written by its owner, before the commit |
//! | `inline[2]` | what travels of that object |

use super::arena::Arena;
use super::cell::{Cell, Kind, Reference};
use super::heap::Heap;
use super::parcel::{self, EVER, Parcel};
use super::queue::count;
use super::queue_cell::Ends;
use super::real::Real;
use super::region::Region;
use crate::error::{Error, Result};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Makes a parcel of `len` bytes for the queue of `ends`, of the process in `slot`. Its bytes are whatever they were.
pub fn make(arena: Arena, ends: Ends, len: u64, slot: u32) -> Result<&'static Cell> {
    parcel::expect::<Real>(ends.parcels());
    let cell = Cell::claim(arena, Kind::Parcel, slot)?;
    let taken = Heap::of(arena).take(len, &cell.block);
    taken.inspect_err(|_| cell.let_go(arena, cell.generation(), slot))?;
    cell.len.store(len, Relaxed);
    cell.item_size.store(ends.reference(arena).to_bits(), Release);
    Ok(cell)
}

/// The bytes of a parcel, for its owner.
pub fn bytes(arena: Arena, cell: &Cell, len: u64) -> Result<Region> {
    let broken = || Error::Broken("the memory of a message was damaged".into());
    let block = cell.block.load(Relaxed);
    if block == 0 || len > Heap::of(arena).capacity(block)? {
        return Err(broken());
    }
    Region::of(arena, block, len).ok_or_else(broken)
}

/// How often it was delivered.
pub fn deliveries(cell: &Cell) -> &AtomicU64 {
    &cell.inline[1]
}

/// What travels of the object that is the message.
pub fn object(cell: &Cell) -> &AtomicU64 {
    &cell.inline[2]
}

/// Whether the message is an object.
pub fn is_object(cell: &Cell) -> bool {
    cell.refers_to.load(Acquire) != 0
}

/// All parcels of the queue of an inlet.
pub fn of_queue(arena: Arena, inlet: Reference) -> impl Iterator<Item = &'static Cell> {
    let inlet = inlet.to_bits();
    arena.cells().filter(move |cell| cell.kind() == Kind::Parcel && cell.item_size.load(Acquire) == inlet)
}

/// The parcel that came back first, unclaimed, of those of a queue of which so many messages were taken. The lock of the head
/// is held.
pub fn oldest(arena: Arena, ends: Ends, taken: u64) -> Option<(&'static Cell, Parcel<'static, Real>)> {
    let parcels = of_queue(arena, ends.reference(arena)).map(|cell| cell.parcel(cell.generation()));
    let found = parcel::oldest(ends.parcels(), taken, parcels)?;
    let cell = of_queue(arena, ends.reference(arena)).find(|cell| std::ptr::eq(cell.parcel(0).life, found.life))?;
    Some((cell, found))
}

/// The inlet that a parcel's queue has.
fn inlet_of(arena: Arena, cell: &Cell) -> Option<Ends> {
    let owner = Reference::from_bits(cell.item_size.load(Acquire));
    Ends::of(arena, owner.cell(arena).filter(|cell| cell.kind() == Kind::Queue)?, owner.generation)
}

/// Whether the queue of a parcel is there.
pub(super) fn is_wanted(arena: Arena, cell: &Cell) -> bool {
    inlet_of(arena, cell).is_some()
}

/// Whoever had leased a parcel has let go of it.
pub(super) fn came_back(arena: Arena, cell: &Cell) {
    if let Some(ends) = inlet_of(arena, cell) {
        parcel::let_come_back::<Real>(ends.parcels());
        ends.news().rouse_all();
        ends.tell(arena);
    }
}

/// What [`super::parcel`] says of a producer who died while it put, at the inlet and at the parcel, whichever the repair comes to
/// first; before it repairs the lock of the inlet.
pub(super) fn settle(arena: Arena, cell: &Cell, dead: u32) {
    let inlet = match cell.kind() {
        Kind::Parcel => inlet_of(arena, cell).map(|ends| ends.inlet),
        _ => Some(cell),
    };
    let Some(inlet) = inlet.filter(|inlet| inlet.lock.owner(inlet.generation() as u16) == Some(dead)) else { return };
    let named = Reference::from_bits(inlet.inline[2].load(Acquire));
    if let Some(parcel) = named.cell(arena).filter(|cell| cell.kind() == Kind::Parcel) {
        parcel.parcel(named.generation).send_for_the_dead(dead, count(inlet.inline[0].load(Acquire)));
    }
}

/// A death: whoever died may have let one go, or have looked, and not said so.
pub(super) fn look_again(outlet: &Cell) {
    if outlet.flags.load(Acquire) & EVER != 0 {
        parcel::let_come_back::<Real>(&outlet.flags);
    }
}

/// The queue is ending: what was sent to it goes with it, but for what somebody reads still.
pub(super) fn collect_all(arena: Arena, inlet: Reference, slot: u32) {
    of_queue(arena, inlet).for_each(|cell| cell.collect(arena, slot));
}
