//! One direction of a pipe: a ring of messages, written by whoever holds the lock of one end, read by whoever holds that
//! of the other.
//!
//! | word | written by | meaning |
//! |---|---|---|
//! | `len` of a slot | the writing end, under its lock | which message lies there, see [`mark`], and its length: its commit |
//! | `tail` | the writing end, under its lock | messages ever committed, but perhaps for the last one |
//! | `head` | the reading end, under its lock | messages ever taken |
//! | slots from `head` with their mark | nobody | messages that wait |
//! | the others | the writing end, under its lock | the next message, as far as it is there |
//! | `seen` beside `tail` | the writing end, under its lock | `head` as it was when somebody looked last |
//! | `gone` beside `tail` and `head` | whoever takes the other end apart, once | not 0: the other end is no more |
//!
//! A commit is one store, a take is another: whoever dies before them has done nothing, whoever dies behind them has done
//! all but to wake the other end, which the repair of his death does. So there is nothing to repair here. The commit lies
//! in the slot, so that a short message is one cache line that moves, and no other: `tail` is for the writing end alone, and whoever writes next
//! sees by the mark of its slot whether the last one has come to raise it. A message
//! whose reader died while it was copied is there for the next one. One whose memory is given back when it is taken is
//! marked as [`TAKEN`] first, and that is then the store that counts: whoever comes after a death in between goes on there.
//!
//! Each end has one place to wait, for messages and for room: whoever commits or takes wakes all who wait at the other end.

use super::memory::{Memory, Word64};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Messages that a direction holds.
pub const SLOTS: usize = 64;
/// Messages up to so many words lie in their slot.
pub const INLINE: usize = 6;
/// A message of more bytes is long: it goes only where fewer than [`FEW`] wait, so that a slow reader costs no more
/// than a few of them.
pub const LONG: usize = 16 << 10;
/// See [`LONG`].
pub const FEW: u64 = 4;

/// Bit of a slot's length: the message was taken, and its memory is about to be given back.
pub const TAKEN: u64 = 1 << 63;

/// Bit of a slot's length: the message is an object on its way (see [`super::transit`]). Its words are the reference that was
/// sent and that of the cell that keeps the object. Given back by its reader like a long one.
pub const OBJECT: u64 = 1 << 62;

/// Bits of a slot's length that are one.
const LEN: u64 = (1 << MARK_SHIFT) - 1;
const MARK_SHIFT: u32 = 40;
const MARK: u64 = 0xf_ffff << MARK_SHIFT;

/// What marks message `number` in its slot: how often the slot was used, with this time. So not what is there from the use before,
/// nor what was there at first.
const fn mark(number: u64, slots: usize) -> u64 {
    (number / slots as u64 + 1) << MARK_SHIFT & MARK
}

/// One message.
#[repr(C, align(64))]
pub struct Slot<M: Memory> {
    /// Its mark, its bytes, and [`TAKEN`], [`OBJECT`].
    pub len: M::W64,
    /// Heap block of one that is not inline; kept for the next one unless it was a long one. Written by the heap.
    pub block: M::W64,
    /// One that is inline.
    pub words: [M::W64; INLINE],
}

/// A side's word, with a cache line of its own, and what that side wants to know and finds there at no cost.
#[repr(C, align(64))]
pub struct Line<M: Memory> {
    /// See the head of this module.
    pub word: M::W64,
    /// See the head of this module.
    pub gone: M::W64,
    /// See the head of this module. Not used beside the head.
    pub seen: M::W64,
}

/// One direction. All bytes zero are an empty one.
#[repr(C)]
pub struct Ring<M: Memory, const N: usize = SLOTS> {
    /// See the head of this module.
    pub tail: Line<M>,
    /// See the head of this module.
    pub head: Line<M>,
    /// See the head of this module.
    pub slots: [Slot<M>; N],
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Tried<T> {
    /// This.
    Done(T),
    /// There is no message, or no room, yet.
    Nothing,
    /// Nor will there ever be: nobody has the other end.
    Gone,
}

impl<M: Memory, const N: usize> Ring<M, N> {
    fn slot(&self, count: u64) -> &Slot<M> {
        &self.slots[count as usize % N]
    }

    /// Whether message `number` was committed, for who knows that none was that comes so much later as to have the same mark.
    fn is_committed(&self, number: u64) -> bool {
        self.slot(number).len.load(Acquire) & MARK == mark(number, N)
    }

