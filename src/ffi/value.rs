//! Typed bytes that a family shares, with a lock of their own (recursive), a given one, or none.
//! - get and set are one locked step each, some 25 ns; the two are no increment. For more than one step: lock, use the
//!   pointer (carom_value_data, taken once; plain memory), unlock.
//! - Values that change together have one lock: get_lock from the first, and `lock` in the options of the others.
//! - A counter or a flag needs no lock: add, swap, load and store are atomic, and never half done by a dead one.
//! - Raw, without a lock, is for data that one process writes before the others read (a join, a barrier, an event lies
//!   in between), or of which each has its own part. Else it is a race: of two increments at a time one is lost.

use super::boundary;
use super::handle::{self, Kind, Named};
use super::library::carom_status;
use super::lock::{carom_lock, free, lock_deadline};
use super::managed_value;
use super::object;
use super::options::{self, Sized_};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::lock::Lock;
use crate::pin::view_of;
use crate::shm::cell::{self, Reference};
use crate::shm::identity;
use crate::shm::member::MemberId;
use crate::shm::region::Operation;
use crate::value::{Guard, Shape, Value, size_of_type};
use std::ffi::c_void;

/// A shared value. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_value {
    _opaque: [u8; 0],
}

/// Raw bytes, of any length.
pub const CAROM_RAW: u32 = 0;
/// char, 'c'. The types are billiard's letters: `carom_value_new('i', …)` works.
pub const CAROM_CHAR: u32 = 99;
/// int8_t, 'b'.
pub const CAROM_I8: u32 = 98;
/// uint8_t, 'B'.
pub const CAROM_U8: u32 = 66;
/// bool, '?'.
pub const CAROM_BOOLEAN: u32 = 63;
/// int16_t, 'h'.
pub const CAROM_I16: u32 = 104;
/// uint16_t, 'H'.
pub const CAROM_U16: u32 = 72;
/// int32_t, 'i'.
pub const CAROM_I32: u32 = 105;
/// uint32_t, 'I'.
pub const CAROM_U32: u32 = 73;
/// wchar_t, 'u'.
pub const CAROM_WCHAR: u32 = 117;
/// int64_t, 'q' (and 'l').
pub const CAROM_I64: u32 = 113;
/// uint64_t, 'Q' (and 'L').
pub const CAROM_U64: u32 = 81;
/// float, 'f'.
pub const CAROM_F32: u32 = 102;
/// double, 'd'.
pub const CAROM_F64: u32 = 100;

/// Options of a shared value.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_shared_options {
    /// sizeof(carom_shared_options)
    pub size: usize,
    /// Guards the value instead of a lock of its own; lives as long as the value. NULL: its own.
    pub lock: *mut carom_lock,
    /// Not 0: no lock.
    pub no_lock: u32,
    /// Alignment of the data in bytes, a power of two up to 4096. 0: 16 for raw bytes, the type's size for a type.
    pub alignment: u32,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_shared_options {
    const LEAST: usize = 16;
}

/// The value's own lock and who calls, where nothing is wrong with either.
#[inline(always)]
fn own_lock(value: *mut carom_value) -> Option<(Lock, MemberId)> {
    let (cell, generation) = handle::look(value, Kind::Value)?;
    Some((Value::of(cell, generation).own_lock()?, identity::get()?))
}

fn value_of(value: *mut carom_value) -> Result<(Family, Value)> {
    let (family, cell, generation) = object::of(value, Kind::Value)?;
    Ok((family, Value::of(cell, generation)))
}

/// Makes a value of a type (`CAROM_I64`, or a letter), or of `len` raw bytes. `initial` is copied; NULL means zeros. `len` must be the type's size (0 is
/// filled in). Options may be NULL. Costs no descriptor.
///
/// Never blocks. `CAROM_EINVAL` for an unknown type, no length, a bad alignment; `CAROM_EMSGSIZE` if `len` is not the type's size;
/// `CAROM_ENOMEM` if the arena is full.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_new(
    type_: u32,
    initial: *const c_void,
    len: usize,
    options: *const carom_shared_options,
    value: *mut *mut carom_value,
) -> carom_status {
    boundary::create(value, || {
        let options = options::read(options)?;
        let len = length(type_, len)?;
        let initial = if initial.is_null() { None } else { Some(boundary::bytes(initial, len)?) };
        let natural = if type_ == CAROM_RAW { 16 } else { len };
        let alignment = alignment(&options, natural)?;
        let family = family::current()?;
        let shape = Shape { type_code: type_, item_size: len, count: 1, alignment };
        let made = Value::new(family, cell::Kind::Value, shape, initial, guard(&options)?)?;
        object::keep(family, Kind::Value, (made.cell(), made.generation()))
    })
}

pub(super) fn alignment(options: &carom_shared_options, natural: usize) -> Result<usize> {
    let alignment = if options.alignment == 0 { natural } else { options.alignment as usize };
    if !alignment.is_power_of_two() || alignment > 4096 {
        return Err(Error::invalid("an alignment is a power of two up to 4096"));
    }
    Ok(alignment)
}

