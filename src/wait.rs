//! Waiting for several things at once.
#![forbid(unsafe_code)]

use crate::bell::Bell;
use crate::connection::Connection;
use crate::connection::listener::Listener;
use crate::error::{Error, Result};
use crate::pool::Hold;
use crate::process::Process;
use crate::queue::Queue;
use crate::shm::memory::Deadline;
use crate::shm::stop;
use crate::sys::clock::now_ns;
use crate::sys::descriptor::{self, Polled};
use std::os::fd::RawFd;
use std::sync::Arc;

/// Something to wait for.
pub trait Waitable {
    /// Whether it is ready though its descriptor might not say so.
    fn is_ready_here(&self) -> Result<bool> {
        self.is_ready()
    }
    /// Whether it is ready.
    fn is_ready(&self) -> Result<bool>;
    /// Readable when it may have become ready since [`Waitable::is_ready_here`].
    fn fd(&self) -> Result<RawFd>;
    /// Whether it has something to write as well.
    fn has_rest(&self) -> bool {
        false
    }
    /// Whether the descriptor is all there is to it.
    fn is_plain(&self) -> bool {
        false
    }
}

/// A descriptor of the caller's.
pub struct Plain(pub RawFd);

impl Waitable for Plain {
    fn is_ready(&self) -> Result<bool> {
        Ok(false)
    }
    fn fd(&self) -> Result<RawFd> {
        Ok(self.0)
    }
    fn is_plain(&self) -> bool {
        true
    }
}

impl Waitable for Arc<Process> {
    fn is_ready(&self) -> Result<bool> {
        Ok(self.look()?.is_some())
    }
    fn fd(&self) -> Result<RawFd> {
        Process::fd(self)
    }
}

impl Waitable for Hold {
    fn is_ready(&self) -> Result<bool> {
        self.pool.has_news()
    }
    fn fd(&self) -> Result<RawFd> {
        self.pool.fd()
    }
}

impl Waitable for Listener {
    fn is_ready(&self) -> Result<bool> {
        Listener::is_ready(self)
    }
    fn fd(&self) -> Result<RawFd> {
        Listener::fd(self)
    }
}

/// A queue, by a handle of this process.
pub struct Asked {
    queue: Queue,
    bell: Arc<Bell>,
}

impl Asked {
    /// To wait for a message.
    pub fn of(queue: Queue, handle: u64) -> Result<Asked> {
        Ok(Asked { queue, bell: queue.bell(handle)? })
    }
}

impl Waitable for Asked {
    fn is_ready(&self) -> Result<bool> {
        Ok(self.queue.is_ready())
    }
    fn fd(&self) -> Result<RawFd> {
        Ok(self.bell.arm(|| self.queue.is_ready()))
    }
}

/// Another thread receives: that something may come is all that can be said.
fn or_taken(ready: Result<bool>) -> Result<bool> {
    match ready {
        Err(Error::TimedOut) => Ok(true),
        ready => ready,
    }
}

impl Waitable for Connection {
    fn is_ready_here(&self) -> Result<bool> {
        or_taken(self.has_something())
    }
    fn is_ready(&self) -> Result<bool> {
        or_taken((**self).is_ready(Some(0)))
    }
    fn fd(&self) -> Result<RawFd> {
        (**self).fd()
    }
    fn has_rest(&self) -> bool {
        (**self).has_rest()
    }
}

/// Waits until one of the items is ready, or more; which are, as `ready` says.
pub fn wait(items: &[&dyn Waitable], ready: &mut [bool], deadline: Deadline) -> Result<usize> {
    let mut polled = Vec::new();
    polled.try_reserve_exact(items.len()).map_err(|_| Error::NoMemory("no memory for so many items"))?;
    loop {
        if deadline != Some(0) && stop::notice() {
            return Err(Error::SoftLimit);
        }
        let mut count = 0;
        polled.clear();
        for (item, ready) in items.iter().zip(&mut *ready) {
            *ready = item.is_ready_here()?;
            count += *ready as usize;
            // After the look, which says from when on the descriptor tells.
            polled.push(Polled::new(item.fd()?, item.has_rest())?);
        }
        let late = count > 0 || deadline == Some(0);
        match descriptor::poll_all(&mut polled, if late { Some(0) } else { deadline }) {
            Err(Error::Interrupted) => continue,
            result => result?,
        };
        for ((item, ready), polled) in items.iter().zip(&mut *ready).zip(&polled) {
            polled.check()?;
            if !*ready && polled.is_ready() {
                *ready = item.is_plain() || item.is_ready()?;
                count += *ready as usize;
            }
        }
        if count > 0 {
            return Ok(count);
        }
        if deadline.is_some_and(|deadline| deadline <= now_ns()) {
            return Err(Error::TimedOut);
        }
    }
}
