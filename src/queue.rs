//! Queues: messages from any process of the family to any other. What survives whom is in [`crate::shm::queue`].
#![forbid(unsafe_code)]

mod at_once;
mod lent;
pub mod poll;
mod single;
mod tasks;

pub use lent::Message;

use crate::error::{Error, Result};
use crate::family::{Family, Sentry};
use crate::pin::{self, GIVEN};
use crate::shm::cell::{Cell, Reference};
use crate::shm::gate::Gate;
use crate::shm::lock_word::Acquired;
use crate::shm::member::{Role, State};
use crate::shm::memory::Deadline;
use crate::shm::parcel::CAME_BACK;
use crate::shm::queue::count;
use crate::shm::queue_cell::{Block, CLOSED, CREATOR_CLOSED, DOOMED, Ends, ONE_GETS, ONE_PUTS, SHUT, views};
use crate::shm::real::Real;
use crate::shm::region::Region;
use crate::shm::sole::Who;
use crate::shm::stop;
use crate::sys::clock::{now_ns, spin_or_yield};
use single::Side;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

/// Flag of an inlet, beside those of `queue_cell`: there is a limit, so somebody may wait for room.
const BOUNDED: u32 = 16;
/// Flag of an inlet: what is got is a task, and is said to be done.
const JOINABLE: u32 = 32;
/// How long a waiting thread spins, then yields, before it sleeps: about what a sleep and a wake cost.
const SPIN_NS: u64 = 20_000;
/// How long a call that does not wait gives a short critical section of another, or the repair of its death.
const PATIENCE_NS: u64 = 20_000_000;

/// What a queue is like.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Messages that it may hold; 0 for any number.
    pub max_items: u64,
    /// Bytes of messages that it may hold; 0 for any number.
    pub max_bytes: u64,
    /// What is got is a task, and is said to be done: [`Queue::join`].
    pub joinable: bool,
    /// How often a message is delivered at most, before it goes to `dead_letters`; 0 for any number.
    pub max_deliveries: u64,
    /// The queue of the dead letters.
    pub dead_letters: Option<Queue>,
    /// One thread only puts.
    pub one_puts: bool,
    /// One thread only gets.
    pub one_gets: bool,
}

/// A queue that was there when somebody looked.
#[derive(Clone, Copy)]
pub struct Queue {
    family: Family,
    ends: Ends,
}

/// One of the two locks, held. Whoever wanted to take the queue apart meanwhile left that to us.
struct Inside {
    queue: Queue,
    side: Side,
    /// Where one thread only puts, or gets: who has the role, and with it keeps the lock.
    me: Option<Who>,
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        match self.me {
            Some(me) => self.queue.leave_role(self.side, me),
            None => self.queue.unlock(self.side),
        }
    }
}

/// Copies message `n` of `size` bytes each from `items`, to the words that it gets.
#[inline(always)]
fn from(items: &[u8], size: usize) -> impl FnMut(u64, &'static [AtomicU64]) -> bool {
    move |number, words| {
        let item = items.get(number as usize * size..).and_then(|items| items.get(..size));
        item.is_some_and(|item| Region::of_words(words).write(item))
    }
}

/// Copies message `n` from its words to `out` at `n * stride`, if it is no longer than that, and its length to `lens[n]`, if there is such.
#[inline(always)]
fn to(out: &mut [u8], stride: usize, lens: &mut [usize]) -> impl FnMut(u64, &'static [AtomicU64], u64) -> bool {
    move |number, words, len| {
        let (number, len) = (number as usize, len as usize);
        let place = out.get_mut(number * stride..).and_then(|out| out.get_mut(..len));
        let read = len <= stride && place.is_some_and(|place| Region::of_words(words).read(place));
        if let (true, Some(place)) = (read, lens.get_mut(number)) {
            *place = len;
        }
        read
    }
}

#[cold]
fn gone() -> Error {
    Error::BadHandle("the queue was freed".into())
}

#[cold]
fn closed(why: &'static str) -> Error {
    Error::Closed(why)
}

#[cold]
fn damaged() -> Error {
    Error::Broken("the queue's memory was damaged".into())
}

#[inline(always)]
fn region(family: Family, at: u64, len: u64) -> Result<Region> {
    Region::of(family.arena, at, len).ok_or_else(damaged)
}

