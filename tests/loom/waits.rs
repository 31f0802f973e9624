//! Semaphores, events, barriers, conditions, over the word at which they wait.

use super::memory::{AsWritten, Loom, NoAcquire, NoFence, NoRelease, Orders, W64, without_release};
use super::model::{Plain, Thread, catches, holds, together};
use carom::shm::lock_word::{Acquired, LockWord, Released};
use carom::shm::sync::{self, Arrival, Barrier, Event, Meeting};
use carom::shm::wait_word::WaitWord;
use loom::sync::Arc;
use std::sync::atomic::Ordering;

/// As `sync::wait_until`: a look, then the wait word.
fn wait_until<O: Orders, T>(wait: &WaitWord<Loom<O>>, mut done: impl FnMut() -> Option<T>) -> T {
    done().or_else(|| wait.wait_until(None, || None, done)).expect("there is no time-out")
}

/// An object: its word, where its waiters are, and memory that it guards.
struct Shared<O: Orders> {
    word: W64<O>,
    wait: WaitWord<Loom<O>>,
    data: [Plain; 2],
}

fn shared<O: Orders>(word: u64) -> Arc<Shared<O>> {
    let wait = WaitWord::from_word(W64::new(0));
    Arc::new(Shared { word: W64::new(word), wait, data: [Plain::new(), Plain::new()] })
}

// ------------------------------------------------------------------------------------------------------------ semaphores

/// Two take what one gives.
fn takes_and_gives<O: Orders>(at_once: u64) -> impl Fn() + Sync + Send {
    move || {
        let semaphore = shared::<O>(0);
        let takes = |which: usize| {
            let semaphore = semaphore.clone();
            let take = move |_| {
                wait_until(&semaphore.wait, || sync::take(&semaphore.word).then_some(()));
                // Written before the first unit was given.
                assert_eq!(semaphore.data[which].get(), 5);
            };
            Box::new(take) as Thread
        };
        let gives = semaphore.clone();
        together([
            takes(0),
            takes(1),
            Box::new(move |_| {
                gives.data.iter().for_each(|data| data.set(5));
                for _ in 0..2 / at_once {
                    (0..at_once).for_each(|_| assert!(sync::give(&gives.word, u64::MAX)));
                    gives.wait.notify(at_once as u32);
                }
            }),
        ]);
        assert!(!sync::take(&semaphore.word));
        assert_eq!(semaphore.wait.waiters(), 0);
    }
}

/// One unit, owned by one of two at a time.
fn owns<O: Orders>() {
    let semaphore = shared::<O>(0);
    let uses = || {
        let semaphore = semaphore.clone();
        Box::new(move |slot| {
            let tokens = || std::iter::once(&semaphore.word);
            let take = || sync::take_token(tokens(), slot).then_some(());
            wait_until(&semaphore.wait, take);
            semaphore.data[0].set(semaphore.data[0].get() + 1);
            assert!(sync::give_token(tokens(), slot));
            semaphore.wait.notify(1);
        }) as Thread
    };
    together([uses(), uses(), uses()]);
    assert_eq!(semaphore.data[0].get(), 3);
}

/// The unit's owner in slot 9 is dead, and its repairer knows.
fn returns<O: Orders>() {
    let semaphore = shared::<O>(9);
    let (takes, repairs) = (semaphore.clone(), semaphore.clone());
    together([
        Box::new(move |slot| {
            let take = || sync::take_token(std::iter::once(&takes.word), slot).then_some(());
            wait_until(&takes.wait, take);
            assert_eq!(takes.data[0].get(), 5);
        }) as Thread,
        Box::new(move |_| {
            repairs.data[0].set(5);
            sync::return_tokens(std::iter::once(&repairs.word), 9);
            repairs.wait.broadcast(false);
        }),
    ]);
}

#[test]
fn semaphores() {
    holds("semaphore, 2 units one by one, 2 takers", takes_and_gives::<AsWritten>(1));
    holds("semaphore, 2 units at once, 2 takers", takes_and_gives::<AsWritten>(2));
    holds("semaphore, 1 owned unit, 3 threads", owns::<AsWritten>);
    holds("semaphore, an owner of a unit is dead", returns::<AsWritten>);
}

#[test]
fn bug_semaphores() {
    catches("bug: a unit is given with Relaxed", takes_and_gives::<NoRelease>(1));
    catches("bug: a unit is taken with Relaxed", takes_and_gives::<NoAcquire>(1));
    catches("bug: no fence between unit and notification", takes_and_gives::<NoFence>(1));
    catches("bug: an owned unit is given with Relaxed", owns::<NoRelease>);
    catches("bug: no fence between owned unit and notification", owns::<NoFence>);
    catches("bug: the units of the dead return with Relaxed", returns::<NoRelease>);
}

// ---------------------------------------------------------------------------------------------------------------- events

/// Two wait for what one sets, and perhaps clears at once.
fn awaits<O: Orders>(pulse: bool) -> impl Fn() + Sync + Send {
    move || {
        let event = shared::<O>(0);
        let waits = |which: usize| {
            let event = event.clone();
            let before = Event::<Loom<O>>::at(&event.word).sets();
            Box::new(move |_| {
                let done = || Event::<Loom<O>>::at(&event.word).was_set_since(before).then_some(());
                wait_until(&event.wait, done);
                assert_eq!(event.data[which].get(), 5);
            }) as Thread
        };
        let sets = event.clone();
        together([
            waits(0),
            waits(1),
            Box::new(move |_| {
                sets.data.iter().for_each(|data| data.set(5));
                let event = Event::<Loom<O>>::at(&sets.word);
                assert!(event.set());
                sets.wait.notify(u32::MAX);
                if pulse {
                    event.clear();
                }
            }),
        ]);
    }
}

