//! One direction of a pipe: senders and receivers die; a keeper repairs, and may die at it too.

use super::calls::{Note, check, forget, me};
use super::explore::Limits;
use super::keepers::{hex, is_dead, keep, limits, show, start_keepers};
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::lock_word::{Acquired, LockWord};
use carom::shm::memory::Word64;
use carom::shm::pipe::{INLINE, LONG, Line, Ring, Slot, Tried};
use carom::shm::wait_word::WaitWord;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

const SENDER: u32 = 0;
const RECEIVER: u32 = 1;
const GENERATION: u16 = 3;
/// Messages that the ring holds.
const ROOM: usize = 1;

#[derive(Clone, Copy, Default)]
struct Plan {
    senders: u64,
    receivers: u64,
    /// Messages of each sender.
    messages: u64,
    mortal_receivers: bool,
    /// Wrong: whoever takes a message wakes nobody.
    takes_silently: bool,
    /// Wrong: whoever commits a message wakes nobody.
    commits_silently: bool,
    /// Wrong: the repair wakes nobody.
    repairs_silently: bool,
    /// Wrong: the ring does not say that an end is gone.
    goes_silently: bool,
    /// Wrong: looks whether the other end is there after it has looked for messages.
    looks_late: bool,
    /// Wrong: commits, and then writes.
    commits_early: bool,
    /// Wrong: sends without the lock.
    unlocked: bool,
    /// The messages are long: their memory is given back when they are taken.
    long: bool,
    /// Wrong: gives it back before the message is marked as taken.
    gives_early: bool,
}

/// The two ends of the direction: what is written, and where the other side waits.
struct Pipe<M: Simulated> {
    ring: Ring<M, ROOM>,
    locks: [LockWord<M>; 2],
    waits: [WaitWord<M>; 2],
    /// Who has an end: a bit for each process.
    holders: [M::W64; 2],
    /// Messages whose send has returned, and those that were received.
    sent: Note,
    received: Note,
    plan: Plan,
}

fn lock(word: u64) -> String {
    format!("[owner {} {:x}]", word & 0xfff, word >> 12)
}

impl<M: Simulated> Pipe<M> {
    fn new(plan: Plan) -> Self {
        let word = |name: &str| M::word64(name, 0, hex);
        let slot = |index: usize| Slot {
            len: word(&format!("slot {index} len")),
            block: word(&format!("slot {index} block")),
            words: std::array::from_fn::<_, INLINE, _>(|at| word(&format!("slot {index} word {at}"))),
        };
        let lock_word = |name: &str| LockWord::from_word(M::word64(name, (GENERATION as u64) << 48, lock));
        let bits = |from: u64, count: u64| ((1 << count) - 1) << from;
        Pipe {
            ring: Ring {
                tail: Line { word: word("tail"), gone: word("no receiver"), seen: word("head seen") },
                head: Line { word: word("head"), gone: word("no sender"), seen: word("") },
                slots: std::array::from_fn(slot),
            },
            locks: [lock_word("sending lock"), lock_word("receiving lock")],
            waits: ["senders wait", "receivers wait"].map(|name| WaitWord::from_word(M::word64(name, 0, show))),
            holders: [
                M::word64("senders", bits(0, plan.senders), hex),
                M::word64("receivers", bits(plan.senders, plan.receivers), hex),
            ],
            sent: Note::new("sent"),
            received: Note::new("received"),
            plan,
        }
    }

    /// Whether somebody has an end, as the ring says to the other one.
    fn is_there(&self, end: usize) -> bool {
        if end == 0 { self.ring.has_sender() } else { self.ring.has_receiver() }
    }

    fn locked<T>(&self, end: usize, body: impl FnOnce() -> T) -> T {
        let acquired = self.locks[end].acquire(GENERATION, me() as u32 + 1, true, None, || None);
        check(acquired == Acquired::Held, "the lock is not got");
        let result = body();
        self.locks[end].release(GENERATION);
        result
    }

