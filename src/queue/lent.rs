//! Messages in place: reserved by who puts them, leased by who gets them. Whose they are when somebody dies is in
//! [`crate::shm::parcel`].

use super::{BOUNDED, JOINABLE, Queue, closed, gone, region};
use crate::error::{Error, Result};
use crate::pin;
use crate::shm::cell::{Cell, Kind, Reference};
use crate::shm::memory::Deadline;
use crate::shm::parcel::{self, EVER};
use crate::shm::parcel_cell;
use crate::shm::queue::{COPIED, Front, count};
use crate::shm::queue_cell::{ONE_GETS, SHUT};
use crate::shm::real::Real;
use crate::shm::region::Region;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// From this length on a message is copied without a lock, to memory of its own.
pub const COPIED_ALONE: usize = 32 << 10;

/// A message in place: reserved, or leased.
#[derive(Clone, Copy)]
pub struct Message {
    /// What names it in its queue.
    pub id: u64,
    /// Its bytes.
    pub data: Region,
    /// How often it was delivered, this time included. 0: it is reserved.
    pub deliveries: u32,
}

/// What a getter wants of the next message.
#[derive(Clone, Copy)]
enum Want {
    /// So many bytes at most: longer ones stay.
    Bytes(usize),
    /// Any bytes.
    Place,
    /// An object.
    Object,
}

impl Want {
    /// Whether the next one, of `len` bytes or an object, is it.
    fn check(self, len: u64, is_object: bool) -> Result<()> {
        match (self, is_object) {
            (Want::Object, false) => Err(Error::NotPermitted("what comes next is a message")),
            (Want::Bytes(_) | Want::Place, true) => Err(Error::NotPermitted("what comes next is a handle")),
            (Want::Bytes(capacity), false) if len > capacity as u64 => {
                Err(Error::MessageSize { needed: len as usize, capacity })
            }
            _ => Ok(()),
        }
    }
}

/// What a look for the next message found.
enum Found {
    /// It is the caller's.
    Message(&'static Cell),
    /// It is not there: the record was damaged. The next one may be there.
    Void,
    /// It was delivered too often, and is the caller's to bring elsewhere.
    Dead(&'static Cell),
    Nothing,
}

impl Queue {
    fn slot(self) -> u32 {
        self.family.me.slot
    }

    fn id_of(self, cell: &Cell) -> u64 {
        cell.reference(self.family.arena).to_bits()
    }

    /// The message of this queue that this process has reserved (or leased: `sent`).
    fn own(self, id: u64, sent: bool) -> Result<&'static Cell> {
        let reference = Reference::from_bits(id);
        let cell = reference.cell(self.family.arena).filter(|_| reference.kind == Kind::Parcel as u8);
        let own = |cell: &&'static Cell| {
            cell.item_size.load(Acquire) == self.reference().to_bits()
                && cell.parcel(reference.generation).is_of(self.slot(), sent)
        };
        cell.filter(own).ok_or_else(|| Error::BadHandle("the message is not this process's to do this with".into()))
    }

    // ---- putting ----

    /// A message of up to `len` bytes, to be filled where it lies, then committed.
    pub fn reserve(self, len: usize) -> Result<Message> {
        self.checked()?;
        if self.ends.flags() & SHUT != 0 {
            return Err(closed("the queue was shut down"));
        }
        let cell = parcel_cell::make(self.family.arena, self.ends, len as u64, self.slot())?;
        let data = parcel_cell::bytes(self.family.arena, cell, len as u64)?;
        Ok(Message { id: self.id_of(cell), data, deliveries: 0 })
    }

    /// The first `len` bytes of a reserved message are put.
    pub fn commit(self, id: u64, len: usize, deadline: Deadline) -> Result<()> {
        self.checked()?;
        let cell = self.own(id, false)?;
        let reserved = cell.len.load(Relaxed);
        if len as u64 > reserved {
            return Err(Error::MessageSize { needed: len, capacity: reserved as usize });
        }
        if self.try_commit(cell, id, len, deadline)? {
            return Ok(());
        }
        let attempt = || Ok(self.try_commit(cell, id, len, deadline)?.then_some(()));
        self.wait(self.ends.room(), deadline, attempt, || self.is_abandoned())
    }

