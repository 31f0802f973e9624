//! The workers of a pool: how many there are, what they are at, and new ones for old.

use super::boundary;
use super::library::carom_status;
use super::managed_pool;
use super::options::{self, Sized_};
use super::pool::{carom_pool, pool_of};
use super::result_control::stop;
use super::task::carom_job_id;
use crate::error::Error;
use crate::sys::signals;
use std::os::fd::IntoRawFd;

/// Tasks run in other processes: a crash is a verdict, limits are kept, what runs can be ended.
pub const CAROM_CAN_ISOLATE: u32 = 1;
/// Memory is measured: `max_memory` and `memory_limit` work.
pub const CAROM_CAN_MEASURE: u32 = 2;
/// Locks, values, queues and the like are arguments.
pub const CAROM_CAN_SHARE: u32 = 4;
/// `carom_pool_grow` and `carom_pool_shrink` work.
pub const CAROM_CAN_GROW: u32 = 8;
/// `carom_pool_restart` works.
pub const CAROM_CAN_RESTART: u32 = 16;
/// Tasks wait for `carom_result_accept`.
pub const CAROM_CAN_HOLD: u32 = 32;

/// One worker, as it is now.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_worker_info {
    /// sizeof(carom_worker_info), set by the caller.
    pub size: usize,
    /// Its process; 0: it died, or has not begun, and will be there soon.
    pub pid: i32,
    /// 1: it runs a task.
    pub busy: u32,
    /// Since its birth.
    pub age_ns: i64,
    /// Tasks that it has begun; of a map, chunks.
    pub tasks: u64,
    /// Its resident memory, shared and inherited pages included; 0 where nobody can tell.
    pub rss_bytes: u64,
    /// The job that it is at, if it is busy.
    pub job: carom_job_id,
    /// The item of it.
    pub item: u64,
    /// Since the begin of the task; of a map, of the chunk.
    pub elapsed_ns: i64,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_worker_info {
    const LEAST: usize = 16;
}

/// A pool in figures, as it is now.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_pool_statistics {
    /// sizeof(carom_pool_statistics), set by the caller.
    pub size: usize,
    /// Its workers.
    pub workers: u32,
    /// Of them, those at a task.
    pub busy: u32,
    /// Tasks that no worker has begun; of maps that are waited for, chunks.
    pub waiting: u64,
    /// Tasks that it has taken so far; likewise.
    pub submitted: u64,
    /// Results that are settled.
    pub settled: u64,
    /// Of them, those that did not succeed.
    pub failed: u64,
    /// Workers that died, or failed to begin.
    pub deaths: u32,
    /// 1: it takes no more.
    pub closed: u32,
    /// 1: too many workers died.
    pub broken: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_pool_statistics {
    const LEAST: usize = 16;
}

/// Shows the figures of a pool. Set `statistics->size` first.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_info(pool: *mut carom_pool, statistics: *mut carom_pool_statistics) -> carom_status {
    boundary::status(|| {
        let mut shown = options::zeroed::<carom_pool_statistics>();
        let now = match pool_of(pool, "carom_pool_info") {
            Err(Error::NotServed(_)) => managed_pool::info(pool)?,
            pool => pool?.pool.info()?,
        };
        (shown.workers, shown.busy, shown.deaths) = (now.workers, now.busy, now.deaths);
        (shown.waiting, shown.submitted) = (now.waiting, now.submitted);
        (shown.settled, shown.failed) = (now.settled, now.failed);
        (shown.closed, shown.broken) = (now.closed as u32, now.broken as u32);
        options::write(statistics, shown)
    })
}

/// Looks after the pool without waiting, and calls no callback: collects what is settled, hands out what waits, and begins a new template for one that died. Every
/// other call does that too, and workers are replaced without it; a host that otherwise leaves the pool alone calls it every few seconds.
///
/// Never blocks. The errno of a fork that failed; `CAROM_ENOMEM`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_maintain(pool: *mut carom_pool) -> carom_status {
    boundary::status(|| match pool_of(pool, "carom_pool_maintain") {
        Err(Error::NotServed(_)) => managed_pool::order(pool, "maintain", &[], 0),
        pool => pool?.pool.maintain(),
    })
}

/// What the pool can do, `CAROM_CAN_…` added. It stays the same as long as the pool lives.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_capabilities(pool: *mut carom_pool) -> i64 {
    boundary::answer(|| match pool_of(pool, "carom_pool_capabilities") {
        Err(Error::NotServed(_)) => managed_pool::ask(pool, "capabilities", &[], 0)?.integer(),
        pool => Ok(pool?.pool.capabilities()? as i64),
    })
}

