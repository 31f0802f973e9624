//! A worker: runs the tasks of one lane, one after the other.
#![forbid(unsafe_code)]

mod items;

use super::meter::Meter;
use super::{event, stderr};
use crate::call::{Call, Input, Output};
use crate::family;
use crate::function::{self, Identity};
use crate::shm::arena::Arena;
use crate::shm::functions;
use crate::shm::job_note::JobNote;
use crate::shm::lane::{State, Task, TaskWord, Turn, at_place, first_place};
use crate::shm::memory::Memory;
use crate::shm::plan::{
    ACCEPTED, FLAG_HELD, FLAG_TELLS, Hook, Lane, NOTHING_FAILED, OFFERED, Phase, PlanRef, SLOTS, Set, Slot, TOO_LATE,
    TaskKind,
};
use crate::shm::real::Real;
use crate::shm::region::Region;
use crate::sys::clock::{self, now_ns};
use crate::sys::{descriptor, fork, statm, stop};
use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU32, AtomicUsize};

/// How long a worker looks for the next task before it sleeps: about the cost of a wake.
const SPIN_NS: u64 = 20_000;

/// Places that a task word tells apart: 20 bits of sequence for each slot.
const PLACES: u64 = (1 << 20) * SLOTS as u64;

/// The code of a task that could not be run.
const REFUSED: i32 = 255;

/// Addresses of the functions that this process has resolved, or its template, by index. Static: a worker allocates
/// nothing before its first task.
static RESOLVED: [AtomicUsize; crate::shm::arena::FUNCTIONS] = [const { AtomicUsize::new(0) }; 1024];

/// Functions that the template has looked at.
static FORESEEN: AtomicU32 = AtomicU32::new(0);

/// In a template, as it begins: it may be the fork of a worker, which has resolved functions of its own.
pub fn forget_functions() {
    FORESEEN.store(0, Relaxed);
    // Mostly none: then no page of them becomes this process's own.
    for address in RESOLVED.iter().filter(|address| address.load(Relaxed) != 0) {
        address.store(0, Relaxed);
    }
}

/// In a template, before it forks: what the family's functions are here, so that no worker has to find out, which takes longer
/// than the fork. Those of modules that are not loaded are left to whoever runs them.
pub fn foresee_functions(arena: Arena) {
    let count = functions::count(arena);
    for index in FORESEEN.swap(count, Relaxed)..count {
        let identity = functions::get(arena, index).and_then(|record| Identity::from_bytes(&record).ok());
        let address = identity.and_then(|identity| function::foresee(&identity));
        address.into_iter().for_each(|address| RESOLVED[index as usize].store(address, Relaxed));
    }
}

/// The worker of one lane.
pub struct Worker {
    plan: PlanRef,
    lane: &'static Lane,
    notify: RawFd,
    pid: u32,
    meter: Meter,
    /// Its stderr is captured.
    marks: bool,
    /// Tasks that it has still to do.
    left: Cell<u64>,
    /// How often the pool was restarted before it was born.
    restarts: u32,
    /// Memory that it was born with, where somebody wants to know.
    inherited: u64,
    weighed_ns: Cell<u64>,
    /// Address of the call that it makes.
    call: Cell<u64>,
}

/// How often a worker looks how much memory it has.
const WEIGH_NS: u64 = 2_000_000;

impl Worker {
    /// The worker of lane `index`, which `marks` where in its stderr each task begins, or does not.
    pub fn new(plan: PlanRef, index: usize, notify: RawFd, marks: bool) -> Worker {
        let (words, lane) = (plan.plan(), &plan.lanes()[index]);
        let left = Cell::new(words.max_tasks.load(Relaxed).wrapping_sub(1).saturating_add(1));
        let restarts = words.restarts.load(Acquire);
        let weighs = words.max_memory.load(Relaxed) != 0;
        let inherited = if weighs { statm::of(fork::pid()).map_or(0, |held| held.private) } else { 0 };
        let (weighed_ns, call) = (Cell::new(0), Cell::new(0));
        let (pid, meter) = (fork::pid(), Meter::default());
        Worker { marks, plan, lane, notify, pid, meter, left, restarts, inherited, weighed_ns, call }
    }

    /// Runs tasks until the pool ends or needs this worker no more, and leaves.
    pub fn run(&self) -> ! {
        let mut call = Call::new(Input::Item(Region::EMPTY), Output::Nowhere);
        let started = self.begin();
        if started != 0 {
            self.leave(started, event::REASON_INITIALIZER);
        }
        let why = self.work(&mut call);
        if self.plan.phase() > Phase::Ending {
            // About to be killed, like those that are at work.
            fork::leave(0);
        }
        let ended = self.end();
        self.leave(ended, why)
    }

    /// What it does first; what that returned.
    pub fn begin(&self) -> i32 {
        self.run_hook(&self.plan.plan().initializer)
    }

