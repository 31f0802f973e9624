//! Waiting, without a lock, for news about what the lock guards.
//! - Whoever waits: acquire, wait_for, use the data, release. wait alone may end without news: let it stand in a loop
//!   that looks at the data. Whoever changes the data notifies before the lock is released.
//! - notify(1) if each waiter can use each news; notify_all if they wait for different things, and at the end.
//! - A time-out limits the wait, not the acquiring behind it: hold the lock briefly everywhere.
//! - For one bit that stays as it is, an event is simpler; for counting, a semaphore.

use super::boundary;
use super::handle::Kind;
use super::library::carom_status;
use super::lock::{carom_lock, free, lock_deadline};
use super::object::{self, managed};
use super::value::given;
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::manager::value::Value;
use crate::sync::condition::Condition;
use crate::sys::clock::{deadline_after_ms, now_ns};
use std::ffi::c_void;

/// A condition. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_condition {
    _opaque: [u8; 0],
}

/// Says whether the wait is over: not 0 if it is. Called with the lock held, on the thread that waits; it must not unwind.
#[allow(non_camel_case_types)]
pub type carom_predicate = Option<extern "C" fn(ctx: *mut c_void) -> i32>;

fn condition_of(condition: *mut carom_condition) -> Result<(Family, Condition)> {
    let (family, cell, generation) = object::of(condition, Kind::Condition)?;
    Ok((family, Condition::of(cell, generation)))
}

/// Makes a condition over `lock`, plain or recursive, which lives as long as the condition; NULL: over a recursive lock of its own.
///
/// Never blocks. `CAROM_ENOMEM`, `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_new(lock: *mut carom_lock, condition: *mut *mut carom_condition) -> carom_status {
    boundary::create(condition, || {
        let family = family::current()?;
        let given = given(lock)?;
        object::keep(family, Kind::Condition, Condition::make(family, given)?)
    })
}

/// Acquires the condition's lock, as `carom_lock_acquire`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_acquire(condition: *mut carom_condition, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        if let Some(condition) = managed(condition, Kind::Condition)? {
            return condition.order("acquire", timeout_ms);
        }
        let (family, condition) = condition_of(condition)?;
        condition.lock(family)?.acquire(family, lock_deadline(timeout_ms))
    })
}

/// Acquires the condition's lock and takes a dead holder's mark away, as `carom_lock_recover`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_recover(condition: *mut carom_condition, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        if let Some(condition) = managed(condition, Kind::Condition)? {
            return condition.order("recover", timeout_ms);
        }
        let (family, condition) = condition_of(condition)?;
        condition.lock(family)?.recover(family, lock_deadline(timeout_ms))
    })
}

/// Releases the condition's lock, as `carom_lock_release`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_release(condition: *mut carom_condition) -> carom_status {
    boundary::status(|| {
        if let Some(condition) = managed(condition, Kind::Condition)? {
            return condition.order("release", 0);
        }
        let (family, condition) = condition_of(condition)?;
        condition.release(family)
    })
}

/// Releases the lock, all its levels, waits up to `timeout_ms` for a notification, and acquires it again, however long that takes. The lock is held after
/// it, whatever it returns, except `CAROM_EPERM` and `CAROM_EBADHANDLE`. May return `CAROM_OK` without a notification: look at what you wait for.
///
/// `CAROM_ETIMEDOUT`; `CAROM_EOWNERDEAD` if a process died holding the lock: it is recovered, and held; `CAROM_EPERM` if the caller does not hold it.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_wait(condition: *mut carom_condition, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        if let Some(condition) = managed(condition, Kind::Condition)? {
            return condition.order("wait", timeout_ms);
        }
        let (family, condition) = condition_of(condition)?;
        condition.wait(family, deadline_after_ms(timeout_ms))
    })
}

/// Waits, as `carom_condition_wait`, until `predicate` says so. It is asked first, and after each notification.
///
/// `CAROM_OK` if it said so; else as `carom_condition_wait`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_wait_for(
    condition: *mut carom_condition,
    predicate: carom_predicate,
    ctx: *mut c_void,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let predicate = predicate.ok_or(Error::invalid("the predicate is NULL"))?;
        let deadline = deadline_after_ms(timeout_ms);
        if let Some(condition) = managed(condition, Kind::Condition)? {
            // Who holds it not hears so.
            condition.order_with("notify", vec![Value::Integer(0)])?;
            return wait_until(&|| predicate(ctx) != 0, || condition.order("wait", left_ms(deadline)));
        }
        let (family, condition) = condition_of(condition)?;
        condition.check_held(family)?;
        wait_until(&|| predicate(ctx) != 0, || condition.wait(family, deadline))
    })
}

/// What is left until a deadline.
fn left_ms(deadline: Option<u64>) -> i64 {
    deadline.map_or(-1, |deadline| deadline.saturating_sub(now_ns()).div_ceil(1_000_000) as i64)
}

fn wait_until(is_over: &dyn Fn() -> bool, wait: impl Fn() -> Result<()>) -> Result<()> {
    while !is_over() {
        match wait() {
            // What came at the last moment counts.
            Err(error) if error.status() == Error::TimedOut.status() && is_over() => return Ok(()),
            waited => waited?,
        }
    }
    Ok(())
}

/// Wakes up to `count` of those who wait. The caller holds the lock.
///
/// Never blocks. `CAROM_EPERM` if the caller does not hold the lock, `CAROM_EINVAL` for a negative count.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_notify(condition: *mut carom_condition, count: i64) -> carom_status {
    boundary::status(|| {
        if let Some(condition) = managed(condition, Kind::Condition)? {
            return condition.order_with("notify", vec![Value::Integer(count)]);
        }
        let (family, condition) = condition_of(condition)?;
        let count = u64::try_from(count).map_err(|_| Error::invalid("fewer than none cannot be notified"))?;
        condition.notify(family, count.min(u32::MAX as u64) as u32)
    })
}

/// Wakes all who wait. The caller holds the lock.
///
/// As `carom_condition_notify`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_notify_all(condition: *mut carom_condition) -> carom_status {
    boundary::status(|| {
        if let Some(condition) = managed(condition, Kind::Condition)? {
            return condition.order("notify_all", 0);
        }
        let (family, condition) = condition_of(condition)?;
        condition.notify(family, u32::MAX)
    })
}

/// Ends this handle, as `carom_lock_free`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_condition_free(condition: *mut carom_condition) {
    free(condition, Kind::Condition);
}
