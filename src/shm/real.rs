//! The memory that ships: atomics, futexes, the kernel's robust list.

use super::arena::Arena;
use super::check::is_somebody;
use super::member;
use super::memory::{Deadline, Memory, Wake, Word32, Word64};
use crate::sys::{barrier, clock, futex, robust, spin};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Atomics of the processor, futexes and robust lists of the kernel.
pub enum Real {}

/// Some thousand times what a section takes.
const PATIENCE_NS: u64 = 100_000_000;

/// No sleep is longer than this: then the sleeper looks again, though nobody woke it. In a sound family it finds nothing; where
/// somebody wrote to a word who should not, the wake may be lost. Longer than any test waits, to which a lost wake shall
/// be a hang.
const LONGEST_SLEEP_NS: u64 = 60_000_000_000;

fn look_again(deadline: Deadline, sleep: impl FnOnce(Deadline) -> Wake) -> Wake {
    let longest = clock::now_ns() + LONGEST_SLEEP_NS;
    match deadline {
        Some(deadline) if deadline <= longest => sleep(Some(deadline)),
        _ => match sleep(Some(longest)) {
            Wake::TimedOut => Wake::Look,
            wake => wake,
        },
    }
}

macro_rules! word {
    ($trait:ident, $atomic:ident, $int:ident) => {
        impl $trait for $atomic {
            #[inline(always)]
            fn load(&self, order: Ordering) -> $int {
                $atomic::load(self, order)
            }
            #[inline(always)]
            fn store(&self, value: $int, order: Ordering) {
                $atomic::store(self, value, order)
            }
            #[inline(always)]
            fn swap(&self, value: $int, order: Ordering) -> $int {
                $atomic::swap(self, value, order)
            }
            #[inline(always)]
            fn compare_exchange(
                &self,
                current: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$int, $int> {
                $atomic::compare_exchange(self, current, new, success, failure)
            }
            #[inline(always)]
            fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                $atomic::fetch_add(self, value, order)
            }
        }
    };
}
word!(Word32, AtomicU32, u32);
word!(Word64, AtomicU64, u64);

impl Memory for Real {
    type W32 = AtomicU32;
    type W64 = AtomicU64;

    #[inline(always)]
    fn thread_id() -> u32 {
        robust::thread_id()
    }
    #[inline(always)]
    fn fence() {
        // The same fence as the one below, which costs three times as much: LLVM makes MFENCE of it.
        #[cfg(target_arch = "x86_64")]
        // SAFETY: adds nothing to a word of this thread's own stack, below what the ABI lets a signal touch.
        unsafe {
            std::arch::asm!("lock or dword ptr [rsp - 8], 0", options(nostack))
        };
        #[cfg(not(target_arch = "x86_64"))]
        std::sync::atomic::fence(Ordering::SeqCst);
    }
    #[inline(always)]
    fn fence_after_change() {
        if cfg!(target_arch = "x86_64") {
            std::sync::atomic::compiler_fence(Ordering::SeqCst);
        } else {
            Self::fence();
        }
    }
    #[inline(always)]
    fn fence_light() {
        barrier::light();
    }
    fn fence_heavy() -> bool {
        barrier::heavy()
    }
    #[inline(always)]
    fn pause(turns: &mut u32, most: u32) -> bool {
        spin::turn(turns, most)
    }
    #[inline(always)]
    fn pending_set(word: &AtomicU64) {
        robust::pending_set(futex::low_half(word));
    }
    #[inline(always)]
    fn pending_clear() {
        robust::pending_clear();
    }
    fn patience() -> Deadline {
        Some(clock::now_ns() + PATIENCE_NS)
    }
    fn is_gone(thread: u32) -> bool {
        robust::is_gone(thread) || Arena::get().is_some_and(|arena| !member::may_have(arena, thread))
    }
    fn is_nobody(slot: u32) -> bool {
        Arena::get().is_some_and(|arena| !is_somebody(arena, slot))
    }
    fn note_damage() {
        if let Some(arena) = Arena::get() {
            arena.header().damage.store(1, Ordering::Relaxed);
        }
    }
    fn wait64(word: &AtomicU64, expected: u32, alarm: Option<(&AtomicU32, u32)>, deadline: Deadline) -> Wake {
        look_again(deadline, |until| futex::wait(futex::low_half(word), expected, alarm, until))
    }
    fn wait32(word: &AtomicU32, expected: u32, alarm: Option<(&AtomicU32, u32)>, deadline: Deadline) -> Wake {
        look_again(deadline, |until| futex::wait(word, expected, alarm, until))
    }
    fn wake64(word: &AtomicU64, count: u32) -> u32 {
        futex::wake(futex::low_half(word), count)
    }
    fn wake32(word: &AtomicU32, count: u32) -> u32 {
        futex::wake(word, count)
    }
}
