//! Which files the frames of a crash are in, read from /proc/self/maps by the process that crashes: it knows what it
//! has loaded itself, which its host may not have, or elsewhere. Allocates nothing, and cannot panic.

use super::crash::{FRAMES_AT, NOTE_COUNT, NOTE_WORDS, NOTES, NOTES_AT, PATH, Record};
use super::elf::{BuildId, build_id_of_notes};
use std::ops::Range;

/// Longer lines lose the end of their path.
const LINE: usize = 1024;

/// One mapping of a file.
struct Mapping<'l> {
    range: Range<usize>,
    executable: bool,
    readable: bool,
    offset: u64,
    inode: u64,
    path: &'l [u8],
}

/// Where the mapping of the beginning of a file is that was last seen.
#[derive(Default)]
struct Beginning {
    inode: u64,
    range: Range<usize>,
}

/// Notes for each frame of the record which file it is in, and where there.
pub fn locate(record: &Record) {
    // SAFETY: a C string; plain call.
    let fd = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return;
    }
    let mut beginning = Beginning::default();
    let mut line = [0; LINE];
    let mut used = 0;
    let mut buffer = [0u8; 2048];
    loop {
        // SAFETY: a descriptor and a buffer of ours.
        let got = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Some(bytes) = usize::try_from(got).ok().filter(|got| *got > 0).and_then(|got| buffer.get(..got)) else {
            break;
        };
        for byte in bytes {
            if *byte != b'\n' {
                if let Some(place) = line.get_mut(used) {
                    *place = *byte;
                    used += 1;
                }
                continue;
            }
            if let Some(mapping) = line.get(..used).and_then(parse) {
                visit(record, &mapping, &mut beginning);
            }
            used = 0;
        }
    }
    // SAFETY: our own descriptor.
    unsafe { libc::close(fd) };
}

fn visit(record: &Record, mapping: &Mapping, beginning: &mut Beginning) {
    if mapping.offset == 0 && mapping.inode != 0 && mapping.readable {
        *beginning = Beginning { inode: mapping.inode, range: mapping.range.clone() };
    }
    if !mapping.executable || mapping.path.is_empty() {
        return;
    }
    for frame in 0..record.frames() {
        let at = FRAMES_AT + 2 * frame;
        let address = record.word(at) as usize;
        if !mapping.range.contains(&address) {
            continue;
        }
        let Some(note) = note_of(record, mapping, beginning) else { return };
        let offset = (address - mapping.range.start) as u64 + mapping.offset;
        record.set(at + 1, (note as u64 + 1) << 48 | offset & ((1 << 48) - 1));
    }
}

/// The note of the mapped file, made if there is none.
fn note_of(record: &Record, mapping: &Mapping, beginning: &Beginning) -> Option<usize> {
    let count = (record.word(NOTE_COUNT) as usize).min(NOTES);
    let len = mapping.path.len().min(PATH);
    let path = mapping.path.get(..len)?;
    let word_at = |index: usize| {
        let mut word = [0; 8];
        path.iter().skip(8 * index).zip(&mut word).for_each(|(from, to)| *to = *from);
        u64::from_ne_bytes(word)
    };
    let is_it = |note: &usize| {
        let at = NOTES_AT + note * NOTE_WORDS;
        record.word(at) == mapping.inode
            && record.word(at + 6) == len as u64
            && (0..len.div_ceil(8)).all(|index| record.word(at + 7 + index) == word_at(index))
    };
    if let Some(note) = (0..count).find(is_it) {
        return Some(note);
    }
    if count == NOTES {
        return None;
    }
    let at = NOTES_AT + count * NOTE_WORDS;
    let id = if beginning.inode == mapping.inode { build_id_at(&beginning.range) } else { None };
    let id = id.as_ref().map_or(&[][..], BuildId::as_bytes);
    record.set(at, mapping.inode);
    record.set(at + 1, id.len() as u64);
    for (index, chunk) in id.chunks(8).enumerate() {
        let mut word = [0; 8];
        chunk.iter().zip(&mut word).for_each(|(from, to)| *to = *from);
        record.set(at + 2 + index, u64::from_ne_bytes(word));
    }
    record.set(at + 6, len as u64);
    (0..len.div_ceil(8)).for_each(|index| record.set(at + 7 + index, word_at(index)));
    record.set(NOTE_COUNT, count as u64 + 1);
    Some(count)
}

/// The build-id of the ELF file whose beginning is mapped there.
fn build_id_at(range: &Range<usize>) -> Option<BuildId> {
    const PT_NOTE: u32 = 4;
    // SAFETY: the kernel has just said that it is mapped and readable; should the file have been cut, the fault
    // ends the walk (see `crash::give_up`).
    let file = unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len()) };
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let half = |at: usize| Some(u16::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let word = |at: usize| Some(u64::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let (headers, size, count) = (word(32)? as usize, half(54)? as usize, half(56)? as usize);
    (0..count).find_map(|index| {
        let at = headers.checked_add(index.checked_mul(size)?)?;
        let kind = u32::from_le_bytes(*file.get(at..)?.first_chunk()?);
        let start = word(at.checked_add(8)?)? as usize;
        let len = word(at.checked_add(32)?)? as usize;
        let notes = (kind == PT_NOTE).then(|| file.get(start..start.checked_add(len)?)).flatten()?;
        build_id_of_notes(notes, word(at.checked_add(48)?)? as usize)
    })
}

/// `55d0c000-55d0d000 r-xp 00001000 fe:00 1234      /a path/with spaces`
fn parse(line: &[u8]) -> Option<Mapping<'_>> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let range = fields.next()?;
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (start, end) = (hex(range.get(..dash)?)?, hex(range.get(dash + 1..)?)?);
    let rights = fields.next()?;
    let offset = hex(fields.next()?)?;
    let inode = fields.nth(1)?.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(*digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })?;
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    Some(Mapping {
        range: start as usize..end as usize,
        executable: rights.get(2) == Some(&b'x'),
        readable: rights.first() == Some(&b'r'),
        offset,
        inode,
        path,
    })
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |sum, digit| {
        let digit = (*digit as char).to_digit(16)?;
        sum.checked_mul(16)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_is_read() {
        let mapping = parse(b"1000-2000 r-xp 00001000 fe:00 1234      /a path/x.so").unwrap();
        assert_eq!((mapping.range, mapping.offset, mapping.inode), (0x1000..0x2000, 0x1000, 1234));
        assert_eq!(mapping.path, b"/a path/x.so");
        assert!(mapping.executable && mapping.readable);
        assert!(parse(b"1000-2000 rw-p 00000000 00:00 0 ").unwrap().path.is_empty());
        assert!(parse(b"1000-2000 rw-p").is_none() && parse(b"").is_none() && parse(b"x-y z z z z z").is_none());
    }
}
