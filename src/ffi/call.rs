//! One callable type for everything that runs in another process, and one struct for everything that travels.

use super::array::carom_array;
use super::barrier::carom_barrier;
use super::boundary::{self, write};
use super::condition::carom_condition;
use super::connection::carom_connection;
use super::event::carom_event;
use super::handle::{self, Kind};
use super::library::carom_status;
use super::listener::carom_listener;
use super::lock::carom_lock;
use super::passing::{borrow, handle_argument, open_socket, passed_on, reference, sent};
use super::queue::carom_queue;
use super::semaphore::carom_semaphore;
use super::value::carom_value;
use crate::call::{self, Call};
use crate::error::{Error, Result};
use crate::family;
use crate::function;
use crate::pin::view_of;
use crate::sys::descriptor;
use crate::wire::{self, Argument, Encoding};
use std::borrow::Cow;
use std::ffi::{c_char, c_void};

/// One run of a function, as the function sees it. Valid until the function returns, in the process in which it runs.
#[allow(non_camel_case_types)]
pub struct carom_call {
    _opaque: [u8; 0],
}

/// What runs in another process: a pool's task, a process's target. 0 is success; anything else fails and discards the reply.
/// A task's verdict keeps the whole number; a process exits with it if it is 1…255, else with 255.
///
/// It must not unwind (a C++ exception that leaves it ends its process) and may call whatever it likes; if it calls `exit`, its process ends.
#[allow(non_camel_case_types)]
pub type carom_function = Option<extern "C" fn(call: *mut carom_call) -> i32>;

/// Bytes: `data`, `len`.
pub const CAROM_ARGUMENT_BYTES: u32 = 0;
/// A handle of an object that can be shared: a lock, a value.
pub const CAROM_ARGUMENT_HANDLE: u32 = 1;
/// A file descriptor: `integer`. For processes only. The function finds a duplicate there, closed by exec and its own to close (under start method fork, the
/// descriptor that it has anyway).
pub const CAROM_ARGUMENT_FD: u32 = 2;
/// Nothing.
pub const CAROM_ARGUMENT_NIL: u32 = 3;
/// A truth value: `integer`, 0 or 1.
pub const CAROM_ARGUMENT_BOOL: u32 = 4;
/// An integer: `integer`.
pub const CAROM_ARGUMENT_INTEGER: u32 = 5;
/// A floating-point number: `real`.
pub const CAROM_ARGUMENT_REAL: u32 = 6;
/// A text: `data`, `len`; no terminating zero is needed, and none is counted.
pub const CAROM_ARGUMENT_STRING: u32 = 7;
/// A list: `data` is a `carom_argument[len]`.
pub const CAROM_ARGUMENT_LIST: u32 = 8;
/// A map: `data` is a `carom_argument[2 * len]`, key, value, key, value.
pub const CAROM_ARGUMENT_MAP: u32 = 9;

/// What travels: arguments, messages, replies. The zero kind is bytes. Frozen: this struct never grows, since arrays of it cross the border.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_argument {
    /// `CAROM_ARGUMENT_…`
    pub kind: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes, string, list, map.
    pub data: *const c_void,
    /// Bytes, or elements of a list, or pairs of a map.
    pub len: u64,
    /// Integer, bool, descriptor.
    pub integer: i64,
    /// Real.
    pub real: f64,
    /// Handle.
    pub handle: *mut c_void,
}

pub(super) const EMPTY: carom_argument = carom_argument {
    kind: CAROM_ARGUMENT_NIL,
    reserved: 0,
    data: std::ptr::null(),
    len: 0,
    integer: 0,
    real: 0.0,
    handle: std::ptr::null_mut(),
};

/// What is passed, and the lists and maps in it.
const DEPTH: usize = wire::MAX_DEPTH + 1;

pub(super) fn address(function: carom_function) -> usize {
    function.map_or(0, |function| function as usize)
}

/// The engine's arguments for what C passed; borrows the caller's memory. Descriptors only `WITH_FDS`: not everything
/// that takes arguments can pass them on.
pub(super) fn arguments<'a, const WITH_FDS: bool>(
    arguments: *const carom_argument,
    count: usize,
) -> Result<Vec<Argument<'a>>> {
    convert_all::<WITH_FDS>(boundary::items(arguments, count)?, DEPTH)
}

