//! The one who may put to a queue, or get from it, where only one may: a thread of a member.
//!
//! Who has a role holds the lock of that side of the queue and does not let go of it between his calls: so the death of his
//! process gives the role back, as it releases every lock, and nobody takes the queue apart meanwhile. A word beside the lock
//! says which thread it is, and whether it is inside a call:
//!
//! ```text
//! bit 63  62       61  58 57          38 37       26 25       0
//!    | 1 | INSIDE |  0   | generation   | slot      | thread   |
//! ```
//! 0 is nobody. While the lock is held by `slot`, the word is written by that thread only, but for two: a thread of the same process that has
//! proof that it has ended takes the role over, by compare-and-swap; the repair of the process's death makes it 0,
//! before it repairs the lock. `generation` is the queue's: bit 63 and it tell a role from what else the word may be in other objects.
//!
//! To go inside costs no instruction but stores and loads: whoever must not miss that somebody is inside, or that
//! something was committed, makes the fence for both ([`Memory::fence_heavy`]), and does so seldom: before a sleep, and at the end of a queue.

use super::memory::{Memory, Word64};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

const HELD: u64 = 1 << 63;
/// Its thread is in a call.
const INSIDE: u64 = 1 << 62;
const THREAD: u64 = (1 << 26) - 1;

/// Who has a role, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who(u64);

impl Who {
    /// A thread of the member in `slot`, at a queue of this generation.
    #[inline(always)]
    pub fn new(generation: u32, slot: u32, thread: u32) -> Who {
        Who(HELD | (generation as u64 & 0xf_ffff) << 38 | (slot as u64 & 0xfff) << 26 | thread as u64 & THREAD)
    }

    /// The same with another thread.
    fn with_thread(self, thread: u32) -> Who {
        Who(self.0 & !THREAD | thread as u64 & THREAD)
    }

    /// Its thread.
    pub fn thread(self) -> u32 {
        (self.0 & THREAD) as u32
    }
}

/// The word of a role.
#[repr(transparent)]
pub struct Sole<M: Memory> {
    word: M::W64,
}

impl<M: Memory> Sole<M> {
    /// Wraps a word.
    pub const fn from_word(word: M::W64) -> Self {
        Sole { word }
    }

    /// A word of memory as a role.
    #[inline(always)]
    pub fn of(word: &M::W64) -> &Self {
        // SAFETY: `Sole` is a transparent wrapper of this type, and any bits are valid for both.
        unsafe { &*(word as *const M::W64).cast::<Self>() }
    }

    /// Whether the caller, who is `me`, has it. Nobody else makes it so, or ends it.
    #[inline(always)]
    pub fn is_of(&self, me: Who) -> bool {
        self.word.load(Relaxed) & !INSIDE == me.0
    }

    /// Who has it, if anybody.
    pub fn who(&self) -> Option<Who> {
        let word = self.word.load(Acquire);
        (word & HELD != 0).then_some(Who(word & !INSIDE))
    }

    /// Whether somebody is in a call. To be asked behind a heavy fence.
    pub fn is_inside(&self) -> bool {
        let word = self.word.load(Acquire);
        word & (HELD | INSIDE) == HELD | INSIDE
    }

    /// `me` has it from now on. By who has just got the lock.
    pub fn take(&self, me: Who) {
        self.word.store(me.0, Release);
    }

    /// `me` has it from now on, in place of `ended`, a thread of the same process of which the caller has proof that it has
    /// ended. False: another thread was quicker.
    pub fn take_over(&self, me: Who, ended: Who) -> bool {
        let seen = self.word.load(Acquire);
        let same = seen & !INSIDE == ended.0 && ended.with_thread(0) == me.with_thread(0);
        same && self.word.compare_exchange(seen, me.0, AcqRel, Relaxed).is_ok()
    }

    /// Who has it goes into a call. What others told him behind a heavy fence he sees then.
    #[inline(always)]
    pub fn enter(&self, me: Who) {
        self.word.store(me.0 | INSIDE, Relaxed);
        M::fence_light();
    }

    /// The end of the call.
    #[inline(always)]
    pub fn leave(&self, me: Who) {
        self.word.store(me.0, Release);
    }

    /// Nobody has it. By who has it, before he releases the lock; and by the repair of his death.
    pub fn give_back(&self) {
        self.word.store(0, Release);
    }
}
