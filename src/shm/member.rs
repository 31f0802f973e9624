//! Members: one record per process of a family.
//!
//! What decides a member's fate is one word:
//! ```text
//! bit 63    60 59       48 47        36 35   32 31         8 7     4 3     0
//!    | flags  | parent    | repairer   |       | generation | flags | state |
//! ```
//! | state | set by | meaning |
//! |---|---|---|
//! | Free | repairer, parent | nobody |
//! | Claimed | the parent, before it forks | a child may exist soon |
//! | Alive | parent or child, whoever is first after the fork | a process |
//! | Dead | whoever has proof: a readable pidfd, a reaped child | awaits repair |
//! | Repairing | the repairer, named in the word | its traces are being removed |
//! | Gone | the repairer | repaired; the parent may still read its exit record |
//!
//! `FORGOTTEN`: the parent will not ask for the exit record any more.
//!
//! `REDO`: an earlier repairer died half-way: wake whoever may sleep, whatever the words say.

use super::arena::{Arena, MEMBERS};
use super::check::{broken, names};
use crate::error::{Error, Result};
use crate::sys::pidfd::Exit;
use crate::sys::robust;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

const STATE: u64 = 0xf;
const REDO: u64 = 1 << 4;
const FORGOTTEN: u64 = 1 << 5;
const GENERATION_SHIFT: u32 = 8;
const GENERATION: u64 = 0xff_ffff << GENERATION_SHIFT;
const REPAIRER_SHIFT: u32 = 36;
const REPAIRER: u64 = 0xfff << REPAIRER_SHIFT;
const PARENT_SHIFT: u32 = 48;
const PARENT: u64 = 0xfff << PARENT_SHIFT;

/// See the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
#[allow(missing_docs)]
pub enum State {
    Free = 0,
    Claimed = 1,
    Alive = 2,
    Dead = 3,
    Repairing = 4,
    Gone = 5,
}

impl State {
    fn of(word: u64) -> State {
        match word & STATE {
            0 => State::Free,
            1 => State::Claimed,
            2 => State::Alive,
            3 => State::Dead,
            4 => State::Repairing,
            _ => State::Gone,
        }
    }
}

/// What a member does in its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// The program that the family began with, or one that attached.
    Host = 1,
    /// A process that a program started.
    Process = 2,
    /// Repairs what the dead leave; may make workers.
    Keeper = 3,
    /// Runs tasks of a pool.
    Worker = 4,
    /// Forks processes for the one that started it, and ends with it.
    Server = 5,
}

/// One process of the family.
#[repr(C, align(64))]
pub struct Member {
    fate: AtomicU64,
    /// Process id. Written by parent and child, the same value.
    pub pid: AtomicU32,
    /// [`Role`]. Written with the claim.
    pub role: AtomicU32,
    /// Inode of its pidfd where the kernel tells processes apart by it (6.9 and later), else 0 or a
    /// constant. Written by the parent, read by whoever opens a pidfd by number, against reuse of the pid.
    pub pidfd_inode: AtomicU64,
    /// How it ended, as it said itself or whoever reaped it: `EXIT_RECORDED`, perhaps `EXIT_BY_SIGNAL`, and a number.
    exit: AtomicU32,
    /// Generation of the parent's slot. Written with the claim.
    parent_generation: AtomicU32,
    /// What it owes to its parent: [`Bond`]. Written by the parent after the claim.
    bond: AtomicU32,
    /// Threads of it that sleep until another process wakes them. Written by the member itself, and 0 with the claim.
    pub asleep: AtomicU32,
    /// Births at the moment whose memory it has: it may hold handles of objects born before. Written
    /// with the claim.
    pub inherits: AtomicU64,
    /// Index of the pool's cell that it works for, 0 for none. Written with the claim.
    pub works_for: AtomicU64,
    /// The block that says what it runs, where it has no copy of its parent's memory: see `start::letter`. 0 for none.
    /// Field of the heap; given back with the slot.
    pub letter: AtomicU64,
}

