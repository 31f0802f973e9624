//! What a process that inherits no memory is told: a block of the arena that belongs to its member, and is given back
//! with it. The arguments are used where they lie.
//!
//! ```text
//!  0  u32 index of the function in the family's table, u32 length of the name, u64 length of the arguments
//! 16  the name, at the next multiple of 16 the arguments
//! ```
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::function::{self, Identity};
use crate::shm::arena::Arena;
use crate::shm::functions;
use crate::shm::heap::Heap;
use crate::shm::member::MemberId;
use crate::shm::region::Region;
use std::ffi::{CStr, CString};
use std::sync::atomic::Ordering;

const HEADER: usize = 16;

/// What it says.
pub struct Letter {
    /// What the process is called.
    pub name: CString,
    /// What it runs.
    pub function: Identity,
    /// With which arguments, encoded.
    pub arguments: &'static [u8],
}

/// Writes the letter of a process that does not exist yet.
pub fn write(arena: Arena, to: MemberId, function: usize, name: &CStr, arguments: &[u8]) -> Result<()> {
    let add = |identity: &Identity| functions::add(arena, &identity.to_bytes());
    let function = function::slot_of(function, add)?;
    let name = name.to_bytes();
    let arguments_at = (HEADER + name.len()).next_multiple_of(16);
    let total = arguments_at + arguments.len();
    let offset = Heap::of(arena).take(total as u64, &arena.member(to.slot).letter)?;
    let block = Region::of(arena, offset, total as u64).ok_or_else(damaged)?;
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&(function as u32).to_le_bytes());
    header[4..8].copy_from_slice(&(name.len() as u32).to_le_bytes());
    header[8..].copy_from_slice(&(arguments.len() as u64).to_le_bytes());
    let parts = [(0, &header[..]), (HEADER, name), (arguments_at, arguments)];
    let written = parts.iter().all(|(at, bytes)| block.from(*at).is_some_and(|place| place.write(bytes)));
    if written { Ok(()) } else { Err(damaged()) }
}

/// Reads the letter of the calling process.
pub fn read(arena: Arena, me: MemberId) -> Result<Letter> {
    let offset = arena.member(me.slot).letter.load(Ordering::Acquire);
    let room = Heap::of(arena).capacity(offset)?;
    let block = Region::of(arena, offset, room).ok_or_else(damaged)?;
    let header = block.part(0, HEADER).ok_or_else(damaged)?.frozen();
    let short = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| header[at + index]));
    let arguments_len = u64::from_le_bytes(std::array::from_fn(|index| header[8 + index])) as usize;
    let name = block.part(HEADER, short(4) as usize).ok_or_else(damaged)?.frozen();
    let arguments = block.part((HEADER + name.len()).next_multiple_of(16), arguments_len).ok_or_else(damaged)?;
    let function = functions::get(arena, short(0)).ok_or_else(damaged)?;
    Ok(Letter {
        name: CString::new(name).map_err(|_| damaged())?,
        function: Identity::from_bytes(&function)?,
        arguments: arguments.frozen(),
    })
}

fn damaged() -> Error {
    Error::Broken("what this process is to run is not there".into())
}
