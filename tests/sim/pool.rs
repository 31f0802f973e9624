//! One lane of a pool: host, worker, keeper and the keeper's successor, each under kills.
//!
//! The host assigns tasks into a ring of two slots and collects in order. The keeper buries a dead
//! worker, forks the next one and enforces time limits; a successor takes over when it dies. What
//! the member table knows (who lives) is asked of the simulated kernel.

use super::calls::{
    Note, await_death, become_mortal, check, choose, forever, forget, fork, killed, living, me, signal,
};
use super::explore::Limits;
use super::machine::{Event, with};
use super::memory::Simulated;
use super::runner::Scenario;
use carom::shm::lane::{Bell, Fate, State, Task, TaskWord, Turn, at_place, first_place};
use carom::shm::memory::Word32;
use std::sync::atomic::Ordering::Relaxed;

const HOST: u32 = 0;
pub const WORKER: u32 = 1;
pub const KEEPER: u32 = 2;
const SLOTS: u32 = 2;

/// A task of so many items.
#[derive(Clone, Copy)]
pub struct Plan {
    pub items: u64,
    /// This item never ends by itself.
    pub endless: Option<u64>,
}

pub const SHORT: Plan = Plan { items: 1, endless: None };
pub const CHUNK: Plan = Plan { items: 2, endless: None };
pub const ENDLESS: Plan = Plan { items: 2, endless: Some(0) };

/// What is wrong with the program around the words; nothing by default.
#[derive(Clone, Copy, Default)]
pub struct Wrong {
    /// The keeper signals without having decided by compare-and-swap.
    pub signals_first: bool,
    /// The host collects a task as soon as the keeper has decided to kill its worker.
    pub collects_killed: bool,
    /// A successor does not look for sentences that its predecessor did not carry out.
    pub forgets_sentence: bool,
    /// Nobody wakes everybody after a death.
    pub silent_burial: bool,
    /// A worker that is slow is taken for dead.
    pub hasty: bool,
    /// The host does not look again between announcing itself and sleeping.
    pub looks_once: bool,
    /// The worker says that it is done before it is.
    pub done_early: bool,
    /// The worker goes on by plain stores although it may be killed for its time.
    pub plain_advance: bool,
    /// The worker goes on with the next task when it has lost one to the keeper.
    pub goes_on: bool,
    /// The keeper tells a worker that it should stop without having asked it to stay.
    pub tells_unasked: bool,
    /// The keeper says that the signal is sent before it is.
    pub tells_early: bool,
    /// A new worker begins at the first assigned slot of the ring, not at the oldest task.
    pub begins_anywhere: bool,
}

pub struct Pool<M: Simulated> {
    slots: Vec<TaskWord<M>>,
    results: Vec<M::W32>,
    /// The worker sleeps here.
    work: Bell<M>,
    /// The host sleeps here.
    news: Bell<M>,
    /// Task (+ 1) whose property a slot is.
    holds: Vec<Note>,
    /// Bit per item that was executed.
    executed: Vec<Note>,
    outcome: Vec<Note>,
    /// Item (+ 1) that the keeper decided about.
    sentenced: Vec<Note>,
    lost: Note,
    /// Workers that a keeper ended whose predecessor was about to tell them something.
    ended: Note,
    /// Task and item (+ 1) that the worker is at.
    at: Note,
    /// The signal that says that an item should stop, on its way.
    signal: M::W32,
    /// Raised when it was sent.
    told: M::W32,
    plan: &'static [Plan],
    limited: bool,
    softly: bool,
    revokes: bool,
    wrong: Wrong,
}

fn show(word: u64) -> String {
    let task = Task::from_bits(word);
    format!("{:?}(use {}, item {})", task.state(), task.sequence(), task.item())
}

impl<M: Simulated> Pool<M> {
    pub fn new(plan: &'static [Plan], limited: bool, wrong: Wrong) -> Self {
        let notes = |name: &str, count: usize| (0..count).map(|at| Note::new(&format!("{name}[{at}]"))).collect();
        let slot = |at| TaskWord::from_word(M::word64(&format!("slot[{at}]"), 0, show));
        Pool {
            slots: (0..SLOTS).map(slot).collect(),
            results: (0..SLOTS).map(|at| M::word32(&format!("result[{at}]"), 0)).collect(),
            work: Bell::from_word(M::word32("bell of the worker", 0)),
            news: Bell::from_word(M::word32("bell of the host", 0)),
            holds: notes("holds", SLOTS as usize),
            executed: notes("executed", plan.len()),
            outcome: notes("outcome", plan.len()),
            sentenced: notes("sentenced", plan.len()),
            lost: Note::new("lost"),
            ended: Note::new("ended"),
            at: Note::new("at"),
            signal: M::word32("signal", 0),
            told: M::word32("told", 0),
            plan,
            limited,
            softly: false,
            revokes: false,
            wrong,
        }
    }