impl Queue {
    /// A new queue, kept by this process.
    pub fn make(family: Family, options: Options) -> Result<(&'static Cell, u32)> {
        let single = single::flags(&options)?;
        let ends = Ends::make(family.arena, family.me.slot)?;
        ends.inlet.flags.fetch_or(single, Release);
        let block = ends.block(family.arena)?;
        block.max_items.store(options.max_items, Relaxed);
        block.max_bytes.store(options.max_bytes, Relaxed);
        if let Some(dead_letters) = options.dead_letters {
            block.max_deliveries.store(options.max_deliveries, Relaxed);
            let referred = ends.inlet.refer(family.arena, dead_letters.reference());
            referred.inspect_err(|_| ends.inlet.let_go(family.arena, ends.generation, family.me.slot))?;
        }
        if options.max_items != 0 || options.max_bytes != 0 {
            ends.inlet.flags.fetch_or(BOUNDED, Release);
        }
        if options.joinable {
            let ledger = ends.make_ledger(family.arena);
            ledger.inspect_err(|_| ends.inlet.let_go(family.arena, ends.generation, family.me.slot))?;
            ends.inlet.flags.fetch_or(JOINABLE, Release);
        }
        Ok((ends.inlet, ends.generation))
    }

    /// The queue of a cell.
    #[inline(always)]
    pub fn of(family: Family, cell: &'static Cell, generation: u32) -> Result<Queue> {
        let ends = Ends::of(family.arena, cell, generation).ok_or_else(gone)?;
        Ok(Queue { family, ends })
    }

    /// The queue of a cell, to be put to at once: whether it is there, the put finds.
    #[inline(always)]
    pub fn to_put(family: Family, cell: &'static Cell, generation: u32) -> Result<Queue> {
        let ends = Ends::to_put(family.arena, cell, generation).ok_or_else(gone)?;
        Ok(Queue { family, ends })
    }

    /// The same for all that is not just put.
    fn checked(self) -> Result<Queue> {
        Queue::of(self.family, self.ends.inlet, self.ends.generation)
    }

    fn reference(self) -> Reference {
        self.ends.reference(self.family.arena)
    }

    /// Whether it is one of tasks.
    pub fn is_joinable(self) -> bool {
        self.ends.flags() & JOINABLE != 0
    }

    #[cold]
    fn collect(self) {
        self.ends.inlet.flags.fetch_and(!DOOMED, AcqRel);
        self.ends.inlet.collect(self.family.arena, self.family.me.slot);
    }

    // ---- the locks ----

    #[inline(always)]
    fn lock(self, side: Side, deadline: Deadline) -> Result<Inside> {
        if !self.try_lock(side) {
            self.lock_slowly(side.cell, side.generation as u16, deadline)?;
        }
        Ok(Inside { queue: self, side, me: None })
    }

    #[inline(always)]
    fn try_lock(self, side: Side) -> bool {
        side.cell.lock.try_acquire_from(side.cell.free_lock(), side.generation as u16, self.family.me.slot)
    }

    #[inline(always)]
    fn unlock(self, side: Side) {
        let generation = side.generation as u16;
        if !side.cell.lock.try_release_to(side.cell.free_lock(), generation, self.family.me.slot) {
            side.cell.lock.release(generation);
        }
        if self.ends.flags() & DOOMED != 0 {
            self.collect();
        }
    }

    #[inline(always)]
    fn lock_tail(self, deadline: Deadline) -> Result<Inside> {
        if self.ends.flags() & ONE_PUTS != 0 {
            return self.enter_tail(deadline);
        }
        self.lock(self.tail_side(), deadline)
    }

    #[inline(always)]
    fn lock_head(self, deadline: Deadline) -> Result<Inside> {
        if self.ends.flags() & ONE_GETS != 0 {
            return self.enter_head(deadline);
        }
        self.lock(self.head_side(), deadline)
    }

    /// A dead holder's lock is as good as any: there is nothing to repair.
    #[cold]
    fn lock_slowly(self, cell: &'static Cell, generation: u16, deadline: Deadline) -> Result<()> {
        let slot = self.family.me.slot;
        if cell.lock.try_acquire(generation, slot) {
            return Ok(());
        }
        let deadline = deadline.map(|deadline| deadline.max(now_ns() + PATIENCE_NS));
        let mut sentry = Sentry::new(self.family, deadline);
        loop {
            match cell.lock.acquire(generation, slot, true, deadline, || sentry.alarm()) {
                Acquired::Held => return Ok(()),
                Acquired::TimedOut => return Err(Error::TimedOut),
                Acquired::Gone => return Err(gone()),
                Acquired::OwnerDied | Acquired::Interrupted => {}
            }
        }
    }

