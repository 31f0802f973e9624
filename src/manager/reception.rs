//! A server's clients: who is connected, what has come from each, and what has not gone out yet.
//!
//! Nothing here waits for one client: what he sends is taken as far as it has come, what he does not take is kept for
//! [`PATIENCE_NS`], in which he is not read from, and only as long as all of that is not more than [`UNSENT`].
#![forbid(unsafe_code)]

use super::lane::{self, Lanes};
use super::numbers::Numbers;
use super::protocol::{LONGEST, Reply};
use super::value::{Stored, Value};
use crate::connection::Connection;
use crate::connection::listener::Listener;
use crate::error::{Error, Result};
use crate::log;
use crate::sys::clock::now_ns;
use crate::sys::descriptor::{self, Poll};
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::rc::Rc;

/// Keys of the poll; whoever is connected has a larger one.
const LISTENER: u64 = 0;
const STARTER: u64 = 1;
const CREW: u64 = 2;
const FIRST: u64 = 3;
/// Bit of the keys of pools, beside their numbers.
const POOL: u64 = 1 << 63;
/// Whoever does not take his reply for so long is sent away.
const PATIENCE_NS: u64 = 30_000_000_000;
/// Bytes of replies at most that are kept for those who do not take them: beyond that whoever has most of them is sent away.
const UNSENT: usize = 2 * LONGEST;
/// The listener's guests are looked after at least so often while there may be some.
const ATTEND_NS: u64 = 11_000_000_000;
/// How long it waits before it tries again to let somebody in.
const FULL_NS: u64 = 100_000_000;
/// First size of the buffer for what comes in.
const BUFFER: usize = 64 << 10;

/// A connection, or a lane.
pub(super) struct Client {
    connection: Rc<Connection>,
    /// Of a lane: the key of its socket.
    socket: Option<u64>,
    /// Of a socket: the key of its lane.
    lane: Option<u64>,
    /// A reply that has not gone out, and since when.
    unsent: Option<Vec<u8>>,
    stuck: Option<u64>,
    /// Bytes of that reply.
    stuck_len: usize,
    /// The process that it belongs to, once that has said who it is.
    pub(super) session: Option<u64>,
    /// The job that it waits for.
    pub(super) waits: Option<u64>,
    /// What its last reply took out of a queue, until it says that it has arrived.
    pub(super) lent: Option<(u64, Vec<Stored>)>,
}

/// What has come from a client.
pub(super) enum Word {
    /// A request, whole: so many bytes of [`Reception::lend`].
    Message(usize),
    /// Nothing, or not all of a request.
    Nothing,
    /// Its end.
    End,
}

/// What is to be looked at after a wait.
#[derive(Default)]
pub(super) struct News {
    /// Clients from whom something may have come.
    pub(super) clients: Vec<u64>,
    /// The starter has said that it is over, or is gone.
    pub(super) over: bool,
    /// A thread is done with something.
    pub(super) crew: bool,
    /// Pools that have something to tell.
    pub(super) pools: Vec<u64>,
    /// Nothing else was looked at than lanes.
    pub(super) is_by_lane: bool,
}

/// All clients, and where they come from.
pub(super) struct Reception {
    listener: Listener,
    /// The process that started the server: what it says here is that it should end.
    starter: Option<Connection>,
    poll: Poll,
    clients: Numbers<Client>,
    lanes: Lanes,
    /// Clients of which more has come than their turn allowed.
    ready: Vec<u64>,
    next: u64,
    /// What comes in, and what goes out.
    buffer: Vec<u8>,
    reply: Vec<u8>,
    /// Somebody may not have taken a reply.
    is_stuck: bool,
    attend_at: Option<u64>,
    /// How long, and how many bytes, are kept for those who do not take their replies.
    patience: (u64, usize),
    /// There was no descriptor for whoever wants to come in.
    is_full: bool,
}

