//! Conditions: waiters and notifiers die; a keeper repairs, and may die at it too.

use super::calls::{check, me};
use super::explore::Limits;
use super::keepers::{hex, keep, limits, show, start_keepers};
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::lock_word::{Acquired, LockWord};
use carom::shm::memory::Word32;
use carom::shm::wait_word::WaitWord;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const TAKER: u32 = 0;
const GIVER: u32 = 1;

#[derive(Clone, Copy, Default)]
struct NewsPlan {
    /// Wrong: counted only when the lock is free.
    late: bool,
    /// There is a second producer, who may die.
    second: bool,
    /// Wrong: nobody is woken when the lock is free.
    forgets: bool,
    /// Wrong: the repair marks the lock, and tells no waiter of the condition.
    silent: bool,
}

/// Consumers of items under a lock, and two producers of enough, of whom one may die.
struct Items<M: Simulated> {
    lock: LockWord<M>,
    wait: WaitWord<M>,
    items: M::W32,
    plan: NewsPlan,
}

impl<M: Simulated> Items<M> {
    fn new(plan: NewsPlan) -> Self {
        Items {
            lock: LockWord::from_word(M::word64("lock", 0, hex)),
            wait: WaitWord::from_word(M::word64("wait", 0, show)),
            items: M::word32("items", 0),
            plan,
        }
    }

    fn acquire(&self, slot: u32) {
        loop {
            match self.lock.acquire(0, slot, false, None, || None) {
                Acquired::Held => return,
                Acquired::OwnerDied if self.lock.recover_at_once(0, slot) => return,
                Acquired::OwnerDied => {}
                _ => check(false, "out of time, or gone"),
            }
        }
    }

    fn consumer(&self) {
        let slot = me() as u32 + 1;
        self.acquire(slot);
        while self.items.load(Relaxed) == 0 {
            let early = self.wait.prepare();
            if self.plan.late {
                self.wait.leave(early);
            }
            self.lock.release(0);
            let ticket = if self.plan.late { self.wait.prepare() } else { early };
            check(self.wait.wait_notified(ticket, None, || None, || false), "out of time without a time");
            self.acquire(slot);
        }
        let left = self.items.load(Relaxed) - 1;
        self.items.store(left, Relaxed);
        self.lock.release(0);
    }

    fn producer(&self) {
        let slot = me() as u32 + 1;
        self.acquire(slot);
        let there = self.items.load(Relaxed);
        self.items.store(there + 2, Relaxed);
        let owed = self.wait.notify_later(2);
        self.lock.release(0);
        if !self.plan.forgets {
            self.wait.wake(owed);
        }
    }
}

impl<M: Simulated> Scenario for Items<M> {
    fn begin(&self) {
        with(|machine| {
            machine.start("consumer", TAKER, 0, false, true);
            machine.start("consumer", TAKER, 0, false, true);
            machine.start("producer", GIVER, 0, false, false);
            if self.plan.second {
                machine.start("producer", GIVER, 0, false, true);
            }
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            TAKER => self.consumer(),
            GIVER => self.producer(),
            _ => keep(3 + self.plan.second as usize, argument, false, |dead, force| {
                self.lock.repair(dead, force);
                if !self.plan.silent {
                    self.wait.broadcast(force);
                }
            }),
        }
    }

    fn end(&self) {}
}

#[test]
fn condition_consumers_die() {
    let plan = NewsPlan::default();
    holds("condition, 2 consumers, 1 producer, 1 kill", limits(1, 0, 250_000), || Items::<Sim>::new(plan));
    let limits = Limits { spurious: 2, random: Duration::from_millis(500), ..limits(2, 0, 0) };
    holds("condition, 2 consumers, 1 producer, 2 kills", limits, || Items::<Sim>::new(plan));
}

#[test]
fn condition_producer_dies() {
    let plan = NewsPlan { second: true, ..NewsPlan::default() };
    let limits = Limits { random: Duration::from_millis(500), ..limits(2, 0, 150_000) };
    holds("condition, 2 consumers, 2 producers, 2 kills", limits, || Items::<Sim>::new(plan));
}

#[test]
fn bug_condition_owed_wakes_are_forgotten() {
    let plan = NewsPlan { forgets: true, ..NewsPlan::default() };
    let name = "bug: a notifier releases, and wakes nobody";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Items::<Sim>::new(plan));
}

#[test]
fn bug_condition_counted_too_late() {
    let plan = NewsPlan { late: true, ..NewsPlan::default() };
    let name = "bug: a waiter releases, then is counted";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Items::<Sim>::new(plan));
}
