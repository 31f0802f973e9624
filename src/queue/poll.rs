//! Queues by a descriptor: for event loops, and for waits at several things.

use super::Queue;
use crate::bell::{self, Bell};
use crate::error::{Error, Result};
use crate::shm::queue_cell::{ONE_GETS, ONE_PUTS, POLLED};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;

/// What the last calls through a handle did not find, and its descriptor tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A message, or the end.
    News,
    /// Room for so much.
    Room {
        /// Bytes of all of them.
        bytes: usize,
        /// Messages.
        items: usize,
    },
}

/// Bits of what was wanted so far.
const NEWS: u32 = 1;
const ROOM: u32 = 2;

impl Queue {
    /// Whether a get would not have to wait.
    pub fn is_ready(self) -> bool {
        // The end first: what came before it is seen behind it.
        let over = !self.ends.is_there() || self.is_over();
        over || self.size_now() != 0 || self.some_came_back()
    }

    fn has(self, wanted: u32, bytes: usize, items: usize) -> bool {
        self.fence_for_both();
        wanted & NEWS != 0 && self.is_ready() || wanted & ROOM != 0 && self.could_put(bytes, items)
    }

    /// Whether a put would not find it full; also where it would fail for another reason.
    fn could_put(self, bytes: usize, items: usize) -> bool {
        if self.ends.flags() & ONE_PUTS != 0 {
            return !self.seems_full(bytes, items).unwrap_or(false);
        }
        let Ok(_inside) = self.lock_tail(Some(0)) else { return true };
        let block = self.ends.block(self.family.arena);
        block.and_then(|block| self.has_room(block, bytes, items)).unwrap_or(true)
    }

    fn set_polled(self) -> Result<()> {
        if self.ends.flags() & ONE_GETS == 0 {
            // Under the lock, which keeps the queue there.
            let _inside = self.lock_head(Some(0))?;
            self.ends.outlet.flags.fetch_or(POLLED, AcqRel);
            return Ok(());
        }
        // Who polls need not be the consumer: a view keeps it.
        let view = self.keep()?;
        self.ends.outlet.flags.fetch_or(POLLED, AcqRel);
        view.let_go(self.family.arena, view.generation(), self.family.me.slot);
        Ok(())
    }

    /// The bell of a handle of this process; made now if it has none.
    pub fn bell(self, handle: u64) -> Result<Arc<Bell>> {
        bell::get_or_make(self.family, handle, || {
            let bell = Bell::new(self.family, self.reference().to_bits())?;
            self.set_polled()?;
            Ok(bell)
        })
    }

    /// Readable when there may be something for those who got nothing, or found no room, through this handle.
    pub fn fd(self, handle: u64) -> Result<RawFd> {
        Ok(self.bell(handle)?.arm_for(0, |wanted| self.has(wanted, 1, 1)))
    }

    /// The end of a call through this handle, which may have found nothing.
    #[inline(always)]
    pub fn told<T>(self, handle: u64, wanted: Wanted, result: Result<T>) -> Result<T> {
        if matches!(result, Err(Error::TimedOut)) {
            self.found_nothing(handle, wanted);
        }
        result
    }

    #[cold]
    fn found_nothing(self, handle: u64, wanted: Wanted) {
        let Some(bell) = bell::of(handle) else { return };
        let (wanted, bytes, items) = match wanted {
            Wanted::News => (NEWS, 1, 1),
            Wanted::Room { bytes, items } => (ROOM, bytes, items),
        };
        bell.arm_for(wanted, |wanted| self.has(wanted, bytes, items));
    }
}
