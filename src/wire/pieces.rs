//! An encoding whose large part is still where the caller has it: it is copied once, to where it goes.

use super::{ALIGNMENT, Argument, ENTRY, HEADER, MAGIC, VERSION, Writer, kind};
use crate::error::{Error, Result};

/// From here on a copy is worth to be spared.
const LARGE: usize = 4096;

const GAP: [u8; ALIGNMENT] = [0; ALIGNMENT];

/// An encoding: all of it, or all but the bytes of one large argument, which come last.
#[derive(Clone, Copy)]
pub struct Encoding<'a> {
    head: &'a [u8],
    tail: &'a [u8],
}

impl<'a> From<&'a [u8]> for Encoding<'a> {
    #[inline]
    fn from(whole: &'a [u8]) -> Encoding<'a> {
        Encoding { head: whole, tail: &[] }
    }
}

impl<'a> Encoding<'a> {
    /// Encodes all but the bytes of the first large argument to `room`; `None` where there is none, where anything else is not plain, and
    /// where the rest needs more room.
    pub fn around(arguments: &'a [Argument<'_>], room: &'a mut [u8]) -> Option<Encoding<'a>> {
        let large = |argument: &'a Argument<'_>| match argument {
            Argument::Bytes(bytes) if bytes.len() >= LARGE => Some((kind::BYTES, *bytes)),
            Argument::String(bytes) if bytes.len() >= LARGE => Some((kind::STRING, *bytes)),
            _ => None,
        };
        let (at, (kind, tail)) = arguments.iter().enumerate().find_map(|(at, one)| Some((at, large(one)?)))?;
        let mut writer = Writer { out: room, next: HEADER, flags: 0 };
        let start = writer.room(arguments.len().checked_mul(ENTRY)?).ok()?;
        for (index, argument) in arguments.iter().enumerate().filter(|(index, _)| *index != at) {
            writer.entry(start + index * ENTRY, argument, 0).ok()?;
        }
        let behind = writer.next;
        writer.raw_entry(start + at * ENTRY, kind, tail.len(), &(behind as u64).to_le_bytes()).ok()?;
        let length = behind.checked_add(tail.len().checked_next_multiple_of(ALIGNMENT)?)?;
        // Handles and the like are looked for in the whole.
        let plain = writer.flags == 0;
        writer.header(u32::try_from(arguments.len()).ok()?, length).ok()?;
        plain.then_some(Encoding { head: room.get(..behind)?, tail })
    }

    /// Its bytes.
    #[inline]
    pub fn length(self) -> usize {
        if self.tail.is_empty() {
            return self.head.len();
        }
        self.head.len() + self.tail.len().next_multiple_of(ALIGNMENT)
    }

    /// All of it, if it is in one piece; else it is plain: it names no objects.
    #[inline]
    pub fn whole(self) -> Option<&'a [u8]> {
        self.tail.is_empty().then_some(self.head)
    }

    /// What it consists of, one behind the other.
    #[inline]
    pub fn pieces(self) -> [&'a [u8]; 3] {
        let gap = self.tail.len().next_multiple_of(ALIGNMENT) - self.tail.len();
        [self.head, self.tail, &GAP[..gap]]
    }

    /// A copy in one piece.
    #[inline]
    pub fn to_box(self) -> Result<Box<[u8]>> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(self.length()).map_err(|_| Error::NoMemory("no memory for the arguments"))?;
        match self.whole() {
            Some(whole) => copy.extend_from_slice(whole),
            None => self.pieces().into_iter().for_each(|piece| copy.extend_from_slice(piece)),
        }
        Ok(copy.into())
    }
}

impl Writer<'_> {
    /// Behind all else: the header.
    pub(super) fn header(&mut self, count: u32, length: usize) -> std::result::Result<(), super::Full> {
        let mut header = [0; HEADER];
        header[..2].copy_from_slice(&MAGIC.to_le_bytes());
        header[2] = VERSION;
        header[3] = self.flags;
        header[4..8].copy_from_slice(&count.to_le_bytes());
        header[8..].copy_from_slice(&(length as u64).to_le_bytes());
        self.put(0, &header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn around(arguments: &[Argument<'_>]) -> Option<Box<[u8]>> {
        let mut room = [0xa5; 128];
        let encoding = Encoding::around(arguments, &mut room)?;
        let whole = encoding.to_box().unwrap();
        assert!(encoding.whole().is_none() && encoding.length() == whole.len());
        Some(whole)
    }

    #[test]
    fn what_is_read_is_what_was_given() {
        for extra in [0, 1, 15, 16] {
            let large = vec![7; LARGE + extra];
            for at in 0..3 {
                let mut given = vec![Argument::Integer(-5), Argument::Bytes(b"some")];
                given.insert(at, if extra == 1 { Argument::String(&large) } else { Argument::Bytes(&large) });
                let whole = around(&given).unwrap();
                let reader = wire::Reader::new(&whole).unwrap();
                assert_eq!((reader.length(), reader.has_handles()), (whole.len(), false));
                let read: Vec<_> = (0..3).map(|index| wire::argument(&whole, index).unwrap()).collect();
                assert_eq!(read, given);
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_encoded_at_once() {
        let large = vec![7; LARGE];
        assert!(around(&[Argument::Bytes(&large[1..])]).is_none() && around(&[]).is_none());
        assert!(around(&[Argument::Handle(5), Argument::Bytes(&large)]).is_none());
        assert!(around(&[Argument::Bytes(&large), Argument::Descriptor(5)]).is_none());
        assert!(around(&[Argument::Bytes(&large), Argument::Bytes(&large)]).is_none());
        assert!(around(&[Argument::Bytes(&large), Argument::List(vec![Argument::Handle(5)])]).is_none());
    }
}
