//! Who polls a descriptor for news of an object, and is to be told.
//!
//! A word is 0, or the even name of a [doorbell](crate::sys::doorbell), and [`ARMED`] if its owner has found nothing and
//! polls. Written by whoever owns the bell: 0 → name, → armed, → 0; by whoever has news: armed → not, and then he rings.
//! One of the two sees the other: the owner arms, and then looks; who has news writes it, and then looks here, with a
//! fence in between on both sides. If the latter dies before he rings, the repair of his death rings all bells, armed or
//! not. Who finds that a bell is gone takes its name away.

use super::memory::{Memory, Word64};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// See the head of this module.
pub const ARMED: u64 = 1;

/// Takes a free word for a bell; `None` if there is none.
pub fn place<'a, M: Memory>(words: &[&'a M::W64], name: u64) -> Option<&'a M::W64> {
    words.iter().copied().find(|word| word.compare_exchange(0, name, AcqRel, Relaxed).is_ok())
}

/// From now on news rings the bell once. To be followed by a look; false if the word was taken away.
pub fn arm<M: Memory>(word: &M::W64, name: u64) -> bool {
    let seen = word.compare_exchange(name, name | ARMED, AcqRel, Acquire);
    M::fence();
    seen.is_ok() || seen == Err(name | ARMED)
}

/// The bell is no more.
pub fn remove<M: Memory>(word: &M::W64, name: u64) {
    for seen in [name, name | ARMED, name] {
        let _ = word.compare_exchange(seen, 0, AcqRel, Relaxed);
    }
}

/// There is news, written before a fence: rings those that are armed. `ring` is false for a bell that is gone.
#[inline(always)]
pub fn tell<M: Memory>(words: &[&M::W64], ring: impl Fn(u64) -> bool) {
    for word in words {
        let seen = word.load(Relaxed);
        if seen & ARMED != 0 && word.compare_exchange(seen, seen & !ARMED, AcqRel, Relaxed).is_ok() {
            ring_one::<M>(word, seen & !ARMED, &ring);
        }
    }
}

/// The repair of a death: rings all.
pub fn tell_all<M: Memory>(words: &[&M::W64], ring: impl Fn(u64) -> bool) {
    for word in words {
        let seen = word.load(Acquire);
        if seen != 0 {
            ring_one::<M>(word, seen & !ARMED, &ring);
        }
    }
}

#[cold]
fn ring_one<M: Memory>(word: &M::W64, name: u64, ring: &impl Fn(u64) -> bool) {
    if !ring(name) {
        remove::<M>(word, name);
    }
}
