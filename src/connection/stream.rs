//! Messages over a stream socket, as CPython's multiprocessing.connection frames them.
//!
//! ```text
//! i32 length, big-endian; where it is -1, a u64 length behind it; then so many bytes
//! ```
//! A descriptor travels with one byte of its own between two messages, as CPython's send_handle sends it. Which byte that
//! is, the kernel says: a receive ends with what came with a descriptor.
//!
//! Neither side ever has half a message to lose: what the kernel gave is kept until the message is whole, and what the
//! kernel did not take of a message that it has begun to take is kept and goes before all else.
#![forbid(unsafe_code)]

use super::haste::Haste;
use crate::error::{Error, Result};
use crate::shm::memory::Deadline;
use crate::shm::stop;
use crate::sys::clock::{now_ns, spin_or_yield};
use crate::sys::socket::{Received, Socket};
use crate::sys::spin;
use crate::sys::turn::{Guard, Refused, Turn};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

/// Messages up to this length, with their header, are received ahead: several with one system call.
const AHEAD: usize = 32 << 10;
/// A longer one that does not come in time grows by at least so much: whatever its header says, no memory is taken for
/// what has not come.
const GROWTH: usize = 64 << 10;
/// An AF_UNIX socket takes a long message in pieces of this length: the kernel then needs a block of pages for each and
/// nothing else, and its reader can begin with the first one.
const PIECE: usize = 32 << 10;
/// Messages up to this length go with their header in one piece.
const TOGETHER: usize = 512;
/// How long who receives waits awake: about what a sleep and a wake cost. It may be for the answer, or the rest of a long message.
const SOON_NS: u64 = 20_000;
/// How long a receive may stay in the kernel before it looks at its deadline.
const LOOK_NS: u64 = 500_000_000;
/// Longest length that four bytes tell.
const SHORT: usize = i32::MAX as usize;
/// The byte that a descriptor comes with: how many there are, as CPython writes it.
const ONE_DESCRIPTOR: [u8; 1] = [1];

const TORN: Error = Error::Closed("the connection is closed by the other end");

/// Waits for the caller's turn.
pub(super) fn take<T>(turn: &Turn<T>, deadline: Deadline) -> Result<Guard<'_, T>> {
    turn.take(deadline).map_err(|refused| match refused {
        Refused::TimedOut => Error::TimedOut,
        Refused::Forked => Error::Broken("another thread was in the middle of it when this process was forked".into()),
    })
}

/// Waits at the socket, unless the task at work should stop. Perhaps for nothing.
fn pause(socket: &Socket, readable: bool, writable: bool, deadline: Deadline) -> Result<bool> {
    match deadline != Some(0) && stop::notice() {
        true => Err(Error::SoftLimit),
        false => socket.wait(readable, writable, deadline),
    }
}

fn broken(why: &'static str) -> Error {
    Error::Broken(why.into())
}

/// The socket, and what is on its way out.
pub(super) struct Line {
    pub(super) socket: Socket,
    /// It is of AF_UNIX.
    pub(super) local: bool,
    /// There is a rest in the outbox. Written by whoever has its turn.
    unsent: AtomicBool,
    /// A receive in the kernel ends after [`LOOK_NS`] at the latest.
    patient: bool,
    haste: Haste,
    outbox: Turn<Outbox>,
}

/// What the kernel has not taken of a message that it has begun to take.
#[derive(Default)]
struct Outbox {
    rest: Vec<u8>,
    gone: usize,
    failed: Option<Error>,
}

impl Line {
    pub(super) fn new(socket: Socket) -> Line {
        Line {
            socket,
            local: false,
            unsent: AtomicBool::new(false),
            patient: false,
            haste: Haste::default(),
            outbox: Turn::new(Outbox::default()),
        }
    }

    /// Of a socket of our own making: whoever has time enough waits for a message in the call that receives it, instead of
    /// asking for it, waiting until there is one, and asking again.
    pub(super) fn patient(socket: Socket) -> Line {
        socket.look_up_after(LOOK_NS);
        Line { patient: true, ..Line::new(socket) }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.outbox.is_taken()
    }

    pub(super) fn has_rest(&self) -> bool {
        self.unsent.load(Acquire)
    }

