//! The server: one thread, which sleeps until somebody asks.
//!
//! A request is carried out when it has come in whole, in one step; so whoever dies at it, others see all of it or nothing.
//! A client is a connection; its process is a *session*, which has all of its connections. With the last one it is over: its
//! locks are a dead owner's, its units come back, its references go.
#![forbid(unsafe_code)]

use super::client;
use super::crew::Crew;
use super::custom::Type;
use super::numbers::Numbers;
use super::object::Object;
use super::protocol::{Request, VERSION};
use super::reception::{Reception, Word};
use super::references::Sweeps;
use super::value::{self, Proxy, Stored, Value};
use super::{DIRECTORY, Job, Outcome, Phase, Who, kind};
use crate::connection::Connection;
use crate::connection::listener::Listener;
use crate::error::{Error, Result};
use crate::log;
use crate::shm::arena::Arena;
use crate::shm::cell::Cell;
use crate::sys::clock::now_ns;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// The number of the dict that is there from the beginning.
pub(super) const FIRST: u64 = 1;
/// Requests of one client before others have their turn.
pub(super) const TURN: usize = 16;

/// A process.
#[derive(Default)]
pub(super) struct Session {
    name: Vec<u8>,
    pub(super) pid: i64,
    pub(super) connections: usize,
    /// Of these, those with a lane.
    pub(super) lanes: usize,
    /// References that it answers for.
    pub(super) references: Numbers<u64>,
}

/// An object, and who needs it.
pub(super) struct Entry {
    pub(super) kind: u8,
    /// Not there only while a call is at it.
    pub(super) object: Option<Object>,
    pub(super) waiters: VecDeque<Job>,
    /// Cells of the family that stand for it, and their generations.
    pub(super) cells: Vec<(u64, u64)>,
    /// References that sessions answer for.
    pub(super) references: u64,
    pub(super) persistent: bool,
}

/// What a server is told at its beginning.
pub struct Terms {
    /// Tells this server from all others.
    pub identity: [u8; 16],
    /// Index of the manager's cell, 0 for none.
    pub cell: u64,
    /// Bytes that objects may take.
    pub limit: usize,
    /// Bytes of them that one client may have brought.
    pub client_limit: usize,
    /// Types that the program has brought along.
    pub types: Vec<Type>,
    /// See [`value::demand_bytes`].
    pub only_bytes: bool,
}

/// A server.
pub struct Server {
    pub(super) terms: Terms,
    pub(super) reception: Reception,
    pub(super) types: Vec<Rc<Type>>,
    pub(super) crew: Option<Crew>,
    pub(super) sessions: Numbers<Session>,
    pub(super) entries: Numbers<Entry>,
    /// When the time of a job is over.
    deadlines: BTreeSet<(u64, u64)>,
    /// The object at which a job waits.
    pub(super) places: Numbers<u64>,
    /// Objects that may not be needed any more.
    pub(super) doubtful: Vec<u64>,
    /// Pools that were asked for something, and may have news by that.
    pub(super) stirred: Vec<u64>,
    /// Tasks at which somebody waits who is not told when he could go on: asked anew after all news of a pool.
    pub(super) watched: BTreeSet<u64>,
    next: u64,
    pub(super) sweeps: Sweeps,
    over: bool,
}

fn gone() -> Error {
    Error::BadHandle("the object is gone".into())
}

impl Server {
    /// A server behind a listener.
    pub fn new(listener: Listener, mut terms: Terms) -> Result<Server> {
        value::set_limits(terms.limit, terms.client_limit);
        let types = std::mem::take(&mut terms.types).into_iter().map(Rc::new).collect();
        let mut server = Server {
            terms,
            types,
            crew: None,
            reception: Reception::new(listener)?,
            sessions: Numbers::default(),
            entries: Numbers::default(),
            deadlines: BTreeSet::new(),
            places: Numbers::default(),
            doubtful: Vec::new(),
            stirred: Vec::new(),
            watched: BTreeSet::new(),
            next: 0,
            sweeps: Sweeps::default(),
            over: false,
        };
        let directory = server.make_ours(kind::DICT, Vec::new())?;
        server.add(kind::DICT, directory, true);
        Ok(server)
    }

