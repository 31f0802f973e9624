//! What a new process does to itself before it runs anything. Each call's error is its errno.

use super::descriptor;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::RawFd;

type Done = std::result::Result<(), i32>;

fn done(result: libc::c_long) -> Done {
    if result < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) } else { Ok(()) }
}

/// Leads a new session.
pub fn new_session() -> Done {
    // SAFETY: plain call on this process.
    done(unsafe { libc::setsid() } as libc::c_long)
}

/// Joins a process group; 0 makes one, which it leads.
pub fn join_group(group: i32) -> Done {
    // SAFETY: plain call on this process.
    done(unsafe { libc::setpgid(0, group) } as libc::c_long)
}

/// Works in this directory.
pub fn change_directory(path: &CStr) -> Done {
    // SAFETY: a C string.
    done(unsafe { libc::chdir(path.as_ptr()) } as libc::c_long)
}

/// Is nicer to others by so much.
pub fn add_nice(by: i32) -> Done {
    // SAFETY: plain calls on this process. Below zero is an answer too: the errno tells.
    unsafe {
        *libc::__errno_location() = 0;
        let now = libc::getpriority(libc::PRIO_PROCESS, 0);
        if now == -1 && *libc::__errno_location() != 0 {
            return Err(*libc::__errno_location());
        }
        done(libc::setpriority(libc::PRIO_PROCESS, 0, now.saturating_add(by).clamp(-20, 19)) as libc::c_long)
    }
}

/// Limits itself.
pub fn limit(resource: i32, soft: u64, hard: u64) -> Done {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads one `rlimit`.
    done(unsafe { libc::prlimit(0, resource as _, &limit, std::ptr::null_mut()) } as libc::c_long)
}

/// A stream that is left as it is.
pub const AS_IT_IS: RawFd = -1;
/// One that reads nothing and swallows everything.
pub const NULL: RawFd = -2;

/// Makes the standard streams go where the numbers say. What is executed later has them too.
pub fn place_streams(numbers: [RawFd; 3]) -> Done {
    let mut moved = [-1; 3];
    for (room, number) in moved.iter_mut().zip(numbers).filter(|(_, number)| *number >= 0) {
        // Out of the way of the others: standard output may go where standard error goes, and that elsewhere.
        // SAFETY: plain call on descriptors of this process.
        *room = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
        done(*room as libc::c_long)?;
    }
    for (stream, (from, number)) in (0..).zip(moved.into_iter().zip(numbers)) {
        match number {
            NULL if stream == 0 => descriptor::stdin_from_null(),
            NULL => descriptor::streams_from_null(&[stream]),
            AS_IT_IS => {}
            // SAFETY: as above.
            _ => unsafe {
                let placed = done(libc::dup2(from, stream) as libc::c_long);
                libc::close(from);
                placed?;
            },
        }
    }
    Ok(())
}

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// The environment, as a program gets it.
pub fn environment() -> *const *const c_char {
    // SAFETY: a word of the C library's; whoever changes it at the same time from another thread does so at his own risk.
    unsafe { (&raw const environ).read() }
}

/// An environment, for a program or for this process.
pub struct Environment {
    pointers: Vec<*const c_char>,
    /// What they point to.
    _variables: Vec<CString>,
}

// SAFETY: what the pointers point to is its own, and nobody writes it.
unsafe impl Send for Environment {}

impl Environment {
    /// Of these variables.
    pub fn new(variables: Vec<CString>) -> Environment {
        let pointers = variables.iter().map(|variable| variable.as_ptr()).chain([std::ptr::null()]).collect();
        Environment { pointers, _variables: variables }
    }

    /// As a program gets it.
    pub fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }

    /// In a new process, whose only thread this is: its environment from now on.
    pub fn assume(self) {
        // SAFETY: nobody else reads or writes it now; what it points to is never freed, see below.
        unsafe { (&raw mut environ).write(self.as_ptr()) };
        std::mem::forget(self);
    }
}
