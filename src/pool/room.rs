//! How much a pool takes before some of it is done: tasks, bytes of their arguments, units of a semaphore of the host's.
#![forbid(unsafe_code)]

use super::Pool;
use super::desk::{Desk, Goal};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::pin::Pins;
use crate::shm::cell::Reference;
use crate::sync::semaphore::Semaphore;
use crate::sys::clock::now_ns;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// How often a semaphore is looked at, whose units may come from anywhere.
const LOOK_NS: u64 = 5_000_000;

/// The room of a pool; 0 is any number.
pub struct Room {
    family: Family,
    tasks: u64,
    most_bytes: u64,
    bytes: AtomicU64,
    semaphore: Option<(Semaphore, Box<Pins>)>,
}

/// What a task has taken of it, and gives back when it is settled.
pub struct Toll {
    room: Arc<Room>,
    bytes: u64,
}

impl Room {
    /// Of a pool of this process.
    pub fn new(family: Family, tasks: u64, most_bytes: u64, semaphore: Option<Reference>) -> Result<Arc<Room>> {
        let semaphore = semaphore.map(|named| {
            let cell = family.arena.cell(named.index).ok_or(Error::BadHandle("the semaphore is gone".into()))?;
            Ok((Semaphore::of(cell, named.generation), Pins::one(family, named)?))
        });
        let semaphore = semaphore.transpose()?;
        Ok(Arc::new(Room { family, tasks, most_bytes, bytes: AtomicU64::new(0), semaphore }))
    }

    #[inline]
    fn is_endless(&self) -> bool {
        self.tasks == 0 && !self.takes_toll()
    }

    fn takes_toll(&self) -> bool {
        self.most_bytes != 0 || self.semaphore.is_some()
    }

    /// Takes room for one more task, if there is some. By whoever holds the desk, so no other takes it meanwhile.
    fn take(self: &Arc<Room>, desk: &Desk, bytes: u64) -> Option<Option<Box<Toll>>> {
        if desk.is_over() {
            return Some(None);
        }
        let held = self.bytes.load(Acquire);
        // What is bigger than all the room goes alone.
        let fits = self.most_bytes == 0 || held == 0 || held.saturating_add(bytes) <= self.most_bytes;
        if !fits || self.tasks != 0 && desk.load() >= self.tasks {
            return None;
        }
        if !self.takes_toll() {
            return Some(None);
        }
        // Last, for it is not taken in vain.
        let unit = self.semaphore.as_ref().is_none_or(|(semaphore, _)| semaphore.try_acquire(self.family));
        unit.then(|| {
            self.bytes.fetch_add(bytes, AcqRel);
            Some(Box::new(Toll { room: self.clone(), bytes }))
        })
    }
}

impl Drop for Toll {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, AcqRel);
        // In a forked child this is a copy, and the unit is the parent's.
        if let Some((semaphore, _)) = &self.room.semaphore
            && family::current().is_ok_and(|family| family.me == self.room.family.me)
        {
            // A bounded one that others have filled meanwhile stays full.
            let _ = semaphore.release(self.room.family);
        }
    }
}

impl Pool {
    /// Waits until the pool has room for one more task, with so many bytes of arguments.
    pub(super) fn await_room(&self, patience_ns: Option<u64>, bytes: usize) -> Result<Option<Box<Toll>>> {
        if self.room.is_endless() {
            return Ok(None);
        }
        let mut take = |desk: &mut Desk| self.room.take(desk, bytes as u64);
        if patience_ns == Some(0) {
            return self.look(&mut take).ok_or(Error::Again("the pool has no room for one more task"));
        }
        let deadline = patience_ns.map(|ns| now_ns().saturating_add(ns));
        loop {
            let slice = self.room.semaphore.is_some().then(|| now_ns() + LOOK_NS);
            match self.wait(deadline.into_iter().chain(slice).min(), Goal::Any, &mut take) {
                Err(Error::TimedOut) if deadline.is_none_or(|deadline| now_ns() < deadline) => {}
                answer => return answer,
            }
        }
    }
}
