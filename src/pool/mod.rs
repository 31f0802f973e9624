//! Pools: workers that may die, and tasks that know what became of them.
//!
//! Three kinds of process meet in the pool's plan (`shm::plan`):
//! ```text
//! host ── tasks ──▶ lane of worker i ──▶ worker i ── outcome in the same slot ──▶ host
//!   └── doorbell ──▶ template ── forks, watches, kills workers; settles tasks of the dead
//! ```
//! - [`desk`]: the host's side: puts tasks into lanes, collects outcomes. No thread: whoever calls in
//!   moves things on.
//! - [`worker`]: runs the tasks of one lane.
//! - [`template`]: a keeper's duty: forks the workers, replaces them, enforces time limits.
//! - [`job`]: a task as the host knows it, and its verdict; [`map`] and [`iterator`]: many at once.
#![forbid(unsafe_code)]

mod backtrace;
pub mod batch;
mod bay;
mod crew;
pub mod desk;
mod drive;
pub mod event;
mod evidence;
pub mod extras;
mod held;
pub mod hosted;
mod inline;
pub mod iterator;
pub mod job;
mod keys;
pub mod map;
mod meter;
mod notice;
mod options;
mod post;
mod restarts;
mod room;
mod service;
mod stderr;
mod template;
mod tend;
pub mod work;
pub mod worker;

pub use self::crew::{PoolInfo, WorkerInfo};
pub use self::options::{HookOf, OnEvent, Options, TaskOptions};
pub use self::tend::template_of;

use self::tend::{Spawned, Watch};
use crate::capsule;
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function;
use crate::pin::Pins;
use crate::shm::cell::{Cell, Kind};
use crate::shm::functions;
use crate::shm::memory::Deadline;
use crate::shm::plan::{self, MAX_LANES, Phase, PlanRef};
use crate::start::{self, Method};
use crate::sys::clock::now_ns;
use crate::sys::{descriptor, fork, limits};
use crate::wire::Encoding;
use desk::{Desk, Goal};
use extras::Extras;
use inline::Inline;
use job::{Job, JobId, Verdict};
use keys::Keys;
use room::Room;
use service::Service;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use work::{Limits, Order, Work};

/// A pool, in the process that made it.
pub struct Pool {
    family: Family,
    cell: &'static Cell,
    plan: PlanRef,
    limits: Limits,
    method: Method,
    capture_stderr: bool,
    restartable: bool,
    hosted: bool,
    room: Arc<Room>,
    keys: Keys,
    service: Service,
    acknowledges: bool,
    /// Of what the arguments of initializer and finalizer name.
    _pins: [Option<Box<Pins>>; 2],
    capsules: Option<PathBuf>,
    doorbell: OwnedFd,
    notify: OwnedFd,
    /// Threads of this process that sleep until a job is settled.
    waiters: AtomicUsize,
    jobs: AtomicU64,
    high: u64,
    desk: Mutex<Desk>,
    /// Of a pool without processes.
    inline: Option<Inline>,
    /// Called for each event, instead of waiting to be asked.
    on_event: Option<OnEvent>,
    spawned: Mutex<Spawned>,
    watch: Mutex<Option<Watch>>,
    /// The host has let go: the plan is not looked at again.
    freed: AtomicBool,
}

