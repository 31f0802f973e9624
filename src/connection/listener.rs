//! Listeners and clients: how connections over sockets come to be.
//!
//! A listener with a key lets many prove at once that they have it, each at his own pace and none for longer than
//! [`PATIENCE_NS`]: whoever says nothing delays nobody. No thread: whoever waits in accept moves all of them on.
#![forbid(unsafe_code)]

use super::authentication::{Handshake, LONGEST, Role, Step};
use super::socket_end::SocketEnd;
use super::stream::{Inbox, Line, take};
use super::{Connection, address};
use crate::error::{Error, Result};
use crate::log;
use crate::shm::memory::Deadline;
use crate::shm::stop;
use crate::sys::clock::now_ns;
use crate::sys::descriptor::{self, Poll};
use crate::sys::fork;
use crate::sys::socket::{self, Address, Socket};
use crate::sys::turn::Turn;
use crate::wire::{self, Argument};
use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicI32};

/// Whoever has not proved himself by then is sent away.
const PATIENCE_NS: u64 = 10_000_000_000;
/// So many may be about to prove themselves; one more, and the one that is at it for longest is sent away.
const GUESTS: usize = 128;
/// Connections that wait in the kernel, where nobody says how many.
const BACKLOG: i32 = 128;

/// What a listener is like.
#[derive(Default)]
pub struct Options<'a> {
    /// What whoever connects must have.
    pub key: Option<&'a [u8]>,
    /// Connections that wait to be accepted, 0 for the default.
    pub backlog: u32,
    /// Mode of a path.
    pub mode: u32,
    /// At a local address whoever is another user, and not root, is sent away before anything else.
    pub own_user: bool,
}

/// Where others connect to.
pub struct Listener {
    socket: Socket,
    address: CString,
    path: Option<Path>,
    local: bool,
    own_user: bool,
    key: Option<Arc<[u8]>>,
    desk: Turn<Desk>,
    /// What others poll. Written by whoever has the desk.
    fd: AtomicI32,
    closed: AtomicBool,
}

/// A name in the file system, and who takes it away.
struct Path {
    name: Vec<u8>,
    identity: Option<(u64, u64)>,
    owner: u32,
}

/// Who has come, but was not accepted yet.
struct Desk {
    /// The process whose guests these are.
    owner: u32,
    /// Where there is a key: the listening socket, and every guest.
    poll: Option<Poll>,
    guests: Vec<Guest>,
    ready: VecDeque<Connection>,
}

struct Guest {
    talk: Talk,
    until_ns: u64,
    /// It is polled for room for what we say, and not for what it says.
    writes: bool,
}

impl Guest {
    /// Goes on as far as it goes now; whether it has proved itself.
    fn advance(&mut self, poll: &Poll) -> Result<bool> {
        let gone_on = self.talk.go_on(Some(0)).map(|()| true);
        self.poll_for_more(poll, gone_on)
    }

    /// Hears what it has to prove.
    fn begin(&mut self, poll: &Poll) -> Result<()> {
        let begun = self.talk.flush(Some(0));
        self.poll_for_more(poll, begun).map(|_| ())
    }

    fn poll_for_more(&mut self, poll: &Poll, done: Result<bool>) -> Result<bool> {
        let done = match done {
            Err(Error::TimedOut) => false,
            done => done?,
        };
        let writes = self.talk.step.is_some() || self.talk.line.has_rest();
        if writes != self.writes {
            poll.turn(self.fd(), self.fd() as u64, writes)?;
            self.writes = writes;
        }
        Ok(done)
    }
}

/// A handshake, and who takes part in it.
struct Talk {
    line: Line,
    inbox: Inbox,
    handshake: Handshake,
    /// What is to be said, and whether it is over then.
    step: Option<Step>,
}

