//! Which objects are needed: those that a cell of the family stands for, that a session answers for, or that another object
//! names.
#![forbid(unsafe_code)]

use super::object::Object;
use super::server::Server;
use super::value::{self, Proxy, Value};
use super::{Job, kind};
use crate::error::Result;
use crate::shm::arena::Arena;

/// How long after a process has gone its cells are looked at for the first time.
const FIRST_PAUSE_NS: u64 = 500_000_000;
/// The last pause; each is twice the one before.
const LAST_PAUSE_NS: u64 = 8_000_000_000;

/// When to look at cells. What a process leaves goes with its repair, which others make, and nobody tells the server of:
/// in a moment mostly, after seconds on a machine that has too much to do.
#[derive(Default)]
pub(super) struct Sweeps {
    pub(super) at: Option<u64>,
    pause: u64,
}

impl Sweeps {
    /// Something has ended by which cells may go.
    pub(super) fn soon(&mut self, now: u64) {
        self.pause = FIRST_PAUSE_NS;
        let at = now + self.pause;
        self.at = Some(self.at.map_or(at, |before| before.min(at)));
    }

    /// Whether it is time; then the next time is noted, if there is to be one.
    pub(super) fn is_due(&mut self, now: u64) -> bool {
        let is_due = self.at.is_some_and(|at| at <= now);
        if is_due {
            self.pause *= 2;
            self.at = (self.pause <= LAST_PAUSE_NS).then_some(now + self.pause);
        }
        is_due
    }
}

impl Server {
    pub(super) fn refer(&mut self, session: u64, object: u64) {
        if let (Some(session), Some(entry)) = (self.sessions.get_mut(&session), self.entries.get_mut(&object)) {
            *session.references.entry(object).or_default() += 1;
            entry.references += 1;
        }
    }

    pub(super) fn release(&mut self, session: u64, object: u64) {
        let Some(session) = self.sessions.get_mut(&session) else { return };
        let Some(count) = session.references.get_mut(&object) else { return };
        *count -= 1;
        if *count == 0 {
            session.references.remove(&object);
        }
        if let Some(entry) = self.entries.get_mut(&object) {
            entry.references -= 1;
        }
        self.doubtful.push(object);
    }

    /// A list that another one is extended by: its items are the argument.
    pub(super) fn spread(&self, job: &mut Job) -> Result<()> {
        let [Value::Proxy(Proxy { object, kind: kind::LIST })] = job.arguments[..] else { return Ok(()) };
        if job.method != "extend" {
            return Ok(());
        }
        if let Some(Some(Object::List(list))) = self.entries.get(&object).map(|entry| &entry.object) {
            value::check_room(list.values().map(Value::weight).sum())?;
            job.arguments = vec![Value::List(list.values().cloned().collect())];
        }
        Ok(())
    }

    /// Which cells of an object are still there.
    pub(super) fn look(&mut self, object: u64) {
        let (Some(arena), Some(entry)) = (Arena::get(), self.entries.get_mut(&object)) else { return };
        let is_there =
            |(cell, generation): &(u64, u64)| arena.cell(*cell).is_some_and(|cell| cell.is_there(*generation as u32));
        entry.cells.retain(is_there);
        self.doubtful.push(object);
    }

    pub(super) fn sweep(&mut self) {
        let with_cells = self.entries.iter().filter(|(_, entry)| !entry.cells.is_empty());
        for object in with_cells.map(|(object, _)| *object).collect::<Vec<_>>() {
            self.look(object);
        }
    }

    /// Ends objects that nobody needs any more.
    pub(super) fn collect(&mut self) {
        loop {
            self.doubtful.extend(value::take_let_go());
            let Some(object) = self.doubtful.pop() else { return };
            let needed = self.entries.get(&object).is_none_or(|entry| {
                entry.persistent
                    || entry.references > 0
                    || !entry.cells.is_empty()
                    || !entry.waiters.is_empty()
                    || entry.object.as_ref().is_some_and(Object::is_busy)
                    || value::is_named(object)
            });
            if !needed {
                let entry = self.entries.remove(&object);
                self.discard(entry.and_then(|entry| entry.object));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However soon the first sweep after the last end is, others come after it for some ten seconds; then none.
    #[test]
    fn who_goes_late_is_swept_too() {
        let mut sweeps = Sweeps::default();
        assert!(!sweeps.is_due(u64::MAX));
        sweeps.soon(0);
        sweeps.soon(FIRST_PAUSE_NS - 1);
        let mut last = 0;
        while let Some(at) = sweeps.at {
            assert!(!sweeps.is_due(at - 1) && sweeps.is_due(at));
            last = at;
        }
        assert!((10_000_000_000..30_000_000_000).contains(&last));
    }

    /// An end among late sweeps is looked at as soon as any.
    #[test]
    fn an_end_is_looked_at_soon() {
        let mut sweeps = Sweeps::default();
        sweeps.soon(0);
        while sweeps.at.is_some_and(|at| at < LAST_PAUSE_NS) {
            let at = sweeps.at.unwrap();
            assert!(sweeps.is_due(at));
        }
        sweeps.soon(LAST_PAUSE_NS);
        assert_eq!(sweeps.at, Some(LAST_PAUSE_NS + FIRST_PAUSE_NS));
    }
}
