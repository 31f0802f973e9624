//! How a server begins and ends, and how managers find one.
//!
//! A new server tells where it listens through a door: a listener that its starter has for this moment only, behind a key
//! that stands in the arguments. So it is the same with every start method, and nothing of it is ever in argv or environment.
#![forbid(unsafe_code)]

use super::client::{Client, OF_FAMILY, Reach};
use super::custom::{self, Type};
use super::protocol::{Reply, Request};
use super::server::{Server, Terms};
use super::value::Value;
use crate::call::{Call, Input, Output};
use crate::connection::Connection;
use crate::connection::listener::{self, Listener};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function::{self, IDENTITY_SIZE, Identity};
use crate::key;
use crate::process::{self, Process};
use crate::shm::arena::Arena;
use crate::shm::cell::{Cell, Kind};
use crate::shm::member::{Bond, MemberId};
use crate::shm::memory::Deadline;
use crate::shm::repair;
use crate::start::Method;
use crate::sys::clock::deadline_after_ms;
use crate::sys::{birth, descriptor, fork, limits, once, socket};
use crate::wait;
use crate::wire::{self, Argument};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Release;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a server may take to begin.
const BEGIN_MS: i64 = 10_000;
/// How long any answer may take, if nothing is said.
const ANSWER_MS: i64 = 30_000;
/// Bytes that objects may take, if nothing is said.
const LIMIT: usize = 1 << 30;

/// What a server does first: a function, and its arguments.
pub struct First<'a> {
    /// The function.
    pub function: usize,
    /// What it is called with.
    pub arguments: Vec<Argument<'a>>,
}

/// What a manager is like.
#[derive(Default)]
pub struct Options<'a> {
    /// Where its server listens; made up if nothing is said.
    pub address: Option<String>,
    /// What whoever connects must have; this process's if nothing is said.
    pub key: Option<Vec<u8>>,
    /// How its server is started.
    pub method: Option<Method>,
    /// How long any answer may take; 0 for the default, -1 for ever.
    pub request_timeout_ms: i64,
    /// Bytes that its objects may take, 0 for the default.
    pub limit: u64,
    /// Bytes that objects may take for one client, 0 for as many as for all.
    pub client_limit: u64,
    /// Types that the program brings along.
    pub types: Vec<Type>,
    /// Only bytes and objects are stored in dicts, lists and queues.
    pub only_bytes: bool,
    /// What the server does before it serves.
    pub first: Option<First<'a>>,
}

impl Options<'_> {
    /// How long a server may take to begin.
    fn begin_ms(&self) -> i64 {
        match self.request_timeout() {
            _ if self.first.is_none() => BEGIN_MS,
            -1 => -1,
            answer => answer.max(BEGIN_MS),
        }
    }

    fn key(&self, family: Family) -> Result<Vec<u8>> {
        self.key.clone().map_or_else(|| key::current(family), Ok)
    }

    fn request_timeout(&self) -> i64 {
        if self.request_timeout_ms == 0 { ANSWER_MS } else { self.request_timeout_ms.max(-1) }
    }

    fn limit(&self) -> usize {
        if self.limit == 0 { LIMIT } else { self.limit.min(usize::MAX as u64) as usize }
    }

    fn client_limit(&self) -> usize {
        if self.client_limit == 0 { self.limit() } else { self.client_limit.min(usize::MAX as u64) as usize }
    }
}

/// A server that this process has started.
struct Started {
    /// The manager's cell.
    manager: (u64, u32),
    process: Arc<Process>,
    /// What is said on it ends the server.
    link: Connection,
}

/// All of them.
struct Servers {
    owner: MemberId,
    list: Mutex<Vec<Started>>,
}

static SERVERS: AtomicPtr<Servers> = AtomicPtr::new(std::ptr::null_mut());

fn servers(family: Family) -> MutexGuard<'static, Vec<Started>> {
    let make = || Servers { owner: family.me, list: Mutex::default() };
    let servers = once::get_or_make(&SERVERS, |servers| servers.owner == family.me, make);
    servers.list.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A manager: the cell of the family that says how to reach its server.
