//! A function running in a process of its own.

use super::boundary::{self, write, write_optional};
use super::call::{self, carom_argument, carom_function};
use super::context::{self, carom_context};
use super::handle::{self, Kind, Object};
use super::library::{CAROM_NONE, carom_status};
use super::options::{self, Sized_};
use crate::error::{Error, Result};
use crate::process::{self, Options, Process};
use crate::shm::member::Bond;
use crate::start::traits::{Limit, Stream, Traits};
use crate::sys::clock::deadline_after_ms;
use crate::sys::descriptor;
use crate::sys::fork::{self, Signals};
use crate::{family, key, wire};
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

/// A process that this one started. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_process {
    _opaque: [u8; 0],
}

/// A resource limit of a new process. Frozen: arrays of it cross the border.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_process_limit {
    /// RLIMIT_…
    pub resource: i32,
    /// 0.
    pub reserved: u32,
    /// As rlim_cur.
    pub soft: u64,
    /// As rlim_max.
    pub hard: u64,
}

/// Options of a process.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_process_options {
    /// sizeof(carom_process_options)
    pub size: usize,
    /// Its name, copied. NULL: "Process-1", counted; a child of that "Process-1:1". With a context "ForkProcess-1" and so on.
    pub name: *const c_char,
    /// Not 0: `carom_shutdown` terminates it instead of joining it. 0: as this process is; the first one of a family is no daemon. (A daemon may have children.)
    pub daemon: u32,
    /// 0.
    pub reserved: u32,
    /// Its start method; NULL: the default one.
    pub context: *mut carom_context,
    /// Its working directory. NULL: this process's; under forkserver, the server's.
    pub directory: *const c_char,
    /// All of its environment, "NAME=value", NULL-terminated. NULL: this process's; under forkserver, the server's.
    pub environment: *const *const c_char,
    /// Its standard input: a descriptor of this process, which it gets a duplicate of. 0 and `CAROM_NONE`: nothing to be read. (To pass descriptor 0, duplicate it.)
    pub stdin_fd: i32,
    /// Its standard output, likewise. 0: this process's; `CAROM_NONE`: nowhere.
    pub stdout_fd: i32,
    /// Its standard error, likewise.
    pub stderr_fd: i32,
    /// Its process group. 0: this process's; `CAROM_NONE`: a new one, which it leads.
    pub process_group: i32,
    /// Not 0: it leads a new session, without a terminal.
    pub new_session: u32,
    /// Added to its nice value.
    pub nice: i32,
    /// What it gets when this process dies. 0: SIGKILL; a signal: that one, once; `CAROM_NONE`: nothing, it lives on.
    pub parent_death_signal: i32,
    /// 0.
    pub reserved2: u32,
    /// Its resource limits, where they are not this process's: `limit_count` of them.
    pub limits: *const carom_process_limit,
    /// How many `limits` there are.
    pub limit_count: usize,
    /// Not 0: signals are ignored and blocked there as in the thread that starts it. What has a handler here is handled under start method fork, where the handler is a copy; under the
    /// others, which have none of this program's memory, it has its default disposition, as after execve.
    pub keep_signals: u32,
    /// Not 0: it is no daemon, though this process is one.
    pub no_daemon: u32,
}

// SAFETY: integers and pointers.
unsafe impl Sized_ for carom_process_options {
    const LEAST: usize = 16;
}

/// The engine's options for what C passed.
fn options_of(options: *const carom_process_options) -> Result<Options> {
    let options = options::read(options)?;
    options::unused(options.reserved | options.reserved2)?;
    let limits = boundary::items(options.limits, options.limit_count)?;
    let limit = |limit: &carom_process_limit| {
        options::unused(limit.reserved)?;
        Ok(Limit { resource: limit.resource, soft: limit.soft, hard: limit.hard })
    };
    if !(CAROM_NONE..=64).contains(&options.parent_death_signal) {
        return Err(Error::invalid("there is no such signal"));
    }
    let streams = [options.stdin_fd, options.stdout_fd, options.stderr_fd];
    let [input, output, error] = streams.map(stream_of);
    Ok(Options {
        name: boundary::text(options.name)?.map(str::to_string),
        bond: Bond { daemon: is_daemon(&options)?, signal: options.parent_death_signal },
        method: context::method_of(options.context)?,
        traits: Traits {
            directory: boundary::c_text(options.directory).map(CStr::to_owned),
            environment: match options.environment.is_null() {
                true => None,
                false => Some(boundary::c_texts(options.environment, None)?),
            },
            streams: [input?, output?, error?],
            session: options.new_session != 0,
            group: group_of(options.process_group)?,
            nice: options.nice,
            limits: limits.iter().map(limit).collect::<Result<_>>()?,
            signals: (options.keep_signals != 0).then(Signals::now),
        },
    })
}