impl Reception {
    pub(super) fn new(listener: Listener) -> Result<Reception> {
        let poll = Poll::new()?;
        poll.add(listener.fd()?, LISTENER)?;
        Ok(Reception {
            listener,
            starter: None,
            poll,
            clients: Numbers::default(),
            lanes: Lanes::default(),
            ready: Vec::new(),
            next: FIRST,
            buffer: vec![0; BUFFER],
            reply: Vec::new(),
            is_stuck: false,
            attend_at: None,
            patience: (PATIENCE_NS, UNSENT),
            is_full: false,
        })
    }

    /// Whatever comes from there, or its end, is the end of the server.
    pub(super) fn obey(&mut self, starter: Connection) -> Result<()> {
        self.poll.add(starter.fd()?, STARTER)?;
        self.starter = Some(starter);
        Ok(())
    }

    /// Tells of the threads that have something done.
    pub(super) fn watch_crew(&mut self, fd: RawFd) -> Result<()> {
        self.poll.add(fd, CREW)
    }

    /// Tells of a pool.
    pub(super) fn watch_pool(&mut self, fd: RawFd, number: u64) -> Result<()> {
        self.poll.add(fd, POOL | number)
    }

    /// Tells no more of a descriptor that is to be closed here, but not by those who were forked with it.
    pub(super) fn ignore(&mut self, fd: RawFd) {
        descriptor::remove(self.poll.raw(), fd);
    }

    pub(super) fn client(&mut self, key: u64) -> Option<&mut Client> {
        self.clients.get_mut(&key)
    }

    /// How many are connected.
    pub(super) fn count(&self) -> usize {
        self.clients.values().filter(|client| !client.is_lane()).count()
    }

    /// The lane of a socket.
    pub(super) fn lane_of(&self, key: u64) -> Option<u64> {
        self.clients.get(&key)?.lane
    }

    /// The same if there is something in it.
    pub(super) fn full_lane_of(&self, key: u64) -> Option<u64> {
        let lane = self.lane_of(key)?;
        self.clients.get(&lane)?.connection.has_something().unwrap_or(true).then_some(lane)
    }

    /// Takes a client out: its connection ends when it is dropped.
    pub(super) fn remove(&mut self, key: u64) -> Option<Client> {
        let client = self.clients.remove(&key)?;
        if let Some(socket) = client.socket {
            self.lanes.remove(key);
            if let Some(socket) = self.clients.get_mut(&socket) {
                socket.lane = None;
            }
        }
        Some(client)
    }

    /// When something is due here.
    fn due(&mut self) -> Option<u64> {
        if !self.is_stuck {
            return self.attend_at;
        }
        let stuck = self.clients.values().filter_map(|client| client.stuck).map(|since| since + self.patience.0).min();
        self.is_stuck = stuck.is_some();
        [stuck, self.attend_at].into_iter().flatten().min()
    }

    /// Waits until something has come, or until the instant `until`.
    pub(super) fn wait(&mut self, until: Option<u64>) -> News {
        let mut news = News { clients: std::mem::take(&mut self.ready), ..News::default() };
        let wanted = news.clients.len();
        if !self.lanes.look(&mut news.clients) && wanted == 0 {
            news.is_by_lane = true;
            return news;
        }
        let next = [until, self.due()].into_iter().flatten().min();
        let is_idle = news.clients.is_empty() && !self.lanes.are_awake();
        let timeout = if is_idle { next.map(|next| next.saturating_sub(now_ns())) } else { Some(0) };
        let mut keys = [0; 64];
        let count = self.poll.wait(&mut keys, timeout);
        for key in &keys[..count] {
            match *key {
                LISTENER => self.welcome(),
                STARTER => news.over = true,
                CREW => news.crew = true,
                key if key & POOL != 0 => news.pools.push(key & !POOL),
                key => {
                    if let Some(Client { connection, socket: Some(_), .. }) = self.clients.get(&key) {
                        self.lanes.wake(key, connection);
                    }
                    news.clients.push(key);
                }
            }
        }
        if self.attend_at.is_some_and(|at| at <= now_ns()) {
            self.attend_at = None;
            self.welcome();
        }
        news
    }

    /// Those that have not taken their reply for too long.
    pub(super) fn late(&self) -> Vec<u64> {
        if !self.is_stuck {
            return Vec::new();
        }
        let now = now_ns();
        let late = |client: &Client| client.stuck.is_some_and(|since| since + self.patience.0 <= now);
        let late = self.clients.iter().filter(|(_, client)| late(client)).map(|(key, _)| *key);
        late.chain(self.heaviest()).collect()
    }

