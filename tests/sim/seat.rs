//! A lane whose workers the host forks, with its seat: host, worker, template and the template's successor, each under kills.
//!
//! What they do around the words is transcribed from `pool/hosted.rs` (host, `adopt`, `watch`) and `pool/template.rs`
//! (`begin`, `outlive_predecessor`, `lay_to_rest`): change both or neither. How a worker ends the template hears as by a
//! pidfd: here that is a word on the worker's robust list.

use super::calls::{Note, await_death, become_mortal, check, choose, forget, fork, living, me, signal};
use super::explore::Limits;
use super::keepers::is_dead;
use super::machine::{Process, Status, with};
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::lane::{State, Task, TaskWord, Turn, at_place, first_place};
use carom::shm::memory::{Memory, Word32};
use carom::shm::seat::{Seat, SeatWord};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const HOST: u32 = 0;
const WORKER: u32 = 1;
const TEMPLATE: u32 = 2;
const TASKS: usize = 2;
const DIED: u32 = 1 << 30;
const WAITERS: u32 = 1 << 31;

/// What is wrong with them; nothing by default.
#[derive(Clone, Copy, Default)]
struct Wrong {
    /// The template asks for the next worker before it has settled what the last one was at.
    asks_first: bool,
    /// The host says that the seat is taken before it says by whom.
    takes_first: bool,
    /// A new template takes every lane for one of its predecessor's.
    buries_all: bool,
    /// A fork that failed is not told.
    silent_failure: bool,
    /// What its predecessor's worker has left is not looked for.
    forgets_left: bool,
    /// Whom its predecessor has asked for, and may have died before it said so, it does not ask for again.
    keeps_wanted: bool,
}

struct Lane {
    seat: SeatWord<Sim>,
    task: TaskWord<Sim>,
    /// Who sits there. Host.
    pid: <Sim as Memory>::W32,
    /// On the worker's robust list.
    life: <Sim as Memory>::W32,
    /// The template sleeps here; the worker; the host.
    doorbell: <Sim as Memory>::W32,
    work: <Sim as Memory>::W32,
    news: <Sim as Memory>::W32,
    /// Events that say that a worker is wanted.
    calls: <Sim as Memory>::W32,
    /// Worker (+ 1) that has begun to work here.
    works: Note,
    /// How often a task was executed, and what became of it.
    executed: Vec<Note>,
    /// The task in the slot.
    at: Note,
    /// Tasks that were lost; workers that a template has ended; forks that failed.
    lost: Note,
    ended: Note,
    failed: Note,
    wrong: Wrong,
}

fn show(word: u64) -> String {
    let task = Task::from_bits(word);
    format!("{:?}(use {})", task.state(), task.sequence())
}

/// It does nothing more, though the kernel may still be at its end.
fn has_ended(status: Status) -> bool {
    matches!(status, Status::Exiting | Status::ExitWaking { .. } | Status::Dead)
}

fn is_gone(number: u64) -> bool {
    has_ended(with(|machine| machine.processes[number as usize].status))
}

/// Workers that died by themselves.
fn deaths() -> u64 {
    with(|machine| {
        let died = |process: &&Process| process.role == WORKER && has_ended(process.status) && !process.doomed;
        machine.processes.iter().filter(died).count() as u64
    })
}

fn ring(word: &<Sim as Memory>::W32) {
    word.fetch_add(1, Relaxed);
    Sim::wake32(word, u32::MAX);
}

impl Lane {
    fn new(wrong: Wrong) -> Lane {
        Lane {
            seat: SeatWord::from_word(Sim::word32("seat", 0)),
            task: TaskWord::from_word(Sim::word64("task", 0, show)),
            pid: Sim::word32("pid", 0),
            life: Sim::word32("life", 0),
            doorbell: Sim::word32("doorbell", 0),
            work: Sim::word32("work", 0),
            news: Sim::word32("news", 0),
            calls: Sim::word32("calls", 0),
            works: Note::new("works"),
            executed: (0..TASKS).map(|at| Note::new(&format!("executed[{at}]"))).collect(),
            at: Note::new("at"),
            lost: Note::new("lost"),
            ended: Note::new("ended"),
            failed: Note::new("failed"),
            wrong,
        }
    }

    fn host(&self) {
        let mut heard = 0;
        for task in 0..TASKS {
            self.at.set(task as u64);
            self.task.assign(0);
            ring(&self.work);
            loop {
                forget(task as u64 * 64 + heard as u64);
                let ticket = self.news.load(Relaxed);
                let seen = self.task.load();
                if seen.state().is_final() {
                    self.collect(task, seen);
                    break;
                }
                let calls = self.calls.load(Relaxed);
                if std::mem::replace(&mut heard, calls) != calls {
                    if self.seat.prepare() {
                        self.fork();
                    }
                    continue;
                }
                let _ = Sim::wait32(&self.news, ticket, None, None);
            }
        }
    }

    fn fork(&self) {
        if self.failed.get() == 0 && choose(2) == 1 {
            self.failed.set(1);
            self.seat.abandon();
            if !self.wrong.silent_failure {
                ring(&self.doorbell);
            }
            return;
        }
        let worker = fork("worker", WORKER, 0, false);
        if self.wrong.takes_first {
            self.seat.take();
        }
        self.pid.store(worker as u32, Relaxed);
        self.seat.take();
        ring(&self.doorbell);
    }

    fn collect(&self, task: usize, seen: Task) {
        let executed = self.executed[task].get();
        if seen.state() == State::Done {
            check(executed == 1, "done, but not executed");
        } else {
            self.lost.set(self.lost.get() + 1);
            let most = deaths() + self.ended.get();
            check(seen.state() == State::Lost && self.lost.get() <= most, "lost, but nobody died");
        }
        self.task.release(seen);
    }

