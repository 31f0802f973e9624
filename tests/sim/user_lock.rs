//! The lock word of users' locks: owners die, a keeper repairs, and may die at it too.

use super::calls::{Note, check, forget, me};
use super::explore::Limits;
use super::fault::{Fault, Faulty};
use super::keepers::{KEEPER, keep, limits, start_keepers};
use super::machine::{Op, Status, with};
use super::memory::{NOBODY, Sim, SimWord64, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::lock_word::{Acquired, LockWord, Released};
use carom::shm::memory::{Word32, Word64};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const LOCKER: u32 = 0;
const OWNER: u32 = 1;
const STRANGER: u32 = 9;
const GENERATION: u16 = 3;

#[derive(Clone, Copy, Default)]
struct Plan {
    lockers: u64,
    rounds: u64,
    /// Acquires may run out of time.
    timed: bool,
    /// The object ends while they are at it.
    retires: bool,
    /// Somebody writes the name of a process that there is not.
    names_nobody: bool,
    /// Wrong: a successor trusts the count.
    trusts_count: bool,
    /// Wrong: the keeper does nothing for a dead process that was not the owner.
    only_owners: bool,
}

struct UserLock<M: Simulated> {
    lock: LockWord<M>,
    data: M::W32,
    /// 0, or who is inside (`who + 1`), or who is on the way out (`who + 1 + LEAVING`).
    holder: Note,
    plan: Plan,
}

const LEAVING: u64 = 100;

fn show(word: u64) -> String {
    let died = if word >> 30 & 1 == 1 { " DIED" } else { "" };
    let waiters = if word >> 31 & 1 == 1 { " W" } else { "" };
    let (owner, epoch, count) = (word & 0xfff, word >> 12 & 0x3_ffff, word >> 32 & 0xffff);
    format!("[owner {owner}{died}{waiters} epoch {epoch} count {count} generation {}]", word >> 48)
}

impl<M: Simulated> UserLock<M> {
    fn new(plan: Plan) -> Self {
        UserLock {
            lock: LockWord::from_word(M::word64("lock", (GENERATION as u64) << 48, show)),
            data: M::word32("data", 0),
            holder: Note::new("holder"),
            plan,
        }
    }

    /// Whether the process that was inside last has released, and whether it is dead.
    fn last_holder(&self) -> (bool, bool) {
        let before = self.holder.get();
        if before == 0 {
            return (true, false);
        }
        let who = ((before - 1) % LEAVING) as usize;
        let (status, next) = with(|machine| (machine.processes[who].status, machine.processes[who].next.op));
        let released = before > LEAVING && !matches!(next, Op::Load | Op::Exchange);
        (released, status == Status::Dead)
    }

    fn locker(&self) {
        let me = me() as u64 + 1;
        let deadline = self.plan.timed.then_some(1);
        let mut round = 0;
        let mut recover = false;
        while round < self.plan.rounds {
            forget(round * 2 + recover as u64);
            match self.lock.acquire(GENERATION, me as u32, recover, deadline, || None) {
                Acquired::Held => self.inside(me, recover),
                Acquired::OwnerDied => {
                    check(!recover, "recovering, it says that the owner died");
                    let (released, dead) = self.last_holder();
                    check(self.plan.names_nobody || !released && dead, "it says that an owner died, but none did");
                    recover = true;
                    continue;
                }
                Acquired::TimedOut => check(self.plan.timed, "out of time without a time"),
                Acquired::Interrupted => check(false, "no signal was sent"),
                Acquired::Gone => return check(self.plan.retires, "gone, but it is not"),
            }
            recover = false;
            round += 1;
        }
    }

    fn inside(&self, me: u64, recover: bool) {
        if !self.plan.retires {
            let (released, dead) = self.last_holder();
            check(released || dead, "two inside at once");
            check(released || recover, "an owner died, and nobody said so");
        }
        self.holder.set(me);
        self.data.store(me as u32, Relaxed);
        let alone = self.data.load(Relaxed) == me as u32;
        check(alone || self.plan.retires, "somebody else wrote inside");
        self.holder.set(me + LEAVING);
        let released = self.lock.release(GENERATION);
        let expected = released == Released::Free || (self.plan.retires && released == Released::Gone);
        check(expected, "its own lock was not its own");
        if self.holder.get() == me + LEAVING {
            self.holder.set(0);
        }
    }

    fn keeper(&self, number: u64) {
        keep(self.plan.lockers as usize, number, self.plan.trusts_count, |slot, force| {
            if !self.plan.only_owners || self.lock.owner(GENERATION) == Some(slot) {
                self.lock.repair(slot, force);
            }
        });
    }
}

impl<M: Simulated> Scenario for UserLock<M> {
    fn begin(&self) {
        with(|machine| {
            for _ in 0..self.plan.lockers {
                machine.start("locker", LOCKER, 0, false, true);
            }
        });
        start_keepers();
        if self.plan.retires {
            with(|machine| machine.start("owner", OWNER, 0, false, false));
        }
        if self.plan.names_nobody {
            with(|machine| machine.start("stranger", STRANGER, 0, false, false));
        }
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            LOCKER => self.locker(),
            KEEPER => self.keeper(argument),
            STRANGER => {
                let acquired = self.lock.acquire(GENERATION, NOBODY, true, None, || None);
                check(acquired == Acquired::Held, "it does not get the lock");
            }
            _ => self.lock.retire(GENERATION + 1, false),
        }
    }

    fn end(&self) {
        let bits = self.lock.bits();
        if !self.plan.retires {
            check(bits >> 48 == GENERATION as u64, "another generation");
            let killed = with(|machine| machine.used.kills > 0);
            check(killed || bits >> 31 & 0x1ffff == 0, "counts somebody who is not there");
        }
    }
}

