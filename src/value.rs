//! Values: typed bytes that a family shares, with a lock of their own, a given one, or none.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::family::Family;
use crate::lock::{Lock, RECURSIVE};
use crate::shm::arena::Arena;
use crate::shm::cell::{Cell, Kind, Reference};
use crate::shm::heap::Heap;
use crate::shm::memory::Deadline;
use crate::shm::region::{Operation, Region};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// The flags of a value that has no lock.
const NO_LOCK: u32 = 4;
/// The flags of a value that `refers_to` guards; with its own lock they are RECURSIVE.
const GIVEN: u32 = 0;

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

/// What the bytes of a value or an array are.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Billiard's letter, 0 for raw bytes.
    pub type_code: u32,
    /// Bytes of an item.
    pub item_size: usize,
    /// Items; 1 for a value.
    pub count: usize,
    /// Of the first item.
    pub alignment: usize,
}

/// A shared value, or an array of them; whether it is still the same object is checked by every operation.
#[derive(Clone, Copy)]
pub struct Value {
    cell: &'static Cell,
    generation: u32,
}

impl Value {
    /// A new value or array ([`Kind`]), zero or as `initial` says.
    pub fn new(family: Family, kind: Kind, shape: Shape, initial: Option<&[u8]>, guard: Guard) -> Result<Value> {
        let cell = Cell::claim(family.arena, kind, family.me.slot)?;
        let value = Value { cell, generation: cell.generation() };
        let made = value.fill(family, shape, initial, guard);
        if made.is_err() {
            cell.let_go(family.arena, value.generation, family.me.slot);
        }
        made.map(|()| value)
    }

    fn fill(self, family: Family, shape: Shape, initial: Option<&[u8]>, guard: Guard) -> Result<()> {
        const TOO_LARGE: Error = Error::NoMemory("a value larger than the arena");
        let cell = self.cell;
        let len = shape.item_size.checked_mul(shape.count).ok_or(TOO_LARGE)?;
        cell.type_code.store(shape.type_code, Relaxed);
        cell.item_size.store(shape.item_size as u64, Relaxed);
        cell.len.store(len as u64, Relaxed);
        match guard {
            Guard::Own => cell.flags.store(RECURSIVE, Relaxed),
            Guard::None => cell.flags.store(NO_LOCK, Relaxed),
            Guard::Given(lock) => cell.refer(family.arena, lock)?,
        }
        let apart = len > size_of_val(&cell.inline) || shape.alignment > 8;
        if apart {
            let room = len.checked_add(shape.alignment).ok_or(TOO_LARGE)? as u64;
            let heap = Heap::of(family.arena);
            match initial {
                Some(_) => heap.take(room, &cell.block)?,
                None => heap.take_zero(room, &cell.block)?,
            };
            cell.extra[2].store(shape.alignment as u64, Relaxed);
        }
        let data = self.data(family.arena)?;
        match initial {
            Some(initial) if initial.len() != len => {
                return Err(Error::MessageSize { needed: len, capacity: initial.len() });
            }
            Some(initial) => drop(data.write(initial)),
            None if apart => {}
            None => data.clear(),
        }
        Ok(())
    }

    /// Guards a value that has no lock, by one of its own or a given one.
    pub fn synchronize(self, family: Family, lock: Option<Reference>) -> Result<()> {
        let guarded = || Error::Exists("the object has a lock already");
        if self.cell.flags.load(Acquire) & NO_LOCK == 0 {
            return Err(guarded());
        }
        let flags = &self.cell.flags;
        let Some(lock) = lock else {
            return flags.compare_exchange(NO_LOCK, RECURSIVE, AcqRel, Acquire).map(|_| ()).map_err(|_| guarded());
        };
        let referred = self.cell.refer(family.arena, lock);
        if let Err(error @ Error::BadHandle(_)) = referred {
            return Err(error);
        }
        // Whoever has the reference first wins; if he is slow, or died, this is done for him.
        let finished = flags.compare_exchange(NO_LOCK, GIVEN, AcqRel, Acquire);
        if referred.is_ok() && finished == Err(RECURSIVE) {
            // One of its own was quicker.
            let _ = self.cell.refers_to.compare_exchange(lock.to_bits(), 0, AcqRel, Relaxed);
            return Err(guarded());
        }
        referred.map_err(|_| guarded())
    }

    /// Runs `work` with the value's lock held, if it has one.
    pub fn locked<T>(self, family: Family, deadline: Deadline, work: impl FnOnce(Region) -> Result<T>) -> Result<T> {
        if self.cell.flags.load(Acquire) & NO_LOCK != 0 {
            return work(self.data(family.arena)?);
        }
        let lock = self.lock(family.arena)?;
        lock.acquire(family, deadline)?;
        let done = self.data(family.arena).and_then(work);
        lock.release(family)?;
        done
    }

    /// One atomic operation on an integer value; what was there before.
    pub fn atomic(self, arena: Arena, operation: Operation) -> Result<i64> {
        let not_integer = Error::invalid("atomic operations are for integers");
        let signed = match char::from_u32(self.type_code()) {
            Some('b' | 'h' | 'i' | 'l' | 'q') => true,
            Some('B' | 'H' | 'I' | 'L' | 'Q' | '?' | 'c') => false,
            _ => return Err(not_integer),
        };
        let operation = match operation {
            _ if self.type_code() != '?' as u32 => operation,
            // A bool is 0 or 1; another one is none to a C compiler.
            Operation::Add(_) => return Err(not_integer),
            Operation::Store(number) => Operation::Store((number != 0) as i64),
            Operation::Swap { expected, new } => Operation::Swap { expected, new: (new != 0) as i64 },
            Operation::Load => Operation::Load,
        };
        self.data(arena)?.atomic(operation, signed).ok_or(not_integer)
    }

    /// Bytes of an item.
    pub fn item_size(self) -> u64 {
        self.cell.item_size.load(Relaxed)
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
            // Its length and its block are words that others can write: never more than the block has.
            let alignment = self.cell.extra[2].load(Relaxed).max(1);
            let skipped = block.next_multiple_of(alignment).wrapping_sub(block);
            let room = Heap::of(arena).capacity(block).unwrap_or(0).saturating_sub(skipped);
            if len <= room { Region::of(arena, block.wrapping_add(skipped), len) } else { None }
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
        let own = self.cell.flags.load(Relaxed) & RECURSIVE != 0;
        own.then(|| Lock::of(self.cell, self.generation))
    }

    /// The lock that guards it.
    pub fn lock(self, arena: Arena) -> Result<Lock> {
        match self.cell.flags.load(Acquire) {
            NO_LOCK => Err(Error::Invalid("the value was made without a lock".into())),
            GIVEN => {
                let lock = Reference::from_bits(self.cell.refers_to.load(Acquire));
                let cell = lock.cell(arena).ok_or(Error::BadHandle("the value was freed".into()))?;
                Ok(Lock::of(cell, lock.generation))
            }
            _ => Ok(Lock::of(self.cell, self.generation)),
        }
    }
}
