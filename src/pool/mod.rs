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

pub mod desk;
pub mod event;
pub mod iterator;
pub mod job;
pub mod map;
pub mod template;
pub mod work;
pub mod worker;

use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function;
use crate::keeper;
use crate::shm::cell::{Cell, Kind};
use crate::shm::functions;
use crate::shm::member::{Inherits, MemberId};
use crate::shm::memory::{Deadline, Wake};
use crate::shm::plan::{self, MAX_LANES, Phase, PlanRef};
use crate::sys::clock::{self, now_ns};
use crate::sys::{descriptor, fork, limits};
use desk::{Desk, Goal};
use event::Event;
use job::{Job, JobId};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use template::Template;
use work::Work;

/// What a pool is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Worker positions; 0: one per processor.
    pub workers: u32,
    /// Time limit of each task in ns, 0 for none.
    pub limit_ns: u64,
    /// Bits of the events that are kept for [`Pool::next_event`].
    pub events: u32,
}

/// What a task is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskOptions {
    /// Its time limit in ns; `None`: the pool's. `Some(0)`: none.
    pub limit_ns: Option<u64>,
    /// Items of a chunk of a map; 0: billiard's rule.
    pub chunk: u64,
    /// What the host wants to find at its events.
    pub context: usize,
}

/// A pool, in the process that made it.
pub struct Pool {
    family: Family,
    cell: &'static Cell,
    plan: PlanRef,
    limit_ns: u64,
    doorbell: OwnedFd,
    notify: OwnedFd,
    /// Threads of this process that sleep until a job is settled.
    waiters: AtomicUsize,
    jobs: AtomicU64,
    high: u64,
    desk: Mutex<Desk>,
    reviving: Mutex<()>,
    /// The host has let go: the plan is not looked at again.
    freed: AtomicBool,
}

/// How long the host looks for news before it sleeps: about the cost of a wake.
const SPIN_NS: u64 = 20_000;

impl Pool {
    fn spawn_template(&self) -> Result<MemberId> {
        let index = self.family.arena.cell_index(self.cell);
        let duty = Template::new(self.plan, index, self.doorbell.as_raw_fd(), self.notify.as_raw_fd());
        keeper::spawn(self.family, Inherits::Everything, index, duty)
    }

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

    fn limit(&self, options: &TaskOptions) -> u64 {
        options.limit_ns.unwrap_or(self.limit_ns)
    }

    /// A task with a limit is there: the template must look at its clock in time.
    fn note_limit(&self, limit_ns: u64) {
        if limit_ns == 0 {
            return;
        }
        let plan = self.plan.plan();
        let least = plan.least_limit_ns.load(Relaxed);
        let sooner = least == 0 || limit_ns < least;
        if sooner {
            plan.least_limit_ns.store(limit_ns, Release);
        }
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        if plan.dozing.load(Relaxed) != 0 && plan.dozing.swap(0, AcqRel) != 0 || sooner {
            descriptor::ring(self.doorbell.as_raw_fd());
        }
    }

    /// Submits a task; its job tells what becomes of it.
    pub fn apply_async(self: &Arc<Pool>, address: usize, arguments: &[u8], options: TaskOptions) -> Result<Arc<Job>> {
        self.own()?;
        let function = self.function(address)?;
        let limit = self.limit(&options);
        let job = Arc::new(Job::new(self.clone(), 0, options.context));
        self.submit(Work::single(job.clone(), function, limit, None), arguments)?;
        self.note_limit(limit);
        Ok(job)
    }

    /// A task for the desk.
    fn submit(&self, work: Work, arguments: &[u8]) -> Result<()> {
        let settled = self.desk().submit(work, arguments)?;
        self.pass_on(settled);
        Ok(())
    }

    /// Submits a task and waits for its outcome. Out of time, it is not begun any more.
    pub fn apply(
        self: &Arc<Pool>,
        address: usize,
        arguments: &[u8],
        options: TaskOptions,
        deadline: Deadline,
    ) -> Result<Arc<Job>> {
        let job = self.apply_async(address, arguments, options)?;
        job.wait(deadline).inspect_err(|_| self.desk().abandon_job(&job))?;
        Ok(job)
    }

