//! Blocks of any size in the arena.
//!
//! Power-of-two classes from 64 bytes, each with a free list (last in, first out: warm memory first),
//! beyond them a bump pointer; never coalesced, since the arena is sparse and address space plentiful.
//! All of it under one internal lock.
//!
//! A block always belongs to a *field*: a word of the arena (in a cell, a lane) that holds its offset.
//! Every operation first writes a redo record with absolute values, then does its stores, then clears
//! the record. Whoever takes the lock from a dead owner repeats the record: a death between any two
//! instructions neither loses a block nor gives one out twice.

use super::arena::Arena;
use super::check::broken;
use super::internal_lock::{InternalGuard, InternalLock};
use super::real::Real;
use super::region::Region;
use crate::error::{Error, Result};
use crate::sys::memory_file;
use crate::sys::seeded::bug;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

const LEAST_SHIFT: u32 = 6;
const CLASSES: usize = 40;
const HEADER: u64 = 16;
const PAGE: u64 = 4096;

/// Free blocks at least this large have their pages given back once more than `KEEP` bytes lie idle.
const LARGE: u64 = 1 << 20;
const KEEP: u64 = 128 << 20;

const IDLE: u32 = 0;
const TAKE: u32 = 1;
const EXTEND: u32 = 2;
const GIVE: u32 = 3;
const REARRANGE: u32 = 4;

/// Fields that change together at most.
const MOVES: usize = 3;

const USED: u32 = 0xca50_0001;
const FREE: u32 = 0xca50_0002;

/// What stands before the bytes of every block. Written only under the heap's lock.
#[repr(C)]
struct BlockHeader {
    class: AtomicU32,
    state: AtomicU32,
    /// Next free block of the class, while this one is free.
    next: AtomicU64,
}

/// What the holder of the lock is doing; `what` is written last and cleared first.
#[repr(C)]
struct Redo {
    what: AtomicU32,
    class: AtomicU32,
    block: AtomicU64,
    /// TAKE: the new head of the list. EXTEND: the new end of the heap. GIVE: the old head.
    next: AtomicU64,
    /// Offset of the field that gets or loses the block.
    field: AtomicU64,
    /// REARRANGE: offsets of fields (0 for none) and what they get.
    moves: [[AtomicU64; 2]; MOVES],
}

/// The heap's words in the arena's header; all but `idle` are written under `lock` only.
#[repr(C)]
pub struct HeapRoot {
    lock: InternalLock<Real>,
    redo: Redo,
    end: AtomicU64,
    /// Bytes of large free blocks whose pages are still there: a hint.
    idle: AtomicU64,
    free: [AtomicU64; CLASSES],
}

/// What a walk through the heap counted.
pub(super) struct Usage {
    /// Free blocks.
    pub free: u64,
    /// Bytes ever used.
    pub bytes: u64,
}

/// The heap of an arena.
#[derive(Clone, Copy)]
pub struct Heap {
    arena: Arena,
    root: &'static HeapRoot,
}

impl HeapRoot {
    /// An empty heap that begins at `offset`.
    pub(super) fn create(&self, offset: u64) {
        self.end.store(offset, Relaxed);
    }
}

fn class_of(len: u64) -> Option<u32> {
    let whole = len.checked_add(HEADER)?.checked_next_power_of_two()?;
    let class = whole.trailing_zeros().saturating_sub(LEAST_SHIFT);
    ((class as usize) < CLASSES).then_some(class)
}

fn class_size(class: u32) -> u64 {
    1 << (class + LEAST_SHIFT)
}

impl Heap {
    /// The heap of `arena`.
    pub fn of(arena: Arena) -> Heap {
        Heap { arena, root: &arena.header().heap }
    }

    /// A block of at least `len` bytes, aligned to 16, whose offset is stored in `field`, a word of
    /// the arena that is 0 now. Its bytes are whatever they were.
    pub fn take(self, len: u64, field: &'static AtomicU64) -> Result<u64> {
        self.take_block(len, field).map(|(offset, _)| offset)
    }

    /// The same, all zero. Memory of the arena that was never used is zero as it is, and is not touched.
    pub fn take_zero(self, len: u64, field: &'static AtomicU64) -> Result<u64> {
        let (offset, fresh) = self.take_block(len, field)?;
        if !fresh {
            let block = Region::of(self.arena, offset, len);
            block.ok_or(Error::Panic("a block outside the arena".into()))?.clear();
        }
        Ok(offset)
    }

