//! The family of this process: how it begins, who this process is in it, and how a process of it
//! waits for another without ever waiting for the dead.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::keeper;
use crate::shm::arena::Arena;
use crate::shm::identity;
use crate::shm::member::{Inherits, Member, MemberId, NOBODY, Role};
use crate::shm::memory::Deadline;
use crate::start::child;
use crate::sys::clock::now_ns;
use crate::sys::{descriptor, elf, fork, futex, pidfd, robust};
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering, fence};

/// This process in its family. Free to copy; proof that there is an arena and that calls may go on.
#[derive(Clone, Copy)]
pub struct Family {
    /// What the family shares.
    pub arena: Arena,
    /// This process.
    pub me: MemberId,
}

/// The eventfd that wakes the keeper; -1 before there is a family.
static DOORBELL: AtomicI32 = AtomicI32::new(-1);

/// Pid of the process that is founding a family, 0 when none is. Not a mutex: a child forked meanwhile
/// must be able to see that the founder is another process.
static FOUNDING: AtomicU32 = AtomicU32::new(0);

/// The family of this process; begins one if there is none.
#[inline(always)]
pub fn current() -> Result<Family> {
    match (Arena::get(), identity::get()) {
        (Some(arena), Some(me)) => Ok(Family { arena, me }),
        _ => begin(),
    }
}

/// The family of this process, if it has one.
#[inline(always)]
pub fn current_if_there() -> Option<Family> {
    Some(Family { arena: Arena::get()?, me: identity::get()? })
}

/// Whether this process was forked from a member without carom, and has not attached.
pub fn is_forked() -> bool {
    Arena::get().is_some() && identity::get().is_none()
}

#[cold]
fn begin() -> Result<Family> {
    let pid = fork::pid();
    loop {
        match FOUNDING.compare_exchange(0, pid, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => break,
            Err(founder) if founder == pid => {
                std::thread::yield_now();
            }
            // A child forked while its parent was founding: the parent's attempt is not ours.
            Err(founder) => {
                let _ = FOUNDING.compare_exchange(founder, 0, Ordering::AcqRel, Ordering::Acquire);
            }
        }
    }
    let result = match (Arena::get(), identity::get()) {
        (Some(arena), Some(me)) => Ok(Family { arena, me }),
        // Not to be asked before: another thread that founds has the arena first, and its member later.
        (Some(_), None) => Err(Error::Forked),
        (None, _) => found(),
    };
    FOUNDING.store(0, Ordering::Release);
    result
}

fn found() -> Result<Family> {
    child::refuse_to_found()?;
    identity::create()?;
    let doorbell = descriptor::event_counter()?;
    let arena = Arena::create()?;
    // For children that fork without carom, and attach.
    elf::before_fork();
    DOORBELL.store(doorbell.into_raw_fd(), Ordering::Release);
    join(arena, Inherits::Nothing)
}

fn join(arena: Arena, inherits: Inherits) -> Result<Family> {
    let me = Member::claim(arena, NOBODY, Role::Host, inherits)?;
    let member = arena.member(me.slot);
    let handle = pidfd::open(fork::pid());
    if let Ok(handle) = &handle {
        member.pidfd_inode.store(pidfd::inode(pidfd::raw(handle)), Ordering::Release);
    }
    member.set_alive(me.generation, fork::pid());
    tell_of_birth(arena);
    identity::set(me);
    Ok(Family { arena, me })
}

/// This process was started to be `me`, by a member that it inherits nothing from but these descriptors. False if it
/// must not go on, since its parent is dead and its place has been taken away.
pub fn enter(file: OwnedFd, doorbell: OwnedFd, me: MemberId) -> Result<Option<Family>> {
    identity::create()?;
    let arena = Arena::attach(file)?;
    elf::before_fork();
    DOORBELL.store(doorbell.into_raw_fd(), Ordering::Release);
    if arena.member(me.slot).pid.load(Ordering::Acquire) != fork::pid() {
        return Err(Error::Broken(
            "carom_init was called in another process than was started: a script must exec".into(),
        ));
    }
    Ok(be(arena, me).then_some(Family { arena, me }))
}

/// Makes a process that was forked without carom a member again. Nothing to do in a member.
pub fn attach() -> Result<()> {
    match Arena::get() {
        Some(arena) if identity::get().is_none() => {
            pidfd::check()?;
            join(arena, Inherits::Everything).map(|_| ())
        }
        _ => current().map(|_| ()),
    }
}

