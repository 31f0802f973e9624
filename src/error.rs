//! What can go wrong, in one enum; the only file with a status number in it.
//!
//! 0 is success, -1…-4095 is a negated errno, below -5000 are carom's own. Numbers are never used
//! again once retired.

use std::borrow::Cow;
use std::ffi::CStr;

/// A status as it crosses the C border.
pub type Status = i32;

/// The result of every fallible engine call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel refused a call.
    #[error("{call}: {}", errno_text(*errno))]
    Os {
        /// The system call that was refused.
        call: &'static str,
        /// Its errno.
        errno: i32,
    },
    /// An argument makes no sense.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// Not within its time.
    #[error("not within its time")]
    TimedOut,
    /// No answer yet.
    #[error("{0}")]
    Again(&'static str),
    /// A handle that is freed, of another kind, of another process, or was never one.
    #[error("{0}")]
    BadHandle(Cow<'static, str>),
    /// The process was forked by somebody else and has not attached.
    #[error("this process was forked without carom; call carom_attach first")]
    Forked,
    /// The arena, a table or a limit is exhausted.
    #[error("{0}")]
    NoMemory(&'static str),
    /// A buffer is too small, or a message has another size than was asked for.
    #[error("the message has {needed} bytes, the buffer {capacity}")]
    MessageSize {
        /// Length of the message.
        needed: usize,
        /// What the caller offered.
        capacity: usize,
    },
    /// The holder of a lock died while it held it.
    #[error("the owner of the lock died while it held it; recover the lock to go on")]
    OwnerDead,
    /// The caller holds the lock already.
    #[error("this lock is held by the caller already")]
    Deadlock,
    /// The caller may not do this now: release of a lock that is not held, join of a stranger.
    #[error("{0}")]
    NotPermitted(&'static str),
    /// The other side does not prove that it has the key, or says that we do not.
    #[error("{0}")]
    Denied(&'static str),
    /// A handled signal ended the call of a thread that asked for it.
    #[error("interrupted by a signal")]
    Interrupted,
    /// The object takes no more.
    #[error("{0}")]
    Closed(&'static str),
    /// The object cannot go on.
    #[error("{0}")]
    Broken(Cow<'static, str>),
    /// Nothing more will come.
    #[error("no more results")]
    End,
    /// A callback of the host ended its input with this status of ours.
    #[error("the source of the items ended with status {0}")]
    Source(Status),
    /// What a manager's server said to a request.
    #[error("{message}")]
    Server {
        /// The status there.
        status: Status,
        /// Its message there.
        message: String,
    },
    /// A function that no process could find again.
    #[error("{0}")]
    Function(Cow<'static, str>),
    /// A worker died while it ran the task.
    #[error("{0}")]
    WorkerLost(Cow<'static, str>),
    /// The task was ended by its time limit.
    #[error("the task was ended by its time limit")]
    TimeLimit,
    /// The task was ended by its memory limit.
    #[error("the task was ended by its memory limit")]
    MemoryLimit,
    /// The task at work in this process is past its soft time limit, or should stop for another reason.
    #[error("the task is past its soft time limit")]
    SoftLimit,
    /// The task ran and failed.
    #[error("{0}")]
    TaskFailed(Cow<'static, str>),
    /// The task was cancelled before it was done.
    #[error("the task was cancelled")]
    Cancelled,
    /// No such thing.
    #[error("{0}")]
    NotFound(&'static str),
    /// There is one already.
    #[error("{0}")]
    Exists(&'static str),
    /// It has been done, and is not done twice.
    #[error("{0}")]
    Already(&'static str),
    /// Not on this system, or not in this form.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A function that works with pools of this process only.
    #[error("{0} is not served for a pool of a manager, or a task of one")]
    NotServed(&'static str),
    /// An options struct of a newer header, with a field set that this library does not know.
    #[error("an options struct has a field set that this library does not know")]
    TooBig,
    /// The library has a bug, and caught it.
    #[error("internal error: {0}")]
    Panic(Cow<'static, str>),
}

/// The named statuses: name, number, what it means in one line.
pub const STATUSES: &[(&CStr, Status, &CStr)] = &[
    (c"CAROM_OK", 0, c"success"),
    (c"CAROM_EPERM", -libc::EPERM, c"not permitted now, or not for this caller"),
    (c"CAROM_ENOENT", -libc::ENOENT, c"no such thing"),
    (c"CAROM_EINTR", -libc::EINTR, c"interrupted by a signal"),
    (c"CAROM_E2BIG", -libc::E2BIG, c"an options struct has a field set that this library does not know"),
    (c"CAROM_EAGAIN", -libc::EAGAIN, c"no answer yet"),
    (c"CAROM_ENOMEM", -libc::ENOMEM, c"out of memory, or a limit is reached"),
    (c"CAROM_EACCES", -libc::EACCES, c"permission denied: by a mode, or for want of the right key"),
    (c"CAROM_EEXIST", -libc::EEXIST, c"there is one already"),
    (c"CAROM_EINVAL", -libc::EINVAL, c"an argument makes no sense"),
    (c"CAROM_EDEADLK", -libc::EDEADLK, c"the caller holds this lock already"),
    (c"CAROM_EMSGSIZE", -libc::EMSGSIZE, c"the buffer is too small, or the message has another size"),
    (c"CAROM_ENOTSUP", -libc::EOPNOTSUPP, c"not supported here"),
    (c"CAROM_EALREADY", -libc::EALREADY, c"it has been done, and is not done twice"),
    (c"CAROM_EADDRINUSE", -libc::EADDRINUSE, c"the address is in use"),
    (c"CAROM_ETIMEDOUT", -libc::ETIMEDOUT, c"not within its time"),
    (c"CAROM_ECONNREFUSED", -libc::ECONNREFUSED, c"nobody listens there"),
    (c"CAROM_ECANCELED", -libc::ECANCELED, c"cancelled before it was done"),
    (c"CAROM_EOWNERDEAD", -libc::EOWNERDEAD, c"the holder of the lock died while it held it"),
    (c"CAROM_EWORKERLOST", -5001, c"the worker died while it ran the task"),
    (c"CAROM_ETIMELIMIT", -5002, c"the task was ended by its time limit"),
    (c"CAROM_ETASKFAILED", -5003, c"the task ran and failed"),
    (c"CAROM_EBROKEN", -5004, c"the object cannot go on"),
    (c"CAROM_ECLOSED", -5005, c"the object takes no more"),
    (c"CAROM_EEND", -5007, c"nothing more will come"),
    (c"CAROM_EFUNCTION", -5008, c"a function that no other process could find"),
    (c"CAROM_EBADHANDLE", -5009, c"a handle that is freed, foreign, of another kind, or never was one"),
    (c"CAROM_ESOFTLIMIT", -5010, c"the task is past its soft time limit"),
    (c"CAROM_EFORKED", -5011, c"this process was forked without carom"),
    (c"CAROM_EMEMORYLIMIT", -5013, c"the task was ended by its memory limit"),
    (c"CAROM_EPANIC", -5012, c"the library has a bug, and caught it"),
];

impl Error {
    /// The number that the caller of the C function gets.
    pub fn status(&self) -> Status {
        match self {
            Error::Os { errno, .. } => -*errno,
            Error::Invalid(_) => -libc::EINVAL,
            Error::TimedOut => -libc::ETIMEDOUT,
            Error::Again(_) => -libc::EAGAIN,
            Error::NoMemory(_) => -libc::ENOMEM,
            Error::MessageSize { .. } => -libc::EMSGSIZE,
            Error::OwnerDead => -libc::EOWNERDEAD,
            Error::Deadlock => -libc::EDEADLK,
            Error::NotPermitted(_) => -libc::EPERM,
            Error::Denied(_) => -libc::EACCES,
            Error::Interrupted => -libc::EINTR,
            Error::NotFound(_) => -libc::ENOENT,
            Error::Exists(_) => -libc::EEXIST,
            Error::Already(_) => -libc::EALREADY,
            Error::Unsupported(_) | Error::NotServed(_) => -libc::EOPNOTSUPP,
            Error::TooBig => -libc::E2BIG,
            Error::Cancelled => -libc::ECANCELED,
            Error::WorkerLost(_) => -5001,
            Error::TimeLimit => -5002,
            Error::TaskFailed(_) => -5003,
            Error::Broken(_) => -5004,
            Error::Closed(_) => -5005,
            Error::Source(status) | Error::Server { status, .. } => *status,
            Error::End => -5007,
            Error::Function(_) => -5008,
            Error::BadHandle(_) => -5009,
            Error::SoftLimit => -5010,
            Error::MemoryLimit => -5013,
            Error::Forked => -5011,
            Error::Panic(_) => -5012,
        }
    }

    /// The errno behind the status, 0 where there is none.
    pub fn os_errno(&self) -> i32 {
        match self {
            Error::Os { errno, .. } => *errno,
            _ => 0,
        }
    }

    /// The kernel refused `call`; its errno is that of this thread, now.
    pub fn last_os(call: &'static str) -> Error {
        Error::Os { call, errno: std::io::Error::last_os_error().raw_os_error().unwrap_or(0) }
    }

    /// What a callback of the host said, if it is a status.
    pub fn of_source(status: i64) -> Option<Error> {
        match i32::try_from(status).ok()? {
            errno @ -4095..0 => Some(Error::Os { call: "the source of the items", errno: -errno }),
            own if own < -5000 && STATUSES.iter().any(|named| named.1 == own) => Some(Error::Source(own)),
            _ => None,
        }
    }

    /// What a server says: a status, which is believed only if it is one, its message, and the bytes that a message needs.
    pub fn of_server(status: Status, message: String, needed: usize) -> Error {
        match status {
            _ if status == -libc::EMSGSIZE && needed > 0 => Error::MessageSize { needed, capacity: 0 },
            -4095..0 => Error::Server { status, message },
            own if STATUSES.iter().any(|named| named.1 == own) => Error::Server { status, message },
            _ => Error::Broken("a status that is none".into()),
        }
    }

    /// Shorthand for an argument that makes no sense.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
        Error::Invalid(message.into())
    }
}

fn errno_text(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_named_status() {
        let all = [
            Error::Os { call: "open", errno: libc::ENOENT },
            Error::invalid("x"),
            Error::TimedOut,
            Error::Again("x"),
            Error::BadHandle("x".into()),
            Error::Forked,
            Error::NoMemory("x"),
            Error::MessageSize { needed: 1, capacity: 0 },
            Error::OwnerDead,
            Error::Deadlock,
            Error::NotPermitted("x"),
            Error::Denied("x"),
            Error::Interrupted,
            Error::Closed("x"),
            Error::Broken("x".into()),
            Error::End,
            Error::Source(-5005),
            Error::Server { status: -2, message: "x".into() },
            Error::Function("x".into()),
            Error::WorkerLost("x".into()),
            Error::TimeLimit,
            Error::SoftLimit,
            Error::MemoryLimit,
            Error::TaskFailed("x".into()),
            Error::Cancelled,
            Error::NotFound("x"),
            Error::Exists("x"),
            Error::Already("x"),
            Error::Unsupported("x"),
            Error::NotServed("x"),
            Error::TooBig,
            Error::Panic("x".into()),
        ];
        for error in all {
            let status = error.status();
            assert!(STATUSES.iter().any(|(_, number, _)| *number == status), "{error:?} has no named status");
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn status_numbers_are_unique() {
        let mut numbers: Vec<_> = STATUSES.iter().map(|s| s.1).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), STATUSES.len());
    }
}
