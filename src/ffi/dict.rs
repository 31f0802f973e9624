//! Dicts of a manager: keys and values that many processes share. A key is any scalar: nil, a bool, a number, bytes, a
//! string; a value is whatever an argument can be, handles of objects of the same manager included.
//!
//! Statuses of every function: `CAROM_EINVAL` for what is no key, or cannot be sent; `CAROM_EMSGSIZE` for more than 64 MiB; `CAROM_ENOMEM` if the manager
//! holds as much as it may; `CAROM_EBADHANDLE`; `CAROM_ECLOSED`, `CAROM_EBROKEN` for the server, see there. All wait for the server, none for anything else, except `carom_dict_wait`.

use super::boundary::{self, write, write_optional};
use super::call::{carom_argument, carom_call};
use super::handle::Kind;
use super::library::carom_status;
use super::lock::free;
use super::managed::Given::{Integer, Many, One};
use super::managed::{self, Managed, Place, ask, fetch, number, order, unexpected, values_of};
use super::manager::{carom_manager, client_of, make};
use super::passing::handle_argument;
use crate::manager::value::Value;
use std::ffi::c_void;

/// A dict of a manager. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_dict {
    _opaque: [u8; 0],
}

impl Managed for carom_dict {
    const KIND: Kind = Kind::Dict;
}

/// Makes a dict with what is in a map; NULL: an empty one. Statuses as `carom_manager_create`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_dict(
    manager: *mut carom_manager,
    contents: *const carom_argument,
    dict: *mut *mut carom_dict,
) -> carom_status {
    boundary::create(dict, || {
        let client = client_of(manager)?;
        let contents = values_of(&client, contents, !contents.is_null() as usize)?;
        make(&client, "dict", contents, false)
    })
}

/// Sets what `key` stands for.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_set(
    dict: *mut carom_dict,
    key: *const carom_argument,
    new_value: *const carom_argument,
) -> carom_status {
    order(dict, "set", &[One(key), One(new_value)])
}

/// What `key` stands for: `*found`, and what that points to in `data`, as in `carom_proxy_call`.
///
/// `CAROM_ENOENT` if there is no such key; `CAROM_EMSGSIZE` if it does not fit, and `*len` is what it takes.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_get(
    dict: *mut carom_dict,
    key: *const carom_argument,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(dict, "get", &[One(key)], (found, data, capacity, len))
}

/// The same, and takes the key out. What does not fit stays.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_pop(
    dict: *mut carom_dict,
    key: *const carom_argument,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(dict, "pop", &[One(key)], (found, data, capacity, len))
}

/// The key that came last, and what it stands for: a list of the two, as in `carom_dict_get`; takes the key out. `CAROM_ENOENT` if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_popitem(
    dict: *mut carom_dict,
    pair: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(dict, "popitem", &[], (pair, data, capacity, len))
}

/// What `key` stands for; if there is no such key it is set to `new_value` first. As `carom_dict_get`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_setdefault(
    dict: *mut carom_dict,
    key: *const carom_argument,
    new_value: *const carom_argument,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(dict, "setdefault", &[One(key), One(new_value)], (found, data, capacity, len))
}

/// Takes a key out. `CAROM_ENOENT` if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_delete(dict: *mut carom_dict, key: *const carom_argument) -> carom_status {
    order(dict, "delete", &[One(key)])
}

/// 1 if there is such a key, 0 if not, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_contains(dict: *mut carom_dict, key: *const carom_argument) -> i32 {
    boundary::answer(|| Ok(ask(dict, "contains", &[One(key)])? as i32))
}

/// Adds `by` to the whole number that `key` stands for, 0 if there is none, in one step. `*after`, which may be NULL, is the sum.
///
/// `CAROM_EINVAL` if it stands for something else, or the sum has more than 64 bits.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_increment(
    dict: *mut carom_dict,
    key: *const carom_argument,
    by: i64,
    after: *mut i64,
) -> carom_status {
    boundary::status(|| {
        let sum = ask(dict, "increment", &[One(key), Integer(by)])?;
        write_optional(after, sum);
        Ok(())
    })
}

