//! The template: a keeper that forks the workers of one pool, replaces them, and enforces their limits.
//!
//! It was forked once by whoever made the pool, has one thread and no descriptor but its own, so its
//! forks are cheap and sound. It runs no foreign code itself. What it decides stands in the plan before it
//! acts: if it dies, the next template reads there what is left to do.
#![forbid(unsafe_code)]

use super::evidence::Death;
use super::post::{POSTS, Post, enforce_lane, has_work};
use super::restarts::Restarts;
use super::stderr::Capture;
use super::worker::Worker;
use super::{event, evidence, worker};
use crate::capsule::Writer;
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::keeper::{DUTY, Duty};
use crate::log;
use crate::shm::arena::Arena;
use crate::shm::lane::State as TaskState;
use crate::shm::member::{Inherits, Member, MemberId, Role, State};
use crate::shm::plan::{Lane, MAX_LANES, NOTHING_FAILED, Phase, PlanRef, SLOTS, Sentence, Slot, Terms, UNKNOWN_EXIT};
use crate::shm::repair;
use crate::sys::clock::now_ns;
use crate::sys::descriptor::{self, Poll};
use crate::sys::fork::{self, Side};
use crate::sys::pidfd::{self, Reaped, Usage};
use crate::sys::seeded::bug;
use crate::sys::{birth, crash, futex, robust, stop};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

const BELL: u64 = DUTY;
const HOST: u64 = DUTY + 1;
const LANE: u64 = DUTY + 2;
const STDERR: u64 = LANE + MAX_LANES as u64;
const OWN_STDERR: u64 = STDERR + MAX_LANES as u64;

/// How long a template whose pool has ended waits for whoever reads the host's stderr.
const LINGER_NS: u64 = 1_000_000_000;

/// A worker that dies so young, without having begun a task, is replaced with a delay.
const YOUNG_NS: u64 = 50_000_000;
pub(super) const LEAST_DELAY_NS: u64 = 10_000_000;
const MOST_DELAY_NS: u64 = 250_000_000;

/// The duty.
pub struct Template {
    plan: PlanRef,
    pool: u64,
    /// The host forks the workers, see [`super::hosted`].
    pub(super) hosted: bool,
    doorbell: RawFd,
    notify: RawFd,
    pub(super) me: Option<Family>,
    pub(super) poll: RawFd,
    host: RawFd,
    pub(super) living: usize,
    /// So many lanes have a post.
    met: usize,
    stderr: Capture,
    restarts: Restarts,
    /// Where tasks are saved whose worker dies.
    capsules: Option<Arc<Writer>>,
    /// The pool has ended: its plan may be another pool's by now, and is not looked at again.
    over: bool,
    over_ns: u64,
}

impl Template {
    /// The template of the pool whose cell is at index `pool`.
    pub fn new(
        plan: PlanRef,
        pool: u64,
        bells: [RawFd; 2],
        capture_stderr: bool,
        capsules: Option<Arc<Writer>>,
    ) -> Template {
        let stderr = Capture::new(capture_stderr, STDERR, OWN_STDERR);
        let [doorbell, notify] = bells;
        Template {
            plan,
            pool,
            hosted: plan.plan().hosted.load(Acquire) != 0,
            doorbell,
            notify,
            me: None,
            poll: -1,
            host: -1,
            living: 0,
            met: 0,
            stderr,
            restarts: Restarts::default(),
            capsules,
            over: false,
            over_ns: 0,
        }
    }

