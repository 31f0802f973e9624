//! Start method fork, on both sides, whoever forks; and what every process of ours does around the user's function.
#![forbid(unsafe_code)]

use super::handshake::{self, News};
use super::traits::Traits;
use crate::call::{Call, Input, Output};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::pool::hosted::Place;
use crate::shm::arena::Arena;
use crate::shm::identity;
use crate::shm::member::MemberId;
use crate::shm::repair;
use crate::sys::clock::now_ns;
use crate::sys::setup::Environment;
use crate::sys::{birth, channel, descriptor, fork, futex, own, pidfd};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;

/// What a process is called.
pub struct Label {
    /// "Process-1:2", or what the host said.
    pub name: Box<CStr>,
    /// "1:2": which child of which child.
    pub identity: Box<CStr>,
}

/// What a forked child does.
pub enum Duty {
    /// Runs a function with arguments, encoded.
    Function {
        /// Where the function is.
        address: usize,
        /// What it gets.
        arguments: Vec<u8>,
    },
    /// Is a pool's worker.
    Worker(Place),
}

/// All that a forked child needs, made before the fork: it allocates nothing.
pub struct Plan {
    family: Family,
    id: MemberId,
    duty: Duty,
    label: Label,
    traits: Traits,
    environment: Option<Environment>,
    /// Both ends of a channel, on which the child says whether it could become what it is to be; `None` where that
    /// cannot fail.
    channel: Option<(OwnedFd, OwnedFd)>,
}

impl Plan {
    /// The child `id` of this process.
    pub fn new(family: Family, id: MemberId, duty: Duty, label: Label, mut traits: Traits) -> Result<Plan> {
        let channel = if traits.are_usual() { None } else { Some(channel::pair()?) };
        let environment = traits.environment.take().map(Environment::new);
        Ok(Plan { traits, environment, channel, ..Plan::usual(family, id, duty, label) })
    }

    /// The worker `id` of a pool.
    pub fn of_worker(family: Family, id: MemberId, place: Place, label: Label) -> Plan {
        Plan::usual(family, id, Duty::Worker(place), label)
    }

    fn usual(family: Family, id: MemberId, duty: Duty, label: Label) -> Plan {
        family.arena.header().unwatched.store(1, Ordering::Release);
        Plan { family, id, duty, label, traits: Traits::default(), environment: None, channel: None }
    }

    /// Forks: pid and descriptor of the child.
    pub fn fork(self) -> Result<(u32, OwnedFd)> {
        fork::flush_streams();
        match birth::fork_child() {
            Err(error) => {
                self.give_up();
                Err(error)
            }
            Ok(fork::Side::Child) => self.be(),
            Ok(fork::Side::Parent(pid)) => self.greet(pid).map(|handle| (pid, handle)),
        }
    }

    /// In the parent, right after the fork: a descriptor of the child, once that may run.
    pub fn greet(self, pid: u32) -> Result<OwnedFd> {
        let (met, duty) = self.meet(pid);
        match (&met, duty) {
            (Ok((id, _)), Duty::Worker(place)) => place.is_taken(*id, pid),
            (Err(_), Duty::Worker(place)) => place.is_free(),
            _ => {}
        }
        met.map(|(_, handle)| handle)
    }

    fn meet(self, pid: u32) -> (Result<(MemberId, OwnedFd)>, Duty) {
        let Plan { family, id, duty, channel, .. } = self;
        let member = family.arena.member(id.slot);
        let opened = pidfd::open(pid);
        if let Ok(handle) = &opened {
            member.pidfd_inode.store(pidfd::inode(handle.as_raw_fd()), Ordering::Release);
            futex::wake(futex::low_half(&member.pidfd_inode), 1);
        }
        member.set_alive(id.generation, pid);
        // Once more after that store: a keeper that looked in between saw nobody to watch. Should this process die
        // before it, the keeper looks at everybody for its sake.
        family::tell_of_birth(family.arena);
        let met = opened.and_then(|handle| {
            let Some((ours, theirs)) = channel else { return Ok(handle) };
            drop(theirs);
            match handshake::listen(&ours, Some(&handle))? {
                News::Runs(_) => Ok(handle),
                News::Refuses(error) => Err(error),
                News::Ended => Err(Error::Broken("the process ended before it ran its function".into())),
            }
        });
        let met = met.inspect_err(|_| {
            // The child still waits for it, see `await_parent`, or has refused: nothing of the user's has run.
            fork::kill_and_reap(pid);
            repair::repair(family.arena, id, family.me.slot);
            member.forget(id.generation);
        });
        (met.map(|handle| (id, handle)), duty)
    }