/// Sets `key` to `new_value` if it stands for what equals `expected` (NULL: if there is no such key), in one step: 1 if it did, 0 if not, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_swap(
    dict: *mut carom_dict,
    key: *const carom_argument,
    expected: *const carom_argument,
    new_value: *const carom_argument,
) -> i32 {
    boundary::answer(|| {
        let given = [One(key), One(new_value), One(expected)];
        let given = if expected.is_null() { &given[..2] } else { &given };
        Ok(ask(dict, "swap", given)? as i32)
    })
}

/// Sets all keys of a map, in one step.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_update(dict: *mut carom_dict, map: *const carom_argument) -> carom_status {
    order(dict, "update", &[One(map)])
}

/// Several calls in one step: all happen, or none and the status is that of the first that cannot. Each is a list: the name of the method (get, contains, set, setdefault, pop, delete, increment, swap), then its
/// arguments, see there. `*results` is a list of their results, as in `carom_proxy_call`.
///
/// `CAROM_EMSGSIZE` if the results do not fit: then all has happened.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_apply(
    dict: *mut carom_dict,
    calls: *const carom_argument,
    count: usize,
    results: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(dict, "apply", &[Many(calls, count)], (results, data, capacity, len))
}

/// How many keys there are, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_len(dict: *mut carom_dict) -> i64 {
    boundary::answer(|| ask(dict, "len", &[]))
}

/// Takes all keys out.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_clear(dict: *mut carom_dict) -> carom_status {
    order(dict, "clear", &[])
}

/// Walks through the dict in the order in which its keys came: `*pairs` is a map of the next ones, at most `most` (0: as many as fit), as in `carom_proxy_call`. `*cursor` is 0 at the beginning, and moves on. Each key that stays is met once,
/// whatever others do meanwhile.
///
/// How many pairs there are, 0 at the end, or a status: `CAROM_EMSGSIZE` if not even the next one fits.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_items(
    dict: *mut carom_dict,
    cursor: *mut u64,
    pairs: *mut carom_argument,
    most: usize,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i64 {
    managed::walk(dict, cursor, most, &[], (pairs, data, capacity, len))
}

/// All keys, in their order: a list, as in `carom_dict_get`. `carom_dict_items` gives as many as fit.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_keys(
    dict: *mut carom_dict,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(dict, "keys", &[], (found, data, capacity, len))
}

/// All values, in the order of their keys: a list, as in `carom_dict_get`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_values(
    dict: *mut carom_dict,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(dict, "values", &[], (found, data, capacity, len))
}

/// The whole dict: a map, as in `carom_dict_get`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_copy(
    dict: *mut carom_dict,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(dict, "copy", &[], (found, data, capacity, len))
}

/// Waits up to `timeout_ms` until `key` is set, or taken out, after the change that `*version` names (0: any), and moves that on. `*found` is what it stands for now, nil if it is not there, as in `carom_proxy_call`. Of
/// several changes the last one is seen.
///
/// 1 if there is such a key, 0 if not, or a status: `CAROM_ETIMEDOUT`, `CAROM_EMSGSIZE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_wait(
    dict: *mut carom_dict,
    key: *const carom_argument,
    version: *mut u64,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> i32 {
    boundary::answer(|| {
        let place = Place::new(found, data, capacity, len)?;
        let (dict, arguments) = managed::request(dict, &[One(key), Integer(number(version)?)])?;
        let result = dict.call("wait", arguments, Some(place.batch_room()), timeout_ms, |value, adopt| {
            let Value::List(parts) = value else { return Err(unexpected()) };
            let [Value::Integer(now), Value::Bool(is_there), value] = &parts[..] else { return Err(unexpected()) };
            place.show(value, adopt)?;
            write(version, *now as u64)?;
            Ok(*is_there as i32)
        });
        place.say_needed(result)
    })
}

/// The dict of a manager that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the dict is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_dict(call: *mut carom_call, index: usize, dict: *mut *mut carom_dict) -> carom_status {
    boundary::create(dict, || handle_argument(call, index, Kind::Dict))
}

/// Ends this handle, as `carom_proxy_free`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_dict_free(dict: *mut carom_dict) {
    free(dict, Kind::Dict);
}
