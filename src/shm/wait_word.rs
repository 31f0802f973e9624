//! Where threads of many processes wait for a condition of their own: under semaphores, conditions,
//! events and barriers.
//!
//! ```text
//! bit 63      48  47 46      32 31            0
//!    | epoch    | A | waiters  | sequence      |
//! ```
//! - `sequence`: raised by each notification while somebody is counted; what sleepers compare.
//! - `waiters`: threads between [`WaitWord::prepare`] and the end of their wait. Killed ones stay counted
//!   until the next repair, at the price of needless wakes. A full count stays full until then.
//! - `A`: one of them may be asleep. Set on the way to sleep, in one step with the last look at the sequence; cleared by
//!   whoever wakes all, and by the last to leave. Without it a notification needs no system call: all are still awake.
//! - `epoch`: raised by each repair, which forgets all counts; who counted himself before does not take
//!   himself off again.
//!
//! Whoever waits prepares, looks at his condition, then sleeps; whoever makes a condition true changes it,
//! then notifies. A fence on both sides: one of the two sees the other. A notifier that dies in between
//! leaves the waiters counted, and the repair of its death wakes them ([`WaitWord::broadcast`]).

use super::memory::{Deadline, Memory, Wake, Word64};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const SEQUENCE: u64 = 0xffff_ffff;
const COUNT_ONE: u64 = 1 << 32;
const COUNT: u64 = 0x7fff << 32;
const ASLEEP: u64 = 1 << 47;
const EPOCH_ONE: u64 = 1 << 48;

/// How often a waiter looks before it sleeps: some 5 µs, longer than a short critical section of another process.
pub const SPINS: u32 = 200;

/// A place to wait in shared memory; any bits are valid.
#[repr(transparent)]
pub struct WaitWord<M: Memory> {
    word: M::W64,
}

/// A waiter's count, and what it had seen when it was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "look at the condition, then sleep; leave at the end"]
pub struct Ticket {
    sequence: u32,
    epoch: u16,
}

fn next_sequence(word: u64) -> u64 {
    (word & !SEQUENCE) | (word.wrapping_add(1) & SEQUENCE)
}

impl<M: Memory> WaitWord<M> {
    /// Wraps a word.
    pub const fn from_word(word: M::W64) -> Self {
        WaitWord { word }
    }

    /// A word of memory as a place to wait; whatever bits it has are valid.
    #[inline(always)]
    pub fn of(word: &M::W64) -> &Self {
        // SAFETY: `WaitWord` is a transparent wrapper of this type, and any bits are valid for both.
        unsafe { &*(word as *const M::W64).cast::<Self>() }
    }

