//! What a function is called in every process: by its registered name, and by module, build and offset.
//!
//! An address means nothing elsewhere: another process may have the module at another place, or not
//! at all. So what travels is an [`Identity`]. It holds the registered name if there is one, and
//! where the function is in a module if it is in one; whoever resolves it tries them in this order.
//! (Both, because a function that was registered after a worker was born is still found there.)

#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::sys::elf::{self, BuildId, Module};
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Bytes of an identity in shared memory.
pub const IDENTITY_SIZE: usize = 512;
/// The longest name.
pub const MAX_NAME: usize = 63;
/// How many names a process can register.
pub const MAX_REGISTERED: usize = 1024;

/// Where in the record the name and, behind it, the path begin.
const TEXT_AT: usize = 64;
const TEXT_SIZE: usize = IDENTITY_SIZE - TEXT_AT;
const BUILD_ID_AT: usize = 32;
const MAGIC: u32 = 0xca40_f001;

/// A function, whatever the process. Two identities are equal if and only if their bytes are.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    name_len: usize,
    path_len: usize,
    build_id: Option<BuildId>,
    /// From the module's base to the function.
    offset: u64,
    /// Of the module; tells builds apart where there is no build-id.
    text_size: u64,
    /// The name, then the path, then zeros.
    text: [u8; TEXT_SIZE],
}

impl Identity {
    fn new(name: &str, place: Option<(&Module, usize)>) -> Option<Identity> {
        let path = place.map_or(&[][..], |(module, _)| &module.path);
        let mut identity = Identity {
            name_len: name.len(),
            path_len: path.len(),
            build_id: place.and_then(|(module, _)| module.build_id),
            offset: place.map_or(0, |(module, address)| address.wrapping_sub(module.base) as u64),
            text_size: place.map_or(0, |(module, _)| module.text_size()),
            text: [0; TEXT_SIZE],
        };
        identity.text.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        identity.text.get_mut(name.len()..name.len() + path.len())?.copy_from_slice(path);
        Some(identity)
    }

    /// The registered name, if it has one.
    pub fn name(&self) -> Option<&str> {
        let name = std::str::from_utf8(&self.text[..self.name_len]).ok()?;
        (!name.is_empty()).then_some(name)
    }

    /// The path of the module, if it is in one.
    pub fn path(&self) -> Option<&[u8]> {
        let path = &self.text[self.name_len..self.name_len + self.path_len];
        (!path.is_empty()).then_some(path)
    }

    /// As it stands in shared memory.
    pub fn to_bytes(&self) -> [u8; IDENTITY_SIZE] {
        let mut bytes = [0; IDENTITY_SIZE];
        let id = self.build_id.as_ref().map_or(&[][..], BuildId::as_bytes);
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4] = self.name_len as u8;
        bytes[5] = id.len() as u8;
        bytes[6..8].copy_from_slice(&(self.path_len as u16).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.text_size.to_le_bytes());
        bytes[BUILD_ID_AT..BUILD_ID_AT + id.len()].copy_from_slice(id);
        bytes[TEXT_AT..].copy_from_slice(&self.text);
        bytes
    }

    /// Reads what [`to_bytes`](Identity::to_bytes) wrote; refuses everything that it would not write.
    pub fn from_bytes(bytes: &[u8; IDENTITY_SIZE]) -> Result<Identity> {
        let refuse = || Error::Broken("this is not the identity of a function".into());
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let (name_len, id_len) = (bytes[4] as usize, bytes[5] as usize);
        let path_len = u16::from_le_bytes([bytes[6], bytes[7]]) as usize;
        let id = bytes[BUILD_ID_AT..TEXT_AT].get(..id_len).ok_or_else(refuse)?;
        if name_len > MAX_NAME || name_len + path_len > TEXT_SIZE {
            return Err(refuse());
        }
        let mut identity = Identity {
            name_len,
            path_len,
            build_id: BuildId::new(id),
            offset: long(8),
            text_size: long(16),
            text: [0; TEXT_SIZE],
        };
        identity.text.copy_from_slice(&bytes[TEXT_AT..]);
        let name_is_good = name_len == 0 || identity.name().is_some_and(|name| check_name(name).is_ok());
        let path_is_good = match identity.path() {
            Some(path) => path[0] == b'/' && !path.contains(&0),
            None => name_len > 0 && id_len == 0 && identity.offset == 0 && identity.text_size == 0,
        };
        // What is written once more must be what was read: so no gap holds anything.
        let is_good = name_is_good && path_is_good && identity.to_bytes() == *bytes;
        if is_good { Ok(identity) } else { Err(refuse()) }
    }
}

