//! Arguments, replies and messages as bytes that mean the same at every address.
//!
//! An encoding is a header, an array of entries, then what the entries point to:
//!
//! ```text
//!  0  u16 magic, u8 version, u8 flags, u32 count, u64 length      (length: all of it, a multiple of 16)
//! 16  count entries of 32 bytes: u32 kind, u32 0, u64 len, 16 bytes of value
//!     payloads and arrays of nested entries, each at a multiple of 16
//! ```
//!
//! A scalar's value is in its entry, and so are bytes and strings of up to 16 bytes: the entry is
//! aligned to 16, so they are too, and a call with one number is 48 bytes in one cache line. All else
//! is at the offset in the value, counted from the header. An array lies after the entry that names
//! it, so a walk only moves forward; and every entry of an honest encoding is met once, so a walk
//! that meets more entries than fit into the length is over a forged one. These two rules are what
//! bounds time and memory on hostile bytes.

#![forbid(unsafe_code)]

mod pieces;

pub use self::pieces::Encoding;
use crate::error::{Error, Result};
use std::borrow::Cow;

/// How deep lists and maps may nest.
pub const MAX_DEPTH: usize = 64;

/// Every payload is at a multiple of this, relative to the header.
pub const ALIGNMENT: usize = 16;

const MAGIC: u16 = 0xca40;
const VERSION: u8 = 1;
const HEADER: usize = 16;
const ENTRY: usize = 32;
/// Where in an entry its value is.
const VALUE: usize = 16;
/// Bytes up to this length are in the entry.
const INLINE: usize = ENTRY - VALUE;

/// Somewhere in the encoding is a handle. Whoever pins handles looks here first: most calls have none.
const HAS_HANDLES: u8 = 1;
/// Somewhere in the encoding is a descriptor.
const HAS_DESCRIPTORS: u8 = 2;

/// The kinds, as in `carom.h`.
mod kind {
    pub const BYTES: u32 = 0;
    pub const HANDLE: u32 = 1;
    pub const DESCRIPTOR: u32 = 2;
    pub const NIL: u32 = 3;
    pub const BOOL: u32 = 4;
    pub const INTEGER: u32 = 5;
    pub const REAL: u32 = 6;
    pub const STRING: u32 = 7;
    pub const LIST: u32 = 8;
    pub const MAP: u32 = 9;
    /// Encoded as a list: of a descriptor, an integer, and bytes. C knows it as a handle.
    pub const SOCKET: u32 = 10;
}

