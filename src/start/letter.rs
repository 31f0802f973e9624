//! What a process that inherits no memory is told: a block of the arena that belongs to its member, and is given back
//! with it. It is an encoding ([`wire`]) of function, name and arguments; the arguments are used where they lie.
#![forbid(unsafe_code)]

use super::forked::Label;
use super::traits::Traits;
use crate::error::{Error, Result};
use crate::function::{self, Identity};
use crate::key;
use crate::shm::arena::Arena;
use crate::shm::functions;
use crate::shm::heap::Heap;
use crate::shm::member::MemberId;
use crate::shm::region::Region;
use crate::wire::{self, Argument};
use std::ffi::CString;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;

/// What it says.
pub struct Letter {
    /// What the process is called.
    pub label: Label,
    /// What it is like.
    pub traits: Traits,
    /// What its parent called the descriptors that it was given.
    pub descriptors: Vec<RawFd>,
    /// Its key, where it is not the family's.
    pub key: Option<Vec<u8>>,
    /// What a template is to know, encoded; empty for others.
    pub duty: &'static [u8],
    /// What it runs, and with which arguments, encoded; more than one for a server, which runs them before it serves.
    pub tasks: Vec<Task>,
}

impl Letter {
    /// Whether its process has a function to run, and nothing else to become or to be given.
    pub fn is_usual(&self) -> bool {
        self.traits.are_usual() && self.descriptors.is_empty() && self.key.as_deref() == key::told()
    }
}

/// A function and its arguments, encoded.
pub struct Task {
    /// What is run.
    pub function: Identity,
    /// Its arguments.
    pub arguments: &'static [u8],
}

/// Writes the letter of a process that does not exist yet: what it is, and the functions (by their index in the family's
/// table) that it runs with which arguments.
pub fn write(
    arena: Arena,
    to: MemberId,
    label: &Label,
    traits: &Traits,
    descriptors: &[RawFd],
    tasks: &[(u16, &[u8])],
    duty: &[u8],
) -> Result<()> {
    let numbers = descriptors.iter().map(|number| Argument::Integer(*number as i64)).collect();
    let (name, identity) = (label.name.to_bytes(), label.identity.to_bytes());
    let mut parts = vec![
        Argument::String(name),
        Argument::String(identity),
        traits.to_wire(),
        Argument::List(numbers),
        key::told().map_or(Argument::Nil, Argument::Bytes),
        Argument::Bytes(duty),
    ];
    for (function, arguments) in tasks {
        parts.extend([Argument::Integer(*function as i64), Argument::Bytes(arguments)]);
    }
    let encoded = wire::to_vec(&parts)?;
    let offset = Heap::of(arena).take(encoded.len() as u64, &arena.member(to.slot).letter)?;
    let block = Region::of(arena, offset, encoded.len() as u64).ok_or_else(damaged)?;
    if block.write(&encoded) { Ok(()) } else { Err(damaged()) }
}

/// Index of the function at an address in the family's table.
pub fn index_of(arena: Arena, function: usize) -> Result<u16> {
    function::slot_of(function, |identity| functions::add(arena, &identity.to_bytes()))
}

/// Reads the letter of the calling process.
pub fn read(arena: Arena, me: MemberId) -> Result<Letter> {
    let offset = arena.member(me.slot).letter.load(Ordering::Acquire);
    let room = Heap::of(arena).capacity(offset)?;
    let block = Region::of(arena, offset, room).ok_or_else(damaged)?.frozen();
    let part = |index: usize| wire::argument(block, index);
    let text = |index: usize| match part(index)? {
        Argument::String(text) => CString::new(text).map(CString::into_boxed_c_str).map_err(|_| damaged()),
        _ => Err(damaged()),
    };
    let traits = Traits::from_wire(&part(2)?).ok_or_else(damaged)?;
    let Argument::List(numbers) = part(3)? else { return Err(damaged()) };
    let number = |number: &Argument<'_>| if let Argument::Integer(number) = number { *number as RawFd } else { -1 };
    let descriptors = numbers.iter().map(number).collect();
    let mut tasks = Vec::new();
    let key = match part(4)? {
        Argument::Nil => None,
        Argument::Bytes(key) => Some(key.to_vec()),
        _ => return Err(damaged()),
    };
    let Argument::Bytes(duty) = part(5)? else { return Err(damaged()) };
    for index in (6..wire::count(block)?).step_by(2) {
        let (Argument::Integer(function), Argument::Bytes(arguments)) = (part(index)?, part(index + 1)?) else {
            return Err(damaged());
        };
        let identity = functions::get(arena, function as u32).ok_or_else(damaged)?;
        tasks.push(Task { function: Identity::from_bytes(&identity)?, arguments });
    }
    Ok(Letter { label: Label { name: text(0)?, identity: text(1)? }, traits, descriptors, key, duty, tasks })
}

/// The calling process has read its letter, and needs it no more.
pub fn forget(arena: Arena, me: MemberId) {
    // What goes wrong there costs a block of memory.
    let _ = Heap::of(arena).give(&arena.member(me.slot).letter);
}

fn damaged() -> Error {
    Error::Broken("what this process is to run is not there".into())
}