/// `thumb`, or `/usr/lib/libthumbs.so+0x1a40`.
impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.path()) {
            (Some(name), _) => out.write_str(name),
            (None, Some(path)) => write!(out, "{}+{:#x}", String::from_utf8_lossy(path), self.offset),
            (None, None) => out.write_str("?"),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identity({self})")
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Error::invalid("the name of a function has 1 to 63 bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid("the name of a function has a control character in it"));
    }
    Ok(())
}

/// A name as words, padded with zeros: no name has one in it, and none fills the last byte.
type Words = [u64; 8];

fn words_of(name: &str) -> Words {
    let byte = |index: usize| name.as_bytes().get(index).copied().unwrap_or(0);
    std::array::from_fn(|word| u64::from_le_bytes(std::array::from_fn(|index| byte(8 * word + index))))
}

/// Entries are taken in order and stay: a reader stops at the first empty one. No locks, because a
/// thread of the parent might have held them at the fork.
static REGISTRY: [Entry; MAX_REGISTERED] = [const { Entry::new() }; MAX_REGISTERED];

struct Entry {
    state: AtomicU32,
    address: AtomicUsize,
    name: [AtomicU64; 8],
}

const EMPTY: u32 = 0;
/// Somebody is filling it in. In a child of a fork that somebody may be gone for good.
const CLAIMED: u32 = 1;
/// It is filled in and never changes again.
const READY: u32 = 2;
/// Somebody else was first to register the name.
const VOID: u32 = 3;

impl Entry {
    const fn new() -> Entry {
        Entry { state: AtomicU32::new(EMPTY), address: AtomicUsize::new(0), name: [const { AtomicU64::new(0) }; 8] }
    }

    fn claim(&self) -> bool {
        self.state.compare_exchange(EMPTY, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn words(&self) -> Words {
        std::array::from_fn(|index| self.name[index].load(Ordering::Relaxed))
    }

    /// What is registered here; waits a little for whoever is filling it in, but not for the dead.
    fn settled(&self) -> bool {
        for _ in 0..1000 {
            match self.state.load(Ordering::Acquire) {
                CLAIMED => std::thread::yield_now(),
                state => return state == READY,
            }
        }
        false
    }
}

fn registered() -> impl Iterator<Item = &'static Entry> {
    let used = REGISTRY.iter().take_while(|entry| entry.state.load(Ordering::Acquire) != EMPTY);
    used.filter(|entry| entry.state.load(Ordering::Acquire) == READY)
}

fn address_of_name(words: &Words) -> Option<usize> {
    let entry = registered().find(|entry| entry.words() == *words)?;
    Some(entry.address.load(Ordering::Relaxed))
}

fn name_of_address(address: usize) -> Option<String> {
    let entry = registered().find(|entry| entry.address.load(Ordering::Relaxed) == address)?;
    let bytes: Vec<u8> =
        entry.words().iter().flat_map(|word| word.to_le_bytes()).take_while(|byte| *byte != 0).collect();
    String::from_utf8(bytes).ok()
}

/// Gives the function at `address` a name, in this process and in those that it forks afterwards.
/// Once more the same is nothing; another function of this name is `Exists`.
pub fn register(name: &str, address: usize) -> Result<()> {
    check_name(name)?;
    if address == 0 {
        return Err(null_function());
    }
    let words = words_of(name);
    let verdict = |other: usize| {
        let taken = Error::Exists("another function is registered under this name");
        if other == address { Ok(()) } else { Err(taken) }
    };
    if let Some(other) = address_of_name(&words) {
        return verdict(other);
    }
    let index = REGISTRY.iter().position(Entry::claim);
    let index = index.ok_or(Error::NoMemory("1024 functions are registered, which is all that a process can"))?;
    let entry = &REGISTRY[index];
    // Of two threads that register one name at once, the one with the lower entry is first.
    let same = |earlier: &&Entry| earlier.settled() && earlier.words() == words;
    if let Some(earlier) = REGISTRY[..index].iter().find(same) {
        entry.state.store(VOID, Ordering::Release);
        return verdict(earlier.address.load(Ordering::Relaxed));
    }
    entry.address.store(address, Ordering::Relaxed);
    for (to, word) in entry.name.iter().zip(words) {
        to.store(word, Ordering::Relaxed);
    }
    entry.state.store(READY, Ordering::Release);
    Ok(())
}

fn null_function() -> Error {
    Error::Function("the function is NULL".into())
}

/// Whether `address` is code of a loaded module. A function that is not is one of this process only:
/// who registers it vouches that the name means the same in those that it forks.
pub fn in_module(address: usize) -> bool {
    elf::module_of(address).is_some()
}

/// Whether what an address means can change in the life of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tenure {
    /// The program's own code, or what the host made and registered.
    Permanent,
    /// A module that can be unloaded, and another be loaded in its place.
    Volatile,
}