    /// A block, and whether it was never used before, and so is zero.
    pub fn take_block(self, len: u64, field: &'static AtomicU64) -> Result<(u64, bool)> {
        let class = class_of(len).ok_or(Error::NoMemory("a block larger than the arena"))?;
        let guard = self.lock();
        let head = self.root.free[class as usize].load(Relaxed);
        let (what, block, next) = if head != 0 {
            (TAKE, head, self.block(head)?.next.load(Relaxed))
        } else {
            let end = self.root.end.load(Relaxed);
            let next = end.checked_add(class_size(class)).filter(|next| *next <= self.arena.size());
            (EXTEND, end, next.ok_or(Error::NoMemory("the arena is full"))?)
        };
        self.record(what, class, block, next, field);
        self.repeat();
        drop(guard);
        if head != 0 && class_size(class) >= LARGE {
            let _ = self.root.idle.fetch_update(Relaxed, Relaxed, |idle| Some(idle.saturating_sub(class_size(class))));
        }
        Ok((block + HEADER, head == 0))
    }

    /// Gives back the block of `field`, if it has one; `field` is 0 afterwards. Nobody uses the block.
    pub fn give(self, field: &'static AtomicU64) -> Result<()> {
        // An owner of the field who died at taking its block may have left the store into it to the next holder of the
        // lock: whoever gives for the dead does that first, else the field would get the block after its end.
        if self.root.redo.what.load(Acquire) != IDLE && !bug("heap: a half-done take is not finished first") {
            drop(self.lock());
        }
        let offset = field.load(Relaxed);
        if offset == 0 {
            return Ok(());
        }
        let block = offset.wrapping_sub(HEADER);
        let header = self.block(block)?;
        let class = header.class.load(Relaxed);
        if header.state.load(Relaxed) != USED || class as usize >= CLASSES {
            return Err(Error::Panic("a heap block was damaged or given back twice".into()));
        }
        self.give_pages_back(block, class_size(class));
        let _guard = self.lock();
        // An earlier repairer of the same death may have died at just this: then it is done.
        if field.load(Relaxed) != offset {
            return Ok(());
        }
        let head = self.root.free[class as usize].load(Relaxed);
        self.record(GIVE, class, block, head, field);
        self.repeat();
        Ok(())
    }

    /// Bytes that the block at `offset` has room for.
    pub fn capacity(self, offset: u64) -> Result<u64> {
        let class = self.block(offset.wrapping_sub(HEADER))?.class.load(Relaxed);
        if class as usize >= CLASSES {
            return Err(Error::Panic("a heap block was damaged".into()));
        }
        Ok(class_size(class) - HEADER)
    }

