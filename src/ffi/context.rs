//! Start methods, and contexts: a start method to be passed on.
//! - fork: the process has a copy of this program's memory (copied when it is written to) and of its descriptors. It costs
//!   least, but more the more memory this program has. Locks of other threads are in the copy as they were: in a program
//!   with threads the process must call only what is safe after fork. (carom is.)
//! - spawn: the program begins anew, in `carom_init`; nothing is shared but what was passed, and static variables are as in a
//!   new program. Threads here do not matter. It costs the start of a program.
//! - forkserver: a copy of a small server with one thread, which was begun anew once: it has what the server has loaded
//!   (`carom_forkserver_preload`) and what was passed, nothing of this program's. Threads here do not matter. It costs as fork
//!   of a small program, however large this one is.
//! - Which: a program with threads, forkserver; another one, fork. spawn where a process shall have nothing of anybody, or
//!   where a library must begin anew in it, as those of GPUs. All three are in each Linux; where a guide says that Windows
//!   and macOS have spawn only, or that frameworks do not survive a fork, forkserver is what is meant by it here.
//! - Numbers: fork, and a pool of `carom_cpu_count` workers that find the data in their memory. A service with threads that
//!   runs for long: spawn or forkserver, and a pool with `max_tasks` = 100 or so: what leaks in a worker ends with it. Several
//!   programs or machines: forkserver, and a manager.
//! - Where: a program says once, early in `main`, what is meant where nothing is said (`carom_start_method_set`), and starts its
//!   forkserver before it has threads. A library takes a context from its caller, or makes its own, and leaves the default
//!   alone. Objects do not belong to a context: a queue or a lock works in processes of all methods at once.
//! - Whatever the method: exit codes are true, and a process ends when this one dies. Examples: examples-c/contexts.c,
//!   context_basics.c, context_selection.c, context_pools.c, context_distributed.c, start_methods.c. What billiard says
//!   about contexts, word by word: docs/porting.md.

use super::boundary::{self, write};
use super::call::{self, carom_argument, carom_function};
use super::handle::{self, Kind, Object};
use super::library::carom_status;
use super::process::encode;
use crate::error::{Error, Result};
use crate::process;
use crate::start::{self, Method, executable, server};
use std::ffi::{CStr, c_char};

/// A start method, for what takes one. Opaque.
#[allow(non_camel_case_types)]
pub struct carom_context {
    _opaque: [u8; 0],
}

/// What a handle of a context names.
pub(super) struct Context {
    method: Method,
}

impl Object for Context {
    const KIND: Kind = Kind::Context;
}

/// The method of a context; `None` for NULL.
pub(super) fn method_of(context: *mut carom_context) -> Result<Option<Method>> {
    match context.is_null() {
        true => Ok(None),
        false => Ok(Some(handle::object::<Context, _>(context)?.method)),
    }
}

fn method_named(name: *const c_char) -> Result<Option<Method>> {
    boundary::text(name)?.map(Method::of_name).transpose()
}

/// A context of the start method "fork", "spawn" or "forkserver"; NULL: of the default one, which is fixed by that.
///
/// Never blocks. `CAROM_EINVAL` for another name.
#[unsafe(no_mangle)]
pub extern "C" fn carom_context_new(method: *const c_char, context: *mut *mut carom_context) -> carom_status {
    boundary::create(context, || {
        let method = method_named(method)?.unwrap_or_else(start::default);
        handle::of_forkable_object(Context { method })
    })
}

/// Name of the context's start method, static; "" for a bad handle, never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn carom_context_name(context: *mut carom_context) -> *const c_char {
    let name = handle::object::<Context, _>(context).map(|context| context.method.name());
    name.unwrap_or_else(|error| bad_name(&error)).as_ptr()
}

fn bad_name(error: &Error) -> &'static CStr {
    boundary::fail(error);
    c""
}

/// Ends this handle; what was started with it goes on. NULL is nothing.
#[unsafe(no_mangle)]
pub extern "C" fn carom_context_free(context: *mut carom_context) {
    handle::free_object::<Context, _>(context, None);
}

/// What is started without a context is started by `method` from now on. NULL, with `force`, makes it unset again.
///
/// Never blocks. `CAROM_EALREADY` if it was set before, or used (which sets it to "fork"), and `force` is 0; `CAROM_EINVAL` for an unknown name.
#[unsafe(no_mangle)]
pub extern "C" fn carom_start_method_set(method: *const c_char, force: u32) -> carom_status {
    boundary::status(|| start::set_default(method_named(method)?, force != 0))
}

/// Name of the default start method, static. With `allow_none` it is left unset if it is: `CAROM_ENOENT`; else it is fixed.
///
/// Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_start_method_get(allow_none: u32, method: *mut *const c_char) -> carom_status {
    boundary::status(|| {
        boundary::check(method)?;
        let set = start::default_if_set();
        let found = if allow_none == 0 { Some(set.unwrap_or_else(start::default)) } else { set };
        write(method, found.ok_or(Error::NotFound("no start method has been set"))?.name().as_ptr())
    })
}

/// Names of the start methods that work here, static, the default first: as many as fit into `capacity`.
///
/// How many there are, which may be more than `capacity`: 0 where the system has no pidfd_open. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn carom_start_method_list(methods: *mut *const c_char, capacity: usize) -> i64 {
    boundary::answer(|| {
        let there = start::methods();
        let places = boundary::items_mut(methods, there.len().min(capacity))?;
        for (place, method) in places.iter_mut().zip(there) {
            *place = method.name().as_ptr();
        }
        Ok(there.len() as i64)
    })
}

/// What start methods other than fork execute: `path`, with `argv` (NULL-terminated, its first element the name; NULL: only the path). It must call
/// `carom_init` first in its main, with this library. Path NULL: `libexec/carom-worker` of the installation, a program that does nothing else; it finds functions of
/// shared libraries, not those of this program.
///
/// Without this call it is this program itself (/proc/self/exe, with its arguments) if it has called `carom_init`, else the worker. Both are copied.
/// Never blocks. `CAROM_EINVAL` for an empty path; `CAROM_ENOTSUP` if there is no worker beside the library.
#[unsafe(no_mangle)]
pub extern "C" fn carom_set_executable(path: *const c_char, argv: *const *const c_char) -> carom_status {
    boundary::status(|| executable::choose(boundary::c_text(path), boundary::c_texts(argv, None)?))
}

/// Starts the forkserver of this process, if it has none that lives; the first process of that method would do the same. It is a small process of the
/// program that `carom_set_executable` says, and ends with this one; if it dies, the next start makes another, and what it had forked goes on.
/// It ignores SIGINT. Environment and working directory of what it forks are as they were when it was started.
///
/// Blocks until it serves. The statuses of `carom_process_start`; `CAROM_EBROKEN` if a function of the preload fails.
#[unsafe(no_mangle)]
pub extern "C" fn carom_forkserver_start() -> carom_status {
    boundary::status(process::start_server)
}

/// The forkserver of this process runs `function` once, with `arguments` (copied), before it forks anything: what it loads or computes, its children have. To be
/// called before the server is started; a server that takes the place of a dead one runs it again. More than one run in the order of the calls. It must leave no thread and no child process behind.
///
/// Never blocks. `CAROM_EFUNCTION` as `carom_process_start`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_forkserver_preload(
    function: carom_function,
    arguments: *const carom_argument,
    count: usize,
) -> carom_status {
    boundary::status(|| server::preload(call::address(function), encode(arguments, count)?))
}