impl Talk {
    /// Begins; what is to be said first is said by what follows.
    fn begin(line: Line, key: Arc<[u8]>, role: Role) -> Result<Talk> {
        let (handshake, first) = Handshake::begin(key, role)?;
        let step = first.map(|first| Step { reply: Some(first), done: Ok(false) });
        Ok(Talk { line, inbox: Inbox::default(), handshake, step })
    }

    /// Goes on until it is over, or it is time; then it may go on later.
    fn go_on(&mut self, deadline: Deadline) -> Result<()> {
        while !self.flush(deadline)? {
            let mut message = [0; LONGEST];
            let len = self.inbox.receive(&self.line, &mut message, deadline).map_err(|error| match error {
                Error::MessageSize { .. } | Error::Broken(_) | Error::NotPermitted(_) => {
                    Error::Denied("the other side does not ask for a key, or not as multiprocessing does")
                }
                error => error,
            })?;
            self.step = Some(self.handshake.advance(&message[..len]));
        }
        Ok(())
    }

    /// Says what is to be said; whether it is over with that.
    fn flush(&mut self, deadline: Deadline) -> Result<bool> {
        self.line.flush(deadline)?;
        let Some(step) = self.step.take() else { return Ok(false) };
        let said = step.reply.as_ref().map_or(Ok(()), |reply| self.line.send(reply, deadline));
        if matches!(said, Err(Error::TimedOut)) {
            self.step = Some(step);
            return Err(Error::TimedOut);
        }
        said.map_err(|error| step.done.as_ref().err().cloned().unwrap_or(error))?;
        step.done
    }
}

fn key_of(key: Option<&[u8]>) -> Result<Option<Arc<[u8]>>> {
    match key {
        Some([]) => Err(Error::invalid("an empty key keeps nobody out")),
        key => Ok(key.map(Arc::from)),
    }
}

impl Listener {
    /// Listens at an address; `None`: at an abstract one that is made up.
    pub fn new(text: Option<&str>, options: Options<'_>) -> Result<Listener> {
        let given = text.map_or_else(address::made_up, address::parse)?;
        let key = key_of(options.key)?;
        let backlog = if options.backlog == 0 { BACKLOG } else { options.backlog.min(i32::MAX as u32) as i32 };
        let socket = Socket::listen(&given, backlog, options.mode)?;
        let owner = fork::pid();
        let local = !matches!(given, Address::Internet(_));
        let path = match given {
            Address::Path(name) => Some(Path { identity: socket::identify(&name), name, owner }),
            _ => None,
        };
        // Of a port 0 the kernel has made a number.
        let address = socket.address().map(|address| address::print(&address)).unwrap_or_default();
        let mut listener = Listener::of(socket, address, path, local, key)?;
        listener.own_user = options.own_user && local;
        Ok(listener)
    }

    /// Its descriptor, and its address and key, for another process that accepts here too.
    pub fn pass_on(&self) -> Result<(RawFd, Vec<u8>)> {
        if self.closed.load(Acquire) {
            return Err(Error::Closed("the listener was freed"));
        }
        let key = self.key.as_deref().map_or(Argument::Nil, Argument::Bytes);
        Ok((self.socket.as_raw_fd(), wire::to_vec(&[Argument::String(self.address.to_bytes()), key])?))
    }

    /// Accepts at a listener that another process has passed on, and takes away when it is freed.
    pub fn open(fd: RawFd, state: &[u8]) -> Result<Listener> {
        let reader = wire::Reader::new(state)?;
        let (Argument::String(address), key) = (reader.argument(0)?, reader.argument(1)?) else {
            return Err(Error::Broken("a listener without an address".into()));
        };
        let key = if let Argument::Bytes(key) = key { key_of(Some(key))? } else { None };
        let address = CString::new(address).map_err(|_| Error::Broken("a listener without an address".into()))?;
        let local = !matches!(address::parse(&address.to_string_lossy()), Ok(Address::Internet(_)));
        Listener::of(Socket::of(socket::adopt(fd)?), address, None, local, key)
    }

