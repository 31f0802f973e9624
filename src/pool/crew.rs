//! A pool's workers as the host directs them: how many there are, what each begins and ends with, and new ones for old.
#![forbid(unsafe_code)]

use super::desk::{Desk, Stop};
use super::job::Job;
use super::restarts::DEFAULT;
use super::{HookOf, Options, Pool, exit_of};
use crate::error::{Error, Result};
use crate::family::Family;
use crate::function;
use crate::pin::Pins;
use crate::shm::cell::Cell;
use crate::shm::functions;
use crate::shm::heap::Heap;
use crate::shm::plan::{HISTORY, Hook, MAX_LANES, PlanRef};
use crate::shm::region::Region;
use crate::sys::clock::now_ns;
use crate::sys::{descriptor, fork, pidfd, statm};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Its tasks run in other processes: a crash is a verdict, limits of time are kept, what runs can be ended.
pub const CAN_ISOLATE: u32 = 1;
/// Memory is measured.
pub const CAN_MEASURE: u32 = 2;
/// Its workers reach what the family shares.
pub const CAN_SHARE: u32 = 4;
/// It can have more workers, or less.
pub const CAN_GROW: u32 = 8;
/// It can have new ones for old.
pub const CAN_RESTART: u32 = 16;
/// A task waits until it is accepted.
pub const CAN_HOLD: u32 = 32;

/// Worker positions that a pool can grow to.
pub fn room_for(workers: u32) -> u32 {
    (workers * 4).clamp(64, MAX_LANES)
}

/// Writes what each worker needs to know into the plan. The pins keep what the arguments name.
pub fn write(
    family: Family,
    cell: &'static Cell,
    plan: PlanRef,
    options: &Options<'_>,
) -> Result<[Option<Box<Pins>>; 2]> {
    let words = plan.plan();
    words.max_tasks.store(if options.inline { 0 } else { options.max_tasks }, Relaxed);
    words.max_memory.store(options.max_memory, Relaxed);
    words.max_restarts.store(options.max_restarts.unwrap_or(DEFAULT), Relaxed);
    words.restart_window_s.store(options.restart_window_s, Relaxed);
    let first = write_hook(family, &words.initializer, &cell.extra[0], &options.initializer)?;
    let last = write_hook(family, &words.finalizer, &cell.extra[1], &options.finalizer)?;
    Ok([first, last])
}

/// Writes what is known of the pool's maker: the events that it wants, and the upper half of its jobs' names.
pub fn write_host(family: Family, plan: PlanRef, (events, high): (u32, u64), options: &Options<'_>) {
    let words = plan.plan();
    words.host.store(family.me.to_bits(), Relaxed);
    words.wanted.store(events, Relaxed);
    words.hosted.store(options.hosted as u32, Relaxed);
    words.job_high.store(high, Relaxed);
}

fn write_hook(
    family: Family,
    hook: &'static Hook,
    field: &'static AtomicU64,
    wanted: &HookOf<'_>,
) -> Result<Option<Box<Pins>>> {
    if wanted.address == 0 {
        return Ok(None);
    }
    let arena = family.arena;
    let index = function::slot_of(wanted.address, |identity| functions::add(arena, &identity.to_bytes()))?;
    let pins = Pins::of(family, wanted.arguments)?;
    let len = wanted.arguments.len() as u64;
    let offset = Heap::of(arena).take(len, field)?;
    let place = Region::of(arena, offset, len).ok_or(Error::Panic("a block outside the arena".into()))?;
    place.write(wanted.arguments);
    hook.arguments.store(offset, Relaxed);
    hook.len.store(len, Relaxed);
    hook.function.store(index as u32 + 1, Release);
    Ok(pins)
}

/// Why a pool is broken: the last deaths of its workers.
pub fn history(plan: PlanRef) -> Error {
    let words = plan.plan();
    let deaths = words.deaths.load(Acquire);
    let mut text = format!("the pool is broken, {deaths} workers died; the last:");
    for at in (0..deaths).rev().take(HISTORY) {
        let bits = words.exits[at as usize % HISTORY].load(Relaxed);
        let how = match exit_of(bits as u32) {
            Some(code) if code < 0 => format!("signal {}", -code),
            Some(code) => format!("exit code {code}"),
            None => "nobody knows how".into(),
        };
        text += &format!(" pid {} ({how})", bits >> 32);
    }
    Error::Broken(text.into())
}

/// A worker as the host sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkerInfo {
    /// Its process, 0 while there is none.
    pub pid: u32,
    /// It runs a task.
    pub busy: bool,
    /// Since its birth.
    pub age_ns: u64,
    /// Tasks that it has begun; a chunk of a map counts once.
    pub tasks: u64,
    /// Of the task at work: the name of its job, how long it has run, and the item that it is at.
    pub job: super::job::JobId,
    /// See above.
    pub elapsed_ns: u64,
    /// See above.
    pub item: u64,
    /// Resident memory now, 0 where nobody can tell.
    pub rss_bytes: u64,
}

