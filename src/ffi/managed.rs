//! What the nouns of a manager have in common: values on their way to a server, and back into the caller's memory.

use super::boundary::{self, write, write_optional};
use super::call::{self, CAROM_ARGUMENT_BOOL, CAROM_ARGUMENT_BYTES, CAROM_ARGUMENT_HANDLE, CAROM_ARGUMENT_INTEGER};
use super::call::{CAROM_ARGUMENT_LIST, CAROM_ARGUMENT_MAP, CAROM_ARGUMENT_REAL, CAROM_ARGUMENT_STRING};
use super::call::{EMPTY, carom_argument};
use super::handle::{self, Kind, Named};
use super::library::carom_status;
use super::lock::free;
use crate::error::{Error, Result};
use crate::family;
use crate::manager::argument;
use crate::manager::client::{Client, Target};
use crate::manager::kind;
use crate::manager::protocol::Given as Sent;
use crate::manager::value::{ALIGNMENT, ARGUMENT, Proxy, Scalar, Value};
use crate::shm::cell::Cell;
use std::ffi::c_void;

const _: () = assert!(size_of::<carom_argument>() == ARGUMENT);

/// The object of a manager behind a handle that can name nothing else.
pub(super) fn target<T>(handle: *mut T, kind: Kind) -> Result<Target> {
    let named = handle::named(handle, kind)?;
    let cell = family::current()?.arena.cell(named.index);
    Target::of(cell.ok_or(Error::BadHandle("the object is gone".into()))?, named.generation)
}

/// A handle type that only objects of managers have.
pub(super) trait Managed {
    const KIND: Kind;
}

/// An argument of a method, as C passed it.
pub(super) enum Given {
    /// Must be there.
    One(*const carom_argument),
    /// So many, as a list.
    Many(*const carom_argument, usize),
    /// A whole number.
    Integer(i64),
}

impl Given {
    fn value(&self, target: &Target) -> Result<Value> {
        match *self {
            Given::One(argument) => values(target, argument, 1)?.pop().ok_or(Error::invalid("an argument is NULL")),
            Given::Many(arguments, count) => Ok(Value::List(values(target, arguments, count)?)),
            Given::Integer(integer) => Ok(Value::Integer(integer)),
        }
    }

    /// The scalar that it is.
    fn scalar<'a>(&self) -> Result<Option<Scalar<'a>>> {
        match *self {
            Given::One(argument) if !argument.is_null() => match call::plain(argument)? {
                Some(argument) => argument::to_scalar(&argument),
                None => Ok(None),
            },
            Given::Integer(integer) => Ok(Some(Scalar::Integer(integer))),
            _ => Ok(None),
        }
    }
}

/// A method is called with so many scalars at most, or with values.
const FEW: usize = 3;

