//! What a worker says of its own crash: a handler of fatal signals that writes a [`Record`] and then lets the
//! process die of the very signal.
//!
//! The stack is walked by `_Unwind_Backtrace` of libgcc_s, which every program with Rust in it is linked with:
//! frame pointers are not there in what distributions build, and glibc's `backtrace` is the same walk behind a
//! dlopen. With gcc 12 and glibc 2.35 it takes no lock; older ones ask the loader for its list, whose lock a forked
//! child may find taken for ever. So the walk has a time limit, and a fault in it (a damaged stack) ends it:
//! in both cases [`give_up`] lets the process die of the first signal, with the record as far as it is.

use super::own::own;
use super::{fork, maps};
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};

/// Frames that a record has room for.
pub const FRAMES: usize = 48;
/// Modules that it has room for.
pub const NOTES: usize = 8;
/// Words of a [`Record`]. The first eight: state, signal, code, address, frames, modules, process, nothing.
pub const WORDS: usize = 368;
/// Where frames begin: an address each, and where that is: module + 1 in the upper 16 bits, offset in its file.
pub const FRAMES_AT: usize = 8;
/// Where modules begin.
pub const NOTES_AT: usize = FRAMES_AT + 2 * FRAMES;
/// Words of a module: inode, length of its build-id, build-id (4), length of its path, path.
pub const NOTE_WORDS: usize = 32;
/// Bytes of a path that there is room for.
pub const PATH: usize = 8 * (NOTE_WORDS - 7);

const _: () = assert!(NOTES_AT + NOTES * NOTE_WORDS <= WORDS);

const STATE: usize = 0;
const SIGNAL: usize = 1;
const CODE: usize = 2;
const ADDRESS: usize = 3;
const FRAME_COUNT: usize = 4;
pub(super) const NOTE_COUNT: usize = 5;
const PROCESS: usize = 6;

/// The evidence of a crash, in shared memory. Written by the process that dies of it, read after its death.
#[repr(C, align(128))]
pub struct Record {
    words: [AtomicU64; WORDS],
}

impl Record {
    /// Whether process `pid` has written something there.
    pub fn is_of(&self, pid: u32) -> bool {
        self.words[STATE].load(Acquire) != 0 && self.words[PROCESS].load(Relaxed) == pid as u64
    }

    /// Its words, see [`WORDS`].
    pub fn words(&'static self) -> &'static [AtomicU64] {
        &self.words
    }

    /// There is nothing in it; to be said when nobody is there who could write.
    pub fn clear(&self) {
        if self.words[STATE].load(Relaxed) != 0 {
            [SIGNAL, FRAME_COUNT, NOTE_COUNT].iter().for_each(|at| self.words[*at].store(0, Relaxed));
            self.words[STATE].store(0, Release);
        }
    }

    pub(super) fn word(&self, at: usize) -> u64 {
        self.words.get(at).map_or(0, |word| word.load(Relaxed))
    }

    pub(super) fn set(&self, at: usize, value: u64) {
        if let Some(word) = self.words.get(at) {
            word.store(value, Relaxed);
        }
    }

    pub(super) fn frames(&self) -> usize {
        (self.word(FRAME_COUNT) as usize).min(FRAMES)
    }

    fn add_frame(&self, address: usize) -> bool {
        let count = self.frames();
        if count == FRAMES {
            return false;
        }
        self.set(FRAMES_AT + 2 * count, address as u64);
        self.set(FRAMES_AT + 2 * count + 1, 0);
        self.set(FRAME_COUNT, count as u64 + 1);
        true
    }
}

const FATAL: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];
/// Those of them that may come from the walk itself.
const OF_THE_WALK: [c_int; 3] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGALRM];

/// Also holds what the kernel saves of the processor, which is some kilobytes with the widest vectors.
const STACK: usize = 64 << 10;
const GUARD: usize = 64 << 10;
/// How long the walk may take.
const PATIENCE_S: libc::time_t = 1;

/// The thread whose crash is recorded, and what the kernel told it.
static CRASHING: AtomicU32 = AtomicU32::new(0);
static INFO: AtomicPtr<libc::siginfo_t> = AtomicPtr::new(std::ptr::null_mut());
/// Whether it is known by now which files the frames are in, or will not be.
static LOCATED: AtomicBool = AtomicBool::new(false);

#[repr(C)]
struct UnwindContext {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        step: unsafe extern "C" fn(*mut UnwindContext, *mut c_void) -> c_int,
        state: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut UnwindContext) -> usize;
}

/// In the host: the unwinder makes its tables now, and not in a crash.
pub fn warm_up() {
    unsafe extern "C" fn step(context: *mut UnwindContext, _: *mut c_void) -> c_int {
        // SAFETY: a context that the unwinder has just passed.
        unsafe { _Unwind_GetIP(context) };
        0
    }
    // SAFETY: walks this thread's own stack; `step` has the required signature.
    unsafe { _Unwind_Backtrace(step, std::ptr::null_mut()) };
}

