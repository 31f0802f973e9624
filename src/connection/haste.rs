//! Whether it is worth while to wait awake: where many ask the same server, an answer takes longer than that, and whoever
//! waits awake takes the processor from those who are asked.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// How often in a row an answer that comes late counts: then every 64th one is waited for awake.
const MOST_LATE: u32 = 6;

/// Guesses, by whoever receives.
#[derive(Default)]
pub(super) struct Haste {
    /// How often in a row nothing came soon.
    late: AtomicU32,
    /// Receives that do not wait awake, from now on.
    skips: AtomicU32,
}

impl Haste {
    pub(super) fn is_none(&self) -> bool {
        let skips = self.skips.load(Relaxed);
        self.skips.store(skips.saturating_sub(1), Relaxed);
        skips > 0
    }

    pub(super) fn came(&self, soon: bool) {
        let late = if soon { 0 } else { (self.late.load(Relaxed) + 1).min(MOST_LATE) };
        self.late.store(late, Relaxed);
        // Once more means nothing: it may have slept.
        self.skips.store(if late > 1 { 1 << late } else { 0 }, Relaxed);
    }
}
