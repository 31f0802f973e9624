//! Messages between two ends: a pipe, for processes of the family, or a socket, at whose other end may be any program,
//! also one in Python: there a message is framed as multiprocessing.connection frames it (send_bytes, recv_bytes; nothing
//! is pickled).
//! - Which: a pipe for two processes that talk, a queue for many that share work; a socket for strangers and other
//!   machines. Over a pipe a message costs no system call while both sides are awake.
//! - A message is sent whole or not at all, and received whole or not at all, whatever times out or dies. Those who send at
//!   once at one end do not mix their messages; each message is received by one.
//! - The end is part of the conversation: free what you have passed on, or the other side waits for you.
//! - Who sends waits while the other end does not read (a socket holds some 200 KiB, a pipe 64 messages). Two ends that
//!   both only send wait for ever: give the send a time-out, or receive in another thread.
//! - For event loops: call with time-out 0 until it is `CAROM_ETIMEDOUT`, then poll the descriptor. What was received
//!   ahead does not make it readable.
//! - A connection over a socket is copied by fork, as its descriptor is. From then on one of the processes may use it,
//!   and the others free theirs: neither the kernel nor we keep messages of two processes apart, and the other end sees
//!   the end only when all have freed it. If another thread was sending or receiving at the fork, the child's copy is
//!   `CAROM_EBROKEN`. It needs no family: it works in every process.
//! - As an argument a connection over a socket goes to a process, of any start method, with what was received ahead (not to a
//!   task: a pool's workers live already, `CAROM_ENOTSUP`). The process goes on with it, and the caller frees its handle.
//!   `CAROM_EPERM` while another thread uses it, or has received or sent a part of a long message.
//! - Trust: a length that the other end of a socket claims costs no memory. Who sends what is no message is cut off.

use super::boundary::{self, write, write_optional};
use super::handle::{self, Kind, Object};
use super::library::carom_status;
use super::lock::lock_deadline;
use super::options::{self, Sized_};
use super::passing;
use crate::connection::{self, Connection, pipe};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::shm::cell::Reference;
use std::ffi::c_void;
use std::os::fd::{IntoRawFd, RawFd};

/// One end of a connection. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_connection {
    _opaque: [u8; 0],
}

impl Object for Connection {
    const KIND: Kind = Kind::Connection;
}

pub(super) fn connection_of(connection: *mut carom_connection) -> Result<handle::Use<Connection>> {
    handle::object(connection)
}

/// A handle of an end.
pub(super) fn make(connection: Connection) -> Result<*mut carom_connection> {
    handle::of_forkable_object(connection)
}

/// An end of a pipe, as it travels.
pub(super) fn sent(connection: *mut carom_connection) -> Result<u64> {
    let connection = connection_of(connection)?;
    if connection.is_closed() {
        return Err(Error::Closed("this end of the connection is closed"));
    }
    connection
        .reference()
        .map(|reference| reference.to_bits())
        .ok_or(Error::Unsupported("the connection is over a socket"))
}

/// Descriptor and state of an end over a socket, as it travels; `None` for an end of a pipe.
pub(super) fn passed_on(connection: *mut carom_connection) -> Result<Option<(RawFd, Vec<u8>)>> {
    let connection = connection_of(connection)?;
    if connection.reference().is_some() { Ok(None) } else { connection.pass_on().map(Some) }
}

/// A handle of the end that an argument names.
pub(super) fn open(family: Family, end: Reference) -> Result<*mut carom_connection> {
    make(pipe::open(family, end)?)
}

/// Options of a pipe.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_pipe_options {
    /// sizeof(carom_pipe_options)
    pub size: usize,
    /// Not 0: messages go from the right end to the left one only.
    pub one_way: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_pipe_options {
    const LEAST: usize = 16;
}

