//! The template as the host looks after it: made with the pool, and made again if it dies.
#![forbid(unsafe_code)]

use super::Pool;
use super::template::Template;
use crate::capsule::Writer;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::keeper;
use crate::log;
use crate::shm::cell::Kind;
use crate::shm::member::{Inherits, MemberId};
use crate::shm::plan::{Phase, PlanRef};
use crate::start::Method;
use crate::sys::clock::now_ns;
use crate::sys::crash;
use crate::sys::descriptor::Poll;
use crate::wire::{self, Argument};
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, PoisonError};

/// The last attempt to make a template.
#[derive(Default)]
pub(super) struct Spawned {
    at_ns: u64,
    /// Which template there was before.
    after: u64,
    /// Which it is, once it is forked.
    id: Option<MemberId>,
}

/// What [`Pool::fd`] gives: readable for news, and when the template dies, which can tell of nothing then.
pub(super) struct Watch {
    pub poll: Poll,
    /// The template, and which one it is.
    pub template: Option<(OwnedFd, u64)>,
}

/// A template that has not taken its place for so long is made again; a surplus one finds the place taken, and
/// leaves.
pub(super) const START_NS: u64 = 1_000_000_000;

/// Bits of a liveness word that name its holder.
pub(super) const HOLDER: u32 = 0x3fff_ffff;

/// What a template that has no copy of the host's memory is to know.
fn duty_of(index: u64, capture_stderr: bool, capsules: Option<&Path>) -> Result<Vec<u8>> {
    let capsules = capsules.map_or(Argument::Nil, |path| Argument::String(path.as_os_str().as_bytes()));
    wire::to_vec(&[Argument::Integer(index as i64), Argument::Bool(capture_stderr), capsules])
}

/// The template that a duty of [`duty_of`] is of, in its process.
pub fn template_of(family: Family, duty: &[u8], bells: [RawFd; 2]) -> Result<Template> {
    let gone = || Error::Broken("the pool of a template is gone".into());
    let (Argument::Integer(index), Argument::Bool(capture_stderr)) =
        (wire::argument(duty, 0)?, wire::argument(duty, 1)?)
    else {
        return Err(gone());
    };
    let cell = family.arena.cell(index as u64).filter(|cell| cell.kind() == Kind::Pool).ok_or_else(gone)?;
    let plan = PlanRef::open(family.arena, cell.block.load(Acquire))?;
    let capsules = match wire::argument(duty, 2)? {
        Argument::String(path) => Some(Path::new(OsStr::from_bytes(path))),
        _ => None,
    };
    crash::warm_up();
    Ok(Template::new(plan, index as u64, bells, capture_stderr, writer_of(capsules)))
}

/// The directory may be gone by now, which is no reason to have no workers.
fn writer_of(capsules: Option<&Path>) -> Option<Arc<Writer>> {
    let writer = Writer::new(capsules?);
    writer.inspect_err(|error| log::warning(format_args!("no capsules: {error}"))).ok().map(Arc::new)
}

impl Pool {
    pub(super) fn spawn_template(&self) -> Result<MemberId> {
        let after = self.plan.plan().template_id.load(Acquire);
        let spawned = || self.spawned.lock().unwrap_or_else(PoisonError::into_inner);
        *spawned() = Spawned { at_ns: now_ns(), after, id: None };
        let index = self.family.arena.cell_index(self.cell);
        if self.method != Method::Fork {
            let duty = duty_of(index, self.capture_stderr, self.capsules.as_deref())?;
            let given = [self.doorbell.as_raw_fd(), self.notify.as_raw_fd()];
            let id = keeper::spawn_anew(self.family, self.method, index, &duty, &given)?;
            spawned().id = Some(id);
            return Ok(id);
        }
        crash::warm_up();
        let bells = [self.doorbell.as_raw_fd(), self.notify.as_raw_fd()];
        let duty = Template::new(self.plan, index, bells, self.capture_stderr, writer_of(self.capsules.as_deref()));
        let id = keeper::spawn(self.family, Inherits::Everything, index, duty)?;
        spawned().id = Some(id);
        Ok(id)
    }

    /// If the template died, or never came to its place: its workers die with it, and a new one takes their
    /// lanes over. Forked by whoever finds out, for want of another.
    pub(super) fn mind_template(&self) -> Result<()> {
        let plan = self.plan.plan();
        let vacant = || !self.freed.load(Acquire) && plan.template.word.load(Acquire) & HOLDER == 0;
        if self.inline.is_some() || !vacant() || self.plan.phase() == Phase::Ended {
            return Ok(());
        }
        let due = self.spawned.try_lock().is_ok_and(|spawned| {
            let on_its_way = spawned.after == plan.template_id.load(Acquire);
            let gone = || spawned.id.is_some_and(|id| keeper::is_gone(self.family.arena, id));
            vacant() && (!on_its_way || gone() || now_ns() > spawned.at_ns + START_NS)
        });
        if due { self.spawn_template().map(|_| ()) } else { Ok(()) }
    }
}
