//! A fence that one thread makes for all: whoever waits seldom pays for those who work often.

use std::sync::atomic::{Ordering, compiler_fence};

/// Of the kernel's header: to every processor on which a registered process runs; and to be registered.
const GLOBAL_EXPEDITED: libc::c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: libc::c_int = 1 << 2;

fn call(command: libc::c_int) -> bool {
    // SAFETY: plain call; reads and writes no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// From now on [`heavy`], called by whichever process, is a fence for every thread of this one. False where the kernel or
/// a sandbox refuses. The first time costs a process of several threads some milliseconds. Not kept by an exec.
pub fn register() -> bool {
    call(REGISTER_GLOBAL_EXPEDITED)
}

/// A full fence of this thread, and, somewhere between two of its instructions, of every thread of every registered process:
/// what such a thread stored before, this one sees; and it sees later what this one stored before. False if the kernel refused.
pub fn heavy() -> bool {
    call(GLOBAL_EXPEDITED)
}

/// The other side of [`heavy`]: the order of the program, and no instruction.
#[inline(always)]
pub fn light() {
    compiler_fence(Ordering::SeqCst);
}
