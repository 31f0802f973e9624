//! What is in a message, read once: whatever it claims is compared with what is there.
#![forbid(unsafe_code)]

use super::{AROUND, DEPTH, NODES, PROXY, PROXY_LEN, broken};
use crate::error::Result;
use crate::manager::value::{Proxy, Scalar, Value};
use rmp::Marker;

/// What is left of a message, and of what it may claim.
struct Reader<'a> {
    bytes: &'a [u8],
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or_else(|| broken("a message that is cut off"))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A number of `N` bytes.
    fn number<const N: usize>(&mut self) -> Result<u64> {
        Ok(self.take(N)?.iter().fold(0, |number, byte| number << 8 | *byte as u64))
    }

    /// The same with a sign.
    fn signed<const N: usize>(&mut self) -> Result<Scalar<'a>> {
        let shift = 64 - 8 * N as u32;
        Ok(Scalar::Integer((self.number::<N>()? << shift) as i64 >> shift))
    }

    fn unsigned<const N: usize>(&mut self) -> Result<Scalar<'a>> {
        let number = i64::try_from(self.number::<N>()?).map_err(|_| broken("a number of more than 63 bits"))?;
        Ok(Scalar::Integer(number))
    }

    fn marker(&mut self) -> Result<Marker> {
        self.nodes = self.nodes.checked_sub(1).ok_or_else(|| broken("a message of too many values"))?;
        Ok(Marker::from_u8(self.take(1)?[0]))
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        Ok(match self.marker()? {
            Marker::FixArray(len) => self.list(len as u64, depth)?,
            Marker::Array16 => self.number::<2>().and_then(|len| self.list(len, depth))?,
            Marker::Array32 => self.number::<4>().and_then(|len| self.list(len, depth))?,
            Marker::FixMap(len) => self.map(len as u64, depth)?,
            Marker::Map16 => self.number::<2>().and_then(|len| self.map(len, depth))?,
            Marker::Map32 => self.number::<4>().and_then(|len| self.map(len, depth))?,
            Marker::Ext8 => self.proxy()?,
            marker => self.scalar(marker)?.into(),
        })
    }

    /// What a marker begins that is no list, no map and no object.
    #[inline]
    fn scalar(&mut self, marker: Marker) -> Result<Scalar<'a>> {
        Ok(match marker {
            Marker::Null => Scalar::Nil,
            Marker::True => Scalar::Bool(true),
            Marker::False => Scalar::Bool(false),
            Marker::FixPos(number) => Scalar::Integer(number as i64),
            Marker::FixNeg(number) => Scalar::Integer(number as i64),
            Marker::U8 => self.unsigned::<1>()?,
            Marker::U16 => self.unsigned::<2>()?,
            Marker::U32 => self.unsigned::<4>()?,
            Marker::U64 => self.unsigned::<8>()?,
            Marker::I8 => self.signed::<1>()?,
            Marker::I16 => self.signed::<2>()?,
            Marker::I32 => self.signed::<4>()?,
            Marker::I64 => self.signed::<8>()?,
            Marker::F32 => Scalar::Real(f32::from_bits(self.number::<4>()? as u32) as f64),
            Marker::F64 => Scalar::Real(f64::from_bits(self.number::<8>()?)),
            Marker::FixStr(len) => Scalar::String(self.take(len as usize)?),
            Marker::Str8 => Scalar::String(self.run::<1>()?),
            Marker::Str16 => Scalar::String(self.run::<2>()?),
            Marker::Str32 => Scalar::String(self.run::<4>()?),
            Marker::Bin8 => Scalar::Bytes(self.run::<1>()?),
            Marker::Bin16 => Scalar::Bytes(self.run::<2>()?),
            Marker::Bin32 => Scalar::Bytes(self.run::<4>()?),
            _ => return Err(broken("a value of an unknown kind")),
        })
    }

    fn run<const N: usize>(&mut self) -> Result<&'a [u8]> {
        let len = self.number::<N>()? as usize;
        self.take(len)
    }

    /// Room for so many values, as far as they can be there.
    fn room<T>(&self, len: u64, least: usize, depth: usize) -> Result<Vec<T>> {
        if depth == 0 {
            return Err(broken("a message that is nested too deeply"));
        }
        match usize::try_from(len) {
            Ok(len) if len <= self.bytes.len() / least && len <= self.nodes => Ok(Vec::with_capacity(len)),
            _ => Err(broken("a message with more values than fit into it")),
        }
    }

    fn list(&mut self, len: u64, depth: usize) -> Result<Value> {
        let mut items = self.room(len, 1, depth)?;
        for _ in 0..len {
            items.push(self.value(depth - 1)?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, len: u64, depth: usize) -> Result<Value> {
        let mut pairs = self.room(len, 2, depth)?;
        for _ in 0..len {
            pairs.push((self.value(depth - 1)?, self.value(depth - 1)?));
        }
        Ok(Value::Map(pairs))
    }

    fn proxy(&mut self) -> Result<Value> {
        let head = self.take(2)?;
        if head != [PROXY_LEN as u8, PROXY as u8] {
            return Err(broken("an extension of an unknown kind"));
        }
        let kind = self.take(1)?[0];
        Ok(Value::Proxy(Proxy { object: self.number::<8>()?, kind }))
    }
}

/// The value of a message, which is one and nothing more.
pub fn unpack(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader { bytes, nodes: NODES };
    let value = reader.value(DEPTH + AROUND)?;
    if reader.bytes.is_empty() { Ok(value) } else { Err(broken("a message with something behind it")) }
}

/// Fields of a message, in order.
pub(super) struct Fields<'a> {
    reader: Reader<'a>,
    left: u64,
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Result<Fields<'a>> {
        let mut reader = Reader { bytes, nodes: NODES };
        let left = match Marker::from_u8(reader.take(1)?[0]) {
            Marker::FixArray(len) => len as u64,
            Marker::Array16 => reader.number::<2>()?,
            Marker::Array32 => reader.number::<4>()?,
            _ => return Err(broken("a message that is no list")),
        };
        Ok(Fields { reader, left })
    }
    fn step(&mut self) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| broken("a message that lacks something"))?;
        Ok(())
    }
    pub(super) fn next(&mut self) -> Result<Value> {
        self.step()?;
        self.reader.value(DEPTH + AROUND - 1)
    }
    pub(super) fn integer(&mut self) -> Result<i64> {
        // Most are the shortest there are.
        if let ([byte @ 0..0x80, rest @ ..], 1..) = (self.reader.bytes, self.left) {
            (self.reader.bytes, self.left) = (rest, self.left - 1);
            return Ok(*byte as i64);
        }
        match self.scalar()? {
            Scalar::Integer(number) => Ok(number),
            Scalar::Bool(bool) => Ok(bool as i64),
            _ => Err(broken("a message with something else in place of a number")),
        }
    }
    pub(super) fn number(&mut self) -> Result<u64> {
        u64::try_from(self.integer()?).map_err(|_| broken("a message with a negative number"))
    }
    fn scalar(&mut self) -> Result<Scalar<'a>> {
        self.step()?;
        let marker = self.reader.marker()?;
        self.reader.scalar(marker)
    }
    pub(super) fn text(&mut self) -> Result<&'a str> {
        match self.scalar()? {
            Scalar::String(bytes) => std::str::from_utf8(bytes).map_err(|_| broken("a text that is not UTF-8")),
            _ => Err(broken("a message with something else in place of a text")),
        }
    }
    /// A list of scalars, not longer than `few`; an error for another one, which is no statement about it.
    pub(super) fn few(&mut self, few: &mut [Scalar<'a>]) -> Result<usize> {
        self.step()?;
        let Marker::FixArray(len) = self.reader.marker()? else { return Err(broken("a long list")) };
        for place in few.get_mut(..len as usize).ok_or_else(|| broken("a long list"))? {
            let marker = self.reader.marker()?;
            *place = self.reader.scalar(marker)?;
        }
        Ok(len as usize)
    }
    pub(super) fn list(&mut self) -> Result<Vec<Value>> {
        match self.next()? {
            Value::List(items) => Ok(items),
            _ => Err(broken("a message with something else in place of a list")),
        }
    }
    pub(super) fn end(self) -> Result<()> {
        match (self.left, self.reader.bytes) {
            (0, []) => Ok(()),
            (0, _) => Err(broken("a message with something behind it")),
            _ => Err(broken("a message with too many fields")),
        }
    }
}
