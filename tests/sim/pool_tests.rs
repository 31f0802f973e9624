//! What is explored of the lane, and the seeded bugs that must be caught.

use super::calls::me;
use super::explore::Limits;
use super::fault::{Fault, Faulty};
use super::machine::with;
use super::memory::{Sim, SimWord32, SimWord64};
use super::pool::{CHUNK, ENDLESS, KEEPER, Pool, SHORT, Wrong, limits};
use super::report::{Shows, catches, holds};
use carom::shm::lane::{State, Task};
use carom::shm::memory::Word64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

#[test]
fn lane_three_tasks() {
    holds("lane, 3 tasks, 2 kills", limits(2, 0, 400_000), || {
        Pool::<Sim>::new(&[SHORT, SHORT, SHORT], false, Wrong::default())
    });
}

#[test]
fn lane_revoke() {
    holds("lane, 3 tasks, revoke, 2 kills", limits(2, 0, 400_000), || {
        Pool::<Sim>::new(&[SHORT, SHORT, SHORT], false, Wrong::default()).with_revoke()
    });
}

#[test]
fn lane_chunks() {
    holds("lane, 2 chunks of 2 items, 2 kills", limits(2, 0, 400_000), || {
        Pool::<Sim>::new(&[CHUNK, CHUNK], false, Wrong::default())
    });
}

#[test]
fn lane_time_limit() {
    holds("lane, 3 tasks, time limits, 1 kill", limits(1, 2, 400_000), || {
        Pool::<Sim>::new(&[SHORT, CHUNK, SHORT], true, Wrong::default())
    });
}

#[test]
fn lane_endless_task() {
    holds("lane, endless task, time limits, 2 kills", limits(2, 1, 400_000), || {
        Pool::<Sim>::new(&[ENDLESS, SHORT], true, Wrong::default())
    });
}

#[test]
fn lane_random() {
    let random = Duration::from_millis(1500);
    let limits = Limits { buffered: true, spurious: 1, random, ..limits(2, 3, 0) };
    holds("lane, 5 tasks, time limits, store buffers, 2 kills", limits, || {
        Pool::<Sim>::new(&[CHUNK, SHORT, ENDLESS, CHUNK, SHORT], true, Wrong::default())
    });
}

#[test]
fn lane_soft_limit() {
    holds("lane, 3 tasks, soft limits, 1 kill", limits(1, 2, 400_000), || {
        Pool::<Sim>::new(&[SHORT, CHUNK, SHORT], true, Wrong::default()).with_soft_limit()
    });
}

#[test]
fn lane_soft_limit_random() {
    let random = Duration::from_millis(1500);
    let limits = Limits { buffered: true, spurious: 1, random, ..limits(2, 4, 0) };
    holds("lane, 5 tasks, soft and hard limits, store buffers, 2 kills", limits, || {
        Pool::<Sim>::new(&[CHUNK, SHORT, SHORT, CHUNK, SHORT], true, Wrong::default()).with_soft_limit()
    });
}

/// One that shows when the keeper says that an item should stop.
fn hits_another(name: &str, wrong: Wrong) {
    let make = || Pool::<Sim>::new(&[CHUNK, SHORT, SHORT], true, wrong).with_soft_limit();
    catches(name, Shows::Violation, limits(0, 1, 2_000_000), make);
}

#[test]
fn bug_tells_unasked() {
    hits_another("bug: keeper signals an item that may be left", Wrong { tells_unasked: true, ..Wrong::default() });
}

#[test]
fn bug_tells_early() {
    hits_another(
        "bug: keeper says that the signal is sent before it is",
        Wrong { tells_early: true, ..Wrong::default() },
    );
}

/// One that shows in a run without time limits, by a death.
fn dies_of(name: &str, shows: Shows, wrong: Wrong) {
    let make = || Pool::<Sim>::new(&[SHORT, SHORT, SHORT], false, wrong);
    catches(name, shows, limits(2, 0, 2_000_000), make);
}

/// One that shows when the keeper enforces a time limit, whether anybody else dies or not.
fn times_out(name: &str, shows: Shows, wrong: Wrong) {
    let make = || Pool::<Sim>::new(&[CHUNK, SHORT, SHORT], true, wrong);
    catches(name, shows, limits(0, 1, 2_000_000), make);
}

#[test]
fn bug_signal_before_decision() {
    let wrong = Wrong { signals_first: true, ..Wrong::default() };
    times_out("bug: keeper signals without deciding", Shows::Violation, wrong);
}

/// Why `Killed` must not be an end: with an endless task, the sentence is forgotten with the slot.
#[test]
fn bug_collects_killed() {
    let wrong = Wrong { collects_killed: true, ..Wrong::default() };
    catches("bug: host collects before the burial", Shows::Hang, limits(1, 1, 2_000_000), || {
        Pool::<Sim>::new(&[ENDLESS, SHORT], true, wrong)
    });
}

#[test]
fn bug_forgets_sentence() {
    let wrong = Wrong { forgets_sentence: true, ..Wrong::default() };
    catches("bug: successor forgets the sentence", Shows::Hang, limits(1, 1, 2_000_000), || {
        Pool::<Sim>::new(&[ENDLESS, SHORT], true, wrong)
    });
}

