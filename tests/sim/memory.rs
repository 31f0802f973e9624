//! `Sim`: the second back end of the trait `Memory`.

use super::calls;
use super::machine::{NOTHING, Op, with};
use carom::shm::memory::{Deadline, Memory, Wake, Word32, Word64};
use std::sync::atomic::Ordering;

/// Words of the simulated machine.
pub enum Sim {}

/// A 32-bit word: its place in the machine's table.
pub struct SimWord32(u32);
/// A 64-bit word: its place in the machine's table.
pub struct SimWord64(u64);

/// A slot that is no process's.
pub const NOBODY: u32 = 0xabc;

/// A back end whose words a scenario can make: `Sim`, or a fault over it.
pub trait Simulated: Memory {
    fn word32(name: &str, initial: u32) -> Self::W32;
    fn word64(name: &str, initial: u64, show: fn(u64) -> String) -> Self::W64;
    /// `pending_set` of a 32-bit word.
    fn pending32(word: &Self::W32);
    /// Puts a word that the caller owns on its robust list, until it dies.
    fn hold32(word: &Self::W32);
    /// A word changes in the same step as the access before: what is done under a lock that is not modelled.
    fn poke64(word: &Self::W64, value: u64);
}

impl Simulated for Sim {
    fn word32(name: &str, initial: u32) -> SimWord32 {
        let show = |value: u64| format!("{value:#x}");
        SimWord32(with(|machine| machine.new_word(name.into(), initial as u64, show)))
    }
    fn word64(name: &str, initial: u64, show: fn(u64) -> String) -> SimWord64 {
        SimWord64(with(|machine| machine.new_word(name.into(), initial, show)) as u64)
    }
    fn pending32(word: &SimWord32) {
        calls::name_pending(word.place());
    }
    fn hold32(word: &SimWord32) {
        calls::hold_for_life(word.place());
    }
    fn poke64(word: &SimWord64, value: u64) {
        calls::fence();
        with(|machine| machine.write(word.place(), value));
    }
}

macro_rules! word {
    ($trait:ident, $word:ident, $int:ident) => {
        impl $word {
            fn place(&self) -> u32 {
                self.0 as u32
            }
        }
        impl $trait for $word {
            fn load(&self, _: Ordering) -> $int {
                calls::access(Op::Load, self.place(), |old| old) as $int
            }
            fn store(&self, value: $int, _: Ordering) {
                calls::access(Op::Store, self.place(), |_| value as u64);
            }
            fn swap(&self, value: $int, _: Ordering) -> $int {
                calls::access(Op::Swap, self.place(), |_| value as u64) as $int
            }
            fn compare_exchange(&self, current: $int, new: $int, _: Ordering, _: Ordering) -> Result<$int, $int> {
                let change = |old| if old == current as u64 { new as u64 } else { old };
                let old = calls::access(Op::Exchange, self.place(), change) as $int;
                if old == current { Ok(old) } else { Err(old) }
            }
            fn fetch_add(&self, value: $int, _: Ordering) -> $int {
                calls::access(Op::Add, self.place(), |old| (old as $int).wrapping_add(value) as u64) as $int
            }
        }
    };
}
word!(Word32, SimWord32, u32);
word!(Word64, SimWord64, u64);

impl Memory for Sim {
    type W32 = SimWord32;
    type W64 = SimWord64;

    fn thread_id() -> u32 {
        calls::me() as u32 + 1
    }
    fn fence() {
        calls::fence();
    }
    fn fence_light() {}
    fn fence_heavy() -> bool {
        calls::fence_for_all();
        true
    }
    fn pause(turns: &mut u32, most: u32) -> bool {
        *turns += 1;
        calls::spin_hint();
        *turns <= most
    }
    fn pending_set(word: &SimWord64) {
        calls::name_pending(word.place());
    }
    fn pending_clear() {
        calls::name_pending(NOTHING);
    }
    fn is_nobody(slot: u32) -> bool {
        slot == NOBODY
    }
    fn wait64(word: &SimWord64, expected: u32, alarm: Option<(&SimWord32, u32)>, deadline: Deadline) -> Wake {
        let alarm = alarm.map(|(word, value)| (word.place(), value));
        calls::wait(word.place(), expected, alarm, deadline.is_some())
    }
    fn wait32(word: &SimWord32, expected: u32, alarm: Option<(&SimWord32, u32)>, deadline: Deadline) -> Wake {
        let alarm = alarm.map(|(word, value)| (word.place(), value));
        calls::wait(word.place(), expected, alarm, deadline.is_some())
    }
    fn wake64(word: &SimWord64, count: u32) -> u32 {
        calls::wake(word.place(), count)
    }
    fn wake32(word: &SimWord32, count: u32) -> u32 {
        calls::wake(word.place(), count)
    }
}