    /// There will be no child.
    pub fn give_up(self) {
        repair::abandon(self.family.arena, self.id, self.family.me.slot);
        if let Duty::Worker(place) = self.duty {
            place.is_free();
        }
    }

    /// In the child. Writes as few pages as it can: what parent and child share since the fork is copied, page by
    /// page, as soon as one of them writes to it. Of code, too, every 64 KiB are a page fault: so all that a child runs
    /// before and after the user's function is inlined here.
    #[inline(always)]
    pub fn be(self) -> ! {
        let Plan { family, id, .. } = self;
        if !family::be_quietly(family.arena, id) {
            fork::leave_at_once(1);
        }
        fork::purge_streams();
        if self.traits.signals.is_none() {
            fork::default_signals(&[]);
        }
        match self.channel {
            None => descriptor::stdin_from_null(),
            Some((_, theirs)) => become_special(&self.traits, self.environment, theirs.as_raw_fd()),
        }
        fork::catch_exit(record_exit);
        own::set_name(Box::leak(self.label.name));
        own::set_identity(Box::leak(self.label.identity));
        await_parent(family, id);
        match self.duty {
            Duty::Function { address, arguments } => run_target(address, arguments.leak(), &[]),
            Duty::Worker(place) => place.work(),
        }
    }
}

#[cold]
#[inline(never)]
fn become_special(traits: &Traits, environment: Option<Environment>, channel: RawFd) {
    if let Some(environment) = environment {
        environment.assume();
    }
    match traits.place_streams().and_then(|()| traits.assume()) {
        Ok(()) => handshake::say(channel, handshake::Answer::Ready, &[], &[]),
        Err(failure) => {
            handshake::say(channel, handshake::Answer::Failure, &failure.to_bytes(), &[]);
            fork::leave_at_once(255)
        }
    }
}

#[inline(always)]
fn run_target(address: usize, arguments: &'static [u8], descriptors: &'static [(RawFd, RawFd)]) -> ! {
    let mut call = Call::new(Input::Encoded(arguments), Output::Nowhere);
    call.descriptors = descriptors;
    let result = call.run_first(address).unwrap_or(255);
    fork::leave_after(if (0..=255).contains(&result) { result } else { 255 }, record_exit)
}

/// In a process that has no copy of its parent's memory, and is a member: runs what it was started for. `descriptors`:
/// what the parent called them, and what they are here.
#[inline(always)]
pub fn run_given(label: Label, address: usize, arguments: &'static [u8], descriptors: Vec<(RawFd, RawFd)>) -> ! {
    fork::catch_exit(record_exit);
    own::set_name(Box::leak(label.name));
    own::set_identity(Box::leak(label.identity));
    run_target(address, arguments, descriptors.leak())
}

/// In a child: it must neither run nor end before its parent has a descriptor for it. Where the host reaps
/// every child at once there would be nothing left to open, and nobody could tell how it ended; where there is
/// no room for a descriptor the start must fail as if there had been none. Hardly ever waits: the parent opens
/// it first thing after the fork. `LOOK_NS`: only against a parent that died before its wake.
#[inline(always)]
fn await_parent(family: Family, id: MemberId) {
    if family.arena.member(id.slot).pidfd_inode.load(Ordering::Acquire) == 0 {
        sleep_until_known(family, id);
    }
}

#[cold]
#[inline(never)]
fn sleep_until_known(family: Family, id: MemberId) {
    const LOOK_NS: u64 = 10_000_000;
    let parent = family.arena.member(family.me.slot).pid.load(Ordering::Acquire);
    let known = &family.arena.member(id.slot).pidfd_inode;
    while known.load(Ordering::Acquire) == 0 {
        if fork::parent() != parent {
            fork::leave_at_once(1);
        }
        futex::wait(futex::low_half(known), 0, None, Some(now_ns() + LOOK_NS));
    }
}

/// The process itself says how it ends, for hosts that reap or ignore everything.
#[inline]
fn record_exit(code: i32) {
    if let (Some(arena), Some(me)) = (Arena::get(), identity::get()) {
        arena.member(me.slot).record_exit(code);
    }
}
