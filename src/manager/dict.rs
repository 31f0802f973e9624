//! Dicts, namespaces and sets: keys in the order in which they came.
#![forbid(unsafe_code)]

use super::value::{Arguments, Key, Scalar, Stored, Value};
use super::{Outcome, Room, fit, no_method};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

const MISSING: Error = Error::NotFound("there is no such key");
/// A walk in batches gives at most so many at once.
pub(super) const BATCH: i64 = 4096;

/// What stands under a key.
struct Slot {
    /// Its place in the order.
    place: u64,
    /// Raised with every change of the dict; that of this key's last one.
    version: u64,
    value: Stored,
}

/// What stood under a key before a batch, and that key's version.
struct Before {
    slot: Option<Slot>,
    version: u64,
}

/// A dict.
#[derive(Default)]
pub struct Dict {
    slots: HashMap<Rc<Key>, Slot>,
    order: BTreeMap<u64, Rc<Key>>,
    next: u64,
    version: u64,
    /// A key that somebody looks for, for its memory.
    sought: Key,
    /// When a key was taken out last: the version that those have that are not there.
    taken_out: HashMap<Key, u64>,
}

/// More keys than these are not remembered after they were taken out.
const REMEMBERED: usize = 1024;

impl Dict {
    /// A dict of pairs.
    pub fn new(pairs: Vec<(Value, Value)>) -> Result<Dict> {
        let mut dict = Dict::default();
        dict.update(pairs)?;
        Ok(dict)
    }

    fn get(&self, key: &Key) -> Option<&Value> {
        self.slots.get(key).map(|slot| slot.value.value())
    }

    /// What stands under a scalar.
    pub fn get_scalar(&mut self, key: Scalar<'_>) -> Option<&Value> {
        self.sought.become_scalar(key);
        self.slots.get(&self.sought).map(|slot| slot.value.value())
    }

    /// Sets what stands under a scalar; false: nothing does yet, or there is no room.
    pub fn set_scalar(&mut self, key: Scalar<'_>, value: Scalar<'_>) -> bool {
        self.sought.become_scalar(key);
        let Some(slot) = self.slots.get_mut(&self.sought) else { return false };
        let Ok(stored) = Stored::new(value.into()) else { return false };
        self.version += 1;
        (slot.value, slot.version) = (stored, self.version);
        true
    }

    fn insert(&mut self, key: Key, value: Stored) {
        self.version += 1;
        let version = self.version;
        if let Some(slot) = self.slots.get_mut(&key) {
            (slot.value, slot.version) = (value, version);
            return;
        }
        self.taken_out.remove(&key);
        let (key, place) = (Rc::new(key), self.next);
        self.next += 1;
        self.order.insert(place, key.clone());
        self.slots.insert(key, Slot { place, version, value });
    }