    /// Where more is kept than may be: the connection that has been stuck longest, of the process for which most is kept.
    fn heaviest(&self) -> Option<u64> {
        let mut kept: HashMap<Option<u64>, usize> = HashMap::new();
        for client in self.clients.values().filter(|client| client.stuck_len > 0) {
            *kept.entry(client.session).or_default() += client.stuck_len;
        }
        if kept.values().sum::<usize>() <= self.patience.1 {
            return None;
        }
        let (session, _) = kept.into_iter().max_by_key(|(_, len)| *len)?;
        let its = self.clients.iter().filter(|(_, client)| client.session == session && client.stuck_len > 0);
        its.min_by_key(|(_, client)| client.stuck).map(|(key, _)| *key)
    }

    /// How long, and how much, is kept for those who do not take their replies.
    #[cfg(test)]
    pub(super) fn be_patient(&mut self, ns: u64, bytes: usize) {
        self.patience = (ns, bytes);
    }

    fn welcome(&mut self) {
        if std::mem::take(&mut self.is_full) {
            let _ = self.listener.fd().and_then(|fd| self.poll.turn(fd, LISTENER, false));
        }
        loop {
            match self.listener.accept(Some(0)) {
                Ok(connection) => self.admit(connection),
                Err(Error::TimedOut) => break,
                Err(error) => {
                    log::warning(format_args!("a manager cannot let anybody in: {error}"));
                    // They wait outside, and it is not told of them all the time.
                    self.is_full = true;
                    let _ = self.listener.fd().and_then(|fd| self.poll.turn(fd, LISTENER, true));
                    self.attend_at = Some(now_ns() + FULL_NS);
                    return;
                }
            }
        }
        // Handshakes that stop in the middle end only when somebody looks.
        self.attend_at = Some(now_ns() + ATTEND_NS).filter(|_| self.listener.has_guests());
    }

    /// Takes a connection in; its key.
    fn add(&mut self, connection: Rc<Connection>, session: Option<u64>, socket: Option<u64>) -> Result<u64> {
        let key = self.next;
        self.next += 1;
        self.poll.add(connection.fd()?, key)?;
        let (unsent, stuck, waits, lent) = (None, None, None, None);
        let client = Client { connection, socket, lane: None, session, unsent, stuck, stuck_len: 0, waits, lent };
        self.clients.insert(key, client);
        Ok(key)
    }

    /// Opens the lane that a client offers beside its socket.
    pub(super) fn open_lane(&mut self, key: u64, end: u64) -> Result<()> {
        let client = self.clients.get(&key).filter(|client| !client.is_lane() && client.lane.is_none());
        let session = client.ok_or(Error::invalid("a socket has one lane"))?.session;
        let lane = Rc::new(lane::open(end)?);
        let lane_key = self.add(lane.clone(), session, Some(key))?;
        if let Err(error) = self.lanes.add(lane_key, end, &lane) {
            self.clients.remove(&lane_key);
            return Err(error);
        }
        if let Some(client) = self.clients.get_mut(&key) {
            client.lane = Some(lane_key);
        }
        Ok(())
    }

    fn admit(&mut self, connection: Connection) {
        if let Ok(key) = self.add(Rc::new(connection), None, None) {
            // What came with the last message of the handshake makes nothing readable.
            self.ready.push(key);
        }
    }

