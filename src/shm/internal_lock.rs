//! The internal lock: short critical sections of the library in shared memory.
//!
//! One 64-bit word that the kernel releases when its owner dies. Not a robust pthread mutex: of
//! those, a process killed at some instructions leaves a third one asleep for ever on a free mutex.
//!
//! ```text
//! bit 63        47           32 31 30 29            0
//!    | unused    | waiter count | W | D | thread id  |
//! ```
//! - `thread id`: the owner, 0 when free. Written by whoever takes and releases; the kernel writes
//!   0 when the owner dies.
//! - `D`: the last owner died holding it. Written by the kernel, or by whoever finds that the owner does not exist; cleared
//!   by the next owner.
//! - `W`: a release must wake somebody. A *function of the count*: whoever takes a free word while
//!   somebody may sleep carries it, so no wake is lost however the two race.
//! - `waiter count`: threads that may be asleep. A sleeper that is killed leaves its count behind;
//!   all that this costs is a needless wake per release, and when the count is full it stays full.
//!
//! Rules: one internal lock at a time per thread, no foreign code, no system call but futex inside,
//! never from a signal handler.

use super::memory::{Memory, Wake, Word64};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const OWNER: u64 = 0x3fff_ffff;
const DIED: u64 = 1 << 30;
const WAITERS: u64 = 1 << 31;
const COUNT_ONE: u64 = 1 << 32;
const COUNT_FULL: u64 = 0xffff << 32;

/// A lock word in shared memory; all zero is a free lock.
#[repr(transparent)]
pub struct InternalLock<M: Memory> {
    word: M::W64,
}

/// Proof that the lock is held. `owner_died`: whoever held it last died inside; repair first.
#[must_use]
pub struct InternalGuard<'a, M: Memory> {
    lock: &'a InternalLock<M>,
    /// The previous owner died in its critical section.
    pub owner_died: bool,
}

impl<M: Memory> InternalLock<M> {
    /// A free lock.
    pub const fn from_word(word: M::W64) -> Self {
        InternalLock { word }
    }

    /// Takes the lock. Waits for a live owner as long as it takes; sections are a few hundred
    /// nanoseconds long.
    pub fn lock(&self) -> InternalGuard<'_, M> {
        let me = M::thread_id() as u64;
        // Before the first store: a death between the CAS below and a later announcement would
        // leave the word locked by nobody.
        M::pending_set(&self.word);
        let mut counted = false;
        let mut spins = 0;
        let mut seen = self.word.load(Relaxed);
        loop {
            if seen & OWNER == 0 {
                let count = leave(seen & COUNT_FULL, counted);
                let next = me | count | if count > 0 { WAITERS } else { 0 };
                match self.word.compare_exchange(seen, next, Acquire, Relaxed) {
                    Ok(_) => return InternalGuard { lock: self, owner_died: seen & DIED != 0 },
                    Err(now) => seen = now,
                }
                continue;
            }
            if seen & OWNER == me {
                seen = self.disown(seen);
                continue;
            }
            if M::pause(&mut spins, SPINS) {
                seen = self.word.load(Relaxed);
                continue;
            }
            // Bit and count in one CAS: a release that sees one sees the other.
            let sleeping = enter(seen, counted) | WAITERS;
            if sleeping != seen
                && let Err(now) = self.word.compare_exchange(seen, sleeping, Relaxed, Relaxed)
            {
                seen = now;
                continue;
            }
            counted = true;
            let wake = M::wait64(&self.word, sleeping as u32, None, M::patience());
            seen = self.word.load(Relaxed);
            if wake == Wake::TimedOut && seen & OWNER == sleeping & OWNER && M::is_gone((seen & OWNER) as u32) {
                seen = self.disown(seen);
            }
        }
    }

    /// The owner does not exist, and the kernel has not said so: its list of robust words was lost with its memory (the
    /// OOM reaper may take that first), or somebody wrote here who should not: a number that no thread of the family
    /// has, or that of the caller, who holds no such lock. What the kernel would have done.
    #[cold]
    fn disown(&self, seen: u64) -> u64 {
        let free = (seen & !OWNER) | DIED;
        self.word.compare_exchange(seen, free, Acquire, Relaxed).map_or_else(|now| now, |_| free)
    }

    /// The raw word, for diagnosis.
    pub fn bits(&self) -> u64 {
        self.word.load(Relaxed)
    }
}

/// About the time that a short section takes.
const SPINS: u32 = 40;

fn enter(word: u64, counted: bool) -> u64 {
    if counted || word & COUNT_FULL == COUNT_FULL { word } else { word + COUNT_ONE }
}

fn leave(count: u64, counted: bool) -> u64 {
    // A full count is sticky: how many it stands for is no longer known.
    if counted && count > 0 && count != COUNT_FULL { count - COUNT_ONE } else { count }
}

impl<M: Memory> Drop for InternalGuard<'_, M> {
    fn drop(&mut self) {
        let word = &self.lock.word;
        let mut seen = word.load(Relaxed);
        loop {
            let count = seen & COUNT_FULL;
            let free = count | if count > 0 { WAITERS } else { 0 };
            match word.compare_exchange(seen, free, Release, Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & COUNT_FULL > 0 {
            M::wake64(word, 1);
        }
        // Last: until here a death makes the kernel pass the wake on.
        M::pending_clear();
    }
}
