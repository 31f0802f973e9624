//! A list of numbers, texts and the like in named memory, each in a slot of its own: bit for bit that of Python's
//! `multiprocessing.shared_memory.ShareableList`.
//!
//! ```text
//! count: i64 | offset of each slot, and of their end: i64[count + 1] | slots
//!     | format of each item, as Python's struct has it: [u8; 8][count] | kind of each item: u8[count]
//! ```
//! Offsets are relative to the first slot, slots are multiples of 8. Whoever knows the name can write whatever he likes
//! there: all is read once and checked. How many items there are, and how long the slots are in sum, is read when the list
//! is opened, and kept.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::shared_memory::SharedMemory;
use crate::sys::named_memory::View;
use std::borrow::Cow;

/// One item. Texts and bytes lose the zeros at their end, as in Python.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    /// None.
    Nil,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// A text: UTF-8, unless Python cut it off or somebody wrote nonsense there.
    String(Cow<'a, [u8]>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
}

const INTEGER: [u8; 8] = *b"q\0\0\0\0\0\0\0";
const REAL: [u8; 8] = *b"d\0\0\0\0\0\0\0";
const BOOL: [u8; 8] = *b"xxxxxxx?";
const NIL: [u8; 8] = *b"xxxxxx?x";

/// The longest slot whose format has eight characters.
const LONGEST: usize = 9_999_992;

fn broken() -> Error {
    Error::Broken("the memory does not hold a shareable list, or not any more".into())
}

/// The format of a text or bytes in a slot.
fn text_format(slot: usize) -> Result<[u8; 8]> {
    let mut format = [0; 8];
    let text = format!("{slot}s");
    format.get_mut(..text.len()).ok_or_else(broken)?.copy_from_slice(text.as_bytes());
    Ok(format)
}

/// How long a text of this format is.
fn text_len(format: &[u8; 8]) -> Result<usize> {
    let end = format.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let digits = format[..end].strip_suffix(b"s").filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(broken)
}

impl Item<'_> {
    /// The slot that a new list has for it.
    fn slot(&self) -> Result<usize> {
        let (Item::String(text) | Item::Bytes(text)) = self else { return Ok(8) };
        let slot = text.len() / 8 * 8 + 8;
        if slot > LONGEST {
            return Err(Error::MessageSize { needed: text.len(), capacity: LONGEST - 1 });
        }
        Ok(slot)
    }

    /// Format, kind and bytes in a slot of that length.
    fn packed(&self, slot: usize) -> Result<([u8; 8], u8, Cow<'_, [u8]>)> {
        let number = |bytes: [u8; 8]| Cow::Owned(bytes.to_vec());
        Ok(match self {
            Item::Integer(integer) => (INTEGER, 0, number(integer.to_ne_bytes())),
            Item::Real(real) => (REAL, 0, number(real.to_ne_bytes())),
            Item::Bool(truth) => (BOOL, 0, number([0, 0, 0, 0, 0, 0, 0, *truth as u8])),
            Item::Nil => (NIL, 3, number([0; 8])),
            Item::String(text) => (text_format(slot)?, 1, Cow::Borrowed(&**text)),
            Item::Bytes(bytes) => (text_format(slot)?, 2, Cow::Borrowed(&**bytes)),
        })
    }

    /// Refuses a text that Python could not read.
    fn check(&self) -> Result<()> {
        match self {
            Item::String(text) if std::str::from_utf8(text).is_err() => Err(Error::invalid("a text is not UTF-8")),
            _ => Ok(()),
        }
    }

    /// Whether Python calls the two equal: numbers of all kinds are compared by what they are worth.
    fn equals(&self, other: &Item<'_>) -> bool {
        match (self.number(), other.number()) {
            (Some(Number::Whole(a)), Some(Number::Whole(b))) => a == b,
            (Some(Number::Real(a)), Some(Number::Real(b))) => a == b,
            // Rounding must not make them equal.
            (Some(Number::Whole(whole)), Some(Number::Real(real)))
            | (Some(Number::Real(real)), Some(Number::Whole(whole))) => {
                whole as f64 == real && real as i128 == whole as i128
            }
            (None, None) => self == other,
            _ => false,
        }
    }

    fn number(&self) -> Option<Number> {
        match self {
            Item::Bool(truth) => Some(Number::Whole(*truth as i64)),
            Item::Integer(integer) => Some(Number::Whole(*integer)),
            Item::Real(real) => Some(Number::Real(*real)),
            _ => None,
        }
    }
}

