//! Pools: workers that may die, and tasks that know what became of them.

use super::boundary::{self, bytes, bytes_mut};
use super::call::{self, carom_argument, carom_function};
use super::handle::{self, Kind, Object, Use};
use super::library::carom_status;
use super::options::{self, Sized_};
use super::process::encode;
use super::result::{self, carom_job_id, carom_result, carom_verdict};
use crate::error::{Error, Result};
use crate::family;
use crate::pin::Pins;
use crate::pool::iterator::{Source, Unordered};
use crate::pool::job::JobId;
use crate::pool::map::Shape;
use crate::pool::work::Limits;
use crate::pool::{Hold, Options, TaskOptions};
use crate::sys::clock::deadline_after_ms;
use std::cell::Cell;
use std::ffi::c_void;

/// A pool of workers. Opaque. Used by the process that made it only.
#[allow(non_camel_case_types)]
pub struct carom_pool {
    _opaque: [u8; 0],
}

/// Results of many items, as they come. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_iterator {
    _opaque: [u8; 0],
}

/// Workers that are the caller itself: not in this version (`CAROM_ENOTSUP`).
pub const CAROM_INLINE: i32 = -2;
/// A worker began: `pid`.
pub const CAROM_POOL_WORKER_UP: u32 = 1;
/// A worker ended: `pid`, `exitcode`, `reason`.
pub const CAROM_POOL_WORKER_DOWN: u32 = 2;
/// A task is settled: `job`, `ctx`, `result`.
pub const CAROM_POOL_DONE: u32 = 8;

/// The worker left by itself, with exit code 0.
pub const CAROM_REASON_LEFT: u32 = 1;
/// The worker died, or was killed by somebody else.
pub const CAROM_REASON_DIED: u32 = 2;
/// The worker was killed since its task was out of time.
pub const CAROM_REASON_TIME_LIMIT: u32 = 3;
/// The worker was killed since the pool was terminated.
pub const CAROM_REASON_STOPPED: u32 = 4;

/// Options of a pool.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_pool_options {
    /// sizeof(carom_pool_options)
    pub size: usize,
    /// Workers, up to 1024. 0: one per processor.
    pub workers: i32,
    /// Events that `carom_pool_next_event` shall give, `CAROM_POOL_…` added. 0: none.
    pub events: u32,
    /// How long a task, or an item of a map, may run before its worker is killed and replaced. 0 and `CAROM_NONE`: no limit.
    pub time_limit_ms: i64,
    /// How long it may run before it should stop: `carom_call_should_stop` says so, a hook is called, a system call that it is blocked in returns EINTR. Shorter
    /// than `time_limit_ms`. 0 and `CAROM_NONE`: no limit.
    pub soft_time_limit_ms: i64,
    /// 1: what a worker that dies wrote to stderr last is in the verdict (`stderr_tail`). Workers write to a pipe then, of which the keeper passes everything
    /// on to the stderr that the program had when it made the pool, in order; so to a task stderr is no terminal, and its lines may come a moment later. Whoever
    /// does not read the program's stderr stops the workers that write, and nobody else. Each task costs a system call more (0.2 us). 0: they write there
    /// themselves.
    pub capture_stderr: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_pool_options {
    const LEAST: usize = 24;
}

