//! A bell that several sleepers share, each waiting for news of its own, rung by several.

use super::calls::{await_death, become_mortal, forget, me};
use super::explore::Limits;
use super::fault::{Fault, Faulty};
use super::machine::{Event, with};
use super::memory::{Sim, SimWord32, Simulated};
use super::report::{Shows, catches, holds};
use super::runner::Scenario;
use carom::shm::lane::Bell;
use carom::shm::memory::Word32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const SLEEPER: u32 = 0;
const RINGER: u32 = 1;
const KEEPER: u32 = 2;

/// Sleepers come first in the table, then as many ringers, then the keepers.
struct Shared<M: Simulated> {
    bell: Bell<M>,
    news: Vec<M::W32>,
}

impl<M: Simulated> Shared<M> {
    fn new(sleepers: usize) -> Self {
        let news = (0..sleepers).map(|at| M::word32(&format!("news[{at}]"), 0)).collect();
        Shared { bell: Bell::from_word(M::word32("bell", 0)), news }
    }

    fn sleeper(&self) {
        let news = &self.news[me()];
        while news.load(Acquire) == 0 {
            let ticket = self.bell.prepare();
            if news.load(Acquire) == 0 {
                self.bell.sleep(ticket, None, None);
            }
            forget(0);
        }
    }

    fn ringer(&self) {
        self.news[me() - self.news.len()].store(1, Release);
        self.bell.ring();
    }

    fn keeper(&self, number: u64) {
        let first = 2 * self.news.len();
        for predecessor in first..me() {
            await_death(!(1 << predecessor), false);
        }
        if number == 1 {
            become_mortal();
        }
        let mut known = 0;
        loop {
            if number > 0 || known > 0 {
                self.bell.ring_all();
            }
            forget(known);
            let Event::Death(dead) = await_death(known, false) else { continue };
            known |= 1 << dead;
            if let Some(news) = dead.checked_sub(self.news.len()).and_then(|ringer| self.news.get(ringer)) {
                // What its ringer did not say, the keeper says for it.
                let _ = news.compare_exchange(0, 2, Release, Relaxed);
            }
        }
    }
}

impl<M: Simulated> Scenario for Shared<M> {
    fn begin(&self) {
        with(|machine| {
            for (name, role) in [("sleeper", SLEEPER), ("ringer", RINGER)] {
                for _ in &self.news {
                    machine.start(name, role, 0, false, true);
                }
            }
            machine.start("keeper", KEEPER, 0, true, true);
            machine.start("keeper", KEEPER, 1, true, false);
            machine.start("keeper", KEEPER, 2, true, false);
        });
    }

    fn process(&self, role: u32, argument: u64) {
        match role {
            SLEEPER => self.sleeper(),
            RINGER => self.ringer(),
            _ => self.keeper(argument),
        }
    }
}

fn limits(kills: u8, runs: u64) -> Limits {
    Limits { kills, runs, buffered: true, ..Limits::default() }
}

#[test]
fn bell_two_sleepers() {
    holds("bell, 2 sleepers, 2 ringers, 2 kills", limits(2, 300_000), || Shared::<Sim>::new(2));
}

#[test]
fn bell_three_sleepers() {
    holds("bell, 3 sleepers, 3 ringers", limits(0, 400_000), || Shared::<Sim>::new(3));
}

/// A ring does not raise the number, so the mark of the next sleeper hides it.
enum RingsUnseen {}
impl Fault for RingsUnseen {
    fn exchange32(word: &SimWord32, current: u32, new: u32) -> Result<u32, u32> {
        word.compare_exchange(current, (current & !1) | (new & 1), Relaxed, Relaxed)
    }
}

#[test]
fn bug_ring_does_not_raise() {
    let name = "bug: a ring does not raise the number";
    catches(name, Shows::Hang, limits(0, 2_000_000), || Shared::<Faulty<RingsUnseen>>::new(2));
}

/// A ring wakes one of the sleepers.
enum WakesOne {}
impl Fault for WakesOne {
    fn wake32(word: &SimWord32, _: u32) -> u32 {
        <Sim as carom::shm::memory::Memory>::wake32(word, 1)
    }
}

#[test]
fn bug_ring_wakes_one() {
    catches("bug: a ring wakes one of many", Shows::Hang, limits(0, 2_000_000), || Shared::<Faulty<WakesOne>>::new(2));
}