    /// False if there is no room.
    fn try_commit(self, cell: &'static Cell, id: u64, len: usize, deadline: Deadline) -> Result<bool> {
        if self.ends.flags() & SHUT != 0 {
            return Err(closed("the queue was shut down"));
        }
        let inside = self.lock_tail(deadline)?;
        // Another thread may have committed it.
        self.own(id, false)?;
        let arena = self.family.arena;
        if self.ends.flags() & BOUNDED != 0 && !self.has_room(self.ends.block(arena)?, len, 1)? {
            return Ok(false);
        }
        let queue = self.ends.queue(arena)?;
        let parcel = cell.parcel(Reference::from_bits(id).generation);
        let mut batch = queue.begin();
        queue.push(&mut batch, len as u64, id)?;
        cell.len.store(len as u64, Relaxed);
        parcel.number.store(queue.next_number(), Relaxed);
        self.ends.putting().store(id, Release);
        queue.commit(batch);
        parcel.send(self.slot());
        drop(inside);
        self.tell_of_news(self.ends.flags());
        Ok(true)
    }

    /// Puts one that is too long to be copied while others wait.
    #[cold]
    pub(super) fn put_large(self, item: &[u8], deadline: Deadline) -> Result<()> {
        let message = self.reserve(item.len())?;
        message.data.write(item);
        let put = self.commit(message.id, item.len(), deadline);
        put.inspect_err(|_| _ = self.give_back(message.id))
    }

    /// Puts an object of the family, of which `bits` is what travels. The message keeps it.
    pub fn put_object(self, bits: u64, deadline: Deadline) -> Result<()> {
        let object = Reference::from_bits(bits);
        if object == self.reference() {
            return Err(Error::invalid("a queue does not travel through itself, where it would keep itself"));
        }
        let message = self.reserve(0)?;
        let cell = self.own(message.id, false)?;
        parcel_cell::object(cell).store(bits, Relaxed);
        let put = cell.refer(self.family.arena, object).and_then(|()| self.commit(message.id, 0, deadline));
        put.inspect_err(|_| _ = self.give_back(message.id))
    }

    // ---- getting ----

    /// Leases the oldest message.
    pub fn peek(self, deadline: Deadline) -> Result<Message> {
        self.lease(Want::Place, deadline)
    }

