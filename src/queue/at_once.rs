//! What most calls do: one short message, nobody in the way, nothing to tell but that it is done. Such a call knows no errors and does not
//! wait: what it does not expect it leaves to the long way, which begins anew and finds out. That costs a third of the instructions.

use super::single::Side;
use super::{BOUNDED, JOINABLE, Queue, lent};
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

    /// Puts a message, if there is nothing to it. False: it was not put.
    #[inline(always)]
    pub fn put_at_once(self, item: &[u8]) -> bool {
        let (flags, side) = (self.ends.flags(), self.tail_side());
        if item.len() >= lent::COPIED_ALONE || flags & SHUT != 0 {
            return false;
        }
        if flags & ONE_PUTS == 0 {
            if !self.try_lock(side) {
                return false;
            }
            let done = self.put_here(item, flags);
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
        let done = self.ends.flags() & SHUT == 0 && self.put_here(item, flags);
        self.leave_role(side, me);
        if done {
            self.ends.news().rouse_light(|| self.size_now());
            self.ends.tell(self.family.arena);
        }
        done
    }

    /// The tail is the caller's.
    #[inline(always)]
    fn put_here(self, item: &[u8], flags: u32) -> bool {
        let Some(block) = self.ends.block_if_there(self.family.arena) else { return false };
        if flags & BOUNDED != 0
            && (block.max_bytes.load(Relaxed) != 0 || !self.have_room(1, block.max_items.load(Relaxed)))
        {
            return false;
        }
        let queue = self.ends.queue_of(self.family.arena, block);
        let Some((batch, words)) = queue.one_more(item.len() as u64) else { return false };
        let written = Region::of_words(words).write(item);
        if written {
            queue.commit(batch);
        }
        written
    }

    /// Gets a message, if there is nothing to it; its length. `None`: nothing was taken.
    #[inline(always)]
    pub fn get_at_once(self, out: &mut [u8]) -> Option<usize> {
        let (flags, side) = (self.ends.flags(), self.head_side());
        if flags & JOINABLE != 0 || self.some_came_back() || self.seems_empty() {
            return None;
        }
        if flags & ONE_GETS == 0 {
            if !self.try_lock(side) {
                return None;
            }
            let taken = self.take_here(out, flags);
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
        let taken = self.take_here(out, flags);
        self.leave_role(side, me);
        let (got, most) = taken?;
        if flags & BOUNDED != 0 {
            self.ends.room().rouse_light(|| self.room_now(most));
            self.ends.tell(self.family.arena);
        }
        Some(got)
    }

    /// The head is the caller's. The message's length, and how many the queue may hold.
    #[inline(always)]
    fn take_here(self, out: &mut [u8], flags: u32) -> Option<(usize, u64)> {
        let block = self.ends.block_if_there(self.family.arena)?;
        let queue = self.ends.queue_of(self.family.arena, block);
        let (front, words) = queue.front_here(&self.ends.outlet.len, out.len() as u64)?;
        let len = front.len as usize;
        if !Region::of_words(words).read(out.get_mut(..len)?) {
            return None;
        }
        queue.take_here(front);
        self.note_getter();
        Some((len, if flags & BOUNDED != 0 { block.max_items.load(Relaxed) } else { 0 }))
    }
}