/// In a child that carom forked: this process is `me` now. False if it must not go on, since its parent
/// is dead and its place has been taken away.
pub fn be(arena: Arena, me: MemberId) -> bool {
    let lives = be_quietly(arena, me);
    // After that store: a keeper that looks now finds a process to watch. Said by the child, which is there
    // even if its parent died right after the fork.
    tell_of_birth(arena);
    lives
}

/// The same where the parent tells the keeper: one page less that the child needs.
#[inline(always)]
pub fn be_quietly(arena: Arena, me: MemberId) -> bool {
    identity::set(me);
    arena.member(me.slot).set_alive(me.generation, fork::pid())
}

/// The descriptor that wakes the keeper.
pub fn doorbell() -> RawFd {
    DOORBELL.load(Ordering::Acquire)
}

/// Tells the keeper to look around.
pub fn ring() {
    descriptor::ring(doorbell());
}

/// There is a new member to watch. The keeper is told only if somebody sleeps already: whoever goes to sleep later
/// tells it, and the death of a member for which nobody waits may be found late.
pub fn tell_of_birth(arena: Arena) {
    let header = arena.header();
    header.unwatched.store(1, Ordering::Release);
    // One of the two sees the other: this the sleeper, or the sleeper (see `Sentry::alarm`) the birth.
    fence(Ordering::SeqCst);
    if arena.slots().any(|slot| arena.member(slot).asleep.load(Ordering::Relaxed) != 0) {
        ring();
    }
}

/// A thread of this process may sleep elsewhere, at a descriptor that others ring: as long as it is there, births are told
/// to the keeper as if it slept here.
pub struct Vigil {
    family: Family,
}

impl Vigil {
    /// Begins.
    pub fn new(family: Family) -> Vigil {
        family.arena.member(family.me.slot).asleep.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Vigil { family }
    }

    /// To be called before each such sleep: whoever was born unnoticed is watched from now on.
    pub fn begin_sleep(&self) {
        // An attempt that does not wait: it finds a keeper, or starts one.
        let _ = Sentry::new(self.family, Some(0)).alarm();
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        // In a forked child it is its parent's.
        if identity::get() == Some(self.family.me) {
            self.family.arena.member(self.family.me.slot).asleep.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Guards a sleep: the sleeper also hears of the keeper's death, starts the next one, and passes the
/// news on, even if it is killed at it.
///
/// The kernel wakes only one of those who sleep on a dead keeper's word. Whoever is woken but needs no
/// keeper any more, and whoever is killed before it could start one, must wake the next: by [`Drop`], and
/// by the kernel, to which the word is announced as pending.
pub struct Sentry {
    family: Family,
    deadline: Deadline,
    armed: bool,
    counted: bool,
}

/// How long a sleeper waits before it tries again to start a keeper, for want of processes or memory.
const RETRY_NS: u64 = 10_000_000;

impl Sentry {
    /// A guard for one blocking call that ends at `deadline`.
    pub fn new(family: Family, deadline: Deadline) -> Sentry {
        Sentry { family, deadline, armed: false, counted: false }
    }

    /// To be asked before each sleep: the word whose change must end it, and its value. `None` if no keeper
    /// could be started and the deadline has passed: then the sleep ends at once.
    pub fn alarm(&mut self) -> Option<(&'static AtomicU32, u32)> {
        let header = self.family.arena.header();
        let word = &header.keeper.word;
        if !self.counted {
            self.family.arena.member(self.family.me.slot).asleep.fetch_add(1, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.counted = true;
        }
        if header.member_high.load(Ordering::Acquire) < 2 {
            return Some((word, word.load(Ordering::Acquire)));
        }
        // Each time: a critical section of the library, since the last sleep, has announced its own word.
        robust::pending_set(word);
        self.armed = true;
        let seen = loop {
            if let Some(seen) = header.keeper.living_word() {
                break seen;
            }
            if keeper::start(self.family).is_ok() {
                continue;
            }
            // Without a keeper the sleep could not end by a death: a nap, and another try.
            let now = now_ns();
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                return None;
            }
            let nap = now + RETRY_NS;
            let until = self.deadline.map_or(nap, |deadline| deadline.min(nap));
            futex::wait(word, word.load(Ordering::Acquire), None, Some(until));
        };
        if header.unwatched.load(Ordering::Acquire) != 0 {
            ring();
        }
        Some((word, seen))
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        if self.counted {
            self.family.arena.member(self.family.me.slot).asleep.fetch_sub(1, Ordering::Relaxed);
        }
        if self.armed {
            let keeper = &self.family.arena.header().keeper;
            if !keeper.lives() {
                futex::wake(&keeper.word, 1);
            }
            robust::pending_clear();
        }
    }
}
