//! The ends of a pipe: two rings in the arena, for processes of the family. What survives whom is in [`crate::shm::pipe`],
//! who has an end in [`crate::shm::pipe_cell`].
#![forbid(unsafe_code)]

use super::stream::take;
use super::{Backend, Connection, Make};
use crate::bell::Bell;
use crate::error::{Error, Result};
use crate::family::{self, Family, Sentry};
use crate::pin;
use crate::shm::arena::Arena;
use crate::shm::cell::{Cell, Kind, Reference};
use crate::shm::heap::Heap;
use crate::shm::lock_word::Acquired;
use crate::shm::member::MemberId;
use crate::shm::memory::Deadline;
use crate::shm::pipe::{INLINE, LONG, OBJECT, Slot, Tried};
use crate::shm::pipe_cell::{self, End, LANE, RECEIVES, SENDS, damaged, waiters};
use crate::shm::real::Real;
use crate::shm::region::Region;
use crate::shm::transit;
use crate::sync::wait_at;
use crate::sys::clock::now_ns;
use crate::sys::turn::Turn;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

/// How long a call that does not wait gives a short critical section of another, or the repair of its death.
const PATIENCE_NS: u64 = 20_000_000;
/// Bit of [`PipeEnd::users`].
const CLOSED: usize = 1 << (usize::BITS - 1);

const SHUT: Error = Error::Closed("this end of the connection is closed");
const GONE: Error = Error::Closed("the other end of the pipe is gone");

/// One end, as one handle of one process has it.
struct PipeEnd {
    arena: Arena,
    reference: Reference,
    end: End,
    flags: u32,
    /// Who has it by this handle, and how: slot, generation of the member, index of the view, 0 for the end's creator. 0
    /// once it has let go. A copy in a forked child names the parent until the child uses it.
    hold: AtomicU64,
    /// Threads that are inside, and [`CLOSED`]: the last of them lets go.
    users: AtomicUsize,
    /// There is a bell. Written by whoever has its turn.
    polled: AtomicBool,
    /// Of an end that is used alone: a message was taken, and the other end does not know yet that there is room.
    untold: AtomicBool,
    /// What this process polls.
    bell: Turn<Option<Bell>>,
}

/// A hold as a word: 12 bits, 24 bits, 24 bits.
fn hold_of(me: MemberId, view: u64) -> u64 {
    (me.slot as u64) << 48 | (me.generation as u64 & 0xff_ffff) << 24 | view & 0xff_ffff
}

fn holder(hold: u64) -> u64 {
    hold >> 24
}

/// Makes a pipe: an end that receives and one that sends, or two that do both.
pub fn new(one_way: bool) -> Result<[Connection; 2]> {
    let both = RECEIVES | SENDS;
    make(if one_way { [RECEIVES, SENDS] } else { [both, both] })
}

/// Makes a pipe for [`open_lane`]. Its ends are no handles, travel nowhere else, and are used *alone*: each by one thread at a time, which
/// alone closes it, in the process that made or opened it. So where nothing has to wait there is nobody to lock out, and nobody to count.
pub fn new_lane() -> Result<[Connection; 2]> {
    make([RECEIVES | SENDS | LANE; 2])
}

fn make(flags: [u32; 2]) -> Result<[Connection; 2]> {
    let family = family::current()?;
    let [left, right] = pipe_cell::make(family.arena, flags, family.me.slot)?;
    Ok([of(family, left, 0)?, of(family, right, 0)?])
}

/// Opens the end that somebody names who may not be of the family: no other than one that was made for this.
pub fn open_lane(family: Family, end: Reference) -> Result<Connection> {
    match end.cell(family.arena) {
        Some(cell) if cell.kind() == Kind::End && cell.flags.load(Acquire) & LANE != 0 => open(family, end),
        _ => Err(Error::BadHandle("there is no such lane".into())),
    }
}

/// Opens the end that an argument names.
pub fn open(family: Family, end: Reference) -> Result<Connection> {
    let view = pin::own_view_of(family, end)?;
    of(family, end, family.arena.cell_index(view))
        .inspect_err(|_| view.let_go(family.arena, view.generation(), family.me.slot))
}