    /// Gets the oldest message, which is an object: shows `make` what travelled, and a view that keeps it for this process.
    pub fn get_object(self, make: &mut dyn FnMut(u64, &'static Cell) -> Result<()>, deadline: Deadline) -> Result<()> {
        let message = self.lease(Want::Object, deadline)?;
        let bits = parcel_cell::object(self.own(message.id, true)?).load(Relaxed);
        let view = pin::view_of(self.family, Reference::from_bits(bits));
        let made = view.and_then(|view| {
            let let_go = |_: &Error| view.let_go(self.family.arena, view.generation(), self.slot());
            make(bits, view).inspect_err(let_go)
        });
        made.inspect_err(|_| _ = self.give_back(message.id))?;
        self.consume(message.id)
    }

    fn lease(self, want: Want, deadline: Deadline) -> Result<Message> {
        let attempt = || self.try_lease(want, deadline);
        if let Some(message) = attempt()? {
            return Ok(message);
        }
        self.wait(self.ends.news(), deadline, attempt, || self.is_over())
    }

    /// The same as a get of one message does it.
    #[cold]
    pub(super) fn get_lent(
        self,
        out: &mut [u8],
        stride: usize,
        lens: &mut [usize],
        deadline: Deadline,
    ) -> Result<Option<usize>> {
        let Some(message) = self.try_lease(Want::Bytes(stride), deadline)? else { return Ok(None) };
        message.data.read(&mut out[..message.data.len()]);
        if let Some(len) = lens.first_mut() {
            *len = message.data.len();
        }
        self.consume(message.id)?;
        Ok(Some(1))
    }

    /// `None` if there is no message. What is not wanted stays.
    fn try_lease(self, want: Want, deadline: Deadline) -> Result<Option<Message>> {
        let arena = self.family.arena;
        if self.ends.flags() & ONE_GETS != 0 {
            self.be_consumer(deadline)?;
        }
        loop {
            if self.size_now() == 0 && !self.some_came_back() {
                return if self.ends.is_there() { Ok(None) } else { Err(gone()) };
            }
            let inside = self.lock_head(deadline)?;
            let block = self.ends.block(arena)?;
            let found = match self.find_returned(want)? {
                Found::Nothing => self.find_front(want)?,
                found => found,
            };
            self.leave_head(inside, block);
            match found {
                Found::Message(cell) => {
                    let deliveries = parcel_cell::deliveries(cell).load(Relaxed).saturating_add(1);
                    parcel_cell::deliveries(cell).store(deliveries, Relaxed);
                    let data = parcel_cell::bytes(arena, cell, cell.len.load(Acquire))?;
                    let deliveries = deliveries.min(u32::MAX as u64) as u32;
                    return Ok(Some(Message { id: self.id_of(cell), data, deliveries }));
                }
                Found::Nothing => return Ok(None),
                Found::Dead(cell) => self.bury(cell)?,
                Found::Void => self.tell_joiners(),
            }
        }
    }

    /// The head's lock is held.
    fn find_returned(self, want: Want) -> Result<Found> {
        if !self.some_came_back() {
            return Ok(Found::Nothing);
        }
        let arena = self.family.arena;
        let taken = count(self.ends.outlet.inline[0].load(Relaxed));
        let Some((cell, parcel)) = parcel_cell::oldest(arena, self.ends, taken) else { return Ok(Found::Nothing) };
        let most = self.ends.block(arena)?.max_deliveries.load(Relaxed);
        let dead = most != 0 && parcel_cell::deliveries(cell).load(Relaxed) >= most;
        if !dead {
            want.check(cell.len.load(Relaxed), parcel_cell::is_object(cell))?;
        }
        Ok(match parcel.claim_returned(self.slot()) {
            true if dead => Found::Dead(cell),
            true => Found::Message(cell),
            false => Found::Nothing,
        })
    }

    /// The head's lock is held.
    fn find_front(self, want: Want) -> Result<Found> {
        let arena = self.family.arena;
        let queue = self.ends.queue(arena)?;
        let Some(front) = queue.front(&self.ends.outlet.len)? else { return Ok(Found::Nothing) };
        let named = Reference::from_bits(front.message & !COPIED);
        let named_cell = named.cell(arena);
        want.check(front.len, named_cell.is_some_and(parcel_cell::is_object))?;
        let mut cell = named_cell.filter(|cell| cell.parcel(named.generation).claim_front(self.slot()));
        let has_bytes = front.message == 0 || front.message & COPIED != 0;
        if cell.is_none() && has_bytes {
            let copy = self.copy(&front)?;
            queue.set_copy(&front, self.id_of(copy))?;
            copy.parcel(copy.generation()).claim_front(self.slot());
            cell = Some(copy);
        }
        queue.take(front)?;
        match cell {
            Some(cell) => Ok(Found::Message(cell)),
            None => {
                if self.ends.flags() & JOINABLE != 0 {
                    self.count_done();
                }
                Ok(Found::Void)
            }
        }
    }

    /// A copy of a message whose bytes lie in the ring, this process's alone.
    fn copy(self, front: &Front) -> Result<&'static Cell> {
        let arena = self.family.arena;
        let copy = parcel_cell::make(arena, self.ends, front.len, self.slot())?;
        copy.inline[0].store(front.number, Relaxed);
        let from = region(self.family, front.at, front.len)?;
        parcel_cell::bytes(arena, copy, front.len)?.write(from.frozen());
        Ok(copy)
    }

