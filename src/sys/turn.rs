//! Whose turn it is among the threads of one process, with a deadline.
//!
//! ```text
//! bit 31    30      0
//!    | waited | pid |       0: nobody's turn
//! ```
//! The word names the process, so that a forked child sees that the turn it has a copy of is a thread's of its parent,
//! which will never end here: what it guards is then in the middle of something.

use super::futex::{self, Deadline, Wake};
use super::{clock, own};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const WAITED: u32 = 1 << 31;

/// Something that one thread uses at a time.
pub struct Turn<T> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a `Guard`, of which there is one at a time (see `take`), or with `&mut`.
unsafe impl<T: Send> Sync for Turn<T> {}

/// Why it is not the caller's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not within its time.
    TimedOut,
    /// It was the turn of another thread when this process was forked; it never ends here.
    Forked,
}

/// The caller's turn, until it is dropped.
pub struct Guard<'a, T> {
    turn: &'a Turn<T>,
}

impl<T> Turn<T> {
    /// Nobody's turn.
    pub const fn new(value: T) -> Turn<T> {
        Turn { word: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    /// Waits for the caller's turn; a deadline that has passed tries once.
    #[inline]
    pub fn take(&self, deadline: Deadline) -> Result<Guard<'_, T>, Refused> {
        let me = own::pid();
        match self.word.compare_exchange(0, me, Acquire, Relaxed) {
            Ok(_) => Ok(Guard { turn: self }),
            Err(_) => self.wait(me, deadline),
        }
    }

    #[cold]
    fn wait(&self, me: u32, deadline: Deadline) -> Result<Guard<'_, T>, Refused> {
        loop {
            let seen = self.word.load(Relaxed);
            if seen == 0 {
                // Others may still wait, whose mark went with the last turn.
                if self.word.compare_exchange(0, me | WAITED, Acquire, Relaxed).is_ok() {
                    return Ok(Guard { turn: self });
                }
                continue;
            }
            if seen & !WAITED != me {
                return Err(Refused::Forked);
            }
            if deadline.is_some_and(|deadline| deadline <= clock::now_ns()) {
                return Err(Refused::TimedOut);
            }
            if seen & WAITED == 0 && self.word.compare_exchange(seen, seen | WAITED, Relaxed, Relaxed).is_err() {
                continue;
            }
            let _: Wake = futex::wait(&self.word, seen | WAITED, None, deadline);
        }
    }

    /// Whether it is the turn of a thread of this process.
    pub fn is_taken(&self) -> bool {
        self.word.load(Acquire) & !WAITED == own::pid()
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard is the only one: `take` made it when it changed the word from 0, and only its drop
        // changes it back.
        unsafe { &*self.turn.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.turn.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if self.turn.word.swap(0, Release) & WAITED != 0 {
            futex::wake(&self.turn.word, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let turn = Turn::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        *turn.take(None).ok().unwrap() += 1;
                    }
                });
            }
        });
        let guard = turn.take(None).ok().unwrap();
        assert_eq!(*guard, 40_000);
        assert!(turn.is_taken());
        assert_eq!(turn.take(Some(0)).err(), Some(Refused::TimedOut));
        drop(guard);
        assert!(!turn.is_taken());
    }

    #[test]
    fn what_a_parent_was_at_never_ends_in_its_child() {
        let turn = Turn { word: AtomicU32::new(own::pid() + 1), value: UnsafeCell::new(()) };
        assert_eq!(turn.take(None).err(), Some(Refused::Forked));
        assert!(!turn.is_taken());
    }
}
