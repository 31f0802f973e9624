//! A process's way to a server: its connections, and the proxies that it gets.
//!
//! Each call has a connection for itself, so that threads do not wait for each other; all of a process's connections are one
//! session. A forked child makes a session of its own with its first call. If a call is not answered at all, the whole session
//! is given up: else the server might have given a lock to somebody who has ceased to wait for it.
#![forbid(unsafe_code)]

use super::argument::to_value;
use super::kind;
use super::lane::Way;
use super::protocol::{Call, Given, Reply, Request, VERSION};
use super::value::{Proxy, Value};
use crate::connection::{Connection, listener};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::lock;
use crate::shm::arena::Arena;
use crate::shm::cell::{Cell, Kind, Reference};
use crate::shm::heap::Heap;
use crate::shm::member::MemberId;
use crate::shm::memory::Deadline;
use crate::shm::region::Region;
use crate::shm::stop;
use crate::sys::clock::deadline_after_ms;
use crate::sys::{fork, once, own, socket};
use crate::wire::{self, Argument};
use std::collections::HashMap;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Flag of a manager's cell: its server is a process of the family. Set by the process that starts it.
pub const OF_FAMILY: u32 = 1;

/// Connections that wait for the next call.
const IDLE: usize = 16;
/// Bytes of the longest request whose memory a connection keeps.
const KEPT: usize = 64 << 10;

/// Where a server is, and which it is.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Where it listens.
    pub address: String,
    /// What it wants from whoever comes.
    pub key: Vec<u8>,
    /// Tells it from all others; empty as long as that is not known.
    pub identity: Vec<u8>,
    /// How long it may take for an answer.
    pub request_timeout_ms: i64,
}

/// A server, as this process has it.
pub struct Client {
    /// The manager's cell.
    manager: (u64, u32),
    reach: Reach,
    session: [u8; 16],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Way>,
    /// The session was given up.
    lost: bool,
    /// The server gives no lanes.
    no_lanes: bool,
    /// The server looks at the cells of our arena.
    is_family: bool,
    /// Else: the cells that stand for references of this session, and the objects.
    references: HashMap<(u64, u32), u64>,
}

struct Clients {
    owner: MemberId,
    list: Mutex<Vec<Arc<Client>>>,
}

/// The clients of this process. A forked child makes its own when it asks first, as in `process`.
static CLIENTS: AtomicPtr<Clients> = AtomicPtr::new(std::ptr::null_mut());

fn clients(family: Family) -> MutexGuard<'static, Vec<Arc<Client>>> {
    let make = || Clients { owner: family.me, list: Mutex::default() };
    let clients = once::get_or_make(&CLIENTS, |clients| clients.owner == family.me, make);
    clients.list.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Which process's loop this thread is, and of which manager.
    static SERVES: std::cell::Cell<Option<(u32, (u64, u32))>> = const { std::cell::Cell::new(None) };
}

/// This thread is the loop of a manager's server: what it asks of that, nobody would ever answer.
pub fn serves(manager: (u64, u32)) {
    SERVES.set(Some((fork::pid(), manager)));
}

fn gone() -> Error {
    Error::BadHandle("the manager of the object is gone".into())
}

const LOST: Error = Error::Closed("the manager's server is gone, or does not answer; the request was not sent");

fn unknown() -> Error {
    Error::Broken("the manager's server did not answer; it is not known whether it has done what it was asked".into())
}

/// An object, as this process reaches it.
pub struct Target {
    client: Arc<Client>,
    /// The object.
    pub proxy: Proxy,
}

impl Reach {
    /// Writes it to a manager's cell.
    pub fn write(&self, arena: Arena, cell: &'static Cell) -> Result<()> {
        let encoded = wire::to_vec(&[
            Argument::String(self.address.as_bytes()),
            Argument::Bytes(&self.key),
            Argument::Bytes(&self.identity),
            Argument::Integer(self.request_timeout_ms),
        ])?;
        let offset = Heap::of(arena).take(encoded.len() as u64, &cell.block)?;
        let block = Region::of(arena, offset, encoded.len() as u64);
        block.ok_or(Error::Panic("a block outside the arena".into()))?.write(&encoded);
        // Last: whoever finds a length finds what is written.
        cell.len.store(encoded.len() as u64, Release);
        Ok(())
    }