#[derive(Clone, Copy)]
pub struct Manager {
    cell: &'static Cell,
    generation: u32,
}

impl Manager {
    /// The manager of a cell.
    pub fn of(cell: &'static Cell, generation: u32) -> Manager {
        Manager { cell, generation }
    }

    /// Its cell.
    pub fn cell(self) -> (&'static Cell, u32) {
        (self.cell, self.generation)
    }

    fn claim(family: Family) -> Result<Manager> {
        let cell = Cell::claim(family.arena, Kind::Manager, family.me.slot)?;
        Ok(Manager { cell, generation: cell.generation() })
    }

    fn let_go(self, family: Family) {
        self.cell.let_go(family.arena, self.generation, family.me.slot);
    }

    fn name(self, family: Family) -> (u64, u32) {
        (family.arena.cell_index(self.cell), self.generation)
    }

    /// Starts a server, which begins at the function at `entry`.
    pub fn new(options: &Options<'_>, entry: usize) -> Result<Manager> {
        let family = family::current()?;
        let manager = Manager::claim(family)?;
        match manager.start(family, options, entry) {
            Ok((process, link)) => {
                servers(family).push(Started { manager: manager.name(family), process, link });
                Ok(manager)
            }
            Err(error) => {
                manager.let_go(family);
                Err(error)
            }
        }
    }

    fn start(self, family: Family, options: &Options<'_>, entry: usize) -> Result<(Arc<Process>, Connection)> {
        let key = options.key(family)?;
        let identity = socket::random::<16>()?.to_vec();
        let door_key = socket::random::<32>()?;
        let door = Listener::new(None, listener::Options { key: Some(&door_key), ..Default::default() })?;
        let door_address = door.address().to_bytes();
        custom::check(&options.types)?;
        let types = custom::pack(&options.types)?;
        let first = options.first.as_ref();
        let function = first.map(|first| function::identify(first.function)).transpose()?;
        let function = function.map(|identity| identity.to_bytes());
        let arguments = wire::to_vec(&[
            Argument::String(door_address),
            Argument::Bytes(&door_key),
            options.address.as_ref().map_or(Argument::Nil, |address| Argument::String(address.as_bytes())),
            Argument::Bytes(&key),
            Argument::Bytes(&identity),
            Argument::Integer(family.arena.cell_index(self.cell) as i64),
            Argument::Integer(options.limit() as i64),
            Argument::Bytes(&types),
            function.as_ref().map_or(Argument::Nil, |identity| Argument::Bytes(identity)),
            Argument::List(first.map_or(Vec::new(), |first| first.arguments.clone())),
            Argument::Integer(options.client_limit() as i64),
            Argument::Bool(options.only_bytes),
        ])?;
        let name = Some("Manager".into());
        let bond = Bond { daemon: true, ..Bond::default() };
        let terms = process::Options { name, bond, method: options.method, ..Default::default() };
        let process = process::start(entry, arguments, terms)?;
        process::set_aside(family, &process);
        let (address, link) = hear(&door, &process, options.begin_ms()).inspect_err(|_| {
            let _ = process.signal(9);
            let _ = process.join(deadline_after_ms(BEGIN_MS));
        })?;
        let reach = Reach { address, key, identity, request_timeout_ms: options.request_timeout() };
        self.cell.flags.store(OF_FAMILY, Release);
        reach.write(family.arena, self.cell).inspect_err(|_| _ = process.signal(9))?;
        Ok((process, link))
    }

    /// Connects to a server that runs already.
    pub fn open(options: &Options<'_>, timeout_ms: i64) -> Result<Manager> {
        let family = family::current()?;
        let manager = Manager::claim(family)?;
        let opened = manager.find(family, options, timeout_ms);
        opened.inspect_err(|_| manager.let_go(family))
    }

