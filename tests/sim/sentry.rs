//! The keeper's liveness word: whoever sleeps hears of the keeper's death and starts the next.
//!
//! The lock word is the shipped source; the sentry and the keeper are transcribed from
//! `family.rs` and `keeper/mod.rs`, which are not generic over `Memory`.

use super::calls::{Note, await_death, check, forget, fork, me};
use super::explore::Limits;
use super::machine::{Event, Status, with};
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::lock_word::{Acquired, LockWord, Released};
use carom::shm::memory::{Memory, Wake, Word32};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const LOCKER: u32 = 0;
const KEEPER: u32 = 1;
const OWNER: u32 = 0x3fff_ffff;
const WAITERS: u32 = 1 << 31;

#[derive(Clone, Copy, Default)]
struct Plan {
    lockers: u32,
    rounds: u64,
    /// Wrong: who needs no keeper any more does not wake the next.
    keeps_news: bool,
    /// Wrong: a sentry is not announced to the kernel.
    unannounced: bool,
    /// Wrong: looks whether the keeper lives, then reads the word that it will sleep on.
    reads_twice: bool,
    /// Wrong: a new keeper wakes nobody.
    silent_start: bool,
}

struct Guarded {
    lock: LockWord<Sim>,
    liveness: <Sim as Memory>::W32,
    data: <Sim as Memory>::W32,
    holder: Note,
    plan: Plan,
}

struct Sentry<'a> {
    guarded: &'a Guarded,
    armed: bool,
}

impl<'a> Sentry<'a> {
    fn alarm(&mut self) -> Option<(&'a <Sim as Memory>::W32, u32)> {
        let word = &self.guarded.liveness;
        if !self.armed && !self.guarded.plan.unannounced {
            Sim::pending32(word);
        }
        self.armed = true;
        loop {
            let seen = word.load(Relaxed);
            if seen & OWNER != 0 {
                // Not a second load: the keeper may die in between, and its wake is then long gone.
                let seen = if self.guarded.plan.reads_twice { word.load(Relaxed) } else { seen };
                return Some((word, seen));
            }
            fork("keeper", KEEPER, 0, true);
            // One second; then it tries again.
            while word.load(Relaxed) & OWNER == 0 && Sim::wait32(word, seen, None, Some(1)) != Wake::TimedOut {}
        }
    }

    fn end(&self) {
        if !self.armed {
            return;
        }
        let word = &self.guarded.liveness;
        if word.load(Relaxed) & OWNER == 0 && !self.guarded.plan.keeps_news {
            Sim::wake32(word, 1);
        }
        Sim::pending_clear();
    }
}

impl Guarded {
    fn new(plan: Plan) -> Self {
        Guarded {
            lock: LockWord::from_word(Sim::word64("lock", 0, |word| format!("{word:#x}"))),
            // The first keeper is there from the beginning.
            liveness: Sim::word32("liveness", 1 | WAITERS),
            data: Sim::word32("data", 0),
            holder: Note::new("holder"),
            plan,
        }
    }

    fn locker(&self) {
        let mine = me() as u64 + 1;
        let mut round = 0;
        let mut recover = false;
        while round < self.plan.rounds {
            forget(round * 2 + recover as u64);
            let mut sentry = Sentry { guarded: self, armed: false };
            let acquired = self.lock.acquire(0, mine as u32, recover, None, || sentry.alarm());
            sentry.end();
            recover = acquired == Acquired::OwnerDied;
            if recover {
                continue;
            }
            check(acquired == Acquired::Held, "neither held nor dead");
            let before = self.holder.get();
            let gone = before == 0 || with(|machine| machine.processes[before as usize - 1].status == Status::Dead);
            check(gone, "two inside at once");
            self.holder.set(mine);
            self.data.store(mine as u32, Relaxed);
            self.holder.set(0);
            check(self.lock.release(0) == Released::Free, "its own lock was not its own");
            round += 1;
        }
    }

    fn take_word(&self) -> bool {
        Sim::pending32(&self.liveness);
        let mut seen = self.liveness.load(Relaxed);
        let held = loop {
            if seen & OWNER != 0 {
                break false;
            }
            match self.liveness.compare_exchange(seen, Sim::thread_id() | WAITERS, Relaxed, Relaxed) {
                Ok(_) => break true,
                Err(now) => seen = now,
            }
        };
        if held {
            Sim::hold32(&self.liveness);
        }
        Sim::pending_clear();
        held
    }

    fn keeper(&self) {
        if me() == 0 {
            Sim::hold32(&self.liveness);
        } else if !self.take_word() {
            return;
        } else if !self.plan.silent_start {
            Sim::wake32(&self.liveness, u32::MAX);
            self.lock.repair(0xfff, true);
        }
        let mut known = 0u64;
        loop {
            forget(known);
            if let Event::Death(dead) = await_death(known, false) {
                known |= 1 << dead;
                self.lock.repair(dead as u32 + 1, false);
            }
        }
    }
}

impl Scenario for Guarded {
    fn begin(&self) {
        with(|machine| {
            machine.start("keeper", KEEPER, 0, true, true);
            for _ in 0..self.plan.lockers {
                machine.start("locker", LOCKER, 0, false, true);
            }
        });
    }

    fn process(&self, role: u32, _: u64) {
        if role == LOCKER { self.locker() } else { self.keeper() }
    }
}

fn limits(kills: u8, runs: u64) -> Limits {
    Limits { kills, runs, ..Limits::default() }
}

const TWO: Plan =
    Plan { lockers: 2, rounds: 1, keeps_news: false, unannounced: false, reads_twice: false, silent_start: false };
const THREE: Plan = Plan { lockers: 3, ..TWO };

#[test]
fn sentry_three_processes() {
    holds("sentry, 3 sleepers, 2 kills", limits(2, 450_000), || Guarded::new(THREE));
}

#[test]
fn sentry_random() {
    let limits = Limits { random: Duration::from_millis(1000), spurious: 1, ..limits(3, 0) };
    holds("sentry, 4 sleepers, 2 rounds, 3 kills", limits, || Guarded::new(Plan { lockers: 4, rounds: 2, ..TWO }));
}

#[test]
fn bug_sentry_keeps_news() {
    let plan = Plan { keeps_news: true, ..THREE };
    catches("bug: the keeper's death is not passed on", Shows::Hang, limits(2, 3_000_000), || Guarded::new(plan));
}

#[test]
fn bug_sentry_unannounced() {
    let plan = Plan { unannounced: true, ..THREE };
    let limits = Limits { random: Duration::from_secs(20), ..limits(3, 0) };
    catches("bug: a sentry dies with the news", Shows::Hang, limits, || Guarded::new(plan));
}

#[test]
fn bug_silent_start() {
    let plan = Plan { silent_start: true, ..THREE };
    catches("bug: a new keeper wakes nobody", Shows::Hang, limits(3, 3_000_000), || Guarded::new(plan));
}

/// As `family.rs` had it until this test.
#[test]
fn bug_sentry_reads_twice() {
    let plan = Plan { reads_twice: true, ..THREE };
    catches("bug: the liveness word is read twice", Shows::Hang, limits(2, 3_000_000), || Guarded::new(plan));
}
