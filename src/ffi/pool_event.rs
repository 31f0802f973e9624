//! What pools report, for event loops and for whoever asks.

use super::boundary;
use super::library::carom_status;
use super::options::{self, Sized_};
use super::pool::{carom_pool, pool_of};
use super::result::{self, carom_result};
use super::task::carom_job_id;
use crate::error::Result;
use crate::pool::event::Event;
use crate::sys::clock::deadline_after_ms;
use std::cell::Cell;
use std::ffi::c_void;

/// A worker began: `pid`.
pub const CAROM_POOL_WORKER_UP: u32 = 1;
/// A worker ended: `pid`, `exitcode`, `reason`.
pub const CAROM_POOL_WORKER_DOWN: u32 = 2;
/// A worker has begun a task, or waits with it for `carom_result_accept`: `pid`, `job`, `ctx`, `result`. Whoever wants this is woken at each.
pub const CAROM_POOL_ACCEPTED: u32 = 4;
/// A task is settled: `job`, `ctx`, `result`.
pub const CAROM_POOL_DONE: u32 = 8;
/// A task is past its soft time limit, or was cancelled while it ran, and was told so: `pid`, `job`, `ctx`, `result`.
pub const CAROM_POOL_SOFT_LIMIT: u32 = 16;
/// A task was ended by its time limit: likewise. Its DONE comes next.
pub const CAROM_POOL_HARD_LIMIT: u32 = 32;
/// The pool is closed or terminated, and every task is settled.
pub const CAROM_POOL_DRAINED: u32 = 64;
/// Too many workers died: every task is settled with `CAROM_EBROKEN`.
pub const CAROM_POOL_BROKEN: u32 = 128;
/// A pool with `host_forks` wants a worker: see `carom_pool_prepare`. It comes whether or not `events` names it.
pub const CAROM_POOL_WORKER_WANTED: u32 = 256;
/// A task with a time limit has begun: `pid`, `job`, `ctx`, `result`, `soft_ms`, `hard_ms`. For hosts with timers of their own; the pool needs none.
pub const CAROM_POOL_LIMIT_SET: u32 = 512;
/// And it is over.
pub const CAROM_POOL_LIMIT_CANCELLED: u32 = 1024;

/// The worker left by itself, with exit code 0.
pub const CAROM_REASON_LEFT: u32 = 1;
/// The worker died, or was killed by somebody else.
pub const CAROM_REASON_DIED: u32 = 2;
/// The worker was killed since its task was out of time, or had used its processor time.
pub const CAROM_REASON_TIME_LIMIT: u32 = 3;
/// The worker was killed since the pool was terminated.
pub const CAROM_REASON_STOPPED: u32 = 4;
/// The worker has done `max_tasks` tasks, or the pool was restarted.
pub const CAROM_REASON_RECYCLED: u32 = 5;
/// The worker was one too many: `carom_pool_shrink`.
pub const CAROM_REASON_SHRUNK: u32 = 6;
/// The worker's initializer failed.
pub const CAROM_REASON_INITIALIZER: u32 = 7;
/// The worker was killed since its task had more memory than it may.
pub const CAROM_REASON_MEMORY_LIMIT: u32 = 8;
/// The worker was killed since its task was cancelled or terminated.
pub const CAROM_REASON_CANCELLED: u32 = 9;

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
    /// The job that it is about.
    pub job: carom_job_id,
    /// The `ctx` of its task's options.
    pub ctx: *mut c_void,
    /// Its result, borrowed until this thread's next event, or until the callback returns.
    pub result: *mut carom_result,
    /// Its soft time limit, 0 for none.
    pub soft_ms: i64,
    /// Its time limit, 0 for none.
    pub hard_ms: i64,
}

/// Hears of an event, on a thread of the host that is in `carom_pool_dispatch` or `carom_pool_join`. It may call everything, also of this pool. It must not
/// unwind.
#[allow(non_camel_case_types)]
pub type carom_pool_callback = Option<extern "C" fn(event: *const carom_pool_event, ctx: *mut c_void)>;

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_pool_event {
    const LEAST: usize = 16;
}

/// All of them.
pub(super) const EVENTS: u32 = CAROM_POOL_WORKER_UP
    | CAROM_POOL_WORKER_DOWN
    | CAROM_POOL_ACCEPTED
    | CAROM_POOL_DONE
    | CAROM_POOL_SOFT_LIMIT
    | CAROM_POOL_HARD_LIMIT
    | CAROM_POOL_DRAINED
    | CAROM_POOL_BROKEN
    | CAROM_POOL_WORKER_WANTED
    | CAROM_POOL_LIMIT_SET
    | CAROM_POOL_LIMIT_CANCELLED;

/// The event as C sees it; its result is the caller's to free.
pub(super) fn shown(event: &Event) -> Result<carom_pool_event> {
    let mut shown = options::zeroed::<carom_pool_event>();
    shown.size = size_of::<carom_pool_event>();
    (shown.kind, shown.pid, shown.reason) = (event.kind, event.pid as i32, event.reason);
    shown.exitcode = if event.kind == CAROM_POOL_WORKER_DOWN { event.exit.unwrap_or(-256) } else { 0 };
    (shown.soft_ms, shown.hard_ms) = (ms(event.limits.soft_ns), ms(event.limits.hard_ns));
    if let Some(job) = &event.job {
        shown.job = carom_job_id { high: job.id.high, low: job.id.low };
        shown.ctx = std::ptr::with_exposed_provenance_mut(job.context);
        shown.result = result::make(job.clone())?;
    }
    Ok(shown)
}

fn ms(ns: u64) -> i64 {
    (ns / 1_000_000) as i64
}

/// A descriptor for poll and its like: readable when there may be something for `carom_pool_dispatch` or `carom_pool_next_event`, sometimes for nothing. It
/// belongs to the pool: never read or close it.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_fd(pool: *mut carom_pool) -> i32 {
    boundary::answer(|| pool_of(pool, "carom_pool_fd")?.pool.fd())
}

/// Moves the pool on without waiting: collects what is settled, hands out what waits. For event loops, when the descriptor is readable. `budget`: at most so
/// many callbacks; 0: no limit, and what is left over makes the descriptor readable again. Callbacks of a pool and of its tasks run here and in `carom_pool_join`,
/// those of a task also in a wait for or get of its own result: nowhere else.
///
/// How many events wait for `carom_pool_next_event`, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_dispatch(pool: *mut carom_pool, budget: usize) -> i64 {
    boundary::answer(|| Ok(pool_of(pool, "carom_pool_dispatch")?.pool.dispatch(budget)? as i64))
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
        let pool = pool_of(pool, "carom_pool_next_event")?;
        // Before an event is taken: it would be lost if there were no room to show it.
        options::check(event)?;
        let next = pool.pool.next_event(deadline_after_ms(timeout_ms))?;
        result::carom_result_free(SHOWN.replace(std::ptr::null_mut()));
        let shown = shown(&next)?;
        SHOWN.set(shown.result);
        options::write(event, shown)
    })
}

/// How long the host may leave the pool alone, in milliseconds: `CAROM_FOREVER`, until the descriptor is readable. No limit needs a timer of the host.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_next_deadline(pool: *mut carom_pool) -> i64 {
    boundary::answer(|| pool_of(pool, "carom_pool_next_deadline")?.pool.own().map(|()| -1))
}