/// One value that travels. Bytes and strings are borrowed from the caller or from the encoding.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument<'a> {
    /// Plain bytes.
    Bytes(&'a [u8]),
    /// A reference to a shared object; what the number means is not known here.
    Handle(u64),
    /// A file descriptor of the process that encodes.
    Descriptor(i32),
    /// A connection over a socket or a listener of the process that encodes.
    Socket {
        /// Its descriptor.
        number: i32,
        /// Its handle, which says what it is.
        known_as: u64,
        /// Whatever else belongs to it.
        state: Cow<'a, [u8]>,
    },
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number; every bit of a NaN survives.
    Real(f64),
    /// Text. Not checked to be UTF-8: what the host put in is what it gets out.
    String(&'a [u8]),
    /// Values in order.
    List(Vec<Argument<'a>>),
    /// Pairs in order. Keys may repeat and be of any kind: that is for the user of the map to judge.
    Map(Vec<(Argument<'a>, Argument<'a>)>),
}

fn corrupt(what: &'static str) -> Error {
    Error::Broken(what.into())
}

fn too_long() -> Error {
    Error::invalid("the arguments are longer than memory is")
}

fn too_deep() -> Error {
    Error::invalid("lists and maps are nested deeper than 64")
}

/// The bytes that `argument` needs besides its own entry.
fn payload_len(argument: &Argument<'_>, depth: usize) -> Result<usize> {
    match argument {
        Argument::Bytes(bytes) | Argument::String(bytes) if bytes.len() > INLINE => {
            bytes.len().checked_next_multiple_of(ALIGNMENT).ok_or_else(too_long)
        }
        Argument::List(items) => array_len(items.iter(), depth + 1),
        Argument::Socket { number, known_as, state } => array_len(socket(*number, *known_as, state).iter(), depth + 1),
        Argument::Map(pairs) => array_len(pairs.iter().flat_map(|pair| [&pair.0, &pair.1]), depth + 1),
        _ => Ok(0),
    }
}

fn socket(number: i32, known_as: u64, state: &[u8]) -> [Argument<'_>; 3] {
    [Argument::Descriptor(number), Argument::Integer(known_as as i64), Argument::Bytes(state)]
}

fn array_len<'i, 'a: 'i>(arguments: impl Iterator<Item = &'i Argument<'a>>, depth: usize) -> Result<usize> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    let mut sum = 0usize;
    for argument in arguments {
        let len = payload_len(argument, depth)?.checked_add(ENTRY).ok_or_else(too_long)?;
        sum = sum.checked_add(len).ok_or_else(too_long)?;
    }
    Ok(sum)
}

/// How many bytes [`encode`] will write; a multiple of [`ALIGNMENT`].
pub fn encoded_len(arguments: &[Argument<'_>]) -> Result<usize> {
    u32::try_from(arguments.len()).map_err(|_| too_long())?;
    array_len(arguments.iter(), 0)?.checked_add(HEADER).ok_or_else(too_long)
}

/// Encodes into a new vector.
pub fn to_vec(arguments: &[Argument<'_>]) -> Result<Vec<u8>> {
    let len = encoded_len(arguments)?;
    let mut encoded = Vec::new();
    encoded.try_reserve_exact(len).map_err(|_| Error::NoMemory("no memory for the arguments"))?;
    encoded.resize(len, 0);
    encode(arguments, &mut encoded)?;
    Ok(encoded)
}

/// Writes the encoding to the start of `out`, which needs [`encoded_len`] bytes; returns that length.
///
/// Every byte of the encoding is written, gaps included, so `out` may be recycled memory.
pub fn encode(arguments: &[Argument<'_>], out: &mut [u8]) -> Result<usize> {
    let count = u32::try_from(arguments.len()).map_err(|_| too_long())?;
    // One pass for the common case; only a buffer that proves too small is measured.
    let capacity = out.len();
    let too_small = |_: Full| match encoded_len(arguments) {
        Ok(needed) => Error::MessageSize { needed, capacity },
        Err(error) => error,
    };
    let mut writer = Writer { out, next: HEADER, flags: 0 };
    writer.array(arguments.len(), arguments.iter(), 0).map_err(too_small)?;
    let length = writer.next;
    writer.header(count, length).map_err(too_small)?;
    Ok(length)
}

/// The buffer is too small, or the nesting too deep; `encode` finds out which.
struct Full;

struct Writer<'o> {
    out: &'o mut [u8],
    /// Where the next payload goes.
    next: usize,
    flags: u8,
}

impl Writer<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) -> std::result::Result<(), Full> {
        let end = at.checked_add(bytes.len()).ok_or(Full)?;
        self.out.get_mut(at..end).ok_or(Full)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Takes the room for `len` bytes, and clears the gap after them.
    fn room(&mut self, len: usize) -> std::result::Result<usize, Full> {
        let at = self.next;
        let end = at.checked_add(len).ok_or(Full)?;
        let next = end.checked_next_multiple_of(ALIGNMENT).ok_or(Full)?;
        self.out.get_mut(end..next).ok_or(Full)?.fill(0);
        self.next = next;
        Ok(at)
    }

    fn array<'i, 'a: 'i>(
        &mut self,
        count: usize,
        arguments: impl Iterator<Item = &'i Argument<'a>>,
        depth: usize,
    ) -> std::result::Result<u64, Full> {
        if depth > MAX_DEPTH {
            return Err(Full);
        }
        let start = self.room(count.checked_mul(ENTRY).ok_or(Full)?)?;
        for (index, argument) in arguments.enumerate() {
            self.entry(start + index * ENTRY, argument, depth)?;
        }
        Ok(start as u64)
    }

    fn entry(&mut self, at: usize, argument: &Argument<'_>, depth: usize) -> std::result::Result<(), Full> {
        let (kind, len, value) = match argument {
            Argument::Bytes(bytes) => return self.bytes(at, kind::BYTES, bytes),
            Argument::String(bytes) => return self.bytes(at, kind::STRING, bytes),
            Argument::Handle(reference) => {
                self.flags |= HAS_HANDLES;
                (kind::HANDLE, 0, *reference)
            }
            Argument::Descriptor(number) => {
                self.flags |= HAS_DESCRIPTORS;
                (kind::DESCRIPTOR, 0, *number as u32 as u64)
            }
            Argument::Nil => (kind::NIL, 0, 0),
            Argument::Bool(value) => (kind::BOOL, 0, *value as u64),
            Argument::Integer(value) => (kind::INTEGER, 0, *value as u64),
            Argument::Real(value) => (kind::REAL, 0, value.to_bits()),
            Argument::List(items) => (kind::LIST, items.len(), self.array(items.len(), items.iter(), depth + 1)?),
            Argument::Socket { number, known_as, state } => {
                (kind::SOCKET, 3, self.array(3, socket(*number, *known_as, state).iter(), depth + 1)?)
            }
            Argument::Map(pairs) => {
                let count = pairs.len().checked_mul(2).ok_or(Full)?;
                let offset = self.array(count, pairs.iter().flat_map(|pair| [&pair.0, &pair.1]), depth + 1)?;
                (kind::MAP, pairs.len(), offset)
            }
        };
        self.raw_entry(at, kind, len, &value.to_le_bytes())
    }

    fn bytes(&mut self, at: usize, kind: u32, bytes: &[u8]) -> std::result::Result<(), Full> {
        if bytes.len() <= INLINE {
            return self.raw_entry(at, kind, bytes.len(), bytes);
        }
        let offset = self.room(bytes.len())?;
        self.put(offset, bytes)?;
        self.raw_entry(at, kind, bytes.len(), &(offset as u64).to_le_bytes())
    }

    fn raw_entry(&mut self, at: usize, kind: u32, len: usize, value: &[u8]) -> std::result::Result<(), Full> {
        let mut entry = [0; ENTRY];
        entry[..4].copy_from_slice(&kind.to_le_bytes());
        entry[8..16].copy_from_slice(&(len as u64).to_le_bytes());
        entry[VALUE..VALUE + value.len()].copy_from_slice(value);
        self.put(at, &entry)
    }
}

/// The entries of a list or map, or of the whole.
#[derive(Debug, Clone, Copy)]
struct Array {
    start: usize,
    count: usize,
}

impl Array {
    /// Checked when the array was found: it lies inside the encoding.
    fn end(self) -> usize {
        self.start + self.count * ENTRY
    }
}

/// One entry, read once.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: usize,
    /// Nothing that the entry points to may lie before this.
    floor: usize,
    kind: u32,
    len: u64,
    value: u64,
}