    /// Whatever comes from there, or its end, is the end of the server.
    pub fn obey(&mut self, starter: Connection) -> Result<()> {
        self.reception.obey(starter)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The manager's cell, where the server is of its family.
    pub(super) fn manager(&self) -> Option<(u64, u32)> {
        let cell = Arena::get()?.cell(self.terms.cell).filter(|_| self.terms.cell != 0)?;
        Some((self.terms.cell, cell.generation()))
    }

    /// The threads for methods that block.
    pub(super) fn crew(&mut self) -> Result<&Crew> {
        if self.crew.is_none() {
            let crew = Crew::new()?;
            self.reception.watch_crew(crew.fd())?;
            self.crew = Some(crew);
        }
        self.crew.as_ref().ok_or_else(gone)
    }

    /// Serves until somebody asks it to end.
    pub fn run(&mut self) {
        if let Some(manager) = self.manager() {
            client::serves(manager);
        }
        while !self.over {
            let deadline = self.deadlines.first().map(|(instant, _)| *instant);
            let news = self.reception.wait([deadline, self.sweeps.at].into_iter().flatten().min());
            self.over |= news.over;
            news.clients.iter().for_each(|key| self.attend(*key));
            self.reception.recycle(news.clients);
            if news.crew {
                self.hear_crew();
            }
            if !news.is_by_lane {
                self.tick();
            }
            self.collect();
            let stirred = std::mem::take(&mut self.stirred);
            news.pools.into_iter().chain(stirred).for_each(|pool| self.hear_pool(pool));
            self.collect();
        }
        self.reception.flush_all();
        for entry in std::mem::take(&mut self.entries).into_values() {
            self.discard(entry.object);
        }
    }

    /// What is due.
    fn tick(&mut self) {
        let now = now_ns();
        while let Some((instant, number)) = self.deadlines.first().copied()
            && instant <= now
        {
            self.deadlines.remove(&(instant, number));
            self.expire(number);
        }
        if self.sweeps.is_due(now) {
            self.sweep();
        }
        for key in self.reception.late() {
            self.send_away(key, "a client that does not take its reply");
        }
    }

    /// Something has come from a client, or it can take more, or it is gone.
    pub(super) fn attend(&mut self, key: u64) {
        self.empty_lane(key);
        for turn in 0..TURN {
            match self.reception.next(key, turn == 0) {
                Word::Message(len) => {
                    if let Err(error) = self.understand(key, len) {
                        log::warning(format_args!("a manager sent a client away: {error}"));
                        self.send(key, Err(error));
                        return self.drop_client(key);
                    }
                }
                Word::Nothing => return,
                Word::End => return self.drop_client(key),
            }
        }
        self.reception.postpone(key);
    }

    /// A message of so many bytes has come; an error: it is no request.
    fn understand(&mut self, key: u64, len: usize) -> Result<()> {
        let buffer = self.reception.lend();
        let request = match self.serve_quickly(key, &buffer[..len]) {
            true => None,
            false => Some(Request::unpack(&buffer[..len])),
        };
        self.reception.take_back(buffer);
        if let Some(request) = request.transpose()? {
            self.take(key, request);
        }
        Ok(())
    }

    fn send(&mut self, key: u64, result: Result<Value>) {
        self.reception.send(key, result);
    }

    /// A request.
    fn take(&mut self, key: u64, request: Request) {
        let Some(client) = self.reception.client(key) else { return };
        let session = client.session;
        match (session, request) {
            (None, Request::Hello { version, session, pid }) => self.greet(key, version, session, pid),
            (None, _) | (_, Request::Hello { .. }) => self.send_away(key, "a client that does not say who it is"),
            (_, Request::Cancel) => {
                if let Some(number) = client.waits {
                    self.deadlines.retain(|(_, waiting)| *waiting != number);
                    self.expire(number);
                }
            }
            _ if client.waits.is_some() => self.send_away(key, "a client that does not wait for its reply"),
            (Some(session), request) => {
                // Whoever goes on has received what he asked for before.
                client.lent = None;
                self.serve(key, session, request);
            }
        }
    }

    fn serve(&mut self, key: u64, session: u64, request: Request) {
        match request {
            Request::Create { kind, arguments, persistent } => {
                let made = self.create(session, &kind, arguments, persistent);
                self.send(key, made);
            }
            Request::Call { object, method, arguments, timeout_ms, thread, room } => {
                let number = self.number();
                // What does not wait needs no clock.
                let wait_ns = u64::try_from(timeout_ms).ok().map(|ms| ms.saturating_mul(1_000_000));
                // What does not wait needs no clock.
                let begun = if timeout_ms == 0 { 0 } else { now_ns() };
                let job = Job {
                    number,
                    client: key,
                    who: Who { session, thread },
                    object,
                    method,
                    arguments,
                    room: usize::try_from(room).ok(),
                    deadline: wait_ns.map(|wait| wait.saturating_add(begun)),
                    phase: Phase::Fresh,
                };
                self.submit(job, timeout_ms == 0);
            }
            Request::Keep { object, cell, generation } => {
                // It may have gone already, and what was sent because of that may have come by another way.
                let is_there = |cell: &Cell| cell.is_there(generation as u32);
                let there = Arena::get().and_then(|arena| arena.cell(cell)).is_some_and(is_there);
                if let Some(entry) = self.entries.get_mut(&object).filter(|_| there) {
                    entry.cells.push((cell, generation));
                }
                self.release(session, object);
            }
            Request::Release { object } => self.release(session, object),
            Request::Look { object } => self.look(object),
            Request::Info => {
                self.collect();
                let info = self.info();
                self.send(key, Ok(info));
            }
            Request::Describe => {
                self.collect();
                let text = Value::text(&self.describe());
                self.send(key, Ok(text));
            }
            Request::Shutdown => {
                self.over = true;
                self.send(key, Ok(Value::Nil));
            }
            Request::Lane { end } => {
                let opened = self.open_lane(key, session, end);
                self.send(key, opened.map(|()| Value::Nil));
            }
            Request::Hello { .. } | Request::Cancel | Request::Taken => {}
        }
    }

    fn send_away(&mut self, key: u64, why: &'static str) {
        log::warning(format_args!("a manager sent {why} away"));
        self.drop_client(key);
    }

    fn greet(&mut self, key: u64, version: i64, name: Vec<u8>, pid: i64) {
        if version != VERSION || name.len() != 16 {
            let error = Error::Unsupported("the manager's server speaks another version of the protocol");
            return self.send(key, Err(error));
        }
        let known = self.sessions.iter().find(|(_, session)| session.name == name).map(|(number, _)| *number);
        let number = known.unwrap_or_else(|| self.number());
        let session = self.sessions.entry(number).or_insert(Session { name, pid, ..Session::default() });
        session.connections += 1;
        if let Some(client) = self.reception.client(key) {
            client.session = Some(number);
        }
        let identity = Value::Bytes(self.terms.identity.to_vec());
        self.send(key, Ok(Value::List(vec![identity, Value::Integer(self.terms.cell as i64)])));
    }

    fn create(&mut self, session: u64, name: &str, arguments: Vec<Value>, persistent: bool) -> Result<Value> {
        let kind = self.kind_of(name).unwrap_or(0);
        self.check_proxies(&arguments)?;
        value::charge(session);
        value::demand_bytes(self.terms.only_bytes && kind::CONTAINERS.contains(&kind));
        if name == DIRECTORY {
            self.refer(session, FIRST);
            return Ok(Value::Proxy(Proxy { object: FIRST, kind }));
        }
        let object = match kind {
            kind::POOL => self.make_pool(arguments, persistent)?,
            ..kind::CUSTOM => self.make_ours(kind, arguments).map(|object| self.add(kind, object, persistent))?,
            _ => self.make_custom(kind, arguments).map(|object| self.add(kind, object, persistent))?,
        };
        self.refer(session, object);
        Ok(Value::Proxy(Proxy { object, kind }))
    }

    /// Makes an object of a type of ours.
    pub(super) fn make_ours(&self, kind: u8, arguments: Vec<Value>) -> Result<Object> {
        let is_lock =
            |object| self.entries.get(&object).is_some_and(|entry| matches!(entry.object, Some(Object::Lock(_))));
        Object::new(kind, arguments, is_lock)
    }

    /// Takes an object in; its number.
    pub(super) fn add(&mut self, kind: u8, object: Object, persistent: bool) -> u64 {
        let number = self.number();
        self.add_as(number, kind, object, persistent);
        number
    }

    /// The same under a number that was taken before.
    pub(super) fn add_as(&mut self, number: u64, kind: u8, object: Object, persistent: bool) {
        let object = Some(object);
        let entry = Entry { kind, object, waiters: VecDeque::new(), cells: Vec::new(), references: 0, persistent };
        self.entries.insert(number, entry);
    }

    /// Objects that values name are there, and of the kind that is said.
    fn check_proxies(&self, values: &[Value]) -> Result<()> {
        let mut right = true;
        for value in values {
            value.each_proxy(&mut |proxy| {
                right &= self.entries.get(&proxy.object).is_some_and(|entry| entry.kind == proxy.kind);
            });
        }
        if right { Ok(()) } else { Err(gone()) }
    }

    /// A call has come; `at_once`: it does not wait.
    fn submit(&mut self, mut job: Job, at_once: bool) {
        if let Err(error) = self.check_proxies(&job.arguments) {
            return self.finish(job, Err(error));
        }
        if let Err(error) = self.spread(&mut job) {
            return self.finish(job, Err(error));
        }
        let object = job.object;
        match self.attempt(&mut job) {
            Ok(Outcome::Wait) if at_once => self.give_up(job),
            Ok(Outcome::Wait) => {
                self.park(job);
            }
            done => self.finish(job, done),
        }
        self.settle(object);
    }

    fn attempt(&mut self, job: &mut Job) -> Result<Outcome> {
        // Whoever made the others wait, or go on, may have asked last.
        value::charge(job.who.session);
        let mut taken = Vec::new();
        let entry = self.entries.get_mut(&job.object);
        let is_container = entry.as_ref().is_some_and(|entry| kind::CONTAINERS.contains(&entry.kind));
        value::demand_bytes(self.terms.only_bytes && is_container);
        let alone = entry.and_then(|entry| entry.object.as_mut());
        let result = match alone.filter(|object| object.is_alone()) {
            Some(object) => object.call(job, None, &mut taken),
            None => self.attempt_with_others(job, &mut taken),
        };
        if let (false, Some(client)) = (taken.is_empty(), self.reception.client(job.client)) {
            client.lent = Some((job.object, taken));
        }
        result
    }

    fn attempt_with_others(&mut self, job: &mut Job, taken: &mut Vec<Stored>) -> Result<Outcome> {
        let mut object = self.entries.get_mut(&job.object).and_then(|entry| entry.object.take()).ok_or_else(gone)?;
        let at = object.lock();
        let mut lock = at.and_then(|at| self.entries.get_mut(&at)?.object.take());
        let result = match &mut object {
            Object::Custom(custom) => self.call_custom(job, custom),
            Object::Pool(pool) => self.call_pool(job, pool),
            Object::Task(task) => self.call_task(job, task),
            Object::Stream(stream) => self.call_stream(job, stream),
            object => object.call(job, lock.as_mut(), taken),
        };
        if let Some(entry) = self.entries.get_mut(&job.object) {
            entry.object = Some(object);
        }
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(&at)) {
            entry.object = lock;
        }
        result
    }

