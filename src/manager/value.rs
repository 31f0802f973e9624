//! Values as a server holds them: what the C side passes as arguments, owned.
//!
//! What is stored is counted: [`Stored`] adds its weight to the server's ledger and notes which objects it names, and takes both
//! back when it is dropped. So neither memory nor references can be miscounted by whoever changes a container.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;

/// Bytes that C's `carom_argument` has.
pub const ARGUMENT: usize = 48;
/// Payloads lie at multiples of this in the memory of the caller.
pub const ALIGNMENT: usize = 16;

/// An object of a manager, as values name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// Its number, never used again.
    pub object: u64,
    /// Its type, see [`super::kind`].
    pub kind: u8,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Plain bytes.
    Bytes(Vec<u8>),
    /// Text, whatever its encoding.
    String(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Pairs in order.
    Map(Vec<(Value, Value)>),
    /// Another object of the same manager.
    Proxy(Proxy),
}

impl Value {
    /// What it costs to keep it, about.
    pub fn weight(&self) -> usize {
        ARGUMENT
            + match self {
                Value::Bytes(bytes) | Value::String(bytes) => bytes.len(),
                Value::List(items) => items.iter().map(Value::weight).sum(),
                Value::Map(pairs) => pairs.iter().map(|(key, value)| key.weight() + value.weight()).sum(),
                _ => 0,
            }
    }

    /// Its weight without what every value costs.
    pub fn payload(&self) -> usize {
        self.weight() - ARGUMENT
    }

    /// Bytes that it takes in the memory of a caller in C, besides the argument that names it.
    pub fn room(&self) -> usize {
        match self {
            Value::Bytes(bytes) | Value::String(bytes) => bytes.len().next_multiple_of(ALIGNMENT),
            Value::List(items) => items.iter().map(|item| ARGUMENT + item.room()).sum(),
            Value::Map(pairs) => pairs.iter().map(|(key, value)| 2 * ARGUMENT + key.room() + value.room()).sum(),
            _ => 0,
        }
    }

    /// How many items or pairs it has.
    pub fn parts(&self) -> usize {
        match self {
            Value::List(items) => items.len(),
            Value::Map(pairs) => pairs.len(),
            _ => 0,
        }
    }

    /// Calls `visit` for every object that it names.
    pub fn each_proxy(&self, visit: &mut impl FnMut(Proxy)) {
        match self {
            Value::Proxy(proxy) => visit(*proxy),
            Value::List(items) => items.iter().for_each(|item| item.each_proxy(visit)),
            Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                key.each_proxy(visit);
                value.each_proxy(visit);
            }),
            _ => {}
        }
    }

    /// A text.
    pub fn text(text: &str) -> Value {
        Value::String(text.as_bytes().to_vec())
    }

    /// The number that it is.
    pub fn integer(&self) -> Result<i64> {
        match self {
            Value::Integer(number) => Ok(*number),
            Value::Bool(bool) => Ok(*bool as i64),
            _ => Err(Error::invalid("a whole number is needed here")),
        }
    }

    /// The sum of two numbers; whole ones do not overflow.
    pub fn plus(&self, other: &Value) -> Result<Value> {
        match (self, other) {
            (Value::Integer(one), Value::Integer(two)) => {
                let sum = one.checked_add(*two).ok_or_else(|| Error::invalid("the sum is too large for 64 bits"))?;
                Ok(Value::Integer(sum))
            }
            (Value::Integer(one), Value::Real(two)) => Ok(Value::Real(*one as f64 + two)),
            (Value::Real(one), Value::Integer(two)) => Ok(Value::Real(one + *two as f64)),
            (Value::Real(one), Value::Real(two)) => Ok(Value::Real(one + two)),
            _ => Err(Error::invalid("only numbers can be added")),
        }
    }
}

/// A value that names no others, wherever it lies: in a message, in the memory of a caller, in an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// See [`Value`].
    Nil,
    /// See [`Value`].
    Bool(bool),
    /// See [`Value`].
    Integer(i64),
    /// See [`Value`].
    Real(f64),
    /// See [`Value`].
    Bytes(&'a [u8]),
    /// See [`Value`].
    String(&'a [u8]),
}

impl Scalar<'_> {
    fn bytes(&self) -> usize {
        if let Scalar::Bytes(bytes) | Scalar::String(bytes) = self { bytes.len() } else { 0 }
    }

    /// See [`Value::weight`].
    pub fn weight(&self) -> usize {
        ARGUMENT + self.bytes()
    }

    /// See [`Value::room`].
    pub fn room(&self) -> usize {
        self.bytes().next_multiple_of(ALIGNMENT)
    }
}