/// What the function at `address` is called everywhere.
pub fn identify(address: usize) -> Result<Identity> {
    Ok(locate(address)?.0)
}

/// Whether other processes could find the function at `address`: an error if not. The same cost as
/// [`slot_of`] if it was asked before.
pub fn check(address: usize) -> Result<()> {
    static CHECKED: Cache = Cache::new();
    CHECKED.recall_or(address, || Ok((0, locate(address)?.1))).map(|_| ())
}

fn locate(address: usize) -> Result<(Identity, Tenure)> {
    if address == 0 {
        return Err(null_function());
    }
    let name = name_of_address(address).unwrap_or_default();
    let module = elf::module_of(address);
    if module.is_none() && name.is_empty() {
        return Err(Error::Function(
            "the function is in no module, so no other process can find it: name it by carom_function_register before carom_init, or put it \
             into a shared library (a closure made at run time, such as a ctypes callback, does not exist in other \
             processes)"
                .into(),
        ));
    }
    // A path that could not be made absolute would be another file in another directory.
    let place = module.as_ref().filter(|module| module.path.first() == Some(&b'/')).map(|module| (module, address));
    let tenure = match &module {
        Some(module) if !module.is_program => Tenure::Volatile,
        _ => Tenure::Permanent,
    };
    let identity = match (place, name.is_empty()) {
        (None, true) => None,
        (place, true) => Identity::new("", place),
        (place, false) => Identity::new(&name, place).or_else(|| Identity::new(&name, None)),
    };
    let unnamed = || {
        let path = module.as_ref().map_or("".into(), |module| String::from_utf8_lossy(&module.path));
        let text = format!("the path of the function's module is too long or unknown, register the function: {path}");
        Error::Function(text.into())
    };
    Ok((identity.ok_or_else(unnamed)?, tenure))
}

/// The address of the function in this process. Loads the module if it must.
pub fn resolve(identity: &Identity) -> Result<usize> {
    if let Some(address) = look_up(identity) {
        return Ok(address);
    }
    let Some(path) = identity.path() else {
        let text = format!(
            "no function is registered as \"{identity}\" in this process: register it before carom_init, and before \
             the pool or manager that runs it"
        );
        return Err(Error::Function(text.into()));
    };
    if elf::find_module(path, identity.build_id, identity.text_size).is_none() {
        elf::open_module(path)?;
    }
    look_up(identity).ok_or_else(|| another_build(identity))
}

/// The same where no module is loaded for it.
pub fn look_up(identity: &Identity) -> Option<usize> {
    if let Some(address) = identity.name().and_then(|name| address_of_name(&words_of(name))) {
        return Some(address);
    }
    address_in(&elf::find_module(identity.path()?, identity.build_id, identity.text_size)?, identity)
}

/// The same where neither the loader is called nor a module loaded: for who forks those that will want to know.
pub fn foresee(identity: &Identity) -> Option<usize> {
    if let Some(name) = identity.name() {
        return address_of_name(&words_of(name));
    }
    address_in(&elf::find_pictured(identity.path()?, identity.build_id, identity.text_size)?, identity)
}

