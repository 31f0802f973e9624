//! Units that are taken and given back. Owned ones come back when the process that took them dies.
//! - For what there are so many of: connections, licences, workers at a time. Take before use, give back after.
//! - Bounded, if a unit given back twice would be a mistake: it is refused. To a plain one it is one unit more.
//! - Owned, if a user may die: plain units die with it. Plain, if one takes and another gives: items in a queue, turns.
//! - No replacement for a lock: the single unit of a plain one is lost with its holder. It costs as much.

use super::boundary;
use super::handle::{self, Kind};
use super::library::carom_status;
use super::lock::{free, lock_deadline};
use super::object::{self, managed};
use super::options::{self, Sized_};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::shm::identity;
use crate::sync::semaphore::{Options, Semaphore};

/// A semaphore. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_semaphore {
    _opaque: [u8; 0],
}

/// Options of a semaphore.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_semaphore_options {
    /// sizeof(carom_semaphore_options)
    pub size: usize,
    /// Not 0: units belong to the process that took them, come back when it dies, and are given back by it alone; at most 4096. 0: units of the dead are gone.
    pub owned: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_semaphore_options {
    const LEAST: usize = 16;
}

/// The semaphore of a handle, where nothing is wrong with it nor with who calls.
#[inline(always)]
fn look(semaphore: *mut carom_semaphore) -> Option<Semaphore> {
    let (cell, generation) = handle::look(semaphore, Kind::Semaphore)?;
    identity::get().map(|_| Semaphore::of(cell, generation))
}

fn semaphore_of(semaphore: *mut carom_semaphore) -> Result<(Family, Semaphore)> {
    let (family, cell, generation) = object::of(semaphore, Kind::Semaphore)?;
    Ok((family, Semaphore::of(cell, generation)))
}

fn new(
    value: i64,
    options: *const carom_semaphore_options,
    bounded: bool,
    semaphore: *mut *mut carom_semaphore,
) -> carom_status {
    boundary::create(semaphore, || {
        let options = options::read(options)?;
        options::unused(options.reserved)?;
        let units = u64::try_from(value).map_err(|_| Error::invalid("a semaphore cannot have fewer than 0 units"))?;
        let family = family::current()?;
        let made = Semaphore::make(family, units, Options { bounded, owned: options.owned != 0 })?;
        object::keep(family, Kind::Semaphore, made)
    })
}

/// Makes a semaphore with `value` units, 0 or more. Options may be NULL.
///
/// Never blocks. `CAROM_EINVAL` for fewer than 0 units, or more than 4096 owned ones; `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_semaphore_new(
    value: i64,
    options: *const carom_semaphore_options,
    semaphore: *mut *mut carom_semaphore,
) -> carom_status {
    new(value, options, false, semaphore)
}

/// Makes a semaphore that never has more than `value` units.
///
/// As `carom_semaphore_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_bounded_semaphore_new(
    value: i64,
    options: *const carom_semaphore_options,
    semaphore: *mut *mut carom_semaphore,
) -> carom_status {
    new(value, options, true, semaphore)
}

/// Takes a unit, waiting up to `timeout_ms` for one; 0 tries once.
///
/// `CAROM_ETIMEDOUT`, `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_semaphore_acquire(semaphore: *mut carom_semaphore, timeout_ms: i64) -> carom_status {
    // As in `carom_lock_acquire`.
    match look(semaphore) {
        Some(semaphore) if semaphore.acquire_at_once() => 0,
        _ => acquire(semaphore, timeout_ms),
    }
}

#[inline(never)]
extern "C" fn acquire(semaphore: *mut carom_semaphore, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        if let Some(semaphore) = managed(semaphore, Kind::Semaphore)? {
            return semaphore.order("acquire", timeout_ms);
        }
        let (family, semaphore) = semaphore_of(semaphore)?;
        semaphore.acquire(family, lock_deadline(timeout_ms))
    })
}

/// Gives a unit back; a plain semaphore may be given more than were taken.
///
/// Never blocks. `CAROM_EPERM` if a bounded one has all its units, or this process owns none of an owned one.
#[unsafe(no_mangle)]
pub extern "C" fn carom_semaphore_release(semaphore: *mut carom_semaphore) -> carom_status {
    match look(semaphore) {
        Some(semaphore) if semaphore.release_at_once() => 0,
        _ => release(semaphore),
    }
}

#[inline(never)]
extern "C" fn release(semaphore: *mut carom_semaphore) -> carom_status {
    boundary::status(|| {
        if let Some(semaphore) = managed(semaphore, Kind::Semaphore)? {
            return semaphore.order("release", 0);
        }
        let (family, semaphore) = semaphore_of(semaphore)?;
        semaphore.release(family)
    })
}

/// Units left at this moment, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_semaphore_value(semaphore: *mut carom_semaphore) -> i64 {
    boundary::answer(|| {
        if let Some(semaphore) = managed(semaphore, Kind::Semaphore)? {
            return semaphore.number("value");
        }
        let (family, semaphore) = semaphore_of(semaphore)?;
        Ok(semaphore.value(family)? as i64)
    })
}

/// Ends this handle, as `carom_lock_free`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_semaphore_free(semaphore: *mut carom_semaphore) {
    free(semaphore, Kind::Semaphore);
}
