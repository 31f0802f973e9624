//! A flag that many wait for.
//! - For what happens once, or begins and ends: ready, paused, stop. Who comes after it was set does not wait, so
//!   nothing is missed; but it counts nothing, and lets all go on, never one.
//! - The primitive for a signal handler: set may be called there.
//! - Give the wait a time-out if whoever is to set the event may die first: nobody knows who that is.

use super::boundary;
use super::handle::Kind;
use super::library::carom_status;
use super::lock::{free, lock_deadline};
use super::object::{self, managed};
use crate::error::Result;
use crate::family::{self, Family};
use crate::sync::event::Event;

/// An event. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_event {
    _opaque: [u8; 0],
}

fn event_of(event: *mut carom_event) -> Result<(Family, Event)> {
    let (family, cell, generation) = object::of(event, Kind::Event)?;
    Ok((family, Event::of(cell, generation)))
}

/// Makes an event, not set.
///
/// Never blocks. `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_event_new(event: *mut *mut carom_event) -> carom_status {
    boundary::create(event, || {
        let family = family::current()?;
        object::keep(family, Kind::Event, Event::make(family)?)
    })
}

/// Sets the event: whoever waits goes on, also if it is cleared at once; whoever comes does not wait.
///
/// Never blocks. Async-signal-safe.
#[unsafe(no_mangle)]
pub extern "C" fn carom_event_set(event: *mut carom_event) -> carom_status {
    boundary::status(|| match managed(event, Kind::Event)? {
        Some(event) => event.order("set", 0),
        None => event_of(event)?.1.set(),
    })
}

/// Clears the event.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_event_clear(event: *mut carom_event) -> carom_status {
    boundary::status(|| match managed(event, Kind::Event)? {
        Some(event) => event.order("clear", 0),
        None => event_of(event)?.1.clear(),
    })
}

/// 1 if the event is set, 0 if not.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_event_is_set(event: *mut carom_event) -> i32 {
    boundary::answer(|| match managed(event, Kind::Event)? {
        Some(event) => Ok(event.number("is_set")? as i32),
        None => Ok(event_of(event)?.1.is_set()? as i32),
    })
}

/// Waits up to `timeout_ms` until the event is set.
///
/// `CAROM_ETIMEDOUT`, `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_event_wait(event: *mut carom_event, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        if let Some(event) = managed(event, Kind::Event)? {
            return event.order("wait", timeout_ms);
        }
        let (family, event) = event_of(event)?;
        event.wait(family, lock_deadline(timeout_ms))
    })
}

/// Ends this handle, as `carom_lock_free`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_event_free(event: *mut carom_event) {
    free(event, Kind::Event);
}
