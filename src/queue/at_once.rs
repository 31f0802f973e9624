//! What most calls do: short messages, room for them in the segment at hand, nobody in the way, nothing to tell but that it is done. Such a call knows no errors and does not
//! wait: what it does not expect it leaves to the long way, which begins anew and finds out. That costs a third of the instructions.

use super::single::Side;
use super::{BOUNDED, JOINABLE, Queue, from, lent, to};
use crate::shm::queue_cell::{LIGHT, ONE_GETS, ONE_PUTS, SHUT};
use crate::shm::region::Region;
use crate::shm::sole::Who;
use crate::sys::robust;
use std::sync::atomic::Ordering::Relaxed;

impl Queue {
    /// Who the caller is in his role; `None` if he has not got it.
    #[inline(always)]
    fn known(self, side: Side) -> Option<Who> {
        let thread = robust::known_thread_id(self.family.me.to_bits())?;
        let me = Who::new(side.generation, self.family.me.slot, thread);
        side.role.is_of(me).then_some(me)
    }

    /// Puts `items`, cut into `many` messages of `size` bytes, if there is nothing to it. False: they were not put.
    #[inline(always)]
    pub fn put_at_once(self, items: &[u8], size: usize, many: usize) -> bool {
        let (flags, side) = (self.ends.flags(), self.tail_side());
        if many == 1 && size >= lent::COPIED_ALONE || flags & SHUT != 0 {
            return false;
        }
        if flags & ONE_PUTS == 0 {
            if !self.try_lock(side) {
                return false;
            }
            let done = self.put_here(items, size, many, flags);
            self.unlock(side);
            if done {
                self.ends.news().rouse(|| self.size_now());
                self.ends.tell(self.family.arena);
            }
            return done;
        }
        let Some(me) = self.known(side).filter(|_| flags & LIGHT != 0) else { return false };
        side.role.enter(me);
        // Behind that: who shut the queue down waits for us, or we find it.
        let done = self.ends.flags() & SHUT == 0 && self.put_here(items, size, many, flags);
        self.leave_role(side, me);
        if done {
            self.ends.news().rouse_light(|| self.size_now());
            self.ends.tell(self.family.arena);
        }
        done
    }

    /// The tail is the caller's.
    #[inline(always)]
    fn put_here(self, items: &[u8], size: usize, many: usize, flags: u32) -> bool {
        let Some(block) = self.ends.block_if_there(self.family.arena) else { return false };
        if flags & BOUNDED != 0
            && (block.max_bytes.load(Relaxed) != 0 || !self.have_room(many as u64, block.max_items.load(Relaxed)))
        {
            return false;
        }
        let queue = self.ends.queue_of(self.family.arena, block);
        let batch = if many == 1 {
            let room = queue.one_more(size as u64);
            room.and_then(|(batch, words)| Region::of_words(words).write(items).then_some(batch))
        } else {
            queue.many_more(size as u64, many as u64, &mut from(items, size))
        };
        batch.map(|batch| queue.commit(batch)).is_some()
    }

    /// As [`Queue::get`], if there is nothing to it. `None`: nothing was taken.
    #[inline(always)]
    pub fn get_at_once(self, out: &mut [u8], stride: usize, max: usize, lens: &mut [usize]) -> Option<usize> {
        let (flags, side) = (self.ends.flags(), self.head_side());
        if flags & JOINABLE != 0 || self.some_came_back() || self.seems_empty() {
            return None;
        }
        if flags & ONE_GETS == 0 {
            if !self.try_lock(side) {
                return None;
            }
            let taken = self.take_here(out, stride, max, lens, flags);
            self.unlock(side);
            let (got, most) = taken?;
            if flags & BOUNDED != 0 {
                self.ends.room().rouse(|| self.room_now(most));
                self.ends.tell(self.family.arena);
            }
            self.ends.news().rouse(|| self.size_now() + self.some_came_back() as u64);
            return Some(got);
        }
        let me = self.known(side).filter(|_| flags & LIGHT != 0)?;
        side.role.enter(me);
        let taken = self.take_here(out, stride, max, lens, flags);
        self.leave_role(side, me);
        let (got, most) = taken?;
        if flags & BOUNDED != 0 {
            self.ends.room().rouse_light(|| self.room_now(most));
            self.ends.tell(self.family.arena);
        }
        Some(got)
    }

    /// The head is the caller's. How many messages it got, and how many the queue may hold.
    #[inline(always)]
    fn take_here(
        self,
        out: &mut [u8],
        stride: usize,
        max: usize,
        lens: &mut [usize],
        flags: u32,
    ) -> Option<(usize, u64)> {
        let block = self.ends.block_if_there(self.family.arena)?;
        let (queue, seen_tail) = (self.ends.queue_of(self.family.arena, block), &self.ends.outlet.len);
        let (mut front, words) = queue.front_here(seen_tail, stride as u64)?;
        let begin = front.number;
        if max == 1 {
            let len = front.len as usize;
            let read = Region::of_words(words).read(out.get_mut(..len)?);
            *lens.first_mut().filter(|_| read)? = len;
        } else {
            let mut read = to(out, stride, lens);
            let all =
                read(0, words, front.len) && queue.follow_all_here(&mut front, max as u64 - 1, seen_tail, &mut read);
            if !all {
                return None;
            }
        }
        queue.take_here(front);
        self.note_getter();
        let got = front.number - begin + 1;
        Some((got as usize, if flags & BOUNDED != 0 { block.max_items.load(Relaxed) } else { 0 }))
    }
}
