//! Layout in shared memory, and the protocols over it. Everything here may be half-way through any
//! store when its process is killed; everything here is written so that this does not matter.

pub mod internal_lock;
pub mod lane;
pub mod lock_word;
pub mod memory;
pub mod real;
