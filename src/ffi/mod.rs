//! The C face. Thin: check, convert, call, return a status. One file per noun, named as the room of
//! the engine that it opens.

mod boundary;
mod handle;
mod options;

pub mod call;
pub mod library;
pub mod lock;
pub mod process;
pub mod value;