fn is_daemon(options: &carom_process_options) -> Result<bool> {
    match (options.daemon != 0, options.no_daemon != 0) {
        (true, true) => Err(Error::invalid("a process is a daemon or not")),
        (said, false) => Ok(said || process::is_daemon()?),
        _ => Ok(false),
    }
}

fn stream_of(fd: i32) -> Result<Stream> {
    match fd {
        0 => Ok(Stream::Usual),
        CAROM_NONE => Ok(Stream::Null),
        fd if descriptor::is_open(fd) => Ok(Stream::To(fd)),
        _ => Err(Error::invalid("a standard stream is no open descriptor")),
    }
}

fn group_of(group: i32) -> Result<i32> {
    if group < CAROM_NONE { Err(Error::invalid("there is no such process group")) } else { Ok(group) }
}

impl Object for Arc<Process> {
    const KIND: Kind = Kind::Process;
}

pub(super) fn make(process: Arc<Process>) -> Result<*mut carom_process> {
    handle::of_object(process, family::current()?.me)
}

fn process_of(process: *mut carom_process) -> Result<handle::Use<Arc<Process>>> {
    family::current()?;
    handle::object(process)
}

/// Starts a process that runs `function` with `arguments` (copied; `count` may be 0, a last argument of kind map does what keyword arguments do).
/// Options may be NULL.
///
/// In the child: default signal dispositions, an empty signal mask, stdin from /dev/null; when the function returns, or calls `exit`, what is in stdout and
/// stderr goes out, and the process ends by `_exit`: no atexit handler of this program runs there. If this process dies, so does the child.
///
/// Fork: it has a copy of this process's memory and its descriptors. Blocks for as long as fork does. The child's memory of other threads' locks is as they
/// were: in a program with threads it should call only what is safe after fork.
/// Spawn: the program begins anew, and runs the function in `carom_init`; any static function of the program or of a shared library can be one, but static
/// variables are as in a new program. Descriptors do not reach it, but those among the arguments. Blocks until it has got so far, at most 10 seconds.
/// Forkserver: as spawn, but it is a fork of a small server, and has what that has loaded: see `carom_forkserver_start`. It is no child of this process for the kernel: no
/// SIGCHLD tells of its end, and waitpid does not find it.
///
/// `CAROM_EFUNCTION` for a function that is NULL, in no module (a closure made at run time), or in none that the new program finds; `CAROM_EBROKEN` if the new program ends, or waits, before
/// it calls `carom_init`; `CAROM_EINVAL` for options and arguments that make no sense; `CAROM_ENOMEM`; `CAROM_ENOTSUP` where the system has no pidfd_open; or the errno of fork or execve, or of what the options ask for. Then there
/// is no process, and nothing of the function has run.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_start(
    function: carom_function,
    arguments: *const carom_argument,
    count: usize,
    options: *const carom_process_options,
    process: *mut *mut carom_process,
) -> carom_status {
    boundary::create(process, || {
        let options = options_of(options)?;
        let encoded = wire::to_vec(&call::arguments::<true>(arguments, count)?)?;
        make(process::start(call::address(function), encoded, options)?)
    })
}

/// A process for which the host itself forks, so that Python's os.fork, or a framework with hooks of its own, does it: prepares what `carom_process_start` would start under
/// start method fork. Then fork; in the child call `carom_fork_child`, in the parent `carom_fork_parent`. If the fork fails, free the process.
///
/// A function made at run time (a ctypes callback) works if it is registered. Statuses as `carom_process_start`; `CAROM_EINVAL` for a context of another method.
#[unsafe(no_mangle)]
pub extern "C" fn carom_fork_prepare(
    function: carom_function,
    arguments: *const carom_argument,
    count: usize,
    options: *const carom_process_options,
    process: *mut *mut carom_process,
) -> carom_status {
    boundary::create(process, || {
        let options = options_of(options)?;
        let encoded = wire::to_vec(&call::arguments::<true>(arguments, count)?)?;
        make(process::prepare(call::address(function), encoded, options)?)
    })
}