    /// The lock of a condition.
    fn lock_of(&self, object: u64) -> Option<u64> {
        self.entries.get(&object)?.object.as_ref()?.lock()
    }

    /// Where a job waits: for a condition's lock, at the lock.
    fn park(&mut self, job: Job) {
        let for_lock = matches!(job.phase, Phase::Returning { .. }) || matches!(&*job.method, "acquire" | "recover");
        let place = self.lock_of(job.object).filter(|_| for_lock).unwrap_or(job.object);
        let late = matches!(job.phase, Phase::Returning { late: true, .. });
        if let (Some(deadline), false) = (job.deadline, late) {
            self.deadlines.insert((deadline, job.number));
        }
        if let Some(client) = self.reception.client(job.client) {
            client.waits = Some(job.number);
        }
        self.places.insert(job.number, place);
        match self.entries.get_mut(&place) {
            Some(entry) => entry.waiters.push_back(job),
            None => self.finish(job, Err(gone())),
        }
    }

    /// Takes a job out of where it waits.
    pub(super) fn unpark(&mut self, number: u64) -> Option<Job> {
        let waiters = &mut self.entries.get_mut(self.places.get(&number)?)?.waiters;
        let at = waiters.iter().position(|job| job.number == number)?;
        waiters.remove(at)
    }

