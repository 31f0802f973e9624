//! Seeded bugs: a back end that does all that `Sim` does, but for one thing.

use super::memory::{Sim, SimWord32, SimWord64, Simulated};
use carom::shm::memory::{Deadline, Memory, Wake, Word32, Word64};
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

/// What goes wrong. Each method does what `Sim` does unless it is overridden.
pub trait Fault: 'static {
    fn load64(word: &SimWord64) -> u64 {
        word.load(Ordering::Relaxed)
    }
    fn store64(word: &SimWord64, value: u64) {
        word.store(value, Ordering::Relaxed);
    }
    fn exchange64(word: &SimWord64, current: u64, new: u64) -> Result<u64, u64> {
        word.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed)
    }
    fn exchange32(word: &SimWord32, current: u32, new: u32) -> Result<u32, u32> {
        word.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed)
    }
    fn add32(word: &SimWord32, value: u32) -> u32 {
        word.fetch_add(value, Ordering::Relaxed)
    }
    fn fence() {
        Sim::fence();
    }
    fn pending_set(word: &SimWord64) {
        Sim::pending_set(word);
    }
    fn wake64(word: &SimWord64, count: u32) -> u32 {
        Sim::wake64(word, count)
    }
    fn wake32(word: &SimWord32, count: u32) -> u32 {
        Sim::wake32(word, count)
    }
    fn is_nobody(slot: u32) -> bool {
        Sim::is_nobody(slot)
    }
    /// Whether who sleeps without a deadline looks again after a while, as on the memory that ships. Everywhere else that
    /// would hide a lost wake.
    fn looks_again() -> bool {
        false
    }
}

/// `Sim` with the fault `F`.
pub struct Faulty<F>(PhantomData<F>);

pub struct FaultyWord32<F>(SimWord32, PhantomData<F>);
pub struct FaultyWord64<F>(SimWord64, PhantomData<F>);

impl<F: Fault> Word32 for FaultyWord32<F> {
    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order);
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.0.swap(value, order)
    }
    fn compare_exchange(&self, current: u32, new: u32, _: Ordering, _: Ordering) -> Result<u32, u32> {
        F::exchange32(&self.0, current, new)
    }
    fn fetch_add(&self, value: u32, _: Ordering) -> u32 {
        F::add32(&self.0, value)
    }
}

impl<F: Fault> Word64 for FaultyWord64<F> {
    fn load(&self, _: Ordering) -> u64 {
        F::load64(&self.0)
    }
    fn store(&self, value: u64, _: Ordering) {
        F::store64(&self.0, value);
    }
    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.0.swap(value, order)
    }
    fn compare_exchange(&self, current: u64, new: u64, _: Ordering, _: Ordering) -> Result<u64, u64> {
        F::exchange64(&self.0, current, new)
    }
    fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }
}

impl<F: Fault> Memory for Faulty<F> {
    type W32 = FaultyWord32<F>;
    type W64 = FaultyWord64<F>;

    fn thread_id() -> u32 {
        Sim::thread_id()
    }
    fn fence() {
        F::fence();
    }
    fn pause(turns: &mut u32, most: u32) -> bool {
        Sim::pause(turns, most)
    }
    fn pending_set(word: &FaultyWord64<F>) {
        F::pending_set(&word.0);
    }
    fn pending_clear() {
        Sim::pending_clear();
    }
    fn wait64(
        word: &FaultyWord64<F>,
        expected: u32,
        alarm: Option<(&FaultyWord32<F>, u32)>,
        deadline: Deadline,
    ) -> Wake {
        let looks_again = deadline.is_none() && F::looks_again();
        let until = if looks_again { Some(1) } else { deadline };
        match Sim::wait64(&word.0, expected, alarm.map(|(word, value)| (&word.0, value)), until) {
            Wake::TimedOut if looks_again => Wake::Look,
            wake => wake,
        }
    }
    fn is_nobody(slot: u32) -> bool {
        F::is_nobody(slot)
    }
    fn wait32(
        word: &FaultyWord32<F>,
        expected: u32,
        alarm: Option<(&FaultyWord32<F>, u32)>,
        deadline: Deadline,
    ) -> Wake {
        Sim::wait32(&word.0, expected, alarm.map(|(word, value)| (&word.0, value)), deadline)
    }
    fn wake64(word: &FaultyWord64<F>, count: u32) -> u32 {
        F::wake64(&word.0, count)
    }
    fn wake32(word: &FaultyWord32<F>, count: u32) -> u32 {
        F::wake32(&word.0, count)
    }
}

impl<F: Fault> Simulated for Faulty<F> {
    fn word32(name: &str, initial: u32) -> FaultyWord32<F> {
        FaultyWord32(Sim::word32(name, initial), PhantomData)
    }
    fn word64(name: &str, initial: u64, show: fn(u64) -> String) -> FaultyWord64<F> {
        FaultyWord64(Sim::word64(name, initial, show), PhantomData)
    }
    fn pending32(word: &FaultyWord32<F>) {
        Sim::pending32(&word.0);
    }
    fn hold32(word: &FaultyWord32<F>) {
        Sim::hold32(&word.0);
    }
    fn poke64(word: &FaultyWord64<F>, value: u64) {
        Sim::poke64(&word.0, value);
    }
}
