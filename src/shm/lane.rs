//! The lane of a pool's worker: task words that decide fates, and bells that wake.
//!
//! A lane is a ring of task slots. The host fills them in order, the worker works on them in order,
//! the host collects them in order. Whatever happens to the worker, the word of each slot says what
//! became of its task; nobody has to guess.
//!
//! ```text
//! bit 63    60 59        40 39                    0
//!    | state  | sequence   | item                  |
//! ```
//! - `sequence`: how often the slot was used before. Raised by the host when it releases the slot,
//!   so that nothing said about one task can hit the next one in its place.
//! - `item`: index of the item at work (a task of a map is a chunk of items; others have one).
//! - `state`, by whom it is entered, and from where:
//!
//! | state      | entered by | from       | meaning |
//! |------------|------------|------------|---------|
//! | `Free`     | host       | a final state | nobody's; the next task of the lane may be put here |
//! | `Assigned` | host       | `Free`     | the slot holds a task; of this worker or the next |
//! | `Running`  | worker     | `Assigned`, `Running`, `Told` | it works on `item` |
//! | `Asked`    | keeper     | `Running`, `Told` | it works on `item`, and is *about to be told* by a signal that it should stop |
//! | `Told`     | keeper     | `Asked`    | the same, and the signal is sent |
//! | `Done`     | worker     | `Running`, `Told` | all items are done and their results are in the slot |
//! | `Revoked`  | host       | `Assigned` | taken back before anybody began |
//! | `Killed`   | keeper     | `Running`, `Told` | `item` was too slow; its worker is *to be killed*, and may still live |
//! | `Expired`  | keeper     | `Killed`   | the same, and its worker is dead |
//! | `Lost`     | keeper     | `Running`, `Asked`, `Told` | its worker died over `item` |
//!
//! A worker that finds `Asked` when it is done with an item waits for `Told` before it leaves the item: so the signal has
//! arrived by then, and never hits the next one. (If the keeper dies in between, so does the worker.)
//!
//! `Killed` is not an end: a worker that still lives may yet write to the slot, and a keeper that
//! dies between its decision and its signal must leave the decision where the next keeper finds it
//! ([`TaskWord::sentence`]). So the host collects only what [`State::is_final`], and a task that ran
//! out of time becomes final by its worker's burial, like one that was lost.

use super::memory::{Deadline, Memory, Wake, Word32, Word64};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

const ITEM_BITS: u32 = 40;
const SEQUENCE_BITS: u32 = 20;
const ITEM: u64 = (1 << ITEM_BITS) - 1;
const SEQUENCE: u32 = (1 << SEQUENCE_BITS) - 1;

/// What a task slot is in. The table is at the top of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Nobody's.
    Free = 0,
    /// A task that nobody has begun.
    Assigned = 1,
    /// At work.
    Running = 2,
    /// Finished, results committed.
    Done = 3,
    /// Taken back by the host.
    Revoked = 4,
    /// Out of time; its worker is about to be killed.
    Killed = 5,
    /// Its worker died over it.
    Lost = 6,
    /// Out of time, and its worker is dead.
    Expired = 7,
    /// At work, and about to be told to stop.
    Asked = 8,
    /// At work, and told to stop.
    Told = 9,
}

impl State {
    /// Nobody but the host writes the slot any more: it may be collected and released.
    pub fn is_final(self) -> bool {
        matches!(self, State::Done | State::Revoked | State::Lost | State::Expired)
    }

    /// A worker is at it, and may finish it.
    pub fn is_at_work(self) -> bool {
        matches!(self, State::Running | State::Asked | State::Told)
    }
}

/// The value of a task word, as somebody saw it. Whoever changes a word names the value that it saw,
/// and fails if the word has another one by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task(u64);

impl Task {
    /// The value for its parts; sequence and item wrap around at their width.
    pub const fn new(state: State, sequence: u32, item: u64) -> Task {
        let sequence = (sequence & SEQUENCE) as u64;
        Task((state as u64) << (ITEM_BITS + SEQUENCE_BITS) | sequence << ITEM_BITS | item & ITEM)
    }

