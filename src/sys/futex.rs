//! Futexes of shared memory: sleeping on one word, or on a word and an alarm at once.

use super::clock::{now_ns, timespec};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Why a sleep ended. Spurious wake-ups are legal everywhere: the caller looks again in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Woken, or the word was not what the caller expected, or for nothing.
    Look,
    /// The deadline has passed. Never proof that anybody died.
    TimedOut,
    /// A signal handler ran on this thread.
    Interrupted,
}

/// When a wait ends: an instant of the monotonic clock in nanoseconds, `None` for never.
pub type Deadline = Option<u64>;

/// Kernels before 5.16, and sandboxes, have no futex_waitv; found out once, at its first refusal.
static NO_WAITV: AtomicBool = AtomicBool::new(false);

/// Without futex_waitv a sleeper looks at the alarm this often.
const ALARM_CHECK_NS: u64 = 100_000_000;

const FUTEX2_SIZE_U32: u32 = 2;

#[repr(C)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// The half of a 64-bit word that the kernel can wait on (the first four bytes: both supported
/// processors are little-endian).
#[inline(always)]
pub fn low_half(word: &AtomicU64) -> &AtomicU32 {
    const _: () = assert!(cfg!(target_endian = "little"));
    // SAFETY: an AtomicU64 is eight bytes, aligned to eight, so its first four are a valid AtomicU32
    // for as long as the borrow lasts; only the kernel and this process's futex calls access it as such.
    unsafe { &*(word as *const AtomicU64).cast::<AtomicU32>() }
}

/// Sleeps while `word` is `expected` and, where given, the alarm's word has its value.
pub fn wait(word: &AtomicU32, expected: u32, alarm: Option<(&AtomicU32, u32)>, deadline: Deadline) -> Wake {
    match alarm {
        None => wait_one(word, expected, deadline),
        Some(alarm) if NO_WAITV.load(Ordering::Relaxed) => wait_and_check(word, expected, alarm, deadline),
        Some(alarm) => {
            let wake = wait_two(word, expected, alarm, deadline);
            wake.unwrap_or_else(|| wait_and_check(word, expected, alarm, deadline))
        }
    }
}

/// Wakes up to `count` sleepers of `word`, in whatever process; how many it woke.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    let count = count.min(i32::MAX as u32);
    // SAFETY: FUTEX_WAKE only takes the address; `word` outlives the call.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    u32::try_from(woken).unwrap_or(0)
}

fn wait_one(word: &AtomicU32, expected: u32, deadline: Deadline) -> Wake {
    let time = deadline.map(timespec);
    let time = time.as_ref().map_or(std::ptr::null(), |time| time as *const libc::timespec);
    // SAFETY: `word` and `time` outlive the call. WAIT_BITSET takes an absolute monotonic time.
    let result = unsafe {
        let operation = libc::FUTEX_WAIT_BITSET;
        let nothing = std::ptr::null::<u32>();
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, time, nothing, libc::FUTEX_BITSET_MATCH_ANY)
    };
    outcome(result)
}

/// `None` where the kernel has no futex_waitv, or no memory for it.
fn wait_two(word: &AtomicU32, expected: u32, alarm: (&AtomicU32, u32), deadline: Deadline) -> Option<Wake> {
    let waiter = |word: &AtomicU32, value: u32| Waiter {
        value: value as u64,
        address: word.as_ptr() as u64,
        flags: FUTEX2_SIZE_U32,
        reserved: 0,
    };
    let waiters = [waiter(word, expected), waiter(alarm.0, alarm.1)];
    let time = deadline.map(timespec);
    let time = time.as_ref().map_or(std::ptr::null(), |time| time as *const libc::timespec);
    // SAFETY: `waiters` and `time` outlive the call; both addresses are words of live mappings.
    let result = unsafe { libc::syscall(libc::SYS_futex_waitv, waiters.as_ptr(), 2, 0, time, libc::CLOCK_MONOTONIC) };
    let errno = std::io::Error::last_os_error().raw_os_error();
    match errno {
        Some(libc::ENOSYS | libc::EPERM) if result < 0 => NO_WAITV.store(true, Ordering::Relaxed),
        // It needs memory of the kernel's, which a wait for one word does not.
        Some(libc::ENOMEM) if result < 0 => {}
        _ => return Some(outcome(result)),
    }
    None
}

fn wait_and_check(word: &AtomicU32, expected: u32, alarm: (&AtomicU32, u32), deadline: Deadline) -> Wake {
    if alarm.0.load(Ordering::Acquire) != alarm.1 {
        return Wake::Look;
    }
    let check = now_ns() + ALARM_CHECK_NS;
    match deadline {
        Some(deadline) if deadline <= check => wait_one(word, expected, Some(deadline)),
        _ => match wait_one(word, expected, Some(check)) {
            Wake::TimedOut => Wake::Look,
            wake => wake,
        },
    }
}

fn outcome(result: libc::c_long) -> Wake {
    if result >= 0 {
        return Wake::Look;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ETIMEDOUT) => Wake::TimedOut,
        Some(libc::EINTR) => Wake::Interrupted,
        _ => Wake::Look,
    }
}
