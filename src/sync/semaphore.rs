//! Semaphores: plain ones count; owned ones know who has their units, and get them back from the dead.
#![forbid(unsafe_code)]

use super::{gone, wait_until};
use crate::error::{Error, Result};
use crate::family::Family;
use crate::shm::cell::{Cell, Kind};
use crate::shm::heap::Heap;
use crate::shm::memory::Deadline;
use crate::shm::region::Region;
use crate::shm::sync::{self, BOUNDED, OWNED, Refusal};
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Most units of a plain semaphore.
pub const MOST: u64 = i64::MAX as u64;
/// Most units of an owned one: each is a word that is looked at.
pub const MOST_OWNED: u64 = sync::MOST_WORDS;

/// What a semaphore is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// It never has more units than it began with.
    pub bounded: bool,
    /// Units belong to the process that took them, and come back when it dies.
    pub owned: bool,
}

/// A semaphore; whether it is still the same object is checked by every operation.
#[derive(Clone, Copy)]
pub struct Semaphore {
    cell: &'static Cell,
    generation: u32,
}

impl Semaphore {
    /// A new semaphore with `units`.
    pub fn make(family: Family, units: u64, options: Options) -> Result<(&'static Cell, u32)> {
        if options.owned && units > MOST_OWNED {
            return Err(Error::invalid("a semaphore has at most 4096 owned units"));
        }
        let cell = Cell::claim(family.arena, Kind::Semaphore, family.me.slot)?;
        let generation = cell.generation();
        let owned = if options.owned { OWNED } else { 0 };
        cell.flags.store(owned | if options.bounded { BOUNDED } else { 0 }, Relaxed);
        cell.inline[0].store(if options.owned { 0 } else { units }, Relaxed);
        if options.owned {
            let taken = Heap::of(family.arena).take(units.max(1) * 8, &cell.block);
            let tokens = taken.map(|offset| Region::of(family.arena, offset, units.max(1) * 8));
            match tokens {
                Ok(tokens) => tokens.into_iter().for_each(Region::clear),
                Err(error) => {
                    cell.let_go(family.arena, generation, family.me.slot);
                    return Err(error);
                }
            }
        }
        let most = if options.bounded || options.owned { units } else { MOST };
        cell.len.store(most, Release);
        Ok((cell, generation))
    }

    /// The semaphore of a cell that is there.
    pub fn of(cell: &'static Cell, generation: u32) -> Semaphore {
        Semaphore { cell, generation }
    }

    fn check(self) -> Result<()> {
        if self.cell.is_there(self.generation) { Ok(()) } else { Err(gone()) }
    }

    #[inline(always)]
    fn is_plain(self) -> bool {
        self.cell.flags.load(Relaxed) & OWNED == 0 && self.cell.is_there(self.generation)
    }

    /// The short way of [`Semaphore::acquire`] for a plain semaphore that has a unit. False where that is not all, and
    /// then nothing has happened. Never panics.
    #[inline(always)]
    pub fn acquire_at_once(self) -> bool {
        self.is_plain() && sync::take(&self.cell.inline[0])
    }

    /// The same for [`Semaphore::release`].
    #[inline(always)]
    pub fn release_at_once(self) -> bool {
        let given = self.is_plain() && sync::give(&self.cell.inline[0], self.cell.len.load(Relaxed));
        if given {
            self.cell.wait_word().notify_after_change(1);
        }
        given
    }

    /// Takes a unit, waiting for one.
    pub fn acquire(self, family: Family, deadline: Deadline) -> Result<()> {
        let take = || sync::take_unit(family.arena, self.cell, family.me.slot).then_some(());
        wait_until(family, self.cell, self.generation, deadline, take)
    }

    /// Takes a unit if there is one now.
    pub fn try_acquire(self, family: Family) -> bool {
        self.check().is_ok() && sync::take_unit(family.arena, self.cell, family.me.slot)
    }

    /// Gives a unit back.
    pub fn release(self, family: Family) -> Result<()> {
        self.check()?;
        match sync::give_unit(family.arena, self.cell, family.me.slot) {
            Ok(()) => {
                self.cell.wait_word().notify_after_change(1);
                Ok(())
            }
            Err(Refusal::Full) => Err(Error::NotPermitted("the semaphore has all its units")),
            Err(Refusal::NotOwned) => Err(Error::NotPermitted("this process owns no unit of the semaphore")),
        }
    }

    /// Units left at this moment.
    pub fn value(self, family: Family) -> Result<u64> {
        self.check()?;
        Ok(sync::units(family.arena, self.cell))
    }
}
