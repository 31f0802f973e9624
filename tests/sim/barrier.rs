//! Barriers: parties and resetters die; a keeper repairs, and may die at it too.

use super::calls::{Note, check, forget, me};
use super::explore::Limits;
use super::keepers::{hex, keep, limits, nobody_died, show, start_keepers};
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::memory::Word64;
use carom::shm::sync::{Arrival, Barrier, Meeting};
use carom::shm::wait_word::WaitWord;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const TAKER: u32 = 0;
const GIVER: u32 = 1;

#[derive(Clone, Copy, Default)]
struct MeetPlan {
    parties: usize,
    callers: u64,
    rounds: u64,
    /// Somebody resets the barrier; waits have a time.
    resets: bool,
    /// Wrong: the death of a party is none of the barrier's business.
    unburied: bool,
    /// Wrong: an entry of another meeting is free, and whoever loses it takes the next one.
    careless: bool,
    /// Wrong: the last one tells nobody.
    silent: bool,
}

struct Meet<M: Simulated> {
    word: M::W64,
    ledger: Vec<M::W64>,
    wait: WaitWord<M>,
    /// Which indices the parties of each meeting have.
    came: Vec<Note>,
    /// What parties of each meeting heard: 1 that it was complete, 2 that it was not, or both.
    heard: Vec<Note>,
    plan: MeetPlan,
}

impl<M: Simulated> Meet<M> {
    fn new(plan: MeetPlan) -> Self {
        Meet {
            word: M::word64("barrier", 1, hex),
            ledger: (0..plan.parties).map(|i| M::word64(&format!("entry {i}"), 0, hex)).collect(),
            wait: WaitWord::from_word(M::word64("wait", 0, show)),
            came: (0..8).map(|i| Note::new(&format!("came {i}"))).collect(),
            heard: (0..8).map(|i| Note::new(&format!("heard {i}"))).collect(),
            plan,
        }
    }

    /// As it was: both races.
    fn arrive_carelessly(&self, slot: u32) -> Arrival {
        let barrier = Barrier::<M>::at(&self.word);
        let meeting = barrier.generation();
        if barrier.is_broken() {
            return Arrival::Broken;
        }
        for (entry, index) in self.ledger.iter().zip(0..) {
            let seen = entry.load(Relaxed);
            let free = seen >> 32 != meeting as u64 || seen == 0;
            let mine = (meeting as u64) << 32 | slot as u64;
            if free && entry.compare_exchange(seen, mine, Relaxed, Relaxed).is_ok() {
                return Arrival::Here { meeting, index };
            }
        }
        Arrival::Full { meeting }
    }

    fn caller(&self) {
        let barrier = Barrier::<M>::at(&self.word);
        let slot = me() as u32 + 1;
        let deadline = self.plan.resets.then_some(1);
        for round in 0..self.plan.rounds {
            forget(round);
            let (meeting, index) = loop {
                let arrival = match self.plan.careless {
                    true => self.arrive_carelessly(slot),
                    false => barrier.arrive(|| self.ledger.iter(), slot),
                };
                match arrival {
                    Arrival::Here { meeting, index } => break (meeting, index),
                    Arrival::Broken => return self.may_be_broken(),
                    Arrival::Full { meeting } => {
                        let over = || (barrier.outcome(meeting) != Meeting::Open).then_some(());
                        if self.wait.wait_until(deadline, || None, over).is_none() {
                            return;
                        }
                    }
                }
            };
            let came = &self.came[meeting as usize % 8];
            check(came.get() >> index & 1 == 0, "two parties have one index");
            came.set(came.get() | 1 << index);
            if index + 1 == self.plan.parties as u64 {
                // Here the action would run.
                let full = self.ledger.iter().all(|entry| entry.load(Relaxed) >> 32 == meeting as u64);
                check(full || barrier.outcome(meeting) != Meeting::Open, "the last one is alone");
                let complete = barrier.complete(meeting);
                if !self.plan.silent {
                    self.wait.notify(u32::MAX);
                }
                self.hear(meeting, complete);
                if !complete {
                    return self.may_be_broken();
                }
                continue;
            }
            let over = || Some(barrier.outcome(meeting)).filter(|outcome| *outcome != Meeting::Open);
            match self.wait.wait_until(deadline, || None, over) {
                Some(Meeting::Complete) => self.hear(meeting, true),
                Some(_) => {
                    self.hear(meeting, false);
                    return self.may_be_broken();
                }
                None => {
                    check(self.plan.resets, "out of time without a time");
                    if barrier.break_if(meeting) {
                        self.wait.notify(u32::MAX);
                    }
                    return;
                }
            }
        }
    }

