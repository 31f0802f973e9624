//! The template: a keeper that forks the workers of one pool, replaces them, and enforces their limits.
//!
//! It was forked once by whoever made the pool, has one thread and no descriptor but its own, so its
//! forks are cheap and sound. It runs no foreign code itself. What it decides stands in the plan before it
//! acts: if it dies, the next template reads there what is left to do.
#![forbid(unsafe_code)]

use super::stderr::Capture;
use super::worker::Worker;
use super::{event, evidence};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::keeper::{DUTY, Duty};
use crate::log;
use crate::shm::arena::Arena;
use crate::shm::lane::{self, State as TaskState};
use crate::shm::member::{Inherits, Member, MemberId, Role, State};
use crate::shm::plan::{Lane, MAX_LANES, NOTHING_FAILED, Phase, PlanRef, Slot, TaskKind, Terms, UNKNOWN_EXIT};
use crate::shm::repair;
use crate::sys::clock::now_ns;
use crate::sys::descriptor::{self, Poll};
use crate::sys::fork::{self, Side};
use crate::sys::pidfd::{self, Reaped, Usage};
use crate::sys::{birth, crash, futex, robust, stop};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, fence};

const BELL: u64 = DUTY;
const HOST: u64 = DUTY + 1;
const LANE: u64 = DUTY + 2;
const STDERR: u64 = LANE + MAX_LANES as u64;
const OWN_STDERR: u64 = STDERR + MAX_LANES as u64;

/// How long a template whose pool has ended waits for whoever reads the host's stderr.
const LINGER_NS: u64 = 1_000_000_000;

/// A worker that dies so young, without having begun a task, is replaced with a delay.
const YOUNG_NS: u64 = 50_000_000;
const LEAST_DELAY_NS: u64 = 10_000_000;
const MOST_DELAY_NS: u64 = 1_000_000_000;

/// What the template knows of a lane beyond the plan. Static, since a keeper's stack is that of whatever
/// thread forked it; used by the keeper's only thread.
struct Post {
    /// pidfd of the worker, -1 for none.
    pidfd: AtomicI32,
    /// Its member slot and generation.
    slot: AtomicU32,
    generation: AtomicU32,
    /// Place and word of a chunk when it was last looked at, and when it was first seen so. The word alone would
    /// not do: chunks in different slots may have the same.
    seen_place: AtomicU64,
    seen: AtomicU64,
    seen_ns: AtomicU64,
    /// Not before this instant is the next worker forked.
    not_before_ns: AtomicU64,
    delay_ns: AtomicU64,
    /// When the task at work is told again that it should stop, and after which pause.
    repeat_at_ns: AtomicU64,
    repeat_ns: AtomicU64,
}

