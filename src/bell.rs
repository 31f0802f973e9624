//! Bells: the descriptors by which a process hears of news of objects that are not its own. How news and sleepers do not miss
//! each other is in [`crate::shm::bells`].
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::family::{Family, Vigil};
use crate::shm::bell_table::{self, Record};
use crate::shm::bells;
use crate::shm::identity;
use crate::shm::member::MemberId;
use crate::shm::real::Real;
use crate::sys::doorbell::{self, Doorbell};
use crate::sys::once;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicPtr, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A descriptor that those ring who have news of one object.
pub struct Bell {
    /// Whose it is: a copy in a forked child is not the child's.
    owner: MemberId,
    doorbell: Doorbell,
    record: &'static Record,
    vigil: Vigil,
    /// What was asked for so far, in the bits of whoever asks.
    wanted: AtomicU32,
}

impl Bell {
    /// A new one for an object, by its reference. The object is then to be told that somebody polls it, and after that the bell
    /// is to be armed.
    pub fn new(family: Family, object: u64) -> Result<Bell> {
        let doorbell = Doorbell::new()?;
        let record = bell_table::place(family.arena, object, doorbell.name());
        let record = record.ok_or(Error::NoMemory("the family polls too many objects"))?;
        Ok(Bell { owner: family.me, doorbell, record, vigil: Vigil::new(family), wanted: AtomicU32::new(0) })
    }

    /// Whether it is this process's.
    pub fn is_of(&self, family: Family) -> bool {
        self.owner == family.me
    }

    /// Nothing was found: from now on news rings the bell. It is readable if there is something by now.
    pub fn arm(&self, is_ready: impl FnOnce() -> bool) -> RawFd {
        self.doorbell.hush();
        let name = self.doorbell.name();
        self.vigil.begin_sleep();
        if !bells::arm::<Real>(&self.record.word, name) || is_ready() {
            doorbell::ring(name);
        }
        self.doorbell.raw()
    }

    /// The same where different things may be wanted: `is_ready` hears of all that were asked for so far, or of the first
    /// if there was none.
    pub fn arm_for(&self, wanted: u32, is_ready: impl FnOnce(u32) -> bool) -> RawFd {
        let wanted = self.wanted.fetch_or(wanted, Relaxed) | wanted;
        self.arm(|| is_ready(wanted.max(1)))
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if identity::get() == Some(self.owner) {
            bells::remove::<Real>(&self.record.word, self.doorbell.name());
        }
    }
}

/// The bells of handles that name cells, and have no object of this process.
struct Bells {
    owner: MemberId,
    list: Mutex<Vec<(u64, Arc<Bell>)>>,
}

/// The bells of this process. A forked child makes its own when it asks first, as in `process`.
static BELLS: AtomicPtr<Bells> = AtomicPtr::new(std::ptr::null_mut());

fn list(bells: &'static Bells) -> MutexGuard<'static, Vec<(u64, Arc<Bell>)>> {
    bells.list.lock().unwrap_or_else(PoisonError::into_inner)
}

fn mine() -> Option<&'static Bells> {
    once::get(&BELLS).filter(|bells| identity::get() == Some(bells.owner))
}

/// The bell of a handle, if it has one.
pub fn of(handle: u64) -> Option<Arc<Bell>> {
    list(mine()?).iter().find(|(of, _)| *of == handle).map(|(_, bell)| bell.clone())
}

/// The bell of a handle; `make` makes it.
pub fn get_or_make(family: Family, handle: u64, make: impl FnOnce() -> Result<Bell>) -> Result<Arc<Bell>> {
    let new = || Bells { owner: family.me, list: Mutex::default() };
    let mut list = list(once::get_or_make(&BELLS, |bells| bells.owner == family.me, new));
    if let Some((_, bell)) = list.iter().find(|(of, _)| *of == handle) {
        return Ok(bell.clone());
    }
    let bell = Arc::new(make()?);
    list.push((handle, bell.clone()));
    Ok(bell)
}

/// The handle goes, and its bell with it.
pub fn forget(handle: u64) {
    if let Some(bells) = mine() {
        list(bells).retain(|(of, _)| *of != handle);
    }
}
