//! The life of a cell: one word, and so one step for each change.
//!
//! ```text
//! bit 63       48     47     46       36 35          16 15      8 7     0
//!    | version  |      | kept | creator  | generation  | 0  SENT | kind |
//! ```
//! - `kind`: FREE, what the object is, or that with the ENDING bit while somebody takes it apart. FREE →
//!   kind by whoever claims; kind → ENDING → FREE by whoever collects.
//! - `generation`: raised at every end; part of every reference, so that none outlives its object.
//! - `creator`: slot of the process whose handle keeps the object; 0 once it has let go. While ENDING:
//!   who takes it apart. Written by that process, and by the repairer of its death.
//! - bit 8: of a message that belongs to its queue ([`super::parcel`], where its other changes are).
//! - `kept`: some other cell may refer to this one (a lock of a value, a kept view). Only set, by
//!   whoever makes such a cell.
//! - `version`: raised with `kept`, so that a collector that has looked for references meanwhile fails.
//!
//! Why it is still needed is derived from other words ([`super::cell`]). Whoever takes such a reason away looks whether another
//! is left ([`Life::let_go_of`]): of two who take away the last two at once, one at least sees both gone.

use super::kind::{ENDING, KIND, Kind};
use super::memory::{Memory, Word64};
use super::parcel::SENT;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

pub(super) const GENERATION_SHIFT: u32 = 16;
pub(super) const GENERATION: u64 = 0xf_ffff << GENERATION_SHIFT;
pub(super) const CREATOR_SHIFT: u32 = 36;
pub(super) const CREATOR: u64 = 0xfff << CREATOR_SHIFT;
const KEPT: u64 = 1 << 48;
const VERSION_ONE: u64 = 1 << 49;

/// The word. All zero: free, and never used.
#[repr(transparent)]
pub struct Life<M: Memory> {
    word: M::W64,
}

/// What the word said when somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen(pub u64);

impl Seen {
    /// What it is.
    #[inline(always)]
    pub fn kind(self) -> Kind {
        Kind::of(self.0)
    }

    /// The byte that says so.
    #[inline(always)]
    pub fn kind_bits(self) -> u8 {
        (self.0 & KIND) as u8
    }

    /// The generation.
    #[inline(always)]
    pub fn generation(self) -> u32 {
        ((self.0 & GENERATION) >> GENERATION_SHIFT) as u32
    }

    /// Slot of the creator, or of who takes it apart; 0 for none.
    #[inline(always)]
    pub fn creator(self) -> u32 {
        ((self.0 & CREATOR) >> CREATOR_SHIFT) as u32
    }

    /// Whether some cell may refer to it.
    pub fn is_kept(self) -> bool {
        self.0 & KEPT != 0
    }

    /// What it is, or was before somebody began to take it apart.
    pub fn former_kind(self) -> Kind {
        Kind::of(self.0 & !ENDING)
    }

    /// Whether somebody takes it apart.
    #[inline(always)]
    pub fn is_ending(self) -> bool {
        self.0 & ENDING != 0
    }

    /// Of a message: whether it belongs to its queue.
    pub fn is_sent(self) -> bool {
        self.0 & SENT != 0
    }

    /// Whether it is an object, and nobody takes it apart.
    #[inline(always)]
    pub fn is_object(self) -> bool {
        !matches!(Kind::of(self.0), Kind::Free | Kind::Ending)
    }
}

impl<M: Memory> Life<M> {
    /// Wraps a word.
    pub const fn from_word(word: M::W64) -> Self {
        Life { word }
    }

    /// The word, for [`super::parcel`].
    pub fn word(&self) -> &M::W64 {
        &self.word
    }

    /// What it says now.
    #[inline(always)]
    pub fn look(&self) -> Seen {
        Seen(self.word.load(Acquire))
    }

    /// The same for whoever reads nothing else for that.
    #[inline(always)]
    pub fn glance(&self) -> Seen {
        Seen(self.word.load(Relaxed))
    }

    /// From free to `kind`, of the process in `slot`; false if it is not free.
    pub fn claim(&self, kind: Kind, slot: u32) -> bool {
        let free = self.glance();
        let claimed = (free.0 & GENERATION) | (slot as u64) << CREATOR_SHIFT | kind as u64;
        free.kind_bits() == 0 && self.word.compare_exchange(free.0, claimed, AcqRel, Relaxed).is_ok()
    }

    /// Some cell refers to it from now on, behind the store of the reference; false if it is not this object any more.
    pub fn keep(&self, kind: u8, generation: u32) -> bool {
        let same = |seen: Seen| seen.kind_bits() == kind && seen.generation() == generation;
        self.change(|seen| same(seen).then(|| (seen.0 | KEPT).wrapping_add(VERSION_ONE))).is_some()
    }

    /// The process in `slot` keeps it no longer; what it was before, if that process did.
    pub fn let_go(&self, generation: u32, slot: u32) -> Option<Seen> {
        self.change(|seen| {
            let mine = seen.is_object() && seen.creator() == slot && seen.generation() == generation;
            mine.then_some(seen.0 & !CREATOR)
        })
    }

    /// An object whose creator has let go: whether it is needed still is to be looked for now. To be asked by whoever took a
    /// reason away, right behind that change.
    pub fn let_go_of(&self) -> Option<Seen> {
        M::fence_after_change();
        Some(self.look()).filter(|seen| seen.is_object() && seen.creator() == 0)
    }

    /// The process in `slot` takes it apart from now on, if it is as it was seen, before nobody was found who needs it.
    /// False: somebody began to refer to it, or takes it apart already.
    pub fn begin_end(&self, seen: Seen, slot: u32) -> bool {
        let ending = (seen.0 & (GENERATION | KIND)) | (slot as u64) << CREATOR_SHIFT | ENDING;
        self.word.compare_exchange(seen.0, ending, AcqRel, Relaxed).is_ok()
    }

    /// Free again, and of the generation `next`. By who takes it apart, last of all.
    pub fn free(&self, next: u32) {
        self.word.store((next as u64) << GENERATION_SHIFT, Release);
    }

    fn change(&self, change: impl Fn(Seen) -> Option<u64>) -> Option<Seen> {
        let mut seen = self.look();
        loop {
            match self.word.compare_exchange(seen.0, change(seen)?, AcqRel, Acquire) {
                Ok(_) => return Some(seen),
                Err(now) => seen = Seen(now),
            }
        }
    }
}
