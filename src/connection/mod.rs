//! Connections: messages between two ends, each in a process of its own.
//!
//! One noun with several back ends. [`stream`]: a stream socket, whoever is at its other end; [`listener`] makes them, after
//! a handshake ([`authentication`]) where there is a key.
#![forbid(unsafe_code)]

pub mod address;
mod authentication;
pub mod listener;
mod stream;

use crate::error::{Error, Result};
use crate::shm::memory::Deadline;
use crate::sys::socket::{self, Socket};
use crate::sys::turn::Turn;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use stream::{Inbox, Line, take};

/// One end of a connection.
pub struct Connection {
    line: Line,
    inbox: Turn<Inbox>,
    /// Descriptors can be sent.
    local: bool,
    closed: AtomicBool,
}

const CLOSED: Error = Error::Closed("this end of the connection is closed");

impl Connection {
    /// A connection over a connected stream socket, which it takes over; what is none comes back.
    pub fn open(fd: OwnedFd) -> std::result::Result<Connection, (Error, OwnedFd)> {
        let socket = Socket::of(fd);
        match socket.is_local_stream() {
            Ok(local) => Ok(Connection::new(Line::new(socket), Inbox::default(), local)),
            Err(error) => Err((error, socket.into_fd())),
        }
    }

    fn new(line: Line, inbox: Inbox, local: bool) -> Connection {
        if !local {
            line.socket.prompt();
        }
        Connection { line, inbox: Turn::new(inbox), local, closed: AtomicBool::new(false) }
    }

    fn check(&self) -> Result<()> {
        if self.closed.load(Acquire) { Err(CLOSED) } else { Ok(()) }
    }

    /// What went wrong, unless it is that this end was closed meanwhile.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(Error::TimedOut | Error::SoftLimit | Error::MessageSize { .. }) | Ok(_) => result,
            Err(_) => self.check().and(result),
        }
    }

    /// Sends a message, all or nothing of it. Of a message that was begun in time the rest goes with a later call.
    pub fn send(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.check()?;
        self.told(self.line.send(message, deadline))
    }

    /// Receives the next message into `out`; its length. If it does not fit, it stays.
    pub fn receive(&self, out: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.check()?;
        self.told(take(&self.inbox, deadline).and_then(|mut inbox| inbox.receive(&self.line, out, deadline)))
    }

    /// Sends a copy of a descriptor.
    pub fn send_descriptor(&self, fd: RawFd, deadline: Deadline) -> Result<()> {
        self.check()?;
        self.check_local()?;
        if !socket::is_open(fd) {
            return Err(Error::Os { call: "sendmsg", errno: libc::EBADF });
        }
        self.told(self.line.send_descriptor(fd, deadline))
    }

    /// Receives a descriptor.
    pub fn receive_descriptor(&self, deadline: Deadline) -> Result<OwnedFd> {
        self.check()?;
        self.check_local()?;
        let received = take(&self.inbox, deadline).and_then(|mut inbox| inbox.receive_descriptor(&self.line, deadline));
        self.told(received)
    }

    fn check_local(&self) -> Result<()> {
        if self.local { Ok(()) } else { Err(Error::Unsupported("descriptors travel over AF_UNIX only")) }
    }

    /// Whether a receive would find something, waiting until it does.
    pub fn is_ready(&self, deadline: Deadline) -> Result<bool> {
        self.check()?;
        self.told(take(&self.inbox, deadline).and_then(|mut inbox| inbox.is_ready(&self.line, deadline)))
    }

    /// Whether a receive would find something that is here already.
    pub fn has_something(&self) -> Result<bool> {
        self.check()?;
        self.told(take(&self.inbox, Some(0)).map(|mut inbox| inbox.has_something(&self.line)))
    }

    /// Sends what is left of a message that was begun.
    pub fn flush(&self, deadline: Deadline) -> Result<()> {
        self.check()?;
        self.told(self.line.flush(deadline))
    }

    /// Whether something is left of a message that was begun.
    pub fn has_rest(&self) -> bool {
        self.line.has_rest()
    }

    /// Readable when there may be something to receive.
    pub fn fd(&self) -> Result<RawFd> {
        self.check()?;
        Ok(self.line.socket.as_raw_fd())
    }

    /// Whether this end is closed here.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// Ends this end for the threads of this process; whoever waits in one goes on.
    pub fn end(&self) {
        self.closed.store(true, Release);
        // A thread of this process is at it, so no other process is: see the header.
        if self.line.is_busy() || self.inbox.is_taken() {
            self.line.socket.shut_down();
        }
    }

    /// Ends this end, and gives its descriptor back.
    pub fn close(&self) {
        self.end();
        // Those who were inside are on their way out.
        let turns = (take(&self.inbox, None), self.line.flush(Some(0)));
        self.line.socket.close();
        drop(turns);
    }
}

/// Takes a descriptor of the caller's over.
pub fn adopt(fd: RawFd) -> Result<Connection> {
    let owned = socket::adopt(fd)?;
    Connection::open(owned).map_err(|(error, fd)| {
        // It stays the caller's.
        let _ = fd.into_raw_fd();
        error
    })
}
