//! Memory orderings of the protocols in shared memory: the shipped source on loom's atomics, which show every value that
//! the orderings allow, not only the latest. Deaths are `tests/sim`'s affair; here nobody dies but where a repair is run.
//!
//! `cargo test --release --test loom -- --nocapture` prints what was explored. LOOM_MAX_PREEMPTIONS: how often a thread
//! may be interrupted (2 without). CAROM_LOOM_SECONDS: how long each model at most (4 without).
//!
//! loom takes SeqCst accesses for AcqRel ones, so whatever needs a single order has a fence. The futex is a mutex here: it
//! orders a waker before the woken, as the kernel does.

mod entry;
mod lane;
mod life;
mod locks;
mod memory;
mod model;
mod parcel;
mod single;
mod waits;
