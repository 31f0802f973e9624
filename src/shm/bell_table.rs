//! The bells of a family: who polls for news of which object.
//!
//! They have a table of their own, and are never anything else: whoever has news may be late, and a word of the object's
//! cell may be another object's data by then. A record that is another bell's by then is rung for nothing.
//!
//! A record is taken and let go by its word, see [`bells`]. `object` says whose news it is for: written by whoever takes the
//! record, before it arms, and left as it is when the bell goes.

use super::arena::Arena;
use super::bells;
use super::real::Real;
use crate::sys::doorbell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A place for a bell. All bytes zero are a free one.
#[repr(C)]
pub struct Record {
    /// See [`bells`].
    pub word: AtomicU64,
    /// Reference of the object, as bits.
    object: AtomicU64,
}

/// Takes a place for a bell; `None` if there is none.
pub fn place(arena: Arena, object: u64, name: u64) -> Option<&'static Record> {
    let (index, record) = arena
        .bells()
        .enumerate()
        .find(|(_, record)| record.word.load(Relaxed) == 0 && bells::place::<Real>(&[&record.word], name).is_some())?;
    record.object.store(object, Release);
    arena.header().bell_high.fetch_max(index as u32 + 1, AcqRel);
    Some(record)
}

fn used(arena: Arena) -> impl Iterator<Item = &'static Record> {
    arena.bells().take(arena.header().bell_high.load(Acquire) as usize)
}

/// There is news of an object, written before a fence: rings those that are armed.
#[cold]
pub fn tell(arena: Arena, object: u64) {
    for record in used(arena).filter(|record| record.object.load(Acquire) == object) {
        bells::tell::<Real>(&[&record.word], doorbell::ring);
    }
}

/// The same by whoever may be repeated after his death: rings all of them.
pub fn tell_all_of(arena: Arena, object: u64) {
    for record in used(arena).filter(|record| record.object.load(Acquire) == object) {
        bells::tell_all::<Real>(&[&record.word], doorbell::ring);
    }
}

/// The repair of a death, which may have been that of somebody with news of anything.
pub fn tell_all(arena: Arena) {
    for record in used(arena) {
        bells::tell_all::<Real>(&[&record.word], doorbell::ring);
    }
}
