//! Messages from any process of the family to any other, in order, each to one who gets it.
//! - A message whose put has returned is there: it needs nobody's life, thread or flush, and whoever put it may end.
//! - Bounded by messages, by bytes, or not at all. A bounded one makes producers wait for consumers: set a limit where
//!   the one side may be faster for long. What a queue needed at its peak goes back when it was emptied.
//! - The end: whoever will put no more closes. When nobody is left who could put, get says `CAROM_ECLOSED` once the queue is
//!   empty, and never before. Those who could are the process that made it, every process that was started with it, kept it
//!   or has put, and every task that was given it: until it closes or frees its handle, or ends, however it ends. Who
//!   merely inherited the handle by fork does not count. A consumer that was given the queue closes it first.
//! - A process killed inside a call leaves the queue as it was before the call, or after it. What it had got is its own; what it
//!   had leased is not: see `carom_queue_peek`.
//! - Cost: some 40 ns a call while nobody need be woken. A batch is one call, and a copy of each message.

use super::boundary;
use super::handle::{self, Hold, Kind};
use super::library::carom_status;
use super::lock::{free, lock_deadline};
use super::managed_queue;
use super::object;
use super::options::{self, Sized_};
use crate::bell;
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::queue::poll::Wanted;
use crate::queue::{Options, Queue};
use crate::shm::cell::Cell;
use std::ffi::c_void;

/// A queue. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_queue {
    _opaque: [u8; 0],
}

/// Options of a queue.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_queue_options {
    /// sizeof(carom_queue_options)
    pub size: usize,
    /// Messages that it holds at most. 0: any number.
    pub max_items: u64,
    /// Bytes of messages that it holds at most. 0: any number, as far as the arena goes.
    pub max_bytes: u64,
    /// How often a message is delivered at most, if those who lease it die or return it; then it goes to `dead_letters`, which must be given.
    /// 0: any number of times.
    pub max_deliveries: u32,
    /// 0.
    pub reserved: u32,
    /// Where messages go that were delivered `max_deliveries` times: a queue, not one of tasks, that was made before. It stays as long as this
    /// one, which counts among those who may put there; its limits do not apply to them.
    pub dead_letters: *mut carom_queue,
    /// Not 0: one thread only puts: the first that does. Faster, since it needs no lock. Another one gets `CAROM_EPERM`, until that thread
    /// has closed or freed its handle, was told `CAROM_ECLOSED`, or has ended, with its process or (for other threads of that) without.
    pub single_producer: u32,
    /// Not 0: one thread only gets, and peeks: as `single_producer`. Not for a queue of tasks (`CAROM_EINVAL`).
    pub single_consumer: u32,
}

// SAFETY: integers and a pointer.
unsafe impl Sized_ for carom_queue_options {
    const LEAST: usize = 16;
}

/// Messages of a batch at most.
const MOST_AT_ONCE: usize = 1 << 24;

/// The queue, how this process has it, and whether it has closed it.
#[inline(always)]
fn held(queue: *mut carom_queue) -> Result<(Queue, Hold, bool)> {
    let family = family::current()?;
    let (cell, generation, hold, closed) = handle::held(queue, Kind::Queue, family.me)?;
    Ok((Queue::of(family, cell, generation)?, hold, closed))
}

fn new(options: *const carom_queue_options, joinable: bool, queue: *mut *mut carom_queue) -> carom_status {
    boundary::create(queue, || {
        let options = options::read(options)?;
        let family = family::current()?;
        let options = Options {
            max_items: options.max_items,
            max_bytes: options.max_bytes,
            joinable,
            max_deliveries: options.max_deliveries as u64,
            dead_letters: dead_letters(&options)?,
            one_puts: options.single_producer != 0,
            one_gets: options.single_consumer != 0,
        };
        object::keep(family, Kind::Queue, Queue::make(family, options)?)
    })
}

fn dead_letters(options: &carom_queue_options) -> Result<Option<Queue>> {
    options::unused(options.reserved)?;
    match (options.max_deliveries, options.dead_letters.is_null()) {
        (0, true) => return Ok(None),
        (0, false) | (_, true) => return Err(Error::invalid("max_deliveries and dead_letters need each other")),
        _ => {}
    }
    let queue = queue_of(options.dead_letters)?;
    if queue.is_joinable() {
        return Err(Error::invalid("dead letters cannot be tasks of a joinable queue"));
    }
    Ok(Some(queue))
}

pub(super) fn queue_of(queue: *mut carom_queue) -> Result<Queue> {
    Ok(held(queue)?.0)
}