/// A pool in figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolInfo {
    /// Worker positions.
    pub workers: u32,
    /// Of them, those at a task.
    pub busy: u32,
    /// Tasks that no worker has begun; chunks of maps.
    pub waiting: u64,
    /// Tasks that the pool has taken so far; likewise.
    pub submitted: u64,
    /// Jobs that are settled, and those of them that did not succeed.
    pub settled: u64,
    /// See above.
    pub failed: u64,
    /// Workers that died, or failed to begin.
    pub deaths: u32,
    /// It takes no more.
    pub closed: bool,
    /// Too many workers died.
    pub broken: bool,
}

impl Pool {
    fn ring_template(&self) {
        descriptor::ring(self.doorbell.as_raw_fd());
    }

    fn own_workers(&self) -> Result<std::sync::MutexGuard<'_, Desk>> {
        match self.inline {
            Some(_) => Err(Error::Unsupported("a pool in its caller has no workers of its own")),
            None => self.open_desk(),
        }
    }

    fn open_desk(&self) -> Result<std::sync::MutexGuard<'_, super::desk::Desk>> {
        self.own()?;
        let desk = self.desk();
        desk.check_open()?;
        Ok(desk)
    }

    /// Figures of the pool as it is now.
    pub fn info(&self) -> Result<PoolInfo> {
        self.own()?;
        self.look(&mut |_| Some(()));
        let mut info = self.desk().info();
        info.deaths = self.plan.plan().deaths.load(Acquire);
        Ok(info)
    }

    /// So many workers more.
    pub fn grow(&self, count: u32) -> Result<()> {
        let settled = self.own_workers()?.grow(count)?;
        self.ring_template();
        self.pass_on(settled);
        Ok(())
    }

    /// So many workers less; those that have nothing to do.
    pub fn shrink(&self, count: u32) -> Result<()> {
        self.own_workers()?.shrink(count)?;
        Ok(())
    }

    /// Every worker is replaced as soon as it has done the task that it is at.
    pub fn restart(&self) -> Result<()> {
        let desk = self.open_desk()?;
        if !self.restartable {
            return Err(Error::NotPermitted("the pool was not made restartable"));
        }
        self.plan.plan().restarts.fetch_add(1, AcqRel);
        self.plan.lanes().iter().for_each(|lane| lane.bell.ring_all());
        drop(desk);
        Ok(())
    }

    /// Worker `index` of those that there are.
    pub fn worker(&self, index: usize) -> Result<WorkerInfo> {
        self.own()?;
        let mut info = self.desk().worker(index, now_ns()).ok_or(Error::NotFound("there is no such worker"))?;
        info.rss_bytes = statm::of(info.pid).map_or(0, |memory| memory.resident);
        Ok(info)
    }

    /// A descriptor that is readable once worker `pid` is dead.
    pub fn sentinel(&self, pid: u32) -> Result<OwnedFd> {
        self.own()?;
        let gone = || Error::NotFound("the pool has no such worker");
        let lane = self.plan.lanes().iter().find(|lane| pid != 0 && lane.pid.load(Acquire) == pid).ok_or_else(gone)?;
        let handle = pidfd::open(pid).map_err(|_| gone())?;
        // It was the worker's number when the descriptor was made, if it still is.
        if lane.pid.load(Acquire) == pid { Ok(handle) } else { Err(gone()) }
    }

    /// A task that waits for it may begin.
    pub fn accept_job(&self, job: &Job) -> Result<()> {
        self.own()?;
        self.desk().accept(job);
        Ok(())
    }

    /// What becomes of a job is nobody's business any more.
    pub fn discard_job(&self, job: &Job) -> Result<()> {
        self.own()?;
        self.desk().discard(job);
        self.pass_on(true);
        Ok(())
    }

    /// A task that is not begun is cancelled, one that runs is stopped.
    pub fn stop_job(&self, job: &Job, stop: Stop) -> Result<()> {
        self.own()?;
        self.desk().stop_job(job, stop);
        self.pass_on(true);
        Ok(())
    }

    /// The worker that runs a job, 0 for none.
    pub fn begun_by(&self, job: &Job) -> u32 {
        self.own().map_or(0, |()| self.desk().begun_by(job))
    }

    /// What worker `pid` is at is stopped.
    pub fn stop_worker(&self, pid: u32, stop: Stop) -> Result<()> {
        self.own()?;
        let found = self.desk().stop_worker(pid, stop);
        if found { Ok(()) } else { Err(Error::NotFound("the pool has no such worker, or it is at no task")) }
    }

    /// What it can do: bits.
    pub fn capabilities(&self) -> Result<u32> {
        self.own()?;
        let processes = self.inline.is_none();
        let measures = processes && statm::of(fork::pid()).is_some();
        let bit = |holds: bool, bit: u32| if holds { bit } else { 0 };
        Ok(bit(processes, CAN_ISOLATE | CAN_GROW)
            | bit(measures, CAN_MEASURE)
            | bit(processes && self.restartable, CAN_RESTART)
            | bit(self.acknowledges, CAN_HOLD)
            | CAN_SHARE)
    }

    /// Whether no worker died that nobody wanted to.
    pub fn did_start_ok(&self) -> Result<bool> {
        self.own()?;
        Ok(self.plan.plan().deaths.load(Acquire) == 0)
    }
}
