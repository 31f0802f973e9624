//! A task on its way: to a lane, or waiting for room in one.
#![forbid(unsafe_code)]

use super::extras::Hook;
use super::job::{Job, JobId, Verdict};
use super::map::Map;
use super::post::WATCH_NS;
use super::room::Toll;
use crate::error::{Error, Result};
use crate::pin::Pins;
use crate::wire::Encoding;
use std::collections::VecDeque;
use std::ffi::CStr;
use std::sync::{Arc, Mutex, PoisonError};

/// Where settled jobs of an iterator wait for it.
pub type Sink = Arc<Mutex<VecDeque<Arc<Job>>>>;

/// What is to be done.
pub enum What {
    /// One task.
    Single {
        /// Its job.
        job: Arc<Job>,
        /// Where the job goes when it is settled.
        sink: Option<Sink>,
        /// Keeps what the arguments name until it is settled.
        pins: Option<Box<Pins>>,
    },
    /// Items of a map, `next..end`.
    Chunk {
        /// The map.
        map: Arc<Map>,
        /// First item.
        next: u64,
        /// Behind the last.
        end: u64,
    },
}

/// What a task may take, each 0 for no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Its worker is killed after so long, in ns; per item of a map.
    pub hard_ns: u64,
    /// It should stop after so long, in ns; likewise.
    pub soft_ns: u64,
    /// Its worker is killed after so much processor time, in ns; for all items of a chunk.
    pub cpu_ns: u64,
    /// Its worker is killed when it holds so many bytes more than it was born with.
    pub memory: u64,
}

impl Limits {
    /// Refuses those that contradict each other.
    pub fn check(self) -> Result<Limits> {
        if self.hard_ns != 0 && self.soft_ns >= self.hard_ns {
            return Err(Error::invalid("a soft time limit is shorter than the hard one"));
        }
        Ok(self)
    }

    /// The shortest time after which the template has something to do, 0 for none.
    pub fn least_ns(self) -> u64 {
        let watched = if self.is_watched() { WATCH_NS } else { 0 };
        [self.hard_ns, self.soft_ns, watched].into_iter().filter(|ns| *ns != 0).min().unwrap_or(0)
    }

    fn is_watched(self) -> bool {
        self.cpu_ns != 0 || self.memory != 0
    }
}

/// A task whose worker died may be done again, for these reasons: bits.
pub const RETRY_CRASH: u32 = 1;
/// It was out of time.
pub const RETRY_TIME: u32 = 2;
/// It was out of memory.
pub const RETRY_MEMORY: u32 = 4;

/// How a task is to be done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Order {
    /// What it may take.
    pub limits: Limits,
    /// How often it may be begun; 0 is 1.
    pub attempts: u32,
    /// For which reasons again.
    pub retry_on: u32,
    /// It is not begun after this instant, 0 for whenever.
    pub expires_ns: u64,
    /// What waits for a worker is done in the order of this, the highest first.
    pub priority: i32,
    /// It is not begun before the host has accepted it.
    pub held: bool,
}

impl Order {
    /// Whether the slot alone cannot say it.
    #[inline]
    pub fn has_terms(&self) -> bool {
        self.limits.soft_ns != 0 || self.limits.is_watched() || self.expires_ns != 0 || self.held
    }
}

/// A task on its way.
pub struct Work {
    /// What it is.
    pub what: What,
    /// Index in the family's function table.
    pub function: u32,
    /// How it is to be done.
    pub order: Order,
    /// Which attempt it is, beginning with 1.
    pub attempt: u32,
    /// Its encoded arguments while it is in no lane.
    pub arguments: Box<[u8]>,
    /// What it has taken of the pool's room.
    pub toll: Option<Box<Toll>>,
    /// Its outcome is nobody's business any more: its job is settled.
    pub discarded: bool,
    /// It goes where the one before it went, if there is room.
    pub follows: bool,
}

impl Work {
    /// One task, whose job goes to `sink` when it is settled.
    pub fn single(job: Arc<Job>, function: u32, order: Order, sink: Option<Sink>, pins: Option<Box<Pins>>) -> Work {
        Work::of(What::Single { job, sink, pins }, function, order)
    }

    /// Items of a map.
    pub fn chunk(map: Arc<Map>, next: u64, end: u64, function: u32, order: Order) -> Work {
        Work::of(What::Chunk { map, next, end }, function, order)
    }

