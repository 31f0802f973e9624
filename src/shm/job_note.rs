//! What a task may ask about itself: which job it is, at which attempt, and what its host calls it.
//!
//! The host's name for it stands behind what the task works on, its encoded arguments or the items of its map, as far as it is
//! [`FLAG_NAMED`]:
//! ```text
//! arguments or items | at the next multiple of 8: bytes of the name (u64) | the name | 0
//! ```
//! The host writes it before the slot's word says that there is a task, and not again.

use super::plan::{FLAG_NAMED, Lane, PlanRef, SLOTS, Slot, TaskKind};
use super::region::Region;
use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes of the number before a name.
const HEAD: usize = 8;

/// How many bytes what is `len` bytes long takes with its name; `None` if that is absurd.
#[inline]
pub fn with_name(len: usize, name: &CStr) -> Option<usize> {
    if name.is_empty() {
        return Some(len);
    }
    len.checked_next_multiple_of(HEAD)?.checked_add(HEAD + name.count_bytes() + 1)
}

/// Writes a name behind the first `len` bytes of `place`, which has room for it.
#[inline]
pub fn write_name(place: Region, len: usize, name: &CStr) {
    if name.is_empty() {
        return;
    }
    let at = len.next_multiple_of(HEAD);
    if let (Some(head), Some(place)) = (place.from(at), place.from(at + HEAD)) {
        head.write(&(name.count_bytes() as u64).to_ne_bytes());
        place.write(name.to_bytes_with_nul());
    }
}

/// A task, as the call sees it that runs it.
#[derive(Clone, Copy)]
pub struct JobNote {
    plan: PlanRef,
    lane: &'static Lane,
    place: u64,
}

impl JobNote {
    /// Of the task at a place of a lane.
    pub fn new(plan: PlanRef, lane: &'static Lane, place: u64) -> JobNote {
        JobNote { plan, lane, place }
    }

    fn slot(&self) -> &'static Slot {
        &self.lane.slots[(self.place % SLOTS as u64) as usize]
    }

    /// Both halves of its job's name.
    pub fn job(&self) -> (u64, u64) {
        let low = &self.lane.jobs[(self.place % SLOTS as u64) as usize];
        (self.plan.plan().job_high.load(Relaxed), low.load(Relaxed))
    }

    /// Which attempt at it this is, beginning with 1.
    pub fn attempt(&self) -> u32 {
        let terms = &self.lane.terms[(self.place % SLOTS as u64) as usize];
        if self.slot().has_terms() { terms.attempt.load(Relaxed) } else { 1 }
    }

    /// What its host calls it; empty for nothing.
    pub fn name(&self) -> &'static CStr {
        self.find_name().unwrap_or_default()
    }

    fn find_name(&self) -> Option<&'static CStr> {
        let slot = self.slot();
        if slot.flags.load(Relaxed) & FLAG_NAMED == 0 {
            return None;
        }
        let len = slot.arguments_len.load(Relaxed);
        let (block, len) = match slot.kind.load(Relaxed) {
            kind if kind == TaskKind::Inline as u32 => {
                return name_behind(|at, len| slot.arguments().part(at, len), len);
            }
            kind if kind == TaskKind::Chunk as u32 => {
                let chunk = slot.chunk();
                (chunk.items, chunk.count.checked_mul(chunk.item_size)?)
            }
            _ => (slot.arguments_block.load(Relaxed), len),
        };
        name_behind(|at, len| Region::of(self.plan.arena, block.checked_add(at as u64)?, len as u64), len)
    }
}

/// The name behind `len` bytes, of which `part` shows what lies where.
fn name_behind(part: impl Fn(usize, usize) -> Option<Region>, len: u64) -> Option<&'static CStr> {
    let at = usize::try_from(len).ok()?.checked_next_multiple_of(HEAD)?;
    let mut head = [0; HEAD];
    part(at, HEAD)?.read(&mut head);
    let bytes = usize::try_from(u64::from_ne_bytes(head)).ok()?.checked_add(1)?;
    CStr::from_bytes_with_nul(part(at.checked_add(HEAD)?, bytes)?.frozen()).ok()
}