/// The handle ends: by it this thread puts and gets no more.
pub(super) fn give_roles_back(queue: *mut carom_queue) {
    if let Ok(queue) = queue_of(queue) {
        queue.give_roles_back();
    }
}

/// The queue for who is about to put, and so is one of those who may.
#[inline(always)]
pub(super) fn writable(handle: *mut carom_queue) -> Result<Queue> {
    let family = family::current()?;
    let (cell, generation, hold, closed) = handle::held(handle, Kind::Queue, family.me)?;
    let queue = Queue::to_put(family, cell, generation)?;
    if closed {
        return Err(Error::Closed("the queue was closed by this process"));
    }
    if hold == Hold::Inherited {
        adopt(handle, queue)?;
    }
    Ok(queue)
}

/// What a handle names, for a call that may be over at once: without a word about what is wrong.
#[inline(always)]
fn look(handle: *mut carom_queue) -> Option<(Family, &'static Cell, u32, Hold, bool)> {
    let family = family::current_if_there()?;
    let (cell, generation, hold, closed) = handle::held(handle, Kind::Queue, family.me).ok()?;
    Some((family, cell, generation, hold, closed))
}

#[inline(always)]
fn put_at_once(queue: *mut carom_queue, data: *const c_void, size: usize, many: usize) -> bool {
    match (look(queue), size.checked_mul(many)) {
        // Who inherited it becomes one who may put.
        (Some((family, cell, generation, hold, false)), Some(len)) if hold != Hold::Inherited && many != 0 => {
            let (items, found) = (boundary::bytes(data, len), Queue::to_put(family, cell, generation));
            matches!((items, found), (Ok(items), Ok(queue)) if queue.put_at_once(items, size, many))
        }
        _ => false,
    }
}

#[inline(always)]
fn get_at_once(
    queue: *mut carom_queue,
    data: *mut c_void,
    stride: usize,
    max: usize,
    lens: &mut [usize],
) -> Option<usize> {
    let (family, cell, generation, ..) = look(queue)?;
    let queue = Queue::of(family, cell, generation).ok()?;
    queue.get_at_once(boundary::bytes_mut(data, stride.checked_mul(max)?).ok()?, stride, max, lens)
}

#[cold]
fn adopt(handle: *mut carom_queue, queue: Queue) -> Result<()> {
    let family = family::current()?;
    let view = queue.keep()?;
    if !handle::adopt_inherited(handle, Kind::Queue, family.arena.cell_index(view), family.me)? {
        view.let_go(family.arena, view.generation(), family.me.slot);
    }
    Ok(())
}

/// Makes a queue, empty. Options may be NULL. Usable in every process of the family: inherited by fork, or as an argument. Costs no descriptor and no
/// thread.
///
/// Never blocks. `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_new(options: *const carom_queue_options, queue: *mut *mut carom_queue) -> carom_status {
    new(options, false, queue)
}

/// Makes a queue of tasks: for each that is got, `carom_queue_task_done` is called once it is done, and `carom_queue_join` waits for all. Options may be NULL.
///
/// As `carom_queue_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_joinable_queue_new(
    options: *const carom_queue_options,
    queue: *mut *mut carom_queue,
) -> carom_status {
    new(options, true, queue)
}

/// Makes a queue without limits: `carom_queue_new` without options, under billiard's name.
///
/// As `carom_queue_new`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_simple_queue_new(queue: *mut *mut carom_queue) -> carom_status {
    new(std::ptr::null(), false, queue)
}

/// Puts a message of `len` bytes, 0 or more, waiting up to `timeout_ms` for room; 0 tries once.
///
/// `CAROM_ETIMEDOUT` if it is full. `CAROM_ECLOSED` if it was shut down, or closed by this process through this handle; also if it is full and nobody is left
/// to make room: every other process has ended, and this one never got anything. `CAROM_EMSGSIZE` for more bytes than `max_bytes`, `CAROM_ENOMEM`
/// if the arena has no room. A message of which the status is not `CAROM_OK` is not in the queue.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_put(
    queue: *mut carom_queue,
    data: *const c_void,
    len: usize,
    timeout_ms: i64,
) -> carom_status {
    // The short way calls nothing that can panic, so it needs no guard; the long way, being extern "C", is a jump.
    if put_at_once(queue, data, len, 1) { 0 } else { put(queue, data, len, timeout_ms) }
}

#[inline(never)]
extern "C" fn put(queue: *mut carom_queue, data: *const c_void, len: usize, timeout_ms: i64) -> carom_status {
    boundary::status(|| {
        let handle = queue as u64;
        let queue = match writable(queue) {
            Ok(queue) => queue,
            Err(error) => return managed_queue::put(queue, error, boundary::bytes(data, len)?, len, 1, timeout_ms),
        };
        let put = queue.put(boundary::bytes(data, len)?, len, 1, lock_deadline(timeout_ms));
        queue.told(handle, Wanted::Room { bytes: len, items: 1 }, put)
    })
}

