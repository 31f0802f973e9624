//! What a worker has used of its processor and of memory, task by task.
#![forbid(unsafe_code)]

use crate::sys::{clock, statm};
use std::cell::Cell;

/// The kernel is asked no more often than this: a task of less is taken to have been at work all the time.
const STEP_NS: u64 = 50_000;

/// The most that a task may have had for a while and nobody cares.
const STEP_BYTES: u64 = 1 << 20;

/// Processor time of this process, known to about [`STEP_NS`], and its peak of memory.
#[derive(Default)]
pub struct Meter {
    at_ns: Cell<u64>,
    cpu_ns: Cell<u64>,
    /// The kernel was asked since [`Meter::forget_peak`] looked.
    asked: Cell<bool>,
    /// Above this its peak is a task's.
    peak: Cell<u64>,
}

impl Meter {
    /// What it has used by the instant `now`, which is just past.
    #[inline(always)]
    pub fn at(&self, now: u64) -> u64 {
        match now.saturating_sub(self.at_ns.get()) {
            since @ ..STEP_NS => self.cpu_ns.get() + since,
            _ => self.ask(now),
        }
    }

    #[cold]
    fn ask(&self, now: u64) -> u64 {
        self.at_ns.set(now);
        self.cpu_ns.set(clock::cpu_ns());
        self.asked.set(true);
        self.cpu_ns.get()
    }

    /// A task is over, and its peak of memory is not the next one's. A short task costs no call here either: what has so much
    /// memory takes longer.
    #[inline(always)]
    pub fn forget_peak(&self) {
        if self.asked.replace(false) {
            self.reset_peak();
        }
    }

    #[cold]
    fn reset_peak(&self) {
        let peak = statm::peak();
        if peak > self.peak.get() + STEP_BYTES {
            // Where that is refused, it is asked again only when there is more.
            self.peak.set(if statm::forget_peak() { statm::peak() } else { peak });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::now_ns;

    #[test]
    fn a_peak_is_forgotten_once_it_is_over() {
        let meter = Meter::default();
        let held = vec![1u8; 64 << 20];
        meter.ask(now_ns());
        let high = statm::peak();
        assert!(high > 64 << 20);
        drop(std::hint::black_box(held));
        meter.forget_peak();
        assert!(!meter.asked.get() && meter.peak.get() == statm::peak());
        // Others of this process may have had memory meanwhile, and some kernels keep the peak.
        assert!(meter.peak.get() <= high + (64 << 20));
    }

    #[test]
    fn sleep_is_not_counted_and_work_is() {
        let meter = Meter::default();
        let start = meter.at(now_ns());
        let until = now_ns() + 20_000_000;
        while now_ns() < until {}
        let worked = meter.at(now_ns());
        // Other tests of this process count too, and others may have had the processor.
        assert!(worked - start > 2_000_000, "{start} {worked}");
        assert!(meter.at(meter.at_ns.get() + 10) == worked + 10);
    }
}