    /// The value of a word.
    pub const fn from_bits(bits: u64) -> Task {
        Task(bits)
    }

    /// The word of the value.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// A number that no writer writes counts as `Lost`: the word was damaged, and the outcome of its
    /// task is not known.
    pub const fn state(self) -> State {
        match self.0 >> (ITEM_BITS + SEQUENCE_BITS) {
            0 => State::Free,
            1 => State::Assigned,
            2 => State::Running,
            3 => State::Done,
            4 => State::Revoked,
            5 => State::Killed,
            7 => State::Expired,
            8 => State::Asked,
            9 => State::Told,
            _ => State::Lost,
        }
    }

    /// How often the slot was used before.
    pub const fn sequence(self) -> u32 {
        (self.0 >> ITEM_BITS) as u32 & SEQUENCE
    }

    /// The item at work, or the first one.
    pub const fn item(self) -> u64 {
        self.0 & ITEM
    }

    const fn in_state(self, state: State) -> Task {
        Task::new(state, self.sequence(), self.item())
    }

    /// The same item of the same task, whether its worker was told anything or not.
    pub const fn at_work(self) -> Task {
        self.in_state(State::Running)
    }

    /// Which use of its slot is the next that a worker may have to do with: this one while it may
    /// still be run, the one after it otherwise.
    pub const fn open_sequence(self) -> u32 {
        match self.state() {
            State::Free | State::Assigned => self.sequence(),
            _ => (self.sequence() + 1) & SEQUENCE,
        }
    }

    /// What a worker does that has come to this slot's use number `sequence`.
    pub const fn turn(self, sequence: u32) -> Turn {
        let ahead = self.open_sequence().wrapping_sub(sequence) & SEQUENCE;
        // Half of the numbers count as the past: a worker is never ahead of its host by as much.
        if ahead != 0 {
            return if ahead <= SEQUENCE / 2 { Turn::Skip } else { Turn::Wait };
        }
        if matches!(self.state(), State::Assigned) { Turn::Run } else { Turn::Wait }
    }
}

/// See [`Task::turn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A task is there to be started.
    Run,
    /// The host has not put one there yet.
    Wait,
    /// It is over: revoked, or run by a predecessor. On to the next slot.
    Skip,
}

/// The place in the lane's order at which a worker begins that takes it over: the oldest use of a
/// slot that may still be run. Places count the tasks of the lane; place `p` is use `p / len` of slot
/// `p % len`. Slots may change while they are looked at; then the place is one that will be skipped.
pub fn first_place(len: u32, task: impl Fn(u32) -> Task) -> u64 {
    let (mut oldest, mut at) = (task(0).open_sequence(), 0);
    for slot in 1..len {
        let sequence = task(slot).open_sequence();
        // Uses of the slots of one ring differ by one at most, also where the numbers wrap around.
        let older = oldest.wrapping_sub(sequence) & SEQUENCE;
        if older != 0 && older <= SEQUENCE / 2 {
            (oldest, at) = (sequence, slot);
        }
    }
    oldest as u64 * len as u64 + at as u64
}

/// Slot and sequence of a place.
pub const fn at_place(place: u64, len: u32) -> (u32, u32) {
    ((place % len as u64) as u32, (place / len as u64) as u32 & SEQUENCE)
}

/// What a worker's death means for a task of its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: there is no task, or its outcome was known before.
    Settled,
    /// Nobody had begun it; the next worker of the lane will.
    Waits,
    /// The worker died over this item. Items before it are done, items behind it were not begun.
    Lost(u64),
    /// This item was out of time.
    Expired(u64),
}

/// The word of a task slot; all zero is a free slot.
#[repr(transparent)]
pub struct TaskWord<M: Memory> {
    word: M::W64,
}

impl<M: Memory> TaskWord<M> {
    /// Wraps a word.
    pub const fn from_word(word: M::W64) -> Self {
        TaskWord { word }
    }

    /// What it is now. Whoever sees a state sees what was written into the slot before it.
    #[inline]
    pub fn load(&self) -> Task {
        Task(self.word.load(Acquire))
    }

