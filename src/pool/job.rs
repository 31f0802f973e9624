//! A job: one task as the host knows it, and what became of it.
#![forbid(unsafe_code)]

use super::Pool;
use super::backtrace::Crash;
use super::desk::{Desk, Goal, Stop};
use super::evidence::Evidence;
use super::extras::{Extras, Parts};
use super::held::Held;
use super::work::Limits;
use crate::error::{Error, Result};
use crate::shm::memory::Deadline;
use crate::shm::plan::Slot;
use crate::shm::region;
use crate::sys::clock::now_ns;
use std::ffi::{CStr, CString};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock, Weak};

/// Names a job for ever: printable, and unique beyond this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobId {
    /// Of the pool.
    pub high: u64,
    /// Of the job in it.
    pub low: u64,
}

/// Which limit ended a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// None.
    None,
    /// The time limit of its options.
    Time,
    /// Processor time of the process, which the system limits (RLIMIT_CPU).
    Cpu,
    /// The size of a file, likewise (RLIMIT_FSIZE).
    FileSize,
    /// Its memory limit.
    Memory,
}

/// What became of a job.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// How it went.
    pub status: std::result::Result<(), Error>,
    /// What the function returned, 0 if it never did.
    pub code: i32,
    /// The signal that ended the worker, 0 for none.
    pub signal: i32,
    /// The code with which the worker left, where it did; -1 where nobody can tell.
    pub exit_code: i32,
    /// The worker.
    pub pid: u32,
    /// Which item it was.
    pub item: u64,
    /// From submission to its begin.
    pub queued_ns: u64,
    /// From its begin to its end.
    pub elapsed_ns: u64,
    /// Processor time of it.
    pub cpu_ns: u64,
    /// What it hit.
    pub limit: Limit,
    /// Which attempt it was, beginning with 1.
    pub attempt: u32,
    /// Peak memory of a worker that died.
    pub max_rss_bytes: u64,
    /// What the function said when it failed, or why the worker died.
    pub message: String,
    /// What a worker left behind that crashed.
    pub(super) evidence: Option<Arc<Evidence>>,
}

impl Verdict {
    /// Nothing happened, for this reason.
    pub fn of(status: std::result::Result<(), Error>, item: u64) -> Verdict {
        let message = status.as_ref().err().map(|error| error.to_string()).unwrap_or_default();
        Verdict {
            status,
            code: 0,
            signal: 0,
            exit_code: 0,
            pid: 0,
            item,
            queued_ns: 0,
            elapsed_ns: 0,
            cpu_ns: 0,
            limit: Limit::None,
            attempt: 1,
            max_rss_bytes: 0,
            message,
            evidence: None,
        }
    }

    fn crash(&self) -> Option<&Crash> {
        self.evidence.as_ref()?.crash.as_ref()
    }

    /// si_code of the signal that ended the worker, and the address of the fault, where there is one.
    pub fn fault(&self) -> (i32, u64) {
        self.crash().map_or((0, 0), |crash| (crash.code, crash.address))
    }

    /// As C reads it. Reads files.
    pub fn texts(&self) -> Texts {
        let stderr = self.evidence.as_ref().map(|evidence| evidence.stderr.as_slice()).unwrap_or_default();
        Texts {
            message: c_text(self.message.as_bytes()),
            backtrace: c_text(self.crash().map(Crash::backtrace).unwrap_or_default().as_bytes()),
            stderr_tail: c_text(stderr),
            capsule: self.evidence.as_ref().map(|evidence| evidence.capsule.clone()).unwrap_or_default(),
        }
    }
}

/// What a verdict says in words, as C reads it.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// See [`Verdict::message`].
    pub message: CString,
    /// Where the worker was when it crashed.
    pub backtrace: CString,
    /// What it wrote to stderr last.
    pub stderr_tail: CString,
    /// The path of its capsule.
    pub capsule: CString,
}

fn c_text(bytes: &[u8]) -> CString {
    CString::new(bytes.iter().map(|byte| if *byte == 0 { b'?' } else { *byte }).collect::<Vec<_>>()).unwrap_or_default()
}

/// What the words of a settled job have no room for.
enum More {
    /// Its reply.
    Reply(Box<[u8]>),
    /// Its reply, a large one.
    Held(Held),
    /// Why it did not succeed.
    Failure(Box<Failure>),
}

struct Failure {
    verdict: Verdict,
    /// Once somebody has asked.
    texts: OnceLock<Texts>,
}

/// Words of a reply that needs no memory of its own.
const SHORT: usize = 3;

const OPEN: u32 = 0;
const SETTLED: u32 = 1;

/// One task. That it succeeded stands in plain words: most do.
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// Index among its like.
    pub item: u64,
    /// What the host wants to find at its events.
    pub context: usize,
    /// When it was submitted.
    pub submitted_ns: u64,
    /// The pool that it was given to; gone once that is freed, and then the job is settled.
    pool: Weak<Pool>,
    /// Written last.
    state: AtomicU32,
    pid: AtomicU32,
    attempt: AtomicU32,
    queued_ns: AtomicU64,
    elapsed_ns: AtomicU64,
    cpu_ns: AtomicU64,
    reply_len: AtomicU64,
    reply: [AtomicU64; SHORT],
    more: OnceLock<More>,
    extras: Option<Box<Extras>>,
}

