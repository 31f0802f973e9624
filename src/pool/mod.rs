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
pub mod event;
mod evidence;
pub mod extras;
mod inline;
pub mod iterator;
pub mod job;
pub mod map;
mod meter;
mod notice;
mod post;
mod restarts;
mod stderr;
pub mod template;
pub mod work;
pub mod worker;

use crate::capsule::{self, Writer};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function;
use crate::keeper;
use crate::log;
use crate::pin::Pins;
use crate::shm::cell::{Cell, Kind};
use crate::shm::functions;
use crate::shm::member::{Inherits, MemberId};
use crate::shm::memory::{Deadline, Wake};
use crate::shm::plan::{self, MAX_LANES, Phase, PlanRef};
use crate::shm::stop;
use crate::start::{self, Method};
use crate::sys::clock::{self, now_ns};
use crate::sys::descriptor::Poll;
use crate::sys::{crash, descriptor, fork, limits};
use crate::wire::{self, Argument};
use desk::{Desk, Goal};
use event::Event;
use extras::{Extras, Hook};
use inline::Inline;
use job::{Job, JobId};
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use template::Template;
use work::{Limits, Order, Work};

/// What a pool is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Worker positions; `None`: one per processor.
    pub workers: Option<u32>,
    /// What each task may take.
    pub limits: Limits,
    /// Bits of the events that are kept for [`Pool::next_event`].
    pub events: u32,
    /// What a worker that dies wrote to stderr last is evidence.
    pub capture_stderr: bool,
    /// What each worker runs first.
    pub initializer: HookOf<'a>,
    /// What it runs last, where it leaves.
    pub finalizer: HookOf<'a>,
    /// Tasks after which a worker is replaced, 0 for never.
    pub max_tasks: u64,
    /// Bytes of memory after which it is, likewise.
    pub max_memory: u64,
    /// How many workers may die; `None`: see [`restarts`].
    pub max_restarts: Option<u32>,
    /// Within so many seconds; 0: the default.
    pub restart_window_s: u32,
    /// Its workers are its callers.
    pub inline: bool,
    /// [`Pool::restart`] is allowed.
    pub restartable: bool,
    /// Tasks that it takes before one is settled, 0 for any number.
    pub max_waiting: u64,
    /// The directory in which tasks are saved whose worker dies.
    pub capsules: Option<&'a Path>,
    /// How the template is started, which forks the workers; the default if nothing is said.
    pub method: Option<Method>,
}

/// A function and its encoded arguments; address 0: none.
#[derive(Debug, Clone, Copy, Default)]
pub struct HookOf<'a> {
    /// The function.
    pub address: usize,
    /// Its arguments.
    pub arguments: &'a [u8],
}

/// What a task is like.
#[derive(Clone, Default)]
pub struct TaskOptions {
    /// Hears of it.
    pub hook: Option<Hook>,
    /// How long its submission may wait for room, in ns; `None`: as long as it takes. `Some(0)`: not at all.
    pub patience_ns: Option<u64>,
    /// Many tasks with one result: the first failure settles it, and what is not begun never is.
    pub fail_fast: bool,
    /// Its time limit in ns; `None`: the pool's. `Some(0)`: none.
    pub limit_ns: Option<u64>,
    /// Likewise the soft one.
    pub soft_limit_ns: Option<u64>,
    /// Its limits beyond these.
    pub cpu_ns: u64,
    /// `None`: the pool's. `Some(0)`: none.
    pub memory: Option<u64>,
    /// How often it may be begun; 0 is 1.
    pub attempts: u32,
    /// For which reasons again, see [`work`].
    pub retry_on: u32,
    /// It is not begun later than so long after its submission, 0 for whenever.
    pub expires_ns: u64,
    /// See [`work::Order`].
    pub priority: i32,
    /// Items of a chunk of a map; 0: billiard's rule.
    pub chunk: u64,
    /// What the host wants to find at its events.
    pub context: usize,
}

/// What is called for each event.
pub type OnEvent = Box<dyn Fn(&Event) + Send + Sync>;

