//! How pools and their tasks are to be.

use super::boundary;
use super::call::{self, carom_argument, carom_function};
use super::context::{self, carom_context};
use super::handle::Kind;
use super::library::carom_status;
use super::object;
use super::options::{self, Sized_};
use super::pool_event::{self, EVENTS, carom_pool_callback};
use super::process::encode;
use super::result::{self, carom_result_callback, carom_verdict};
use super::semaphore::carom_semaphore;
use crate::error::{Error, Result};
use crate::pool::event::{self, Event};
use crate::pool::extras::{Hook, News};
use crate::pool::job::Job;
use crate::pool::work::Limits;
use crate::pool::{HookOf, OnEvent, Options, TaskOptions};
use crate::shm::cell::Reference;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// Workers that are the caller itself: a task runs in the call that submits it, or in one that waits. For debuggers, sanitizers and unit tests: no limit is
/// enforced, `exit` and a crash are the program's, and up to 16 tasks may wait for each other.
pub const CAROM_INLINE: i32 = -2;

/// The worker crashed, left, or was killed by somebody else.
pub const CAROM_RETRY_CRASH: u32 = 1;
/// The task was out of time: its own, or processor time.
pub const CAROM_RETRY_TIME: u32 = 2;
/// The task was out of memory.
pub const CAROM_RETRY_MEMORY: u32 = 4;

