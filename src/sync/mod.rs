//! Semaphores, conditions, events, barriers: what processes wait at for each other.
#![forbid(unsafe_code)]

pub mod barrier;
pub mod condition;
pub mod event;
pub mod semaphore;

use crate::error::{Error, Result};
use crate::family::{Family, Sentry};
use crate::shm::cell::Cell;
use crate::shm::memory::{Deadline, Memory};
use crate::shm::real::Real;
use crate::shm::stop;
use crate::shm::wait_word::{SPINS, WaitWord};

/// The object behind a cell and a generation is gone.
fn gone() -> Error {
    Error::BadHandle("the object was freed".into())
}

/// Waits at the cell until `done` has an answer.
pub(crate) fn wait_until<T>(
    family: Family,
    cell: &'static Cell,
    generation: u32,
    deadline: Deadline,
    done: impl FnMut() -> Option<T>,
) -> Result<T> {
    wait_at(family, cell, generation, cell.wait_word(), deadline, done)
}

/// The same where the cell has its waiters elsewhere.
pub(crate) fn wait_at<T>(
    family: Family,
    cell: &'static Cell,
    generation: u32,
    word: &'static WaitWord<Real>,
    deadline: Deadline,
    mut done: impl FnMut() -> Option<T>,
) -> Result<T> {
    let mut turns = 0;
    loop {
        if !cell.is_there(generation) {
            return Err(gone());
        }
        if let Some(answer) = done() {
            return Ok(answer);
        }
        if deadline == Some(0) || !Real::pause(&mut turns, SPINS) {
            break;
        }
    }
    let mut sentry = Sentry::new(family, deadline);
    if deadline == Some(0) {
        // Whoever only ever tries must hear of a death as well: this tells the keeper to look.
        sentry.alarm();
        return Err(Error::TimedOut);
    }
    let answer = word.wait_until(
        deadline,
        || sentry.alarm(),
        || {
            let answer = done();
            if !cell.is_there(generation) {
                return Some(Err(gone()));
            }
            answer.map(Ok).or_else(|| stop::notice().then_some(Err(Error::SoftLimit)))
        },
    );
    answer.unwrap_or(Err(Error::TimedOut))
}
