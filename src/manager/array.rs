//! Arrays and values of one type.
#![forbid(unsafe_code)]

use super::list::List;
use super::protocol::LONGEST;
use super::value::{self, ARGUMENT, Arguments, Value};
use super::{Outcome, no_method};
use crate::error::{Error, Result};

/// What values of a letter of billiard's are.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Integer {
        least: i64,
        most: i64,
    },
    Real,
    Bool,
    /// Bytes whose meaning is the program's.
    Raw,
}

/// A type of items: as values, and as bytes, which are little-endian on every machine that carom runs on.
#[derive(Debug, Clone, Copy)]
struct Element {
    letter: u8,
    size: usize,
    kind: Kind,
}

impl Element {
    fn of(letter: &str) -> Result<Element> {
        let unknown = || Error::invalid("there is no such type code");
        if let Some(size) = letter.strip_suffix('s') {
            let size = size.parse().ok().filter(|size| (1..=LONGEST).contains(size)).ok_or_else(unknown)?;
            return Ok(Element { letter: 0, size, kind: Kind::Raw });
        }
        let [letter] = letter.as_bytes() else { return Err(unknown()) };
        let (size, kind) = match letter {
            b'b' => Element::integer(1, true),
            b'B' | b'c' => Element::integer(1, false),
            b'h' => Element::integer(2, true),
            b'H' => Element::integer(2, false),
            b'i' => Element::integer(4, true),
            b'I' | b'u' => Element::integer(4, false),
            b'l' | b'q' => Element::integer(8, true),
            b'L' | b'Q' => Element::integer(8, false),
            b'f' => (4, Kind::Real),
            b'd' => (8, Kind::Real),
            b'?' => (1, Kind::Bool),
            _ => return Err(unknown()),
        };
        Ok(Element { letter: *letter, size, kind })
    }

    fn integer(size: usize, signed: bool) -> (usize, Kind) {
        let kind = match (size, signed) {
            // Without a sign: the integer of the same bits.
            (8, _) => Kind::Integer { least: i64::MIN, most: i64::MAX },
            (_, true) => Kind::Integer { least: -(1 << (8 * size - 1)), most: (1 << (8 * size - 1)) - 1 },
            (_, false) => Kind::Integer { least: 0, most: (1 << (8 * size)) - 1 },
        };
        (size, kind)
    }

    fn zero(self) -> Value {
        match self.kind {
            Kind::Integer { .. } => Value::Integer(0),
            Kind::Real => Value::Real(0.0),
            Kind::Bool => Value::Bool(false),
            Kind::Raw => Value::Bytes(vec![0; self.size]),
        }
    }

    /// What a zero weighs.
    fn zero_weight(self) -> usize {
        ARGUMENT + if let Kind::Raw = self.kind { self.size } else { 0 }
    }

    fn check(self, value: Value) -> Result<Value> {
        match (self.kind, value) {
            (Kind::Integer { least, most }, Value::Integer(number)) if (least..=most).contains(&number) => {
                Ok(Value::Integer(number))
            }
            (Kind::Integer { .. }, Value::Integer(_)) => Err(Error::invalid("the number is out of the type's range")),
            (Kind::Real, Value::Real(number)) => Ok(Value::Real(number)),
            (Kind::Real, Value::Integer(number)) => Ok(Value::Real(number as f64)),
            (Kind::Bool, Value::Bool(bool)) => Ok(Value::Bool(bool)),
            (Kind::Bool, Value::Integer(number @ (0 | 1))) => Ok(Value::Bool(number == 1)),
            (Kind::Raw, Value::Bytes(bytes)) if bytes.len() == self.size => Ok(Value::Bytes(bytes)),
            _ => Err(Error::invalid("the value is not of the object's type")),
        }
    }

