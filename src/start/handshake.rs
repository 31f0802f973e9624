//! How a process that inherits no memory learns who it is, and how its parent learns that it is there.
//!
//! On the child's end of a channel waits a [`Certificate`]; the child says on it that it knows what to run, or why it
//! will not, and the parent waits for that. So whoever starts a process hears at once of a program that does not call
//! `carom_init`, of a function that is not there, and of an end before the beginning.
#![forbid(unsafe_code)]

use super::traits::Failure;
use crate::error::{Error, Result};
use crate::shm::member::MemberId;
use crate::sys::channel::{self, MESSAGE};
use crate::sys::clock::now_ns;
use crate::sys::{descriptor, pidfd};
use std::os::fd::{OwnedFd, RawFd};

/// How long a program may take to get to `carom_init`, and a server to its child.
const PATIENCE_NS: u64 = 10_000_000_000;

/// How often, a millisecond apart, a child tries to answer.
const TRIES: u32 = 100;

/// What a process is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Part {
    /// Runs a function, and ends with it.
    Process = 1,
    /// Forks others.
    Server = 2,
    /// Is the template of a pool.
    Template = 3,
}

/// Who a process is to be. Sent to it, as bytes.
pub struct Certificate {
    /// Its place in the family.
    pub member: MemberId,
    /// What it does there.
    pub part: Part,
    /// The default start method there, as here.
    pub method: u32,
}

/// Length of a certificate.
pub const CERTIFICATE: usize = 24;
const MAGIC: &[u8; 8] = b"carom\0c1";

impl Certificate {
    /// As it is sent.
    pub fn to_bytes(&self) -> [u8; CERTIFICATE] {
        let mut bytes = [0; CERTIFICATE];
        bytes[..8].copy_from_slice(MAGIC);
        let words = [self.member.slot, self.member.generation, self.part as u32, self.method];
        for (place, word) in bytes[8..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// What was sent, if it is a certificate.
    pub fn from_bytes(bytes: &[u8]) -> Option<Certificate> {
        let bytes: &[u8; CERTIFICATE] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let part = [Part::Process, Part::Server, Part::Template].into_iter().find(|part| *part as u32 == word(16))?;
        let member = MemberId { slot: word(8), generation: word(12) };
        (bytes[..8] == *MAGIC).then_some(Certificate { member, part, method: word(20) })
    }
}

/// What a child says first; behind the first byte the reason, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Answer {
    /// It runs the function now.
    Ready = 0,
    /// It does not find the function.
    NoFunction = 1,
    /// Anything else.
    Refusal = 2,
    /// It could not become what it is to be: a `Failure`.
    Failure = 3,
}

/// What became of a child, as far as the parent has heard.
pub enum News {
    /// It runs; what it sent along.
    Runs(Vec<OwnedFd>),
    /// It will not, and says why.
    Refuses(Error),
    /// It ended before it said anything.
    Ended,
}

/// The child's side: says `answer`, and sends descriptors along.
pub fn say(channel: RawFd, answer: Answer, reason: &[u8], along: &[RawFd]) {
    let mut message = [0; MESSAGE];
    message[0] = answer as u8;
    let len = reason.len().min(MESSAGE - 1);
    message[1..=len].copy_from_slice(&reason[..len]);
    for _ in 0..TRIES {
        match channel::send_with(channel, &message[..=len], along) {
            // No room for it, or no memory: else the parent would wait for it in vain.
            Err(Error::Os { errno: libc::EAGAIN | libc::ENOMEM | libc::ENOBUFS, .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            // The parent may be dead.
            _ => return,
        }
    }
}

/// The same for an error.
pub fn refuse(channel: RawFd, error: &Error) {
    match error {
        Error::Function(text) => say(channel, Answer::NoFunction, text.as_bytes(), &[]),
        error => say(channel, Answer::Refusal, error.to_string().as_bytes(), &[]),
    }
}

/// The parent's side: waits for the child's answer. `handle`: a descriptor of the child, if there is one yet. Too late
/// is an error.
pub fn listen(channel: &OwnedFd, handle: Option<&OwnedFd>) -> Result<News> {
    let channel = channel::raw(channel);
    let deadline = now_ns() + PATIENCE_NS;
    let (mut message, mut along) = ([0; MESSAGE], Vec::new());
    let len = loop {
        let dead = handle.is_some_and(|handle| pidfd::is_dead(pidfd::raw(handle)));
        match channel::receive_with(channel, &mut message, &mut along)? {
            Some(0) => return Ok(News::Ended),
            Some(len) => break len,
            // Others, forked meanwhile, may have the child's end too.
            None if dead => return Ok(News::Ended),
            None => {}
        }
        match descriptor::poll_either([channel, handle.map_or(-1, pidfd::raw)], Some(deadline)) {
            Ok(true) | Err(Error::Interrupted) => {}
            Ok(false) => return Err(late()),
            Err(error) => return Err(error),
        }
    };
    let reason = || String::from_utf8_lossy(&message[1..len]).into_owned();
    Ok(match message[0] {
        0 => News::Runs(along),
        1 => News::Refuses(Error::Function(reason().into())),
        3 => News::Refuses(Failure::read(&message[1..len])),
        _ => News::Refuses(Error::Broken(reason().into())),
    })
}

fn late() -> Error {
    Error::Broken("a process did not call carom_init within 10 seconds: that must be first in main".into())
}
