//! The C face. Thin: check, convert, call, return a status. One file per noun, named as the room of
//! the engine that it opens.

mod boundary;
mod handle;
mod managed;
mod managed_pool;
mod managed_queue;
mod managed_value;
mod object;
mod options;
mod passing;
mod replay;
mod verdict;

// The order of the header's sections; blank lines keep rustfmt from sorting them.
pub mod library;

pub mod call;

pub mod task;

pub mod context;

pub mod process;

pub mod lock;

pub mod semaphore;

pub mod condition;

pub mod event;

pub mod barrier;

pub mod value;

pub mod array;

pub mod queue;

pub mod message;

pub mod connection;

pub mod listener;

pub mod wait;

pub mod shared_memory;

pub mod shareable_list;

pub mod result;

pub mod result_control;

pub mod pool_event;

pub mod pool_options;

pub mod pool;

pub mod batch;

pub mod imap;

pub mod capsule;
pub mod pool_control;

pub mod manager;

pub mod manager_pool;

pub mod dict;

pub mod list;

pub mod proxy;

pub mod arena;