    /// What an increment makes of a value.
    fn sum(self, now: &Value, by: &Value) -> Result<Value> {
        if let (b'L' | b'Q', Value::Integer(now), Value::Integer(by)) = (self.letter, now, by) {
            let sum = (*now as u64).checked_add_signed(*by);
            return Ok(Value::Integer(sum.ok_or(Error::invalid("the number is out of the type's range"))? as i64));
        }
        self.check(now.plus(by)?)
    }

    /// A number of this type with these lowest bytes; what does not fit is cut off.
    fn cut(self, number: i64) -> Result<Value> {
        let shift = 64 - 8 * self.size as u32;
        match self.kind {
            Kind::Integer { least: 0, .. } => Ok(Value::Integer(((number << shift) as u64 >> shift) as i64)),
            Kind::Integer { .. } => Ok(Value::Integer(number << shift >> shift)),
            Kind::Bool => Ok(Value::Bool(number != 0)),
            Kind::Real | Kind::Raw => Err(Error::invalid("the type is no integer")),
        }
    }

    fn put(self, value: &Value, out: &mut Vec<u8>) {
        match (self.size, value) {
            (_, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
            (4, Value::Real(number)) => out.extend_from_slice(&(*number as f32).to_le_bytes()),
            (_, Value::Real(number)) => out.extend_from_slice(&number.to_le_bytes()),
            (size, value) => out.extend_from_slice(&value.integer().unwrap_or(0).to_le_bytes()[..size]),
        }
    }

    fn take(self, bytes: &[u8]) -> Result<Value> {
        if let Kind::Raw = self.kind {
            return Ok(Value::Bytes(bytes.to_vec()));
        }
        let mut whole = [0; 8];
        whole[..self.size].copy_from_slice(bytes);
        let bits = u64::from_le_bytes(whole);
        match (self.kind, self.size) {
            (Kind::Real, 4) => Ok(Value::Real(f32::from_bits(bits as u32) as f64)),
            (Kind::Real, _) => Ok(Value::Real(f64::from_bits(bits))),
            _ => self.cut(bits as i64),
        }
    }

    /// Values of so many bytes.
    fn take_all(self, bytes: &[u8]) -> Result<Vec<Value>> {
        if !bytes.len().is_multiple_of(self.size) {
            return Err(Error::MessageSize { needed: self.size, capacity: bytes.len() });
        }
        bytes.chunks_exact(self.size).map(|bytes| self.take(bytes)).collect()
    }
}

/// Items of one type; a value is an array of one.
pub struct Array {
    element: Element,
    items: List,
}

impl Array {
    /// An array: a type code, and its items or how many zeros.
    pub fn new(given: &mut Arguments) -> Result<Array> {
        let element = Element::of(&given.text()?)?;
        let items = match given.need()? {
            Value::List(items) => items.into_iter().map(|item| element.check(item)).collect::<Result<Vec<_>>>()?,
            Value::Bytes(bytes) => element.take_all(&bytes)?,
            Value::Integer(count @ 0..=0xff_ffff) => {
                value::check_room((count as usize).saturating_mul(element.zero_weight()))?;
                vec![element.zero(); count as usize]
            }
            _ => return Err(Error::invalid("an array is of a list, or of up to 16777215 zeros")),
        };
        Ok(Array { element, items: List::new(items)? })
    }

    /// A value: a type code, and perhaps what it is.
    pub fn new_value(given: &mut Arguments) -> Result<Array> {
        let element = Element::of(&given.text()?)?;
        let value = match given.optional() {
            None => element.zero(),
            Some(Value::Bytes(bytes)) if bytes.len() == element.size => element.take(&bytes)?,
            Some(value) => element.check(value)?,
        };
        Ok(Array { element, items: List::new(vec![value])? })
    }

