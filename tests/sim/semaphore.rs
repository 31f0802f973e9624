//! Semaphores: takers and givers die; a keeper repairs, and may die at it too.

use super::calls::{Note, check, forget, me};
use super::explore::Limits;
use super::fault::{Fault, Faulty};
use super::keepers::{hex, is_dead, keep, limits, nobody_died, show, start_keepers};
use super::machine::with;
use super::memory::{Sim, SimWord64, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::memory::{Deadline, Word64};
use carom::shm::sync::{give, give_token, return_tokens, take, take_token};
use carom::shm::wait_word::WaitWord;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Takes what others give back: a unit of its own, if units are owned.
const TAKER: u32 = 0;
const GIVER: u32 = 1;

#[derive(Clone, Copy, Default)]
struct UnitsPlan {
    takers: u64,
    rounds: u64,
    units: usize,
    /// Units are given by a giver, and taken for good.
    given: bool,
    timed: bool,
    /// Wrong: the repair returns units, and wakes nobody.
    silent: bool,
    /// Wrong: a new keeper trusts the count.
    trusts: bool,
    /// Wrong: looks before it is counted.
    looks_first: bool,
}

struct Units<M: Simulated> {
    tokens: Vec<M::W64>,
    units: M::W64,
    wait: WaitWord<M>,
    /// Who has a unit.
    inside: Note,
    plan: UnitsPlan,
}

impl<M: Simulated> Units<M> {
    fn new(plan: UnitsPlan) -> Self {
        let tokens = if plan.given { 0 } else { plan.units };
        Units {
            tokens: (0..tokens).map(|i| M::word64(&format!("token {i}"), 0, hex)).collect(),
            units: M::word64("units", 0, hex),
            wait: WaitWord::from_word(M::word64("wait", 0, show)),
            inside: Note::new("inside"),
            plan,
        }
    }

    fn take(&self, slot: u32) -> bool {
        let taken = if self.plan.given { take(&self.units) } else { take_token(self.tokens.iter(), slot) };
        if taken {
            let inside = self.inside.get() | 1 << (slot - 1);
            self.inside.set(inside);
            let living = (0..self.plan.takers).filter(|who| inside >> who & 1 == 1 && !is_dead(*who as usize)).count();
            check(living <= self.plan.units, "more units than there are");
        }
        taken
    }

    fn acquire(&self, slot: u32, deadline: Deadline) -> bool {
        if self.plan.looks_first {
            while !self.take(slot) {
                let ticket = self.wait.prepare();
                let _ = self.wait.sleep(ticket, None, deadline);
                self.wait.leave(ticket);
            }
            return true;
        }
        self.wait.wait_until(deadline, || None, || self.take(slot).then_some(())).is_some()
    }

    fn taker(&self) {
        let slot = me() as u32 + 1;
        for round in 0..self.plan.rounds {
            forget(round);
            if !self.acquire(slot, self.plan.timed.then_some(1)) {
                check(self.plan.timed, "out of time without a time");
                continue;
            }
            if self.plan.given {
                continue;
            }
            self.inside.set(self.inside.get() & !(1 << (slot - 1)));
            check(give_token(self.tokens.iter(), slot), "its unit was not its own");
            self.wait.notify(1);
        }
    }

    fn giver(&self) {
        for _ in 0..self.plan.units {
            check(give(&self.units, 9), "there is room");
            self.wait.notify(1);
        }
    }
}

impl<M: Simulated> Scenario for Units<M> {
    fn begin(&self) {
        with(|machine| {
            for _ in 0..self.plan.takers {
                machine.start("taker", TAKER, 0, false, true);
            }
            if self.plan.given {
                machine.start("giver", GIVER, 0, false, false);
            }
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            TAKER => self.taker(),
            GIVER => self.giver(),
            _ => {
                keep(self.plan.takers as usize + self.plan.given as usize, argument, self.plan.trusts, |dead, force| {
                    return_tokens(self.tokens.iter(), dead);
                    if !self.plan.silent {
                        self.wait.broadcast(force);
                    }
                })
            }
        }
    }

    fn end(&self) {
        if nobody_died() {
            check(self.wait.waiters() == 0, "counts somebody who is not there");
            check(self.tokens.iter().all(|token| token.load(Relaxed) == 0), "a unit is gone");
        }
    }
}

const OWNED: UnitsPlan = UnitsPlan {
    takers: 3,
    rounds: 1,
    units: 1,
    given: false,
    timed: false,
    silent: false,
    trusts: false,
    looks_first: false,
};
const GIVEN: UnitsPlan = UnitsPlan { given: true, units: 3, ..OWNED };

#[test]
fn semaphore_owned() {
    holds("semaphore, owned unit, 3 processes, 2 kills", limits(2, 0, 150_000), || Units::<Sim>::new(OWNED));
}

#[test]
fn semaphore_two_units() {
    let plan = UnitsPlan { units: 2, rounds: 2, ..OWNED };
    holds("semaphore, 2 owned units, 3 processes, 1 kill", limits(1, 0, 150_000), || Units::<Sim>::new(plan));
}

#[test]
fn semaphore_given() {
    let plan = UnitsPlan { takers: 2, units: 2, ..GIVEN };
    holds("semaphore, 2 waiters, notify(1) twice, 1 kill", limits(1, 0, 150_000), || Units::<Sim>::new(plan));
    holds("semaphore, 3 waiters, notify(1), 2 kills", limits(2, 0, 150_000), || Units::<Sim>::new(GIVEN));
}

#[test]
fn semaphore_timeouts() {
    let plan = UnitsPlan { timed: true, rounds: 2, ..OWNED };
    holds("semaphore, timeouts, 1 kill", limits(1, 2, 150_000), || Units::<Sim>::new(plan));
}

#[test]
fn semaphore_random() {
    let limits = Limits { spurious: 2, random: Duration::from_millis(500), ..limits(2, 3, 0) };
    let plan = UnitsPlan { takers: 4, rounds: 3, units: 2, timed: true, ..OWNED };
    holds("semaphore, 4 processes, 3 rounds, 2 kills", limits, || Units::<Sim>::new(plan));
}

#[test]
fn bug_semaphore_repair_is_silent() {
    let plan = UnitsPlan { silent: true, ..OWNED };
    let name = "bug: units come back, and nobody is told";
    catches(name, Shows::Hang, limits(2, 0, 4_000_000), || Units::<Sim>::new(plan));
}

#[test]
fn bug_semaphore_successor_trusts_the_count() {
    let plan = UnitsPlan { trusts: true, takers: 3, ..OWNED };
    let name = "bug: successor trusts the wait word's count";
    catches(name, Shows::Hang, limits(2, 0, 4_000_000), || Units::<Sim>::new(plan));
}

#[test]
fn bug_semaphore_looks_before_it_is_counted() {
    let plan = UnitsPlan { looks_first: true, ..OWNED };
    let name = "bug: looks, then is counted";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Units::<Sim>::new(plan));
}

/// A notification leaves the sequence as it is.
enum SameSequence {}
impl Fault for SameSequence {
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        const SEQUENCE: u64 = 0xffff_ffff;
        let waits = current > SEQUENCE;
        let same = if waits { (new & !SEQUENCE) | (current & SEQUENCE) } else { new };
        word.compare_exchange(current, same, Relaxed, Relaxed)
    }
}

#[test]
fn bug_notification_without_sequence() {
    let name = "bug: a notification does not raise the sequence";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Units::<Faulty<SameSequence>>::new(OWNED));
}
