//! Start method spawn, as the parent sees it.
//!
//! The child gets three descriptors of ours: a channel, on which its certificate waits, the arena, and the doorbell.
#![forbid(unsafe_code)]

use super::executable::{self, Executable};
use super::handshake::{self, Certificate, News, Part};
use super::traits::Traits;
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::shm::member::MemberId;
use crate::shm::repair;
use crate::sys::exec::{self, Launch};
use crate::sys::pidfd::{self, Exit, Reaped};
use crate::sys::setup::{self, Environment};
use crate::sys::{channel, descriptor};
use std::ffi::CStr;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::Ordering;

/// A process that was started, and that said so.
pub struct Begun {
    /// Its process id.
    pub pid: u32,
    /// A descriptor of it.
    pub handle: OwnedFd,
    /// The parent's end of the channel.
    pub channel: OwnedFd,
}

/// Starts the program as the member `id`, whose letter is written, to do its `part`, and waits until it does. What `given`
/// names reaches it too.
pub fn start(family: Family, id: MemberId, part: Part, traits: &Traits, given: &[RawFd]) -> Result<Begun> {
    let executable = executable::current()?;
    let (channel, theirs) = channel::pair()?;
    let method = super::default_if_set().map_or(0, |method| method as u32);
    channel::send(channel::raw(&channel), &Certificate { member: id, part, method }.to_bytes())?;
    let member = family.arena.member(id.slot);
    let arguments: Vec<&CStr> = executable.arguments.iter().map(|text| text.as_c_str()).collect();
    let environment = traits.environment.clone().map(Environment::new);
    let ours = [channel::raw(&theirs), family.arena.file()?, family::doorbell()];
    let (pid, handle) = exec::launch(&Launch {
        path: &executable.path,
        arguments: &arguments,
        environment: environment.as_ref().map_or_else(setup::environment, Environment::as_ptr),
        streams: traits.stream_numbers(),
        signals: traits.signals,
        descriptors: &[&ours, given].concat(),
        // A host that waits for its children neither finds nor awaits what is not its process.
        detached: part != Part::Process,
        // So the keeper knows of it, and ends it if this process dies, before the program has begun.
        born: &|pid| member.set_alive(id.generation, pid),
    })?;
    drop(theirs);
    member.pidfd_inode.store(pidfd::inode(pidfd::raw(&handle)), Ordering::Release);
    family::tell_of_birth(family.arena);
    let problem = match handshake::listen(&channel, Some(&handle)) {
        Ok(News::Runs(_)) => return Ok(Begun { pid, handle, channel }),
        Ok(News::Refuses(error)) | Err(error) => Some(error),
        Ok(News::Ended) => None,
    };
    let ending = end(&handle, pid, part == Part::Process);
    Err(problem.unwrap_or_else(|| ended_early(executable, ending)))
}

fn ended_early(executable: &Executable, ending: Option<Exit>) -> Error {
    let path = executable.path.to_string_lossy();
    let path = if path == "/proc/self/exe" { "this program".into() } else { path };
    let how = match ending {
        Some(Exit::Code(code)) => format!("ended with {code}"),
        Some(Exit::Signal(signal)) => format!("was ended by signal {signal}"),
        None => "ended".into(),
    };
    Error::Broken(format!("a process of {path} {how} before it called carom_init: that must be first in main").into())
}

/// Ends a process that is not to be; it may be `our` child, or nobody's.
fn end(handle: &OwnedFd, pid: u32, our: bool) -> Option<Exit> {
    let _ = pidfd::signal(pidfd::raw(handle), 9);
    loop {
        let look = || if our { pidfd::reap(pidfd::raw(handle)).0 } else { pidfd::look_at(pidfd::raw(handle), pid) };
        match look() {
            Reaped::Running => _ = descriptor::poll_readable(pidfd::raw(handle), None),
            Reaped::Exit(exit) => return Some(exit),
            Reaped::Unknown => return None,
        }
    }
}

/// The member that was to be started is not there, and will not be.
pub fn give_up(family: Family, id: MemberId) {
    if family.arena.member(id.slot).is_disowned() {
        return;
    }
    repair::repair(family.arena, id, family.me.slot);
    family.arena.member(id.slot).forget(id.generation);
}
