//! The family's table of functions: what workers run is named by an index in it.
//!
//! Append-only. A record is written completely before the count says that it is there, both under the
//! table's lock; a writer that dies in between has changed nothing.

use super::arena::{Arena, FUNCTION_SIZE, FUNCTIONS};
use super::region::Region;
use crate::error::{Error, Result};
use std::sync::atomic::Ordering::{Acquire, Release};

fn record(arena: Arena, index: u32) -> Option<Region> {
    Region::of(arena, arena.function_at(index), FUNCTION_SIZE as u64)
}

/// Index of a function; added if it is not there yet.
pub fn add(arena: Arena, identity: &[u8; FUNCTION_SIZE]) -> Result<u16> {
    let header = arena.header();
    let _guard = header.function_lock.lock();
    let count = count(arena);
    for index in 0..count {
        if record(arena, index).is_some_and(|record| record.frozen() == identity) {
            return Ok(index as u16);
        }
    }
    let full = Error::NoMemory("the family runs more than 1024 functions");
    let place = record(arena, count).filter(|_| (count as usize) < FUNCTIONS).ok_or(full)?;
    place.write(identity);
    header.functions.store(count + 1, Release);
    Ok(count as u16)
}

/// How many there are.
pub fn count(arena: Arena) -> u32 {
    arena.header().functions.load(Acquire).min(FUNCTIONS as u32)
}

/// The identity at an index.
pub fn get(arena: Arena, index: u32) -> Option<[u8; FUNCTION_SIZE]> {
    if index >= arena.header().functions.load(Acquire) {
        return None;
    }
    let mut identity = [0; FUNCTION_SIZE];
    record(arena, index)?.read(&mut identity).then_some(identity)
}
