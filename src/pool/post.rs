//! What the template knows of a worker, and how it enforces the limits of its task.
#![forbid(unsafe_code)]

use crate::shm::lane::{self, State as TaskState};
use crate::shm::plan::{FLAG_EXACT, Lane, MAX_LANES, Sentence, Slot, TaskKind, Terms};
use crate::sys::descriptor::Kept;
use crate::sys::{clock, fork, pidfd, statm, stop};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What the template knows of a lane beyond the plan. Static, since a keeper's stack is that of whatever
/// thread forked it; used by the keeper's only thread.
pub struct Post {
    /// pidfd of the worker, -1 for none.
    pub pidfd: Kept,
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
    /// Not 0: the task at work was told so for the first time.
    told: AtomicU32,
    /// A worker that was sent a signal over its sentence is killed at this instant; 0: it was sent none.
    grace_ns: AtomicU64,
}

pub static POSTS: [Post; MAX_LANES as usize] = [const {
    Post {
        pidfd: Kept::none(),
        slot: AtomicU32::new(0),
        generation: AtomicU32::new(0),
        seen_place: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        seen_ns: AtomicU64::new(0),
        not_before_ns: AtomicU64::new(0),
        delay_ns: AtomicU64::new(0),
        repeat_at_ns: AtomicU64::new(0),
        repeat_ns: AtomicU64::new(0),
        told: AtomicU32::new(0),
        grace_ns: AtomicU64::new(0),
    }
}; MAX_LANES as usize];

impl Post {
    /// Forgets what a process has left here of which this one is a fork.
    pub fn clear(&self) {
        self.pidfd.set(-1);
        self.not_before_ns.store(0, Relaxed);
        self.delay_ns.store(0, Relaxed);
        self.told.store(0, Relaxed);
        self.grace_ns.store(0, Relaxed);
    }

    /// Whether the last look has told a task that it should stop, for the first time.
    pub fn was_told(&self) -> bool {
        self.told.swap(0, Relaxed) != 0
    }
}

/// Whether there are tasks that are not final.
pub fn has_work(lane: &Lane) -> bool {
    lane.slots.iter().any(|slot| {
        let state = slot.word.load().state();
        state.is_at_work() || matches!(state, TaskState::Assigned | TaskState::Killed)
    })
}

/// What of a worker is measured while its task runs: this often.
pub const WATCH_NS: u64 = 5_000_000;
/// Between a signal that ends a task and SIGKILL.
const GRACE_NS: u64 = 500_000_000;

/// Does what the limits of the lane's task at work ask for; when it is to be looked at again.
pub fn enforce_lane(lane: &'static Lane, post: &Post, now: u64) -> Option<u64> {
    let place = lane.place.load(Relaxed);
    let (slot, terms) = lane.current();
    let terms = slot.has_terms().then_some(terms);
    let task = slot.word.load();
    if task.state() == TaskState::Killed {
        return carry_out(terms, post, now);
    }
    let limit = slot.limit_ns.load(Relaxed);
    if !task.state().is_at_work() || limit == 0 && terms.is_none() {
        return None;
    }
    let chunk = slot.kind.load(Relaxed) == TaskKind::Chunk as u32;
    let since = if chunk { since_sample(post, place, task.at_work(), now) } else { slot.started_ns.load(Relaxed) };
    if let Some(sentence) = sentence(lane, slot, terms, now, since) {
        // First the decision, then the signal: it hits the item that was seen, or nobody.
        terms.into_iter().for_each(|terms| terms.sentence.store(sentence as u32, Relaxed));
        return slot.word.kill(task).ok().and_then(|_| {
            post.grace_ns.store(0, Relaxed);
            carry_out(terms, post, now)
        });
    }
    // Items of a chunk are sampled: an eighth of the limit is how late its end may come.
    let due = |limit: u64| if chunk { now + (limit / 8).max(1_000_000) } else { since.saturating_add(limit) };
    let hard = (limit != 0).then(|| due(limit));
    let at_work = AtWork { lane, slot, post, task, since, now };
    let others = terms.and_then(|terms| at_work.look_at_terms(terms, due));
    hard.into_iter().chain(others).min()
}

/// Whether the task at work has to be ended, and why.
fn sentence(lane: &Lane, slot: &Slot, terms: Option<&Terms>, now: u64, since: u64) -> Option<Sentence> {
    let limit = slot.limit_ns.load(Relaxed);
    if limit != 0 && now >= since.saturating_add(limit) {
        return Some(Sentence::Time);
    }
    let terms = terms?;
    let (kill_at, memory, cpu) = (&terms.kill_at_ns, terms.memory.load(Relaxed), terms.cpu_ns.load(Relaxed));
    if kill_at.load(Relaxed) != 0 && now >= kill_at.load(Relaxed) {
        return Some(Sentence::Cancelled);
    }
    let pid = lane.pid.load(Relaxed);
    if memory != 0 && own_memory(pid) > memory {
        return Some(Sentence::Memory);
    }
    let used = || clock::cpu_ns_of(pid).map_or(0, |used| used.saturating_sub(slot.cpu_ns.load(Relaxed)));
    (cpu != 0 && used() > cpu).then_some(Sentence::Cpu)
}

