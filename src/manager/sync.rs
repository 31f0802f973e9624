//! Locks, semaphores, conditions, events and barriers of a server: who waits and who goes on, without a thread.
//!
//! Each call is *attempted*: it is done, or it has to wait. What waits is attempted again after every change of the object that
//! it waits at, in the order in which it came, so nobody overtakes and nothing is woken for nothing.
#![forbid(unsafe_code)]

use super::value::{Proxy, Stored, Value};
use super::{Job, Outcome, Phase, Who, no_method};
use crate::call::{Call, Input, Output};
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet, VecDeque};

const DONE: Result<Outcome> = Ok(Outcome::Done(Value::Nil));

fn is(bool: bool) -> Result<Outcome> {
    Ok(Outcome::Done(Value::Bool(bool)))
}

fn count(number: usize) -> Result<Outcome> {
    Ok(Outcome::Done(Value::Integer(number as i64)))
}

/// A lock, held by a process (a recursive one by a thread of it).
#[derive(Default)]
pub struct Lock {
    owner: Option<Who>,
    levels: u64,
    /// Its owner died while it held it.
    died: bool,
    recursive: bool,
    ignore_owner_death: bool,
}

impl Lock {
    /// A lock, held by nobody.
    pub fn new(recursive: bool, ignore_owner_death: bool) -> Lock {
        Lock { recursive, ignore_owner_death, ..Lock::default() }
    }

    fn is_held_by(&self, who: Who) -> bool {
        self.owner.is_some_and(|owner| owner.session == who.session && (!self.recursive || owner == who))
    }

    fn acquire(&mut self, who: Who, recover: bool) -> Result<Outcome> {
        if self.recursive && self.is_held_by(who) {
            self.levels += 1;
            return DONE;
        }
        if self.owner.is_some() {
            return Ok(Outcome::Wait);
        }
        if self.died && !recover {
            return Err(Error::OwnerDead);
        }
        (self.owner, self.levels, self.died) = (Some(who), 1, false);
        DONE
    }

    fn release(&mut self, who: Who) -> Result<()> {
        if self.owner.is_none() {
            return Err(Error::NotPermitted("the lock is not held by anybody"));
        }
        if self.recursive && !self.is_held_by(who) {
            return Err(Error::NotPermitted("a recursive lock is released by the thread that holds it"));
        }
        self.levels -= 1;
        if self.levels == 0 {
            self.owner = None;
        }
        Ok(())
    }

    /// Attempts a call.
    pub fn call(&mut self, job: &Job) -> Result<Outcome> {
        match &*job.method {
            "acquire" => self.acquire(job.who, false),
            "recover" => self.acquire(job.who, true),
            "release" => self.release(job.who).and(DONE),
            "locked" => is(self.owner.is_some()),
            _ => Err(no_method()),
        }
    }

    /// A process is gone.
    pub fn lose(&mut self, session: u64) -> bool {
        let lost = self.owner.is_some_and(|owner| owner.session == session);
        if lost {
            (self.owner, self.levels, self.died) = (None, 0, !self.ignore_owner_death);
        }
        lost
    }
}

/// A semaphore.
pub struct Semaphore {
    units: u64,
    most: u64,
    /// Units of each process, if they come back with its death.
    owned: Option<HashMap<u64, u64>>,
}

impl Semaphore {
    /// A semaphore of so many units.
    pub fn new(units: i64, bounded: bool, owned: bool) -> Result<Semaphore> {
        let units = u64::try_from(units).map_err(|_| Error::invalid("a semaphore cannot have fewer than 0 units"))?;
        let most = if bounded || owned { units } else { i64::MAX as u64 };
        Ok(Semaphore { units, most, owned: owned.then(HashMap::new) })
    }

    /// Attempts a call.
    pub fn call(&mut self, job: &Job) -> Result<Outcome> {
        match &*job.method {
            "acquire" if self.units == 0 => Ok(Outcome::Wait),
            "acquire" => {
                self.units -= 1;
                if let Some(owned) = &mut self.owned {
                    *owned.entry(job.who.session).or_default() += 1;
                }
                DONE
            }
            "release" if self.units >= self.most => Err(Error::NotPermitted("the semaphore has all its units")),
            "release" => {
                if let Some(owned) = &mut self.owned {
                    let mine = owned.get_mut(&job.who.session).filter(|units| **units > 0);
                    *mine.ok_or(Error::NotPermitted("this process owns no unit of the semaphore"))? -= 1;
                }
                self.units += 1;
                DONE
            }
            "value" => count(self.units as usize),
            _ => Err(no_method()),
        }
    }

    /// A process is gone.
    pub fn lose(&mut self, session: u64) -> bool {
        let back = self.owned.as_mut().and_then(|owned| owned.remove(&session)).unwrap_or(0);
        self.units += back;
        back > 0
    }
}

/// An event.
#[derive(Default)]
pub struct Event {
    set: bool,
}

impl Event {
    /// Attempts a call.
    pub fn call(&mut self, job: &Job) -> Result<Outcome> {
        match &*job.method {
            "set" => self.set = true,
            "clear" => self.set = false,
            "is_set" => return is(self.set),
            "wait" if !self.set => return Ok(Outcome::Wait),
            "wait" => {}
            _ => return Err(no_method()),
        }
        DONE
    }
}

/// A condition over a lock, which is an object of its own.
pub struct Condition {
    /// The lock.
    pub lock: u64,
    /// Keeps the lock.
    _lock: Stored,
    /// Those that wait for a notification, by number of their job.
    sleepers: VecDeque<u64>,
    notified: HashSet<u64>,
}

