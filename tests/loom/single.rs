//! Queues with one producer and one consumer: who has a role, what those who sleep see, what the end sees.

use super::memory::{AsWritten, Loom, NoAcquire, NoFence, NoRelease, Orders, W32, W64};
use super::model::{Plain, Thread, catches, holds, together};
use carom::shm::gate::Gate;
use carom::shm::lock_word::{Acquired, LockWord};
use carom::shm::memory::{Memory, Word64};
use carom::shm::sole::{Sole, Who};
use carom::shm::wait_word::WaitWord;
use loom::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

struct Side<O: Orders> {
    lock: LockWord<Loom<O>>,
    role: Sole<Loom<O>>,
    /// The commit word of the tail, and a message.
    tail: W64<O>,
    message: Plain,
    shut: W64<O>,
    news: (WaitWord<Loom<O>>, W32<O>),
}

fn side<O: Orders>() -> Arc<Side<O>> {
    Arc::new(Side {
        lock: LockWord::from_word(W64::new(0)),
        role: Sole::from_word(W64::new(0)),
        tail: W64::new(0),
        message: Plain::new(),
        shut: W64::new(0),
        news: (WaitWord::from_word(W64::new(0)), W32::new(0)),
    })
}

impl<O: Orders> Side<O> {
    fn news(&self) -> Gate<'_, Loom<O>> {
        Gate { wait: &self.news.0, woken: &self.news.1 }
    }

    fn claim(&self, me: u32) -> Who {
        assert_eq!(self.lock.acquire(0, me, true, None, || None), Acquired::Held);
        let who = Who::new(0, me, me);
        self.role.take(who);
        who
    }

    /// Inside: a message is written, then committed, unless the queue is shut down.
    fn puts(&self, who: Who) -> bool {
        self.role.enter(who);
        let shut = self.shut.load(Acquire) != 0;
        if !shut {
            let count = self.tail.load(Relaxed);
            self.message.set(self.message.get() + 1);
            self.tail.store(count + 1, Release);
        }
        self.role.leave(who);
        !shut
    }
}

/// One after the other has the role.
fn handed_over<O: Orders>() {
    let side = side::<O>();
    let body = || {
        let side = side.clone();
        Box::new(move |me| {
            let who = side.claim(me);
            assert!(side.puts(who));
            side.role.give_back();
            side.lock.release(0);
        }) as Thread
    };
    let (one, other) = (body(), body());
    together([one, other]);
    assert_eq!((side.message.get(), side.tail.load(Relaxed)), (2, 2));
}

/// A consumer sleeps until there is something.
fn awaited<O: Orders>() {
    let consumer = side::<O>();
    let producer = consumer.clone();
    together([
        Box::new(move |_| {
            let look = || {
                Loom::<O>::fence_heavy();
                (consumer.tail.load(Acquire) != 0).then(|| consumer.message.get())
            };
            assert_eq!(consumer.news().wait_until(None, || None, look), Some(1));
        }) as Thread,
        Box::new(move |me| {
            let who = producer.claim(me);
            producer.puts(who);
            producer.news().rouse_light(|| 1);
        }),
    ]);
}

/// Whoever has shut it down and finds nobody inside has seen the last message.
fn ended<O: Orders>() {
    let side = side::<O>();
    let (producer, closer) = (side.clone(), side.clone());
    let seen = Arc::new(W64::<O>::new(u64::MAX));
    let last = seen.clone();
    together([
        Box::new(move |me| {
            let who = producer.claim(me);
            producer.puts(who);
        }) as Thread,
        Box::new(move |_| {
            closer.shut.store(1, Release);
            Loom::<O>::fence_heavy();
            if !closer.role.is_inside() {
                last.store(closer.tail.load(Acquire), Relaxed);
            }
        }),
    ]);
    let seen = seen.load(Relaxed);
    assert!(seen == u64::MAX || seen == side.tail.load(Relaxed));
}

#[test]
fn single() {
    holds("single, the role is handed over", handed_over::<AsWritten>);
    holds("single, a consumer sleeps", awaited::<AsWritten>);
    holds("single, shut down", ended::<AsWritten>);
}

#[test]
fn bug_single() {
    catches("bug: a role is handed over with Relaxed", handed_over::<NoRelease>);
    catches("bug: a message is looked for with Relaxed", awaited::<NoAcquire>);
    catches("bug: nobody makes the fence for both who sleeps", awaited::<NoFence>);
    catches("bug: nobody makes the fence for both at the end", ended::<NoFence>);
}