/// What worker `pid` holds beyond what it inherited, which is what this process, its template, holds.
fn own_memory(pid: u32) -> u64 {
    let private = |pid| statm::of(pid).map_or(0, |held| held.private);
    private(pid).saturating_sub(private(fork::pid()))
}

/// A task at work, as it is looked at.
struct AtWork<'a> {
    lane: &'static Lane,
    slot: &'static Slot,
    post: &'a Post,
    task: lane::Task,
    since: u64,
    now: u64,
}

impl AtWork<'_> {
    /// When a task with terms that goes on is to be looked at again.
    fn look_at_terms(&self, terms: &Terms, due: impl Fn(u64) -> u64) -> Option<u64> {
        let (slot, now) = (self.slot, self.now);
        let (soft, kill_at) = (terms.soft_ns.load(Relaxed), terms.kill_at_ns.load(Relaxed));
        let chunk = slot.kind.load(Relaxed) == TaskKind::Chunk as u32;
        // Who goes from item to item by plain stores cannot be asked.
        let exact = !chunk || slot.limit_ns.load(Relaxed) != 0 || slot.flags.load(Relaxed) & FLAG_EXACT != 0;
        let softly = match (kill_at, soft) {
            (0, 0) => None,
            (0, soft) => self.ask(terms, self.since.saturating_add(soft)).map(|instant| match self.task.state() {
                TaskState::Running => instant.min(due(soft)),
                _ => instant,
            }),
            _ if exact => self.ask(terms, now),
            _ => None,
        };
        let watched = terms.memory.load(Relaxed) != 0 || terms.cpu_ns.load(Relaxed) != 0;
        let kill_at = (kill_at != 0 && kill_at != u64::MAX).then_some(kill_at);
        softly.into_iter().chain(kill_at).chain(watched.then_some(now + WATCH_NS)).min()
    }

    /// Tells the task that it should stop, once that is `due`, and again until it has noticed; when it is to be told next.
    fn ask(&self, terms: &Terms, due: u64) -> Option<u64> {
        let (post, now) = (self.post, self.now);
        let first = self.task.state() == TaskState::Running;
        let due = if first { due } else { post.repeat_at_ns.load(Relaxed) };
        if !first && terms.noticed.load(Relaxed) == self.task.at_work().bits() {
            return None;
        }
        if now < due {
            return Some(due);
        }
        // The worker does not leave the item between the two steps: the signal hits no other.
        if let Ok(asked) = self.slot.word.ask(self.task) {
            self.lane.going.store(0, Relaxed);
            let _ = pidfd::signal(post.pidfd.get(), stop::SIGNAL);
            let _ = self.slot.word.tell(asked);
            post.told.store(first as u32, Relaxed);
        }
        let pause = if first { LEAST_REPEAT_NS } else { (post.repeat_ns.load(Relaxed) * 2).min(MOST_REPEAT_NS) };
        post.repeat_ns.store(pause, Relaxed);
        post.repeat_at_ns.store(now + pause, Relaxed);
        Some(now + pause)
    }
}

/// The worker is to be killed; gently first, if the host wants that.
fn carry_out(terms: Option<&Terms>, post: &Post, now: u64) -> Option<u64> {
    let handle = post.pidfd.get();
    let wanted = terms.filter(|terms| terms.sentence.load(Relaxed) == Sentence::Cancelled as u32);
    let signal = wanted.map_or(0, |terms| terms.kill_signal.load(Relaxed)) as i32;
    let until = post.grace_ns.load(Relaxed);
    if signal == 0 || signal == 9 || until != 0 && now >= until {
        let _ = pidfd::signal(handle, 9);
        return None;
    }
    if until != 0 {
        return Some(until);
    }
    let _ = pidfd::signal(handle, signal);
    post.grace_ns.store(now + GRACE_NS, Relaxed);
    Some(now + GRACE_NS)
}

/// A signal may find its task between a look at `carom_call_should_stop` and a system call that blocks. So it is sent
/// again, ever less often, until the task has noticed.
const LEAST_REPEAT_NS: u64 = 10_000_000;
const MOST_REPEAT_NS: u64 = 1_000_000_000;

fn since_sample(post: &Post, place: u64, task: lane::Task, now: u64) -> u64 {
    let same = post.seen_place.swap(place, Relaxed) == place;
    if post.seen.swap(task.bits(), Relaxed) != task.bits() || !same {
        post.seen_ns.store(now, Relaxed);
    }
    post.seen_ns.load(Relaxed)
}