fn u64_at(raw: &[u8; ENTRY], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| raw[at + index]))
}

/// An encoding whose header has been checked. Everything below is checked when it is read.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    count: usize,
    flags: u8,
}

impl<'a> Reader<'a> {
    /// Looks at the header; `bytes` may go on behind the encoding.
    pub fn new(bytes: &'a [u8]) -> Result<Reader<'a>> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or_else(|| corrupt("a message without a header"))?;
        if u16::from_le_bytes([header[0], header[1]]) != MAGIC || header[2] != VERSION {
            return Err(corrupt("a message of an unknown format"));
        }
        let flags = header[3];
        let count = u32::from_le_bytes(std::array::from_fn(|index| header[4 + index])) as usize;
        let length = u64::from_le_bytes(std::array::from_fn(|index| header[8 + index]));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = bytes.get(..length).ok_or_else(|| corrupt("a message that is cut off"))?;
        if length < HEADER || count > (length - HEADER) / ENTRY {
            return Err(corrupt("a message with more arguments than fit into it"));
        }
        Ok(Reader { bytes, count, flags })
    }

    /// How many arguments there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many bytes the encoding has.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a handle is anywhere in it: cheaper than to begin a walk, and most have none.
    pub fn has_handles(&self) -> bool {
        self.flags & HAS_HANDLES != 0
    }

    /// Whether a descriptor is anywhere in it: such a message needs a socket to travel.
    pub fn has_descriptors(&self) -> bool {
        self.flags & HAS_DESCRIPTORS != 0
    }

