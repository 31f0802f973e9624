//! The words of semaphores, events and barriers. Where their waiters are is [`super::wait_word`]'s affair.
//!
//! | cell's word | semaphore | event | barrier |
//! |---|---|---|---|
//! | `inline[0]` | units left | flag and count of sets | generation, outcomes, broken |
//! | `inline[1]` | waiters | waiters | waiters |
//! | `block` | tokens, if units are owned | | ledger of arrivals |
//! | `len` | most units | | parties |

use super::arena::Arena;
use super::cell::{Cell, Kind};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// Flag of a semaphore: units belong to processes, and come back when those die.
pub const OWNED: u32 = 1;
/// Flag of a semaphore: it never has more units than it began with.
pub const BOUNDED: u32 = 2;

/// Words of the cell's block, as many as `len` says; none if there is no block.
fn table(arena: Arena, cell: &Cell) -> impl Iterator<Item = &'static AtomicU64> + use<> {
    let (block, count) =
        (cell.block.load(Acquire), if cell.block.load(Acquire) == 0 { 0 } else { cell.len.load(Acquire) });
    (0..count).filter_map(move |index| arena.word(block + index * 8))
}

/// The repair of a cell after the death of the process in `dead`: units that it owned come back, a barrier
/// at which it had arrived breaks. May be repeated.
pub(super) fn repair(arena: Arena, cell: &Cell, kind: Kind, dead: u32) {
    match kind {
        Kind::Semaphore => {
            for token in table(arena, cell) {
                let _ = token.compare_exchange(dead as u64, 0, AcqRel, Relaxed);
            }
        }
        Kind::Barrier => {
            let generation = Barrier::of(cell).generation();
            let here = arrival(generation, dead);
            if table(arena, cell).any(|entry| entry.load(Acquire) == here) {
                Barrier::of(cell).break_if(generation);
            }
        }
        _ => {}
    }
}

/// Takes a unit of a semaphore for the process in `slot`, if there is one.
pub fn take_unit(arena: Arena, cell: &Cell, slot: u32) -> bool {
    if cell.flags.load(Relaxed) & OWNED != 0 {
        return table(arena, cell)
            .any(|token| token.load(Relaxed) == 0 && token.compare_exchange(0, slot as u64, AcqRel, Relaxed).is_ok());
    }
    let units = &cell.inline[0];
    units.fetch_update(AcqRel, Acquire, |units| units.checked_sub(1)).is_ok()
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
    if cell.flags.load(Relaxed) & OWNED != 0 {
        let given = table(arena, cell).any(|token| {
            token.load(Relaxed) == slot as u64 && token.compare_exchange(slot as u64, 0, AcqRel, Relaxed).is_ok()
        });
        return given.then_some(()).ok_or(Refusal::NotOwned);
    }
    let most = cell.len.load(Relaxed);
    let more = |units: u64| if units < most { Some(units + 1) } else { None };
    cell.inline[0].fetch_update(AcqRel, Acquire, more).map(|_| ()).map_err(|_| Refusal::Full)
}

/// Units left at this moment.
pub fn units(arena: Arena, cell: &Cell) -> u64 {
    if cell.flags.load(Relaxed) & OWNED != 0 {
        return table(arena, cell).filter(|token| token.load(Acquire) == 0).count() as u64;
    }
    cell.inline[0].load(Acquire)
}

/// An event's word.
///
/// ```text
/// bit 63               1   0
///    | sets             | S |
/// ```
/// `S`: it is set. `sets`: how often it was set, so that who waited hears of a set that was cleared at once.
pub struct Event<'a> {
    word: &'a AtomicU64,
}

