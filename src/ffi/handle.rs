//! Handles: numbers that look like pointers, checked in every call, in release builds too.
//!
//! A handle is index, kind and generation of an entry in a table of this process; it is never a real
//! address, so a freed, foreign or made-up one is recognised and not followed. A fork copies the
//! table, so handles go on working in a child as far as what they name does.
//!
//! ```text
//! handle: generation:24 | kind:8 | index:32
//! entry tag: generation:24 | kind:8 | freed:1 | users:31
//! ```
//! Objects in the arena need no user count, for they are type-stable and check themselves (see
//! `shm::cell`): that keeps two atomic operations off a lock's path. Objects of this process (a pool,
//! a result) are counted while a call uses them; the last user of a freed one drops it.

use crate::error::{Error, Result};
use crate::shm::arena::Arena;
use crate::shm::cell::Cell;
use crate::shm::entry::{self, FREED, USERS, next};
use crate::shm::member::MemberId;
use crate::shm::real::Real;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU64};

/// What a handle names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Lock = 1,
    Value = 2,
    Process = 3,
    Pool = 4,
    Result = 5,
    Iterator = 6,
    Semaphore = 7,
    Condition = 8,
    Event = 9,
    Barrier = 10,
    Array = 11,
    SharedMemory = 12,
    ShareableList = 13,
    Context = 14,
    Connection = 16,
    Listener = 17,
    Manager = 20,
    Dict = 21,
    List = 22,
    Proxy = 23,
    ManagedPool = 24,
    ManagedResult = 25,
    ManagedIterator = 26,
    Capsule = 15,
    Queue = 18,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Lock => "a lock",
            Kind::Value => "a value",
            Kind::Process => "a process",
            Kind::Pool => "a pool",
            Kind::Result => "a result",
            Kind::Iterator => "an iterator",
            Kind::Semaphore => "a semaphore",
            Kind::Condition => "a condition",
            Kind::Event => "an event",
            Kind::Barrier => "a barrier",
            Kind::Array => "an array",
            Kind::SharedMemory => "shared memory",
            Kind::ShareableList => "a shareable list",
            Kind::Context => "a context",
            Kind::Connection => "a connection",
            Kind::Listener => "a listener",
            Kind::Manager => "a manager",
            Kind::Dict => "a dict",
            Kind::List => "a list",
            Kind::Proxy => "an object of a manager",
            Kind::ManagedPool => "a pool of a manager",
            Kind::ManagedResult => "a result of a manager's pool",
            Kind::ManagedIterator => "an iterator of a manager's pool",
            Kind::Capsule => "a capsule",
            Kind::Queue => "a queue",
        }
    }

    /// Whether it works in a process that is no member of a family, and in one forked without carom.
    const fn needs_no_family(self) -> bool {
        matches!(
            self,
            Kind::SharedMemory
                | Kind::ShareableList
                | Kind::Context
                | Kind::Connection
                | Kind::Listener
                | Kind::Capsule
        )
    }
}

type Entry = entry::Entry<Real>;

/// An entry that was never used.
const fn unused() -> Entry {
    Entry { tag: AtomicU64::new(0), cell: AtomicU64::new(0), payload: AtomicU64::new(0), owner: AtomicU64::new(0) }
}

const CHUNK: usize = 4096;
const CHUNKS: usize = 4096;
/// The first chunk lies in the library itself: one load less on the way to most objects.
static FIRST: [Entry; CHUNK] = [const { unused() }; CHUNK];
/// The others, each made when it is needed; place 0 stays NULL.
static TABLE: [AtomicPtr<[Entry; CHUNK]>; CHUNKS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS];
/// Entries ever used; index 0 stays unused.
static HIGH: AtomicU64 = AtomicU64::new(1);
/// Head of the free list: index, and a counter against reuse between two looks, in the high half.
static FREE: AtomicU64 = AtomicU64::new(0);

/// Bit of a queue's payload: nothing more is put through this handle. The generation has the 20 bits below.
const CLOSED: u64 = 1 << 24;
const GENERATION: u64 = 0xf_ffff;

/// The entry of an index; entry 0 is never in use.
#[inline(always)]
fn entry(index: u64) -> Option<&'static Entry> {
    let index = index as usize;
    if index < CHUNK {
        return Some(&FIRST[index]);
    }
    let chunk = TABLE.get(index / CHUNK)?.load(Acquire);
    // SAFETY: a chunk, once there, is a leaked box; the index is within it.
    (!chunk.is_null()).then(|| unsafe { &(&*chunk)[index % CHUNK] })
}