#[test]
fn events() {
    holds("event, set, 2 waiters", awaits::<AsWritten>(false));
    holds("event, set and cleared, 2 waiters", awaits::<AsWritten>(true));
}

#[test]
fn bug_events() {
    catches("bug: an event is set with Relaxed", awaits::<NoRelease>(false));
    catches("bug: an event is looked at with Relaxed", awaits::<NoAcquire>(false));
    catches("bug: no fence between event and notification", awaits::<NoFence>(false));
}

// -------------------------------------------------------------------------------------------------------------- barriers

/// All parties write before it, and read what the others wrote behind it.
struct Meet<O: Orders> {
    word: W64<O>,
    ledger: Vec<W64<O>>,
    wait: WaitWord<Loom<O>>,
    data: Vec<Plain>,
    acted: Plain,
}

fn meets<O: Orders, const N: usize>(rounds: u64) -> impl Fn() + Sync + Send {
    move || {
        let meet = Arc::new(Meet::<O> {
            word: W64::new(1),
            ledger: (0..N).map(|_| W64::new(0)).collect(),
            wait: WaitWord::from_word(W64::new(0)),
            data: (0..N).map(|_| Plain::new()).collect(),
            acted: Plain::new(),
        });
        together::<N>(std::array::from_fn(|me| {
            let meet = meet.clone();
            Box::new(move |slot| (1..=rounds).for_each(|round| comes(&meet, me, slot, round))) as Thread
        }));
    }
}

fn comes<O: Orders>(meet: &Meet<O>, me: usize, slot: u32, round: u64) {
    let barrier = Barrier::<Loom<O>>::at(&meet.word);
    // Once: in a second round the others may still read.
    let first = round == 1;
    if first {
        meet.data[me].set(5);
    }
    let all_written = || !first || meet.data.iter().all(|data| data.get() == 5);
    let Arrival::Here { meeting, index } = barrier.arrive(|| meet.ledger.iter(), slot) else {
        panic!("nobody is one too many, and nothing broke it")
    };
    if index + 1 == meet.ledger.len() as u64 {
        // The action, alone between two phases.
        assert!(all_written());
        meet.acted.set(round);
        assert!(barrier.complete(meeting));
        meet.wait.notify(u32::MAX);
    } else {
        let over = || Some(barrier.outcome(meeting)).filter(|outcome| *outcome != Meeting::Open);
        assert_eq!(wait_until(&meet.wait, over), Meeting::Complete);
    }
    assert!(all_written());
    assert_eq!(meet.acted.get(), round);
}

/// An arrival publishes nothing.
enum RelaxedArrival {}
impl Orders for RelaxedArrival {
    fn change(written: Ordering, old: u64, _: u64) -> Ordering {
        if old == 0 { without_release(written) } else { written }
    }
}

#[test]
fn barriers() {
    holds("barrier, 2 parties", meets::<AsWritten, 2>(1));
    holds("barrier, 3 parties", meets::<AsWritten, 3>(1));
    holds("barrier, 2 parties, 2 rounds", meets::<AsWritten, 2>(2));
}

#[test]
fn bug_barriers() {
    catches("bug: an arrival is Relaxed", meets::<RelaxedArrival, 2>(1));
    catches("bug: an outcome is looked at with Relaxed", meets::<NoAcquire, 2>(1));
    catches("bug: no fence between meeting and notification", meets::<NoFence, 2>(1));
}

// ------------------------------------------------------------------------------------------------------------ conditions

/// As `sync/condition.rs`, whose steps these are: two wait until there is one for each.
fn notices<O: Orders>(all: bool) -> impl Fn() + Sync + Send {
    move || {
        let condition = shared::<O>(0);
        let lock = Arc::new(LockWord::<Loom<O>>::from_word(W64::new(0)));
        let acquire = |lock: &LockWord<Loom<O>>, slot| {
            assert!(lock.try_acquire(0, slot) || lock.acquire(0, slot, false, None, || None) == Acquired::Held)
        };
        let waits = || {
            let (condition, lock) = (condition.clone(), lock.clone());
            Box::new(move |slot| {
                acquire(&lock, slot);
                while condition.data[0].get() == 0 {
                    let ticket = condition.wait.prepare();
                    assert_eq!(lock.release(0), Released::Free);
                    assert!(condition.wait.wait_notified(ticket, None, || None, || false));
                    acquire(&lock, slot);
                }
                condition.data[0].set(condition.data[0].get() - 1);
                assert_eq!(lock.release(0), Released::Free);
            }) as Thread
        };
        let (notifies, held) = (condition.clone(), lock.clone());
        together([
            waits(),
            waits(),
            Box::new(move |slot| {
                for _ in 0..if all { 1 } else { 2 } {
                    acquire(&held, slot);
                    notifies.data[0].set(notifies.data[0].get() + if all { 2 } else { 1 });
                    let owed = notifies.wait.notify_later(if all { u32::MAX } else { 1 });
                    assert_eq!(held.release(0), Released::Free);
                    notifies.wait.wake(owed);
                }
            }),
        ]);
        assert_eq!(condition.data[0].get(), 0);
    }
}

#[test]
fn conditions() {
    holds("condition, 2 waiters, notify each", notices::<AsWritten>(false));
    holds("condition, 2 waiters, notify all", notices::<AsWritten>(true));
}
