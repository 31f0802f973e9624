//! Barriers: so many parties wait until all are there. A party that dies there breaks it.
#![forbid(unsafe_code)]

use super::{gone, wait_until};
use crate::call::{Call, Input, Output};
use crate::error::{Error, Result};
use crate::family::Family;
use crate::function::{self, Identity};
use crate::shm::cell::{Cell, Kind};
use crate::shm::functions;
use crate::shm::heap::Heap;
use crate::shm::memory::Deadline;
use crate::shm::real::Real;
use crate::shm::region::Region;
use crate::shm::sync::{self, Arrival, Meeting};
use crate::sys::clock::deadline_after_ms;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Most parties: each is a word that is looked at.
pub const MOST_PARTIES: u64 = sync::MOST_WORDS;

/// A barrier; whether it is still the same object is checked by every operation.
#[derive(Clone, Copy)]
pub struct Barrier {
    cell: &'static Cell,
    generation: u32,
}

impl Barrier {
    /// A new barrier for so many parties. The function at `action` (0: none) runs in the last one to arrive.
    /// `timeout_ms`: for waits that name none; negative for ever.
    pub fn make(family: Family, parties: u64, action: usize, timeout_ms: i64) -> Result<(&'static Cell, u32)> {
        if !(1..=MOST_PARTIES).contains(&parties) {
            return Err(Error::invalid("a barrier has 1 to 4096 parties"));
        }
        let action = match action {
            0 => 0,
            address => {
                let identity = function::identify(address)?;
                functions::add(family.arena, &identity.to_bytes())? as u32 + 1
            }
        };
        let cell = Cell::claim(family.arena, Kind::Barrier, family.me.slot)?;
        let generation = cell.generation();
        cell.type_code.store(action, Relaxed);
        cell.extra[2].store(timeout_ms as u64, Relaxed);
        let taken = Heap::of(family.arena).take(parties * 8, &cell.block);
        let offset = taken.inspect_err(|_| cell.let_go(family.arena, generation, family.me.slot))?;
        Region::of(family.arena, offset, parties * 8).into_iter().for_each(Region::clear);
        // Generation 0 would make the empty entries of the ledger arrivals.
        cell.inline[0].store(1, Relaxed);
        cell.len.store(parties, Release);
        Ok((cell, generation))
    }

    /// The barrier of a cell that is there.
    pub fn of(cell: &'static Cell, generation: u32) -> Barrier {
        Barrier { cell, generation }
    }

    fn word(self) -> Result<sync::Barrier<'static, Real>> {
        if !self.cell.is_there(self.generation) {
            return Err(gone());
        }
        Ok(sync::Barrier::of(self.cell))
    }

    /// The instant at which a wait without a time-out of its own ends.
    pub fn default_deadline(self) -> Deadline {
        deadline_after_ms(self.cell.extra[2].load(Relaxed) as i64)
    }

    /// Arrives and waits for the others; the index of the arrival. Not within its time: the barrier breaks.
    pub fn wait(self, family: Family, deadline: Deadline) -> Result<u64> {
        let word = self.word()?;
        let parties = self.parties()?;
        let (meeting, index) = loop {
            match word.arrive(|| sync::table(family.arena, self.cell), family.me.slot) {
                Arrival::Here { meeting, index } => break (meeting, index),
                Arrival::Broken => return Err(broken()),
                // More callers than parties, and the action may take its time.
                Arrival::Full { meeting } => {
                    let over = || (word.outcome(meeting) != Meeting::Open).then_some(());
                    wait_until(family, self.cell, self.generation, deadline, over)?;
                }
            }
        };
        if index + 1 == parties {
            return self.complete(family, &word, meeting).map(|()| index);
        }
        let done = || match word.outcome(meeting) {
            Meeting::Open => None,
            Meeting::Complete => Some(Ok(index)),
            Meeting::Broken => Some(Err(broken())),
        };
        match wait_until(family, self.cell, self.generation, deadline, done) {
            // A party that goes leaves no barrier for the others.
            Err(ending @ (Error::TimedOut | Error::SoftLimit)) => {
                if word.break_if(meeting) {
                    self.cell.wait_word().notify(u32::MAX);
                }
                done().unwrap_or(Err(Error::TimedOut)).map_err(|_| ending)
            }
            Ok(answer) => answer,
            Err(error) => Err(error),
        }
    }

    fn complete(self, family: Family, word: &sync::Barrier<'_, Real>, meeting: u32) -> Result<()> {
        let acted = self.act(family);
        let completed = match acted {
            Ok(()) => word.complete(meeting),
            Err(_) => {
                word.break_if(meeting);
                false
            }
        };
        self.cell.wait_word().notify(u32::MAX);
        acted?;
        if completed { Ok(()) } else { Err(broken()) }
    }

    fn act(self, family: Family) -> Result<()> {
        let Some(index) = self.cell.type_code.load(Acquire).checked_sub(1) else { return Ok(()) };
        let record =
            functions::get(family.arena, index).ok_or(Error::Panic("a barrier's action is not there".into()))?;
        let address = function::resolve(&Identity::from_bytes(&record)?)?;
        let mut call = Call::new(Input::Nothing, Output::Nowhere);
        match call.enter(|call| call.run(address))? {
            0 => Ok(()),
            code => Err(Error::TaskFailed(format!("the action of the barrier returned {code}").into())),
        }
    }

    /// A new meeting; who waits finds it broken. Also mends a broken barrier.
    pub fn reset(self) -> Result<()> {
        self.word()?.reset();
        self.cell.wait_word().notify(u32::MAX);
        Ok(())
    }

    /// Breaks it, until a reset.
    pub fn abort(self) -> Result<()> {
        let word = self.word()?;
        word.break_now();
        self.cell.wait_word().notify(u32::MAX);
        Ok(())
    }

    /// How many it takes.
    pub fn parties(self) -> Result<u64> {
        self.word()?;
        Ok(self.cell.len.load(Acquire))
    }

    /// How many wait.
    pub fn waiting(self, family: Family) -> Result<u64> {
        let word = self.word()?;
        Ok(if word.is_broken() { 0 } else { word.arrived(sync::table(family.arena, self.cell)) })
    }

    /// Whether it is broken.
    pub fn is_broken(self) -> Result<bool> {
        Ok(self.word()?.is_broken())
    }
}

fn broken() -> Error {
    Error::Broken("the barrier is broken".into())
}
