//! What a cell is: the lowest byte of its life word.

/// The byte.
pub(super) const KIND: u64 = 0xff;
/// Its bit beside what the cell was, while somebody takes it apart.
pub(super) const ENDING: u64 = 0x80;

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Nothing.
    Free = 0,
    /// A lock.
    Lock = 1,
    /// A value.
    Value = 2,
    /// One process's view that keeps the cell it refers to.
    View = 3,
    /// A pool.
    Pool = 4,
    /// Memory of a bulk operation of a pool; `type_code` is the index of the pool's cell.
    Bulk = 5,
    /// A semaphore.
    Semaphore = 6,
    /// A condition.
    Condition = 7,
    /// An event.
    Event = 8,
    /// A barrier.
    Barrier = 9,
    /// An array.
    Array = 10,
    /// One end of a pipe.
    End = 13,
    /// What the two ends of a pipe share.
    Pipe = 14,
    /// A queue: where messages are put.
    Queue = 11,
    /// Where a queue's messages are taken; `item_size` says whose.
    Outlet = 12,
    /// An object on its way through a pipe.
    Transit = 24,
    /// A message of a queue, in memory of its own; `item_size` says whose.
    Parcel = 25,
    /// A manager: its block says how to reach its server.
    Manager = 20,
    /// An object of a manager, which `refers_to` names; `type_code` is its type, the last extra word its number there.
    Proxy = 21,
    /// Being taken apart.
    Ending = 128,
}

impl Kind {
    /// Of a life word.
    pub(super) fn of(word: u64) -> Kind {
        match word & KIND {
            ending if ending & ENDING != 0 => Kind::Ending,
            0 => Kind::Free,
            1 => Kind::Lock,
            2 => Kind::Value,
            3 => Kind::View,
            4 => Kind::Pool,
            5 => Kind::Bulk,
            6 => Kind::Semaphore,
            7 => Kind::Condition,
            8 => Kind::Event,
            9 => Kind::Barrier,
            13 => Kind::End,
            14 => Kind::Pipe,
            11 => Kind::Queue,
            12 => Kind::Outlet,
            20 => Kind::Manager,
            21 => Kind::Proxy,
            24 => Kind::Transit,
            25 => Kind::Parcel,
            _ => Kind::Array,
        }
    }
}
