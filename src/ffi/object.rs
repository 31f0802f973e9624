//! What the nouns in the arena have in common on their way through a handle.

use super::handle::{self, Kind, Named};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::shm::cell::Cell;

/// The cell and generation behind a handle, and the family of the caller.
pub(super) fn of<T>(handle: *mut T, kind: Kind) -> Result<(Family, &'static Cell, u32)> {
    let named = handle::named(handle, kind)?;
    let family = family::current()?;
    let cell = family.arena.cell(named.index).filter(|cell| cell.generation() == named.generation);
    Ok((family, cell.ok_or(Error::BadHandle("the object of the handle is gone".into()))?, named.generation))
}

/// A handle that keeps a cell which this process has just made.
pub(super) fn keep<T>(family: Family, kind: Kind, made: (&'static Cell, u32)) -> Result<*mut T> {
    let named = Named { index: family.arena.cell_index(made.0), generation: made.1, view: 0 };
    handle::of_cell(kind, named, Some(family.me))
}