    /// Argument `index`, at once; only a list or map allocates. No such argument: `Invalid`.
    pub fn argument(&self, index: usize) -> Result<Argument<'a>> {
        if index >= self.count {
            return Err(Error::invalid("there is no argument with this index"));
        }
        let top = self.top();
        self.decode(self.entry(top, index)?, 0, &mut self.budget())
    }

    /// Every handle, at any depth, in order. After an `Err` there is nothing more.
    pub fn handles(&self) -> Handles<'a> {
        Handles { walk: Walk::new(*self, HAS_HANDLES), kind: kind::HANDLE }
    }

    /// Every descriptor, likewise; they are numbers of an `i32`.
    pub fn descriptors(&self) -> Handles<'a> {
        Handles { walk: Walk::new(*self, HAS_DESCRIPTORS), kind: kind::DESCRIPTOR }
    }

    fn top(&self) -> Array {
        Array { start: HEADER, count: self.count }
    }

    /// How many entries an honest encoding of this length has below the top.
    fn budget(&self) -> usize {
        (self.bytes.len() - HEADER) / ENTRY - self.count
    }

    fn entry(&self, array: Array, index: usize) -> Result<Entry> {
        let at = array.start + index * ENTRY;
        let raw: &[u8; ENTRY] = self
            .bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .ok_or_else(|| corrupt("an argument outside of its message"))?;
        let kind = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
        // Bits that a later version gives a meaning must not be taken for nothing by this one.
        if raw[4..8] != [0; 4] {
            return Err(corrupt("an argument of an unknown format"));
        }
        let flag = match kind {
            kind::HANDLE => HAS_HANDLES,
            kind::DESCRIPTOR => HAS_DESCRIPTORS,
            _ => 0,
        };
        if self.flags & flag != flag {
            return Err(corrupt("a handle in a message that says it has none"));
        }
        Ok(Entry { at, floor: array.end(), kind, len: u64_at(raw, 8), value: u64_at(raw, VALUE) })
    }

    /// `len` bytes at `offset`, if they are inside, aligned, and behind the array that names them.
    fn range(&self, offset: u64, len: usize, floor: usize) -> Result<usize> {
        let wrong = || corrupt("an argument that points outside of its message");
        let start = usize::try_from(offset).map_err(|_| wrong())?;
        let end = start.checked_add(len).ok_or_else(wrong)?;
        let inside = start >= floor && start % ALIGNMENT == 0 && end <= self.bytes.len();
        if inside { Ok(start) } else { Err(wrong()) }
    }

    fn payload(&self, entry: Entry) -> Result<&'a [u8]> {
        let wrong = || corrupt("an argument that is longer than its message");
        let len = usize::try_from(entry.len).map_err(|_| wrong())?;
        let start = if len <= INLINE { entry.at + VALUE } else { self.range(entry.value, len, entry.floor)? };
        self.bytes.get(start..start + len).ok_or_else(wrong)
    }

    /// The entries below a list or map, taken from the budget; `None` if it is neither.
    fn children(&self, entry: Entry, depth: usize, budget: &mut usize) -> Result<Option<Array>> {
        let per_item = match entry.kind {
            kind::LIST | kind::SOCKET => 1,
            kind::MAP => 2,
            _ => return Ok(None),
        };
        let wrong = || corrupt("a message with more items than fit into it");
        if depth >= MAX_DEPTH {
            return Err(corrupt("a message that is nested deeper than 64"));
        }
        let count = usize::try_from(entry.len).ok().and_then(|len| len.checked_mul(per_item)).ok_or_else(wrong)?;
        *budget = budget.checked_sub(count).ok_or_else(wrong)?;
        let start = self.range(entry.value, count.checked_mul(ENTRY).ok_or_else(wrong)?, entry.floor)?;
        Ok(Some(Array { start, count }))
    }

    fn decode(&self, entry: Entry, depth: usize, budget: &mut usize) -> Result<Argument<'a>> {
        match entry.kind {
            kind::BYTES => return Ok(Argument::Bytes(self.payload(entry)?)),
            kind::STRING => return Ok(Argument::String(self.payload(entry)?)),
            kind::LIST | kind::MAP | kind::SOCKET => return self.decode_array(entry, depth, budget),
            _ if entry.len != 0 => return Err(corrupt("a number with a length")),
            _ => {}
        }
        match (entry.kind, entry.value) {
            (kind::HANDLE, reference) => Ok(Argument::Handle(reference)),
            (kind::DESCRIPTOR, number) => match u32::try_from(number) {
                Ok(number) => Ok(Argument::Descriptor(number as i32)),
                Err(_) => Err(corrupt("a descriptor that is none")),
            },
            (kind::NIL, _) => Ok(Argument::Nil),
            (kind::BOOL, value @ 0..=1) => Ok(Argument::Bool(value == 1)),
            (kind::BOOL, _) => Err(corrupt("neither true nor false")),
            (kind::INTEGER, value) => Ok(Argument::Integer(value as i64)),
            (kind::REAL, bits) => Ok(Argument::Real(f64::from_bits(bits))),
            _ => Err(corrupt("an argument of an unknown kind")),
        }
    }

    fn decode_array(&self, entry: Entry, depth: usize, budget: &mut usize) -> Result<Argument<'a>> {
        let Some(array) = self.children(entry, depth, budget)? else {
            return Err(corrupt("an argument of an unknown kind"));
        };
        let mut item = |index: usize| self.decode(self.entry(array, index)?, depth + 1, budget);
        if entry.kind == kind::SOCKET {
            let wrong = || corrupt("a socket that is none");
            let parts = if array.count == 3 { [item(0)?, item(1)?, item(2)?] } else { return Err(wrong()) };
            let [Argument::Descriptor(number), Argument::Integer(known_as), Argument::Bytes(state)] = parts else {
                return Err(wrong());
            };
            return Ok(Argument::Socket { number, known_as: known_as as u64, state: Cow::Borrowed(state) });
        }
        if entry.kind == kind::LIST {
            let mut items = reserved(array.count)?;
            for index in 0..array.count {
                items.push(item(index)?);
            }
            return Ok(Argument::List(items));
        }
        let mut pairs = reserved(array.count / 2)?;
        for index in 0..array.count / 2 {
            pairs.push((item(2 * index)?, item(2 * index + 1)?));
        }
        Ok(Argument::Map(pairs))
    }
}