    /// The host may take the last task but one back.
    pub fn with_revoke(mut self) -> Self {
        self.revokes = true;
        self
    }

    /// The keeper may tell an item that it should stop, besides.
    pub fn with_soft_limit(mut self) -> Self {
        self.softly = true;
        self
    }

    fn host(&self) {
        let (mut assigned, mut collected) = (0, 0);
        while collected < self.plan.len() {
            forget((assigned * 16 + collected) as u64);
            while assigned < self.plan.len() && assigned - collected < SLOTS as usize {
                let slot = assigned % SLOTS as usize;
                self.holds[slot].set(assigned as u64 + 1);
                let task = self.slots[slot].assign(0);
                self.work.ring();
                assigned += 1;
                if self.revokes && assigned + 1 == self.plan.len() && choose(2) == 1 {
                    let _ = self.slots[slot].revoke(task);
                }
            }
            let slot = &self.slots[collected % SLOTS as usize];
            let seen = slot.load();
            if self.ends(seen) {
                self.collect(collected, seen);
                slot.release(seen);
                collected += 1;
                continue;
            }
            let ticket = self.news.prepare();
            if self.wrong.looks_once || !self.ends(slot.load()) {
                self.news.sleep(ticket, None, None);
            }
        }
    }

    fn ends(&self, seen: Task) -> bool {
        seen.state().is_final() || (self.wrong.collects_killed && seen.state() == State::Killed)
    }

    /// Each outcome against what has really happened.
    fn collect(&self, task: usize, seen: Task) {
        check(self.outcome[task].get() == 0, "a task has two outcomes");
        self.outcome[task].set(seen.state() as u64);
        self.holds[task % SLOTS as usize].set(0);
        let executed = self.executed[task].get();
        let before = (1u64 << seen.item()) - 1;
        let as_far = executed & before == before && executed >> seen.item() <= 1;
        match seen.state() {
            State::Done => check(executed == (1 << self.plan[task].items) - 1, "done, but not all of it"),
            State::Revoked => check(executed == 0, "revoked, but executed"),
            State::Lost => {
                let lost = self.lost.get() + 1;
                self.lost.set(lost);
                check(lost <= killed(WORKER) as u64 + self.ended.get(), "lost, but nobody killed the worker");
                check(as_far, "lost at another item than the word says");
            }
            _ => {
                check(self.sentenced[task].get() == seen.item() + 1, "out of time, but nobody decided so");
                check(as_far, "out of time at another item than the word says");
            }
        }
    }

    fn worker(&self) {
        let mut place = self.begin_at();
        loop {
            forget(place);
            let (at, sequence) = at_place(place, SLOTS);
            let slot = &self.slots[at as usize];
            let seen = slot.load();
            match seen.turn(sequence) {
                Turn::Skip => place += 1,
                Turn::Wait => {
                    let ticket = self.work.prepare();
                    if slot.load().turn(sequence) == Turn::Wait {
                        self.work.sleep(ticket, None, None);
                    }
                }
                Turn::Run => {
                    if let Ok(running) = slot.start(seen) {
                        self.execute(at as usize, running);
                        self.news.ring();
                    }
                }
            }
        }
    }

    fn begin_at(&self) -> u64 {
        let task = |at: u32| self.slots[at as usize].load();
        if self.wrong.begins_anywhere
            && let Some(at) = (0..SLOTS).find(|&at| task(at).state() == State::Assigned)
        {
            return (task(at).sequence() * SLOTS + at) as u64;
        }
        first_place(SLOTS, task)
    }

    fn execute(&self, at: usize, mut running: Task) {
        let slot = &self.slots[at];
        let task = self.holds[at].get() as usize - 1;
        let plan = self.plan[task];
        loop {
            let item = running.item();
            self.at.set(task as u64 * 16 + item + 1);
            let last = item + 1 == plan.items;
            check(self.executed[task].get() >> item & 1 == 0, "an item runs twice");
            if plan.endless == Some(item) {
                forever();
            }
            let early = last && self.wrong.done_early;
            let finished = early.then(|| slot.finish(running));
            self.results[at].store(me() as u32, Relaxed);
            check(early || self.holds[at].get() == task as u64 + 1, "a result for somebody else's slot");
            self.executed[task].set(self.executed[task].get() | 1 << item);
            let next = match finished {
                Some(finished) => finished,
                None if last => self.leave(slot, running, TaskWord::finish),
                None if self.limited && !self.wrong.plain_advance => self.leave(slot, running, TaskWord::advance_exact),
                None => Ok(slot.advance(running)),
            };
            self.at.set(0);
            match next {
                Ok(_) if last => return,
                Ok(next) => running = next,
                Err(_) if self.wrong.goes_on => return,
                // The keeper's signal is on its way.
                Err(_) => forever(),
            }
        }
    }

