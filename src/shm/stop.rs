//! What a worker's process may ask about the task at work in it: whether it should stop, which its word says ([`super::lane`]).

use super::lane::State;
use super::plan::Lane;
use crate::sys::own::own;
use crate::sys::stop;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// In a worker: its lane, for the questions below. A child that it forks has none.
pub fn attach(lane: &'static Lane) {
    own().lane.store(std::ptr::from_ref(lane).cast_mut().cast(), Release);
    own().going.store(std::ptr::from_ref(&lane.going).cast_mut(), Release);
    stop::attach(is_due);
}

fn lane() -> Option<&'static Lane> {
    let lane = own().lane.load(Acquire).cast::<Lane>();
    // SAFETY: NULL, or what `attach` stored: a lane of the arena, which is never unmapped.
    unsafe { lane.as_ref() }
}

/// Whether `call` runs in this process, and need not stop: one load finds the word that says both, another reads it. False where that is
/// not all.
#[inline(always)]
pub fn goes_on(call: usize) -> bool {
    // SAFETY: NULL, or what `attach` stored: a word of the arena, which is never unmapped.
    let going = unsafe { own().going.load(Acquire).as_ref() };
    call != 0 && going.is_some_and(|going| going.load(Relaxed) == call as u64)
}

/// Whether the task at work should stop, heard of or not. Nothing but loads: for a signal handler.
pub fn is_asked() -> bool {
    lane().is_some_and(|lane| matches!(lane.current().0.word.load().state(), State::Asked | State::Told))
}

/// Whether it should stop, and has not heard of it.
pub fn is_due() -> bool {
    lane().is_some_and(|lane| {
        let (slot, terms) = lane.current();
        let task = slot.word.load();
        matches!(task.state(), State::Asked | State::Told) && terms.noticed.load(Relaxed) != task.at_work().bits()
    })
}

/// The same, and now it has heard: true once for each item. The template tells it no more.
pub fn notice() -> bool {
    let Some(lane) = lane() else { return false };
    let (slot, terms) = lane.current();
    let task = slot.word.load();
    let item = task.at_work().bits();
    matches!(task.state(), State::Asked | State::Told) && terms.noticed.swap(item, AcqRel) != item
}

/// Whoever noticed could not say so to the task: it hears of it at the next occasion.
pub fn take_back() {
    if let Some(lane) = lane() {
        lane.current().1.noticed.store(0, Release);
    }
}