impl<'a> Event<'a> {
    /// The event of a cell.
    pub fn of(cell: &'a Cell) -> Event<'a> {
        Event { word: &cell.inline[0] }
    }

    /// Sets it; true if it was not set.
    pub fn set(&self) -> bool {
        let raise = |word: u64| if word & 1 == 0 { Some((word + 2) | 1) } else { None };
        self.word.fetch_update(AcqRel, Acquire, raise).is_ok()
    }

    /// Clears it.
    pub fn clear(&self) {
        self.word.fetch_and(!1, AcqRel);
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.word.load(Acquire) & 1 != 0
    }

    /// How often it was set.
    pub fn sets(&self) -> u64 {
        self.word.load(Acquire) >> 1
    }
}

/// A barrier's word.
///
/// ```text
/// bit 63       56 55        33 32 31            0
///    | outcomes  |            | B | generation   |
/// ```
/// - `generation`: which meeting is open. Raised by whoever completes it, and by a reset.
/// - `outcomes`: of the last eight meetings, the latest in the lowest bit: 1 if it was completed.
/// - `B`: broken, until a reset.
pub struct Barrier<'a> {
    word: &'a AtomicU64,
}

const BROKEN: u64 = 1 << 32;
const OUTCOMES_SHIFT: u32 = 56;

/// An entry of the ledger: who arrived in which generation. Written by who arrives, with a compare-and-swap
/// that is the arrival; entries of other generations are free.
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

impl<'a> Barrier<'a> {
    /// The barrier of a cell.
    pub fn of(cell: &'a Cell) -> Barrier<'a> {
        Barrier { word: &cell.inline[0] }
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
        let broken = |word: u64| (word as u32 == generation && word & BROKEN == 0).then_some(word | BROKEN);
        self.word.fetch_update(AcqRel, Acquire, broken).is_ok()
    }

    fn next(word: u64, complete: bool) -> u64 {
        let outcomes = (word >> OUTCOMES_SHIFT) << 1 & 0xff | complete as u64;
        outcomes << OUTCOMES_SHIFT | (word as u32).wrapping_add(1) as u64
    }

    /// Everybody is there: the meeting is complete, unless it broke meanwhile.
    pub fn complete(&self, generation: u32) -> bool {
        let next = |word: u64| (word as u32 == generation && word & BROKEN == 0).then(|| Barrier::next(word, true));
        self.word.fetch_update(AcqRel, Acquire, next).is_ok()
    }

    /// A new meeting; who waits for the open one finds it broken.
    pub fn reset(&self) {
        let _ = self.word.fetch_update(AcqRel, Acquire, |word| Some(Barrier::next(word, false)));
    }

    /// What became of the meeting `generation`.
    pub fn outcome(&self, generation: u32) -> Meeting {
        let word = self.word.load(Acquire);
        let past = (word as u32).wrapping_sub(generation);
        match past {
            0 if word & BROKEN != 0 => Meeting::Broken,
            0 => Meeting::Open,
            1..=8 if word >> (OUTCOMES_SHIFT + past - 1) & 1 == 1 => Meeting::Complete,
            _ => Meeting::Broken,
        }
    }

    /// Arrives at the meeting `generation`; the index of the arrival, `None` if everybody is there already.
    pub fn arrive(&self, arena: Arena, cell: &Cell, generation: u32, slot: u32) -> Option<u64> {
        // Entries are taken in order: whoever takes the last one has seen all others taken.
        table(arena, cell).zip(0..).find_map(|(entry, index)| {
            let seen = entry.load(Acquire);
            let free = (seen >> 32) as u32 != generation || seen == 0;
            let taken = free && entry.compare_exchange(seen, arrival(generation, slot), AcqRel, Relaxed).is_ok();
            taken.then_some(index)
        })
    }

    /// How many have arrived at the open meeting.
    pub fn arrived(&self, arena: Arena, cell: &Cell) -> u64 {
        let generation = self.generation();
        let here = |entry: &&AtomicU64| {
            let seen = entry.load(Acquire);
            seen != 0 && (seen >> 32) as u32 == generation
        };
        table(arena, cell).filter(here).count() as u64
    }
}
