//! Handles as arguments: what travels of an object, and what is made of it at the other end.

use super::call::{carom_call, running};
use super::connection::{self, carom_connection};
use super::handle::{self, Kind, Named};
use super::listener::{carom_listener, carom_listener_free, listener_of};
use super::managed::kind_of_managed;
use super::queue;
use crate::bell;
use crate::call::Call;
use crate::connection::listener::Listener;
use crate::connection::{pipe, socket_end};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::manager::client;
use crate::shm::cell::{self, Cell, Reference};
use crate::wire::Argument;
use std::ffi::c_void;

/// In a reference that travels: not the value itself is meant, but its lock.
const ITS_LOCK: u64 = 1 << 52;

/// A handle as it travels: what it names, and as what.
pub(super) fn sent(handle: *mut c_void) -> Result<u64> {
    if handle::is(handle, Kind::Connection) {
        return connection::sent(handle.cast());
    }
    let reference = reference(handle)?;
    let (kind, _) = handle::named_any(handle)?;
    let its_lock = kind == Kind::Lock && reference.kind != cell::Kind::Lock as u8;
    Ok(reference.to_bits() | if its_lock { ITS_LOCK } else { 0 })
}

/// Descriptor and state of what is passed by descriptor.
pub(super) fn passed_on(handle: *mut c_void) -> Result<Option<(i32, Vec<u8>)>> {
    match handle::kind(handle) {
        Some(Kind::Connection) => connection::passed_on(handle.cast()),
        Some(Kind::Listener) => listener_of(handle.cast())?.pass_on().map(Some),
        _ => Ok(None),
    }
}

/// What another process may call the object behind a handle.
pub(super) fn reference(handle: *mut c_void) -> Result<Reference> {
    let family = family::current()?;
    let (_, named) = handle::named_any(handle)?;
    let cell = family.arena.cell(named.index).filter(|cell| cell.generation() == named.generation);
    let cell = cell.ok_or(Error::BadHandle("the object behind a handle is gone".into()))?;
    Ok(cell.reference(family.arena))
}

/// A handle, borrowed until the call is over, for the object that an argument names.
pub(super) fn borrow<T>(call: &mut Call, bits: u64, wanted: Option<Kind>) -> Result<*mut T> {
    let family = family::current()?;
    let reference = Reference::from_bits(bits);
    if reference.kind == cell::Kind::End as u8 && wanted.is_none_or(|wanted| wanted == Kind::Connection) {
        let handle = connection::open(family, reference)?;
        call.borrow(handle as u64, |handle| connection::carom_connection_free(handle as *mut carom_connection));
        return Ok(handle.cast());
    }
    let cell = reference.cell(family.arena).ok_or(Error::BadHandle("the object of an argument is gone".into()))?;
    let kind = kind_of(bits, cell)?;
    if wanted.is_some_and(|wanted| wanted != kind) {
        return Err(Error::BadHandle("the argument is a handle of another kind".into()));
    }
    let named = Named { index: reference.index, generation: reference.generation, view: 0 };
    let handle = handle::of_cell::<T>(kind, named, None)?;
    call.borrow(handle as u64, |handle| {
        let handle = std::ptr::without_provenance_mut::<c_void>(handle as usize);
        if let Ok((kind, _)) = handle::named_any(handle) {
            bell::forget(handle as u64);
            if kind == Kind::Queue {
                queue::give_roles_back(handle.cast());
            }
            handle::free_cell(handle, kind, None);
        }
    });
    Ok(handle)
}

/// The handle of a connection or listener that was passed by descriptor: opened once. In a fork it is the inherited one.
pub(super) fn open_socket<T>(call: &mut Call, number: i32, known_as: u64, state: &[u8]) -> Result<*mut T> {
    let to_pointer = |handle: u64| std::ptr::without_provenance_mut::<T>(handle as usize);
    if let Some((_, handle)) = call.opened.iter().find(|(opened, _)| *opened == number) {
        return Ok(to_pointer(*handle));
    }
    let known_as = to_pointer(known_as);
    let listens = handle::is(known_as.cast(), Kind::Listener);
    let handle = match call.given(number) {
        None if listens => listener_of(known_as.cast()).map(|_| known_as)?,
        None => connection::connection_of(known_as.cast()).map(|_| known_as)?,
        Some(fd) if listens => handle::of_forkable_object(Listener::open(fd, state)?)?,
        Some(fd) => connection::make(socket_end::open(fd, state)?)?.cast(),
    };
    call.opened.push((number, handle as u64));
    call.borrow(
        handle as u64,
        match (call.given(number).is_some(), listens) {
            (false, _) => |_| {},
            (true, true) => |handle| carom_listener_free(handle as *mut carom_listener),
            (true, false) => |handle| connection::carom_connection_free(handle as *mut carom_connection),
        },
    );
    Ok(handle)
}

/// What the object that travels is to its user.
fn kind_of(bits: u64, cell: &'static Cell) -> Result<Kind> {
    let kind = match cell.kind() {
        cell::Kind::Proxy => Some(kind_of_managed(client::proxy_of(cell).kind)),
        _ if bits & ITS_LOCK != 0 => Some(Kind::Lock),
        _ => shared_kind(Reference::from_bits(bits).kind),
    };
    kind.ok_or(Error::BadHandle("the argument names no object that is shared".into()))
}

/// A handle of an object that came through a pipe, kept by a view of this process.
pub(super) fn received(family: Family, bits: u64, view: &'static Cell) -> Result<*mut c_void> {
    let reference = Reference::from_bits(bits);
    if reference.kind == cell::Kind::End as u8 {
        return Ok(connection::make(pipe::keep(family, reference, view)?)?.cast());
    }
    let cell = reference.cell(family.arena).ok_or(Error::BadHandle("the object is gone".into()))?;
    let view = family.arena.cell_index(view);
    let named = Named { index: reference.index, generation: reference.generation, view };
    handle::of_cell(kind_of(bits, cell)?, named, Some(family.me))
}

/// What a cell of a kind is to its user; `None` for what has no handle.
fn shared_kind(kind: u8) -> Option<Kind> {
    const KINDS: [(cell::Kind, Kind); 9] = [
        (cell::Kind::Manager, Kind::Manager),
        (cell::Kind::Lock, Kind::Lock),
        (cell::Kind::Value, Kind::Value),
        (cell::Kind::Array, Kind::Array),
        (cell::Kind::Semaphore, Kind::Semaphore),
        (cell::Kind::Condition, Kind::Condition),
        (cell::Kind::Event, Kind::Event),
        (cell::Kind::Barrier, Kind::Barrier),
        (cell::Kind::Queue, Kind::Queue),
    ];
    KINDS.iter().find(|(cell, _)| *cell as u8 == kind).map(|(_, kind)| *kind)
}

pub(super) fn handle_argument<T>(call: *mut carom_call, index: usize, kind: Kind) -> Result<*mut T> {
    let call = running(call)?;
    match call.argument(index)? {
        Argument::Handle(bits) => borrow(call, bits, Some(kind)),
        Argument::Socket { number, known_as, state } => {
            if !handle::is(std::ptr::without_provenance_mut(known_as as usize), kind) {
                return Err(Error::BadHandle("the argument is a handle of another kind".into()));
            }
            open_socket(call, number, known_as, &state)
        }
        _ => Err(Error::invalid("the argument is not a handle")),
    }
}
