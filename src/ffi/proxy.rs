//! Objects of a manager, by the names of their methods.
//!
//! Methods, with what they take; what is in brackets may be left out:
//! - dict: get(key [default]), set(key value), setdefault(key value), pop(key [default]), popitem(), delete(key), contains(key), increment(key [by]), swap(key new [expected]), update(map),
//!   wait(key version), apply(list of calls), batch(cursor [most]), len(), keys(), values(), items(), copy(), clear().
//! - Namespace: get(name), set(name value), delete(name), contains(name), list().
//! - set: add(item), discard(item), remove(item), contains(item), update(list), pop(), list(), len(), clear().
//! - list: append(item), extend(list), insert(index item), get(index), set(index item), delete(index), pop([index]), remove(item), index(item [start stop]), count(item), contains(item), increment(index [by]),
//!   swap(index new expected), slice([start stop]), set_slice(start stop list), reverse(), sort([descending]), repeat(times), batch(cursor [most backwards]),
//!   len(), copy(), clear().
//! - Value: get(), set(value), increment([by]), swap(new expected). Array: get(index), set(index value), increment(index [by]), swap(index new expected), slice([start stop]), set_slice(start stop list), len(),
//!   copy(), index(item), count(item). Both keep to their type.
//! - Queue: put(item), put_many(list), get(), get_many(most length), size(), empty(), full(), task_done(), join(), shutdown().
//! - Lock and RLock: acquire(), recover(), release(), locked(). Semaphore: acquire(), release(), value(). Event: set(), clear(), is_set(), wait(). Condition: those of its lock, wait(), notify([count]),
//!   notify_all(). Barrier: wait(), abort(), reset(), parties(), waiting(), broken(). Pool: close(), terminate(), join(), grow(count), shrink(count), restart(),
//!   maintain(); tasks are submitted by the functions of pools.
//!
//! Indexes below 0 count from the end.

use super::boundary;
use super::call::{carom_argument, carom_call};
use super::handle::{self, Kind};
use super::library::carom_status;
use super::lock::free;
use super::managed::{self, Place};
use super::passing::handle_argument;
use crate::error::{Error, Result};
use crate::manager::client::Target;
use crate::manager::protocol::Given;
use std::ffi::{c_char, c_void};

/// An object of a manager that has no handle type of its own. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_proxy {
    _opaque: [u8; 0],
}

fn target(object: *mut c_void) -> Result<Target> {
    let kind = handle::named_any(object)?.0;
    let managed = super::object::managed(object, kind)?;
    managed.ok_or(Error::BadHandle("the handle is not one of a manager's object".into()))
}

/// Calls a method of an object of a manager: a handle of any type. Waits up to `timeout_ms` where the method waits, and for the server.
///
/// The result is `*reply`; what that points to lies in `data`, which has room for `capacity` bytes; `*len`, which may be NULL, is what it took, 0 for a scalar. A handle in it is yours to free with the function of its type.
///
/// `CAROM_EMSGSIZE` if it does not fit: `*len` is what is needed, and what was to be taken out of the object is still there. `CAROM_ENOENT` for an unknown method, and for what is not in the
/// object; `CAROM_EINVAL` for other arguments; `CAROM_ETIMEDOUT`; `CAROM_ENOMEM`; `CAROM_EBADHANDLE` if the object is gone; `CAROM_ECLOSED`, `CAROM_EBROKEN` for the server.
#[unsafe(no_mangle)]
pub extern "C" fn carom_proxy_call(
    object: *mut c_void,
    method: *const c_char,
    arguments: *const carom_argument,
    count: usize,
    reply: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let place = Place::new(reply, data, capacity, len)?;
        let target = target(object)?;
        let method = boundary::text(method)?.ok_or(Error::invalid("the name of the method is NULL"))?;
        place.fill(&target, method, Given::Values(&managed::values(&target, arguments, count)?), timeout_ms)
    })
}

/// The object of a manager, of a type that has no handle of its own, that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the object is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_proxy(call: *mut carom_call, index: usize, proxy: *mut *mut carom_proxy) -> carom_status {
    boundary::create(proxy, || handle_argument(call, index, Kind::Proxy))
}

/// Ends this handle. The object goes when nobody needs it any more. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_proxy_free(proxy: *mut carom_proxy) {
    free(proxy, Kind::Proxy);
}