/// The entry of a handle that names a living `kind`.
#[inline(always)]
fn checked(handle: usize, kind: Kind) -> Result<(&'static Entry, u64)> {
    if let Some(entry) = entry(handle as u64 & 0xffff_ffff) {
        let tag = entry.tag.load(Acquire);
        if tag >> 32 == handle as u64 >> 32 && tag & FREED == 0 && (tag >> 32) as u8 == kind as u8 {
            return Ok((entry, tag));
        }
    }
    Err(bad(handle, kind))
}

#[cold]
fn bad(handle: usize, kind: Kind) -> Error {
    // In a child of a foreign fork that is what the caller must hear first.
    if crate::family::is_forked() && !kind.needs_no_family() {
        return Error::Forked;
    }
    let what = kind.name();
    if handle == 0 {
        return Error::BadHandle(format!("the handle is NULL where {what} is needed").into());
    }
    Error::BadHandle(format!("the handle is not {what}, or it was freed").into())
}

fn pop() -> Result<u64> {
    let mut head = FREE.load(Acquire);
    while let Some(entry) = entry(head & 0xffff_ffff).filter(|_| head & 0xffff_ffff != 0) {
        let next = entry.owner.load(Relaxed) & 0xffff_ffff;
        match FREE.compare_exchange(head, ((head >> 32) + 1) << 32 | next, AcqRel, Acquire) {
            Ok(_) => return Ok(head & 0xffff_ffff),
            Err(now) => head = now,
        }
    }
    let index = HIGH.fetch_add(1, Relaxed);
    let chunk = TABLE.get(index as usize / CHUNK).ok_or(Error::NoMemory("this process has too many handles"))?;
    if index as usize >= CHUNK && chunk.load(Acquire).is_null() {
        let fresh: Box<[Entry; CHUNK]> = match (0..CHUNK).map(|_| unused()).collect::<Vec<_>>().try_into() {
            Ok(fresh) => fresh,
            Err(_) => return Err(Error::NoMemory("no memory for handles")),
        };
        let fresh = Box::into_raw(fresh);
        if chunk.compare_exchange(std::ptr::null_mut(), fresh, AcqRel, Acquire).is_err() {
            // SAFETY: nobody has seen `fresh`.
            drop(unsafe { Box::from_raw(fresh) });
        }
    }
    Ok(index)
}

