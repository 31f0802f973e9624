//! The lock word of users' locks, the library's own lock.

use super::memory::{AsWritten, Loom, NoAcquire, NoRelease, Orders, W64, without_release};
use super::model::{Plain, Thread, catches, holds, together};
use carom::shm::internal_lock::InternalLock;
use carom::shm::lock_word::{Acquired, LockWord, Released};
use loom::sync::Arc;
use std::sync::atomic::Ordering;

const GENERATION: u16 = 3;
const FREE: u64 = (GENERATION as u64) << 48;

struct Guarded<O: Orders> {
    lock: LockWord<Loom<O>>,
    data: Plain,
}

impl<O: Orders> Guarded<O> {
    fn new() -> Arc<Self> {
        Arc::new(Guarded { lock: LockWord::from_word(W64::new(FREE)), data: Plain::new() })
    }

    /// As `Lock::acquire_at_once`, then as `Lock::acquire`.
    fn acquire(&self, slot: u32, recover: bool) -> Acquired {
        if self.lock.try_acquire_from(FREE, GENERATION, slot) || self.lock.try_acquire(GENERATION, slot) {
            return Acquired::Held;
        }
        self.lock.acquire(GENERATION, slot, recover, None, || None)
    }

    fn release(&self, slot: u32) {
        let short = self.lock.try_release_to(FREE, GENERATION, slot);
        assert!(short || self.lock.release(GENERATION) == Released::Free);
    }

    fn counts(&self, slot: u32) {
        assert_eq!(self.acquire(slot, false), Acquired::Held);
        self.data.set(self.data.get() + 1);
        self.release(slot);
    }
}

fn excludes<O: Orders, const N: usize>(rounds: u32) -> impl Fn() + Sync + Send {
    move || {
        let guarded = Guarded::<O>::new();
        together::<N>(std::array::from_fn(|_| {
            let guarded = guarded.clone();
            Box::new(move |slot| (0..rounds).for_each(|_| guarded.counts(slot))) as Thread
        }));
        assert_eq!(guarded.data.get(), N as u64 * rounds as u64);
        assert_eq!(guarded.lock.bits(), FREE);
    }
}

/// The holder in slot 9 is dead, and its repairer knows; two others want the lock.
fn recovers<O: Orders>() {
    let guarded = Guarded::<O>::new();
    assert_eq!(guarded.acquire(9, false), Acquired::Held);
    let repairs = guarded.clone();
    let recovers = || {
        let guarded = guarded.clone();
        Box::new(move |slot| {
            if guarded.acquire(slot, false) == Acquired::OwnerDied {
                assert_eq!(guarded.acquire(slot, true), Acquired::Held);
            }
            guarded.data.set(guarded.data.get() + 1);
            guarded.release(slot);
        }) as Thread
    };
    together([
        recovers(),
        recovers(),
        Box::new(move |_| {
            // What the dead one wrote last: who has the lock behind the repair must see it.
            repairs.data.set(7);
            repairs.lock.repair(9, false);
        }),
    ]);
    assert_eq!(guarded.data.get(), 9);
}

/// The object ends while one holds its lock and another one waits.
fn retires() {
    let guarded = Guarded::<AsWritten>::new();
    let uses = || {
        let guarded = guarded.clone();
        Box::new(move |slot| match guarded.acquire(slot, false) {
            Acquired::Held => drop(guarded.lock.release(GENERATION)),
            other => assert_eq!(other, Acquired::Gone),
        }) as Thread
    };
    let ends = guarded.clone();
    together([uses(), uses(), Box::new(move |_| ends.lock.retire(GENERATION + 1, false))]);
}

#[test]
fn user_lock() {
    holds("user lock, 2 threads, 2 rounds", excludes::<AsWritten, 2>(2));
    holds("user lock, 3 threads", excludes::<AsWritten, 3>(1));
    holds("user lock, its holder is dead, 3 threads", recovers::<AsWritten>);
    holds("user lock, its object ends, 3 threads", retires);
}

/// The mark of a dead owner publishes nothing.
enum RelaxedRepair {}
impl Orders for RelaxedRepair {
    fn change(written: Ordering, old: u64, new: u64) -> Ordering {
        const DIED: u64 = 1 << 30;
        if old & DIED == 0 && new & DIED != 0 { without_release(written) } else { written }
    }
}

#[test]
fn bug_user_lock() {
    catches("bug: a release of a lock is Relaxed", excludes::<NoRelease, 2>(1));
    catches("bug: an acquire of a lock is Relaxed", excludes::<NoAcquire, 2>(1));
    catches("bug: a repair of a lock is Relaxed", recovers::<RelaxedRepair>);
}

fn internal<O: Orders, const N: usize>(rounds: u32) -> impl Fn() + Sync + Send {
    move || {
        let shared = Arc::new((InternalLock::<Loom<O>>::from_word(W64::new(0)), Plain::new()));
        together::<N>(std::array::from_fn(|_| {
            let shared = shared.clone();
            Box::new(move |_| {
                for _ in 0..rounds {
                    let guard = shared.0.lock();
                    assert!(!guard.owner_died);
                    shared.1.set(shared.1.get() + 1);
                    drop(guard);
                }
            }) as Thread
        }));
        assert_eq!((shared.1.get(), shared.0.bits()), (N as u64 * rounds as u64, 0));
    }
}

#[test]
fn internal_lock() {
    holds("internal lock, 2 threads, 2 rounds", internal::<AsWritten, 2>(2));
    holds("internal lock, 3 threads", internal::<AsWritten, 3>(1));
}

#[test]
fn bug_internal_lock() {
    catches("bug: a release of the internal lock is Relaxed", internal::<NoRelease, 2>(1));
    catches("bug: an acquire of the internal lock is Relaxed", internal::<NoAcquire, 2>(1));
}
