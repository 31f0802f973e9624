//! Waiting awake, for what may come within microseconds.

use super::clock::now_ns;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Turns, of some 25 ns, before the processor is offered to others: whoever is to answer may need this one.
const ALONE: u32 = 12;
/// An offer that nobody takes is over sooner.
const TAKEN_NS: u64 = 1_500;
/// Whoever kept the processor for so long has work of his own, and an offer costs too much here.
const KEPT_NS: u64 = 100_000;
/// So there is none for this long.
const AFTER_KEPT_NS: u64 = 100_000_000;

/// When this process may offer its processor again.
static NEXT_OFFER: AtomicU64 = AtomicU64::new(0);

/// One turn, and `turns` counts it. False if there were `most`: then it is better to sleep.
#[inline(always)]
pub fn turn(turns: &mut u32, most: u32) -> bool {
    if *turns >= most {
        return false;
    }
    *turns += 1;
    if *turns == ALONE {
        offer(turns, most)
    } else {
        std::hint::spin_loop()
    }
    true
}

/// Whether others have kept this processor when it was offered lately: then who waits sleeps at once.
pub fn is_crowded() -> bool {
    now_ns() < NEXT_OFFER.load(Relaxed)
}

/// The processor was offered, and was back after so long.
pub fn was_away(ns: u64) {
    if ns > KEPT_NS {
        NEXT_OFFER.store(now_ns() + AFTER_KEPT_NS, Relaxed);
    }
}

#[cold]
fn offer(turns: &mut u32, most: u32) {
    let begun = now_ns();
    let crowded = begun < NEXT_OFFER.load(Relaxed);
    if !crowded {
        std::thread::yield_now();
    }
    let took = now_ns() - begun;
    if crowded || took > TAKEN_NS {
        // Others want this processor. Whoever is to answer may have had it by now: as many turns again, then to sleep.
        *turns = (*turns).max(most.saturating_sub(ALONE));
    }
    if took > KEPT_NS {
        NEXT_OFFER.store(begun + took + AFTER_KEPT_NS, Relaxed);
    }
}
