//! Many items of one type that a family shares, guarded as a value is.
//! - get and set copy any number of items under one lock: a call for a thousand costs a few calls for one.
//! - In place: through carom_array_data, with the lock held for as long as the items must belong together.
//! - Raw where each process has its own items, as rows of a matrix, and the others read when it is done. Parts that are
//!   written at the same time had better lie 64 bytes apart, a cache line, or they slow each other down.

use super::boundary;
use super::handle::Kind;
use super::library::carom_status;
use super::lock::{carom_lock, free, lock_deadline};
use super::managed_value;
use super::object;
use super::options;
use super::value::{alignment, carom_shared_options, given, guard, length, view_of_lock};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::shm::cell;
use crate::shm::region::Region;
use crate::value::{Shape, Value};
use std::ffi::c_void;

/// A shared array. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_array {
    _opaque: [u8; 0],
}

fn array_of(array: *mut carom_array) -> Result<(Family, Value)> {
    let (family, cell, generation) = object::of(array, Kind::Array)?;
    Ok((family, Value::of(cell, generation)))
}

/// Makes an array of `count` items of a type, or of `item_size` raw bytes each (for a type its size, or 0). `initial`, of `count` items, is copied; NULL means zeros.
/// Options may be NULL. Costs no descriptor.
///
/// Never blocks. As `carom_value_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_new(
    type_: u32,
    item_size: usize,
    count: usize,
    initial: *const c_void,
    options: *const carom_shared_options,
    array: *mut *mut carom_array,
) -> carom_status {
    boundary::create(array, || {
        let options = options::read(options)?;
        let item_size = length(type_, item_size)?;
        let absurd = Error::NoMemory("an array larger than the arena");
        let len = item_size.checked_mul(count).filter(|len| *len <= isize::MAX as usize).ok_or(absurd)?;
        let initial = if initial.is_null() { None } else { Some(boundary::bytes(initial, len)?) };
        let alignment = alignment(&options, 16)?;
        let family = family::current()?;
        let shape = Shape { type_code: type_, item_size, count, alignment };
        let made = Value::new(family, cell::Kind::Array, shape, initial, guard(&options)?)?;
        object::keep(family, Kind::Array, (made.cell(), made.generation()))
    })
}

/// Where the items lie in this process; valid while the process has a handle of the array. NULL for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_data(array: *mut carom_array) -> *mut c_void {
    boundary::pointer(|| {
        let (family, array) = array_of(array)?;
        Ok(array.data(family.arena)?.address().cast())
    })
}

/// How many items, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_count(array: *mut carom_array) -> i64 {
    boundary::answer(|| match array_of(array) {
        Ok((_, array)) => Ok((array.len() / array.item_size().max(1)) as i64),
        Err(error) => Ok(managed_value::shape(array, Kind::Array, error)?[2]),
    })
}

/// Type of the items, as the array was made with, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_type(array: *mut carom_array) -> i32 {
    boundary::answer(|| match array_of(array) {
        Ok((_, array)) => Ok(array.type_code() as i32),
        Err(error) => Ok(managed_value::shape(array, Kind::Array, error)?[0] as i32),
    })
}

/// Items `first` to `first + count` of an array, and their bytes.
fn slice(place: Region, array: Value, first: usize, count: usize) -> Result<Region> {
    let size = array.item_size() as usize;
    let beyond = || Error::invalid("the array has no such items");
    let (at, len) = (first.checked_mul(size).ok_or_else(beyond)?, count.checked_mul(size).ok_or_else(beyond)?);
    place.part(at, len).ok_or_else(beyond)
}

/// Copies `count` items from index `first` on to `data`, with the array's lock held if it has one (waiting up to `timeout_ms` for it).
///
/// `CAROM_EINVAL` beyond the end, `CAROM_EMSGSIZE` if `capacity` bytes are too few; else as `carom_value_lock`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_get(
    array: *mut carom_array,
    first: usize,
    count: usize,
    data: *mut c_void,
    capacity: usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let bytes = boundary::bytes_mut(data, capacity)?;
        let (family, array) = match array_of(array) {
            Ok(found) => found,
            Err(error) => {
                let items = managed_value::load(array, Kind::Array, error, (first, count), timeout_ms)?;
                let room = bytes.get_mut(..items.len());
                room.ok_or(Error::MessageSize { needed: items.len(), capacity })?.copy_from_slice(&items);
                return Ok(());
            }
        };
        array.locked(family, lock_deadline(timeout_ms), |place| {
            let items = slice(place, array, first, count)?;
            let room = bytes.get_mut(..items.len());
            let room = room.ok_or(Error::MessageSize { needed: items.len(), capacity })?;
            items.read(room);
            Ok(())
        })
    })
}

/// Copies `len` bytes of whole items from `data` to the array, from index `first` on, as `carom_array_get` reads them.
///
/// `CAROM_EINVAL` beyond the end, or if `len` is no number of whole items; else as `carom_value_lock`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_set(
    array: *mut carom_array,
    first: usize,
    data: *const c_void,
    len: usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let bytes = boundary::bytes(data, len)?;
        let (family, array) = match array_of(array) {
            Ok(found) => found,
            Err(error) => return managed_value::store(array, Kind::Array, error, first, bytes, timeout_ms),
        };
        let size = array.item_size().max(1) as usize;
        if !len.is_multiple_of(size) {
            return Err(Error::invalid("the bytes are no number of whole items"));
        }
        array.locked(family, lock_deadline(timeout_ms), |place| {
            slice(place, array, first, len / size)?.write(bytes);
            Ok(())
        })
    })
}

/// Acquires the array's lock, as `carom_value_lock`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_lock(array: *mut carom_array, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        let (family, array) = array_of(array)?;
        array.lock(family.arena)?.acquire(family, lock_deadline(timeout_ms))
    })
}

/// Acquires the array's lock and takes a dead holder's mark away, as `carom_lock_recover`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_recover(array: *mut carom_array, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        let (family, array) = array_of(array)?;
        array.lock(family.arena)?.recover(family, lock_deadline(timeout_ms))
    })
}

/// Releases the array's lock, as `carom_lock_release`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_unlock(array: *mut carom_array) -> carom_status {
    boundary::status(|| {
        let (family, array) = array_of(array)?;
        array.lock(family.arena)?.release(family)
    })
}

/// The lock that guards the array, as `carom_value_get_lock`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_get_lock(array: *mut carom_array, lock: *mut *mut carom_lock) -> carom_status {
    boundary::create(lock, || {
        let (family, array) = array_of(array)?;
        view_of_lock(family, array)
    })
}

/// Gives an array that was made without a lock one, as `carom_value_synchronize`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_synchronize(array: *mut carom_array, lock: *mut carom_lock) -> carom_status {
    boundary::status(|| {
        let (family, array) = array_of(array)?;
        array.synchronize(family, given(lock)?)
    })
}

/// Ends this handle, as `carom_value_free`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_array_free(array: *mut carom_array) {
    free(array, Kind::Array);
}