/// Opens an end that this process keeps by a view.
pub fn keep(family: Family, end: Reference, view: &'static Cell) -> Result<Connection> {
    of(family, end, family.arena.cell_index(view))
}

fn of(family: Family, reference: Reference, view: u64) -> Result<Connection> {
    let end = End::of(family.arena, reference).ok_or(Error::BadHandle("the end of the pipe is gone".into()))?;
    Ok(Connection::new(PipeEnd {
        arena: family.arena,
        reference,
        end,
        flags: end.cell.flags.load(Acquire),
        hold: AtomicU64::new(hold_of(family.me, view)),
        users: AtomicUsize::new(0),
        polled: AtomicBool::new(false),
        untold: AtomicBool::new(false),
        bell: Turn::new(None),
    }))
}

/// A thread inside, which keeps the end there.
struct Inside<'a> {
    pipe: &'a PipeEnd,
    family: Family,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if self.pipe.users.fetch_sub(1, SeqCst) == CLOSED | 1 {
            self.pipe.let_go();
        }
    }
}

/// The lock of an end.
struct Locked<'a> {
    pipe: &'a PipeEnd,
    slot: u32,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let End { cell, generation, .. } = self.pipe.end;
        if !cell.lock.try_release_to(cell.free_lock(), generation as u16, self.slot) {
            cell.lock.release(generation as u16);
        }
    }
}