#[test]
fn bug_silent_burial() {
    let wrong = Wrong { silent_burial: true, ..Wrong::default() };
    dies_of("bug: nobody wakes after a death", Shows::Hang, wrong);
}

#[test]
fn bug_timeout_taken_for_death() {
    let wrong = Wrong { hasty: true, ..Wrong::default() };
    times_out("bug: a timeout is taken for a death", Shows::Violation, wrong);
}

#[test]
fn bug_looks_once() {
    let wrong = Wrong { looks_once: true, ..Wrong::default() };
    dies_of("bug: host sleeps without a second look", Shows::Hang, wrong);
}

#[test]
fn bug_done_early() {
    let wrong = Wrong { done_early: true, ..Wrong::default() };
    dies_of("bug: done before it is", Shows::Violation, wrong);
}

#[test]
fn bug_plain_advance() {
    let wrong = Wrong { plain_advance: true, ..Wrong::default() };
    times_out("bug: plain advance under a time limit", Shows::Violation, wrong);
}

#[test]
fn bug_goes_on() {
    let wrong = Wrong { goes_on: true, ..Wrong::default() };
    times_out("bug: worker goes on though condemned", Shows::Violation, wrong);
}

#[test]
fn bug_begins_anywhere() {
    let wrong = Wrong { begins_anywhere: true, ..Wrong::default() };
    dies_of("bug: new worker begins at any slot", Shows::Hang, wrong);
}

/// The store buffers of x86-64 make the bell's fences matter.
#[test]
fn lane_store_buffers() {
    let limits = Limits { buffered: true, ..limits(1, 0, 400_000) };
    holds("lane, 2 tasks, store buffers, 1 kill", limits, || {
        Pool::<Sim>::new(&[SHORT, SHORT], false, Wrong::default())
    });
}

/// Sleeper and ringer look without a fence before.
enum NoFence {}
impl Fault for NoFence {
    fn fence() {}
}

#[test]
fn bug_no_fence() {
    let limits = Limits { buffered: true, ..limits(0, 0, 2_000_000) };
    catches("bug: bells without fences", Shows::Hang, limits, || {
        Pool::<Faulty<NoFence>>::new(&[SHORT, SHORT], false, Wrong::default())
    });
}

fn state(word: u64) -> State {
    Task::from_bits(word).state()
}

fn exchange(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
    word.compare_exchange(current, new, Relaxed, Relaxed)
}

/// The keeper's decision is a store.
enum KillByStore {}
impl Fault for KillByStore {
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        if state(new) == State::Killed {
            word.store(new, Relaxed);
            return Ok(current);
        }
        exchange(word, current, new)
    }
}

#[test]
fn bug_kill_by_store() {
    catches("bug: the kill is a store", Shows::Violation, limits(0, 1, 2_000_000), || {
        Pool::<Faulty<KillByStore>>::new(&[SHORT, SHORT, SHORT], true, Wrong::default())
    });
}

/// The burial leaves the word of a running task alone.
enum NoBurial {}
impl Fault for NoBurial {
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        if state(new) == State::Lost { Ok(current) } else { exchange(word, current, new) }
    }
}

#[test]
fn bug_no_burial() {
    catches("bug: the burial is forgotten", Shows::Hang, limits(1, 0, 2_000_000), || {
        Pool::<Faulty<NoBurial>>::new(&[SHORT, SHORT], false, Wrong::default())
    });
}

/// The burial takes what is done for running, and overwrites it.
enum LostOverDone {}
impl Fault for LostOverDone {
    fn load64(word: &SimWord64) -> u64 {
        let seen = Task::from_bits(word.load(Relaxed));
        let keeper = with(|machine| machine.current.is_some_and(|current| machine.processes[current].role == KEEPER));
        if keeper && seen.state() == State::Done {
            return Task::new(State::Running, seen.sequence(), seen.item()).bits();
        }
        seen.bits()
    }
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        if state(new) == State::Lost {
            word.store(new, Relaxed);
            return Ok(current);
        }
        exchange(word, current, new)
    }
}

#[test]
fn bug_lost_over_done() {
    catches("bug: done is overwritten by lost", Shows::Violation, limits(1, 0, 2_000_000), || {
        Pool::<Faulty<LostOverDone>>::new(&[SHORT, SHORT], false, Wrong::default())
    });
}

/// Bells make no sound.
enum NoRing {}
impl Fault for NoRing {
    fn wake32(_: &SimWord32, _: u32) -> u32 {
        0
    }
}

#[test]
fn bug_no_ring() {
    catches("bug: bells do not ring", Shows::Hang, limits(0, 0, 2_000_000), || {
        Pool::<Faulty<NoRing>>::new(&[SHORT, SHORT], false, Wrong::default())
    });
}

/// `ring_all` wakes those who sleep, but not those who are about to.
enum NoRaise {}
impl Fault for NoRaise {
    fn add32(_: &SimWord32, _: u32) -> u32 {
        me() as u32
    }
}

#[test]
fn bug_no_raise() {
    catches("bug: ring_all does not raise the number", Shows::Hang, limits(2, 0, 4_000_000), || {
        Pool::<Faulty<NoRaise>>::new(&[SHORT, SHORT], false, Wrong::default())
    });
}