/// Gets the oldest message, waiting up to `timeout_ms` for one; 0 tries once. `*len` is its length; `len` may be NULL.
///
/// `CAROM_ETIMEDOUT` if it is empty; `CAROM_ECLOSED` if it is empty, and closed by all who could put, or shut down. `CAROM_EMSGSIZE` if the message is longer
/// than `capacity`: it stays in the queue, and `*len` is what it needs.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_get(
    queue: *mut carom_queue,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> carom_status {
    // As in `carom_queue_put`.
    let mut got = 0;
    match get_at_once(queue, data, capacity, 1, std::slice::from_mut(&mut got)) {
        Some(_) => {
            boundary::write_optional(len, got);
            0
        }
        None => get(queue, data, capacity, len, timeout_ms),
    }
}

#[inline(never)]
extern "C" fn get(
    queue: *mut carom_queue,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let mut got = 0;
        let room = || boundary::bytes_mut(data, capacity);
        let result = match queue_of(queue) {
            Ok(it) => {
                let result = it.get(room()?, capacity, 1, std::slice::from_mut(&mut got), lock_deadline(timeout_ms));
                it.told(queue as u64, Wanted::News, result)
            }
            Err(error) => {
                managed_queue::get(queue, error, room()?, capacity, 1, std::slice::from_mut(&mut got), timeout_ms)
            }
        };
        managed_queue::say_needed(result, len)?;
        boundary::write_optional(len, got);
        Ok(())
    })
}

/// Puts `count` messages of `item_size` bytes each, which lie behind each other, as one: nobody ever sees some of them only. Waits as `carom_queue_put` until
/// there is room for all.
///
/// Errors as `carom_queue_put`; `CAROM_EMSGSIZE` also for more messages than `max_items`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_put_many(
    queue: *mut carom_queue,
    data: *const c_void,
    item_size: usize,
    count: usize,
    timeout_ms: i64,
) -> carom_status {
    // As in `carom_queue_put`.
    if put_at_once(queue, data, item_size, count) { 0 } else { put_many(queue, data, item_size, count, timeout_ms) }
}

#[inline(never)]
extern "C" fn put_many(
    queue: *mut carom_queue,
    data: *const c_void,
    item_size: usize,
    count: usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let found = writable(queue);
        let len = item_size.checked_mul(count).filter(|_| count <= MOST_AT_ONCE);
        let len = len.ok_or(Error::invalid("a batch is absurdly large"));
        match found {
            Ok(it) => {
                let items = boundary::bytes(data, len?)?;
                if count == 0 {
                    return Ok(());
                }
                let put = it.put(items, item_size, count, lock_deadline(timeout_ms));
                it.told(queue as u64, Wanted::Room { bytes: items.len(), items: count }, put)
            }
            Err(error) => managed_queue::put(queue, error, boundary::bytes(data, len?)?, item_size, count, timeout_ms),
        }
    })
}

/// Gets up to `max` messages, as many as there are, at least one: message `n` to `data + n * item_size`, its length to `lens[n]`. Waits up to
/// `timeout_ms` for the first. `lens` may be NULL, where all messages have the same length.
///
/// How many, or a status as of `carom_queue_get`: `CAROM_EMSGSIZE` if the first one is longer than `item_size`; a later one that is stays in the queue.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_get_many(
    queue: *mut carom_queue,
    data: *mut c_void,
    item_size: usize,
    max: usize,
    lens: *mut usize,
    timeout_ms: i64,
) -> i64 {
    // As in `carom_queue_put`.
    let at_once = if lens.is_null() && max != 0 { get_at_once(queue, data, item_size, max, &mut []) } else { None };
    match at_once {
        Some(got) => got as i64,
        None => get_many(queue, data, item_size, max, lens, timeout_ms),
    }
}

#[inline(never)]
extern "C" fn get_many(
    queue: *mut carom_queue,
    data: *mut c_void,
    item_size: usize,
    max: usize,
    lens: *mut usize,
    timeout_ms: i64,
) -> i64 {
    boundary::answer(|| {
        let found = queue_of(queue);
        let len = item_size.checked_mul(max).ok_or(Error::invalid("a length is absurd"))?;
        let room = boundary::bytes_mut(data, len)?;
        let lens = if lens.is_null() { &mut [] } else { boundary::items_mut(lens, max)? };
        if max == 0 {
            return Err(Error::invalid("no message is wanted"));
        }
        let got = match found {
            Ok(it) => {
                let got = it.get(room, item_size, max, lens, lock_deadline(timeout_ms));
                it.told(queue as u64, Wanted::News, got)
            }
            Err(error) => managed_queue::get(queue, error, room, item_size, max, lens, timeout_ms),
        };
        Ok(got? as i64)
    })
}

