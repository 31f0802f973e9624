//! A large reply where its worker wrote it: the block is the job's from then on, and nothing is copied.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::shm::cell::{Cell, Kind, SETTLED};
use crate::shm::heap::Heap;
use crate::shm::plan::Slot;
use crate::shm::region::Region;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// From here on a copy, and memory for it, take longer than a cell does.
const LARGE: usize = 32 << 10;

/// So many at once: repairs and whoever looks for an object go through the cells there are.
const MOST: u64 = 4096;

/// How many of this process there are, and how many bytes they take. Results that nobody reads must not fill the arena: from an eighth
/// of it on they are copied.
static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// A block of the arena, kept by a cell.
pub struct Held {
    family: Family,
    cell: &'static Cell,
    len: usize,
}

impl Held {
    /// The reply of `len` bytes in the block of a slot that is final; `None` if it has none, or is short, or there are too many: then the
    /// block stays where it is.
    pub fn of(slot: &'static Slot, len: usize) -> Option<Held> {
        let family = family::current().ok().filter(|_| len >= LARGE)?;
        let block = slot.reply_block.load(Acquire);
        Region::of(family.arena, block, len as u64).filter(|_| block != 0)?;
        let held = BYTES.load(Relaxed).saturating_add(len as u64);
        if held > family.arena.size() / 8 || COUNT.load(Relaxed) >= MOST {
            return None;
        }
        let cell = Cell::claim(family.arena, Kind::Bulk, family.me.slot).ok()?;
        // No worker has to do with it.
        cell.flags.store(SETTLED, Release);
        Heap::of(family.arena).rearrange(&[(&slot.reply_block, 0), (&cell.block, block)]);
        COUNT.fetch_add(1, Relaxed);
        BYTES.fetch_add(len as u64, Relaxed);
        Some(Held { family, cell, len })
    }

    /// A child that inherited the result does not keep the block.
    pub fn own(&self) -> Result<()> {
        match family::current()?.me == self.family.me {
            true => Ok(()),
            false => Err(Error::NotPermitted("a large reply is read in the process that made the pool")),
        }
    }

    /// The reply.
    pub fn bytes(&self) -> &[u8] {
        let place = Region::of(self.family.arena, self.cell.block.load(Acquire), self.len as u64);
        place.map_or(&[], Region::frozen)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Relaxed);
        BYTES.fetch_sub(self.len as u64, Relaxed);
        // In a forked child this is a copy, and the block is the parent's.
        if family::current().is_ok_and(|family| family.me == self.family.me) {
            self.cell.let_go(self.family.arena, self.cell.generation(), self.family.me.slot);
        }
    }
}