/// Options of a task, or of many.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_task_options {
    /// sizeof(carom_task_options)
    pub size: usize,
    /// 0: the pool's. `CAROM_NONE`: none.
    pub time_limit_ms: i64,
    /// Map: items that a worker takes at once. 0: a quarter of each worker's share.
    pub chunk_size: u64,
    /// What the events of these tasks show.
    pub ctx: *mut c_void,
    /// Map: one status per item, `CAROM_OK` for those that succeeded. May be NULL.
    pub statuses: *mut carom_status,
    /// Synchronous calls: the verdict, of the failed item with the lowest index; status `CAROM_OK` if none failed. May be NULL.
    pub verdict: *mut carom_verdict,
    /// 0: the pool's. `CAROM_NONE`: none.
    pub soft_time_limit_ms: i64,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_task_options {
    const LEAST: usize = 16;
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

/// What a pool reports.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_pool_event {
    /// sizeof(carom_pool_event), set by the caller.
    pub size: usize,
    /// One of `CAROM_POOL_…`.
    pub kind: u32,
    /// The worker, 0 for none.
    pub pid: i32,
    /// How it ended: 0…255, minus a signal, or -256 where nobody can tell.
    pub exitcode: i32,
    /// Why it ended, one of `CAROM_REASON_…`.
    pub reason: u32,
    /// The job that is settled.
    pub job: carom_job_id,
    /// The `ctx` of its task's options.
    pub ctx: *mut c_void,
    /// Its result, borrowed until this thread's next event.
    pub result: *mut carom_result,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_pool_event {
    const LEAST: usize = 16;
}

impl Object for Hold {
    const KIND: Kind = Kind::Pool;
}

impl Object for Unordered {
    const KIND: Kind = Kind::Iterator;
}

const EVENTS: u32 = CAROM_POOL_WORKER_UP | CAROM_POOL_WORKER_DOWN | CAROM_POOL_DONE;

fn pool_of(pool: *mut carom_pool) -> Result<Use<Hold>> {
    family::current()?;
    handle::object(pool)
}

fn limit_ns(limit_ms: i64) -> Result<u64> {
    match limit_ms {
        ..-1 => Err(Error::invalid("a time limit is CAROM_NONE, 0 or more")),
        -1 => Ok(0),
        limit => Ok((limit as u64).saturating_mul(1_000_000)),
    }
}

fn task_options(options: *const carom_task_options) -> Result<(carom_task_options, TaskOptions)> {
    let options = options::read(options)?;
    // Before anything runs: too late is when there is something to show.
    if !options.verdict.is_null() {
        options::check(options.verdict)?;
    }
    let own = |limit_ms| if limit_ms == 0 { Ok(None) } else { limit_ns(limit_ms).map(Some) };
    let (limit_ns, soft_limit_ns) = (own(options.time_limit_ms)?, own(options.soft_time_limit_ms)?);
    let (chunk, context) = (options.chunk_size, options.ctx as usize);
    Ok((options, TaskOptions { limit_ns, soft_limit_ns, chunk, context }))
}

/// Makes a pool: workers begin at once, forked from a template that this call forks from the program as it is now. Options may be NULL.
///
/// Workers start with default signal dispositions but ignore SIGINT, have stdin from /dev/null, stdout and stderr of the program, and no other descriptor of
/// it. A worker that dies costs the task that it was running, and is replaced. If this process dies, its workers do. No thread is made.
///
/// Blocks for as long as two forks do. `CAROM_EINVAL` for a bad number of workers, or limits that contradict each other, `CAROM_ENOTSUP` for `CAROM_NONE` and `CAROM_INLINE`, and where the system has no
/// pidfd_open, `CAROM_ENOMEM`, or the
/// errno of fork or eventfd.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_new(options: *const carom_pool_options, pool: *mut *mut carom_pool) -> carom_status {
    boundary::create(pool, || {
        let options = options::read(options)?;
        let workers = match options.workers {
            -2 | -1 => return Err(Error::Unsupported("a pool has its own workers in this version")),
            workers => u32::try_from(workers).map_err(|_| Error::invalid("a pool cannot have so few workers"))?,
        };
        if options.events & !EVENTS != 0 {
            return Err(Error::invalid("there are no such events"));
        }
        let limits =
            Limits { hard_ns: limit_ns(options.time_limit_ms)?, soft_ns: limit_ns(options.soft_time_limit_ms)? };
        options::unused(options.reserved)?;
        let capture_stderr = match options.capture_stderr {
            0 | 1 => options.capture_stderr == 1,
            _ => return Err(Error::invalid("capture_stderr is 0 or 1")),
        };
        let hold = Hold::new(Options { workers, limits, events: options.events, capture_stderr })?;
        let me = hold.pool.family().me;
        handle::of_object(hold, me)
    })
}

