//! Queues: producers, consumers and keepers die at every access.

use super::calls::{Note, check, fence, forget};
use super::explore::Limits;
use super::keepers::{KEEPER, hex, is_dead, keep, limits, nobody_died, start_keepers};
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::ring::{Ring, lock};
use super::runner::Scenario;
use carom::shm::memory::Word64;
use carom::shm::queue::Store;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

const PRODUCER: u32 = 0;
const CONSUMER: u32 = 1;

#[derive(Clone, Copy)]
struct Plan {
    producers: u64,
    consumers: u64,
    /// Batches of each producer.
    rounds: u64,
    /// Messages of a batch.
    batch: u64,
    /// Messages that each consumer wants at most.
    wants: u64,
    /// A get takes two messages where there are two.
    pairs: bool,
    /// Messages in the queue at most; 0 for any number.
    limit: u64,
    timed: bool,
    /// Producers are never done: what they put is all that consumers hear of.
    stay: bool,
    /// Wrong: whoever is done wakes the others as a repairer does.
    resets_counts: bool,
    /// Wrong: who takes one of many tells nobody of the others.
    keeps_quiet: bool,
    /// Wrong: whoever waits is told before the message is there.
    rouses_early: bool,
    /// Wrong: a dead one's lock is nobody's affair.
    unrepaired: bool,
    /// Wrong: the end of the last producer is not told.
    silent_end: bool,
    /// Wrong: blocks change their owners field by field.
    piecemeal: bool,
    /// Wrong: the consumer ends as soon as nobody is left to put, and does not look again.
    hasty_end: bool,
    /// Wrong: a batch is so many commits.
    in_pieces: bool,
}

const PLAN: Plan = Plan {
    producers: 1,
    consumers: 1,
    rounds: 2,
    batch: 1,
    wants: 9,
    pairs: false,
    limit: 0,
    timed: false,
    stay: false,
    resets_counts: false,
    keeps_quiet: false,
    rouses_early: false,
    unrepaired: false,
    silent_end: false,
    piecemeal: false,
    hasty_end: false,
    in_pieces: false,
};

struct Messages<M: Simulated> {
    ring: Ring<M>,
    /// 1 while this producer or consumer may still put, or get.
    there: Vec<M::W64>,
    /// Bit per message: put, and the call has returned; seen by a consumer.
    acked: Note,
    received: Note,
    /// The last message that each producer's were received up to.
    order: Vec<Note>,
    plan: Plan,
}

impl<M: Simulated> Messages<M> {
    fn new(plan: Plan) -> Self {
        Messages {
            ring: Ring::new(plan.piecemeal),
            there: (0..plan.producers + plan.consumers).map(|i| M::word64(&format!("there {i}"), 1, hex)).collect(),
            acked: Note::new("acked"),
            received: Note::new("received"),
            order: (0..plan.producers).map(|i| Note::new(&format!("order {i}"))).collect(),
            plan,
        }
    }

    fn nobody(&self, mut of: std::ops::Range<u64>) -> bool {
        !of.any(|who| self.there[who as usize].load(Acquire) == 1)
    }

