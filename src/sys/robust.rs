//! The kernel's robust list: what it does to lock words of a thread that dies.
//!
//! glibc registers one list per thread and keeps its robust mutexes on it. carom only borrows the
//! list's `list_op_pending` field, for the few hundred nanoseconds of a critical section: the kernel
//! treats the word named there like one on the list. No pointer of ours ever is in shared memory.
//! (Kernel: Documentation/locking/robust-futex-ABI.rst, kernel/futex/core.c.)

use super::own::own;
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, compiler_fence};

/// The layout that set_robust_list(2) fixes.
#[repr(C)]
struct Head {
    next: *mut Head,
    /// From an entry to its lock word, in bytes; -32 with glibc on x86_64.
    futex_offset: libc::c_long,
    pending: *mut libc::c_void,
}

/// What a thread knows of itself. Stale after a fork, hence the member that its process was. All zero in a new thread.
#[repr(C)]
struct Thread {
    member: Cell<u64>,
    head: Cell<*mut Head>,
    id: Cell<u32>,
}

#[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
mod place {
    use super::{Cell, Thread};

    thread_local! {
        static THREAD: Thread =
            const { Thread { member: Cell::new(0), head: Cell::new(std::ptr::null_mut()), id: Cell::new(0) } };
    }

    #[inline(always)]
    pub fn with<T>(look: impl FnOnce(&Thread) -> T) -> T {
        THREAD.with(look)
    }
}

/// The same as a thread-local of the model "initial-exec", which Rust cannot be asked for: in a shared library one load
/// instead of a call, a quarter of what a recursive lock costs. The 24 bytes are taken from those that glibc keeps for
/// libraries that are loaded late. (musl keeps none.)
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
mod place {
    use super::Thread;

    const _: () = assert!(size_of::<Thread>() == 24 && align_of::<Thread>() == 8);

    std::arch::global_asm!(
        ".pushsection .tbss.carom_thread, \"awT\", @nobits",
        ".globl carom_thread",
        ".hidden carom_thread",
        ".type carom_thread, @object",
        ".size carom_thread, 24",
        ".p2align 3",
        "carom_thread:",
        ".zero 24",
        ".popsection",
    );

    #[inline(always)]
    pub fn with<T>(look: impl FnOnce(&Thread) -> T) -> T {
        let thread: *const Thread;
        // SAFETY: reads the thread pointer, which the ABI keeps at fs:0, and where `carom_thread` lies from there: the
        // calling thread's 24 bytes, aligned and zero from its start, which lie there until it ends. `Thread` is only
        // cells, and no other thread is given the address.
        unsafe {
            std::arch::asm!(
                "mov {0}, qword ptr [rip + carom_thread@GOTTPOFF]",
                "add {0}, qword ptr fs:[0]",
                out(reg) thread,
                options(pure, readonly, nostack),
            );
            look(&*thread)
        }
    }
}

/// One thing that the calling thread knows of itself. No two processes of a line are the same member. What is no member
/// (yet) asks the kernel each time.
#[inline(always)]
fn current<T>(field: impl Fn(&Thread) -> T) -> T {
    place::with(|thread| {
        let member = thread.member.get();
        if member == 0 || member != own().member.load(Ordering::Relaxed) {
            refresh(thread);
        }
        field(thread)
    })
}

#[cold]
fn refresh(thread: &Thread) {
    thread.member.set(own().member.load(Ordering::Relaxed));
    // SAFETY: gettid has no arguments and cannot fail.
    thread.id.set(unsafe { libc::syscall(libc::SYS_gettid) } as u32);
    thread.head.set(registered_head());
}

fn registered_head() -> *mut Head {
    let mut head: *mut Head = std::ptr::null_mut();
    let mut len: libc::size_t = 0;
    // SAFETY: both out pointers are ours; pid 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &mut head, &mut len) };
    if result == 0 && !head.is_null() {
        return head;
    }
    // No C library registered one (a thread made by a raw clone, or musl before its first robust
    // mutex): register our own. It is never freed, for the kernel reads it when the thread dies.
    let head = Box::leak(Box::new(Head { next: std::ptr::null_mut(), futex_offset: 0, pending: std::ptr::null_mut() }));
    head.next = head;
    // SAFETY: `head` lives for ever and is an empty list: its own successor.
    unsafe { libc::syscall(libc::SYS_set_robust_list, head as *mut Head, size_of::<Head>()) };
    head
}

/// The kernel's id of the calling thread.
#[inline(always)]
pub fn thread_id() -> u32 {
    current(|thread| thread.id.get())
}

/// The same where it is known without a call: in a thread of `member`, which this process is, that has asked before.
#[inline(always)]
pub fn known_thread_id(member: u64) -> Option<u32> {
    place::with(|thread| (thread.member.get() == member).then(|| thread.id.get()))
}