    /// Items as bytes, for the functions of local arrays: `load(first count)`, `store(first bytes)`, `shape()`, and
    /// `atomic(operation operand expected)` of the first one, which gives what was there before.
    fn call_raw(&mut self, method: &str, given: &mut Arguments) -> Result<Value> {
        let element = self.element;
        let beyond = || Error::invalid("the array has no such items");
        let len = self.items.len();
        let place = |first: i64, count: usize| {
            let first =
                usize::try_from(first).ok().filter(|first| first.checked_add(count).is_some_and(|end| end <= len));
            first.map(|first| first..first + count).ok_or_else(beyond)
        };
        Ok(match method {
            "shape" => {
                let numbers = [element.letter as i64, element.size as i64, len as i64];
                Value::List(numbers.map(Value::Integer).to_vec())
            }
            "load" => {
                let (first, count) = (given.integer()?, usize::try_from(given.integer()?).map_err(|_| beyond())?);
                let mut bytes = Vec::new();
                self.items
                    .values()
                    .skip(place(first, count)?.start)
                    .take(count)
                    .for_each(|it| element.put(it, &mut bytes));
                Value::Bytes(bytes)
            }
            "store" => {
                let (first, Value::Bytes(bytes)) = (given.integer()?, given.need()?) else {
                    return Err(Error::invalid("bytes are needed here"));
                };
                let values = element.take_all(&bytes)?;
                let range = place(first, values.len())?;
                self.items.replace(range, values)?;
                Value::Nil
            }
            _ => {
                let (operation, operand) = (given.text()?, given.integer()?);
                let before = self.items.values().next().cloned().unwrap_or(Value::Nil).integer();
                let before = before.map_err(|_| Error::invalid("the type is no integer"))?;
                let after = match &*operation {
                    "load" => return Ok(Value::Integer(before)),
                    "store" => element.cut(operand)?,
                    "add" if matches!(element.kind, Kind::Bool) => {
                        return Err(Error::invalid("a bool is not added to"));
                    }
                    "add" => element.cut(before.wrapping_add(operand))?,
                    "swap" if given.integer()? != before => return Ok(Value::Integer(before)),
                    "swap" => element.cut(operand)?,
                    _ => return Err(no_method()),
                };
                self.items.replace(0..1, vec![after])?;
                Value::Integer(before)
            }
        })
    }

    /// Calls a method.
    pub fn call(&mut self, method: &str, mut given: Arguments, room: Option<usize>) -> Result<Outcome> {
        if matches!(method, "load" | "store" | "shape" | "atomic") {
            return self.call_raw(method, &mut given).map(Outcome::Done);
        }
        let arguments = match method {
            "get" | "len" | "slice" | "copy" | "index" | "count" => given.rest(),
            "increment" => {
                let (index, by) = (given.need()?, given.optional().unwrap_or(Value::Integer(1)));
                let now = self.items.call("get", Arguments::new(vec![index.clone()]), room)?;
                let Outcome::Done(now) = now else { return Ok(now) };
                let sum = self.element.sum(&now, &by)?;
                self.items.call("set", Arguments::new(vec![index, sum.clone()]), room)?;
                return Ok(Outcome::Done(sum));
            }
            "set" | "swap" => {
                let mut arguments = vec![given.need()?];
                for value in given.rest() {
                    arguments.push(self.element.check(value)?);
                }
                arguments
            }
            "set_slice" => {
                let (start, stop, items) = (given.need()?, given.need()?, given.list()?);
                let items = items.into_iter().map(|item| self.element.check(item)).collect::<Result<Vec<_>>>()?;
                let range = self.items.range(&mut Arguments::new(vec![start.clone(), stop.clone()]))?;
                if range.len() != items.len() {
                    return Err(Error::invalid("an array keeps its length"));
                }
                vec![start, stop, Value::List(items)]
            }
            _ => return Err(no_method()),
        };
        self.items.call(method, Arguments::new(arguments), room)
    }

