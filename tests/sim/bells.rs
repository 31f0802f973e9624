//! Bells: whoever polls is told, though whoever has news dies at it.

use super::calls::{check, forget};
use super::keepers::{hex, keep, limits, start_keepers};
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::bells;
use carom::shm::memory::Word64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const POLLER: u32 = 0;
const TELLER: u32 = 1;
const NAME: u64 = 2;

#[derive(Clone, Copy, Default)]
struct Plan {
    rounds: u64,
    tellers: u64,
    /// Wrong: looks, and then arms.
    arms_late: bool,
    /// Wrong: the repair rings those that are armed only.
    trusts: bool,
    /// Wrong: writes the news behind the bell.
    tells_early: bool,
}

struct Bells<M: Simulated> {
    word: M::W64,
    /// What the kernel has: not 0 while the descriptor is readable.
    rung: M::W64,
    news: M::W64,
    plan: Plan,
}

impl<M: Simulated> Bells<M> {
    fn new(plan: Plan) -> Self {
        let word = |name: &str| M::word64(name, 0, hex);
        Bells { word: word("bell"), rung: word("rung"), news: word("news"), plan }
    }

    fn ring(&self, name: u64) -> bool {
        check(name == NAME, "another bell is rung");
        self.rung.store(1, Release);
        M::fence();
        M::wake64(&self.rung, u32::MAX);
        true
    }

    fn poller(&self) {
        check(bells::place::<M>(&[&self.word], NAME).is_some(), "there is a place");
        let all = self.plan.rounds * self.plan.tellers;
        loop {
            forget(0);
            self.rung.store(0, Release);
            if self.plan.arms_late && self.news.load(Acquire) == all {
                break;
            }
            check(bells::arm::<M>(&self.word, NAME), "its place is another's");
            if !self.plan.arms_late && self.news.load(Acquire) == all {
                break;
            }
            while self.rung.load(Acquire) == 0 {
                M::wait64(&self.rung, 0, None, None);
            }
        }
        bells::remove::<M>(&self.word, NAME);
    }

    fn teller(&self) {
        for _ in 0..self.plan.rounds {
            if !self.plan.tells_early {
                self.news.fetch_add(1, Relaxed);
            }
            M::fence();
            bells::tell::<M>(&[&self.word], |name| self.ring(name));
            if self.plan.tells_early {
                self.news.fetch_add(1, Relaxed);
            }
        }
    }
}

impl<M: Simulated> Scenario for Bells<M> {
    fn begin(&self) {
        with(|machine| {
            machine.start("poller", POLLER, 0, false, false);
            for _ in 0..self.plan.tellers {
                machine.start("teller", TELLER, 0, false, true);
            }
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            POLLER => self.poller(),
            TELLER => self.teller(),
            _ => keep(1 + self.plan.tellers as usize, argument, false, |dead, _| {
                // What a dead one would have had to say, it says no more.
                if dead != 0xfff && !self.plan.trusts {
                    self.news.store(self.plan.rounds * self.plan.tellers, Relaxed);
                    M::fence();
                }
                match self.plan.trusts {
                    true => bells::tell::<M>(&[&self.word], |name| self.ring(name)),
                    false => bells::tell_all::<M>(&[&self.word], |name| self.ring(name)),
                }
            }),
        }
    }
}

const PLAN: Plan = Plan { rounds: 2, tellers: 1, arms_late: false, trusts: false, tells_early: false };

#[test]
fn bells_poller_is_told() {
    holds("bells, 1 teller, 1 kill", limits(1, 0, 100_000), || Bells::<Sim>::new(PLAN));
}

#[test]
fn bells_two_tellers() {
    let plan = Plan { rounds: 1, tellers: 2, ..PLAN };
    holds("bells, 2 tellers, no kills", limits(0, 0, 100_000), || Bells::<Sim>::new(plan));
}

#[test]
fn bug_bells_arms_late() {
    let plan = Plan { arms_late: true, rounds: 1, ..PLAN };
    catches("bug: looks, then arms the bell", Shows::Hang, limits(0, 0, 4_000_000), || Bells::<Sim>::new(plan));
}

#[test]
fn bug_bells_tells_early() {
    let plan = Plan { tells_early: true, rounds: 1, ..PLAN };
    catches("bug: rings, then writes the news", Shows::Hang, limits(0, 0, 4_000_000), || Bells::<Sim>::new(plan));
}

#[test]
fn bug_bells_repair_trusts_the_mark() {
    let plan = Plan { trusts: true, rounds: 1, ..PLAN };
    let name = "bug: a repair rings armed bells only";
    catches(name, Shows::Hang, limits(1, 0, 4_000_000), || Bells::<Sim>::new(plan));
}