    // ---- putting ----

    /// Puts `items`, cut into messages of `size` bytes, as one.
    #[inline(always)]
    pub fn put(self, items: &[u8], size: usize, count: usize, deadline: Deadline) -> Result<()> {
        if count == 1 && size >= lent::COPIED_ALONE {
            return self.checked()?.put_large(items, deadline);
        }
        if self.try_put(items, size, count, deadline)? {
            return Ok(());
        }
        self.checked()?.put_later(items, size, count, deadline)
    }

    #[cold]
    fn put_later(self, items: &[u8], size: usize, count: usize, deadline: Deadline) -> Result<()> {
        let attempt = || Ok(self.try_put(items, size, count, deadline)?.then_some(()));
        self.wait(self.ends.room(), deadline, attempt, || self.is_abandoned())
    }

    /// False if there is no room.
    #[inline(always)]
    fn try_put(self, items: &[u8], size: usize, count: usize, deadline: Deadline) -> Result<bool> {
        let flags = self.ends.flags();
        if flags & SHUT != 0 {
            return Err(self.shut_down());
        }
        let inside = self.lock_tail(deadline)?;
        let block = self.ends.block(self.family.arena)?;
        if flags & BOUNDED != 0 && !self.has_room(block, items.len(), count)? {
            return Ok(false);
        }
        let queue = self.ends.queue_of(self.family.arena, block);
        let mut batch = queue.begin();
        let mut left = count as u64;
        let mut write = from(items, size);
        while left > 0 {
            left -= queue.push_some(&mut batch, size as u64, left, &mut write)?;
        }
        queue.commit(batch);
        drop(inside);
        self.tell_of_news(flags);
        Ok(true)
    }

    /// Something was put.
    #[inline(always)]
    fn tell_of_news(self, flags: u32) {
        if flags & ONE_PUTS != 0 {
            self.ends.news().rouse_light(|| self.size_now());
        } else {
            self.ends.news().rouse(|| self.size_now());
        }
        self.ends.tell(self.family.arena);
    }

    #[cold]
    fn shut_down(self) -> Error {
        self.checked().err().unwrap_or_else(|| closed("the queue was shut down"))
    }

    /// Whether so much more may be put; the tail's lock is held.
    fn has_room(self, block: &Block, bytes: usize, items: usize) -> Result<bool> {
        let (max_items, max_bytes) = (block.max_items.load(Relaxed), block.max_bytes.load(Relaxed));
        if max_items != 0 {
            if items as u64 > max_items {
                return Err(Error::MessageSize { needed: items, capacity: max_items as usize });
            }
            if !self.have_room(items as u64, max_items) {
                return Ok(false);
            }
        }
        if max_bytes != 0 {
            if bytes as u64 > max_bytes {
                return Err(Error::MessageSize { needed: bytes, capacity: max_bytes as usize });
            }
            return Ok(self.ends.queue(self.family.arena)?.bytes() + bytes as u64 <= max_bytes);
        }
        Ok(true)
    }

    /// Whether so many messages more are no more than `most`; the tail's lock is held.
    #[inline(always)]
    fn have_room(self, more: u64, most: u64) -> bool {
        // The head as it was when this was last asked for, as long as that will do.
        let (seen_head, tail) = (&self.ends.inlet.inline[1], count(self.ends.inlet.inline[0].load(Relaxed)));
        let fit = || (tail + more).wrapping_sub(seen_head.load(Relaxed)) <= most;
        fit() || {
            seen_head.store(count(self.ends.outlet.inline[0].load(Acquire)), Relaxed);
            fit()
        }
    }

    /// Whether nobody is left who could make room: there were others, they have ended, and this process never got
    /// anything (else another thread of it may).
    fn is_abandoned(self) -> bool {
        let arena = self.family.arena;
        let lives = |slot: &u32| {
            let member = arena.member(*slot);
            matches!(member.state(), State::Claimed | State::Alive) && !member.has_role(Role::Keeper)
        };
        let me = self.family.me.slot;
        let alone = !arena.slots().filter(|slot| *slot != me).any(|slot| lives(&slot));
        alone && self.ends.inlet.was_passed_on(arena) && self.ends.outlet.type_code.load(Relaxed) != me
    }

    // ---- getting ----

