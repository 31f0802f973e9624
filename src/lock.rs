//! Locks: of any process of the family, released by anyone, and never lost with their holder.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::family::{Family, Sentry};
use crate::shm::arena::Arena;
use crate::shm::cell::{Cell, Kind, Reference};
use crate::shm::lock_word::{Acquired, Released};
use crate::shm::member::MemberId;
use crate::shm::memory::Deadline;
use crate::shm::stop;
use crate::sys::robust;
use std::sync::atomic::Ordering::Relaxed;

/// Bits of a cell's flags that its lock has.
pub const RECURSIVE: u32 = 1;
/// A dead owner's lock is acquired plainly.
pub const IGNORE_OWNER_DEATH: u32 = 2;

/// The lock of a cell; whether it is still the same object is checked by every operation.
#[derive(Clone, Copy)]
pub struct Lock {
    cell: &'static Cell,
    generation: u32,
}

impl Lock {
    /// A new lock, held by nobody, that this process keeps.
    pub fn new(family: Family, flags: u32) -> Result<Lock> {
        let cell = Cell::claim(family.arena, Kind::Lock, family.me.slot)?;
        cell.flags.store(flags, Relaxed);
        Ok(Lock { cell, generation: cell.generation() })
    }

    /// The lock of an object that is there.
    #[inline(always)]
    pub fn of(cell: &'static Cell, generation: u32) -> Lock {
        Lock { cell, generation }
    }