/// The same for one; `None` for what names others: lists, maps, and whatever is a handle.
pub(super) fn plain<'a>(argument: *const carom_argument) -> Result<Option<Argument<'a>>> {
    match boundary::items(argument, 1)? {
        [argument] if !matches!(argument.kind, CAROM_ARGUMENT_LIST | CAROM_ARGUMENT_MAP | CAROM_ARGUMENT_HANDLE) => {
            convert::<false>(argument, DEPTH).map(Some)
        }
        _ => Ok(None),
    }
}

/// So many arguments, if they are short, or all but one of them, need no memory to be encoded.
const FEW: usize = 3;

/// Shows the encoding of what C passed to `body`.
#[inline]
pub(super) fn with_encoded<T>(
    arguments: *const carom_argument,
    count: usize,
    body: impl FnOnce(Encoding<'_>) -> Result<T>,
) -> Result<T> {
    let given = boundary::items(arguments, count)?;
    if given.len() <= FEW {
        let mut few = [const { Argument::Nil }; FEW];
        for (place, argument) in few.iter_mut().zip(given) {
            *place = convert::<false>(argument, DEPTH)?;
        }
        let mut room = [0; 128];
        if let Ok(len) = wire::encode(&few[..given.len()], &mut room) {
            return body((&room[..len]).into());
        }
        if let Some(encoding) = Encoding::around(&few[..given.len()], &mut room) {
            return body(encoding);
        }
    }
    body((&*wire::to_vec(&convert_all::<false>(given, DEPTH)?)?).into())
}

fn convert_all<'a, const WITH_FDS: bool>(arguments: &'a [carom_argument], depth: usize) -> Result<Vec<Argument<'a>>> {
    if depth == 0 {
        return Err(Error::invalid("arguments are nested too deeply"));
    }
    let mut converted = Vec::new();
    let room = converted.try_reserve_exact(arguments.len());
    room.map_err(|_| Error::NoMemory("no memory for so many arguments"))?;
    for argument in arguments {
        converted.push(convert::<WITH_FDS>(argument, depth)?);
    }
    Ok(converted)
}

fn convert<'a, const WITH_FDS: bool>(argument: &'a carom_argument, depth: usize) -> Result<Argument<'a>> {
    let len = usize::try_from(argument.len).map_err(|_| Error::invalid("a length is absurd"))?;
    if argument.reserved != 0 {
        return Err(Error::invalid("the reserved field of an argument is not 0"));
    }
    let nested = |count: Option<usize>| -> Result<Vec<Argument<'a>>> {
        let count = count.ok_or(Error::invalid("a length is absurd"))?;
        convert_all::<WITH_FDS>(boundary::items(argument.data.cast::<carom_argument>(), count)?, depth - 1)
    };
    Ok(match argument.kind {
        CAROM_ARGUMENT_BYTES => Argument::Bytes(boundary::bytes(argument.data, len)?),
        CAROM_ARGUMENT_STRING => Argument::String(boundary::bytes(argument.data, len)?),
        CAROM_ARGUMENT_HANDLE => match passed_on(argument.handle)? {
            None => Argument::Handle(sent(argument.handle)?),
            Some((number, state)) if WITH_FDS => {
                Argument::Socket { number, known_as: argument.handle as u64, state: Cow::Owned(state) }
            }
            Some(_) => return Err(Error::Unsupported("sockets are arguments of processes only: workers live already")),
        },
        CAROM_ARGUMENT_FD if WITH_FDS => Argument::Descriptor(open_descriptor(argument.integer)?),
        CAROM_ARGUMENT_FD => {
            return Err(Error::Unsupported("descriptors are arguments of processes only: workers live already"));
        }
        CAROM_ARGUMENT_NIL => Argument::Nil,
        CAROM_ARGUMENT_BOOL => Argument::Bool(argument.integer != 0),
        CAROM_ARGUMENT_INTEGER => Argument::Integer(argument.integer),
        CAROM_ARGUMENT_REAL => Argument::Real(argument.real),
        CAROM_ARGUMENT_LIST => Argument::List(nested(Some(len))?),
        CAROM_ARGUMENT_MAP => Argument::Map(pairs_of(nested(len.checked_mul(2))?)),
        _ => return Err(Error::invalid("an argument is of no known kind")),
    })
}

