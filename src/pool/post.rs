//! What the template knows of a worker, and how it enforces the limits of its task.
#![forbid(unsafe_code)]

use crate::shm::lane::{self, State as TaskState};
use crate::shm::plan::{Lane, MAX_LANES, Slot, TaskKind, Terms};
use crate::sys::{pidfd, stop};
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

/// What the template knows of a lane beyond the plan. Static, since a keeper's stack is that of whatever
/// thread forked it; used by the keeper's only thread.
pub struct Post {
    /// pidfd of the worker, -1 for none.
    pub pidfd: AtomicI32,
    /// Its member slot.
    pub slot: AtomicU32,
    /// And generation.
    pub generation: AtomicU32,
    /// Place and word of a chunk when it was last looked at, and when it was first seen so. The word alone would
    /// not do: chunks in different slots may have the same.
    seen_place: AtomicU64,
    /// See above.
    pub seen: AtomicU64,
    seen_ns: AtomicU64,
    /// Not before this instant is the next worker forked.
    pub not_before_ns: AtomicU64,
    /// How long that was from the last one's end.
    pub delay_ns: AtomicU64,
    /// When the task at work is told again that it should stop, and after which pause.
    repeat_at_ns: AtomicU64,
    repeat_ns: AtomicU64,
}

pub static POSTS: [Post; MAX_LANES as usize] = [const {
    Post {
        pidfd: AtomicI32::new(-1),
        slot: AtomicU32::new(0),
        generation: AtomicU32::new(0),
        seen_place: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        seen_ns: AtomicU64::new(0),
        not_before_ns: AtomicU64::new(0),
        delay_ns: AtomicU64::new(0),
        repeat_at_ns: AtomicU64::new(0),
        repeat_ns: AtomicU64::new(0),
    }
}; MAX_LANES as usize];

/// Whether there are tasks that are not final.
pub fn has_work(lane: &Lane) -> bool {
    lane.slots.iter().any(|slot| {
        let state = slot.word.load().state();
        state.is_at_work() || matches!(state, TaskState::Assigned | TaskState::Killed)
    })
}

/// Does what the limits of the lane's task at work ask for; when it is to be looked at again.
pub fn enforce_lane(lane: &'static Lane, post: &Post, now: u64) -> Option<u64> {
    let place = lane.place.load(Relaxed);
    let (slot, terms) = lane.current();
    let task = slot.word.load();
    let handle = post.pidfd.load(Relaxed);
    if task.state() == TaskState::Killed {
        let _ = pidfd::signal(handle, 9);
        return None;
    }
    let limit = slot.limit_ns.load(Relaxed);
    let soft = if slot.has_terms() { terms.soft_ns.load(Relaxed) } else { 0 };
    if !task.state().is_at_work() || limit == 0 && soft == 0 {
        return None;
    }
    let chunk = slot.kind.load(Relaxed) == TaskKind::Chunk as u32;
    let since = if chunk { since_sample(post, place, task.at_work(), now) } else { slot.started_ns.load(Relaxed) };
    if limit != 0 && now >= since.saturating_add(limit) {
        // First the decision, then the signal: it hits the item that was seen, or nobody.
        if slot.word.kill(task).is_ok() {
            let _ = pidfd::signal(handle, 9);
        }
        return None;
    }
    let softly = (soft != 0).then(|| ask(slot, terms, post, handle, task, since.saturating_add(soft), now)).flatten();
    // Items of a chunk are sampled: an eighth of the limit is how late its end may come.
    let due = |limit: u64| if chunk { now + (limit / 8).max(1_000_000) } else { since.saturating_add(limit) };
    let hard = (limit != 0).then(|| due(limit));
    let softly =
        softly.map(|instant| if task.state() == TaskState::Running { instant.min(due(soft)) } else { instant });
    hard.into_iter().chain(softly).min()
}

/// A signal may find its task between a look at `carom_call_should_stop` and a system call that blocks. So it is sent
/// again, ever less often, until the task has noticed.
const LEAST_REPEAT_NS: u64 = 10_000_000;
const MOST_REPEAT_NS: u64 = 1_000_000_000;

/// Tells the task at work that it should stop, once that is `due`, and again until it has noticed; when it is to be told
/// next.
fn ask(slot: &Slot, terms: &Terms, post: &Post, handle: RawFd, task: lane::Task, due: u64, now: u64) -> Option<u64> {
    let first = task.state() == TaskState::Running;
    let due = if first { due } else { post.repeat_at_ns.load(Relaxed) };
    if !first && terms.noticed.load(Relaxed) == task.at_work().bits() {
        return None;
    }
    if now < due {
        return Some(due);
    }
    // The worker does not leave the item between the two steps: the signal hits no other.
    if let Ok(asked) = slot.word.ask(task) {
        let _ = pidfd::signal(handle, stop::SIGNAL);
        let _ = slot.word.tell(asked);
    }
    let pause = if first { LEAST_REPEAT_NS } else { (post.repeat_ns.load(Relaxed) * 2).min(MOST_REPEAT_NS) };
    post.repeat_ns.store(pause, Relaxed);
    post.repeat_at_ns.store(now + pause, Relaxed);
    Some(now + pause)
}

fn since_sample(post: &Post, place: u64, task: lane::Task, now: u64) -> u64 {
    let same = post.seen_place.swap(place, Relaxed) == place;
    if post.seen.swap(task.bits(), Relaxed) != task.bits() || !same {
        post.seen_ns.store(now, Relaxed);
    }
    post.seen_ns.load(Relaxed)
}
