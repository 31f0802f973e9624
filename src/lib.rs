//! carom: processes, worker pools and shared-memory primitives behind a C ABI.
//!
//! Rooms, from the top: [`ffi`] is the C face; below it the engine, one noun per module, in safe Rust;
//! below that [`shm`], layout and protocols in shared memory; at the bottom [`sys`], every system call.
//! Calls go downward only. `docs/architecture.md` says why things are as they are.

pub mod bell;
pub mod call;
pub mod capsule;
pub mod connection;
pub mod error;
pub mod family;
pub mod ffi;
pub mod function;
pub mod keeper;
pub mod key;
pub mod lock;
pub mod log;
pub mod manager;
pub mod pin;
pub mod pool;
pub mod process;
pub mod queue;
pub mod shareable_list;
pub mod shared_memory;
pub mod shm;
pub mod start;
pub mod sync;
pub mod sys;
pub mod value;
pub mod wait;
pub mod wire;
