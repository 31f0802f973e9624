//! What a new process is like, besides what it runs: what it does to itself before it runs that.
#![forbid(unsafe_code)]

use crate::error::Error;
use crate::sys::fork::Signals;
use crate::sys::setup;
use crate::wire::Argument;
use std::ffi::{CStr, CString};
use std::os::fd::RawFd;

/// Where a standard stream of the process goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stream {
    /// Input: nowhere; the others: where they go here.
    #[default]
    Usual,
    /// Reads nothing, swallows everything.
    Null,
    /// To a descriptor of this process.
    To(RawFd),
}

/// A resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_…`
    pub resource: i32,
    /// What the process may use.
    pub soft: u64,
    /// How far it may raise that.
    pub hard: u64,
}

/// Everything about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traits {
    /// Its working directory.
    pub directory: Option<CString>,
    /// All of its environment.
    pub environment: Option<Vec<CString>>,
    /// Standard input, output, error.
    pub streams: [Stream; 3],
    /// It leads a new session.
    pub session: bool,
    /// Its process group: 0 for this process's, -1 for a new one.
    pub group: i32,
    /// Added to its nice value.
    pub nice: i32,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// What it keeps of its starter's signals. (A forked process: all, also handlers.)
    pub signals: Option<Signals>,
}

/// What can fail; a child says which by its index.
const CALLS: [&str; 6] = ["setsid", "setpgid", "chdir", "setpriority", "setrlimit", "dup2"];

/// A step of the child's that failed: which, and its errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    call: u8,
    errno: i32,
}

impl Failure {
    /// For a message.
    pub fn to_bytes(self) -> [u8; 5] {
        let errno = self.errno.to_le_bytes();
        [self.call, errno[0], errno[1], errno[2], errno[3]]
    }

    /// The error that the parent reports.
    pub fn read(bytes: &[u8]) -> Error {
        let errno = bytes.get(1..5).and_then(|errno| errno.try_into().ok()).map_or(0, i32::from_le_bytes);
        let call = bytes.first().and_then(|call| CALLS.get(*call as usize)).copied();
        Error::Os { call: call.unwrap_or("a start"), errno }
    }
}

impl Traits {
    /// Whether there is nothing to do for them.
    pub fn are_usual(&self) -> bool {
        *self == Traits::default()
    }

    /// In the new process: becomes so. Allocates nothing. The streams and the environment are another matter.
    pub fn assume(&self) -> std::result::Result<(), Failure> {
        let step = |call: u8, done: std::result::Result<(), i32>| done.map_err(|errno| Failure { call, errno });
        if self.session {
            step(0, setup::new_session())?;
        }
        if self.group != 0 {
            step(1, setup::join_group(self.group.max(0)))?;
        }
        if let Some(directory) = &self.directory {
            step(2, setup::change_directory(directory))?;
        }
        if self.nice != 0 {
            step(3, setup::add_nice(self.nice))?;
        }
        for limit in &self.limits {
            step(4, setup::limit(limit.resource, limit.soft, limit.hard))?;
        }
        Ok(())
    }

    /// In a forked process: its streams, too.
    pub fn place_streams(&self) -> std::result::Result<(), Failure> {
        setup::place_streams(self.stream_numbers()).map_err(|errno| Failure { call: 5, errno })
    }

    /// The streams as `sys::setup` has them.
    pub fn stream_numbers(&self) -> [RawFd; 3] {
        let mut numbers = self.streams.map(|stream| match stream {
            Stream::Usual => setup::AS_IT_IS,
            Stream::Null => setup::NULL,
            Stream::To(fd) => fd,
        });
        if numbers[0] == setup::AS_IT_IS {
            numbers[0] = setup::NULL;
        }
        numbers
    }

    /// For a letter. The streams are not in it: their descriptors travel otherwise.
    pub fn to_wire(&self) -> Argument<'_> {
        fn text(text: &CStr) -> Argument<'_> {
            Argument::String(text.to_bytes())
        }
        let environment =
            self.environment.as_ref().map(|list| Argument::List(list.iter().map(|variable| text(variable)).collect()));
        let limits = self.limits.iter().flat_map(|limit| [limit.resource as i64, limit.soft as i64, limit.hard as i64]);
        let signals = self.signals.into_iter().flat_map(|signals| [signals.ignored, signals.blocked]);
        Argument::List(vec![
            self.directory.as_deref().map_or(Argument::Nil, text),
            environment.unwrap_or(Argument::Nil),
            Argument::Bool(self.session),
            Argument::Integer(self.group as i64),
            Argument::Integer(self.nice as i64),
            Argument::List(limits.map(Argument::Integer).collect()),
            Argument::List(signals.map(|set| Argument::Integer(set as i64)).collect()),
        ])
    }

    /// From a letter; `None` if it is none.
    pub fn from_wire(argument: &Argument<'_>) -> Option<Traits> {
        fn text(argument: &Argument<'_>) -> Option<CString> {
            if let Argument::String(text) = argument { CString::new(*text).ok() } else { None }
        }
        fn number(argument: &Argument<'_>) -> Option<i64> {
            if let Argument::Integer(number) = argument { Some(*number) } else { None }
        }
        let Argument::List(parts) = argument else { return None };
        let [
            directory,
            environment,
            Argument::Bool(session),
            group,
            nice,
            Argument::List(limits),
            Argument::List(signals),
        ] = &parts[..]
        else {
            return None;
        };
        let limit = |three: &[Argument<'_>]| {
            let [resource, soft, hard] = three else { return None };
            let (soft, hard) = (number(soft)? as u64, number(hard)? as u64);
            Some(Limit { resource: number(resource)? as i32, soft, hard })
        };
        Some(Traits {
            directory: text(directory),
            environment: match environment {
                Argument::List(list) => Some(list.iter().map(text).collect::<Option<_>>()?),
                _ => None,
            },
            streams: [Stream::Usual; 3],
            session: *session,
            group: number(group)? as i32,
            nice: number(nice)? as i32,
            limits: limits.chunks(3).map(limit).collect::<Option<_>>()?,
            signals: match &signals[..] {
                [ignored, blocked] => {
                    Some(Signals { ignored: number(ignored)? as u64, blocked: number(blocked)? as u64 })
                }
                _ => None,
            },
        })
    }
}
