//! A server and clients that speak its protocol themselves: well, badly, and not to the end.

use super::protocol::{Reply, Request, VERSION};
use super::server::{Server, Terms};
use super::value::{Proxy, Value};
use crate::connection::Connection;
use crate::connection::listener::{self, Listener, Options};
use crate::error::{Error, Result};
use crate::sys::clock::deadline_after_ms;
use crate::sys::limits;
use std::thread::JoinHandle;

const KEY: &[u8] = b"key";
const PATIENCE_MS: i64 = 20_000;

struct Service {
    address: String,
    thread: JoinHandle<()>,
}

struct Talk {
    connection: Connection,
}

/// So many clients of whatever kind, or as many as the environment says: `make torture` wants more.
fn many(usual: usize) -> usize {
    limits::raise_descriptors();
    std::env::var("CAROM_MANAGER_CLIENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn serve() -> Service {
    serve_with(|_| {})
}

fn serve_with(prepare: impl FnOnce(&mut Server) + Send + 'static) -> Service {
    serve_within(64 << 20, prepare)
}

/// Of the bytes that objects may take, so many may be of one client.
fn serve_within(client_limit: usize, prepare: impl FnOnce(&mut Server) + Send + 'static) -> Service {
    let options = || Options { key: Some(KEY), ..Default::default() };
    let listener = Listener::new(None, options()).unwrap();
    let address = listener.address().to_str().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (limit, types) = (64 << 20, Vec::new());
        let terms = Terms { identity: [7; 16], cell: 0, limit, client_limit, types, only_bytes: false };
        let mut server = Server::new(listener, terms).unwrap();
        prepare(&mut server);
        server.run();
    });
    Service { address, thread }
}

impl Service {
    fn connect(&self) -> Connection {
        listener::connect(&self.address, Some(KEY), deadline_after_ms(PATIENCE_MS)).unwrap()
    }

    fn talk(&self, session: u32) -> Talk {
        let talk = Talk { connection: self.connect() };
        let session = session.to_ne_bytes().repeat(4);
        let hello = talk.ask(Request::Hello { version: VERSION, session, pid: 1 }).unwrap();
        assert_eq!(hello, Value::List(vec![Value::Bytes(vec![7; 16]), Value::Integer(0)]));
        talk
    }

    fn end(self) {
        self.talk(255).ask(Request::Shutdown).unwrap();
        self.thread.join().unwrap();
    }
}

impl Talk {
    fn send(&self, bytes: &[u8]) {
        self.connection.send(bytes, deadline_after_ms(PATIENCE_MS)).unwrap();
    }

    fn tell(&self, request: Request) {
        self.send(&request.pack().unwrap());
    }

    fn hear(&self) -> Result<Value> {
        let mut buffer = vec![0; 1 << 20];
        let len = self.connection.receive(&mut buffer, deadline_after_ms(PATIENCE_MS))?;
        Reply::unpack(&buffer[..len])?.0
    }

    fn ask(&self, request: Request) -> Result<Value> {
        self.tell(request);
        self.hear()
    }

    fn create(&self, kind: &str, arguments: Vec<Value>) -> u64 {
        match self.ask(Request::Create { kind: kind.into(), arguments, persistent: true }) {
            Ok(Value::Proxy(proxy)) => proxy.object,
            other => panic!("{other:?}"),
        }
    }

    fn start(&self, object: u64, method: &str, arguments: Vec<Value>, timeout_ms: i64) {
        self.tell(Request::Call { object, method: method.into(), arguments, timeout_ms, thread: 1, room: -1 });
    }

    fn call(&self, object: u64, method: &str, arguments: Vec<Value>) -> Result<Value> {
        self.start(object, method, arguments, 0);
        self.hear()
    }

    /// Until so many calls wait.
    fn await_waiting(&self, wanted: i64) {
        loop {
            let Ok(Value::Map(info)) = self.ask(Request::Info) else { panic!() };
            if info.contains(&(Value::text("waiting"), Value::Integer(wanted))) {
                return;
            }
            std::thread::yield_now();
        }
    }
}

fn status<T: std::fmt::Debug>(result: Result<T>) -> i32 {
    result.map_or_else(|error| error.status(), |_| 0)
}

