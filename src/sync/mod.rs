//! Semaphores, conditions, events, barriers: what processes wait at for each other.
#![forbid(unsafe_code)]

pub mod barrier;
pub mod condition;
pub mod event;
pub mod semaphore;

use crate::error::{Error, Result};
use crate::family::{Family, Sentry};
use crate::shm::cell::Cell;
use crate::shm::memory::{Deadline, Wake};

/// How often a waiter looks before it sleeps: longer than a short critical section of another process.
const SPINS: u32 = 200;

/// The object behind a cell and a generation is gone.
fn gone() -> Error {
    Error::BadHandle("the object was freed".into())
}

/// Waits at the cell until `done` has an answer.
fn wait_until<T>(
    family: Family,
    cell: &'static Cell,
    generation: u32,
    deadline: Deadline,
    mut done: impl FnMut() -> Option<T>,
) -> Result<T> {
    for _ in 0..SPINS {
        if cell.generation() != generation {
            return Err(gone());
        }
        if let Some(answer) = done() {
            return Ok(answer);
        }
        if deadline == Some(0) {
            break;
        }
        std::hint::spin_loop();
    }
    let mut sentry = Sentry::new(family, deadline);
    if deadline == Some(0) {
        // Whoever only ever tries must hear of a death as well: this tells the keeper to look.
        sentry.alarm();
        return Err(Error::TimedOut);
    }
    let word = cell.wait_word();
    loop {
        let ticket = word.prepare();
        let (answer, gone_meanwhile) = (done(), cell.generation() != generation);
        let wake = match answer {
            None if !gone_meanwhile => word.sleep(ticket, sentry.alarm(), deadline),
            _ => Wake::Look,
        };
        word.leave(ticket);
        // Also after its time: a wake that this thread consumed must not be lost.
        match (gone_meanwhile, answer.or_else(&mut done), wake) {
            (true, ..) => return Err(gone()),
            (_, Some(answer), _) => return Ok(answer),
            (_, None, Wake::TimedOut) => return Err(Error::TimedOut),
            _ => {}
        }
    }
}
