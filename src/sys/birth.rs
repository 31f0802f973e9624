//! What every child of ours has in common.

use super::elf;
use super::fork::{Side, fork};
use crate::error::Result;

/// Signals that keepers and workers ignore: Ctrl-C is the host's to handle.
pub const IGNORED: &[i32] = &[libc::SIGINT];

/// Forks. In the child nothing but carom's own code runs until the user's function, and that code
/// takes no lock that another thread of the parent may have held.
#[inline(always)]
pub fn fork_child() -> Result<Side> {
    elf::before_fork();
    // SAFETY: every caller is a bootstrap of a child (`process::run_child`, `keeper::run`, the template's
    // worker) that allocates nothing and takes no process-local lock before foreign code, and ends by
    // `leave` or `leave_at_once`.
    unsafe { fork() }
}