/// Runs `function` with `arguments` in a worker, waits for it, and copies the reply to `data`; `*len` is its length (`len` may be NULL).
///
/// The status of the verdict if the task did not succeed (`CAROM_ETASKFAILED`, `CAROM_EWORKERLOST`, `CAROM_ETIMELIMIT`, …). `CAROM_ETIMEDOUT`: it is not begun any
/// more; if it was, it runs on and its reply is dropped. `CAROM_EMSGSIZE` for a small buffer: the reply is gone then. `CAROM_EFUNCTION`, `CAROM_ECLOSED`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_apply(
    pool: *mut carom_pool,
    function: carom_function,
    arguments: *const carom_argument,
    count: usize,
    options: *const carom_task_options,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let pool = pool_of(pool)?;
        let (shown, options) = task_options(options)?;
        bytes_mut(data, capacity)?;
        let deadline = deadline_after_ms(timeout_ms);
        let job = call::with_encoded(arguments, count, |encoded| {
            pool.pool.apply(call::address(function), encoded, options, deadline) //
        })?;
        job.settled()?;
        if !shown.verdict.is_null() {
            result::show(shown.verdict, &job.verdict(), job.id)?;
        }
        result::copy_reply(&job, data, capacity, len)
    })
}

/// Submits a task: `function` with `arguments`, which are copied. `*result` tells what becomes of it; `result` may be NULL where the events do.
///
/// Never blocks on a worker. `CAROM_EFUNCTION` for a function that is NULL, or in no module (a closure made at run time); `CAROM_ECLOSED` after close or
/// terminate; `CAROM_EPERM` in another process than the one that made the pool; `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_apply_async(
    pool: *mut carom_pool,
    function: carom_function,
    arguments: *const carom_argument,
    count: usize,
    options: *const carom_task_options,
    result: *mut *mut carom_result,
) -> carom_status {
    let submit = || {
        let pool = pool_of(pool)?;
        let (_, options) = task_options(options)?;
        call::with_encoded(arguments, count, |encoded| {
            pool.pool.apply_async(call::address(function), encoded, options) //
        })
    };
    if result.is_null() {
        return boundary::status(|| submit().map(|_| ()));
    }
    boundary::create(result, || result::make(submit()?))
}

/// Runs `function` over the `count` items of an array, waits for all of them, and writes their replies, `out_size` bytes each, to `out` (NULL and 0 if there are
/// none). Each item is argument 0 of a call. Items go to workers in chunks; a worker that dies costs the item that it was at, the others go on.
///
/// `CAROM_OK`, or the status of the failed item with the lowest index; its slot of `out`, and that of any other failed item, is as it was. `options->statuses`
/// and `options->verdict` say more. `CAROM_ETIMEDOUT`: what is not begun never is, and `out` is not touched. `CAROM_EFUNCTION`, `CAROM_ECLOSED`, `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_map(
    pool: *mut carom_pool,
    function: carom_function,
    items: *const c_void,
    item_size: usize,
    count: usize,
    options: *const carom_task_options,
    out: *mut c_void,
    out_size: usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let pool = pool_of(pool)?;
        let (shown, options) = task_options(options)?;
        let absurd = || Error::invalid("the size of an array is absurd");
        let items = bytes(items, count.checked_mul(item_size).ok_or_else(absurd)?)?;
        let out = bytes_mut(out, count.checked_mul(out_size).ok_or_else(absurd)?)?;
        let statuses = statuses(&shown, count)?;
        let shape = Shape { item_size, count, reply_size: out_size };
        let deadline = deadline_after_ms(timeout_ms);
        let failed = pool.pool.map(call::address(function), items, shape, options, out, statuses, deadline)?;
        finish_map(&shown, failed)
    })
}

fn statuses<'a>(options: &carom_task_options, count: usize) -> Result<Option<&'a mut [carom_status]>> {
    if options.statuses.is_null() {
        return Ok(None);
    }
    if !options.statuses.is_aligned() || count > isize::MAX as usize / 4 {
        return Err(Error::invalid("the statuses are not an array of carom_status"));
    }
    // SAFETY: not NULL, aligned, of a possible size; the caller's promise, as in `boundary::bytes_mut`.
    Ok(Some(unsafe { std::slice::from_raw_parts_mut(options.statuses, count) }))
}

fn finish_map(options: &carom_task_options, failed: Option<crate::pool::job::Verdict>) -> Result<()> {
    let verdict = failed.unwrap_or_else(|| crate::pool::job::Verdict::of(Ok(()), 0));
    result::show(options.verdict, &verdict, JobId::default())?;
    verdict.status
}

