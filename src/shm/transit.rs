//! An object on its way through a pipe: a cell that refers to the object, and so keeps it until whoever receives it has it himself.
//!
//! | word | written by the sender, before the commit |
//! |---|---|
//! | `refers_to` | the object |
//! | `item_size` | reference of the end that receives |
//! | `len` | number of the message in its ring |
//!
//! Until the message is committed it is its sender's, and goes with him. From then on it is the message's: whether that is
//! still to be received is derived from the ring, and so needs no repair. Whoever receives it takes a view of the object, then
//! marks the message as taken, then takes this cell apart; after a death in between the next one goes on there. With
//! the end that receives goes what was on its way there.

use super::arena::Arena;
use super::cell::{Cell, Kind, Reference};
use super::pipe_cell::End;
use crate::error::Result;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Makes one for an object, which is kept from then on, on its way to an end.
pub fn make(arena: Arena, object: Reference, receiver: Reference, slot: u32) -> Result<&'static Cell> {
    let cell = Cell::claim(arena, Kind::Transit, slot)?;
    cell.item_size.store(receiver.to_bits(), Release);
    cell.refer(arena, object).inspect_err(|_| cell.let_go(arena, cell.generation(), slot))?;
    Ok(cell)
}

/// It is to be message `number`. Before the commit, under the lock of the sending end.
pub fn set_number(cell: &Cell, number: u64) {
    cell.len.store(number, Release);
}

/// Whether its message is there, and not taken.
pub(super) fn is_wanted(arena: Arena, cell: &Cell) -> bool {
    let (receiver, number) = (Reference::from_bits(cell.item_size.load(Acquire)), cell.len.load(Acquire));
    End::of(arena, receiver).is_some_and(|end| end.into.names(number, cell.reference(arena).to_bits()))
}

/// An end is going. To be repeated if its caller dies.
pub(super) fn collect_all(arena: Arena, receiver: Reference, slot: u32) {
    let bits = receiver.to_bits();
    for cell in arena.cells().filter(|cell| cell.kind() == Kind::Transit && cell.item_size.load(Acquire) == bits) {
        cell.collect(arena, slot);
    }
}