    fn of(
        socket: Socket,
        address: CString,
        path: Option<Path>,
        local: bool,
        key: Option<Arc<[u8]>>,
    ) -> Result<Listener> {
        let desk = Desk { owner: 0, poll: None, guests: Vec::new(), ready: VecDeque::new() };
        let listener = Listener {
            fd: AtomicI32::new(socket.as_raw_fd()),
            desk: Turn::new(desk),
            closed: AtomicBool::new(false),
            socket,
            address,
            path,
            local,
            own_user: false,
            key,
        };
        let mut desk = take(&listener.desk, Some(0))?;
        listener.settle_at(&mut desk)?;
        drop(desk);
        Ok(listener)
    }

    /// Where it listens, as a client writes it.
    pub fn address(&self) -> &CStr {
        &self.address
    }

    /// Makes the desk this process's own: those who came before a fork are its parent's guests.
    fn settle_at(&self, desk: &mut Desk) -> Result<()> {
        let me = fork::pid();
        if desk.owner == me {
            return Ok(());
        }
        let poll = self.key.as_ref().map(|_| Poll::new()).transpose()?;
        if let Some(poll) = &poll {
            poll.add(self.socket.as_raw_fd(), self.socket.as_raw_fd() as u64)?;
        }
        self.fd.store(poll.as_ref().map_or(self.socket.as_raw_fd(), Poll::raw), Release);
        // What is dropped here are copies. The old poll is shared with the parent: nothing is taken out of it.
        *desk = Desk { owner: me, poll, guests: Vec::new(), ready: VecDeque::new() };
        Ok(())
    }

    /// The next connection.
    pub fn accept(&self, deadline: Deadline) -> Result<Connection> {
        let mut desk = take(&self.desk, deadline)?;
        self.settle_at(&mut desk)?;
        loop {
            if self.closed.load(Acquire) {
                return Err(Error::Closed("the listener was freed"));
            }
            if let Some(connection) = desk.ready.pop_front() {
                return Ok(connection);
            }
            if deadline != Some(0) && stop::notice() {
                return Err(Error::SoftLimit);
            }
            let now = now_ns();
            let late = deadline.is_some_and(|deadline| deadline <= now);
            let until = desk.guests.iter().map(|guest| guest.until_ns).chain(deadline).min();
            self.attend(&mut desk, if late { Some(0) } else { until.map(|until| until.saturating_sub(now)) })?;
            if late && desk.ready.is_empty() {
                return Err(Error::TimedOut);
            }
        }
    }

    /// Whether an accept would find somebody now; true if another thread is in one.
    pub fn is_ready(&self) -> Result<bool> {
        let mut desk = match take(&self.desk, Some(0)) {
            Err(Error::TimedOut) => return Ok(true),
            desk => desk?,
        };
        self.settle_at(&mut desk)?;
        if desk.ready.is_empty() {
            self.attend(&mut desk, Some(0))?;
        }
        Ok(!desk.ready.is_empty())
    }

    /// Whether somebody is about to prove that he has the key.
    pub fn has_guests(&self) -> bool {
        take(&self.desk, Some(0)).map_or(true, |desk| !desk.guests.is_empty())
    }

    /// Readable when there may be somebody to accept.
    pub fn fd(&self) -> Result<RawFd> {
        match take(&self.desk, Some(0)) {
            Err(Error::TimedOut) => {}
            desk => self.settle_at(&mut *desk?)?,
        }
        Ok(self.fd.load(Acquire))
    }

