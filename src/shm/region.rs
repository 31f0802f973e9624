//! A range of bytes in the arena, accessed by copies only.

use super::arena::Arena;

/// One atomic operation on an integer.
#[derive(Debug, Clone, Copy)]
pub enum Operation {
    /// Reads it.
    Load,
    /// Writes it.
    Store(i64),
    /// Adds to it, wrapping around.
    Add(i64),
    /// Writes `new` if it is `expected`.
    Swap {
        /// What must be there.
        expected: i64,
        /// What is there then.
        new: i64,
    },
}

/// Copies `from` to the beginning of `to`, which is as long.
#[inline(always)]
pub fn copy(from: &[u8], to: &mut [u8]) {
    let len = from.len().min(to.len());
    // SAFETY: both have `len` bytes, and a `&mut` overlaps nothing.
    unsafe { move_bytes(from.as_ptr(), to.as_mut_ptr(), len) };
}

/// A copy that does not call memcpy for a number, or a short message: the call costs more than the copy.
///
/// # Safety
/// As `ptr::copy_nonoverlapping` of bytes.
#[inline(always)]
unsafe fn move_bytes(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: by contract.
    unsafe {
        match len {
            8 => std::ptr::copy_nonoverlapping(from, to, 8),
            4 => std::ptr::copy_nonoverlapping(from, to, 4),
            // Its first half and its last half, which may have bytes in common.
            33..=64 => {
                std::ptr::copy_nonoverlapping(from, to, 32);
                std::ptr::copy_nonoverlapping(from.add(len - 32), to.add(len - 32), 32);
            }
            _ => std::ptr::copy_nonoverlapping(from, to, len),
        }
    }
}

/// Bytes of the arena; the range was checked when the region was made, and the arena is never unmapped.
#[derive(Clone, Copy)]
pub struct Region {
    address: *mut u8,
    len: usize,
}

