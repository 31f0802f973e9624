//! Pools whose workers the host itself forks, so that Python's os.fork, with its hooks, or a framework's own makes them.
//!
//! ```text
//! template ── a lane's seat is Wanted, an event ──▶ host ── forks ──▶ worker
//!    └── takes note of who sits there, enforces his limits, buries him ◀── Taken ──┘
//! ```
//! The template does all that it does elsewhere but fork: it watches workers that are the host's children by their pidfds,
//! and leaves them to the host to reap.
#![forbid(unsafe_code)]

use super::Pool;
use super::desk::Desk;
use super::event;
use super::options::Options;
use super::post::Post;
use super::template::{LEAST_DELAY_NS, Template};
use super::worker::{self, Worker};
use crate::error::{Error, Result};
use crate::process::{self, Process};
use crate::shm::member::MemberId;
use crate::shm::plan::{Lane, Phase, UNKNOWN_EXIT};
use crate::shm::seat::Seat;
use crate::shm::stop as lane_stop;
use crate::start::Method;
use crate::sys::clock::now_ns;
use crate::sys::pidfd::{self, Usage};
use crate::sys::{crash, descriptor, fork, signals, stop};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// What such a pool cannot have.
pub fn check(options: &Options<'_>) -> Result<()> {
    let other = options.method.is_some_and(|method| method != Method::Fork);
    match options.hosted && (options.inline || options.capture_stderr || other) {
        true => Err(Error::invalid("host_forks goes with start method fork, workers, and their own stderr")),
        false => Ok(()),
    }
}

/// The events that it has in any case.
pub fn events(options: &Options<'_>) -> u32 {
    if options.hosted { event::WORKER_WANTED } else { 0 }
}

/// A place for a worker that is about to be forked. As long as there is one, the pool's plan stays.
pub struct Place {
    pool: Arc<Pool>,
    index: usize,
}

impl Place {
    fn lane(&self) -> &'static Lane {
        &self.pool.plan.lanes()[self.index]
    }

    /// Index of the pool's cell.
    pub fn works_for(&self) -> u64 {
        self.pool.cell_index()
    }

    fn tell_template(&self) {
        descriptor::ring(self.pool.doorbell.as_raw_fd());
    }

    /// In the host: the worker is there.
    pub fn is_taken(self, id: MemberId, pid: u32) {
        let lane = self.lane();
        lane.pid.store(pid, Release);
        lane.worker_id.store(id.to_bits(), Release);
        lane.seat.take();
        self.tell_template();
    }

    /// In the host: there will be none. The template asks again.
    pub fn is_free(self) {
        self.lane().seat.abandon();
        self.tell_template();
    }

    /// In the new process: works until the pool needs it no more.
    #[cold]
    #[inline(never)]
    pub fn work(&self) -> ! {
        signals::ignore_interrupt();
        fork::lead_group();
        fork::set_title(c"carom-worker");
        // The host may have run functions itself, of modules that are no longer there.
        worker::forget_functions();
        crash::install();
        stop::install();
        crash::attach(&self.lane().crash, fork::pid());
        lane_stop::attach(self.lane());
        Worker::new(self.pool.plan, self.index, self.pool.notify.as_raw_fd(), false).run()
    }
}

impl Pool {
    /// A worker that the pool wants, for the host to fork.
    pub fn prepare_worker(self: &Arc<Pool>) -> Result<Arc<Process>> {
        self.own()?;
        if !self.hosted {
            return Err(Error::NotPermitted("the pool was not made with host_forks"));
        }
        self.look(&mut |_| Some(()));
        if self.freed.load(Acquire) || self.plan.phase() > Phase::Ending {
            return Err(Error::Closed("the pool has ended"));
        }
        crash::warm_up();
        let wanted = |lane: &Lane| lane.wanted.load(Acquire) != 0 && lane.seat.prepare();
        let index = self.plan.lanes().iter().position(wanted).ok_or(Error::Again("the pool wants no worker"))?;
        let place = Place { pool: self.clone(), index };
        place.lane().born_ns.store(now_ns(), Relaxed);
        process::prepare_worker(place)
    }

