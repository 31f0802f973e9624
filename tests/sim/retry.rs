//! What a host does with the end of a chunk: items that are to be done again, workers that leave it in its midst, items that
//! are not wanted any more. One lane with one slot; the words are the shipped ones, the host's book-keeping is that of
//! `pool::desk::outcome`, the worker's count of items that of `pool::worker`: change both or neither.

use super::calls::{Note, await_death, check, choose, forever, forget, fork, killed, living, me, signal};
use super::explore::Limits;
use super::machine::{Event, with};
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::lane::{Bell, State, Task, TaskWord, Turn, at_place, first_place};
use carom::shm::memory::Word32;
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

const HOST: u32 = 0;
const WORKER: u32 = 1;
const KEEPER: u32 = 2;

const ITEMS: u64 = 3;

const DONE: u64 = 1;
const LOST: u64 = 2;
const CANCELLED: u64 = 3;

/// What is wrong with the program around the words; nothing by default.
#[derive(Clone, Copy, Default)]
struct Wrong {
    /// A worker says where it left a chunk after it has said that it is done with it.
    leaves_late: bool,
    /// The host has a lost chunk done again from its first item.
    begins_anew: bool,
    /// The keeper looks whether a task is wanted before it looks which one is at work.
    asks_first: bool,
    /// The host takes what a worker left for what it has done.
    forgets_rest: bool,
}

/// Items `from..to`, and how often the first of them may be begun in all.
#[derive(Clone, Copy)]
struct Piece {
    from: u64,
    to: u64,
    attempt: u64,
}

struct Chunks<M: Simulated> {
    slot: TaskWord<M>,
    /// Behind the last item of the chunk; behind the last that its worker did; whether it is to be ended.
    end: M::W32,
    left_at: M::W32,
    kill_at: M::W32,
    work: Bell<M>,
    news: Bell<M>,
    begun: Vec<Note>,
    granted: Vec<Note>,
    outcome: Vec<Note>,
    /// The host does not want what is at work.
    unwanted: Note,
    lost: Note,
    attempts: u64,
    /// Items that a worker does in its life.
    life: u64,
    cancels: bool,
    wrong: Wrong,
}

impl<M: Simulated> Chunks<M> {
    fn new(attempts: u64, life: u64, cancels: bool, wrong: Wrong) -> Self {
        let notes = |name: &str| (0..ITEMS).map(|at| Note::new(&format!("{name}[{at}]"))).collect();
        Chunks {
            slot: TaskWord::from_word(M::word64("slot", 0, |word| format!("{:?}", Task::from_bits(word).state()))),
            end: M::word32("end", 0),
            left_at: M::word32("left at", 0),
            kill_at: M::word32("kill at", 0),
            work: Bell::from_word(M::word32("bell of the worker", 0)),
            news: Bell::from_word(M::word32("bell of the host", 0)),
            begun: notes("begun"),
            granted: notes("granted"),
            outcome: notes("outcome"),
            unwanted: Note::new("unwanted"),
            lost: Note::new("lost"),
            attempts,
            life,
            cancels,
            wrong,
        }
    }

    fn host(&self) {
        let mut pieces = VecDeque::from([Piece { from: 0, to: ITEMS, attempt: 1 }]);
        while let Some(piece) = pieces.pop_front() {
            let tag = pieces.iter().chain([&piece]).fold(0, |tag, p| tag << 8 | p.from << 5 | p.to << 2 | p.attempt);
            forget(tag);
            self.assign(piece);
            let seen = self.await_end();
            self.collect(piece, seen, &mut pieces);
            self.unwanted.set(0);
            self.slot.release(seen);
        }
    }

    fn assign(&self, piece: Piece) {
        for item in piece.from..piece.to {
            self.granted[item as usize].set(if item == piece.from { piece.attempt } else { 1 });
        }
        self.end.store(piece.to as u32, Relaxed);
        self.left_at.store(0, Relaxed);
        self.kill_at.store(0, Relaxed);
        self.slot.assign(piece.from);
        self.work.ring();
        if self.cancels && choose(2) == 1 {
            self.unwanted.set(1);
            self.kill_at.store(1, Relaxed);
        }
    }