    /// From exactly `seen`, which must be in state `from`: whoever looked at the word twice may have
    /// decided by the first look and hold the second.
    #[inline]
    fn change(&self, from: State, seen: Task, next: Task) -> Result<Task, Task> {
        if seen.state() != from {
            return Err(seen);
        }
        match self.word.compare_exchange(seen.0, next.0, AcqRel, Acquire) {
            Ok(_) => Ok(next),
            Err(now) => Err(Task(now)),
        }
    }

    /// Host: the task that was written into the free slot may be run, from `first` on. A plain
    /// store: nobody else writes a free word.
    #[inline]
    pub fn assign(&self, first: u64) -> Task {
        let free = Task(self.word.load(Relaxed));
        debug_assert_eq!(free.state(), State::Free);
        let task = Task::new(State::Assigned, free.sequence(), first);
        self.word.store(task.0, Release);
        task
    }

    /// Host: takes an assigned task back, unless somebody has begun it.
    pub fn revoke(&self, assigned: Task) -> Result<Task, Task> {
        self.change(State::Assigned, assigned, assigned.in_state(State::Revoked))
    }

    /// Host: the slot is empty again, after its outcome was collected. A plain store: nobody else
    /// writes a word that is final.
    #[inline]
    pub fn release(&self, collected: Task) {
        debug_assert!(collected.state().is_final());
        self.word.store(Task::new(State::Free, collected.sequence() + 1, 0).0, Release);
    }

    /// Worker: begins with an assigned task, unless it was revoked.
    #[inline]
    pub fn start(&self, assigned: Task) -> Result<Task, Task> {
        self.change(State::Assigned, assigned, assigned.in_state(State::Running))
    }

    /// Worker: on to the next item of a task under a time limit. Fails if the keeper has decided
    /// that the item took too long; the worker then touches the slot no more, begins nothing, and
    /// waits for its end.
    /// Also from `Told`.
    #[inline]
    pub fn advance_exact(&self, running: Task) -> Result<Task, Task> {
        self.leave(running, Task::new(State::Running, running.sequence(), running.item() + 1))
    }

    /// Worker: away from the item at work, which it may have been told to stop.
    #[inline]
    fn leave(&self, seen: Task, next: Task) -> Result<Task, Task> {
        let from = if seen.state() == State::Told { State::Told } else { State::Running };
        self.change(from, seen, next)
    }

    /// Worker: the same for a task that nobody else may end, by a plain store.
    #[inline]
    pub fn advance(&self, running: Task) -> Task {
        debug_assert!(running.state() == State::Running && running.item() < ITEM);
        let next = Task(running.0 + 1);
        self.word.store(next.0, Release);
        next
    }

    /// Worker: the results are in the slot. Fails as [`TaskWord::advance_exact`] does.
    #[inline]
    pub fn finish(&self, running: Task) -> Result<Task, Task> {
        self.leave(running, running.in_state(State::Done))
    }

    /// Keeper: decides that the item that it saw running took too long. Only after `Ok` may it send
    /// the signal; the worker cannot leave the task any more, so the signal cannot hit another one.
    pub fn kill(&self, running: Task) -> Result<Task, Task> {
        self.leave(running, running.in_state(State::Killed))
    }

    /// Keeper: the item that it saw running should stop. After `Ok` it sends the signal and says so by [`TaskWord::tell`]; until
    /// then the worker does not leave the item. Again from `Told`, for a signal that found nobody listening.
    pub fn ask(&self, running: Task) -> Result<Task, Task> {
        self.leave(running, running.in_state(State::Asked))
    }

    /// Keeper: the signal is sent.
    pub fn tell(&self, asked: Task) -> Result<Task, Task> {
        self.change(State::Asked, asked, asked.in_state(State::Told))
    }

    /// Keeper that takes the duty over: whether the worker of this lane, if it still lives, was to
    /// be killed. The predecessor may have died before it sent the signal; sending it twice is harmless.
    pub fn sentence(&self) -> Option<Task> {
        let task = self.load();
        (task.state() == State::Killed).then_some(task)
    }