/// Options of a pool.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_pool_options {
    /// sizeof(carom_pool_options)
    pub size: usize,
    /// Workers, up to 1024. 0: one per processor; `CAROM_NONE`: none yet, see `carom_pool_grow`.
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
    /// 1: `carom_pool_restart` is allowed.
    pub restartable: u32,
    /// Tasks, or items of maps, after which a worker is replaced. 0: never.
    pub max_tasks: u64,
    /// Bytes of memory, beyond what it was born with, after which a worker is replaced when it has done its task. 0: never.
    pub max_memory: u64,
    /// Bytes at which it is killed over its task (`CAROM_EMEMORYLIMIT`). 0 and `CAROM_NONE`: no limit. Both are measured every few milliseconds.
    pub memory_limit: i64,
    /// How many workers may die, or fail to begin, within `max_restart_freq_s` before the pool is broken; those killed for a limit do not count. `CAROM_NONE`:
    /// none. 0: ten per worker, of those only that have begun no task since their birth, and none if others do: an initializer that always fails breaks the pool,
    /// tasks do not.
    pub max_restarts: i32,
    /// In seconds. 0: 1, or, if `max_restarts` is 0 too, 10.
    pub max_restart_freq_s: i32,
    /// Runs first in each worker. If it fails, the worker ends, and the next one tries.
    pub initializer: carom_function,
    /// Its arguments, copied. Handles among them are the worker's as long as it lives.
    pub initializer_arguments: *const carom_argument,
    /// How many.
    pub initializer_count: usize,
    /// Runs last in each worker that leaves by itself: for none of those that are killed, die, or call `exit`.
    pub finalizer: carom_function,
    /// Its arguments, copied.
    pub finalizer_arguments: *const carom_argument,
    /// How many.
    pub finalizer_count: usize,
    /// A directory: each task whose worker dies over it (also for want of time; not because the pool ends) is saved there, see `carom_capsule_open`, as
    /// `PROGRAM.PID.SECONDS.capsule`, whole or not at all, readable for its owner only: it holds the arguments and the environment. Arguments of more than 64 MiB
    /// are not saved. Nobody removes these files. NULL: none.
    pub capsules: *const c_char,
    /// Tasks that the pool takes before one is settled: a submission of more waits for room, see `submit_ms`. 0: any number.
    pub max_waiting: u64,
    /// Hears of the events, which then do not wait for `carom_pool_next_event`.
    pub on_event: carom_pool_callback,
    /// For `on_event`.
    pub ctx: *mut c_void,
    /// Its start method; NULL: the default one. Workers are forked by a template. Under fork that is a copy of this program at the moment in which the pool is made;
    /// under spawn the program begun anew, in `carom_init`; under forkserver a copy of the server.
    pub context: *mut carom_context,
    /// Bytes of arguments, as they lie in shared memory, of tasks that are not settled: a submission beyond them waits as for `max_waiting`. One that is bigger than
    /// that goes alone. 0: any number.
    pub max_waiting_bytes: u64,
    /// Each task has a unit of it until it is settled: a submission waits for one as for `max_waiting`. Units may come from elsewhere too, which the pool notices
    /// within some milliseconds. The pool keeps the semaphore. NULL: none. Like these two, it is not for maps that are waited for.
    pub semaphore: *mut carom_semaphore,
    /// 1: a worker that comes to a task (ACCEPTED) waits with it until `carom_result_accept`; until then it can be cancelled for certain. Not for calls that wait
    /// for their tasks, which accept them.
    pub acknowledge: u32,
    /// 1: a thread of ours in this program moves the pool on and calls all callbacks, with all signals blocked. It ends with the pool: `carom_pool_join` waits for
    /// that, `carom_pool_free` does not. 0: no thread.
    pub service_thread: u32,
    /// 1: the host itself forks the workers, as `CAROM_POOL_WORKER_WANTED` asks for them, see `carom_pool_prepare`: for Python's os.fork, and frameworks with hooks
    /// of their own. Start method fork only, and not with `capture_stderr`.
    pub host_forks: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: integers, pointers and optional functions.
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
    /// Items of many that go to one worker together. `carom_pool_map`: that are one task, which touches nothing else between them; 0: a quarter of each worker's
    /// share. Elsewhere each is a task of its own, with its own result; a worker that has nothing to do takes from the others; 0: 1.
    pub chunk_size: u64,
    /// What the events of these tasks show.
    pub ctx: *mut c_void,
    /// Map: one status per item, `CAROM_OK` for those that succeeded. May be NULL.
    pub statuses: *mut carom_status,
    /// Synchronous calls: the verdict, of the failed item with the lowest index; status `CAROM_OK` if none failed. May be NULL.
    pub verdict: *mut carom_verdict,
    /// 0: the pool's. `CAROM_NONE`: none.
    pub soft_time_limit_ms: i64,
    /// Processor time that the task, or a chunk of a map, may take before its worker is killed. 0: no limit. Measured every 5 ms.
    pub cpu_time_limit_ms: i64,
    /// Bytes of memory that its worker may hold, beyond what it was born with, before it is killed. 0: the pool's. `CAROM_NONE`: no limit. Measured every 5 ms.
    pub memory_limit: i64,
    /// It is not begun later than this after its submission: then its status is `CAROM_ETIMEDOUT`. 0: whenever.
    pub expires_ms: i64,
    /// What waits for a worker is begun in the order of this, the highest first. A pool that has seen one that is not 0 gives each worker one task ahead, no more.
    pub priority: i32,
    /// How often the task, or an item of a map, may be begun; 0 is 1. More than once only if it may be done twice: what a dead worker has done of it, it has done.
    pub max_attempts: u32,
    /// For which ends of its worker it is begun again, `CAROM_RETRY_…` added. 0: `CAROM_RETRY_CRASH`.
    pub retry_on: u32,
    /// How long a submission may wait for room where `max_waiting`, `max_waiting_bytes` or the semaphore leaves none (`CAROM_ETIMEDOUT`). 0: as long as it takes. `CAROM_NONE`: not at all
    /// (`CAROM_EAGAIN`).
    pub submit_ms: i64,
    /// Maps that are not waited for: 1: the first failure settles the result, and what is not begun never is.
    pub fail_fast: u32,
    /// Hears that the task has succeeded, with `ctx`; of many with one result, that all have. What it gets is borrowed until it returns. See `carom_pool_dispatch`
    /// for where this and the next three are called; `ctx` must stay until then.
    pub on_result: carom_result_callback,
    /// Hears that it has not.
    pub on_error: carom_result_callback,
    /// Hears that a worker has begun the task: of those that are one task each.
    pub on_accepted: carom_result_callback,
    /// Hears that the task is past its soft limit, or was ended by its hard one, as its event says: likewise.
    pub on_timeout: carom_pool_callback,
    /// A name of the host's for the task, or for many with one result and each of them: see `carom_result_correlation_id`, `carom_call_correlation_id`. Copied. NULL: none.
    pub correlation_id: *const c_char,
    /// Of submissions with the same key only the first is done: the others get the same result (same job, a handle of its own each), whatever they would have
    /// run. The key is free again once that task has failed, or is settled and all its handles are freed. For `carom_pool_apply`, and for what gives a result at once;
    /// elsewhere `CAROM_EINVAL`. Copied. NULL: none.
    pub idempotency_key: *const c_char,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_task_options {
    const LEAST: usize = 16;
}

fn ns_of(limit_ms: i64) -> Result<u64> {
    match limit_ms {
        ..-1 => Err(Error::invalid("a time limit is CAROM_NONE, 0 or more")),
        -1 => Ok(0),
        limit => Ok((limit as u64).saturating_mul(1_000_000)),
    }
}