/// Key, value, key, value as pairs.
fn pairs_of(flat: Vec<Argument<'_>>) -> Vec<(Argument<'_>, Argument<'_>)> {
    let mut pairs = Vec::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn open_descriptor(number: i64) -> Result<i32> {
    let number = i32::try_from(number).ok().filter(|number| descriptor::is_open(*number));
    number.ok_or(Error::invalid("an argument is no open descriptor"))
}

#[cold]
fn not_running() -> Error {
    match family::is_forked() {
        true => Error::Forked,
        false => Error::BadHandle("the call is NULL, it is over, or it is another process's".into()),
    }
}

/// The running call behind a pointer.
pub(super) fn running<'a>(call: *const carom_call) -> Result<&'a mut Call> {
    if !call::is_running(call as usize) {
        return Err(not_running());
    }
    // SAFETY: `is_running` says that a `Call` of this process at this address is in `Call::enter`, which
    // does not return before the function does; the function has one thread's use of it, as the header says.
    Ok(unsafe { &mut *(call as *mut Call) })
}

/// The same for the usual case, in which nothing can panic.
#[inline(always)]
fn at_once<'a>(call: *const carom_call) -> Option<&'a mut Call> {
    // SAFETY: as `running`.
    call::is_first(call as usize).then(|| unsafe { &mut *(call as *mut Call) })
}

// Functions of their own: the more usual cases then save no registers for them.
#[inline(never)]
fn read_at_once(call: *mut carom_call, index: usize, data: *mut c_void, len: usize) -> carom_status {
    let done = at_once(call).zip(boundary::some_bytes_mut(data, len));
    if done.is_some_and(|(call, bytes)| call.read_at_once(index, bytes)) {
        return 0;
    }
    read_with_care(call, index, data, len)
}

#[inline(never)]
fn reply_at_once(call: *mut carom_call, data: *const c_void, len: usize) -> carom_status {
    let done = at_once(call).zip(boundary::some_bytes(data, len));
    if done.is_some_and(|(call, bytes)| call.reply_at_once(bytes)) {
        return 0;
    }
    reply_with_care(call, data, len)
}

#[inline(never)]
fn read_with_care(call: *mut carom_call, index: usize, data: *mut c_void, len: usize) -> carom_status {
    boundary::status(|| running(call)?.read(index, boundary::bytes_mut(data, len)?))
}

#[inline(never)]
fn reply_with_care(call: *mut carom_call, data: *const c_void, len: usize) -> carom_status {
    boundary::status(|| running(call)?.reply(boundary::bytes(data, len)?))
}

/// Gives a function a name by which every process of the family knows it. Needed only where address and module do not tell: for functions made
/// at run time. To be called before `carom_init`, and before the pool that runs it is made. `name` is copied: 1 to 63 printable characters.
///
/// `CAROM_EEXIST` if the name is another function's, `CAROM_EINVAL` for a bad name, `CAROM_EFUNCTION` for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn carom_function_register(name: *const c_char, function: carom_function) -> carom_status {
    boundary::status(|| {
        let name = boundary::text(name)?.ok_or(Error::invalid("the name is NULL"))?;
        function::register(name, address(function))
    })
}

/// How many arguments the call has.
///
/// Never blocks. `CAROM_EBADHANDLE` for a call that is over.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_count(call: *const carom_call) -> i64 {
    boundary::answer(|| Ok(running(call)?.count()? as i64))
}

/// Copies argument `index`, which must have exactly `len` bytes, to `data`. Integers and reals are read as int64_t and double.
///
/// `CAROM_EMSGSIZE` for another length, `CAROM_EINVAL` if there is no such argument or it has no bytes.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_read(call: *mut carom_call, index: usize, data: *mut c_void, len: usize) -> carom_status {
    let number = at_once(call).zip(boundary::some_bytes_mut(data, len));
    if number.is_some_and(|(call, bytes)| call.read_number(index, bytes)) {
        return 0;
    }
    read_at_once(call, index, data, len)
}

/// Shows argument `index` in place: bytes and strings are aligned to 16, lists and maps are arrays of `carom_argument`, as they were passed. All
/// of it, handles too, is borrowed until the function returns.
///
/// `CAROM_EINVAL` if there is no such argument, `CAROM_EBADHANDLE` for a handle of an object that is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_argument(
    call: *mut carom_call,
    index: usize,
    argument: *mut carom_argument,
) -> carom_status {
    boundary::status(|| {
        let call = running(call)?;
        let shown = show(call, call.argument(index)?)?;
        write(argument, shown)
    })
}