    fn read(arena: Arena, cell: &'static Cell) -> Result<Reach> {
        let len = cell.len.load(Acquire);
        let block = Region::of(arena, cell.block.load(Acquire), len).filter(|_| len > 0).ok_or_else(gone)?;
        let mut copy = vec![0; len as usize];
        block.read(&mut copy);
        let reader = wire::Reader::new(&copy)?;
        match (reader.argument(0)?, reader.argument(1)?, reader.argument(2)?, reader.argument(3)?) {
            (
                Argument::String(address),
                Argument::Bytes(key),
                Argument::Bytes(identity),
                Argument::Integer(request_timeout_ms),
            ) => Ok(Reach {
                address: String::from_utf8(address.to_vec()).map_err(|_| gone())?,
                key: key.to_vec(),
                identity: identity.to_vec(),
                request_timeout_ms,
            }),
            _ => Err(gone()),
        }
    }
}

/// Whether anybody has anything of a client's manager.
fn is_needed(family: Family) -> impl Fn(&Arc<Client>) -> bool {
    move |client| {
        let (index, generation) = client.manager;
        family.arena.cell(index).is_some_and(|cell| cell.is_there(generation))
    }
}

impl Client {
    /// The server of a manager's cell.
    pub fn of(family: Family, cell: &'static Cell, generation: u32) -> Result<Arc<Client>> {
        let manager = (family.arena.cell_index(cell), generation);
        let mut list = clients(family);
        let known = list.iter().find(|client| client.manager == manager).cloned();
        if !cell.is_there(generation) {
            list.retain(|client| client.manager != manager);
            return Err(gone());
        }
        if let Some(client) = known {
            return Ok(client);
        }
        let reach = Reach::read(family.arena, cell)?;
        // Of managers that were freed here, and whose last handle elsewhere has gone since.
        list.retain(is_needed(family));
        let client = Arc::new(Client { manager, reach, session: socket::random()?, state: Mutex::default() });
        list.push(client.clone());
        Ok(client)
    }

    /// Which server is at the other end of a connection.
    pub fn meet(reach: &Reach, connection: Connection) -> Result<Vec<u8>> {
        let client =
            Client { manager: (0, 0), reach: reach.clone(), session: socket::random()?, state: Mutex::default() };
        client.introduce(&Way::new(connection)).map(|(identity, _)| identity)
    }

    /// The manager of a cell goes: its connections end.
    pub fn forget(family: Family, manager: (u64, u32)) {
        clients(family).retain(|client| client.manager != manager);
    }

    /// Something that referred to a manager has gone: with the last of these its connections end.
    pub fn tidy(family: Family) {
        clients(family).retain(is_needed(family));
    }

    /// The manager's cell, and its generation.
    pub fn manager(&self) -> (u64, u32) {
        self.manager
    }

