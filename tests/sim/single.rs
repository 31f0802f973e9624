//! Queues with one producer and one consumer: no lock is taken between calls, and fences are made by those who sleep. Everybody dies at
//! every access, with stores that others do not see yet.

use super::calls::{Note, check, fence_for_all, forget, me};
use super::explore::Limits;
use super::keepers::{KEEPER, hex, is_dead, keep, nobody_died, start_keepers};
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::ring::{self, Ring, slot};
use super::runner::Scenario;
use carom::shm::lock_word::LockWord;
use carom::shm::memory::Word64;
use carom::shm::queue::Store;
use carom::shm::sole::{Sole, Who};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;

const PRODUCER: u32 = 0;
const CONSUMER: u32 = 1;
const CLOSER: u32 = 3;

#[derive(Clone, Copy)]
struct Plan {
    producers: u64,
    rounds: u64,
    /// Messages at most; 0 for any number.
    limit: u64,
    /// Somebody shuts the queue down.
    shut: bool,
    /// Producers are never done: what they put is all that the consumer hears of.
    stay: bool,
    /// Wrong: who is about to sleep makes a fence for itself only.
    own_fence: bool,
    /// Wrong: nobody asks whether a put is under way.
    asks_nobody: bool,
    /// Wrong: a producer does not take the lock with the role.
    unlocked: bool,
}

const PLAN: Plan = Plan {
    producers: 1,
    rounds: 2,
    limit: 0,
    shut: false,
    stay: false,
    own_fence: false,
    asks_nobody: false,
    unlocked: false,
};

struct Messages<M: Simulated> {
    ring: Ring<M>,
    producer: Sole<M>,
    consumer: Sole<M>,
    shut: M::W64,
    /// 1 while this producer, or the consumer, is there.
    there: Vec<M::W64>,
    acked: Note,
    received: Note,
    inside: Note,
    plan: Plan,
}

impl<M: Simulated> Messages<M> {
    fn new(plan: Plan) -> Self {
        let word = |name: &str| M::word64(name, 0, hex);
        Messages {
            ring: Ring::new(false),
            producer: Sole::from_word(word("producer")),
            consumer: Sole::from_word(word("consumer")),
            shut: word("shut"),
            there: (0..=plan.producers).map(|i| M::word64(&format!("there {i}"), 1, hex)).collect(),
            acked: Note::new("acked"),
            received: Note::new("received"),
            inside: Note::new("inside"),
            plan,
        }
    }

    fn is_shut(&self) -> bool {
        self.shut.load(Acquire) != 0
    }

    // As in `src/queue/single.rs`; a second one waits there for a dead one only.
    fn enter(&self, role: &Sole<M>, lock: &LockWord<M>) -> Who {
        let who = Who::new(0, slot(), slot());
        if !role.is_of(who) {
            if !self.plan.unlocked {
                ring::lock(lock);
            }
            role.take(who);
        }
        role.enter(who);
        who
    }

    fn leave(&self, role: &Sole<M>, who: Who) {
        role.leave(who);
        if self.is_shut() {
            self.ring.wake_all();
        }
    }

    fn heavy(&self) {
        if self.plan.own_fence {
            M::fence();
        } else {
            M::fence_heavy();
        }
    }

