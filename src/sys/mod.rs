//! Every system call of the library, one small file per kernel facility. Nothing above this room
//! talks to the kernel.

pub mod clock;
pub mod elf;
pub mod futex;
pub mod robust;
pub mod sink;
