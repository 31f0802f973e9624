//! Conditions: waiting, without a lock, for news about what the lock guards.
#![forbid(unsafe_code)]

use super::gone;
use crate::error::{Error, Result};
use crate::family::{Family, Sentry};
use crate::lock::{Lock, RECURSIVE};
use crate::shm::cell::{Cell, Kind, Reference};
use crate::shm::memory::Deadline;
use crate::shm::stop;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// A condition; whether it is still the same object is checked by every operation.
#[derive(Clone, Copy)]
pub struct Condition {
    cell: &'static Cell,
    generation: u32,
}

impl Condition {
    /// A new condition over `lock`, or over a recursive lock of its own.
    pub fn make(family: Family, lock: Option<Reference>) -> Result<(&'static Cell, u32)> {
        let cell = Cell::claim(family.arena, Kind::Condition, family.me.slot)?;
        let generation = cell.generation();
        cell.flags.store(RECURSIVE, Relaxed);
        if let Some(lock) = lock {
            let referred = cell.refer(family.arena, lock);
            referred.inspect_err(|_| cell.let_go(family.arena, generation, family.me.slot))?;
        }
        Ok((cell, generation))
    }

    /// The condition of a cell that is there.
    pub fn of(cell: &'static Cell, generation: u32) -> Condition {
        Condition { cell, generation }
    }

    /// The lock that it is about.
    pub fn lock(self, family: Family) -> Result<Lock> {
        if !self.cell.is_there(self.generation) {
            return Err(gone());
        }
        match self.cell.refers_to.load(Acquire) {
            0 => Ok(Lock::of(self.cell, self.generation)),
            given => {
                let lock = Reference::from_bits(given);
                Ok(Lock::of(lock.cell(family.arena).ok_or_else(gone)?, lock.generation))
            }
        }
    }

    /// Whether the caller holds the lock; if not, nothing of a condition is for it.
    pub fn check_held(self, family: Family) -> Result<()> {
        self.held(family).map(|_| ())
    }

    fn held(self, family: Family) -> Result<Lock> {
        let lock = self.lock(family)?;
        match lock.is_held(family.me) {
            true => Ok(lock),
            false => Err(Error::NotPermitted("the lock of the condition is not held by the caller")),
        }
    }

    /// Releases the lock, all its levels, waits for a notification, and acquires it again. The lock is held
    /// afterwards, whatever comes back; [`Error::OwnerDead`] if it had to be recovered.
    pub fn wait(self, family: Family, deadline: Deadline) -> Result<()> {
        let lock = self.held(family)?;
        let word = self.cell.wait_word();
        // Counted before the lock is free: what happens after that is news to this waiter.
        let ticket = word.prepare();
        let owed = self.take_owed();
        let levels = lock.release_levels(family).inspect_err(|_| word.leave(ticket))?;
        word.wake(owed);
        let mut sentry = Sentry::new(family, deadline);
        let mut stopped = false;
        let mut give_up = || {
            stopped = stop::notice();
            stopped
        };
        let notified = word.wait_notified(ticket, deadline, || sentry.alarm(), &mut give_up);
        drop(sentry);
        match lock.acquire_levels(family, levels) {
            Ok(()) if notified => Ok(()),
            Ok(()) if stopped => Err(Error::SoftLimit),
            Ok(()) => Err(Error::TimedOut),
            Err(error) => Err(error),
        }
    }

    /// Wakes up to `count` of those who wait. The caller holds the lock.
    ///
    /// If it is the condition's own, they are woken when it is free: on one processor a woken one would else run at once,
    /// find it held, and sleep again.
    pub fn notify(self, family: Family, count: u32) -> Result<()> {
        self.held(family)?;
        if count == 0 {
            return Ok(());
        }
        if self.cell.refers_to.load(Acquire) != 0 {
            self.cell.wait_word().notify(count);
        } else {
            let more = self.cell.wait_word().notify_later(count) as u64;
            let owed = self.owed().load(Relaxed);
            self.owed().store(owed.saturating_add(more).min(u32::MAX as u64), Relaxed);
        }
        Ok(())
    }

    /// Releases the lock, and wakes whom it was held for.
    pub fn release(self, family: Family) -> Result<()> {
        let lock = self.lock(family)?;
        let frees = self.owed().load(Relaxed) != 0 && lock.is_held(family.me) && lock.is_last_level();
        let owed = if frees { self.take_owed() } else { 0 };
        lock.release(family)?;
        self.cell.wait_word().wake(owed);
        Ok(())
    }

    /// How many are to be woken with the next release; of who holds the lock.
    fn owed(self) -> &'static AtomicU64 {
        &self.cell.inline[0]
    }

    fn take_owed(self) -> u32 {
        let owed = self.owed().load(Relaxed) as u32;
        self.owed().store(0, Relaxed);
        owed
    }
}