    fn remove(&mut self, key: &Key) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.order.remove(&slot.place);
        self.version += 1;
        if self.taken_out.len() >= REMEMBERED {
            self.taken_out.clear();
        }
        self.taken_out.insert(key.clone(), self.version);
        Some(slot)
    }

    /// Puts back what [`Dict::remove`] or [`Dict::insert`] changed.
    fn restore(&mut self, key: Key, Before { slot, version }: Before) {
        if let Some(now) = self.slots.remove(&key) {
            self.order.remove(&now.place);
        }
        self.taken_out.remove(&key);
        let Some(slot) = slot else {
            // Nothing has changed for those who wait for a change.
            if version > 0 {
                self.taken_out.insert(key, version);
            }
            return;
        };
        let key = Rc::new(key);
        self.order.insert(slot.place, key.clone());
        self.slots.insert(key, slot);
    }

    fn update(&mut self, pairs: Vec<(Value, Value)>) -> Result<()> {
        let pairs = pairs.into_iter().map(|(key, value)| Ok((Key::of(key)?, Stored::new(value)?)));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        pairs.into_iter().for_each(|(key, value)| self.insert(key, value));
        Ok(())
    }

    fn in_order(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.order.values().filter_map(|key| Some((&**key, self.get(key)?)))
    }

    fn keys(&self) -> Value {
        Value::List(self.order.values().map(|key| key.value()).collect())
    }

    fn copy(&self) -> Value {
        Value::Map(self.in_order().map(|(key, value)| (key.value(), value.clone())).collect())
    }

    /// `[cursor, {pairs}]`: those behind the cursor; the list is empty at the end. What is added or taken out meanwhile is
    /// met or not, all else once.
    fn batch(&self, cursor: i64, most: i64, room: Option<usize>) -> Result<Value> {
        let (mut room, mut next, mut pairs) = (Room::of_walk(room), cursor, Vec::new());
        for (place, key) in self.order.range(cursor.max(0) as u64..).take(most.clamp(1, BATCH) as usize) {
            let Some(value) = self.get(key) else { continue };
            let pair = Value::Map(vec![(key.value(), value.clone())]);
            if !room.takes(pair.room())? {
                break;
            }
            next = *place as i64 + 1;
            if let Value::Map(pair) = pair {
                pairs.extend(pair);
            }
        }
        Ok(Value::List(vec![Value::Integer(next), Value::Map(pairs)]))
    }

    fn increment(&mut self, key: Key, by: Value) -> Result<Value> {
        let sum = self.get(&key).unwrap_or(&Value::Integer(0)).plus(&by)?;
        self.insert(key, Stored::new(sum.clone())?);
        Ok(sum)
    }

    fn version_of(&self, key: &Key) -> u64 {
        self.slots.get(key).map(|slot| slot.version).or_else(|| self.taken_out.get(key).copied()).unwrap_or(0)
    }

    /// Several calls, of which all happen or none does.
    fn apply(&mut self, calls: Vec<Value>) -> Result<Value> {
        let mut undo = HashMap::new();
        let mut results = Vec::new();
        for call in calls {
            match self.step(call, &mut undo) {
                Ok(result) => results.push(result),
                Err(error) => {
                    undo.into_iter().for_each(|(key, before)| self.restore(key, before));
                    return Err(error);
                }
            }
        }
        Ok(Value::List(results))
    }

    /// One call of a batch, and what was there before the first that changes its key.
    fn step(&mut self, call: Value, undo: &mut HashMap<Key, Before>) -> Result<Value> {
        let Value::List(call) = call else { return Err(Error::invalid("a batch is a list of lists")) };
        let mut call = Arguments::new(call);
        let (method, key) = (call.text()?, call.need()?);
        if !matches!(&*method, "get" | "contains" | "set" | "setdefault" | "pop" | "delete" | "increment" | "swap") {
            return Err(Error::invalid(
                "a batch is of get, contains, set, setdefault, pop, delete, increment and swap",
            ));
        }
        let name = Key::of(key.clone())?;
        let copy = |slot: &Slot| Ok(Slot { place: slot.place, version: slot.version, value: slot.value.copy()? });
        if !matches!(&*method, "get" | "contains") && !undo.contains_key(&name) {
            let (slot, version) = (self.slots.get(&name).map(copy).transpose()?, self.version_of(&name));
            undo.insert(name, Before { slot, version });
        }
        let mut arguments = vec![key];
        arguments.extend(std::iter::from_fn(|| call.optional()));
        match self.call(&method, Arguments::new(arguments), None)? {
            Outcome::Done(value) => Ok(value),
            Outcome::Wait => Err(Error::invalid("a batch does not wait")),
        }
    }

    /// Calls a method.
    pub fn call(&mut self, method: &str, given: Arguments, room: Option<usize>) -> Result<Outcome> {
        let value = match method {
            "wait" => return self.wait(given),
            "get" | "contains" => self.look(method, given)?,
            "set" | "setdefault" | "increment" | "swap" => self.put(method, given, room)?,
            "delete" | "pop" | "popitem" => self.take(method, given, room)?,
            _ => self.call_whole(method, given, room)?,
        };
        Ok(Outcome::Done(value))
    }

    /// Done when the key has another version than the caller has seen.
    fn wait(&self, mut given: Arguments) -> Result<Outcome> {
        let (key, seen) = (given.key()?, given.integer()?);
        given.end()?;
        let version = self.version_of(&key);
        if version as i64 == seen {
            return Ok(Outcome::Wait);
        }
        let value = self.get(&key);
        let is_there = Value::Bool(value.is_some());
        let value = value.cloned().unwrap_or(Value::Nil);
        Ok(Outcome::Done(Value::List(vec![Value::Integer(version as i64), is_there, value])))
    }

    /// Methods that change nothing.
    fn look(&self, method: &str, mut given: Arguments) -> Result<Value> {
        let (key, default) = (given.key()?, if method == "get" { given.optional() } else { None });
        given.end()?;
        let found = self.get(&key);
        match method {
            "get" => found.cloned().or(default).ok_or(MISSING),
            _ => Ok(Value::Bool(found.is_some())),
        }
    }

    /// Methods after which the key is there.
    fn put(&mut self, method: &str, mut given: Arguments, room: Option<usize>) -> Result<Value> {
        let (key, value) = (given.key()?, given.optional());
        let expected = if method == "swap" { given.optional() } else { None };
        given.end()?;
        let needed = || Error::invalid("the method needs more arguments");
        match method {
            "increment" => return self.increment(key, value.unwrap_or(Value::Integer(1))),
            // Without an expected value: if there is none.
            "swap" => {
                let (new, same) = (value.ok_or_else(needed)?, self.get(&key) == expected.as_ref());
                if same {
                    self.insert(key, Stored::new(new)?);
                }
                return Ok(Value::Bool(same));
            }
            "setdefault" => {
                if let Some(found) = self.get(&key) {
                    return Ok(found.clone());
                }
                let value = value.ok_or_else(needed)?;
                fit(&value, room)?;
                self.insert(key, Stored::new(value.clone())?);
                return Ok(value);
            }
            _ => self.insert(key, Stored::new(value.ok_or_else(needed)?)?),
        }
        Ok(Value::Nil)
    }

    /// Methods after which the key is not there. What does not fit stays.
    fn take(&mut self, method: &str, mut given: Arguments, room: Option<usize>) -> Result<Value> {
        if method == "popitem" {
            given.end()?;
            let (_, key) = self.order.last_key_value().ok_or(Error::NotFound("the dict is empty"))?;
            let key = key.clone();
            let pair = Value::List(vec![key.value(), self.get(&key).cloned().unwrap_or(Value::Nil)]);
            fit(&pair, room)?;
            self.remove(&key);
            return Ok(pair);
        }
        let (key, default) = (given.key()?, if method == "pop" { given.optional() } else { None });
        given.end()?;
        if method == "delete" {
            return self.remove(&key).map(|_| Value::Nil).ok_or(MISSING);
        }
        let value = self.get(&key).cloned().or(default).ok_or(MISSING)?;
        fit(&value, room)?;
        self.remove(&key);
        Ok(value)
    }

    /// Those that concern more than one key.
    fn call_whole(&mut self, method: &str, mut given: Arguments, room: Option<usize>) -> Result<Value> {
        Ok(match method {
            "update" => {
                self.update(given.map()?)?;
                Value::Nil
            }
            "apply" => self.apply(given.list()?)?,
            "batch" => self.batch(given.integer()?, given.optional_integer()?.unwrap_or(BATCH), room)?,
            "len" => Value::Integer(self.slots.len() as i64),
            "keys" => self.keys(),
            "values" => Value::List(self.in_order().map(|(_, value)| value.clone()).collect()),
            "items" | "copy" => self.copy(),
            "clear" => {
                for key in self.order.values().cloned().collect::<Vec<_>>() {
                    self.remove(&key);
                }
                Value::Nil
            }
            _ => return Err(no_method()),
        })
    }

    /// The same as a namespace: names are strings.
    pub fn call_namespace(&mut self, method: &str, given: Arguments, room: Option<usize>) -> Result<Outcome> {
        let given = given.rest();
        match method {
            "set" | "get" | "delete" | "contains" if !matches!(given.first(), Some(Value::String(_))) => {
                Err(Error::invalid("a name is a string"))
            }
            "set" | "get" | "delete" | "contains" => self.call(method, Arguments::new(given), room),
            "list" => self.call("copy", Arguments::new(given), room),
            _ => Err(no_method()),
        }
    }

    /// The same as a set: its items are the keys.
    pub fn call_set(&mut self, method: &str, mut given: Arguments, room: Option<usize>) -> Result<Outcome> {
        let value = match method {
            "add" => {
                let key = given.key()?;
                let new = !self.slots.contains_key(&key);
                if new {
                    self.insert(key, Stored::new(Value::Nil)?);
                }
                Value::Bool(new)
            }
            "discard" => Value::Bool(self.remove(&given.key()?).is_some()),
            "remove" => return self.call("delete", given, room),
            "contains" | "len" | "clear" => return self.call(method, given, room),
            "update" => {
                self.update(given.list()?.into_iter().map(|item| (item, Value::Nil)).collect())?;
                Value::Nil
            }
            "pop" => {
                let (_, key) = self.order.first_key_value().ok_or(Error::NotFound("the set is empty"))?;
                let (key, value) = (key.clone(), key.value());
                fit(&value, room)?;
                self.remove(&key);
                value
            }
            "list" | "copy" => self.keys(),
            _ => return Err(no_method()),
        };
        Ok(Outcome::Done(value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::*;

    fn call(dict: &mut Dict, method: &str, arguments: Vec<Value>) -> Result<Value> {
        value::set_limits(1 << 20, 1 << 20);
        match dict.call(method, Arguments::new(arguments), None)? {
            Outcome::Done(value) => Ok(value),
            Outcome::Wait => Err(Error::TimedOut),
        }
    }

    fn int(number: i64) -> Value {
        Value::Integer(number)
    }

    #[test]
    fn the_vocabulary() {
        let mut dict = Dict::default();
        assert_eq!(call(&mut dict, "get", vec![int(1)]), Err(MISSING));
        assert_eq!(call(&mut dict, "get", vec![int(1), int(9)]), Ok(int(9)));
        call(&mut dict, "set", vec![Value::text("b"), int(2)]).unwrap();
        call(&mut dict, "update", vec![Value::Map(vec![(Value::text("a"), int(1)), (Value::text("b"), int(3))])])
            .unwrap();
        assert_eq!(call(&mut dict, "keys", vec![]), Ok(Value::List(vec![Value::text("b"), Value::text("a")])));
        assert_eq!(call(&mut dict, "values", vec![]), Ok(Value::List(vec![int(3), int(1)])));
        assert_eq!(call(&mut dict, "setdefault", vec![Value::text("a"), int(7)]), Ok(int(1)));
        assert_eq!(call(&mut dict, "increment", vec![Value::text("a"), int(7)]), Ok(int(8)));
        assert_eq!(call(&mut dict, "increment", vec![Value::text("n")]), Ok(int(1)));
        assert_eq!(call(&mut dict, "swap", vec![Value::text("n"), int(5), int(2)]), Ok(Value::Bool(false)));
        assert_eq!(call(&mut dict, "swap", vec![Value::text("n"), int(5), int(1)]), Ok(Value::Bool(true)));
        assert_eq!(call(&mut dict, "swap", vec![Value::text("m"), int(5)]), Ok(Value::Bool(true)));
        assert_eq!(call(&mut dict, "swap", vec![Value::text("m"), int(6)]), Ok(Value::Bool(false)));
        assert_eq!(call(&mut dict, "popitem", vec![]), Ok(Value::List(vec![Value::text("m"), int(5)])));
        assert_eq!(call(&mut dict, "pop", vec![Value::text("n")]), Ok(int(5)));
        assert_eq!(call(&mut dict, "len", vec![]), Ok(int(2)));
        assert!(call(&mut dict, "set", vec![Value::List(vec![]), int(1)]).is_err());
        assert!(call(&mut dict, "set", vec![int(1), int(1), int(1)]).is_err());
        assert!(call(&mut dict, "__class__", vec![]).is_err());
        call(&mut dict, "clear", vec![]).unwrap();
        drop(dict);
        assert_eq!(value::bytes(), 0);
    }

    #[test]
    fn a_batch_happens_or_does_not() {
        value::set_limits(1 << 20, 1 << 20);
        let mut dict = Dict::new(vec![(int(1), int(10)), (int(2), int(20)), (int(3), int(30))]).unwrap();
        let step = |method: &str, rest: Vec<Value>| Value::List([vec![Value::text(method)], rest].concat());
        let bad = vec![
            step("set", vec![int(1), int(11)]),
            step("delete", vec![int(2)]),
            step("set", vec![int(9), int(90)]),
            step("increment", vec![int(1), int(5)]),
            step("delete", vec![int(77)]),
        ];
        let before = dict.copy();
        assert_eq!(call(&mut dict, "apply", vec![Value::List(bad.clone())]), Err(MISSING));
        assert_eq!(dict.copy(), before);
        let results = call(&mut dict, "apply", vec![Value::List(bad[..4].to_vec())]).unwrap();
        assert_eq!(results, Value::List(vec![Value::Nil, Value::Nil, Value::Nil, int(16)]));
        assert!(!dict.slots.contains_key(&Key::Integer(2)));
        assert!(call(&mut dict, "apply", vec![Value::List(vec![step("wait", vec![int(1), int(0)])])]).is_err());
        // Whoever waits for a change of what it would have changed waits on, and what was there is whose it was.
        value::set_limits(1 << 20, 10_000);
        value::charge(1);
        call(&mut dict, "set", vec![int(4), Value::Bytes(vec![0; 9_000])]).unwrap();
        call(&mut dict, "set", vec![int(5), int(5)]).unwrap();
        call(&mut dict, "delete", vec![int(5)]).unwrap();
        let versions = [4, 5].map(|key| dict.version_of(&Key::Integer(key)));
        let bytes = value::bytes_of(1);
        value::charge(2);
        let bad = [("set", 4), ("set", 5), ("delete", 5), ("set", 5), ("delete", 4), ("delete", 4)];
        let bad = bad.map(|(method, key)| match method {
            "set" => step(method, vec![int(key), Value::Bytes(vec![0; 100])]),
            _ => step(method, vec![int(key)]),
        });
        assert_eq!(call(&mut dict, "apply", vec![Value::List(bad.to_vec())]), Err(MISSING));
        assert_eq!(versions, [4, 5].map(|key| dict.version_of(&Key::Integer(key))));
        assert_eq!((value::bytes_of(1), value::bytes_of(2)), (bytes, 0));
    }

    #[test]
    fn a_walk_meets_all_that_stays() {
        let mut dict = Dict::default();
        value::set_limits(1 << 20, 1 << 20);
        for key in 0..100 {
            call(&mut dict, "set", vec![int(key), int(key)]).unwrap();
        }
        let (mut cursor, mut met) = (0, Vec::new());
        loop {
            let batch = call(&mut dict, "batch", vec![int(cursor), int(7)]).unwrap();
            let Value::List(parts) = batch else { unreachable!() };
            let (Value::Integer(next), Value::Map(pairs)) = (&parts[0], &parts[1]) else { unreachable!() };
            if pairs.is_empty() {
                break;
            }
            cursor = *next;
            met.extend(pairs.iter().map(|(key, _)| key.integer().unwrap()));
            call(&mut dict, "pop", vec![int(met[0]), Value::Nil]).unwrap();
            call(&mut dict, "set", vec![int(50), int(1)]).unwrap();
        }
        assert_eq!(met, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_change_is_waited_for() {
        let mut dict = Dict::default();
        assert_eq!(call(&mut dict, "wait", vec![int(1), int(0)]), Err(Error::TimedOut));
        call(&mut dict, "set", vec![int(1), int(5)]).unwrap();
        let seen = call(&mut dict, "wait", vec![int(1), int(0)]).unwrap();
        assert_eq!(seen, Value::List(vec![int(1), Value::Bool(true), int(5)]));
        call(&mut dict, "set", vec![int(2), int(5)]).unwrap();
        assert_eq!(call(&mut dict, "wait", vec![int(1), int(1)]), Err(Error::TimedOut));
        call(&mut dict, "delete", vec![int(1)]).unwrap();
        let seen = call(&mut dict, "wait", vec![int(1), int(1)]).unwrap();
        assert_eq!(seen, Value::List(vec![int(3), Value::Bool(false), Value::Nil]));
    }
}
