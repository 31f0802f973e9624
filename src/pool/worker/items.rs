//! The items of a chunk, one after the other.
#![forbid(unsafe_code)]

use super::{REFUSED, Worker};
use crate::call::{Call, Input, Output};
use crate::shm::lane::{Task, TaskWord};
use crate::shm::plan::{Chunk, FLAG_EXACT, NOTHING_FAILED, Slot, WRONG_ITEM, WRONG_REPLY};
use crate::shm::region::{Region, Row};
use std::sync::atomic::Ordering::{Relaxed, Release};

/// What a chunk works on, checked.
struct Items {
    first: u64,
    /// This worker's last task is the item before this one.
    until: u64,
    codes: Region,
    chunk: Chunk,
    address: usize,
}

impl Items {
    /// The codes of this chunk's items; no other worker writes them.
    fn own_codes(&self) -> Option<Region> {
        let len = self.chunk.end.saturating_sub(self.first) as usize;
        self.codes.part(self.first as usize * 4, len * 4)
    }
}

impl Worker {
    /// Runs the items of a chunk; `None` if the keeper decided that one took too long.
    pub(super) fn run_chunk(&self, slot: &'static Slot, first: Task, address: usize, call: &mut Call) -> Option<Task> {
        let chunk = slot.chunk();
        let arena = self.plan.arena;
        let all = |at: u64, size: u64| chunk.count.checked_mul(size).and_then(|len| Region::of(arena, at, len));
        // Its first item is counted already.
        let until = first.item().saturating_add(self.left.get() + 1);
        let row = |all: Region, size| all.row(first.item() as usize, size, until.min(chunk.count) as usize);
        let items = all(chunk.items, chunk.item_size).and_then(|all| row(all, chunk.item_size as usize));
        let replies = match chunk.replies {
            0 => row(Region::EMPTY, 0),
            replies => all(replies, chunk.reply_size).and_then(|all| row(all, chunk.reply_size as usize)),
        };
        let (Some(items), Some(replies), Some(codes)) = (items, replies, all(chunk.codes, 4)) else {
            self.refuse_chunk(slot, first.item(), "the items are not where they should be");
            return Some(first);
        };
        let exact = slot.limit_ns.load(Relaxed) != 0 || slot.flags.load(Relaxed) & FLAG_EXACT != 0;
        let work = Items { until, first: first.item(), codes, chunk, address };
        call.enter(|call| match exact {
            true => self.run_items::<true>(slot, first, &work, (items, replies), call),
            false => self.run_items::<false>(slot, first, &work, (items, replies), call),
        })
        .ok()?
    }

    // A function of its own, and small: what it needs then stays in registers.
    #[inline(never)]
    fn run_items<const EXACT: bool>(
        &self,
        slot: &'static Slot,
        first: Task,
        work: &Items,
        (mut item, mut place): (Row, Row),
        call: &mut Call,
    ) -> Option<Task> {
        let answers = work.chunk.replies != 0;
        let mut task = first;
        loop {
            call.renew(Input::Item(item.here()), if answers { Output::Exact(place.here()) } else { Output::Nowhere });
            let code = call.run(work.address);
            if code != 0 || answers && call.replied().is_none() {
                self.fail_item(slot, task.item() as usize, code, work, call);
            }
            // The rows end where this worker's tasks do.
            if task.item() + 1 >= slot.chunk_end() || !item.step() || !place.step() {
                break;
            }
            task = if EXACT { self.advance_exact(slot, task)? } else { slot.word.advance(task) };
        }
        self.count_items(task, work);
        if task.item() + 1 == work.until && work.until < slot.chunk_end() {
            slot.leave_chunk(work.until);
        }
        Some(task)
    }

    /// Of what this worker may still do, the items of a chunk: the first was counted when it began.
    fn count_items(&self, last: Task, work: &Items) {
        self.left.set(self.left.get() - (last.item() - work.first));
    }

    #[cold]
    fn fail_item(&self, slot: &'static Slot, index: usize, code: i32, work: &Items, call: &Call) {
        let noted = match code {
            0 => WRONG_ITEM,
            WRONG_ITEM => 1,
            code => code,
        };
        let is_first = slot.failed_item.load(Relaxed) == NOTHING_FAILED;
        if is_first {
            // The host looks at the codes of a chunk only if an item of it failed: until then they are
            // whatever they were, and their memory is not touched.
            work.own_codes().into_iter().for_each(Region::clear);
        }
        if let Some(place) = work.codes.part(index * 4, 4) {
            place.write(&noted.to_ne_bytes());
        }
        if is_first {
            self.note_failure(slot, index as u64, call);
            if code == 0 {
                slot.code.store(WRONG_REPLY, Release);
            }
        }
    }

    #[inline(always)]
    fn advance_exact(&self, slot: &Slot, task: Task) -> Option<Task> {
        let next = slot.word.advance_exact(task);
        next.or_else(|now| self.leave_told(slot, now, TaskWord::advance_exact)).ok()
    }

    /// No item of the chunk can be run.
    #[cold]
    pub(super) fn refuse_chunk(&self, slot: &'static Slot, first: u64, message: &str) {
        let chunk = slot.chunk();
        for index in first..chunk.end {
            let place = chunk.codes.checked_add(index * 4).and_then(|at| Region::of(self.plan.arena, at, 4));
            place.map(|place| place.write(&REFUSED.to_ne_bytes()));
        }
        self.refuse(slot, message);
    }
}
