//! Lists, and arrays and values of one type.
#![forbid(unsafe_code)]

use super::value::{Arguments, Stored, Value};
use super::{Outcome, fit, no_method};
use crate::error::{Error, Result};
use std::cmp::Ordering;

const OUTSIDE: Error = Error::NotFound("there is no such index");

/// A list.
#[derive(Default)]
pub struct List {
    items: Vec<Stored>,
}

/// Which of two comes first; `None` for what cannot be compared.
fn compare(one: &Value, two: &Value) -> Option<Ordering> {
    match (one, two) {
        (Value::Integer(one), Value::Integer(two)) => Some(one.cmp(two)),
        (Value::Bool(one), Value::Bool(two)) => Some(one.cmp(two)),
        (Value::Real(one), Value::Real(two)) => one.partial_cmp(two),
        (Value::Integer(one), Value::Real(two)) => (*one as f64).partial_cmp(two),
        (Value::Real(one), Value::Integer(two)) => one.partial_cmp(&(*two as f64)),
        (Value::Bytes(one), Value::Bytes(two)) | (Value::String(one), Value::String(two)) => Some(one.cmp(two)),
        (Value::List(one), Value::List(two)) => {
            let differing =
                one.iter().zip(two).map(|(one, two)| compare(one, two)).find(|o| *o != Some(Ordering::Equal));
            differing.unwrap_or(Some(one.len().cmp(&two.len())))
        }
        _ => None,
    }
}

impl List {
    /// A list of items.
    pub fn new(items: Vec<Value>) -> Result<List> {
        Ok(List { items: Stored::all(items)? })
    }

    /// A place from the beginning, or, if negative, from the end.
    fn place(&self, index: i64) -> Result<usize> {
        let len = self.items.len() as i64;
        let index = if index < 0 { index + len } else { index };
        if (0..len).contains(&index) { Ok(index as usize) } else { Err(OUTSIDE) }
    }

    /// The same, cut off at both ends.
    fn cut(&self, index: Option<i64>, default: usize) -> usize {
        let len = self.items.len() as i64;
        index
            .map_or(default, |index| (if index < 0 { index.saturating_add(len) } else { index }).clamp(0, len) as usize)
    }

    fn range(&self, given: &mut Arguments) -> Result<std::ops::Range<usize>> {
        let start = self.cut(given.optional_integer()?, 0);
        let stop = self.cut(given.optional_integer()?, self.items.len());
        Ok(start..stop.max(start))
    }

    fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator {
        self.items.iter().map(Stored::value)
    }

    fn sort(&mut self, reverse: bool) -> Result<()> {
        let mut comparable = true;
        // Equal where there is no order: the result is thrown away then.
        let mut places: Vec<usize> = (0..self.items.len()).collect();
        places.sort_by(|one, two| {
            let order = compare(self.items[*one].value(), self.items[*two].value());
            comparable &= order.is_some();
            let order = order.unwrap_or(Ordering::Equal);
            if reverse { order.reverse() } else { order }
        });
        if !comparable {
            return Err(Error::invalid("the items of the list have no common order"));
        }
        let mut items: Vec<_> = std::mem::take(&mut self.items).into_iter().map(Some).collect();
        self.items = places.into_iter().filter_map(|place| items[place].take()).collect();
        Ok(())
    }

    /// Calls a method.
    pub fn call(&mut self, method: &str, mut given: Arguments, room: Option<usize>) -> Result<Outcome> {
        let value = match method {
            "append" => {
                self.items.push(given.stored()?);
                Value::Nil
            }
            "extend" => {
                self.items.extend(Stored::all(given.list()?)?);
                Value::Nil
            }
            "insert" => {
                let (index, value) = (given.integer()?, given.stored()?);
                self.items.insert(self.cut(Some(index), 0), value);
                Value::Nil
            }
            "get" => self.items[self.place(given.integer()?)?].value().clone(),
            "set" => {
                let place = self.place(given.integer()?)?;
                self.items[place] = given.stored()?;
                Value::Nil
            }
            "delete" => {
                self.items.remove(self.place(given.integer()?)?);
                Value::Nil
            }
            "pop" => {
                let place = self.place(given.optional_integer()?.unwrap_or(-1))?;
                fit(self.items[place].value(), room)?;
                self.items.remove(place).value().clone()
            }
            "remove" => {
                let value = given.need()?;
                let place = self.values().position(|item| *item == value);
                self.items.remove(place.ok_or(Error::NotFound("the list has no such item"))?);
                Value::Nil
            }
            "increment" => {
                let (place, by) = (self.place(given.integer()?)?, given.optional().unwrap_or(Value::Integer(1)));
                let sum = self.items[place].value().plus(&by)?;
                self.items[place] = Stored::new(sum.clone())?;
                sum
            }
            "swap" => {
                let (place, new, expected) = (self.place(given.integer()?)?, given.need()?, given.need()?);
                let same = *self.items[place].value() == expected;
                if same {
                    self.items[place] = Stored::new(new)?;
                }
                Value::Bool(same)
            }
            _ => self.call_whole(method, given)?,
        };
        Ok(Outcome::Done(value))
    }