    fn worker(&self) {
        self.life.store((me() as u32 + 1) | WAITERS, Relaxed);
        Sim::hold32(&self.life);
        become_mortal();
        let before = self.works.get();
        check(before == 0 || is_gone(before - 1), "two workers in one lane");
        self.works.set(me() as u64 + 1);
        let mut place = first_place(1, |_| self.task.load());
        loop {
            forget(place);
            let ticket = self.work.load(Relaxed);
            let seen = self.task.load();
            match seen.turn(at_place(place, 1).1) {
                Turn::Skip => place += 1,
                Turn::Wait => _ = Sim::wait32(&self.work, ticket, None, None),
                Turn::Run => {
                    let Ok(running) = self.task.start(seen) else { continue };
                    let count = &self.executed[self.at.get() as usize];
                    count.set(count.get() + 1);
                    check(count.get() == 1, "a task runs twice");
                    check(self.task.finish(running).is_ok(), "a living worker's task was settled by another");
                    ring(&self.news);
                }
            }
        }
    }

    /// The template's burial of whoever was at work here.
    fn settle(&self) {
        self.task.bury();
        ring(&self.news);
    }

    fn begin(&self) {
        if !self.wrong.buries_all {
            self.seat.leave();
        }
        if !self.wrong.keeps_wanted {
            self.seat.withdraw();
        }
        while let Some(worker) = living(WORKER) {
            self.ended.set(self.ended.get() + 1);
            signal(worker);
            await_death(!(1 << worker), false);
        }
        if self.wrong.buries_all || (self.seat.is(Seat::Left) && !self.wrong.forgets_left) {
            self.life.store(0, Relaxed);
            self.settle();
            self.seat.vacate();
        }
        ring(&self.news);
    }

    fn ask(&self) {
        if self.seat.ask() {
            self.calls.fetch_add(1, Relaxed);
            ring(&self.news);
        }
    }

    fn template(&self, number: u64) {
        if number > 0 {
            (1..me()).for_each(|predecessor| _ = await_death(!(1 << predecessor), false));
            if number == 1 {
                become_mortal();
            }
            self.begin();
        }
        let mut watched = None;
        loop {
            forget(number * 64 + watched.map_or(0, |worker: u32| worker as u64 + 1));
            let (ticket, life) = (self.doorbell.load(Relaxed), self.life.load(Relaxed));
            if watched.is_none() && self.seat.is(Seat::Taken) {
                watched = Some(self.pid.load(Relaxed));
            }
            if let Some(worker) = watched.filter(|worker| life & DIED != 0 || is_dead(*worker as usize)) {
                check(is_gone(worker as u64) || living(WORKER) == Some(worker as usize), "it watches another one");
                self.life.store(0, Relaxed);
                if self.wrong.asks_first {
                    self.seat.vacate();
                    self.ask();
                }
                self.settle();
                if !self.wrong.asks_first {
                    self.seat.vacate();
                }
                watched = None;
                continue;
            }
            self.ask();
            let _ = Sim::wait32(&self.doorbell, ticket, Some((&self.life, life)), None);
        }
    }
}

impl Scenario for Lane {
    fn begin(&self) {
        with(|machine| {
            machine.start("host", HOST, 0, false, false);
            machine.start("template", TEMPLATE, 0, true, true);
            machine.start("template", TEMPLATE, 1, true, false);
            machine.start("template", TEMPLATE, 2, true, false);
        });
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            HOST => self.host(),
            WORKER => self.worker(),
            _ => self.template(argument),
        }
    }
}

fn limits(kills: u8, runs: u64) -> Limits {
    Limits { kills, runs, ..Limits::default() }
}

#[test]
fn seat_two_kills() {
    holds("seat, 2 tasks, 2 kills", limits(2, 150_000), || Lane::new(Wrong::default()));
}

#[test]
fn seat_random() {
    let limits = Limits { random: Duration::from_millis(1000), spurious: 1, buffered: true, ..limits(3, 0) };
    holds("seat, 2 tasks, store buffers, 3 kills", limits, || Lane::new(Wrong::default()));
}

fn caught(name: &str, shows: Shows, wrong: Wrong) {
    catches(name, shows, limits(2, 2_000_000), || Lane::new(wrong));
}

#[test]
fn bug_seat_asks_first() {
    let wrong = Wrong { asks_first: true, ..Wrong::default() };
    caught("bug: a worker is asked for before the last is settled", Shows::Hang, wrong);
}

#[test]
fn bug_seat_taken_by_nobody() {
    let wrong = Wrong { takes_first: true, ..Wrong::default() };
    caught("bug: a seat is taken before it says by whom", Shows::Violation, wrong);
}

#[test]
fn bug_seat_buries_all() {
    let wrong = Wrong { buries_all: true, ..Wrong::default() };
    caught("bug: a new template buries who came meanwhile", Shows::Violation, wrong);
}

#[test]
fn bug_seat_silent_failure() {
    let wrong = Wrong { silent_failure: true, ..Wrong::default() };
    caught("bug: a host's fork fails, and nobody hears of it", Shows::Hang, wrong);
}

#[test]
fn bug_seat_forgets_left() {
    let wrong = Wrong { forgets_left: true, ..Wrong::default() };
    caught("bug: what a predecessor's worker left stays open", Shows::Hang, wrong);
}

#[test]
fn bug_seat_keeps_wanted() {
    let wrong = Wrong { keeps_wanted: true, ..Wrong::default() };
    caught("bug: a call for a worker that nobody heard is not repeated", Shows::Hang, wrong);
}