/// Runs `function` over many items and gives their results as they come, in whatever order; `verdict.item` says which it is. Items are submitted as there is
/// room for them, in this call and in `carom_iterator_next`.
///
/// `CAROM_EINVAL` unless exactly one of data, arguments and source is set; else as `carom_pool_apply_async`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_imap_unordered(
    pool: *mut carom_pool,
    function: carom_function,
    items: *const carom_items,
    options: *const carom_task_options,
    iterator: *mut *mut carom_iterator,
) -> carom_status {
    boundary::create(iterator, || {
        let pool = pool_of(pool)?;
        let (_, options) = task_options(options)?;
        let source = source_of(&options::read(items)?)?;
        let made = Unordered::new(pool.pool.clone(), call::address(function), options, source)?;
        handle::of_object(made, pool.pool.family().me)
    })
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
        let iterator = handle::object::<Unordered, _>(iterator)?;
        let job = iterator.next(deadline_after_ms(timeout_ms))?;
        result::make(job)
    })
}

/// Ends this handle. Items that are under way run on, and are forgotten. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_iterator_free(iterator: *mut carom_iterator) {
    handle::free_object::<Unordered, _>(iterator, family::current().ok().map(|family| family.me));
}

/// A descriptor for poll and its like: readable when there may be something for `carom_pool_dispatch` or `carom_pool_next_event`, sometimes for nothing. It
/// belongs to the pool: never read or close it.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_fd(pool: *mut carom_pool) -> i32 {
    boundary::answer(|| pool_of(pool)?.pool.fd())
}

/// Moves the pool on without waiting: collects what is settled, hands out what waits. For event loops, when the descriptor is readable. `budget`: at most so
/// many callbacks (none exist in this version); 0: no limit.
///
/// How many events wait for `carom_pool_next_event`, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_dispatch(pool: *mut carom_pool, budget: usize) -> i64 {
    let _ = budget;
    boundary::answer(|| Ok(pool_of(pool)?.pool.dispatch()? as i64))
}

thread_local! {
    /// The result that this thread's last event showed.
    static SHOWN: Cell<*mut carom_result> = const { Cell::new(std::ptr::null_mut()) };
}

/// Waits up to `timeout_ms` for the next event of a kind that `options->events` named. Set `event->size` first. Moves the pool on from this thread. DONE events
/// come in the order in which tasks are settled; tasks of a map have none.
///
/// `CAROM_ETIMEDOUT`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_next_event(
    pool: *mut carom_pool,
    event: *mut carom_pool_event,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let pool = pool_of(pool)?;
        // Before an event is taken: it would be lost if there were no room to show it.
        options::check(event)?;
        let next = pool.pool.next_event(deadline_after_ms(timeout_ms))?;
        super::result::carom_result_free(SHOWN.replace(std::ptr::null_mut()));
        let mut shown = options::zeroed::<carom_pool_event>();
        (shown.kind, shown.pid, shown.reason) = (next.kind, next.pid as i32, next.reason);
        shown.exitcode = next.exit.unwrap_or(-256);
        if let Some(job) = next.job {
            shown.job = carom_job_id { high: job.id.high, low: job.id.low };
            shown.ctx = std::ptr::with_exposed_provenance_mut(job.context);
            shown.result = result::make(job)?;
            SHOWN.set(shown.result);
        }
        options::write(event, shown)
    })
}

/// Takes no more tasks; those that it has are finished, and then its workers leave when it is joined.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_close(pool: *mut carom_pool) -> carom_status {
    boundary::status(|| pool_of(pool)?.pool.close())
}

/// Ends the pool at once: tasks that are not settled are `CAROM_ECANCELED`, their workers killed.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_terminate(pool: *mut carom_pool) -> carom_status {
    boundary::status(|| pool_of(pool)?.pool.terminate())
}

/// Waits up to `timeout_ms` until every task is settled and every worker is gone. Only after `carom_pool_close` or `carom_pool_terminate`.
///
/// `CAROM_EPERM` before those; `CAROM_ETIMEDOUT`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_join(pool: *mut carom_pool, timeout_ms: i64) -> carom_status {
    boundary::status(|| pool_of(pool)?.pool.join(deadline_after_ms(timeout_ms)))
}

/// Ends this handle, and the pool if it is not joined: its workers are killed, without waiting for them; tasks that are not settled are `CAROM_ECANCELED`. Results
/// stay readable until their own free. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_free(pool: *mut carom_pool) {
    // Not only by its last user: those who wait in it must hear of it.
    if let Ok(pool) = pool_of(pool) {
        pool.pool.end();
    }
    handle::free_object::<Hold, _>(pool, family::current().ok().map(|family| family.me));
}