    /// Those that concern more than one item.
    fn call_whole(&mut self, method: &str, mut given: Arguments) -> Result<Value> {
        Ok(match method {
            "index" => {
                let value = given.need()?;
                let range = self.range(&mut given)?;
                let found = self.values().take(range.end).skip(range.start).position(|item| *item == value);
                let found = found.ok_or(Error::NotFound("the list has no such item"))?;
                Value::Integer((range.start + found) as i64)
            }
            "count" => {
                let value = given.need()?;
                Value::Integer(self.values().filter(|item| **item == value).count() as i64)
            }
            "contains" => {
                let value = given.need()?;
                Value::Bool(self.values().any(|item| *item == value))
            }
            "reverse" => {
                self.items.reverse();
                Value::Nil
            }
            "sort" => {
                self.sort(given.optional_integer()?.unwrap_or(0) != 0)?;
                Value::Nil
            }
            "slice" => {
                let range = self.range(&mut given)?;
                Value::List(self.items[range].iter().map(|item| item.value().clone()).collect())
            }
            "set_slice" => {
                let range = self.range(&mut given)?;
                let items = Stored::all(given.list()?)?;
                self.items.splice(range, items);
                Value::Nil
            }
            "len" => Value::Integer(self.items.len() as i64),
            "copy" => Value::List(self.values().cloned().collect()),
            "clear" => {
                self.items.clear();
                Value::Nil
            }
            _ => return Err(no_method()),
        })
    }
}

/// What values of a letter of billiard's are.
#[derive(Debug, Clone, Copy)]
enum Element {
    Integer { least: i64, most: i64 },
    Real,
    Bool,
}

impl Element {
    fn of(letter: &str) -> Result<Element> {
        let integer = |bytes: u32, signed: bool| match (bytes, signed) {
            (8, true) => Element::Integer { least: i64::MIN, most: i64::MAX },
            (8, false) => Element::Integer { least: 0, most: i64::MAX },
            (_, true) => Element::Integer { least: -(1 << (8 * bytes - 1)), most: (1 << (8 * bytes - 1)) - 1 },
            (_, false) => Element::Integer { least: 0, most: (1 << (8 * bytes)) - 1 },
        };
        Ok(match letter {
            "b" => integer(1, true),
            "B" | "c" => integer(1, false),
            "h" => integer(2, true),
            "H" => integer(2, false),
            "i" => integer(4, true),
            "I" | "u" => integer(4, false),
            "l" | "q" => integer(8, true),
            "L" | "Q" => integer(8, false),
            "f" | "d" => Element::Real,
            "?" => Element::Bool,
            _ => return Err(Error::invalid("there is no such type code")),
        })
    }

    fn zero(self) -> Value {
        match self {
            Element::Integer { .. } => Value::Integer(0),
            Element::Real => Value::Real(0.0),
            Element::Bool => Value::Bool(false),
        }
    }

