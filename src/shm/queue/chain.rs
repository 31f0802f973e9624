//! The chain of a queue's segments: how it grows, and where its memory goes.

use super::{MOST_SEGMENTS, Queue, Store, broken, count};
use crate::error::Result;
use crate::shm::memory::{Memory, Word64};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

impl<M: Memory, S: Store<M>> Queue<M, S> {
    // ---- the tail's lock is held ----

    /// The segment of `field`: the one that it has, or the spare one, or a new one of `len` bytes. A segment that is
    /// linked has a valid header, so that what a dead producer linked behind it is not lost.
    pub(super) fn link(&self, field: &'static M::W64, len: u64) -> Result<u64> {
        let (fresh, spare) = (&self.control.fresh, &self.control.spare);
        let linked = field.load(Relaxed);
        if linked != 0 {
            return Ok(linked);
        }
        // One that a dead producer took may have no valid header.
        self.store.give(fresh)?;
        let mut from = spare;
        let kept = spare.load(Acquire);
        if kept == 0 || self.word(kept + 8)?.load(Relaxed) < len {
            from = fresh;
            self.store.give(spare)?;
            self.store.take(len, fresh)?;
            self.word(fresh.load(Relaxed))?.store(0, Relaxed);
            self.word(fresh.load(Relaxed) + 8)?.store(len, Relaxed);
        }
        let segment = from.load(Relaxed);
        self.store.rearrange(&[(field, segment), (from, 0)]);
        Ok(segment)
    }

    /// How long the segment behind `segment` should be: twice as long as it where the head is further back, and up to a size at which
    /// it costs little to go on to the next one.
    pub(super) fn new_length(&self, segment: u64) -> Result<u64> {
        if segment == 0 {
            return Ok(S::LEAST);
        }
        let len = self.word(segment + 8)?.load(Relaxed).clamp(S::LEAST, S::MOST);
        let begins = self.word(segment + 16)?.load(Relaxed);
        let behind = len < S::LEAST * 4 || count(self.head.load(Relaxed)) < begins;
        // A block of the heap is as long as a power of two, but for its own header.
        Ok(if behind { (2 * (len + 16) - 16).min(S::MOST) } else { len })
    }

    // ---- the head's lock is held ----

    /// Takes every segment before `current` out of the chain.
    #[cold]
    pub(super) fn tidy(&self, current: u64) -> Result<()> {
        for _ in 0..MOST_SEGMENTS {
            if self.control.first.load(Relaxed) == current {
                return Ok(());
            }
            self.retire_first()?;
        }
        Err(broken())
    }

    fn retire_first(&self) -> Result<()> {
        let control = self.control;
        // What a dead one retired.
        self.store.give(&control.retired)?;
        let first = control.first.load(Relaxed);
        if first == 0 {
            return Err(broken());
        }
        let (next, len) = (self.word(first)?, self.word(first + 8)?.load(Relaxed));
        let kept = len <= S::SPARE && control.spare.load(Acquire) == 0;
        let to = if kept { &control.spare } else { &control.retired };
        self.store.rearrange(&[(&control.first, next.load(Relaxed)), (next, 0), (to, first)]);
        self.store.give(&control.retired)
    }

    // ---- by whom, each says ----

    /// Every field that owns a segment. The heap's lock is held, or nobody uses the queue.
    pub fn each_segment(&self, visit: &mut dyn FnMut(&'static M::W64)) {
        let control = self.control;
        [&control.retired, &control.spare, &control.fresh].into_iter().for_each(&mut *visit);
        let mut field = &control.first;
        for _ in 0..MOST_SEGMENTS {
            let (true, Ok(next)) = (field.load(Relaxed) != 0, self.word(field.load(Relaxed))) else { break };
            visit(field);
            field = next;
        }
    }

    /// All memory of the queue goes back; nobody uses it any more. May be repeated.
    pub fn give_all(&self) -> Result<()> {
        for _ in 0..MOST_SEGMENTS {
            if self.control.first.load(Relaxed) == 0 {
                break;
            }
            self.retire_first()?;
        }
        self.store.give(&self.control.retired)?;
        self.store.give(&self.control.spare)?;
        self.store.give(&self.control.fresh)
    }
}