/// Whether no thread has this id. (Not asked of what another namespace calls so: a family is in one.)
pub fn is_gone(thread: u32) -> bool {
    // SAFETY: signal 0 is sent to nobody.
    let there = unsafe { libc::kill(thread as libc::pid_t, 0) } == 0;
    !there && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// Whether the thread may be one of the process.
pub fn is_of(process: u32, thread: u32) -> bool {
    // SAFETY: signal 0 is sent to nobody.
    let there = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) } == 0;
    there || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Names the lock word that the calling thread takes or holds.
#[inline(always)]
pub fn pending_set(word: &AtomicU32) {
    let head = current(|thread| thread.head.get());
    // SAFETY: `head` is this thread's registered list, which lives as long as the thread, and nobody
    // but this thread (and the kernel, once it is dead) accesses it. glibc uses the field only inside
    // its robust mutex calls, which never run while one of our sections does.
    unsafe {
        let entry = word.as_ptr().cast::<u8>().wrapping_offset(-((*head).futex_offset as isize));
        (&raw mut (*head).pending).write_volatile(entry.cast());
    }
    compiler_fence(Ordering::SeqCst);
}

/// Names nothing any more.
#[inline(always)]
pub fn pending_clear() {
    compiler_fence(Ordering::SeqCst);
    let head = current(|thread| thread.head.get());
    // SAFETY: as in `pending_set`.
    unsafe { (&raw mut (*head).pending).write_volatile(std::ptr::null_mut()) };
}

/// A list of this process's own, for a keeper: liveness words stay on it until the process dies.
/// Their links lie eight bytes after the words.
const LINK_OFFSET: libc::c_long = -8;

static mut OWN: Head = Head { next: std::ptr::null_mut(), futex_offset: LINK_OFFSET, pending: std::ptr::null_mut() };

/// The links on the list, the first one first: a keeper holds two words at most, its family's and its pool's.
static HELD: [AtomicPtr<AtomicU64>; 2] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 2];

/// Replaces the calling thread's robust list by an empty one of our own. For a single-threaded keeper
/// that uses no robust pthread mutex: glibc's list of this thread is forgotten.
pub fn own_list() {
    let head = &raw mut OWN;
    // SAFETY: the process is a keeper, which has one thread: nobody else accesses OWN but the kernel, at
    // its death. An empty list is its own successor.
    unsafe {
        (*head).next = head;
        (*head).pending = std::ptr::null_mut();
        libc::syscall(libc::SYS_set_robust_list, head, size_of::<Head>());
    }
    place::with(|thread| thread.member.set(0));
}

/// Takes a liveness word for as long as this process lives, if nobody alive has it; needs [`own_list`].
/// False if somebody has it. `link` lies eight bytes after `word`.
pub fn hold_for_life(word: &'static AtomicU32, link: &'static AtomicU64) -> bool {
    const OWNER: u32 = libc::FUTEX_TID_MASK;
    debug_assert_eq!(link.as_ptr() as usize - word.as_ptr() as usize, 8);
    pending_set(word);
    let mine = thread_id() | libc::FUTEX_WAITERS;
    let mut seen = word.load(Ordering::Acquire);
    let held = loop {
        if seen & OWNER != 0 {
            break false;
        }
        match word.compare_exchange(seen, mine, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => break true,
            Err(now) => seen = now,
        }
    };
    if held {
        // The word is pending until it is on the list: a death in between is noticed too.
        let head = &raw mut OWN;
        // SAFETY: as in `own_list`. `link` is a word of the arena, which is never unmapped.
        unsafe {
            link.store((*head).next as u64, Ordering::Release);
            (&raw mut (*head).next).write_volatile(link.as_ptr().cast());
        }
        HELD[1].store(HELD[0].load(Ordering::Relaxed), Ordering::Relaxed);
        HELD[0].store(std::ptr::from_ref(link).cast_mut(), Ordering::Relaxed);
    }
    pending_clear();
    held
}

/// Takes a word of [`hold_for_life`] off the list, where its memory may be used for something else before this
/// process dies. It keeps its value. What the links say is not asked: others can write them.
pub fn release(link: &'static AtomicU64) {
    let [first, second] = HELD.each_ref().map(|held| held.load(Ordering::Relaxed));
    let target = std::ptr::from_ref(link).cast_mut();
    let end = &raw mut OWN;
    // SAFETY: as in `own_list`; what is in HELD are links of the arena, which is never unmapped.
    unsafe {
        if first == target {
            let rest: *mut Head = if second.is_null() { end } else { second.cast() };
            (&raw mut (*end).next).write_volatile(rest);
            HELD[0].store(second, Ordering::Relaxed);
        } else if second == target {
            (*first).store(end as u64, Ordering::Release);
        } else {
            return;
        }
    }
    HELD[1].store(std::ptr::null_mut(), Ordering::Relaxed);
}
