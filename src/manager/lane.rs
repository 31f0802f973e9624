//! Lanes: how processes of the server's family reach it without a system call, while it is awake.
//!
//! A lane is a pipe of the family's ([`crate::shm::pipe`]) beside a socket of the session. The client makes it when the
//! socket has been worth it, and names the server's end over the socket. From then on what is short goes by the lane: the same
//! messages, one request at a time. What is longer than [`SHORT`] goes by the socket; for a reply an empty message in the lane
//! says so. Before the server looks at such a socket it takes all that is in the lane, so nothing overtakes what was
//! sent before it but by the lane, and what is sent there without a reply never depends on what is still in the socket.
//!
//! The server looks at its lanes for a while after a request ([`Lanes`]), then arms the bell of each and sleeps in its poll, where the
//! bells are as readable as sockets. It is the end of the socket that ends a lane: so a dead client is found by the kernel. A
//! dead server is found by the repair of its death, which takes its end of the pipe.
#![forbid(unsafe_code)]

use super::protocol::LONGEST;
use super::server::{Server, TURN};
use crate::connection::{Connection, pipe};
use crate::error::{Error, Result};
use crate::family;
use crate::shm::cell::Reference;
use crate::shm::memory::Deadline;
use crate::shm::pipe::SLOTS;
use crate::sys::spin;
use std::cell::Cell;
use std::rc::Rc;

/// Bytes of the longest message that goes by a lane: each slot of the ring may come to have a block for it.
const SHORT: usize = 4 << 10;
/// Calls by a socket that make it worth a lane.
const WORTH: u32 = 8;
/// Lanes of one server: each has a descriptor, and a place among those that every request looks through.
const MOST: usize = 128;
/// Looks at a lane before it is left to its bell.
const LOOKS: u32 = 4000;
/// Looks at all of them before they are: some 50 µs, twice what a wake-up costs.
const TURNS: u32 = 500;
/// So many of these are one turn: a client that asks one thing after the other takes longer than the first few.
const LOOKS_OF_TURN: u32 = 8;
/// Looks before sockets have their turn, and for how many a request counts.
const LANES_TURN: u32 = 2048;
const LOOKS_OF_REQUEST: u32 = 16;
/// Looks for a reply, some 5 µs, before it is waited for as in any pipe, where the processor is offered to others: a
/// server that is awake answers sooner.
const LOOKS_FOR_REPLY: u32 = 300;
/// First size of the buffer for a reply.
const BUFFER: usize = 512;

/// A connection of a session: its socket, and its lane, once it is worth one.
pub(super) struct Way {
    socket: Connection,
    lane: Option<Connection>,
    /// Calls without a lane.
    calls: u32,
    /// The last request went by the lane.
    by_lane: Cell<bool>,
    /// Its reply comes by the socket nevertheless.
    is_elsewhere: Cell<bool>,
    /// Where a request is put together.
    pub(super) message: Vec<u8>,
}

impl Way {
    pub(super) fn new(socket: Connection) -> Way {
        Way {
            socket,
            lane: None,
            calls: 0,
            by_lane: Cell::new(false),
            is_elsewhere: Cell::new(false),
            message: Vec::new(),
        }
    }

    /// Counts a call; whether it is time for a lane.
    pub(super) fn is_worth_a_lane(&mut self) -> bool {
        self.calls = self.calls.saturating_add(1);
        self.lane.is_none() && self.calls > WORTH
    }

    /// Makes a lane; `ask` tells the server of its end, and says whether it has opened it.
    pub(super) fn widen(&mut self, ask: impl FnOnce(&Way, u64) -> Result<bool>) -> Result<bool> {
        let Ok([mine, theirs]) = pipe::new_lane() else { return Ok(false) };
        let Some(end) = theirs.reference() else { return Ok(false) };
        let opened = ask(self, end.to_bits())?;
        self.lane = opened.then_some(mine);
        Ok(opened)
    }

    /// The way of the last request.
    fn last(&self) -> &Connection {
        self.lane.as_ref().filter(|_| self.by_lane.get()).unwrap_or(&self.socket)
    }

    /// Sends a request; `patience` says until when it may take, and is asked only if it takes long.
    pub(super) fn send(&self, message: &[u8], patience: impl FnOnce() -> Deadline) -> Result<()> {
        self.by_lane.set(false);
        self.is_elsewhere.set(false);
        if let Some(lane) = self.lane.as_ref().filter(|_| message.len() <= SHORT) {
            match lane.send(message, Some(0)) {
                // There is no memory for it, or no room: the kernel may have some.
                Err(Error::NoMemory(_) | Error::TimedOut) => {}
                sent => {
                    self.by_lane.set(true);
                    return sent;
                }
            }
        }
        self.socket.send(message, patience())
    }

    /// Sends something that belongs to the last request.
    pub(super) fn add(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        self.last().send(message, deadline)
    }

    /// Looks for the reply to the last request, for a moment.
    pub(super) fn look_for_reply(&self) {
        if let Some(lane) = self.lane.as_ref().filter(|_| self.by_lane.get()) {
            let mut looks = 0;
            while looks < LOOKS_FOR_REPLY && !lane.has_something().unwrap_or(true) {
                looks += 1;
                std::hint::spin_loop();
            }
        }
    }