/// In a process whose children are workers, which inherit all of it: a stack for the handler, and the handler.
/// Without a record (see [`attach`]) it only lets the process die.
pub fn install() {
    // SAFETY: a new mapping, which becomes the alternate stack of this thread for ever, with its lower part left
    // inaccessible; handlers of this process, which has no others. A refusal leaves what was there.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let stack = libc::mmap(std::ptr::null_mut(), GUARD + STACK, libc::PROT_NONE, flags, -1, 0);
        if stack == libc::MAP_FAILED {
            return;
        }
        let stack = stack.cast::<u8>().add(GUARD).cast::<c_void>();
        libc::mprotect(stack, STACK, libc::PROT_READ | libc::PROT_WRITE);
        libc::sigaltstack(&libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: STACK }, std::ptr::null_mut());
        FATAL.iter().for_each(|signal| handle(*signal, handler, true));
    }
}

/// In a worker: its crash is written to `record`. A child that it forks has none.
pub fn attach(record: &'static Record, pid: u32) {
    own().crash_pid.store(pid, Relaxed);
    own().crash.store((&raw const *record).cast_mut(), Release);
}

fn record() -> Option<&'static Record> {
    // SAFETY: NULL, or what `attach` stored: a record that lives for ever.
    let record = unsafe { own().crash.load(Acquire).as_ref() }?;
    // A child of vfork shares the memory.
    (own().crash_pid.load(Relaxed) == fork::pid()).then_some(record)
}

fn handle(signal: c_int, handler: unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void), blocks: bool) {
    // SAFETY: a zeroed sigaction is a valid one; the handler has the signature that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | if blocks { 0 } else { libc::SA_NODEFER };
        if blocks {
            libc::sigfillset(&mut action.sa_mask);
        }
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// The process will die of `signal`, with what the kernel told of it: as soon as it is not blocked in this thread.
///
/// # Safety
/// `info` is what the kernel passed to a handler of `signal` that has not returned.
unsafe fn doom(signal: c_int, info: *mut libc::siginfo_t) {
    // SAFETY: changes dispositions only; `info` by contract. A process may send itself any siginfo.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let me = libc::syscall(libc::SYS_gettid);
        if libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), me, signal, info) != 0 {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), me, signal);
        }
    }
}

unsafe extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    if let Some(record) = record() {
        let first = CRASHING.compare_exchange(0, thread(), AcqRel, Acquire).is_ok();
        if !first {
            // Another thread is about to end the process.
            linger();
        } else if record.word(STATE) == 0 {
            // SAFETY: what the kernel passed.
            unsafe { testify(record, signal, info, context) };
        }
    }
    // All signals are blocked until the return, which restores the registers: a core dump shows the fault.
    // SAFETY: what the kernel passed.
    unsafe { doom(signal, info) };
}

fn thread() -> u32 {
    // SAFETY: plain call.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

fn linger() {
    let time = libc::timespec { tv_sec: 2 * PATIENCE_S, tv_nsec: 0 };
    // SAFETY: `time` is ours.
    unsafe { libc::nanosleep(&time, std::ptr::null_mut()) };
}

/// # Safety
/// `info` and `context` are what the kernel passed to a handler of `signal` that has not returned.
unsafe fn testify(record: &'static Record, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: by contract.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as u64) };
    record.set(SIGNAL, signal as u64);
    record.set(CODE, code as u32 as u64);
    // Where somebody sent the signal, there is his pid instead.
    let has_address = code > 0 && signal != libc::SIGABRT;
    record.set(ADDRESS, if has_address { address } else { 0 });
    record.set(PROCESS, fork::pid() as u64);
    record.words[STATE].store(1, Release);
    INFO.store(info, Release);
    // SAFETY: handlers and masks of a process that is about to end; the time is ours; `context` by contract.
    unsafe {
        OF_THE_WALK.iter().for_each(|signal| handle(*signal, give_up, false));
        let time = libc::timeval { tv_sec: PATIENCE_S, tv_usec: 0 };
        let timer = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: time };
        libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &timer, std::ptr::null::<u8>());
        let mut open: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut open);
        OF_THE_WALK.iter().for_each(|signal| _ = libc::sigaddset(&mut open, *signal));
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &open, std::ptr::null_mut());
        walk(record, context.cast(), address as usize, has_address);
        locate(record);
        libc::pthread_sigmask(libc::SIG_BLOCK, &open, std::ptr::null_mut());
    }
}

fn locate(record: &'static Record) {
    // Once: where a fault comes from here, it is the end.
    if !LOCATED.swap(true, AcqRel) {
        maps::locate(record);
    }
}