/// Shows `body` the object behind a handle, and what a method of it is called with: scalars where they lie.
fn with_request<T: Managed, R>(
    object: *mut T,
    given: &[Given],
    body: impl FnOnce(&Target, Sent<'_>) -> Result<R>,
) -> Result<R> {
    let target = target(object, T::KIND)?;
    let mut few = [Scalar::Nil; FEW];
    let mut count = 0;
    for (place, given) in few.iter_mut().zip(given) {
        // What is a list, a map or a handle is not looked into here.
        let Some(scalar) = given.scalar()? else { break };
        *place = scalar;
        count += 1;
    }
    if count == given.len() {
        return body(&target, Sent::Scalars(&few[..count]));
    }
    let values = given.iter().map(|given| given.value(&target)).collect::<Result<Vec<_>>>()?;
    body(&target, Sent::Values(&values))
}

/// The object behind a handle, and what a method of it is called with.
pub(super) fn request<T: Managed>(object: *mut T, given: &[Given]) -> Result<(Target, Vec<Value>)> {
    let target = target(object, T::KIND)?;
    let arguments = given.iter().map(|given| given.value(&target)).collect::<Result<_>>()?;
    Ok((target, arguments))
}

/// Calls a method that gives nothing.
pub(super) fn order<T: Managed>(object: *mut T, method: &str, given: &[Given]) -> carom_status {
    boundary::status(|| {
        with_request(object, given, |target, given| target.call_with(method, given, None, 0, |_, _| Ok(())))
    })
}

/// Calls a method that gives a number or a truth value.
pub(super) fn ask<T: Managed>(object: *mut T, method: &str, given: &[Given]) -> Result<i64> {
    with_request(object, given, |target, given| target.call_with(method, given, None, 0, |value, _| value.integer()))
}

/// Calls a method that gives a value, which is shown at a place of the caller's.
pub(super) fn fetch<T: Managed>(
    object: *mut T,
    method: &str,
    given: &[Given],
    (shown, data, capacity, len): Room,
) -> carom_status {
    boundary::status(|| {
        let place = Place::new(shown, data, capacity, len)?;
        with_request(object, given, |target, given| place.fill(target, method, given, 0))
    })
}

/// Where a caller wants a value: the argument, memory for what that points to, how much, and where the length goes.
pub(super) type Room = (*mut carom_argument, *mut c_void, usize, *mut usize);

/// A number that the caller has from an earlier call: a cursor, a version.
pub(super) fn number(place: *mut u64) -> Result<i64> {
    i64::try_from(boundary::read(place)?).map_err(|_| Error::invalid("that is no number of this library's"))
}

pub(super) fn unexpected() -> Error {
    Error::Broken("the server answered something else".into())
}

/// Shows the next items of a container, or pairs, that the method `batch` gives: how many, and the cursor moves on.
pub(super) fn walk<T: Managed>(
    object: *mut T,
    cursor: *mut u64,
    most: usize,
    more: &[Given],
    (shown, data, capacity, len): Room,
) -> i64 {
    boundary::answer(|| {
        let place = Place::new(shown, data, capacity, len)?;
        let most = if most == 0 { i64::MAX } else { most.min(i64::MAX as usize) as i64 };
        let (target, mut arguments) = request(object, &[Given::Integer(number(cursor)?), Given::Integer(most)])?;
        arguments.extend(request(object, more)?.1);
        let result = target.call("batch", arguments, Some(place.batch_room()), 0, |value, adopt| {
            let Value::List(parts) = value else { return Err(unexpected()) };
            let [Value::Integer(next), items @ (Value::Map(_) | Value::List(_))] = &parts[..] else {
                return Err(unexpected());
            };
            place.show(items, adopt)?;
            write(cursor, *next as u64)?;
            Ok(items.parts() as i64)
        });
        place.say_needed(result)
    })
}

/// What C passed, for the server of `target`.
pub(super) fn values(target: &Target, arguments: *const carom_argument, count: usize) -> Result<Vec<Value>> {
    call::arguments::<false>(arguments, count)?.iter().map(|argument| target.value_of(argument)).collect()
}

/// The same, for that of `client`.
pub(super) fn values_of(client: &Client, arguments: *const carom_argument, count: usize) -> Result<Vec<Value>> {
    let arguments = call::arguments::<false>(arguments, count)?;
    arguments.iter().map(|given| argument::to_value(client.manager(), given)).collect()
}

/// Where a result goes: an argument, and memory for what that points to.
pub(super) struct Place {
    shown: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
}

type Adopt<'a> = &'a mut dyn FnMut(Proxy) -> Result<(&'static Cell, u32)>;

impl Place {
    /// A place of the caller's.
    pub(super) fn new(
        shown: *mut carom_argument,
        data: *mut c_void,
        capacity: usize,
        len: *mut usize,
    ) -> Result<Place> {
        boundary::check(shown)?;
        boundary::bytes_mut(data, capacity)?;
        Ok(Place { shown, data, capacity, len })
    }

    /// Bytes at its beginning that are of no use, for what is shown is aligned.
    fn gap(&self) -> usize {
        (self.data as usize).wrapping_neg() % ALIGNMENT
    }

    /// Bytes that a result may take.
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.gap())
    }

    /// The same for a result of which a part is shown: those around it are a list of up to four.
    pub(super) fn batch_room(&self) -> usize {
        self.room() + 4 * ARGUMENT
    }

    /// Calls a method, and shows its result here.
    pub(super) fn fill(&self, target: &Target, method: &str, given: Sent<'_>, timeout_ms: i64) -> Result<()> {
        let done =
            target.call_with(method, given, Some(self.room()), timeout_ms, |value, adopt| self.show(value, adopt));
        self.say_needed(done)
    }

    /// A result that does not fit is missing so many bytes, with the gap.
    pub(super) fn say_needed<T>(&self, done: Result<T>) -> Result<T> {
        done.map_err(|error| match error {
            Error::MessageSize { needed, .. } => {
                let needed = needed + self.gap();
                write_optional(self.len, needed);
                Error::MessageSize { needed, capacity: self.capacity }
            }
            error => error,
        })
    }

    /// Shows a value here.
    pub(super) fn show(&self, value: &Value, adopt: Adopt<'_>) -> Result<()> {
        let mut writer = Writer { at: self.gap(), place: self, handles: Vec::new() };
        match writer.argument(value, adopt) {
            Ok(shown) => {
                write_optional(self.len, if value.room() == 0 { 0 } else { writer.at });
                boundary::write(self.shown, shown)
            }
            Err(error) => {
                writer.handles.into_iter().for_each(free_any);
                Err(error)
            }
        }
    }
}