fn memory_limit(bytes: i64) -> Result<u64> {
    match bytes {
        -1 => Ok(0),
        bytes => u64::try_from(bytes).map_err(|_| Error::invalid("a memory limit is CAROM_NONE, 0 or more")),
    }
}

#[inline(always)]
pub(super) fn task_options(options: *const carom_task_options) -> Result<(carom_task_options, TaskOptions)> {
    if !options.is_null() {
        return given_options(options);
    }
    // As most tasks are: what follows from no options costs a short one as much as its arguments.
    Ok((options::read(options)?, TaskOptions { retry_on: CAROM_RETRY_CRASH, ..TaskOptions::default() }))
}

#[inline(never)]
fn given_options(options: *const carom_task_options) -> Result<(carom_task_options, TaskOptions)> {
    let options = options::read(options)?;
    // Before anything runs: too late is when there is something to show.
    if !options.verdict.is_null() {
        options::check(options.verdict)?;
    }
    let own = |limit_ms| if limit_ms == 0 { Ok(None) } else { ns_of(limit_ms).map(Some) };
    let (limit_ns, soft_limit_ns) = (own(options.time_limit_ms)?, own(options.soft_time_limit_ms)?);
    let (chunk, context) = (options.chunk_size, options.ctx as usize);
    let retry_on = if options.retry_on == 0 { CAROM_RETRY_CRASH } else { options.retry_on };
    if retry_on & !(CAROM_RETRY_CRASH | CAROM_RETRY_TIME | CAROM_RETRY_MEMORY) != 0 {
        return Err(Error::invalid("there are no such reasons to retry"));
    }
    let (cpu_ns, expires_ns) = (ns_of(options.cpu_time_limit_ms)?, ns_of(options.expires_ms)?);
    let memory = if options.memory_limit == 0 { None } else { Some(memory_limit(options.memory_limit)?) };
    let (attempts, priority) = (options.max_attempts, options.priority);
    let order = TaskOptions { cpu_ns, expires_ns, memory, attempts, retry_on, priority, ..TaskOptions::default() };
    let patience_ns = match options.submit_ms {
        0 => None,
        wait => Some(ns_of(wait)?),
    };
    let (hook, fail_fast) = (hook(&options), flag(options.fail_fast, "fail_fast is 0 or 1")?);
    let correlation = boundary::c_text(options.correlation_id).map(Arc::from);
    let key = boundary::c_text(options.idempotency_key).map(|key| Arc::from(key.to_bytes()));
    let order = TaskOptions { correlation, key, patience_ns, ..order };
    Ok((options, TaskOptions { limit_ns, soft_limit_ns, chunk, context, hook, fail_fast, ..order }))
}

/// The callbacks of a task.
struct Callbacks {
    on_result: carom_result_callback,
    on_error: carom_result_callback,
    on_accepted: carom_result_callback,
    on_timeout: carom_pool_callback,
    ctx: usize,
}

fn hook(options: &carom_task_options) -> Option<Hook> {
    let (on_accepted, on_timeout) = (options.on_accepted, options.on_timeout);
    let (on_result, on_error) = (options.on_result, options.on_error);
    let (accepted, limits) = (on_accepted.is_some(), on_timeout.is_some());
    if !accepted && !limits && on_result.is_none() && on_error.is_none() {
        return None;
    }
    let callbacks = Callbacks { on_result, on_error, on_accepted, on_timeout, ctx: options.ctx.expose_provenance() };
    Some(Hook { hear: Arc::new(move |news, job| callbacks.call(news, job)), accepted, limits })
}

impl Callbacks {
    fn call(&self, news: News, job: &Arc<Job>) {
        let ctx = std::ptr::with_exposed_provenance_mut(self.ctx);
        let kind = match news {
            News::Accepted => return show_result(self.on_accepted, job, ctx),
            News::Done if job.failure().is_some() => return show_result(self.on_error, job, ctx),
            News::Done => return show_result(self.on_result, job, ctx),
            News::SoftLimit => event::SOFT_LIMIT,
            News::HardLimit => event::HARD_LIMIT,
        };
        let limits = job.limits();
        show_event(
            self.on_timeout,
            &Event { pid: job.begun_by(), limits, job: Some(job.clone()), ..Event::of(kind) },
            ctx,
        );
    }
}

fn show_result(callback: carom_result_callback, job: &Arc<Job>, ctx: *mut c_void) {
    // Without memory for a handle there is nothing to show.
    if let (Some(callback), Ok(handle)) = (callback, result::make(job.clone())) {
        callback(handle, ctx);
        result::carom_result_free(handle);
    }
}

