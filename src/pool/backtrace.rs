//! How a worker crashed, and where, told in words when somebody asks: with the names and lines that the files of its modules
//! give.
#![forbid(unsafe_code)]

use crate::sys::crash::{FRAMES, FRAMES_AT, NOTE_WORDS, NOTES, NOTES_AT, PATH};
use crate::sys::elf::BuildId;
use crate::sys::symbols::Symbols;
use std::fmt::Write;

/// A copy of what the worker wrote, checked.
#[derive(Debug, Clone)]
pub struct Crash {
    /// The signal.
    pub signal: i32,
    /// Its si_code.
    pub code: i32,
    /// Where the fault was.
    pub address: u64,
    /// Address, and if it is in a file: index of that, and offset in it.
    frames: Vec<(u64, Option<(usize, u64)>)>,
    modules: Vec<Module>,
}

#[derive(Debug, Clone)]
struct Module {
    inode: u64,
    build_id: Option<BuildId>,
    path: Vec<u8>,
}

impl Crash {
    /// The record, if there is anything in it.
    pub(super) fn decode(words: &[u64]) -> Option<Crash> {
        let header = words.first_chunk::<8>().filter(|header| header[0] != 0)?;
        let notes = words.get(NOTES_AT..)?.chunks_exact(NOTE_WORDS).take((header[5] as usize).min(NOTES));
        let modules: Vec<_> = notes.map(Module::decode).collect();
        let frames = words.get(FRAMES_AT..)?.chunks_exact(2).take((header[4] as usize).min(FRAMES));
        let frames = frames.map(|frame| {
            let module = (frame[1] >> 48) as usize;
            let known = (1..=modules.len()).contains(&module);
            (frame[0], known.then(|| (module - 1, frame[1] & ((1 << 48) - 1))))
        });
        let frames = frames.collect();
        Some(Crash { signal: header[1] as i32, code: header[2] as i32, address: header[3], frames, modules })
    }

    /// The backtrace in words: reads the files of the modules.
    pub fn backtrace(&self) -> String {
        let mut lines: Vec<_> = self.frames.iter().map(|frame| format!("{:#x}", frame.0)).collect();
        let mut ours = vec![false; lines.len()];
        for (index, module) in self.modules.iter().enumerate() {
            // Behind a call the next function may begin: the call is before that.
            let offset = |frame: usize| match self.frames.get(frame)?.1? {
                (of, offset) if of == index => Some((frame, if frame == 0 { offset } else { offset.wrapping_sub(1) })),
                _ => None,
            };
            let (frames, offsets): (Vec<_>, Vec<_>) = (0..lines.len()).filter_map(offset).unzip();
            let symbols = module.symbols();
            let name = module.name(symbols.as_ref());
            let functions = symbols.as_ref().map(|symbols| symbols.functions(&offsets)).unwrap_or_default();
            for (at, frame) in frames.into_iter().enumerate() {
                let back = (frame != 0) as u64;
                lines[frame] = match functions.get(at) {
                    Some(Some(function)) => format!("{}+{:#x} ({name})", function.name, function.offset + back),
                    _ => {
                        // As addr2line wants it.
                        let address = symbols.as_ref().and_then(|symbols| symbols.address_of(offsets[at]));
                        let place = address.unwrap_or(offsets[at]).wrapping_add(back);
                        format!("{} ({name}+{place:#x})", lines[frame])
                    }
                };
                ours[frame] = lines[frame].contains("5carom4pool6worker");
            }
        }
        lines.truncate(theirs(&lines, &ours));
        lines.iter().enumerate().fold(String::new(), |mut text, (index, line)| {
            let _ = writeln!(text, "#{index} {line}");
            text
        })
    }
}

/// How many frames there are before those of our worker, of which the rest are everybody's.
fn theirs(lines: &[String], ours: &[bool]) -> usize {
    let worker = ours.iter().position(|ours| *ours).unwrap_or(lines.len());
    let behind = lines[..worker].iter().rposition(|line| !line.contains("5carom4call")).map_or(0, |at| at + 1);
    if behind == 0 { lines.len() } else { behind }
}

impl Module {
    fn decode(words: &[u64]) -> Module {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let part = |at: usize, len: u64, most: usize| bytes.get(8 * at..8 * at + (len as usize).min(most));
        let word = |at: usize| words.get(at).copied().unwrap_or(0);
        Module {
            inode: word(0),
            build_id: part(2, word(1), 32).and_then(BuildId::new),
            path: part(7, word(6), PATH).unwrap_or_default().to_vec(),
        }
    }

    /// The file, if it is still the one that the worker had.
    fn symbols(&self) -> Option<Symbols> {
        let path = self.path.strip_suffix(b" (deleted)").unwrap_or(&self.path);
        let symbols = Symbols::open(path)?;
        let is_it = match self.build_id {
            Some(_) => symbols.build_id() == self.build_id,
            None => symbols.inode == self.inode,
        };
        is_it.then_some(symbols)
    }

    fn name(&self, symbols: Option<&Symbols>) -> String {
        let file = self.path.rsplit(|byte| *byte == b'/').next().unwrap_or(&self.path);
        let soname = symbols.and_then(Symbols::soname);
        soname.unwrap_or_else(|| String::from_utf8_lossy(file).replace(char::is_control, "?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::crash::WORDS;

    #[test]
    fn any_words_are_decoded() {
        assert!(Crash::decode(&[0; WORDS]).is_none());
        for fill in [1, 7, 0x7fff_ffff, u64::MAX, 0x0001_0000_0000_1000] {
            let crash = Crash::decode(&[fill; WORDS]).unwrap();
            assert!(crash.backtrace().lines().count() <= FRAMES);
        }
        assert!(Crash::decode(&[0; 7]).is_none());
    }

    #[test]
    fn the_worker_is_left_out_but_not_a_crash_in_carom_itself() {
        let lines = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let cut = |names: &[&str]| {
            let lines = lines(names);
            let ours: Vec<_> = lines.iter().map(|line| line.contains("5carom4pool6worker")).collect();
            theirs(&lines, &ours)
        };
        assert_eq!(cut(&["a", "b", "_ZN5carom4call4Call3run", "_ZN5carom4pool6worker6Worker", "main"]), 2);
        assert_eq!(cut(&["_ZN5carom4call4Call4read", "carom_call_read", "b", "_ZN5carom4pool6worker6Worker"]), 3);
        assert_eq!(cut(&["_ZN5carom4call4Call4read", "_ZN5carom4pool6worker6Worker"]), 2);
        assert_eq!(cut(&["a", "b"]), 2);
    }
}
