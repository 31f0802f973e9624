//! A task of a manager's pool as a client has it, and how pools and tasks are described to a server.
#![forbid(unsafe_code)]

use super::argument::to_value;
use super::client::{self, Target};
use super::custom::identity_of;
use super::value::{Arguments, Value};
use crate::error::{Error, Result, Status};
use crate::family::{self, Family};
use crate::pool::desk::Stop;
use crate::pool::job::{JobId, Limit, Texts, Verdict};
use crate::pool::work::Limits;
use crate::pool::{HookOf, Options, PoolInfo, TaskOptions, WorkerInfo};
use crate::shm::cell::Cell;
use crate::start::METHODS;
use crate::wire;
use std::ffi::{CStr, CString};
use std::sync::{Arc, OnceLock};

/// Numbers of a message, in order.
struct Numbers<'a>(std::slice::Iter<'a, Value>);

impl Numbers<'_> {
    fn of(values: &[Value]) -> Numbers<'_> {
        Numbers(values.iter())
    }
    fn next(&mut self) -> Result<i64> {
        self.0.next().ok_or_else(strange)?.integer()
    }
    fn unsigned(&mut self) -> Result<u64> {
        self.optional()?.ok_or_else(strange)
    }
    /// -1 for nothing.
    fn optional(&mut self) -> Result<Option<u64>> {
        Ok(u64::try_from(self.next()?).ok())
    }
    fn small(&mut self) -> Result<u32> {
        u32::try_from(self.next()?).map_err(|_| strange())
    }
}

fn strange() -> Error {
    Error::Broken("a description of a pool or task that makes no sense".into())
}

fn number(number: u64) -> Value {
    Value::Integer(number.min(i64::MAX as u64) as i64)
}

fn optional(given: Option<u64>) -> Value {
    given.map_or(Value::Integer(-1), number)
}

fn pack_hook(hook: &HookOf<'_>, manager: (u64, u32)) -> Result<[Value; 2]> {
    let reader = wire::count(hook.arguments).unwrap_or(0);
    let value = |index| to_value(manager, &wire::argument(hook.arguments, index)?);
    Ok([identity_of(hook.address)?, Value::List((0..reader).map(value).collect::<Result<_>>()?)])
}

/// Refuses options that a pool of a manager does not have.
pub fn check_pool(served: bool) -> Result<()> {
    const REFUSED: Error = Error::Unsupported(
        "options of a pool that carom_manager_pool does not serve: events, callbacks, threads, capsules, stderr, semaphore or bounds of waiting tasks",
    );
    if served { Ok(()) } else { Err(REFUSED) }
}

/// A pool as its server is to make it.
pub fn pack_pool(options: &Options<'_>, manager: (u64, u32)) -> Result<Vec<Value>> {
    check_pool(options.events == 0 && options.max_waiting == 0 && options.max_waiting_bytes == 0)?;
    check_pool(!options.capture_stderr && !options.acknowledges && !options.serves && !options.hosted)?;
    check_pool(!options.inline && options.semaphore.is_none() && options.capsules.is_none())?;
    let numbers = vec![
        optional(options.workers.map(u64::from)),
        number(options.limits.hard_ns),
        number(options.limits.soft_ns),
        number(options.limits.memory),
        number(options.max_tasks),
        number(options.max_memory),
        optional(options.max_restarts.map(u64::from)),
        number(options.restart_window_s as u64),
        number(options.method.map_or(0, |method| method as u64)),
        number(options.restartable as u64),
    ];
    let ([first, first_arguments], [last, last_arguments]) =
        (pack_hook(&options.initializer, manager)?, pack_hook(&options.finalizer, manager)?);
    Ok(vec![Value::List(numbers), first, first_arguments, last, last_arguments])
}

/// The same at the server, without hooks.
pub(super) fn unpack_pool(values: &[Value]) -> Result<Options<'static>> {
    let mut numbers = Numbers::of(values);
    let small = |number: Option<u64>| number.map(u32::try_from).transpose().map_err(|_| strange());
    Ok(Options {
        workers: small(numbers.optional()?)?,
        limits: Limits {
            hard_ns: numbers.unsigned()?,
            soft_ns: numbers.unsigned()?,
            memory: numbers.unsigned()?,
            cpu_ns: 0,
        },
        max_tasks: numbers.unsigned()?,
        max_memory: numbers.unsigned()?,
        max_restarts: small(numbers.optional()?)?,
        restart_window_s: numbers.small()?,
        method: match numbers.small()? {
            0 => None,
            wanted => METHODS.into_iter().find(|method| *method as u32 == wanted),
        },
        restartable: numbers.next()? != 0,
        ..Options::default()
    })
}