pub(super) fn length(type_: u32, len: usize) -> Result<usize> {
    match size_of_type(type_) {
        None if type_ != CAROM_RAW => Err(Error::invalid("there is no such type")),
        None if len == 0 || len > isize::MAX as usize => Err(Error::invalid("raw bytes need a length")),
        None => Ok(len),
        Some(size) if len == 0 || len == size => Ok(size),
        Some(size) => Err(Error::MessageSize { needed: size, capacity: len }),
    }
}

pub(super) fn guard(options: &carom_shared_options) -> Result<Guard> {
    match (options.lock.is_null(), options.no_lock != 0) {
        (true, false) => Ok(Guard::Own),
        (true, true) => Ok(Guard::None),
        (false, false) => Ok(given(options.lock)?.map_or(Guard::Own, Guard::Given)),
        (false, true) => Err(Error::invalid("a value has a given lock or none, not both")),
    }
}

/// Where the data lies in this process; valid while the process has a handle of the value. NULL for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_data(value: *mut carom_value) -> *mut c_void {
    boundary::pointer(|| {
        let (family, value) = value_of(value)?;
        Ok(value.data(family.arena)?.address().cast())
    })
}

/// Length of the data in bytes, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_size(value: *mut carom_value) -> i64 {
    boundary::answer(|| match value_of(value) {
        Ok((_, value)) => Ok(value.len() as i64),
        Err(error) => Ok(managed_value::shape(value, Kind::Value, error)?[1]),
    })
}

/// Type of the value, as it was made with, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_type(value: *mut carom_value) -> i32 {
    boundary::answer(|| match value_of(value) {
        Ok((_, value)) => Ok(value.type_code() as i32),
        Err(error) => Ok(managed_value::shape(value, Kind::Value, error)?[0] as i32),
    })
}

/// Acquires the value's lock, as `carom_lock_acquire`.
///
/// `CAROM_EINVAL` if the value has no lock; else as `carom_lock_acquire`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_lock(value: *mut carom_value, timeout_ms: i64) -> carom_status {
    // As in `carom_lock_acquire`; a value's own lock is recursive.
    if own_lock(value).is_some_and(|(lock, me)| lock.acquire_recursive_at_once(me)) {
        return 0;
    }
    acquire(value, timeout_ms)
}

#[inline(never)]
extern "C" fn acquire(value: *mut carom_value, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        let (family, value) = value_of(value)?;
        value.lock(family.arena)?.acquire(family, lock_deadline(timeout_ms))
    })
}

/// Acquires the value's lock and takes a dead holder's mark away, as `carom_lock_recover`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_recover(value: *mut carom_value, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        let (family, value) = value_of(value)?;
        value.lock(family.arena)?.recover(family, lock_deadline(timeout_ms))
    })
}

/// Releases the value's lock, as `carom_lock_release`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_unlock(value: *mut carom_value) -> carom_status {
    // As in `carom_lock_acquire`.
    if own_lock(value).is_some_and(|(lock, me)| lock.release_recursive_at_once(me)) {
        return 0;
    }
    release(value)
}

#[inline(never)]
extern "C" fn release(value: *mut carom_value) -> carom_status {
    boundary::status(|| {
        let (family, value) = value_of(value)?;
        value.lock(family.arena)?.release(family)
    })
}

/// The lock that guards the value, as a handle of its own: yours to free, and good for other objects too.
///
/// `CAROM_EINVAL` if the value has no lock.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_get_lock(value: *mut carom_value, lock: *mut *mut carom_lock) -> carom_status {
    boundary::create(lock, || {
        let (family, value) = value_of(value)?;
        view_of_lock(family, value)
    })
}

/// A handle of the lock that guards a value or array, kept by a view.
pub(super) fn view_of_lock(family: Family, value: Value) -> Result<*mut carom_lock> {
    let guard = value.lock(family.arena)?;
    let view = family.arena.cell_index(view_of(family, guard.reference(family.arena))?);
    let index = family.arena.cell_index(guard.cell());
    handle::of_cell(Kind::Lock, Named { index, generation: guard.generation(), view }, Some(family.me))
}

/// Copies the value to `data`, which has exactly its size, with its lock held if it has one (waiting up to `timeout_ms` for it).
///
/// `CAROM_EMSGSIZE` for another size; else as `carom_value_lock`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_get(
    value: *mut carom_value,
    data: *mut c_void,
    len: usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let bytes = boundary::bytes_mut(data, len)?;
        let (family, value) = match value_of(value) {
            Ok(found) => found,
            Err(error) => return exactly(managed_value::load(value, Kind::Value, error, (0, 1), timeout_ms)?, bytes),
        };
        value.locked(family, lock_deadline(timeout_ms), |place| {
            let fits = place.len() == len && place.read(bytes);
            if fits { Ok(()) } else { Err(Error::MessageSize { needed: place.len(), capacity: len }) }
        })
    })
}