    /// As the end of a cell: whoever waits at the other end hears of it. Whoever dies at it is named in the cell, and his
    /// repair does all of it again.
    fn let_go(&self, end: usize, who: usize) {
        let mut seen = self.holders[end].load(Relaxed);
        while let Err(now) = self.holders[end].compare_exchange(seen, seen & !(1 << who), Release, Relaxed) {
            seen = now;
        }
        if self.holders[end].load(Acquire) == 0 {
            let side = if end == 0 { &self.ring.head } else { &self.ring.tail };
            if !self.plan.goes_silently {
                side.gone.store(1, Release);
            }
            self.waits[1 - end].broadcast(true);
        }
    }

    fn sender(&self) {
        let me = me() as u64;
        for message in 0..self.plan.messages {
            let value = me * self.plan.messages + message + 1;
            loop {
                forget(message);
                let there = || self.is_there(1);
                let put = |slot: &Slot<M>| -> Result<u64, ()> {
                    if self.plan.commits_early {
                        let number = self.ring.next();
                        slot.len.store((number + 1) << 40 | 1, Release);
                        self.ring.tail.word.store(number + 1, Release);
                        slot.words[0].store(value, Relaxed);
                        return Err(());
                    }
                    if self.plan.long {
                        check(slot.block.load(Relaxed) == 0, "the memory of a long message was not given back");
                        slot.block.store(value, Relaxed);
                        return Ok(LONG as u64 + 1);
                    }
                    slot.words[0].store(value, Relaxed);
                    Ok(1)
                };
                let send = || self.ring.try_send(self.plan.long, there, put);
                match if self.plan.unlocked { send() } else { self.locked(0, send) } {
                    Tried::Done(_) => break,
                    Tried::Gone => return self.let_go(0, me as usize),
                    Tried::Nothing => {}
                }
                let done = || self.ring.is_writable(self.plan.long, there).then_some(());
                self.waits[0].wait_until(None, || None, done);
            }
            self.sent.set(self.sent.get() | 1 << value);
            if !self.plan.commits_silently {
                self.waits[1].notify(u32::MAX);
            }
        }
        self.let_go(0, me as usize);
    }

    fn receiver(&self) {
        let me = me();
        loop {
            forget(0);
            let there = || self.is_there(0);
            let give_back = |slot: &Slot<M>, _| slot.block.store(0, Relaxed);
            let take = |slot: &Slot<M>, len| -> Result<u64, ()> {
                check(len == if self.plan.long { LONG as u64 + 1 } else { 1 }, "a length that nobody wrote");
                let word = if self.plan.long { &slot.block } else { &slot.words[0] };
                let value = word.load(Relaxed);
                if self.plan.gives_early {
                    give_back(slot, len);
                }
                Ok(value)
            };
            let tried = self.locked(1, || {
                if self.plan.looks_late && !self.ring.has_message() && !there() {
                    return Tried::Gone;
                }
                self.ring.try_receive(there, take, give_back)
            });
            match tried {
                Tried::Done(Ok(value)) => {
                    check(value != 0, "a message that nobody sent");
                    let received = self.received.get();
                    let twice = received >> value & 1 == 1 && !self.plan.mortal_receivers;
                    check(!twice, "a message came twice");
                    self.received.set(received | 1 << value);
                    if !self.plan.takes_silently {
                        self.waits[0].notify(u32::MAX);
                    }
                }
                Tried::Done(Err(())) => {}
                Tried::Gone => {
                    let lost = self.sent.get() & !self.received.get();
                    check(lost == 0 || self.plan.mortal_receivers || self.plan.receivers > 1, "a message was lost");
                    break;
                }
                Tried::Nothing => {
                    self.waits[1].wait_until(None, || None, || self.ring.is_readable(there).then_some(()));
                }
            }
        }
        self.let_go(1, me);
    }
}