    fn await_end(&self) -> Task {
        loop {
            let seen = self.slot.load();
            if seen.state().is_final() {
                return seen;
            }
            let ticket = self.news.prepare();
            if !self.slot.load().state().is_final() {
                self.news.sleep(ticket, None, None);
            }
        }
    }

    fn settle(&self, item: u64, outcome: u64) {
        check(self.outcome[item as usize].get() == 0, "an item has two outcomes");
        check(outcome != DONE || self.begun[item as usize].get() > 0, "done, but nobody began it");
        self.outcome[item as usize].set(outcome);
    }

    fn collect(&self, piece: Piece, seen: Task, pieces: &mut VecDeque<Piece>) {
        let (item, to) = (seen.item(), piece.to);
        if seen.state() == State::Done {
            let left_at = self.left_at.load(Relaxed) as u64;
            let behind = if left_at > piece.from && left_at < to { left_at } else { to };
            (piece.from..behind).for_each(|item| self.settle(item, DONE));
            if behind < to && !self.wrong.forgets_rest {
                pieces.push_front(Piece { from: behind, to, attempt: 1 });
            }
            return;
        }
        (piece.from..item).for_each(|item| self.settle(item, DONE));
        let attempt = if item == piece.from { piece.attempt } else { 1 };
        let again = seen.state() == State::Lost && attempt < self.attempts;
        if item + 1 < to {
            pieces.push_front(Piece { from: item + 1, to, attempt: 1 });
        }
        if again {
            let from = if self.wrong.begins_anew { piece.from } else { item };
            pieces.push_front(Piece { from, to: item + 1, attempt: attempt + 1 });
            return;
        }
        if seen.state() == State::Lost {
            self.lost.set(self.lost.get() + 1);
            check(self.lost.get() <= killed(WORKER) as u64, "lost, but nobody killed the worker");
            self.settle(item, LOST);
        } else {
            check(self.unwanted.get() == 1, "ended, but the host wants it");
            self.settle(item, CANCELLED);
        }
    }

    fn worker(&self) {
        let mut place = first_place(1, |_| self.slot.load());
        let mut life = self.life;
        while life > 0 {
            forget(place << 8 | life);
            let (_, sequence) = at_place(place, 1);
            let seen = self.slot.load();
            match seen.turn(sequence) {
                Turn::Skip => place += 1,
                Turn::Wait => {
                    let ticket = self.work.prepare();
                    if self.slot.load().turn(sequence) == Turn::Wait {
                        self.work.sleep(ticket, None, None);
                    }
                }
                Turn::Run => {
                    if let Ok(running) = self.slot.start(seen) {
                        self.run(running, &mut life);
                        self.news.ring();
                    }
                }
            }
        }
        // (An exit, to whoever watches.)
        signal(me());
        forever()
    }

    fn run(&self, mut running: Task, life: &mut u64) {
        loop {
            let item = running.item();
            let begun = &self.begun[item as usize];
            check(begun.get() < self.granted[item as usize].get(), "an item is begun more often than it may be");
            begun.set(begun.get() + 1);
            *life -= 1;
            let last = item + 1 >= self.end.load(Relaxed) as u64;
            let leaves = !last && *life == 0;
            if leaves && !self.wrong.leaves_late {
                self.left_at.store(item as u32 + 1, Relaxed);
            }
            let next = if last || leaves { self.slot.finish(running) } else { self.slot.advance_exact(running) };
            match next {
                Ok(_) if last || leaves => {
                    if leaves && self.wrong.leaves_late {
                        self.left_at.store(item as u32 + 1, Relaxed);
                    }
                    return;
                }
                Ok(next) => running = next,
                // The keeper's signal is on its way.
                Err(_) => forever(),
            }
        }
    }

