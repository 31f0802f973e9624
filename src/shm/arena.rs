//! The arena: the one mapping that a process family shares, and where everything in it lies.
//!
//! ```text
//! 0            header: keeper, counters, heap root
//! MEMBERS      one record per process of the family
//! FUNCTIONS    identities of the functions that workers run
//! BELLS        one record per descriptor that somebody polls for an object
//! CELLS        one record per shared object
//! HEAP         blocks of any size
//! ```
//! Mapped once per family, inherited by fork, never unmapped: a reference into it is `'static`.
//! Memory that processes share is only ever accessed as atomics or by raw copies, never as `&[u8]`
//! while somebody may write it.

use super::bell_table::Record;
use super::cell::Cell;
use super::heap::HeapRoot;
use super::internal_lock::InternalLock;
use super::member::Member;
use super::real::Real;
use crate::error::{Error, Result};
use crate::sys::memory_file;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Members of a family, slot 0 excluded (it means "nobody").
pub const MEMBERS: usize = 4096;
/// Functions that a family's workers may run.
pub const FUNCTIONS: usize = 1024;
/// Bytes of a function record.
pub const FUNCTION_SIZE: usize = 512;
/// Descriptors that the processes of a family poll at once, for objects of the arena.
pub const BELLS: usize = 4096;

const FULL_SIZE: u64 = 64 << 30;
/// What is tried where the full size is refused: valgrind, for one, has no room for it, and its search for leaks
/// reads all of an arena.
const SMALL_SIZE: u64 = 1 << 30;
const LEAST_SIZE: u64 = 64 << 20;
const MEMBERS_AT: u64 = 4096;
const FUNCTIONS_AT: u64 = MEMBERS_AT + (MEMBERS * size_of::<Member>()) as u64;
const BELLS_AT: u64 = FUNCTIONS_AT + (FUNCTIONS * FUNCTION_SIZE) as u64;
const CELLS_AT: u64 = BELLS_AT + (BELLS * size_of::<Record>()) as u64;
const _: () = assert!(CELLS_AT.is_multiple_of(align_of::<Cell>() as u64));

/// Of what build the arena is: processes of another one would find everything elsewhere in it.
const STAMP: u64 = {
    let sizes = size_of::<Header>() as u64 + size_of::<Member>() as u64 * 3 + size_of::<Cell>() as u64 * 5;
    let mut stamp = 0xca40_a4e4_a000_0000 ^ CELLS_AT ^ sizes << 32;
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let mut at = 0;
    while at < version.len() {
        stamp = stamp.rotate_left(7) ^ version[at] as u64;
        at += 1;
    }
    stamp
};

/// First page of the arena. Each group of words that different processes write often has a cache
/// line of its own.
#[repr(C)]
pub struct Header {
    /// Bytes of the arena. Written once.
    pub size: AtomicU64,
    /// Cells there is room for. Written once.
    pub cell_limit: AtomicU64,
    /// Where the heap begins. Written once.
    pub heap_at: AtomicU64,
    /// [`STAMP`]. Written once.
    stamp: AtomicU64,
    /// Words of the family's key, each 0 until somebody has asked. Whoever asks first, each for itself.
    pub key: [AtomicU64; 4],
    /// Whether the family's keeper lives.
    pub keeper: Liveness,
    /// Members that the keeper may not watch yet. Raised by whoever makes one, zeroed by the keeper
    /// before it looks.
    pub unwatched: AtomicU32,
    /// Highest member slot ever used. Only grows.
    pub member_high: AtomicU32,
    /// Records of bells ever used. Only grows.
    pub bell_high: AtomicU32,
    /// Not 0: a word named a process that there is not. Raised by whoever took it for what the dead leave.
    pub damage: AtomicU32,
    pad1: [u32; 8],
    /// Counts births of members; orders them against births and ends of cells.
    pub births: AtomicU64,
    pad2: [u64; 7],
    /// Cells ever used. Only grows.
    pub cell_high: AtomicU64,
    /// Cells that are free below `cell_high`: a hint, exact when nobody dies.
    pub cells_free: AtomicU64,
    /// Where the next search for a free cell begins: a hint.
    pub cell_hint: AtomicU64,
    pad3: [u64; 5],
    /// Functions in use; those below are complete.
    pub functions: AtomicU32,
    pad4: u32,
    /// Guards `functions` and the records.
    pub function_lock: InternalLock<Real>,
    pad5: [u64; 6],
    /// Free lists of the heap and their lock.
    pub heap: HeapRoot,
}

/// A word that says whether a keeper lives, and the link that puts it on the keeper's robust list.
#[repr(C)]
pub struct Liveness {
    /// The keeper's liveness word: its thread id with bit 31 (somebody may sleep on it). The kernel
    /// clears the id and sets bit 30 when the keeper dies. 0: there never was one.
    pub word: AtomicU32,
    pad: u32,
    /// Address of the next link in the keeper's own memory. Written by the keeper, read by the kernel.
    pub link: AtomicU64,
}

