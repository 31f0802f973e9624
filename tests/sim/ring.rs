//! A queue's ring with what stands around it, for scenarios of queues: the commit words and places of both sides, their locks and
//! gates, and blocks for the segments. Segments are as short as can be, so that each message needs one of its own.

use super::calls::{Note, check, me};
use super::keepers::{hex, show};
use super::memory::Simulated;
use carom::error::Result;
use carom::shm::gate::Gate;
use carom::shm::lock_word::{Acquired, LockWord};
use carom::shm::memory::Word64;
use carom::shm::queue::{Control, Place, Queue, Store, count};
use carom::shm::wait_word::WaitWord;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Segments: a header, one message of eight bytes, and room for the mark of the end.
const SEGMENT: u64 = 80;
const BLOCKS: usize = 5;

/// The slot of the running process.
pub fn slot() -> u32 {
    me() as u32 + 1
}

/// Takes a lock, whoever had it before.
pub fn lock<M: Simulated>(lock: &LockWord<M>) {
    let held = lock.acquire(0, slot(), true, None, || None);
    check(held == Acquired::Held, "a lock without a time is not held");
}

/// Blocks of the same length, and who has them.
struct Blocks<M: Simulated> {
    words: Vec<M::W64>,
    /// The heap's lock, which is not modelled: an access.
    lock: M::W64,
    used: Vec<Note>,
    piecemeal: bool,
}

impl<M: Simulated> Blocks<M> {
    fn new(piecemeal: bool) -> Self {
        let words = BLOCKS * SEGMENT as usize / 8;
        Blocks {
            words: (0..words).map(|i| M::word64(&format!("block {} word {}", i / 10, i % 10), 0, hex)).collect(),
            lock: M::word64("heap", 0, hex),
            used: (0..BLOCKS).map(|i| Note::new(&format!("used {i}"))).collect(),
            piecemeal,
        }
    }
}

pub struct Heap<M: Simulated>(&'static Blocks<M>);
impl<M: Simulated> Clone for Heap<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Simulated> Copy for Heap<M> {}

impl<M: Simulated> Store<M> for Heap<M> {
    const LEAST: u64 = SEGMENT;
    const MOST: u64 = SEGMENT;
    const SPARE: u64 = SEGMENT;

    fn word(self, offset: u64) -> Option<&'static M::W64> {
        let index = (offset as usize).checked_sub(SEGMENT as usize)? / 8;
        self.0.words.get(index)
    }
    fn words(self, offset: u64, count: u64) -> Option<&'static [M::W64]> {
        let index = (offset as usize).checked_sub(SEGMENT as usize)? / 8;
        self.0.words.get(index..index + count as usize)
    }
    fn take(self, _: u64, field: &'static M::W64) -> Result<()> {
        self.0.lock.load(Relaxed);
        let free = self.0.used.iter().position(|used| used.get() == 0);
        check(free.is_some(), "the heap is empty: segments are lost");
        let free = free.unwrap_or(0);
        self.0.used[free].set(1);
        M::poke64(field, (free as u64 + 1) * SEGMENT);
        Ok(())
    }
    fn give(self, field: &'static M::W64) -> Result<()> {
        let offset = field.load(Relaxed);
        if offset == 0 {
            return Ok(());
        }
        self.0.lock.load(Relaxed);
        let block = (offset / SEGMENT - 1) as usize;
        check(self.0.used[block].get() == 1, "a segment goes back twice");
        self.0.used[block].set(0);
        M::poke64(field, 0);
        Ok(())
    }
    fn rearrange(self, moves: &[(&'static M::W64, u64)]) {
        if self.0.piecemeal {
            return moves.iter().for_each(|(field, value)| field.store(*value, Release));
        }
        self.0.lock.load(Relaxed);
        moves.iter().for_each(|(field, value)| M::poke64(field, *value));
    }
}

fn control<M: Simulated>() -> Control<M> {
    let place = |name: &str| {
        Place::from_words(["segment", "at", "bytes"].map(|part| M::word64(&format!("{name} {part}"), 0, hex)))
    };
    let fields = ["first", "retired", "spare", "fresh"].map(|name| M::word64(name, 0, hex));
    Control::from_parts([place("tail 0"), place("tail 1")], [place("head 0"), place("head 1")], fields)
}

pub struct Ring<M: Simulated> {
    pub tail: M::W64,
    pub head: M::W64,
    pub seen_tail: M::W64,
    control: Control<M>,
    pub tail_lock: LockWord<M>,
    pub head_lock: LockWord<M>,
    news: (WaitWord<M>, M::W32),
    room: (WaitWord<M>, M::W32),
    blocks: Blocks<M>,
}

impl<M: Simulated> Ring<M> {
    /// `piecemeal`: wrong, blocks change their owners field by field.
    pub fn new(piecemeal: bool) -> Self {
        let word = |name: &str| M::word64(name, 0, hex);
        let gate = |name: &str| (WaitWord::from_word(M::word64(name, 0, show)), M::word32(&format!("{name} woken"), 0));
        Ring {
            tail: word("tail"),
            head: word("head"),
            seen_tail: word("seen tail"),
            control: control(),
            tail_lock: LockWord::from_word(word("tail's lock")),
            head_lock: LockWord::from_word(word("head's lock")),
            news: gate("news"),
            room: gate("room"),
            blocks: Blocks::new(piecemeal),
        }
    }

    pub fn queue(&'static self) -> Queue<M, Heap<M>> {
        Queue { tail: &self.tail, head: &self.head, control: &self.control, store: Heap(&self.blocks) }
    }

    pub fn news(&self) -> Gate<'_, M> {
        Gate { wait: &self.news.0, woken: &self.news.1 }
    }

    pub fn room(&self) -> Gate<'_, M> {
        Gate { wait: &self.room.0, woken: &self.room.1 }
    }

    pub fn size(&self) -> u64 {
        let head = count(self.head.load(Acquire));
        count(self.tail.load(Acquire)).saturating_sub(head)
    }

    /// Both sides hear of it.
    pub fn wake_all(&self) {
        self.news().rouse_all();
        self.room().rouse_all();
    }

    /// As the repair of a death does.
    pub fn broadcast(&self, force: bool) {
        self.news().broadcast(force);
        self.room().broadcast(force);
    }

    /// At the end: each segment has one owner.
    pub fn check_segments(&'static self) {
        let mut owned = vec![0; BLOCKS];
        self.queue().each_segment(&mut |field| {
            let offset = field.load(Relaxed);
            if offset != 0 {
                owned[(offset / SEGMENT - 1) as usize] += 1;
            }
        });
        check(owned.iter().all(|owners| *owners <= 1), "a segment has two owners");
        let used = self.blocks.used.iter().map(Note::get);
        check(used.zip(&owned).all(|(used, owners)| used == *owners), "a segment has no owner");
    }
}
