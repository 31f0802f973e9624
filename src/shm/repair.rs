//! R(p): removing the traces of a dead process, and waking whoever may have waited for it.
//!
//! Done by whoever has proof of the death and wins the claim: the keeper, or a parent that joins its
//! child. Every step may be repeated; a repairer that dies hands its claim to its own repairer.

use super::arena::Arena;
use super::bell_table;
use super::heap::Heap;
use super::member::{MemberId, State};
use crate::sys::seeded::bug;

/// What the repairer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repaired {
    /// This call did it.
    Done,
    /// Somebody else does it, or has done it.
    NotMine,
}

/// Repairs after the death of `dead`, of which the caller (the process in `slot`) has proof.
pub fn repair(arena: Arena, dead: MemberId, slot: u32) -> Repaired {
    let member = arena.member(dead.slot);
    member.set_dead(dead.generation);
    let Some(redo) = member.begin_repair(dead.generation, slot) else {
        return Repaired::NotMine;
    };
    sweep(arena, dead.slot, redo, slot);
    hand_on(arena, dead.slot, slot);
    // What goes wrong there costs a block of memory.
    let _ = Heap::of(arena).give(&member.letter);
    member.end_repair(dead.generation, member.is_asked_for(arena));
    Repaired::Done
}

/// Every cell: locks of the dead are marked, waiters woken, what it alone held goes.
fn sweep(arena: Arena, dead: u32, force: bool, slot: u32) {
    for cell in arena.cells() {
        cell.repair(arena, dead, force, slot);
    }
    // Behind them: whoever polls looks at what they are like now.
    bell_table::tell_all(arena);
}

/// What the dead had begun for others: claims of children that never came, repairs, exit records
/// that it will not read.
fn hand_on(arena: Arena, dead: u32, slot: u32) {
    for other in arena.slots() {
        let member = arena.member(other);
        let (state, generation) = member.identity();
        match state {
            State::Claimed if member.parent() == dead && !bug("repair: a place that the dead claimed stays taken") => {
                abandon(arena, MemberId { slot: other, generation }, slot);
            }
            State::Gone if member.parent() == dead => member.forget(generation),
            State::Repairing if member.repairer() == dead && other != dead => {
                member.redo_repair(generation);
                repair(arena, MemberId { slot: other, generation }, slot);
            }
            _ => {}
        }
    }
}

/// The process that was to be `unborn` will not be: what it was to be given goes.
pub fn abandon(arena: Arena, unborn: MemberId, slot: u32) {
    let member = arena.member(unborn.slot);
    if member.cancel(unborn.generation) {
        repair(arena, unborn, slot);
        member.forget(unborn.generation);
    }
}

/// Takes apart what nobody holds and nobody needs any more; `slot` is the calling process.
pub fn collect(arena: Arena, slot: u32) {
    for cell in arena.cells() {
        cell.collect(arena, slot);
    }
}

/// Wakes everybody who may sleep, whatever the words say: for a new keeper, whose predecessor may have
/// died between a store and a wake.
pub fn wake_everybody(arena: Arena) {
    // Slot 0 is nobody: no lock has it as its owner, so nothing but the wake happens.
    const NOBODY: u32 = 0xfff;
    for cell in arena.cells() {
        cell.lock.repair(NOBODY, true);
        cell.wake_waiters();
    }
    bell_table::tell_all(arena);
}
