//! What locks, semaphores, events, conditions and barriers have in common: who repairs the word, and what to explore.

use super::calls::{await_death, become_mortal, forget, me};
use super::explore::Limits;
use super::machine::{Event as News, Status, with};

/// Behind the roles of a scenario, 0 and 1.
pub const KEEPER: u32 = 2;

pub fn show(word: u64) -> String {
    let asleep = if word >> 47 & 1 == 1 { " A" } else { "" };
    format!("[sequence {} waiters {}{asleep} epoch {}]", word as u32, word >> 32 & 0x7fff, word >> 48)
}

pub fn hex(word: u64) -> String {
    format!("{word:#x}")
}

/// What the keepers of all these scenarios do; `repair` is given the dead (0: nobody in particular) and force. Keepers
/// are started behind the others, in a row; each takes over when those before it are dead.
pub fn keep(first: usize, number: u64, trusts: bool, repair: impl Fn(u32, bool)) {
    let mut known = 0u64;
    for predecessor in first..me() {
        await_death(!(1 << predecessor), false);
        known |= 1 << predecessor;
    }
    if number == 1 {
        become_mortal();
    }
    // What a predecessor had begun with is not known.
    let mut force = number > 0 && !trusts;
    if number > 0 {
        repair(0xfff, force);
    }
    loop {
        forget(known);
        let News::Death(dead) = await_death(known, false) else { continue };
        known |= 1 << dead;
        repair(dead as u32 + 1, force);
        force &= known.count_ones() < 2;
    }
}

pub fn start_keepers() {
    with(|machine| {
        machine.start("keeper", KEEPER, 0, true, true);
        machine.start("keeper", KEEPER, 1, true, false);
        machine.start("keeper", KEEPER, 2, true, false);
    });
}

pub fn is_dead(who: usize) -> bool {
    with(|machine| machine.processes[who].status == Status::Dead)
}

pub fn nobody_died() -> bool {
    with(|machine| machine.used.kills == 0)
}

pub fn limits(kills: u8, timeouts: u8, runs: u64) -> Limits {
    Limits { kills, timeouts, runs, ..Limits::default() }
}
