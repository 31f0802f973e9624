//! Explores interleavings and kills of the protocols in shared memory.
//!
//! `cargo test --release --test sim -- --nocapture` prints what was explored.
//! CAROM_SIM_SECONDS: how long in all (about 33 without). CAROM_SIM_SEED: of the random schedules.
//! CAROM_SIM_TRACE: show the schedules that catch the seeded bugs too.

mod barrier;
mod bell;
mod bells;
mod birth;
mod calls;
mod condition;
mod event;
mod explore;
mod fault;
mod internal_lock;
mod keepers;
mod machine;
mod memory;
mod parcel;
mod parcel_tests;
mod pipe;
mod pool;
mod pool_tests;
mod queue;
mod report;
mod retry;
mod ring;
mod runner;
mod seat;
mod semaphore;
mod sentry;
mod single;
mod user_lock;

/// Where random schedules begin.
fn seed() -> u64 {
    std::env::var("CAROM_SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}
