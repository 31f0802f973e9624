//! The lock word of users' locks: an owner, and everybody who waits for it.
//!
//! ```text
//! bit 63         47           32 31 30 29          12 11        0
//!    | generation | waiter count | W | D | epoch      | owner     |
//! ```
//! - `owner`: member slot of the process that holds the lock, 0 when free. Written by whoever
//!   acquires and releases (in any process: a lock may be released by anyone), and by the repairer.
//! - `epoch`: raised by every repair and when the object ends. It is in the half that sleepers
//!   compare, so nobody can fall asleep, or stay counted, across a repair.
//! - `D`: an owner died holding it. Set by the repairer, cleared by whoever recovers.
//! - `W`: a release must wake somebody. Set by every sleeper on its way to sleep, and by every counted one
//!   that takes the lock or leaves, while others are counted; cleared by the release that wakes. So while
//!   somebody is counted and W is not set, a counted one is awake (or dead, and its repair is due), and
//!   nobody else need wake another: a woken one takes 50 µs, in which others release a thousand times.
//!   Whoever was counted but not asleep yet at that release finds W missing and does not fall asleep.
//! - `waiter count`: sleepers counted since the last repair. Killed sleepers are counted until the
//!   repair of their death resets the count and wakes everybody, who count themselves again.
//! - `generation`: of the object that the lock belongs to. A thread still inside a call on a lock
//!   that was freed meanwhile finds another generation and touches nothing.
//!
//! Nobody but the repairer of a death ([`LockWord::repair`]) needs to know who waits where: *any*
//! death wakes everybody, which covers every wake that died with its messenger.

use super::memory::{Deadline, Memory, Wake, Word64};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const OWNER: u64 = 0xfff;
const EPOCH_ONE: u64 = 1 << 12;
const EPOCH: u64 = 0x3_ffff << 12;
const DIED: u64 = 1 << 30;
const WAITERS: u64 = 1 << 31;
const COUNT_ONE: u64 = 1 << 32;
const COUNT: u64 = 0xffff << 32;
const GENERATION: u64 = 0xffff << 48;

/// About 2 µs: longer than a short critical section, far shorter than a sleep and a wake.
const SPINS: u32 = 100;
/// Of them, most between two looks: 0.2 µs.
const MOST_PAUSES: u32 = 8;

/// How an acquire ended. Only [`Acquired::Held`] holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// The caller's process is the owner now.
    Held,
    /// An owner died holding it, and nobody has recovered it since.
    OwnerDied,
    /// Not within its time.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
    /// The object that the lock belonged to is gone.
    Gone,
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// The lock is free.
    Free,
    /// Nobody held it.
    NotHeld,
    /// The object that the lock belonged to is gone.
    Gone,
}

/// A lock word in shared memory; all zero is a free lock of generation 0.
#[repr(transparent)]
pub struct LockWord<M: Memory> {
    word: M::W64,
}

fn with_waiters(word: u64) -> u64 {
    if word & COUNT > 0 { word | WAITERS } else { word & !WAITERS }
}

impl<M: Memory> LockWord<M> {
    /// Wraps a word.
    pub const fn from_word(word: M::W64) -> Self {
        LockWord { word }
    }

    /// The raw word, for diagnosis and tests.
    pub fn bits(&self) -> u64 {
        self.word.load(Acquire)
    }

    /// Slot of the owner, 0 when free; `None` if the object is of another generation.
    #[inline]
    pub fn owner(&self, generation: u16) -> Option<u32> {
        let word = self.word.load(Acquire);
        (word >> 48 == generation as u64).then_some((word & OWNER) as u32)
    }

    /// One attempt without a look at anything else: true if the lock is held now.
    #[inline(always)]
    pub fn try_acquire(&self, generation: u16, slot: u32) -> bool {
        let seen = self.word.load(Relaxed);
        let free = seen & (OWNER | DIED) == 0 && seen >> 48 == generation as u64;
        free && self.word.compare_exchange(seen, seen | slot as u64, Acquire, Relaxed).is_ok()
    }