    fn check(self, value: Value) -> Result<Value> {
        match (self, value) {
            (Element::Integer { least, most }, Value::Integer(number)) if (least..=most).contains(&number) => {
                Ok(Value::Integer(number))
            }
            (Element::Integer { .. }, Value::Integer(_)) => {
                Err(Error::invalid("the number is out of the type's range"))
            }
            (Element::Real, Value::Real(number)) => Ok(Value::Real(number)),
            (Element::Real, Value::Integer(number)) => Ok(Value::Real(number as f64)),
            (Element::Bool, Value::Bool(bool)) => Ok(Value::Bool(bool)),
            (Element::Bool, Value::Integer(number @ (0 | 1))) => Ok(Value::Bool(number == 1)),
            _ => Err(Error::invalid("the value is not of the object's type")),
        }
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
            Value::Integer(count @ 0..=0xff_ffff) => vec![element.zero(); count as usize],
            _ => return Err(Error::invalid("an array is of a list, or of up to 16777215 zeros")),
        };
        Ok(Array { element, items: List::new(items)? })
    }

    /// A value: a type code, and perhaps what it is.
    pub fn new_value(given: &mut Arguments) -> Result<Array> {
        let element = Element::of(&given.text()?)?;
        let value = given.optional().map_or(Ok(element.zero()), |value| element.check(value))?;
        Ok(Array { element, items: List::new(vec![value])? })
    }

    /// Calls a method.
    pub fn call(&mut self, method: &str, mut given: Arguments, room: Option<usize>) -> Result<Outcome> {
        let arguments = match method {
            "get" | "len" | "slice" | "copy" | "index" | "count" => given.rest(),
            "set" | "swap" | "increment" => {
                let mut arguments = vec![given.need()?];
                let rest = given.rest();
                if method == "increment" {
                    let by = rest.into_iter().next().unwrap_or(Value::Integer(1));
                    let now = self.items.call("get", Arguments::new(arguments.clone()), room)?;
                    if let Outcome::Done(now) = now {
                        self.element.check(now.plus(&by)?)?;
                    }
                    arguments.push(by);
                } else {
                    for value in rest {
                        arguments.push(self.element.check(value)?);
                    }
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
            "get" | "set" | "increment" | "swap" => {
                self.call(method, Arguments::new([vec![Value::Integer(0)], given.rest()].concat()), room)
            }
            _ => Err(no_method()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value;
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
    fn the_vocabulary() {
        value::set_limits(1 << 20, 1 << 20);
        let mut list = List::default();
        let mut call =
            |method: &str, arguments: &[Value]| done(list.call(method, Arguments::new(arguments.to_vec()), None));
        let int = Value::Integer;
        call("extend", &[ints(&[3, 1, 2])]).unwrap();
        call("append", &[int(1)]).unwrap();
        call("insert", &[int(-1), int(9)]).unwrap();
        assert_eq!(call("copy", &[]), Ok(ints(&[3, 1, 2, 9, 1])));
        assert_eq!(call("get", &[int(-1)]), Ok(int(1)));
        assert_eq!(call("get", &[int(5)]), Err(OUTSIDE));
        assert_eq!(call("index", &[int(1)]), Ok(int(1)));
        assert_eq!(call("index", &[int(1), int(2)]), Ok(int(4)));
        assert_eq!(call("count", &[int(1)]), Ok(int(2)));
        assert_eq!(call("slice", &[int(1), int(-1)]), Ok(ints(&[1, 2, 9])));
        assert_eq!(call("slice", &[int(4), int(1)]), Ok(ints(&[])));
        call("sort", &[]).unwrap();
        assert_eq!(call("copy", &[]), Ok(ints(&[1, 1, 2, 3, 9])));
        call("sort", &[int(1)]).unwrap();
        call("remove", &[int(2)]).unwrap();
        assert_eq!(call("pop", &[]), Ok(int(1)));
        assert_eq!(call("pop", &[int(0)]), Ok(int(9)));
        call("set_slice", &[int(0), int(1), ints(&[7, 8])]).unwrap();
        call("reverse", &[]).unwrap();
        assert_eq!(call("copy", &[]), Ok(ints(&[1, 8, 7])));
        assert_eq!(call("increment", &[int(0), int(4)]), Ok(int(5)));
        assert_eq!(call("swap", &[int(0), int(6), int(4)]), Ok(Value::Bool(false)));
        assert_eq!(call("swap", &[int(0), int(6), int(5)]), Ok(Value::Bool(true)));
        call("append", &[Value::Nil]).unwrap();
        assert!(call("sort", &[]).is_err());
        assert_eq!(call("len", &[]), Ok(int(4)));
        drop(list);
        assert_eq!(value::bytes(), 0);
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
}
