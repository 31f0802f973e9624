//! Waiting for several things at once, of whatever kinds.

use super::boundary;
use super::handle::{self, Kind, Object};
use super::lock::lock_deadline;
use super::managed_queue;
use super::queue::queue_of;
use crate::connection::Connection;
use crate::connection::listener::Listener;
use crate::error::{Error, Result};
use crate::pool::Hold;
use crate::process::Process;
use crate::wait::{self, Asked, Plain, Waitable};
use std::ffi::c_void;
use std::sync::Arc;

/// Something to wait for. Frozen: this struct never grows, since arrays of it cross the border.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_waitable {
    /// A connection, listener, process, pool or queue. NULL: `fd` is waited for.
    pub handle: *mut c_void,
    /// A descriptor of yours, if `handle` is NULL.
    pub fd: i32,
    /// Output: 1 if it is ready, 0 if not.
    pub ready: u32,
}

impl<T: Object + Waitable> Waitable for handle::Use<T> {
    fn is_ready_here(&self) -> Result<bool> {
        T::is_ready_here(self)
    }
    fn is_ready(&self) -> Result<bool> {
        T::is_ready(self)
    }
    fn fd(&self) -> Result<i32> {
        T::fd(self)
    }
    fn has_rest(&self) -> bool {
        T::has_rest(self)
    }
}

fn waitable(item: &carom_waitable) -> Result<Box<dyn Waitable>> {
    fn of<T: Object + Waitable>(handle: *mut c_void) -> Result<Box<dyn Waitable>> {
        Ok(Box::new(handle::object::<T, _>(handle)?))
    }
    if item.handle.is_null() {
        return Ok(Box::new(Plain(item.fd)));
    }
    match handle::kind(item.handle) {
        Some(Kind::Process) => of::<Arc<Process>>(item.handle),
        Some(Kind::Pool) => of::<Hold>(item.handle),
        Some(Kind::Listener) => of::<Listener>(item.handle),
        Some(Kind::Queue) => match queue_of(item.handle.cast()) {
            Ok(queue) => Ok(Box::new(Asked::of(queue, item.handle as u64)?)),
            Err(error) => managed_queue::no_descriptor(item.handle.cast(), error),
        },
        _ if handle::lives(item.handle, Kind::ManagedPool) => Err(Error::NotServed("carom_wait")),
        // What is none of them is refused in the name of this.
        _ => of::<Connection>(item.handle),
    }
}

/// Waits up to `timeout_ms` until one of the items is ready, or more: how many, and `ready` of each. A connection is ready when there is something to receive (or the end), a
/// listener when there is somebody to accept, a process when it has ended, a pool when there is an event for `carom_pool_next_event`, a queue when there is something to get (or the end), a descriptor when it is readable or
/// hung up. Moves all of them on meanwhile: handshakes, rests of messages, the tasks of pools. If another thread is receiving from a connection or accepting, that is ready too,
/// perhaps for nothing.
///
/// `CAROM_ETIMEDOUT` if none is; then, and after every other status, no `ready` was changed. -EBADF for a descriptor that is not open; `CAROM_EBADHANDLE` for what is no handle of
/// these kinds; `CAROM_ECLOSED` for a closed connection; `CAROM_ENOTSUP` for a manager's queue or pool; `CAROM_EPERM` for a process or pool of another process; `CAROM_ENOMEM` if the family polls more than 4096 queues and pipes; `CAROM_EINVAL` for no items at all with `CAROM_FOREVER`, or more than there may be descriptors.
#[unsafe(no_mangle)]
pub extern "C" fn carom_wait(items: *mut carom_waitable, count: usize, timeout_ms: i64) -> i64 {
    boundary::answer(|| {
        let shown = boundary::items_mut(items, count)?;
        if count == 0 && timeout_ms < 0 {
            return Err(Error::invalid("to wait for nothing, for ever"));
        }
        let items = shown.iter().map(waitable).collect::<Result<Vec<_>>>()?;
        let items: Vec<&dyn Waitable> = items.iter().map(|item| &**item).collect();
        let mut ready = vec![false; count];
        let found = wait::wait(&items, &mut ready, lock_deadline(timeout_ms))?;
        for (item, ready) in shown.iter_mut().zip(ready) {
            item.ready = ready as u32;
        }
        Ok(found as i64)
    })
}