const TWO: Plan = Plan {
    lockers: 2,
    rounds: 2,
    timed: false,
    retires: false,
    names_nobody: false,
    trusts_count: false,
    only_owners: false,
};
const THREE: Plan = Plan { lockers: 3, rounds: 1, ..TWO };

#[test]
fn user_lock_two_processes() {
    holds("user lock, 2 processes, 2 rounds, 2 kills", limits(2, 0, 350_000), || UserLock::<Sim>::new(TWO));
}

#[test]
fn user_lock_three_processes() {
    holds("user lock, 3 processes, 2 kills", limits(2, 0, 400_000), || UserLock::<Sim>::new(THREE));
}

#[test]
fn user_lock_timeouts() {
    let plan = Plan { timed: true, ..THREE };
    holds("user lock, 3 processes, timeouts, 1 kill", limits(1, 2, 400_000), || UserLock::<Sim>::new(plan));
}

#[test]
fn user_lock_retires() {
    let plan = Plan { retires: true, rounds: 1, ..TWO };
    holds("user lock, object ends, 1 kill", limits(1, 0, 200_000), || UserLock::<Sim>::new(plan));
}

#[test]
fn user_lock_random() {
    let limits = Limits { spurious: 2, random: Duration::from_millis(1000), ..limits(2, 3, 0) };
    let plan = Plan { lockers: 4, rounds: 3, timed: true, ..TWO };
    holds("user lock, 4 processes, 3 rounds, timeouts, 2 kills", limits, || UserLock::<Sim>::new(plan));
}

#[test]
fn bug_repairs_only_owners() {
    let plan = Plan { only_owners: true, ..THREE };
    let name = "bug: a death of no owner wakes nobody";
    catches(name, Shows::Hang, limits(2, 0, 2_000_000), || UserLock::<Sim>::new(plan));
}

#[test]
fn bug_successor_trusts_the_count() {
    let plan = Plan { trusts_count: true, ..THREE };
    let name = "bug: successor trusts the count";
    catches(name, Shows::Hang, limits(2, 0, 4_000_000), || UserLock::<Sim>::new(plan));
}

/// A repair leaves the epoch as it is.
enum SameEpoch {}
impl Fault for SameEpoch {
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        const EPOCH: u64 = 0x3_ffff << 12;
        word.compare_exchange(current, (new & !EPOCH) | (current & EPOCH), Relaxed, Relaxed)
    }
}

#[test]
fn bug_repair_without_epoch() {
    let name = "bug: a repair does not raise the epoch";
    catches(name, Shows::Hang, limits(2, 0, 4_000_000), || UserLock::<Faulty<SameEpoch>>::new(THREE));
}

/// A woken sleeper takes the lock without saying that others may sleep.
enum ForgetsTheOthers {}
impl Fault for ForgetsTheOthers {
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        const OWNER: u64 = 0xfff;
        const WAITERS: u64 = 1 << 31;
        let takes = current & OWNER == 0 && new & OWNER != 0;
        word.compare_exchange(current, if takes { new & !WAITERS } else { new }, Relaxed, Relaxed)
    }
}

#[test]
fn bug_woken_forgets_the_others() {
    let name = "bug: a woken sleeper forgets the others";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || UserLock::<Faulty<ForgetsTheOthers>>::new(THREE));
}

const NAMED: Plan = Plan { names_nobody: true, rounds: 1, ..TWO };

/// A sleeper looks again after a while: one that had slept before may be woken by nobody.
enum LooksAgain {}
impl Fault for LooksAgain {
    fn looks_again() -> bool {
        true
    }
}

#[test]
fn user_lock_names_nobody() {
    let name = "user lock, 2 processes, owned by nobody, 1 kill";
    holds(name, limits(1, 1, 400_000), || UserLock::<Faulty<LooksAgain>>::new(NAMED));
}

/// Whoever stands there is believed to exist.
enum BelievesInNobody {}
impl Fault for BelievesInNobody {
    fn is_nobody(_: u32) -> bool {
        false
    }
    fn looks_again() -> bool {
        true
    }
}

#[test]
fn bug_nobody_is_waited_for() {
    let name = "bug: a lock of nobody is waited for";
    catches(name, Shows::Hang, limits(0, 0, 400_000), || UserLock::<Faulty<BelievesInNobody>>::new(NAMED));
}

/// What somebody writes who should not takes a wake away; a sleeper looks again after a while.
enum LosesWakes {}
impl Fault for LosesWakes {
    fn wake64(_: &SimWord64, _: u32) -> u32 {
        0
    }
    fn looks_again() -> bool {
        true
    }
}

#[test]
fn user_lock_loses_wakes() {
    holds("user lock, 3 processes, no wakes, 1 kill", limits(1, 2, 400_000), || {
        UserLock::<Faulty<LosesWakes>>::new(THREE)
    });
}

/// The same, and it does not.
enum SleepsOn {}
impl Fault for SleepsOn {
    fn wake64(word: &SimWord64, count: u32) -> u32 {
        LosesWakes::wake64(word, count)
    }
}

#[test]
fn bug_sleeps_on() {
    let name = "bug: a sleeper without a wake never looks again";
    catches(name, Shows::Hang, limits(0, 0, 400_000), || UserLock::<Faulty<SleepsOn>>::new(THREE));
}