fn push(index: u64, entry: &Entry) {
    let mut head = FREE.load(Acquire);
    loop {
        entry.owner.store(head & 0xffff_ffff, Relaxed);
        match FREE.compare_exchange(head, ((head >> 32) + 1) << 32 | index, AcqRel, Acquire) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

fn install<T>(kind: Kind, cell: *const Cell, payload: u64, owner: u64) -> Result<*mut T> {
    let index = pop()?;
    let entry = entry(index).ok_or(Error::Panic("a handle without an entry".into()))?;
    let high = entry.install(kind as u8, cell.expose_provenance() as u64, payload, owner);
    Ok(std::ptr::without_provenance_mut((high << 32 | index) as usize))
}

/// What a handle of an object in the arena names.
#[derive(Clone, Copy)]
pub struct Named {
    /// Index of the cell.
    pub index: u64,
    /// Generation of the object.
    pub generation: u32,
    /// Index of the view that keeps it for this handle, 0 if the handle's owner is its creator.
    pub view: u64,
}

/// A handle for an object of the arena. `owner` is the member whose handle keeps the object; `None` for a
/// borrowed one.
pub fn of_cell<T>(kind: Kind, named: Named, owner: Option<MemberId>) -> Result<*mut T> {
    let cell = Arena::get().and_then(|arena| arena.cell(named.index));
    let cell = cell.ok_or(Error::BadHandle("the object is gone".into()))?;
    install(kind, cell, named.view << 32 | named.generation as u64, owner.map_or(0, MemberId::to_bits))
}

/// Cell and payload behind a handle of an object of the arena.
#[inline(always)]
fn seen(handle: u64, kind: Kind) -> Option<(&'static Cell, u64)> {
    let (cell, payload) = entry(handle & 0xffff_ffff)?.seen(handle, kind as u8)?;
    let cell: *const Cell = std::ptr::with_exposed_provenance(cell as usize);
    // SAFETY: not NULL; `cell` only ever holds an address that `Arena::cell` gave (see `of_cell`): a cell of the arena,
    // which is never unmapped and consists of atomics.
    Some((unsafe { &*cell }, payload))
}

/// The cell that a handle names and the generation of its object: for the short way of calls that cannot
/// fail, so without a word about what is wrong. Whether the object is still there is for the cell to say.
#[inline(always)]
pub fn look<T>(handle: *mut T, kind: Kind) -> Option<(&'static Cell, u32)> {
    seen(handle as u64, kind).map(|(cell, payload)| (cell, payload as u32))
}

/// What a handle names; whether the object is still there is for the cell to say.
#[inline(always)]
pub fn named<T>(handle: *mut T, kind: Kind) -> Result<Named> {
    match (seen(handle as u64, kind), Arena::get()) {
        (Some((cell, payload)), Some(arena)) => {
            let generation = (payload & GENERATION) as u32;
            Ok(Named { index: arena.cell_index(cell), generation, view: payload >> 32 })
        }
        _ => Err(bad(handle as usize, kind)),
    }
}

/// How a process has what a handle names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It keeps it: by this view, or 0 for what it made.
    Own(u64),
    /// Lent by a call.
    Lent,
    /// By a fork.
    Inherited,
}

/// The cell and generation that a handle names, how `me` has it, and whether the handle is closed.
#[inline(always)]
pub fn held<T>(handle: *mut T, kind: Kind, me: MemberId) -> Result<(&'static Cell, u32, Hold, bool)> {
    let owner = entry(handle as u64 & 0xffff_ffff).map_or(0, |entry| entry.owner.load(Acquire));
    // After it: as in `seen`.
    let Some((cell, payload)) = seen(handle as u64, kind) else { return Err(bad(handle as usize, kind)) };
    let hold = match owner {
        0 => Hold::Lent,
        owner if owner == me.to_bits() => Hold::Own(payload >> 32),
        _ => Hold::Inherited,
    };
    Ok((cell, (payload & GENERATION) as u32, hold, payload & CLOSED != 0))
}

/// Nothing more is put through this handle.
pub fn close<T>(handle: *mut T, kind: Kind) -> Result<()> {
    let (entry, _) = checked(handle as usize, kind)?;
    entry.payload.fetch_or(CLOSED, AcqRel);
    Ok(())
}

/// Makes an inherited handle `me`'s own, kept by a view; false if another thread was quicker.
pub fn adopt_inherited<T>(handle: *mut T, kind: Kind, view: u64, me: MemberId) -> Result<bool> {
    let (entry, _) = checked(handle as usize, kind)?;
    let owner = entry.owner.load(Acquire);
    if owner == me.to_bits() || entry.owner.compare_exchange(owner, me.to_bits(), AcqRel, Relaxed).is_err() {
        return Ok(false);
    }
    let kept = entry.payload.load(Acquire) & 0xffff_ffff;
    entry.payload.store(view << 32 | kept, Release);
    Ok(true)
}

/// What a handle of whatever kind of object of the arena names.
pub fn named_any(handle: *mut std::ffi::c_void) -> Result<(Kind, Named)> {
    const SHARED: [Kind; 13] = [
        Kind::Lock,
        Kind::Value,
        Kind::Semaphore,
        Kind::Condition,
        Kind::Event,
        Kind::Barrier,
        Kind::Array,
        Kind::Queue,
        Kind::Manager,
        Kind::Dict,
        Kind::List,
        Kind::Proxy,
        Kind::ManagedPool,
    ];
    let kind = SHARED.into_iter().find(|kind| *kind as u8 == (handle as u64 >> 32) as u8);
    // What is none of them is refused in the name of the first.
    let kind = kind.unwrap_or(Kind::Lock);
    Ok((kind, named(handle, kind)?))
}

/// Ends a handle of an object of the arena; what it named, and whether it kept the object for `me`. `None` for
/// NULL and for what is no such handle.
pub fn free_cell<T>(handle: *mut T, kind: Kind, me: Option<MemberId>) -> Option<(Named, bool)> {
    let (entry, tag) = checked(handle as usize, kind).ok()?;
    let named = named(handle, kind).ok()?;
    let own = me.is_some_and(|me| entry.owner.load(Acquire) == me.to_bits());
    if !entry.end(tag) {
        return None;
    }
    push(handle as u64 & 0xffff_ffff, entry);
    Some((named, own))
}

/// Makes a borrowed handle `me`'s own, kept by a view.
pub fn adopt(handle: *mut std::ffi::c_void, view: u64, me: MemberId) -> Result<()> {
    let (kind, _) = named_any(handle)?;
    let (entry, _) = checked(handle as usize, kind)?;
    let generation = entry.payload.load(Acquire) & 0xffff_ffff;
    entry.payload.store(view << 32 | generation, Release);
    entry.owner.store(me.to_bits(), Release);
    Ok(())
}

/// An object of this process, in use by a call.
pub struct Use<T: Object> {
    entry: &'static Entry,
    index: u64,
    object: *const T,
}

impl<T: Object> std::ops::Deref for Use<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the object is a box that is dropped only by the last user of a freed entry, and this
        // use is counted; `Kind` and T belong together, see `of_object`.
        unsafe { &*self.object }
    }
}

impl<T: Object> Drop for Use<T> {
    fn drop(&mut self) {
        let before = self.entry.tag.fetch_sub(1, AcqRel);
        if before & FREED != 0 && before & USERS == 1 {
            // SAFETY: freed, and this was the last use: nobody else can reach the object.
            unsafe { destroy::<T>(self.entry, self.index, before - 1) };
        }
    }
}