impl Job {
    /// A job that nobody has begun.
    pub fn new(pool: &Arc<Pool>, item: u64, context: usize) -> Job {
        Job::with_extras(pool, item, context, None)
    }

    /// The same with what few have.
    pub fn with_extras(pool: &Arc<Pool>, item: u64, context: usize, extras: Option<Box<Extras>>) -> Job {
        Job {
            extras,
            id: pool.next_id(),
            item,
            context,
            submitted_ns: now_ns(),
            pool: Arc::downgrade(pool),
            state: AtomicU32::new(OPEN),
            pid: AtomicU32::new(0),
            attempt: AtomicU32::new(1),
            queued_ns: AtomicU64::new(0),
            elapsed_ns: AtomicU64::new(0),
            cpu_ns: AtomicU64::new(0),
            reply_len: AtomicU64::new(0),
            reply: [const { AtomicU64::new(0) }; SHORT],
            more: OnceLock::new(),
        }
    }

    /// Which attempt this is; before it is settled.
    pub(super) fn note_attempt(&self, attempt: u32) {
        if attempt != 1 {
            self.attempt.store(attempt, Relaxed);
        }
    }

    /// Whether its outcome is known.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.state.load(Acquire) == SETTLED
    }

    /// That its outcome is known, or that there is no answer yet.
    #[inline]
    pub fn settled(&self) -> Result<()> {
        if self.is_settled() { Ok(()) } else { Err(Error::Again("the result is not ready")) }
    }

    /// The same, and that its reply can be read here.
    #[inline]
    pub fn readable(&self) -> Result<()> {
        self.settled()?;
        match self.more.get() {
            Some(More::Held(held)) => held.own(),
            _ => Ok(()),
        }
    }

    /// Why it did not succeed; `None` if it did, and before it is settled.
    #[inline]
    pub fn failure(&self) -> Option<&Verdict> {
        match self.more.get() {
            Some(More::Failure(failure)) => Some(&failure.verdict),
            _ => None,
        }
    }

    /// What became of it, once it is settled.
    pub fn verdict(&self) -> Verdict {
        let words = || {
            let mut verdict = Verdict::of(Ok(()), self.item);
            verdict.pid = self.pid();
            verdict.attempt = self.attempt.load(Relaxed);
            (verdict.queued_ns, verdict.elapsed_ns) = (self.queued_ns.load(Relaxed), self.elapsed_ns.load(Relaxed));
            verdict.cpu_ns = self.cpu_ns.load(Relaxed);
            verdict
        };
        self.failure().cloned().unwrap_or_else(words)
    }

    /// What the verdict says in words; `None` if the job succeeded.
    pub fn texts(&self) -> Option<&Texts> {
        match self.more.get() {
            Some(More::Failure(failure)) => Some(failure.texts.get_or_init(|| failure.verdict.texts())),
            _ => None,
        }
    }

    /// The worker.
    pub fn pid(&self) -> u32 {
        self.pid.load(Relaxed)
    }

    /// Shows the reply of a job that succeeded.
    #[inline]
    pub fn with_reply<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        if let Some(More::Reply(reply)) = self.more.get() {
            return look(reply);
        }
        if let Some(More::Held(held)) = self.more.get() {
            return look(held.bytes());
        }
        let mut bytes = [0; 8 * SHORT];
        for (place, word) in bytes.chunks_exact_mut(8).zip(&self.reply) {
            place.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        look(&bytes[..(self.reply_len.load(Relaxed) as usize).min(bytes.len())])
    }

    /// Waits until it is settled.
    #[inline]
    pub fn wait(&self, deadline: Deadline) -> Result<()> {
        if self.is_settled() && self.extras.is_none() {
            return Ok(());
        }
        let Some(pool) = self.pool.upgrade() else { return self.settled() };
        let goal = if self.parts().is_some_and(|parts| parts.fail_fast) { Goal::Any } else { Goal::Job(self) };
        let hears = self.extras().is_some_and(|extras| extras.hook.is_some()) && !pool.has_service_elsewhere();
        loop {
            let is_due = |desk: &mut Desk| self.is_settled() || hears && desk.is_due(self);
            pool.wait(deadline, goal, |desk| is_due(desk).then_some(()))?;
            if hears {
                pool.run_due(0, Some(self));
            }
            if self.is_settled() {
                return Ok(());
            }
        }
    }

    /// It was ended by its time limit.
    pub fn is_out_of_time(&self) -> bool {
        self.failure().is_some_and(|verdict| verdict.limit == Limit::Time)
    }

    /// What few have.
    pub fn extras(&self) -> Option<&Extras> {
        self.extras.as_deref()
    }

    /// What it may take, if it has a hook.
    pub fn limits(&self) -> Limits {
        self.extras().map_or(Limits::default(), |extras| extras.limits)
    }

    /// What the host calls it; empty for nothing.
    pub fn correlation(&self) -> &CStr {
        self.extras().and_then(|extras| extras.correlation.as_deref()).unwrap_or_default()
    }

    /// What it consists of.
    pub fn parts(&self) -> Option<&Parts> {
        self.extras().and_then(|extras| extras.parts.as_ref())
    }

    /// The whole is settled as its parts are: by the failed one that comes first. Only the first outcome counts.
    pub(super) fn settle_whole(&self) {
        if self.is_settled() {
            return;
        }
        let failed = self.parts().and_then(|parts| parts.jobs().iter().find_map(|job| job.failure()));
        match failed {
            Some(verdict) => self.fail(verdict.clone()),
            None => {
                self.elapsed_ns.store(now_ns().saturating_sub(self.submitted_ns), Relaxed);
                self.state.store(SETTLED, Release);
            }
        }
    }

    /// The worker that has begun it, 0 for none.
    pub fn begun_by(&self) -> u32 {
        match self.pool.upgrade() {
            Some(pool) if !self.is_settled_now() => pool.begun_by(self),
            _ => self.pid(),
        }
    }

    /// It is not wanted any more.
    pub fn stop(&self, stop: Stop) -> Result<()> {
        self.of_each(&|pool, job| pool.stop_job(job, stop))
    }

    /// It may begin, and so may all that it consists of.
    pub fn accept(&self) -> Result<()> {
        self.of_each(&|pool, job| pool.accept_job(job))
    }

    /// It is settled now; what is not begun of it never is, and what runs runs on.
    pub fn discard(&self) -> Result<()> {
        self.of_each(&|pool, job| pool.discard_job(job))
    }

    /// Of each part that is not settled, or of itself.
    fn of_each(&self, act: &dyn Fn(&Pool, &Job) -> Result<()>) -> Result<()> {
        match (self.parts(), self.pool.upgrade()) {
            (Some(parts), _) => parts.jobs().iter().try_for_each(|job| job.of_each(act)),
            (None, Some(pool)) if !self.is_settled() => act(&pool, self),
            _ => Ok(()),
        }
    }

    /// Whether its outcome is known, after a look at what came back.
    pub fn is_settled_now(&self) -> bool {
        self.is_settled() || self.pool.upgrade().is_some_and(|pool| pool.is_settled(self))
    }

    /// It succeeded, as its slot says. To be called by whoever holds the desk; only the first outcome counts.
    pub(super) fn succeed(&self, slot: &'static Slot, reply: &[u8]) {
        if self.is_settled() {
            return;
        }
        let started = slot.started_ns.load(Relaxed);
        self.pid.store(slot.pid.load(Relaxed), Relaxed);
        self.queued_ns.store(started.saturating_sub(self.submitted_ns), Relaxed);
        self.elapsed_ns.store(slot.ended_ns.load(Relaxed).saturating_sub(started), Relaxed);
        self.cpu_ns.store(slot.cpu_ns.load(Relaxed), Relaxed);
        self.reply_len.store(reply.len() as u64, Relaxed);
        if reply.len() <= 8 * SHORT {
            for (word, bytes) in self.reply.iter().zip(reply.chunks(8)) {
                let mut whole = [0; 8];
                region::copy(bytes, &mut whole[..bytes.len()]);
                word.store(u64::from_ne_bytes(whole), Relaxed);
            }
        } else {
            let more = Held::of(slot, reply.len()).map_or_else(|| More::Reply(reply.into()), More::Held);
            let _ = self.more.set(more);
        }
        self.state.store(SETTLED, Release);
    }

    /// It did not succeed. Likewise.
    pub(super) fn fail(&self, verdict: Verdict) {
        if self.is_settled() {
            return;
        }
        self.pid.store(verdict.pid, Relaxed);
        let failure = Failure { verdict, texts: OnceLock::new() };
        let _ = self.more.set(More::Failure(Box::new(failure)));
        self.state.store(SETTLED, Release);
    }
}

/// How often jobs of several pools are looked at.
const SEVERAL_NS: u64 = 5_000_000;

/// Waits until one of them is settled; the index of the first that is.
pub fn wait_any(jobs: &[&Job], deadline: Deadline) -> Result<usize> {
    let first = jobs.first().ok_or(Error::invalid("no results to wait for"))?;
    loop {
        if let Some(index) = jobs.iter().position(|job| job.is_settled_now()) {
            return Ok(index);
        }
        // Settled or not, it has its outcome once its pool is gone.
        let Some(pool) = first.pool.upgrade() else { continue };
        let several = jobs.iter().any(|job| !Weak::ptr_eq(&job.pool, &first.pool));
        let slice = several.then(|| now_ns() + SEVERAL_NS);
        let until = deadline.into_iter().chain(slice).min();
        match pool.wait(until, Goal::Any, |_| jobs.iter().position(|job| job.is_settled())) {
            Err(Error::TimedOut) if deadline.is_none_or(|deadline| now_ns() < deadline) => {}
            answer => return answer,
        }
    }
}
