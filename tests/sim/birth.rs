//! Births while others sleep: the keeper must hear of a process that begins after they fell asleep, or nobody hears of
//! its death. Transcribed from `Sentry::alarm` and `tell_of_birth` of `family.rs`, and `Watch::look` of
//! `keeper/watch.rs`: change both or neither.

use super::explore::Limits;
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::memory::{Memory, Word32};
use std::sync::atomic::Ordering::Relaxed;

const SLEEPER: u32 = 0;
const STARTER: u32 = 1;

#[derive(Clone, Copy, Default)]
struct Plan {
    /// Wrong: whoever starts a process looks for sleepers before everybody sees the birth.
    fenceless: bool,
    /// Wrong: a birth tells nobody.
    quiet: bool,
}

struct Births {
    asleep: <Sim as Memory>::W32,
    unwatched: <Sim as Memory>::W32,
    bell: <Sim as Memory>::W32,
    /// The newcomer is dead, and the keeper has repaired that: what the sleepers wait for.
    repaired: <Sim as Memory>::W32,
    plan: Plan,
}

impl Births {
    fn new(plan: Plan) -> Births {
        Births {
            asleep: Sim::word32("asleep", 0),
            unwatched: Sim::word32("unwatched", 0),
            bell: Sim::word32("bell", 0),
            repaired: Sim::word32("repaired", 0),
            plan,
        }
    }

    fn ring(&self) {
        self.bell.fetch_add(1, Relaxed);
        Sim::wake32(&self.bell, 1);
    }

    fn sleeper(&self) {
        self.asleep.fetch_add(1, Relaxed);
        Sim::fence();
        if self.unwatched.load(Relaxed) != 0 {
            self.ring();
        }
        while self.repaired.load(Relaxed) == 0 {
            let _ = Sim::wait32(&self.repaired, 0, None, None);
        }
    }

    fn starter(&self) {
        self.unwatched.store(1, Relaxed);
        if !self.plan.fenceless {
            Sim::fence();
        }
        if self.asleep.load(Relaxed) != 0 && !self.plan.quiet {
            self.ring();
        }
        // It goes on; what it stored may be seen only later.
        let _ = self.repaired.load(Relaxed);
    }

    fn keeper(&self) {
        loop {
            let seen = self.bell.load(Relaxed);
            if self.unwatched.swap(0, Relaxed) != 0 {
                self.repaired.store(1, Relaxed);
                Sim::wake32(&self.repaired, u32::MAX);
            }
            let _ = Sim::wait32(&self.bell, seen, None, None);
        }
    }
}

impl Scenario for Births {
    fn begin(&self) {
        with(|machine| {
            machine.start("sleeper", SLEEPER, 0, false, false);
            machine.start("sleeper", SLEEPER, 0, false, false);
            machine.start("starter", STARTER, 0, false, false);
            machine.start("keeper", STARTER + 1, 0, true, false);
        });
    }

    fn process(&self, role: u32, _: u64) {
        match role {
            SLEEPER => self.sleeper(),
            STARTER => self.starter(),
            _ => self.keeper(),
        }
    }

    fn end(&self) {}
}

fn limits() -> Limits {
    Limits { kills: 0, buffered: true, runs: 400_000, ..Limits::default() }
}

#[test]
fn births_are_heard_of() {
    holds("a birth while 2 sleep", limits(), || Births::new(Plan::default()));
}

#[test]
fn bug_birth_without_fence() {
    let plan = Plan { fenceless: true, ..Plan::default() };
    catches("bug: looks for sleepers before its birth is seen", Shows::Hang, limits(), || Births::new(plan));
}

#[test]
fn bug_birth_tells_nobody() {
    let plan = Plan { quiet: true, ..Plan::default() };
    catches("bug: a birth while others sleep tells nobody", Shows::Hang, limits(), || Births::new(plan));
}