impl PipeEnd {
    #[inline]
    fn enter(&self) -> Result<Inside<'_>> {
        let family = family::current()?;
        let before = self.users.fetch_add(1, SeqCst);
        let inside = Inside { pipe: self, family };
        if before & CLOSED != 0 {
            return Err(SHUT);
        }
        if holder(self.hold.load(Acquire)) != holder(hold_of(family.me, 0)) {
            self.adopt(family)?;
        }
        Ok(inside)
    }

    /// In a process that inherited the handle: from now on it has the end itself.
    #[cold]
    fn adopt(&self, family: Family) -> Result<()> {
        let view = pin::own_view_of(family, self.reference)?;
        let mine = hold_of(family.me, family.arena.cell_index(view));
        let inherited = self.hold.load(Acquire);
        let other_thread = holder(inherited) == holder(mine);
        if other_thread || self.hold.compare_exchange(inherited, mine, AcqRel, Relaxed).is_err() {
            view.let_go(family.arena, view.generation(), family.me.slot);
        }
        Ok(())
    }

    /// This process has it no longer by this handle.
    fn let_go(&self) {
        self.drop_bell();
        let hold = self.hold.swap(0, AcqRel);
        let Ok(family) = family::current() else { return };
        if hold == 0 || holder(hold) != holder(hold_of(family.me, 0)) {
            return;
        }
        match hold & 0xff_ffff {
            0 => self.end.cell.let_go(self.arena, self.reference.generation, family.me.slot),
            view => {
                if let Some(view) = self.arena.cell(view) {
                    view.let_go(self.arena, view.generation(), family.me.slot);
                }
            }
        }
    }

    #[inline]
    fn lock(&self, family: Family, deadline: Deadline) -> Result<Locked<'_>> {
        let End { cell, generation, .. } = self.end;
        if !cell.lock.try_acquire_from(cell.free_lock(), generation as u16, family.me.slot) {
            self.lock_slowly(family, deadline)?;
        }
        Ok(Locked { pipe: self, slot: family.me.slot })
    }

    /// A dead holder's lock is as good as any: there is nothing to repair.
    #[cold]
    fn lock_slowly(&self, family: Family, deadline: Deadline) -> Result<()> {
        let End { cell, generation, .. } = self.end;
        let deadline = deadline.map(|deadline| deadline.max(now_ns() + PATIENCE_NS));
        let mut sentry = Sentry::new(family, deadline);
        loop {
            match cell.lock.acquire(generation as u16, family.me.slot, true, deadline, || sentry.alarm()) {
                Acquired::Held => return Ok(()),
                Acquired::TimedOut => return Err(Error::TimedOut),
                Acquired::Gone => return Err(SHUT),
                Acquired::OwnerDied | Acquired::Interrupted => {}
            }
        }
    }

    /// Waits at this end until `done`, or until it is closed.
    fn wait(&self, family: Family, deadline: Deadline, done: impl Fn() -> bool) -> Result<()> {
        let End { cell, generation, .. } = self.end;
        let closed = || self.users.load(Acquire) & CLOSED != 0;
        wait_at(family, cell, generation, waiters(cell), deadline, || (done() || closed()).then_some(()))?;
        if closed() { Err(SHUT) } else { Ok(()) }
    }

    fn block(&self, slot: &Slot<Real>) -> Result<&'static AtomicU64> {
        self.arena.word(self.arena.offset_of(&slot.block)).ok_or_else(damaged)
    }

    /// Writes a message to a slot that is this end's to write.
    #[inline(always)]
    fn put(&self, slot: &Slot<Real>, message: &[u8]) -> Result<u64> {
        if message.len() <= INLINE * 8 {
            for (word, bytes) in slot.words.iter().zip(message.chunks(8)) {
                let mut whole = [0; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                word.store(u64::from_ne_bytes(whole), Relaxed);
            }
        } else {
            let (heap, field) = (Heap::of(self.arena), self.block(slot)?);
            let len = message.len() as u64;
            let block = field.load(Relaxed);
            let block = if block != 0 && heap.capacity(block)? >= len {
                block
            } else {
                heap.give(field)?;
                heap.take(len, field)?
            };
            let place = Region::of(self.arena, block, len).ok_or_else(damaged)?;
            place.write(message);
        }
        Ok(message.len() as u64)
    }

    /// Writes an object that `keeper` keeps to a slot that is this end's to write.
    fn put_object(&self, slot: &Slot<Real>, bits: u64, keeper: &Cell) -> u64 {
        transit::set_number(keeper, self.end.out.next());
        slot.words[0].store(bits, Relaxed);
        slot.words[1].store(keeper.reference(self.arena).to_bits(), Relaxed);
        OBJECT
    }

    /// Shows `make` the object of a slot that is this end's to read.
    fn take_object(&self, family: Family, slot: &Slot<Real>, len: u64, make: Make<'_>) -> Result<()> {
        if len & OBJECT == 0 {
            return Err(Error::NotPermitted("what comes next is a message"));
        }
        let bits = slot.words[0].load(Relaxed);
        let view = pin::view_of(family, Reference::from_bits(bits))?;
        make(bits, view).inspect_err(|_| view.let_go(self.arena, view.generation(), family.me.slot))
    }

    /// Reads the message of a slot that is this end's to read.
    #[inline(always)]
    fn take(&self, slot: &Slot<Real>, len: u64, out: &mut [u8]) -> Result<usize> {
        if len & OBJECT != 0 {
            return Err(Error::NotPermitted("what comes next is a handle"));
        }
        let len = usize::try_from(len).map_err(|_| damaged())?;
        let capacity = out.len();
        let out = out.get_mut(..len).ok_or(Error::MessageSize { needed: len, capacity })?;
        if len <= INLINE * 8 {
            for (word, bytes) in slot.words.iter().zip(out.chunks_mut(8)) {
                bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes()[..bytes.len()]);
            }
        } else {
            let place = Region::of(self.arena, slot.block.load(Relaxed), len as u64).ok_or_else(damaged)?;
            place.read(out);
        }
        Ok(len)
    }

    fn give_back(&self, slot: &Slot<Real>, len: u64) {
        if len & OBJECT != 0 {
            let keeper = Reference::from_bits(slot.words[1].load(Relaxed)).cell(self.arena);
            if let (Some(keeper), Ok(family)) = (keeper, family::current()) {
                keeper.collect(self.arena, family.me.slot);
            }
            return;
        }
        // A damaged block is lost, and nothing else.
        let _ = self.block(slot).and_then(|field| Heap::of(self.arena).give(field));
    }

    fn is_readable(&self) -> bool {
        self.flags & RECEIVES != 0 && self.end.into.is_readable(|| self.end.into.has_sender())
    }

    /// A call has found nothing: from now on news rings the bell, if this process has one.
    fn arm(&self, family: Family, is_news: impl FnOnce() -> bool) -> Result<Option<RawFd>> {
        let bell = take(&self.bell, None)?;
        let bell = bell.as_ref().filter(|bell| bell.is_of(family));
        Ok(bell.map(|bell| bell.arm(|| self.is_readable() || is_news())))
    }

    fn make_bell(&self, family: Family) -> Result<()> {
        let mut bell = take(&self.bell, None)?;
        if bell.as_ref().is_some_and(|bell| bell.is_of(family)) {
            return Ok(());
        }
        *bell = Some(Bell::new(family, self.reference.to_bits())?);
        self.end.set_polled();
        self.polled.store(true, Release);
        Ok(())
    }

    /// The end of a call that may have found nothing; whether there is something for it by now.
    fn told<T>(&self, family: Family, result: Result<T>, is_news: impl FnOnce() -> bool) -> Result<T> {
        if self.polled.load(Acquire) && matches!(result, Err(Error::TimedOut)) {
            self.arm(family, is_news)?;
        }
        result
    }

    fn drop_bell(&self) {
        if let Ok(mut bell) = take(&self.bell, Some(0)) {
            *bell = None;
        }
    }

    /// Whether this end is used alone, see [`new_lane`], and not closed.
    #[inline(always)]
    fn is_alone(&self) -> bool {
        self.flags & LANE != 0 && self.users.load(Relaxed) == 0
    }

    /// The other end is told what happened here.
    #[inline(always)]
    fn tell_other(&self) {
        self.end.wake_other(self.arena);
        self.untold.store(false, Relaxed);
    }

    /// Sends from an end that is used alone; `None` if that has to wait, or cannot be.
    #[inline(always)]
    fn send_alone(&self, message: &[u8]) -> Option<Result<()>> {
        let out = self.end.out;
        match out.try_send(message.len() > LONG, || out.has_receiver(), |slot| self.put(slot, message)) {
            Tried::Done(sent) => {
                self.tell_other();
                Some(sent)
            }
            Tried::Nothing | Tried::Gone => None,
        }
    }

    /// Receives at an end that is used alone; `None` if that has to wait, or cannot be. That there is room is said with the next message that is
    /// sent, or the next look that finds nothing.
    #[inline(always)]
    fn receive_alone(&self, out: &mut [u8]) -> Option<Result<usize>> {
        let into = self.end.into;
        let (take, give_back) =
            (|slot: &Slot<Real>, len| self.take(slot, len, out), |slot: &Slot<Real>, len| self.give_back(slot, len));
        match into.try_receive(|| into.has_sender(), take, give_back) {
            Tried::Done(received) => {
                self.untold.store(true, Relaxed);
                Some(received)
            }
            Tried::Nothing | Tried::Gone => None,
        }
    }

    fn check(&self, flag: u32, why: &'static str) -> Result<()> {
        if self.flags & flag != 0 { Ok(()) } else { Err(Error::NotPermitted(why)) }
    }

    fn check_receives(&self) -> Result<()> {
        self.check(RECEIVES, "this end of the pipe only sends")
    }

    #[inline(always)]
    fn send_inside(
        &self,
        inside: &Inside,
        long: bool,
        put: impl Fn(&Slot<Real>) -> Result<u64>,
        deadline: Deadline,
    ) -> Result<()> {
        self.check(SENDS, "this end of the pipe only receives")?;
        let end = &self.end;
        loop {
            let locked = self.lock(inside.family, deadline)?;
            let tried = end.out.try_send(long, || end.out.has_receiver(), &put);
            drop(locked);
            match tried {
                Tried::Done(sent) => {
                    end.wake_other(self.arena);
                    return sent;
                }
                Tried::Gone => return Err(GONE),
                Tried::Nothing => {}
            }
            let done = || end.out.is_writable(long, || end.out.has_receiver());
            self.wait(inside.family, deadline, done)?;
        }
    }

    #[inline(always)]
    fn receive_inside<T>(
        &self,
        inside: &Inside,
        mut take: impl FnMut(&Slot<Real>, u64) -> Result<T>,
        deadline: Deadline,
    ) -> Result<T> {
        self.check_receives()?;
        let end = &self.end;
        loop {
            if end.into.is_readable(|| end.into.has_sender()) {
                let locked = self.lock(inside.family, deadline)?;
                let tried =
                    end.into.try_receive(|| end.into.has_sender(), &mut take, |slot, len| self.give_back(slot, len));
                drop(locked);
                match tried {
                    Tried::Done(received) => {
                        if received.is_ok() {
                            end.wake_other(self.arena);
                        }
                        return received;
                    }
                    Tried::Gone => return Err(GONE),
                    Tried::Nothing => {}
                }
            }
            self.wait(inside.family, deadline, || end.into.is_readable(|| end.into.has_sender()))?;
        }
    }
}

