//! A task on its way: to a lane, or waiting for room in one.
#![forbid(unsafe_code)]

use super::job::{Job, JobId, Verdict};
use super::map::Map;
use crate::error::{Error, Result};
use crate::pin::Pins;
use std::collections::VecDeque;
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
        match (self.hard_ns, self.soft_ns) {
            (0, other) | (other, 0) => other,
            (hard, soft) => hard.min(soft),
        }
    }
}

/// A task on its way.
pub struct Work {
    /// What it is.
    pub what: What,
    /// Index in the family's function table.
    pub function: u32,
    /// What it may take.
    pub limits: Limits,
    /// Its encoded arguments while it is in no lane.
    pub arguments: Box<[u8]>,
}

impl Work {
    /// One task, whose job goes to `sink` when it is settled.
    pub fn single(job: Arc<Job>, function: u32, limits: Limits, sink: Option<Sink>, pins: Option<Box<Pins>>) -> Work {
        Work { what: What::Single { job, sink, pins }, function, limits, arguments: Box::default() }
    }

    /// Items of a map.
    pub fn chunk(map: Arc<Map>, next: u64, end: u64, function: u32, limits: Limits) -> Work {
        Work { what: What::Chunk { map, next, end }, function, limits, arguments: Box::default() }
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

    /// Whether it is this job's.
    pub fn is_of(&self, wanted: &Job) -> bool {
        matches!(&self.what, What::Single { job, .. } if std::ptr::eq(&**job, wanted))
    }

    /// Whether it is a part of this map.
    pub fn is_part_of(&self, wanted: &Arc<Map>) -> bool {
        matches!(&self.what, What::Chunk { map, .. } if Arc::ptr_eq(map, wanted))
    }

    /// It will not be done, for this reason; its job.
    pub fn cancel(self, error: &Error) -> Option<Arc<Job>> {
        match self.what {
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
pub fn kept(arguments: &[u8]) -> Result<Box<[u8]>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(arguments.len()).map_err(|_| Error::NoMemory("no memory for the arguments"))?;
    copy.extend_from_slice(arguments);
    Ok(copy.into())
}

/// A settled job goes where it is waited for.
pub fn hand_over(job: &Arc<Job>, sink: Option<Sink>) {
    if let Some(sink) = sink {
        sink.lock().unwrap_or_else(PoisonError::into_inner).push_back(job.clone());
    }
}
