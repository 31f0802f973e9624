//! The border between a shared-memory protocol and what it runs on.
//!
//! Every protocol word of the library is generic over [`Memory`]. The first back ends are [`Real`]
//! (atomics, futexes and the robust list of the kernel: what ships) and the deterministic scheduler
//! of `tests/sim`, which explores interleavings and kills at every access. The source that is
//! checked is therefore the source that ships. A third, in `tests/loom`, explores the orderings.

pub use crate::sys::futex::{Deadline, Wake};
use std::sync::atomic::Ordering;

/// One 32-bit word that several processes write.
pub trait Word32 {
    /// Reads the word.
    fn load(&self, order: Ordering) -> u32;
    /// Writes the word.
    fn store(&self, value: u32, order: Ordering);
    /// Writes the word and returns what was there.
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// Writes `new` if the word is `current`; `Err` carries what is there instead.
    fn compare_exchange(&self, current: u32, new: u32, success: Ordering, failure: Ordering) -> Result<u32, u32>;
    /// Adds and returns what was there.
    fn fetch_add(&self, value: u32, order: Ordering) -> u32;
}

/// One 64-bit word that several processes write. Its low half can be slept on.
pub trait Word64 {
    /// Reads the word.
    fn load(&self, order: Ordering) -> u64;
    /// Writes the word.
    fn store(&self, value: u64, order: Ordering);
    /// Writes the word and returns what was there.
    fn swap(&self, value: u64, order: Ordering) -> u64;
    /// Writes `new` if the word is `current`; `Err` carries what is there instead.
    fn compare_exchange(&self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64>;
    /// Adds and returns what was there.
    fn fetch_add(&self, value: u64, order: Ordering) -> u64;
}

/// What a protocol runs on.
///
/// `'static` types with only associated functions: a protocol needs no value of it, so the words
/// have in both worlds the size and layout that they have in shared memory.
pub trait Memory: Sized + 'static {
    /// A 32-bit word.
    type W32: Word32;
    /// A 64-bit word.
    type W64: Word64;

    /// The kernel's id of the calling thread, never 0.
    fn thread_id() -> u32;
    /// A full fence: what was stored before it is seen by whoever sees a later load of ours.
    fn fence();
    /// The same right behind a successful change (compare-and-swap, swap, add) of a word, which is one already on x86-64.
    #[inline(always)]
    fn fence_after_change() {
        Self::fence();
    }
    /// The frequent side of a fence that the other side makes for both: see [`crate::sys::barrier`].
    #[inline(always)]
    fn fence_light() {
        Self::fence();
    }
    /// The seldom side: it is a fence for whoever made a light one, too. False where the kernel refuses it.
    fn fence_heavy() -> bool {
        Self::fence();
        true
    }
    /// Waits a moment before the caller looks again, and counts that in `turns`. False after `most` of them, or fewer
    /// where every look is explored: then it is better to sleep.
    fn pause(turns: &mut u32, most: u32) -> bool;

    /// Names the lock word that the calling thread is about to take or holds. If the thread dies
    /// while a word is named, the kernel looks at its low half: if it holds the thread's id, it
    /// becomes `OWNER_DIED` (bit 30) with bit 31 kept, and one sleeper is woken if bit 31 was set;
    /// if it holds nobody's id, one sleeper is woken.
    fn pending_set(word: &Self::W64);
    /// The calling thread is through with the word that it named.
    fn pending_clear();

    /// How long a sleeper waits for the owner of an internal lock before it asks whether that exists at all.
    fn patience() -> Deadline {
        None
    }
    /// Whether no thread of the family has this id: proof that the owner of a word is gone, where the kernel did not say so.
    fn is_gone(_thread: u32) -> bool {
        false
    }

    /// Whether no process stands for the owner of a lock word, though it stands there.
    fn is_nobody(_slot: u32) -> bool {
        false
    }
    /// Such a word was met, and has been repaired.
    fn note_damage() {}

    /// Sleeps while the low half of `word` is `expected` and, if given, `alarm` has its value too.
    fn wait64(word: &Self::W64, expected: u32, alarm: Option<(&Self::W32, u32)>, deadline: Deadline) -> Wake;
    /// Sleeps while `word` is `expected` and, if given, `alarm` has its value too.
    fn wait32(word: &Self::W32, expected: u32, alarm: Option<(&Self::W32, u32)>, deadline: Deadline) -> Wake;
    /// Wakes up to `count` sleepers of the low half; how many it woke.
    fn wake64(word: &Self::W64, count: u32) -> u32;
    /// Wakes up to `count` sleepers; how many it woke.
    fn wake32(word: &Self::W32, count: u32) -> u32;
}