/// In the parent, right after its fork: `pid` is the child, which runs the function from now on. Must be called soon: the child waits for it.
///
/// `CAROM_EPERM` if the process was not prepared, or is forked already. Another status: the child has been ended, and reaped, without having run anything.
#[unsafe(no_mangle)]
pub extern "C" fn carom_fork_parent(process: *mut carom_process, pid: i32) -> carom_status {
    boundary::status(|| {
        let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(Error::invalid("there is no such process"))?;
        process_of(process)?.is_forked(pid)
    })
}

/// In the child, right after the fork: runs the function, and ends the process with what it returns. Does not return, but for misuse.
///
/// `CAROM_EPERM` if this is no child of a fork, or the process was not prepared.
#[unsafe(no_mangle)]
pub extern "C" fn carom_fork_child(process: *mut carom_process) -> carom_status {
    boundary::status(|| Err(handle::object::<Arc<Process>, _>(process)?.be()))
}

/// Arguments as they travel.
pub(super) fn encode(arguments: *const carom_argument, count: usize) -> Result<Vec<u8>> {
    wire::to_vec(&call::arguments::<false>(arguments, count)?)
}

/// Waits up to `timeout_ms` until the process has ended.
///
/// `CAROM_ETIMEDOUT`; `CAROM_EPERM` in any process but the one that started it.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_join(process: *mut carom_process, timeout_ms: i64) -> carom_status {
    boundary::status(|| process_of(process)?.join(deadline_after_ms(timeout_ms)))
}

/// 1 while the process runs, 0 once it has ended.
///
/// Never blocks. `CAROM_EPERM` in any process but the one that started it.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_is_alive(process: *mut carom_process) -> i32 {
    boundary::answer(|| Ok(process_of(process)?.look()?.is_none() as i32))
}

/// How the process ended: 0…255, or -N if signal N ended it. Correct also where this program ignores SIGCHLD or reaps every child itself, on Linux 6.15 and later;
/// before, only for processes that left by themselves.
///
/// Never blocks. `CAROM_EAGAIN` while it runs, `CAROM_ENOENT` where nobody can tell.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_exitcode(process: *mut carom_process, code: *mut i32) -> carom_status {
    boundary::status(|| {
        let value = process_of(process)?.exit_code()?;
        write(code, value)
    })
}

/// Sends SIGTERM to the process (and to nothing else, even if its number is used again). `CAROM_OK` if it has ended already.
///
/// Never blocks. `CAROM_EPERM` in any process but the one that started it.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_terminate(process: *mut carom_process) -> carom_status {
    boundary::status(|| process_of(process)?.signal(15))
}

/// Sends SIGKILL, otherwise as `carom_process_terminate`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_kill(process: *mut carom_process) -> carom_status {
    boundary::status(|| process_of(process)?.signal(9))
}

/// Sends SIGINT, otherwise as `carom_process_terminate`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_interrupt(process: *mut carom_process) -> carom_status {
    boundary::status(|| process_of(process)?.signal(2))
}

/// The process has ended, and is asked for nothing more: every other function but `carom_process_name`, `carom_process_daemon` and `carom_process_free` gives
/// `CAROM_ECLOSED` from now on. Once more is nothing.
///
/// Never blocks. `CAROM_EAGAIN` while it runs.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_close(process: *mut carom_process) -> carom_status {
    boundary::status(|| process_of(process)?.close())
}

/// Process id, or `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_pid(process: *mut carom_process) -> i32 {
    boundary::answer(|| Ok(process_of(process)?.pid()? as i32))
}

/// Name of the process; "" for a bad handle, never NULL. Valid until the handle is freed.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_name(process: *mut carom_process) -> *const c_char {
    process_of(process).map_or_else(|error| bad_name(&error), |process| process.name().as_ptr())
}

fn bad_name(error: &Error) -> *const c_char {
    boundary::fail(error);
    c"".as_ptr()
}

/// 1 if the process was started as a daemon, 0 if not.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_daemon(process: *mut carom_process) -> i32 {
    boundary::answer(|| Ok(process_of(process)?.is_daemon() as i32))
}

/// A descriptor for poll and its like, readable once the process has ended. It belongs to the handle: never read or close it.
///
/// `CAROM_EBADHANDLE`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_fd(process: *mut carom_process) -> i32 {
    boundary::answer(|| process_of(process)?.fd())
}