    /// False: it is full. `None`: it is shut down.
    fn try_put(&'static self, message: u64) -> Option<bool> {
        if self.is_shut() {
            return None;
        }
        let who = self.enter(&self.producer, &self.ring.tail_lock);
        if self.is_shut() {
            self.leave(&self.producer, who);
            return None;
        }
        let other = self.inside.get();
        check(other == 0 || is_dead(other as usize - 1), "two producers at once");
        self.inside.set(me() as u64 + 1);
        let queue = self.ring.queue();
        let full = self.plan.limit != 0 && queue.size() + 1 > self.plan.limit;
        let at_once = if full { None } else { queue.one_more(8) };
        if let Some((batch, words)) = at_once {
            words[0].store(message, Relaxed);
            queue.commit(batch);
        } else if !full {
            let mut batch = queue.begin();
            let mut fill = |_, words: &'static [M::W64]| {
                words[0].store(message, Relaxed);
                true
            };
            queue.push_some(&mut batch, 8, 1, &mut fill).expect("there is room");
            queue.commit(batch);
        }
        self.inside.set(0);
        self.leave(&self.producer, who);
        if !full {
            self.ring.news().rouse_light(|| self.ring.size());
        }
        Some(!full)
    }

    fn try_get(&'static self) -> Option<u64> {
        if self.ring.size() == 0 {
            return None;
        }
        let who = self.enter(&self.consumer, &self.ring.head_lock);
        let queue = self.ring.queue();
        let here = queue.front_here(&self.ring.seen_tail, 8);
        let at_once = here.map(|(front, words)| {
            let message = words[0].load(Relaxed);
            queue.take_here(front);
            self.note(message);
            message
        });
        let front = if at_once.is_some() { None } else { queue.front(&self.ring.seen_tail).expect("undamaged") };
        let message = at_once.or_else(|| {
            front.map(|front| {
                let message = queue.store.word(front.at).expect("inside").load(Relaxed);
                queue.take(front).expect("undamaged");
                self.note(message);
                message
            })
        });
        self.leave(&self.consumer, who);
        if message.is_some() && self.plan.limit != 0 {
            self.ring.room().rouse_light(|| 1);
        }
        message
    }

    fn note(&self, message: u64) {
        let (producer, number) = (message / 16, message % 16);
        check(producer < self.plan.producers && (1..=self.plan.rounds).contains(&number), "a message that nobody put");
        let bit = 1 << (producer * 8 + number - 1);
        check(self.received.get() & bit == 0, "a message comes twice");
        check(self.received.get() >> (producer * 8) & 0xff < bit >> (producer * 8), "messages are out of order");
        self.received.set(self.received.get() | bit);
    }

    fn are_gone(&self, mut who: std::ops::Range<u64>) -> bool {
        who.all(|who| self.there[who as usize].load(Acquire) == 0)
    }

    fn produces(&'static self, number: u64) {
        for round in 0..self.plan.rounds {
            forget(round);
            let message = number * 16 + round + 1;
            let put = self.try_put(message).unwrap_or(false) || {
                let consumer = self.plan.producers..self.plan.producers + 1;
                let look = || {
                    self.heavy();
                    match self.try_put(message) {
                        Some(false) if self.are_gone(consumer.clone()) => Some(false),
                        Some(false) => None,
                        put => Some(put.unwrap_or(false)),
                    }
                };
                self.ring.room().wait_until(None, || None, look).unwrap_or(false)
            };
            if put {
                self.acked.set(self.acked.get() | 1 << (number * 8 + round));
            }
        }
        self.end_of(number, &self.producer, &self.ring.tail_lock);
    }

    fn is_over(&self) -> bool {
        if self.are_gone(0..self.plan.producers) {
            return true;
        }
        if !self.is_shut() {
            return false;
        }
        self.heavy();
        self.plan.asks_nobody || !self.producer.is_inside()
    }

    fn consumes(&'static self) {
        let mut got = 0;
        loop {
            forget(got);
            got += 1;
            let message = self.try_get().or_else(|| {
                let look = || {
                    self.heavy();
                    match self.try_get() {
                        None if self.is_over() => {
                            M::fence();
                            Some(self.try_get())
                        }
                        message => message.map(Some),
                    }
                };
                self.ring.news().wait_until(None, || None, look).flatten()
            });
            if message.is_none() {
                break;
            }
        }
        self.end_of(self.plan.producers, &self.consumer, &self.ring.head_lock);
    }

    /// Whoever has a role gives it back; the others hear that there is one less.
    fn end_of(&self, number: u64, role: &Sole<M>, lock: &LockWord<M>) {
        if role.is_of(Who::new(0, slot(), slot())) {
            role.give_back();
            lock.release(0);
        }
        if self.plan.stay {
            return;
        }
        self.there[number as usize].store(0, Release);
        M::fence();
        self.ring.wake_all();
    }

    fn closes(&self) {
        let _ = self.shut.compare_exchange(0, 1, AcqRel, Acquire);
        // It waits for a put that has begun; here it looks twice, then leaves the rest to whoever puts.
        for look in 0..2 {
            forget(look);
            self.heavy();
            if self.plan.asks_nobody || !self.producer.is_inside() {
                return self.ring.wake_all();
            }
        }
    }

    fn repair(&self, dead: u32, force: bool) {
        for (role, lock) in [(&self.producer, &self.ring.tail_lock), (&self.consumer, &self.ring.head_lock)] {
            if lock.owner(0) == Some(dead) {
                role.give_back();
            }
            lock.repair(dead, force);
        }
        if let Some(there) = self.there.get(dead as usize - 1) {
            there.store(0, Release);
        }
        self.ring.broadcast(force);
    }
}