    // As in `src/queue.rs`.
    fn try_put(&'static self, first: u64) -> bool {
        lock(&self.ring.tail_lock);
        let queue = self.ring.queue();
        let full = self.plan.limit != 0 && queue.size() + self.plan.batch > self.plan.limit;
        let by_hand = full || self.plan.in_pieces || self.plan.rouses_early;
        let mut write = |number, words: &'static [M::W64]| {
            words[0].store(first + number, Relaxed);
            true
        };
        let at_once = match self.plan.batch {
            _ if by_hand => None,
            1 => queue.one_more(8).map(|(batch, words)| {
                write(0, words);
                batch
            }),
            many => queue.many_more(8, many, &mut write),
        };
        if let Some(batch) = at_once {
            queue.commit(batch);
        } else if !full {
            let mut batch = queue.begin();
            let mut number = 0;
            while number < self.plan.batch {
                let mut fill = |_, words: &'static [M::W64]| {
                    words[0].store(first + number, Relaxed);
                    number += 1;
                    true
                };
                let most = if self.plan.in_pieces { 1 } else { self.plan.batch };
                queue.push_some(&mut batch, 8, most, &mut fill).expect("there is room");
                if self.plan.in_pieces {
                    queue.commit(std::mem::replace(&mut batch, queue.begin()));
                    batch = queue.begin();
                }
            }
            if self.plan.rouses_early {
                self.ring.news().rouse(|| 1);
            }
            if !self.plan.in_pieces {
                queue.commit(batch);
            }
        }
        self.ring.tail_lock.release(0);
        if !full && !self.plan.rouses_early {
            self.ring.news().rouse(|| self.ring.size());
        }
        !full
    }

    fn try_get(&'static self) -> Option<u64> {
        if self.ring.size() == 0 {
            return None;
        }
        lock(&self.ring.head_lock);
        let queue = self.ring.queue();
        let here = queue.front_here(&self.ring.seen_tail, 8);
        let at_once = here.and_then(|(mut front, words)| {
            let mut messages = vec![words[0].load(Relaxed)];
            let mut show = |_, words: &'static [M::W64], _| {
                messages.push(words[0].load(Relaxed));
                true
            };
            if self.plan.pairs && !queue.follow_all_here(&mut front, 1, &self.ring.seen_tail, &mut show) {
                return None;
            }
            queue.take_here(front);
            messages.iter().for_each(|message| self.note(*message));
            Some(messages[0])
        });
        let front = if at_once.is_some() { None } else { queue.front(&self.ring.seen_tail).expect("undamaged") };
        let message = front.map(|mut front| {
            let read = |at| queue.store.word(at).expect("inside").load(Relaxed);
            let mut messages = vec![read(front.at)];
            if self.plan.pairs {
                let show = |_, words: &'static [M::W64], _| {
                    messages.push(words[0].load(Relaxed));
                    true
                };
                queue.follow(&mut front, 1, &self.ring.seen_tail, show).expect("undamaged");
            }
            queue.take(front).expect("undamaged");
            messages.iter().for_each(|message| self.note(*message));
            messages[0]
        });
        let message = at_once.or(message);
        self.ring.head_lock.release(0);
        if message.is_some() && self.plan.limit != 0 {
            self.ring.room().rouse(|| 1);
        }
        if message.is_some() && !self.plan.keeps_quiet {
            self.ring.news().rouse(|| self.ring.size());
        }
        message
    }

    /// A message is a number: the producer's times 16, and which of its own.
    fn note(&self, message: u64) {
        let (producer, number) = (message / 16, message % 16);
        let known = producer < self.plan.producers && number >= 1 && number <= self.plan.rounds * self.plan.batch;
        check(known, "a message that nobody put");
        let bit = 1 << (producer * 8 + number - 1);
        check(self.received.get() & bit == 0, "a message comes twice");
        self.received.set(self.received.get() | bit);
        let order = &self.order[producer as usize];
        check(order.get() < number, "a producer's messages are out of order");
        order.set(number);
    }

    fn producer(&'static self, who: u64) {
        for round in 0..self.plan.rounds {
            forget(round);
            let first = who * 16 + round * self.plan.batch + 1;
            let consumers = self.plan.producers..self.plan.producers + self.plan.consumers;
            let put = self.try_put(first) || {
                let look = || match self.try_put(first) {
                    true => Some(true),
                    false if self.nobody(consumers.clone()) => Some(false),
                    false => None,
                };
                self.ring.room().wait_until(self.plan.timed.then_some(1), || None, look).unwrap_or(false)
            };
            if put {
                let bits = ((1 << self.plan.batch) - 1) << (who * 8 + round * self.plan.batch);
                self.acked.set(self.acked.get() | bits);
            }
        }
        self.leave(who);
    }

    fn consumer(&'static self, who: u64) {
        let mut got = 0;
        while got < self.plan.wants {
            forget(got);
            let message = self.try_get().or_else(|| {
                let look = || match self.try_get() {
                    None if self.nobody(0..self.plan.producers) => {
                        fence();
                        Some(if self.plan.hasty_end { None } else { self.try_get() })
                    }
                    message => message.map(Some),
                };
                self.ring.news().wait_until(self.plan.timed.then_some(1), || None, look).flatten()
            });
            match message {
                Some(_) => got += 1,
                None if self.plan.timed && !self.nobody(0..self.plan.producers) => got += 1,
                None => break,
            }
        }
        self.leave(who);
    }

    /// The end of a view: in `src/shm/cell.rs`.
    fn leave(&self, who: u64) {
        if self.plan.stay {
            return;
        }
        self.there[who as usize].store(0, Release);
        fence();
        if self.plan.resets_counts {
            return self.ring.news().broadcast(false);
        }
        if !self.plan.silent_end {
            self.ring.news().rouse_all();
        }
        self.ring.room().rouse_all();
    }

    fn repair(&self, dead: u32, force: bool) {
        if !self.plan.unrepaired {
            self.ring.tail_lock.repair(dead, force);
            self.ring.head_lock.repair(dead, force);
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
            let consumers = self.plan.producers..self.plan.producers + self.plan.consumers;
            consumers.for_each(|who| _ = machine.start("consumer", CONSUMER, who, false, true));
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        // SAFETY: `report::explored` leaks the scenario, so it lives for ever.
        let whole = unsafe { &*(self as *const Self) };
        match role {
            PRODUCER => whole.producer(argument),
            CONSUMER => whole.consumer(argument),
            KEEPER => {
                let first = (self.plan.producers + self.plan.consumers) as usize;
                keep(first, argument, false, |dead, force| self.repair(dead, force));
            }
            _ => {}
        }
    }

    fn end(&self) {
        // SAFETY: as in `process`.
        let whole = unsafe { &*(self as *const Self) };
        let queue = whole.ring.queue();
        let left = queue.size();
        let lost = (self.acked.get() & !self.received.get()).count_ones() as u64;
        let consumers = self.plan.producers as usize..(self.plan.producers + self.plan.consumers) as usize;
        let dead = consumers.clone().filter(|who| is_dead(*who)).count() as u64;
        check(lost <= left + dead * (1 + self.plan.pairs as u64), "a message is lost");
        let all = self.plan.wants > 8 && !self.plan.timed;
        check(dead == self.plan.consumers || left == 0 || !all, "a consumer ended before the messages did");
        check(!nobody_died() || lost <= left, "a message is lost, and nobody died");
        // A batch is there or not.
        let received = self.received.get();
        for first in (0..self.plan.producers * 8).step_by(8) {
            let number = (received >> first & 0xff).count_ones() as u64 + if dead == 0 { left } else { 0 };
            let whole = dead > 0 || self.plan.producers > 1 || number.is_multiple_of(self.plan.batch);
            check(whole, "a part of a batch");
        }
        whole.ring.check_segments();
    }
}

