//! How a worker crashed, and where, told in words when somebody asks: with the names and lines that the files of its modules
//! give.
#![forbid(unsafe_code)]

use crate::sys::crash::{FRAMES, FRAMES_AT, NOTE_WORDS, NOTES, NOTES_AT, PATH};
use crate::sys::elf::BuildId;
use crate::sys::lines::{self, Line};
use crate::sys::symbols::{Function, Symbols};
use cpp_demangle::DemangleOptions;
use std::fmt::Write;

/// Lines of a backtrace, of which inlined functions have some.
const MOST_LINES: usize = 2 * FRAMES;
/// Bytes of a name.
const MOST_NAME: usize = 512;
/// How deep the parts of a name may lie in each other.
const DEEPEST_NAME: u32 = 96;

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
        let opened: Vec<_> = self.modules.iter().map(Module::symbols).collect();
        let mut calls = self.calls(&opened);
        calls.truncate(theirs(&calls));
        self.find_lines(&opened, &mut calls);
        let mut text = String::new();
        let lines = calls.iter().flat_map(Called::lines).take(MOST_LINES);
        lines.enumerate().for_each(|(index, line)| _ = writeln!(text, "#{index} {line}"));
        text
    }

    /// Every call, with the name of its function where there is one.
    fn calls(&self, opened: &[Option<Symbols>]) -> Vec<Called> {
        let mut calls: Vec<_> =
            self.frames.iter().enumerate().map(|(index, frame)| Called::new(index, *frame)).collect();
        for (index, (module, symbols)) in self.modules.iter().zip(opened).enumerate() {
            let name = module.name(symbols.as_ref());
            let mut of_it: Vec<_> = calls.iter_mut().filter(|call| call.module == Some(index)).collect();
            if let Some(symbols) = symbols {
                of_it.iter_mut().for_each(|call| call.place = symbols.address_of(call.offset));
                let places: Vec<_> = of_it.iter().map(|call| call.place).collect();
                let functions = symbols.functions(&places);
                of_it.iter_mut().zip(functions).for_each(|(call, function)| call.function = function);
            }
            of_it.into_iter().for_each(|call| call.file.clone_from(&name));
        }
        calls
    }

    /// Where in the sources the calls are, as far as there is debug information.
    fn find_lines(&self, opened: &[Option<Symbols>], calls: &mut [Called]) {
        for (index, symbols) in opened.iter().enumerate() {
            let mut of_it: Vec<_> = calls.iter_mut().filter(|call| call.module == Some(index)).collect();
            let places: Vec<_> = of_it.iter().map(|call| call.place).collect();
            let Some(symbols) = symbols.as_ref().filter(|_| !places.is_empty()) else { continue };
            let found = lines::of(symbols, symbols.build_id(), &places);
            of_it.iter_mut().zip(found).for_each(|(call, found)| call.sources = found);
        }
    }
}

/// One frame.
struct Called {
    address: u64,
    /// Behind a call the next function may begin: then everything below is of the byte before.
    back: u64,
    module: Option<usize>,
    offset: u64,
    /// Its address in the file.
    place: Option<u64>,
    file: String,
    function: Option<Function>,
    /// Inlined functions first.
    sources: Vec<Line>,
}

impl Called {
    fn new(index: usize, (address, place): (u64, Option<(usize, u64)>)) -> Called {
        let back = (index != 0) as u64;
        let offset = place.map_or(0, |(_, offset)| offset.wrapping_sub(back));
        let module = place.map(|(module, _)| module);
        Called { address, back, module, offset, place: None, file: String::new(), function: None, sources: Vec::new() }
    }

    fn is_in(&self, part: &str) -> bool {
        self.function.as_ref().is_some_and(|function| function.name.contains(part))
    }

    /// The functions that are inlined there, and the one that was called.
    fn lines(&self) -> Vec<String> {
        let inlined = &self.sources[..self.sources.len().saturating_sub(1)];
        let at = |line: &Line| line.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
        let mut lines: Vec<_> = inlined
            .iter()
            .map(|line| {
                let name = line.function.as_deref().map_or("?".into(), readable);
                format!("{name} ({}){}, inlined", self.file, at(line))
            })
            .collect();
        let own = self.sources.last();
        let name = match (&self.function, own.and_then(|line| line.function.as_deref())) {
            (Some(function), _) => {
                format!("{}+{:#x} ({})", readable(&function.name), function.offset + self.back, self.file)
            }
            (None, Some(name)) => format!("{:#x} {} ({})", self.address, readable(name), self.file),
            // As addr2line wants it.
            (None, None) => match self.module {
                Some(_) => format!(
                    "{:#x} ({}+{:#x})",
                    self.address,
                    self.file,
                    self.place.unwrap_or(self.offset).wrapping_add(self.back)
                ),
                None => format!("{:#x}", self.address),
            },
        };
        lines.push(name + &own.map(at).unwrap_or_default());
        lines
    }
}

