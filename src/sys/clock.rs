//! The monotonic clock.

/// Nanoseconds of CLOCK_MONOTONIC: never set back, the same in every process of the machine.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec of ours; CLOCK_MONOTONIC exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds of processor time that this process has used, all its threads together. A system call.
pub fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec of ours; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Processor time of process `pid`; `None` if there is none.
pub fn cpu_ns_of(pid: u32) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut clock: libc::clockid_t = 0;
    // SAFETY: both are ours to be written.
    let known = unsafe {
        libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) == 0 && libc::clock_gettime(clock, &mut time) == 0
    };
    known.then_some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// The instant `timeout_ms` from now, saturating; `None` for a negative timeout, which is for ever.
pub fn deadline_after_ms(timeout_ms: i64) -> Option<u64> {
    let timeout = u64::try_from(timeout_ms).ok()?;
    Some(now_ns().saturating_add(timeout.saturating_mul(1_000_000)))
}

/// How long a waiting thread keeps its processor to itself. Whoever is to answer may need it.
const ALONE_NS: u64 = 2_000;

/// One turn of a wait that spins for `spin_ns` before it sleeps, of which `left_ns` are left; shorter if there is `news`, which is for a
/// few loads.
#[inline]
pub fn spin_or_yield(left_ns: u64, spin_ns: u64, news: impl Fn() -> bool) {
    if left_ns + ALONE_NS < spin_ns {
        return std::thread::yield_now();
    }
    for _ in 0..16 {
        std::hint::spin_loop();
        if news() {
            return;
        }
    }
}

/// An instant as the kernel wants it.
pub fn timespec(ns: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (ns / 1_000_000_000).min(i64::MAX as u64) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}