impl Backend for PipeEnd {
    fn send(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        if self.is_alone()
            && let Some(sent) = self.send_alone(message)
        {
            return sent;
        }
        let (inside, end, long) = (self.enter()?, &self.end, message.len() > LONG);
        let is_writable = || end.out.is_writable(long, || end.out.has_receiver());
        let sent = self.send_inside(&inside, long, |slot| self.put(slot, message), deadline);
        self.told(inside.family, sent, is_writable)
    }

    fn send_object(&self, bits: u64, deadline: Deadline) -> Result<()> {
        let (inside, end) = (self.enter()?, &self.end);
        let (family, object) = (inside.family, Reference::from_bits(bits));
        let receiver = end.receiver(family.arena);
        if object == receiver || object == self.reference {
            return Err(Error::invalid(
                "an end of a pipe does not travel through that pipe, where it would keep itself",
            ));
        }
        let keeper = transit::make(family.arena, object, receiver, family.me.slot)?;
        let put = |slot: &Slot<Real>| Ok(self.put_object(slot, bits, keeper));
        let generation = keeper.generation();
        let sent = self.send_inside(&inside, false, put, deadline);
        // From here on the message keeps it, if there is one.
        keeper.let_go(family.arena, generation, family.me.slot);
        self.told(family, sent, || end.out.is_writable(false, || end.out.has_receiver()))
    }