/// Ends this handle; the process runs on, and leaves no zombie. NULL is nothing.
///
/// Never waits or kills; may run in a finalizer, and in a forked child, where it ends that process's view only.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_free(process: *mut carom_process) {
    let me = family::current().ok().map(|family| family.me);
    handle::free_object::<Arc<Process>, _>(process, me);
}

/// The calling process: its pid, and its name ("MainProcess" in the first), static. Either may be NULL.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_current(pid: *mut i32, name: *mut *const c_char) -> carom_status {
    boundary::status(|| {
        let (own, own_name) = process::current()?;
        write_optional(pid, own as i32);
        write_optional(name, own_name.as_ptr());
        Ok(())
    })
}

/// The process that started the calling one: its pid, and 1 while it lives. Either may be NULL.
///
/// Never blocks. `CAROM_ENOENT` in the first process of a family.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_parent(pid: *mut i32, alive: *mut i32) -> carom_status {
    boundary::status(|| {
        let (parent, lives) =
            process::parent()?.ok_or(Error::NotFound("the first process of a family has no parent"))?;
        write_optional(pid, parent as i32);
        write_optional(alive, lives as i32);
        Ok(())
    })
}

/// Copies the key of this process: what `carom_authkey_set` said here or, before it was started, in the process that started it, by whichever method; else a key that all processes of this
/// family have, and nobody else, 32 random bytes that are made up when they are asked for first. Managers for which no other key is said have it; listeners and clients do where it is
/// passed to them (`authkey` of their options). It never stands in an environment or a command line. `*len` is its length (`len` may be NULL).
///
/// Never blocks. `CAROM_EMSGSIZE` for a small buffer.
#[unsafe(no_mangle)]
pub extern "C" fn carom_authkey_get(key: *mut c_void, capacity: usize, len: *mut usize) -> carom_status {
    boundary::status(|| {
        let own_key = key::current(family::current()?)?;
        let needed = own_key.len();
        write_optional(len, needed);
        if capacity < needed {
            return Err(Error::MessageSize { needed, capacity });
        }
        boundary::bytes_mut(key, needed)?.copy_from_slice(&own_key);
        Ok(())
    })
}

/// Another key for this process, and for what it starts from now on: `len` bytes, copied, at most 4096. NULL and 0: the family's again. What runs already, and what is open, keeps its own. (So
/// does a pool's template, and all of its workers have that.)
///
/// Never blocks. `CAROM_EINVAL` for an empty key, or a longer one.
#[unsafe(no_mangle)]
pub extern "C" fn carom_authkey_set(key: *const c_void, len: usize) -> carom_status {
    boundary::status(|| {
        family::current()?;
        key::set(boundary::key(key, len)?)
    })
}

/// Handles of the living children that this process started, each yours to free: as many as fit into `capacity`. Reaps those that have ended.
///
/// How many there are, which may be more than `capacity`, or a status. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_process_children(processes: *mut *mut carom_process, capacity: usize) -> i64 {
    boundary::answer(|| {
        let children = process::active()?;
        let shown = children.iter().take(capacity);
        let places = boundary::items_mut(processes, shown.len())?;
        let mut made = Vec::new();
        for child in shown {
            match make(child.clone()) {
                Ok(process) => made.push(process),
                Err(error) => {
                    made.into_iter().for_each(|process| carom_process_free(process));
                    return Err(error);
                }
            }
        }
        places.copy_from_slice(&made);
        Ok(children.len() as i64)
    })
}

/// Called once, at a clean end of a process. `ctx` is what was passed with it.
#[allow(non_camel_case_types)]
pub type carom_exit_callback = Option<unsafe extern "C" fn(ctx: *mut c_void)>;

/// The calling process calls `callback` before it ends: after its function has returned, or called `exit`, and before what is in its streams goes out; the last that
/// was registered first; then what those have registered. In the program itself `carom_shutdown` does. A process that dies of a signal, or calls `_exit`, calls nothing; a forked child inherits nothing.
///
/// Never blocks. `CAROM_EINVAL` for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn carom_exit_register(callback: carom_exit_callback, ctx: *mut c_void) -> carom_status {
    boundary::status(|| {
        family::current()?;
        fork::at_exit(callback.ok_or(Error::invalid("the callback is NULL"))?, ctx);
        Ok(())
    })
}