    fn hear(&self, meeting: u32, complete: bool) {
        let heard = &self.heard[meeting as usize % 8];
        heard.set(heard.get() | if complete { 1 } else { 2 });
        check(heard.get() != 3, "one heard that it was complete, another that it was not");
    }

    /// The repair, and what a program does that knows of a death: nobody comes in the dead one's place.
    fn bury(&self, dead: u32, force: bool) {
        let barrier = Barrier::<M>::at(&self.word);
        if !self.plan.unburied {
            barrier.bury(self.ledger.iter(), dead);
        }
        self.wait.broadcast(force);
        // At a meeting that is still open now it must be broken already.
        let here = (barrier.generation() as u64) << 32 | dead as u64;
        let at_it = self.ledger.iter().any(|entry| entry.load(Relaxed) == here);
        if !at_it && (dead as u64) <= self.plan.callers {
            barrier.break_now();
            self.wait.notify(u32::MAX);
        }
    }

    fn may_be_broken(&self) {
        check(self.plan.resets || !nobody_died(), "it is broken, and nobody died");
    }

    fn resetter(&self) {
        Barrier::<M>::at(&self.word).reset();
        self.wait.notify(u32::MAX);
    }
}

impl<M: Simulated> Scenario for Meet<M> {
    fn begin(&self) {
        with(|machine| {
            for _ in 0..self.plan.callers {
                machine.start("caller", TAKER, 0, false, !self.plan.resets);
            }
            if self.plan.resets {
                machine.start("resetter", GIVER, 0, false, false);
            }
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            TAKER => self.caller(),
            GIVER => self.resetter(),
            _ => keep(self.plan.callers as usize + self.plan.resets as usize, argument, false, |dead, force| {
                self.bury(dead, force);
            }),
        }
    }

    fn end(&self) {}
}

const PAIR: MeetPlan =
    MeetPlan { parties: 2, callers: 2, rounds: 1, resets: false, unburied: false, careless: false, silent: false };

#[test]
fn barrier_party_dies() {
    let plan = MeetPlan { rounds: 3, ..PAIR };
    holds("barrier, 2 parties, 3 rounds", limits(0, 0, 150_000), || Meet::<Sim>::new(plan));
    let plan = MeetPlan { parties: 3, callers: 3, rounds: 2, ..PAIR };
    holds("barrier, 3 parties, 2 rounds, 1 kill", limits(1, 0, 150_000), || Meet::<Sim>::new(plan));
    let plan = MeetPlan { rounds: 2, ..PAIR };
    holds("barrier, 2 parties, 2 rounds, 2 kills", limits(2, 0, 150_000), || Meet::<Sim>::new(plan));
}

#[test]
fn bug_barrier_party_dies_unheard() {
    let plan = MeetPlan { unburied: true, ..PAIR };
    let name = "bug: a party dies, and the barrier does not break";
    catches(name, Shows::Hang, limits(1, 0, 4_000_000), || Meet::<Sim>::new(plan));
}

#[test]
fn barrier_resets_and_stragglers() {
    let plan = MeetPlan { callers: 3, resets: true, ..PAIR };
    holds("barrier, 2 parties, 3 callers, reset, timeouts", limits(0, 1, 250_000), || Meet::<Sim>::new(plan));
    let plan = MeetPlan { callers: 4, resets: true, rounds: 2, ..PAIR };
    let limits = Limits { random: Duration::from_millis(500), ..limits(0, 2, 0) };
    holds("barrier, 2 parties, 4 callers, 2 rounds, reset", limits, || Meet::<Sim>::new(plan));
}

#[test]
fn bug_barrier_entries_without_order() {
    let plan = MeetPlan { callers: 3, resets: true, careless: true, ..PAIR };
    let name = "bug: an entry of another meeting is free";
    catches(name, Shows::Violation, limits(0, 1, 4_000_000), || Meet::<Sim>::new(plan));
}

#[test]
fn bug_barrier_last_one_tells_nobody() {
    let plan = MeetPlan { silent: true, ..PAIR };
    let name = "bug: the last party tells nobody";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Meet::<Sim>::new(plan));
}