    /// The caller's turn to send, with nothing left from before.
    fn clear(&self, deadline: Deadline) -> Result<Guard<'_, Outbox>> {
        let mut outbox = take(&self.outbox, deadline)?;
        if let Some(error) = &outbox.failed {
            return Err(error.clone());
        }
        while outbox.gone < outbox.rest.len() {
            match self.socket.send(&[IoSlice::new(&outbox.rest[outbox.gone..])], None, deadline.is_none())? {
                Some(sent) => outbox.gone += sent,
                None if pause(&self.socket, false, true, deadline)? => {}
                None => return Err(Error::TimedOut),
            }
        }
        if !outbox.rest.is_empty() {
            *outbox = Outbox::default();
            self.unsent.store(false, Release);
        }
        Ok(outbox)
    }

    /// Sends what is left from before.
    pub(super) fn flush(&self, deadline: Deadline) -> Result<()> {
        self.clear(deadline).map(|_| ())
    }

    /// Sends a message: nothing of it, or all; perhaps some of it with a later call.
    pub(super) fn send(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        let (mut header, mut at) = ([0xff; 12], 0);
        if message.len() <= SHORT {
            at = 8;
            header[8..].copy_from_slice(&(message.len() as u32).to_be_bytes());
        } else {
            header[4..].copy_from_slice(&(message.len() as u64).to_be_bytes());
        }
        let (mut header, mut rest) = (&header[at..], message);
        let mut outbox = self.clear(deadline)?;
        let whole = header.len() + rest.len();
        while !header.is_empty() || !rest.is_empty() {
            let is_begun = header.len() + rest.len() < whole;
            let sent = match self.send_some(header, rest, deadline.is_none()) {
                // Out of memory, say. Whatever came next would be taken for the rest.
                Err(Error::Os { .. }) if is_begun => return self.keep(&mut outbox, header, rest),
                sent => sent?,
            };
            match sent {
                Some(sent) => {
                    let of_header = sent.min(header.len());
                    header = &header[of_header..];
                    rest = &rest[sent - of_header..];
                }
                None if !is_begun => match pause(&self.socket, false, true, deadline)? {
                    true => {}
                    false => return Err(Error::TimedOut),
                },
                // Begun: it is sent, also if the task should stop.
                None if !stop::is_due() && self.socket.wait(false, true, deadline)? => {}
                None => return self.keep(&mut outbox, header, rest),
            }
        }
        Ok(())
    }

    fn send_some(&self, header: &[u8], rest: &[u8], waits: bool) -> Result<Option<usize>> {
        let whole = header.len() + rest.len();
        if whole <= TOGETHER {
            let mut together = [0; TOGETHER];
            together[..header.len()].copy_from_slice(header);
            together[header.len()..whole].copy_from_slice(rest);
            return self.socket.send_piece(&together[..whole], waits);
        }
        let most = if self.local { PIECE - header.len() } else { rest.len() };
        self.socket.send(&[IoSlice::new(header), IoSlice::new(&rest[..rest.len().min(most)])], None, waits)
    }

    fn keep(&self, outbox: &mut Outbox, header: &[u8], rest: &[u8]) -> Result<()> {
        if outbox.rest.try_reserve_exact(header.len() + rest.len()).is_err() {
            // Whatever came next would be taken for the rest.
            outbox.failed = Some(broken("there was no memory for the rest of a message"));
            self.socket.shut_down();
            return Err(Error::NoMemory("no memory for the rest of a message"));
        }
        outbox.rest.extend_from_slice(header);
        outbox.rest.extend_from_slice(rest);
        self.unsent.store(true, Release);
        Ok(())
    }

    /// Sends a descriptor.
    pub(super) fn send_descriptor(&self, fd: RawFd, deadline: Deadline) -> Result<()> {
        let _outbox = self.clear(deadline)?;
        while self.socket.send(&[IoSlice::new(&ONE_DESCRIPTOR)], Some(fd), deadline.is_none())?.is_none() {
            if !pause(&self.socket, false, true, deadline)? {
                return Err(Error::TimedOut);
            }
        }
        Ok(())
    }

    /// Receives what there is, or comes soon; where that may be, also what comes later.
    fn receive_soon(&self, into: &mut [IoSliceMut<'_>], deadline: Deadline) -> Result<Received> {
        if deadline == Some(0) {
            return self.socket.receive(into, false);
        }
        if self.patient && self.haste.is_none() {
            return self.socket.receive(into, self.may_wait(deadline));
        }
        let until = now_ns() + SOON_NS;
        loop {
            let received = self.socket.receive(into, false)?;
            if !matches!(received, Received::Nothing) {
                self.haste.came(true);
                return Ok(received);
            }
            let now = now_ns();
            // Where others want the processor, an offer costs a time slice of each of them, and a wake-up goes before them.
            if now >= until || spin::is_crowded() {
                self.haste.came(false);
                return self.socket.receive(into, self.may_wait(deadline));
            }
            if self.patient {
                // A request of a client: one offer that is taken costs it more than all that sleeping does.
                (0..16).for_each(|_| std::hint::spin_loop());
                continue;
            }
            spin_or_yield(until - now, SOON_NS, || false);
            spin::was_away(now_ns() - now);
        }
    }

    /// Whether a receive may wait in the kernel, where nobody would send the rest.
    fn may_wait(&self, deadline: Deadline) -> bool {
        let has_time = match deadline {
            None => true,
            Some(0) => false,
            Some(instant) => self.patient && instant.saturating_sub(now_ns()) > LOOK_NS,
        };
        has_time && !self.unsent.load(Acquire)
    }

    /// Waits until something may be received, and sends the rest meanwhile.
    fn wait(&self, deadline: Deadline) -> Result<bool> {
        let unsent = self.unsent.load(Acquire);
        let ready = pause(&self.socket, true, unsent, deadline)?;
        match unsent.then(|| self.flush(Some(0))) {
            // What is waited for may be the answer to what cannot be sent.
            Some(Err(error @ Error::Os { .. })) => Err(error),
            // Whatever else is wrong, whoever sends next hears of it.
            _ => Ok(ready),
        }
    }
}

