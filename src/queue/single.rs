//! Queues to which one thread only puts, or of which one thread only gets: it has a role, and the lock for as long as that. How, is in
//! [`crate::shm::sole`].

use super::{Inside, Options, PATIENCE_NS, Queue, closed, gone};
use crate::error::{Error, Result};
use crate::family::Sentry;
use crate::shm::cell::Cell;
use crate::shm::lock_word::Acquired;
use crate::shm::memory::{Deadline, Memory};
use crate::shm::queue_cell::{DOOMED, LIGHT, ONE_GETS, ONE_PUTS, SHUT};
use crate::shm::real::Real;
use crate::shm::sole::{Sole, Who};
use crate::sys::clock::now_ns;
use crate::sys::{barrier, pidfd, stat};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;

/// How often somebody looks whether a put that has begun is over.
const LOOK: Duration = Duration::from_micros(200);

/// The flags of a new queue's inlet.
pub(super) fn flags(options: &Options) -> Result<u32> {
    if options.one_gets && options.joinable {
        return Err(Error::invalid(
            "a queue of tasks cannot have a single consumer: those who join it look at its head",
        ));
    }
    let puts = if options.one_puts { ONE_PUTS } else { 0 };
    let mut flags = if options.one_gets { puts | ONE_GETS } else { puts };
    if flags != 0 && barrier::register() && barrier::heavy() {
        flags |= LIGHT;
    }
    Ok(flags)
}

#[cold]
fn refused() -> Error {
    Error::Unsupported("membarrier is refused to this process, but was not to the queue's maker")
}

/// One side of a queue.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) cell: &'static Cell,
    pub(super) generation: u32,
    pub(super) role: &'static Sole<Real>,
    one: u32,
    taken: &'static str,
}

impl Queue {
    #[inline(always)]
    pub(super) fn tail_side(self) -> Side {
        let taken = "another thread is this queue's single producer";
        let (cell, generation) = (self.ends.inlet, self.ends.generation);
        Side { cell, generation, role: self.ends.producer(), one: ONE_PUTS, taken }
    }

    #[inline(always)]
    pub(super) fn head_side(self) -> Side {
        let taken = "another thread is this queue's single consumer";
        let (cell, generation) = (self.ends.outlet, self.ends.outlet_generation);
        Side { cell, generation, role: self.ends.consumer(), one: ONE_GETS, taken }
    }

    #[inline(always)]
    pub(super) fn enter_tail(self, deadline: Deadline) -> Result<Inside> {
        let inside = self.enter(self.tail_side(), deadline)?;
        // Behind that: who shut the queue down waits for us, or we find it.
        if self.ends.flags() & SHUT != 0 {
            drop(inside);
            return Err(self.shut_down());
        }
        Ok(inside)
    }

    #[inline(always)]
    pub(super) fn enter_head(self, deadline: Deadline) -> Result<Inside> {
        self.enter(self.head_side(), deadline)
    }

    /// Who gets is the single consumer, or is told that he is not: before he waits, for a wake that he got would be another's.
    #[inline(always)]
    pub(super) fn be_consumer(self, deadline: Deadline) -> Result<()> {
        let side = self.head_side();
        let me = Who::new(side.generation, self.family.me.slot, Real::thread_id());
        if side.role.is_of(me) { Ok(()) } else { self.claim(side, me, deadline) }
    }

    #[inline(always)]
    fn enter(self, side: Side, deadline: Deadline) -> Result<Inside> {
        let me = Who::new(side.generation, self.family.me.slot, Real::thread_id());
        if !side.role.is_of(me) {
            self.claim(side, me, deadline)?;
        }
        side.role.enter(me);
        if self.ends.flags() & LIGHT == 0 {
            Real::fence();
        }
        Ok(Inside { queue: self, side, me: Some(me) })
    }

    #[inline(always)]
    pub(super) fn leave_role(self, side: Side, me: Who) {
        side.role.leave(me);
        let flags = self.ends.flags();
        if flags & LIGHT == 0 {
            Real::fence();
        }
        if flags & (DOOMED | SHUT) != 0 {
            self.leave_at_end(side, flags);
        }
    }

    #[cold]
    fn leave_at_end(self, side: Side, flags: u32) {
        if flags & DOOMED != 0 {
            side.role.give_back();
            side.cell.lock.release(side.generation as u16);
            self.collect();
        } else {
            // Who shut it down waits for the last put before he wakes those who wait for its end; but he may be dead.
            self.wake_all();
        }
    }

