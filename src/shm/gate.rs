//! Where a queue's callers wait, and when they are woken.
//!
//! A wait word knows who may be asleep; with it goes a mark that one of them was woken and has not looked yet: a sleeper
//! takes 25 µs to wake, in which a producer puts hundreds of messages, and a wake for each would make it as slow.
//! Whoever wakes sets the mark, whoever comes from a sleep takes it away and looks. It is only ever set by
//! somebody who then wakes somebody, so an unset mark costs a needless wake, and nothing else. Who finds it set may
//! rely on it, because the woken one looks behind its store; if that one dies, the repair wakes all. The price is that of
//! the lock word: a woken process that is stopped before it looks keeps others asleep, but here only until what waits
//! has doubled ([`Gate::rouse`]).

use super::memory::{Deadline, Memory, Word32};
use super::wait_word::WaitWord;
use std::sync::atomic::Ordering::Relaxed;

/// One side's waiters.
pub struct Gate<'a, M: Memory> {
    /// Where they sleep.
    pub wait: &'a WaitWord<M>,
    /// Not 0: one of them was woken and has not looked yet. Any value is valid.
    pub woken: &'a M::W32,
}

impl<M: Memory> Gate<'_, M> {
    /// Wakes one of those who wait, if none is on its way. To be called behind the release of the lock under which the
    /// news was written. `waiting`: how much there is for them; each time that is a power of two one is woken
    /// anyway. Whoever takes something and leaves something calls this too: then one wake for many will do.
    #[inline(always)]
    pub fn rouse(&self, waiting: impl FnOnce() -> u64) {
        M::fence_after_change();
        self.rouse_fenced(waiting);
    }

    /// The same where no lock was released: those who wait make the fence for both before they look ([`Memory::fence_heavy`]).
    #[inline(always)]
    pub fn rouse_light(&self, waiting: impl FnOnce() -> u64) {
        M::fence_light();
        self.rouse_fenced(waiting);
    }

    #[inline(always)]
    fn rouse_fenced(&self, waiting: impl FnOnce() -> u64) {
        if self.wait.waiters() != 0 {
            self.rouse_one(waiting());
        }
    }

    #[cold]
    fn rouse_one(&self, waiting: u64) {
        if waiting == 0 || (self.woken.load(Relaxed) != 0 && !waiting.is_power_of_two()) {
            return;
        }
        self.woken.store(1, Relaxed);
        if self.wait.notify(1) == 0 {
            self.woken.store(0, Relaxed);
        }
    }

    /// Waits until `done` has an answer; `None` if it has none in time. See [`WaitWord::wait_until`].
    pub fn wait_until<'b, T>(
        &self,
        deadline: Deadline,
        alarm: impl FnMut() -> Option<(&'b M::W32, u32)>,
        mut done: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let look = || {
            self.woken.store(0, Relaxed);
            M::fence();
            done()
        };
        self.wait.wait_until(deadline, alarm, look)
    }

    /// Wakes everybody to look again, after what they ask for has changed for all.
    pub fn rouse_all(&self) {
        self.wait.notify(u32::MAX);
    }

    /// The repair of a death: see [`WaitWord::broadcast`]. For nobody else, because whoever dies at it leaves nobody
    /// counted. (The mark goes when they look.)
    pub fn broadcast(&self, force: bool) {
        self.wait.broadcast(force);
    }
}