    /// The number of the next message; for who sends.
    pub fn next(&self) -> u64 {
        let tail = self.tail.word.load(Relaxed);
        tail.wrapping_add(self.is_committed(tail) as u64)
    }

    /// Whether there is room for a message.
    pub fn has_room(&self, long: bool) -> bool {
        self.next().wrapping_sub(self.head.word.load(Acquire)) < self.room(long)
    }

    /// Whether all was taken that was sent here; for who sends.
    pub fn is_all_taken(&self) -> bool {
        self.next() == self.head.word.load(Acquire)
    }

    /// How many messages may wait.
    fn room(&self, long: bool) -> u64 {
        if long { FEW.min(N as u64) } else { N as u64 }
    }

    /// Whether there will be somebody to receive; for who sends.
    pub fn has_receiver(&self) -> bool {
        self.tail.gone.load(Acquire) == 0
    }

    /// Whether there will be more than there is; for who receives.
    pub fn has_sender(&self) -> bool {
        self.head.gone.load(Acquire) == 0
    }

    /// Whether there is a message.
    #[inline(always)]
    pub fn has_message(&self) -> bool {
        self.is_committed(self.head.word.load(Relaxed))
    }

    /// Whether message `number` is there, not taken, and an object that `keeper` keeps.
    pub fn names(&self, number: u64, keeper: u64) -> bool {
        let waits = self.head.word.load(Acquire) <= number;
        let slot = self.slot(number);
        waits && slot.len.load(Acquire) == OBJECT | mark(number, N) && slot.words[1].load(Acquire) == keeper
    }

    /// Commits what `put` writes to a slot, if it does: the length, and [`OBJECT`]. To be called under the lock of the writing end; then
    /// the other end is to be woken.
    #[inline(always)]
    pub fn try_send<E>(
        &self,
        long: bool,
        other_is_there: impl FnOnce() -> bool,
        put: impl FnOnce(&Slot<M>) -> Result<u64, E>,
    ) -> Tried<Result<(), E>> {
        if !other_is_there() {
            return Tried::Gone;
        }
        let (tail, seen) = (self.next(), &self.tail.seen);
        if tail.wrapping_sub(seen.load(Relaxed)) >= self.room(long) {
            seen.store(self.head.word.load(Acquire), Relaxed);
            if tail.wrapping_sub(seen.load(Relaxed)) >= self.room(long) {
                return Tried::Nothing;
            }
        }
        let slot = self.slot(tail);
        let put = put(slot).map(|len| {
            slot.len.store(len & (LEN | OBJECT) | mark(tail, N), Release);
            self.tail.word.store(tail.wrapping_add(1), Release);
        });
        Tried::Done(put)
    }

    /// Shows the next message, and its length, and takes it unless `take` fails; `give_back` gets the slot of a long one, and that. To be
    /// called under the lock of the reading end; then the other end is to be woken.
    #[inline(always)]
    pub fn try_receive<T, E>(
        &self,
        other_is_there: impl FnOnce() -> bool,
        take: impl FnOnce(&Slot<M>, u64) -> Result<T, E>,
        give_back: impl Fn(&Slot<M>, u64),
    ) -> Tried<Result<T, E>> {
        // Before the look at the ring: what was committed before the other end went is seen then.
        let there = other_is_there();
        loop {
            let head = self.head.word.load(Relaxed);
            let slot = self.slot(head);
            let len = slot.len.load(Acquire);
            if len & MARK != mark(head, N) {
                break;
            }
            if len & TAKEN == 0 {
                let taken = take(slot, len & !MARK);
                if taken.is_ok() {
                    self.consume(head, len, &give_back);
                }
                return Tried::Done(taken);
            }
            self.consume(head, len, &give_back);
        }
        if there { Tried::Nothing } else { Tried::Gone }
    }

    #[inline(always)]
    fn consume(&self, head: u64, len: u64, give_back: &impl Fn(&Slot<M>, u64)) {
        if len & !MARK > LONG as u64 {
            let slot = self.slot(head);
            slot.len.store(len | TAKEN, Release);
            give_back(slot, len & !MARK);
        }
        self.head.word.store(head.wrapping_add(1), Release);
    }

    /// Whether a receive would not have to wait.
    pub fn is_readable(&self, other_is_there: impl FnOnce() -> bool) -> bool {
        !other_is_there() || self.has_message()
    }

    /// Whether a send would not have to wait.
    pub fn is_writable(&self, long: bool, other_is_there: impl FnOnce() -> bool) -> bool {
        !other_is_there() || self.has_room(long)
    }
}