    fn keeper(&self) {
        loop {
            forget(0);
            let Some(worker) = living(WORKER) else {
                self.replace();
                continue;
            };
            match await_death(!(1 << worker), self.cancels) {
                Event::Death(_) => self.replace(),
                Event::Timer => self.enforce(worker),
            }
        }
    }

    fn replace(&self) {
        self.slot.bury();
        self.news.ring_all();
        self.work.ring_all();
        fork("worker", WORKER, 0, true);
    }

    fn enforce(&self, worker: usize) {
        let early = self.wrong.asks_first && self.kill_at.load(Relaxed) != 0;
        let seen = self.slot.load();
        if !seen.state().is_at_work() {
            return;
        }
        let unwanted = if self.wrong.asks_first { early } else { self.kill_at.load(Relaxed) != 0 };
        if unwanted && self.slot.kill(seen).is_ok() {
            signal(worker);
        }
    }
}

impl<M: Simulated> Scenario for Chunks<M> {
    fn begin(&self) {
        with(|machine| {
            machine.start("host", HOST, 0, false, false);
            machine.start("keeper", KEEPER, 0, true, false);
            machine.start("worker", WORKER, 0, true, true);
        });
    }

    fn process(&self, role: u32, _: u64) {
        match role {
            HOST => self.host(),
            WORKER => self.worker(),
            _ => self.keeper(),
        }
    }

    fn end(&self) {
        check(self.outcome.iter().all(|outcome| outcome.get() != 0), "an item without an outcome");
    }
}

fn limits(kills: u8, timeouts: u8, runs: u64) -> Limits {
    Limits { kills, timeouts, runs, ..Limits::default() }
}

#[test]
fn retries() {
    holds("chunk of 3 items, 2 attempts, 2 kills", limits(2, 0, 150_000), || {
        Chunks::<Sim>::new(2, u64::MAX, false, Wrong::default())
    });
}

#[test]
fn recycling() {
    holds("chunk of 3 items, workers for 2 items, 1 kill", limits(1, 0, 150_000), || {
        Chunks::<Sim>::new(1, 2, false, Wrong::default())
    });
}

#[test]
fn recycling_and_retries() {
    holds("chunk of 3 items, a worker for each, 2 attempts, 1 kill", limits(1, 0, 150_000), || {
        Chunks::<Sim>::new(2, 1, false, Wrong::default())
    });
}

#[test]
fn cancelling() {
    holds("chunk of 3 items that are cancelled, 2 attempts, 1 kill", limits(1, 2, 150_000), || {
        Chunks::<Sim>::new(2, 2, true, Wrong::default())
    });
}

#[test]
fn bug_leaves_late() {
    let wrong = Wrong { leaves_late: true, ..Wrong::default() };
    catches("bug: worker says where it left after it is done", Shows::Violation, limits(0, 0, 2_000_000), || {
        Chunks::<Sim>::new(1, 2, false, wrong)
    });
}

#[test]
fn bug_begins_anew() {
    let wrong = Wrong { begins_anew: true, ..Wrong::default() };
    catches("bug: host has the whole chunk done again", Shows::Violation, limits(1, 0, 2_000_000), || {
        Chunks::<Sim>::new(2, u64::MAX, false, wrong)
    });
}

#[test]
fn bug_asks_first() {
    let wrong = Wrong { asks_first: true, ..Wrong::default() };
    catches("bug: keeper ends the task after the unwanted one", Shows::Violation, limits(0, 2, 2_000_000), || {
        Chunks::<Sim>::new(1, 1, true, wrong)
    });
}

#[test]
fn bug_forgets_rest() {
    let wrong = Wrong { forgets_rest: true, ..Wrong::default() };
    catches("bug: host forgets what a worker left", Shows::Violation, limits(0, 0, 2_000_000), || {
        Chunks::<Sim>::new(1, 2, false, wrong)
    });
}