    #[inline]
    fn of(what: What, function: u32, order: Order) -> Work {
        Work {
            what,
            function,
            order,
            attempt: 1,
            arguments: Box::default(),
            toll: None,
            discarded: false,
            follows: false,
        }
    }

    /// It is no longer in a lane.
    pub fn is_off(&self) {
        if let What::Chunk { map, .. } = &self.what {
            map.end_chunk();
        }
    }

    /// The name of its job.
    pub fn job_id(&self) -> JobId {
        match &self.what {
            What::Single { job, .. } => job.id,
            What::Chunk { map, .. } => map.id,
        }
    }

    /// What the host calls it; empty for nothing.
    #[inline]
    pub fn name(&self) -> &CStr {
        match &self.what {
            What::Single { job, .. } => job.correlation(),
            What::Chunk { map, .. } => map.name(),
        }
    }

    /// Whether it is this job's.
    pub fn is_of(&self, wanted: &Job) -> bool {
        matches!(&self.what, What::Single { job, .. } if std::ptr::eq(&**job, wanted))
    }

    /// Whether it is a part of this job.
    pub fn is_part_of_job(&self, whole: &Job) -> bool {
        matches!(&self.what, What::Single { job, .. } if job.extras().is_some_and(|extras| extras.is_part_of(whole)))
    }

    /// The hook of its job.
    pub fn hook(&self) -> Option<&Hook> {
        match &self.what {
            What::Single { job, .. } => job.extras().and_then(|extras| extras.hook.as_ref()),
            What::Chunk { .. } => None,
        }
    }

    /// Its job, if it is one task.
    pub fn job(&self) -> Option<&Arc<Job>> {
        match &self.what {
            What::Single { job, .. } => Some(job),
            What::Chunk { .. } => None,
        }
    }

    /// Whether it is a part of this map.
    pub fn is_part_of(&self, wanted: &Arc<Map>) -> bool {
        matches!(&self.what, What::Chunk { map, .. } if Arc::ptr_eq(map, wanted))
    }

    /// Whether it is to be done again, after it ended like this.
    pub fn is_again(&self, verdict: &Verdict) -> bool {
        let cause = match (&verdict.status, verdict.limit) {
            (Err(Error::TimeLimit), _) => RETRY_TIME,
            (Err(Error::MemoryLimit), _) => RETRY_MEMORY,
            (Err(Error::WorkerLost(_)), _) => RETRY_CRASH,
            _ => 0,
        };
        self.attempt < self.order.attempts && self.order.retry_on & cause != 0
    }

    /// Its job is settled now, whatever becomes of the task; the job.
    pub fn discard(&mut self) -> Option<Arc<Job>> {
        let What::Single { job, sink, .. } = &mut self.what else { return None };
        if std::mem::replace(&mut self.discarded, true) {
            return None;
        }
        job.fail(Verdict::of(Err(Error::Cancelled), job.item));
        hand_over(job, sink.take());
        Some(job.clone())
    }

    /// Its job, which is settled, and goes where it is waited for.
    pub fn hand_over(self) -> Option<Arc<Job>> {
        let What::Single { job, sink, .. } = self.what else { return None };
        hand_over(&job, sink);
        Some(job)
    }

    /// It will not be done, for this reason; its job.
    pub fn cancel(self, error: &Error) -> Option<Arc<Job>> {
        match self.what {
            What::Single { .. } if self.discarded => None,
            What::Single { job, sink, .. } => {
                job.fail(Verdict::of(Err(error.clone()), job.item));
                hand_over(&job, sink);
                Some(job)
            }
            What::Chunk { map, next, end } => {
                map.fail(next, end, &Verdict::of(Err(error.clone()), next));
                map.done(end - next);
                None
            }
        }
    }
}

/// A copy of encoded arguments, for as long as they are in no lane.
pub fn kept<'a>(arguments: impl Into<Encoding<'a>>) -> Result<Box<[u8]>> {
    arguments.into().to_box()
}

/// A settled job goes where it is waited for.
pub fn hand_over(job: &Arc<Job>, sink: Option<Sink>) {
    if let Some(sink) = sink {
        sink.lock().unwrap_or_else(PoisonError::into_inner).push_back(job.clone());
    }
}
