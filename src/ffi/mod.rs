//! The C face. Thin: check, convert, call, return a status. One file per noun, named as the room of
//! the engine that it opens.

pub mod library;
