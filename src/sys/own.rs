//! What belongs to this process alone: words in a page that the kernel wipes in every forked child,
//! whoever forks.
//!
//! So a child begins with all of it zero, and writes nothing to say that it is another process. (Each page
//! that a child or its parent writes after a fork is copied, a microsecond each; a wiped one is not.)

use super::crash::Record;
use super::fork::{self, Hook};
use super::memory_file;
use crate::error::Result;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// How many calls of users' functions a process can be in at once.
pub const CALLS: usize = 16;

/// The words. Zero means: a fresh child of a fork.
#[repr(C, align(64))]
pub struct Own {
    /// The process's id, 0 until somebody asks. See [`pid`].
    id: AtomicU32,
    /// Which member of its family this process is, 0 for none. See `shm::identity`.
    pub member: AtomicU64,
    /// Not zero in the process that the family began with: its loader is in order. See `elf`.
    pub founder: AtomicBool,
    /// In a child: the loader's locks have been found free. See `elf`.
    pub loader_tried: AtomicBool,
    /// A thread takes a picture of the loader's list. See `elf`.
    pub picturing: AtomicBool,
    /// The process is on its way out. See `fork::leave`.
    pub left: AtomicBool,
    /// Told of the exit code, a `fn(i32)`, 0 for nobody. See `fork::catch_exit`.
    pub leaving: AtomicUsize,
    /// What is to be called before this process leaves. See `fork::at_exit`.
    pub hooks: AtomicPtr<Hook>,
    name: AtomicPtr<libc::c_char>,
    identity: AtomicPtr<libc::c_char>,
    /// In a worker: where it writes how it crashed, and its pid. See `crash`.
    pub crash: AtomicPtr<Record>,
    /// See `crash`.
    pub crash_pid: AtomicU32,
    /// In a worker: its lane. See `shm::stop`.
    pub lane: AtomicPtr<libc::c_void>,
    /// In a worker: a word of its lane, the address of the call that may go on. See `shm::stop`.
    pub going: AtomicPtr<AtomicU64>,
    /// In a worker: a `fn() -> bool`. See `stop`.
    pub is_due: AtomicUsize,
    /// What the task wants to be called when it should stop. See `stop`.
    pub hook: AtomicUsize,
    /// For the hook.
    pub hook_context: AtomicUsize,
    /// Addresses of the calls that run. See `call`.
    pub calls: [AtomicU64; CALLS],
}

const _: () = assert!(size_of::<Own>() <= 4096);

impl Own {
    const fn new(founder: bool) -> Own {
        Own {
            id: AtomicU32::new(0),
            member: AtomicU64::new(0),
            founder: AtomicBool::new(founder),
            loader_tried: AtomicBool::new(false),
            picturing: AtomicBool::new(false),
            left: AtomicBool::new(false),
            leaving: AtomicUsize::new(0),
            hooks: AtomicPtr::new(std::ptr::null_mut()),
            name: AtomicPtr::new(std::ptr::null_mut()),
            identity: AtomicPtr::new(std::ptr::null_mut()),
            crash: AtomicPtr::new(std::ptr::null_mut()),
            crash_pid: AtomicU32::new(0),
            lane: AtomicPtr::new(std::ptr::null_mut()),
            going: AtomicPtr::new(std::ptr::null_mut()),
            is_due: AtomicUsize::new(0),
            hook: AtomicUsize::new(0),
            hook_context: AtomicUsize::new(0),
            calls: [const { AtomicU64::new(0) }; CALLS],
        }
    }
}

/// The words of a process that has no page yet: it is no member, and nobody has forked it as one.
static BEFORE: Own = Own::new(true);
/// The page, [`BEFORE`] before there is one. Written once per process line.
static PAGE: AtomicPtr<Own> = AtomicPtr::new((&raw const BEFORE).cast_mut());

/// Makes the page. To be called by one thread, once, before anything is forked that asks for it.
pub fn create() -> Result<()> {
    if !std::ptr::eq(PAGE.load(Ordering::Acquire), &BEFORE) {
        return Ok(());
    }
    let page: *mut Own = memory_file::fork_mark()?.cast();
    // SAFETY: a page of ours, aligned and large enough, that nobody else has seen.
    unsafe { page.write(Own::new(true)) };
    PAGE.store(page, Ordering::Release);
    Ok(())
}

/// The words.
#[inline(always)]
pub fn own() -> &'static Own {
    // SAFETY: BEFORE, or the page that `create` mapped and nobody unmaps; all bytes zero, to which the
    // kernel wipes it, are a valid Own.
    unsafe { &*PAGE.load(Ordering::Acquire) }
}

/// This process's id, without a system call where it is known. Not for a child that shares its parent's memory.
#[inline]
pub fn pid() -> u32 {
    let page = PAGE.load(Ordering::Acquire);
    // Before there is a page, nothing tells a forked child from its parent.
    if std::ptr::eq(page, &BEFORE) {
        return fork::pid();
    }
    // SAFETY: as in `own`.
    let id = unsafe { &(*page).id };
    match id.load(Ordering::Relaxed) {
        0 => {
            let pid = fork::pid();
            id.store(pid, Ordering::Relaxed);
            pid
        }
        pid => pid,
    }
}

/// What this process is called, if it was given a name.
pub fn name() -> Option<&'static CStr> {
    text(&own().name)
}

/// Which child of which child it is, if it is one.
pub fn identity() -> Option<&'static CStr> {
    text(&own().identity)
}

fn text(place: &AtomicPtr<libc::c_char>) -> Option<&'static CStr> {
    let text = place.load(Ordering::Acquire);
    // SAFETY: not NULL; only the two below store here, and what they store lives for ever.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// This process is that child.
pub fn set_identity(identity: &'static CStr) {
    own().identity.store(identity.as_ptr().cast_mut(), Ordering::Release);
}

/// This process is called `name`.
pub fn set_name(name: &'static CStr) {
    own().name.store(name.as_ptr().cast_mut(), Ordering::Release);
}