    /// The same of a value, which has no index.
    pub fn call_value(&mut self, method: &str, given: Arguments, room: Option<usize>) -> Result<Outcome> {
        match method {
            "load" | "store" | "shape" | "atomic" => self.call(method, given, room),
            "get" | "set" | "increment" | "swap" => {
                self.call(method, Arguments::new([vec![Value::Integer(0)], given.rest()].concat()), room)
            }
            _ => Err(no_method()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(outcome: Result<Outcome>) -> Result<Value> {
        match outcome? {
            Outcome::Done(value) => Ok(value),
            Outcome::Wait => Err(Error::TimedOut),
        }
    }

    fn ints(numbers: &[i64]) -> Value {
        Value::List(numbers.iter().map(|number| Value::Integer(*number)).collect())
    }

    #[test]
    fn types_are_enforced() {
        value::set_limits(1 << 20, 1 << 20);
        let int = Value::Integer;
        let mut array = Array::new(&mut Arguments::new(vec![Value::text("h"), int(3)])).unwrap();
        let mut call =
            |method: &str, arguments: &[Value]| done(array.call(method, Arguments::new(arguments.to_vec()), None));
        assert_eq!(call("copy", &[]), Ok(ints(&[0, 0, 0])));
        call("set", &[int(1), int(32_767)]).unwrap();
        assert!(call("set", &[int(1), int(32_768)]).is_err());
        assert!(call("increment", &[int(1)]).is_err());
        assert!(call("set", &[int(1), Value::text("x")]).is_err());
        assert!(call("set_slice", &[int(0), int(2), ints(&[1])]).is_err());
        call("set_slice", &[int(0), int(2), ints(&[1, 2])]).unwrap();
        assert_eq!(call("copy", &[]), Ok(ints(&[1, 2, 0])));
        assert!(call("append", &[int(1)]).is_err());
        let mut value = Array::new_value(&mut Arguments::new(vec![Value::text("d")])).unwrap();
        assert!(done(value.call_value("set", Arguments::new(vec![int(2)]), None)).is_ok());
        assert_eq!(done(value.call_value("get", Arguments::new(vec![]), None)), Ok(Value::Real(2.0)));
        assert!(Array::new(&mut Arguments::new(vec![Value::text("z"), int(3)])).is_err());
    }

    #[test]
    fn bytes_are_what_c_has() {
        value::set_limits(1 << 20, 1 << 20);
        let numbers = [-1i16, 2, i16::MIN];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let given = vec![Value::text("h"), Value::Bytes(bytes.clone())];
        let mut array = Array::new(&mut Arguments::new(given)).unwrap();
        let mut call =
            |method: &str, arguments: &[Value]| done(array.call(method, Arguments::new(arguments.to_vec()), None));
        let int = Value::Integer;
        assert_eq!(call("copy", &[]), Ok(ints(&[-1, 2, i16::MIN as i64])));
        assert_eq!(call("load", &[int(0), int(3)]), Ok(Value::Bytes(bytes)));
        assert_eq!(call("shape", &[]), Ok(ints(&[b'h' as i64, 2, 3])));
        assert!(call("load", &[int(1), int(3)]).is_err());
        assert!(call("load", &[int(i64::MAX), int(1)]).is_err());
        assert!(call("load", &[int(-1), int(1)]).is_err());
        call("store", &[int(1), Value::Bytes(vec![7, 0])]).unwrap();
        assert!(call("store", &[int(1), Value::Bytes(vec![7])]).is_err());
        assert!(call("store", &[int(2), Value::Bytes(vec![7; 4])]).is_err());
        assert_eq!(call("copy", &[]), Ok(ints(&[-1, 7, i16::MIN as i64])));
        let add = |by: i64| [Value::text("add"), int(by), int(0)];
        assert_eq!(call("atomic", &add(i16::MIN as i64)), Ok(int(-1)));
        assert_eq!(call("get", &[int(0)]), Ok(int(i16::MAX as i64)));
        assert_eq!(call("atomic", &[Value::text("swap"), int(5), int(4)]), Ok(int(i16::MAX as i64)));
        assert_eq!(call("atomic", &[Value::text("swap"), int(5), int(i16::MAX as i64)]), Ok(int(i16::MAX as i64)));
        assert_eq!(call("atomic", &[Value::text("load"), int(0), int(0)]), Ok(int(5)));
    }
}