    /// How to reach the server.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn patience(&self) -> Deadline {
        deadline_after_ms(self.reach.request_timeout_ms)
    }

    /// A connection that nobody uses.
    fn take(&self) -> Result<Way> {
        let mut state = self.state();
        if state.lost {
            return Err(LOST);
        }
        match state.idle.pop() {
            Some(mut way) => {
                let wants = state.is_family && !state.no_lanes && way.is_worth_a_lane();
                drop(state);
                if wants {
                    self.widen(&mut way)?;
                }
                Ok(way)
            }
            None => {
                drop(state);
                self.connect()
            }
        }
    }

    /// Gives a connection a lane, if the server takes it.
    fn widen(&self, way: &mut Way) -> Result<()> {
        let made = way.widen(|way, end| {
            self.say(way, Request::Lane { end })?;
            let answer = self.receive(way, || self.patience()).map_err(|error| match error {
                Error::SoftLimit => error,
                _ => LOST,
            })?;
            Ok(answer.is_ok())
        })?;
        if !made {
            self.state().no_lanes = true;
        }
        Ok(())
    }

    fn put_back(&self, mut way: Way) {
        if way.message.capacity() > KEPT {
            way.message = Vec::new();
        }
        let mut state = self.state();
        if state.idle.len() < IDLE && !state.lost {
            state.idle.push(way);
        }
    }

    /// A new connection of the session.
    fn connect(&self) -> Result<Way> {
        let connected = listener::connect(&self.reach.address, Some(&self.reach.key), self.patience());
        let connection = connected.map_err(|error| match error {
            Error::Denied(_) | Error::SoftLimit | Error::Invalid(_) => error,
            _ => LOST,
        })?;
        let way = Way::new(connection);
        let (identity, cell) = self.introduce(&way)?;
        if identity != self.reach.identity {
            return Err(Error::Closed("the manager's server is gone, and another one listens at its address"));
        }
        self.state().is_family = is_family(cell, &identity);
        Ok(way)
    }

    /// Says who this is; who the server is.
    fn introduce(&self, way: &Way) -> Result<(Vec<u8>, i64)> {
        let hello = Request::Hello { version: VERSION, session: self.session.to_vec(), pid: fork::pid() as i64 };
        self.say(way, hello)?;
        let answer = self.receive(way, || self.patience()).map_err(|error| match error {
            Error::SoftLimit => error,
            Error::Broken(_) => Error::Broken("the other side is no manager".into()),
            _ => LOST,
        })??;
        match answer {
            Value::List(answer) => match &answer[..] {
                [Value::Bytes(identity), Value::Integer(cell)] => Ok((identity.clone(), *cell)),
                _ => Err(Error::Broken("the other side is no manager".into())),
            },
            _ => Err(Error::Broken("the other side is no manager".into())),
        }
    }

    /// A short request without a reply of its own. A task that should stop is told so elsewhere: this does not wait.
    fn say(&self, way: &Way, request: Request) -> Result<()> {
        let message = request.pack()?;
        match way.add(&message, self.patience()) {
            Err(Error::SoftLimit) => {
                let sent = way.add(&message, self.patience());
                stop::take_back();
                sent
            }
            sent => sent,
        }
        .map_err(|_| LOST)
    }

    /// A reply; the outer error: there was none.
    fn receive(&self, way: &Way, patience: impl FnMut() -> Deadline) -> Result<Result<Value>> {
        way.receive(patience, Reply::unpack)?.map(|reply| reply.0)
    }

    /// Sends a request and waits for its reply, `timeout_ms` and as long as any answer may take.
    fn exchange(&self, request: Request, timeout_ms: i64) -> Result<(Way, Result<Value>)> {
        self.exchange_packed(|message| request.pack_into(message), timeout_ms)
    }

    /// The same for a request that `pack` puts together.
    #[inline]
    fn exchange_packed(
        &self,
        pack: impl FnOnce(&mut Vec<u8>) -> Result<()>,
        timeout_ms: i64,
    ) -> Result<(Way, Result<Value>)> {
        if SERVES.get() == Some((own::pid(), self.manager)) {
            return Err(Error::NotPermitted("a method on the server's loop cannot call its own server: it blocks"));
        }
        let mut way = self.take()?;
        match pack(&mut way.message).map(|()| way.send(&way.message, || self.patience())) {
            Ok(Ok(())) => {}
            Err(refused) => {
                self.put_back(way);
                return Err(refused);
            }
            Ok(Err(error)) => return self.not_sent(way, error),
        }
        way.look_for_reply();
        let more_ns = u64::try_from(timeout_ms).ok().and_then(|ms| ms.checked_mul(1_000_000));
        let mut deadline = None;
        let mut patience = || {
            let until = || more_ns.and_then(|more| Some(self.patience()?.saturating_add(more)));
            *deadline.get_or_insert_with(until)
        };
        let mut cancelled = false;
        loop {
            match self.receive(&way, &mut patience) {
                Ok(Err(error)) if cancelled && error.status() == Error::TimedOut.status() => {
                    return Ok((way, Err(Error::SoftLimit)));
                }
                Ok(reply) => {
                    if cancelled {
                        stop::take_back();
                    }
                    return Ok((way, reply));
                }
                // The task that calls should stop: what it waits for is taken back, unless it was quicker.
                Err(Error::SoftLimit) if !cancelled => {
                    cancelled = true;
                    let _ = way.add(&Request::Cancel.pack()?, self.patience());
                }
                Err(Error::SoftLimit) => {}
                Err(error) => {
                    self.give_up();
                    let untaken = matches!(error, Error::Closed(_)) && way.is_untaken();
                    return Err(if untaken { LOST } else { unknown() });
                }
            }
        }
    }

    /// A request that could not be sent.
    #[cold]
    fn not_sent<T>(&self, way: Way, error: Error) -> Result<T> {
        match error {
            Error::SoftLimit | Error::TimedOut => {
                // Nothing of it was sent.
                self.put_back(way);
                Err(if error == Error::SoftLimit { error } else { LOST })
            }
            _ => Err(LOST),
        }
    }

    /// Ends the session.
    fn give_up(&self) {
        let mut state = self.state();
        state.lost = true;
        state.idle.clear();
    }

    /// A request without a reply, now or not at all.
    fn tell(&self, request: Request) {
        let (Ok(message), Ok(mut state)) = (request.pack(), self.state.try_lock()) else { return };
        if let Some(way) = state.idle.last()
            && !matches!(way.send(&message, || Some(0)), Ok(()) | Err(Error::TimedOut))
        {
            state.idle.pop();
        }
    }

    /// A request with a reply that names no objects.
    pub fn ask(&self, request: Request) -> Result<Value> {
        let (way, reply) = self.exchange(request, 0)?;
        self.put_back(way);
        reply
    }

    /// Makes an object; a proxy of it.
    pub fn create(
        self: &Arc<Client>,
        family: Family,
        name: &str,
        arguments: Vec<Value>,
        persistent: bool,
    ) -> Result<(&'static Cell, u32, u8)> {
        let request = Request::Create { kind: name.into(), arguments, persistent };
        let (way, reply) = self.exchange(request, 0)?;
        let made = match reply {
            Ok(Value::Proxy(proxy)) => {
                self.adopt(family, &way, proxy).map(|(cell, generation)| (cell, generation, proxy.kind))
            }
            Ok(_) => Err(Error::Broken("the manager's server made no object".into())),
            Err(error) => Err(error),
        };
        self.put_back(way);
        made
    }

    /// A cell that stands for an object that the server has just named.
    fn adopt(&self, family: Family, way: &Way, proxy: Proxy) -> Result<(&'static Cell, u32)> {
        let made = make_cell(family, self.manager, proxy);
        let is_family = self.state().is_family;
        let answer = match &made {
            Ok((cell, generation)) if is_family => {
                let cell = family.arena.cell_index(cell);
                Some(Request::Keep { object: proxy.object, cell, generation: *generation as u64 })
            }
            Ok((cell, generation)) => {
                let cell = family.arena.cell_index(cell);
                self.state().references.insert((cell, *generation), proxy.object);
                None
            }
            Err(_) => Some(Request::Release { object: proxy.object }),
        };
        let Some(answer) = answer else { return made };
        self.say(way, answer).and(made.clone()).inspect_err(|_| {
            if let Ok((cell, generation)) = made {
                cell.let_go(family.arena, generation, family.me.slot);
            }
        })
    }
}

