//! An end over a stream socket, whoever is at its other end.
#![forbid(unsafe_code)]

use super::stream::{Inbox, Line, take};
use super::{Backend, Connection};
use crate::error::{Error, Result};
use crate::shm::memory::Deadline;
use crate::sys::socket::{self, Socket};
use crate::sys::turn::Turn;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

/// See the head of this module.
pub(super) struct SocketEnd {
    line: Line,
    inbox: Turn<Inbox>,
    closed: AtomicBool,
}

const CLOSED: Error = Error::Closed("this end of the connection is closed");

impl SocketEnd {
    /// What has been received already is in the inbox.
    pub(super) fn make(line: Line, inbox: Inbox, local: bool) -> Connection {
        if !local {
            line.socket.prompt();
        }
        let mut line = line;
        line.local = local;
        Connection::new(SocketEnd { line, inbox: Turn::new(inbox), closed: AtomicBool::new(false) })
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

    fn check_local(&self) -> Result<()> {
        if self.line.local { Ok(()) } else { Err(Error::Unsupported("descriptors travel over AF_UNIX only")) }
    }
}

impl Backend for SocketEnd {
    fn send(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.check()?;
        self.told(self.line.send(message, deadline))
    }

    fn receive(&self, out: &mut [u8], deadline: Deadline) -> Result<usize> {
        self.check()?;
        self.told(take(&self.inbox, deadline).and_then(|mut inbox| inbox.receive(&self.line, out, deadline)))
    }

    fn send_descriptor(&self, fd: RawFd, deadline: Deadline) -> Result<()> {
        self.check()?;
        self.check_local()?;
        if !socket::is_open(fd) {
            return Err(Error::Os { call: "sendmsg", errno: libc::EBADF });
        }
        self.told(self.line.send_descriptor(fd, deadline))
    }

    fn receive_descriptor(&self, deadline: Deadline) -> Result<OwnedFd> {
        self.check()?;
        self.check_local()?;
        let received = take(&self.inbox, deadline).and_then(|mut inbox| inbox.receive_descriptor(&self.line, deadline));
        self.told(received)
    }

    fn is_ready(&self, deadline: Deadline) -> Result<bool> {
        self.check()?;
        self.told(take(&self.inbox, deadline).and_then(|mut inbox| inbox.is_ready(&self.line, deadline)))
    }

    fn has_something(&self) -> Result<bool> {
        self.check()?;
        self.told(take(&self.inbox, Some(0)).map(|mut inbox| inbox.has_something(&self.line)))
    }

    fn flush(&self, deadline: Deadline) -> Result<()> {
        self.check()?;
        self.told(self.line.flush(deadline))
    }

    fn has_rest(&self) -> bool {
        self.line.has_rest()
    }

    fn fd(&self) -> Result<RawFd> {
        self.check()?;
        Ok(self.line.socket.as_raw_fd())
    }

    fn pass_on(&self) -> Result<(RawFd, Vec<u8>)> {
        self.check()?;
        let busy = |error| match error {
            Error::TimedOut => {
                Error::NotPermitted("another thread uses the connection, or a part of a message is not sent yet")
            }
            error => error,
        };
        self.line.flush(Some(0)).map_err(busy)?;
        let ahead = take(&self.inbox, Some(0)).map_err(busy)?.ahead()?;
        Ok((self.line.socket.as_raw_fd(), ahead))
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    fn end(&self) {
        self.closed.store(true, Release);
        // A thread of this process is at it, so no other process is: see the header.
        if self.line.is_busy() || self.inbox.is_taken() {
            self.line.socket.shut_down();
        }
    }

    fn close(&self) {
        self.end();
        // Those who were inside are on their way out.
        let turns = (take(&self.inbox, None), self.line.flush(Some(0)));
        self.line.socket.close();
        drop(turns);
    }
}

/// Takes a descriptor of the caller's over, a connected stream socket.
pub fn adopt(fd: RawFd) -> Result<Connection> {
    adopt_with(fd, Inbox::default())
}

/// Goes on with an end that another process has passed on.
pub fn open(fd: RawFd, ahead: &[u8]) -> Result<Connection> {
    adopt_with(fd, Inbox::with(ahead)?)
}

fn adopt_with(fd: RawFd, inbox: Inbox) -> Result<Connection> {
    let socket = Socket::of(socket::adopt(fd)?);
    match socket.is_local_stream() {
        Ok(local) => Ok(SocketEnd::make(Line::new(socket), inbox, local)),
        Err(error) => {
            // It stays the caller's.
            let _ = socket.into_fd().into_raw_fd();
            Err(error)
        }
    }
}