    /// A leased message is done with, and its memory goes.
    pub fn consume(self, id: u64) -> Result<()> {
        let cell = self.own(id, true)?;
        let joinable = self.ends.flags() & JOINABLE != 0;
        let inside = if joinable { Some(self.lock_head(None)?) } else { None };
        if joinable {
            // Before it is consumed: who dies in between has no task any more, and the message comes back.
            self.ends.ledger(self.family.arena)?.add(self.family.me, 1);
        }
        let consumed = cell.parcel(Reference::from_bits(id).generation).consume(self.slot());
        if joinable && !consumed {
            self.ends.ledger(self.family.arena)?.add(self.family.me, -1);
        }
        drop(inside);
        if !consumed {
            return Err(Error::BadHandle("the message was consumed by another thread".into()));
        }
        cell.collect(self.family.arena, self.slot());
        // Who waits for the end waits for what was leased too.
        self.ends.news().rouse_all();
        self.ends.tell(self.family.arena);
        Ok(())
    }

    /// A reserved message is dropped; a leased one comes again, before all others.
    pub fn give_back(self, id: u64) -> Result<()> {
        let cell = self.own(id, true).or_else(|_| self.own(id, false))?;
        cell.let_go(self.family.arena, Reference::from_bits(id).generation, self.slot());
        Ok(())
    }

    /// Brings a message that is this process's to the queue of the dead letters, where it counts as one that came back: in one
    /// store, so that it is in one of the two queues whoever dies.
    fn bury(self, cell: &'static Cell) -> Result<()> {
        let arena = self.family.arena;
        let generation = cell.generation();
        // It is not lost: whoever gets next tries again.
        let fails = |_: &Error| cell.let_go(arena, generation, self.slot());
        let target = Reference::from_bits(self.ends.inlet.refers_to.load(Acquire));
        let there = target.cell(arena).and_then(|inlet| Queue::of(self.family, inlet, target.generation).ok());
        let there = there.ok_or_else(gone).inspect_err(fails)?;
        parcel::expect::<Real>(there.ends.parcels());
        cell.parcel(generation).mark_taken();
        cell.item_size.store(target.to_bits(), Release);
        cell.let_go(arena, generation, self.slot());
        // Who waits for the end of this queue waited for it too.
        self.ends.news().rouse_all();
        self.ends.tell(arena);
        if self.ends.flags() & JOINABLE != 0 {
            // As if it had been got here, and done.
            let inside = self.lock_head(None)?;
            self.count_done();
            drop(inside);
            self.tell_joiners();
        }
        Ok(())
    }

    // ---- what is left ----

    /// How many came back and are not leased again.
    pub(super) fn returned(self) -> u64 {
        if !self.some_came_back() {
            return 0;
        }
        let taken = count(self.ends.outlet.inline[0].load(Acquire));
        let cells = parcel_cell::of_queue(self.family.arena, self.reference());
        cells.filter(|cell| cell.parcel(cell.generation()).came_back(taken)).count() as u64
    }

    /// Whether there is a message that may come back, or has: of others than this process.
    pub(super) fn is_lent_to_others(self) -> bool {
        self.is_out(|owner| owner != self.slot())
    }

    /// Whether no message is left, nor comes back. The head's lock is held.
    pub(super) fn is_all_gone(self) -> bool {
        self.size_now() == 0 && !self.is_out(|_| true)
    }

    /// Whether a message that was taken is not consumed, and is somebody's of whom `whose` says so; 0 is nobody.
    fn is_out(self, whose: impl Fn(u32) -> bool) -> bool {
        if self.ends.parcels().load(Acquire) & EVER == 0 {
            return false;
        }
        let taken = count(self.ends.outlet.inline[0].load(Acquire));
        let mut cells = parcel_cell::of_queue(self.family.arena, self.reference());
        cells.any(|cell| {
            let parcel = cell.parcel(cell.generation());
            parcel.owner_if_sent().is_some_and(&whose) && parcel.is_taken(taken)
        })
    }
}