/// Adds `count` workers. A pool has room for four times as many as it was made with, for 64 at least, and for 1024 at most.
///
/// Never blocks: they are there soon. `CAROM_ENOMEM` for too many, `CAROM_ECLOSED`, `CAROM_EBROKEN`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_grow(pool: *mut carom_pool, count: u32) -> carom_status {
    boundary::status(|| match pool_of(pool, "carom_pool_grow") {
        Err(Error::NotServed(_)) => managed_pool::order(pool, "grow", &[count as i64], 0),
        pool => pool?.pool.grow(count),
    })
}

/// Takes `count` workers away that have nothing to do.
///
/// Never blocks: they leave soon. `CAROM_EAGAIN` if not so many are idle, and then none is taken away; `CAROM_EINVAL` if there are not so many; `CAROM_ECLOSED`,
/// `CAROM_EBROKEN`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_shrink(pool: *mut carom_pool, count: u32) -> carom_status {
    boundary::status(|| match pool_of(pool, "carom_pool_shrink") {
        Err(Error::NotServed(_)) => managed_pool::order(pool, "shrink", &[count as i64], 0),
        pool => pool?.pool.shrink(count),
    })
}

/// Replaces every worker: those that are idle at once, the others once they have done the task that they are at. No task is lost. Only with
/// `options->restartable`.
///
/// Never blocks. `CAROM_EPERM` without that option, `CAROM_ECLOSED`, `CAROM_EBROKEN`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_restart(pool: *mut carom_pool) -> carom_status {
    boundary::status(|| match pool_of(pool, "carom_pool_restart") {
        Err(Error::NotServed(_)) => managed_pool::order(pool, "restart", &[], 0),
        pool => pool?.pool.restart(),
    })
}

/// What worker `index` is at: they are numbered from 0, and keep their numbers unless the pool shrinks. Set `info->size` first.
///
/// Never blocks. `CAROM_ENOENT` behind the last one.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_worker(pool: *mut carom_pool, index: usize, info: *mut carom_worker_info) -> carom_status {
    boundary::status(|| {
        let worker = match pool_of(pool, "carom_pool_worker") {
            Err(Error::NotServed(_)) => managed_pool::worker(pool, index)?,
            pool => pool?.pool.worker(index)?,
        };
        let mut shown = options::zeroed::<carom_worker_info>();
        (shown.pid, shown.busy, shown.tasks) = (worker.pid as i32, worker.busy as u32, worker.tasks);
        (shown.age_ns, shown.elapsed_ns) = (worker.age_ns as i64, worker.elapsed_ns as i64);
        (shown.rss_bytes, shown.item) = (worker.rss_bytes, worker.item);
        shown.job = carom_job_id { high: worker.job.high, low: worker.job.low };
        options::write(info, shown)
    })
}

/// A descriptor that is readable once the worker with this pid is dead. It is yours to close.
///
/// Never blocks. `CAROM_ENOENT` if the pool has no such worker.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_sentinel(pool: *mut carom_pool, pid: i32) -> i32 {
    boundary::answer(|| Ok(pool_of(pool, "carom_pool_sentinel")?.pool.sentinel(pid.max(0) as u32)?.into_raw_fd()))
}

/// Ends what the worker with this pid is at, by a signal to it; whoever survives that is killed half a second later. 0: SIGTERM. The task is `CAROM_ECANCELED`,
/// the worker is replaced.
///
/// Never blocks. `CAROM_ENOENT` if the pool has no such worker, or it is at no task; `CAROM_EINVAL` for what is no signal.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_terminate_job(pool: *mut carom_pool, pid: i32, signal_number: i32) -> carom_status {
    boundary::status(|| {
        let stop = stop(0, signals::or_term(signal_number))?;
        match pool_of(pool, "carom_pool_terminate_job") {
            Err(Error::NotServed(_)) => {
                managed_pool::order(pool, "terminate_job", &[pid.max(0) as i64, 0, stop.signal as i64], 0)
            }
            pool => pool?.pool.stop_worker(pid.max(0) as u32, stop),
        }
    })
}

/// 1 if no worker has died, or failed to begin, since the pool was made; 0 if one has.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_pool_did_start_ok(pool: *mut carom_pool) -> i32 {
    boundary::answer(|| match pool_of(pool, "carom_pool_did_start_ok") {
        Err(Error::NotServed(_)) => Ok(managed_pool::ask(pool, "did_start_ok", &[], 0)?.integer()? as i32),
        pool => Ok(pool?.pool.did_start_ok()? as i32),
    })
}