    /// Gets up to `max` messages, at least one; message `n` to `out` at `n * stride`, its length to `lens[n]`, if there is such. How many.
    pub fn get(
        self,
        out: &mut [u8],
        stride: usize,
        max: usize,
        lens: &mut [usize],
        deadline: Deadline,
    ) -> Result<usize> {
        if let Some(got) = self.try_get(out, stride, max, lens, deadline)? {
            return Ok(got);
        }
        let attempt = || self.try_get(out, stride, max, lens, deadline);
        self.wait(self.ends.news(), deadline, attempt, || self.is_over())
    }

    /// `None` if there is no message.
    #[inline(always)]
    fn try_get(
        self,
        out: &mut [u8],
        stride: usize,
        max: usize,
        lens: &mut [usize],
        deadline: Deadline,
    ) -> Result<Option<usize>> {
        if self.ends.flags() & ONE_GETS != 0 {
            self.be_consumer(deadline)?;
        }
        if self.some_came_back() {
            return self.get_lent(out, stride, lens, deadline);
        }
        if self.seems_empty() {
            return if self.ends.is_there() { Ok(None) } else { Err(gone()) };
        }
        let inside = self.lock_head(deadline)?;
        let block = self.ends.block(self.family.arena)?;
        let (queue, seen_tail) = (self.ends.queue_of(self.family.arena, block), &self.ends.outlet.len);
        let Some(mut front) = queue.front(seen_tail)? else { return Ok(None) };
        if front.message != 0 {
            drop(inside);
            return self.get_lent(out, stride, lens, deadline);
        }
        if front.len > stride as u64 {
            return Err(Error::MessageSize { needed: front.len as usize, capacity: stride });
        }
        let mut read = to(out, stride, lens);
        if !read(0, queue.words(front.at, front.len)?, front.len) {
            return Err(damaged());
        }
        let more = if max > 1 { queue.follow(&mut front, max as u64 - 1, seen_tail, read)? } else { 0 };
        let got = 1 + more as usize;
        if self.ends.flags() & JOINABLE != 0 {
            self.ends.ledger(self.family.arena)?.add(self.family.me, got as i64);
        }
        queue.take(front)?;
        self.leave_head(inside, block);
        Ok(Some(got))
    }

    /// Something was taken: who waits for room, or for what is left, hears of it.
    #[inline(always)]
    fn leave_head(self, inside: Inside, block: &Block) {
        self.note_getter();
        let flags = self.ends.flags();
        // While the lock is held: behind it the queue may be gone.
        let max = if flags & BOUNDED != 0 { block.max_items.load(Relaxed) } else { 0 };
        drop(inside);
        if flags & BOUNDED != 0 {
            let room = || self.room_now(max);
            if flags & ONE_GETS != 0 {
                self.ends.room().rouse_light(room);
            } else {
                self.ends.room().rouse(room);
            }
            self.ends.tell(self.family.arena);
        }
        if flags & ONE_GETS == 0 {
            self.ends.news().rouse(|| self.size_now() + self.some_came_back() as u64);
        }
    }

    /// How much room there is where there may be `most` messages (0: any number), for whoever decides about a wake; never 0.
    fn room_now(self, most: u64) -> u64 {
        if most != 0 { most.saturating_sub(self.size_now()).max(1) } else { 1 }
    }

    /// Who got last, for [`Queue::is_abandoned`].
    #[inline(always)]
    fn note_getter(self) {
        let (getter, me) = (&self.ends.outlet.type_code, self.family.me.slot);
        if getter.load(Relaxed) != me {
            getter.store(me, Relaxed);
        }
    }

    /// Whether a message may have come back.
    #[inline(always)]
    fn some_came_back(self) -> bool {
        self.ends.parcels().load(Acquire) & CAME_BACK != 0
    }

    /// Whether there will be no message if there is none: nobody puts any more, and nobody else has one that may come back.
    ///
    /// In this order: nothing more comes, all is taken, nobody has it. Whoever took the last one meanwhile is seen with it.
    fn is_over(self) -> bool {
        !self.ends.is_open(self.family.arena) && !self.is_putting() && self.size_now() == 0 && !self.is_lent_to_others()
    }

    // ---- both ----