/// A task as its server is to run it.
pub fn pack_task(options: &TaskOptions) -> Result<Value> {
    if options.hook.is_some() || options.key.is_some() || options.patience_ns.is_some() {
        return Err(Error::Unsupported("a task of a manager's pool has no callbacks, idempotency_key and submit_ms"));
    }
    let correlation = options.correlation.as_ref().map_or(Value::Nil, |name| Value::Bytes(name.to_bytes().to_vec()));
    Ok(Value::List(vec![
        optional(options.limit_ns),
        optional(options.soft_limit_ns),
        number(options.chunk),
        number(options.cpu_ns),
        optional(options.memory),
        number(options.attempts as u64),
        number(options.retry_on as u64),
        number(options.expires_ns),
        Value::Integer(options.priority as i64),
        Value::Integer(options.fail_fast as i64),
        correlation,
    ]))
}

/// The same at the server.
pub(super) fn unpack_task(values: &[Value], context: usize, awaited: bool) -> Result<TaskOptions> {
    let mut numbers = Numbers::of(values);
    let correlation = match values.last() {
        Some(Value::Bytes(name)) => Some(CString::new(&name[..]).map_err(|_| strange())?.into_boxed_c_str().into()),
        _ => None,
    };
    Ok(TaskOptions {
        correlation,
        limit_ns: numbers.optional()?,
        soft_limit_ns: numbers.optional()?,
        chunk: numbers.unsigned()?,
        cpu_ns: numbers.unsigned()?,
        memory: numbers.optional()?,
        attempts: numbers.small()?,
        retry_on: numbers.small()?,
        expires_ns: numbers.unsigned()?,
        priority: numbers.next()? as i32,
        fail_fast: numbers.next()? != 0,
        context,
        awaited,
        ..TaskOptions::default()
    })
}

/// How a task is to be stopped: `grace signal`.
pub(super) fn unpack_stop(given: &mut Arguments) -> Result<Stop> {
    Ok(Stop { grace_ns: u64::try_from(given.integer()?).ok(), signal: given.integer()? as i32 })
}

/// What a worker is at, for a client of its pool.
pub(super) fn pack_worker(info: &WorkerInfo) -> Value {
    let small =
        [info.pid as u64, info.busy as u64, info.age_ns, info.tasks, info.rss_bytes, info.item, info.elapsed_ns];
    let names = [info.job.high, info.job.low].map(|part| Value::Integer(part as i64));
    Value::List(small.into_iter().map(number).chain(names).collect())
}

/// The same as the client reads it.
pub fn unpack_worker(value: &Value) -> Result<WorkerInfo> {
    let Value::List(numbers) = value else { return Err(strange()) };
    let mut numbers = Numbers::of(numbers);
    Ok(WorkerInfo {
        pid: numbers.small()?,
        busy: numbers.next()? != 0,
        age_ns: numbers.unsigned()?,
        tasks: numbers.unsigned()?,
        rss_bytes: numbers.unsigned()?,
        item: numbers.unsigned()?,
        elapsed_ns: numbers.unsigned()?,
        job: JobId { high: numbers.next()? as u64, low: numbers.next()? as u64 },
    })
}

/// A pool's figures, for its client.
pub(super) fn pack_info(info: &PoolInfo) -> Value {
    let small = [info.workers, info.busy, info.deaths, info.closed as u32, info.broken as u32].map(u64::from);
    let large = [info.waiting, info.submitted, info.settled, info.failed];
    Value::List(small.into_iter().chain(large).map(number).collect())
}

/// The same as the client reads it.
pub fn unpack_info(value: &Value) -> Result<PoolInfo> {
    let Value::List(numbers) = value else { return Err(strange()) };
    let mut numbers = Numbers::of(numbers);
    Ok(PoolInfo {
        workers: numbers.small()?,
        busy: numbers.small()?,
        deaths: numbers.small()?,
        closed: numbers.next()? != 0,
        broken: numbers.next()? != 0,
        waiting: numbers.unsigned()?,
        submitted: numbers.unsigned()?,
        settled: numbers.unsigned()?,
        failed: numbers.unsigned()?,
    })
}