fn show(call: &mut Call, argument: Argument<'static>) -> Result<carom_argument> {
    let bytes =
        |kind, bytes: &[u8]| carom_argument { kind, data: bytes.as_ptr().cast(), len: bytes.len() as u64, ..EMPTY };
    Ok(match argument {
        Argument::Bytes(data) => bytes(CAROM_ARGUMENT_BYTES, data),
        Argument::String(data) => bytes(CAROM_ARGUMENT_STRING, data),
        Argument::Nil => EMPTY,
        Argument::Bool(bool) => carom_argument { kind: CAROM_ARGUMENT_BOOL, integer: bool as i64, ..EMPTY },
        Argument::Integer(integer) => carom_argument { kind: CAROM_ARGUMENT_INTEGER, integer, ..EMPTY },
        Argument::Real(real) => carom_argument { kind: CAROM_ARGUMENT_REAL, real, ..EMPTY },
        Argument::Handle(bits) => {
            let handle = borrow::<c_void>(call, bits, None)?;
            carom_argument { kind: CAROM_ARGUMENT_HANDLE, handle, ..EMPTY }
        }
        Argument::List(elements) => {
            let elements = elements.into_iter().map(|element| show(call, element)).collect::<Result<Vec<_>>>()?;
            array(call, CAROM_ARGUMENT_LIST, elements, 1)
        }
        Argument::Map(pairs) => {
            let flat = pairs.into_iter().flat_map(|(key, value)| [key, value]);
            let flat = flat.map(|element| show(call, element)).collect::<Result<Vec<_>>>()?;
            array(call, CAROM_ARGUMENT_MAP, flat, 2)
        }
        Argument::Descriptor(there) => {
            carom_argument { kind: CAROM_ARGUMENT_FD, integer: call.descriptor(there) as i64, ..EMPTY }
        }
        Argument::Socket { number, known_as, state } => {
            let handle = open_socket(call, number, known_as, &state)?;
            carom_argument { kind: CAROM_ARGUMENT_HANDLE, handle, ..EMPTY }
        }
    })
}

/// Keeps the elements of a list or map until the call is over.
fn array(call: &mut Call, kind: u32, elements: Vec<carom_argument>, per_item: usize) -> carom_argument {
    let len = (elements.len() / per_item) as u64;
    let kept = Box::into_raw(Box::new(elements));
    call.borrow(kept as u64, |kept| {
        // SAFETY: the box made above; the call gives back each thing once.
        drop(unsafe { Box::from_raw(kept as *mut Vec<carom_argument>) });
    });
    // SAFETY: the box lives until the call is over.
    carom_argument { kind, data: unsafe { (*kept).as_ptr() }.cast(), len, ..EMPTY }
}

/// The lock that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the lock is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_lock(call: *mut carom_call, index: usize, lock: *mut *mut carom_lock) -> carom_status {
    boundary::create(lock, || handle_argument(call, index, Kind::Lock))
}

/// The value that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the value is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_value(call: *mut carom_call, index: usize, value: *mut *mut carom_value) -> carom_status {
    boundary::create(value, || handle_argument(call, index, Kind::Value))
}

/// The array that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the array is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_array(call: *mut carom_call, index: usize, array: *mut *mut carom_array) -> carom_status {
    boundary::create(array, || handle_argument(call, index, Kind::Array))
}

/// The semaphore that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the semaphore is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_semaphore(
    call: *mut carom_call,
    index: usize,
    semaphore: *mut *mut carom_semaphore,
) -> carom_status {
    boundary::create(semaphore, || handle_argument(call, index, Kind::Semaphore))
}

/// The condition that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the condition is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_condition(
    call: *mut carom_call,
    index: usize,
    condition: *mut *mut carom_condition,
) -> carom_status {
    boundary::create(condition, || handle_argument(call, index, Kind::Condition))
}

/// The event that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the event is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_event(call: *mut carom_call, index: usize, event: *mut *mut carom_event) -> carom_status {
    boundary::create(event, || handle_argument(call, index, Kind::Event))
}

/// The barrier that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the barrier is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_barrier(
    call: *mut carom_call,
    index: usize,
    barrier: *mut *mut carom_barrier,
) -> carom_status {
    boundary::create(barrier, || handle_argument(call, index, Kind::Barrier))
}

/// The connection that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it. Until then this process counts among those
/// who have that end of a pipe; a process that was started with it, also before it calls this. One over a socket is opened once.
///
/// `CAROM_EBADHANDLE` for another kind, or if nobody has that end any more.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_connection(
    call: *mut carom_call,
    index: usize,
    connection: *mut *mut carom_connection,
) -> carom_status {
    boundary::create(connection, || handle_argument(call, index, Kind::Connection))
}