    /// Attempts again what waits at an object that may have changed, and what that makes possible.
    pub(super) fn settle(&mut self, object: u64) {
        let lock = self.lock_of(object);
        let is_waited_at = |place: &u64| self.entries.get(place).is_some_and(|entry| !entry.waiters.is_empty());
        if !is_waited_at(&object) && !lock.as_ref().is_some_and(is_waited_at) {
            return;
        }
        let mut work = vec![object];
        work.extend(lock);
        while let Some(place) = work.pop() {
            let Some(entry) = self.entries.get_mut(&place).filter(|entry| !entry.waiters.is_empty()) else { continue };
            for mut job in std::mem::take(&mut entry.waiters) {
                match self.attempt(&mut job) {
                    Ok(Outcome::Wait) => self.park(job),
                    done => {
                        // To have got a lock, or an event, makes nothing possible for others.
                        if matches!(&*job.method, "put" | "put_many" | "get" | "get_many" | "release") {
                            work.push(job.object);
                        }
                        self.finish(job, done);
                    }
                }
            }
        }
    }

    /// The time of a job is over, or it is cancelled.
    fn expire(&mut self, number: u64) {
        if let Some(job) = self.unpark(number) {
            let object = job.object;
            self.give_up(job);
            self.settle(object);
        }
    }