const LIMITS: [Limit; 5] = [Limit::None, Limit::Time, Limit::Cpu, Limit::FileSize, Limit::Memory];

/// What became of a task, for its client. What the worker left behind stays with the server: to read it takes files, and time.
pub(super) fn pack_verdict(verdict: &Verdict, job: JobId) -> Value {
    let limit = LIMITS.iter().position(|limit| *limit == verdict.limit).unwrap_or(0);
    let (signal_code, address) = verdict.fault();
    let numbers = [
        verdict.status.as_ref().err().map_or(0, Error::status) as i64,
        verdict.code as i64,
        verdict.signal as i64,
        verdict.exit_code as i64,
        verdict.pid as i64,
        verdict.item as i64,
        verdict.queued_ns as i64,
        verdict.elapsed_ns as i64,
        verdict.cpu_ns as i64,
        limit as i64,
        verdict.attempt as i64,
        verdict.max_rss_bytes as i64,
        job.high as i64,
        job.low as i64,
        signal_code as i64,
        address as i64,
    ];
    let mut values = vec![Value::text(&verdict.message)];
    values.extend(numbers.map(Value::Integer));
    Value::List(values)
}

/// What is known of a settled task.
pub struct Seen {
    /// Its verdict.
    pub verdict: Verdict,
    /// What the verdict says in words.
    pub texts: Texts,
    /// Its name.
    pub job: JobId,
    /// si_code of the signal that ended the worker, and the address of the fault.
    pub fault: (i32, u64),
    /// Its reply; of many, one behind the other.
    pub reply: Vec<u8>,
    /// Of a map that is waited for: how each item went.
    pub statuses: Vec<Status>,
}

impl Seen {
    fn of(value: &Value) -> Result<Seen> {
        let Value::List(parts) = value else { return Err(strange()) };
        let [Value::List(verdict), Value::Bytes(reply), Value::List(statuses)] = &parts[..] else {
            return Err(strange());
        };
        let Some((Value::String(message), numbers)) = verdict.split_first() else { return Err(strange()) };
        let message = String::from_utf8_lossy(message).into_owned();
        let mut numbers = Numbers::of(numbers);
        let status = match numbers.next()? as Status {
            0 => Ok(()),
            status => Err(Error::of_server(status, message.clone(), 0)),
        };
        let mut verdict = Verdict::of(status, 0);
        (verdict.code, verdict.signal) = (numbers.next()? as i32, numbers.next()? as i32);
        (verdict.exit_code, verdict.pid) = (numbers.next()? as i32, numbers.next()? as u32);
        (verdict.item, verdict.queued_ns) = (numbers.next()? as u64, numbers.next()? as u64);
        (verdict.elapsed_ns, verdict.cpu_ns) = (numbers.next()? as u64, numbers.next()? as u64);
        verdict.limit = *LIMITS.get(numbers.unsigned()? as usize).ok_or_else(strange)?;
        (verdict.attempt, verdict.max_rss_bytes) = (numbers.small()?, numbers.next()? as u64);
        let job = JobId { high: numbers.next()? as u64, low: numbers.next()? as u64 };
        let fault = (numbers.next()? as i32, numbers.next()? as u64);
        let status = |status: &Value| Ok(status.integer()? as Status);
        let texts = Texts { message: CString::new(message.replace('\0', "?")).unwrap_or_default(), ..Texts::default() };
        let statuses = statuses.iter().map(status).collect::<Result<_>>()?;
        Ok(Seen { verdict, texts, job, fault, reply: reply.clone(), statuses })
    }
}

