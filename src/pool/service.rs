//! A thread of the host's that moves a pool on and calls its callbacks: only for who asks for one.
#![forbid(unsafe_code)]

use super::Pool;
use super::desk::{Desk, Goal};
use crate::error::{Error, Result};
use crate::shm::memory::Deadline;
use crate::shm::plan::Phase;
use crate::sys::signals;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// The thread of a pool, if it has one.
#[derive(Default)]
pub struct Service {
    thread: OnceLock<ThreadId>,
    over: AtomicBool,
}

/// After a failure to look after the template, the next attempt.
const AGAIN: Duration = Duration::from_millis(10);

impl Service {
    /// Whether callbacks are another thread's to call than this one's.
    pub fn is_elsewhere(&self) -> bool {
        self.thread.get().is_some_and(|thread| *thread != thread::current().id())
    }
}

impl Pool {
    /// Makes the thread. It ends with the pool.
    pub(super) fn serve(self: &Arc<Pool>) -> Result<()> {
        let pool = self.clone();
        // Before anything can be due: callbacks are that thread's from the beginning.
        let body = move || {
            let _ = pool.service.thread.set(thread::current().id());
            pool.run_service();
            pool.service.over.store(true, Release);
            pool.pass_on(true);
        };
        let made = signals::without_any(|| thread::Builder::new().name("carom-pool".into()).spawn(body));
        let thread = made.map_err(|_| Error::NoMemory("the thread of the pool cannot be made"))?;
        let _ = self.service.thread.set(thread.thread().id());
        Ok(())
    }

    fn run_service(&self) {
        loop {
            let news = |desk: &mut Desk| {
                let due = self.is_due(desk);
                (due || desk.is_idle() && desk.phase() == Phase::Ended).then_some(due)
            };
            match self.wait(None, Goal::Any, news) {
                Ok(true) => self.run_due(0, None),
                Ok(false) | Err(Error::Closed(_)) => return self.run_due(0, None),
                Err(_) => thread::sleep(AGAIN),
            }
        }
    }

    /// Whether callbacks are another thread's to call than this one's.
    pub(super) fn has_service_elsewhere(&self) -> bool {
        self.service.is_elsewhere()
    }

    /// Whether callbacks are to hear of something.
    pub(super) fn is_due(&self, desk: &Desk) -> bool {
        desk.has_due() || self.on_event.is_some() && desk.events_waiting() > 0
    }

    /// Waits until the thread has called the last callback, and is gone.
    pub(super) fn await_service(&self, deadline: Deadline) -> Result<()> {
        if !self.service.is_elsewhere() {
            return Ok(());
        }
        self.wait(deadline, Goal::Any, |_| self.service.over.load(Acquire).then_some(()))
    }
}
