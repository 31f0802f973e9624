//! Forking, and how a forked child begins and ends.

use super::own::own;
use super::pidfd::Exit;
use super::raw;
use crate::error::{Error, Result};
use std::ffi::{CStr, CString};
use std::sync::atomic::Ordering;

unsafe extern "C" {
    static mut stdin: *mut libc::FILE;
    static mut stdout: *mut libc::FILE;
    static mut stderr: *mut libc::FILE;
    fn ftrylockfile(file: *mut libc::FILE) -> libc::c_int;
    fn funlockfile(file: *mut libc::FILE);
    fn fflush_unlocked(file: *mut libc::FILE) -> libc::c_int;
    fn __fpurge(file: *mut libc::FILE);
    fn __fpending(file: *mut libc::FILE) -> libc::size_t;
    fn on_exit(hook: extern "C" fn(libc::c_int, *mut libc::c_void), argument: *mut libc::c_void) -> libc::c_int;
}

/// Which side of a fork this is.
pub enum Side {
    /// The child.
    Child,
    /// The parent, with the child's pid.
    Parent(u32),
}

/// glibc's fork(): a raw clone would leave glibc with a stale thread id and no robust list.
///
/// # Safety
/// If the caller's process has threads, the child calls nothing that may wait for a lock of theirs
/// before the user's function, and ends by [`leave`].
#[inline(always)]
pub unsafe fn fork() -> Result<Side> {
    // SAFETY: by the contract of this function.
    match unsafe { libc::fork() } {
        -1 => Err(Error::last_os("fork")),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid as u32)),
    }
}

/// The beginning of glibc's FILE, which its public header has had since 1998. A call of `__fpending` would cost
/// a forked child the page fault of its code.
#[cfg(target_env = "gnu")]
#[repr(C)]
struct Stream {
    flags: libc::c_int,
    read: [*mut libc::c_char; 3],
    write_base: *mut libc::c_char,
    write_ptr: *mut libc::c_char,
    others: [usize; 18],
    /// Above 0: wide characters, which are pending elsewhere.
    mode: libc::c_int,
}

/// Whether there is something to be written out. A look that needs no lock: of a stream that another thread
/// writes to at this moment either answer is right.
///
/// # Safety
/// `file` is an open stream.
#[inline(always)]
unsafe fn is_pending(file: *mut libc::FILE) -> bool {
    #[cfg(target_env = "gnu")]
    {
        let stream = file.cast::<Stream>();
        // SAFETY: by contract, and `Stream` is how such a stream begins; volatile, since others may write it.
        let (mode, base, next) = unsafe {
            let base = (&raw const (*stream).write_base).read_volatile();
            ((&raw const (*stream).mode).read_volatile(), base, (&raw const (*stream).write_ptr).read_volatile())
        };
        if mode <= 0 {
            return next != base;
        }
    }
    // SAFETY: by contract.
    unsafe { __fpending(file) != 0 }
}

/// Whether more may have been read of the file than of the stream.
///
/// # Safety
/// `file` is an open stream that nobody else uses.
#[inline]
unsafe fn is_read_ahead(file: *mut libc::FILE) -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: as in `is_pending`.
        let stream = unsafe { &*file.cast::<Stream>() };
        stream.mode > 0 || stream.read[0] != stream.read[1]
    }
    #[cfg(not(target_env = "gnu"))]
    true
}

/// Writes out stdout and stderr, so that a child does not write the same bytes again; a stream whose
/// lock another thread holds is left alone (that thread may sleep in it).
#[inline(always)]
pub fn flush_streams() {
    // SAFETY: glibc's own streams.
    unsafe {
        for file in [stdout, stderr] {
            if !file.is_null() && is_pending(file) {
                flush(file);
            }
        }
    }
}

/// # Safety
/// `file` is an open stream.
#[cold]
unsafe fn flush(file: *mut libc::FILE) {
    // SAFETY: by contract; the stream is only touched with its lock held.
    unsafe {
        if ftrylockfile(file) == 0 {
            fflush_unlocked(file);
            funlockfile(file);
        }
    }
}

/// In a child, before it read or wrote anything: forgets what was read ahead, and what a stream holds because
/// it could not be written out before the fork, or another thread wrote it since. It is the parent's to
/// write and to read.
#[inline(always)]
pub fn purge_streams() {
    // SAFETY: glibc's own streams, whose locks it resets in the child; the child has one thread.
    unsafe {
        for (file, reads) in [(stdin, true), (stdout, false), (stderr, false)] {
            if !file.is_null() && (is_pending(file) || reads && is_read_ahead(file)) {
                __fpurge(file);
            }
        }
    }
}

