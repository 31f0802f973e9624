//! How a pool and its tasks are to be.
#![forbid(unsafe_code)]

use super::event::Event;
use super::extras::Hook;
use super::work::Limits;
use crate::error::{Error, Result};
use crate::shm::cell::Reference;
use crate::start::Method;
use std::ffi::CStr;
use std::path::Path;
use std::sync::Arc;

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
    /// The host forks the workers, see [`super::hosted`].
    pub hosted: bool,
    /// [`Pool::restart`] is allowed.
    pub restartable: bool,
    /// Tasks that it takes before one is settled, 0 for any number.
    pub max_waiting: u64,
    /// Bytes of their arguments, likewise.
    pub max_waiting_bytes: u64,
    /// A semaphore of which each task has a unit until it is settled.
    pub semaphore: Option<Reference>,
    /// No task is begun before the host accepts it.
    pub acknowledges: bool,
    /// A thread of the host moves it on.
    pub serves: bool,
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
    /// What the host calls it.
    pub correlation: Option<Arc<CStr>>,
    /// Of several with the same one the first is done.
    pub key: Option<Arc<[u8]>>,
    /// Whoever submits it waits for it, and accepts it thereby.
    pub awaited: bool,
}

impl TaskOptions {
    /// Whether a task of many goes where the one before it went: by `chunk` of them at once.
    pub fn follows(&self, index: u64) -> bool {
        self.chunk > 1 && !index.is_multiple_of(self.chunk)
    }

    /// The same for who waits for what he submits; a key would give him another's.
    pub fn awaited(self) -> Result<TaskOptions> {
        self.without_key().map(|options| TaskOptions { awaited: true, ..options })
    }

    /// Refuses a key.
    pub fn without_key(self) -> Result<TaskOptions> {
        match self.key {
            None => Ok(self),
            Some(_) => Err(Error::invalid("an idempotency key is for tasks that give a result at once")),
        }
    }
}

/// What is called for each event.
pub type OnEvent = Box<dyn Fn(&Event) + Send + Sync>;