/// Copies `data`, which has exactly the value's size, to the value, as `carom_value_get` reads it.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_set(
    value: *mut carom_value,
    data: *const c_void,
    len: usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let bytes = boundary::bytes(data, len)?;
        let (family, value) = match value_of(value) {
            Ok(found) => found,
            Err(error) => return managed_value::store(value, Kind::Value, error, 0, bytes, timeout_ms),
        };
        value.locked(family, lock_deadline(timeout_ms), |place| {
            let fits = place.len() == len && place.write(bytes);
            if fits { Ok(()) } else { Err(Error::MessageSize { needed: place.len(), capacity: len }) }
        })
    })
}

/// Bytes for a place of exactly their length.
fn exactly(bytes: Vec<u8>, place: &mut [u8]) -> Result<()> {
    if bytes.len() != place.len() {
        return Err(Error::MessageSize { needed: bytes.len(), capacity: place.len() });
    }
    place.copy_from_slice(&bytes);
    Ok(())
}

fn atomic_managed(value: *mut carom_value, error: Error, operation: Operation) -> Result<i64> {
    let (operation, operand, expected) = match operation {
        Operation::Load => ("load", 0, 0),
        Operation::Store(number) => ("store", number, 0),
        Operation::Add(delta) => ("add", delta, 0),
        Operation::Swap { expected, new } => ("swap", new, expected),
    };
    managed_value::atomic(value, error, operation, operand, expected)
}

/// `before`: where what was there goes. Nothing happens if that is no place.
fn atomic(value: *mut carom_value, operation: Operation, before: *mut i64) -> carom_status {
    boundary::status(|| {
        boundary::check(before)?;
        let was = match value_of(value) {
            Ok((family, value)) => value.atomic(family.arena, operation)?,
            Err(error) => atomic_managed(value, error, operation)?,
        };
        boundary::write(before, was)
    })
}

/// Reads an integer value atomically, without its lock.
///
/// Never blocks. `CAROM_EINVAL` for a type that is no integer.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_load(value: *mut carom_value, number: *mut i64) -> carom_status {
    boundary::status(|| {
        let now = match value_of(value) {
            Ok((family, value)) => value.atomic(family.arena, Operation::Load)?,
            Err(error) => atomic_managed(value, error, Operation::Load)?,
        };
        boundary::write(number, now)
    })
}

/// Writes an integer value atomically, without its lock; what does not fit is cut off; a bool becomes 0 or 1.
///
/// As `carom_value_load`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_store(value: *mut carom_value, number: i64) -> carom_status {
    atomic(value, Operation::Store(number), &mut 0)
}

/// Adds to an integer value, but no bool, atomically, without its lock, wrapping around; `*before` is what was there (`before` may be NULL).
///
/// As `carom_value_load`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_add(value: *mut carom_value, delta: i64, before: *mut i64) -> carom_status {
    let mut unwanted = 0;
    atomic(value, Operation::Add(delta), if before.is_null() { &mut unwanted } else { before })
}

/// Writes `number` to an integer value if it is `expected`, atomically, without its lock; `*before` is what was there: `number` was written if that is `expected`.
///
/// As `carom_value_load`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_swap(
    value: *mut carom_value,
    expected: i64,
    number: i64,
    before: *mut i64,
) -> carom_status {
    atomic(value, Operation::Swap { expected, new: number }, before)
}

/// A new value with the same type and bytes as this one has now, and no lock.
///
/// `CAROM_ENOMEM`; else as `carom_value_get` with `timeout_ms`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_copy(
    value: *mut carom_value,
    copy: *mut *mut carom_value,
    timeout_ms: i64,
) -> carom_status {
    boundary::create(copy, || {
        let (family, value) = value_of(value)?;
        let bytes = value.locked(family, lock_deadline(timeout_ms), |place| {
            let mut bytes = vec![0; place.len()];
            place.read(&mut bytes);
            Ok(bytes)
        })?;
        let alignment = bytes.len().clamp(1, 16).next_power_of_two();
        let shape = Shape { type_code: value.type_code(), item_size: bytes.len(), count: 1, alignment };
        let made = Value::new(family, cell::Kind::Value, shape, Some(&bytes), Guard::None)?;
        object::keep(family, Kind::Value, (made.cell(), made.generation()))
    })
}

/// Gives a value that was made without a lock one: `lock`, or a recursive one of its own for NULL. The same value, for every process.
///
/// Never blocks. `CAROM_EEXIST` if it has a lock.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_synchronize(value: *mut carom_value, lock: *mut carom_lock) -> carom_status {
    boundary::status(|| {
        let (family, value) = value_of(value)?;
        value.synchronize(family, given(lock)?)
    })
}

/// A lock that was passed for an object to be guarded by.
pub(super) fn given(lock: *mut carom_lock) -> Result<Option<Reference>> {
    if lock.is_null() {
        return Ok(None);
    }
    let named = handle::named(lock, Kind::Lock)?;
    let cell = family::current()?.arena.cell(named.index);
    cell.map_or(Ok(()), object::refuse_managed)?;
    super::passing::reference(lock.cast()).map(Some)
}

/// Ends this handle. The value goes when no process needs it any more. NULL is nothing.
///
/// Never blocks; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_value_free(value: *mut carom_value) {
    free(value, Kind::Value);
}