/// struct sigaction as the kernel has it. (The one of aarch64 has no restorer in use; 8 bytes more do not
/// matter where all are zero.)
#[repr(C)]
struct Action {
    handler: usize,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// In a child: default dispositions for every signal but those to ignore, and an empty mask.
#[inline(always)]
pub fn default_signals(ignore: &[i32]) {
    Signals { ignored: ignore.iter().fold(0, |set, signal| set | 1 << (signal - 1)), blocked: 0 }.assume();
}

/// What a program that is executed keeps of the signals of the thread that executes it, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signals {
    /// Those that are ignored.
    pub ignored: u64,
    /// Those that are blocked.
    pub blocked: u64,
}

impl Signals {
    /// Of the calling thread.
    pub fn now() -> Signals {
        let (mut signals, none) = (Signals { ignored: 0, blocked: 0 }, 0);
        for signal in 1..65 {
            let mut action = Action { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
            let place = &raw mut action as usize;
            // SAFETY: asks only; the kernel writes one `Action`, whose mask has 8 bytes.
            unsafe { raw::syscall(libc::SYS_rt_sigaction, signal, 0, place, 8) };
            signals.ignored |= ((action.handler == libc::SIG_IGN) as u64) << (signal - 1);
        }
        let blocked = &raw mut signals.blocked as usize;
        // SAFETY: asks only; the kernel writes the 8 bytes of a set.
        unsafe { raw::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK as usize, none, blocked, 8) };
        signals
    }

    /// In a child: so it is here; every other signal has its default disposition.
    #[inline(always)]
    pub fn assume(self) {
        // SIGKILL and SIGSTOP have no other disposition; 32 and 33 are the C library's own, which leaves them alone.
        // (A half-open range: the other kind is a function of its own.)
        for signal in 1..65 {
            if !matches!(signal, libc::SIGKILL | libc::SIGSTOP | 32 | 33) {
                dispose(signal, self.ignored >> (signal - 1) & 1 != 0);
            }
        }
        block(self.blocked);
    }
}

/// In a child: a signal is ignored, or has its default disposition.
#[inline(always)]
pub fn dispose(signal: i32, ignored: bool) {
    let handler = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    let action = Action { handler, flags: 0, restorer: 0, mask: 0 };
    let action = &raw const action as usize;
    // SAFETY: changes the disposition of this process only, to one without code. The kernel reads one
    // `Action`, whose mask has 8 bytes.
    unsafe { raw::syscall(libc::SYS_rt_sigaction, signal as usize, action, 0, 8) };
}

/// In a child: these signals are blocked, one bit each.
#[inline(always)]
pub fn block(mask: u64) {
    // SAFETY: changes the mask of this thread only; the kernel reads the 8 bytes of a set.
    unsafe { raw::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK as usize, &raw const mask as usize, 0, 8) };
}

/// In a child: from now on a call of exit() by the user's code ends the process as [`leave`] does, and
/// whichever way it leaves, `leaving` is called with the exit code. The host's own atexit handlers, registered before ours, never run here; those registered after, in the
/// child, do.
pub fn catch_exit(leaving: fn(i32)) {
    own().leaving.store(leaving as usize, Ordering::Release);
    // SAFETY: registers plain functions. Without room for them exit() would run the host's handlers;
    // glibc allocates, and a failure is as rare as it is harmless to everybody else.
    unsafe {
        on_exit(exit_hook, std::ptr::null_mut());
    }
}

extern "C" fn exit_hook(code: libc::c_int, _: *mut libc::c_void) {
    leave(code);
}

/// Something of the user's to be called at a clean end.
pub struct Hook {
    function: usize,
    context: usize,
    next: *mut Hook,
}

/// A function of C's: `void function(void *ctx)`.
pub type Finish = unsafe extern "C" fn(*mut libc::c_void);

/// Calls `function` with `context` before this process leaves as [`leave`] does: the last that was said first.
pub fn at_exit(function: Finish, context: *mut libc::c_void) {
    let hook = Box::into_raw(Box::new(Hook {
        function: function as usize,
        context: context as usize,
        next: own().hooks.load(Ordering::Acquire),
    }));
    loop {
        // SAFETY: `hook` is a box that nobody has seen yet.
        let next = unsafe { (*hook).next };
        match own().hooks.compare_exchange(next, hook, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            // SAFETY: as above.
            Err(now) => unsafe { (*hook).next = now },
        }
    }
}

/// Calls what is to be called, and then what that has added; each once.
#[cold]
pub fn run_hooks() {
    loop {
        let mut next = own().hooks.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if next.is_null() {
            return;
        }
        while !next.is_null() {
            // SAFETY: a box of `at_exit`'s, which the swap has made this thread's alone.
            let hook = unsafe { Box::from_raw(next) };
            next = hook.next;
            // SAFETY: only `at_exit` makes hooks, of a `Finish` and its context, whose owner promised that both live on.
            unsafe {
                let function: Finish = std::mem::transmute(hook.function);
                function(hook.context as *mut libc::c_void);
            }
        }
    }
}