    fn give_up(&mut self, mut job: Job) {
        let object = self.entries.get_mut(&job.object).and_then(|entry| entry.object.as_mut());
        match object.map_or(Some(gone()), |object| object.expire(&mut job)) {
            Some(error) => self.finish(job, Err(error)),
            None => match self.attempt(&mut job) {
                Ok(Outcome::Wait) => self.park(job),
                done => self.finish(job, done),
            },
        }
    }

    pub(super) fn finish(&mut self, job: Job, result: Result<Outcome>) {
        if let Some(deadline) = job.deadline {
            self.deadlines.remove(&(deadline, job.number));
        }
        self.places.remove(&job.number);
        self.doubtful.push(job.object);
        let Some(client) = self.reception.client(job.client) else { return };
        client.waits = None;
        let result = result.and_then(|outcome| match outcome {
            Outcome::Done(value) => super::fit(&value, job.room).map(|()| value),
            Outcome::Wait => Err(Error::TimedOut),
        });
        if let Ok(value) = &result {
            let mut named = Vec::new();
            value.each_proxy(&mut |proxy| named.push(proxy.object));
            named.into_iter().for_each(|object| self.refer(job.who.session, object));
        }
        self.send(job.client, result);
    }

    fn drop_client(&mut self, key: u64) {
        self.empty_lane(key);
        if let Some(lane) = self.reception.lane_of(key) {
            self.drop_client(lane);
        }
        let Some(client) = self.reception.remove(key) else { return };
        let (session, is_lane) = (client.session, client.is_lane());
        self.sweeps.soon(now_ns());
        let waited = client.waits.and_then(|number| self.unpark(number));
        if let Some(job) = waited {
            if let Some(object) = self.entries.get_mut(&job.object).and_then(|entry| entry.object.as_mut()) {
                object.forget(job.number);
            }
            let object = job.object;
            self.finish(job, Err(gone()));
            self.settle(object);
            self.doubtful.push(object);
        }
        if let Some((object, items)) = client.lent {
            if let Some(Some(Object::Queue(queue))) = self.entries.get_mut(&object).map(|entry| &mut entry.object) {
                queue.give_back(items);
            }
            self.settle(object);
        }
        match session {
            Some(number) if is_lane => self.part_lane(number),
            Some(number) => self.part(number),
            None => {}
        }
    }

    /// A session has one connection less.
    fn part(&mut self, number: u64) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        session.connections -= 1;
        if session.connections > 0 {
            return;
        }
        let references = self.sessions.remove(&number).map(|session| session.references).unwrap_or_default();
        for (object, count) in references {
            if let Some(entry) = self.entries.get_mut(&object) {
                entry.references -= count;
            }
            self.doubtful.push(object);
        }
        let lost = self
            .entries
            .iter_mut()
            .filter_map(|(object, entry)| entry.object.as_mut().is_some_and(|it| it.lose(number)).then_some(*object));
        for object in lost.collect::<Vec<_>>() {
            self.settle(object);
        }
    }
}