impl<M: Simulated> Scenario for Pipe<M> {
    fn begin(&self) {
        with(|machine| {
            for _ in 0..self.plan.senders {
                machine.start("sender", SENDER, 0, false, true);
            }
            for _ in 0..self.plan.receivers {
                machine.start("receiver", RECEIVER, 0, false, self.plan.mortal_receivers);
            }
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            SENDER => self.sender(),
            RECEIVER => self.receiver(),
            _ => keep((self.plan.senders + self.plan.receivers) as usize, argument, false, |dead, force| {
                for end in 0..2 {
                    self.locks[end].repair(dead, force);
                    if !self.plan.repairs_silently {
                        self.waits[end].broadcast(force);
                    }
                }
                if dead != 0xfff {
                    let end = (dead as u64 > self.plan.senders) as usize;
                    self.let_go(end, dead as usize - 1);
                }
            }),
        }
    }

    fn end(&self) {
        let receivers = self.plan.senders..self.plan.senders + self.plan.receivers;
        if !receivers.clone().any(|who| is_dead(who as usize)) {
            let lost = self.sent.get() & !self.received.get();
            check(lost == 0, "a message was lost");
        }
    }
}

const ONE: Plan = Plan {
    senders: 1,
    receivers: 1,
    messages: 2,
    mortal_receivers: false,
    takes_silently: false,
    commits_silently: false,
    repairs_silently: false,
    looks_late: false,
    commits_early: false,
    unlocked: false,
    long: false,
    gives_early: false,
    goes_silently: false,
};

#[test]
fn pipe_one_to_one() {
    holds("pipe, sender and receiver, 2 kills", limits(2, 0, 100_000), || Pipe::<Sim>::new(ONE));
}

#[test]
fn pipe_dying_receivers() {
    let plan = Plan { mortal_receivers: true, ..ONE };
    holds("pipe, receiver dies too, 2 kills", limits(2, 0, 100_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn pipe_long_messages() {
    let plan = Plan { mortal_receivers: true, receivers: 2, long: true, ..ONE };
    holds("pipe, long messages, 2 receivers, 2 kills", limits(2, 0, 100_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn bug_pipe_gives_early() {
    let plan = Plan { mortal_receivers: true, receivers: 2, long: true, gives_early: true, messages: 1, ..ONE };
    let name = "bug: memory of a message is given back before it is taken";
    catches(name, Shows::Violation, limits(1, 0, 4_000_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn pipe_many() {
    let plan = Plan { senders: 2, messages: 1, ..ONE };
    holds("pipe, 2 senders at one end, 2 kills", limits(2, 0, 100_000), || Pipe::<Sim>::new(plan));
    let plan = Plan { receivers: 2, messages: 1, mortal_receivers: true, ..ONE };
    holds("pipe, 2 receivers at one end, 2 kills", limits(2, 0, 100_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn pipe_random() {
    let limits = Limits { spurious: 2, random: Duration::from_millis(1000), ..limits(2, 0, 0) };
    let plan = Plan { senders: 2, receivers: 2, messages: 2, mortal_receivers: true, ..ONE };
    holds("pipe, 2 senders, 2 receivers, 2 kills", limits, || Pipe::<Sim>::new(plan));
}

#[test]
fn bug_pipe_takes_silently() {
    let plan = Plan { takes_silently: true, ..ONE };
    catches("bug: room is made, and nobody is told", Shows::Hang, limits(0, 0, 4_000_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn bug_pipe_commits_silently() {
    let plan = Plan { commits_silently: true, ..ONE };
    catches("bug: a message comes, and nobody is told", Shows::Hang, limits(0, 0, 4_000_000), || {
        Pipe::<Sim>::new(plan)
    });
}

#[test]
fn bug_pipe_repairs_silently() {
    let plan = Plan { repairs_silently: true, senders: 2, messages: 2, ..ONE };
    let name = "bug: whoever was to wake the other end died, and the repair wakes nobody";
    catches(name, Shows::Hang, limits(1, 0, 4_000_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn bug_pipe_looks_late() {
    let plan = Plan { looks_late: true, ..ONE };
    let name = "bug: looks for messages, then whether the other end is there";
    catches(name, Shows::Violation, limits(0, 0, 4_000_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn bug_pipe_commits_early() {
    let plan = Plan { commits_early: true, ..ONE };
    let name = "bug: commits a message, then writes it";
    catches(name, Shows::Violation, limits(0, 0, 4_000_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn bug_pipe_goes_silently() {
    let plan = Plan { goes_silently: true, ..ONE };
    let name = "bug: an end goes, and the ring does not say so";
    catches(name, Shows::Hang, limits(0, 0, 4_000_000), || Pipe::<Sim>::new(plan));
}

#[test]
fn bug_pipe_unlocked() {
    let plan = Plan { unlocked: true, senders: 2, messages: 1, ..ONE };
    let name = "bug: two senders at once";
    catches(name, Shows::Violation, limits(0, 0, 4_000_000), || Pipe::<Sim>::new(plan));
}
