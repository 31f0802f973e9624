//! Numbers, truth values, texts, bytes and None in named memory, each in a slot of fixed size: the same, bit for bit,
//! as Python's multiprocessing.shared_memory.ShareableList, for programs of both languages. Nothing guards it: let a
//! lock, where there is one, keep two from one item at a time. Whatever bytes others write there, a call ends with a
//! status.

use super::boundary;
use super::call::{self, EMPTY, carom_argument};
use super::call::{CAROM_ARGUMENT_BOOL, CAROM_ARGUMENT_BYTES, CAROM_ARGUMENT_INTEGER};
use super::call::{CAROM_ARGUMENT_NIL, CAROM_ARGUMENT_REAL, CAROM_ARGUMENT_STRING};
use super::handle::{self, Kind, Object};
use super::library::carom_status;
use super::shared_memory::{name, shown};
use crate::error::{Error, Result};
use crate::shareable_list::{Item, ShareableList};
use crate::wire::Argument;
use std::ffi::{CStr, c_char, c_void};

/// A list in named memory. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_shareable_list {
    _opaque: [u8; 0],
}

impl Object for ShareableList {
    const KIND: Kind = Kind::ShareableList;
}

fn list_of(list: *mut carom_shareable_list) -> Result<handle::Use<ShareableList>> {
    handle::object(list)
}

/// What a list can hold of arguments; refuses the others before anything is done for them.
fn items<'a>(arguments: *const carom_argument, count: usize) -> Result<Vec<Item<'a>>> {
    const KINDS: [u32; 6] = [
        CAROM_ARGUMENT_BYTES,
        CAROM_ARGUMENT_NIL,
        CAROM_ARGUMENT_BOOL,
        CAROM_ARGUMENT_INTEGER,
        CAROM_ARGUMENT_REAL,
        CAROM_ARGUMENT_STRING,
    ];
    let strange = || Error::invalid("a shareable list holds numbers, truth values, texts, bytes and nil");
    if !boundary::items(arguments, count)?.iter().all(|argument| KINDS.contains(&argument.kind)) {
        return Err(strange());
    }
    let item = |argument| match argument {
        Argument::Nil => Ok(Item::Nil),
        Argument::Bool(truth) => Ok(Item::Bool(truth)),
        Argument::Integer(integer) => Ok(Item::Integer(integer)),
        Argument::Real(real) => Ok(Item::Real(real)),
        Argument::String(text) => Ok(Item::String(text.into())),
        Argument::Bytes(bytes) => Ok(Item::Bytes(bytes.into())),
        _ => Err(strange()),
    };
    call::arguments::<false>(arguments, count)?.into_iter().map(item).collect()
}

fn one<'a>(argument: *const carom_argument) -> Result<Item<'a>> {
    items(argument, 1)?.pop().ok_or(Error::invalid("the item is NULL"))
}

/// Makes a list of `count` items under `name`; NULL: under a name made up. Numbers have a slot of 8 bytes; a text or bytes has as much room as it needs
/// and up to 8 bytes more, rounded to 8: it can be replaced by what fits there. The number of items is fixed.
///
/// Never blocks. `CAROM_EINVAL` for arguments of other kinds, and for texts that are not UTF-8; `CAROM_EMSGSIZE` for a text or bytes of 9,999,992 bytes or more;
/// else as `carom_shared_memory_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_new(
    arguments: *const carom_argument,
    count: usize,
    name: *const c_char,
    list: *mut *mut carom_shareable_list,
) -> carom_status {
    boundary::create(list, || {
        let made = ShareableList::create(&items(arguments, count)?, boundary::text(name)?)?;
        let name = made.memory().name().to_owned();
        handle::of_forkable_object(made).inspect_err(|_| {
            let _ = name.to_str().map(crate::shared_memory::unlink);
        })
    })
}

/// Opens the list that has this name, whoever made it.
///
/// Never blocks. `CAROM_ENOENT` if there is nothing; `CAROM_EBROKEN` if what is there cannot be a list; else as `carom_shared_memory_open`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_open(name: *const c_char, list: *mut *mut carom_shareable_list) -> carom_status {
    boundary::create(list, || handle::of_forkable_object(ShareableList::open(self::name(name)?)?))
}

