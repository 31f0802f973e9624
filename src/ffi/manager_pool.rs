//! Pools of a manager: tasks of its clients, run by processes of its server.
//!
//! With such a pool work `carom_pool_apply`, `_apply_async`, `_map`, `_map_async`, `_info`, `_close`, `_terminate`, `_join` and `_free`; with its results
//! `carom_result_wait`, `_ready`, `_successful`, `_get`, `_verdict`, `_accepted`, `_pid`, `_cancel`, `_terminate`, `_discard` and `_free`. All other functions of pools and results
//! say `CAROM_ENOTSUP`, and which they are.
//! - A call is two round trips to the server and what the task takes. A message has 64 MiB at most; a map has up to 1048576 items, each a task of its own.
//! - Functions are named by what they are (`carom_function_register`, or module and build), and found in the server's program. Arguments may name objects of the same
//!   manager: proxies, with which the worker reaches the server as every client does.
//! - The pool ends with its last handle, wherever that is, or with the server: results that are not settled then are `CAROM_ECANCELED`. A client that dies lets go of
//!   its results: what it waited for in `carom_pool_apply` or `carom_pool_map` is not begun any more; what has begun, and what was submitted otherwise, runs on.
//! - Verdicts have no backtrace, `stderr_tail` and `capsule`.

use super::boundary;
use super::call::carom_call;
use super::handle::Kind;
use super::library::carom_status;
use super::manager::{carom_manager, client_of, make};
use super::passing::handle_argument;
use super::pool::carom_pool;
use super::pool_options::{carom_pool_options, with_pool_options};
use crate::manager::task;

/// Makes a pool of the server's. Options may be NULL; those for workers, limits, `max_tasks`, `max_memory`, `max_restarts`, initializer, finalizer and context have a
/// meaning here, the others are `CAROM_ENOTSUP`. Of task options all have but callbacks, `correlation_id`, `idempotency_key` and `submit_ms`.
///
/// Waits for the server, which forks twice. Statuses as `carom_pool_new` and `carom_manager_create`.
#[unsafe(no_mangle)]
pub extern "C" fn carom_manager_pool(
    manager: *mut carom_manager,
    options: *const carom_pool_options,
    pool: *mut *mut carom_pool,
) -> carom_status {
    boundary::create(pool, || {
        let client = client_of(manager)?;
        let arguments = with_pool_options(options, |options, on_event| {
            task::check_pool(on_event.is_none())?;
            task::pack_pool(&options, client.manager())
        })?;
        make(&client, "Pool", arguments, false)
    })
}

/// The pool of a manager that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
///
/// `CAROM_EBADHANDLE` for another kind, or if the pool is gone.
#[unsafe(no_mangle)]
pub extern "C" fn carom_call_pool(call: *mut carom_call, index: usize, pool: *mut *mut carom_pool) -> carom_status {
    boundary::create(pool, || handle_argument(call, index, Kind::ManagedPool))
}
