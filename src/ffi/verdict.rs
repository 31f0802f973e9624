//! A verdict in words.

use super::library::carom_status_name;
use super::options;
use super::result::{CAROM_LIMIT_CPU, CAROM_LIMIT_FILE_SIZE, CAROM_LIMIT_MEMORY, CAROM_LIMIT_TIME, carom_verdict};
use crate::error::{Error, Result};
use crate::sys::signals;
use std::ffi::{CStr, c_char};
use std::fmt::Write;

/// A text of the caller's, "" for NULL.
fn text<'t>(text: *const c_char) -> std::borrow::Cow<'t, str> {
    if text.is_null() {
        return "".into();
    }
    // SAFETY: not NULL; a C string by the caller's promise, which he got from us or made himself.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

/// As a person would say it.
fn duration(ns: i64) -> String {
    let (unit, name) = match ns {
        10_000_000_000.. => (1_000_000_000, "s"),
        10_000_000..=9_999_999_999 => (1_000_000, "ms"),
        10_000..=9_999_999 => (1000, "us"),
        _ => (1, "ns"),
    };
    format!("{} {name}", ns / unit)
}

fn ending(verdict: &carom_verdict) -> String {
    let mut words = match (verdict.signal, verdict.exitcode) {
        (0, 0) => return String::new(),
        (0, -1) => return ", nobody knows how it ended".into(),
        (0, code) => return format!(", left with {code}"),
        (signal, _) => match signals::name(signal) {
            Some(name) => format!(", {name}"),
            None => format!(", signal {signal}"),
        },
    };
    // 0 is also what there is where nobody knows.
    if verdict.signal_code != 0 {
        let code = verdict.signal_code;
        let name = signals::code_name(verdict.signal, code).map_or_else(|| code.to_string(), str::to_string);
        let _ = write!(words, " ({name})");
    }
    if verdict.signal_code > 0 {
        let _ = write!(words, " at {:#x}", verdict.fault_address);
    }
    words
}

fn limit_name(verdict: &carom_verdict) -> Option<&'static str> {
    match verdict.limit {
        CAROM_LIMIT_TIME => Some("time"),
        CAROM_LIMIT_CPU if verdict.signal == signals::OUT_OF_CPU => Some("processor time (RLIMIT_CPU)"),
        CAROM_LIMIT_CPU => Some("processor time"),
        CAROM_LIMIT_FILE_SIZE => Some("size of a file (RLIMIT_FSIZE)"),
        CAROM_LIMIT_MEMORY => Some("memory"),
        _ => None,
    }
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+,:=@%".contains(letter);
    if word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn lines(block: &mut String, title: &str, text: &str) {
    if !text.is_empty() {
        let _ = writeln!(block, "  {title}");
        text.lines().for_each(|line| _ = writeln!(block, "    {line}"));
    }
}

/// One block of lines, the first without indentation.
pub(super) fn block(verdict: *const carom_verdict) -> Result<String> {
    if verdict.is_null() {
        return Err(Error::invalid("the verdict is NULL"));
    }
    let verdict = options::read(verdict)?;
    let mut block = headline(&verdict);
    task(&mut block, &verdict);
    used(&mut block, &verdict);
    let capsule = text(verdict.capsule);
    if !capsule.is_empty() {
        let _ = writeln!(block, "  replay    carom-replay {}", quoted(&capsule));
    }
    lines(&mut block, "backtrace", &text(verdict.backtrace));
    lines(&mut block, "stderr", &text(verdict.stderr_tail));
    Ok(block)
}

/// How it went.
fn headline(verdict: &carom_verdict) -> String {
    let mut block = text(carom_status_name(verdict.status)).into_owned();
    let message = text(verdict.message);
    let separator = if message.is_empty() { "" } else { ": " };
    let _ = writeln!(block, "{separator}{}", message.replace('\n', "\n    "));
    block
}

/// What it was, and who did it.
fn task(block: &mut String, verdict: &carom_verdict) {
    if verdict.attempt > 1 {
        let _ = writeln!(block, "  attempt   {}", verdict.attempt);
    }
    if verdict.code != 0 {
        let _ = writeln!(block, "  code      {}", verdict.code);
    }
    let (item, job) = (verdict.item, verdict.job);
    let _ = writeln!(block, "  task      item {item} of job {:016x}-{:x}", job.high, job.low);
    if verdict.pid != 0 {
        let _ = writeln!(block, "  worker    {}{}", verdict.pid, ending(verdict));
    }
}

/// What it has used.
fn used(block: &mut String, verdict: &carom_verdict) {
    let (queued, elapsed) = (duration(verdict.queued_ns), duration(verdict.elapsed_ns));
    let _ = write!(block, "  time      {queued} queued, {elapsed} at work");
    match verdict.cpu_ns {
        0 => block.push('\n'),
        cpu => _ = writeln!(block, ", {} of a processor", duration(cpu)),
    }
    if let Some(limit) = limit_name(verdict) {
        let _ = writeln!(block, "  limit     {limit}");
    }
    if verdict.max_rss_bytes != 0 {
        let _ = writeln!(block, "  memory    {} KiB at most", verdict.max_rss_bytes / 1024);
    }
}
