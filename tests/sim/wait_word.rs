//! Semaphores, events, conditions and barriers over the wait word: waiters, setters, notifiers and parties die, a
//! keeper repairs, and may die at it too.

use super::calls::{Note, await_death, become_mortal, check, forget, me};
use super::explore::Limits;
use super::fault::{Fault, Faulty};
use super::machine::{Event as News, Status, with};
use super::memory::{Sim, SimWord64, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::lock_word::{Acquired, LockWord};
use carom::shm::memory::{Deadline, Word32, Word64};
use carom::shm::sync::{Arrival, Barrier, Event, Meeting, give, give_token, return_tokens, take, take_token};
use carom::shm::wait_word::WaitWord;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Takes what others give back: a unit of its own, if units are owned.
const TAKER: u32 = 0;
const GIVER: u32 = 1;
const KEEPER: u32 = 2;

fn show(word: u64) -> String {
    format!("[sequence {} waiters {} epoch {}]", word as u32, word >> 32 & 0xffff, word >> 48)
}

fn hex(word: u64) -> String {
    format!("{word:#x}")
}

/// What the keepers of all these scenarios do; `repair` is given the dead (0: nobody in particular) and force. Keepers
/// are started behind the others, in a row; each takes over when those before it are dead.
fn keep(first: usize, number: u64, trusts: bool, repair: impl Fn(u32, bool)) {
    let mut known = 0u64;
    for predecessor in first..me() {
        await_death(!(1 << predecessor), false);
        known |= 1 << predecessor;
    }
    if number == 1 {
        become_mortal();
    }
    // What a predecessor had begun with is not known.
    let mut force = number > 0 && !trusts;
    if number > 0 {
        repair(0xfff, force);
    }
    loop {
        forget(known);
        let News::Death(dead) = await_death(known, false) else { continue };
        known |= 1 << dead;
        repair(dead as u32 + 1, force);
        force &= known.count_ones() < 2;
    }
}

fn start_keepers() {
    with(|machine| {
        machine.start("keeper", KEEPER, 0, true, true);
        machine.start("keeper", KEEPER, 1, true, false);
        machine.start("keeper", KEEPER, 2, true, false);
    });
}

fn is_dead(who: usize) -> bool {
    with(|machine| machine.processes[who].status == Status::Dead)
}

fn nobody_died() -> bool {
    with(|machine| machine.used.kills == 0)
}

fn limits(kills: u8, timeouts: u8, runs: u64) -> Limits {
    Limits { kills, timeouts, runs, ..Limits::default() }
}

// ------------------------------------------------------------------------------------------------------------ semaphore

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
        let same = if new >> 32 & 0xffff == current >> 32 & 0xffff && new >> 32 != 0 { current } else { new };
        word.compare_exchange(current, same, Relaxed, Relaxed)
    }
}

#[test]
fn bug_notification_without_sequence() {
    let name = "bug: a notification does not raise the sequence";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Units::<Faulty<SameSequence>>::new(OWNED));
}

// ---------------------------------------------------------------------------------------------------------------- event

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

// ------------------------------------------------------------------------------------------------------------ condition

#[derive(Clone, Copy, Default)]
struct NewsPlan {
    /// Wrong: counted only when the lock is free.
    late: bool,
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
        match self.lock.acquire(0, slot, false, None, || None) {
            Acquired::Held => {}
            Acquired::OwnerDied => {
                let held = self.lock.acquire(0, slot, true, None, || None);
                check(held == Acquired::Held, "it was not recovered");
            }
            _ => check(false, "out of time, or gone"),
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
            check(self.wait.wait_notified(ticket, None, || None), "out of time without a time");
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
        self.wait.notify(2);
        self.lock.release(0);
    }
}

impl<M: Simulated> Scenario for Items<M> {
    fn begin(&self) {
        with(|machine| {
            machine.start("consumer", TAKER, 0, false, true);
            machine.start("consumer", TAKER, 0, false, true);
            machine.start("producer", GIVER, 0, false, false);
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            TAKER => self.consumer(),
            GIVER => self.producer(),
            _ => keep(3, argument, false, |dead, force| {
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
fn bug_condition_counted_too_late() {
    let plan = NewsPlan { late: true, ..NewsPlan::default() };
    let name = "bug: a waiter releases, then is counted";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Items::<Sim>::new(plan));
}

// -------------------------------------------------------------------------------------------------------------- barrier

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