#[test]
fn what_did_not_arrive_goes_to_the_next() {
    let service = serve();
    let (one, two) = (service.talk(1), service.talk(2));
    let queue = one.create("Queue", vec![]);
    for item in 1..=3 {
        one.call(queue, "put", vec![Value::Integer(item)]).unwrap();
    }
    assert_eq!(two.call(queue, "get", vec![]), Ok(Value::Integer(1)));
    // Dies with the reply in its hands, or before it has read it.
    drop(two);
    let three = service.talk(3);
    assert_eq!(three.call(queue, "get", vec![]), Ok(Value::Integer(1)));
    // Whoever says so, or goes on, has received it.
    three.tell(Request::Taken);
    assert_eq!(three.call(queue, "get", vec![]), Ok(Value::Integer(2)));
    assert_eq!(three.call(queue, "size", vec![]), Ok(Value::Integer(1)));
    drop(three);
    assert_eq!(one.call(queue, "get", vec![]), Ok(Value::Integer(3)));
    // Somebody who waits gets what comes back.
    let four = service.talk(4);
    four.start(queue, "get", vec![], -1);
    one.await_waiting(1);
    let five = service.talk(5);
    five.call(queue, "put", vec![Value::Integer(9)]).unwrap();
    assert_eq!(four.hear(), Ok(Value::Integer(9)));
    five.start(queue, "get", vec![], -1);
    one.await_waiting(1);
    drop(four);
    assert_eq!(five.hear(), Ok(Value::Integer(9)));
    drop((one, five));
    service.end();
}

/// What waits for room is charged to whoever brings it, and not to whoever makes room.
#[test]
fn who_waits_pays_himself() {
    const LEN: usize = 700;
    let service = serve_within(1000, |_| {});
    let (one, two) = (service.talk(1), service.talk(2));
    let queue = one.create("Queue", vec![Value::Integer(1)]);
    let dict = one.create("dict", vec![]);
    let bytes = || Value::Bytes(vec![7; LEN]);
    one.call(queue, "put", vec![Value::Integer(1)]).unwrap();
    // Whoever makes room has no room left himself.
    two.call(dict, "set", vec![Value::Integer(2), bytes()]).unwrap();
    one.start(queue, "put", vec![bytes()], -1);
    two.await_waiting(1);
    assert_eq!(two.call(queue, "get", vec![]), Ok(Value::Integer(1)));
    assert_eq!(one.hear(), Ok(Value::Nil));
    let full = Error::NoMemory("").status();
    assert_eq!(status(one.call(dict, "set", vec![Value::Integer(1), bytes()])), full);
    assert_eq!(status(two.call(dict, "set", vec![Value::Integer(1), bytes()])), full);
    two.call(dict, "clear", vec![]).unwrap();
    two.call(dict, "set", vec![Value::Integer(1), bytes()]).unwrap();
    // Whoever takes it away, it is the first one's room again.
    assert_eq!(two.call(queue, "get", vec![]), Ok(bytes()));
    two.tell(Request::Taken);
    assert_eq!(two.call(queue, "size", vec![]), Ok(Value::Integer(0)));
    one.call(dict, "set", vec![Value::Integer(3), bytes()]).unwrap();
    drop((one, two));
    service.end();
}

#[test]
fn who_goes_lets_go() {
    let service = serve();
    let (one, two) = (service.talk(1), service.talk(2));
    let lock = one.create("Lock", vec![]);
    let barrier = one.create("Barrier", vec![Value::Integer(3)]);
    let units = one.create("Semaphore", vec![Value::Integer(1), Value::Bool(true)]);
    let condition = one.create("Condition", vec![Value::Proxy(Proxy { object: lock, kind: super::kind::LOCK })]);
    for (object, method) in [(lock, "acquire"), (units, "acquire")] {
        two.call(object, method, vec![]).unwrap();
    }
    // A second connection of the same process: the session goes on as long as one is left.
    let again = service.talk(2);
    drop(two);
    assert_eq!(status(one.call(lock, "acquire", vec![])), Error::TimedOut.status());
    let waiting = service.talk(3);
    waiting.start(lock, "acquire", vec![], -1);
    one.await_waiting(1);
    let breaks = service.talk(4);
    breaks.start(barrier, "wait", vec![], -1);
    one.await_waiting(2);
    let stays = service.talk(5);
    stays.start(barrier, "wait", vec![], -1);
    one.await_waiting(3);
    drop(breaks);
    assert_eq!(status(stays.hear()), Error::Broken("".into()).status());
    drop(again);
    assert_eq!(status(waiting.hear()), Error::OwnerDead.status());
    assert_eq!(status(one.call(lock, "acquire", vec![])), Error::OwnerDead.status());
    assert_eq!(one.call(units, "acquire", vec![]), Ok(Value::Nil));
    one.call(lock, "recover", vec![]).unwrap();
    // Somebody who waits for a condition dies: the next notification is not his.
    let sleeper = service.talk(6);
    one.call(lock, "release", vec![]).unwrap();
    sleeper.call(condition, "acquire", vec![]).unwrap();
    sleeper.start(condition, "wait", vec![], -1);
    one.await_waiting(1);
    waiting.call(condition, "acquire", vec![]).unwrap();
    waiting.start(condition, "wait", vec![], -1);
    one.await_waiting(2);
    drop(sleeper);
    one.await_waiting(1);
    one.call(condition, "acquire", vec![]).unwrap();
    one.call(condition, "notify", vec![]).unwrap();
    one.call(condition, "release", vec![]).unwrap();
    assert_eq!(waiting.hear(), Ok(Value::Nil));
    drop((one, waiting, stays));
    service.end();
}

