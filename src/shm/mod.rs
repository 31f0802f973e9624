//! Layout in shared memory, and the protocols over it. Everything here may be half-way through any
//! store when its process is killed; everything here is written so that this does not matter.

pub mod arena;
pub mod bell_table;
pub mod bells;
pub mod cell;
pub mod check;
pub mod entry;
pub mod functions;
pub mod gate;
pub mod heap;
pub mod identity;
pub mod internal_lock;
pub mod job_note;
mod kind;
pub mod lane;
pub mod life;
pub mod lock_word;
pub mod member;
pub mod memory;
pub mod parcel;
pub mod parcel_cell;
pub mod pipe;
pub mod pipe_cell;
pub mod plan;
pub mod queue;
pub mod queue_cell;
pub mod real;
pub mod region;
pub mod repair;
pub mod seat;
pub mod sole;
pub mod stop;
pub mod sync;
pub mod transit;
pub mod wait_word;