impl<M: Simulated> Scenario for Messages<M> {
    fn begin(&self) {
        with(|machine| {
            (0..self.plan.producers).for_each(|who| _ = machine.start("producer", PRODUCER, who, false, true));
            machine.start("consumer", CONSUMER, 0, false, true);
            if self.plan.shut {
                machine.start("closer", CLOSER, 0, false, true);
            }
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        // SAFETY: `report::explored` leaks the scenario, so it lives for ever.
        let whole = unsafe { &*(self as *const Self) };
        match role {
            PRODUCER => whole.produces(argument),
            CONSUMER => whole.consumes(),
            CLOSER => whole.closes(),
            KEEPER => {
                let first = (self.plan.producers + 1 + self.plan.shut as u64) as usize;
                keep(first, argument, false, |dead, force| self.repair(dead, force));
            }
            _ => {}
        }
    }

    fn end(&self) {
        // SAFETY: as in `process`.
        let whole = unsafe { &*(self as *const Self) };
        fence_for_all();
        let left = whole.ring.queue().size();
        let lost = (self.acked.get() & !self.received.get()).count_ones() as u64;
        let dead = is_dead(self.plan.producers as usize);
        check(lost <= left + dead as u64, "a message is lost");
        check(dead || left == 0, "the consumer ended before the messages did");
        check(!nobody_died() || lost == 0, "a message is lost, and nobody died");
        whole.ring.check_segments();
    }
}

fn messages(plan: Plan) -> impl FnOnce() -> Messages<Sim> {
    move || Messages::new(plan)
}

fn limits(kills: u8, runs: u64) -> Limits {
    Limits { kills, runs, buffered: true, ..Limits::default() }
}

#[test]
fn single_one_to_one() {
    holds("single, 2 messages, 1 kill, buffers", limits(1, 60_000), messages(PLAN));
    let unbuffered = Limits { kills: 2, runs: 50_000, ..Limits::default() };
    holds("single, 2 messages, 2 kills", unbuffered, messages(PLAN));
}

#[test]
fn single_bounded() {
    holds("single, bounded, 1 kill, buffers", limits(1, 60_000), messages(Plan { limit: 1, ..PLAN }));
}

#[test]
fn single_shut_down() {
    let plan = Plan { rounds: 1, shut: true, ..PLAN };
    holds("single, shut down, 1 kill, buffers", limits(1, 60_000), messages(plan));
}

#[test]
fn single_successor() {
    let plan = Plan { producers: 2, rounds: 1, ..PLAN };
    holds("single, a second producer after the first, 2 kills", limits(2, 60_000), messages(plan));
}

#[test]
fn single_random() {
    let random = Duration::from_millis(1500);
    let plan = Plan { producers: 2, rounds: 2, limit: 1, shut: true, ..PLAN };
    let limits = Limits { spurious: 2, random, ..limits(3, 0) };
    holds("single, 2 producers, bounded, shut down, 3 kills", limits, messages(plan));
}

#[track_caller]
fn wrong(name: &str, shows: Shows, kills: u8, plan: Plan) {
    catches(name, shows, limits(kills, 1_000_000), messages(plan));
}

#[test]
fn bug_single_own_fence() {
    let plan = Plan { own_fence: true, stay: true, rounds: 1, ..PLAN };
    wrong("bug: who sleeps makes a fence for itself only", Shows::Hang, 0, plan);
}

#[test]
fn bug_single_asks_nobody() {
    let plan = Plan { asks_nobody: true, shut: true, rounds: 1, ..PLAN };
    wrong("bug: the end does not wait for the last put", Shows::Violation, 0, plan);
}

#[test]
fn bug_single_unlocked() {
    let plan = Plan { unlocked: true, producers: 2, rounds: 1, ..PLAN };
    wrong("bug: a role without its lock", Shows::Violation, 0, plan);
}
