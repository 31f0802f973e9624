//! Events: a flag that many wait for.
#![forbid(unsafe_code)]

use super::{gone, wait_until};
use crate::error::Result;
use crate::family::Family;
use crate::shm::cell::{Cell, Kind};
use crate::shm::memory::Deadline;
use crate::shm::real::Real;
use crate::shm::sync;

/// An event; whether it is still the same object is checked by every operation.
#[derive(Clone, Copy)]
pub struct Event {
    cell: &'static Cell,
    generation: u32,
}

impl Event {
    /// A new event, not set.
    pub fn make(family: Family) -> Result<(&'static Cell, u32)> {
        let cell = Cell::claim(family.arena, Kind::Event, family.me.slot)?;
        Ok((cell, cell.generation()))
    }

    /// The event of a cell that is there.
    pub fn of(cell: &'static Cell, generation: u32) -> Event {
        Event { cell, generation }
    }

    fn flag(self) -> Result<sync::Event<'static, Real>> {
        if !self.cell.is_there(self.generation) {
            return Err(gone());
        }
        Ok(sync::Event::of(self.cell))
    }

    /// Sets it: whoever waits goes on, and whoever comes does not wait. One store and one wake, so a signal
    /// handler may call it.
    pub fn set(self) -> Result<()> {
        if self.flag()?.set() {
            self.cell.wait_word().notify_after_change(u32::MAX);
        }
        Ok(())
    }

    /// Clears it.
    pub fn clear(self) -> Result<()> {
        self.flag()?.clear();
        Ok(())
    }

    /// Whether it is set.
    pub fn is_set(self) -> Result<bool> {
        Ok(self.flag()?.is_set())
    }

    /// Waits until it is set, or was set meanwhile.
    pub fn wait(self, family: Family, deadline: Deadline) -> Result<()> {
        let flag = self.flag()?;
        let sets = flag.sets();
        let done = || flag.was_set_since(sets).then_some(());
        wait_until(family, self.cell, self.generation, deadline, done)
    }
}