/// Same build, but no code there: the identity was forged, or there was no build-id to go by.
fn address_in(module: &Module, identity: &Identity) -> Option<usize> {
    let address = module.base.wrapping_add(identity.offset as usize);
    module.has_code_at(address).then_some(address)
}

fn another_build(identity: &Identity) -> Error {
    let path = String::from_utf8_lossy(identity.path().unwrap_or_default()).into_owned();
    Error::Function(format!("{path} is another build here than in the process that passed the function").into())
}

/// What [`slot_of`] found before.
static SLOTS: Cache = Cache::new();

/// A number per function. Two words per place instead of a lock: the second is the first one mixed with the
/// tenure, so a pair that two writers have left half each does not fit together.
struct Cache([CachePlace; 256]);

struct CachePlace {
    /// The address in the lower 48 bits, the slot above.
    what: AtomicU64,
    check: AtomicU64,
}

const ADDRESS_BITS: u32 = 48;
/// Mixed in for functions that stay; for others it is the loader's generation, which is far smaller.
const PERMANENT: u64 = 1 << 47;

impl Cache {
    const fn new() -> Cache {
        Cache([const { CachePlace { what: AtomicU64::new(0), check: AtomicU64::new(0) } }; 256])
    }

    /// The number of the function at `address`: known from before, or found by `find`.
    ///
    /// Costs a few loads for functions of the program, and a look at the loader's generation for those of
    /// a library, which may have been unloaded since.
    fn recall_or(&self, address: usize, find: impl FnOnce() -> Result<(u16, Tenure)>) -> Result<u16> {
        let place = &self.0[(address ^ (address >> 8) ^ (address >> 16)) % self.0.len()];
        let (what, check) = (place.what.load(Ordering::Relaxed), place.check.load(Ordering::Relaxed));
        let is_it = address != 0 && what & ((1 << ADDRESS_BITS) - 1) == address as u64;
        if is_it && (check ^ what == PERMANENT || check ^ what == elf::generation()) {
            return Ok((what >> ADDRESS_BITS) as u16);
        }
        // Read before the look at the modules: an entry can be taken for too old, never for too new.
        let generation = elf::generation();
        let (number, tenure) = find()?;
        if address as u64 >> ADDRESS_BITS == 0 {
            let what = (number as u64) << ADDRESS_BITS | address as u64;
            let mix = if tenure == Tenure::Permanent { PERMANENT } else { generation };
            place.what.store(what, Ordering::Relaxed);
            place.check.store(what ^ mix, Ordering::Relaxed);
        }
        Ok(number)
    }

    fn forget(&self) {
        for place in &self.0 {
            place.what.store(0, Ordering::Relaxed);
            place.check.store(0, Ordering::Relaxed);
        }
    }
}

/// The slot of the function at `address` in the caller's table: known from before, or made by `make`. A slot
/// must mean the same function for ever.
pub fn slot_of(address: usize, make: impl FnOnce(&Identity) -> Result<u16>) -> Result<u16> {
    SLOTS.recall_or(address, || {
        let (identity, tenure) = locate(address)?;
        Ok((make(&identity)?, tenure))
    })
}