fn free_any(handle: *mut c_void) {
    if let Ok((kind, _)) = handle::named_any(handle) {
        free(handle, kind);
    }
}

struct Writer<'a> {
    place: &'a Place,
    at: usize,
    handles: Vec<*mut c_void>,
}

impl Writer<'_> {
    /// The next `len` bytes of the caller's memory, aligned.
    fn take(&mut self, len: usize) -> Result<*mut u8> {
        let capacity = self.place.capacity;
        let end = self.at.checked_add(len.next_multiple_of(ALIGNMENT)).filter(|end| *end <= capacity);
        let end = end.ok_or(Error::MessageSize { needed: self.at + len, capacity })?;
        let place = self.place.data.cast::<u8>().wrapping_add(self.at);
        self.at = end;
        Ok(place)
    }

    fn bytes(&mut self, kind: u32, bytes: &[u8]) -> Result<carom_argument> {
        if bytes.is_empty() {
            return Ok(carom_argument { kind, ..EMPTY });
        }
        let place = self.take(bytes.len())?;
        // SAFETY: `take` gave so many bytes of the caller's buffer, which `Place::new` has checked; `bytes` are ours.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        Ok(carom_argument { kind, data: place.cast(), len: bytes.len() as u64, ..EMPTY })
    }

    fn array<'v>(
        &mut self,
        kind: u32,
        len: usize,
        items: impl ExactSizeIterator<Item = &'v Value>,
        adopt: Adopt<'_>,
    ) -> Result<carom_argument> {
        if len == 0 {
            return Ok(carom_argument { kind, ..EMPTY });
        }
        let place = self.take(items.len() * ARGUMENT)?.cast::<carom_argument>();
        for (index, item) in items.enumerate() {
            let shown = self.argument(item, adopt)?;
            // SAFETY: `take` gave room for all of them, at a multiple of 16.
            unsafe { place.add(index).write(shown) };
        }
        Ok(carom_argument { kind, data: place.cast(), len: len as u64, ..EMPTY })
    }

    fn argument(&mut self, value: &Value, adopt: Adopt<'_>) -> Result<carom_argument> {
        Ok(match value {
            Value::Nil => EMPTY,
            Value::Bool(bool) => carom_argument { kind: CAROM_ARGUMENT_BOOL, integer: *bool as i64, ..EMPTY },
            Value::Integer(integer) => carom_argument { kind: CAROM_ARGUMENT_INTEGER, integer: *integer, ..EMPTY },
            Value::Real(real) => carom_argument { kind: CAROM_ARGUMENT_REAL, real: *real, ..EMPTY },
            Value::Bytes(bytes) => self.bytes(CAROM_ARGUMENT_BYTES, bytes)?,
            Value::String(bytes) => self.bytes(CAROM_ARGUMENT_STRING, bytes)?,
            Value::List(items) => self.array(CAROM_ARGUMENT_LIST, items.len(), items.iter(), adopt)?,
            Value::Map(pairs) => {
                let flat: Vec<_> = pairs.iter().flat_map(|(key, value)| [key, value]).collect();
                self.array(CAROM_ARGUMENT_MAP, pairs.len(), flat.into_iter(), adopt)?
            }
            Value::Proxy(proxy) => {
                let handle = handle_of(adopt(*proxy)?, proxy.kind)?;
                self.handles.push(handle);
                carom_argument { kind: CAROM_ARGUMENT_HANDLE, handle, ..EMPTY }
            }
        })
    }
}

/// A handle of a cell that this process has made for an object.
pub(super) fn handle_of<T>((cell, generation): (&'static Cell, u32), kind: u8) -> Result<*mut T> {
    let family = family::current()?;
    let named = Named { index: family.arena.cell_index(cell), generation, view: 0 };
    let made = handle::of_cell(kind_of_managed(kind), named, Some(family.me));
    made.inspect_err(|_| cell.let_go(family.arena, generation, family.me.slot))
}

/// What an object of a manager is to its user.
pub(super) fn kind_of_managed(kind: u8) -> Kind {
    match kind {
        kind::DICT => Kind::Dict,
        kind::LIST => Kind::List,
        kind::QUEUE => Kind::Queue,
        kind::VALUE => Kind::Value,
        kind::ARRAY => Kind::Array,
        kind::LOCK | kind::RLOCK => Kind::Lock,
        kind::SEMAPHORE | kind::BOUNDED_SEMAPHORE => Kind::Semaphore,
        kind::CONDITION => Kind::Condition,
        kind::EVENT => Kind::Event,
        kind::BARRIER => Kind::Barrier,
        kind::POOL => Kind::ManagedPool,
        _ => Kind::Proxy,
    }
}
