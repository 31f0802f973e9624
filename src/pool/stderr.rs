//! What workers write to standard error, on its way to the host's: the template reads it from a pipe per lane, passes it
//! on in the order in which it came, and keeps the last of it for a verdict.
//!
//! The template never waits for whoever reads the host's standard error: what that does not take now is kept, no more is
//! read, and a worker that writes waits, as it would if it wrote there itself. What a dead worker wrote is still in the pipe.
#![forbid(unsafe_code)]

use crate::error::Result;
use crate::shm::plan::{Lane, MAX_LANES};
use crate::shm::region::Region;
use crate::sys::descriptor::{self, Kept};
use crate::sys::relay::{self, Passed, STDERR};
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Bytes that are kept for a verdict.
pub const TAIL: usize = 4096;

/// Twice what a pipe holds: whatever a dead worker wrote has room.
const ROOM: usize = 1 << 17;

/// How often a worker looks while the template reads, which takes it no time unless it is stopped.
const LOOKS: u32 = 1000;

/// The stderr of a lane's workers. Static and untouched where nothing is captured, for the reasons of `template::POSTS`.
struct Line {
    from: Kept,
    to: Kept,
    /// Byte `n` of all is at `n % TAIL`.
    tail: [AtomicU8; TAIL],
}

static LINES: [Line; MAX_LANES as usize] =
    [const { Line { from: Kept::none(), to: Kept::none(), tail: [const { AtomicU8::new(0) }; TAIL] } };
        MAX_LANES as usize];

/// What was read and is not passed on yet.
static PENDING: [AtomicU8; ROOM] = [const { AtomicU8::new(0) }; ROOM];

/// The template's part.
pub struct Capture {
    on: bool,
    poll: RawFd,
    /// Keys of the pipes, and the one of the host's stderr.
    first_key: u64,
    own_key: u64,
    /// What of [`PENDING`] is used.
    start: usize,
    end: usize,
    /// The host's stderr is full: nobody is listened to until it is not.
    stuck: bool,
}

impl Capture {
    /// Of all lanes, or none. Lane `n` is ready by key `first_key + n`, the host's stderr by `own_key`.
    pub fn new(on: bool, first_key: u64, own_key: u64) -> Capture {
        Capture { on, poll: -1, first_key, own_key, start: 0, end: 0, stuck: false }
    }

    /// In the template, as it begins.
    pub fn begin(&mut self, poll: RawFd) {
        self.poll = poll;
    }

    /// A lane that is in use from now on: forgets what a process has left here of which this one is a fork.
    pub fn meet(&self, index: usize, lane: &Lane) {
        if let Some(line) = LINES.get(index).filter(|_| self.on) {
            line.from.set(-1);
            line.to.set(-1);
            lane.stderr_read.store(0, Relaxed);
        }
    }

    /// Makes the pipe of a lane if there is none.
    pub fn open(&self, index: usize) -> Result<()> {
        let Some(line) = LINES.get(index).filter(|line| self.on && line.from.get() < 0) else { return Ok(()) };
        let (from, to) = relay::pipe()?;
        let from = from.into_raw_fd();
        if let Err(error) = self.listen(index, from) {
            descriptor::close(from);
            return Err(error);
        }
        line.from.set(from);
        line.to.set(to.into_raw_fd());
        Ok(())
    }

    fn listen(&self, index: usize, from: RawFd) -> Result<()> {
        if self.stuck { Ok(()) } else { descriptor::add_readable(self.poll, from, self.first_key + index as u64) }
    }

    /// In a worker, before anything of the user's runs.
    pub fn enter(&self, index: usize) {
        if let Some(line) = LINES.get(index).filter(|_| self.on) {
            relay::to_stderr(line.to.get());
        }
    }

    /// Whether workers have to say where a task begins.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Reads once of what a lane's worker wrote; how much that was.
    pub fn read(&mut self, index: usize, lane: &Lane) -> usize {
        let Some(line) = LINES.get(index).filter(|_| self.on) else { return 0 };
        let Some(room) = PENDING.get(self.end..) else { return 0 };
        let before = lane.stderr_read.load(Relaxed);
        lane.stderr_read.store(before | 1, SeqCst);
        let got = relay::read(line.from.get(), room);
        lane.stderr_read.store(before + 2 * got as u64, SeqCst);
        for (at, byte) in room[..got].iter().enumerate().skip(got.saturating_sub(TAIL)) {
            let place = (before as usize / 2).wrapping_add(at) % TAIL;
            line.tail[place].store(byte.load(Relaxed), Relaxed);
        }
        self.end += got;
        self.pass_on();
        got
    }

    /// Reads all that a dead worker wrote.
    pub fn drain(&mut self, index: usize, lane: &Lane) {
        while self.read(index, lane) > 0 {}
    }

    /// Passes on what the host's stderr takes.
    pub fn pass_on(&mut self) {
        while let Some(bytes) = PENDING.get(self.start..self.end).filter(|bytes| !bytes.is_empty()) {
            match relay::pass(STDERR, bytes) {
                Passed::Some(len) => self.start += len,
                Passed::Full => return self.wait(),
                Passed::Gone => self.start = self.end,
            }
        }
        (self.start, self.end) = (0, 0);
        if std::mem::take(&mut self.stuck) {
            descriptor::remove(self.poll, STDERR);
            for (index, line) in LINES.iter().enumerate().filter(|(_, line)| line.from.get() >= 0) {
                // Out of kernel memory: its worker waits until the next one has its place.
                let _ = self.listen(index, line.from.get());
            }
        }
    }

    fn wait(&mut self) {
        if !self.stuck && descriptor::add_writable(self.poll, STDERR, self.own_key).is_ok() {
            self.stuck = true;
            let open = LINES.iter().map(|line| line.from.get()).filter(|from| *from >= 0);
            open.for_each(|from| descriptor::remove(self.poll, from));
        }
    }

    /// Nobody writes any more but what has escaped us.
    pub fn end(&self) {
        for line in LINES.iter().filter(|line| self.on && line.from.get() >= 0) {
            descriptor::close(line.from.take());
            descriptor::close(line.to.take());
        }
    }

    /// Whether something is yet to be passed on.
    pub fn is_stuck(&self) -> bool {
        self.start < self.end
    }

    /// Copies the end of what the worker wrote since its task began to `place`; how much that is, and whether there was
    /// more.
    pub fn tail(&self, index: usize, lane: &Lane, place: Option<Region>) -> (usize, bool) {
        let Some(line) = LINES.get(index).filter(|_| self.on) else { return (0, false) };
        let end = lane.stderr_read.load(Relaxed) / 2;
        let written = end.saturating_sub(lane.stderr_mark.load(Relaxed));
        let len = written.min(TAIL as u64);
        for (at, from) in (end - len..end).enumerate() {
            let byte = line.tail[from as usize % TAIL].load(Relaxed);
            place.and_then(|place| place.part(at, 1)).map(|place| place.write(&[byte]));
        }
        (len as usize, written > len)
    }
}

/// In a worker: a task begins here. What was written is what was read, and what is in the pipe; read together they are
/// right while nobody reads.
pub fn mark(read: &AtomicU64, mark: &AtomicU64) {
    let mut count = 0;
    for _ in 0..LOOKS {
        let before = read.load(Ordering::SeqCst);
        count = before / 2 + relay::unread(STDERR);
        if before.is_multiple_of(2) && read.load(Ordering::SeqCst) == before {
            break;
        }
        std::thread::yield_now();
    }
    mark.store(count, Relaxed);
}
