//! What clients and a server send each other: one MessagePack value per message.
//!
//! ```text
//! request  [operation, its fields ...]          reply  [status, value]    status 0
//!                                                      [status, text, number]    else; the number: bytes needed
//! ```
//! A value is what MessagePack has for it; an object of the manager is an extension of type [`PROXY`]: its type, and its
//! number in eight bytes, big-endian. A client sends one request at a time on a connection, and perhaps [`Request::Cancel`]
//! while it waits for the reply; those without a reply say so.
//!
//! Nothing that comes is believed: lengths are compared with what is there, nesting ends at [`DEPTH`], and the values of a
//! message are at most [`NODES`], whatever they claim.
#![forbid(unsafe_code)]

mod reader;

use self::reader::Fields;
pub use self::reader::unpack;
use super::value::{ARGUMENT, Scalar, Value};
use crate::error::{Error, Result, Status};
use crate::wire;
use rmp::encode;

/// Of this protocol; others are refused.
pub const VERSION: i64 = 1;
/// No message is longer.
pub const LONGEST: usize = 64 << 20;
/// How deep the lists and maps of a value may nest, as everywhere.
pub const DEPTH: usize = wire::MAX_DEPTH;
/// What a message has around a value: itself, its arguments, the calls of a batch, one of these.
const AROUND: usize = 4;
/// Values of one message: as many as fit into the longest one at the least that each weighs.
const NODES: usize = LONGEST / ARGUMENT;
const PROXY: i8 = 1;
const PROXY_LEN: usize = 9;
/// The operation of [`Request::Call`].
const CALL: i64 = 2;

/// What a client asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// First of all on every connection: the client's version, and which process this is. Reply: the server's identity.
    Hello {
        /// [`VERSION`].
        version: i64,
        /// Made up by the client process; its connections have it in common.
        session: Vec<u8>,
        /// The process.
        pid: i64,
    },
    /// Makes an object. Reply: it.
    Create {
        /// Its type.
        kind: String,
        /// What it is made of.
        arguments: Vec<Value>,
        /// It stays until the server ends, whether anybody refers to it or not.
        persistent: bool,
    },
    /// Calls a method of an object. Reply: its result.
    Call {
        /// The object.
        object: u64,
        /// Its method.
        method: String,
        /// What it is called with.
        arguments: Vec<Value>,
        /// How long it may wait, -1 for ever.
        timeout_ms: i64,
        /// The client's thread, for recursive locks.
        thread: i64,
        /// Bytes that the result may take in the caller's memory, -1 for any.
        room: i64,
    },
    /// A cell of the server's family now stands for a reference that this session got. No reply.
    Keep {
        /// The object.
        object: u64,
        /// Index of the cell.
        cell: u64,
        /// Generation of the cell.
        generation: u64,
    },
    /// The session gives a reference back. No reply.
    Release {
        /// The object.
        object: u64,
    },
    /// A cell that stood for the object may have gone. No reply.
    Look {
        /// The object.
        object: u64,
    },
    /// The request that waits on this connection is to be answered now.
    Cancel,
    /// What was taken with the last reply has arrived. No reply.
    Taken,
    /// What the server has.
    Info,
    /// The server is to end.
    Shutdown,
    /// What the server has, in words.
    Describe,
    /// From a process of the server's family: requests come, and are answered, by this lane too. Reply: nil.
    Lane {
        /// Reference of the server's end.
        end: u64,
    },
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply(pub Result<Value>);

fn broken(what: &'static str) -> Error {
    Error::Broken(what.into())
}

fn never<T>(result: std::result::Result<T, impl std::fmt::Debug>) {
    // Writing to a vector does not fail.
    debug_assert!(result.is_ok());
    drop(result);
}