/// In the midst of [`testify`]: a fault, or out of time.
unsafe extern "C" fn give_up(signal: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    if CRASHING.load(Acquire) != thread() && signal != libc::SIGALRM {
        return linger();
    }
    // The frames that there are have been found.
    record().into_iter().for_each(locate);
    let info = INFO.load(Acquire);
    // SAFETY: `info` lies on the stack of `handler`, which does not return before this. Its signal may be blocked
    // here; then it comes with the unblocking.
    unsafe {
        let signal = (*info).si_signo;
        doom(signal, info);
        let mut open: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut open);
        libc::sigaddset(&mut open, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &open, std::ptr::null_mut());
    }
}

/// Registers of what was interrupted.
#[cfg(target_arch = "x86_64")]
mod registers {
    use libc::{REG_RIP, REG_RSP, ucontext_t};

    /// # Safety
    /// `context` is what the kernel passed to a handler that has not returned.
    pub unsafe fn instruction(context: *mut ucontext_t) -> usize {
        // SAFETY: by contract.
        unsafe { (*context).uc_mcontext.gregs[REG_RIP as usize] as usize }
    }

    /// Returns, as the function at the instruction would, and says what is to be restored.
    ///
    /// # Safety
    /// As above; nothing has happened in that function. A stack that is not there is a fault.
    pub unsafe fn leave(context: *mut ucontext_t) -> [i64; 2] {
        // SAFETY: by contract.
        unsafe {
            let registers = &mut (*context).uc_mcontext.gregs;
            let before = [registers[REG_RIP as usize], registers[REG_RSP as usize]];
            registers[REG_RIP as usize] = (before[1] as *const i64).read_volatile();
            registers[REG_RSP as usize] += 8;
            before
        }
    }

    /// # Safety
    /// As above; `before` is from [`leave`].
    pub unsafe fn restore(context: *mut ucontext_t, before: [i64; 2]) {
        // SAFETY: by contract.
        let registers = unsafe { &mut (*context).uc_mcontext.gregs };
        (registers[REG_RIP as usize], registers[REG_RSP as usize]) = (before[0], before[1]);
    }
}

/// As above; a call leaves the address of the caller in x30.
#[cfg(target_arch = "aarch64")]
mod registers {
    use libc::ucontext_t;

    /// # Safety
    /// `context` is what the kernel passed to a handler that has not returned.
    pub unsafe fn instruction(context: *mut ucontext_t) -> usize {
        // SAFETY: by contract.
        unsafe { (*context).uc_mcontext.pc as usize }
    }

    /// # Safety
    /// As above; nothing has happened in the function at the instruction.
    pub unsafe fn leave(context: *mut ucontext_t) -> [i64; 2] {
        // SAFETY: by contract.
        let context = unsafe { &mut (*context).uc_mcontext };
        let before = [context.pc as i64, 0];
        context.pc = context.regs[30];
        before
    }

    /// # Safety
    /// As above; `before` is from [`leave`].
    pub unsafe fn restore(context: *mut ucontext_t, before: [i64; 2]) {
        // SAFETY: by contract.
        unsafe { (*context).uc_mcontext.pc = before[0] as u64 };
    }
}

struct Walk {
    record: &'static Record,
    /// What was interrupted, once it is found 0: above it are frames of this handler.
    from: usize,
}

unsafe extern "C" fn step(context: *mut UnwindContext, walk: *mut c_void) -> c_int {
    const STOP: c_int = 4; // _URC_NORMAL_STOP
    // SAFETY: a context that the unwinder has just passed, and the state that `walk` did.
    let (address, walk) = unsafe { (_Unwind_GetIP(context), &mut *walk.cast::<Walk>()) };
    if walk.from != 0 {
        if address == walk.from {
            walk.from = 0;
        }
        return 0;
    }
    if address != 0 && walk.record.add_frame(address) { 0 } else { STOP }
}

/// Records the frames from the interrupted one on.
///
/// # Safety
/// `context` is what the kernel passed to a handler that has not returned.
unsafe fn walk(record: &'static Record, context: *mut libc::ucontext_t, address: usize, has_address: bool) {
    // SAFETY: by contract. Nothing has happened at an instruction that cannot even be read. `step` has the required
    // signature, and `state` outlives the call.
    unsafe {
        let instruction = registers::instruction(context);
        record.add_frame(instruction);
        // A call into nowhere: the unwinder does not know how to leave that, but we do.
        let before = (has_address && instruction == address).then(|| registers::leave(context));
        let from = registers::instruction(context);
        if before.is_some() {
            record.add_frame(from);
        }
        let mut state = Walk { record, from };
        _Unwind_Backtrace(step, (&raw mut state).cast());
        if let Some(before) = before {
            registers::restore(context, before);
        }
    }
}
