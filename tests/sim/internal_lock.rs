//! The internal lock under kills at every access.

use super::calls::{Note, check, forget, me};
use super::explore::Limits;
use super::fault::{Fault, Faulty};
use super::machine::{Op, Status, with};
use super::memory::{Sim, SimWord64, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::internal_lock::InternalLock;
use carom::shm::memory::{Memory, Word32, Word64};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

struct Internal<M: Simulated> {
    lock: InternalLock<M>,
    data: M::W32,
    /// 0, or who is inside (`who + 1`), or who is on the way out (`who + 1 + LEAVING`).
    holder: Note,
    processes: u32,
    rounds: u64,
}

const LEAVING: u64 = 100;

fn show(word: u64) -> String {
    let owner = word & 0x3fff_ffff;
    let died = if word >> 30 & 1 == 1 { " DIED" } else { "" };
    let waiters = if word >> 31 & 1 == 1 { " W" } else { "" };
    format!("[owner {owner}{died}{waiters} count {}]", word >> 32 & 0xffff)
}

impl<M: Simulated> Internal<M> {
    fn new(processes: u32, rounds: u64) -> Self {
        let word = M::word64("lock", 0, show);
        Internal {
            lock: InternalLock::from_word(word),
            data: M::word32("data", 0),
            holder: Note::new("holder"),
            processes,
            rounds,
        }
    }

    /// Who was in before us must be out, or dead; and dead inside is what the lock must say.
    fn entered(&self, owner_died: bool) {
        let before = self.holder.get();
        if before == 0 {
            return check(!owner_died, "owner_died, but nobody died inside");
        }
        let who = (before - 1) % LEAVING;
        let (dead, next) = with(|machine| {
            let process = &machine.processes[who as usize];
            let dead = !matches!(process.status, Status::Ready | Status::Asleep { .. } | Status::Done);
            (dead, process.next.op)
        });
        let released = before > LEAVING && !matches!(next, Op::Load | Op::Exchange);
        check(dead || released, "two inside at once");
        check(owner_died != released, "owner_died says the opposite of what happened");
    }
}

impl<M: Simulated> Scenario for Internal<M> {
    fn begin(&self) {
        with(|machine| {
            for _ in 0..self.processes {
                machine.start("locker", 0, 0, false, true);
            }
        });
    }

    fn process(&self, _: u32, _: u64) {
        let me = me() as u64 + 1;
        for round in 0..self.rounds {
            let guard = self.lock.lock();
            self.entered(guard.owner_died);
            self.holder.set(me);
            self.data.store(me as u32, Relaxed);
            check(self.data.load(Relaxed) == me as u32, "somebody else wrote inside");
            self.holder.set(me + LEAVING);
            drop(guard);
            if self.holder.get() == me + LEAVING {
                self.holder.set(0);
            }
            forget(round);
        }
    }

    fn end(&self) {
        let killed = with(|machine| machine.used.kills > 0);
        check(killed || self.lock.bits() == 0, "counts somebody who is not there");
    }
}

fn limits(kills: u8, runs: u64) -> Limits {
    Limits { kills, runs, ..Limits::default() }
}

#[test]
fn internal_lock_two_processes() {
    holds("internal lock, 2 processes, 2 rounds, 2 kills", limits(2, 300_000), || Internal::<Sim>::new(2, 2));
}

#[test]
fn internal_lock_three_processes() {
    holds("internal lock, 3 processes, 1 round, 2 kills", limits(2, 600_000), || Internal::<Sim>::new(3, 1));
}

#[test]
fn internal_lock_three_processes_two_rounds() {
    holds("internal lock, 3 processes, 2 rounds, 1 kill", limits(1, 500_000), || Internal::<Sim>::new(3, 2));
}

#[test]
fn internal_lock_spurious_wakes() {
    let limits = Limits { spurious: 2, ..limits(1, 300_000) };
    holds("internal lock, 2 processes, needless wakes, 1 kill", limits, || Internal::<Sim>::new(2, 2));
}

#[test]
fn internal_lock_random() {
    let limits = Limits { spurious: 2, random: Duration::from_millis(1000), ..limits(3, 0) };
    holds("internal lock, 4 processes, 3 rounds, 3 kills", limits, || Internal::<Sim>::new(4, 3));
}

const OWNER: u64 = 0x3fff_ffff;

fn exchange(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
    word.compare_exchange(current, new, Relaxed, Relaxed)
}

/// Whoever takes a free word forgets that somebody sleeps, as glibc's robust mutexes do.
enum LosesBit {}
impl Fault for LosesBit {
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        let takes = current & OWNER == 0 && new & OWNER != 0;
        exchange(word, current, if takes { new & !(1 << 31) } else { new })
    }
}

#[test]
fn bug_internal_lock_loses_bit() {
    let name = "bug: internal lock loses the waiters' bit";
    catches(name, Shows::Hang, limits(1, 1_000_000), || Internal::<Faulty<LosesBit>>::new(3, 1));
}

/// The word is no longer named when the wake is still owed.
enum ClearsEarly {}
impl Fault for ClearsEarly {
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        let done = exchange(word, current, new);
        if done.is_ok() && new & OWNER == 0 {
            Sim::pending_clear();
        }
        done
    }
}

#[test]
fn bug_internal_lock_clears_early() {
    let name = "bug: internal lock names its word too short";
    catches(name, Shows::Hang, limits(1, 1_000_000), || Internal::<Faulty<ClearsEarly>>::new(2, 1));
}

/// Every wake of the lock is dropped.
enum NoWake {}
impl Fault for NoWake {
    fn wake64(_: &SimWord64, _: u32) -> u32 {
        0
    }
}

#[test]
fn bug_internal_lock_without_wakes() {
    let name = "bug: internal lock never wakes";
    catches(name, Shows::Hang, limits(0, 100_000), || Internal::<Faulty<NoWake>>::new(2, 1));
}

/// The kernel is not told which word is being taken.
enum NoPending {}
impl Fault for NoPending {
    fn pending_set(_: &SimWord64) {}
}

#[test]
fn bug_internal_lock_without_pending() {
    let name = "bug: internal lock does not name its word";
    catches(name, Shows::Hang, limits(1, 100_000), || Internal::<Faulty<NoPending>>::new(2, 1));
}