    /// Away from an item, not before a signal that it should stop has arrived.
    fn leave(
        &self,
        slot: &TaskWord<M>,
        running: Task,
        step: fn(&TaskWord<M>, Task) -> Result<Task, Task>,
    ) -> Result<Task, Task> {
        let mut seen = running;
        loop {
            match step(slot, seen) {
                // (The shipped one yields until then; here that would be a way to go round for ever.)
                Err(now) if now.state() == State::Asked => {
                    let ticket = self.told.load(Relaxed);
                    if slot.load().state() == State::Asked {
                        M::wait32(&self.told, ticket, None, None);
                    }
                    seen = slot.load();
                }
                Err(now) if now.state() == State::Told => seen = now,
                left => return left,
            }
        }
    }

    fn keeper(&self, number: u64) {
        if number > 0 {
            // Keepers are started in a row, right after the host.
            (1..me()).for_each(|predecessor| {
                await_death(!(1 << predecessor), false);
            });
            // (Before it takes over, its death would be no news.)
            if number == 1 {
                become_mortal();
            }
            // The shipped one ends every worker of its predecessor.
            let asked = self.slots.iter().any(|slot| slot.load().state() == State::Asked);
            if !self.wrong.forgets_sentence
                && (asked || self.slots.iter().any(|slot| slot.sentence().is_some()))
                && let Some(worker) = living(WORKER)
            {
                self.ended.set(self.ended.get() + asked as u64);
                signal(worker);
            }
            // The predecessor may have died before it woke whom it had to.
            self.wake_everybody();
        }
        loop {
            forget(number);
            let Some(worker) = living(WORKER) else {
                self.replace();
                continue;
            };
            match await_death(!(1 << worker), self.limited) {
                Event::Death(_) => self.replace(),
                Event::Timer if self.wrong.hasty => self.replace(),
                Event::Timer => self.enforce(worker),
            }
        }
    }

    fn replace(&self) {
        for slot in &self.slots {
            let fate = slot.bury();
            check(fate != Fate::Lost(u64::MAX), "an item nobody has");
        }
        self.wake_everybody();
        fork("worker", WORKER, 0, true);
    }

    fn wake_everybody(&self) {
        if !self.wrong.silent_burial {
            self.news.ring_all();
            self.work.ring_all();
        }
    }

    /// Some task is out of time.
    fn enforce(&self, worker: usize) {
        for (at, slot) in self.slots.iter().enumerate() {
            let seen = slot.load();
            if !matches!(seen.state(), State::Running | State::Told) {
                continue;
            }
            if self.softly && choose(2) == 1 {
                self.tell(at, seen);
                return;
            }
            if self.wrong.signals_first {
                signal(worker);
                return;
            }
            if slot.kill(seen).is_ok() {
                let task = self.holds[at].get();
                check(task > 0, "killed over a slot without a task");
                self.sentenced[task as usize - 1].set(seen.item() + 1);
                signal(worker);
                return;
            }
        }
    }
}

impl<M: Simulated> Pool<M> {
    /// Some task should stop.
    fn tell(&self, at: usize, seen: Task) {
        let slot = &self.slots[at];
        let item = (self.holds[at].get() - 1) * 16 + seen.item() + 1;
        if self.wrong.tells_unasked {
            return self.arrive(item);
        }
        let Ok(asked) = slot.ask(seen) else { return };
        if self.wrong.tells_early {
            let _ = slot.tell(asked);
        }
        self.arrive(item);
        let _ = slot.tell(asked);
        self.told.fetch_add(1, Relaxed);
        M::wake32(&self.told, 1);
    }

    /// The signal, a step later than the decision.
    fn arrive(&self, item: u64) {
        self.signal.store(item as u32, Relaxed);
        let at = self.at.get();
        check(at == item || at == 0 || living(WORKER).is_none(), "a signal hits another item");
    }
}

impl<M: Simulated> Scenario for Pool<M> {
    fn begin(&self) {
        with(|machine| {
            machine.start("host", HOST, 0, false, false);
            machine.start("keeper", KEEPER, 0, true, true);
            machine.start("keeper", KEEPER, 1, true, false);
            machine.start("keeper", KEEPER, 2, true, false);
            machine.start("worker", WORKER, 0, true, true);
        });
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            HOST => self.host(),
            WORKER => self.worker(),
            _ => self.keeper(argument),
        }
    }

    fn end(&self) {
        check(self.outcome.iter().all(|outcome| outcome.get() != 0), "a task without an outcome");
    }
}

pub fn limits(kills: u8, timeouts: u8, runs: u64) -> Limits {
    Limits { kills, timeouts, runs, ..Limits::default() }
}
