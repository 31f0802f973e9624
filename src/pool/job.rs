//! A job: one task as the host knows it, and what became of it.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use std::sync::OnceLock;

/// Names a job for ever: printable, and unique beyond this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobId {
    /// Of the pool.
    pub high: u64,
    /// Of the job in it.
    pub low: u64,
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
    /// Peak memory of a worker that died.
    pub max_rss_bytes: u64,
    /// What the function said when it failed, or why the worker died.
    pub message: String,
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
            max_rss_bytes: 0,
            message,
        }
    }
}

/// A settled job.
pub struct Outcome {
    /// What became of it.
    pub verdict: Verdict,
    /// Its reply, if it succeeded.
    pub reply: Vec<u8>,
}

/// One task.
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// Index among its like.
    pub item: u64,
    /// What the host wants to find at its events.
    pub context: usize,
    /// When it was submitted.
    pub submitted_ns: u64,
    outcome: OnceLock<Outcome>,
}

impl Job {
    /// A job that nobody has begun.
    pub fn new(id: JobId, item: u64, context: usize) -> Job {
        Job { id, item, context, submitted_ns: crate::sys::clock::now_ns(), outcome: OnceLock::new() }
    }

    /// What became of it; `None` until it is settled.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// What became of it, or that there is no answer yet.
    pub fn settled(&self) -> Result<&Outcome> {
        self.outcome().ok_or(Error::Again("the result is not ready"))
    }

    /// Its outcome is known. Only the first one counts.
    pub(super) fn settle(&self, verdict: Verdict, reply: Vec<u8>) {
        let _ = self.outcome.set(Outcome { verdict, reply });
    }
}