/// What comes next.
enum Next {
    /// A message of so many bytes, so far behind the start.
    Message { at: usize, len: u64 },
    /// A descriptor.
    Descriptor,
    /// Not known yet.
    Unknown,
}

/// What has come in.
#[derive(Default)]
pub(super) struct Inbox {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Place in the buffer of the byte that came with a descriptor.
    attached: Option<(usize, Result<OwnedFd>)>,
    /// A message that is too long for the buffer and did not come in time.
    long: Option<Long>,
    ended: Option<Error>,
}

struct Long {
    /// What has come, then zeroes.
    bytes: Vec<u8>,
    got: usize,
    /// Of the whole message.
    len: usize,
}

impl Inbox {
    /// What somebody else has received ahead.
    pub(super) fn with(ahead: &[u8]) -> Result<Inbox> {
        let mut inbox = Inbox { buffer: vec![0; AHEAD].into_boxed_slice(), end: ahead.len(), ..Inbox::default() };
        let room = inbox
            .buffer
            .get_mut(..ahead.len())
            .ok_or_else(|| broken("more was received ahead than there is room for"))?;
        room.copy_from_slice(ahead);
        Ok(inbox)
    }

    /// What was received ahead, if another process could go on with it.
    pub(super) fn ahead(&self) -> Result<Vec<u8>> {
        match self.long.is_some() || self.attached.is_some() {
            true => Err(Error::NotPermitted("a part of a long message or a descriptor was received already")),
            false => Ok(self.buffer[self.start..self.end].to_vec()),
        }
    }

    /// What comes next, as far as it is here.
    fn next(&self) -> Result<Next> {
        if let Some(long) = &self.long {
            return Ok(Next::Message { at: 0, len: long.len as u64 });
        }
        let here = &self.buffer[self.start..self.end];
        let attached = self.attached.as_ref().map(|(place, _)| place - self.start);
        let (at, len) = match (here.first_chunk::<4>(), attached) {
            (_, Some(0)) => return Ok(Next::Descriptor),
            (Some([0xff, 0xff, 0xff, 0xff]), _) => match here[4..].first_chunk() {
                Some(len) => (12, u64::from_be_bytes(*len)),
                None => return self.unknown(attached),
            },
            (Some(len), _) => (4, u32::from_be_bytes(*len) as u64),
            (None, _) => return self.unknown(attached),
        };
        // Also those that four bytes cannot mean: negative ones.
        if len > isize::MAX as u64 || at == 4 && len > SHORT as u64 {
            return Err(broken("the other end sent a message of an impossible length"));
        }
        if attached.is_some_and(|place| (place as u64) < len + at as u64) {
            return Err(broken("the other end sent a descriptor inside of a message"));
        }
        Ok(Next::Message { at, len })
    }