/// A cell of this process's that stands for an object of a manager.
pub fn make_cell(family: Family, (index, generation): (u64, u32), proxy: Proxy) -> Result<(&'static Cell, u32)> {
    let cell = Cell::claim(family.arena, Kind::Proxy, family.me.slot)?;
    cell.type_code.store(proxy.kind as u32, Relaxed);
    cell.extra[2].store(proxy.object, Relaxed);
    let manager = Reference { index, generation, kind: Kind::Manager as u8 };
    let referred = cell.refer(family.arena, manager);
    referred.inspect_err(|_| cell.let_go(family.arena, cell.generation(), family.me.slot))?;
    Ok((cell, cell.generation()))
}

/// Whether the server with this identity is that of a manager's cell of our own family.
fn is_family(cell: i64, identity: &[u8]) -> bool {
    let Some((arena, index)) = Arena::get().zip(u64::try_from(cell).ok()) else { return false };
    let Some(cell) = arena.cell(index).filter(|cell| cell.kind() == Kind::Manager) else { return false };
    if cell.flags.load(Acquire) & OF_FAMILY == 0 {
        return false;
    }
    Reach::read(arena, cell).is_ok_and(|reach| reach.identity == identity)
}

/// The object that a proxy's cell stands for.
pub fn proxy_of(cell: &'static Cell) -> Proxy {
    Proxy { object: cell.extra[2].load(Relaxed), kind: cell.type_code.load(Relaxed) as u8 }
}