    /// The same for whoever can guess what the word is when it is free: then it need not be read before it is
    /// written, which would fetch its cache line twice from a processor that has just released it.
    #[inline(always)]
    pub fn try_acquire_from(&self, free: u64, generation: u16, slot: u32) -> bool {
        let free_of_object = free & (OWNER | DIED | WAITERS) == 0 && free >> 48 == generation as u64;
        free_of_object && self.word.compare_exchange(free, free | slot as u64, Acquire, Relaxed).is_ok()
    }

    /// Takes a dead owner's lock, and his mark away: of all who found it, one only can.
    pub fn recover_at_once(&self, generation: u16, slot: u32) -> bool {
        let mut seen = self.word.load(Relaxed);
        while seen & (OWNER | DIED) == DIED && seen >> 48 == generation as u64 {
            match self.word.compare_exchange(seen, (seen & !DIED) | slot as u64, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// The reverse: true if the lock was held by `slot`, without waiters, and is free now.
    #[inline(always)]
    pub fn try_release_to(&self, free: u64, generation: u16, slot: u32) -> bool {
        let free_of_object = free & (OWNER | DIED | WAITERS) == 0 && free >> 48 == generation as u64;
        free_of_object && self.word.compare_exchange(free | slot as u64, free, Release, Relaxed).is_ok()
    }

    /// What the word is when it is free and nobody waits.
    pub fn when_free(&self) -> u64 {
        self.word.load(Relaxed) & (GENERATION | EPOCH)
    }

    /// Acquires for the process in `slot`. `recover`: also from a dead owner, whose mark goes.
    /// `alarm` is asked before each sleep for a word whose change must end the sleep too.
    pub fn acquire<'a>(
        &self,
        generation: u16,
        slot: u32,
        recover: bool,
        deadline: Deadline,
        mut alarm: impl FnMut() -> Option<(&'a M::W32, u32)>,
    ) -> Acquired {
        let mut counted_in = None;
        let mut spins = 0;
        let mut ending = None;
        let mut seen = self.word.load(Relaxed);
        loop {
            if seen >> 48 != generation as u64 {
                return Acquired::Gone;
            }
            let mine = counted_in == Some(seen & EPOCH);
            if seen & OWNER == 0 {
                match self.take(seen, slot, recover, mine) {
                    Ok(acquired) => return acquired,
                    Err(now) => seen = now,
                }
                continue;
            }
            if let Some(ending) = ending {
                match self.word.compare_exchange(seen, uncount(seen, mine), Relaxed, Relaxed) {
                    Ok(_) => return ending,
                    Err(now) => seen = now,
                }
                continue;
            }
            let waited = deadline != Some(0) && back_off::<M>(&mut spins);
            if waited || self.is_disowned((seen & OWNER) as u32) {
                seen = self.word.load(Relaxed);
                continue;
            }
            if deadline == Some(0) {
                return Acquired::TimedOut;
            }
            let sleeping = match self.announce(seen, mine) {
                Ok(sleeping) => sleeping,
                Err(now) => {
                    seen = now;
                    continue;
                }
            };
            counted_in = Some(seen & EPOCH);
            // Whatever ended the sleep, look once more before leaving: a wake that this thread
            // consumed would otherwise be lost to the others.
            match M::wait64(&self.word, sleeping as u32, alarm(), deadline) {
                Wake::Look => {}
                Wake::TimedOut => ending = Some(Acquired::TimedOut),
                Wake::Interrupted => ending = Some(Acquired::Interrupted),
            }
            seen = self.word.load(Relaxed);
        }
    }

    /// Takes what nobody holds, or finds that its owner died; else what the word is by now. `counted`: so is the caller.
    fn take(&self, seen: u64, slot: u32, recover: bool, counted: bool) -> Result<Acquired, u64> {
        let died = seen & DIED != 0 && !recover;
        let taken = if died { seen } else { (seen & !DIED) | slot as u64 };
        self.word.compare_exchange(seen, uncount(taken, counted), Acquire, Relaxed)?;
        Ok(if died { Acquired::OwnerDied } else { Acquired::Held })
    }

    /// Counts the caller, unless it is counted, and asks for a wake; the word as it is then, or as somebody else made
    /// it. Count and bit in one step: a release that sees one sees the other.
    fn announce(&self, seen: u64, counted: bool) -> Result<u64, u64> {
        let count = if counted || seen & COUNT == COUNT { seen } else { seen + COUNT_ONE };
        let sleeping = count | WAITERS;
        if sleeping == seen {
            return Ok(seen);
        }
        self.word.compare_exchange(seen, sleeping, Relaxed, Relaxed).map(|_| sleeping)
    }

    /// Frees the lock, whoever held it, and wakes a waiter if there is one.
    #[inline(always)]
    pub fn release(&self, generation: u16) -> Released {
        let mut seen = self.word.load(Relaxed);
        loop {
            if seen >> 48 != generation as u64 {
                return Released::Gone;
            }
            if seen & OWNER == 0 {
                return Released::NotHeld;
            }
            match self.word.compare_exchange(seen, seen & !(OWNER | WAITERS), Release, Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & WAITERS != 0 {
            M::wake64(&self.word, 1);
        }
        Released::Free
    }

    /// The repair of the death of the process in `slot`: its lock is marked, and every waiter is
    /// woken to look again. `force`: an earlier repairer may have died between its store and its
    /// wake, so wake whatever the word says. May be repeated.
    /// Whether he held it.
    pub fn repair(&self, slot: u32, force: bool) -> bool {
        let mut seen = self.word.load(Relaxed);
        let dead = loop {
            let dead = seen & OWNER == slot as u64;
            if !dead && seen & COUNT == 0 && !force {
                return false;
            }
            let marked = if dead { (seen & !OWNER) | DIED } else { seen };
            match self.word.compare_exchange(seen, next_epoch(marked), Release, Relaxed) {
                Ok(_) => break dead,
                Err(now) => seen = now,
            }
        };
        M::wake64(&self.word, u32::MAX);
        dead
    }

    /// Whether the owner is nobody, whose death nobody will repair: somebody wrote here who should not. Then it is done
    /// here. A process that died meanwhile is no such owner, for its repair changes the word before its slot is free.
    #[cold]
    fn is_disowned(&self, owner: u32) -> bool {
        let disowned = M::is_nobody(owner) && self.repair(owner, false);
        if disowned {
            M::note_damage();
        }
        disowned
    }

    /// The object ends: from here on the word belongs to `generation`, free, and every sleeper finds
    /// its own object gone. Written only by whoever frees the cell. May be repeated, with `force` by whoever
    /// does it for another who may have died between the store and the wake. Without, nobody is woken where
    /// nobody is counted: whoever sleeps in this epoch is, and whoever comes later finds another generation.
    pub fn retire(&self, generation: u16, force: bool) {
        let mut seen = self.word.load(Relaxed);
        loop {
            let fresh = next_epoch(seen & EPOCH) | ((generation as u64) << 48 & GENERATION);
            match self.word.compare_exchange(seen, fresh, Release, Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if force || seen & COUNT > 0 {
            M::wake64(&self.word, u32::MAX);
        }
    }
}

/// Waits before another look at a lock that somebody holds, longer each time: every look takes the word's cache line from
/// the holder, who in the time that it takes to get it back could release and acquire several times.
fn back_off<M: Memory>(spins: &mut u32) -> bool {
    let pauses = (*spins / 2).clamp(1, MOST_PAUSES);
    (0..pauses).all(|_| M::pause(spins, SPINS))
}

/// One waiter less, if it is counted. A full count is sticky until the next repair: how many it
/// stands for is no longer known.
fn uncount(word: u64, mine: bool) -> u64 {
    let exact = mine && word & COUNT > 0 && word & COUNT != COUNT;
    with_waiters(if exact { word - COUNT_ONE } else { word })
}

/// The same word with nobody counted, in the next epoch.
fn next_epoch(word: u64) -> u64 {
    let epoch = (word + EPOCH_ONE) & EPOCH;
    (word & !(EPOCH | COUNT | WAITERS)) | epoch
}