    /// The cell that the lock is in.
    pub fn cell(self) -> &'static Cell {
        self.cell
    }

    /// Generation of the object.
    pub fn generation(self) -> u32 {
        self.generation
    }

    /// What others call it.
    pub fn reference(self, arena: Arena) -> Reference {
        self.cell.reference(arena)
    }

    #[inline(always)]
    fn word_generation(self) -> u16 {
        self.generation as u16
    }

    /// Whether the thread that holds it may acquire it again.
    #[inline(always)]
    pub fn is_recursive(self) -> bool {
        self.cell.flags.load(Relaxed) & RECURSIVE != 0
    }

    /// The short way of [`Lock::acquire`] for a lock that is free, or recursive and the calling thread's. False where that
    /// is not all, and then nothing has happened. Never panics.
    #[inline(always)]
    pub fn acquire_at_once(self, me: MemberId) -> bool {
        if self.is_recursive() { self.acquire_recursive_at_once(me) } else { self.take(me) }
    }

    /// The same where it is known that the lock is recursive.
    #[inline(always)]
    pub fn acquire_recursive_at_once(self, me: MemberId) -> bool {
        let Some(thread) = robust::known_thread_id(me.to_bits()) else { return false };
        if self.take(me) {
            // Its depth is 0 already: see there.
            self.cell.owner_thread.store(thread, Relaxed);
            return true;
        }
        self.is_thread_s(me, thread) && self.deepen_at_once()
    }

    /// The short way of [`Lock::release`]. False where that is not all; then the long way says why. Never panics.
    #[inline(always)]
    pub fn release_at_once(self, me: MemberId) -> bool {
        if self.is_recursive() { self.release_recursive_at_once(me) } else { self.give(me) }
    }

    /// The same where it is known that the lock is recursive.
    #[inline(always)]
    pub fn release_recursive_at_once(self, me: MemberId) -> bool {
        let Some(thread) = robust::known_thread_id(me.to_bits()) else { return false };
        self.is_thread_s(me, thread) && (self.leave() || self.give(me))
    }

    #[inline(always)]
    fn take(self, me: MemberId) -> bool {
        self.cell.lock.try_acquire_from(self.cell.free_lock(), self.word_generation(), me.slot)
    }

    #[inline(always)]
    fn give(self, me: MemberId) -> bool {
        self.cell.lock.try_release_to(self.cell.free_lock(), self.word_generation(), me.slot)
            || self.cell.lock.release(self.word_generation()) == Released::Free
    }

    /// Acquires the lock. A dead owner's lock is not acquired: [`Error::OwnerDead`], until somebody recovers it.
    pub fn acquire(self, family: Family, deadline: Deadline) -> Result<()> {
        let recursive = self.is_recursive();
        if recursive && self.is_mine(family.me) {
            return self.deepen();
        }
        if !self.cell.lock.try_acquire(self.word_generation(), family.me.slot) {
            self.acquire_slowly(family, false, deadline)?;
        }
        if recursive {
            self.note_owner(this_thread());
        }
        Ok(())
    }

    /// Acquires the lock and takes a dead owner's mark away.
    pub fn recover(self, family: Family, deadline: Deadline) -> Result<()> {
        if self.is_recursive() && self.is_mine(family.me) {
            return self.deepen();
        }
        self.acquire_slowly(family, true, deadline)?;
        if self.is_recursive() {
            self.note_owner(this_thread());
        }
        Ok(())
    }

    #[cold]
    fn acquire_slowly(self, family: Family, recover: bool, deadline: Deadline) -> Result<()> {
        let recover = recover || self.cell.flags.load(Relaxed) & IGNORE_OWNER_DEATH != 0;
        if deadline != Some(0) && stop::notice() {
            return Err(Error::SoftLimit);
        }
        let mut sentry = Sentry::new(family, deadline);
        loop {
            let word = &self.cell.lock;
            match word.acquire(self.word_generation(), family.me.slot, recover, deadline, || sentry.alarm()) {
                Acquired::Held => return Ok(()),
                Acquired::OwnerDied => return Err(Error::OwnerDead),
                Acquired::TimedOut => {
                    // Whoever only ever tries must hear of a death as well: this tells the keeper to look.
                    sentry.alarm();
                    return Err(Error::TimedOut);
                }
                Acquired::Gone => return Err(gone()),
                Acquired::Interrupted if stop::notice() => return Err(Error::SoftLimit),
                Acquired::Interrupted => {}
            }
        }
    }

    /// Releases the lock, whoever holds it; a recursive one only by the thread that holds it.
    pub fn release(self, family: Family) -> Result<()> {
        if self.is_recursive() {
            if !self.is_mine(family.me) {
                return self.refuse();
            }
            if self.leave() {
                return Ok(());
            }
        }
        match self.cell.lock.release(self.word_generation()) {
            Released::Free => Ok(()),
            Released::NotHeld => Err(Error::NotPermitted("the lock is not held by anybody")),
            Released::Gone => Err(gone()),
        }
    }

    #[cold]
    fn refuse(self) -> Result<()> {
        match self.cell.lock.owner(self.word_generation()) {
            None => Err(gone()),
            Some(0) => Err(Error::NotPermitted("the lock is not held by anybody")),
            Some(_) => Err(Error::NotPermitted("a recursive lock is released by the thread that holds it")),
        }
    }

    /// Whether the caller holds it: the calling process, and for a recursive lock the calling thread.
    pub fn is_held(self, me: MemberId) -> bool {
        if self.is_recursive() {
            self.is_mine(me)
        } else {
            self.cell.lock.owner(self.word_generation()) == Some(me.slot)
        }
    }

    /// Whether the next release of a lock that the caller holds frees it.
    pub fn is_last_level(self) -> bool {
        !self.is_recursive() || self.cell.depth.load(Relaxed) == 0
    }

    /// Releases a lock that the caller holds, with all its levels; how many they were.
    pub fn release_levels(self, family: Family) -> Result<u32> {
        let levels = if self.is_recursive() { self.cell.depth.swap(0, Relaxed).saturating_add(1) } else { 1 };
        self.release(family).map(|()| levels)
    }

    /// Acquires it again with as many levels. It is held afterwards, if it is still there: a dead owner's lock is
    /// recovered, and whoever did that, nobody else, hears [`Error::OwnerDead`]. A soft limit is told of, but does not
    /// end it.
    pub fn acquire_levels(self, family: Family, levels: u32) -> Result<()> {
        let mut outcome = Ok(());
        loop {
            match self.acquire(family, None) {
                Ok(()) => break,
                Err(Error::OwnerDead) if self.cell.lock.recover_at_once(self.word_generation(), family.me.slot) => {
                    if self.is_recursive() {
                        self.note_owner(this_thread());
                    }
                    outcome = Err(Error::OwnerDead);
                    break;
                }
                // Another one has recovered it.
                Err(Error::OwnerDead) => {}
                // Told once for each item: the next try is not ended by it.
                Err(Error::SoftLimit) => outcome = Err(Error::SoftLimit),
                Err(error) => return Err(error),
            }
        }
        if self.is_recursive() {
            self.cell.depth.store(levels.saturating_sub(1), Relaxed);
        }
        outcome
    }

    /// Whether somebody holds it, at this moment.
    pub fn is_locked(self) -> Result<bool> {
        self.cell.lock.owner(self.word_generation()).map(|owner| owner != 0).ok_or_else(gone)
    }

    /// Held by the calling thread. Only this thread writes its own id there, and it takes it away before
    /// it releases; ids of other processes of the machine are no concern, since the slot is ours.
    fn is_mine(self, me: MemberId) -> bool {
        self.is_thread_s(me, this_thread())
    }

    #[inline(always)]
    fn is_thread_s(self, me: MemberId, thread: u32) -> bool {
        self.cell.owner_thread.load(Relaxed) == thread && self.cell.lock.owner(self.word_generation()) == Some(me.slot)
    }

    #[inline(always)]
    fn note_owner(self, thread: u32) {
        self.cell.owner_thread.store(thread, Relaxed);
        // A dead owner may have left another.
        self.cell.depth.store(0, Relaxed);
    }

    /// One acquire less of a recursive lock that is ours; false if that was the last.
    #[inline(always)]
    fn leave(self) -> bool {
        let depth = self.cell.depth.load(Relaxed);
        match depth {
            0 => self.cell.owner_thread.store(0, Relaxed),
            more => self.cell.depth.store(more - 1, Relaxed),
        }
        depth > 0
    }

    fn deepen(self) -> Result<()> {
        self.deepen_at_once().then_some(()).ok_or(Error::NoMemory("a recursive lock was acquired too often"))
    }

    /// One acquire more of a recursive lock that is ours; false if it can count no more of them.
    #[inline(always)]
    fn deepen_at_once(self) -> bool {
        let deeper = self.cell.depth.load(Relaxed).checked_add(1);
        self.cell.depth.store(deeper.unwrap_or(u32::MAX), Relaxed);
        deeper.is_some()
    }
}

/// What a recursive lock knows the calling thread by.
#[inline(always)]
pub fn this_thread() -> u32 {
    robust::thread_id()
}

fn gone() -> Error {
    Error::BadHandle("the lock was freed".into())
}
