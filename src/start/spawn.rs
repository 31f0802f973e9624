//! Start method spawn, as the parent sees it.
//!
//! The child gets three descriptors of ours: a channel, on which a [`Certificate`] waits, the arena, and the doorbell.
//! It says on the channel that it knows what to run, or why it will not; the parent waits for that. So whoever starts a
//! process hears at once of a program that does not call `carom_init`, of a function that is not there, and of an end
//! before the beginning.
#![forbid(unsafe_code)]

use super::executable::{self, Executable};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::shm::member::MemberId;
use crate::shm::repair;
use crate::sys::channel::{self, MESSAGE};
use crate::sys::clock::now_ns;
use crate::sys::exec::{self, Launch};
use crate::sys::pidfd::{self, Exit, Reaped};
use crate::sys::{descriptor, futex};
use std::ffi::CStr;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::Ordering;

/// How long a program may take to get to `carom_init`.
const PATIENCE_NS: u64 = 10_000_000_000;

/// Who the child is to be. Sent to it, as bytes.
pub struct Certificate {
    /// Its place in the family.
    pub member: MemberId,
    /// The default start method there, as here.
    pub method: u32,
}

/// Length of a certificate.
pub const CERTIFICATE: usize = 20;
const MAGIC: &[u8; 8] = b"carom\0c1";

impl Certificate {
    /// As it is sent.
    pub fn to_bytes(&self) -> [u8; CERTIFICATE] {
        let mut bytes = [0; CERTIFICATE];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.member.slot.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.member.generation.to_le_bytes());
        bytes[16..].copy_from_slice(&self.method.to_le_bytes());
        bytes
    }

    /// What was sent, if it is a certificate.
    pub fn from_bytes(bytes: &[u8]) -> Option<Certificate> {
        let bytes: &[u8; CERTIFICATE] =
            bytes.try_into().ok().filter(|bytes: &&[u8; CERTIFICATE]| bytes[..8] == *MAGIC)?;
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        Some(Certificate { member: MemberId { slot: word(8), generation: word(12) }, method: word(16) })
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
}

/// Starts the program as the member `id`, whose letter is written: its pid and descriptor, once it runs its function.
pub fn start(family: Family, id: MemberId) -> Result<(u32, OwnedFd)> {
    let executable = executable::current()?;
    let (ours, theirs) = channel::pair()?;
    let method = super::default_if_set().map_or(0, |method| method as u32);
    channel::send(channel::raw(&ours), &Certificate { member: id, method }.to_bytes())?;
    let member = family.arena.member(id.slot);
    let arguments: Vec<&CStr> = executable.arguments.iter().map(|text| text.as_c_str()).collect();
    let (pid, handle) = exec::launch(&Launch {
        path: &executable.path,
        arguments: &arguments,
        descriptors: &[channel::raw(&theirs), family.arena.file()?, family::doorbell()],
        detached: false,
        // So the keeper knows of it, and ends it if this process dies, before the program has begun.
        born: &|pid| member.set_alive(id.generation, pid),
    })?;
    drop(theirs);
    member.pidfd_inode.store(pidfd::inode(pidfd::raw(&handle)), Ordering::Release);
    family::tell_of_birth(family.arena);
    await_child(&ours, &handle, executable).map(|()| (pid, handle))
}

/// Waits until the child says that it runs. If it does not, it is ended, and reaped.
fn await_child(ours: &OwnedFd, handle: &OwnedFd, executable: &Executable) -> Result<()> {
    let mut message = [0; MESSAGE];
    let answer = await_answer(channel::raw(ours), pidfd::raw(handle), &mut message);
    if matches!(answer, Ok(Some(_))) && message[0] == Answer::Ready as u8 {
        return Ok(());
    }
    let ending = end(handle);
    let path = executable.path.to_string_lossy();
    let path = if path == "/proc/self/exe" { "this program".into() } else { path };
    Err(match answer? {
        Some(len) if message[0] == Answer::NoFunction as u8 => Error::Function(text(&message[1..len]).into()),
        Some(len) => Error::Broken(text(&message[1..len.max(1)]).into()),
        None => {
            let how = match ending {
                Some(Exit::Code(code)) => format!("ended with {code}"),
                Some(Exit::Signal(signal)) => format!("was ended by signal {signal}"),
                None => "ended".into(),
            };
            let text = format!("a process of {path} {how} before it called carom_init: that must be first in main");
            Error::Broken(text.into())
        }
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Length of the child's answer; `None` if it has ended without one. Too late is an error.
fn await_answer(channel: RawFd, handle: RawFd, message: &mut [u8; MESSAGE]) -> Result<Option<usize>> {
    let deadline = now_ns() + PATIENCE_NS;
    loop {
        let dead = pidfd::is_dead(handle);
        match channel::receive(channel, message)? {
            Some(0) => return Ok(None),
            Some(len) => return Ok(Some(len)),
            // Other processes, forked meanwhile, may have the child's end too.
            None if dead => return Ok(None),
            None => {}
        }
        match descriptor::poll_either([channel, handle], Some(deadline)) {
            Ok(true) | Err(Error::Interrupted) => {}
            Ok(false) => {
                let text = "a process did not call carom_init within 10 seconds: that must be first in main";
                return Err(Error::Broken(text.into()));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Ends a child that is not to be.
fn end(handle: &OwnedFd) -> Option<Exit> {
    let _ = pidfd::signal(pidfd::raw(handle), 9);
    loop {
        match pidfd::reap(pidfd::raw(handle)).0 {
            Reaped::Running => _ = descriptor::poll_readable(pidfd::raw(handle), None),
            Reaped::Exit(exit) => return Some(exit),
            Reaped::Unknown => return None,
        }
    }
}

/// The member that was to be started is not there, and will not be.
pub fn give_up(family: Family, id: MemberId) {
    let member = family.arena.member(id.slot);
    repair::repair(family.arena, id, family.me.slot);
    member.forget(id.generation);
    futex::wake(futex::low_half(&member.pidfd_inode), 1);
}