    /// In a call that waits: lets the host know that workers are wanted. Without any the call would wait for ever.
    pub(super) fn call_for_workers(&self) -> Result<()> {
        if !self.hosted {
            return Ok(());
        }
        if let Some(on_event) = &self.on_event {
            while let Some(event) = self.with_desk(Desk::next_call) {
                on_event(&event);
            }
        }
        let lanes = || self.plan.lanes().iter().filter(|lane| lane.wanted.load(Acquire) != 0);
        let nobody = lanes().all(|lane| lane.pid.load(Acquire) == 0 && !lane.seat.is(Seat::Prepared));
        // A call that the template has yet to make reaches the callback first.
        let heard = self.with_desk(|desk| desk.is_called(!nobody)) || self.on_event.is_none();
        if nobody && heard && lanes().any(|lane| lane.seat.is(Seat::Wanted)) && !self.with_desk(|desk| desk.is_idle()) {
            return Err(Error::Again("no worker is there, and the host has still to fork one: carom_pool_prepare"));
        }
        Ok(())
    }

    /// The pool ends, and its template may be dead.
    pub(super) fn end_hosted(&self) {
        if self.hosted {
            process::kill_workers(self.cell_index());
        }
    }

    /// The pool has ended: leaves no zombie.
    pub(super) fn reap_hosted(&self) {
        if self.hosted {
            let _ = process::active();
        }
    }
}

impl Template {
    /// Asks the host for a worker of a lane that has none.
    pub(super) fn invite(&self, lane: &'static Lane) {
        if lane.seat.is(Seat::Empty) {
            lane.begun.store(0, Relaxed);
            lane.leaving.store(0, Relaxed);
            lane.going.store(0, Relaxed);
            lane.seat.ask();
            self.report(event::WORKER_WANTED, 0, 0, 0);
        }
    }

    /// The position is given up; should it be used again, the host hears of it again.
    pub(super) fn withdraw(&self, lane: &'static Lane) {
        if self.hosted {
            lane.seat.withdraw();
        }
    }

    /// Watches the workers that the host has forked; when to look again for want of descriptors.
    pub(super) fn adopt(&mut self) -> Option<u64> {
        if !self.hosted {
            return None;
        }
        let mut next = None;
        for (index, lane, post) in self.lanes() {
            if post.pidfd.get() < 0 && lane.seat.is(Seat::Taken) && self.watch(index, lane, post).is_err() {
                next = Some(now_ns() + LEAST_DELAY_NS);
            }
        }
        next
    }

    fn watch(&mut self, index: usize, lane: &'static Lane, post: &'static Post) -> Result<()> {
        let me = self.me.ok_or(Error::Panic("a template that has not begun".into()))?;
        let pid = lane.pid.load(Acquire);
        let MemberId { slot, generation } = MemberId::from_bits(lane.worker_id.load(Acquire));
        post.slot.store(slot, Relaxed);
        post.generation.store(generation, Relaxed);
        post.seen.store(0, Relaxed);
        let member = me.arena.member(slot);
        let inode = member.pidfd_inode.load(Acquire);
        let there = member.identity().1 == generation;
        match pidfd::open(pid) {
            Ok(handle) if there && inode == pidfd::inode(pidfd::raw(&handle)) => {
                descriptor::add_readable(self.poll, pidfd::raw(&handle), Template::key_of(index))?;
                post.pidfd.set(handle.into_raw_fd());
                self.living += 1;
                self.report(event::WORKER_UP, pid, 0, 0);
            }
            // Dead already, and reaped.
            Ok(_) | Err(Error::Os { errno: 3, .. }) => {
                self.lay_to_rest(index, pid, UNKNOWN_EXIT, Usage::default());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Of a new template, before it ends the workers of the last one: whose lanes those are. Whom the last one has asked
    /// for it asks for again, for that one may have died before it said so.
    pub(super) fn mark_left(&self) {
        for (_, lane, _) in self.lanes() {
            lane.seat.leave();
            lane.seat.withdraw();
        }
    }

    /// Whether a lane is a dead worker's, of the last template's.
    pub(super) fn is_left(&self, lane: &Lane) -> bool {
        !self.hosted || lane.seat.is(Seat::Left)
    }

    /// What the worker of a lane has left is settled.
    pub(super) fn vacate(&self, lane: &Lane) {
        if self.hosted {
            lane.seat.vacate();
        }
    }
}
