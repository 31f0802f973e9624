//! The words of semaphores, events and barriers. Where their waiters are is [`super::wait_word`]'s affair.
//!
//! | cell's word | semaphore | event | barrier | condition |
//! |---|---|---|---|---|
//! | `inline[0]` | units left | flag and count of sets | generation, outcomes, broken | wakes owed by the lock's holder |
//! | `inline[1]` | waiters | waiters | waiters | waiters |
//! | `block` | tokens, if units are owned | | ledger of arrivals | |
//! | `len` | most units | | parties | |

use super::arena::Arena;
use super::cell::{Cell, Kind};
use super::memory::{Memory, Word64};
use super::real::Real;
use crate::sys::seeded::bug;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// Flag of a semaphore: units belong to processes, and come back when those die.
pub const OWNED: u32 = 1;
/// Flag of a semaphore: it never has more units than it began with.
pub const BOUNDED: u32 = 2;

/// Most words of a table: each is looked at.
pub const MOST_WORDS: u64 = 4096;

/// Words of the cell's block, as many as `len` says; none if there is no block.
pub fn table(arena: Arena, cell: &Cell) -> impl Iterator<Item = &'static AtomicU64> + use<> {
    let block = cell.block.load(Acquire);
    let count = if block == 0 { 0 } else { cell.len.load(Acquire).min(MOST_WORDS) };
    (0..count).map_while(move |index| arena.word(block.checked_add(index * 8)?))
}

/// Changes a word as `change` says, unless it says `None`; whether it did.
#[inline(always)]
fn update(word: &impl Word64, change: impl Fn(u64) -> Option<u64>) -> bool {
    let mut seen = word.load(Acquire);
    while let Some(new) = change(seen) {
        match word.compare_exchange(seen, new, AcqRel, Acquire) {
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
    false
}

/// The repair of a cell after the death of the process in `dead`: units that it owned come back, a barrier
/// at which it had arrived breaks. May be repeated.
pub(super) fn repair(arena: Arena, cell: &Cell, kind: Kind, dead: u32) {
    match kind {
        Kind::Semaphore if bug("repair: the dead keep their units") => {}
        Kind::Barrier if bug("repair: a barrier does not break") => {}
        Kind::Semaphore if is_owned(cell) => return_tokens(table(arena, cell), dead),
        Kind::Barrier => Barrier::of(cell).bury(table(arena, cell), dead),
        _ => {}
    }
}

fn is_owned(cell: &Cell) -> bool {
    cell.flags.load(Relaxed) & OWNED != 0
}

/// Takes a unit of a semaphore for the process in `slot`, if there is one.
pub fn take_unit(arena: Arena, cell: &Cell, slot: u32) -> bool {
    if is_owned(cell) { take_token(table(arena, cell), slot) } else { take(&cell.inline[0]) }
}

/// Why a unit could not be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The semaphore has as many as it may have.
    Full,
    /// The units are owned, and the caller owns none.
    NotOwned,
}

/// Gives a unit back, or adds one to a plain semaphore.
pub fn give_unit(arena: Arena, cell: &Cell, slot: u32) -> Result<(), Refusal> {
    if is_owned(cell) {
        return if give_token(table(arena, cell), slot) { Ok(()) } else { Err(Refusal::NotOwned) };
    }
    if give(&cell.inline[0], cell.len.load(Relaxed)) { Ok(()) } else { Err(Refusal::Full) }
}

/// Units left at this moment.
pub fn units(arena: Arena, cell: &Cell) -> u64 {
    if is_owned(cell) {
        return table(arena, cell).filter(|token| token.load(Acquire) == 0).count() as u64;
    }
    cell.inline[0].load(Acquire)
}

/// One unit less, if there is one.
#[inline(always)]
pub fn take(units: &impl Word64) -> bool {
    update(units, |units| units.checked_sub(1))
}

/// One unit more, if it may be.
#[inline(always)]
pub fn give(units: &impl Word64, most: u64) -> bool {
    update(units, |units| (units < most).then_some(units + 1))
}

/// Makes one of the free units that of the process in `slot`.
pub fn take_token<'a>(mut tokens: impl Iterator<Item = &'a (impl Word64 + 'a)>, slot: u32) -> bool {
    tokens.any(|token| token.load(Relaxed) == 0 && token.compare_exchange(0, slot as u64, AcqRel, Relaxed).is_ok())
}

/// Frees one unit of the process in `slot`.
pub fn give_token<'a>(mut tokens: impl Iterator<Item = &'a (impl Word64 + 'a)>, slot: u32) -> bool {
    let slot = slot as u64;
    tokens.any(|token| token.load(Relaxed) == slot && token.compare_exchange(slot, 0, AcqRel, Relaxed).is_ok())
}

/// Frees all units of a dead process.
pub fn return_tokens<'a>(tokens: impl Iterator<Item = &'a (impl Word64 + 'a)>, dead: u32) {
    for token in tokens {
        let _ = token.compare_exchange(dead as u64, 0, AcqRel, Relaxed);
    }
}

/// An event's word.
///
/// ```text
/// bit 63               1   0
///    | sets             | S |
/// ```
/// `S`: it is set. `sets`: how often it was set, so that who waited hears of a set that was cleared at once.
pub struct Event<'a, M: Memory> {
    word: &'a M::W64,
}

