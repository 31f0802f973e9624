//! Tasks that are submitted once, however often somebody tries: by a key that the host gives them.
#![forbid(unsafe_code)]

use super::job::Job;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The jobs of a pool that have a key. One is known until it fails, or is settled and forgotten by whoever submitted it.
#[derive(Default)]
pub struct Keys {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    jobs: HashMap<Arc<[u8]>, Weak<Job>>,
    /// With so many of them it is time to look which are forgotten.
    look_at: usize,
}

const FEW: usize = 64;

fn is_known(job: &Weak<Job>) -> Option<Arc<Job>> {
    job.upgrade().filter(|job| job.failure().is_none())
}

impl Keys {
    /// The job is the one of this key from now on, unless another is: that one.
    pub fn claim(&self, key: &Arc<[u8]>, job: &Arc<Job>) -> Option<Arc<Job>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = known.jobs.get(key).and_then(is_known) {
            return Some(first);
        }
        if known.jobs.len() >= known.look_at.max(FEW) {
            known.jobs.retain(|_, job| is_known(job).is_some());
            known.look_at = 2 * known.jobs.len();
        }
        known.jobs.insert(key.clone(), Arc::downgrade(job));
        None
    }
}