/// Makes a pipe, for processes of the family: two ends, each for any number of processes and threads, whose messages do not mix. Options may be NULL. Costs no
/// descriptor until somebody asks for one to poll, and no system call while nobody sleeps. Pass an end as an argument to a process or a task, and then free it here: an end is gone when
/// all who have it have closed or freed it, or are dead. To have inherited it by fork does not count, until it is used.
///
/// 64 messages fit in between, of more than 16 KiB each 4; a message may be as long as the arena has room. Descriptors cannot be sent, handles can.
///
/// Never blocks. `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pipe_new(
    options: *const carom_pipe_options,
    left: *mut *mut carom_connection,
    right: *mut *mut carom_connection,
) -> carom_status {
    boundary::status(|| {
        write(left, std::ptr::null_mut())?;
        write(right, std::ptr::null_mut())?;
        let options = options::read(options)?;
        options::unused(options.reserved)?;
        let [one, other] = pipe::new(options.one_way != 0)?;
        let one = make(one)?;
        write(right, make(other).inspect_err(|_| carom_connection_free(one))?)?;
        write(left, one)
    })
}

/// Makes a connection of a connected stream socket: inherited, from socketpair, from another library. The descriptor is the connection's from now on, and is
/// closed with it; where the call fails it stays yours.
///
/// Never blocks. -EBADF if it is not open; `CAROM_EINVAL` if it is not a stream socket, or one that listens.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_open(fd: i32, connection: *mut *mut carom_connection) -> carom_status {
    boundary::create(connection, || {
        boundary::check(connection)?;
        make(connection::socket_end::adopt(fd)?)
    })
}

/// Sends a message of `len` bytes, waiting up to `timeout_ms` for room. `CAROM_OK`: it will be received whole, unless a process or machine dies before.
///
/// If its first bytes went in time and the last did not, the call is `CAROM_OK` too: the rest is kept here, and goes out with the next calls on
/// the connection, before all else; see `carom_connection_flush`. With `CAROM_FOREVER` nothing is ever kept.
///
/// `CAROM_ETIMEDOUT`: nothing of it was sent. `CAROM_ECLOSED` if the other end is gone (no SIGPIPE is raised), or this one closed. `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_send(
    connection: *mut carom_connection,
    data: *const c_void,
    len: usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| connection_of(connection)?.send(boundary::bytes(data, len)?, lock_deadline(timeout_ms)))
}

/// Receives the next message into `data`, waiting up to `timeout_ms` for it. `*len`, which may be NULL, is its length.
///
/// `CAROM_EMSGSIZE` if it does not fit: it stays, and `*len` is what it takes. `CAROM_ETIMEDOUT`: what came of it is kept. `CAROM_ECLOSED` once the other end
/// is gone and all of its messages are received; `CAROM_EBROKEN` if it went in the middle of one, or sent what is no message: nothing more will come. `CAROM_EPERM` if what
/// comes next is a descriptor, see `carom_connection_recv_fd`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_recv(
    connection: *mut carom_connection,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let connection = connection_of(connection)?;
        match connection.receive(boundary::bytes_mut(data, capacity)?, lock_deadline(timeout_ms)) {
            Ok(received) => {
                write_optional(len, received);
                Ok(())
            }
            Err(error) => {
                if let Error::MessageSize { needed, .. } = error {
                    write_optional(len, needed);
                }
                Err(error)
            }
        }
    })
}

/// Sends a copy of an open descriptor of any kind, between two messages; yours stays open. AF_UNIX only. Python receives it with multiprocessing.reduction.recv_handle.
///
/// -EBADF if it is not open; `CAROM_ENOTSUP` over the internet; else as `carom_connection_send`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_send_fd(
    connection: *mut carom_connection,
    fd: i32,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| connection_of(connection)?.send_descriptor(fd, lock_deadline(timeout_ms)))
}

/// Receives a descriptor, which is yours to close; it is closed by exec. AF_UNIX only. Python sends one with multiprocessing.reduction.send_handle.
///
/// `CAROM_EPERM` if what comes next is a message; -EMFILE if this process had no room for it, and it is lost; `CAROM_ENOTSUP` over the internet; else as
/// `carom_connection_recv`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_recv_fd(
    connection: *mut carom_connection,
    fd: *mut i32,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        boundary::check(fd)?;
        let received = connection_of(connection)?.receive_descriptor(lock_deadline(timeout_ms))?;
        write(fd, received.into_raw_fd())
    })
}