fn put_scalar(out: &mut Vec<u8>, scalar: Scalar<'_>) {
    match scalar {
        Scalar::Nil => never(encode::write_nil(out)),
        Scalar::Bool(bool) => never(encode::write_bool(out, bool)),
        Scalar::Integer(number) => never(encode::write_sint(out, number)),
        Scalar::Real(number) => never(encode::write_f64(out, number)),
        Scalar::Bytes(bytes) => never(encode::write_bin(out, bytes)),
        Scalar::String(bytes) => {
            never(encode::write_str_len(out, bytes.len() as u32));
            out.extend_from_slice(bytes);
        }
    }
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::List(items) => {
            never(encode::write_array_len(out, items.len() as u32));
            items.iter().for_each(|item| put(out, item));
        }
        Value::Map(pairs) => {
            never(encode::write_map_len(out, pairs.len() as u32));
            for (key, value) in pairs {
                put(out, key);
                put(out, value);
            }
        }
        Value::Proxy(proxy) => {
            never(encode::write_ext_meta(out, PROXY_LEN as u32, PROXY));
            out.push(proxy.kind);
            out.extend_from_slice(&proxy.object.to_be_bytes());
        }
        scalar => scalar.scalar().into_iter().for_each(|scalar| put_scalar(out, scalar)),
    }
}

/// A field of a message.
enum Field<'a> {
    Integer(i64),
    Bool(bool),
    Text(&'a str),
    Bytes(&'a [u8]),
    Value(&'a Value),
    List(&'a [Value]),
    Scalars(&'a [Scalar<'a>]),
}

impl Field<'_> {
    fn weight(&self) -> usize {
        ARGUMENT
            + match self {
                Field::Text(text) => text.len(),
                Field::Bytes(bytes) => bytes.len(),
                Field::Value(value) => value.payload(),
                Field::List(items) => items.iter().map(Value::weight).sum(),
                Field::Scalars(items) => items.iter().map(Scalar::weight).sum(),
                Field::Integer(_) | Field::Bool(_) => 0,
            }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Field::Integer(number) => never(encode::write_sint(out, number)),
            Field::Bool(bool) => never(encode::write_bool(out, bool)),
            Field::Text(text) => never(encode::write_str(out, text)),
            Field::Bytes(bytes) => never(encode::write_bin(out, bytes)),
            Field::Value(value) => put(out, value),
            Field::List(items) => {
                never(encode::write_array_len(out, items.len() as u32));
                items.iter().for_each(|item| put(out, item));
            }
            Field::Scalars(items) => {
                never(encode::write_array_len(out, items.len() as u32));
                items.iter().for_each(|item| put_scalar(out, *item));
            }
        }
    }
}

/// Room for a message of some weight; `MessageSize` if there are none as long.
fn make_room(out: &mut Vec<u8>, weight: usize) -> Result<()> {
    // More than its encoding: a value's weight is 48 bytes more than its payload, its encoding at most 11.
    if weight > LONGEST {
        return Err(Error::MessageSize { needed: weight, capacity: LONGEST });
    }
    out.reserve(weight / 4 + 64);
    Ok(())
}

/// One value as a message; `MessageSize` if it is too long for one.
pub fn pack(value: &Value) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    make_room(&mut out, value.weight())?;
    put(&mut out, value);
    Ok(out)
}

/// The same for a list of fields, behind what is in `out`.
#[inline(always)]
fn pack_fields(out: &mut Vec<u8>, fields: &[Field<'_>]) -> Result<()> {
    make_room(out, ARGUMENT + fields.iter().map(Field::weight).sum::<usize>())?;
    never(encode::write_array_len(out, fields.len() as u32));
    fields.iter().for_each(|field| field.put(out));
    Ok(())
}

/// A call on its way to a server; on its way from a client, with arguments that are scalars, as they lie in the message.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// See [`Request::Call`].
    pub object: u64,
    /// See there.
    pub method: &'a str,
    /// See there.
    pub timeout_ms: i64,
    /// See there.
    pub thread: i64,
    /// See there.
    pub room: i64,
}