    fn unknown(&self, attached: Option<usize>) -> Result<Next> {
        match attached {
            Some(_) => Err(broken("the other end sent a descriptor inside of a message")),
            None => Ok(Next::Unknown),
        }
    }

    /// What comes next; an error is the end of the connection.
    fn look(&mut self, line: &Line) -> Result<Next> {
        if let Some(Error::Broken(_)) = &self.ended {
            return self.over();
        }
        match self.next() {
            Ok(Next::Unknown) if self.ended.is_some() => self.over(),
            Err(error) => self.end(line, error),
            next => next,
        }
    }

    /// How it ended: well, if no message had begun.
    fn over(&self) -> Result<Next> {
        let torn = self.start < self.end || self.long.is_some();
        match &self.ended {
            Some(Error::Closed(_)) if torn => Err(broken("the other end is gone in the middle of a message")),
            ended => Err(ended.clone().unwrap_or(TORN)),
        }
    }

    fn end<T>(&mut self, line: &Line, error: Error) -> Result<T> {
        if let Error::Broken(_) = error {
            // Nothing that it says can be understood any more.
            line.socket.shut_down();
        }
        self.ended = Some(error.clone());
        Err(error)
    }

    /// Receives what there is, in front of which is what is here; false if nothing came in time.
    fn fill(&mut self, line: &Line, deadline: Deadline) -> Result<bool> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; AHEAD].into_boxed_slice();
        }
        self.move_to_front();
        loop {
            let mut room = [IoSliceMut::new(&mut self.buffer[self.end..])];
            match line.receive_soon(&mut room, deadline)? {
                Received::Nothing if line.wait(deadline)? => {}
                Received::Nothing => return Ok(false),
                received => {
                    self.took(received, 0);
                    return Ok(true);
                }
            }
        }
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        if let Some((place, _)) = &mut self.attached {
            *place -= self.start;
        }
        self.end -= self.start;
        self.start = 0;
    }

    /// Something was received, the first `elsewhere` bytes of it not into the buffer.
    fn took(&mut self, received: Received, elsewhere: usize) -> usize {
        let (len, descriptor) = match received {
            Received::Bytes(len) => (len, None),
            Received::WithDescriptor(len, descriptor) => (len, Some(descriptor)),
            Received::Nothing => return 0,
            Received::End => {
                self.ended = Some(TORN);
                return 0;
            }
        };
        self.end += len.saturating_sub(elsewhere);
        match descriptor {
            Some(_) if len <= elsewhere => {
                self.ended = Some(broken("the other end sent a descriptor inside of a message"));
            }
            Some(descriptor) => self.attached = Some((self.end - 1, descriptor)),
            None => {}
        }
        len.min(elsewhere)
    }

    /// Receives the next message into `out`.
    pub(super) fn receive(&mut self, line: &Line, out: &mut [u8], deadline: Deadline) -> Result<usize> {
        let (at, len) = loop {
            match self.look(line)? {
                Next::Message { at, len } => break (at, len as usize),
                Next::Descriptor => return Err(Error::NotPermitted("what comes next is a descriptor")),
                Next::Unknown if self.fill(line, deadline)? => {}
                Next::Unknown => return Err(Error::TimedOut),
            }
        };
        let capacity = out.len();
        let out = out.get_mut(..len).ok_or(Error::MessageSize { needed: len, capacity })?;
        if self.long.is_some() {
            self.receive_rest(line, out, deadline)?;
        } else if at + len > self.buffer.len() {
            self.receive_long(line, at, out, deadline)?;
        } else {
            while self.end - self.start < at + len {
                if self.ended.is_some() {
                    return self.over().map(|_| 0);
                }
                if !self.fill(line, deadline)? {
                    return Err(Error::TimedOut);
                }
                self.look(line)?;
            }
            out.copy_from_slice(&self.buffer[self.start + at..self.start + at + len]);
            self.start += at + len;
        }
        Ok(len)
    }

    /// A message that does not fit into the buffer goes straight to its receiver, if it comes in time.
    fn receive_long(&mut self, line: &Line, at: usize, out: &mut [u8], deadline: Deadline) -> Result<()> {
        let mut got = self.end - self.start - at;
        out[..got].copy_from_slice(&self.buffer[self.start + at..self.end]);
        (self.start, self.end) = (0, 0);
        let result = loop {
            if got == out.len() {
                return Ok(());
            }
            let mut room = [IoSliceMut::new(&mut out[got..]), IoSliceMut::new(&mut self.buffer)];
            let wanted = room[0].len();
            match line.receive_soon(&mut room, deadline) {
                Ok(Received::Nothing) => match line.wait(deadline) {
                    Ok(true) => {}
                    Ok(false) => break Err(Error::TimedOut),
                    Err(error) => break Err(error),
                },
                Ok(received) => got += self.took(received, wanted),
                Err(error) => break Err(error),
            }
            if self.ended.is_some() && got < out.len() {
                break self.torn(line);
            }
        };
        let mut bytes = Vec::new();
        if bytes.try_reserve(got).is_err() {
            return self.end(line, broken("there was no memory for a part of a message"));
        }
        bytes.extend_from_slice(&out[..got]);
        self.long = Some(Long { bytes, got, len: out.len() });
        result
    }

    fn torn<T>(&mut self, line: &Line) -> Result<T> {
        self.end(line, broken("the other end is gone in the middle of a message"))
    }

    /// What did not come in time the first time. Its receiver may be another than then.
    fn receive_rest(&mut self, line: &Line, out: &mut [u8], deadline: Deadline) -> Result<()> {
        let Some(mut long) = self.long.take() else { return Ok(()) };
        let result = self.grow(line, &mut long, deadline);
        if result.is_ok() {
            out.copy_from_slice(&long.bytes);
        } else {
            self.long = Some(long);
        }
        result
    }

    fn grow(&mut self, line: &Line, long: &mut Long, deadline: Deadline) -> Result<()> {
        while long.got < long.len {
            if self.ended.is_some() {
                return self.torn(line);
            }
            // What there is doubles, and is used up before it does again: each byte is cleared once, however small the
            // pieces are that come.
            if long.got == long.bytes.len() {
                let more = (long.len - long.got).min(long.got.max(GROWTH));
                long.bytes.try_reserve(more).map_err(|_| Error::NoMemory("no memory for a long message"))?;
                long.bytes.resize(long.got + more, 0);
            }
            let room = &mut long.bytes[long.got..];
            let most = room.len();
            let received = line.socket.receive(&mut [IoSliceMut::new(room)], line.may_wait(deadline))?;
            let nothing = matches!(received, Received::Nothing);
            long.got += self.took(received, most);
            if nothing && !line.wait(deadline)? {
                return Err(Error::TimedOut);
            }
        }
        Ok(())
    }

    /// Receives a descriptor.
    pub(super) fn receive_descriptor(&mut self, line: &Line, deadline: Deadline) -> Result<OwnedFd> {
        loop {
            match self.look(line)? {
                Next::Message { .. } => return Err(Error::NotPermitted("what comes next is a message")),
                Next::Unknown if self.start < self.end => {
                    return Err(Error::NotPermitted("what comes next is a message"));
                }
                Next::Unknown if self.fill(line, deadline)? => {}
                Next::Unknown => return Err(Error::TimedOut),
                Next::Descriptor => {
                    self.start += 1;
                    let (_, descriptor) = self.attached.take().ok_or(Error::TimedOut)?;
                    return match descriptor {
                        Err(error @ Error::Broken(_)) => self.end(line, error),
                        descriptor => descriptor,
                    };
                }
            }
        }
    }

    /// Whether a receive would find something here: a message, or the beginning of one that is too long to be here whole; a
    /// descriptor; the end.
    pub(super) fn has_something(&mut self, line: &Line) -> bool {
        match self.look(line) {
            Ok(Next::Message { at, len }) => {
                let whole = at as u64 + len;
                self.long.is_some() || whole > AHEAD as u64 || (self.end - self.start) as u64 >= whole
            }
            Ok(Next::Unknown) => false,
            Ok(Next::Descriptor) | Err(_) => true,
        }
    }

    /// The same after a look at the socket; false if nothing came in time.
    pub(super) fn is_ready(&mut self, line: &Line, deadline: Deadline) -> Result<bool> {
        while !self.has_something(line) && self.ended.is_none() {
            if !self.fill(line, deadline)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