#[test]
fn a_cancelled_call_is_answered() {
    let service = serve();
    let (one, two) = (service.talk(1), service.talk(2));
    let lock = one.create("Lock", vec![]);
    let condition = one.create("Condition", vec![Value::Proxy(Proxy { object: lock, kind: super::kind::LOCK })]);
    one.call(lock, "acquire", vec![]).unwrap();
    two.start(lock, "acquire", vec![], -1);
    one.await_waiting(1);
    two.tell(Request::Cancel);
    assert_eq!(status(two.hear()), Error::TimedOut.status());
    // One that comes too late is nothing.
    two.tell(Request::Cancel);
    // A condition's wait has its lock back before it is answered.
    one.start(condition, "wait", vec![], -1);
    two.await_waiting(1);
    two.call(lock, "acquire", vec![]).unwrap();
    one.tell(Request::Cancel);
    two.await_waiting(1);
    two.call(lock, "release", vec![]).unwrap();
    assert_eq!(status(one.hear()), Error::TimedOut.status());
    assert_eq!(one.call(lock, "locked", vec![]), Ok(Value::Bool(true)));
    drop((one, two));
    service.end();
}

#[test]
fn whoever_speaks_badly_is_sent_away_and_nobody_else_notices() {
    let service = serve();
    let good = service.talk(1);
    let dict = good.create("dict", vec![]);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let hello = || Request::Hello { version: VERSION, session: vec![9; 16], pid: 1 }.pack().unwrap();
    for round in 0..many(2000) as i64 {
        let bad = service.connect();
        let noise: Vec<u8> = (0..next() % 100).map(|_| next() as u8).collect();
        let deadline = deadline_after_ms(PATIENCE_MS);
        // What is sent after it was sent away goes nowhere.
        let _ = match round % 5 {
            0 => bad.send(&noise, deadline),
            1 => bad.send(&hello(), deadline).and_then(|()| bad.send(&noise, deadline)),
            2 => bad.send(&hello(), deadline).and_then(|()| bad.send(&hello(), deadline)),
            3 => bad.send(&[vec![0x91; 100_000], vec![0xc0]].concat(), deadline),
            _ => bad.send(&Request::Info.pack().unwrap(), deadline),
        };
        if round % 3 == 0 {
            let mut buffer = [0; 4096];
            while bad.receive(&mut buffer, deadline).is_ok() && round % 5 != 1 {}
        }
        assert_eq!(good.call(dict, "increment", vec![Value::Nil]), Ok(Value::Integer(round + 1)));
    }
    // Another version is told so.
    let other = service.connect();
    let hello = Request::Hello { version: 99, session: vec![1], pid: 0 };
    other.send(&hello.pack().unwrap(), None).unwrap();
    assert_eq!(status(Talk { connection: other }.hear()), Error::Unsupported("").status());
    // Objects, methods and arguments that are none are the caller's mistake, and he stays.
    assert_eq!(status(good.call(u64::MAX >> 1, "get", vec![])), Error::BadHandle("".into()).status());
    assert_eq!(status(good.call(dict, "nothing", vec![])), Error::NotFound("").status());
    assert_eq!(status(good.call(dict, "get", vec![])), Error::invalid("").status());
    let stranger = Value::Proxy(Proxy { object: 12345, kind: 1 });
    assert_eq!(status(good.call(dict, "set", vec![Value::Nil, stranger])), Error::BadHandle("".into()).status());
    drop(good);
    service.end();
}

