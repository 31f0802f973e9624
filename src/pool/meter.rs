//! What a worker has used of its processor, task by task.
#![forbid(unsafe_code)]

use crate::sys::clock;
use std::cell::Cell;

/// The kernel is asked no more often than this: a task of less is taken to have been at work all the time.
const STEP_NS: u64 = 50_000;

/// Processor time of this process, known to about [`STEP_NS`].
#[derive(Default)]
pub struct Meter {
    at_ns: Cell<u64>,
    cpu_ns: Cell<u64>,
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
        self.cpu_ns.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::now_ns;

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