/// Ends a child: what it wrote goes out, its code is recorded, no handler of the host runs.
pub fn leave(code: i32) -> ! {
    leave_after(code, |code| {
        let leaving = own().leaving.load(Ordering::Acquire);
        if leaving != 0 {
            // SAFETY: only `catch_exit` stores here, and it stores a `fn(i32)`.
            let leaving: fn(i32) = unsafe { std::mem::transmute(leaving) };
            leaving(code);
        }
    })
}

/// As [`leave`], for the caller of [`catch_exit`], who need not look up whom to tell.
#[inline(always)]
pub fn leave_after(code: i32, leaving: impl FnOnce(i32)) -> ! {
    if !own().hooks.load(Ordering::Acquire).is_null() {
        run_hooks();
    }
    flush_streams();
    if !own().left.swap(true, Ordering::AcqRel) {
        leaving(code);
    }
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(code & 0xff) }
}

/// Ends a helper process of ours that never ran foreign code.
pub fn leave_at_once(code: i32) -> ! {
    // SAFETY: as `leave`.
    unsafe { libc::_exit(code) }
}

/// For a worker whose end is decided: does nothing more.
pub fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: plain call.
        unsafe { libc::pause() };
    }
}

/// What [`wait_for`] says of a child that a signal ended.
pub const KILLED: i32 = -1;

/// Waits for a child of ours that is about to end by itself; its exit code, or [`KILLED`].
pub fn wait_for(pid: u32) -> i32 {
    loop {
        let mut status = 0;
        // SAFETY: `status` is ours; `pid` is our own unreaped child.
        let reaped = unsafe { libc::waitpid(pid as i32, &mut status, libc::__WALL) };
        if reaped == pid as i32 {
            return if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { KILLED };
        }
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            // The host reaped it, or ignores SIGCHLD: it is gone, which is what the caller waits for.
            return 0;
        }
    }
}

/// In a server of ours: a child that has ended, and is not reaped.
pub fn ended_child() -> Option<(u32, Exit)> {
    // SAFETY: a zeroed siginfo is valid; the call only writes it.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
        if libc::waitid(libc::P_ALL, 0, &mut info, options) != 0 || info.si_pid() == 0 {
            return None;
        }
        let exit = match info.si_code {
            libc::CLD_EXITED => Exit::Code(info.si_status()),
            _ => Exit::Signal(info.si_status()),
        };
        Some((info.si_pid() as u32, exit))
    }
}

/// Whether this process has such a child, which nobody has reaped.
pub fn is_child(pid: u32) -> bool {
    // SAFETY: a zeroed siginfo is valid; the call only writes it, and waits for and reaps nothing.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL) == 0
    }
}

/// Ends a child that was made just now and of which nobody knows yet.
pub fn kill_and_reap(pid: u32) {
    // SAFETY: plain call; the number is our own unreaped child's.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    wait_for(pid);
}

/// This process's id.
#[inline(always)]
pub fn pid() -> u32 {
    // SAFETY: getpid has no arguments and cannot fail.
    unsafe { raw::syscall(libc::SYS_getpid, 0, 0, 0, 0) as u32 }
}

/// Id of the process that forked this one, as long as that lives.
pub fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

/// The kernel kills this process when its parent dies: a second net, for children of a keeper, which
/// has one thread (the signal follows the thread that forked). False if the parent is dead already.
pub fn die_with(parent: u32) -> bool {
    // SAFETY: plain calls.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::getppid() as u32 == parent
    }
}

/// Makes this process the leader of a group of its own, so that what it starts can be ended with it.
pub fn lead_group() {
    // SAFETY: plain call on this process.
    unsafe { libc::setpgid(0, 0) };
}

/// The process is called `name` in ps and top.
#[inline(always)]
pub fn set_title(name: &CStr) {
    // SAFETY: `name` is a C string; the kernel copies 15 bytes of it.
    unsafe { raw::syscall(libc::SYS_prctl, libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0) };
}

/// What the process is called in ps and top.
pub fn title() -> CString {
    let mut name = [0u8; 16];
    // SAFETY: the kernel writes 16 bytes, the last of them zero.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    CStr::from_bytes_until_nul(&name).unwrap_or_default().into()
}

/// Calls the user's function at `address` with `context`, as C does: `int32_t function(context *)`.
///
/// An address gets here only through `function::identify` or `function::resolve`, which found it in
/// executable memory of this process or in the host's registrations; that it has this signature is the
/// host's promise, given where it passed a `carom_function`.
#[inline(always)]
pub fn call<T>(address: usize, context: &mut T) -> i32 {
    // SAFETY: see above; a function pointer and its address have the same size.
    let function: extern "C" fn(*mut T) -> i32 = unsafe { std::mem::transmute(address) };
    function(context)
}
