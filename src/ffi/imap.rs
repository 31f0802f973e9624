//! One function over many items, whose results are handed out one by one.

use super::boundary::{self, bytes};
use super::call::{self, carom_argument, carom_function};
use super::handle::{self, Kind, Object};
use super::library::carom_status;
use super::managed_pool;
use super::options::{self, Sized_};
use super::pool::{carom_pool, pool_of};
use super::pool_options::{carom_task_options, task_options};
use super::process::encode;
use super::result::{self, carom_result};
use crate::error::{Error, Result};
use crate::family;
use crate::manager::items::Items;
use crate::pin::Pins;
use crate::pool::iterator::{Source, Stream};
use crate::sys::clock::deadline_after_ms;
use std::ffi::c_void;

/// Results of many items, as they come. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_iterator {
    _opaque: [u8; 0],
}

/// Gives the arguments of the next item: writes up to `max` and returns how many; 0 at the end, or a status, which ends the input and comes out of
/// `carom_iterator_next` after the results of the items before it. Runs in the call that made the iterator and in `carom_iterator_next`, on their thread; what
/// it points to must stay until it is called again or the iterator is freed.
#[allow(non_camel_case_types)]
pub type carom_source =
    Option<unsafe extern "C" fn(ctx: *mut c_void, arguments: *mut carom_argument, max: usize) -> i64>;

/// Many items: an array (`data`), argument lists (`arguments`), or a `source`; exactly one of them.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_items {
    /// sizeof(carom_items)
    pub size: usize,
    /// Array of `count` items, copied.
    pub data: *const c_void,
    /// Bytes of an item of `data`.
    pub item_size: usize,
    /// Items of `data`, or lists in `arguments`.
    pub count: usize,
    /// `count` lists of `per_item` arguments each, copied.
    pub arguments: *const carom_argument,
    /// Arguments of an item.
    pub per_item: usize,
    /// Gives items as there is room for them.
    pub source: carom_source,
    /// For `source`.
    pub ctx: *mut c_void,
}

// SAFETY: integers, pointers and an optional function.
unsafe impl Sized_ for carom_items {
    const LEAST: usize = 16;
}

impl Object for Stream {
    const KIND: Kind = Kind::Iterator;
}

/// Runs `function` over many items and gives their results in the order of the items; `verdict.item` says which it is. Items are submitted as there is room for
/// them, in this call and in `carom_iterator_next`: some 16 per worker are under way at once.
///
/// `CAROM_EINVAL` unless exactly one of data, arguments and source is set; else as `carom_pool_apply_async`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_imap(
    pool: *mut carom_pool,
    function: carom_function,
    items: *const carom_items,
    options: *const carom_task_options,
    iterator: *mut *mut carom_iterator,
) -> carom_status {
    boundary::create(iterator, || stream("carom_pool_imap", pool, function, items, options, true))
}

/// The same, and gives the results as they come, in whatever order.
///
/// As `carom_pool_imap`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_imap_unordered(
    pool: *mut carom_pool,
    function: carom_function,
    items: *const carom_items,
    options: *const carom_task_options,
    iterator: *mut *mut carom_iterator,
) -> carom_status {
    boundary::create(iterator, || stream("carom_pool_imap_unordered", pool, function, items, options, false))
}

fn stream(
    name: &'static str,
    pool: *mut carom_pool,
    function: carom_function,
    items: *const carom_items,
    options: *const carom_task_options,
    ordered: bool,
) -> Result<*mut carom_iterator> {
    let its = pool_of(pool, name);
    let (_, options) = task_options(options)?;
    let source = || source_of(&options::read(items)?);
    let pool = match its {
        Err(Error::NotServed(_)) => return managed_pool::imap(pool, function, source()?, &options, ordered),
        its => its?,
    };
    let source = source()?;
    let made = Stream::new(pool.pool.clone(), call::address(function), options, source, ordered)?;
    handle::of_object(made, pool.pool.family().me)
}