impl Liveness {
    /// Whether a keeper holds the word now.
    pub fn lives(&self) -> bool {
        self.living_word().is_some()
    }

    /// The word as it is while the keeper lives: what a sleeper sleeps on. In one look, for after a
    /// second one the keeper could be dead, and its only wake spent.
    pub fn living_word(&self) -> Option<u32> {
        let word = self.word.load(Ordering::Acquire);
        (word & 0x3fff_ffff != 0).then_some(word)
    }
}

const _: () = assert!(size_of::<Header>() <= MEMBERS_AT as usize);

/// Address of the arena in this process, 0 before there is one. Written once per process line.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the mapping. Not asked of the header, which everybody can write: whatever stands there, no access leaves
/// the mapping.
static SIZE: AtomicU64 = AtomicU64::new(0);

/// A cell is as large as two cache lines; an eighth of the arena holds more than anybody needs.
fn cells_of(size: u64) -> u64 {
    (size / 8 / size_of::<Cell>() as u64).min(1 << 24)
}

fn heap_of(size: u64) -> u64 {
    (CELLS_AT + cells_of(size) * size_of::<Cell>() as u64 + 0xfff) & !0xfff
}

/// Descriptor of the arena's memory, -1 before there is one, and what tells that file from others: the host
/// may have closed it, and opened something else.
static FILE: AtomicI32 = AtomicI32::new(-1);
static FILE_IS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// The arena of this process. Free to copy: it is only proof that the mapping exists.
#[derive(Clone, Copy)]
pub struct Arena {
    base: usize,
}

impl Arena {
    /// The arena, if this process has one.
    #[inline(always)]
    pub fn get() -> Option<Arena> {
        let base = BASE.load(Ordering::Acquire);
        (base != 0).then_some(Arena { base })
    }

    /// Makes the arena of a new family. To be called by one thread, once.
    pub fn create() -> Result<Arena> {
        let most = memory_file::reservable(FULL_SIZE);
        if most < LEAST_SIZE {
            return Err(Error::NoMemory("the limits of this process leave no room for the arena"));
        }
        let smaller = [SMALL_SIZE, LEAST_SIZE].into_iter().filter(|size| *size < most);
        let map = |size| memory_file::map_for_ever(c"carom", size).map(|made| (made, size));
        let ((base, file), size) = smaller.fold(map(most), |done, size| done.or_else(|_| map(size)))?;
        let arena = Arena { base: base as usize };
        let header = arena.header();
        SIZE.store(size, Ordering::Relaxed);
        header.size.store(size, Ordering::Relaxed);
        header.cell_limit.store(arena.cell_limit(), Ordering::Relaxed);
        header.heap_at.store(arena.heap_at(), Ordering::Relaxed);
        header.cell_high.store(1, Ordering::Relaxed);
        header.heap.create(arena.heap_at());
        header.stamp.store(STAMP, Ordering::Relaxed);
        arena.keep(file);
        Ok(arena)
    }

    /// Maps the arena of a family that this process was started for. To be called by one thread, once.
    pub fn attach(file: OwnedFd) -> Result<Arena> {
        let (base, size) = memory_file::map_again(&file)?;
        let arena = Arena { base: base as usize };
        let is_ours = size >= LEAST_SIZE && {
            let header = arena.header();
            header.stamp.load(Ordering::Relaxed) == STAMP && header.size.load(Ordering::Relaxed) == size
        };
        if !is_ours {
            return Err(Error::Broken("the program and its child use different versions of carom".into()));
        }
        SIZE.store(size, Ordering::Relaxed);
        arena.keep(file);
        Ok(arena)
    }

    fn keep(self, file: OwnedFd) {
        let (device, inode) = memory_file::facts(file.as_raw_fd()).unwrap_or_default().1;
        FILE_IS[0].store(device, Ordering::Relaxed);
        FILE_IS[1].store(inode, Ordering::Relaxed);
        FILE.store(file.into_raw_fd(), Ordering::Release);
        BASE.store(self.base, Ordering::Release);
    }

    /// Descriptor of its memory, for a process that does not inherit the mapping.
    pub fn file(self) -> Result<RawFd> {
        let file = FILE.load(Ordering::Acquire);
        let is = (FILE_IS[0].load(Ordering::Relaxed), FILE_IS[1].load(Ordering::Relaxed));
        match memory_file::facts(file) {
            Some((_, facts)) if facts == is => Ok(file),
            _ => Err(Error::Broken("this process has closed a descriptor of carom's".into())),
        }
    }

    /// The number of that descriptor, whatever became of it; -1 before there is one.
    pub fn file_number() -> RawFd {
        FILE.load(Ordering::Acquire)
    }