#[test]
fn a_slow_reader_delays_nobody() {
    let service = serve();
    let (slow, quick) = (service.talk(1), service.talk(2));
    let list = quick.create("list", vec![]);
    quick.call(list, "append", vec![Value::Bytes(vec![7; 800_000])]).unwrap();
    // More than the socket takes, and not read.
    slow.start(list, "get", vec![Value::Integer(0)], 0);
    for round in 0..1000 {
        quick.call(list, "append", vec![Value::Integer(round)]).unwrap();
    }
    assert_eq!(slow.hear().map(|value| value.weight()), Ok(800_048));
    assert_eq!(slow.call(list, "len", vec![]), Ok(Value::Integer(1001)));
    drop((slow, quick));
    service.end();
}

/// Until so many connections are left, that of the caller among them.
fn await_connections(talk: &Talk, wanted: i64) {
    loop {
        let Ok(Value::Map(info)) = talk.ask(Request::Info) else { panic!() };
        if info.contains(&(Value::text("connections"), Value::Integer(wanted))) {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn who_takes_nothing_is_sent_away_after_a_while() {
    let service = serve_with(|server| server.reception.be_patient(50_000_000, usize::MAX));
    let (other, slow) = (service.talk(1), service.talk(2));
    let list = other.create("list", vec![Value::List(vec![Value::Bytes(vec![7; 3 << 20])])]);
    let lock = other.create("Lock", vec![]);
    assert_eq!(slow.call(lock, "acquire", vec![]), Ok(Value::Nil));
    slow.start(list, "copy", vec![], 0);
    await_connections(&other, 1);
    // What it had is a dead one's now.
    assert_eq!(status(other.call(lock, "acquire", vec![])), Error::OwnerDead.status());
    assert_eq!(other.call(list, "len", vec![]), Ok(Value::Integer(1)));
    drop(slow);
    other.tell(Request::Shutdown);
    service.thread.join().unwrap();
}

#[test]
fn who_leaves_too_much_is_sent_away_and_nobody_else() {
    const LEN: usize = 1 << 20;
    let service = serve_with(|server| server.reception.be_patient(u64::MAX >> 1, 4 * LEN + LEN / 2));
    let (other, modest) = (service.talk(1), service.talk(2));
    let list = other.create("list", vec![Value::List(vec![Value::Bytes(vec![7; LEN])])]);
    // One reply that waits, of somebody who is not the worst.
    modest.start(list, "copy", vec![], 0);
    let greedy: Vec<_> = (0..12).map(|_| service.talk(3)).collect();
    for talk in &greedy {
        talk.start(list, "copy", vec![], 0);
        assert_eq!(other.call(list, "len", vec![]), Ok(Value::Integer(1)));
    }
    await_connections(&other, 2 + 3);
    let mut buffer = vec![0; 2 * LEN];
    let len = modest.connection.receive(&mut buffer, deadline_after_ms(PATIENCE_MS)).unwrap();
    assert!(len > LEN);
    // There is room for one more.
    modest.start(list, "len", vec![], 0);
    assert_eq!(modest.hear(), Ok(Value::Integer(1)));
    drop(greedy);
    await_connections(&other, 2);
    other.tell(Request::Shutdown);
    service.thread.join().unwrap();
}

#[test]
fn many_clients_have_their_turns() {
    let service = serve();
    const CLIENTS: u32 = 1000;
    limits::raise_descriptors();
    let clients: Vec<_> = (0..CLIENTS).map(|session| service.talk(session)).collect();
    let dict = clients[0].create("dict", vec![]);
    // One that has always asked already, and many at once: those wait for what was there before them, and no longer.
    let greedy = service.talk(CLIENTS);
    for _ in 0..5 {
        greedy.start(dict, "len", vec![], 0);
        clients.iter().for_each(|client| client.start(dict, "increment", vec![Value::Nil], 0));
        for client in &clients {
            assert!(client.hear().is_ok());
            assert!(greedy.hear().is_ok());
            greedy.start(dict, "len", vec![], 0);
        }
        assert!(greedy.hear().is_ok());
    }
    assert_eq!(clients[0].call(dict, "get", vec![Value::Nil]), Ok(Value::Integer(5 * CLIENTS as i64)));
    // All of them wait for one lock, and each gets it.
    let lock = clients[0].create("RLock", vec![]);
    clients.iter().for_each(|client| client.start(lock, "acquire", vec![], -1));
    for client in &clients {
        assert_eq!(client.hear(), Ok(Value::Nil));
        client.call(lock, "release", vec![]).unwrap();
    }
    drop((clients, greedy));
    service.end();
}