    /// Keeper: the worker of the lane is dead, proven. Settles the task's fate. May be repeated, also by
    /// a successor, but not once a new worker is on the lane.
    pub fn bury(&self) -> Fate {
        let mut seen = self.load();
        loop {
            let (end, fate) = match seen.state() {
                State::Running | State::Asked | State::Told => (State::Lost, Fate::Lost(seen.item())),
                State::Killed => (State::Expired, Fate::Expired(seen.item())),
                State::Lost => return Fate::Lost(seen.item()),
                State::Expired => return Fate::Expired(seen.item()),
                State::Assigned => return Fate::Waits,
                State::Free | State::Done | State::Revoked => return Fate::Settled,
            };
            // Never a store: whatever the worker committed before its death stands.
            match self.change(seen.state(), seen, seen.in_state(end)) {
                Ok(_) => return fate,
                Err(now) => seen = now,
            }
        }
    }
}

/// Where threads sleep until somebody has news for them; all zero is a bell nobody listens to.
///
/// ```text
/// bit 31                1   0
///    | rings             | A |
/// ```
/// - `A`: somebody may be asleep. Set by whoever is about to sleep, cleared by whoever rings.
/// - `rings`: raised by each ring that found `A`; sleepers compare it.
///
/// The sleeper announces itself, then looks for news; the ringer writes the news, then looks for an
/// announcement. A fence on both sides: one of the two sees the other. So ringing costs no system
/// call, and no write, while nobody sleeps. Whoever announces and does not sleep (or dies) leaves at worst
/// one needless wake behind, so there is nothing to take back. A ringer that dies between its write and its
/// wake is covered by whoever settles its death: [`Bell::ring_all`].
#[repr(transparent)]
pub struct Bell<M: Memory> {
    word: M::W32,
}

const ANNOUNCED: u32 = 1;
const RING: u32 = 2;

/// That somebody announced itself, and the bell as it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "look for news, then sleep"]
pub struct Ticket(u32);

impl<M: Memory> Bell<M> {
    /// Wraps a word.
    pub const fn from_word(word: M::W32) -> Self {
        Bell { word }
    }

    /// Announces that the caller is about to sleep. After this, and before [`Bell::sleep`], it looks
    /// for the news once more: what it does not find then will ring.
    pub fn prepare(&self) -> Ticket {
        let mut seen = self.word.load(Relaxed);
        while seen & ANNOUNCED == 0 {
            match self.word.compare_exchange(seen, seen | ANNOUNCED, Relaxed, Relaxed) {
                Ok(_) => seen |= ANNOUNCED,
                Err(now) => seen = now,
            }
        }
        M::fence();
        Ticket(seen)
    }

    /// Sleeps until somebody rings after the ticket was drawn (or the alarm, or the deadline).
    pub fn sleep(&self, ticket: Ticket, alarm: Option<(&M::W32, u32)>, deadline: Deadline) -> Wake {
        M::wait32(&self.word, ticket.0, alarm, deadline)
    }

    /// Wakes whoever sleeps, after the news was written. (All of them: each waits for news of its own.)
    #[inline]
    pub fn ring(&self) {
        M::fence();
        self.ring_fenced();
    }

    /// The same for a caller that has put a fence behind its news.
    #[inline]
    pub fn ring_fenced(&self) {
        let seen = self.word.load(Relaxed);
        if seen & ANNOUNCED != 0 {
            self.ring_announced(seen);
        }
    }