// SAFETY: a region is an address into a mapping that lives for ever; all access is by raw copies.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// No bytes.
    pub const EMPTY: Region = Region { address: std::ptr::without_provenance_mut(16), len: 0 };

    /// `len` bytes at `offset`, if they lie in the arena.
    pub fn of(arena: Arena, offset: u64, len: u64) -> Option<Region> {
        Some(Region { address: arena.address(offset, len)?, len: usize::try_from(len).ok()? })
    }

    /// The bytes of some words of the arena.
    #[inline(always)]
    pub fn of_words(words: &'static [std::sync::atomic::AtomicU64]) -> Region {
        Region { address: words.as_ptr().cast_mut().cast(), len: size_of_val(words) }
    }

    /// Its length in bytes.
    #[inline(always)]
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Where it lies in this process.
    #[inline(always)]
    pub fn address(self) -> *mut u8 {
        self.address
    }

    /// What lies behind its first `at` bytes; `None` if it has fewer.
    #[inline(always)]
    pub fn from(self, at: usize) -> Option<Region> {
        let len = self.len.checked_sub(at)?;
        Some(Region { address: self.address.wrapping_add(at), len })
    }

    /// Its parts of `size` bytes from number `index` on, of which it has `count`; `None` if it has not.
    pub fn row(self, index: usize, size: usize, count: usize) -> Option<Row> {
        let behind = count.checked_sub(index)?.checked_sub(1)?;
        self.part(0, count.checked_mul(size)?)?;
        Some(Row { here: self.part(index * size, size)?, behind })
    }

    /// A part of it; `None` if that is not inside.
    #[inline(always)]
    pub fn part(self, at: usize, len: usize) -> Option<Region> {
        let end = at.checked_add(len)?;
        (end <= self.len).then(|| Region { address: self.address.wrapping_add(at), len })
    }

    /// Copies `bytes` to its beginning; false if they do not fit.
    #[inline(always)]
    pub fn write(self, bytes: &[u8]) -> bool {
        if bytes.len() > self.len {
            return false;
        }
        // SAFETY: the region is inside the mapping (checked when it was made) and holds `bytes.len()`
        // bytes; `bytes` is memory of this process that nobody else writes. Who else may write the region
        // is for the protocol around it to rule out; a torn copy is the worst that could happen.
        unsafe { move_bytes(bytes.as_ptr(), self.address, bytes.len()) };
        true
    }

    /// Copies its beginning to `bytes`; false if it is shorter.
    #[inline(always)]
    pub fn read(self, bytes: &mut [u8]) -> bool {
        if bytes.len() > self.len {
            return false;
        }
        // SAFETY: as `write`, the other way round.
        unsafe { move_bytes(self.address, bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    /// Copies `bytes` to it if both are a number of 8 or 4 bytes; else false.
    #[inline(always)]
    pub fn write_number(self, bytes: &[u8]) -> bool {
        let is_number = self.len == bytes.len() && matches!(bytes.len(), 8 | 4);
        is_number && if bytes.len() == 8 { self.write(&bytes[..8]) } else { self.write(&bytes[..4]) }
    }

    /// The same, the other way round.
    #[inline(always)]
    pub fn read_number(self, bytes: &mut [u8]) -> bool {
        let is_number = self.len == bytes.len() && matches!(bytes.len(), 8 | 4);
        is_number && if bytes.len() == 8 { self.read(&mut bytes[..8]) } else { self.read(&mut bytes[..4]) }
    }

    /// Fills it with zeros.
    pub fn clear(self) {
        // SAFETY: as `write`.
        unsafe { std::ptr::write_bytes(self.address, 0, self.len) };
    }

    /// Its bytes, of which the protocol around it says that nobody writes them any more: arguments once
    /// they are sent, replies once they are committed, until whoever may give the block back does.
    #[inline(always)]
    pub fn frozen(self) -> &'static [u8] {
        // SAFETY: inside the mapping, which lives for ever; not written, by the contract above.
        unsafe { std::slice::from_raw_parts(self.address, self.len) }
    }

    /// Its bytes as one integer, changed atomically; what was there before, as a `signed` or unsigned number. `None` if
    /// they are no integer, or not aligned.
    pub fn atomic(self, operation: Operation, signed: bool) -> Option<i64> {
        use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
        use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};
        if !matches!(self.len, 1 | 2 | 4 | 8) || self.address.align_offset(self.len) != 0 {
            return None;
        }
        macro_rules! on {
            ($atomic:ident, $unsigned:ident, $signed:ident) => {{
                // SAFETY: the region is inside the mapping, which lives for ever, has the integer's size, and is
                // aligned to it (checked above); any bytes are a valid integer.
                let word = unsafe { &*self.address.cast::<$atomic>() };
                let before = match operation {
                    Operation::Load => word.load(Acquire),
                    Operation::Store(value) => {
                        word.store(value as $unsigned, Release);
                        value as $unsigned
                    }
                    Operation::Add(delta) => word.fetch_add(delta as $unsigned, AcqRel),
                    Operation::Swap { expected, new } => {
                        let cut = expected as $unsigned;
                        let whole = if signed { cut as $signed as i64 } else { cut as i64 };
                        // What does not fit is never there.
                        let swapped = match whole == expected {
                            true => word.compare_exchange(cut, new as $unsigned, AcqRel, Acquire),
                            false => Err(word.load(Acquire)),
                        };
                        swapped.unwrap_or_else(|there| there)
                    }
                };
                if signed { before as $signed as i64 } else { before as i64 }
            }};
        }
        Some(match self.len {
            1 => on!(AtomicU8, u8, i8),
            2 => on!(AtomicU16, u16, i16),
            4 => on!(AtomicU32, u32, i32),
            8 => on!(AtomicU64, u64, i64),
            _ => return None,
        })
    }
}

/// A part of a region, and how many of the same size lie behind it.
pub struct Row {
    here: Region,
    behind: usize,
}

impl Row {
    /// The part.
    #[inline(always)]
    pub fn here(&self) -> Region {
        self.here
    }

    /// On to the one behind it; false if there is none.
    #[inline(always)]
    pub fn step(&mut self) -> bool {
        if self.behind == 0 {
            return false;
        }
        self.behind -= 1;
        self.here.address = self.here.address.wrapping_add(self.here.len);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Region;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn a_row_ends_where_its_region_does() {
        static WORDS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
        let words = Region::of_words(&WORDS);
        assert!(words.row(0, 8, 5).is_none() && words.row(4, 8, 4).is_none() && words.row(0, usize::MAX, 2).is_none());
        let mut row = words.row(1, 8, 4).unwrap();
        let mut steps = 0;
        while row.step() {
            steps += 1;
        }
        assert_eq!((steps, row.here().len()), (2, 8));
        assert_eq!(row.here().address() as usize, words.address() as usize + 24);
        assert!(Region::EMPTY.row(0, 0, 3).is_some_and(|mut row| row.step() && row.step() && !row.step()));
    }
}