/// What a method is called with.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// Scalars, wherever they lie.
    Scalars(&'a [Scalar<'a>]),
    /// Values of any kind.
    Values(&'a [Value]),
}

impl Call<'_> {
    /// As a message, which takes the place of what is in `out`.
    #[inline]
    pub fn pack(&self, given: Given<'_>, out: &mut Vec<u8>) -> Result<()> {
        let arguments = match given {
            Given::Scalars(scalars) => Field::Scalars(scalars),
            Given::Values(values) => Field::List(values),
        };
        out.clear();
        pack_fields(
            out,
            &[
                Field::Integer(CALL),
                Field::Integer(self.object as i64),
                Field::Text(self.method),
                arguments,
                Field::Integer(self.timeout_ms),
                Field::Integer(self.thread),
                Field::Integer(self.room),
            ],
        )
    }
}

impl Request {
    /// As a message.
    pub fn pack(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.pack_into(&mut out).map(|()| out)
    }

    /// The same in place of what is in `out`.
    pub fn pack_into(&self, out: &mut Vec<u8>) -> Result<()> {
        let integer = Field::Integer;
        let number = |number: &u64| Field::Integer(*number as i64);
        out.clear();
        let mut pack = |fields: &[Field<'_>]| pack_fields(out, fields);
        match self {
            Request::Hello { version, session, pid } => {
                pack(&[integer(0), integer(*version), Field::Bytes(session), integer(*pid)])
            }
            Request::Create { kind, arguments, persistent } => {
                pack(&[integer(1), Field::Text(kind), Field::List(arguments), Field::Bool(*persistent)])
            }
            Request::Call { object, method, arguments, timeout_ms, thread, room } => {
                let call = Call { object: *object, method, timeout_ms: *timeout_ms, thread: *thread, room: *room };
                call.pack(Given::Values(arguments), out)
            }
            Request::Keep { object, cell, generation } => {
                pack(&[integer(3), number(object), number(cell), number(generation)])
            }
            Request::Release { object } => pack(&[integer(4), number(object)]),
            Request::Look { object } => pack(&[integer(5), number(object)]),
            Request::Cancel => pack(&[integer(6)]),
            Request::Taken => pack(&[integer(7)]),
            Request::Info => pack(&[integer(8)]),
            Request::Shutdown => pack(&[integer(9)]),
            Request::Describe => pack(&[integer(10)]),
            Request::Lane { end } => pack(&[integer(11), number(end)]),
        }
    }

    /// From a message.
    pub fn unpack(bytes: &[u8]) -> Result<Request> {
        let mut fields = Fields::of(bytes)?;
        let request = match fields.integer()? {
            0 => {
                let (version, session) = (fields.integer()?, fields.next()?);
                let Value::Bytes(session) = session else { return Err(broken("a session that is not bytes")) };
                // Others may say more in their first message: they are told what is spoken here.
                if version != VERSION {
                    return Ok(Request::Hello { version, session, pid: 0 });
                }
                Request::Hello { version, session, pid: fields.integer()? }
            }
            1 => {
                let (kind, arguments) = (fields.text()?.into(), fields.list()?);
                Request::Create { kind, arguments, persistent: fields.integer()? != 0 }
            }
            CALL => Request::Call {
                object: fields.number()?,
                method: fields.text()?.into(),
                arguments: fields.list()?,
                timeout_ms: fields.integer()?,
                thread: fields.integer()?,
                room: fields.integer()?,
            },
            3 => Request::Keep { object: fields.number()?, cell: fields.number()?, generation: fields.number()? },
            4 => Request::Release { object: fields.number()? },
            5 => Request::Look { object: fields.number()? },
            6 => Request::Cancel,
            7 => Request::Taken,
            8 => Request::Info,
            9 => Request::Shutdown,
            10 => Request::Describe,
            11 => Request::Lane { end: fields.integer()? as u64 },
            _ => return Err(broken("a request of an unknown kind")),
        };
        fields.end().map(|()| request)
    }
}

impl<'a> Call<'a> {
    /// A call with a few scalars as they lie in a message, and how many there are; `None` for all else, good or not.
    #[inline]
    pub fn of_scalars(bytes: &'a [u8], few: &mut [Scalar<'a>]) -> Option<(Call<'a>, usize)> {
        let mut fields = Fields::of(bytes).ok()?;
        if fields.integer().ok()? != CALL {
            return None;
        }
        let (object, method, count) = (fields.number().ok()?, fields.text().ok()?, fields.few(few).ok()?);
        let timeout_ms = fields.integer().ok()?;
        let call = Call { object, method, timeout_ms, thread: fields.integer().ok()?, room: fields.integer().ok()? };
        fields.end().ok().map(|()| (call, count))
    }
}