/// Sends an object of the family between two messages: whatever may be an argument, an end of another pipe too. What it names is kept until it is received or the
/// pipe is gone; `handle` stays the caller's, who may free it at once. Over pipes only.
///
/// `CAROM_EBADHANDLE` for what is no such handle; `CAROM_EINVAL` for an end of this pipe; `CAROM_ENOTSUP` over a socket, and for a connection over one; else as `carom_connection_send`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_send_handle(
    connection: *mut carom_connection,
    handle: *mut c_void,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| connection_of(connection)?.send_object(passing::sent(handle)?, lock_deadline(timeout_ms)))
}

/// Receives a handle, of the kind that was sent, which is yours to free.
///
/// `CAROM_EPERM` if what comes next is a message (and from `carom_connection_recv` if it is a handle); `CAROM_ENOTSUP` over a socket; else as `carom_connection_recv`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_recv_handle(
    connection: *mut carom_connection,
    handle: *mut *mut c_void,
    timeout_ms: i64,
) -> carom_status {
    boundary::create(handle, || {
        let (family, mut received) = (family::current()?, std::ptr::null_mut());
        let mut make = |bits, view| {
            received = passing::received(family, bits, view)?;
            Ok(())
        };
        connection_of(connection)?.receive_object(&mut make, lock_deadline(timeout_ms))?;
        Ok(received)
    })
}

/// Waits up to `timeout_ms` until nothing is left of a message that was begun, see `carom_connection_send`. An event loop polls the descriptor for writing
/// while this is `CAROM_ETIMEDOUT`. What is left when the connection is freed or the process ends is lost.
///
/// `CAROM_ETIMEDOUT`, `CAROM_ECLOSED`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_flush(connection: *mut carom_connection, timeout_ms: i64) -> carom_status {
    boundary::status(|| connection_of(connection)?.flush(lock_deadline(timeout_ms)))
}

/// Waits up to `timeout_ms` for something to receive: 1 if there is a message, a descriptor or the end, 0 if not. Of a message of more than 32 KiB perhaps only the
/// beginning has come; a receive with time-out 0 then takes what there is, and keeps it.
///
/// `CAROM_ECLOSED` if this end is closed.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_poll(connection: *mut carom_connection, timeout_ms: i64) -> i32 {
    boundary::answer(|| match connection_of(connection)?.is_ready(lock_deadline(timeout_ms)) {
        Err(Error::TimedOut) => Ok(0),
        ready => Ok(ready? as i32),
    })
}

/// A descriptor for poll and its like: readable when there may be something to receive, after a receive or poll has found nothing. That of a socket is writable
/// when there may be room; that of a pipe is readable then too, after a send has found none, and sometimes for nothing. It belongs to the connection: never read, write
/// or close it. In a forked child ask again.
///
/// Never blocks. `CAROM_ECLOSED` if this end is closed; `CAROM_ENOMEM` if the family polls more than 4096 pipes and queues; -EMFILE.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_fd(connection: *mut carom_connection) -> i32 {
    boundary::answer(|| connection_of(connection)?.fd())
}

/// 1 if this end can receive, 0 if it is the sending end of a one-way pipe, or closed.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_readable(connection: *mut carom_connection) -> i32 {
    boundary::answer(|| {
        let connection = connection_of(connection)?;
        Ok((connection.receives() && !connection.is_closed()) as i32)
    })
}

/// 1 if this end can send, 0 if it is the receiving end of a one-way pipe, or closed.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_writable(connection: *mut carom_connection) -> i32 {
    boundary::answer(|| {
        let connection = connection_of(connection)?;
        Ok((connection.sends() && !connection.is_closed()) as i32)
    })
}

/// 1 if this end is closed in this process, 0 if not.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_closed(connection: *mut carom_connection) -> i32 {
    boundary::answer(|| Ok(connection_of(connection)?.is_closed() as i32))
}

/// Closes this end in this process; the handle stays. What other threads wait for here is `CAROM_ECLOSED`. What is closed already stays so.
///
/// Waits, at most, for other threads to leave.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_close(connection: *mut carom_connection) -> carom_status {
    boundary::status(|| {
        connection_of(connection)?.close();
        Ok(())
    })
}

/// Ends this handle, and closes this end in this process. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_connection_free(connection: *mut carom_connection) {
    // Not only by its last user: those who wait in it must hear of it.
    if let Ok(connection) = connection_of(connection) {
        connection.end();
    }
    handle::free_object::<Connection, _>(connection, None);
}