fn messages(plan: Plan) -> impl FnOnce() -> Messages<Sim> {
    move || Messages::new(plan)
}

#[test]
fn queue_one_to_one() {
    holds("queue, 1 producer, 1 consumer, 2 kills", limits(2, 0, 62_000), messages(PLAN));
}

#[test]
fn queue_two_to_one() {
    let plan = Plan { producers: 2, rounds: 1, ..PLAN };
    holds("queue, 2 producers, 1 consumer, 2 kills", limits(2, 0, 50_000), messages(plan));
}

#[test]
fn queue_one_to_two() {
    let plan = Plan { consumers: 2, ..PLAN };
    holds("queue, 1 producer, 2 consumers, 2 kills", limits(2, 0, 50_000), messages(plan));
}

#[test]
fn queue_bounded() {
    let plan = Plan { limit: 1, ..PLAN };
    holds("queue, bounded, 1 producer, 1 consumer, 2 kills", limits(2, 0, 62_000), messages(plan));
    let plan = Plan { producers: 2, rounds: 1, ..plan };
    holds("queue, bounded, 2 producers, 1 consumer, 2 kills", limits(2, 0, 37_000), messages(plan));
}

#[test]
fn queue_batches() {
    let plan = Plan { rounds: 1, batch: 2, consumers: 2, wants: 1, ..PLAN };
    holds("queue, a batch for 2 consumers, 2 kills", limits(2, 0, 50_000), messages(plan));
}

#[test]
fn queue_pairs() {
    let plan = Plan { rounds: 3, consumers: 2, pairs: true, ..PLAN };
    holds("queue, 2 consumers that take two at once, 2 kills", limits(2, 0, 50_000), messages(plan));
}

#[test]
fn queue_random() {
    let plan = Plan { producers: 2, consumers: 2, rounds: 3, limit: 2, ..PLAN };
    let limits = Limits { spurious: 2, random: Duration::from_millis(1500), ..limits(3, 0, 0) };
    holds("queue, 2 producers, 2 consumers, 3 rounds, 3 kills", limits, messages(plan));
    let plan = Plan { timed: true, pairs: true, ..plan };
    let limits = Limits { timeouts: 3, buffered: true, ..limits };
    holds("queue, the same with time-outs and buffers", limits, messages(plan));
}

#[track_caller]
fn wrong(name: &str, shows: Shows, kills: u8, plan: Plan) {
    catches(name, shows, limits(kills, 0, 500_000), messages(plan));
}

#[test]
fn bug_queue_keeps_quiet() {
    let plan = Plan { keeps_quiet: true, stay: true, rounds: 1, batch: 2, consumers: 2, wants: 1, ..PLAN };
    wrong("bug: who takes one of two tells nobody", Shows::Hang, 0, plan);
}

#[test]
fn bug_queue_rouses_early() {
    let plan = Plan { rouses_early: true, stay: true, rounds: 1, wants: 1, ..PLAN };
    wrong("bug: a consumer is told before the message is there", Shows::Hang, 0, plan);
}

#[test]
fn bug_queue_unrepaired() {
    wrong(
        "bug: a dead one's queue lock stays held",
        Shows::Hang,
        1,
        Plan { unrepaired: true, producers: 2, rounds: 1, ..PLAN },
    );
}

#[test]
fn bug_queue_resets_counts() {
    wrong("bug: who closes forgets the counts", Shows::Hang, 1, Plan { resets_counts: true, ..PLAN });
}

#[test]
fn bug_queue_silent_end() {
    wrong("bug: the last producer's end is not told", Shows::Hang, 0, Plan { silent_end: true, ..PLAN });
}

#[test]
fn bug_queue_piecemeal() {
    wrong(
        "bug: segments change owners field by field",
        Shows::Violation,
        1,
        Plan { piecemeal: true, rounds: 3, ..PLAN },
    );
}

#[test]
fn bug_queue_hasty_end() {
    wrong("bug: the end of the producers is the end", Shows::Violation, 0, Plan { hasty_end: true, rounds: 1, ..PLAN });
}

#[test]
fn bug_queue_batch_in_pieces() {
    let plan = Plan { in_pieces: true, rounds: 1, batch: 2, ..PLAN };
    wrong("bug: a batch is committed in pieces", Shows::Violation, 1, plan);
}
