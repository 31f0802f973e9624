//! A queue's messages: a chain of segments, filled at one end and emptied at the other.
//!
//! Whoever puts holds the lock of the tail, whoever gets that of the head; the two sides never wait for each
//! other. Each side is one *commit word* and two copies of its place:
//!
//! ```text
//! bit 63                          1   0
//!    | messages put (taken) so far | C |
//! ```
//! `C` says which of the two copies counts. The holder of the lock writes the other one, then stores the word: that
//! store is the commit, of one message or of a batch, and there is nothing else to be repaired: whoever is killed
//! before it has done nothing, and whoever is killed behind it has done all. The number of messages is the
//! difference of the two words, and so never wrong.
//!
//! A segment is a block of the heap: a header of 32 bytes (the next segment, its length, the number of its first
//! message), then records at multiples of 16: length, reference of the message if it lies elsewhere (see
//! [`super::parcel`]), bytes. A record that does not fit is in the next segment, and `END` stands in its place. What lies
//! behind the tail's place is nobody's, whatever a dead producer wrote or linked there. A record with bytes may get a
//! reference too, of a copy, from the holder of the head's lock ([`Queue::set_copy`]); its bytes stay what they are.
//!
//! A segment belongs to a field, as every block of the heap: the first one to `first`, each other one to the header of the
//! one before it. Who changes that does so under the heap's lock ([`Store::rearrange`]), which finishes what a dead one
//! had begun.

mod chain;

