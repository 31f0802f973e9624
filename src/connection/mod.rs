//! Connections: messages between two ends, each in a process of its own.
//!
//! One noun with two back ends. [`socket_end`]: over a stream socket, whoever is at its other end; [`listener`] makes them,
//! after a handshake ([`authentication`]) where there is a key. [`pipe`]: two rings in the arena, for the family.
#![forbid(unsafe_code)]

pub mod address;
mod authentication;
mod haste;
pub mod listener;
pub mod pipe;
pub mod socket_end;
mod stream;

use crate::error::{Error, Result};
use crate::shm::cell::{Cell, Reference};
use crate::shm::memory::Deadline;
use std::os::fd::{OwnedFd, RawFd};

/// One end of a connection.
pub struct Connection {
    end: Box<dyn Backend>,
}

impl Connection {
    fn new(end: impl Backend + 'static) -> Connection {
        Connection { end: Box::new(end) }
    }
}

impl std::ops::Deref for Connection {
    type Target = dyn Backend;
    fn deref(&self) -> &Self::Target {
        &*self.end
    }
}

/// What is made of an object that was received.
pub type Make<'a> = &'a mut dyn FnMut(u64, &'static Cell) -> Result<()>;

/// What an end can do.
pub trait Backend: Send + Sync {
    /// Sends a message, all or nothing of it. Of a message that was begun in time the rest goes with a later call.
    fn send(&self, message: &[u8], deadline: Deadline) -> Result<()>;
    /// Receives the next message into `out`; its length. If it does not fit, it stays.
    fn receive(&self, out: &mut [u8], deadline: Deadline) -> Result<usize>;
    /// Sends a copy of a descriptor.
    fn send_descriptor(&self, _: RawFd, _: Deadline) -> Result<()> {
        Err(Error::Unsupported("descriptors travel over AF_UNIX sockets only"))
    }
    /// Receives a descriptor.
    fn receive_descriptor(&self, _: Deadline) -> Result<OwnedFd> {
        Err(Error::Unsupported("descriptors travel over AF_UNIX sockets only"))
    }
    /// Sends an object, by its reference as it travels.
    fn send_object(&self, _: u64, _: Deadline) -> Result<()> {
        Err(Error::Unsupported("handles travel over pipes only: at the other end of a socket may be a stranger"))
    }
    /// Receives an object: `make` gets its reference and a view of this process that keeps it. If that fails, it stays.
    fn receive_object(&self, _: Make<'_>, _: Deadline) -> Result<()> {
        Err(Error::Unsupported("handles travel over pipes only: at the other end of a socket may be a stranger"))
    }
    /// Whether a receive would find something, waiting until it does.
    fn is_ready(&self, deadline: Deadline) -> Result<bool>;
    /// Whether a receive would find something that is here already.
    fn has_something(&self) -> Result<bool>;
    /// Whether the other end has taken all that was sent here, as far as that can be known.
    fn is_all_taken(&self) -> bool {
        true
    }
    /// Sends what is left of a message that was begun.
    fn flush(&self, deadline: Deadline) -> Result<()>;
    /// Whether something is left of a message that was begun.
    fn has_rest(&self) -> bool;
    /// Readable when there may be something to receive.
    fn fd(&self) -> Result<RawFd>;
    /// Whether this end is closed here.
    fn is_closed(&self) -> bool;
    /// Ends this end for the threads of this process; whoever waits in one goes on.
    fn end(&self);
    /// Ends this end, and lets go of what it has.
    fn close(&self);
    /// Whether it receives.
    fn receives(&self) -> bool {
        true
    }
    /// Whether it sends.
    fn sends(&self) -> bool {
        true
    }
    /// Its descriptor and what was received ahead, for another process that goes on with it.
    fn pass_on(&self) -> Result<(RawFd, Vec<u8>)> {
        Err(Error::Unsupported("this end has no descriptor to pass on"))
    }
    /// What it is in the arena, if it is there.
    fn reference(&self) -> Option<Reference> {
        None
    }
}