    /// The next request of a client; `first`: the poll has said that there may be one.
    pub(super) fn next(&mut self, key: u64, first: bool) -> Word {
        loop {
            let Some(client) = self.clients.get_mut(&key) else { return Word::Nothing };
            // What is not here yet makes it readable: to ask the kernel once more would cost every request a call.
            if !first && client.stuck.is_none() && !client.connection.has_something().unwrap_or(true) {
                return Word::Nothing;
            }
            if client.stuck.is_some() {
                match self.flush(key) {
                    Ok(true) => {}
                    Ok(false) => return Word::Nothing,
                    Err(_) => return Word::End,
                }
            }
            let Some(client) = self.clients.get_mut(&key) else { return Word::Nothing };
            match client.connection.receive(&mut self.buffer, Some(0)) {
                Ok(len) => return Word::Message(len),
                Err(Error::TimedOut) => return Word::Nothing,
                // Zeroed by the kernel when it is touched: what a client claims costs nothing.
                Err(Error::MessageSize { needed, .. }) if needed <= 2 * LONGEST => self.buffer = vec![0; needed],
                Err(error) => {
                    log::debug(format_args!("a manager's client is gone: {error}"));
                    return Word::End;
                }
            }
        }
    }

    /// Where what came last is, to be given back.
    pub(super) fn lend(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// See [`Reception::lend`].
    pub(super) fn take_back(&mut self, buffer: Vec<u8>) {
        self.buffer = if buffer.len() > 16 * BUFFER { vec![0; BUFFER] } else { buffer };
    }

    /// Room for a reply that [`Reception::answer`] gets.
    pub(super) fn lend_reply(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.reply)
    }

    /// The clients of a wait have been attended to: their list is good for the next one.
    pub(super) fn recycle(&mut self, mut clients: Vec<u64>) {
        if self.ready.is_empty() {
            clients.clear();
            self.ready = clients;
        }
    }

    /// The client's turn is over: if more of it is here, it comes again soon.
    pub(super) fn postpone(&mut self, key: u64) {
        if self.clients.get(&key).is_some_and(|client| client.connection.has_something().unwrap_or(true)) {
            self.ready.push(key);
        }
    }

    /// Sends what a client has not taken yet; whether all is gone.
    fn flush(&mut self, key: u64) -> Result<bool> {
        let Some(client) = self.clients.get_mut(&key) else { return Ok(false) };
        match client.flush() {
            Ok(()) => {
                (client.stuck, client.stuck_len) = (None, 0);
                let _ = client.connection.fd().and_then(|fd| self.poll.turn(fd, key, false));
                Ok(true)
            }
            Err(Error::TimedOut) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Answers a client.
    pub(super) fn send(&mut self, key: u64, result: Result<Value>) {
        let mut message = self.lend_reply();
        Reply(result).pack_into(&mut message);
        self.answer(key, message);
    }

    /// The same by what [`Reception::lend_reply`] has lent.
    pub(super) fn answer(&mut self, key: u64, message: Vec<u8>) {
        match self.clients.get(&key) {
            Some(Client { connection, socket: Some(socket), .. }) => {
                if !lane::answer(connection, &message) {
                    self.send_message(*socket, &message);
                }
            }
            _ => self.send_message(key, &message),
        }
        if message.capacity() <= 16 * BUFFER {
            self.reply = message;
        }
    }

    fn send_message(&mut self, key: u64, message: &[u8]) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let len = message.len();
        let stuck = match client.connection.send(message, Some(0)) {
            Ok(()) => client.connection.has_rest(),
            // There is no room for it yet, or no memory; or it is gone, and found gone when it is tried again.
            Err(_) => {
                client.unsent = Some(message.to_vec());
                true
            }
        };
        if stuck {
            (client.stuck, client.stuck_len) = (Some(now_ns()), len);
            self.is_stuck = true;
            let _ = client.connection.fd().and_then(|fd| self.poll.turn(fd, key, true));
        }
    }

    /// The server ends: those whose requests came before hear of it.
    pub(super) fn flush_all(&mut self) {
        for client in self.clients.values() {
            let _ = client.connection.flush(Some(0));
        }
    }
}

impl Client {
    pub(super) fn is_lane(&self) -> bool {
        self.socket.is_some()
    }

    fn flush(&mut self) -> Result<()> {
        self.connection.flush(Some(0))?;
        let Some(message) = self.unsent.take() else { return Ok(()) };
        match self.connection.send(&message, Some(0)) {
            Err(Error::TimedOut) => {
                self.unsent = Some(message);
                Err(Error::TimedOut)
            }
            sent => sent.and_then(|()| if self.connection.has_rest() { Err(Error::TimedOut) } else { Ok(()) }),
        }
    }
}
