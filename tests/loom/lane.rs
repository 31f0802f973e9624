//! The lane of a worker: task words, bells.

use super::memory::{AsWritten, Loom, NoAcquire, NoFence, NoRelease, Orders, W32, W64};
use super::model::{Plain, Thread, catches, holds, together};
use carom::shm::lane::{Bell, Fate, State, Task, TaskWord, Turn};
use carom::shm::memory::Word64;
use loom::sync::Arc;
use std::sync::atomic::Ordering;

struct Lane<O: Orders> {
    task: TaskWord<Loom<O>>,
    worker: Bell<Loom<O>>,
    host: Bell<Loom<O>>,
    argument: Plain,
    reply: Plain,
    /// What a thread has done that another one awaits.
    news: [W64<O>; 2],
}

fn lane<O: Orders>() -> Arc<Lane<O>> {
    Arc::new(Lane {
        task: TaskWord::from_word(W64::new(0)),
        worker: Bell::from_word(W32::new(0)),
        host: Bell::from_word(W32::new(0)),
        argument: Plain::new(),
        reply: Plain::new(),
        news: [W64::new(0), W64::new(0)],
    })
}

/// Looks, announces itself, looks again, sleeps.
fn await_at<O: Orders, T>(bell: &Bell<Loom<O>>, look: impl Fn() -> Option<T>) -> T {
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        let ticket = bell.prepare();
        if let Some(seen) = look() {
            return seen;
        }
        bell.sleep(ticket, None, None);
    }
}

fn works<O: Orders>(lane: &Lane<O>, assigned: Task) {
    let Ok(running) = lane.task.start(assigned) else { return };
    lane.reply.set(lane.argument.get() * 2);
    if lane.task.finish(running).is_ok() {
        lane.host.ring();
    }
}

/// Two tasks, one after the other, through one slot.
fn submits<O: Orders>() {
    let host = lane::<O>();
    let worker = host.clone();
    together([
        Box::new(move |_| {
            for sequence in 0..2 {
                let turn = || Some(worker.task.load()).filter(|task| task.turn(sequence) == Turn::Run);
                works(&worker, await_at(&worker.worker, turn));
            }
        }) as Thread,
        Box::new(move |_| {
            for round in 1..=2 {
                host.argument.set(round);
                host.task.assign(0);
                host.worker.ring();
                let done = await_at(&host.host, || Some(host.task.load()).filter(|task| task.state().is_final()));
                assert_eq!((done.state(), host.reply.get()), (State::Done, 2 * round));
                host.task.release(done);
            }
        }),
    ]);
}

/// The host takes a task back, which the worker may have begun.
fn revokes<O: Orders>() {
    let host = lane::<O>();
    let worker = host.clone();
    host.argument.set(1);
    let assigned = host.task.assign(0);
    together([
        Box::new(move |_| {
            let task = worker.task.load();
            if task.turn(0) == Turn::Run {
                works(&worker, task);
            }
        }) as Thread,
        Box::new(move |_| {
            if host.task.revoke(assigned).is_ok() {
                // The slot is the host's again.
                host.argument.set(2);
                host.reply.set(0);
            }
        }),
    ]);
}

/// The keeper ends a task that the worker is about to finish; then it buries the worker, and the host collects.
fn kills<O: Orders>() {
    let host = lane::<O>();
    let (worker, keeper) = (host.clone(), host.clone());
    host.argument.set(1);
    let assigned = host.task.assign(0);
    let running = host.task.start(assigned).unwrap();
    together([
        Box::new(move |_| {
            worker.reply.set(2);
            if worker.task.finish(running).is_ok() {
                worker.host.ring();
            }
        }) as Thread,
        Box::new(move |_| {
            if keeper.task.kill(running).is_ok() {
                assert_eq!(keeper.task.bury(), Fate::Expired(0));
                keeper.host.ring_all();
            }
        }),
        Box::new(move |_| {
            let end = await_at(&host.host, || Some(host.task.load()).filter(|task| task.state().is_final()));
            match end.state() {
                State::Done => assert_eq!(host.reply.get(), 2),
                other => assert_eq!(other, State::Expired),
            }
        }),
    ]);
}

/// Two sleepers at one bell, each waiting for news of its own.
fn rings<O: Orders>() {
    let lane = lane::<O>();
    let sleeps = |which: usize| {
        let lane = lane.clone();
        Box::new(move |_| {
            await_at(&lane.host, || (lane.news[which].load(Ordering::Acquire) != 0).then_some(()));
        }) as Thread
    };
    let ringer = lane.clone();
    together([
        sleeps(0),
        sleeps(1),
        Box::new(move |_| {
            for news in &ringer.news {
                news.store(1, Ordering::Release);
                ringer.host.ring();
            }
        }),
    ]);
}

/// The keeper rings for somebody who died.
fn rings_all<O: Orders>() {
    let lane = lane::<O>();
    let keeper = lane.clone();
    together([
        Box::new(move |_| {
            await_at(&lane.host, || (lane.news[0].load(Ordering::Acquire) != 0).then_some(()));
        }) as Thread,
        Box::new(move |_| {
            keeper.news[0].store(1, Ordering::Release);
            keeper.host.ring_all();
        }),
    ]);
}

#[test]
fn lanes() {
    holds("lane, 2 tasks in one slot", submits::<AsWritten>);
    holds("lane, a task is taken back", revokes::<AsWritten>);
    holds("lane, a task is killed while it ends", kills::<AsWritten>);
}

#[test]
fn bells() {
    holds("bell, 2 sleepers", rings::<AsWritten>);
    holds("bell, rung for the dead", rings_all::<AsWritten>);
}

#[test]
fn bug_lanes() {
    catches("bug: tasks are assigned and finished with Relaxed", submits::<NoRelease>);
    catches("bug: tasks are looked at with Relaxed", submits::<NoAcquire>);
    catches("bug: no fence between a task and the bell", submits::<NoFence>);
    catches("bug: no fence between news and the bell", rings::<NoFence>);
}
