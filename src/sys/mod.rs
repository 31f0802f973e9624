//! Every system call of the library, one small file per kernel facility. Nothing above this room
//! talks to the kernel.

pub mod birth;
pub mod channel;
pub mod clock;
pub mod crash;
pub mod descriptor;
pub mod doorbell;
pub mod elf;
pub mod environment;
pub mod exec;
pub mod fork;
pub mod futex;
pub mod lent;
pub mod limits;
pub mod lines;
mod maps;
pub mod memory_file;
pub mod named_memory;
pub mod new_file;
pub mod once;
pub mod own;
pub mod pidfd;
pub mod raw;
pub mod relay;
pub mod robust;
pub mod seeded;
pub mod setup;
pub mod signals;
pub mod sink;
pub mod socket;
pub mod spin;
pub mod stat;
pub mod statm;
pub mod stop;
pub mod symbols;
pub mod thread;
pub mod turn;
