//! A message of a queue that lies in memory of its own: one process fills it, another one reads it there.
//!
//! It is a cell (`Kind::Parcel`) with a block. Whose it is, the life word of the cell says, with the bit [`SENT`]:
//!
//! | SENT | `creator` | |
//! |---|---|---|
//! | 0 | p | p's alone: reserved, not committed. It goes with p |
//! | 1 | 0 | its queue's: in the ring as long as its number is not taken; else it came back, and is delivered before all others |
//! | 1 | c | c has it; if c dies, it comes back |
//! | 0 | 0 | nobody's: consumed |
//!
//! **Put.** Under the lock of the tail the producer writes the number, and in the queue's word which parcel it puts; then it
//! commits a record that names the parcel: that is the commit. Then it lets go ([`Parcel::send`]). If it is killed in
//! between, a consumer that comes first takes the parcel from it ([`Parcel::claim_front`]), or the repair of the death
//! lets it go ([`Parcel::send_for_the_dead`]), before it repairs the lock: so nobody else has put meanwhile, and whether
//! the number was put says whether the parcel was.
//!
//! **Lease.** Under the lock of the head a consumer claims the parcel, then takes the record: who is killed in between has
//! claimed what is still in the ring, and the next one claims it from him. To lease a message whose bytes lie in the ring, it
//! is copied to a parcel first, and the record names that copy beside its bytes: if the copy goes with who
//! made it, the bytes are still there.
//!
//! **End.** Consumed, returned to the queue, or moved to another one: one store each. No step waits for anybody but the
//! holder of the head's lock.
//!
//! Which parcels came back is derived from the cells. A word of the queue only says that it is worth a look ([`CAME_BACK`]): set
//! by whoever let a parcel go, behind that; cleared by who looks, before that; set by every repair, for whoever was
//! killed between the two.

use super::kind::ENDING;
use super::life::{CREATOR as OWNER, CREATOR_SHIFT as OWNER_SHIFT, GENERATION, GENERATION_SHIFT};
use super::memory::{Memory, Word32, Word64};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Bit of a life word: it belongs to its queue.
pub const SENT: u64 = 1 << 8;
/// Bit of a number: taken from the ring of whatever queue, and so of this one.
const TAKEN: u64 = 1 << 63;

/// Bit of the word of a queue, which has others too: it has, or had, parcels.
pub const EVER: u32 = 2;
/// Bit of the word of a queue: one of its parcels may have come back.
pub const CAME_BACK: u32 = 4;

/// The words that decide about a parcel.
pub struct Parcel<'a, M: Memory> {
    /// The life word of its cell.
    pub life: &'a M::W64,
    /// Its number in its queue. Written by its owner.
    pub number: &'a M::W64,
    /// The generation of its cell.
    pub generation: u32,
}

impl<M: Memory> Clone for Parcel<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Memory> Copy for Parcel<'_, M> {}

fn owner_of(life: u64) -> u32 {
    ((life & OWNER) >> OWNER_SHIFT) as u32
}

fn with_owner(life: u64, owner: u32) -> u64 {
    (life & !OWNER) | (owner as u64) << OWNER_SHIFT
}