    /// And last.
    pub fn end(&self) -> i32 {
        self.run_hook(&self.plan.plan().finalizer)
    }

    /// Runs the task at a place, for a pool whose workers are its callers.
    pub fn run_one(&self, place: u64) {
        let (slot, sequence) = at_place(place, SLOTS);
        let slot = &self.lane.slots[slot as usize];
        let seen = slot.word.load();
        if seen.turn(sequence) == Turn::Run {
            let mut call = Call::new(Input::Item(Region::EMPTY), Output::Nowhere);
            self.execute(slot, place, seen, None, &mut call);
        }
    }

    fn leave(&self, code: i32, why: u32) -> ! {
        self.lane.leaving.store(why, Relaxed);
        fork::leave(if (0..=255).contains(&code) { code } else { 255 })
    }

    /// The initializer or the finalizer; what it returned, 0 if there is none. What it was lent it keeps.
    fn run_hook(&self, hook: &Hook) -> i32 {
        let Some(index) = hook.function.load(Acquire).checked_sub(1) else { return 0 };
        let arguments = Region::of(self.plan.arena, hook.arguments.load(Relaxed), hook.len.load(Relaxed));
        let (Ok(address), Some(arguments)) = (self.resolve(index), arguments) else { return REFUSED };
        let mut call = Call::new(Input::Encoded(arguments.frozen()), Output::Nowhere);
        let code = call.enter(|call| {
            let code = call.run(address);
            call.keep_all();
            code
        });
        if family::is_forked() {
            fork::leave(0);
        }
        code.unwrap_or(REFUSED)
    }

    /// The task that was just begun should not have been any more.
    fn is_late(&self, now: u64) -> bool {
        let expires = self.lane.current().1.expires_ns.load(Relaxed);
        expires != 0 && now > expires
    }

    /// Its memory has grown by more than is wanted in the pool. Looked at every now and then, for it takes a while.
    fn is_fat(&self) -> bool {
        let most = self.plan.plan().max_memory.load(Relaxed);
        let now = if most != 0 { now_ns() } else { 0 };
        if most == 0 || now - self.weighed_ns.get() < WEIGH_NS {
            return false;
        }
        self.weighed_ns.set(now);
        statm::of(self.pid).is_some_and(|held| held.private.saturating_sub(self.inherited) > most)
    }

    /// Why this worker is to leave after the task that it has done, 0: it is not.
    fn is_spent(&self) -> u32 {
        let spent = self.left.get() == 0 || self.plan.plan().restarts.load(Relaxed) != self.restarts || self.is_fat();
        if spent { event::REASON_RECYCLED } else { 0 }
    }

    /// The same for one that has nothing to do.
    fn is_needless(&self) -> Option<u32> {
        match self.is_spent() {
            _ if self.plan.phase() != Phase::Working => Some(0),
            _ if self.lane.wanted.load(Acquire) == 0 => Some(event::REASON_SHRUNK),
            0 => None,
            spent => Some(spent),
        }
    }

    /// Runs tasks; why it stopped.
    fn work(&self, call: &mut Call) -> u32 {
        let mut since = None;
        let mut place = first_place(SLOTS, |slot| self.lane.slots[slot as usize].word.load());
        loop {
            let (slot, sequence) = at_place(place, SLOTS);
            let slot = &self.lane.slots[slot as usize];
            let seen = slot.word.load();
            match seen.turn(sequence) {
                Turn::Run if self.is_held(slot) && !self.offer(slot, place, seen) => {
                    // Taken back, which the next look tells, or not this worker's to wait with any longer.
                    if let Some(why) = self.is_needless() {
                        return why;
                    }
                    since = None;
                }
                Turn::Run => {
                    since = self.execute(slot, place, seen, since, call);
                    place += 1;
                    let why = self.is_spent();
                    if why != 0 {
                        return why;
                    }
                }
                Turn::Skip => place += 1,
                Turn::Wait => {
                    if let Some(why) = self.is_needless() {
                        return why;
                    }
                    self.wait(|| slot.word.load().turn(sequence) != Turn::Wait || self.is_needless().is_some());
                    since = None;
                }
            }
        }
    }

    /// The host has to accept the task of a slot, and has not yet.
    fn is_held(&self, slot: &Slot) -> bool {
        slot.flags.load(Relaxed) & FLAG_HELD != 0
    }

    /// Shows the host that this worker has come to the task, and waits until it may begin; false: it may not, for now.
    fn offer(&self, slot: &'static Slot, place: u64, seen: Task) -> bool {
        let held = &self.lane.terms[(place % SLOTS as u64) as usize].held;
        slot.pid.set(self.pid);
        if held.fetch_or(OFFERED, AcqRel) & ACCEPTED == 0 {
            self.tell_begun();
            self.wait(|| {
                held.load(Acquire) & ACCEPTED != 0 || slot.word.load() != seen || self.is_needless().is_some()
            });
        }
        held.load(Acquire) & ACCEPTED != 0 && self.is_needless().is_none()
    }