/// A pool, in the process that made it.
pub struct Pool {
    family: Family,
    cell: &'static Cell,
    plan: PlanRef,
    limits: Limits,
    method: Method,
    capture_stderr: bool,
    restartable: bool,
    max_waiting: u64,
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

/// The last attempt to make a template.
#[derive(Default)]
struct Spawned {
    at_ns: u64,
    /// Which template there was before.
    after: u64,
    /// Which it is, once it is forked.
    id: Option<MemberId>,
}

/// What [`Pool::fd`] gives: readable for news, and when the template dies, which can tell of nothing then.
struct Watch {
    poll: Poll,
    /// The template, and which one it is.
    template: Option<(OwnedFd, u64)>,
}

/// A template that has not taken its place for so long is made again; a surplus one finds the place taken, and
/// leaves.
const START_NS: u64 = 1_000_000_000;

/// Bits of a liveness word that name its holder.
const HOLDER: u32 = 0x3fff_ffff;

/// How long the host looks for news before it sleeps: about the cost of a wake.
const SPIN_NS: u64 = 20_000;

/// What a template that has no copy of the host's memory is to know.
fn duty_of(index: u64, capture_stderr: bool, capsules: Option<&Path>) -> Result<Vec<u8>> {
    let capsules = capsules.map_or(Argument::Nil, |path| Argument::String(path.as_os_str().as_bytes()));
    wire::to_vec(&[Argument::Integer(index as i64), Argument::Bool(capture_stderr), capsules])
}

/// The template that a duty of [`duty_of`] is of, in its process.
pub fn template_of(family: Family, duty: &[u8], bells: [RawFd; 2]) -> Result<Template> {
    let gone = || Error::Broken("the pool of a template is gone".into());
    let (Argument::Integer(index), Argument::Bool(capture_stderr)) =
        (wire::argument(duty, 0)?, wire::argument(duty, 1)?)
    else {
        return Err(gone());
    };
    let cell = family.arena.cell(index as u64).filter(|cell| cell.kind() == Kind::Pool).ok_or_else(gone)?;
    let plan = PlanRef::open(family.arena, cell.block.load(Acquire))?;
    let capsules = match wire::argument(duty, 2)? {
        Argument::String(path) => Some(Path::new(OsStr::from_bytes(path))),
        _ => None,
    };
    crash::warm_up();
    Ok(Template::new(plan, index as u64, bells, capture_stderr, writer_of(capsules)))
}

/// The directory may be gone by now, which is no reason to have no workers.
fn writer_of(capsules: Option<&Path>) -> Option<Arc<Writer>> {
    let writer = Writer::new(capsules?);
    writer.inspect_err(|error| log::warning(format_args!("no capsules: {error}"))).ok().map(Arc::new)
}

impl Pool {
    fn spawn_template(&self) -> Result<MemberId> {
        let after = self.plan.plan().template_id.load(Acquire);
        let spawned = || self.spawned.lock().unwrap_or_else(PoisonError::into_inner);
        *spawned() = Spawned { at_ns: now_ns(), after, id: None };
        let index = self.family.arena.cell_index(self.cell);
        if self.method != Method::Fork {
            let duty = duty_of(index, self.capture_stderr, self.capsules.as_deref())?;
            let given = [self.doorbell.as_raw_fd(), self.notify.as_raw_fd()];
            let id = keeper::spawn_anew(self.family, self.method, index, &duty, &given)?;
            spawned().id = Some(id);
            return Ok(id);
        }
        crash::warm_up();
        let bells = [self.doorbell.as_raw_fd(), self.notify.as_raw_fd()];
        let duty = Template::new(self.plan, index, bells, self.capture_stderr, writer_of(self.capsules.as_deref()));
        let id = keeper::spawn(self.family, Inherits::Everything, index, duty)?;
        spawned().id = Some(id);
        Ok(id)
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

    fn order(&self, options: &TaskOptions) -> Result<Order> {
        let hard_ns = options.limit_ns.unwrap_or(self.limits.hard_ns);
        let soft_ns = options.soft_limit_ns.unwrap_or(self.limits.soft_ns);
        let memory = options.memory.unwrap_or(self.limits.memory);
        let limits = Limits { hard_ns, soft_ns, cpu_ns: options.cpu_ns, memory }.check()?;
        let expires_ns = if options.expires_ns == 0 { 0 } else { now_ns().saturating_add(options.expires_ns) };
        let (attempts, retry_on, priority) = (options.attempts, options.retry_on, options.priority);
        Ok(Order { limits, attempts, retry_on, expires_ns, priority })
    }

    /// Submits a task; its job tells what becomes of it.
    pub fn apply_async(self: &Arc<Pool>, address: usize, arguments: &[u8], options: TaskOptions) -> Result<Arc<Job>> {
        self.own()?;
        let function = self.function(address)?;
        let order = self.order(&options)?;
        let limits = order.limits;
        let extras = options.hook.map(|hook| Box::new(Extras::of_task(hook, limits)));
        let job = Arc::new(Job::with_extras(self, 0, options.context, extras));
        self.await_room(options.patience_ns)?;
        let pins = Pins::of(self.family(), arguments)?;
        self.submit(Work::single(job.clone(), function, order, None, pins), arguments)?;
        Ok(job)
    }

    /// A task for the desk.
    fn submit(&self, work: Work, arguments: &[u8]) -> Result<()> {
        let settled = self.desk().submit(work, arguments)?;
        self.pass_on(settled);
        self.run_inline();
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
        if job.is_settled() {
            return true;
        }
        let _ = self.own().and_then(|()| self.mind_template());
        self.own().is_ok() && self.look(&mut |_| job.is_settled().then_some(())).is_some()
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
                return self.look(&mut done).ok_or(Error::Closed("the pool was freed"));
            }
            let now = now_ns();
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.arm();
                return self.look(&mut done).ok_or(Error::TimedOut);
            }
            if stop::notice() {
                return Err(Error::SoftLimit);
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
        self.run_inline();
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
        let mut minded = Ok(());
        if answer.is_none() && !self.freed.load(Acquire) {
            let word = &plan.template.word;
            let seen = word.load(Acquire);
            minded = self.mind_template();
            // While a template is on its way, look after it.
            let until = if seen & HOLDER == 0 { Some(now_ns() + keeper::LOOK_NS) } else { None };
            let until = deadline.into_iter().chain(until).min();
            if minded.is_ok() {
                let _: Wake = plan.news.sleep(ticket, Some((word, seen)), until);
                // The kernel wakes only one of those who sleep on a dead template's word, and this thread
                // may leave before it revives it: out of time, or with an answer.
                if word.load(Acquire) != seen {
                    plan.news.ring_all();
                }
            }
        }
        self.waiters.fetch_sub(1, AcqRel);
        minded.map(|()| answer)
    }

