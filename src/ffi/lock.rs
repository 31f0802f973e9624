//! Held by a process, released by anyone (a recursive one by the thread that holds it), and never lost with a dead
//! holder.
//! - Which primitive: a lock for steps that must not mix, a recursive one where functions that take it call each other;
//!   a semaphore for things of which there are so many; an event for what has happened; a condition to wait until
//!   shared data are as they have to be; a barrier for work in phases. For a single number, a value's atomic functions.
//! - Order: who needs two locks takes them in the same order as everybody else, or tries the second (time-out 0) and
//!   gives the first back. Nothing here finds a deadlock; who acquires a plain lock again waits for himself.
//! - Time-outs: none is needed against the death of a holder. One is needed where a holder may be stuck, and says so.
//! - Cost: some 15 ns for acquire and release while nobody else wants it, without a system call. To be put to sleep and
//!   woken takes a thousand times as long: hold it briefly, compute outside, and let what is independent have its own.
//! - Release it on every way out of a function, errors too. What a thread holds when it ends stays held until its
//!   process ends.

use super::boundary;
use super::handle::{self, Kind, Named};
use super::library::carom_status;
use super::object::{self, managed};
use super::options::{self, Sized_};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::lock::{IGNORE_OWNER_DEATH, Lock, RECURSIVE};
use crate::manager::client;
use crate::shm::cell;
use crate::shm::identity;
use crate::shm::member::MemberId;
use crate::sys::clock::deadline_after_ms;

/// A lock. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_lock {
    _opaque: [u8; 0],
}

/// Options of a lock.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_lock_options {
    /// sizeof(carom_lock_options)
    pub size: usize,
    /// Not 0: a lock whose holder died is acquired plainly, without `CAROM_EOWNERDEAD`.
    pub ignore_owner_death: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_lock_options {
    const LEAST: usize = 16;
}

/// The lock of a handle and who calls, where nothing is wrong with either.
#[inline(always)]
fn look(lock: *mut carom_lock) -> Option<(Lock, MemberId)> {
    let (cell, generation) = handle::look(lock, Kind::Lock)?;
    Some((Lock::of(cell, generation), identity::get()?))
}

fn lock_of(lock: *mut carom_lock) -> Result<(Family, Lock)> {
    let named = handle::named(lock, Kind::Lock)?;
    let family = family::current()?;
    let cell = family.arena.cell(named.index).ok_or(Error::BadHandle("the lock is gone".into()))?;
    object::refuse_managed(cell)?;
    Ok((family, Lock::of(cell, named.generation)))
}

fn new(options: *const carom_lock_options, flags: u32, lock: *mut *mut carom_lock) -> carom_status {
    boundary::create(lock, || {
        let options = options::read(options)?;
        options::unused(options.reserved)?;
        let ignore = if options.ignore_owner_death != 0 { IGNORE_OWNER_DEATH } else { 0 };
        let family = family::current()?;
        let made = Lock::new(family, flags | ignore)?;
        let index = family.arena.cell_index(made.cell());
        handle::of_cell(Kind::Lock, Named { index, generation: made.generation(), view: 0 }, Some(family.me))
    })
}

/// Makes a lock, held by nobody. Options may be NULL. Usable in every process of the family: inherited by fork, or as an argument. Costs no descriptor.
///
/// Never blocks. `CAROM_ENOMEM` if the family has too many objects.
#[unsafe(no_mangle)]
pub extern "C" fn carom_lock_new(options: *const carom_lock_options, lock: *mut *mut carom_lock) -> carom_status {
    new(options, 0, lock)
}

/// Makes a recursive lock: the thread that holds it may acquire it again, and releases it as often.
///
/// As `carom_lock_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_rlock_new(options: *const carom_lock_options, lock: *mut *mut carom_lock) -> carom_status {
    new(options, RECURSIVE, lock)
}