/// A proxy is freed in this process: whoever counts it is told, if it was the last.
pub fn let_go(family: Family, cell: &'static Cell, generation: u32, release: impl FnOnce()) {
    let proxy = proxy_of(cell);
    let manager = Reference::from_bits(cell.refers_to.load(Acquire));
    let client = manager.cell(family.arena).and_then(|manager_cell| {
        let name = (manager.index, manager.generation);
        let list = clients(family);
        list.iter().find(|client| client.manager == name && manager_cell.is_there(name.1)).cloned()
    });
    release();
    let Some(client) = client.filter(|_| !cell.is_there(generation)) else { return };
    Client::tidy(family);
    let Ok(mut state) = client.state.try_lock() else { return };
    let request = match state.references.remove(&(family.arena.cell_index(cell), generation)) {
        Some(object) => Request::Release { object },
        None if state.is_family => Request::Look { object: proxy.object },
        None => return,
    };
    drop(state);
    client.tell(request);
}

impl Target {
    /// The object of a proxy's cell.
    pub fn of(cell: &'static Cell, generation: u32) -> Result<Target> {
        let family = family::current()?;
        let proxy = proxy_of(cell);
        let manager = Reference::from_bits(cell.refers_to.load(Acquire));
        let there = || manager.cell(family.arena).filter(|_| cell.is_there(generation));
        let manager_cell = there().ok_or(Error::BadHandle("the object is gone".into()))?;
        Ok(Target { client: Client::of(family, manager_cell, manager.generation)?, proxy })
    }

    /// Whether the other is an object of the same manager.
    pub fn is_with(&self, other: &Target) -> bool {
        self.client.manager == other.client.manager
    }

    /// What encoded arguments say.
    pub fn values_of(&self, encoded: &[u8]) -> Result<Vec<Value>> {
        (0..wire::count(encoded)?).map(|index| self.value_of(&wire::argument(encoded, index)?)).collect()
    }

    /// What an argument says: handles must be of the same manager.
    pub fn value_of(&self, argument: &Argument<'_>) -> Result<Value> {
        to_value(self.client.manager, argument)
    }

    /// Calls a method. `shown` is given every object of the result, as a cell of its own.
    pub fn call<T>(
        &self,
        method: &str,
        arguments: Vec<Value>,
        room: Option<usize>,
        timeout_ms: i64,
        shown: impl FnOnce(&Value, &mut dyn FnMut(Proxy) -> Result<(&'static Cell, u32)>) -> Result<T>,
    ) -> Result<T> {
        self.call_with(method, Given::Values(&arguments), room, timeout_ms, shown)
    }

    /// The same with what lies elsewhere.
    pub fn call_with<T>(
        &self,
        method: &str,
        given: Given<'_>,
        room: Option<usize>,
        timeout_ms: i64,
        shown: impl FnOnce(&Value, &mut dyn FnMut(Proxy) -> Result<(&'static Cell, u32)>) -> Result<T>,
    ) -> Result<T> {
        let family = family::current()?;
        let call = Call {
            object: self.proxy.object,
            method,
            timeout_ms: timeout_ms.max(-1),
            thread: lock::this_thread() as i64,
            room: room.map_or(-1, |room| room.min(i64::MAX as usize) as i64),
        };
        let (way, reply) = self.client.exchange_packed(|message| call.pack(given, message), timeout_ms)?;
        let result = reply.and_then(|value| {
            if self.proxy.kind == kind::QUEUE && matches!(method, "get" | "get_many") {
                let _ = way.add(&Request::Taken.pack()?, self.client.patience());
            }
            shown(&value, &mut |proxy| self.client.adopt(family, &way, proxy))
        });
        self.client.put_back(way);
        result
    }

    /// The same for a result without objects.
    pub fn ask(&self, method: &str, arguments: Vec<Value>, timeout_ms: i64) -> Result<Value> {
        self.call(method, arguments, None, timeout_ms, |value, _| Ok(value.clone()))
    }

    /// The same for a method whose result is nothing.
    pub fn order(&self, method: &str, timeout_ms: i64) -> Result<()> {
        self.ask(method, Vec::new(), timeout_ms).map(|_| ())
    }

    /// The same with arguments.
    pub fn order_with(&self, method: &str, arguments: Vec<Value>) -> Result<()> {
        self.ask(method, arguments, 0).map(|_| ())
    }

    /// The same for a number or a truth value.
    pub fn number(&self, method: &str) -> Result<i64> {
        self.ask(method, Vec::new(), 0)?.integer()
    }
}