    /// Waits at `gate` until `attempt` has an answer. `is_over`: there will be none, if there is none now.
    fn wait<T>(
        self,
        gate: Gate<'static, Real>,
        deadline: Deadline,
        mut attempt: impl FnMut() -> Result<Option<T>>,
        is_over: impl Fn() -> bool,
    ) -> Result<T> {
        if deadline != Some(0)
            && let Some(answer) = self.spin(deadline, &mut attempt)?
        {
            return Ok(answer);
        }
        let mut look = || match self.settled(deadline, &mut attempt) {
            Ok(None) if is_over() => {
                // What came before the end may have come since.
                fence(std::sync::atomic::Ordering::SeqCst);
                attempt().and_then(|answer| answer.ok_or_else(|| self.at_end())).map(Some).transpose()
            }
            Ok(None) if stop::notice() => Some(Err(Error::SoftLimit)),
            answer => answer.transpose(),
        };
        let mut sentry = Sentry::new(self.family, deadline);
        if deadline == Some(0) {
            // Whoever only ever tries must hear of a death as well: this tells the keeper to look.
            sentry.alarm();
            return look().unwrap_or(Err(Error::TimedOut));
        }
        gate.wait_until(deadline, || sentry.alarm(), look).unwrap_or(Err(Error::TimedOut))
    }

    fn spin<T>(self, deadline: Deadline, attempt: &mut impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
        let until = now_ns() + SPIN_NS;
        loop {
            let now = now_ns();
            if now >= until || deadline.is_some_and(|deadline| deadline <= now) {
                return Ok(None);
            }
            spin_or_yield(until - now, SPIN_NS, || false);
            if let Some(answer) = attempt()? {
                return Ok(Some(answer));
            }
        }
    }

    // ---- what is left ----

    /// Whether there is nothing to get; without a look at the line of those who put, as long as there was more when it was looked at last.
    #[inline(always)]
    fn seems_empty(self) -> bool {
        let head = count(self.ends.outlet.inline[0].load(Relaxed));
        count(self.ends.outlet.len.load(Relaxed)) <= head && self.size_now() == 0
    }

    #[inline(always)]
    fn size_now(self) -> u64 {
        // The head first: it never passes the tail.
        let head = count(self.ends.outlet.inline[0].load(Acquire));
        count(self.ends.inlet.inline[0].load(Acquire)).saturating_sub(head)
    }

    /// Messages in it, at this moment.
    pub fn size(self) -> Result<u64> {
        let size = self.size_now() + self.returned();
        if self.ends.is_there() { Ok(size) } else { Err(gone()) }
    }

    /// Whether a put would find no room, at this moment.
    pub fn is_full(self) -> Result<bool> {
        if self.ends.flags() & ONE_PUTS != 0 {
            return self.checked()?.seems_full(1, 1);
        }
        let inside = self.lock_tail(None)?;
        let block = self.ends.block(self.family.arena)?;
        let full = self.ends.flags() & BOUNDED != 0 && !self.has_room(block, 1, 1)?;
        drop(inside);
        Ok(full)
    }

    /// Nobody puts any more; who waits goes on, and what is there can still be got.
    pub fn shut(self) -> Result<()> {
        if self.ends.flags() & ONE_PUTS != 0 {
            return self.checked()?.shut_single();
        }
        // Under the lock: a put that has begun is there before, or finds it.
        let inside = self.lock_tail(None)?;
        self.ends.inlet.flags.fetch_or(SHUT, AcqRel);
        drop(inside);
        self.wake_all();
        Ok(())
    }

    /// What keeps the queue for this process puts no more: a view, or 0 for the creator's own hold.
    pub fn close_hold(self, view: u64) {
        match self.family.arena.cell(view) {
            Some(view) => view.flags.fetch_or(CLOSED, AcqRel),
            None => self.ends.inlet.flags.fetch_or(CREATOR_CLOSED, AcqRel),
        };
        self.wake_all();
    }

    /// The same for what this process was started with.
    pub fn close_given(self) {
        let given = views(self.family.arena, self.reference().to_bits(), self.family.me.slot);
        for view in given.filter(|view| view.flags.load(Acquire) & GIVEN != 0) {
            view.flags.fetch_or(CLOSED, AcqRel);
        }
        self.wake_all();
    }

    /// A view of this process, for a handle that keeps nothing yet.
    pub fn keep(self) -> Result<&'static Cell> {
        pin::view_of(self.family, self.reference())
    }

    fn wake_all(self) {
        self.ends.news().rouse_all();
        self.ends.room().rouse_all();
        self.ends.tell(self.family.arena);
    }
}
