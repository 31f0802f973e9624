//! Events: waiters and setters die; a keeper repairs, and may die at it too.

use super::calls::check;
use super::keepers::{hex, keep, limits, nobody_died, show, start_keepers};
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::memory::Word32;
use carom::shm::sync::Event;
use carom::shm::wait_word::WaitWord;
use std::sync::atomic::Ordering::Relaxed;

const TAKER: u32 = 0;
const GIVER: u32 = 1;

#[derive(Clone, Copy, Default)]
struct FlagPlan {
    /// Set, and cleared at once, when all are waiting; else two set it, of whom one may die.
    pulse: bool,
    /// Wrong: who waits looks at the flag only.
    only_flag: bool,
    /// Wrong: the repair of a death wakes nobody.
    silent: bool,
}

struct Flag<M: Simulated> {
    word: M::W64,
    wait: WaitWord<M>,
    ready: M::W32,
    plan: FlagPlan,
}

impl<M: Simulated> Flag<M> {
    fn new(plan: FlagPlan) -> Self {
        let wait = WaitWord::from_word(M::word64("wait", 0, show));
        Flag { word: M::word64("event", 0, hex), wait, ready: M::word32("ready", 0), plan }
    }

    fn waiter(&self) {
        let event = Event::<M>::at(&self.word);
        let sets = event.sets();
        if self.plan.pulse {
            self.ready.fetch_add(1, Relaxed);
            M::wake32(&self.ready, 1);
        }
        let done = || if self.plan.only_flag { event.is_set() } else { event.was_set_since(sets) };
        let waited = self.wait.wait_until(None, || None, || done().then_some(()));
        check(waited.is_some(), "out of time without a time");
        check(self.plan.pulse || event.is_set(), "it went on, and nothing was set");
    }

    fn setter(&self) {
        let event = Event::<M>::at(&self.word);
        if self.plan.pulse {
            loop {
                let ready = self.ready.load(Relaxed);
                if ready == 2 {
                    break;
                }
                let _ = M::wait32(&self.ready, ready, None, None);
            }
        }
        if event.set() {
            self.wait.notify(u32::MAX);
        }
        if self.plan.pulse {
            event.clear();
        }
    }
}

impl<M: Simulated> Scenario for Flag<M> {
    fn begin(&self) {
        with(|machine| {
            machine.start("waiter", TAKER, 0, false, !self.plan.pulse);
            machine.start("waiter", TAKER, 0, false, !self.plan.pulse);
            machine.start("setter", GIVER, 0, false, !self.plan.pulse);
            if !self.plan.pulse {
                machine.start("setter", GIVER, 0, false, false);
            }
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            TAKER => self.waiter(),
            GIVER => self.setter(),
            _ => keep(4 - self.plan.pulse as usize, argument, false, |_, force| {
                if !self.plan.silent {
                    self.wait.broadcast(force);
                }
            }),
        }
    }

    fn end(&self) {
        check(!nobody_died() || self.wait.waiters() == 0, "counts somebody who is not there");
    }
}

#[test]
fn event_setters_die() {
    let name = "event, 2 waiters, 2 setters, 2 kills";
    holds(name, limits(2, 0, 250_000), || Flag::<Sim>::new(FlagPlan::default()));
}

#[test]
fn event_pulse() {
    let plan = FlagPlan { pulse: true, ..FlagPlan::default() };
    holds("event, set and cleared at once, 2 waiters", limits(1, 0, 150_000), || Flag::<Sim>::new(plan));
}

#[test]
fn bug_event_looks_at_the_flag_only() {
    let plan = FlagPlan { pulse: true, only_flag: true, ..FlagPlan::default() };
    let name = "bug: who waits looks at the flag only";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Flag::<Sim>::new(plan));
}

#[test]
fn bug_event_setter_dies_unheard() {
    let plan = FlagPlan { silent: true, ..FlagPlan::default() };
    let name = "bug: a setter dies between store and wake, unheard";
    catches(name, Shows::Hang, limits(1, 0, 4_000_000), || Flag::<Sim>::new(plan));
}