impl From<Scalar<'_>> for Value {
    fn from(scalar: Scalar<'_>) -> Value {
        match scalar {
            Scalar::Nil => Value::Nil,
            Scalar::Bool(bool) => Value::Bool(bool),
            Scalar::Integer(number) => Value::Integer(number),
            Scalar::Real(number) => Value::Real(number),
            Scalar::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
            Scalar::String(bytes) => Value::String(bytes.to_vec()),
        }
    }
}

impl Value {
    /// The scalar that it is.
    #[inline]
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Value::Nil => Scalar::Nil,
            Value::Bool(bool) => Scalar::Bool(*bool),
            Value::Integer(number) => Scalar::Integer(*number),
            Value::Real(number) => Scalar::Real(*number),
            Value::Bytes(bytes) => Scalar::Bytes(bytes),
            Value::String(bytes) => Scalar::String(bytes),
            Value::List(_) | Value::Map(_) | Value::Proxy(_) => return None,
        })
    }
}

/// A key of a dict: any scalar. Numbers of different kinds are different keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Key {
    /// Nothing.
    #[default]
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// The bits of a floating-point number; there is one zero.
    Real(u64),
    /// Plain bytes.
    Bytes(Vec<u8>),
    /// Text.
    String(Vec<u8>),
}

impl Key {
    /// The key that a value is.
    pub fn of(value: Value) -> Result<Key> {
        Ok(match value {
            Value::Nil => Key::Nil,
            Value::Bool(bool) => Key::Bool(bool),
            Value::Integer(number) => Key::Integer(number),
            Value::Real(number) => Key::Real(if number == 0.0 { 0 } else { number.to_bits() }),
            Value::Bytes(bytes) => Key::Bytes(bytes),
            Value::String(bytes) => Key::String(bytes),
            _ => return Err(Error::invalid("a key is nil, a bool, a number, bytes or a string")),
        })
    }

    /// Becomes the key that a scalar is, in the memory that it has.
    pub fn become_scalar(&mut self, scalar: Scalar<'_>) {
        *self = match (std::mem::replace(self, Key::Nil), scalar) {
            (Key::Bytes(mut bytes), Scalar::Bytes(given)) => {
                bytes.clear();
                bytes.extend_from_slice(given);
                Key::Bytes(bytes)
            }
            (Key::String(mut bytes), Scalar::String(given)) => {
                bytes.clear();
                bytes.extend_from_slice(given);
                Key::String(bytes)
            }
            (_, scalar) => Key::of(scalar.into()).unwrap_or(Key::Nil),
        };
    }

    /// The value that a key is.
    pub fn value(&self) -> Value {
        match self {
            Key::Nil => Value::Nil,
            Key::Bool(bool) => Value::Bool(*bool),
            Key::Integer(number) => Value::Integer(*number),
            Key::Real(bits) => Value::Real(f64::from_bits(*bits)),
            Key::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Key::String(bytes) => Value::String(bytes.clone()),
        }
    }
}

/// What a server's objects hold.
#[derive(Default)]
struct Ledger {
    bytes: usize,
    limit: usize,
    client_limit: usize,
    /// Whose request is being carried out.
    client: u64,
    /// What each client has brought, where there is a limit for that.
    clients: HashMap<u64, usize>,
    /// How often each object is named by a stored value.
    named: HashMap<u64, u64>,
    /// Objects that a stored value has ceased to name.
    let_go: Vec<u64>,
    /// What is stored now is bytes or an object.
    only_bytes: bool,
}