    /// The lanes that it has met.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (usize, &'static Lane, &'static Post)> + use<> {
        self.plan.lanes().iter().take(self.met).enumerate().map(|(index, lane)| (index, lane, &POSTS[index]))
    }

    /// Lanes that are in use from now on: only of these are the posts touched.
    fn meet_lanes(&mut self) {
        let active = self.plan.lanes().len();
        for (index, lane) in self.plan.lanes().iter().enumerate().skip(self.met) {
            POSTS[index].clear();
            self.stderr.meet(index, lane);
        }
        self.met = self.met.max(active);
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

    /// The key of a worker.
    pub(super) fn key_of(index: usize) -> u64 {
        LANE + index as u64
    }

    /// Gets a worker for a lane that has none.
    fn fill(&mut self, index: usize, lane: &'static Lane, post: &'static Post) -> Result<()> {
        if self.hosted {
            self.invite(lane);
            return Ok(());
        }
        self.hire(index, lane, post)
    }

    fn hire(&mut self, index: usize, lane: &'static Lane, post: &'static Post) -> Result<()> {
        let me = self.me.ok_or(Error::Panic("a template that has not begun".into()))?;
        let arena = me.arena;
        // Room for its pidfd, before it is there.
        drop(descriptor::event_counter()?);
        self.stderr.open(index)?;
        worker::foresee_functions(arena);
        let id = Member::claim(arena, me.me, Role::Worker, Inherits::As(me.me.slot))?;
        let member = arena.member(id.slot);
        member.works_for.store(self.pool, Release);
        lane.begun.store(0, Relaxed);
        lane.leaving.store(0, Relaxed);
        lane.going.store(0, Relaxed);
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
            descriptor::add_readable(self.poll, handle.as_raw_fd(), Template::key_of(index))?;
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
        post.pidfd.set(handle.into_raw_fd());
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
        Worker::new(self.plan, index, self.notify, self.stderr.is_on()).run()
    }

    /// The worker of a lane is dead: settles its task, reports, and makes room for the next one.
    fn bury(&mut self, index: usize) {
        let Some((_, lane, post)) = self.lanes().nth(index) else { return };
        let handle = post.pidfd.get();
        if handle < 0 {
            return;
        }
        let pid = lane.pid.load(Acquire);
        // Before it is reaped its number is still its own, and so is the group that it led.
        pidfd::signal_group_of(handle, pid, 9);
        let (reaped, usage) = match self.hosted {
            true => (pidfd::look_at(handle, pid), Usage::default()),
            false => pidfd::reap(handle),
        };
        let exit = match reaped {
            Reaped::Running => return,
            Reaped::Exit(exit) => exit.code(),
            Reaped::Unknown => UNKNOWN_EXIT,
        };
        post.pidfd.set(-1);
        descriptor::remove(self.poll, handle);
        descriptor::close(handle);
        self.living -= 1;
        self.lay_to_rest(index, pid, exit, usage);
    }

    /// What follows from the end of a lane's worker, of whom nothing is left here.
    pub(super) fn lay_to_rest(&mut self, index: usize, pid: u32, exit: i32, usage: Usage) {
        let Some((_, lane, post)) = self.lanes().nth(index) else { return };
        let dead = MemberId { slot: post.slot.load(Relaxed), generation: post.generation.load(Relaxed) };
        let exit = self.ending_of(dead, exit);
        self.stderr.drain(index, lane);
        let stopping = self.plan.phase() == Phase::Stopping;
        let tail = |place| self.stderr.tail(index, lane, place);
        let capsules = self.capsules.as_deref().filter(|_| !stopping);
        let reason = note(self.plan, lane, &Death { pid, exit, usage, tail: &tail, capsules });
        let reason = match lane.leaving.load(Relaxed) {
            _ if stopping => event::REASON_STOPPED,
            own if own != 0 && matches!(reason, event::REASON_LEFT | event::REASON_DIED) => own,
            _ => reason,
        };
        lane.pid.store(0, Release);
        // First the count: whoever has the verdict of a lost task finds the death in the pool's figures.
        let too_many = self.restarts.are_too_many(self.plan, lane, pid, exit, reason);
        settle(lane);
        self.vacate(lane);
        self.report(event::WORKER_DOWN, pid, exit, reason);
        if too_many {
            self.give_up();
        }
        self.pace(lane, post);
        // First the successor, for tasks wait; nobody waits for the dead one's traces but by his own death's news.
        let wanted = self.plan.phase() == Phase::Working && lane.wanted.load(Acquire) != 0;
        if wanted && post.not_before_ns.load(Relaxed) <= now_ns() {
            // If that fails, `staff` tries again, and ever less often.
            let _ = self.fill(index, lane, post);
        }
        if let Some(me) = self.me {
            repair::repair(me.arena, dead, me.me.slot);
            me.arena.member(dead.slot).forget(dead.generation);
        }
    }

    /// How a worker ended, if it said so itself where nobody else can.
    fn ending_of(&self, dead: MemberId, exit: i32) -> i32 {
        let Some(me) = self.me.filter(|_| exit == UNKNOWN_EXIT) else { return exit };
        let member = me.arena.member(dead.slot);
        let said = member.recorded_exit().map(|exit| exit.code());
        said.filter(|_| member.identity().1 == dead.generation).unwrap_or(exit)
    }

    /// Too many workers died: the pool ends.
    fn give_up(&self) {
        self.plan.plan().broken.store(1, Release);
        self.plan.advance(Phase::Stopping);
        self.report(event::BROKEN, 0, 0, 0);
    }

    /// Whoever dies young again and again is replaced ever more slowly.
    fn pace(&self, lane: &Lane, post: &Post) {
        let now = now_ns();
        let young = now - lane.born_ns.load(Relaxed).min(now) < YOUNG_NS && lane.begun.load(Relaxed) == 0;
        let young = young && lane.leaving.load(Relaxed) != event::REASON_RECYCLED;
        let delay = if young { (post.delay_ns.load(Relaxed) * 2).clamp(LEAST_DELAY_NS, MOST_DELAY_NS) } else { 0 };
        post.delay_ns.store(delay, Relaxed);
        post.not_before_ns.store(now + delay, Relaxed);
    }

    pub(super) fn report(&self, kind: u32, pid: u32, exit: i32, reason: u32) {
        match kind {
            event::WORKER_UP => log::info(format_args!("worker {pid} is up")),
            event::WORKER_DOWN => log::info(format_args!("worker {pid} is down")),
            event::WORKER_WANTED => log::debug(format_args!("the host is asked for a worker")),
            event::SOFT_LIMIT => log::debug(format_args!("the task of worker {pid} is past its soft limit")),
            _ => log::error(format_args!("the pool is broken: too many of its workers died")),
        }
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
            let handle = post.pidfd.get();
            if handle >= 0 {
                let _ = pidfd::signal(handle, 9);
            }
        }
    }

    /// Kills the worker whose task is out of time; when the next could be.
    fn enforce(&self, now: u64) -> Option<u64> {
        let plan = self.plan.plan();
        let least = plan.least_limit_ns.load(Acquire);
        let attention = plan.attention.swap(0, AcqRel) != 0;
        if least == 0 && !attention {
            return None;
        }
        let mut next: Option<u64> = None;
        let mut busy = false;
        for (index, lane, post) in self.lanes() {
            if post.pidfd.get() < 0 {
                continue;
            }
            busy |= has_work(lane);
            let instant = enforce_lane(lane, post, now);
            if post.was_told() {
                // (Where other events have exit and reason, this one has lane and slot.)
                let slot = (lane.place.load(Relaxed) % SLOTS as u64) as u32;
                self.report(event::SOFT_LIMIT, lane.pid.load(Relaxed), index as i32, slot);
            }
            if let Some(instant) = instant {
                next = Some(next.map_or(instant, |next| next.min(instant)));
            }
        }
        if next.is_some() && least == 0 {
            // Somebody is still to be ended.
            plan.attention.store(1, Release);
            return next;
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
            if post.pidfd.get() >= 0 || lane.wanted.load(Acquire) == 0 {
                self.withdraw(lane);
                continue;
            }
            let mut not_before = post.not_before_ns.load(Relaxed);
            if not_before <= now {
                if self.fill(index, lane, post).is_ok() {
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

/// Writes into the slot of the task at work how its worker ended; why it did.
fn note(plan: PlanRef, lane: &'static Lane, death: &Death) -> u32 {
    let mut reason = if death.exit == 0 { event::REASON_LEFT } else { event::REASON_DIED };
    for (slot, terms) in lane.slots.iter().zip(&lane.terms) {
        let state = slot.word.load().state();
        if state.is_at_work() || state == TaskState::Killed {
            note_end(slot, death);
            evidence::keep(plan.arena, lane, slot, death);
            if state == TaskState::Killed {
                reason = reason_of(slot.has_terms().then_some(terms));
            }
        }
    }
    reason
}

/// Why the template killed a worker over a task with these terms.
fn reason_of(terms: Option<&Terms>) -> u32 {
    match terms.map_or(Sentence::Time, |terms| Sentence::from_word(terms.sentence.load(Relaxed))) {
        Sentence::Time | Sentence::Cpu => event::REASON_TIME_LIMIT,
        Sentence::Memory => event::REASON_MEMORY_LIMIT,
        Sentence::Cancelled => event::REASON_CANCELLED,
    }
}

/// Settles what a dead worker was at, by what [`note`] has written.
fn settle(lane: &'static Lane) {
    if !bug("template: what a dead worker ran stays open") {
        for slot in &lane.slots {
            slot.word.bury();
        }
    }
    lane.crash.clear();
}

fn note_end(slot: &'static Slot, death: &Death) {
    // Of a worker that was at its task before its template had written down who it is, it has said so itself.
    if death.pid != 0 {
        slot.pid.store(death.pid, Relaxed);
    }
    slot.exit.store(death.exit as u32, Relaxed);
    slot.max_rss.store(death.usage.max_rss_bytes, Relaxed);
    slot.cpu_ns.store(death.usage.cpu_ns.saturating_sub(slot.cpu_ns.load(Relaxed)), Relaxed);
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
        self.stderr.begin(self.poll);
        worker::forget_functions();
        self.meet_lanes();
        let plan = self.plan.plan();
        if !robust::hold_for_life(&plan.template.word, &plan.template.link) {
            return Err(Error::Exists("the pool has a template"));
        }
        let has_predecessor = plan.template_id.swap(me.me.to_bits(), AcqRel) != 0;
        futex::wake(&plan.template.word, u32::MAX);
        self.mark_left();
        self.outlive_predecessor(me)?;
        // The first one has no lane to look at, of which each is several pages.
        for (_, lane, _) in self.lanes().filter(|(_, lane, _)| has_predecessor && self.is_left(lane)) {
            let pid = lane.pid.swap(0, AcqRel);
            note(self.plan, lane, &Death::unseen(pid));
            settle(lane);
            self.vacate(lane);
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
        self.meet_lanes();
        let adopting = self.adopt();
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
            return self.enforce(now_ns()).into_iter().chain(adopting).min();
        }
        let hiring = self.staff(now_ns());
        let limits = self.enforce(now_ns()).or_else(|| self.doze());
        adopting.into_iter().chain(hiring).chain(limits).min()
    }

    fn is_over(&self) -> bool {
        self.over && (!self.stderr.is_stuck() || now_ns() >= self.over_ns + LINGER_NS)
    }
}