fn show_event(callback: carom_pool_callback, event: &Event, ctx: *mut c_void) {
    if let (Some(callback), Ok(shown)) = (callback, pool_event::shown(event)) {
        callback(&shown, ctx);
        result::carom_result_free(shown.result);
    }
}

fn on_event(callback: carom_pool_callback, ctx: *mut c_void) -> Option<OnEvent> {
    let ctx = ctx.expose_provenance();
    let call = move |event: &Event| show_event(callback, event, std::ptr::with_exposed_provenance_mut(ctx));
    callback.is_some().then(|| Box::new(call) as OnEvent)
}

/// A yes or no of an options struct.
fn flag(value: u32, message: &'static str) -> Result<bool> {
    if value <= 1 { Ok(value == 1) } else { Err(Error::invalid(message)) }
}

fn encoded(function: carom_function, arguments: *const carom_argument, count: usize) -> Result<Vec<u8>> {
    if function.is_none() && count > 0 {
        return Err(Error::invalid("arguments without a function"));
    }
    encode(arguments, count)
}

fn workers_of(options: &carom_pool_options) -> Result<Option<u32>> {
    match options.workers {
        0 | CAROM_INLINE => Ok(None),
        -1 => Ok(Some(0)),
        workers => u32::try_from(workers).map(Some).map_err(|_| Error::invalid("a pool cannot have so few workers")),
    }
}

fn max_restarts_of(options: &carom_pool_options) -> Result<Option<u32>> {
    match options.max_restarts {
        0 => Ok(None),
        -1 => Ok(Some(0)),
        most => u32::try_from(most).map(Some).map_err(|_| Error::invalid("workers cannot die so few times")),
    }
}

fn limits_of(options: &carom_pool_options) -> Result<Limits> {
    Ok(Limits {
        hard_ns: ns_of(options.time_limit_ms)?,
        soft_ns: ns_of(options.soft_time_limit_ms)?,
        memory: memory_limit(options.memory_limit)?,
        cpu_ns: 0,
    })
}

fn semaphore_of(semaphore: *mut carom_semaphore) -> Result<Option<Reference>> {
    if semaphore.is_null() {
        return Ok(None);
    }
    object::of(semaphore, Kind::Semaphore)?;
    super::passing::reference(semaphore.cast()).map(Some)
}

/// What no pool can have, and what one whose workers are its callers cannot.
fn check(options: &carom_pool_options) -> Result<()> {
    options::unused(options.reserved)?;
    if options.events & !EVENTS != 0 {
        return Err(Error::invalid("there are no such events"));
    }
    match options.workers == CAROM_INLINE && (options.acknowledge | options.service_thread) != 0 {
        true => Err(Error::invalid("a pool in its caller has no thread, and waits for nobody")),
        false => Ok(()),
    }
}

fn window_of(options: &carom_pool_options) -> Result<u32> {
    options.max_restart_freq_s.try_into().map_err(|_| Error::invalid("max_restart_freq_s is a number of seconds"))
}

/// Shows the engine's options for what C passed to `body`.
pub(super) fn with_pool_options<T>(
    options: *const carom_pool_options,
    body: impl FnOnce(Options<'_>, Option<OnEvent>) -> Result<T>,
) -> Result<T> {
    let options = options::read(options)?;
    check(&options)?;
    let first = encoded(options.initializer, options.initializer_arguments, options.initializer_count)?;
    let last = encoded(options.finalizer, options.finalizer_arguments, options.finalizer_count)?;
    let engine = Options {
        workers: workers_of(&options)?,
        limits: limits_of(&options)?,
        events: options.events,
        capture_stderr: flag(options.capture_stderr, "capture_stderr is 0 or 1")?,
        initializer: HookOf { address: call::address(options.initializer), arguments: &first },
        finalizer: HookOf { address: call::address(options.finalizer), arguments: &last },
        max_tasks: options.max_tasks,
        max_memory: options.max_memory,
        max_waiting: options.max_waiting,
        max_waiting_bytes: options.max_waiting_bytes,
        semaphore: semaphore_of(options.semaphore)?,
        acknowledges: flag(options.acknowledge, "acknowledge is 0 or 1")?,
        serves: flag(options.service_thread, "service_thread is 0 or 1")?,
        max_restarts: max_restarts_of(&options)?,
        restart_window_s: window_of(&options)?,
        capsules: boundary::path(options.capsules),
        inline: options.workers == CAROM_INLINE,
        restartable: flag(options.restartable, "restartable is 0 or 1")?,
        method: context::method_of(options.context)?,
        hosted: flag(options.host_forks, "host_forks is 0 or 1")?,
    };
    body(engine, on_event(options.on_event, options.ctx))
}
