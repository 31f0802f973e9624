//! Values: typed bytes that a family shares, with a lock of their own, a given one, or none.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::family::Family;
use crate::lock::{Lock, RECURSIVE};
use crate::shm::arena::Arena;
use crate::shm::cell::{Cell, Kind, Reference};
use crate::shm::heap::Heap;
use crate::shm::region::Region;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// The value has no lock.
const NO_LOCK: u32 = 4;

/// How many bytes a type has, by billiard's letter; `None` for raw bytes (0) and for no type at all.
pub fn size_of_type(letter: u32) -> Option<usize> {
    match char::from_u32(letter)? {
        'c' | 'b' | 'B' | '?' => Some(1),
        'h' | 'H' => Some(2),
        'i' | 'I' | 'f' | 'u' => Some(4),
        'l' | 'L' | 'q' | 'Q' | 'd' => Some(8),
        _ => None,
    }
}

/// What guards a value.
#[derive(Clone, Copy)]
pub enum Guard {
    /// A recursive lock of its own.
    Own,
    /// A lock that is there already.
    Given(Reference),
    /// Nothing.
    None,
}

/// A shared value; whether it is still the same object is checked by every operation.
#[derive(Clone, Copy)]
pub struct Value {
    cell: &'static Cell,
    generation: u32,
}

impl Value {
    /// A new value of `len` bytes aligned to `alignment`, zero or as `initial` says.
    pub fn new(
        family: Family,
        type_code: u32,
        len: usize,
        alignment: usize,
        initial: Option<&[u8]>,
        guard: Guard,
    ) -> Result<Value> {
        let cell = Cell::claim(family.arena, Kind::Value, family.me.slot)?;
        let value = Value { cell, generation: cell.generation() };
        let made = value.fill(family, type_code, len, alignment, initial, guard);
        if made.is_err() {
            cell.let_go(family.arena, value.generation, family.me.slot);
        }
        made.map(|()| value)
    }

    fn fill(
        self,
        family: Family,
        type_code: u32,
        len: usize,
        alignment: usize,
        initial: Option<&[u8]>,
        guard: Guard,
    ) -> Result<()> {
        let cell = self.cell;
        cell.type_code.store(type_code, Relaxed);
        cell.len.store(len as u64, Relaxed);
        match guard {
            Guard::Own => cell.flags.store(RECURSIVE, Relaxed),
            Guard::None => cell.flags.store(NO_LOCK, Relaxed),
            Guard::Given(lock) => cell.refer(family.arena, lock)?,
        }
        if len > size_of_val(&cell.inline) || alignment > 8 {
            let room = len.checked_add(alignment).ok_or(Error::NoMemory("a value larger than the arena"))?;
            Heap::of(family.arena).take(room as u64, &cell.block)?;
            cell.extra[3].store(alignment as u64, Relaxed);
        }
        let data = self.data(family.arena)?;
        match initial {
            Some(initial) if initial.len() != len => Err(Error::MessageSize { needed: len, capacity: initial.len() }),
            Some(initial) => {
                data.write(initial);
                Ok(())
            }
            None => {
                data.clear();
                Ok(())
            }
        }
    }

    /// The value of a cell that is there.
    #[inline(always)]
    pub fn of(cell: &'static Cell, generation: u32) -> Value {
        Value { cell, generation }
    }

    /// The cell that the value is in.
    pub fn cell(self) -> &'static Cell {
        self.cell
    }

    /// Generation of the object.
    pub fn generation(self) -> u32 {
        self.generation
    }

    /// What others call it.
    pub fn reference(self, arena: Arena) -> Reference {
        self.cell.reference(arena)
    }

    /// Its bytes.
    pub fn data(self, arena: Arena) -> Result<Region> {
        let len = self.cell.len.load(Relaxed);
        let block = self.cell.block.load(Acquire);
        let gone = || Error::BadHandle("the value was freed".into());
        let region = if block == 0 {
            Region::of_words(&self.cell.inline).part(0, len as usize)
        } else {
            let alignment = self.cell.extra[3].load(Relaxed).max(1);
            Region::of(arena, block.next_multiple_of(alignment), len)
        };
        if self.cell.generation() != self.generation {
            return Err(gone());
        }
        region.ok_or_else(gone)
    }

    /// Its type, a letter of billiard's, 0 for raw bytes.
    pub fn type_code(self) -> u32 {
        self.cell.type_code.load(Relaxed)
    }

    /// Its length in bytes.
    pub fn len(self) -> u64 {
        self.cell.len.load(Relaxed)
    }

    /// Whether it has no bytes.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The lock of its own that guards it, if that is what does.
    #[inline(always)]
    pub fn own_lock(self) -> Option<Lock> {
        let own = self.cell.refers_to.load(Relaxed) == 0 && self.cell.flags.load(Relaxed) & NO_LOCK == 0;
        own.then(|| Lock::of(self.cell, self.generation))
    }

    /// The lock that guards it.
    pub fn lock(self, arena: Arena) -> Result<Lock> {
        let given = self.cell.refers_to.load(Relaxed);
        if given != 0 {
            let lock = Reference::from_bits(given);
            let cell = lock.cell(arena).ok_or(Error::BadHandle("the value was freed".into()))?;
            return Ok(Lock::of(cell, lock.generation));
        }
        if self.cell.flags.load(Relaxed) & NO_LOCK != 0 {
            return Err(Error::Invalid("the value was made without a lock".into()));
        }
        Ok(Lock::of(self.cell, self.generation))
    }
}