impl<'a> Event<'a, Real> {
    /// The event of a cell.
    pub fn of(cell: &'a Cell) -> Event<'a, Real> {
        Event::at(&cell.inline[0])
    }
}

impl<'a, M: Memory> Event<'a, M> {
    /// The event that a word is.
    pub fn at(word: &'a M::W64) -> Event<'a, M> {
        Event { word }
    }

    /// Sets it; true if it was not set.
    pub fn set(&self) -> bool {
        update(self.word, |word| (word & 1 == 0).then_some((word + 2) | 1))
    }

    /// Clears it.
    pub fn clear(&self) {
        update(self.word, |word| (word & 1 == 1).then_some(word & !1));
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.word.load(Acquire) & 1 != 0
    }

    /// How often it was set.
    pub fn sets(&self) -> u64 {
        self.word.load(Acquire) >> 1
    }

    /// Whether it is set, or was since somebody counted `sets`.
    pub fn was_set_since(&self, sets: u64) -> bool {
        let word = self.word.load(Acquire);
        word & 1 != 0 || word >> 1 != sets
    }
}

/// A barrier's word.
///
/// ```text
/// bit 63      56 55      33 32 31            0
///    | outcomes | streak   | B | generation   |
/// ```
/// - `generation`: which meeting is open. Raised by whoever completes it, and by a reset.
/// - `outcomes`: of the last eight meetings, the latest in the lowest bit: 1 if it was completed.
/// - `streak`: how many meetings before the open one were completed without one that was not: for a party that
///   was asleep for longer than eight of them.
/// - `B`: broken, until a reset.
pub struct Barrier<'a, M: Memory> {
    word: &'a M::W64,
}

const BROKEN: u64 = 1 << 32;
const STREAK_SHIFT: u32 = 33;
const STREAK: u64 = (1 << 23) - 1;
const OUTCOMES_SHIFT: u32 = 56;

/// An entry of the ledger: who arrived in which generation. Written by who arrives, with a compare-and-swap
/// that is the arrival; entries of earlier generations are free. Generations of entries only rise.
fn arrival(generation: u32, slot: u32) -> u64 {
    (generation as u64) << 32 | slot as u64
}

/// What became of a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// It is open.
    Open,
    /// Everybody came.
    Complete,
    /// It broke, or was reset.
    Broken,
}

/// What becomes of somebody who comes to a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A party of a meeting.
    Here {
        /// Its generation.
        meeting: u32,
        /// How many came before.
        index: u64,
    },
    /// Everybody is there already, and about to leave: the next meeting is the caller's.
    Full {
        /// The generation of the one that is full.
        meeting: u32,
    },
    /// The barrier is broken.
    Broken,
}

