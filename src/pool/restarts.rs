//! How many workers may die before the pool gives up.
//!
//! Counted are ends that nobody wanted: not those of workers that were recycled, given up, or killed for a limit. In a
//! pool without `max_restarts` only those count that have begun no task, and every task that is begun forgives them: so what
//! its tasks do cannot break it, but an initializer that always fails does.
#![forbid(unsafe_code)]

use super::event;
use crate::shm::plan::{HISTORY, Lane, PlanRef};
use crate::sys::clock::now_ns;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// `max_restarts` of a pool that was given none.
pub const DEFAULT: u32 = u32::MAX;
/// What it means: so many for each worker position, in so many seconds.
const PER_WORKER: u32 = 10;
const WINDOW_S: u32 = 10;

/// The deaths of a while.
#[derive(Default)]
pub struct Restarts {
    since_ns: u64,
    count: u32,
}

impl Restarts {
    /// A worker is dead; whether it was one too many.
    pub fn are_too_many(&mut self, plan: PlanRef, lane: &Lane, pid: u32, exit: i32, reason: u32) -> bool {
        if !matches!(reason, event::REASON_DIED | event::REASON_INITIALIZER) {
            return false;
        }
        let words = plan.plan();
        let deaths = words.deaths.load(Relaxed);
        words.exits[deaths as usize % HISTORY].store((pid as u64) << 32 | exit as u32 as u64, Relaxed);
        words.deaths.store(deaths.wrapping_add(1), Release);
        let (most, window_s) = (words.max_restarts.load(Relaxed), words.restart_window_s.load(Relaxed));
        let of_default = most == DEFAULT;
        let most = if of_default { PER_WORKER * plan.lanes().len() as u32 } else { most };
        let window_s = if of_default && window_s == 0 { WINDOW_S } else { window_s.max(1) };
        let worked = lane.begun.load(Relaxed) > 0;
        self.count_one(now_ns(), window_s as u64 * 1_000_000_000, of_default && worked) > most
    }

    fn count_one(&mut self, now: u64, window_ns: u64, forgiven: bool) -> u32 {
        if forgiven || now.saturating_sub(self.since_ns) > window_ns {
            (self.since_ns, self.count) = (now, 0);
        }
        self.count += !forgiven as u32;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_deaths_and_forgiven_ones_do_not_count() {
        let mut restarts = Restarts::default();
        assert_eq!((1..5).map(|now| restarts.count_one(now, 10, false)).last(), Some(4));
        assert_eq!(restarts.count_one(100, 10, false), 1);
        assert_eq!(restarts.count_one(101, 10, true), 0);
        assert_eq!(restarts.count_one(102, 10, false), 1);
    }
}
