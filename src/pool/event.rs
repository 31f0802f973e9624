//! What a pool reports.
#![forbid(unsafe_code)]

use super::job::Job;
use super::work::Limits;
use std::sync::Arc;

/// A worker began.
pub const WORKER_UP: u32 = 1;
/// A worker ended.
pub const WORKER_DOWN: u32 = 2;
/// A worker has begun a task.
pub const ACCEPTED: u32 = 4;
/// A job is settled.
pub const DONE: u32 = 8;
/// A task was told that it should stop.
pub const SOFT_LIMIT: u32 = 16;
/// A task was out of time.
pub const HARD_LIMIT: u32 = 32;
/// The pool takes no more, and has nothing left.
pub const DRAINED: u32 = 64;
/// A task with limits was begun.
pub const LIMIT_SET: u32 = 512;
/// And is over.
pub const LIMIT_CANCELLED: u32 = 1024;

/// The host is to fork a worker.
pub const WORKER_WANTED: u32 = 256;
/// Too many workers died.
pub const BROKEN: u32 = 128;

/// Why a worker ended.
pub const REASON_LEFT: u32 = 1;
/// It died by itself, or somebody killed it.
pub const REASON_DIED: u32 = 2;
/// The template killed it, since its task was out of time, or had used its processor time.
pub const REASON_TIME_LIMIT: u32 = 3;
/// The pool was terminated.
pub const REASON_STOPPED: u32 = 4;

/// It has done as many tasks as it was to do, or was restarted.
pub const REASON_RECYCLED: u32 = 5;
/// Its position was given up.
pub const REASON_SHRUNK: u32 = 6;
/// Its initializer failed.
pub const REASON_INITIALIZER: u32 = 7;
/// The template killed it, since its task had too much memory.
pub const REASON_MEMORY_LIMIT: u32 = 8;
/// The template killed it, since its task was cancelled.
pub const REASON_CANCELLED: u32 = 9;

/// One event.
#[derive(Clone)]
pub struct Event {
    /// Which.
    pub kind: u32,
    /// Of which worker, 0 for none.
    pub pid: u32,
    /// How it ended; `None` if nobody can tell.
    pub exit: Option<i32>,
    /// Why it ended.
    pub reason: u32,
    /// The limits of the job.
    pub limits: Limits,
    /// The job that it is about.
    pub job: Option<Arc<Job>>,
}

impl Event {
    /// Of a kind, and nothing else.
    pub fn of(kind: u32) -> Event {
        Event { kind, pid: 0, exit: None, reason: 0, limits: Limits::default(), job: None }
    }
}