const _: () = assert!(size_of::<Member>() == 64);

/// What a process owes to its parent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bond {
    /// Ends with a clean end of it, rather than being joined.
    pub daemon: bool,
    /// Gets this signal when it dies: 0 for SIGKILL, -1 for none, since it outlives its parent.
    pub signal: i32,
}

const DAEMON: u32 = 1;
const OUTLIVES: u32 = 2;
const SIGNAL_SHIFT: u32 = 8;

impl Bond {
    fn to_bits(self) -> u32 {
        let signal = if self.signal < 0 { OUTLIVES } else { (self.signal as u32 & 0xff) << SIGNAL_SHIFT };
        signal | if self.daemon { DAEMON } else { 0 }
    }

    fn from_bits(bits: u32) -> Bond {
        let signal = if bits & OUTLIVES != 0 { -1 } else { (bits >> SIGNAL_SHIFT & 0xff) as i32 };
        Bond { daemon: bits & DAEMON != 0, signal }
    }
}

const EXIT_RECORDED: u32 = 1 << 31;
/// The rest is a signal, not a code.
const EXIT_BY_SIGNAL: u32 = 1 << 30;

/// A member, together with the generation of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberId {
    /// Index in the table.
    pub slot: u32,
    /// Which of the members that this slot had.
    pub generation: u32,
}