    /// Shows `read` the reply to the last request; `patience` says until when that is waited for, and is asked only if it is not here.
    pub(super) fn receive<T>(
        &self,
        mut patience: impl FnMut() -> Deadline,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let (mut short, mut long) = ([0; BUFFER], Vec::new());
        loop {
            let buffer = if long.is_empty() { &mut short[..] } else { &mut long[..] };
            let from = if self.is_elsewhere.get() { &self.socket } else { self.last() };
            let is_here = self.by_lane.get() && !self.is_elsewhere.get() && from.has_something().unwrap_or(false);
            match from.receive(buffer, if is_here { Some(0) } else { patience() }) {
                Ok(0) if self.by_lane.get() && !self.is_elsewhere.get() => self.is_elsewhere.set(true),
                Ok(len) => return Ok(read(&buffer[..len])),
                Err(Error::MessageSize { needed, .. }) if needed <= 2 * LONGEST => long = vec![0; needed],
                Err(error) => return Err(error),
            }
        }
    }

    /// After the other end has gone: whether it had not even taken the last request.
    pub(super) fn is_untaken(&self) -> bool {
        !self.last().is_all_taken()
    }
}

impl Server {
    /// A client offers a lane beside the socket `key`.
    pub(super) fn open_lane(&mut self, key: u64, session: u64, end: u64) -> Result<()> {
        self.reception.open_lane(key, end)?;
        if let Some(session) = self.sessions.get_mut(&session) {
            session.lanes += 1;
        }
        Ok(())
    }

    /// A session has one lane less, which was no connection of its own.
    pub(super) fn part_lane(&mut self, session: u64) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.lanes -= 1;
        }
    }

    /// Takes all that is in the lane of a socket, if it has one: what is in the socket was sent later.
    pub(super) fn empty_lane(&mut self, socket: u64) {
        for _ in 0..SLOTS.div_ceil(TURN) {
            let Some(lane) = self.reception.full_lane_of(socket) else { return };
            self.attend(lane);
        }
    }
}

/// The server's end of a lane that a client names.
pub(super) fn open(end: u64) -> Result<Connection> {
    pipe::open_lane(family::current()?, Reference::from_bits(end))
}

/// Whether a reply has gone by a lane. If it has not, it is to go by the socket, and the lane says so.
pub(super) fn answer(lane: &Connection, message: &[u8]) -> bool {
    if message.len() <= SHORT {
        match lane.send(message, Some(0)) {
            Err(Error::NoMemory(_)) => {}
            // It is gone, or its client does not take replies: both are found when it is read from.
            Err(_) => {
                lane.end();
                return true;
            }
            Ok(()) => return true,
        }
    }
    if lane.send(&[], Some(0)).is_err() {
        lane.end();
        return true;
    }
    false
}

/// A lane that is looked at.
struct Awake {
    key: u64,
    lane: Rc<Connection>,
    /// Looks since it had something.
    looks: u32,
}

/// The lanes of a server.
#[derive(Default)]
pub(super) struct Lanes {
    /// Those that there are: their keys and ends.
    all: Vec<(u64, u64)>,
    /// Those that are looked at; the others ring.
    awake: Vec<Awake>,
    /// Looks at all of them since one had something.
    turns: u32,
    /// Looks since sockets had their turn.
    since_sockets: u32,
}

impl Lanes {
    /// One more.
    pub(super) fn add(&mut self, key: u64, end: u64, lane: &Rc<Connection>) -> Result<()> {
        if self.all.len() >= MOST || self.all.iter().any(|(_, other)| *other == end) {
            return Err(Error::NotPermitted("the manager's server gives no lane"));
        }
        self.all.push((key, end));
        self.wake(key, lane);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: u64) {
        self.all.retain(|(other, _)| *other != key);
        self.awake.retain(|awake| awake.key != key);
    }

    /// A lane has rung.
    pub(super) fn wake(&mut self, key: u64, lane: &Rc<Connection>) {
        self.turns = 0;
        if !self.awake.iter().any(|awake| awake.key == key) {
            self.awake.push(Awake { key, lane: lane.clone(), looks: 0 });
        }
    }

    /// Looks for requests, for a short while; notes in `found` whose lanes have some. Whether sockets have their turn now.
    pub(super) fn look(&mut self, found: &mut Vec<u64>) -> bool {
        while !self.awake.is_empty() {
            self.since_sockets += 1;
            self.look_once(found);
            self.since_sockets += found.len() as u32 * LOOKS_OF_REQUEST;
            let over = self.since_sockets >= LANES_TURN;
            if !found.is_empty() || over {
                self.since_sockets = if over { 0 } else { self.since_sockets };
                return over;
            }
            if !self.since_sockets.is_multiple_of(LOOKS_OF_TURN) {
                std::hint::spin_loop();
            } else if !spin::turn(&mut self.turns, TURNS) {
                self.sleep(found);
                return found.is_empty();
            }
        }
        true
    }

    fn look_once(&mut self, found: &mut Vec<u64>) {
        let mut at = 0;
        while let Some(awake) = self.awake.get_mut(at) {
            awake.looks += 1;
            if awake.lane.has_something().unwrap_or(true) {
                awake.looks = 0;
                self.turns = 0;
                found.push(awake.key);
            } else if awake.looks > LOOKS && !is_ready(&awake.lane) {
                self.awake.swap_remove(at);
                continue;
            }
            at += 1;
        }
    }

    /// Leaves all of them to their bells.
    fn sleep(&mut self, found: &mut Vec<u64>) {
        self.awake.retain(|awake| {
            let ready = is_ready(&awake.lane);
            if ready {
                found.push(awake.key);
            }
            ready
        });
        self.turns = 0;
    }

    /// Whether lanes are looked at, so that nobody may sleep for long.
    pub(super) fn are_awake(&self) -> bool {
        !self.awake.is_empty()
    }
}

/// Whether there is something in a lane. If not, it rings from now on.
fn is_ready(lane: &Connection) -> bool {
    lane.is_ready(Some(0)).unwrap_or(true)
}
