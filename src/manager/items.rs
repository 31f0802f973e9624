//! Many items for a manager's pool, as the process has them that gives them: it sends them as there is room, and takes their
//! results one by one.
#![forbid(unsafe_code)]

use super::client::{self, Target};
use super::task::Remote;
use super::value::Value;
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::pin::Pins;
use crate::pool::iterator::Source;
use crate::shm::cell::Cell;
use crate::sys::clock::{deadline_after_ms, now_ns};
use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of items after which what is there is sent.
const BATCH: usize = 1 << 20;

/// Many items.
pub struct Items {
    family: Family,
    cell: &'static Cell,
    generation: u32,
    correlation: Option<Arc<CStr>>,
    input: Mutex<Input>,
}

struct Input {
    source: Option<Source>,
    /// Why the source ended early.
    error: Option<Error>,
    /// How many more the server takes now, and how many it took when it had none.
    room: i64,
    window: i64,
}

impl Items {
    /// The iterator that a cell of this process's stands for, over what `source` gives.
    pub fn new(
        (cell, generation): (&'static Cell, u32),
        source: Source,
        correlation: Option<Arc<CStr>>,
    ) -> Result<Items> {
        let input = Mutex::new(Input { source: Some(source), error: None, room: 0, window: 0 });
        let items = Items { family: family::current()?, cell, generation, correlation, input };
        let window = items.send(&items.target()?, Vec::new())?;
        let mut input = items.input();
        (input.room, input.window) = (window, window);
        items.feed(&mut input);
        drop(input);
        Ok(items)
    }

    fn input(&self) -> MutexGuard<'_, Input> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn target(&self) -> Result<Target> {
        Target::of(self.cell, self.generation)
    }

    fn send(&self, target: &Target, items: Vec<Value>) -> Result<i64> {
        target.ask("put", vec![Value::List(items)], 0)?.integer()
    }

    /// Takes items from the source, as many as the server has room for. What goes wrong is told once everything before it has
    /// been handed out.
    fn feed(&self, input: &mut Input) {
        while input.room > 0 && input.source.is_some() {
            if let Err(error) = self.feed_once(input) {
                (input.source, input.error) = (None, Some(error));
            }
        }
    }

    fn feed_once(&self, input: &mut Input) -> Result<()> {
        let target = self.target()?;
        let (mut items, mut pins, mut bytes, mut ended) = (Vec::new(), Vec::new(), 0, Ok(false));
        while (items.len() as i64) < input.room && bytes < BATCH {
            let Some(source) = &mut input.source else { break };
            match source() {
                Ok(Some(item)) => {
                    // What it names may be freed once the source is asked again.
                    match Pins::of(self.family, &item).and_then(|its| Ok((its, target.values_of(&item)?))) {
                        Ok((its, values)) => {
                            pins.push(its);
                            items.push(Value::List(values));
                        }
                        Err(error) => {
                            ended = Err(error);
                            break;
                        }
                    }
                    bytes += item.len();
                }
                Ok(None) => {
                    ended = Ok(true);
                    break;
                }
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        if !items.is_empty() {
            input.room = self.send(&target, items)?;
        }
        if ended? {
            input.source = None;
        }
        Ok(())
    }

    /// The next settled item; [`Error::End`] after the last.
    pub fn next(&self, timeout_ms: i64) -> Result<Remote> {
        // A source is its maker's, and so is the lock before it.
        if family::current()?.me != self.family.me {
            return Err(Error::NotPermitted("an iterator is used by the process that made it"));
        }
        let deadline = deadline_after_ms(timeout_ms);
        loop {
            let left_ms = deadline.map_or(-1, |deadline| deadline.saturating_sub(now_ns()).div_ceil(1_000_000) as i64);
            match self.target()?.ask("next", Vec::new(), left_ms) {
                Ok(Value::List(parts)) => {
                    let [outcome, Value::Integer(room)] = &parts[..] else { break };
                    let mut input = self.input();
                    input.room = *room;
                    // Half a window at once, so that not every item costs a message of its own.
                    if *room >= (input.window / 2).max(1) {
                        self.feed(&mut input);
                    }
                    return Remote::settled(outcome, self.correlation.clone());
                }
                Ok(_) => break,
                Err(error) if error.status() == Error::End.status() => {
                    let mut input = self.input();
                    if input.source.is_none() {
                        return Err(input.error.take().unwrap_or(Error::End));
                    }
                    input.room = input.window;
                    self.feed(&mut input);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Broken("the server answered something else".into()))
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        let (family, cell, generation) = (self.family, self.cell, self.generation);
        client::let_go(family, cell, generation, || cell.let_go(family.arena, generation, family.me.slot));
    }
}