/// # Safety
/// The entry is freed, nobody uses its object, and it was made for a T by the function that `T::SHARED` says.
unsafe fn destroy<T: Object>(entry: &Entry, index: u64, tag: u64) {
    let object = entry.payload.load(Acquire) as *mut T;
    entry.tag.store(next(tag), Release);
    push(index, entry);
    // SAFETY: by contract; what made the handle tells which of the two it is.
    unsafe {
        if T::SHARED {
            drop(Arc::from_raw(object));
        } else {
            drop(Box::from_raw(object));
        }
    }
}

/// An object that a handle can name; each kind names one type.
pub trait Object: Sized + Send + Sync + 'static {
    const KIND: Kind;
    /// Whether handles name an object that others share ([`of_shared`]), or one of their own ([`of_object`]).
    const SHARED: bool = false;
}

/// A handle for an object of this process.
pub fn of_object<T: Object, H>(object: T, me: MemberId) -> Result<*mut H> {
    const { assert!(!T::SHARED) };
    install_object(object, me.to_bits())
}

/// The same for an object that works in every forked child too, whoever forks: each has its own copy of it.
pub fn of_forkable_object<T: Object, H>(object: T) -> Result<*mut H> {
    install_object(object, 0)
}

fn install_object<T: Object, H>(object: T, owner: u64) -> Result<*mut H> {
    let object = Box::into_raw(Box::new(object));
    install(T::KIND, std::ptr::null(), object as u64, owner).inspect_err(|_| {
        // SAFETY: nobody else has seen the box.
        drop(unsafe { Box::from_raw(object) });
    })
}

/// A handle for an object that others keep too.
pub fn of_shared<T: Object, H>(object: Arc<T>, me: MemberId) -> Result<*mut H> {
    const { assert!(T::SHARED) };
    let object = Arc::into_raw(object);
    install(T::KIND, std::ptr::null(), object as u64, me.to_bits()).inspect_err(|_| {
        // SAFETY: the count taken above.
        drop(unsafe { Arc::from_raw(object) });
    })
}

/// Whether a handle names a `kind` that was not freed.
pub fn lives<T>(handle: *mut T, kind: Kind) -> bool {
    is(handle.cast(), kind) && checked(handle as usize, kind).is_ok()
}

/// Whether a handle says that it names a `kind`.
pub fn is(handle: *mut std::ffi::c_void, kind: Kind) -> bool {
    (handle as u64 >> 32) as u8 == kind as u8
}

/// What a handle says that it names, of the kinds that can be waited for; whether it does is for [`object`] to say.
pub fn kind(handle: *mut std::ffi::c_void) -> Option<Kind> {
    const KINDS: [Kind; 5] = [Kind::Process, Kind::Pool, Kind::Connection, Kind::Listener, Kind::Queue];
    KINDS.into_iter().find(|kind| is(handle, *kind))
}

/// The object behind a handle, counted as in use.
pub fn object<T: Object, H>(handle: *mut H) -> Result<Use<T>> {
    let (entry, mut tag) = checked(handle as usize, T::KIND)?;
    loop {
        if tag >> 32 != handle as u64 >> 32 || tag & FREED != 0 || tag & USERS == USERS {
            return Err(bad(handle as usize, T::KIND));
        }
        match entry.tag.compare_exchange(tag, tag + 1, AcqRel, Acquire) {
            Ok(_) => break,
            Err(now) => tag = now,
        }
    }
    let object = entry.payload.load(Acquire) as *const T;
    Ok(Use { entry, index: handle as u64 & 0xffff_ffff, object })
}

/// Ends a handle of an object of this process; the object goes with its last user. In a forked child only
/// the copy of the handle goes: the object there is a copy in whatever state the fork found it. (One that is
/// forkable goes there too.)
pub fn free_object<T: Object, H>(handle: *mut H, me: Option<MemberId>) {
    let Ok((entry, mut tag)) = checked(handle as usize, T::KIND) else { return };
    let owner = entry.owner.load(Acquire);
    let own = owner == 0 || me.is_some_and(|me| owner == me.to_bits());
    loop {
        if tag >> 32 != handle as u64 >> 32 || tag & FREED != 0 {
            return;
        }
        match entry.tag.compare_exchange(tag, tag | FREED, AcqRel, Acquire) {
            Ok(_) => break,
            Err(now) => tag = now,
        }
    }
    if own && tag & USERS == 0 {
        // SAFETY: freed by us just now, without users; T belongs to the kind.
        unsafe { destroy::<T>(entry, handle as u64 & 0xffff_ffff, tag | FREED) };
    }
}