    /// Waits until somebody comes or says something, and moves all on.
    fn attend(&self, desk: &mut Desk, timeout_ns: Option<u64>) -> Result<()> {
        let listening = self.socket.as_raw_fd();
        let (Some(poll), Some(key)) = (&desk.poll, &self.key) else {
            let deadline = timeout_ns.map(|timeout| now_ns().saturating_add(timeout));
            return match descriptor::poll_readable(listening, deadline) {
                Ok(false) | Err(Error::Interrupted) => Ok(()),
                Ok(true) => {
                    let made = |socket| SocketEnd::make(Line::new(socket), Inbox::default(), self.local);
                    desk.ready.extend(self.socket.accept()?.map(made));
                    Ok(())
                }
                Err(error) => Err(error),
            };
        };
        let mut keys = [0; 64];
        let count = poll.wait(&mut keys, timeout_ns);
        for ready in &keys[..count] {
            if *ready == listening as u64 {
                welcome(&self.socket, poll, &mut desk.guests, key, self.own_user)?;
            } else if let Some(index) = desk.guests.iter().position(|guest| guest.fd() as u64 == *ready) {
                match desk.guests[index].advance(poll) {
                    Ok(false) => {}
                    Ok(true) => {
                        let Talk { line, inbox, .. } = leave(poll, &mut desk.guests, index).talk;
                        desk.ready.push_back(SocketEnd::make(line, inbox, self.local));
                    }
                    Err(error) => {
                        log::debug(format_args!("a listener sent somebody away: {error}"));
                        drop(leave(poll, &mut desk.guests, index));
                    }
                }
            }
        }
        let now = now_ns();
        while let Some(index) = desk.guests.iter().position(|guest| guest.until_ns <= now) {
            drop(leave(poll, &mut desk.guests, index));
        }
        Ok(())
    }

    /// Ends it for the threads of this process; whoever waits in one goes on.
    pub fn end(&self) {
        self.closed.store(true, Release);
        if self.desk.is_taken() {
            self.socket.shut_down();
        }
    }
}

impl Guest {
    fn fd(&self) -> RawFd {
        self.talk.line.socket.as_raw_fd()
    }
}

/// Takes in whoever is at the door.
fn welcome(socket: &Socket, poll: &Poll, guests: &mut Vec<Guest>, key: &Arc<[u8]>, own_user: bool) -> Result<()> {
    for _ in 0..GUESTS {
        let Some(socket) = socket.accept()? else { break };
        if own_user && !socket.is_of_our_user() {
            log::warning(format_args!("a listener sent another user away"));
            continue;
        }
        if guests.len() >= GUESTS {
            drop(leave(poll, guests, 0));
        }
        let talk = Talk::begin(Line::new(socket), key.clone(), Role::Listener)?;
        let until_ns = now_ns().saturating_add(PATIENCE_NS);
        let mut guest = Guest { talk, until_ns, writes: false };
        poll.add(guest.fd(), guest.fd() as u64)?;
        // Who is gone already leaves the poll with its socket, of which nobody has a copy yet.
        if guest.begin(poll).is_ok() {
            guests.push(guest);
        }
    }
    Ok(())
}

/// Takes a guest out. From the poll too, in which it would stay as long as a forked child has a copy.
fn leave(poll: &Poll, guests: &mut Vec<Guest>, index: usize) -> Guest {
    let guest = guests.remove(index);
    descriptor::remove(poll.raw(), guest.fd());
    guest
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some(path) = &self.path else { return };
        // A forked child's copy takes nothing away, nor is anything taken away that somebody else has put there since.
        if path.owner == fork::pid() && path.identity.is_some() && socket::identify(&path.name) == path.identity {
            socket::unlink(&path.name);
        }
    }
}

/// Connects to a listener, and proves that both have the key.
pub fn connect(text: &str, key: Option<&[u8]>, deadline: Deadline) -> Result<Connection> {
    let address = address::parse(text)?;
    let key = key_of(key)?;
    let goes_on = || if stop::notice() { Err(Error::SoftLimit) } else { Ok(()) };
    let line = Line::patient(Socket::connect(&address, deadline, goes_on)?);
    let local = !matches!(address, Address::Internet(_));
    let Some(key) = key else { return Ok(SocketEnd::make(line, Inbox::default(), local)) };
    let mut talk = Talk::begin(line, key, Role::Client)?;
    talk.go_on(deadline)?;
    Ok(SocketEnd::make(talk.line, talk.inbox, local))
}