impl Reply {
    /// As a message.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.pack_into(&mut out);
        out
    }

    /// The same in place of what is in `out`.
    pub fn pack_into(&self, out: &mut Vec<u8>) {
        out.clear();
        let packed = match &self.0 {
            Ok(value) => pack_fields(out, &[Field::Integer(0), Field::Value(value)]),
            Err(error) => return Reply::pack_error(error, out),
        };
        packed.unwrap_or_else(|error| Reply::pack_error(&error, out));
    }

    /// The same for a result that is a scalar.
    #[inline]
    pub fn pack_scalar(scalar: Scalar<'_>, out: &mut Vec<u8>) {
        out.clear();
        // No longer than what is stored, or what a request named.
        never(encode::write_array_len(out, 2));
        never(encode::write_pfix(out, 0));
        put_scalar(out, scalar);
    }

    fn pack_error(error: &Error, out: &mut Vec<u8>) {
        let needed = if let Error::MessageSize { needed, .. } = error { *needed as i64 } else { 0 };
        let status = error.status() as i64;
        let mut fields = |text| pack_fields(out, &[Field::Integer(status), Field::Text(text), Field::Integer(needed)]);
        // Nothing is written if it is too long.
        let _ = fields(&error.to_string()).or_else(|_| fields("too much to say"));
    }

    /// From a message.
    pub fn unpack(bytes: &[u8]) -> Result<Reply> {
        let mut fields = Fields::of(bytes)?;
        let status = Status::try_from(fields.integer()?).map_err(|_| broken("a status out of range"))?;
        let result = match status {
            0 => Ok(fields.next()?),
            status => {
                let message = fields.text()?.to_owned();
                let needed = fields.number()? as usize;
                Err(Error::of_server(status, message, needed))
            }
        };
        fields.end().map(|()| Reply(result))
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::Proxy;
    use super::*;

    fn samples() -> Vec<Value> {
        let proxy = Value::Proxy(Proxy { object: u64::MAX >> 1, kind: 3 });
        let mut samples = vec![Value::Nil, Value::Bool(true), Value::Real(-0.5), Value::text("x"), proxy];
        for shift in 0..64 {
            samples.push(Value::Integer(1i64 << shift));
            samples.push(Value::Integer((-1i64) << shift));
            samples.push(Value::Integer((1i64 << shift).wrapping_sub(1)));
        }
        for len in [0, 31, 32, 255, 256, 65_535, 65_536] {
            samples.push(Value::Bytes(vec![7; len]));
            samples.push(Value::String(vec![0xff; len]));
            samples.push(Value::List(vec![Value::Nil; len]));
            samples.push(Value::Map(vec![(Value::Integer(1), Value::Nil); len.min(300)]));
        }
        samples
    }

    #[test]
    fn values_survive_the_way_there_and_back() {
        for value in samples() {
            assert_eq!(unpack(&pack(&value).unwrap()).unwrap(), value);
        }
    }

    #[test]
    fn requests_and_replies_too() {
        let arguments = samples();
        let requests = [
            Request::Hello { version: VERSION, session: vec![1; 16], pid: 12 },
            Request::Create { kind: "dict".into(), arguments: arguments.clone(), persistent: true },
            Request::Call { object: 1, method: "get".into(), arguments, timeout_ms: -1, thread: 3, room: -1 },
            Request::Keep { object: 1, cell: 2, generation: 3 },
            Request::Release { object: 1 },
            Request::Look { object: 1 },
            Request::Cancel,
            Request::Taken,
            Request::Info,
            Request::Shutdown,
            Request::Describe,
            Request::Lane { end: u64::MAX - 1 },
        ];
        for request in requests {
            assert_eq!(Request::unpack(&request.clone().pack().unwrap()).unwrap(), request);
        }
        let errors = [Error::TimedOut, Error::OwnerDead, Error::MessageSize { needed: 99, capacity: 0 }];
        for error in errors {
            let Reply(back) = Reply::unpack(&Reply(Err(error.clone())).pack()).unwrap();
            let back = back.unwrap_err();
            assert_eq!(back.status(), error.status());
            if let Error::MessageSize { needed, .. } = back {
                assert_eq!(needed, 99);
            }
        }
    }

    #[test]
    fn nesting_and_claims_are_bounded() {
        let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        assert!(unpack(&nested(DEPTH)).is_ok());
        assert!(unpack(&nested(DEPTH + AROUND + 1)).is_err());
        assert!(unpack(&nested(10_000_000)).is_err());
        // Arrays, maps, strings and bytes of 4 GiB that are not there.
        for marker in [0xdd, 0xdf, 0xdb, 0xc6] {
            assert!(unpack(&[marker, 0xff, 0xff, 0xff, 0xff, 0xc0]).is_err());
        }
        assert!(pack(&Value::Bytes(vec![0; LONGEST])).is_err());
    }

    fn chance() -> impl FnMut() -> u64 {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        }
    }

    /// What is read as a call of scalars is the same call to those who read all of it.
    #[test]
    fn calls_of_scalars_are_calls() {
        let mut next = chance();
        let scalars = [Scalar::String(b"key"), Scalar::Integer(-7)];
        let call = Call { object: 3, method: "set", timeout_ms: 0, thread: 70_000, room: -1 };
        let mut good = Vec::new();
        call.pack(Given::Scalars(&scalars), &mut good).unwrap();
        let mut read = 0;
        for round in 0..200_000 {
            let mut bytes = good.clone();
            for _ in 0..round % 4 {
                let at = next() as usize % bytes.len();
                bytes[at] = next() as u8;
            }
            let mut few = [Scalar::Nil; 2];
            let Some((call, count)) = Call::of_scalars(&bytes, &mut few) else { continue };
            read += 1;
            let mut again = Vec::new();
            call.pack(Given::Scalars(&few[..count]), &mut again).unwrap();
            assert_eq!(Request::unpack(&bytes).unwrap().pack().unwrap(), again);
        }
        assert!(read > 50_000);
    }

    /// Every message that is one byte, or one cut, away from a good one; then plain noise.
    #[test]
    fn hostile_bytes_are_an_error_or_a_value() {
        let mut next = chance();
        let arguments = samples().into_iter().filter(|value| value.weight() < 500).collect();
        let call = Request::Call { object: 1, method: "x".into(), arguments, timeout_ms: 0, thread: 0, room: 0 };
        let good = call.pack().unwrap();
        for cut in 0..good.len() {
            assert!(Request::unpack(&good[..cut]).is_err());
        }
        for round in 0..200_000 {
            let mut bytes = good.clone();
            if round % 2 == 0 {
                for _ in 0..1 + next() % 4 {
                    let at = next() as usize % bytes.len();
                    bytes[at] = next() as u8;
                }
            } else {
                bytes = (0..next() % 60).map(|_| next() as u8).collect();
            }
            if let Ok(request) = Request::unpack(&bytes) {
                assert_eq!(Request::unpack(&request.clone().pack().unwrap()).ok().map(|_| ()), Some(()));
            }
            let _ = Reply::unpack(&bytes);
        }
    }
}
