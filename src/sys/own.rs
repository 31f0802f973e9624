//! What belongs to this process alone: words in a page that the kernel wipes in every forked child,
//! whoever forks.
//!
//! So a child begins with all of it zero, and writes nothing to say that it is another process. (Each page
//! that a child or its parent writes after a fork is copied, a microsecond each; a wiped one is not.)

use super::crash::Record;
use super::fork::{self, Hook};
use super::memory_file;
use crate::error::{Error, Result};
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
    /// Not zero in the process that the family began with: its loader is in order. See [`is_founder`].
    founder: AtomicBool,
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

const _: () = assert!(size_of::<Own>() <= 4096 && size_of::<Page>() == align_of::<Page>());

impl Own {
    const fn new() -> Own {
        Own {
            id: AtomicU32::new(0),
            member: AtomicU64::new(0),
            founder: AtomicBool::new(false),
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

/// The page, in the library itself: so the words have addresses of their own, and whoever reads one looks for no other first.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
struct Page(Own);

static PAGE: Page = Page(Own::new());
/// The kernel wipes the page. Before that, nothing tells a forked child from its parent.
static CREATED: AtomicBool = AtomicBool::new(false);

/// Has the page wiped in forked children, and all that was in it is gone here too. To be called by one thread, once, before
/// anything is forked that asks for it.
pub fn create() -> Result<()> {
    if CREATED.load(Ordering::Acquire) {
        return Ok(());
    }
    if memory_file::page_size() > size_of::<Page>() {
        return Err(Error::Unsupported("the system has larger pages than any known"));
    }
    // SAFETY: a static of atomics, zero at first, that is as long as it is aligned, which is no less than a page (checked above).
    unsafe { memory_file::wipe_on_fork((&raw const PAGE).cast_mut().cast(), size_of::<Page>()) }?;
    PAGE.0.founder.store(true, Ordering::Release);
    CREATED.store(true, Ordering::Release);
    Ok(())
}

/// The words.
#[inline(always)]
pub fn own() -> &'static Own {
    &PAGE.0
}

/// Whether nobody has forked this process as a member of a family.
pub fn is_founder() -> bool {
    !CREATED.load(Ordering::Acquire) || own().founder.load(Ordering::Acquire)
}

/// This process's id, without a system call where it is known. Not for a child that shares its parent's memory.
#[inline]
pub fn pid() -> u32 {
    if !CREATED.load(Ordering::Acquire) {
        return fork::pid();
    }
    let id = &own().id;
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
