//! The keeper: the one small server program of ours.
//!
//! A single-threaded event loop in a process of its own, forked twice so that it is nobody's child:
//! a host that waits for its children neither finds nor awaits it. Its duties are switched on as
//! needed:
//! - *repair* ([`watch`]): one keeper of the family at a time, the holder of the liveness word, watches
//!   every member, repairs after each death and ends the children of the dead;
//! - *template* of a pool: forks its workers, replaces them, enforces their limits.
//!
//! It runs in a forked child of a program with threads, so it allocates nothing, takes no lock of the
//! process and runs no foreign code. It closes every descriptor that is not its own.
#![forbid(unsafe_code)]

pub mod watch;

use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::log;
use crate::shm::arena::Arena;
use crate::shm::member::{Inherits, Member, MemberId, Role, State};
use crate::shm::repair;
use crate::start::forked::Label;
use crate::start::handshake::Part;
use crate::start::traits::Traits;
use crate::start::{self, Method, letter};
use crate::sys::clock::now_ns;
use crate::sys::descriptor::{self, Poll};
use crate::sys::seeded::bug;
use crate::sys::{birth, fork, futex, limits, pidfd, robust};
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{Acquire, Release};
use watch::Watch;

/// What a keeper does besides repair.
pub trait Duty {
    /// Descriptors of the host that it needs.
    fn descriptors(&self) -> [i32; 2];
    /// Called once, in the keeper's process.
    fn begin(&mut self, me: Family, poll: &Poll) -> Result<()>;
    /// One of its keys is readable.
    fn ready(&mut self, key: u64);
    /// Looks around; the instant at which it wants to look again without being woken.
    fn look(&mut self) -> Option<u64>;
    /// Whether there is nothing left to do.
    fn is_over(&self) -> bool;
}

/// No duty besides repair.
pub struct Nothing;

impl Duty for Nothing {
    fn descriptors(&self) -> [i32; 2] {
        [-1; 2]
    }
    fn begin(&mut self, _: Family, _: &Poll) -> Result<()> {
        Ok(())
    }
    fn ready(&mut self, _: u64) {}
    fn look(&mut self) -> Option<u64> {
        None
    }
    fn is_over(&self) -> bool {
        true
    }
}

/// Keys of the keeper's own descriptors; members are their slot, duties begin at [`DUTY`].
const BELL: u64 = 1 << 32;
/// First key of a duty.
pub const DUTY: u64 = 2 << 32;

/// How long a starter waits for its candidate to take the word before it tries again.
const START_NS: u64 = 1_000_000_000;

/// How often whoever waits for a keeper looks whether it died on its way.
pub const LOOK_NS: u64 = 5_000_000;

/// Whether a keeper that was spawned is dead, as far as its number tells: one that was given away again, within a
/// second, only makes the caller wait for that second.
pub fn is_gone(arena: Arena, keeper: MemberId) -> bool {
    let member = arena.member(keeper.slot);
    let there = member.identity() == (State::Alive, keeper.generation);
    !there || pidfd::is_gone(member.pid.load(Acquire))
}

/// Makes sure that the family has a living keeper. May be called by any member, several at once: the
/// candidates race for the word, and the losers leave.
pub fn start(family: Family) -> Result<()> {
    let keeper = &family.arena.header().keeper;
    while !keeper.lives() {
        let seen = keeper.word.load(Acquire);
        let candidate = spawn(family, Inherits::Nothing, 0, Nothing)?;
        let deadline = now_ns() + START_NS;
        while !keeper.lives() && now_ns() < deadline && !is_gone(family.arena, candidate) {
            futex::wait(&keeper.word, seen, None, Some(now_ns() + LOOK_NS));
        }
    }
    Ok(())
}

/// Forks a keeper with a duty. `works_for`: index of the pool's cell, 0 for none.
pub fn spawn<D: Duty>(family: Family, inherits: Inherits, works_for: u64, duty: D) -> Result<MemberId> {
    let arena = family.arena;
    pidfd::check()?;
    for _ in 0..ATTEMPTS {
        let id = Member::claim(arena, family.me, Role::Keeper, inherits)?;
        let member = arena.member(id.slot);
        member.works_for.store(works_for, Release);
        fork::flush_streams();
        let failed = match birth::fork_child() {
            Err(error) => Some(error),
            Ok(fork::Side::Child) => match birth::fork_child() {
                Ok(fork::Side::Child) => run(arena, id, duty),
                Ok(fork::Side::Parent(pid)) => {
                    // So that whoever waits for it can find out that it died before it said anything itself.
                    member.set_alive(id.generation, pid);
                    family::tell_of_birth(arena);
                    fork::leave_at_once(0)
                }
                Err(Error::Os { errno, .. }) => fork::leave_at_once(errno),
                Err(_) => fork::leave_at_once(libc_eagain()),
            },
            Ok(fork::Side::Parent(pid)) => match fork::wait_for(pid) {
                0 => return Ok(id),
                fork::KILLED if !bug("keeper: a death between the forks is an error") => None,
                errno => Some(Error::Os { call: "fork", errno }),
            },
        };
        member.give_up(id.generation);
        match failed {
            Some(error) => return Err(error),
            // Somebody killed the one between us and the keeper, which may have been born before, and then goes on; or
            // is about to be, and finds its claim given up.
            None if member.identity() == (State::Alive, id.generation) => return Ok(id),
            None => {}
        }
    }
    Err(Error::Os { call: "fork", errno: libc_eagain() })
}

