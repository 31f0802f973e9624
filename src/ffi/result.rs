//! Results: what became of a task, while it is under way and after.

use super::boundary;
use super::handle::{self, Kind, Object, Use};
use super::library::carom_status;
use super::managed_pool;
use super::options::{self, Sized_};
use super::task::carom_job_id;
use super::verdict;
use crate::error::{Error, Result};
use crate::family;
use crate::pool::job::{Job, JobId, Limit, Texts, Verdict};
use crate::shm::region;
use crate::sys::clock::deadline_after_ms;
use crate::sys::descriptor;
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

/// The task's time limit.
pub const CAROM_LIMIT_TIME: u32 = 1;
/// Processor time: the task's limit, or that of the system (RLIMIT_CPU), and then the worker died of SIGXCPU.
pub const CAROM_LIMIT_CPU: u32 = 2;
/// The size of a file, likewise (RLIMIT_FSIZE): SIGXFSZ.
pub const CAROM_LIMIT_FILE_SIZE: u32 = 3;
/// The memory limit of the task or the pool.
pub const CAROM_LIMIT_MEMORY: u32 = 4;

/// What becomes of one task. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_result {
    _opaque: [u8; 0],
}

/// Hears of a result, on a thread of the host that is in one of the calls that `carom_pool_dispatch` names. It may call everything; it must not unwind.
#[allow(non_camel_case_types)]
pub type carom_result_callback = Option<extern "C" fn(result: *mut carom_result, ctx: *mut c_void)>;

/// What became of a task, with the evidence.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_verdict {
    /// sizeof(carom_verdict), set by the caller.
    pub size: usize,
    /// `CAROM_OK`, `CAROM_ETASKFAILED`, `CAROM_EWORKERLOST`, `CAROM_ETIMELIMIT`, `CAROM_EMEMORYLIMIT`, `CAROM_ECANCELED`, `CAROM_ETIMEDOUT` (`expires_ms`),
    /// `CAROM_EBROKEN` (the pool was), `CAROM_EMSGSIZE` (a reply that is missing or of the wrong size).
    pub status: carom_status,
    /// What the function returned, 0 if it never did.
    pub code: i32,
    /// The signal that ended the worker, 0 for none.
    pub signal: i32,
    /// `si_code` of that signal, as the handler of sigaction sees it; 0 if it is not one of those of a crash (`SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGABRT`,
    /// `SIGTRAP`, `SIGSYS`), or nobody could write it down: the task had a handler of its own, or blocked the signal.
    pub signal_code: i32,
    /// With what the worker left, if it left over the task (it called `exit`); -1 if nobody can tell how it ended.
    pub exitcode: i32,
    /// The worker, 0 if the task was never begun.
    pub pid: i32,
    /// 1: the first attempt.
    pub attempt: u32,
    /// Which limit the task hit, one of `CAROM_LIMIT_…`; 0 for none.
    pub limit: u32,
    /// Name of the job.
    pub job: carom_job_id,
    /// Index of the item, 0 for a task of its own.
    pub item: u64,
    /// Where the fault was (`si_addr`), if `signal_code` is above 0: somebody's `kill` has none.
    pub fault_address: u64,
    /// From the submission to the begin.
    pub queued_ns: i64,
    /// From the begin to the end; of an item of a map, from the begin of its chunk.
    pub elapsed_ns: i64,
    /// Processor time of the worker from the begin to the end, all threads together, to about 50 us; also of a task that was killed. Like `elapsed_ns`, of a
    /// map's item since the begin of its chunk. 0 if nobody knows.
    pub cpu_ns: i64,
    /// Peak resident memory of the worker while it was at the task, if it died over it: with what it inherited, and what earlier tasks left in it, but without
    /// what they had for a while, to 1 MiB for each. Of a map's item since the begin of its chunk. Of the worker's whole life where /proc/self/clear_refs cannot
    /// be written. 0 if nobody knows.
    pub max_rss_bytes: u64,
    /// What the function said when it failed, or how the worker ended; "" on success. Never NULL; valid until the result is freed, or, from a
    /// synchronous call, until the next one of this thread.
    pub message: *const c_char,
    /// Where the worker crashed, one line for each call: `#0 png_read_row+0x1a4 (libpng16.so.16) at /src/pngread.c:523`, function, module, and file and line where
    /// there is debug information (in the module, or in /usr/lib/debug); `#1 0x7f3a01c2 (libx.so+0x1c2)` where the function has no name, `, inlined` at the end of those
    /// that have no frame of their own. Names of C++ and Rust are as in the source. Made when the verdict is asked for, from files of the same build only. "" if it did not crash, or nobody could write it down. Never NULL; valid as long as `message`.
    pub backtrace: *const c_char,
    /// The last that the task wrote to stderr, up to 4096 bytes, from the beginning of a line on, if its worker died over it and the pool's options ask for
    /// it (`capture_stderr`); of a map's item: its chunk. Else "". Never NULL; valid as long as `message`.
    pub stderr_tail: *const c_char,
    /// The capsule of the task, if its worker died over it and the pool's options name a directory (`capsules`): `carom-replay FILE` runs it once more. Else "".
    /// Never NULL; valid as long as `message`.
    pub capsule: *const c_char,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_verdict {
    const LEAST: usize = 16;
}

