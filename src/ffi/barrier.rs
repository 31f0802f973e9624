//! So many parties wait until all are there. A party that dies there breaks the barrier.
//! - For work in phases: what anybody did before it, all see behind it. The action runs alone, between two phases: the
//!   place to check, sum up, or swap buffers.
//! - Give it a time-out: a party that dies, or gives up, before it arrives is not known to be missing.
//! - It breaks for all: who gets `CAROM_EBROKEN` stops, or all agree on who resets it. Who cannot come aborts it.

use super::boundary;
use super::call::{self, carom_function};
use super::handle::Kind;
use super::library::{CAROM_NONE, carom_status};
use super::lock::free;
use super::object::{self, managed};
use super::options::{self, Sized_};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::sync::barrier::Barrier;
use crate::sys::clock::deadline_after_ms;

/// A barrier. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_barrier {
    _opaque: [u8; 0],
}

/// A timeout: the barrier's own.
pub const CAROM_DEFAULT: i32 = -3;

/// Options of a barrier.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_barrier_options {
    /// sizeof(carom_barrier_options)
    pub size: usize,
    /// Runs in the last party to arrive, before anybody goes on; the barrier breaks if it fails. NULL: nothing does.
    pub action: carom_function,
    /// The time-out of waits with `CAROM_DEFAULT`. 0 and `CAROM_NONE`: they wait for ever.
    pub timeout_ms: i64,
}

// SAFETY: integers and an optional function.
unsafe impl Sized_ for carom_barrier_options {
    const LEAST: usize = 16;
}

fn barrier_of(barrier: *mut carom_barrier) -> Result<(Family, Barrier)> {
    let (family, cell, generation) = object::of(barrier, Kind::Barrier)?;
    Ok((family, Barrier::of(cell, generation)))
}

/// Makes a barrier for 1 to 4096 parties. Options may be NULL.
///
/// Never blocks. `CAROM_EINVAL` for another number of parties, or another negative time-out than `CAROM_NONE`; `CAROM_EFUNCTION` for an action in no module, `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_barrier_new(
    parties: i64,
    options: *const carom_barrier_options,
    barrier: *mut *mut carom_barrier,
) -> carom_status {
    boundary::create(barrier, || {
        let options = options::read(options)?;
        let parties = u64::try_from(parties).map_err(|_| Error::invalid("a barrier has 1 to 4096 parties"))?;
        if options.timeout_ms < CAROM_NONE as i64 {
            return Err(Error::invalid("a time-out is positive, 0 or CAROM_NONE"));
        }
        let timeout = if options.timeout_ms == 0 { -1 } else { options.timeout_ms };
        let family = family::current()?;
        let made = Barrier::make(family, parties, call::address(options.action), timeout)?;
        object::keep(family, Kind::Barrier, made)
    })
}

/// Arrives, and waits up to `timeout_ms` (or `CAROM_DEFAULT`) until all parties are there.
///
/// The index of the arrival, 0 for the first, or a status: `CAROM_ETIMEDOUT` (the barrier is broken then, unless the caller was one too many and waited for the others to leave), `CAROM_EBROKEN` (a party died here, or ran out of
/// time, or the barrier was reset or aborted), `CAROM_ETASKFAILED` in the party whose run of the action failed.
#[unsafe(no_mangle)]
pub extern "C" fn carom_barrier_wait(barrier: *mut carom_barrier, timeout_ms: i64) -> i64 {
    boundary::answer(|| {
        if let Some(barrier) = managed(barrier, Kind::Barrier)? {
            return barrier.ask("wait", Vec::new(), timeout_ms)?.integer();
        }
        let (family, barrier) = barrier_of(barrier)?;
        let own = timeout_ms == CAROM_DEFAULT as i64;
        let deadline = if own { barrier.default_deadline() } else { deadline_after_ms(timeout_ms) };
        Ok(barrier.wait(family, deadline)? as i64)
    })
}

/// Empties the barrier; who waits gets `CAROM_EBROKEN`. A broken barrier is whole again.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_barrier_reset(barrier: *mut carom_barrier) -> carom_status {
    boundary::status(|| match managed(barrier, Kind::Barrier)? {
        Some(barrier) => barrier.order("reset", 0),
        None => barrier_of(barrier)?.1.reset(),
    })
}

/// Breaks the barrier until it is reset; who waits, and who comes, gets `CAROM_EBROKEN`.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_barrier_abort(barrier: *mut carom_barrier) -> carom_status {
    boundary::status(|| match managed(barrier, Kind::Barrier)? {
        Some(barrier) => barrier.order("abort", 0),
        None => barrier_of(barrier)?.1.abort(),
    })
}

/// How many parties the barrier takes.
#[unsafe(no_mangle)]
pub extern "C" fn carom_barrier_parties(barrier: *mut carom_barrier) -> i64 {
    boundary::answer(|| match managed(barrier, Kind::Barrier)? {
        Some(barrier) => barrier.number("parties"),
        None => Ok(barrier_of(barrier)?.1.parties()? as i64),
    })
}

/// How many parties wait at this moment.
#[unsafe(no_mangle)]
pub extern "C" fn carom_barrier_waiting(barrier: *mut carom_barrier) -> i64 {
    boundary::answer(|| {
        if let Some(barrier) = managed(barrier, Kind::Barrier)? {
            return barrier.number("waiting");
        }
        let (family, barrier) = barrier_of(barrier)?;
        Ok(barrier.waiting(family)? as i64)
    })
}

/// 1 if the barrier is broken, 0 if not.
#[unsafe(no_mangle)]
pub extern "C" fn carom_barrier_broken(barrier: *mut carom_barrier) -> i32 {
    boundary::answer(|| match managed(barrier, Kind::Barrier)? {
        Some(barrier) => Ok(barrier.number("broken")? as i32),
        None => Ok(barrier_of(barrier)?.1.is_broken()? as i32),
    })
}

/// Ends this handle, as `carom_lock_free`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_barrier_free(barrier: *mut carom_barrier) {
    free(barrier, Kind::Barrier);
}