impl Pool {
    /// Only its maker uses a pool; a copy of the handle in a forked child is of no use.
    pub fn own(&self) -> Result<()> {
        match family::current()?.me == self.family.me {
            true => Ok(()),
            false => Err(Error::NotPermitted("only the process that made a pool can use it")),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self) -> JobId {
        JobId { high: self.high, low: self.jobs.fetch_add(1, Relaxed) + 1 }
    }

    /// Index of a function in the family's table.
    fn function(&self, address: usize) -> Result<u32> {
        let arena = self.family.arena;
        function::slot_of(address, |identity| functions::add(arena, &identity.to_bytes())).map(u32::from)
    }

    fn order(&self, options: &TaskOptions) -> Result<Order> {
        let hard_ns = options.limit_ns.unwrap_or(self.limits.hard_ns);
        let soft_ns = options.soft_limit_ns.unwrap_or(self.limits.soft_ns);
        let memory = options.memory.unwrap_or(self.limits.memory);
        let limits = Limits { hard_ns, soft_ns, cpu_ns: options.cpu_ns, memory }.check()?;
        let expires_ns = if options.expires_ns == 0 { 0 } else { now_ns().saturating_add(options.expires_ns) };
        let (attempts, retry_on, priority) = (options.attempts, options.retry_on, options.priority);
        let held = self.acknowledges && !options.awaited;
        Ok(Order { limits, attempts, retry_on, expires_ns, priority, held })
    }

    /// Submits a task; its job tells what becomes of it.
    pub fn apply_async(
        self: &Arc<Pool>,
        address: usize,
        arguments: Encoding<'_>,
        options: TaskOptions,
    ) -> Result<Arc<Job>> {
        self.own()?;
        let function = self.function(address)?;
        let order = self.order(&options)?;
        let job = Arc::new(Job::with_extras(self, 0, options.context, Extras::of_task(&options, order.limits)));
        self.once(options.key.as_ref(), &job, || {
            let toll = self.await_room(options.patience_ns, arguments.length())?;
            let pins = arguments.whole().map_or(Ok(None), |whole| Pins::of(self.family(), whole))?;
            self.submit(Work { toll, ..Work::single(job.clone(), function, order, None, pins) }, arguments)
        })
    }

    /// Submits a job, unless one with its key is known already: the one that is.
    fn once(&self, key: Option<&Arc<[u8]>>, job: &Arc<Job>, submit: impl FnOnce() -> Result<()>) -> Result<Arc<Job>> {
        if let Some(first) = key.and_then(|key| self.keys.claim(key, job)) {
            return Ok(first);
        }
        // Somebody may have found it by its key: it gets the reason, and the key is free again.
        submit().inspect_err(|error| job.fail(Verdict::of(Err(error.clone()), job.item)))?;
        Ok(job.clone())
    }

    /// A task for the desk.
    fn submit(&self, work: Work, arguments: Encoding<'_>) -> Result<()> {
        let settled = self.desk().submit(work, arguments)?;
        self.pass_on(settled);
        self.run_inline();
        Ok(())
    }

    /// Submits a task and waits for its outcome. Out of time, it is not begun any more.
    pub fn apply(
        self: &Arc<Pool>,
        address: usize,
        arguments: Encoding<'_>,
        options: TaskOptions,
        deadline: Deadline,
    ) -> Result<Arc<Job>> {
        let is_shared = options.key.is_some();
        let job = self.apply_async(address, arguments, TaskOptions { awaited: true, ..options })?;
        let abandon = |_: &Error| {
            if !is_shared {
                self.desk().abandon_job(&job)
            }
        };
        job.wait(deadline).inspect_err(abandon)?;
        Ok(job)
    }

    /// The host lets go: ends at once, and for good. Whoever waits in another thread gets its answer now.
    pub fn end(&self) {
        // A copy in a forked child ends nothing.
        if self.own().is_err() || self.freed.load(Acquire) {
            return;
        }
        {
            let mut desk = self.desk();
            desk.close();
            // First the decision: what its worker dies over from now on was cancelled, not lost.
            desk.cancel_all(&Error::Cancelled);
            // The host looks at the plan no more, except for those of its threads that are inside.
            desk.leave();
        }
        if self.plan.phase() != Phase::Ended {
            self.plan.advance(Phase::Stopping);
            descriptor::ring(self.doorbell.as_raw_fd());
        }
        self.end_hosted();
        // From here on every job has its outcome.
        self.freed.store(true, Release);
        self.plan.plan().news.ring_all();
    }

    /// Takes no more tasks; those it has are finished.
    pub fn close(&self) -> Result<()> {
        self.own()?;
        self.desk().close();
        Ok(())
    }

    /// Ends at once: tasks that are not done are cancelled, their workers killed. Does not wait.
    pub fn terminate(&self) -> Result<()> {
        self.own()?;
        {
            let mut desk = self.desk();
            desk.close();
            // First the decision: what its worker dies over from now on was cancelled, not lost.
            desk.cancel_all(&Error::Cancelled);
        }
        self.plan.advance(Phase::Stopping);
        descriptor::ring(self.doorbell.as_raw_fd());
        Ok(())
    }

    /// Waits until every task is settled and every worker is gone; needs [`Pool::close`] or [`Pool::terminate`].
    pub fn join(&self, deadline: Deadline) -> Result<()> {
        self.own()?;
        if !self.desk().is_closed() {
            return Err(Error::NotPermitted("a pool is closed or terminated before it is joined"));
        }
        let ours = !self.service.is_elsewhere();
        loop {
            let is_due = |desk: &mut Desk| desk.is_idle() || ours && desk.has_due();
            let idle = self.wait(deadline, Goal::Any, |desk| is_due(desk).then(|| desk.is_idle()))?;
            self.run_due(0, None);
            if idle {
                break;
            }
        }
        self.end_inline();
        self.plan.advance(Phase::Ending);
        for lane in self.plan.lanes() {
            lane.bell.ring_all();
        }
        descriptor::ring(self.doorbell.as_raw_fd());
        self.wait(deadline, Goal::All, |desk| (desk.phase() == Phase::Ended).then_some(()))?;
        self.reap_hosted();
        self.run_due(0, None);
        self.await_service(deadline)
    }

    /// The desk, for the room's other parts.
    pub(crate) fn with_desk<T>(&self, look: impl FnOnce(&mut Desk) -> T) -> T {
        look(&mut self.desk())
    }

    /// The family, for the room's other parts.
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Index of the pool's cell.
    pub(crate) fn cell_index(&self) -> u64 {
        self.family.arena.cell_index(self.cell)
    }

    /// Whether the template died before it took its place (for tests and diagnosis).
    pub fn workers(&self) -> Vec<u32> {
        self.plan.lanes().iter().map(|lane| lane.pid.load(Acquire)).filter(|pid| *pid != 0).collect()
    }
}

/// The host's own hold on a pool: with it the pool ends, whoever still looks at its results.
pub struct Hold {
    /// The pool.
    pub pool: Arc<Pool>,
}

impl Hold {
    /// Makes a pool and its template, which makes the workers.
    pub fn new(options: Options<'_>, on_event: Option<OnEvent>) -> Result<Hold> {
        let family = family::current()?;
        let workers = if options.inline { Some(inline::LANES) } else { options.workers };
        let workers = workers.unwrap_or_else(|| limits::processors() as u32);
        hosted::check(&options)?;
        if workers > MAX_LANES {
            return Err(Error::invalid("a pool has at most 1024 workers"));
        }
        let limits = options.limits.check()?;
        let capsules = options.capsules.map(capsule::directory).transpose()?;
        let room = Room::new(family, options.max_waiting, options.max_waiting_bytes, options.semaphore)?;
        let doorbell = descriptor::event_counter()?;
        let notify = descriptor::event_counter()?;
        let cell = Cell::claim(family.arena, Kind::Pool, family.me.slot)?;
        let let_go = |error| {
            cell.let_go(family.arena, cell.generation(), family.me.slot);
            error
        };
        let positions = crew::room_for(workers);
        let plan = PlanRef::create(family.arena, &cell.block, workers, positions).map_err(let_go)?;
        let pins = crew::write(family, cell, plan, &options).map_err(let_go)?;
        let events = options.events | hosted::events(&options);
        let high = now_ns() ^ (fork::pid() as u64) << 40;
        crew::write_host(family, plan, (events, high), &options);
        plan.plan().least_limit_ns.store(limits.least_ns(), Release);
        // Last: whoever takes the cell apart after a death now finds a whole plan there. See `Cell::each_block`.
        cell.len.store(positions as u64, Release);
        let pool = Pool {
            family,
            cell,
            plan,
            limits,
            method: options.method.unwrap_or_else(start::default),
            capture_stderr: options.capture_stderr,
            restartable: options.restartable,
            hosted: options.hosted,
            room,
            keys: Keys::default(),
            service: Service::default(),
            acknowledges: options.acknowledges,
            on_event,
            inline: options.inline.then(|| Inline::new(plan)),
            _pins: pins,
            capsules,
            waiters: AtomicUsize::new(0),
            jobs: AtomicU64::new(0),
            high,
            desk: Mutex::new(Desk::new(plan, events, doorbell.as_raw_fd())),
            doorbell,
            notify,
            spawned: Mutex::default(),
            watch: Mutex::default(),
            freed: AtomicBool::new(false),
        };
        // From here on dropping it cleans up.
        let hold = Hold { pool: Arc::new(pool) };
        hold.begin(options.serves)?;
        Ok(hold)
    }

    fn begin(&self, serves: bool) -> Result<()> {
        match self.pool.inline {
            Some(_) => self.pool.begin_inline()?,
            None => _ = self.pool.spawn_template()?,
        }
        if serves { self.pool.serve() } else { Ok(()) }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.pool.end();
    }
}

impl Drop for Pool {
    /// No thread of the host is inside any more. The plan stays until the last worker is dead; see
    /// `Cell::is_worked_on`.
    fn drop(&mut self) {
        if self.own().is_ok() {
            self.cell.let_go(self.family.arena, self.cell.generation(), self.family.me.slot);
        }
    }
}

/// How a worker ended, as events and verdicts have it.
pub fn exit_of(code: u32) -> Option<i32> {
    (code as i32 != plan::UNKNOWN_EXIT).then_some(code as i32)
}