use super::memory::{Memory, Word64};
use crate::error::{Error, Result};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Where segments come from.
pub trait Store<M: Memory>: Copy {
    /// Bytes of a first segment.
    const LEAST: u64;
    /// Bytes of the largest segment of many messages.
    const MOST: u64;
    /// Bytes of the largest segment that is kept to be filled again.
    const SPARE: u64;
    /// The word at an offset that is a multiple of 8.
    fn word(self, offset: u64) -> Option<&'static M::W64>;
    /// So many words from an offset on that is a multiple of 8.
    fn words(self, offset: u64, count: u64) -> Option<&'static [M::W64]>;
    /// A block of `len` bytes for `field`, which is 0.
    fn take(self, len: u64, field: &'static M::W64) -> Result<()>;
    /// The block of `field`, if it has one, goes back, and `field` is 0.
    fn give(self, field: &'static M::W64) -> Result<()>;
    /// All of these fields get these values, or none: blocks change their owners.
    fn rearrange(self, moves: &[(&'static M::W64, u64)]);
}

/// Bytes before the first record of a segment.
const HEADER: u64 = 32;
/// Bytes before those of a message.
const RECORD: u64 = 16;
/// Stands for the length of a record that is in the next segment.
const END: u64 = u64::MAX;

/// Segments of a queue that fills the largest arena: all but the first ones are as long as they may be. A chain of more is
/// damaged.
const MOST_SEGMENTS: usize = 1 << 17;

/// One copy of a side's place. Written by the holder of the side's lock while the commit word names the other copy.
#[repr(C)]
pub struct Place<M: Memory> {
    /// The segment; 0 before the first message.
    segment: M::W64,
    /// Where in it the next record is.
    at: M::W64,
    /// Bytes of all messages so far, wrapping around.
    bytes: M::W64,
}

/// Bit of a record's reference: the record has the bytes too.
pub const COPIED: u64 = 1 << 53;

/// What the two sides have in shared memory besides their commit words. All zero is an empty queue.
/// What each side writes with every message has a cache line of its own (of 64 bytes, and of two that are fetched together), where
/// the whole is aligned to one.
#[repr(C)]
pub struct Control<M: Memory> {
    tail: [Place<M>; 2],
    /// A segment on its way from the heap. Under the tail's lock.
    fresh: M::W64,
    /// Owns the oldest segment. Written by the first put ever (0 before), then under the head's lock.
    first: M::W64,
    gap: [u64; 8],
    head: [Place<M>; 2],
    /// A segment on its way to the heap. Under the head's lock.
    retired: M::W64,
    /// A segment to be filled again. While it is 0 it is the head's to write, else the tail's.
    spare: M::W64,
}

#[derive(Clone, Copy)]
struct Spot {
    segment: u64,
    at: u64,
    bytes: u64,
}

impl<M: Memory> Place<M> {
    /// From words that are zero.
    pub fn from_words(words: [M::W64; 3]) -> Place<M> {
        let [segment, at, bytes] = words;
        Place { segment, at, bytes }
    }

    fn load(&self) -> Spot {
        Spot { segment: self.segment.load(Relaxed), at: self.at.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }

    fn store(&self, spot: Spot) {
        self.segment.store(spot.segment, Relaxed);
        self.at.store(spot.at, Relaxed);
        self.bytes.store(spot.bytes, Relaxed);
    }
}

impl<M: Memory> Control<M> {
    /// From parts that are zero.
    pub fn from_parts(tail: [Place<M>; 2], head: [Place<M>; 2], fields: [M::W64; 4]) -> Control<M> {
        let [first, retired, spare, fresh] = fields;
        Control { tail, head, first, retired, spare, fresh, gap: [0; 8] }
    }
}

/// A queue. Which lock its caller holds, each function says.
pub struct Queue<M: Memory, S: Store<M>> {
    /// Commit word of those who put.
    pub tail: &'static M::W64,
    /// Commit word of those who get.
    pub head: &'static M::W64,
    /// The rest.
    pub control: &'static Control<M>,
    /// Where segments come from.
    pub store: S,
}

/// Messages that are being put, and will be there all at once.
pub struct Batch {
    seen: u64,
    spot: Spot,
    added: u64,
}

/// The oldest message, not yet taken.
#[derive(Clone, Copy)]
pub struct Front {
    spot: Spot,
    moved: bool,
    /// Its number.
    pub number: u64,
    /// Its length.
    pub len: u64,
    /// Where its bytes are, if it has no reference, or one with [`COPIED`].
    pub at: u64,
    /// Its reference, 0 for none.
    pub message: u64,
}

#[cold]
fn broken() -> Error {
    Error::Broken("the queue's memory was damaged".into())
}

/// Number of messages that a commit word says.
pub fn count(word: u64) -> u64 {
    word >> 1
}

fn copy_of(word: u64) -> usize {
    (word & 1) as usize
}

/// Bytes that a message needs in a segment; `None` beyond all memory.
fn record_len(len: u64, message: u64) -> Option<u64> {
    let len = if message == 0 || message & COPIED != 0 { len } else { 0 };
    len.checked_next_multiple_of(RECORD)?.checked_add(RECORD)
}

/// Records of one length, each of `stride` words, from number `first` of their batch on. A frame of its own keeps the loop in registers.
#[inline(never)]
fn fill_records<M: Memory>(
    words: &'static [M::W64],
    stride: usize,
    len: u64,
    first: u64,
    fill: &mut impl FnMut(u64, &'static [M::W64]) -> bool,
) -> bool {
    words.chunks_exact(stride).zip(first..).all(|(record, number)| {
        let [length, message, bytes @ ..] = record else { return false };
        length.store(len, Relaxed);
        message.store(0, Relaxed);
        fill(number, bytes)
    })
}

impl<M: Memory, S: Store<M>> Queue<M, S> {
    fn word(&self, offset: u64) -> Result<&'static M::W64> {
        self.store.word(offset).ok_or_else(broken)
    }

    /// The words that the `len` bytes at an offset lie in.
    #[inline(always)]
    pub fn words(&self, offset: u64, len: u64) -> Result<&'static [M::W64]> {
        self.store.words(offset, len.div_ceil(8)).ok_or_else(broken)
    }

    // ---- the tail; its lock is held ----

    /// Begins to put.
    #[inline(always)]
    pub fn begin(&self) -> Batch {
        let seen = self.tail.load(Relaxed);
        let spot = self.control.tail[copy_of(seen)].load();
        Batch { seen, spot, added: 0 }
    }

    /// The number of the next message.
    pub fn next_number(&self) -> u64 {
        count(self.tail.load(Relaxed))
    }

    /// Room for one message more; where its bytes go, unless it has a reference and so none here.
    #[inline(always)]
    pub fn push(&self, batch: &mut Batch, len: u64, message: u64) -> Result<u64> {
        let too_long = || Error::NoMemory("the message is longer than the arena");
        let need = record_len(len, message).ok_or_else(too_long)?;
        let spot = &mut batch.spot;
        // The last 16 bytes of a segment are kept for `END`.
        let end = spot.at.checked_add(need + RECORD).ok_or_else(too_long)?;
        if spot.segment == 0 || end > self.word(spot.segment + 8)?.load(Relaxed) {
            *spot = self.next_segment(*spot, need, count(batch.seen) + batch.added)?;
        }
        let at = spot.segment + spot.at;
        self.word(at)?.store(len, Relaxed);
        self.word(at + 8)?.store(message, Relaxed);
        spot.at += need;
        spot.bytes = spot.bytes.wrapping_add(len);
        batch.added += 1;
        Ok(at + RECORD)
    }

    /// Room for up to `most` messages more of `len` bytes each, which lie here: as many as one segment has room for, at least
    /// one. How many; `fill` gets the number of each in the batch, and the words that it lies in, and says whether it did.
    #[inline(always)]
    pub fn push_some(
        &self,
        batch: &mut Batch,
        len: u64,
        most: u64,
        fill: &mut impl FnMut(u64, &'static [M::W64]) -> bool,
    ) -> Result<u64> {
        let at = self.push(batch, len, 0)?;
        if !fill(batch.added - 1, self.words(at, len)?) {
            return Err(broken());
        }
        if most == 1 {
            return Ok(1);
        }
        let spot = &mut batch.spot;
        let (stride, end) = (record_len(len, 0).ok_or_else(broken)?, self.word(spot.segment + 8)?.load(Relaxed));
        let room = end.saturating_sub(RECORD).saturating_sub(spot.at) / stride;
        let more = room.min(most - 1);
        let words = self.store.words(spot.segment + spot.at, more * stride / 8).ok_or_else(broken)?;
        if !fill_records::<M>(words, (stride / 8) as usize, len, batch.added, fill) {
            return Err(broken());
        }
        spot.at += more * stride;
        spot.bytes = spot.bytes.wrapping_add(more * len);
        batch.added += more;
        Ok(1 + more)
    }

    /// Room for one message of `len` bytes that lie here, in the segment at hand: a batch of it, and the words where its bytes go.
    /// `None` if the segment has not that much room.
    #[inline(always)]
    pub fn one_more(&self, len: u64) -> Option<(Batch, &'static [M::W64])> {
        let (mut batch, words) = self.room_here(record_len(len, 0)?)?;
        let [length, message, bytes @ ..] = words else { return None };
        length.store(len, Relaxed);
        message.store(0, Relaxed);
        batch.spot.bytes = batch.spot.bytes.wrapping_add(len);
        batch.added = 1;
        Some((batch, bytes))
    }

    /// A batch of `many` messages of `len` bytes each that lie here, in the segment at hand; `fill` as in [`Queue::push_some`]. `None` if the
    /// segment has not that much room.
    #[inline(always)]
    pub fn many_more(
        &self,
        len: u64,
        many: u64,
        fill: &mut impl FnMut(u64, &'static [M::W64]) -> bool,
    ) -> Option<Batch> {
        let stride = record_len(len, 0)?;
        let (mut batch, words) = self.room_here(stride.checked_mul(many)?)?;
        if !fill_records::<M>(words, (stride / 8) as usize, len, 0, fill) {
            return None;
        }
        batch.spot.bytes = batch.spot.bytes.wrapping_add(len * many);
        batch.added = many;
        Some(batch)
    }

    /// So much room in the segment at hand, and a batch that has taken it.
    #[inline(always)]
    fn room_here(&self, need: u64) -> Option<(Batch, &'static [M::W64])> {
        let mut batch = self.begin();
        let spot = &mut batch.spot;
        // The last 16 bytes of a segment are kept for `END`.
        let end = spot.at.checked_add(need)?.checked_add(RECORD)?;
        if spot.segment == 0 || end > self.store.word(spot.segment.wrapping_add(8))?.load(Relaxed) {
            return None;
        }
        let words = self.store.words(spot.segment.wrapping_add(spot.at), need / 8)?;
        spot.at += need;
        Some((batch, words))
    }

    /// All of the batch is there from now on.
    #[inline(always)]
    pub fn commit(&self, batch: Batch) {
        let next = (count(batch.seen) + batch.added) << 1 | (batch.seen & 1 ^ 1);
        self.control.tail[copy_of(next)].store(batch.spot);
        self.tail.store(next, Release);
    }

    /// Goes on to a segment with room for a record of `need` bytes, the first of which will be message `number`. It may be
    /// there already: left by a dead one, or by whoever's message did not come to be.
    #[cold]
    fn next_segment(&self, mut spot: Spot, need: u64, number: u64) -> Result<Spot> {
        let least = need.checked_add(HEADER + RECORD).ok_or_else(broken)?;
        for _ in 0..MOST_SEGMENTS {
            let field = if spot.segment == 0 { &self.control.first } else { self.word(spot.segment)? };
            let segment = self.link(field, self.new_length(spot.segment)?.max(least))?;
            self.word(segment + 16)?.store(number, Relaxed);
            if spot.segment != 0 {
                self.word(spot.segment + spot.at)?.store(END, Relaxed);
            }
            spot = Spot { segment, at: HEADER, ..spot };
            if self.word(segment + 8)?.load(Relaxed) >= least {
                return Ok(spot);
            }
        }
        Err(broken())
    }

    // ---- the head; its lock is held ----

    /// The oldest message; `None` if there is none. `seen_tail`: a word of the holder's, which saves looks at the tail.
    #[inline(always)]
    pub fn front(&self, seen_tail: &M::W64) -> Result<Option<Front>> {
        let seen = self.head.load(Relaxed);
        // Whoever took several may have passed it.
        if count(seen_tail.load(Relaxed)) <= count(seen) {
            let tail = self.tail.load(Acquire);
            if count(tail) == count(seen) {
                return Ok(None);
            }
            seen_tail.store(tail, Relaxed);
        }
        let spot = self.control.head[copy_of(seen)].load();
        self.front_at(seen, spot, false).map(Some)
    }

    /// Goes on from `front` to the messages behind it, up to `most` of them, as far as they lie here and `show`, which gets the number
    /// of each behind `front`, the words that it lies in and its length, wants them. How many. `seen_tail` as in [`Queue::front`].
    #[inline(always)]
    pub fn follow(
        &self,
        front: &mut Front,
        most: u64,
        seen_tail: &M::W64,
        mut show: impl FnMut(u64, &'static [M::W64], u64) -> bool,
    ) -> Result<u64> {
        let (begin, last) = (front.number, self.last_there(front, most, seen_tail));
        while front.number < last {
            self.follow_here(front, begin, last, &mut show)?;
            if front.number == last {
                break;
            }
            // What is no plain record here: the end of the segment, or what is not wanted.
            let next = self.front_at((front.number + 1) << 1, front.spot, front.moved)?;
            if next.message != 0 || !show(next.number - begin, self.words(next.at, next.len)?, next.len) {
                break;
            }
            *front = next;
        }
        Ok(front.number - begin)
    }

    /// The same for what [`Queue::front_here`] gave, and as far as its segment goes. False: there are more of them.
    #[inline(always)]
    pub fn follow_all_here(
        &self,
        front: &mut Front,
        most: u64,
        seen_tail: &M::W64,
        show: &mut impl FnMut(u64, &'static [M::W64], u64) -> bool,
    ) -> bool {
        let last = self.last_there(front, most, seen_tail);
        self.follow_here(front, front.number, last, show).is_ok() && front.number == last
    }

    /// The number of the last of up to `most` messages behind `front` that are there.
    #[inline(always)]
    fn last_there(&self, front: &Front, most: u64, seen_tail: &M::W64) -> u64 {
        let last = front.number.saturating_add(most);
        let mut there = count(seen_tail.load(Relaxed));
        if there <= last {
            let tail = self.tail.load(Acquire);
            seen_tail.store(tail, Relaxed);
            there = count(tail);
        }
        there.saturating_sub(1).min(last)
    }

    /// The same within a segment, up to the end of it. As [`fill_records`].
    #[inline(never)]
    fn follow_here(
        &self,
        front: &mut Front,
        begin: u64,
        last: u64,
        show: &mut impl FnMut(u64, &'static [M::W64], u64) -> bool,
    ) -> Result<()> {
        let (segment, mut spot, mut number) = (front.spot.segment, front.spot, front.number);
        let room = self.word(segment + 8)?.load(Relaxed).checked_sub(spot.at).ok_or_else(broken)?;
        let mut rest = self.store.words(segment + spot.at, room / 8).ok_or_else(broken)?;
        while number < last {
            let [length, message, bytes @ ..] = rest else { return Err(broken()) };
            let len = length.load(Relaxed);
            if len == END || message.load(Relaxed) != 0 {
                break;
            }
            let need = record_len(len, 0).ok_or_else(broken)?;
            let Some((bytes, behind)) = bytes.split_at_checked(((need - RECORD) / 8) as usize) else {
                return Err(broken());
            };
            if !show(number + 1 - begin, bytes, len) {
                break;
            }
            rest = behind;
            spot.at += need;
            spot.bytes = spot.bytes.wrapping_add(len);
            number += 1;
        }
        (front.spot, front.number) = (spot, number);
        Ok(())
    }

    /// The first segment behind `spot` that has a record, and its length.
    #[cold]
    fn hop(&self, mut spot: Spot) -> Result<(Spot, u64)> {
        for _ in 0..MOST_SEGMENTS {
            spot = Spot { segment: self.word(spot.segment)?.load(Relaxed), at: HEADER, ..spot };
            let len = self.word(spot.segment + spot.at)?.load(Relaxed);
            if len != END {
                return Ok((spot, len));
            }
        }
        Err(broken())
    }

    #[inline(always)]
    fn front_at(&self, seen: u64, mut spot: Spot, mut moved: bool) -> Result<Front> {
        if spot.segment == 0 {
            spot = Spot { segment: self.control.first.load(Acquire), at: HEADER, ..spot };
        }
        let mut len = self.word(spot.segment + spot.at)?.load(Relaxed);
        if len == END {
            (spot, len) = self.hop(spot)?;
            moved = true;
        }
        let at = spot.segment + spot.at;
        let message = self.word(at + 8)?.load(Relaxed);
        spot.at += record_len(len, message).ok_or_else(broken)?;
        spot.bytes = spot.bytes.wrapping_add(len);
        Ok(Front { spot, moved, number: count(seen), len, at: at + RECORD, message })
    }

    /// The oldest message, if its bytes, up to `most` of them, lie here, in the segment at hand; and the words that they lie in. `seen_tail`
    /// as in [`Queue::front`].
    #[inline(always)]
    pub fn front_here(&self, seen_tail: &M::W64, most: u64) -> Option<(Front, &'static [M::W64])> {
        let seen = self.head.load(Relaxed);
        if count(seen_tail.load(Relaxed)) <= count(seen) {
            let tail = self.tail.load(Acquire);
            if count(tail) == count(seen) {
                return None;
            }
            seen_tail.store(tail, Relaxed);
        }
        let mut spot = self.control.head[copy_of(seen)].load();
        let at = spot.segment.wrapping_add(spot.at);
        let [length, message] = self.store.words(at, RECORD / 8)? else { return None };
        let (len, message) = (length.load(Relaxed), message.load(Relaxed));
        // `END` is longer than anything.
        if spot.segment == 0 || message != 0 || len > most {
            return None;
        }
        let need = record_len(len, 0)?;
        let words = self.store.words(at + RECORD, (need - RECORD) / 8)?;
        spot.at = spot.at.wrapping_add(need);
        spot.bytes = spot.bytes.wrapping_add(len);
        Some((Front { spot, moved: false, number: count(seen), len, at: at + RECORD, message: 0 }, words))
    }

    /// From here on there is a copy of the message elsewhere, for as long as that is there.
    pub fn set_copy(&self, front: &Front, message: u64) -> Result<()> {
        self.word(front.at - RECORD + 8)?.store(message | COPIED, Release);
        Ok(())
    }

    /// The message, and all before it, are taken.
    #[inline(always)]
    pub fn take(&self, front: Front) -> Result<()> {
        self.take_here(front);
        if front.moved { self.tidy(front.spot.segment) } else { Ok(()) }
    }

    /// The same for what [`Queue::front_here`] gave.
    #[inline(always)]
    pub fn take_here(&self, front: Front) {
        let now = self.head.load(Relaxed);
        let next = (front.number + 1) << 1 | (now & 1 ^ 1);
        self.control.head[copy_of(next)].store(front.spot);
        self.head.store(next, Release);
    }

    // ---- anybody ----

    /// Messages in the queue. Exact where both locks are held.
    pub fn size(&self) -> u64 {
        // The head first: it never passes the tail.
        let head = count(self.head.load(Acquire));
        count(self.tail.load(Acquire)).saturating_sub(head)
    }

    /// Bytes of the messages in the queue, for the holder of the tail's lock; those that are taken meanwhile may count.
    pub fn bytes(&self) -> u64 {
        let put = self.control.tail[copy_of(self.tail.load(Relaxed))].bytes.load(Relaxed);
        loop {
            let head = self.head.load(Acquire);
            let taken = self.control.head[copy_of(head)].bytes.load(Acquire);
            if self.head.load(Relaxed) == head {
                return put.wrapping_sub(taken);
            }
        }
    }
}