impl Object for Job {
    const KIND: Kind = Kind::Result;
    const SHARED: bool = true;
}

pub(super) fn make(job: Arc<Job>) -> Result<*mut carom_result> {
    let me = family::current()?.me;
    handle::of_shared(job, me)
}

/// The job behind a handle, for the function `call`, as `pool_of`.
pub(super) fn result_of(result: *mut carom_result, call: &'static str) -> Result<Use<Job>> {
    family::current()?;
    handle::object(result).map_err(|error| managed_pool::or_refuse(result, Kind::ManagedResult, error, call))
}

fn limit_of(limit: Limit) -> u32 {
    match limit {
        Limit::None => 0,
        Limit::Time => CAROM_LIMIT_TIME,
        Limit::Cpu => CAROM_LIMIT_CPU,
        Limit::FileSize => CAROM_LIMIT_FILE_SIZE,
        Limit::Memory => CAROM_LIMIT_MEMORY,
    }
}

/// The verdict as C sees it; `texts`, if it has any, outlive it.
pub(super) fn shown(verdict: &Verdict, job: JobId, texts: Option<&Texts>) -> carom_verdict {
    let text = |of: fn(&Texts) -> &CString| texts.map_or(c"", |texts| of(texts)).as_ptr();
    carom_verdict {
        size: 0,
        status: verdict.status.as_ref().err().map_or(0, Error::status),
        code: verdict.code,
        signal: verdict.signal,
        signal_code: verdict.fault().0,
        exitcode: verdict.exit_code,
        pid: verdict.pid as i32,
        attempt: verdict.attempt,
        limit: limit_of(verdict.limit),
        job: carom_job_id { high: job.high, low: job.low },
        item: verdict.item,
        fault_address: verdict.fault().1,
        queued_ns: verdict.queued_ns as i64,
        elapsed_ns: verdict.elapsed_ns as i64,
        cpu_ns: verdict.cpu_ns as i64,
        max_rss_bytes: verdict.max_rss_bytes,
        message: text(|texts| &texts.message),
        backtrace: text(|texts| &texts.backtrace),
        stderr_tail: text(|texts| &texts.stderr_tail),
        capsule: text(|texts| &texts.capsule),
    }
}

thread_local! {
    /// Of the last verdict that a synchronous call of this thread showed.
    static SHOWN: RefCell<Texts> = RefCell::default();
}

/// Shows the verdict of a synchronous call, if the caller wants it.
pub(super) fn show(out: *mut carom_verdict, verdict: &Verdict, job: JobId) -> Result<()> {
    if out.is_null() {
        return Ok(());
    }
    show_with(out, verdict.texts(), |texts| shown(verdict, job, Some(texts)))
}

/// The same with words that are known already.
pub(super) fn show_with(
    out: *mut carom_verdict,
    texts: Texts,
    make: impl FnOnce(&Texts) -> carom_verdict,
) -> Result<()> {
    SHOWN.with_borrow_mut(|last| {
        *last = texts;
        options::write(out, make(last))
    })
}

/// Waits up to `timeout_ms` until the task is settled, well or badly. Moves the pool on from this thread.
///
/// `CAROM_ETIMEDOUT`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_wait(result: *mut carom_result, timeout_ms: i64) -> carom_status {
    boundary::status(|| match result_of(result, "carom_result_wait") {
        Err(Error::NotServed(_)) => managed_pool::wait(result, timeout_ms),
        result => result?.wait(deadline_after_ms(timeout_ms)),
    })
}

/// 1 once the task is settled, 0 before. Moves the pool on.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_ready(result: *mut carom_result) -> i32 {
    boundary::answer(|| match result_of(result, "carom_result_ready") {
        Err(Error::NotServed(_)) => managed_pool::ready(result),
        result => Ok(result?.is_settled_now() as i32),
    })
}