    /// The caller, who is `me`, has the role from here on, if nobody alive has it.
    #[cold]
    fn claim(self, side: Side, me: Who, deadline: Deadline) -> Result<()> {
        let (slot, generation) = (self.family.me.slot, side.generation as u16);
        if self.ends.flags() & LIGHT != 0 && !barrier::register() {
            return Err(refused());
        }
        loop {
            let owner = side.cell.lock.owner(generation).ok_or_else(gone)?;
            let holder = side.role.who();
            let until = match holder {
                _ if owner == 0 => Some(0),
                Some(who) if owner == slot && stat::has_ended(who.thread()) => {
                    match side.role.take_over(me, who) {
                        true => return Ok(()),
                        false if side.role.who() != holder => continue,
                        // Damaged: it is not what it was for this queue.
                        false => return Err(Error::NotPermitted(side.taken)),
                    }
                }
                // Its repair is due, which releases the lock.
                _ if self.is_dead(owner) => deadline.map(|deadline| deadline.max(now_ns() + PATIENCE_NS)),
                // Somebody is about to get it, or looks whether the queue is needed.
                None => Some(now_ns() + PATIENCE_NS),
                Some(_) => return Err(Error::NotPermitted(side.taken)),
            };
            let mut sentry = Sentry::new(self.family, until);
            match side.cell.lock.acquire(generation, slot, true, until, || sentry.alarm()) {
                Acquired::Held => break,
                Acquired::Gone => return Err(gone()),
                Acquired::TimedOut if holder.is_none() && owner != 0 => return Err(Error::NotPermitted(side.taken)),
                Acquired::TimedOut if owner != 0 => return Err(Error::TimedOut),
                _ => {}
            }
        }
        side.role.take(me);
        Ok(())
    }

    fn is_dead(self, slot: u32) -> bool {
        let pid = self.family.arena.member(slot).pid.load(Acquire);
        pid != 0 && pidfd::is_gone(pid)
    }

    /// This thread puts, or gets, no more by a role; nor do threads of this process that have ended.
    fn resign(self, side: Side) {
        let slot = self.family.me.slot;
        let Some(who) = side.role.who().filter(|_| self.ends.flags() & side.one != 0) else { return };
        let me = Who::new(side.generation, slot, Real::thread_id());
        if side.cell.lock.owner(side.generation as u16) != Some(slot) {
            return;
        }
        if who == me || stat::has_ended(who.thread()) && side.role.take_over(me, who) {
            side.role.give_back();
            side.cell.lock.release(side.generation as u16);
            if self.ends.flags() & DOOMED != 0 {
                self.collect();
            }
        }
    }

    /// This thread is not the single producer any more, if it was.
    pub fn stop_putting(self) {
        self.resign(self.tail_side());
    }

    /// This thread has neither of the roles any more.
    pub fn give_roles_back(self) {
        if let Ok(queue) = self.checked() {
            queue.resign(queue.tail_side());
            queue.resign(queue.head_side());
        }
    }

    /// The end of a queue, for whoever waited for more.
    #[cold]
    pub(super) fn at_end(self) -> Error {
        self.give_roles_back();
        closed("the queue is closed")
    }

    /// A look of somebody who is about to sleep: what others did with no fence of their own is seen.
    pub(super) fn settled<T>(
        self,
        deadline: Deadline,
        attempt: &mut impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let flags = self.ends.flags();
        if flags & (ONE_PUTS | ONE_GETS) != 0 {
            if deadline != Some(0) && !self.fence_for_both() {
                return Err(refused());
            }
            if flags & DOOMED != 0 {
                self.give_roles_back();
            }
        }
        attempt()
    }

    /// What others did with no fence of their own before this, is seen behind it. False if the kernel refuses.
    pub(super) fn fence_for_both(self) -> bool {
        self.ends.flags() & LIGHT == 0 || Real::fence_heavy()
    }

    /// Whether there is no room for so much, at this moment, as far as one can see who does not put.
    pub(super) fn seems_full(self, bytes: usize, items: usize) -> Result<bool> {
        let block = self.ends.block(self.family.arena)?;
        let (max_items, max_bytes) = (block.max_items.load(Relaxed), block.max_bytes.load(Relaxed));
        let queue = self.ends.queue_of(self.family.arena, block);
        let full = |max: u64, now: u64, more: usize| max != 0 && now.saturating_add(more as u64) > max;
        Ok(full(max_items, self.size_now(), items) || max_bytes != 0 && full(max_bytes, queue.bytes(), bytes))
    }

    /// Whether the single producer is in a call, for whoever asks behind a fence for both. As long as it is, it holds the lock. (A
    /// word that says so of the caller, or of a thread that has ended, was written by somebody who should not.)
    fn is_producer_inside(self) -> bool {
        let role = self.ends.producer();
        let holder = self.ends.inlet.lock.owner(self.ends.generation as u16);
        let Some(who) = role.who().filter(|_| holder.is_some_and(|slot| slot != 0) && role.is_inside()) else {
            return false;
        };
        who.thread() != Real::thread_id() && !stat::has_ended(who.thread())
    }

    /// Whether a put is under way that had begun before the queue was shut down.
    pub(super) fn is_putting(self) -> bool {
        // The fence stands between the look that found it shut and the one for the producer.
        let single = self.ends.flags() & (ONE_PUTS | SHUT) == ONE_PUTS | SHUT;
        single && (!self.fence_for_both() || self.is_producer_inside())
    }

    /// Nobody puts any more: a put that has begun is over before this returns.
    pub(super) fn shut_single(self) -> Result<()> {
        self.ends.inlet.flags.fetch_or(SHUT, AcqRel);
        let mut sentry = Sentry::new(self.family, None);
        if !self.fence_for_both() {
            return Err(refused());
        }
        while self.is_producer_inside() {
            // It ends with its process at the latest, of which the keeper hears.
            sentry.alarm();
            std::thread::sleep(LOOK);
        }
        self.wake_all();
        Ok(())
    }
}
