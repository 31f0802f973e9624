//! Lists.
#![forbid(unsafe_code)]

use super::dict::BATCH;
use super::value::{self, ARGUMENT, Arguments, Stored, Value};
use super::{Outcome, Room, fit, no_method};
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

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Puts others in the place of as many.
    pub fn replace(&mut self, range: std::ops::Range<usize>, values: Vec<Value>) -> Result<()> {
        let values = Stored::all(values)?;
        self.items.splice(range, values);
        Ok(())
    }

    pub(super) fn range(&self, given: &mut Arguments) -> Result<std::ops::Range<usize>> {
        let start = self.cut(given.optional_integer()?, 0);
        let stop = self.cut(given.optional_integer()?, self.items.len());
        Ok(start..stop.max(start))
    }

    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &Value> + Clone {
        self.items.iter().map(Stored::value)
    }

    /// Its items so many times, one behind the other.
    fn repeat(&mut self, count: i64) -> Result<()> {
        if count <= 0 {
            self.items.clear();
        }
        let weight: usize = self.values().map(Value::weight).sum();
        let more = usize::try_from(count - 1).unwrap_or(0);
        value::check_room(weight.saturating_mul(more))?;
        let copies = self.values().cycle().take(self.items.len() * more).cloned().collect();
        self.items.extend(Stored::all(copies)?);
        Ok(())
    }

    /// `[cursor, [items]]`: those behind the cursor, or, backwards, before it; the list is empty at the end. 0 is the beginning of
    /// either; backwards a cursor is one more than there are items left.
    fn batch(&self, cursor: i64, most: i64, backwards: bool, room: Option<usize>) -> Result<Value> {
        let (len, most) = (self.items.len(), most.clamp(1, BATCH) as usize);
        let at = usize::try_from(cursor).map_err(|_| Error::invalid("a cursor is not negative"))?;
        let (mut room, mut items) = (Room::of_walk(room), Vec::new());
        let left = if at == 0 { len } else { (at - 1).min(len) };
        for index in 0..most {
            let place = if backwards { left.checked_sub(index + 1) } else { at.checked_add(index) };
            let Some(item) = place.and_then(|place| self.items.get(place)) else { break };
            if !room.takes(ARGUMENT + item.value().room())? {
                break;
            }
            items.push(item.value().clone());
        }
        let next = if backwards { 1 + left - items.len() } else { at.saturating_add(items.len()) };
        Ok(Value::List(vec![Value::Integer(next as i64), Value::List(items)]))
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
            _ => self.call_whole(method, given, room)?,
        };
        Ok(Outcome::Done(value))
    }

    /// Those that concern more than one item.
    fn call_whole(&mut self, method: &str, mut given: Arguments, room: Option<usize>) -> Result<Value> {
        Ok(match method {
            "repeat" => {
                self.repeat(given.integer()?)?;
                Value::Nil
            }
            "batch" => {
                let (cursor, most) = (given.integer()?, given.optional_integer()?.unwrap_or(BATCH));
                self.batch(cursor, most, given.optional_integer()?.unwrap_or(0) != 0, room)?
            }
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
        call("repeat", &[int(2)]).unwrap();
        assert_eq!(call("copy", &[]), Ok(ints(&[6, 8, 7, 6, 8, 7])));
        assert!(matches!(call("repeat", &[int(i64::MAX)]), Err(Error::NoMemory(_))));
        call("repeat", &[int(1)]).unwrap();
        call("set_slice", &[int(3), int(6), ints(&[])]).unwrap();
        call("append", &[Value::Nil]).unwrap();
        assert!(call("sort", &[]).is_err());
        assert_eq!(call("len", &[]), Ok(int(4)));
        call("repeat", &[int(-1)]).unwrap();
        call("repeat", &[int(i64::MAX)]).unwrap();
        assert_eq!(call("len", &[]), Ok(int(0)));
        drop(list);
        assert_eq!(value::bytes(), 0);
    }

    /// Both ways, in batches of any length, while others take away and add at the end.
    #[test]
    fn a_walk_meets_all_that_stays() {
        value::set_limits(1 << 20, 1 << 20);
        let int = Value::Integer;
        for (backwards, most) in [(0, 1), (0, 3), (0, 100), (1, 1), (1, 3), (1, 100)] {
            let mut list = List::new((0..50).map(int).collect()).unwrap();
            let (mut cursor, mut met) = (0, Vec::new());
            loop {
                let given = Arguments::new(vec![int(cursor), int(most), int(backwards)]);
                let batch = done(list.call("batch", given, None)).unwrap();
                let Value::List(parts) = batch else { unreachable!() };
                let (Value::Integer(next), Value::List(items)) = (&parts[0], &parts[1]) else { unreachable!() };
                if items.is_empty() {
                    assert_eq!(*next, if backwards == 1 { 1 } else { list.len() as i64 });
                    break;
                }
                cursor = *next;
                met.extend(items.iter().map(|item| item.integer().unwrap()));
                let length = list.len();
                if met.len() < 10 {
                    let change = if backwards == 1 { "append" } else { "pop" };
                    let given = if backwards == 1 { vec![int(-1)] } else { vec![] };
                    done(list.call(change, Arguments::new(given), None)).unwrap();
                    assert_ne!(list.len(), length);
                }
            }
            let mut wanted: Vec<_> = (0..50).collect();
            if backwards == 1 {
                wanted.reverse();
            } else {
                wanted.truncate(list.len());
            }
            assert_eq!(met, wanted);
        }
        let mut list = List::new(vec![Value::Bytes(vec![1; 100]); 3]).unwrap();
        let mut batch = |room| done(list.call("batch", Arguments::new(vec![int(0), int(9)]), Some(room)));
        assert!(matches!(batch(4 * ARGUMENT + 159), Err(Error::MessageSize { needed: 160, .. })));
        let two = Value::List(vec![int(2), Value::List(vec![Value::Bytes(vec![1; 100]); 2])]);
        assert_eq!(batch(4 * ARGUMENT + 330), Ok(two));
    }
}
