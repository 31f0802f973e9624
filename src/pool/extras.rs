//! What few jobs have: a hook that hears of them, a whole that they are a part of, parts of their own.
#![forbid(unsafe_code)]

use super::TaskOptions;
use super::job::Job;
use super::work::Limits;
use std::ffi::CStr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What a hook hears of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A worker has begun it.
    Accepted,
    /// It was told that it should stop.
    SoftLimit,
    /// It was out of time.
    HardLimit,
    /// It is settled.
    Done,
}

/// Called with no lock held, on a thread of the host that asks for news.
pub type Hear = Arc<dyn Fn(News, &Arc<Job>) + Send + Sync>;

/// A hook, and what it wants to hear of besides the end.
#[derive(Clone)]
pub struct Hook {
    /// Called.
    pub hear: Hear,
    /// When a worker begins.
    pub accepted: bool,
    /// What the limits do.
    pub limits: bool,
}

/// Everything that few jobs have.
#[derive(Default)]
pub struct Extras {
    /// Hears of it.
    pub hook: Option<Hook>,
    /// What it is a part of, until it is settled.
    whole: Mutex<Option<Arc<Job>>>,
    /// What it consists of.
    pub parts: Option<Parts>,
    /// What it may take.
    pub limits: Limits,
    /// What the host calls it.
    pub correlation: Option<Arc<CStr>>,
}

/// The tasks of a map that was not waited for.
pub struct Parts {
    jobs: OnceLock<Box<[Arc<Job>]>>,
    left: AtomicU64,
    /// The first failure settles the whole.
    pub fail_fast: bool,
}

impl Extras {
    /// Of a task with such options; most have none.
    #[inline]
    pub fn of_task(options: &TaskOptions, limits: Limits) -> Option<Box<Extras>> {
        if options.hook.is_none() && options.correlation.is_none() {
            return None;
        }
        let (hook, correlation) = (options.hook.clone(), options.correlation.clone());
        Some(Box::new(Extras { hook, limits, correlation, ..Extras::default() }))
    }

    /// Of an item of an iterator, which has no hooks.
    pub fn of_item(options: &TaskOptions) -> Option<Box<Extras>> {
        let correlation = options.correlation.clone()?;
        Some(Box::new(Extras { correlation: Some(correlation), ..Extras::default() }))
    }

    /// Of a part.
    pub fn of_part(whole: &Arc<Job>) -> Extras {
        let correlation = whole.extras().and_then(|extras| extras.correlation.clone());
        Extras { whole: Mutex::new(Some(whole.clone())), correlation, ..Extras::default() }
    }

    /// Of a whole with so many parts.
    pub fn of_whole(options: &TaskOptions, count: u64) -> Extras {
        let parts = Parts { jobs: OnceLock::new(), left: AtomicU64::new(count), fail_fast: options.fail_fast };
        let (hook, correlation) = (options.hook.clone(), options.correlation.clone());
        Extras { hook, parts: Some(parts), correlation, ..Extras::default() }
    }

    /// The part is settled: what it was a part of, once.
    pub fn leave(&self) -> Option<Arc<Job>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether it is a part of this.
    pub fn is_part_of(&self, whole: &Job) -> bool {
        let mine = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        mine.as_ref().is_some_and(|mine| std::ptr::eq(&**mine, whole))
    }
}

impl Parts {
    /// The parts, in the order of the items; none before they are known.
    pub fn jobs(&self) -> &[Arc<Job>] {
        self.jobs.get().map_or(&[], |jobs| jobs)
    }

    /// These are the parts. Once.
    pub fn set(&self, jobs: Vec<Arc<Job>>) {
        let _ = self.jobs.set(jobs.into());
    }

    /// One more is settled; whether it was the last.
    pub fn count_one(&self) -> bool {
        self.left.fetch_sub(1, AcqRel) == 1
    }
}