/// The listener that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_listener(
    call: *mut carom_call,
    index: usize,
    listener: *mut *mut carom_listener,
) -> carom_status {
    boundary::create(listener, || handle_argument(call, index, Kind::Listener))
}

/// The queue that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the queue is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_queue(call: *mut carom_call, index: usize, queue: *mut *mut carom_queue) -> carom_status {
    boundary::create(queue, || handle_argument(call, index, Kind::Queue))
}

/// Keeps a handle that `call` lent: it lives until its own `_free`.
///
/// `CAROM_EBADHANDLE` if the handle was not lent by this call.
#[unsafe(no_mangle)]
pub extern "C" fn carom_handle_keep(call: *mut carom_call, handle: *mut c_void) -> carom_status {
    boundary::status(|| {
        let family = family::current()?;
        let opened = handle::is(handle, Kind::Connection) || handle::is(handle, Kind::Listener);
        let target = if opened { None } else { Some(reference(handle)?) };
        let call = running(call)?;
        if !call.lends(handle as u64) {
            return Err(Error::BadHandle("the handle was not lent by this call".into()));
        }
        let Some(target) = target else {
            // It is this process's own already.
            call.keep(handle as u64);
            return Ok(());
        };
        let view = view_of(family, target)?;
        handle::adopt(handle, family.arena.cell_index(view), family.me)?;
        call.keep(handle as u64);
        Ok(())
    })
}

/// Replies with a copy of `len` bytes. The last reply counts; a function that returns anything but 0 has none. A process has nobody to reply to:
/// there it does nothing.
///
/// `CAROM_EMSGSIZE` where the caller wants another size (map), `CAROM_ENOMEM` if the arena is full: an earlier reply is gone then.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_reply(call: *mut carom_call, data: *const c_void, len: usize) -> carom_status {
    let number = at_once(call).zip(boundary::some_bytes(data, len));
    if number.is_some_and(|(call, bytes)| call.reply_number(bytes)) {
        return 0;
    }
    reply_at_once(call, data, len)
}

/// Replies with a value of any kind, copied: a method of an object of a manager. The last reply counts.
///
/// `CAROM_EPERM` where nobody takes a value: tasks and processes reply with bytes.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_reply_value(call: *mut carom_call, value: *const carom_argument) -> carom_status {
    boundary::status(|| {
        let given = arguments::<false>(value, 1)?.pop().ok_or(Error::invalid("the value is NULL"))?;
        running(call)?.reply_value(&given)
    })
}

/// What a method of a type of the program's own works at: what `carom_call_set_object` said of this object. NULL elsewhere.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_object(call: *const carom_call) -> *mut c_void {
    let object = running(call).map_or(0, |call| call.object);
    std::ptr::with_exposed_provenance_mut(object as usize)
}

/// Says what was made: in the function that makes an object of a manager, and in a method whose result becomes one. It stays as it is in the server's memory, and comes back from `carom_call_object`.
///
/// Never blocks. `CAROM_EPERM` elsewhere.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_set_object(call: *mut carom_call, object: *mut c_void) -> carom_status {
    boundary::status(|| {
        let call = running(call)?;
        if !call.serves() {
            return Err(Error::NotPermitted("only functions of a manager's types make objects"));
        }
        call.made = Some(object.expose_provenance() as u64);
        Ok(())
    })
}

/// Room for a reply of up to `len` bytes, to be written in place and then committed; `*data` is aligned to 16. NULL in a process, which has nobody to
/// reply to.
///
/// Errors as `carom_call_reply`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_reserve(call: *mut carom_call, len: usize, data: *mut *mut c_void) -> carom_status {
    boundary::create(data, || {
        let place = running(call)?.reserve(len)?;
        Ok(place.map_or(std::ptr::null_mut(), |place| place.address().cast()))
    })
}

/// The first `len` reserved bytes are the reply.
///
/// `CAROM_EMSGSIZE` for more than was reserved, `CAROM_EPERM` if nothing was.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_commit(call: *mut carom_call, len: usize) -> carom_status {
    boundary::status(|| running(call)?.commit(len))
}

/// Says why the function fails: `return carom_call_fail(call, 3, "bad magic");`. `message` is copied, its first 160 bytes at most; NULL is "".
///
/// Returns `code`, or 1 if that is 0.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_fail(call: *mut carom_call, code: i32, message: *const c_char) -> i32 {
    let said = boundary::status(|| {
        let message = boundary::lossy_text(message);
        running(call)?.fail(code, &message);
        Ok(())
    });
    let _ = said;
    if code == 0 { 1 } else { code }
}