/// A task, as the process has it that submitted it.
pub struct Remote {
    family: Family,
    /// The cell that stands for it; none for one whose fate was told, and that the server does not know any more.
    cell: Option<(&'static Cell, u32)>,
    /// What its options call it.
    pub correlation: Option<Arc<CStr>>,
    seen: OnceLock<Seen>,
}

impl Remote {
    /// The task that a cell of this process's stands for.
    pub fn new(cell: (&'static Cell, u32), correlation: Option<Arc<CStr>>) -> Result<Remote> {
        Ok(Remote { family: family::current()?, cell: Some(cell), correlation, seen: OnceLock::new() })
    }

    /// One that is settled, as the server has described it.
    pub(super) fn settled(outcome: &Value, correlation: Option<Arc<CStr>>) -> Result<Remote> {
        let seen = OnceLock::from(Seen::of(outcome)?);
        Ok(Remote { family: family::current()?, cell: None, correlation, seen })
    }

    fn target(&self) -> Result<Target> {
        let (cell, generation) = self.cell.ok_or_else(strange)?;
        Target::of(cell, generation)
    }

    fn ask(&self, method: &str, arguments: Vec<Value>, timeout_ms: i64) -> Result<Value> {
        self.target()?.ask(method, arguments, timeout_ms)
    }

    /// Waits until it is settled.
    pub fn wait(&self, timeout_ms: i64) -> Result<&Seen> {
        if let Some(seen) = self.seen.get() {
            return Ok(seen);
        }
        let seen = Seen::of(&self.ask("wait", Vec::new(), timeout_ms)?)?;
        Ok(self.seen.get_or_init(|| seen))
    }

    /// Waits; out of time, what is not begun of it never is.
    pub fn await_or_abandon(&self, timeout_ms: i64) -> Result<&Seen> {
        self.wait(timeout_ms).inspect_err(|_| _ = self.ask("abandon", Vec::new(), 0))
    }

    /// What is known, if it is settled.
    pub fn look(&self) -> Result<Option<&Seen>> {
        match self.wait(0) {
            Err(error) if error.status() == Error::TimedOut.status() => Ok(None),
            seen => seen.map(Some),
        }
    }

    /// The worker that has begun it, 0 for none.
    pub fn pid(&self) -> Result<i64> {
        match self.seen.get() {
            Some(seen) => Ok(seen.verdict.pid as i64),
            None => self.ask("pid", Vec::new(), 0)?.integer(),
        }
    }

    /// Of how many tasks it is the result.
    pub fn count(&self) -> Result<i64> {
        match self.cell {
            Some(_) => self.ask("count", Vec::new(), 0)?.integer(),
            None => Ok(1),
        }
    }

    /// The result of one of them.
    pub fn item(&self, index: usize) -> Result<Remote> {
        if self.cell.is_none() {
            return Err(Error::NotFound("the result has not so many items"));
        }
        let index = Value::Integer(index.min(i64::MAX as usize) as i64);
        self.target()?.call("item", vec![index], None, 0, |value, adopt| match value {
            Value::Proxy(proxy) => Remote::new(adopt(*proxy)?, self.correlation.clone()),
            _ => Err(strange()),
        })
    }

    /// It is not wanted any more; `grace_ns` `None`: whoever is at it is not killed.
    pub fn stop(&self, grace_ns: Option<u64>, signal: i32) -> Result<()> {
        self.unless_seen("stop", vec![optional(grace_ns), Value::Integer(signal as i64)])
    }

    /// It is settled now.
    pub fn discard(&self) -> Result<()> {
        self.unless_seen("discard", Vec::new())
    }

    fn unless_seen(&self, method: &str, arguments: Vec<Value>) -> Result<()> {
        match self.seen.get() {
            Some(_) => Ok(()),
            None => self.ask(method, arguments, 0).map(|_| ()),
        }
    }
}

/// Waits until one of them is settled; the index of the first that is.
pub fn wait_any(tasks: &[&Remote], timeout_ms: i64) -> Result<usize> {
    if let Some(index) = tasks.iter().position(|task| task.seen.get().is_some()) {
        return Ok(index);
    }
    let targets = tasks.iter().map(|task| task.target()).collect::<Result<Vec<_>>>()?;
    let first = targets.first().ok_or(Error::invalid("no results to wait for"))?;
    if !targets.iter().all(|target| target.is_with(first)) {
        return Err(Error::Unsupported("carom_result_wait_any waits for the results of one manager only"));
    }
    let arguments = targets.iter().map(|target| Value::Proxy(target.proxy)).collect();
    usize::try_from(first.ask("wait_any", arguments, timeout_ms)?.integer()?).map_err(|_| strange())
}

impl Drop for Remote {
    fn drop(&mut self) {
        let Some((cell, generation)) = self.cell else { return };
        let family = self.family;
        client::let_go(family, cell, generation, || cell.let_go(family.arena, generation, family.me.slot));
    }
}
