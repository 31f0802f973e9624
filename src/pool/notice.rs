//! How a pool is noticed: its descriptor, its events, its hooks.
#![forbid(unsafe_code)]

use super::Pool;
use super::desk::{Desk, Goal};
use super::event::Event;
use super::job::Job;
use super::tend::{HOLDER, START_NS, Watch};
use crate::error::{Error, Result};
use crate::shm::memory::Deadline;
use crate::sys::clock::now_ns;
use crate::sys::descriptor::{self, Poll};
use crate::sys::{futex, pidfd};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Release};

impl Pool {
    /// Makes the descriptor readable by the death of the template that there is now.
    fn watch_template(&self) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watch) = &mut *watch else { return };
        let plan = self.plan.plan();
        let (id, lives) = (plan.template_id.load(Acquire), plan.template.word.load(Acquire) & HOLDER != 0);
        if let Some((handle, watched)) = &watch.template
            && (*watched != id || !lives)
        {
            descriptor::remove(watch.poll.raw(), handle.as_raw_fd());
            watch.template = None;
        }
        if watch.template.is_none() && lives {
            let pid = self.family.arena.member(id as u32).pid.load(Acquire);
            // Dead already, or no descriptor left: the next call tries again.
            watch.template =
                pidfd::open(pid).and_then(|handle| watch.poll.add(handle.as_raw_fd(), 1).map(|()| (handle, id))).ok();
        }
    }

    /// From now on the next news makes the descriptor readable.
    pub(super) fn arm(&self) {
        self.plan.plan().armed.store(1, Release);
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    /// Readable when there may be something to dispatch.
    pub fn fd(&self) -> Result<RawFd> {
        self.own()?;
        let word = &self.plan.plan().template.word;
        // Before its template has begun there is nothing to watch.
        if self.inline.is_none() && word.load(Acquire) == 0 {
            futex::wait(word, 0, None, Some(now_ns() + START_NS));
        }
        let raw = {
            let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            if watch.is_none() {
                let poll = Poll::new()?;
                poll.add(self.notify.as_raw_fd(), 0)?;
                *watch = Some(Watch { poll, template: None });
                // For what has happened before anybody could hear it.
                descriptor::ring(self.notify.as_raw_fd());
            }
            watch.as_ref().map_or(-1, |watch| watch.poll.raw())
        };
        self.watch_template();
        self.arm();
        // What came before anybody armed it rang nobody.
        if self.look(&mut |desk| Some(desk.events_waiting() > 0 || desk.has_due())).is_some_and(|waiting| waiting) {
            descriptor::ring(self.notify.as_raw_fd());
        }
        Ok(raw)
    }

    /// Lets hooks hear of what is due, `budget` times at most, or as often as there is something: of one job, or of all.
    pub fn run_due(&self, budget: usize, of: Option<&Job>) {
        if self.service.is_elsewhere() {
            return;
        }
        let budget = if budget == 0 { usize::MAX } else { budget };
        for _ in 0..budget {
            if let Some((news, job)) = self.with_desk(|desk| desk.next_due(of)) {
                job.extras()
                    .and_then(|extras| extras.hook.as_ref())
                    .into_iter()
                    .for_each(|hook| (hook.hear)(news, &job));
            } else if of.is_none()
                && let Some(on_event) = &self.on_event
                && let Some(event) = self.with_desk(|desk| desk.next_event())
            {
                on_event(&event);
            } else {
                return;
            }
        }
        // There may be more.
        descriptor::ring(self.notify.as_raw_fd());
    }

    /// Moves the pool on without waiting, and runs up to `budget` hooks (0: all of them); how many events wait.
    pub fn dispatch(&self, budget: usize) -> Result<usize> {
        self.has_news()?;
        self.run_due(budget, None);
        Ok(self.with_desk(|desk| desk.events_waiting()))
    }

    /// Moves the pool on without waiting, and calls nobody.
    pub fn maintain(&self) -> Result<()> {
        self.own()?;
        self.mind_template()?;
        self.watch_template();
        self.look(&mut |_| Some(()));
        Ok(())
    }

    /// Moves the pool on without waiting; whether events wait, or hooks are to hear of something.
    pub fn has_news(&self) -> Result<bool> {
        self.own()?;
        descriptor::hush(self.notify.as_raw_fd());
        self.arm();
        let _ = self.mind_template();
        self.watch_template();
        self.look(&mut |desk| Some(desk.events_waiting() > 0 || desk.has_due())).ok_or(Error::TimedOut)
    }

    /// The next event, in the order in which they became known.
    pub fn next_event(&self, deadline: Deadline) -> Result<Event> {
        self.own()?;
        let _ = self.mind_template();
        self.watch_template();
        // The descriptor stays readable as long as there are events, or was never asked for.
        if let Some(event) = self.look(&mut |desk: &mut Desk| desk.next_event()) {
            return Ok(event);
        }
        descriptor::hush(self.notify.as_raw_fd());
        let mut left = 0;
        let event = self.wait(deadline, Goal::Any, |desk| {
            let event = desk.next_event();
            left = desk.events_waiting();
            event
        });
        if event.is_ok() && left > 0 {
            descriptor::ring(self.notify.as_raw_fd());
        }
        event
    }
}