enum Number {
    Whole(i64),
    Real(f64),
}

/// Where the parts of a list lie.
#[derive(Debug, Clone, Copy)]
struct Layout {
    count: usize,
    /// Length of all slots.
    slots: usize,
}

impl Layout {
    fn new(count: usize, slots: usize) -> Option<Layout> {
        let layout = Layout { count, slots };
        // Nothing below overflows if this does not.
        count.checked_mul(17)?.checked_add(slots)?.checked_add(16).filter(|size| *size <= isize::MAX as usize)?;
        Some(layout)
    }

    fn offset(self, index: usize) -> usize {
        8 + index * 8
    }

    fn data(self) -> usize {
        16 + self.count * 8
    }

    fn format(self, index: usize) -> usize {
        self.data() + self.slots + index * 8
    }

    fn kind(self, index: usize) -> usize {
        self.format(self.count) + index
    }

    fn size(self) -> usize {
        self.kind(self.count)
    }
}

/// A list that this process has open.
pub struct ShareableList {
    memory: SharedMemory,
    layout: Layout,
}

fn read<const N: usize>(view: &View<'_>, at: usize) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    if view.read(at, &mut bytes) { Ok(bytes) } else { Err(broken()) }
}

fn read_size(view: &View<'_>, at: usize) -> Result<usize> {
    usize::try_from(i64::from_ne_bytes(read(view, at)?)).map_err(|_| broken())
}

fn write(view: &View<'_>, at: usize, bytes: &[u8]) -> Result<()> {
    if view.write(at, bytes) { Ok(()) } else { Err(broken()) }
}

impl ShareableList {
    /// A new list. `None`: under a name that is made up.
    pub fn create(items: &[Item<'_>], name: Option<&str>) -> Result<ShareableList> {
        let mut slots = 0usize;
        for item in items {
            item.check()?;
            slots = slots.saturating_add(item.slot()?);
        }
        let layout = Layout::new(items.len(), slots).ok_or(Error::NoMemory("larger than any memory"))?;
        let fill = |view: &View<'_>| {
            write(view, 0, &(items.len() as i64).to_ne_bytes())?;
            let mut at = 0;
            for (index, item) in items.iter().enumerate() {
                let slot = item.slot()?;
                let (format, kind, bytes) = item.packed(slot)?;
                write(view, layout.data() + at, &bytes)?;
                write(view, layout.format(index), &format)?;
                write(view, layout.kind(index), &[kind])?;
                at += slot;
                write(view, layout.offset(index + 1), &(at as i64).to_ne_bytes())?;
            }
            Ok(())
        };
        let memory = SharedMemory::create(name, layout.size(), 0o600, &fill)?;
        Ok(ShareableList { memory, layout })
    }

    /// The list that has this name.
    pub fn open(name: &str) -> Result<ShareableList> {
        let memory = SharedMemory::open(name, true)?;
        let view = memory.view()?;
        let count = read_size(&view, 0)?;
        let inside = Layout::new(count, 0).filter(|layout| layout.size() <= view.len()).ok_or_else(broken)?;
        let slots = read_size(&view, inside.offset(count))?;
        let layout = Layout::new(count, slots).filter(|layout| layout.size() <= view.len()).ok_or_else(broken)?;
        drop(view);
        Ok(ShareableList { memory, layout })
    }

    /// How many items.
    pub fn count(&self) -> Result<usize> {
        self.memory.view().map(|_| self.layout.count)
    }

    /// Where the slot of an item lies, and how long it is.
    fn slot(&self, view: &View<'_>, index: usize) -> Result<(usize, usize)> {
        if index >= self.layout.count {
            return Err(Error::invalid("the list has no such item"));
        }
        let from = read_size(view, self.layout.offset(index))?;
        let to = read_size(view, self.layout.offset(index + 1))?;
        if from > to || to > self.layout.slots || to - from < 8 {
            return Err(broken());
        }
        Ok((self.layout.data() + from, to - from))
    }