    #[cold]
    fn ring_announced(&self, mut seen: u32) {
        // Whoever clears the mark owes the wake.
        while seen & ANNOUNCED != 0 {
            match self.word.compare_exchange(seen, seen.wrapping_add(RING) & !ANNOUNCED, Relaxed, Relaxed) {
                Ok(_) => {
                    M::wake32(&self.word, u32::MAX);
                    return;
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Wakes everybody, whatever the word says: somebody died who may have owed a wake. The number
    /// goes up too, for those who have announced themselves but are not asleep yet.
    pub fn ring_all(&self) {
        M::fence();
        self.word.fetch_add(RING, Relaxed);
        M::wake32(&self.word, u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::real::Real;

    #[test]
    fn parts_of_a_word_do_not_touch_each_other() {
        let task = Task::new(State::Killed, SEQUENCE, ITEM);
        assert_eq!((task.state(), task.sequence(), task.item()), (State::Killed, SEQUENCE, ITEM));
        assert_eq!(Task::new(State::Free, 0, 0).bits(), 0);
        assert_eq!(Task::new(State::Free, SEQUENCE + 1, ITEM + 1).bits(), 0);
        for number in 10..16 {
            assert_eq!(Task::from_bits(number << 60).state(), State::Lost);
        }
    }

    #[test]
    fn a_worker_runs_what_is_open_and_skips_what_is_over() {
        let turn = |state, sequence, of| Task::new(state, sequence, 0).turn(of);
        assert_eq!(turn(State::Assigned, 5, 5), Turn::Run);
        assert_eq!(turn(State::Free, 5, 5), Turn::Wait);
        assert_eq!(turn(State::Done, 4, 5), Turn::Wait);
        for over in [State::Done, State::Revoked, State::Lost, State::Expired] {
            assert_eq!(turn(over, 5, 5), Turn::Skip);
        }
        assert_eq!(turn(State::Assigned, 0, SEQUENCE), Turn::Skip);
        assert_eq!(turn(State::Assigned, SEQUENCE, 0), Turn::Wait);
    }

    #[test]
    fn nobody_begins_what_was_taken_back() {
        let word = TaskWord::<Real>::from_word(0.into());
        let task = word.assign(0);
        let revoked = word.revoke(task).unwrap();
        assert_eq!(word.start(task), Err(revoked));
        assert_eq!(word.start(revoked), Err(revoked));
        assert_eq!(word.finish(revoked), Err(revoked));
        assert_eq!(word.kill(revoked), Err(revoked));
        assert_eq!(word.ask(revoked), Err(revoked));
        word.release(revoked);
        assert_eq!(word.revoke(word.load()), Err(word.load()));
    }

    #[test]
    fn nobody_leaves_an_item_while_a_signal_is_on_its_way() {
        let word = TaskWord::<Real>::from_word(0.into());
        let running = word.start(word.assign(0)).unwrap();
        let asked = word.ask(running).unwrap();
        for leaves in [TaskWord::finish, TaskWord::advance_exact, TaskWord::kill, TaskWord::ask] {
            assert_eq!(leaves(&word, running), Err(asked));
            assert_eq!(leaves(&word, asked), Err(asked));
        }
        let told = word.tell(asked).unwrap();
        assert_eq!(word.tell(asked), Err(told));
        let next = word.advance_exact(told).unwrap();
        assert_eq!((next.state(), next.item()), (State::Running, 1));
        assert_eq!(word.ask(told), Err(next));
        let told = word.ask(next).and_then(|asked| word.tell(asked)).unwrap();
        assert_eq!(word.bury(), Fate::Lost(told.item()));
    }

    #[test]
    fn a_new_worker_begins_at_the_oldest_open_use() {
        let first = |words: &[(State, u32)]| {
            let task = |at: u32| Task::new(words[at as usize].0, words[at as usize].1, 0);
            at_place(first_place(words.len() as u32, task), words.len() as u32)
        };
        assert_eq!(first(&[(State::Free, 0), (State::Free, 0)]), (0, 0));
        assert_eq!(first(&[(State::Done, 0), (State::Assigned, 0)]), (1, 0));
        assert_eq!(first(&[(State::Assigned, 1), (State::Lost, 0)]), (0, 1));
        assert_eq!(first(&[(State::Assigned, 1), (State::Assigned, 0)]), (1, 0));
        assert_eq!(first(&[(State::Assigned, 0), (State::Assigned, SEQUENCE)]), (1, SEQUENCE));
        assert_eq!(first(&[(State::Done, SEQUENCE), (State::Done, SEQUENCE)]), (0, 0));
    }
}