thread_local! {
    /// A server is one thread.
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

/// Most bytes that values may take, and those that one client has brought.
pub fn set_limits(bytes: usize, of_client: usize) {
    LEDGER.with_borrow_mut(|ledger| (ledger.limit, ledger.client_limit) = (bytes, of_client));
}

/// What is stored from now on is this client's.
pub fn charge(client: u64) {
    LEDGER.with_borrow_mut(|ledger| ledger.client = client);
}

/// Whose that is.
pub fn payer() -> u64 {
    LEDGER.with_borrow(|ledger| ledger.client)
}

/// Whether what is stored from now on must be bytes or an object: programs that encode their values themselves.
pub fn demand_bytes(only_bytes: bool) {
    LEDGER.with_borrow_mut(|ledger| ledger.only_bytes = only_bytes);
}

/// Bytes that a client has brought, where there is a limit for that.
pub fn bytes_of(client: u64) -> usize {
    LEDGER.with_borrow(|ledger| ledger.clients.get(&client).copied().unwrap_or(0))
}

const FULL: Error = Error::NoMemory("the manager's objects hold as much as they may");

impl Ledger {
    /// Whether each client is counted for itself.
    fn tells_clients(&self) -> bool {
        self.client_limit < self.limit
    }

    fn take(&mut self, weight: usize) -> Result<u64> {
        if self.bytes.saturating_add(weight) > self.limit {
            return Err(FULL);
        }
        let of_client = self.clients.get(&self.client).copied().unwrap_or(0);
        if self.tells_clients() && of_client.saturating_add(weight) > self.client_limit {
            return Err(Error::NoMemory("this client's values in the manager take as much as they may"));
        }
        self.add(self.client, weight);
        Ok(self.client)
    }

    fn add(&mut self, client: u64, weight: usize) {
        if self.tells_clients() {
            *self.clients.entry(client).or_default() += weight;
        }
        self.bytes += weight;
    }

    /// The objects that a stored value names.
    fn name(&mut self, value: &Value) {
        value.each_proxy(&mut |proxy| *self.named.entry(proxy.object).or_default() += 1);
    }

    fn give_back(&mut self, client: u64, weight: usize) {
        self.bytes -= weight;
        if let Some(bytes) = self.clients.get_mut(&client) {
            *bytes -= weight;
            if *bytes == 0 {
                self.clients.remove(&client);
            }
        }
    }
}

/// Whether so much more may be stored: for what is large before it is made.
pub fn check_room(weight: usize) -> Result<()> {
    LEDGER.with_borrow(|ledger| match ledger.bytes.saturating_add(weight) > ledger.limit {
        true => Err(FULL),
        false => Ok(()),
    })
}

/// Bytes that values take now.
pub fn bytes() -> usize {
    LEDGER.with_borrow(|ledger| ledger.bytes)
}

/// Whether a stored value names the object.
pub fn is_named(object: u64) -> bool {
    LEDGER.with_borrow(|ledger| ledger.named.contains_key(&object))
}

/// Objects that stored values have ceased to name since the last call.
pub fn take_let_go() -> Vec<u64> {
    LEDGER.with_borrow_mut(|ledger| std::mem::take(&mut ledger.let_go))
}

/// A value that is kept, and counted as long as it is.
#[derive(Debug)]
pub struct Stored {
    value: Value,
    /// Who brought it.
    client: u64,
}

impl Stored {
    /// Counts a value; refused beyond the limit.
    pub fn new(value: Value) -> Result<Stored> {
        let weight = value.weight();
        let client = LEDGER.with_borrow_mut(|ledger| {
            if ledger.only_bytes && !matches!(value, Value::Bytes(_) | Value::Proxy(_)) {
                return Err(Error::invalid("this manager's serializer is bytes: it stores bytes and handles only"));
            }
            let client = ledger.take(weight)?;
            ledger.name(&value);
            Ok(client)
        })?;
        Ok(Stored { value, client })
    }

    /// One more of the same for a while, brought by the same client, of which no more is asked than there is room for.
    pub fn copy(&self) -> Result<Stored> {
        let weight = self.value.weight();
        check_room(weight)?;
        LEDGER.with_borrow_mut(|ledger| {
            ledger.add(self.client, weight);
            ledger.name(&self.value);
        });
        Ok(Stored { value: self.value.clone(), client: self.client })
    }

    /// The same for many; all or none.
    pub fn all(values: Vec<Value>) -> Result<Vec<Stored>> {
        values.into_iter().map(Stored::new).collect()
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let weight = self.value.weight();
        // A thread that is ending has no ledger, and needs none.
        let _ = LEDGER.try_with(|ledger| {
            let mut ledger = ledger.borrow_mut();
            ledger.give_back(self.client, weight);
            self.value.each_proxy(&mut |proxy| {
                if let Some(count) = ledger.named.get_mut(&proxy.object) {
                    *count -= 1;
                    if *count == 0 {
                        ledger.named.remove(&proxy.object);
                        ledger.let_go.push(proxy.object);
                    }
                }
            });
        });
    }
}

/// Arguments of a method, taken one after the other.
pub struct Arguments {
    rest: std::vec::IntoIter<Value>,
}

impl Arguments {
    /// All of them.
    pub fn new(values: Vec<Value>) -> Arguments {
        Arguments { rest: values.into_iter() }
    }

    /// The next one, which must be there.
    pub fn need(&mut self) -> Result<Value> {
        self.rest.next().ok_or_else(|| Error::invalid("the method needs more arguments"))
    }

    /// The next one, if there is one.
    pub fn optional(&mut self) -> Option<Value> {
        self.rest.next()
    }

    /// The next one, a key.
    pub fn key(&mut self) -> Result<Key> {
        Key::of(self.need()?)
    }

    /// The next one, to be kept.
    pub fn stored(&mut self) -> Result<Stored> {
        Stored::new(self.need()?)
    }

    /// The next one, a whole number.
    pub fn integer(&mut self) -> Result<i64> {
        self.need()?.integer()
    }

    /// The same, if there is one.
    pub fn optional_integer(&mut self) -> Result<Option<i64>> {
        self.optional().filter(|value| *value != Value::Nil).map(|value| value.integer()).transpose()
    }

    /// The next one, a list.
    pub fn list(&mut self) -> Result<Vec<Value>> {
        match self.need()? {
            Value::List(items) => Ok(items),
            _ => Err(Error::invalid("a list is needed here")),
        }
    }

    /// The next one, a map.
    pub fn map(&mut self) -> Result<Vec<(Value, Value)>> {
        match self.need()? {
            Value::Map(pairs) => Ok(pairs),
            _ => Err(Error::invalid("a map is needed here")),
        }
    }

    /// The next one, a text.
    pub fn text(&mut self) -> Result<String> {
        match self.need()? {
            Value::String(bytes) => String::from_utf8(bytes).map_err(|_| Error::invalid("a text is not UTF-8")),
            _ => Err(Error::invalid("a string is needed here")),
        }
    }

    /// All that are left.
    pub fn rest(self) -> Vec<Value> {
        self.rest.collect()
    }

    /// There are no more.
    pub fn end(&self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            _ => Err(Error::invalid("the method takes fewer arguments")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_counted_until_it_goes() {
        set_limits(10_000, 10_000);
        let proxy = |object| Value::Proxy(Proxy { object, kind: 1 });
        let list = Stored::new(Value::List(vec![proxy(7), proxy(8), proxy(7), Value::Bytes(vec![1; 100])])).unwrap();
        assert_eq!(bytes(), list.value().weight());
        assert!(is_named(7) && is_named(8) && !is_named(9));
        assert!(matches!(Stored::new(Value::Bytes(vec![0; 10_000])), Err(Error::NoMemory(_))));
        drop(list);
        assert_eq!(bytes(), 0);
        assert!(!is_named(7));
        let mut let_go = take_let_go();
        let_go.sort_unstable();
        assert_eq!(let_go, [7, 8]);
    }

    #[test]
    fn each_client_has_its_own_limit() {
        set_limits(10_000, 1_000);
        let bytes_of_len = |len: usize| Value::Bytes(vec![0; len]);
        charge(1);
        let one = Stored::new(bytes_of_len(900)).unwrap();
        assert!(matches!(Stored::new(bytes_of_len(100)), Err(Error::NoMemory(_))));
        charge(2);
        let two = Stored::new(bytes_of_len(900)).unwrap();
        // Whoever takes it away, it was the first one's.
        drop(one);
        assert_eq!((bytes_of(1), bytes_of(2)), (0, two.value().weight()));
        assert!(matches!(Stored::new(bytes_of_len(100)), Err(Error::NoMemory(_))));
        drop(two);
        assert_eq!((bytes(), bytes_of(2)), (0, 0));
    }

    #[test]
    fn room_is_what_c_needs() {
        assert_eq!(Value::Integer(1).room(), 0);
        assert_eq!(Value::Bytes(vec![1; 17]).room(), 32);
        let map = Value::Map(vec![(Value::Integer(1), Value::String(vec![1; 3]))]);
        assert_eq!(map.room(), 2 * ARGUMENT + 16);
        assert_eq!(Value::List(vec![map]).room(), 3 * ARGUMENT + 16);
    }
}