/// 1 if the task succeeded, 0 if it did not.
///
/// Never blocks. `CAROM_EAGAIN` before it is settled.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_successful(result: *mut carom_result) -> i32 {
    boundary::answer(|| {
        let result = match result_of(result, "carom_result_successful") {
            Err(Error::NotServed(_)) => return managed_pool::successful(result),
            result => result?,
        };
        result.is_settled_now();
        result.settled()?;
        Ok(result.failure().is_none() as i32)
    })
}

/// Waits up to `timeout_ms`, then copies the reply to `data`; `*len` is its length (`len` may be NULL). Of many tasks with one result: their replies, one behind
/// the other.
///
/// The status of the task's verdict if it did not succeed; `CAROM_ETIMEDOUT`; `CAROM_EMSGSIZE` if `capacity` is too small: `*len` is what it takes, and the
/// reply stays. In a forked process, which may read what it inherited, `CAROM_EPERM` for a reply of 32 KiB or more: the memory stays its pool's.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_get(
    result: *mut carom_result,
    data: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i64,
) -> carom_status {
    boundary::status(|| {
        let result = match result_of(result, "carom_result_get") {
            Err(Error::NotServed(_)) => return managed_pool::get(result, (data, capacity, len), timeout_ms),
            result => result?,
        };
        boundary::bytes_mut(data, capacity)?;
        result.wait(deadline_after_ms(timeout_ms))?;
        copy_reply(&result, data, capacity, len)
    })
}

/// The reply of a settled job into the caller's buffer, or why there is none.
pub(super) fn copy_reply(job: &Job, data: *mut c_void, capacity: usize, len: *mut usize) -> Result<()> {
    job.readable()?;
    if let Some(Err(error)) = job.failure().map(|failure| &failure.status) {
        return Err(error.clone());
    }
    if let Some(parts) = job.parts() {
        return copy_replies(parts.jobs(), data, capacity, len);
    }
    job.with_reply(|reply| {
        boundary::write_optional(len, reply.len());
        if reply.len() > capacity {
            return Err(Error::MessageSize { needed: reply.len(), capacity });
        }
        region::copy(reply, boundary::bytes_mut(data, reply.len())?);
        Ok(())
    })
}

fn copy_replies(jobs: &[Arc<Job>], data: *mut c_void, capacity: usize, len: *mut usize) -> Result<()> {
    jobs.iter().try_for_each(|job| job.readable())?;
    let needed = jobs.iter().map(|job| job.with_reply(<[u8]>::len)).sum();
    boundary::write_optional(len, needed);
    if needed > capacity {
        return Err(Error::MessageSize { needed, capacity });
    }
    let mut rest = boundary::bytes_mut(data, needed)?;
    for job in jobs {
        job.with_reply(|reply| {
            let (place, behind) = std::mem::take(&mut rest).split_at_mut(reply.len());
            region::copy(reply, place);
            rest = behind;
        });
    }
    Ok(())
}

/// What became of the task. Set `verdict->size` first.
///
/// Never blocks. `CAROM_EAGAIN` before it is settled.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_verdict(result: *mut carom_result, verdict: *mut carom_verdict) -> carom_status {
    boundary::status(|| {
        let result = match result_of(result, "carom_result_verdict") {
            Err(Error::NotServed(_)) => return managed_pool::verdict(result, verdict),
            result => result?,
        };
        result.is_settled_now();
        result.settled()?;
        options::write(verdict, shown(&result.verdict(), result.id, result.texts()))
    })
}

/// Writes a verdict to `fd` as a person reads it: a few lines, of which all but the first are indented. Only what it has: backtrace and memory are those of
/// a worker that died.
///
/// May block as `write` does, and leaves SIGPIPE to the host. `CAROM_EINVAL`; the errno of `write`: a part may have been written.
#[unsafe(no_mangle)]
pub extern "C" fn carom_verdict_print(verdict: *const carom_verdict, fd: i32) -> carom_status {
    boundary::status(|| descriptor::write_all(fd, verdict::block(verdict)?.as_bytes()))
}

/// Ends this handle. Before the task is settled: it is forgotten, and runs on. NULL is nothing.
///
/// Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_result_free(result: *mut carom_result) {
    if managed_pool::free_result(result) {
        return;
    }
    handle::free_object::<Job, _>(result, family::current().ok().map(|family| family.me));
}
