//! Start methods: how a process comes to be.
//!
//! - *fork* ([`forked`]): a copy of this process.
//! - *spawn* ([`spawn`]): the program once more, which begins in `carom_init` ([`child`]) and finds there what it is to
//!   run: it has none of this process's memory, and only the descriptors that it is given.
//! - *forkserver* ([`server`]): a copy of a small program that was begun so, early.
#![forbid(unsafe_code)]

pub mod child;
pub mod executable;
pub mod forked;
pub mod handshake;
pub mod letter;
pub mod server;
pub mod spawn;
pub mod traits;

use crate::error::{Error, Result};
use crate::family::Family;
use crate::shm::member::MemberId;
use crate::sys::pidfd;
use handshake::Part;
use std::ffi::CStr;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use traits::Traits;

/// Starts the member `id`, whose letter is written, by another method than fork, and waits until it does its `part`: its
/// pid, and a descriptor of it.
pub fn begin(
    family: Family,
    method: Method,
    id: MemberId,
    part: Part,
    traits: &Traits,
    given: &[RawFd],
) -> Result<(u32, OwnedFd)> {
    match method {
        Method::Forkserver => server::start(family, id, part, traits, given),
        _ => spawn::start(family, id, part, traits, given).map(|begun| (begun.pid, begun.handle)),
    }
}

/// A way to start a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Method {
    /// A copy of this process.
    Fork = 1,
    /// The program anew.
    Spawn = 2,
    /// A copy of a small server.
    Forkserver = 3,
}

/// All of them, the default first.
pub const METHODS: [Method; 3] = [Method::Fork, Method::Spawn, Method::Forkserver];

/// Those that work here, the default first.
pub fn methods() -> &'static [Method] {
    if pidfd::check().is_ok() { &METHODS } else { &[] }
}

/// What processes of no particular context are started by: 0 as long as nobody has said or asked.
static DEFAULT: AtomicU32 = AtomicU32::new(0);

impl Method {
    /// As in billiard.
    pub fn name(self) -> &'static CStr {
        match self {
            Method::Fork => c"fork",
            Method::Spawn => c"spawn",
            Method::Forkserver => c"forkserver",
        }
    }

    /// The same, to be printed.
    pub fn text(self) -> &'static str {
        self.name().to_str().unwrap_or_default()
    }

    /// The method of a name.
    pub fn of_name(name: &str) -> Result<Method> {
        let method = METHODS.into_iter().find(|method| method.name().to_bytes() == name.as_bytes());
        method.ok_or_else(|| Error::invalid(format!("there is no start method \"{name}\" (fork, spawn, forkserver)")))
    }

    fn of_number(number: u32) -> Option<Method> {
        METHODS.into_iter().find(|method| *method as u32 == number)
    }
}

/// The default method, if somebody has set it or used it.
pub fn default_if_set() -> Option<Method> {
    Method::of_number(default_number())
}

/// Its number, 0 if nobody has.
#[inline(always)]
fn default_number() -> u32 {
    DEFAULT.load(Ordering::Acquire)
}

/// The default method. Whoever asks fixes it: it is set no more without force.
pub fn default() -> Method {
    match DEFAULT.compare_exchange(0, METHODS[0] as u32, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => METHODS[0],
        Err(set) => Method::of_number(set).unwrap_or(METHODS[0]),
    }
}

/// Sets the default method; `None`, with force only, makes it unset.
pub fn set_default(method: Option<Method>, force: bool) -> Result<()> {
    let number = method.map_or(0, |method| method as u32);
    if force {
        DEFAULT.store(number, Ordering::Release);
        return Ok(());
    }
    if number == 0 {
        return Err(Error::invalid("the start method is unset by force only"));
    }
    let set = DEFAULT.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire);
    set.map(|_| ()).map_err(|_| Error::Already("the start method has been set, or used, already"))
}
