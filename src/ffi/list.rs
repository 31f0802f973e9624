//! Lists of a manager: items in order that many processes share. An index below 0 counts from the end. Statuses as for
//! dicts; `CAROM_ENOENT` for an index outside of the list, or an item that it does not have.

use super::boundary;
use super::call::{carom_argument, carom_call};
use super::handle::Kind;
use super::library::carom_status;
use super::lock::free;
use super::managed::Given::{Integer, Many, One};
use super::managed::{self, Managed, ask, fetch, order, values_of};
use super::manager::{carom_manager, client_of, make};
use super::passing::{self, handle_argument};
use crate::manager::value::Value;
use crate::wire::Argument;
use std::ffi::c_void;

/// A list of a manager. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_list {
    _opaque: [u8; 0],
}

impl Managed for carom_list {
    const KIND: Kind = Kind::List;
}

/// Makes a list of `count` items, which may be none. Statuses as `carom_manager_create`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_list(
    manager: *mut carom_manager,
    items: *const carom_argument,
    count: usize,
    list: *mut *mut carom_list,
) -> carom_status {
    boundary::create(list, || {
        let client = client_of(manager)?;
        let items = values_of(&client, items, count)?;
        make(&client, "list", vec![Value::List(items)], false)
    })
}

/// Adds an item at the end.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_append(list: *mut carom_list, item: *const carom_argument) -> carom_status {
    order(list, "append", &[One(item)])
}

/// Adds `count` items at the end, in one step.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_extend(list: *mut carom_list, items: *const carom_argument, count: usize) -> carom_status {
    order(list, "extend", &[Many(items, count)])
}

/// Adds the items of another list of the same manager at the end, in one step; of itself too.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_extend_from(list: *mut carom_list, other: *mut carom_list) -> carom_status {
    boundary::status(|| {
        let list = managed::target(list, Kind::List)?;
        managed::target(other, Kind::List)?;
        let other = passing::reference(other.cast())?;
        let other = list.value_of(&Argument::Handle(other.to_bits()))?;
        list.order_with("extend", vec![other])
    })
}

/// The list `count` times, one behind the other, in one step; 0 empties it.
///
/// `CAROM_ENOMEM`, and nothing is changed, if that is more than the manager may hold.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_repeat(list: *mut carom_list, count: usize) -> carom_status {
    order(list, "repeat", &[Integer(count.min(i64::MAX as usize) as i64)])
}

/// Puts an item before the one at `index`; beyond the end, at the end.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_insert(list: *mut carom_list, index: i64, item: *const carom_argument) -> carom_status {
    order(list, "insert", &[Integer(index), One(item)])
}

/// The item at `index`: `*found`, and what that points to in `data`, as in `carom_proxy_call`.
///
/// `CAROM_EMSGSIZE` if it does not fit, and `*len` is what it takes.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_get(
    list: *mut carom_list,
    index: i64,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(list, "get", &[Integer(index)], (found, data, capacity, len))
}

/// The same, and takes the item out. What does not fit stays.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_pop(
    list: *mut carom_list,
    index: i64,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(list, "pop", &[Integer(index)], (found, data, capacity, len))
}

/// The items from `start` to before `stop`, cut off at the ends of the list: a list, as in `carom_list_get`. 0 and INT64_MAX are all.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_slice(
    list: *mut carom_list,
    start: i64,
    stop: i64,
    found: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    fetch(list, "slice", &[Integer(start), Integer(stop)], (found, data, capacity, len))
}

/// Puts `count` items in the place of those from `start` to before `stop`, in one step; none: these are taken out.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_set_slice(
    list: *mut carom_list,
    start: i64,
    stop: i64,
    items: *const carom_argument,
    count: usize,
) -> carom_status {
    order(list, "set_slice", &[Integer(start), Integer(stop), Many(items, count)])
}

/// Walks through the list: `*items` is a list of the next ones, at most `most` (0: as many as fit), as in `carom_list_get`. `*cursor` is 0 at the beginning, and moves on: it is the index of the next one. So what others
/// insert or take out before it moves the walk.
///
/// How many items there are, 0 at the end, or a status: `CAROM_EMSGSIZE` if not even the next one fits.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_items(
    list: *mut carom_list,
    cursor: *mut u64,
    items: *mut carom_argument,
    most: usize,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i64 {
    managed::walk(list, cursor, most, &[], (items, data, capacity, len))
}

/// The same from the last one to the first; the cursor is 0 at the beginning here too, and then its own.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_reversed(
    list: *mut carom_list,
    cursor: *mut u64,
    items: *mut carom_argument,
    most: usize,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i64 {
    managed::walk(list, cursor, most, &[Integer(1)], (items, data, capacity, len))
}

/// Another item at `index`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_set(list: *mut carom_list, index: i64, item: *const carom_argument) -> carom_status {
    order(list, "set", &[Integer(index), One(item)])
}

/// Takes the item at `index` out.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_delete(list: *mut carom_list, index: i64) -> carom_status {
    order(list, "delete", &[Integer(index)])
}

/// Takes out the first item that equals `item`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_remove(list: *mut carom_list, item: *const carom_argument) -> carom_status {
    order(list, "remove", &[One(item)])
}

/// Index of the first item that equals `item`, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_index(list: *mut carom_list, item: *const carom_argument) -> i64 {
    boundary::answer(|| ask(list, "index", &[One(item)]))
}

/// How many items equal `item`, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_count(list: *mut carom_list, item: *const carom_argument) -> i64 {
    boundary::answer(|| ask(list, "count", &[One(item)]))
}

/// 1 if an item equals `item`, 0 if none does, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_contains(list: *mut carom_list, item: *const carom_argument) -> i32 {
    boundary::answer(|| Ok(ask(list, "contains", &[One(item)])? as i32))
}

/// Sorts the list, equal items as they were; `descending` not 0: the largest first.
///
/// `CAROM_EINVAL`, and nothing is changed, if the items have no common order: numbers, texts, bytes, or lists of such.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_sort(list: *mut carom_list, descending: i32) -> carom_status {
    order(list, "sort", &[Integer((descending != 0) as i64)])
}

/// Turns the list round.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_reverse(list: *mut carom_list) -> carom_status {
    order(list, "reverse", &[])
}

/// How many items there are, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_len(list: *mut carom_list) -> i64 {
    boundary::answer(|| ask(list, "len", &[]))
}

/// Takes all items out.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_clear(list: *mut carom_list) -> carom_status {
    order(list, "clear", &[])
}

/// The list of a manager that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the list is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_list(call: *mut carom_call, index: usize, list: *mut *mut carom_list) -> carom_status {
    boundary::create(list, || handle_argument(call, index, Kind::List))
}

/// Ends this handle, as `carom_proxy_free`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_list_free(list: *mut carom_list) {
    free(list, Kind::List);
}