impl<M: Memory> Parcel<'_, M> {
    /// Changes the life word as `change` says, which refuses by `None`; false if it did. What is being taken apart is not
    /// changed: its creator is who does that.
    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> bool {
        let mut life = self.life.load(Acquire);
        loop {
            let same = (life & GENERATION) >> GENERATION_SHIFT == self.generation as u64 && life & ENDING == 0;
            let Some(next) = same.then(|| change(life)).flatten() else { return false };
            match self.life.compare_exchange(life, next, AcqRel, Acquire) {
                Ok(_) => return true,
                Err(now) => life = now,
            }
        }
    }

    /// Whether it is `me`'s: reserved, or leased (`SENT`).
    pub fn is_of(&self, me: u32, sent: bool) -> bool {
        let life = self.life.load(Acquire);
        let same = (life & GENERATION) >> GENERATION_SHIFT == self.generation as u64;
        same && owner_of(life) == me && (life & SENT != 0) == sent
    }

    /// Lets go of what `me` has just committed. False: somebody was quicker to claim it.
    pub fn send(&self, me: u32) -> bool {
        self.change(|life| (owner_of(life) == me && life & SENT == 0).then(|| with_owner(life, 0) | SENT))
    }

    /// The repair of the death of `dead`, who holds the lock of the tail of the queue, whose word names this parcel: if its
    /// commit was done, it is the queue's.
    pub fn send_for_the_dead(&self, dead: u32, put: u64) {
        if self.number.load(Acquire) < put {
            self.send(dead);
        }
    }

    /// `me` claims the parcel of the record in front, whoever has it still: its producer, alive or dead, or who died
    /// after he had claimed it. The head's lock is held. False: it is not there.
    pub fn claim_front(&self, me: u32) -> bool {
        self.change(|life| (owner_of(life) != 0 || life & SENT != 0).then(|| with_owner(life, me) | SENT))
    }

    /// Who has it, 0 for nobody; `None` if it does not belong to its queue.
    pub fn owner_if_sent(&self) -> Option<u32> {
        let life = self.life.load(Acquire);
        (life & SENT != 0).then(|| owner_of(life))
    }

    /// Whether it came back, where so many messages were taken so far.
    pub fn came_back(&self, taken: u64) -> bool {
        let life = self.life.load(Acquire);
        owner_of(life) == 0 && life & SENT != 0 && self.is_taken(taken)
    }

    /// Whether it is in the ring no more.
    pub fn is_taken(&self, taken: u64) -> bool {
        let number = self.number.load(Acquire);
        number & TAKEN != 0 || number < taken
    }

    /// `me` claims one that came back. The head's lock is held.
    pub fn claim_returned(&self, me: u32) -> bool {
        self.change(|life| (owner_of(life) == 0 && life & SENT != 0).then(|| with_owner(life, me)))
    }

    /// What `me` had leased is consumed. False if `me` has not.
    pub fn consume(&self, me: u32) -> bool {
        // In one step: with its owner and not SENT it would look reserved, for a late `send` of the same process too.
        self.change(|life| (owner_of(life) == me && life & SENT != 0).then(|| with_owner(life, 0) & !SENT))
    }

    /// It will count as taken, whatever its queue is. By its owner.
    pub fn mark_taken(&self) {
        self.number.store(self.number.load(Relaxed) | TAKEN, Release);
    }

    fn order(&self) -> u64 {
        self.number.load(Relaxed) & !TAKEN
    }
}

/// Sets some bits of a word and takes away others.
fn mark<M: Memory>(word: &M::W32, set: u32, clear: u32) {
    let mut seen = word.load(Relaxed);
    while let Err(now) = word.compare_exchange(seen, seen & !clear | set, AcqRel, Relaxed) {
        seen = now;
    }
}

/// From here on the queue may have parcels: who finds that it never had any looks for none.
pub fn expect<M: Memory>(word: &M::W32) {
    if word.load(Relaxed) & EVER == 0 {
        mark::<M>(word, EVER, 0);
    }
}

/// One of a queue's parcels was let go, or may have been, by somebody who died.
pub fn let_come_back<M: Memory>(word: &M::W32) {
    mark::<M>(word, CAME_BACK, 0);
}

/// The oldest of those that came back, unclaimed. `parcels`: those of the queue; the lock of its head is held.
pub fn oldest<'a, M: Memory>(
    word: &M::W32,
    taken: u64,
    parcels: impl Iterator<Item = Parcel<'a, M>>,
) -> Option<Parcel<'a, M>> {
    // Before the look: what comes back behind it says so again.
    mark::<M>(word, 0, CAME_BACK);
    M::fence_after_change();
    let found = parcels.filter(|parcel| parcel.came_back(taken)).min_by_key(Parcel::order);
    if found.is_some() {
        // There may be more.
        mark::<M>(word, CAME_BACK, 0);
    }
    found
}