/// Starts a template that has nothing of this process's memory: what it is to know is `duty`, encoded, and `given` are
/// descriptors of this process that it gets.
pub fn spawn_anew(family: Family, method: Method, works_for: u64, duty: &[u8], given: &[RawFd]) -> Result<MemberId> {
    let id = Member::claim(family.arena, family.me, Role::Keeper, Inherits::Nothing)?;
    family.arena.member(id.slot).works_for.store(works_for, Release);
    let (label, traits) = (Label { name: c"Template".into(), identity: c"".into() }, Traits::default());
    let written = letter::write(family.arena, id, &label, &traits, given, &[], duty);
    let begun = written.and_then(|()| start::begin(family, method, id, Part::Template, &traits, given));
    begun.map(|_| id).inspect_err(|_| start::spawn::give_up(family, id))
}

/// How often somebody may kill the process between the two forks.
const ATTEMPTS: u32 = 16;

fn libc_eagain() -> i32 {
    11
}

/// Is the keeper `id`, until its duty is over.
pub fn run<D: Duty>(arena: Arena, id: MemberId, mut duty: D) -> ! {
    if !family::be(arena, id) {
        fork::leave_at_once(0);
    }
    let me = Family { arena, me: id };
    let mut keep = [family::doorbell(); 4];
    // Workers start processes that do not inherit the mapping.
    keep[1] = Arena::file_number();
    keep[2..].copy_from_slice(&duty.descriptors());
    keep.sort_unstable();
    // What could not be flushed, or came since, is the host's to write.
    fork::purge_streams();
    fork::default_signals(birth::IGNORED);
    fork::set_title(c"carom-keeper");
    fork::lead_group();
    descriptor::close_all_but(&keep);
    // Whoever reads what the host writes must see its end when the host closes it; only workers of a
    // duty have something to write, and the log needs stderr.
    descriptor::streams_from_null(match (duty.is_over(), log::enabled(log::Level::Info)) {
        (true, false) => &[0, 1, 2],
        (true, true) => &[0, 1],
        (false, _) => &[0],
    });
    limits::raise_descriptors();
    robust::own_list();
    log::info(format_args!("keeper begins"));
    match serve(me, &mut duty) {
        Ok(()) => log::info(format_args!("keeper ends")),
        Err(error) => log::error(format_args!("keeper ends: {error}")),
    }
    fork::leave_at_once(0);
}

fn serve<D: Duty>(me: Family, duty: &mut D) -> Result<()> {
    let poll = Poll::new()?;
    duty.begin(me, &poll)?;
    let mut watch = Watch::new(me, &poll);
    let mut retired = false;
    loop {
        if !watch.has_duty() && take_word(me) {
            watch.begin(&poll)?;
            poll.add(family::doorbell(), BELL)?;
        }
        if watch.has_duty() {
            watch.look(&poll);
        } else if duty.is_over() {
            return Ok(());
        } else {
            watch.watch_holder(&poll);
        }
        let again = duty.look();
        if duty.is_over() {
            if !retired {
                retire(me);
                retired = true;
            }
            if !watch.has_duty() || watch.is_alone() {
                return Ok(());
            }
        }
        let mut keys = [0; 64];
        let count = poll.wait(&mut keys, again.map(|instant| instant.saturating_sub(now_ns())));
        // Those who wait for the duty wait longer: a worker's successor comes before the repair of its death.
        let keys = &keys[..count];
        keys.iter().filter(|key| **key >= DUTY).for_each(|key| duty.ready(*key));
        for key in keys.iter().filter(|key| **key < DUTY) {
            match *key {
                BELL => descriptor::hush(family::doorbell()),
                slot => watch.died(slot as u32),
            }
        }
    }
}

/// The duty is over, and nobody runs what this process inherited: it needs nothing of it any more.
fn retire(me: Family) {
    let member = me.arena.member(me.me.slot);
    member.works_for.store(0, Release);
    member.inherits.store(0, Release);
    repair::collect(me.arena, me.me.slot);
}

/// Takes the family's liveness word if its holder is dead or there was none. Whoever may have been left
/// asleep by the last holder is woken: those who wait on the word, and everybody else.
fn take_word(me: Family) -> bool {
    let keeper = &me.arena.header().keeper;
    if !robust::hold_for_life(&keeper.word, &keeper.link) {
        return false;
    }
    log::debug(format_args!("keeper has the duty of repair"));
    futex::wake(&keeper.word, u32::MAX);
    repair::wake_everybody(me.arena);
    true
}