/// The budget bounds `count` by the length of the message; what that is must not end the host.
fn reserved<T>(count: usize) -> Result<Vec<T>> {
    let mut items = Vec::new();
    items.try_reserve_exact(count).map_err(|_| Error::NoMemory("no memory for a list of this length"))?;
    Ok(items)
}

/// How many arguments the encoding has.
pub fn count(bytes: &[u8]) -> Result<usize> {
    Ok(Reader::new(bytes)?.count())
}

/// Argument `index` of the encoding; see [`Reader::argument`].
pub fn argument(bytes: &[u8], index: usize) -> Result<Argument<'_>> {
    Reader::new(bytes)?.argument(index)
}

/// Argument `index`, if it is bytes or a string that lie in their entry. `None` says nothing: [`argument`] does.
#[inline(always)]
pub fn short_bytes(bytes: &[u8], index: usize) -> Option<&[u8]> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let count = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
    let known = header[..3] == [MAGIC.to_le_bytes()[0], MAGIC.to_le_bytes()[1], VERSION];
    if !known || index >= count {
        return None;
    }
    let raw: &[u8; ENTRY] = bytes.get(HEADER + index.checked_mul(ENTRY)?..)?.first_chunk()?;
    // Kind and the four bytes that must be zero, at once.
    let kind = u64_at(raw, 0);
    let len = u64_at(raw, 8);
    let short = (kind == kind::BYTES as u64 || kind == kind::STRING as u64) && len <= INLINE as u64;
    short.then(|| &raw[VALUE..VALUE + len as usize])
}

/// Every handle of the encoding; see [`Reader::handles`].
pub fn handles(bytes: &[u8]) -> Result<Handles<'_>> {
    Ok(Reader::new(bytes)?.handles())
}

/// A walk over every entry, depth first. Its stack is an array, because the keeper walks too, and
/// allocates nothing.
#[derive(Debug, Clone)]
struct Walk<'a> {
    reader: Reader<'a>,
    budget: usize,
    depth: usize,
    /// What is left of the array at each depth; the last one is the current one.
    stack: [Step; MAX_DEPTH + 1],
}

#[derive(Debug, Clone, Copy)]
struct Step {
    array: Array,
    index: usize,
}

impl<'a> Walk<'a> {
    /// Over nothing, if the flags of the encoding say that there is nothing of interest.
    fn new(reader: Reader<'a>, flag: u8) -> Walk<'a> {
        let mut top = reader.top();
        if reader.flags & flag == 0 {
            top.count = 0;
        }
        let empty = Step { array: Array { start: HEADER, count: 0 }, index: 0 };
        let mut stack = [empty; MAX_DEPTH + 1];
        stack[0].array = top;
        Walk { reader, budget: reader.budget(), depth: 0, stack }
    }

    fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            let step = &mut self.stack[self.depth];
            if step.index < step.array.count {
                break;
            }
            if self.depth == 0 {
                return Ok(None);
            }
            self.depth -= 1;
        }
        let step = &mut self.stack[self.depth];
        let entry = self.reader.entry(step.array, step.index)?;
        step.index += 1;
        if let Some(array) = self.reader.children(entry, self.depth, &mut self.budget)? {
            self.depth += 1;
            self.stack[self.depth] = Step { array, index: 0 };
        }
        Ok(Some(entry))
    }

    fn stop(&mut self) {
        self.depth = 0;
        self.stack[0].array.count = 0;
    }
}

/// Iterator over the handles (or descriptors) of an encoding, without allocation.
#[derive(Debug, Clone)]
pub struct Handles<'a> {
    walk: Walk<'a>,
    kind: u32,
}

impl Iterator for Handles<'_> {
    type Item = Result<u64>;

    fn next(&mut self) -> Option<Result<u64>> {
        loop {
            match self.walk.next() {
                Ok(Some(entry)) if entry.kind == self.kind => return Some(Ok(entry.value)),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    self.walk.stop();
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