    /// Waits until there is something to do.
    fn wait(&self, news: impl Fn() -> bool) {
        if news() {
            return;
        }
        let mut now = now_ns();
        let until = now + SPIN_NS;
        while now < until {
            clock::spin_or_yield(until - now, SPIN_NS, &news);
            if news() {
                return;
            }
            now = now_ns();
        }
        let ticket = self.lane.bell.prepare();
        if !news() {
            // The template's liveness is no concern here: it takes its workers with it.
            self.lane.bell.sleep(ticket, None, None);
        }
    }

    /// Runs the task of a slot. `since`: when the last one ended, if it did just now; when this one did.
    fn execute(&self, slot: &'static Slot, place: u64, seen: Task, since: Option<u64>, call: &mut Call) -> Option<u64> {
        let started = since.unwrap_or_else(now_ns);
        let cpu = self.meter.at(started);
        self.prepare(slot, place, (started, cpu), call);
        // As it was when it was found to be this place's: by now it may be revoked, or another task.
        let Ok(task) = slot.word.start(seen) else {
            self.lane.going.store(0, Relaxed);
            return since;
        };
        self.lane.begun.store(self.lane.begun.load(Relaxed) + 1, Relaxed);
        self.left.set(self.left.get() - 1);
        if slot.flags.load(Relaxed) & FLAG_TELLS != 0 {
            self.tell_begun();
        }
        let task = self.run_task(slot, task, started, call);
        // A child that the task forked, and that came back from it: the slot is its parent's.
        if family::is_forked() {
            fork::leave(0);
        }
        let ended = now_ns();
        slot.ended_ns.store(ended, Relaxed);
        slot.cpu_ns.store(self.meter.at(ended).saturating_sub(cpu), Relaxed);
        self.finish(slot, place, task);
        Some(ended)
    }

    /// Writes what is to be known of a task before it begins, at an instant and so much processor time.
    #[inline(always)]
    fn prepare(&self, slot: &'static Slot, place: u64, (started, cpu): (u64, u64), call: &mut Call) {
        self.lane.place.store(place, Relaxed);
        slot.pid.set(self.pid);
        slot.started_ns.store(started, Relaxed);
        slot.cpu_ns.store(cpu, Relaxed);
        if self.marks {
            stderr::mark(&self.lane.stderr_read, &self.lane.stderr_mark);
        }
        slot.failed_item.store(NOTHING_FAILED, Relaxed);
        slot.reply_len.store(0, Relaxed);
        slot.code.store(0, Relaxed);
        // Before the begin: from then on the template may say that the task should stop.
        call.task = Some(JobNote::new(self.plan, self.lane, place));
        self.call.set(std::ptr::from_ref::<Call>(call) as u64);
        self.lane.going.store(self.call.get(), Relaxed);
    }

    /// Runs a task that was begun; at which item it ended, `None` if the keeper decided that one took too long.
    #[inline(always)]
    fn run_task(&self, slot: &'static Slot, task: Task, started: u64, call: &mut Call) -> Option<Task> {
        let address = self.resolve(slot.function.load(Relaxed));
        match (slot.kind.load(Relaxed), address) {
            _ if slot.has_terms() && self.is_late(started) => {
                slot.code.store(TOO_LATE, Relaxed);
                slot.failed_item.store(task.item(), Relaxed);
                Some(task)
            }
            (kind, Err(message)) => {
                match kind == TaskKind::Chunk as u32 {
                    true => self.refuse_chunk(slot, task.item(), &message),
                    false => self.refuse(slot, &message),
                }
                Some(task)
            }
            (kind, Ok(address)) if kind == TaskKind::Chunk as u32 => self.run_chunk(slot, task, address, call),
            (kind, Ok(address)) => {
                self.run_single(slot, kind, address, call);
                Some(task)
            }
        }
    }

    /// Says that a task is done, and what it left is in its slot.
    #[inline(always)]
    fn finish(&self, slot: &'static Slot, place: u64, task: Option<Task>) {
        let finished =
            task.map(|task| slot.word.finish(task).or_else(|now| self.leave_told(slot, now, TaskWord::finish)));
        self.lane.going.store(0, Relaxed);
        match finished {
            Some(Ok(_)) => {
                self.tell(place);
                self.meter.forget_peak();
            }
            // The keeper decided that the task is out of time: the end comes any moment, and nothing
            // may be begun before it.
            _ => fork::sleep_for_ever(),
        }
    }

    /// The task is begun; the host wants to hear of it.
    #[cold]
    fn tell_begun(&self) {
        Real::fence();
        self.plan.plan().news.ring_fenced();
        self.tell_loop();
    }

