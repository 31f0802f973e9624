//! The key of this process, for connections between those who have it: what it was told, or whoever started it; else its
//! family's.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::family::Family;
use crate::sys::{once, socket};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Bytes that a key has at most.
pub const MOST: usize = 4096;

/// What was said. In memory of this process, so that a fork inherits it; a letter has it for the others.
static TOLD: AtomicPtr<Told> = AtomicPtr::new(std::ptr::null_mut());

struct Told {
    key: Option<Box<[u8]>>,
    /// What was said before is never freed, for a thread may still look at it; it is not forgotten either, so that nobody
    /// takes it for a leak.
    _before: AtomicPtr<Told>,
}

/// Whether it may be a key.
pub fn check(key: &[u8]) -> Result<()> {
    match key.len() {
        0 => Err(Error::invalid("an empty key keeps nobody out")),
        1..=MOST => Ok(()),
        _ => Err(Error::invalid("a key has at most 4096 bytes")),
    }
}

/// This process, and what it starts from now on, has this key; `None`: its family's.
pub fn set(key: Option<&[u8]>) -> Result<()> {
    key.map_or(Ok(()), check)?;
    tell(key);
    Ok(())
}

fn tell(key: Option<&[u8]>) {
    let before = AtomicPtr::new(TOLD.load(Ordering::Acquire));
    once::replace(&TOLD, Told { key: key.map(Box::from), _before: before });
}

/// What was said, if it is not the family's.
pub fn told() -> Option<&'static [u8]> {
    once::get(&TOLD)?.key.as_deref()
}

/// In a process that was begun anew, or forked by the server: the key of the process that wanted it.
pub fn inherit(key: Option<&[u8]>) {
    if key != told() {
        tell(key);
    }
}

/// The key.
pub fn current(family: Family) -> Result<Vec<u8>> {
    told().map_or_else(|| of_family(family), |key| Ok(key.to_vec()))
}

/// The family's, which nobody else knows: made up when it is asked for first. It has no owner, and no state in
/// between: each word is decided by itself, by whoever is first.
fn of_family(family: Family) -> Result<Vec<u8>> {
    let mut key = Vec::new();
    for word in &family.arena.header().key {
        let mine = u64::from_ne_bytes(socket::random()?).max(1);
        let first = word.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire);
        key.extend(first.map_or_else(|theirs| theirs, |_| mine).to_ne_bytes());
    }
    Ok(key)
}