    fn find(self, family: Family, options: &Options<'_>, timeout_ms: i64) -> Result<Manager> {
        let address = options.address.clone().ok_or(Error::invalid("the address is NULL"))?;
        let key = options.key(family)?;
        // Once with the caller's time, to learn which server it is; from then on only that one is meant.
        let mut reach = Reach { address, key, identity: Vec::new(), request_timeout_ms: timeout_ms };
        let connection = listener::connect(&reach.address, Some(&reach.key), deadline_after_ms(timeout_ms))?;
        reach.identity = Client::meet(&reach, connection)?;
        reach.request_timeout_ms = options.request_timeout();
        reach.write(family.arena, self.cell)?;
        Ok(self)
    }

    /// The server, as this process reaches it.
    pub fn client(self) -> Result<Arc<Client>> {
        Client::of(family::current()?, self.cell, self.generation)
    }

    /// The server's process, for the one who started it.
    pub fn process(self) -> Result<Arc<Process>> {
        let family = family::current()?;
        let list = servers(family);
        let found = list.iter().find(|started| started.manager == self.name(family));
        found
            .map(|started| started.process.clone())
            .ok_or(Error::NotPermitted("only the process that started a manager can join it"))
    }

    /// Ends the server and waits for its end.
    pub fn shutdown(self, deadline: Deadline) -> Result<()> {
        let asked = self.client().and_then(|client| client.ask(Request::Shutdown));
        match (self.process(), asked) {
            (Ok(process), asked) => {
                if asked.is_err() {
                    // It does not answer: nothing is lost that it could still give.
                    process.signal(9)?;
                }
                process.join(deadline)
            }
            // Somebody else's: that it has said so is all that can be known.
            (Err(_), asked) => asked.map(|_| ()),
        }
    }

    /// The handle of whoever started the server is freed: it ends, without a wait.
    pub fn end(self, family: Family) {
        let mut list = servers(family);
        let Some(at) = list.iter().position(|started| started.manager == self.name(family)) else { return };
        let started = list.swap_remove(at);
        drop(list);
        if !matches!(started.process.look(), Ok(Some(_))) {
            if started.link.send(b"end", Some(0)).is_err() {
                let _ = started.process.signal(9);
            }
            process::give_back(family, started.process);
        }
        Client::forget(family, started.manager);
    }
}

/// What a server that was started says about its beginning: where it listens.
fn hear(door: &Listener, process: &Arc<Process>, begin_ms: i64) -> Result<(String, Connection)> {
    let mut ready = [false; 2];
    wait::wait(&[door, process], &mut ready, deadline_after_ms(begin_ms))?;
    if !ready[0] {
        return Err(Error::Broken("the manager's server ended before it began to serve".into()));
    }
    let connection = door.accept(deadline_after_ms(BEGIN_MS))?;
    let mut message = [0; 4096];
    let len = connection.receive(&mut message, deadline_after_ms(BEGIN_MS))?;
    match Reply::unpack(&message[..len])?.0? {
        Value::String(address) => {
            let address = String::from_utf8(address);
            Ok((address.map_err(|_| Error::Broken("the manager's server has no address".into()))?, connection))
        }
        _ => Err(Error::Broken("the manager's server has no address".into())),
    }
}

/// What a server is told by its starter, in the order of its arguments.
struct Letter<'a>(&'a Call);

