//! Pools of a manager: tasks of its clients, run by processes of its server.
//!
//! All functions of pools, results and iterators work with such a pool but those that need a descriptor, or the program itself: `carom_pool_fd`, `_dispatch`, `_next_event`,
//! `_next_deadline`, `_prepare`, `_sentinel`, `carom_result_accept`, and `carom_wait` for it. These say `CAROM_ENOTSUP`, and which they are. `carom_result_wait_any` waits for results of one manager.
//! - A call is two round trips to the server and what the task takes. A message has 64 MiB at most, and a longer reply is `CAROM_EMSGSIZE`; a map has up to 1048576 items, each a task of its own. What
//!   only asks, and never blocks with a local pool, waits for the server.
//! - An iterator (`carom_pool_imap`) takes items from its array or source in this process, in the calls that the local one does, and sends them half a window at a time; it is of no use to others.
//!   A `chunk_size` makes no difference beyond which worker comes to an item. Its end cancels nothing.
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

/// Makes a pool of the server's. Options may be NULL; those for workers, limits, `max_tasks`, `max_memory`, `max_restarts`, `restartable`, initializer, finalizer and context have a
/// meaning here, the others are `CAROM_ENOTSUP`. Of task options all have but callbacks, `idempotency_key` and `submit_ms`.
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