impl MemberId {
    /// As one word; never 0, for slot 0 is nobody's.
    #[inline(always)]
    pub fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The reverse.
    #[inline(always)]
    pub fn from_bits(bits: u64) -> MemberId {
        MemberId { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

fn generation_of(fate: u64) -> u32 {
    ((fate & GENERATION) >> GENERATION_SHIFT) as u32
}

impl Member {
    /// Claims a slot for a process that `parent` is about to make.
    pub fn claim(arena: Arena, parent: MemberId, role: Role, inherits: Inherits) -> Result<MemberId> {
        let header = arena.header();
        for slot in 1..MEMBERS as u32 {
            let member = arena.member(slot);
            let fate = member.fate.load(Acquire);
            if State::of(fate) != State::Free {
                continue;
            }
            header.member_high.fetch_max(slot, AcqRel);
            let claimed = (fate & GENERATION) | (parent.slot as u64) << PARENT_SHIFT | State::Claimed as u64;
            if member.fate.compare_exchange(fate, claimed, AcqRel, Relaxed).is_err() {
                continue;
            }
            let births = header.births.fetch_add(1, AcqRel) + 1;
            let inherits = match inherits {
                Inherits::Everything => births,
                Inherits::As(other) => arena.member(other).inherits.load(Acquire),
                Inherits::Nothing => 0,
            };
            member.inherits.store(inherits, Release);
            member.role.store(role as u32, Relaxed);
            member.pid.store(0, Relaxed);
            member.pidfd_inode.store(0, Relaxed);
            member.bond.store(0, Relaxed);
            member.asleep.store(0, Relaxed);
            member.works_for.store(0, Relaxed);
            member.parent_generation.store(parent.generation, Relaxed);
            member.exit.store(0, Release);
            return Ok(MemberId { slot, generation: generation_of(fate) });
        }
        Err(Error::NoMemory("the family has too many processes"))
    }

    /// What it owes to its parent.
    pub fn bond(&self) -> Bond {
        Bond::from_bits(self.bond.load(Acquire))
    }

    /// Says so, before there is a process.
    pub fn set_bond(&self, bond: Bond) {
        self.bond.store(bond.to_bits(), Release);
    }

    /// What it is now.
    pub fn state(&self) -> State {
        State::of(self.fate.load(Acquire))
    }

    /// Its state and generation, read at once.
    pub fn identity(&self) -> (State, u32) {
        let fate = self.fate.load(Acquire);
        (State::of(fate), generation_of(fate))
    }

    /// Slot of the process that made it.
    pub fn parent(&self) -> u32 {
        ((self.fate.load(Acquire) & PARENT) >> PARENT_SHIFT) as u32
    }

    /// Whether the process that made it lives. Those that nobody made have no parent to lose.
    pub fn has_parent(&self, arena: Arena) -> bool {
        let parent = self.parent();
        let (state, generation) = arena.member(parent).identity();
        let lives = matches!(state, State::Claimed | State::Alive);
        parent == 0 || lives && generation == self.parent_generation.load(Acquire)
    }

    /// Whether a living parent has the last word on the slot: to read how the process ended, or since it may be about
    /// to write down whom it forked, which must not hit the slot's next member. It ends with [`Member::forget`].
    pub fn is_asked_for(&self, arena: Arena) -> bool {
        let made = self.has_role(Role::Process) || self.has_role(Role::Worker);
        made && self.parent() != 0 && self.has_parent(arena)
    }

    /// Slot of the process that repairs it, while it is [`State::Repairing`].
    pub fn repairer(&self) -> u32 {
        ((self.fate.load(Acquire) & REPAIRER) >> REPAIRER_SHIFT) as u32
    }

    /// The role of the member.
    pub fn has_role(&self, role: Role) -> bool {
        self.role.load(Acquire) == role as u32
    }

    #[inline(always)]
    fn change(&self, generation: u32, from: &[State], to: impl Fn(u64) -> u64) -> Option<u64> {
        let mut fate = self.fate.load(Acquire);
        loop {
            if generation_of(fate) != generation || !from.contains(&State::of(fate)) {
                return None;
            }
            match self.fate.compare_exchange(fate, to(fate), AcqRel, Acquire) {
                Ok(_) => return Some(fate),
                Err(now) => fate = now,
            }
        }
    }

    /// The process exists; said by its parent and by itself. False if its slot was taken away, since
    /// its parent died: then it must not go on.
    #[inline(always)]
    pub fn set_alive(&self, generation: u32, pid: u32) -> bool {
        // Its slot may be another member's by now, whose pid this is not.
        if self.identity().1 != generation {
            return false;
        }
        self.pid.store(pid, Release);
        let alive = |fate: u64| (fate & !STATE) | State::Alive as u64;
        self.change(generation, &[State::Claimed], alive).is_some() || self.identity() == (State::Alive, generation)
    }

    /// Gives up a claim: there will be no process.
    pub fn give_up(&self, generation: u32) {
        self.change(generation, &[State::Claimed], freed);
    }

    /// The process never came to be, or its maker is dead and it must not: from now on [`Member::set_alive`] fails,
    /// and there is something to repair. False if it lives.
    pub fn cancel(&self, generation: u32) -> bool {
        self.change(generation, &[State::Claimed], |fate| (fate & !STATE) | State::Dead as u64).is_some()
    }

    /// The process is dead; the caller has proof.
    pub fn set_dead(&self, generation: u32) {
        self.change(generation, &[State::Claimed, State::Alive], |fate| (fate & !STATE) | State::Dead as u64);
    }

    /// Claims the repair for the process in `slot`. The answer says whether an earlier repairer died at it.
    pub fn begin_repair(&self, generation: u32, slot: u32) -> Option<bool> {
        let repairing =
            |fate: u64| (fate & !(STATE | REPAIRER)) | (slot as u64) << REPAIRER_SHIFT | State::Repairing as u64;
        self.change(generation, &[State::Dead], repairing).map(|fate| fate & REDO != 0)
    }

    /// The repair is done. The slot is free at once if no parent will ask for its exit.
    pub fn end_repair(&self, generation: u32, parent_asks: bool) {
        let gone = |fate: u64| (fate & !(STATE | REPAIRER | REDO)) | State::Gone as u64;
        let next = |fate: u64| if parent_asks && fate & FORGOTTEN == 0 { gone(fate) } else { freed(fate) };
        self.change(generation, &[State::Repairing], next);
    }

    /// The repairer died: somebody else must do it again.
    pub fn redo_repair(&self, generation: u32) {
        self.change(generation, &[State::Repairing], |fate| (fate & !(STATE | REPAIRER)) | REDO | State::Dead as u64);
    }

    /// The parent has what it wants to know, or is dead itself.
    pub fn forget(&self, generation: u32) {
        let unrepaired = [State::Alive, State::Dead, State::Repairing, State::Gone];
        let forgotten = |fate: u64| if State::of(fate) == State::Gone { freed(fate) } else { fate | FORGOTTEN };
        self.change(generation, &unrepaired, forgotten);
    }

    /// Whether its words are such as they can be; what it is.
    pub(super) fn check(&self, arena: Arena, slot: u32) -> Result<State> {
        let fate = self.fate.load(Acquire);
        let state = State::of(fate);
        if fate & STATE > State::Gone as u64 {
            return broken(format_args!("member {slot} is in state {}", fate & STATE));
        }
        let (pid, births) = (self.pid.load(Acquire), arena.header().births.load(Acquire));
        let unchanged = || self.fate.load(Acquire) == fate;
        if state == State::Alive && pid == 0 && unchanged() {
            return broken(format_args!("member {slot} is alive without a pid"));
        }
        if state == State::Repairing {
            names(arena, format_args!("the repairer of member {slot}"), || self.repairer())?;
        }
        let inherits = self.inherits.load(Acquire);
        if state != State::Free && inherits > births && unchanged() {
            return broken(format_args!("member {slot} inherits from birth {inherits} of {births}"));
        }
        Ok(state)
    }

    /// The process itself says how it ends, for where the kernel will not.
    pub fn record_exit(&self, code: i32) {
        self.exit.store(EXIT_RECORDED | (code as u32 & 0xff), Release);
    }

    /// Whoever reaped the process says how it ended.
    pub fn record_ending(&self, exit: Exit) {
        match exit {
            Exit::Code(code) => self.record_exit(code),
            Exit::Signal(signal) => self.exit.store(EXIT_RECORDED | EXIT_BY_SIGNAL | signal as u32 & 0xff, Release),
        }
    }

    /// What was said last about its end.
    pub fn recorded_exit(&self) -> Option<Exit> {
        let exit = self.exit.load(Acquire);
        let number = (exit & 0xff) as i32;
        let known = if exit & EXIT_BY_SIGNAL != 0 { Exit::Signal(number) } else { Exit::Code(number) };
        (exit & EXIT_RECORDED != 0).then_some(known)
    }

    /// Ends with nobody: the keeper takes it for an orphan, and ends it. Said by its parent.
    pub fn disown(&self) {
        self.set_bond(Bond::default());
        self.parent_generation.store(u32::MAX, Release);
    }

    /// Whether it was: then nobody but the keeper ends it.
    pub fn is_disowned(&self) -> bool {
        self.parent_generation.load(Acquire) == u32::MAX
    }
}

/// Whether a thread may be one of the family's.
pub(super) fn may_have(arena: Arena, thread: u32) -> bool {
    arena.slots().map(|slot| arena.member(slot)).any(|member| match member.pid.load(Acquire) {
        0 => member.state() == State::Claimed,
        pid => robust::is_of(pid, thread),
    })
}

/// The highest slot that was ever used, for a message.
pub(super) fn last(arena: Arena) -> u32 {
    *arena.slots().end()
}

fn freed(fate: u64) -> u64 {
    (fate.wrapping_add(1 << GENERATION_SHIFT)) & GENERATION | State::Free as u64
}

/// Nobody: the parent of a process that the family did not make.
pub const NOBODY: MemberId = MemberId { slot: 0, generation: 0 };

/// Whose objects a new member may hold without having been given them.
#[derive(Debug, Clone, Copy)]
pub enum Inherits {
    /// All that exist now: a fork of a program.
    Everything,
    /// What another member inherited: a worker has the memory of its template.
    As(u32),
    /// None: it runs nothing but our own code, or began with exec.
    Nothing,
}
