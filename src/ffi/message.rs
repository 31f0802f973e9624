//! Messages of a queue in place: written and read where they lie, in memory that all processes share. Nothing is copied, whatever the length.
//! - Putting: `carom_queue_reserve`, write to `data`, `carom_queue_commit`. A producer that dies before has put nothing, and its memory is given back.
//! - Getting: `carom_queue_peek` leases the oldest message: no other process gets it. `carom_queue_consume` when it is done with;
//!   `carom_queue_return` to let another have it. If a consumer dies in between, its message is delivered again, before all others, and
//!   `deliveries` says so. (What `carom_queue_get` returns is consumed with that.)
//! - A message that kills whoever leases it: `max_deliveries` and `dead_letters` of the queue's options.
//! - How it was put and how it is got are independent of each other. A message that was put by copy and is shorter than 32 KiB is copied once more
//!   to be leased.
//! - A joinable queue: what was consumed is a task that was got, and wants its `carom_queue_task_done`.
//!   What went to the dead letters counts as done.
//! - A message may be a handle: `carom_queue_put_handle`. Who gets next finds what kind it is: `CAROM_EPERM` says that it is the other one.
//! - Messages in place belong to the process that reserved or leased them, to all of its threads, and not to its forks.

use super::boundary;
use super::library::carom_status;
use super::lock::lock_deadline;
use super::options::{self, Sized_};
use super::passing;
use super::queue::{carom_queue, queue_of, writable};
use crate::error::Result;
use crate::family;
use crate::queue::Message;
use crate::queue::poll::Wanted;
use std::ffi::c_void;

/// A message in place, as `carom_queue_reserve` and `carom_queue_peek` show it.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_message {
    /// sizeof(carom_message), set by the caller.
    pub size: usize,
    /// Its bytes, aligned to 16. Until it is committed, consumed or returned; never freed by the caller.
    pub data: *mut c_void,
    /// Bytes at `data`.
    pub len: u64,
    /// What names it in its queue.
    pub id: u64,
    /// How often it was delivered, this time included: more than 1 if somebody who had leased it died, or returned it. 0 for a reserved one.
    pub deliveries: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers and a pointer.
unsafe impl Sized_ for carom_message {
    const LEAST: usize = 40;
}

fn show(message: *mut carom_message, found: Message) -> Result<()> {
    let len = found.data.len() as u64;
    let data = found.data.address().cast();
    let (id, deliveries) = (found.id, found.deliveries);
    options::write(message, carom_message { size: 0, data, len, id, deliveries, reserved: 0 })
}

fn id_of(message: *const carom_message) -> Result<u64> {
    options::check(message)?;
    Ok(options::read(message)?.id)
}

/// Takes memory for a message of up to `len` bytes, 0 or more, to be written to `message->data` and then committed, or returned. What is in it before is
/// anything.
///
/// Never blocks: there is room in the queue once it is committed. `CAROM_ECLOSED` as `carom_queue_put`; `CAROM_ENOMEM` if the arena has no room.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_reserve(
    queue: *mut carom_queue,
    len: usize,
    message: *mut carom_message,
) -> carom_status {
    boundary::status(|| {
        options::check(message)?;
        show(message, writable(queue)?.reserve(len)?)
    })
}

/// Puts the first `len` bytes of a reserved message, waiting up to `timeout_ms` for room; 0 tries once. After `CAROM_OK` its data is not this process's any
/// more; otherwise it is still reserved, to be committed again or returned.
///
/// Errors as `carom_queue_put`. `CAROM_EMSGSIZE` also for more than was reserved. `CAROM_EBADHANDLE` for a message that this process has not reserved here.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_commit(
    queue: *mut carom_queue,
    message: *const carom_message,
    len: usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let (handle, queue) = (queue as u64, writable(queue)?);
        let put = queue.commit(id_of(message)?, len, lock_deadline(timeout_ms));
        queue.told(handle, Wanted::Room { bytes: len, items: 1 }, put)
    })
}

/// Leases the oldest message, waiting up to `timeout_ms` for one; 0 tries once. It is to be read at `message->data` (writing there is allowed too), and then
/// consumed or returned. A process may lease several.
///
/// `CAROM_ETIMEDOUT` if there is none. `CAROM_ECLOSED` as `carom_queue_get`: never while another process has leased a message, which may come
/// back. `CAROM_ENOMEM` if the arena has no room for a copy.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_peek(
    queue: *mut carom_queue,
    message: *mut carom_message,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        options::check(message)?;
        let (handle, queue) = (queue as u64, queue_of(queue)?);
        let found = queue.peek(lock_deadline(timeout_ms));
        show(message, queue.told(handle, Wanted::News, found)?)
    })
}

/// A leased message is done with: it never comes again, and its memory goes.
///
/// Waits for no other call's end. `CAROM_EBADHANDLE` for a message that this process has not leased here, or has consumed or returned.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_consume(queue: *mut carom_queue, message: *const carom_message) -> carom_status {
    boundary::status(|| queue_of(queue)?.consume(id_of(message)?))
}

/// Gives a message back. A reserved one is dropped. A leased one is delivered again, before all others, to whoever gets or peeks next.
///
/// Never blocks. Errors as `carom_queue_consume`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_return(queue: *mut carom_queue, message: *const carom_message) -> carom_status {
    boundary::status(|| queue_of(queue)?.give_back(id_of(message)?))
}

/// Puts an object of the family as a message: whatever may be an argument, another queue too. The message keeps it, and one that is got is open for whoever
/// got it; `handle` stays the caller's, who may free it at once. Counts as a message of 0 bytes.
///
/// `CAROM_EBADHANDLE` for what is no such handle; `CAROM_EINVAL` for this queue itself; `CAROM_ENOTSUP` for a connection over a socket; else as `carom_queue_put`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_put_handle(
    queue: *mut carom_queue,
    handle: *mut c_void,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let (own, queue) = (queue as u64, writable(queue)?);
        let put = queue.put_object(passing::sent(handle)?, lock_deadline(timeout_ms));
        queue.told(own, Wanted::Room { bytes: 0, items: 1 }, put)
    })
}

/// Gets the oldest message, which is a handle, of the kind that was put; it is yours to free. A process that dies in between leaves it in the queue.
///
/// `CAROM_EPERM` if what comes next is no handle (and from `carom_queue_get`, `carom_queue_get_many` and `carom_queue_peek` if it is one): it stays. Else as `carom_queue_get`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_get_handle(
    queue: *mut carom_queue,
    handle: *mut *mut c_void,
    timeout_ms: i64,
) -> carom_status {
    boundary::create(handle, || {
        let (own, queue) = (queue as u64, queue_of(queue)?);
        let (family, mut received) = (family::current()?, std::ptr::null_mut());
        let mut make = |bits, view| {
            received = passing::received(family, bits, view)?;
            Ok(())
        };
        let got = queue.get_object(&mut make, lock_deadline(timeout_ms));
        queue.told(own, Wanted::News, got)?;
        Ok(received)
    })
}