/// Acquires the lock, waiting up to `timeout_ms`; 0 tries once. Barging: no order among those who wait.
///
/// `CAROM_ETIMEDOUT`; `CAROM_EOWNERDEAD` if a process died holding it: then it is NOT held, and every acquire says so until one caller
/// has called `carom_lock_recover`. `CAROM_EBADHANDLE` also if it is freed meanwhile.
#[unsafe(no_mangle)]
pub extern "C" fn carom_lock_acquire(lock: *mut carom_lock, timeout_ms: i64) -> carom_status {
    // The short way calls nothing that can panic, so it needs no guard; the long way, being extern "C", is a jump.
    match look(lock) {
        Some((found, me)) if found.acquire_at_once(me) => 0,
        _ => acquire(lock, timeout_ms),
    }
}

#[inline(never)]
extern "C" fn acquire(lock: *mut carom_lock, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        if let Some(lock) = managed(lock, Kind::Lock)? {
            return lock.order("acquire", timeout_ms);
        }
        let (family, lock) = lock_of(lock)?;
        lock.acquire(family, lock_deadline(timeout_ms))
    })
}

/// Acquires the lock and takes a dead holder's mark away: the caller looks after what the lock guards. Waits as `carom_lock_acquire`.
///
/// `CAROM_ETIMEDOUT`, `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_lock_recover(lock: *mut carom_lock, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        if let Some(lock) = managed(lock, Kind::Lock)? {
            return lock.order("recover", timeout_ms);
        }
        let (family, lock) = lock_of(lock)?;
        lock.recover(family, lock_deadline(timeout_ms))
    })
}

/// Releases the lock. Any process may do that for a plain lock, whoever holds it; only the holding thread for a recursive one.
///
/// Never blocks. `CAROM_EPERM` if nobody holds it, or another thread a recursive one.
#[unsafe(no_mangle)]
pub extern "C" fn carom_lock_release(lock: *mut carom_lock) -> carom_status {
    // As in `carom_lock_acquire`.
    match look(lock) {
        Some((found, me)) if found.release_at_once(me) => 0,
        _ => release(lock),
    }
}

#[inline(never)]
extern "C" fn release(lock: *mut carom_lock) -> carom_status {
    boundary::status(|| {
        if let Some(lock) = managed(lock, Kind::Lock)? {
            return lock.order("release", 0);
        }
        let (family, lock) = lock_of(lock)?;
        lock.release(family)
    })
}

/// 1 if somebody holds the lock at this moment, 0 if not.
///
/// Never blocks. `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_lock_locked(lock: *mut carom_lock) -> i32 {
    boundary::answer(|| match managed(lock, Kind::Lock)? {
        Some(lock) => Ok(lock.number("locked")? as i32),
        None => Ok(lock_of(lock)?.1.is_locked()? as i32),
    })
}

/// Ends this handle. The lock goes when no process needs it any more. NULL is nothing.
///
/// Never blocks; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_lock_free(lock: *mut carom_lock) {
    free(lock, Kind::Lock);
}

/// Ends a handle of an object in the arena.
pub(super) fn free<T>(handle: *mut T, kind: Kind) {
    let family = family::current().ok().filter(|_| !handle.is_null());
    let freed = handle::free_cell(handle, kind, family.map(|family| family.me));
    let (Some((named, true)), Some(family)) = (freed, family) else { return };
    let kept = if named.view != 0 { named.view } else { named.index };
    let let_go = || {
        if let Some(cell) = family.arena.cell(kept) {
            let generation = if named.view != 0 { cell.generation() } else { named.generation };
            cell.let_go(family.arena, generation, family.me.slot);
        }
    };
    match family.arena.cell(named.index).filter(|cell| cell.kind() == cell::Kind::Proxy) {
        Some(cell) => client::let_go(family, cell, named.generation, let_go),
        None => let_go(),
    }
}

/// The instant at which a lock's wait ends; no look at the clock for those that do not wait.
pub(super) fn lock_deadline(timeout_ms: i64) -> Option<u64> {
    if timeout_ms == 0 { Some(0) } else { deadline_after_ms(timeout_ms) }
}