/// How many frames there are before those of our worker, of which the rest are everybody's.
fn theirs(calls: &[Called]) -> usize {
    let worker = calls.iter().position(|call| call.is_in("5carom4pool6worker")).unwrap_or(calls.len());
    let behind = calls[..worker].iter().rposition(|call| !call.is_in("5carom4call")).map_or(0, |at| at + 1);
    if behind == 0 { calls.len() } else { behind }
}

/// Text of some length, and no more: what is written in some ways of saying grows without end.
struct Short {
    text: String,
}

impl Write for Short {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        let room = MOST_NAME - self.text.len();
        match more.len() <= room {
            true => self.text.push_str(more),
            false => {
                let end = (0..=room).rev().find(|end| more.is_char_boundary(*end)).unwrap_or(0);
                self.text.push_str(&more[..end]);
                return Err(std::fmt::Error);
            }
        }
        Ok(())
    }
}

/// The name of a function as its author wrote it, if it was in C++ or Rust.
fn readable(name: &str) -> String {
    let mut short = Short { text: String::new() };
    let whole = if let Ok(rust) = rustc_demangle::try_demangle(name) {
        write!(short, "{rust:#}")
    } else if let Some(symbol) = name.starts_with("_Z").then(|| cpp_demangle::Symbol::new(name).ok()).flatten() {
        symbol.structured_demangle(&mut short, &DemangleOptions::new().recursion_limit(DEEPEST_NAME))
    } else {
        short.write_str(name)
    };
    match (whole, short.text.is_empty()) {
        (Ok(()), false) => short.text.replace(char::is_control, "?"),
        // Not to be said, but for its beginning.
        (_, true) => name.chars().take(MOST_NAME / 4).collect(),
        (Err(_), false) => short.text.replace(char::is_control, "?") + "...",
    }
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
        let cut = |names: &[&str]| {
            let function = |name: &&str| Called {
                function: Some(Function { name: name.to_string(), offset: 0 }),
                ..Called::new(0, (0, None))
            };
            theirs(&names.iter().map(function).collect::<Vec<_>>())
        };
        assert_eq!(cut(&["a", "b", "_ZN5carom4call4Call3run", "_ZN5carom4pool6worker6Worker", "main"]), 2);
        assert_eq!(cut(&["_ZN5carom4call4Call4read", "carom_call_read", "b", "_ZN5carom4pool6worker6Worker"]), 3);
        assert_eq!(cut(&["_ZN5carom4call4Call4read", "_ZN5carom4pool6worker6Worker"]), 2);
        assert_eq!(cut(&["a", "b"]), 2);
    }

    #[test]
    fn names_are_as_they_were_written_and_end() {
        assert_eq!(readable("png_read_row"), "png_read_row");
        assert_eq!(
            readable("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)"
        );
        assert_eq!(
            readable("_ZN5carom4pool6worker6Worker3run17h0123456789abcdefE"),
            "carom::pool::worker::Worker::run"
        );
        assert_eq!(readable("_RNvNtCs1234_5carom4pool3run"), "carom::pool::run");
        assert_eq!(
            (readable("_Znonsense"), readable("_Z"), readable("")),
            ("_Znonsense".into(), "_Z".into(), "".into())
        );
        // Each template argument is the whole before it, twice.
        let doubling = (0..60).fold("_Z1fI1aS_E".to_string(), |name, _| name.replace("_Z1f", "_Z1fI1bIS_S_ES0_S0_E"));
        assert!(readable(&doubling).len() <= MOST_NAME + 3);
        assert!(readable(&"x".repeat(9000)).len() <= MOST_NAME + 3);
        let nested = format!("_Z1f{}i{}", "P".repeat(5000), "");
        assert!(readable(&nested).len() <= MOST_NAME + 3);
    }
}
