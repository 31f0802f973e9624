//! Where connections over sockets come from: a listener waits at an address, clients connect to it.
//! - Addresses: "/run/my.sock" or "./my.sock" (AF_UNIX; the name in the file system is taken away when the listener is freed
//!   by the process that made it; what a killed one leaves is in the way, `CAROM_EADDRINUSE`, until somebody unlinks it),
//!   "@name" (AF_UNIX, abstract: goes with its listener, whoever kills it; seen by all of the network namespace),
//!   "127.0.0.1:8080", "[::1]:8080", "localhost:8080" (AF_INET, AF_INET6; port 0: any that is free). Names of hosts are
//!   not looked up.
//! - Key: with an `authkey` on both sides each proves to the other that it has it, by HMAC-SHA256 as CPython 3.12 and later
//!   do it (authkey=); the key itself never travels. What comes after is neither encrypted nor signed: over a network it is
//!   for whoever is in between to read and change. A listener with a key and a client without, or the other way round,
//!   do not understand each other. Older Pythons, which know MD5 only, are refused.
//! - As an argument a listener goes to a process, of any start method, which accepts there too, with the same key. The name of a
//!   path is taken away by the process that made it.
//! - Without a key everybody comes in who can reach the address: a path is the user's alone unless `mode` says more.

use super::boundary::{self};
use super::connection::{self, carom_connection};
use super::handle::{self, Kind, Object};
use super::library::carom_status;
use super::lock::lock_deadline;
use super::options::{self, Sized_};
use super::shared_memory::shown;
use crate::connection::listener::{self, Listener};
use crate::error::{Error, Result};
use std::ffi::{CStr, c_char, c_void};

/// Where others connect to. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_listener {
    _opaque: [u8; 0],
}

/// Options of a listener or a client.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_link_options {
    /// sizeof(carom_link_options)
    pub size: usize,
    /// What both sides must have, copied. NULL: no key. (The one of this process: `carom_authkey_get`.)
    pub authkey: *const c_void,
    /// Bytes of the key.
    pub authkey_len: usize,
    /// Listener: how many may wait to be accepted, as for listen(2). 0: 128.
    pub backlog: u32,
    /// Listener at a path: who may connect, as for open(2), less the umask. 0: 0600, the user alone.
    pub mode: u32,
}

// SAFETY: integers and a pointer.
unsafe impl Sized_ for carom_link_options {
    const LEAST: usize = 24;
}

impl Object for Listener {
    const KIND: Kind = Kind::Listener;
}

pub(super) fn listener_of(listener: *mut carom_listener) -> Result<handle::Use<Listener>> {
    handle::object(listener)
}

fn key<'a>(options: &carom_link_options) -> Result<Option<&'a [u8]>> {
    boundary::key(options.authkey, options.authkey_len)
}

/// Listens at `address`, copied. NULL: at an abstract one that is made up, see `carom_listener_address`. Options may be NULL. Works in every process, and in
/// a forked child too, where both may accept; each connection goes to one of them.
///
/// Never blocks. `CAROM_EADDRINUSE` if somebody listens there, or there is such a name; -ENAMETOOLONG for a path of more than 107 bytes; `CAROM_EINVAL` for no address,
/// or an empty key; `CAROM_EACCES`, `CAROM_ENOENT` or another errno of bind.
#[unsafe(no_mangle)]
pub extern "C" fn carom_listener_new(
    address: *const c_char,
    options: *const carom_link_options,
    listener: *mut *mut carom_listener,
) -> carom_status {
    boundary::create(listener, || {
        let options = options::read(options)?;
        if options.mode & !0o777 != 0 {
            return Err(Error::invalid("a mode is at most 0777"));
        }
        let mode = if options.mode == 0 { 0o600 } else { options.mode };
        let options = listener::Options { key: key(&options)?, backlog: options.backlog, mode, own_user: false };
        handle::of_forkable_object(Listener::new(boundary::text(address)?, options)?)
    })
}

/// Where it listens, as `carom_client_open` takes it: with the port that it got. "" for a bad handle, never NULL. Valid until the handle is freed.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_listener_address(listener: *mut carom_listener) -> *const c_char {
    shown(listener_of(listener).map(|listener| listener.address() as *const CStr))
}

/// Waits up to `timeout_ms` for somebody who connects and, where there is a key, has it. Whoever has another, says nothing or says nonsense is sent
/// away, and delays nobody: up to 128 prove themselves at once, each for ten seconds at most, in this call and the next ones. May be called by several threads.
///
/// `CAROM_ETIMEDOUT`; `CAROM_ECLOSED` if it is freed meanwhile; -EMFILE if the process has no descriptor left, and those who connect wait.
#[unsafe(no_mangle)]
pub extern "C" fn carom_listener_accept(
    listener: *mut carom_listener,
    connection: *mut *mut carom_connection,
    timeout_ms: i64,
) -> carom_status {
    boundary::create(connection, || connection::make(listener_of(listener)?.accept(lock_deadline(timeout_ms))?))
}

/// A descriptor for poll and its like: readable when there may be somebody to accept, sometimes for nothing. It belongs to the listener: never read or close
/// it. In a forked child ask again.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_listener_fd(listener: *mut carom_listener) -> i32 {
    boundary::answer(|| listener_of(listener)?.fd())
}

/// Ends this handle and stops to listen in this process. Connections that were accepted stay; who was not accepted is sent away. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_listener_free(listener: *mut carom_listener) {
    if let Ok(listener) = listener_of(listener) {
        listener.end();
    }
    handle::free_object::<Listener, _>(listener, None);
}

/// Connects to the listener at `address`, waiting up to `timeout_ms` until it has room and, where there is a key, both have proved that they have it. Options may be NULL.
///
/// `CAROM_ETIMEDOUT`; `CAROM_EACCES` if the other side has another key, wants or knows no key, or is an older Python; also if the path is another user's. `CAROM_ECONNREFUSED` or
/// `CAROM_ENOENT` if nobody listens there; `CAROM_ECLOSED` if the other side goes; -ENAMETOOLONG; `CAROM_EINVAL`; or another errno of connect.
#[unsafe(no_mangle)]
pub extern "C" fn carom_client_open(
    address: *const c_char,
    options: *const carom_link_options,
    connection: *mut *mut carom_connection,
    timeout_ms: i64,
) -> carom_status {
    boundary::create(connection, || {
        let options = options::read(options)?;
        if options.backlog != 0 || options.mode != 0 {
            return Err(Error::invalid("backlog and mode are for listeners"));
        }
        let address = boundary::text(address)?.ok_or(Error::invalid("the address is NULL"))?;
        connection::make(listener::connect(address, key(&options)?, lock_deadline(timeout_ms))?)
    })
}
