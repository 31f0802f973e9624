//! Whether everything in the arena is as the protocols leave it: for debugging, and for tests that kill.
//!
//! Everything is read as if a stranger had written it, and nothing is changed. Others may go on meanwhile: the blocks of
//! the heap are counted under its lock, which is what every one of their owners' fields is written under; of all other
//! words only what holds at every instant is asked for.

use super::arena::{Arena, FUNCTIONS, MEMBERS};
use super::cell::Cell;
use super::heap::Heap;
use super::member::{self, State};
use crate::error::{Error, Result};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// What a walk through the arena found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Processes: alive, about to be, or dead and not yet repaired.
    pub members: u32,
    /// Functions that workers run.
    pub functions: u32,
    /// Objects, views included.
    pub objects: u64,
    /// Blocks of the heap in use.
    pub blocks: u64,
    /// Blocks of the heap that wait to be used again.
    pub free_blocks: u64,
    /// Bytes of the heap ever used.
    pub heap_bytes: u64,
}

/// The first thing that is not as it should be.
pub(super) fn broken<T>(what: std::fmt::Arguments) -> Result<T> {
    Err(Error::Broken(format!("the arena is damaged: {what}").into()))
}

/// Walks through all of the arena.
pub fn check(arena: Arena) -> Result<Census> {
    let mut census = Census::default();
    header(arena, &mut census)?;
    members(arena, &mut census)?;
    for cell in arena.cells() {
        census.objects += cell.check(arena)? as u64;
    }
    heap(arena, &mut census)?;
    Ok(census)
}

fn header(arena: Arena, census: &mut Census) -> Result<()> {
    let header = arena.header();
    let expected = [
        ("size", header.size.load(Relaxed), arena.size()),
        ("number of cells", header.cell_limit.load(Relaxed), arena.cell_limit()),
        ("beginning of the heap", header.heap_at.load(Relaxed), arena.heap_at()),
    ];
    if let Some((what, is, was)) = expected.into_iter().find(|(_, is, was)| is != was) {
        return broken(format_args!("its header says {is} for its {what}, which is {was}"));
    }
    // Whoever finds no room is above the limit for a moment.
    let high = header.cell_high.load(Acquire);
    if high == 0 || high > arena.cell_limit() + MEMBERS as u64 * MEMBERS as u64 {
        return broken(format_args!("{high} cells are in use"));
    }
    if header.damage.load(Relaxed) != 0 {
        return broken(format_args!("the lock of an object named a process that there is not"));
    }
    census.functions = header.functions.load(Acquire);
    if census.functions as usize > FUNCTIONS {
        return broken(format_args!("there are {} functions", census.functions));
    }
    Ok(())
}

fn members(arena: Arena, census: &mut Census) -> Result<()> {
    let high = arena.header().member_high.load(Acquire);
    if high as usize >= MEMBERS {
        return broken(format_args!("member {high} is in use"));
    }
    for slot in arena.slots() {
        let state = arena.member(slot).check(arena, slot)?;
        census.members += !matches!(state, State::Free | State::Gone) as u32;
    }
    Ok(())
}

/// Whether the process in `slot` has not been repaired yet: until then its name may stand in other words.
pub(super) fn is_somebody(arena: Arena, slot: u32) -> bool {
    arena.slots().contains(&slot) && !matches!(arena.member(slot).state(), State::Free | State::Gone)
}

/// What stands for a process in a word; `read` reads it again. A name that goes away while it is looked up was right.
pub(super) fn names(arena: Arena, what: std::fmt::Arguments, read: impl Fn() -> u32) -> Result<()> {
    let slot = read();
    if slot == 0 || is_somebody(arena, slot) || read() != slot {
        return Ok(());
    }
    let state = arena.member(slot).state();
    broken(format_args!("{what} is the process in slot {slot} of {}, which is {state:?}", member::last(arena)))
}

/// Every block that is in use has one owner, and every owner a block.
fn heap(arena: Arena, census: &mut Census) -> Result<()> {
    let heap = Heap::of(arena);
    let guard = heap.lock();
    let (mut used, usage) = heap.walk()?;
    census.blocks = used.len() as u64;
    census.free_blocks = usage.free;
    census.heap_bytes = usage.bytes;
    let mut owned = Vec::new();
    let mut full = false;
    let mut own = |field: &'static AtomicU64| {
        let offset = field.load(Relaxed);
        if offset != 0 {
            full |= owned.try_reserve(1).is_err();
            if !full {
                owned.push((offset, arena.offset_of(field)));
            }
        }
    };
    arena.cells().for_each(|cell: &Cell| cell.each_block(arena, &mut own));
    arena.slots().for_each(|slot| own(&arena.member(slot).letter));
    drop(guard);
    if full {
        return Err(Error::NoMemory("there is no memory for a list of the blocks"));
    }
    used.sort_unstable();
    owned.sort_unstable();
    if let Some(&[(block, one), (_, other)]) = owned.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return broken(format_args!("the block at {block:#x} belongs to two fields, at {one:#x} and {other:#x}"));
    }
    if let Some((offset, field)) = owned.iter().find(|(offset, _)| used.binary_search(offset).is_err()) {
        return broken(format_args!("the field at {field:#x} owns {offset:#x}, where no block in use begins"));
    }
    let has_owner = |offset: &u64| owned.binary_search_by_key(offset, |(offset, _)| *offset).is_ok();
    match used.iter().find(|offset| !has_owner(offset)) {
        Some(offset) => broken(format_args!("the block at {offset:#x} belongs to nobody")),
        None => Ok(()),
    }
}
