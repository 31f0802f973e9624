//! What carom says about itself: nothing, unless asked to.
//!
//! `CAROM_LOG=error|warning|info|debug|off` in the environment, or [`set_level`]. A line goes to the
//! host's callback (`sys::sink::set`) or, as `carom[pid name] debug: …`, to standard error. The functions
//! here are called in forked children: they take no lock and allocate nothing, and cost one relaxed
//! load when the level is off. Not to be called while an internal lock is held: the host's callback
//! may call carom.

#![forbid(unsafe_code)]

use crate::sys::{own, sink};
use std::ffi::CStr;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Nothing.
    Off = 0,
    /// What carom could not do, and no status tells.
    Error = 1,
    /// What is not as it should be, and was put right.
    Warning = 2,
    /// Births, deaths, repairs.
    Info = 3,
    /// Everything.
    Debug = 4,
}

/// A line including its newline is no longer than this.
pub const LINE_SIZE: usize = 512;

/// More than every level, so that the first line comes to [`emit`], which reads the environment.
const UNREAD: u32 = u32::MAX;

static LEVEL: AtomicU32 = AtomicU32::new(UNREAD);

/// Lines up to this level are written from now on, whatever the environment says.
pub fn set_level(level: Level) {
    LEVEL.store(level as u32, Ordering::Relaxed);
}

/// Whether lines of this level are written. The first call may say so wrongly: nobody has asked the
/// environment before the first line.
#[inline(always)]
pub fn enabled(level: Level) -> bool {
    level as u32 <= LEVEL.load(Ordering::Relaxed)
}

/// Says what could not be done.
#[inline(always)]
pub fn error(message: fmt::Arguments<'_>) {
    log(Level::Error, message);
}

/// Says what is not as it should be.
#[inline(always)]
pub fn warning(message: fmt::Arguments<'_>) {
    log(Level::Warning, message);
}

/// Says what happened.
#[inline(always)]
pub fn info(message: fmt::Arguments<'_>) {
    log(Level::Info, message);
}

/// Says everything.
#[inline(always)]
pub fn debug(message: fmt::Arguments<'_>) {
    log(Level::Debug, message);
}

#[inline(always)]
fn log(level: Level, message: fmt::Arguments<'_>) {
    if enabled(level) {
        emit(level, message);
    }
}

#[cold]
#[inline(never)]
fn emit(level: Level, message: fmt::Arguments<'_>) {
    if LEVEL.load(Ordering::Relaxed) == UNREAD {
        read_environment();
        if !enabled(level) {
            return;
        }
    }
    let mut line = Line::new();
    // A Display that fails leaves what it wrote until then; there is nobody to tell.
    let _ = line.write_fmt(message);
    if !sink::call(level as u32, line.as_message()) {
        let mut whole = Line::new();
        let _ = write!(whole, "carom[{}", sink::process_id());
        if let Some(Ok(name)) = own::name().map(CStr::to_str) {
            let _ = write!(whole, " {name}");
        }
        let _ = write!(whole, "] {}: {}", name_of(level), line.as_str());
        sink::write_stderr(whole.as_line());
    }
}

fn name_of(level: Level) -> &'static str {
    match level {
        Level::Off => "off",
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

fn read_environment() {
    let mut buffer = [0; 16];
    let value = sink::variable(c"CAROM_LOG", &mut buffer);
    let (level, is_known) = level_of(value);
    // Whoever called set_level meanwhile wins.
    let is_first = LEVEL.compare_exchange(UNREAD, level as u32, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if is_first && !is_known {
        warning(format_args!("CAROM_LOG is none of error, warning, info, debug, off; taken for warning"));
    }
}

/// A value that nobody knows is a wish to see something.
fn level_of(value: Option<&[u8]>) -> (Level, bool) {
    match value {
        None | Some(b"" | b"off" | b"0") => (Level::Off, true),
        Some(b"error") => (Level::Error, true),
        Some(b"warning") => (Level::Warning, true),
        Some(b"info") => (Level::Info, true),
        Some(b"debug") => (Level::Debug, true),
        Some(_) => (Level::Warning, false),
    }
}

/// Text in an array. What does not fit is cut off and marked.
struct Line {
    bytes: [u8; LINE_SIZE],
    len: usize,
}

const CUT: &str = "...";
/// The last byte is left for a newline or a NUL.
const ROOM: usize = LINE_SIZE - 1;

impl Line {
    fn new() -> Line {
        Line { bytes: [0; LINE_SIZE], len: 0 }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    fn as_line(&mut self) -> &[u8] {
        self.bytes[self.len] = b'\n';
        &self.bytes[..=self.len]
    }

    fn as_message(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    fn cut(&mut self) {
        let mut len = self.len.min(ROOM - CUT.len());
        // Not through the middle of a character.
        while len > 0 && self.bytes[len] & 0xc0 == 0x80 {
            len -= 1;
        }
        self.bytes[len..].fill(0);
        self.bytes[len..len + CUT.len()].copy_from_slice(CUT.as_bytes());
        self.len = len + CUT.len();
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = ROOM - self.len;
        for (to, byte) in self.bytes[self.len..ROOM].iter_mut().zip(text.bytes()) {
            // One line is one line, and a NUL would end the message of the callback.
            *to = if byte < b' ' { b' ' } else { byte };
        }
        self.len += text.len().min(free);
        if text.len() > free {
            self.cut();
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(message: fmt::Arguments<'_>) -> Line {
        let mut line = Line::new();
        let _ = line.write_fmt(message);
        line
    }

    #[test]
    fn a_short_line_is_whole() {
        let mut line = line_of(format_args!("slot {} of {}", 3, "four"));
        assert_eq!(line.as_str(), "slot 3 of four");
        assert_eq!(line.as_message(), c"slot 3 of four");
        assert_eq!(line.as_line(), b"slot 3 of four\n");
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        for len in [510, 511, 512, 2000] {
            let mut line = line_of(format_args!("{}", "x".repeat(len)));
            assert_eq!(line.as_str().ends_with("x..."), len > ROOM, "{len}");
            assert_eq!(line.as_message().to_bytes().len(), len.min(ROOM));
            assert_eq!(line.as_line().len(), len.min(ROOM) + 1);
        }
    }

    #[test]
    fn no_character_is_cut_in_two() {
        for start in 0..4 {
            let text = format!("{}{}", "x".repeat(start), "\u{1f3b1}".repeat(200));
            let line = line_of(format_args!("{text}"));
            assert!(line.as_str().ends_with("\u{1f3b1}...") && line.as_str().len() <= ROOM);
            // Piece by piece, so that the cut falls between two writes.
            let mut line = Line::new();
            let _ = text.chars().try_for_each(|character| line.write_char(character));
            assert!(line.as_str().ends_with("\u{1f3b1}...") && line.as_str().len() <= ROOM);
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line_of(format_args!("a\nb\0c")).as_str(), "a b c");
    }

    #[test]
    fn values_of_the_variable() {
        assert_eq!(level_of(None), (Level::Off, true));
        assert_eq!(level_of(Some(b"off")), (Level::Off, true));
        for level in [Level::Error, Level::Warning, Level::Info, Level::Debug] {
            assert_eq!(level_of(Some(name_of(level).as_bytes())), (level, true));
        }
        assert_eq!(level_of(Some(b"verbose")), (Level::Warning, false));
    }
}