    /// The task is done; the host hears of it if it wants to.
    fn tell(&self, place: u64) {
        let plan = self.plan.plan();
        Real::fence();
        if is_due(place, self.lane.ring_from.load(Relaxed)) {
            plan.news.ring_fenced();
        }
        self.tell_loop();
    }

    fn tell_loop(&self) {
        let plan = self.plan.plan();
        if plan.armed.load(Relaxed) != 0 && plan.armed.swap(0, AcqRel) != 0 {
            descriptor::ring(self.notify);
        }
    }

    fn resolve(&self, index: u32) -> Result<usize, String> {
        let place = RESOLVED.get(index as usize).ok_or("the function is not in the table")?;
        let known = place.load(Relaxed);
        if known != 0 {
            return Ok(known);
        }
        let record = functions::get(self.plan.arena, index).ok_or("the function is not in the table")?;
        let identity = Identity::from_bytes(&record).map_err(|error| error.to_string())?;
        let address = function::resolve(&identity).map_err(|error| error.to_string())?;
        place.store(address, Relaxed);
        Ok(address)
    }

    fn output(&self, slot: &'static Slot) -> Output {
        Output::Any { inline: slot.reply(), arena: self.plan.arena, field: &slot.reply_block }
    }

    fn run_single(&self, slot: &'static Slot, kind: u32, address: usize, call: &mut Call) {
        let len = slot.arguments_len.load(Relaxed);
        let bytes = if kind == TaskKind::Inline as u32 {
            slot.arguments().part(0, len as usize)
        } else {
            Region::of(self.plan.arena, slot.arguments_block.load(Acquire), len)
        };
        let Some(bytes) = bytes else { return self.refuse(slot, "the arguments are not where they should be") };
        call.renew(Input::Encoded(bytes.frozen()), self.output(slot));
        let Ok(code) = call.enter(|call| call.run(address)) else {
            return self.refuse(slot, "too many calls run in this process at once");
        };
        match (code, call.replied()) {
            (0, replied) => slot.reply_len.store(replied.unwrap_or(0) as u64, Relaxed),
            _ => self.note_failure(slot, 0, call),
        }
    }

    /// Says why a task failed: code and message, in the place of the reply.
    fn note_failure(&self, slot: &'static Slot, item: u64, call: &Call) {
        let (code, message) = call.failure();
        self.note(slot, item, code, message);
    }

    fn note(&self, slot: &'static Slot, item: u64, code: i32, message: &[u8]) {
        let mut report = Call::new(Input::Item(Region::EMPTY), self.output(slot));
        let len = if report.reply(message).is_ok() { message.len() } else { 0 };
        slot.reply_len.store(len as u64, Relaxed);
        slot.code.store(code as u32 as u64, Relaxed);
        slot.failed_item.store(item, Relaxed);
    }

    fn refuse(&self, slot: &'static Slot, message: &str) {
        self.note(slot, slot.word.load().item(), REFUSED, message.as_bytes());
    }

    /// Leaves an item by `step` whose word turned out to be `now`: if its task was told to stop, the signal has come by
    /// the time that this returns, and hits nothing that is begun later.
    #[cold]
    fn leave_told(
        &self,
        slot: &Slot,
        mut now: Task,
        step: fn(&TaskWord<Real>, Task) -> Result<Task, Task>,
    ) -> Result<Task, Task> {
        loop {
            now = match now.state() {
                // The template is about to send it. If it dies, so does this process.
                State::Asked => {
                    std::thread::yield_now();
                    slot.word.load()
                }
                State::Told => {
                    // The next item goes on. Before the step: behind it the template may say otherwise of that one.
                    self.lane.going.store(self.call.get(), Relaxed);
                    match step(&slot.word, now) {
                        Ok(next) => {
                            stop::let_in();
                            return Ok(next);
                        }
                        Err(now) => now,
                    }
                }
                _ => return Err(now),
            };
        }
    }
}

/// Whether `place` is `from` or comes after it. Places of a worker that took a lane over begin at what the slots
/// tell, which counts [`PLACES`] of them; the host counts on.
fn is_due(place: u64, from: u64) -> bool {
    place.wrapping_sub(from) % PLACES < PLACES / 2
}

#[cfg(test)]
mod tests {
    use super::{PLACES, is_due};

    #[test]
    fn places_are_compared_across_their_wrap() {
        assert!(is_due(5, 5) && is_due(6, 5) && !is_due(4, 5));
        // The host has counted on; a replacement has begun again.
        assert!(is_due(7, PLACES + 7) && is_due(8, 3 * PLACES + 7) && !is_due(6, PLACES + 7));
        assert!(is_due(1, PLACES - 1) && !is_due(PLACES - 1, PLACES + 1));
    }
}