    /// If the template died, or never came to its place: its workers die with it, and a new one takes their
    /// lanes over. Forked by whoever finds out, for want of another.
    fn mind_template(&self) -> Result<()> {
        let plan = self.plan.plan();
        let vacant = || !self.freed.load(Acquire) && plan.template.word.load(Acquire) & HOLDER == 0;
        if self.inline.is_some() || !vacant() || self.plan.phase() == Phase::Ended {
            return Ok(());
        }
        let due = self.spawned.try_lock().is_ok_and(|spawned| {
            let on_its_way = spawned.after == plan.template_id.load(Acquire);
            let gone = || spawned.id.is_some_and(|id| keeper::is_gone(self.family.arena, id));
            vacant() && (!on_its_way || gone() || now_ns() > spawned.at_ns + START_NS)
        });
        if due { self.spawn_template().map(|_| ()) } else { Ok(()) }
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
        loop {
            let idle =
                self.wait(deadline, Goal::Any, |desk| (desk.is_idle() || desk.has_due()).then(|| desk.is_idle()))?;
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
        self.run_due(0, None);
        Ok(())
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
        if workers > MAX_LANES {
            return Err(Error::invalid("a pool has at most 1024 workers"));
        }
        let limits = options.limits.check()?;
        let capsules = options.capsules.map(capsule::directory).transpose()?;
        let doorbell = descriptor::event_counter()?;
        let notify = descriptor::event_counter()?;
        let cell = Cell::claim(family.arena, Kind::Pool, family.me.slot)?;
        let let_go = |error| {
            cell.let_go(family.arena, cell.generation(), family.me.slot);
            error
        };
        let room = crew::room_for(workers);
        let plan = PlanRef::create(family.arena, &cell.block, workers, room).map_err(let_go)?;
        let pins = crew::write(family, cell, plan, &options).map_err(let_go)?;
        plan.plan().host.store(family.me.to_bits(), Relaxed);
        plan.plan().wanted.store(options.events, Relaxed);
        plan.plan().least_limit_ns.store(limits.least_ns(), Release);
        // Last: whoever takes the cell apart after a death now finds a whole plan there. See `Cell::each_block`.
        cell.len.store(room as u64, Release);
        let pool = Pool {
            family,
            cell,
            plan,
            limits,
            method: options.method.unwrap_or_else(start::default),
            capture_stderr: options.capture_stderr,
            restartable: options.restartable,
            max_waiting: options.max_waiting,
            on_event,
            inline: options.inline.then(|| Inline::new(plan)),
            _pins: pins,
            capsules,
            waiters: AtomicUsize::new(0),
            jobs: AtomicU64::new(0),
            high: now_ns() ^ (fork::pid() as u64) << 40,
            desk: Mutex::new(Desk::new(plan, options.events, doorbell.as_raw_fd())),
            doorbell,
            notify,
            spawned: Mutex::default(),
            watch: Mutex::default(),
            freed: AtomicBool::new(false),
        };
        let hold = Hold { pool: Arc::new(pool) };
        // From here on dropping it cleans up.
        match hold.pool.inline {
            Some(_) => hold.pool.begin_inline()?,
            None => _ = hold.pool.spawn_template()?,
        }
        Ok(hold)
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