impl<'a> Barrier<'a, Real> {
    /// The barrier of a cell.
    pub fn of(cell: &'a Cell) -> Barrier<'a, Real> {
        Barrier::at(&cell.inline[0])
    }
}

impl<'a, M: Memory> Barrier<'a, M> {
    /// The barrier that a word is.
    pub fn at(word: &'a M::W64) -> Barrier<'a, M> {
        Barrier { word }
    }

    /// The open meeting.
    pub fn generation(&self) -> u32 {
        self.word.load(Acquire) as u32
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.word.load(Acquire) & BROKEN != 0
    }

    /// Breaks the meeting `generation`, if it is still open; true if it did.
    pub fn break_if(&self, generation: u32) -> bool {
        update(self.word, |word| (word as u32 == generation && word & BROKEN == 0).then_some(word | BROKEN))
    }

    /// Breaks whatever meeting is open.
    pub fn break_now(&self) {
        update(self.word, |word| (word & BROKEN == 0).then_some(word | BROKEN));
    }

    fn next(word: u64, complete: bool) -> u64 {
        let outcomes = (word >> OUTCOMES_SHIFT) << 1 & 0xff | complete as u64;
        let streak = if complete { ((word >> STREAK_SHIFT & STREAK) + 1).min(STREAK) } else { 0 };
        outcomes << OUTCOMES_SHIFT | streak << STREAK_SHIFT | (word as u32).wrapping_add(1) as u64
    }

    /// Everybody is there: the meeting is complete, unless it broke meanwhile.
    pub fn complete(&self, generation: u32) -> bool {
        let is_open = |word: u64| word as u32 == generation && word & BROKEN == 0;
        update(self.word, |word| is_open(word).then(|| Self::next(word, true)))
    }

    /// A new meeting; who waits for the open one finds it broken.
    pub fn reset(&self) {
        update(self.word, |word| Some(Self::next(word, false)));
    }

    /// What became of the meeting `generation`.
    pub fn outcome(&self, generation: u32) -> Meeting {
        let word = self.word.load(Acquire);
        let past = (word as u32).wrapping_sub(generation);
        match past {
            0 if word & BROKEN != 0 => Meeting::Broken,
            0 => Meeting::Open,
            _ if past as u64 <= word >> STREAK_SHIFT & STREAK => Meeting::Complete,
            1..=8 if word >> (OUTCOMES_SHIFT + past - 1) & 1 == 1 => Meeting::Complete,
            _ => Meeting::Broken,
        }
    }

    /// Comes to the open meeting as a process in `slot`. `ledger` gives the entries, as many as there are parties.
    pub fn arrive<'b, I: Iterator<Item = &'b M::W64>>(&self, ledger: impl Fn() -> I, slot: u32) -> Arrival {
        loop {
            let word = self.word.load(Acquire);
            let meeting = word as u32;
            if word & BROKEN != 0 {
                return Arrival::Broken;
            }
            // A meeting that ended while we came is none: come to the next one.
            match Self::enter(ledger(), meeting, slot) {
                Some(index) if self.outcome(meeting) != Meeting::Broken => {
                    return Arrival::Here { meeting, index };
                }
                None if self.outcome(meeting) == Meeting::Open => return Arrival::Full { meeting },
                _ => {}
            }
        }
    }

    /// Takes the first free entry: so whoever takes the last one has seen all others taken. `None` if there is none,
    /// or a later meeting is under way.
    fn enter<'b>(ledger: impl Iterator<Item = &'b M::W64>, meeting: u32, slot: u32) -> Option<u64> {
        for (entry, index) in ledger.zip(0..) {
            let mut seen = entry.load(Acquire);
            loop {
                let ahead = meeting.wrapping_sub((seen >> 32) as u32) as i32;
                if seen != 0 && ahead == 0 {
                    break;
                }
                if seen != 0 && ahead < 0 {
                    return None;
                }
                // Again the same entry if somebody was quicker: that may have been a straggler of an earlier meeting.
                match entry.compare_exchange(seen, arrival(meeting, slot), AcqRel, Acquire) {
                    Ok(_) => return Some(index),
                    Err(now) => seen = now,
                }
            }
        }
        None
    }

    /// The process in `dead` died: if it is a party of the open meeting, that breaks. May be repeated.
    pub fn bury<'b>(&self, mut ledger: impl Iterator<Item = &'b M::W64>, dead: u32) {
        let meeting = self.generation();
        if ledger.any(|entry| entry.load(Acquire) == arrival(meeting, dead)) {
            self.break_if(meeting);
        }
    }

    /// How many have arrived at the open meeting.
    pub fn arrived<'b>(&self, ledger: impl Iterator<Item = &'b M::W64>) -> u64 {
        let meeting = self.generation();
        let here = |seen: u64| seen != 0 && (seen >> 32) as u32 == meeting;
        ledger.filter(|entry| here(entry.load(Acquire))).count() as u64
    }
}