/// Shows item `index`: `*argument` has its kind and its number. A text or bytes is copied to `data`, to which `argument->data` points then; `*len` is its length
/// (`len` may be NULL), 0 for other kinds. As in Python, zeros at the end of a text or bytes are not part of it.
///
/// Never blocks. `CAROM_EINVAL` beyond the end; `CAROM_EMSGSIZE` if `capacity` is too small: `*len` is what it takes. `CAROM_EBROKEN` if somebody wrote nonsense
/// there, `CAROM_ECLOSED`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_get(
    list: *mut carom_shareable_list,
    index: usize,
    argument: *mut carom_argument,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> carom_status {
    boundary::status(|| {
        let list = list_of(list)?;
        let place = boundary::items_mut(argument, 1)?;
        let room = boundary::bytes_mut(data, capacity)?;
        let item = list.get(index)?;
        let shown = show(&item, data);
        boundary::write_optional(len, shown.len as usize);
        if let Item::String(text) | Item::Bytes(text) = &item {
            let room = room.get_mut(..text.len()).ok_or(Error::MessageSize { needed: text.len(), capacity })?;
            room.copy_from_slice(text);
        }
        place[0] = shown;
        Ok(())
    })
}

fn show(item: &Item<'_>, data: *mut c_void) -> carom_argument {
    let text = |kind, text: &[u8]| carom_argument { kind, data, len: text.len() as u64, ..EMPTY };
    match item {
        Item::Nil => EMPTY,
        Item::Bool(truth) => carom_argument { kind: CAROM_ARGUMENT_BOOL, integer: *truth as i64, ..EMPTY },
        Item::Integer(integer) => carom_argument { kind: CAROM_ARGUMENT_INTEGER, integer: *integer, ..EMPTY },
        Item::Real(real) => carom_argument { kind: CAROM_ARGUMENT_REAL, real: *real, ..EMPTY },
        Item::String(string) => text(CAROM_ARGUMENT_STRING, string),
        Item::Bytes(bytes) => text(CAROM_ARGUMENT_BYTES, bytes),
    }
}

/// Replaces item `index`, also by one of another kind.
///
/// Never blocks. `CAROM_EMSGSIZE` if a text or bytes does not fit into the slot; `CAROM_EINVAL` beyond the end, and as `carom_shareable_list_new`;
/// `CAROM_EBROKEN`, `CAROM_ECLOSED`. The item is as it was then.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_set(
    list: *mut carom_shareable_list,
    index: usize,
    argument: *const carom_argument,
) -> carom_status {
    boundary::status(|| list_of(list)?.set(index, &one(argument)?))
}

/// How many items, or `CAROM_EBADHANDLE`, `CAROM_ECLOSED`.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_count(list: *mut carom_shareable_list) -> i64 {
    boundary::answer(|| Ok(list_of(list)?.count()? as i64))
}

/// Index of the first item that equals this one. Numbers are compared by what they are worth: 1, 1.0 and true are equal.
///
/// Never blocks. `CAROM_ENOENT` if there is none; else as `carom_shareable_list_set`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_index_of(
    list: *mut carom_shareable_list,
    argument: *const carom_argument,
) -> i64 {
    boundary::answer(|| Ok(list_of(list)?.index_of(&one(argument)?)? as i64))
}

/// How many items equal this one, as `carom_shareable_list_index_of` compares them, or a status.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_count_of(
    list: *mut carom_shareable_list,
    argument: *const carom_argument,
) -> i64 {
    boundary::answer(|| Ok(list_of(list)?.count_of(&one(argument)?)? as i64))
}

/// Name of the memory in which the list lies, as `carom_shared_memory_name`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_name(list: *mut carom_shareable_list) -> *const c_char {
    shown(list_of(list).map(|list| list.memory().name() as *const CStr))
}

/// Unmaps the list in this process, as `carom_shared_memory_close`: other calls than name, unlink and free are `CAROM_ECLOSED` then.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_close(list: *mut carom_shareable_list) -> carom_status {
    boundary::status(|| {
        list_of(list)?.memory().close();
        Ok(())
    })
}

/// Takes the name of the list's memory away, as `carom_shared_memory_unlink`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_unlink(list: *mut carom_shareable_list) -> carom_status {
    boundary::status(|| list_of(list)?.memory().unlink())
}

/// Ends this handle, as `carom_shared_memory_free`; the name stays.
#[unsafe(no_mangle)]
pub extern "C" fn carom_shareable_list_free(list: *mut carom_shareable_list) {
    handle::free_object::<ShareableList, _>(list, None);
}