    /// The first page.
    #[inline(always)]
    pub fn header(self) -> &'static Header {
        // SAFETY: `base` is the start of a mapping of at least LEAST_SIZE bytes that is never unmapped
        // (established in `create`); `Header` is made of atomics, for which any bytes are valid.
        unsafe { &*(self.base as *const Header) }
    }

    /// Its bytes.
    #[inline(always)]
    pub fn size(self) -> u64 {
        SIZE.load(Ordering::Relaxed)
    }

    /// Cells there is room for.
    #[inline(always)]
    pub fn cell_limit(self) -> u64 {
        cells_of(self.size())
    }

    /// Where the heap begins.
    pub fn heap_at(self) -> u64 {
        heap_of(self.size())
    }

    /// Every member slot that was ever used.
    #[inline(always)]
    pub fn slots(self) -> std::ops::RangeInclusive<u32> {
        1..=self.header().member_high.load(Ordering::Acquire).min(MEMBERS as u32 - 1)
    }

    /// Every cell that was ever used. `cell_high` is believed only as far as there are such: whoever is killed between
    /// raising it and using the cell leaves one out, but not as many as there may be processes, one after the other.
    pub fn cells(self) -> impl Iterator<Item = &'static Cell> {
        let high = self.header().cell_high.load(Ordering::Acquire).min(self.cell_limit());
        let mut unused = 0;
        (1..high).map_while(move |index| {
            let cell = self.cell(index)?;
            unused = if cell.was_used() { 0 } else { unused + 1 };
            (unused < MEMBERS).then_some(cell)
        })
    }

    /// The member record of a slot.
    #[inline(always)]
    pub fn member(self, slot: u32) -> &'static Member {
        let index = slot as usize % MEMBERS;
        // SAFETY: as `header`; MEMBERS records begin at MEMBERS_AT, and `index` is below MEMBERS.
        unsafe { &*((self.base + MEMBERS_AT as usize) as *const Member).add(index) }
    }

    /// Every record of a bell, used or not.
    pub fn bells(self) -> impl Iterator<Item = &'static Record> {
        // SAFETY: as `header`; BELLS records begin at BELLS_AT, and `index` is below it.
        (0..BELLS).map(move |index| unsafe { &*((self.base + BELLS_AT as usize) as *const Record).add(index) })
    }

    /// The cell of an index; `None` beyond the table.
    #[inline(always)]
    pub fn cell(self, index: u64) -> Option<&'static Cell> {
        if index == 0 || index >= self.cell_limit() {
            return None;
        }
        // SAFETY: as `header`; `cell_limit` cells begin at CELLS_AT, and `index` is below it.
        Some(unsafe { &*((self.base + CELLS_AT as usize) as *const Cell).add(index as usize) })
    }

    /// Index of a cell.
    pub fn cell_index(self, cell: &Cell) -> u64 {
        (cell as *const Cell as usize - self.base - CELLS_AT as usize) as u64 / size_of::<Cell>() as u64
    }

    /// Where function record `index` lies.
    pub fn function_at(self, index: u32) -> u64 {
        FUNCTIONS_AT + (index as u64 % FUNCTIONS as u64) * FUNCTION_SIZE as u64
    }

    /// Address of `len` bytes at an offset; `None` if they are not inside the arena.
    #[inline(always)]
    pub fn address(self, offset: u64, len: u64) -> Option<*mut u8> {
        let end = offset.checked_add(len)?;
        let inside = offset >= MEMBERS_AT && end <= self.size();
        inside.then_some((self.base as u64 + offset) as *mut u8)
    }

    /// The 64-bit word at an offset; `None` if it is unaligned or outside.
    #[inline(always)]
    pub fn word(self, offset: u64) -> Option<&'static AtomicU64> {
        if !offset.is_multiple_of(8) {
            return None;
        }
        // SAFETY: `address` checks the range; the mapping is page-aligned, so the word is aligned; it is
        // never unmapped, and any bytes are a valid AtomicU64.
        self.address(offset, 8).map(|address| unsafe { &*address.cast::<AtomicU64>() })
    }

    /// So many 64-bit words from an offset on; `None` if they are unaligned or not inside.
    #[inline(always)]
    pub fn words(self, offset: u64, count: u64) -> Option<&'static [AtomicU64]> {
        if !offset.is_multiple_of(8) {
            return None;
        }
        let address = self.address(offset, count.checked_mul(8)?)?;
        // SAFETY: as in `word`.
        Some(unsafe { std::slice::from_raw_parts(address.cast::<AtomicU64>(), count as usize) })
    }

    /// Offset of a word of the arena.
    #[inline(always)]
    pub fn offset_of<T>(self, thing: &T) -> u64 {
        (thing as *const T as usize - self.base) as u64
    }
}
