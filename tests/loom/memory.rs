//! `Loom`: a back end of the trait `Memory` whose words are loom's.

use carom::shm::memory::{Deadline, Memory, Wake, Word32, Word64};
use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::sync::{Condvar, Mutex};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::{self, Relaxed};

/// With which orderings the words are used: as the source says, or weaker, for the seeded bugs.
pub trait Orders: 'static {
    /// Of a load.
    fn load(written: Ordering) -> Ordering {
        written
    }
    /// Of a store.
    fn store(written: Ordering) -> Ordering {
        written
    }
    /// Of a change that succeeds, from `old` to `new`.
    fn change(written: Ordering, _old: u64, _new: u64) -> Ordering {
        written
    }
    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// What ships.
pub enum AsWritten {}
impl Orders for AsWritten {}

pub fn without_release(written: Ordering) -> Ordering {
    if matches!(written, Ordering::Acquire | Ordering::AcqRel) { Ordering::Acquire } else { Relaxed }
}

/// Nobody publishes what he has written.
pub enum NoRelease {}
impl Orders for NoRelease {
    fn store(_: Ordering) -> Ordering {
        Relaxed
    }
    fn change(written: Ordering, _: u64, _: u64) -> Ordering {
        without_release(written)
    }
}

/// Nobody sees what others have published.
pub enum NoAcquire {}
impl Orders for NoAcquire {
    fn load(_: Ordering) -> Ordering {
        Relaxed
    }
    fn change(written: Ordering, _: u64, _: u64) -> Ordering {
        if matches!(written, Ordering::Release | Ordering::AcqRel) { Ordering::Release } else { Relaxed }
    }
}

/// The fences are not there.
pub enum NoFence {}
impl Orders for NoFence {
    fn fence() {}
}

/// Memory of the model that is being run.
pub struct Loom<O>(PhantomData<O>);

/// A word, and where its sleepers are.
pub struct LoomWord<A, O> {
    value: A,
    asleep: Mutex<u32>,
    wake: Condvar,
    orders: PhantomData<O>,
}

impl<A, O> LoomWord<A, O> {
    fn of(value: A) -> Self {
        LoomWord { value, asleep: Mutex::new(0), wake: Condvar::new(), orders: PhantomData }
    }

    /// `low`: the half that is compared. A sleep with a deadline is over at once.
    fn sleep(&self, expected: u32, low: impl Fn(&A) -> u32, deadline: Deadline) -> Wake {
        let mut asleep = self.asleep.lock().unwrap();
        if low(&self.value) != expected {
            return Wake::Look;
        }
        if deadline.is_some() {
            return Wake::TimedOut;
        }
        *asleep += 1;
        drop(self.wake.wait(asleep).unwrap());
        Wake::Look
    }

    fn rouse(&self, count: u32) -> u32 {
        let mut asleep = self.asleep.lock().unwrap();
        let woken = count.min(*asleep);
        *asleep -= woken;
        (0..woken).for_each(|_| self.wake.notify_one());
        woken
    }
}

macro_rules! word {
    ($trait:ident, $atomic:ident, $int:ident) => {
        impl<O: Orders> LoomWord<$atomic, O> {
            pub fn new(value: $int) -> Self {
                LoomWord::of($atomic::new(value))
            }
        }
        impl<O: Orders> $trait for LoomWord<$atomic, O> {
            fn load(&self, order: Ordering) -> $int {
                self.value.load(O::load(order))
            }
            fn store(&self, value: $int, order: Ordering) {
                self.value.store(value, O::store(order));
            }
            fn swap(&self, value: $int, order: Ordering) -> $int {
                self.value.swap(value, order)
            }
            fn compare_exchange(&self, current: $int, new: $int, done: Ordering, not: Ordering) -> Result<$int, $int> {
                let done = O::change(done, current as u64, new as u64);
                self.value.compare_exchange(current, new, done, O::load(not))
            }
            fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                self.value.fetch_add(value, order)
            }
        }
    };
}
word!(Word32, AtomicU32, u32);
word!(Word64, AtomicU64, u64);

loom::thread_local! {
    static ME: Cell<u32> = Cell::new(0);
}

/// The calling thread is `id` from now on, for `Memory::thread_id`.
pub fn be(id: u32) {
    ME.with(|me| me.set(id));
}

pub type W32<O> = LoomWord<AtomicU32, O>;
pub type W64<O> = LoomWord<AtomicU64, O>;

impl<O: Orders> Memory for Loom<O> {
    type W32 = W32<O>;
    type W64 = W64<O>;

    fn thread_id() -> u32 {
        ME.with(|me| me.get())
    }
    fn fence() {
        O::fence();
    }
    /// Each look is explored, and one before the sleep is enough.
    fn pause(_: &mut u32, _: u32) -> bool {
        false
    }
    fn pending_set(_: &W64<O>) {}
    fn pending_clear() {}
    fn wait64(word: &W64<O>, expected: u32, _: Option<(&W32<O>, u32)>, deadline: Deadline) -> Wake {
        word.sleep(expected, |value| value.load(Relaxed) as u32, deadline)
    }
    fn wait32(word: &W32<O>, expected: u32, _: Option<(&W32<O>, u32)>, deadline: Deadline) -> Wake {
        word.sleep(expected, |value| value.load(Relaxed), deadline)
    }
    fn wake64(word: &W64<O>, count: u32) -> u32 {
        word.rouse(count)
    }
    fn wake32(word: &W32<O>, count: u32) -> u32 {
        word.rouse(count)
    }
}
