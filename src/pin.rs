//! Pins: what keeps an object for somebody who is still to come for it.
#![forbid(unsafe_code)]

use crate::error::Result;
use crate::family::{self, Family};
use crate::shm::cell::{Cell, Kind, Reference};
use crate::wire;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A view of this process that keeps an object, whoever made it.
pub fn view_of(family: Family, target: Reference) -> Result<&'static Cell> {
    let view = Cell::claim(family.arena, Kind::View, family.me.slot)?;
    let referred = view.refer(family.arena, target);
    referred.inspect_err(|_| view.let_go(family.arena, view.generation(), family.me.slot))?;
    Ok(view)
}

/// Keeps every object that some arguments name, until it is dropped: whoever submits a task may free his
/// handles at once, as if they were copied like all the rest.
pub struct Pins {
    family: Family,
    views: Vec<&'static Cell>,
}

impl Pins {
    /// One object.
    pub fn one(family: Family, target: Reference) -> Result<Box<Pins>> {
        Ok(Box::new(Pins { family, views: vec![view_of(family, target)?] }))
    }

    /// The objects of encoded arguments; `None` if there are none, as in most.
    #[inline]
    pub fn of(family: Family, encoded: &[u8]) -> Result<Option<Box<Pins>>> {
        let reader = wire::Reader::new(encoded)?;
        if !reader.has_handles() {
            return Ok(None);
        }
        let mut pins = Box::new(Pins { family, views: Vec::new() });
        for bits in reader.handles() {
            pins.views.push(view_of(family, Reference::from_bits(bits?))?);
        }
        Ok(Some(pins))
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // In a forked child this is a copy, and what it names is the parent's to let go.
        let Ok(family) = family::current() else { return };
        if family.me == self.family.me {
            for view in &self.views {
                view.let_go(family.arena, view.generation(), family.me.slot);
            }
        }
    }
}

/// Flag of a view: its process was started with it, and has not opened it yet.
pub const GIVEN: u32 = 2;

/// Makes the process that is about to be born in `slot` one of those who have the queues and ends of pipes that its arguments name:
/// whoever waits for the last one to let go waits for it too, and only as long as it lives. If there will be no such
/// process, its repair takes them back.
#[inline]
pub fn give(family: Family, slot: u32, encoded: &[u8]) -> Result<()> {
    let reader = wire::Reader::new(encoded)?;
    if reader.has_handles() { give_each(family, slot, &reader) } else { Ok(()) }
}

/// Not part of its callers: each page of stack that it takes would be copied after their fork.
#[cold]
#[inline(never)]
fn give_each(family: Family, slot: u32, reader: &wire::Reader<'_>) -> Result<()> {
    for bits in reader.handles() {
        let target = Reference::from_bits(bits?);
        if target.kind == Kind::End as u8 || target.kind == Kind::Queue as u8 {
            let view = Cell::claim(family.arena, Kind::View, slot)?;
            view.flags.store(GIVEN, Release);
            view.refer(family.arena, target)?;
        }
    }
    Ok(())
}

/// The view by which this process was given an object, if it was and has not opened it; else a new one.
pub fn own_view_of(family: Family, target: Reference) -> Result<&'static Cell> {
    let bits = target.to_bits();
    let given = |view: &&Cell| {
        view.kind() == Kind::View
            && view.creator() == family.me.slot
            && view.refers_to.load(Acquire) == bits
            && view.flags.compare_exchange(GIVEN, 0, AcqRel, Relaxed).is_ok()
    };
    match family.arena.cells().find(given) {
        Some(view) => Ok(view),
        None => view_of(family, target),
    }
}
