//! Threads of a server that run methods which block, while its loop goes on.
//!
//! They take what to run from a queue, and put what came of it where the loop finds it, which they wake. Nothing of the server
//! but that is shared with them: values cross encoded, and what the method does with its object is for it to guard.
#![forbid(unsafe_code)]

use super::custom::{Done, Work};
use crate::error::Result;
use crate::sys::{descriptor, thread};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Threads at most. A process can be in so many calls at once and a few more, see `own::CALLS`.
const MOST: usize = 12;

/// What the loop and the threads have in common.
struct Desk {
    state: Mutex<State>,
    news: Condvar,
    /// Readable when there is something done.
    bell: OwnedFd,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Work)>,
    done: Vec<(u64, Done)>,
    /// Threads that wait for work.
    idle: usize,
    threads: usize,
    over: bool,
}

/// The threads of a server; none as long as no such method is called.
pub(super) struct Crew {
    desk: Arc<Desk>,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some((number, work)) = state.waiting.pop_front() {
                drop(state);
                let done = work.run();
                state = self.state();
                state.done.push((number, done));
                descriptor::ring(self.bell.as_raw_fd());
            } else if state.over {
                return;
            } else {
                state.idle += 1;
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Crew {
    pub(super) fn new() -> Result<Crew> {
        let bell = descriptor::event_counter()?;
        Ok(Crew { desk: Arc::new(Desk { state: Mutex::default(), news: Condvar::new(), bell }) })
    }

    /// Readable when something is done.
    pub(super) fn fd(&self) -> RawFd {
        self.desk.bell.as_raw_fd()
    }

    /// Has it run, by the next thread that is free.
    pub(super) fn submit(&self, number: u64, work: Work) -> Result<()> {
        let mut state = self.desk.state();
        if state.idle <= state.waiting.len() && state.threads < MOST {
            let desk = self.desk.clone();
            match thread::start("carom-method", move || desk.work()) {
                Ok(()) => state.threads += 1,
                Err(_) if state.threads > 0 => {}
                Err(error) => return Err(error),
            }
        }
        state.waiting.push_back((number, work));
        self.desk.news.notify_one();
        Ok(())
    }

    /// What is done since the last time.
    pub(super) fn take(&self) -> Vec<(u64, Done)> {
        descriptor::hush(self.fd());
        std::mem::take(&mut self.desk.state().done)
    }
}

impl Drop for Crew {
    /// Those that wait for work end; those at work end when it is done.
    fn drop(&mut self) {
        let mut state = self.desk.state();
        state.over = true;
        state.waiting.clear();
        self.desk.news.notify_all();
    }
}