/// Messages in the queue at this moment, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_size(queue: *mut carom_queue) -> i64 {
    boundary::answer(|| match queue_of(queue) {
        Ok(queue) => Ok(queue.size()? as i64),
        Err(error) => managed_queue::ask(queue, error, "size"),
    })
}

/// 1 if the queue is empty at this moment, 0 if not, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_empty(queue: *mut carom_queue) -> i32 {
    boundary::answer(|| match queue_of(queue) {
        Ok(queue) => Ok((queue.size()? == 0) as i32),
        Err(error) => Ok(managed_queue::ask(queue, error, "empty")? as i32),
    })
}

/// 1 if a put would have to wait at this moment, 0 if not, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_full(queue: *mut carom_queue) -> i32 {
    boundary::answer(|| match queue_of(queue) {
        Ok(queue) => Ok(queue.is_full()? as i32),
        Err(error) => Ok(managed_queue::ask(queue, error, "full")? as i32),
    })
}

/// A descriptor for poll and its like: readable when there may be something to get, or the end, after a get through this handle has said `CAROM_ETIMEDOUT`; when there may be
/// room, after a put has; and sometimes for nothing. So an event loop calls with time-out 0 until it is `CAROM_ETIMEDOUT`, then polls. It belongs to the handle: never read, write or close it. In a
/// forked child ask again. Who puts makes a system call only if somebody polls and has found nothing.
///
/// Never blocks. `CAROM_ENOMEM` if the family polls more than 4096 queues and pipes; -EMFILE; `CAROM_ENOTSUP` for a manager's queue.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_fd(queue: *mut carom_queue) -> i32 {
    boundary::answer(|| match queue_of(queue) {
        Ok(it) => it.fd(queue as u64),
        Err(error) => managed_queue::no_descriptor(queue, error),
    })
}

/// This process puts no more through this handle. When nobody is left who could put, every get of the empty queue says `CAROM_ECLOSED`. Getting goes on.
///
/// Never blocks. Closing again is nothing.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_close(queue: *mut carom_queue) -> carom_status {
    boundary::status(|| {
        let (engine, hold, _) = match held(queue) {
            Ok(held) => held,
            Err(error) => return managed_queue::close(queue, error),
        };
        handle::close(queue, Kind::Queue)?;
        engine.stop_putting();
        match hold {
            Hold::Own(view) => engine.close_hold(view),
            Hold::Lent => engine.close_given(),
            Hold::Inherited => {}
        }
        Ok(())
    })
}

/// Nobody puts any more, in no process: every put says `CAROM_ECLOSED`, those that wait too. What is in the queue can be got, then get says `CAROM_ECLOSED`.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_shutdown(queue: *mut carom_queue) -> carom_status {
    boundary::status(|| match queue_of(queue) {
        Ok(queue) => queue.shut(),
        Err(error) => managed_queue::order(queue, error, "shutdown", 0),
    })
}

/// A task that was got from a joinable queue is done. By the process that got it, or any other.
///
/// Never blocks. `CAROM_EPERM` if every task that was got is done already, or the queue is not joinable.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_task_done(queue: *mut carom_queue) -> carom_status {
    boundary::status(|| match queue_of(queue) {
        Ok(queue) => queue.task_done(),
        Err(error) => managed_queue::order(queue, error, "task_done", 0),
    })
}

/// Waits up to `timeout_ms` until every task that was put is done.
///
/// `CAROM_ETIMEDOUT`; `CAROM_EWORKERLOST` if the queue is empty, and what is not done was got by processes that are dead: every join says so
/// until somebody has called `carom_queue_task_done` in their place. `CAROM_EPERM` if the queue is not joinable.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_join(queue: *mut carom_queue, timeout_ms: i64) -> carom_status {
    boundary::status(|| match queue_of(queue) {
        Ok(queue) => queue.join(lock_deadline(timeout_ms)),
        Err(error) => managed_queue::order(queue, error, "join", timeout_ms),
    })
}

/// Ends this handle, and closes it first. The queue, with what is in it, goes when no process needs it any more. NULL is nothing.
///
/// Never blocks; as `carom_lock_free`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_queue_free(queue: *mut carom_queue) {
    bell::forget(queue as u64);
    give_roles_back(queue);
    free(queue, Kind::Queue);
}