static POSTS: [Post; MAX_LANES as usize] = [const {
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

/// The duty.
pub struct Template {
    plan: PlanRef,
    pool: u64,
    doorbell: RawFd,
    notify: RawFd,
    me: Option<Family>,
    poll: RawFd,
    host: RawFd,
    living: usize,
    stderr: Capture,
    /// The pool has ended: its plan may be another pool's by now, and is not looked at again.
    over: bool,
    over_ns: u64,
}

impl Template {
    /// The template of the pool whose cell is at index `pool`.
    pub fn new(plan: PlanRef, pool: u64, bells: [RawFd; 2], capture_stderr: bool) -> Template {
        let stderr = Capture::new(capture_stderr, STDERR, OWN_STDERR);
        let [doorbell, notify] = bells;
        Template {
            plan,
            pool,
            doorbell,
            notify,
            me: None,
            poll: -1,
            host: -1,
            living: 0,
            stderr,
            over: false,
            over_ns: 0,
        }
    }

    fn lanes(&self) -> impl Iterator<Item = (usize, &'static Lane, &'static Post)> + use<> {
        self.plan.lanes().iter().enumerate().map(|(index, lane)| (index, lane, &POSTS[index]))
    }

    /// Workers of a predecessor, which die with it: no lane gets a new worker before its last one is dead.
    fn outlive_predecessor(&self, me: Family) -> Result<()> {
        for slot in me.arena.slots() {
            let member = me.arena.member(slot);
            let identity = member.identity();
            let other = MemberId { slot, generation: identity.1 };
            let ours = member.works_for.load(Acquire) == self.pool && member.has_role(Role::Worker);
            let (pid, inode) = (member.pid.load(Acquire), member.pidfd_inode.load(Acquire));
            // Not what is only claimed: its words may be those of a member that had the slot before, of whatever
            // pool. A worker that is born later finds its parent gone, and leaves before it looks at its lane.
            if identity.0 != State::Alive || !ours || member.identity() != identity {
                continue;
            }
            match pidfd::open(pid) {
                Ok(handle) if inode == 0 || inode == pidfd::inode(handle.as_raw_fd()) => {
                    // What its tasks forked is in its group.
                    pidfd::signal_group(pid, 9);
                    pidfd::signal(handle.as_raw_fd(), 9)?;
                    let _ = descriptor::poll_readable(handle.as_raw_fd(), None);
                }
                Ok(_) | Err(Error::Os { errno: 3, .. }) => {}
                // No proof of its death.
                Err(error) => return Err(error),
            }
            repair::repair(me.arena, other, me.me.slot);
        }
        Ok(())
    }

    fn watch_host(&mut self, me: Family, poll: &Poll) -> Result<bool> {
        let host = self.plan.plan().host.load(Acquire);
        let id = MemberId { slot: host as u32, generation: (host >> 32) as u32 };
        let member = me.arena.member(id.slot);
        if member.identity() != (State::Alive, id.generation) {
            return Ok(false);
        }
        let handle = match pidfd::open(member.pid.load(Acquire)) {
            Ok(handle) => handle,
            Err(Error::Os { errno: 3, .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let inode = member.pidfd_inode.load(Acquire);
        if inode != 0 && inode != pidfd::inode(handle.as_raw_fd()) {
            return Ok(false);
        }
        poll.add(handle.as_raw_fd(), HOST)?;
        self.host = handle.into_raw_fd();
        Ok(true)
    }

    fn hire(&mut self, index: usize, lane: &'static Lane, post: &'static Post) -> Result<()> {
        let me = self.me.ok_or(Error::Panic("a template that has not begun".into()))?;
        let arena = me.arena;
        // Room for its pidfd, before it is there.
        drop(descriptor::event_counter()?);
        self.stderr.open(index)?;
        let id = Member::claim(arena, me.me, Role::Worker, Inherits::As(me.me.slot))?;
        let member = arena.member(id.slot);
        member.works_for.store(self.pool, Release);
        lane.begun.store(0, Relaxed);
        lane.born_ns.store(now_ns(), Relaxed);
        let pid = match birth::fork_child() {
            Err(error) => {
                member.give_up(id.generation);
                return Err(error);
            }
            Ok(Side::Child) => self.work(me, id, index),
            Ok(Side::Parent(pid)) => pid,
        };
        let watched = pidfd::open(pid).and_then(|handle| {
            descriptor::add_readable(self.poll, handle.as_raw_fd(), LANE + index as u64)?;
            Ok(handle)
        });
        let handle = watched.inspect_err(|_| {
            // Nobody would hear of its death.
            pidfd::signal_group(pid, 9);
            fork::kill_and_reap(pid);
            repair::repair(arena, id, me.me.slot);
            member.forget(id.generation);
        })?;
        member.pidfd_inode.store(pidfd::inode(handle.as_raw_fd()), Release);
        member.set_alive(id.generation, pid);
        arena.header().unwatched.store(1, Release);
        lane.pid.store(pid, Release);
        post.pidfd.store(handle.into_raw_fd(), Relaxed);
        post.slot.store(id.slot, Relaxed);
        post.generation.store(id.generation, Relaxed);
        post.seen.store(0, Relaxed);
        self.living += 1;
        self.report(event::WORKER_UP, pid, 0, 0);
        Ok(())
    }

    fn work(&self, me: Family, id: MemberId, index: usize) -> ! {
        let template = me.arena.member(me.me.slot).pid.load(Acquire);
        if !family::be(me.arena, id) || !fork::die_with(template) {
            fork::leave_at_once(0);
        }
        fork::lead_group();
        fork::set_title(c"carom-worker");
        let mut keep = [family::doorbell(), Arena::file_number(), self.notify];
        keep.sort_unstable();
        self.stderr.enter(index);
        descriptor::close_all_but(&keep);
        fork::catch_exit(record_exit);
        let lane = &self.plan.lanes()[index];
        crash::attach(&lane.crash, fork::pid());
        crate::shm::stop::attach(lane);
        Worker::new(self.plan, index, self.notify, self.stderr.is_on()).run();
        fork::leave(0)
    }

    /// The worker of a lane is dead: settles its task, reports, and makes room for the next one.
    fn bury(&mut self, index: usize) {
        let Some((_, lane, post)) = self.lanes().nth(index) else { return };
        let handle = post.pidfd.load(Relaxed);
        if handle < 0 {
            return;
        }
        let pid = lane.pid.load(Acquire);
        // Before it is reaped its number is still its own, and so is the group that it led.
        pidfd::signal_group(pid, 9);
        let (reaped, usage) = pidfd::reap(handle);
        let exit = match reaped {
            Reaped::Running => return,
            Reaped::Exit(exit) => exit.code(),
            Reaped::Unknown => UNKNOWN_EXIT,
        };
        post.pidfd.store(-1, Relaxed);
        descriptor::remove(self.poll, handle);
        descriptor::close(handle);
        self.living -= 1;
        self.stderr.drain(index, lane);
        let tail = |place| self.stderr.tail(index, lane, place);
        let reason = settle(self.plan, lane, pid, exit, usage, &tail);
        let reason = if self.plan.phase() == Phase::Stopping { event::REASON_STOPPED } else { reason };
        lane.pid.store(0, Release);
        self.report(event::WORKER_DOWN, pid, exit, reason);
        let dead = MemberId { slot: post.slot.load(Relaxed), generation: post.generation.load(Relaxed) };
        self.pace(lane, post);
        // First the successor, for tasks wait; nobody waits for the dead one's traces but by his own death's news.
        if self.plan.phase() == Phase::Working && post.not_before_ns.load(Relaxed) <= now_ns() {
            // If that fails, `staff` tries again, and ever less often.
            let _ = self.hire(index, lane, post);
        }
        if let Some(me) = self.me {
            repair::repair(me.arena, dead, me.me.slot);
            me.arena.member(dead.slot).forget(dead.generation);
        }
    }

    /// Whoever dies young again and again is replaced ever more slowly.
    fn pace(&self, lane: &Lane, post: &Post) {
        let now = now_ns();
        let young = now - lane.born_ns.load(Relaxed).min(now) < YOUNG_NS && lane.begun.load(Relaxed) == 0;
        let delay = if young { (post.delay_ns.load(Relaxed) * 2).clamp(LEAST_DELAY_NS, MOST_DELAY_NS) } else { 0 };
        post.delay_ns.store(delay, Relaxed);
        post.not_before_ns.store(now + delay, Relaxed);
    }

    fn report(&self, kind: u32, pid: u32, exit: i32, reason: u32) {
        log::info(format_args!("worker {pid} {}", if kind == event::WORKER_UP { "is up" } else { "is down" }));
        let plan = self.plan.plan();
        let (head, tail) = (plan.event_head.load(Relaxed), plan.event_tail.load(Acquire));
        let events = &plan.events;
        // A host that never asks loses the news that it does not ask for, not its pool.
        if plan.wanted.load(Relaxed) & kind != 0 && head.wrapping_sub(tail) < events.len() as u32 {
            let record = &events[head as usize % events.len()];
            record.kind.store(kind, Relaxed);
            record.pid.store(pid, Relaxed);
            record.exit.store(exit as u32, Relaxed);
            record.reason.store(reason, Relaxed);
            plan.event_head.store(head.wrapping_add(1), Release);
        }
        self.tell();
    }

    fn tell(&self) {
        let plan = self.plan.plan();
        plan.news.ring_all();
        if plan.armed.swap(0, AcqRel) != 0 {
            descriptor::ring(self.notify);
        }
    }

    fn kill_all(&self) {
        for (_, _, post) in self.lanes() {
            let handle = post.pidfd.load(Relaxed);
            if handle >= 0 {
                let _ = pidfd::signal(handle, 9);
            }
        }
    }

    /// Kills the worker whose task is out of time; when the next could be.
    fn enforce(&self, now: u64) -> Option<u64> {
        let least = self.plan.plan().least_limit_ns.load(Acquire);
        if least == 0 {
            return None;
        }
        let mut next: Option<u64> = None;
        let mut busy = false;
        for (_, lane, post) in self.lanes() {
            if post.pidfd.load(Relaxed) < 0 {
                continue;
            }
            busy |= has_work(lane);
            if let Some(instant) = enforce_lane(lane, post, now) {
                next = Some(next.map_or(instant, |next| next.min(instant)));
            }
        }
        // A task that begins after this look cannot be out of time before `least` has passed.
        if busy { Some(next.map_or(now + least, |next| next.min(now + least))) } else { next }
    }

    /// Announces a sleep without a timer; whoever submits a task with a limit will ring.
    fn doze(&self) -> Option<u64> {
        let plan = self.plan.plan();
        plan.dozing.store(1, Release);
        fence(SeqCst);
        let again = self.enforce(now_ns());
        if again.is_some() {
            plan.dozing.store(0, Release);
        }
        again
    }

    fn staff(&mut self, now: u64) -> Option<u64> {
        let mut next: Option<u64> = None;
        for (index, lane, post) in self.lanes() {
            if post.pidfd.load(Relaxed) >= 0 {
                continue;
            }
            let mut not_before = post.not_before_ns.load(Relaxed);
            if not_before <= now {
                if self.hire(index, lane, post).is_ok() {
                    continue;
                }
                // Out of processes, memory or descriptors: again, and ever later.
                let delay = (post.delay_ns.load(Relaxed) * 2).clamp(LEAST_DELAY_NS, MOST_DELAY_NS);
                post.delay_ns.store(delay, Relaxed);
                not_before = now + delay;
                post.not_before_ns.store(not_before, Relaxed);
            }
            next = Some(next.map_or(not_before, |next| next.min(not_before)));
        }
        next
    }
}

/// In a worker: says how it leaves, for where the kernel will not.
fn record_exit(code: i32) {
    if let Ok(family) = family::current() {
        family.arena.member(family.me.slot).record_exit(code);
    }
}

fn has_work(lane: &Lane) -> bool {
    lane.slots.iter().any(|slot| {
        let state = slot.word.load().state();
        state.is_at_work() || matches!(state, TaskState::Assigned | TaskState::Killed)
    })
}

fn enforce_lane(lane: &'static Lane, post: &Post, now: u64) -> Option<u64> {
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

/// Writes into the slot of the task at work how its worker ended, then settles it.
fn settle(plan: PlanRef, lane: &'static Lane, pid: u32, exit: i32, usage: Usage, tail: evidence::Tail) -> u32 {
    let mut reason = if exit == 0 { event::REASON_LEFT } else { event::REASON_DIED };
    for slot in &lane.slots {
        let state = slot.word.load().state();
        if state.is_at_work() || state == TaskState::Killed {
            note_end(slot, pid, exit, usage);
            evidence::keep(plan.arena, lane, slot, pid, tail);
            if state == TaskState::Killed {
                reason = event::REASON_TIME_LIMIT;
            }
        }
        slot.word.bury();
    }
    lane.crash.clear();
    reason
}

fn note_end(slot: &'static Slot, pid: u32, exit: i32, usage: Usage) {
    slot.pid.store(pid, Relaxed);
    slot.exit.store(exit as u32, Relaxed);
    slot.max_rss.store(usage.max_rss_bytes, Relaxed);
    slot.cpu_ns.store(usage.cpu_ns.saturating_sub(slot.cpu_ns.load(Relaxed)), Relaxed);
    slot.ended_ns.store(now_ns(), Relaxed);
    // What a dead worker had begun to reply is nobody's; failures of earlier items of a chunk stand.
    if slot.failed_item.load(Relaxed) == NOTHING_FAILED {
        slot.reply_len.store(0, Relaxed);
    }
}

impl Duty for Template {
    fn descriptors(&self) -> [i32; 2] {
        [self.doorbell, self.notify]
    }

    fn begin(&mut self, me: Family, poll: &Poll) -> Result<()> {
        self.me = Some(me);
        self.poll = poll.raw();
        self.stderr.begin(self.poll, self.plan.lanes());
        for post in &POSTS {
            post.pidfd.store(-1, Relaxed);
            post.not_before_ns.store(0, Relaxed);
            post.delay_ns.store(0, Relaxed);
        }
        let plan = self.plan.plan();
        if !robust::hold_for_life(&plan.template.word, &plan.template.link) {
            return Err(Error::Exists("the pool has a template"));
        }
        plan.template_id.store((me.me.generation as u64) << 32 | me.me.slot as u64, Release);
        futex::wake(&plan.template.word, u32::MAX);
        self.outlive_predecessor(me)?;
        for (_, lane, _) in self.lanes() {
            let pid = lane.pid.swap(0, AcqRel);
            settle(self.plan, lane, pid, UNKNOWN_EXIT, Usage::default(), &|_| (0, false));
            if pid != 0 {
                self.report(event::WORKER_DOWN, pid, UNKNOWN_EXIT, event::REASON_DIED);
            }
        }
        crash::install();
        stop::install();
        poll.add(self.doorbell, BELL)?;
        if !self.watch_host(me, poll)? {
            self.plan.advance(Phase::Stopping);
        }
        // An event loop watches this template from now on.
        self.tell();
        Ok(())
    }

    fn ready(&mut self, key: u64) {
        match key {
            BELL => descriptor::hush(self.doorbell),
            HOST => {
                if !self.over {
                    self.plan.advance(Phase::Stopping);
                }
                descriptor::remove(self.poll, self.host);
                descriptor::close(self.host);
                self.host = -1;
            }
            OWN_STDERR => self.stderr.pass_on(),
            _ if self.over => {}
            line @ STDERR.. => {
                let index = (line - STDERR) as usize;
                self.plan.lanes().get(index).map(|lane| self.stderr.read(index, lane));
            }
            lane => self.bury((lane - LANE) as usize),
        }
    }

    fn look(&mut self) -> Option<u64> {
        if self.over {
            return (!self.is_over()).then_some(self.over_ns + LINGER_NS);
        }
        let (plan, phase) = (self.plan.plan(), self.plan.phase());
        if phase == Phase::Stopping {
            self.kill_all();
        }
        if phase != Phase::Working {
            if self.living == 0 {
                self.plan.advance(Phase::Ended);
                self.tell();
                (self.over, self.over_ns) = (true, now_ns());
                self.stderr.end();
                robust::release(&plan.template.link);
                return None;
            }
            return self.enforce(now_ns());
        }
        let hiring = self.staff(now_ns());
        let limits = self.enforce(now_ns()).or_else(|| self.doze());
        match (hiring, limits) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn is_over(&self) -> bool {
        self.over && (!self.stderr.is_stuck() || now_ns() >= self.over_ns + LINGER_NS)
    }
}
