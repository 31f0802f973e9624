//! An entry of a process's table of handles (`ffi/handle.rs`): what a look at it finds while other threads free it and
//! use it again. Of one process only, but a protocol like the others.

use super::memory::{Memory, Word64};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Bit of a tag: freed, and still in use.
pub const FREED: u64 = 1 << 31;
/// Of a tag: how many calls use the object.
pub const USERS: u64 = FREED - 1;

/// Handles and tags are described in `ffi/handle.rs`.
#[repr(C, align(32))]
pub struct Entry<M: Memory> {
    /// What decides. Written last by whoever makes a handle, and first by whoever ends it.
    pub tag: M::W64,
    /// Address of the cell of an object in the arena. Never anything but that or 0, whatever becomes of the entry: so
    /// even a look that comes too late finds a cell, and there what tells one object from the next.
    pub cell: M::W64,
    /// Arena: generation of the object, and above it the index of the view that keeps it, 0 for none. Else:
    /// address of the boxed object.
    pub payload: M::W64,
    /// Member that the handle belongs to: slot, generation. A copy in a forked child is not its own. 0: it
    /// is borrowed, and keeps nothing; or of a kind that needs no family, and whose copy is as good as it. While free:
    /// the next free entry.
    pub owner: M::W64,
}

impl<M: Memory> Entry<M> {
    /// Makes it the entry of a handle of `kind`; the high half of that.
    pub fn install(&self, kind: u8, cell: u64, payload: u64, owner: u64) -> u64 {
        // Release: whoever meets one of these words finds the entry's former tag gone, see `seen`.
        self.cell.store(cell, Release);
        self.payload.store(payload, Release);
        self.owner.store(owner, Release);
        // The generation is 24 bits of the tag; a zero tag has never been used.
        let age = (self.tag.load(Relaxed) >> 40) & 0xff_ffff;
        let high = age << 8 | kind as u64;
        self.tag.store(high << 32, Release);
        high
    }

    /// Cell and payload, if it is still the entry of `handle`, of an object of the arena of `kind`.
    #[inline(always)]
    pub fn seen(&self, handle: u64, kind: u8) -> Option<(u64, u64)> {
        let (cell, payload) = (self.cell.load(Acquire), self.payload.load(Acquire));
        // After them: had the entry become another handle's before one of the two loads, its tag would be
        // another by now (see `install`). Such an entry has no users and is never FREED: the low half is 0.
        let same = self.tag.load(Acquire) == handle & !0xffff_ffff && (handle >> 32) as u8 == kind;
        (same && cell != 0).then_some((cell, payload))
    }

    /// Ends the handle whose tag this is; false if somebody else did.
    pub fn end(&self, tag: u64) -> bool {
        self.tag.compare_exchange(tag, next(tag), AcqRel, Relaxed).is_ok()
    }
}

/// The tag of a free entry: of the next generation and of no kind.
pub fn next(tag: u64) -> u64 {
    ((tag >> 40) + 1) << 40
}
