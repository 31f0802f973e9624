//! What is left of a task whose worker died over it. The template puts it where the host will find it, for the lane is
//! another worker's next.
//!
//! ```text
//! WORDS words  how it crashed, see `sys::crash`; the first is 0 if it did not
//! u64          bytes of the tail; the highest bit if there was more
//! TAIL bytes   the last that it wrote to stderr
//! string       the path of its capsule, ended by a zero byte
//! ```
#![forbid(unsafe_code)]

use super::backtrace::Crash;
use super::stderr::TAIL;
use crate::capsule::{self, Facts, MOST_PATH, SavedPath, Task, Writer};
use crate::error::{Error, Result};
use crate::log;
use crate::shm::arena::Arena;
use crate::shm::functions;
use crate::shm::heap::Heap;
use crate::shm::plan::{Lane, Slot, TaskKind, UNKNOWN_EXIT};
use crate::shm::region::Region;
use crate::sys::crash::WORDS;
use crate::sys::pidfd::Usage;
use std::ffi::{CStr, CString};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

const LENGTH_AT: usize = 8 * WORDS;
const TAIL_AT: usize = LENGTH_AT + 8;
const PATH_AT: usize = TAIL_AT + TAIL;
const BYTES: u64 = (PATH_AT + MOST_PATH) as u64;
const CUT: u64 = 1 << 63;

/// What is known of a death.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// How it crashed, if it did.
    pub crash: Option<Crash>,
    /// The last that it wrote to stderr, from the beginning of a line on.
    pub stderr: Vec<u8>,
    /// Where what it takes to run it once more is.
    pub capsule: CString,
}

/// How a worker died, as far as its template knows.
pub(super) struct Death<'d> {
    /// Who it was.
    pub pid: u32,
    /// 0…255, minus a signal, or [`UNKNOWN_EXIT`].
    pub exit: i32,
    /// What it used.
    pub usage: Usage,
    /// The last that it wrote to stderr.
    pub tail: Tail<'d>,
    /// Where its task is saved, if it is.
    pub capsules: Option<&'d Writer>,
}

impl Death<'_> {
    /// Nobody saw it.
    pub fn unseen(pid: u32) -> Death<'static> {
        Death { pid, exit: UNKNOWN_EXIT, usage: Usage::default(), tail: &|_| (0, false), capsules: None }
    }
}

/// Copies the last that was written to stderr to a place; how many bytes that is, and whether there was more.
pub(super) type Tail<'t> = &'t dyn Fn(Option<Region>) -> (usize, bool);

/// In the template: the worker of the lane has died over the task of the slot. Without room there is no evidence.
pub(super) fn keep(arena: Arena, lane: &'static Lane, slot: &'static Slot, death: &Death) {
    let crashed = lane.crash.is_of(death.pid);
    let saved = death.capsules.and_then(|writer| {
        let saved = save(arena, slot, death, writer);
        saved.inspect_err(|error| log::warning(format_args!("no capsule of a task: {error}"))).ok()
    });
    if !crashed && saved.is_none() && (death.tail)(None).0 == 0 {
        return;
    }
    // There is a block if the template before this one died on its way.
    let block = match slot.evidence_block.load(Relaxed) {
        0 => Heap::of(arena).take(BYTES, &slot.evidence_block).ok(),
        block => Some(block),
    };
    let Some(place) = block.and_then(|block| Region::of(arena, block, BYTES)) else { return };
    match crashed {
        true => place.write(Region::of_words(lane.crash.words()).frozen()),
        false => place.write(&[0; 8]),
    };
    let (len, cut) = (death.tail)(place.from(TAIL_AT));
    let length = len as u64 | if cut { CUT } else { 0 };
    place.from(LENGTH_AT).map(|place| place.write(&length.to_ne_bytes()));
    let path = saved.as_ref().map_or(&[0][..], SavedPath::as_bytes);
    place.from(PATH_AT).map(|place| place.write(path));
}

/// Saves what it takes to run the task of the slot, or the item that it was at, once more.
fn save(arena: Arena, slot: &'static Slot, death: &Death, writer: &Writer) -> Result<SavedPath> {
    let nowhere = || Error::Panic("a task that is not in the arena".into());
    let function = functions::get(arena, slot.function.load(Relaxed)).ok_or_else(nowhere)?;
    let item = slot.word.load().item();
    let facts = Facts { item, pid: death.pid.into(), exit: i64::from(death.exit) as u64, ..Facts::default() };
    let len = slot.arguments_len.load(Relaxed);
    let (facts, place) = match slot.kind.load(Relaxed) {
        kind if kind == TaskKind::Chunk as u32 => {
            let chunk = slot.chunk();
            let at = item.checked_mul(chunk.item_size).and_then(|at| at.checked_add(chunk.items));
            let place = at.and_then(|at| Region::of(arena, at, chunk.item_size));
            (Facts { flags: capsule::ITEM, reply_size: chunk.reply_size, ..facts }, place)
        }
        kind if kind == TaskKind::Inline as u32 => (facts, slot.arguments().part(0, len as usize)),
        _ => (facts, Region::of(arena, slot.arguments_block.load(Acquire), len)),
    };
    let arguments = place.ok_or_else(nowhere)?.frozen();
    writer.save(&Task { facts, function: &function, arguments })
}

impl Evidence {
    /// What the template kept with the slot.
    pub(super) fn of(arena: Arena, slot: &'static Slot) -> Option<Evidence> {
        let block = slot.evidence_block.load(Relaxed);
        let place = if block == 0 { None } else { Region::of(arena, block, BYTES) }?;
        let mut bytes = vec![0; BYTES as usize];
        place.read(&mut bytes);
        let words = |bytes: &[u8]| bytes.chunks_exact(8).map(number).collect::<Vec<_>>();
        let length = number(bytes.get(LENGTH_AT..TAIL_AT)?);
        let capsule = CStr::from_bytes_until_nul(bytes.get(PATH_AT..)?).unwrap_or_default().to_owned();
        let tail = bytes.get(TAIL_AT..)?.get(..(length & !CUT) as usize)?;
        Some(Evidence {
            crash: Crash::decode(&words(bytes.get(..LENGTH_AT)?)),
            stderr: whole_lines(tail, length).to_vec(),
            capsule,
        })
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// Without the rest of a line whose beginning is lost, unless that is all there is.
fn whole_lines(tail: &[u8], length: u64) -> &[u8] {
    let behind = tail.iter().position(|byte| *byte == b'\n').map(|at| &tail[at + 1..]);
    behind.filter(|behind| length & CUT != 0 && !behind.is_empty()).unwrap_or(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_its_beginning_is_left_out() {
        assert_eq!(whole_lines(b"one\ntwo\n", 8), b"one\ntwo\n");
        assert_eq!(whole_lines(b"one\ntwo\n", 8 | CUT), b"two\n");
        assert_eq!(whole_lines(b"one\n", 4 | CUT), b"one\n");
        assert_eq!(whole_lines(b"one", 3 | CUT), b"one");
    }
}
