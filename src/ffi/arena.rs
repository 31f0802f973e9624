//! The memory that a family shares, as a whole: for debugging.

use super::boundary;
use super::library::carom_status;
use super::options::{self, Sized_};
use crate::family;
use crate::shm::check;

/// What is in the memory of the family, see `carom_arena_check`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct carom_arena_info {
    /// sizeof(carom_arena_info), set by the caller.
    pub size: usize,
    /// Processes that belong to the family; keepers and workers too, and dead ones until their death is repaired.
    pub members: u32,
    /// Functions that workers of pools run, or ran.
    pub functions: u32,
    /// Objects that are not freed, or that a living process may still use; also what the library makes for itself.
    pub objects: u64,
    /// Blocks of memory that belong to objects.
    pub blocks: u64,
    /// Blocks that wait to be used again.
    pub free_blocks: u64,
    /// Bytes of all blocks.
    pub bytes: u64,
}

// SAFETY: integers.
unsafe impl Sized_ for carom_arena_info {
    const LEAST: usize = 48;
}

/// Looks whether the memory that the family shares is as it should be, and counts what is in it, for debugging: after a test, or when a
/// program of the family may have written where it should not. `info` may be NULL. Changes nothing, but repairs what a process that died
/// in the middle of an allocation left, as any allocation would.
///
/// Safe at any time, whatever others do; allocations of others wait meanwhile, about a microsecond for every ten blocks. Allocates.
/// `CAROM_EBROKEN` if something is damaged: the message names the first such thing. What users put into values and messages is not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn carom_arena_check(info: *mut carom_arena_info) -> carom_status {
    boundary::status(|| {
        if !info.is_null() {
            options::check(info)?;
        }
        let census = check::check(family::current()?.arena)?;
        let found = carom_arena_info {
            size: 0,
            members: census.members,
            functions: census.functions,
            objects: census.objects,
            blocks: census.blocks,
            free_blocks: census.free_blocks,
            bytes: census.heap_bytes,
        };
        if info.is_null() { Ok(()) } else { options::write(info, found) }
    })
}