    fn receive_object(&self, make: Make<'_>, deadline: Deadline) -> Result<()> {
        let inside = self.enter()?;
        let take = |slot: &Slot<Real>, len| self.take_object(inside.family, slot, len, make);
        self.told(inside.family, self.receive_inside(&inside, take, deadline), || false)
    }

    fn receive(&self, out: &mut [u8], deadline: Deadline) -> Result<usize> {
        if self.is_alone()
            && let Some(received) = self.receive_alone(out)
        {
            return received;
        }
        let inside = self.enter()?;
        let received = self.receive_inside(&inside, |slot, len| self.take(slot, len, out), deadline);
        self.told(inside.family, received, || false)
    }
    fn is_ready(&self, deadline: Deadline) -> Result<bool> {
        let inside = self.enter()?;
        self.check_receives()?;
        let end = &self.end;
        let waited = self.wait(inside.family, deadline, || end.into.is_readable(|| end.into.has_sender()));
        match self.told(inside.family, waited, || false) {
            Err(Error::TimedOut) => Ok(false),
            result => result.map(|()| true),
        }
    }

    fn has_something(&self) -> Result<bool> {
        if self.is_alone() {
            let found = self.end.into.is_readable(|| self.end.into.has_sender());
            if !found && self.untold.load(Relaxed) {
                self.tell_other();
            }
            return Ok(found);
        }
        let _inside = self.enter()?;
        self.check_receives()?;
        Ok(self.end.into.is_readable(|| self.end.into.has_sender()))
    }

    fn is_all_taken(&self) -> bool {
        self.end.out.is_all_taken()
    }

    fn flush(&self, _: Deadline) -> Result<()> {
        self.enter().map(|_| ())
    }

    fn has_rest(&self) -> bool {
        false
    }

    fn fd(&self) -> Result<RawFd> {
        let inside = self.enter()?;
        self.make_bell(inside.family)?;
        self.arm(inside.family, || false)?.ok_or(SHUT)
    }

    fn is_closed(&self) -> bool {
        self.users.load(Acquire) & CLOSED != 0
    }

    fn end(&self) {
        if self.users.fetch_or(CLOSED, SeqCst) == 0 {
            self.let_go();
        } else {
            waiters(self.end.cell).notify(u32::MAX);
        }
    }

    fn close(&self) {
        self.end();
    }

    fn receives(&self) -> bool {
        self.flags & RECEIVES != 0
    }

    fn sends(&self) -> bool {
        self.flags & SENDS != 0
    }

    fn reference(&self) -> Option<Reference> {
        Some(self.reference)
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.let_go();
    }
}
