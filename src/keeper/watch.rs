//! The duty of repair: watching every member of the family.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::family::Family;
use crate::log;
use crate::shm::arena::MEMBERS;
use crate::shm::member::{MemberId, Role, State};
use crate::shm::repair::{self, Repaired};
use crate::sys::descriptor::{self, Kept, Poll};
use crate::sys::pidfd;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU32};

/// pidfd of each watched member, and which generation of the slot it is. Static, since a
/// keeper's stack is that of whatever thread forked it; used by the keeper's only thread.
static FDS: [Kept; MEMBERS] = [const { Kept::none() }; MEMBERS];
static GENERATIONS: [AtomicU32; MEMBERS] = [const { AtomicU32::new(0) }; MEMBERS];
/// Which generation was told of its parent's death, all bits flipped: 0 for none.
static TOLD: [AtomicU32; MEMBERS] = [const { AtomicU32::new(0) }; MEMBERS];
/// Whether this process, or one that it is the fork of, has watched anybody: some of `FDS` may not be as they were born.
static HAS_WATCHED: AtomicBool = AtomicBool::new(false);

/// The members as the keeper knows them.
pub struct Watch {
    me: Family,
    poll: RawFd,
    duty: bool,
    /// A death was seen: look at every member, for its children must end.
    stale: bool,
}

impl Watch {
    /// Watches nobody yet.
    pub fn new(me: Family, poll: &Poll) -> Watch {
        // There are some if this process is the fork of a keeper's; else no page of them is looked at.
        if HAS_WATCHED.swap(false, Relaxed) {
            FDS.iter().filter(|fd| fd.get() >= 0).for_each(|fd| fd.set(-1));
        }
        Watch { me, poll: poll.raw(), duty: false, stale: false }
    }

    /// Whether this keeper repairs.
    pub fn has_duty(&self) -> bool {
        self.duty
    }

    /// This keeper repairs from now on.
    pub fn begin(&mut self, _poll: &Poll) -> Result<()> {
        self.duty = true;
        self.stale = true;
        Ok(())
    }

    /// Watches whoever is new, and ends the children of the dead, until nothing changes.
    pub fn look(&mut self, poll: &Poll) {
        let header = self.me.arena.header();
        while header.unwatched.swap(0, std::sync::atomic::Ordering::AcqRel) != 0 || self.stale {
            self.stale = false;
            for slot in self.me.arena.slots() {
                self.look_at(slot, poll);
            }
        }
    }

    fn look_at(&mut self, slot: u32, poll: &Poll) {
        let member = self.me.arena.member(slot);
        let (state, generation) = member.identity();
        let id = MemberId { slot, generation };
        if state == State::Dead {
            self.repair(id);
        }
        if state != State::Alive || id == self.me.me {
            return;
        }
        let watched = FDS[slot as usize].get() >= 0 && GENERATIONS[slot as usize].load(Relaxed) == generation;
        if !watched && !self.watch(id, poll) {
            self.repair(id);
            return;
        }
        if self.is_orphan(id) {
            let signal = match member.bond().signal {
                // Said once; should it go on, it goes on.
                signal @ 1.. if TOLD[slot as usize].swap(!generation, Relaxed) != !generation => signal,
                0 => 9,
                _ => return,
            };
            let _ = pidfd::signal(FDS[slot as usize].get(), signal);
        }
    }

    /// Ends with its parent: whatever a process of the family started, once that process is gone.
    fn is_orphan(&self, id: MemberId) -> bool {
        let member = self.me.arena.member(id.slot);
        // A template finds out by itself, once it has begun: until then it has a letter.
        let begins = member.has_role(Role::Keeper) && member.letter.load(Acquire) != 0;
        let owed = begins || [Role::Process, Role::Worker, Role::Server].into_iter().any(|role| member.has_role(role));
        owed && !member.has_parent(self.me.arena)
    }

    /// False if the member is dead, and there is nothing to watch.
    fn watch(&mut self, id: MemberId, poll: &Poll) -> bool {
        let member = self.me.arena.member(id.slot);
        self.unwatch(id.slot);
        let fd = match pidfd::open(member.pid.load(Acquire)) {
            Ok(fd) => fd,
            Err(Error::Os { errno: 3, .. }) => return false,
            Err(_) => {
                // Out of descriptors: the next ring or death tries again.
                return true;
            }
        };
        let inode = member.pidfd_inode.load(Acquire);
        if inode != 0 && inode != pidfd::inode(pidfd::raw(&fd)) {
            return false;
        }
        if poll.add(pidfd::raw(&fd), id.slot as u64).is_ok() {
            HAS_WATCHED.store(true, Relaxed);
            FDS[id.slot as usize].set(fd.into_raw_fd());
            GENERATIONS[id.slot as usize].store(id.generation, Relaxed);
        }
        true
    }

    fn unwatch(&self, slot: u32) {
        let fd = FDS[slot as usize].take();
        if fd >= 0 {
            descriptor::remove(self.poll, fd);
            descriptor::close(fd);
        }
    }

    /// The pidfd of a member is readable.
    pub fn died(&mut self, slot: u32) {
        // Only the descriptor is proof. The news may be of a member that had this slot before: its descriptor is
        // closed, but reports on for as long as a worker that was just forked has a copy.
        let fd = FDS[slot as usize].get();
        if fd < 0 || !pidfd::is_dead(fd) {
            return;
        }
        let generation = GENERATIONS[slot as usize].load(Relaxed);
        self.unwatch(slot);
        if self.duty {
            self.repair(MemberId { slot, generation });
        }
        self.stale = true;
    }

    fn repair(&mut self, id: MemberId) {
        let member = self.me.arena.member(id.slot);
        let pid = member.pid.load(Acquire);
        if repair::repair(self.me.arena, id, self.me.me.slot) == Repaired::Done {
            log::info(format_args!("repaired what the process {pid} left"));
        }
        self.stale = true;
    }

    /// Without the duty: watches whoever has it, to take over.
    pub fn watch_holder(&mut self, poll: &Poll) {
        let holder = self.me.arena.header().keeper.word.load(Acquire) & 0x3fff_ffff;
        for slot in self.me.arena.slots() {
            let member = self.me.arena.member(slot);
            let (state, generation) = member.identity();
            if state != State::Alive || member.pid.load(Acquire) != holder || holder == 0 {
                continue;
            }
            if FDS[slot as usize].get() < 0 || GENERATIONS[slot as usize].load(Relaxed) != generation {
                self.watch(MemberId { slot, generation }, poll);
            }
        }
    }

    /// Whether nobody is left but keepers.
    pub fn is_alone(&self) -> bool {
        let arena = self.me.arena;
        arena.slots().map(|slot| arena.member(slot)).all(|member| {
            let quiet = matches!(member.state(), State::Free | State::Gone);
            quiet || member.has_role(Role::Keeper)
        })
    }
}