    /// Counts the caller. After this it looks at its condition; what it does not find then will notify.
    pub fn prepare(&self) -> Ticket {
        let mut seen = self.word.load(Relaxed);
        loop {
            let counted = if seen & COUNT == COUNT { seen } else { seen + COUNT_ONE };
            match self.word.compare_exchange(seen, counted, AcqRel, Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        M::fence_after_change();
        Ticket { sequence: seen as u32, epoch: (seen >> 48) as u16 }
    }

    /// Sleeps until somebody has notified since the ticket was drawn (or the alarm, or the deadline, or
    /// for nothing).
    pub fn sleep(&self, ticket: Ticket, alarm: Option<(&M::W32, u32)>, deadline: Deadline) -> Wake {
        let mut seen = self.word.load(Relaxed);
        while seen & ASLEEP == 0 {
            if seen as u32 != ticket.sequence {
                return Wake::Look;
            }
            match self.word.compare_exchange(seen, seen | ASLEEP, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        M::wait64(&self.word, ticket.sequence, alarm, deadline)
    }

    /// Whether somebody has notified since the ticket was drawn.
    pub fn is_notified(&self, ticket: Ticket) -> bool {
        self.word.load(Acquire) as u32 != ticket.sequence
    }

    /// The end of a wait, however it ended.
    pub fn leave(&self, ticket: Ticket) {
        let mut seen = self.word.load(Relaxed);
        loop {
            let exact = (seen >> 48) as u16 == ticket.epoch && seen & COUNT > 0 && seen & COUNT != COUNT;
            if !exact {
                return;
            }
            let left = seen - COUNT_ONE;
            let left = if left & COUNT == 0 { left & !ASLEEP } else { left };
            match self.word.compare_exchange(seen, left, AcqRel, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Waits until `done` has an answer; `None` if it has none in time. `alarm` is asked before each sleep for a
    /// word whose change must end the sleep too.
    pub fn wait_until<'a, T>(
        &self,
        deadline: Deadline,
        mut alarm: impl FnMut() -> Option<(&'a M::W32, u32)>,
        mut done: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        loop {
            let ticket = self.prepare();
            let answer = done();
            let wake = if answer.is_none() { self.sleep(ticket, alarm(), deadline) } else { Wake::Look };
            self.leave(ticket);
            // Also after its time: a wake that this thread consumed must not be lost.
            match answer.or_else(&mut done) {
                None if wake == Wake::TimedOut => return None,
                None => {}
                answer => return answer,
            }
        }
    }

    /// Waits for a notification since the ticket was drawn, and leaves; false if none came in time, or before `give_up`
    /// said so, which is asked before each sleep.
    pub fn wait_notified<'a>(
        &self,
        ticket: Ticket,
        deadline: Deadline,
        mut alarm: impl FnMut() -> Option<(&'a M::W32, u32)>,
        mut give_up: impl FnMut() -> bool,
    ) -> bool {
        let (mut wake, mut turns) = (Wake::Look, 0);
        while !self.is_notified(ticket) && wake != Wake::TimedOut {
            if deadline != Some(0) && M::pause(&mut turns, SPINS) {
                continue;
            }
            if give_up() {
                break;
            }
            wake = self.sleep(ticket, alarm(), deadline);
        }
        let notified = self.is_notified(ticket);
        self.leave(ticket);
        notified
    }

    /// Wakes up to `count` of those who sleep here, and all who are on their way to, after the condition was changed. No
    /// store while nobody waits, and no system call while nobody sleeps. How many were asleep and are woken.
    #[inline]
    pub fn notify(&self, count: u32) -> u32 {
        M::fence();
        self.notify_fenced(count)
    }

    /// The same right behind a change of a word that is the condition.
    #[inline(always)]
    pub fn notify_after_change(&self, count: u32) {
        M::fence_after_change();
        self.notify_fenced(count);
    }

    #[inline(always)]
    fn notify_fenced(&self, count: u32) -> u32 {
        if self.word.load(Relaxed) & COUNT != 0 { self.notify_waiters(count) } else { 0 }
    }

    #[cold]
    fn notify_waiters(&self, count: u32) -> u32 {
        self.wake(self.tell(count))
    }

    /// The same for a caller who holds what the waiters need next, and wakes them when he has let go of it: how many. If
    /// he dies before that, the repair wakes all.
    pub fn notify_later(&self, count: u32) -> u32 {
        M::fence();
        self.tell(count)
    }

    /// Wakes up to `count` of those who sleep here, of whom [`WaitWord::notify_later`] spoke; how many it woke.
    pub fn wake(&self, count: u32) -> u32 {
        if count > 0 { M::wake64(&self.word, count) } else { 0 }
    }

    /// Raises the sequence if somebody waits; how many are to be woken.
    fn tell(&self, count: u32) -> u32 {
        let mut seen = self.word.load(Relaxed);
        loop {
            if seen & COUNT == 0 {
                return 0;
            }
            let waiters = ((seen & COUNT) >> 32) as u32;
            let all = count >= waiters && seen & COUNT != COUNT;
            let next = next_sequence(if all { seen & !ASLEEP } else { seen });
            match self.word.compare_exchange(seen, next, AcqRel, Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & ASLEEP != 0 { count } else { 0 }
    }

    /// How many may wait.
    pub fn waiters(&self) -> u32 {
        ((self.word.load(Acquire) & COUNT) >> 32) as u32
    }

    /// The repair of a death, or the end of the object: everybody wakes and looks again, and all counts are
    /// forgotten. `force`: an earlier repairer may have died between its store and its wake.
    pub fn broadcast(&self, force: bool) {
        M::fence();
        let mut seen = self.word.load(Relaxed);
        loop {
            if seen & COUNT == 0 && !force {
                return;
            }
            let fresh = next_sequence(seen & !(COUNT | ASLEEP)).wrapping_add(EPOCH_ONE);
            match self.word.compare_exchange(seen, fresh, AcqRel, Relaxed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        M::wake64(&self.word, u32::MAX);
    }
}