    /// Whether a job is settled, after a look at what came back.
    pub fn is_settled(&self, job: &Job) -> bool {
        job.is_settled() || self.own().is_ok() && self.look(&mut |_| job.is_settled().then_some(())).is_some()
    }

    /// Waits until `done` has an answer, moving the pool on from this thread.
    pub fn wait<T>(&self, deadline: Deadline, goal: Goal, mut done: impl FnMut(&mut Desk) -> Option<T>) -> Result<T> {
        self.own()?;
        let mut spin_until = None;
        loop {
            if let Some(answer) = self.look(&mut done) {
                return Ok(answer);
            }
            if self.freed.load(Acquire) {
                return Err(Error::Closed("the pool was freed"));
            }
            let now = now_ns();
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.arm();
                return self.look(&mut done).ok_or(Error::TimedOut);
            }
            let until = *spin_until.get_or_insert(now + SPIN_NS);
            if now < until {
                clock::spin_or_yield(until - now, SPIN_NS);
                continue;
            }
            if let Some(answer) = self.sleep(deadline, goal, &mut done)? {
                return Ok(answer);
            }
            spin_until = None;
        }
    }

    fn look<T>(&self, done: &mut impl FnMut(&mut Desk) -> Option<T>) -> Option<T> {
        let mut desk = self.desk();
        let settled = desk.pump();
        let answer = done(&mut desk);
        drop(desk);
        self.pass_on(settled);
        answer
    }

    /// This thread may have collected what another one sleeps for.
    fn pass_on(&self, settled: bool) {
        if settled && !self.freed.load(Acquire) && self.waiters.load(Acquire) > 0 {
            self.plan.plan().news.ring();
        }
    }

    fn sleep<T>(
        &self,
        deadline: Deadline,
        goal: Goal,
        done: &mut impl FnMut(&mut Desk) -> Option<T>,
    ) -> Result<Option<T>> {
        let plan = self.plan.plan();
        let alone = self.waiters.fetch_add(1, AcqRel) == 0;
        let ticket = plan.news.prepare();
        self.desk().plan_rings(goal, alone);
        let answer = self.look(done);
        if answer.is_none() {
            let word = &plan.template.word;
            let seen = word.load(Acquire);
            let dead = |seen: u32| seen & 0x4000_0000 != 0 && seen & 0x3fff_ffff == 0;
            if self.plan.phase() < Phase::Ended && dead(seen) {
                self.revive()?;
            } else {
                let _: Wake = plan.news.sleep(ticket, Some((word, seen)), deadline);
                // The kernel wakes only one of those who sleep on a dead template's word, and this thread
                // may leave before it revives it: out of time, or with an answer.
                if word.load(Acquire) != seen {
                    plan.news.ring_all();
                }
            }
        }
        self.waiters.fetch_sub(1, AcqRel);
        Ok(answer)
    }

    /// The template died: its workers die with it, and a new one takes their lanes over. Forked by whoever
    /// finds out, for want of another.
    fn revive(&self) -> Result<()> {
        let Ok(_guard) = self.reviving.try_lock() else {
            std::thread::yield_now();
            return Ok(());
        };
        let word = &self.plan.plan().template.word;
        let seen = word.load(Acquire);
        if seen & 0x3fff_ffff != 0 {
            return Ok(());
        }
        self.spawn_template()?;
        let deadline = now_ns() + 1_000_000_000;
        while word.load(Acquire) == seen && now_ns() < deadline {
            crate::sys::futex::wait(word, seen, None, Some(deadline));
        }
        Ok(())
    }

    /// From now on the next news makes the descriptor readable.
    fn arm(&self) {
        self.plan.plan().armed.store(1, Release);
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    /// Readable when there may be something to dispatch.
    pub fn fd(&self) -> Result<RawFd> {
        self.own()?;
        self.arm();
        Ok(self.notify.as_raw_fd())
    }

    /// Moves the pool on without waiting; how many jobs are settled and not yet told of by an event.
    pub fn dispatch(&self) -> Result<usize> {
        self.own()?;
        descriptor::hush(self.notify.as_raw_fd());
        self.arm();
        self.look(&mut |desk| Some(desk.events_waiting())).ok_or(Error::TimedOut)
    }

    /// The next event, in the order in which they became known.
    pub fn next_event(&self, deadline: Deadline) -> Result<Event> {
        descriptor::hush(self.notify.as_raw_fd());
        self.wait(deadline, Goal::Any, |desk| desk.next_event())
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
        self.desk().close();
        self.plan.advance(Phase::Stopping);
        descriptor::ring(self.doorbell.as_raw_fd());
        self.desk().cancel_all();
        Ok(())
    }

    /// Waits until every task is settled and every worker is gone; needs [`Pool::close`] or [`Pool::terminate`].
    pub fn join(&self, deadline: Deadline) -> Result<()> {
        self.own()?;
        if !self.desk().is_closed() {
            return Err(Error::NotPermitted("a pool is closed or terminated before it is joined"));
        }
        self.wait(deadline, Goal::All, |desk| desk.is_idle().then_some(()))?;
        self.plan.advance(Phase::Ending);
        for lane in self.plan.lanes() {
            lane.bell.ring_all();
        }
        descriptor::ring(self.doorbell.as_raw_fd());
        self.wait(deadline, Goal::All, |desk| (desk.phase() == Phase::Ended).then_some(()))
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
    pub fn new(options: Options) -> Result<Hold> {
        let family = family::current()?;
        let workers = if options.workers == 0 { limits::processors() as u32 } else { options.workers };
        if workers > MAX_LANES {
            return Err(Error::invalid("a pool has at most 1024 workers"));
        }
        let doorbell = descriptor::event_counter()?;
        let notify = descriptor::event_counter()?;
        let cell = Cell::claim(family.arena, Kind::Pool, family.me.slot)?;
        let let_go = |error| {
            cell.let_go(family.arena, cell.generation(), family.me.slot);
            error
        };
        let plan = PlanRef::create(family.arena, &cell.block, workers).map_err(let_go)?;
        plan.plan().host.store((family.me.generation as u64) << 32 | family.me.slot as u64, Relaxed);
        plan.plan().wanted.store(options.events, Relaxed);
        plan.plan().least_limit_ns.store(options.limit_ns, Release);
        let pool = Pool {
            family,
            cell,
            plan,
            limit_ns: options.limit_ns,
            doorbell,
            notify,
            waiters: AtomicUsize::new(0),
            jobs: AtomicU64::new(0),
            high: now_ns() ^ (fork::pid() as u64) << 40,
            desk: Mutex::new(Desk::new(plan, options.events)),
            reviving: Mutex::new(()),
            freed: AtomicBool::new(false),
        };
        let hold = Hold { pool: Arc::new(pool) };
        // From here on dropping it cleans up.
        hold.pool.spawn_template()?;
        Ok(hold)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let pool = &self.pool;
        // A copy in a forked child ends nothing.
        if pool.own().is_err() {
            return;
        }
        if pool.plan.phase() != Phase::Ended {
            pool.plan.advance(Phase::Stopping);
            descriptor::ring(pool.doorbell.as_raw_fd());
        }
        pool.desk().close();
        pool.desk().cancel_all();
        // The plan stays until the last worker is dead; see `Cell::is_worked_on`. The host looks at it no more.
        pool.desk().leave();
        pool.freed.store(true, Release);
        pool.cell.let_go(pool.family.arena, pool.cell.generation(), pool.family.me.slot);
    }
}

/// How a worker ended, as events and verdicts have it.
pub fn exit_of(code: u32) -> Option<i32> {
    (code as i32 != plan::UNKNOWN_EXIT).then_some(code as i32)
}