/// Forgets all slots: after the process has joined another family, whose table is another.
pub fn forget_slots() {
    SLOTS.forget();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address_here() -> usize {
        address_here as fn() -> usize as usize
    }

    #[test]
    fn a_plain_function_is_identified_by_its_module() {
        let identity = identify(address_here()).unwrap();
        assert_eq!(identity.name(), None);
        assert!(identity.path().unwrap().starts_with(b"/"));
        assert_eq!(resolve(&identity).unwrap(), address_here());
        let copy = Identity::from_bytes(&identity.to_bytes()).unwrap();
        assert_eq!(copy, identity);
        assert!(identity.to_string().contains("+0x"), "{identity}");
    }

    #[test]
    fn a_name_wins_and_is_unique() {
        let (one, two) = (0x10_0001, 0x10_0002);
        register("unique name", one).unwrap();
        register("unique name", one).unwrap();
        assert!(matches!(register("unique name", two), Err(Error::Exists(_))));
        let identity = identify(one).unwrap();
        assert_eq!((identity.name(), identity.path()), (Some("unique name"), None));
        let copy = Identity::from_bytes(&identity.to_bytes()).unwrap();
        assert_eq!(resolve(&copy).unwrap(), one);
        assert!(!in_module(one) && in_module(address_here()));
    }

    #[test]
    fn a_name_that_is_not_registered_here_falls_back_to_the_module() {
        let module = elf::module_of(address_here()).unwrap();
        let identity = Identity::new("of a later time", Some((&module, address_here()))).unwrap();
        assert_eq!(resolve(&identity).unwrap(), address_here());
        let nameless = Identity::new("of a later time", None).unwrap();
        let error = resolve(&nameless).unwrap_err();
        assert!(error.to_string().contains("of a later time"), "{error}");
    }

    #[test]
    fn names_are_checked() {
        let long = "x".repeat(64);
        for name in ["", "a\nb", "a\0", long.as_str()] {
            assert!(matches!(register(name, 0x20_0000), Err(Error::Invalid(_))), "{name:?}");
        }
        register(&long[..63], 0x20_0001).unwrap();
        assert_eq!(identify(0x20_0001).unwrap().name(), Some(&long[..63]));
        register("gr\u{fc}n", 0x20_0002).unwrap();
        assert!(matches!(register("null", 0), Err(Error::Function(_))));
    }

    #[test]
    fn closures_and_null_are_refused() {
        let closure = Box::new([0xc3u8; 16]);
        let error = identify(closure.as_ptr() as usize).unwrap_err();
        assert!(matches!(error, Error::Function(_)) && error.to_string().contains("ctypes"), "{error}");
        assert!(matches!(identify(0), Err(Error::Function(_))));
    }

    #[test]
    fn damaged_identities_are_refused_or_the_same() {
        let good = identify(address_here()).unwrap().to_bytes();
        for at in 0..IDENTITY_SIZE {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = good;
                bytes[at] ^= flip;
                if let Ok(identity) = Identity::from_bytes(&bytes) {
                    assert_eq!(identity.to_bytes(), bytes);
                    let _ = (identity.to_string(), identity.name(), identity.path());
                }
            }
        }
        assert!(Identity::from_bytes(&[0; IDENTITY_SIZE]).is_err());
        assert!(Identity::from_bytes(&[0xff; IDENTITY_SIZE]).is_err());
    }

    #[test]
    fn an_offset_outside_the_code_is_refused() {
        let mut identity = identify(address_here()).unwrap();
        for offset in [u64::MAX, 0, u64::MAX / 2] {
            identity.offset = offset;
            assert!(matches!(resolve(&identity), Err(Error::Function(_))), "{offset:#x}");
        }
    }

    #[test]
    fn another_build_is_refused() {
        let mut identity = identify(elf_function()).unwrap();
        identity.build_id = BuildId::new(&[1, 2, 3]);
        let error = resolve(&identity).unwrap_err();
        assert!(error.to_string().contains("another build"), "{error}");
    }

    /// A function of the C library: opening that once more succeeds and finds the build that it is.
    fn elf_function() -> usize {
        libc::getpid as *const () as usize
    }

    #[test]
    fn threads_agree_on_who_registered_first() {
        for round in 0..20 {
            let name = format!("race {round}");
            let results: Vec<bool> = std::thread::scope(|scope| {
                let name = &name;
                let race = |thread: usize| scope.spawn(move || register(name, 0x30_0000 + thread).is_ok());
                let threads: Vec<_> = (0..4).map(race).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(results.iter().filter(|won| **won).count(), 1);
            let winner = results.iter().position(|won| *won).unwrap();
            assert_eq!(address_of_name(&words_of(&name)), Some(0x30_0000 + winner));
        }
    }

    #[test]
    fn slots_are_made_once() {
        for address in [address_here(), elf_function()] {
            assert_eq!(slot_of(address, |_| Ok(40_000)).unwrap(), 40_000);
            let again = slot_of(address, |_| Err(Error::NoMemory("asked twice")));
            assert_eq!(again.unwrap(), 40_000);
        }
        forget_slots();
        assert_eq!(slot_of(address_here(), |_| Ok(7)).unwrap(), 7);
        assert!(slot_of(0, |_| Ok(1)).is_err());
    }
}