fn source_of(items: &carom_items) -> Result<Source> {
    match (items.data.is_null(), items.arguments.is_null(), items.source) {
        (true, true, None) if items.count == 0 => Ok(Box::new(|| Ok(None))),
        (false, true, None) => array_source(items),
        (true, false, None) => list_source(items),
        (true, true, Some(_)) => Ok(callback_source(items)),
        _ => Err(Error::invalid("items are an array, argument lists, or a source: exactly one of them")),
    }
}

fn array_source(items: &carom_items) -> Result<Source> {
    let absurd = || Error::invalid("the size of an array is absurd");
    let data = bytes(items.data, items.count.checked_mul(items.item_size).ok_or_else(absurd)?)?.to_vec();
    let (size, count, mut next) = (items.item_size, items.count, 0);
    Ok(Box::new(move || {
        if next == count {
            return Ok(None);
        }
        let item = crate::wire::Argument::Bytes(&data[next * size..(next + 1) * size]);
        next += 1;
        crate::wire::to_vec(&[item]).map(Some)
    }))
}

fn list_source(items: &carom_items) -> Result<Source> {
    let per_item = items.per_item;
    if per_item == 0 {
        return Err(Error::invalid("lists of arguments without arguments"));
    }
    let absurd = || Error::invalid("the number of arguments is absurd");
    let all = boundary::items(items.arguments, items.count.checked_mul(per_item).ok_or_else(absurd)?)?;
    let lists = (0..items.count).map(|index| encode(all[index * per_item..].as_ptr(), per_item));
    let lists = lists.collect::<Result<Vec<_>>>()?;
    let family = family::current()?;
    let pins = lists.iter().map(|list| Pins::of(family, list)).collect::<Result<Vec<_>>>()?;
    let mut lists = lists.into_iter();
    Ok(Box::new(move || {
        let _keeps = &pins;
        Ok(lists.next())
    }))
}

/// The caller's pointer, which comes back to it only in calls that it makes.
struct Context(*mut c_void);

// SAFETY: the library only hands the pointer back, in calls of the caller's own threads.
unsafe impl Send for Context {}

const MOST_ARGUMENTS: usize = 64;

fn callback_source(items: &carom_items) -> Source {
    let (source, context) = (items.source, Context(items.ctx));
    Box::new(move || {
        let context = &context;
        let Some(source) = source else { return Ok(None) };
        let mut arguments = [call::EMPTY; MOST_ARGUMENTS];
        // SAFETY: the caller's own function, with the context and room that its type promises.
        match unsafe { source(context.0, arguments.as_mut_ptr(), MOST_ARGUMENTS) } {
            0 => Ok(None),
            count @ 1..=64 => encode(arguments.as_ptr(), count as usize).map(Some),
            status => {
                let nonsense = || Error::invalid("the source of the items returned nonsense");
                Err(Error::of_source(status).unwrap_or_else(nonsense))
            }
        }
    })
}

/// Waits up to `timeout_ms` for the next settled item; `*result` is yours to free. Moves the pool on from this thread.
///
/// `CAROM_EEND` after the last; `CAROM_ETIMEDOUT`; a status of the source.
#[unsafe(no_mangle)]
pub extern "C" fn carom_iterator_next(
    iterator: *mut carom_iterator,
    result: *mut *mut carom_result,
    timeout_ms: i64,
) -> carom_status {
    boundary::create(result, || {
        family::current()?;
        if handle::lives(iterator, Kind::ManagedIterator) {
            return managed_pool::next(iterator, timeout_ms);
        }
        let iterator = handle::object::<Stream, _>(iterator)?;
        let job = iterator.next(deadline_after_ms(timeout_ms))?;
        result::make(job)
    })
}

/// Ends this handle. Items that are under way run on, and are forgotten. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_iterator_free(iterator: *mut carom_iterator) {
    let me = family::current().ok().map(|family| family.me);
    match handle::is(iterator.cast(), Kind::ManagedIterator) {
        true => handle::free_object::<Items, _>(iterator, me),
        false => handle::free_object::<Stream, _>(iterator, me),
    }
}
