//! What the nouns in the arena have in common on their way through a handle.

use super::handle::{self, Kind, Named};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::manager::client::Target;
use crate::shm::cell::{self, Cell};

/// The cell and generation behind a handle, and the family of the caller.
pub(super) fn of<T>(handle: *mut T, kind: Kind) -> Result<(Family, &'static Cell, u32)> {
    let named = handle::named(handle, kind)?;
    let family = family::current()?;
    let cell = family.arena.cell(named.index).filter(|cell| cell.generation() == named.generation);
    let cell = cell.ok_or(Error::BadHandle("the object of the handle is gone".into()))?;
    refuse_managed(cell)?;
    Ok((family, cell, named.generation))
}

/// The object of a manager behind a handle, if that is what it names: such objects share the types of local ones.
pub(super) fn managed<T>(handle: *mut T, kind: Kind) -> Result<Option<Target>> {
    match handle::look(handle, kind) {
        Some((cell, generation)) if cell.kind() == cell::Kind::Proxy => Target::of(cell, generation).map(Some),
        _ => Ok(None),
    }
}

/// What is done here is done with memory that the family shares, which an object of a manager has none of.
pub(super) fn refuse_managed(cell: &Cell) -> Result<()> {
    match cell.kind() {
        cell::Kind::Proxy => Err(Error::Unsupported("this cannot be done with an object of a manager")),
        _ => Ok(()),
    }
}

/// A handle that keeps a cell which this process has just made.
pub(super) fn keep<T>(family: Family, kind: Kind, made: (&'static Cell, u32)) -> Result<*mut T> {
    let named = Named { index: family.arena.cell_index(made.0), generation: made.1, view: 0 };
    handle::of_cell(kind, named, Some(family.me))
}