    /// A copy of an item.
    pub fn get(&self, index: usize) -> Result<Item<'static>> {
        self.read(&self.memory.view()?, index)
    }

    fn read(&self, view: &View<'_>, index: usize) -> Result<Item<'static>> {
        let (at, slot) = self.slot(view, index)?;
        let format = read::<8>(view, self.layout.format(index))?;
        let [kind] = read::<1>(view, self.layout.kind(index))?;
        Ok(match (kind, format) {
            (0, INTEGER) => Item::Integer(i64::from_ne_bytes(read(view, at)?)),
            (0, REAL) => Item::Real(f64::from_ne_bytes(read(view, at)?)),
            (0, BOOL) => Item::Bool(read::<8>(view, at)?[7] != 0),
            (3, NIL) => Item::Nil,
            (1 | 2, _) => {
                let len = text_len(&format)?;
                if len > slot {
                    return Err(broken());
                }
                let mut text = Vec::new();
                text.try_reserve_exact(len).map_err(|_| Error::NoMemory("no memory for an item"))?;
                text.resize(len, 0);
                view.read(at, &mut text);
                text.truncate(text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
                if kind == 1 { Item::String(text.into()) } else { Item::Bytes(text.into()) }
            }
            _ => return Err(broken()),
        })
    }

    /// Puts another item into a slot, of whatever kind, if it fits.
    pub fn set(&self, index: usize, item: &Item<'_>) -> Result<()> {
        let view = self.memory.view()?;
        item.check()?;
        let (at, slot) = self.slot(&view, index)?;
        let (format, kind, bytes) = item.packed(slot)?;
        if bytes.len() > slot {
            return Err(Error::MessageSize { needed: bytes.len(), capacity: slot });
        }
        write(&view, self.layout.format(index), &format)?;
        write(&view, self.layout.kind(index), &[kind])?;
        write(&view, at, &bytes)?;
        // As struct does it: what is left of a text's slot becomes zero.
        let rest = if kind == 1 || kind == 2 { slot - bytes.len() } else { 0 };
        if view.clear(at + bytes.len(), rest) { Ok(()) } else { Err(broken()) }
    }

    /// Where the first such item is.
    pub fn index_of(&self, item: &Item<'_>) -> Result<usize> {
        let view = self.memory.view()?;
        for index in 0..self.layout.count {
            if self.read(&view, index)?.equals(item) {
                return Ok(index);
            }
        }
        Err(Error::NotFound("the list has no such item"))
    }

    /// How many such items there are.
    pub fn count_of(&self, item: &Item<'_>) -> Result<usize> {
        let view = self.memory.view()?;
        let mut count = 0;
        for index in 0..self.layout.count {
            count += self.read(&view, index)?.equals(item) as usize;
        }
        Ok(count)
    }

    /// The memory in which it lies.
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_those_of_python() {
        assert_eq!(text_format(8).unwrap(), *b"8s\0\0\0\0\0\0");
        assert_eq!(text_format(LONGEST).unwrap(), *b"9999992s");
        assert!(text_format(LONGEST + 8).is_err());
        assert_eq!(text_len(b"9999992s").unwrap(), LONGEST);
        for nonsense in
            [b"s\0\0\0\0\0\0\0", b"-8s\0\0\0\0\0", b"+8s\0\0\0\0\0", b"8s\0\0\0\0\0s", b"88888888", &[0; 8], &[255; 8]]
        {
            assert!(text_len(nonsense).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn numbers_equal_by_worth() {
        let big = 1i64 << 53;
        let equal = |a: &Item, b: &Item| a.equals(b) && b.equals(a);
        assert!(equal(&Item::Integer(1), &Item::Bool(true)));
        assert!(equal(&Item::Real(0.0), &Item::Bool(false)));
        assert!(equal(&Item::Real(-0.0), &Item::Integer(0)));
        assert!(equal(&Item::Real(big as f64), &Item::Integer(big)));
        assert!(!equal(&Item::Real(big as f64), &Item::Integer(big + 1)));
        assert!(!equal(&Item::Real(i64::MAX as f64), &Item::Integer(i64::MAX)));
        assert!(!equal(&Item::Real(f64::NAN), &Item::Real(f64::NAN)));
        assert!(!equal(&Item::String(b"a".into()), &Item::Bytes(b"a".into())));
        assert!(!equal(&Item::Nil, &Item::Integer(0)));
    }

    #[test]
    fn absurd_layouts_are_refused() {
        assert!(Layout::new(usize::MAX, 0).is_none());
        assert!(Layout::new(usize::MAX / 17, 0).is_none());
        assert!(Layout::new(1, isize::MAX as usize).is_none());
        assert_eq!(Layout::new(0, 0).unwrap().size(), 16);
    }
}