    /// The heap's lock, and nothing half done behind it.
    pub(super) fn lock(self) -> InternalGuard<'static, Real> {
        let guard = self.root.lock.lock();
        if guard.owner_died {
            self.repeat();
        }
        guard
    }

    /// Every block: the offsets of those in use, and the others counted. The lock is held. What it reads may be damaged.
    pub(super) fn walk(self) -> Result<(Vec<u64>, Usage)> {
        let (mut at, end) = (self.arena.heap_at(), self.root.end.load(Relaxed));
        if !(at..=self.arena.size()).contains(&end) {
            return broken(format_args!("the heap ends at {end:#x}"));
        }
        let mut used = Vec::new();
        let mut usage = Usage { free: 0, bytes: end - at };
        while at < end {
            let header = self.block(at)?;
            let (class, state) = (header.class.load(Relaxed), header.state.load(Relaxed));
            if class as usize >= CLASSES || class_size(class) > end - at || (state != USED && state != FREE) {
                return broken(format_args!("the block at {at:#x} has class {class}, state {state:#x}"));
            }
            if state == FREE {
                usage.free += 1;
            } else {
                used.try_reserve(1).map_err(|_| Error::NoMemory("there is no memory for a list of the blocks"))?;
                used.push(at + HEADER);
            }
            at += class_size(class);
        }
        self.walk_lists(usage.free)?;
        Ok((used, usage))
    }

    /// The free lists have every free block in them, once.
    fn walk_lists(self, free: u64) -> Result<()> {
        let mut listed = 0;
        for (list, class) in self.root.free.iter().zip(0..) {
            let mut block = list.load(Relaxed);
            while block != 0 {
                let header = self.block(block)?;
                if header.class.load(Relaxed) != class || header.state.load(Relaxed) != FREE || listed == free {
                    return broken(format_args!("the list of class {class} has the block at {block:#x} in it"));
                }
                listed += 1;
                block = header.next.load(Relaxed);
            }
        }
        if listed == free { Ok(()) } else { broken(format_args!("{listed} of {free} free blocks are in a list")) }
    }

    fn block(self, block: u64) -> Result<&'static BlockHeader> {
        let inside = block >= self.arena.heap_at() && block.is_multiple_of(16);
        let address = inside.then(|| self.arena.address(block, HEADER)).flatten();
        let address =
            address.ok_or_else(|| Error::Broken("the arena is damaged: a heap offset points nowhere".into()))?;
        // SAFETY: `address` is inside the mapping, which is never unmapped, and aligned to 16; the header
        // is made of atomics, for which any bytes are valid.
        Ok(unsafe { &*address.cast::<BlockHeader>() })
    }

    fn record(self, what: u32, class: u32, block: u64, next: u64, field: &'static AtomicU64) {
        let redo = &self.root.redo;
        redo.class.store(class, Relaxed);
        redo.block.store(block, Relaxed);
        redo.next.store(next, Relaxed);
        redo.field.store(self.arena.offset_of(field), Relaxed);
        redo.what.store(what, Release);
    }

    /// Blocks change their owners: each of these fields gets its value, all of them or none.
    pub fn rearrange(self, moves: &[(&'static AtomicU64, u64)]) {
        let _guard = self.lock();
        let redo = &self.root.redo;
        for (index, place) in redo.moves.iter().enumerate() {
            let (offset, value) =
                moves.get(index).map_or((0, 0), |(field, value)| (self.arena.offset_of(*field), *value));
            place[0].store(offset, Relaxed);
            place[1].store(value, Relaxed);
        }
        redo.what.store(REARRANGE, Release);
        self.repeat();
    }

    /// Does what the redo record says, from the first store to the last; the lock is held.
    fn repeat(self) {
        let redo = &self.root.redo;
        let what = redo.what.load(Relaxed);
        if what == REARRANGE {
            for [offset, value] in &redo.moves {
                if let Some(field) = self.arena.word(offset.load(Relaxed)) {
                    field.store(value.load(Relaxed), Release);
                }
            }
            redo.what.store(IDLE, Release);
            return;
        }
        let (class, block) = (redo.class.load(Relaxed), redo.block.load(Relaxed));
        let next = redo.next.load(Relaxed);
        let (Ok(header), Some(field)) = (self.block(block), self.arena.word(redo.field.load(Relaxed))) else {
            redo.what.store(IDLE, Release);
            return;
        };
        let list = &self.root.free[class as usize % CLASSES];
        if bug("heap: a record is cleared before it is done") {
            redo.what.store(IDLE, Release);
        }
        match what {
            TAKE | EXTEND => {
                header.class.store(class, Relaxed);
                header.state.store(USED, Relaxed);
                if what == TAKE {
                    list.store(next, Release)
                } else {
                    self.root.end.store(next, Release)
                }
                field.store(block + HEADER, Release);
            }
            GIVE => {
                header.next.store(next, Relaxed);
                header.state.store(FREE, Relaxed);
                list.store(block, Release);
                field.store(0, Release);
            }
            _ => return,
        }
        redo.what.store(IDLE, Release);
    }

    /// The block is still used, by the caller alone, so this needs no lock.
    fn give_pages_back(self, block: u64, size: u64) {
        if size < LARGE || self.root.idle.fetch_add(size, Relaxed) + size <= KEEP {
            return;
        }
        self.root.idle.fetch_sub(size, Relaxed);
        let from = (block + HEADER).next_multiple_of(PAGE);
        let to = (block + size) & !(PAGE - 1);
        if let Some(address) = self.arena.address(from, to.saturating_sub(from)) {
            // SAFETY: the pages lie wholly inside a block that the caller gives back and nobody uses.
            unsafe { memory_file::give_back(address, (to - from) as usize) };
        }
    }
}