impl Condition {
    /// A condition over this lock.
    pub fn new(lock: Proxy) -> Result<Condition> {
        let kept = Stored::new(Value::Proxy(lock))?;
        Ok(Condition { lock: lock.object, _lock: kept, sleepers: VecDeque::new(), notified: HashSet::new() })
    }

    /// Attempts a call.
    pub fn call(&mut self, job: &mut Job, lock: &mut Lock) -> Result<Outcome> {
        match &*job.method {
            "acquire" | "recover" | "release" | "locked" => lock.call(job),
            "notify" | "notify_all" => {
                if !lock.is_held_by(job.who) {
                    return Err(Error::NotPermitted("a condition is notified by who holds its lock"));
                }
                let most = match job.arguments.first() {
                    Some(most) => usize::try_from(most.integer()?).map_err(|_| Error::invalid("a negative count"))?,
                    None if job.method == "notify" => 1,
                    None => usize::MAX,
                };
                let woken = most.min(self.sleepers.len());
                self.notified.extend(self.sleepers.drain(..woken));
                DONE
            }
            "wait" => self.wait(job, lock),
            _ => Err(no_method()),
        }
    }

    fn wait(&mut self, job: &mut Job, lock: &mut Lock) -> Result<Outcome> {
        if job.phase == Phase::Fresh {
            if !lock.is_held_by(job.who) {
                return Err(Error::NotPermitted("a condition is waited for by who holds its lock"));
            }
            let levels = std::mem::take(&mut lock.levels);
            lock.owner = None;
            self.sleepers.push_back(job.number);
            job.phase = Phase::Asleep { levels };
        }
        if let Phase::Asleep { levels } = job.phase {
            if !self.notified.remove(&job.number) {
                return Ok(Outcome::Wait);
            }
            job.phase = Phase::Returning { levels, late: false };
        }
        let Phase::Returning { levels, late } = job.phase else { return Ok(Outcome::Wait) };
        let died = lock.died;
        match lock.acquire(job.who, true)? {
            Outcome::Wait => Ok(Outcome::Wait),
            Outcome::Done(_) => {
                lock.levels = levels;
                match (died, late) {
                    (true, _) => Err(Error::OwnerDead),
                    (_, true) => Err(Error::TimedOut),
                    _ => DONE,
                }
            }
        }
    }

    /// The time of a call is over, or it was cancelled: a wait goes on, to have its lock again.
    pub fn expire(&mut self, job: &mut Job) {
        if let Phase::Asleep { levels } = job.phase {
            self.forget(job.number);
            job.phase = Phase::Returning { levels, late: true };
        }
    }

    /// Nobody waits for this call any more.
    pub fn forget(&mut self, number: u64) {
        self.sleepers.retain(|sleeper| *sleeper != number);
        self.notified.remove(&number);
    }
}

/// A barrier.
pub struct Barrier {
    parties: usize,
    waiting: Vec<u64>,
    /// Parties of earlier meetings that have not gone yet, and what they are told.
    told: HashMap<u64, Option<usize>>,
    broken: bool,
    /// What runs in the server when all are there: the address of a function, 0 for nothing.
    action: usize,
}

impl Barrier {
    /// A barrier for so many, with an action or none.
    pub fn new(parties: i64, action: usize) -> Result<Barrier> {
        match usize::try_from(parties) {
            Ok(parties @ 1..) => {
                Ok(Barrier { parties, waiting: Vec::new(), told: HashMap::new(), broken: false, action })
            }
            _ => Err(Error::invalid("a barrier has at least one party")),
        }
    }

    fn dismiss(&mut self, well: bool) {
        for (index, job) in self.waiting.drain(..).enumerate() {
            self.told.insert(job, well.then_some(index));
        }
    }

    /// All are there. The last one, whose call this is, hears how the action has failed; the others that it is broken.
    fn meet(&mut self, last: u64) -> Result<()> {
        let mut call = Call::new(Input::Nothing, Output::Nowhere);
        let code = if self.action == 0 { 0 } else { call.enter(|call| call.run(self.action))? };
        self.broken = code != 0;
        self.dismiss(code == 0);
        if code == 0 {
            return Ok(());
        }
        self.told.remove(&last);
        let message = String::from_utf8_lossy(call.failure().1).into_owned();
        let message = if message.is_empty() { format!("the barrier's action returned {code}") } else { message };
        Err(Error::TaskFailed(message.into()))
    }

    fn outcome(told: Option<usize>) -> Result<Outcome> {
        told.map_or(Err(Error::Broken("the barrier is broken".into())), count)
    }

    /// Attempts a call.
    pub fn call(&mut self, job: &mut Job) -> Result<Outcome> {
        match &*job.method {
            "wait" if job.phase != Phase::Fresh => {
                self.told.remove(&job.number).map_or(Ok(Outcome::Wait), Barrier::outcome)
            }
            "wait" if self.broken => Barrier::outcome(None),
            "wait" => {
                job.phase = Phase::Asleep { levels: 0 };
                self.waiting.push(job.number);
                if self.waiting.len() >= self.parties {
                    self.meet(job.number)?;
                }
                self.told.remove(&job.number).map_or(Ok(Outcome::Wait), Barrier::outcome)
            }
            "abort" | "reset" => {
                self.broken = job.method == "abort";
                self.dismiss(false);
                DONE
            }
            "parties" => count(self.parties),
            "waiting" => count(self.waiting.len()),
            "broken" => is(self.broken),
            _ => Err(no_method()),
        }
    }

    /// A party does not wait any longer: nobody passes.
    pub fn forget(&mut self, number: u64) {
        if self.waiting.contains(&number) {
            self.waiting.retain(|job| *job != number);
            self.broken = true;
            self.dismiss(false);
        }
        self.told.remove(&number);
    }
}
