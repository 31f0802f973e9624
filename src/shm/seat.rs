//! The seat of a lane whose workers the host itself forks: who is asked for, who is on the way, who sits there.
//!
//! ```text
//! Empty ──template──▶ Wanted ──host──▶ Prepared ──host──▶ Taken ──template, once the worker is buried──▶ Empty
//!   ▲──template: given up──┘              └──host: nothing was forked──▶ Empty
//! ```
//! A worker is Wanted only when what the last one left is settled: a newcomer's task must not be buried with it. A template
//! that takes over finds workers of the last one, which it ends: their seats are Left, and only those; one that is
//! Prepared meanwhile may have a worker already, and is the new template's.

use super::memory::{Memory, Word32};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// What a seat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Seat {
    /// Nobody is asked for. Template; host if what it prepared did not come to be.
    Empty = 0,
    /// A worker is wanted. Template.
    Wanted = 1,
    /// The host is about to fork it. Host.
    Prepared = 2,
    /// It is there: the lane says who. Host.
    Taken = 3,
    /// It was a dead template's, and is to be ended. The next template, which makes it Empty.
    Left = 4,
}

/// The word; zero is empty.
#[repr(transparent)]
pub struct SeatWord<M: Memory> {
    word: M::W32,
}

impl<M: Memory> SeatWord<M> {
    /// Wraps a word.
    pub const fn from_word(word: M::W32) -> Self {
        SeatWord { word }
    }

    /// Whether it is that now. Whoever sees a state sees what was written before it was entered.
    pub fn is(&self, seat: Seat) -> bool {
        self.word.load(Acquire) == seat as u32
    }

    fn change(&self, from: Seat, to: Seat) -> bool {
        self.word.compare_exchange(from as u32, to as u32, AcqRel, Relaxed).is_ok()
    }

    /// Template: a worker is wanted.
    pub fn ask(&self) -> bool {
        self.change(Seat::Empty, Seat::Wanted)
    }

    /// Template: none is wanted any more.
    pub fn withdraw(&self) -> bool {
        self.change(Seat::Wanted, Seat::Empty)
    }

    /// Host: it will fork one. Of several who try, one may.
    pub fn prepare(&self) -> bool {
        self.change(Seat::Wanted, Seat::Prepared)
    }

    /// Host: there is none after all.
    pub fn abandon(&self) -> bool {
        self.change(Seat::Prepared, Seat::Empty)
    }

    /// Host: it is there, and the lane says who.
    pub fn take(&self) -> bool {
        self.change(Seat::Prepared, Seat::Taken)
    }

    /// A new template, before it ends the workers of the last one.
    pub fn leave(&self) -> bool {
        self.change(Seat::Taken, Seat::Left)
    }

    /// Template: what its worker left is settled. It was Taken or Left, which nobody else changes.
    pub fn vacate(&self) {
        self.word.store(Seat::Empty as u32, Release);
    }
}