impl Letter<'_> {
    fn text(&self, index: usize) -> Result<Option<String>> {
        match self.0.argument(index)? {
            Argument::Nil => Ok(None),
            Argument::String(text) => {
                String::from_utf8(text.to_vec()).map(Some).map_err(|_| Error::invalid("not UTF-8"))
            }
            _ => Err(Error::invalid("an argument of a server is not a text")),
        }
    }

    fn bytes(&self, index: usize) -> Result<&'static [u8]> {
        match self.0.argument(index)? {
            Argument::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::invalid("an argument of a server is not bytes")),
        }
    }

    fn number(&self, index: usize) -> Result<u64> {
        match self.0.argument(index)? {
            Argument::Integer(number) => Ok(number as u64),
            _ => Err(Error::invalid("an argument of a server is not a number")),
        }
    }

    fn terms(&self) -> Result<Terms> {
        let identity = self.bytes(4)?.try_into().map_err(|_| Error::invalid("an identity has 16 bytes"))?;
        let types = custom::unpack(self.bytes(7)?)?;
        let (limit, client_limit) = (self.number(6)? as usize, self.number(10)? as usize);
        let only_bytes = matches!(self.0.argument(11)?, Argument::Bool(true));
        Ok(Terms { identity, cell: self.number(5)?, limit, client_limit, types, only_bytes })
    }

    /// Runs what comes before all requests. What that was lent it keeps.
    fn begin(&self) -> Result<()> {
        let (Argument::Bytes(function), Argument::List(arguments)) = (self.0.argument(8)?, self.0.argument(9)?) else {
            return Ok(());
        };
        let function: &[u8; IDENTITY_SIZE] =
            function.try_into().map_err(|_| Error::invalid("the identity of a function has another length"))?;
        let function = function::resolve(&Identity::from_bytes(function)?)?;
        run_first(function, &arguments)
    }

    /// All that may go wrong before a server serves.
    fn server(&self) -> Result<(Server, Value)> {
        let terms = self.terms()?;
        self.begin()?;
        let (address, key) = (self.text(2)?, self.bytes(3)?);
        let listener = Listener::new(
            address.as_deref(),
            listener::Options { key: Some(key), own_user: true, ..Default::default() },
        )?;
        let address = Value::String(listener.address().to_bytes().to_vec());
        Ok((Server::new(listener, terms)?, address))
    }
}

fn run_first(function: usize, arguments: &[Argument<'_>]) -> Result<()> {
    let mut call = Call::new(Input::Encoded(wire::to_vec(arguments)?.leak()), Output::Nowhere);
    let code = call.enter(|call| {
        let code = call.run(function);
        call.keep_all();
        code
    })?;
    match (code, String::from_utf8_lossy(call.failure().1)) {
        (0, _) => Ok(()),
        (code, message) if message.is_empty() => {
            Err(Error::TaskFailed(format!("the initializer returned {code}").into()))
        }
        (_, message) => Err(Error::TaskFailed(message.into_owned().into())),
    }
}

/// In the process of a server that was started: serves until it is told to end.
pub fn run(call: &Call) -> Result<()> {
    let letter = Letter(call);
    let (door, door_key) = (letter.text(0)?.unwrap_or_default(), letter.bytes(1)?);
    // What the host had open is not the server's: it would stay open as long as it lives.
    let mut keep = [family::doorbell(), Arena::file_number()];
    keep.sort_unstable();
    descriptor::close_all_but(&keep);
    forget_inheritance()?;
    limits::raise_descriptors();
    fork::default_signals(birth::IGNORED);
    fork::set_title(c"carom-manager");
    let (server, address) = match letter.server() {
        Ok((server, address)) => (Ok(server), Ok(address)),
        Err(error) => (Err(error.clone()), Err(error)),
    };
    let door = listener::connect(&door, Some(door_key), deadline_after_ms(BEGIN_MS))?;
    door.send(&Reply(address).pack(), deadline_after_ms(BEGIN_MS))?;
    let mut server = server?;
    server.obey(door)?;
    server.run();
    Ok(())
}

/// A server uses nothing of what its host had made before: none of it lives on for its sake.
fn forget_inheritance() -> Result<()> {
    let family = family::current()?;
    family.arena.member(family.me.slot).inherits.store(0, Release);
    repair::collect(family.arena, family.me.slot);
    Ok(())
}

/// Serves in the calling process until somebody asks it to end.
pub fn serve(options: &Options<'_>) -> Result<()> {
    let address = options.address.as_deref().ok_or(Error::invalid("the address is NULL"))?;
    let key = options.key(family::current()?)?;
    custom::check(&options.types)?;
    if let Some(first) = &options.first {
        run_first(first.function, &first.arguments)?;
    }
    let terms_of_entry = listener::Options { key: Some(&key), own_user: true, ..Default::default() };
    let listener = Listener::new(Some(address), terms_of_entry)?;
    let types = options.types.clone();
    let (identity, limit, client_limit) = (socket::random()?, options.limit(), options.client_limit());
    let terms = Terms { identity, cell: 0, limit, client_limit, types, only_bytes: options.only_bytes };
    Server::new(listener, terms)?.run();
    Ok(())
}
