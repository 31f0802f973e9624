//! Capsules: files with all that it takes to run a task once more that died: its function, its arguments, its environment.
//!
//! ```text
//! words        see below; the first is the magic
//! identity     of the function, 512 bytes
//! setting      strings, each ended by a zero byte: program, working directory, then the environment
//! arguments    encoded (see `wire`), or the bytes of one item of a map
//! ```
//! Nothing in such a file is believed: lengths add up to the file's, and each part is what whoever reads it takes.
#![forbid(unsafe_code)]

use crate::call::{Call, Input, Output};
use crate::error::{Error, Result};
use crate::family::{self, Family};
use crate::function::{self, IDENTITY_SIZE, Identity};
use crate::shm::cell::{Cell, Kind, SETTLED};
use crate::shm::heap::Heap;
use crate::shm::region::Region;
use crate::sys::new_file;
use crate::wire::{self, Argument, Reader};
use std::ffi::{CStr, CString, OsStr};
use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{SystemTime, UNIX_EPOCH};

const MAGIC: u64 = u64::from_le_bytes(*b"caromca1");

/// The words, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// [`ITEM`], [`HAS_INIT`].
    pub flags: u64,
    /// Index of the item.
    pub item: u64,
    /// The worker that died.
    pub pid: u64,
    /// How: 0…255, minus a signal, or `UNKNOWN_EXIT`, as a two's complement.
    pub exit: u64,
    /// Bytes of a reply, if they must be so many.
    pub reply_size: u64,
    /// Filled in by whoever saves it.
    pub setting_len: u64,
    /// Likewise.
    pub arguments_len: u64,
}

/// The arguments are one item of a map.
pub const ITEM: u64 = 1;
/// The program calls `carom_init`, where a task of it can be run again.
pub const HAS_INIT: u64 = 2;

const WORDS: usize = 8;
const SETTING_AT: usize = 8 * WORDS + IDENTITY_SIZE;
/// Larger arguments are not saved.
pub const MOST_ARGUMENTS: u64 = 64 << 20;
/// Likewise a larger environment.
const MOST_SETTING: u64 = 4 << 20;
/// The longest path.
pub const MOST_PATH: usize = 1024;
/// The longest name of a program in the name of a file.
const MOST_PROGRAM: usize = 64;

/// How many capsules of one process in one second.
const MOST_TRIES: u32 = 100;

/// Whether this program has called `carom_init`.
static INITIALISED: AtomicBool = AtomicBool::new(false);

/// This program calls `carom_init`.
pub fn note_init() {
    INITIALISED.store(true, Relaxed);
}

/// A path, ended by a zero byte, without memory of its own.
#[derive(Clone, Copy)]
pub struct SavedPath {
    bytes: [u8; MOST_PATH],
    len: usize,
}

impl SavedPath {
    /// Its bytes, with the zero byte.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len + 1]
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len()).filter(|end| *end < MOST_PATH)?;
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
        Some(())
    }
}

impl fmt::Write for SavedPath {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).ok_or(fmt::Error)
    }
}

/// What is the same in all capsules of a pool. Made in the host, used in its template, which allocates nothing.
pub struct Writer {
    directory: CString,
    program: Vec<u8>,
    setting: Vec<u8>,
}

/// What is to be saved of one task.
pub struct Task<'t> {
    /// Its words; those that are lengths are filled in.
    pub facts: Facts,
    /// Identity of its function.
    pub function: &'t [u8; IDENTITY_SIZE],
    /// Its arguments.
    pub arguments: &'t [u8],
}

impl Writer {
    /// Capsules go to this directory (see [`directory`]); the program, its environment and working directory are as they are now.
    pub fn new(directory: &Path) -> Result<Writer> {
        let os = |call| move |error: std::io::Error| Error::Os { call, errno: error.raw_os_error().unwrap_or(0) };
        let program = std::env::current_exe().map_err(os("readlink"))?;
        let current = std::env::current_dir().map_err(os("getcwd"))?;
        let mut setting = [program.as_os_str().as_bytes(), b"\0", current.as_os_str().as_bytes(), b"\0"].concat();
        for (name, value) in std::env::vars_os() {
            setting.extend([name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
        }
        let name = program.file_name().map(OsStr::as_bytes).unwrap_or_default();
        let program = name[..name.len().min(MOST_PROGRAM)].to_vec();
        let directory = CString::new(directory.as_os_str().as_bytes()).map_err(|_| Error::invalid("a zero byte"))?;
        Ok(Writer { directory, program, setting })
    }

    /// Saves a task; where.
    pub fn save(&self, task: &Task) -> Result<SavedPath> {
        let (arguments_len, setting_len) = (task.arguments.len() as u64, self.setting.len() as u64);
        if arguments_len > MOST_ARGUMENTS || setting_len > MOST_SETTING {
            return Err(Error::NoMemory("the arguments are too large for a capsule"));
        }
        let init = if INITIALISED.load(Relaxed) { HAS_INIT } else { 0 };
        let facts = Facts { flags: task.facts.flags | init, arguments_len, setting_len, ..task.facts };
        let mut words = [0; 8 * WORDS];
        words
            .chunks_exact_mut(8)
            .zip(facts.words())
            .for_each(|(place, word)| place.copy_from_slice(&word.to_le_bytes()));
        let parts: [&[u8]; 4] = [&words, task.function, &self.setting, task.arguments];
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut tries = 0;
        loop {
            let path =
                self.path(facts.pid, seconds, tries).ok_or(Error::NoMemory("the path of a capsule is too long"))?;
            let name =
                CStr::from_bytes_with_nul(path.as_bytes()).map_err(|_| Error::invalid("a path with a zero byte"))?;
            match new_file::create(&self.directory, name, &parts) {
                Err(Error::Exists(_)) if tries < MOST_TRIES => tries += 1,
                done => return done.map(|()| path),
            }
        }
    }

    /// `/directory/program.pid.seconds.capsule`
    fn path(&self, pid: u64, seconds: u64, tries: u32) -> Option<SavedPath> {
        let mut path = SavedPath { bytes: [0; MOST_PATH], len: 0 };
        path.push(self.directory.to_bytes())?;
        path.push(b"/")?;
        path.push(&self.program)?;
        write!(path, ".{pid}.{seconds}").ok()?;
        if tries > 0 {
            write!(path, ".{tries}").ok()?;
        }
        path.push(b".capsule")?;
        Some(path)
    }
}

/// The absolute path of a directory in which files can be made.
pub fn directory(directory: &Path) -> Result<PathBuf> {
    let os = |error: std::io::Error| Error::Os { call: "realpath", errno: error.raw_os_error().unwrap_or(0) };
    let directory = directory.canonicalize().map_err(os)?;
    let name = CString::new(directory.as_os_str().as_bytes()).map_err(|_| Error::invalid("a zero byte"))?;
    new_file::check_directory(&name)?;
    // Room for the rest of a path.
    match name.to_bytes().len() + MOST_PROGRAM + 64 < MOST_PATH {
        true => Ok(directory),
        false => Err(Error::invalid("the path of the directory is too long")),
    }
}

impl Facts {
    fn words(self) -> [u64; WORDS] {
        let Facts { flags, item, pid, exit, reply_size, setting_len, arguments_len } = self;
        [MAGIC, flags, item, pid, exit, reply_size, setting_len, arguments_len]
    }

    fn read(bytes: &[u8]) -> Option<Facts> {
        let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(8 * at..)?.first_chunk()?));
        (word(0)? == MAGIC).then_some(())?;
        Some(Facts {
            flags: word(1)?,
            item: word(2)?,
            pid: word(3)?,
            exit: word(4)?,
            reply_size: word(5)?,
            setting_len: word(6)?,
            arguments_len: word(7)?,
        })
    }
}

/// A capsule that was read, and checked.
pub struct Capsule {
    /// Its words.
    pub facts: Facts,
    /// What the function is called.
    pub function: CString,
    /// The program.
    pub program: CString,
    /// Its working directory.
    pub directory: CString,
    /// Its environment, `NAME=value`.
    pub environment: Vec<CString>,
    identity: Identity,
    arguments: Vec<u8>,
}

/// What a task did that was run here.
pub struct Outcome {
    /// What its function returned.
    pub code: i32,
    /// What it said about it.
    pub message: Vec<u8>,
}

fn refuse(what: &'static str) -> Error {
    Error::Broken(what.into())
}

impl Capsule {
    /// Reads the file at `path`.
    pub fn open(path: &Path) -> Result<Capsule> {
        let os = |call| move |error: std::io::Error| Error::Os { call, errno: error.raw_os_error().unwrap_or(0) };
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(new_file::READING).open(path).map_err(os("open"))?;
        let about = file.metadata().map_err(os("fstat"))?;
        let most = SETTING_AT as u64 + MOST_SETTING + MOST_ARGUMENTS;
        if !about.is_file() || about.len() > most {
            return Err(refuse("this is not a capsule: no file, or too large"));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(about.len() as usize).map_err(|_| Error::NoMemory("no memory for the capsule"))?;
        file.take(most).read_to_end(&mut bytes).map_err(os("read"))?;
        Capsule::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Result<Capsule> {
        let facts = Facts::read(bytes).ok_or(refuse("this is not a capsule"))?;
        let behind = (SETTING_AT as u64).checked_add(facts.setting_len);
        let whole = behind.and_then(|behind| behind.checked_add(facts.arguments_len)) == Some(bytes.len() as u64);
        if !whole || facts.flags & !(ITEM | HAS_INIT) != 0 {
            return Err(refuse("the capsule is damaged, or of another version"));
        }
        let (head, arguments) = bytes.split_at(SETTING_AT + facts.setting_len as usize);
        let identity = head.get(8 * WORDS..).and_then(|rest| rest.first_chunk());
        let identity = Identity::from_bytes(identity.ok_or(refuse("the capsule is damaged"))?)?;
        let mut strings = strings(&head[SETTING_AT..])?.into_iter();
        let (program, directory) = (strings.next().unwrap_or_default(), strings.next().unwrap_or_default());
        if [&program, &directory].iter().any(|path| path.to_bytes().first() != Some(&b'/')) {
            return Err(refuse("the capsule names no program, or no directory"));
        }
        if facts.flags & ITEM == 0 {
            check_arguments(arguments)?;
        }
        let function = CString::new(identity.to_string().replace('\0', "?")).unwrap_or_default();
        let (environment, arguments) = (strings.collect(), arguments.to_vec());
        Ok(Capsule { facts, function, program, directory, environment, identity, arguments })
    }

    /// Whether the function is in the program itself, where no other program can load it from.
    pub fn is_in_program(&self) -> bool {
        self.identity.path().is_none_or(|path| path == self.program.to_bytes())
    }

    /// Whether it needs what only the program had that made it: a handle or a descriptor among the arguments.
    pub fn has_handles(&self) -> bool {
        let named = |reader: Reader<'_>| reader.handles().next().is_some() || reader.descriptors().next().is_some();
        self.facts.flags & ITEM == 0 && Reader::new(&self.arguments).is_ok_and(named)
    }

    /// The function here, and that the arguments mean the same here.
    fn function(&self) -> Result<usize> {
        if self.has_handles() {
            return Err(Error::Unsupported("the arguments have a handle of the program that is gone"));
        }
        function::resolve(&self.identity)
    }

    /// What is to be submitted to a pool: the function, and its arguments encoded.
    pub fn task(&self) -> Result<(usize, Vec<u8>)> {
        let arguments = match self.facts.flags & ITEM != 0 {
            true => wire::to_vec(&[Argument::Bytes(&self.arguments)])?,
            false => self.arguments.clone(),
        };
        Ok((self.function()?, arguments))
    }

    /// Runs the task in this thread.
    pub fn run(&self) -> Result<Outcome> {
        let address = self.function()?;
        let space = Space::new(family::current()?)?;
        let input = space.take(&space.cell.block, self.arguments.len() as u64)?;
        input.write(&self.arguments);
        let (arena, field) = (space.family.arena, &space.cell.extra[0]);
        let (input, output) = match (self.facts.flags & ITEM != 0, self.facts.reply_size) {
            (false, _) => (Input::Encoded(input.frozen()), Output::Any { inline: Region::EMPTY, arena, field }),
            (true, 0) => (Input::Item(input), Output::Nowhere),
            (true, size) => (Input::Item(input), Output::Exact(space.take(field, size)?)),
        };
        let mut call = Call::new(input, output);
        call.enter(|call| call.run(address))?;
        let (code, message) = call.failure();
        Ok(Outcome { code, message: message.to_vec() })
    }
}

/// Arguments and reply of a task that is run here: where those of any other are, since tasks hand them on.
struct Space {
    family: Family,
    cell: &'static Cell,
}

impl Space {
    fn new(family: Family) -> Result<Space> {
        Ok(Space { family, cell: Cell::claim(family.arena, Kind::Bulk, family.me.slot)? })
    }

    fn take(&self, field: &'static AtomicU64, len: u64) -> Result<Region> {
        let offset = Heap::of(self.family.arena).take(len, field)?;
        Region::of(self.family.arena, offset, len).ok_or(Error::Panic("a block outside the arena".into()))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.cell.flags.store(SETTLED, Release);
        self.cell.let_go(self.family.arena, self.cell.generation(), self.family.me.slot);
    }
}

fn strings(bytes: &[u8]) -> Result<Vec<CString>> {
    let ended = bytes.is_empty() || bytes.last() == Some(&0);
    let strings = bytes.split_inclusive(|byte| *byte == 0).map(CStr::from_bytes_with_nul);
    let strings: std::result::Result<Vec<_>, _> = strings.map(|string| string.map(CStr::to_owned)).collect();
    strings.ok().filter(|_| ended).ok_or(refuse("the capsule's environment is damaged"))
}

/// All of them, for nobody looks at them again before they are used.
fn check_arguments(bytes: &[u8]) -> Result<()> {
    let reader = Reader::new(bytes)?;
    (0..reader.count()).try_for_each(|index| reader.argument(index).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let identity = function::identify(written as fn() -> Vec<u8> as usize).unwrap().to_bytes();
        let directory = std::env::temp_dir().join(format!("carom-capsules-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let arguments = wire::to_vec(&[Argument::Integer(5), Argument::List(vec![Argument::String(b"a b")])]).unwrap();
        let writer = Writer::new(&super::directory(&directory).unwrap()).unwrap();
        let facts = Facts { item: 3, pid: 77, exit: -11i64 as u64, ..Facts::default() };
        let task = Task { facts, function: &identity, arguments: &arguments };
        let paths: Vec<_> = (0..3).map(|_| writer.save(&task).unwrap()).collect();
        let files: Vec<_> = paths
            .iter()
            .map(|path| {
                let path = Path::new(OsStr::from_bytes(&path.as_bytes()[..path.len]));
                let capsule = Capsule::open(path).unwrap();
                assert_eq!((capsule.facts.item, capsule.facts.pid, capsule.facts.exit as i64), (3, 77, -11));
                assert!(capsule.is_in_program() && !capsule.has_handles() && !capsule.environment.is_empty());
                assert_eq!(capsule.task().unwrap().1, arguments);
                std::fs::read(path).unwrap()
            })
            .collect();
        std::fs::remove_dir_all(directory).unwrap();
        assert!(files[0] == files[1] && files[1] == files[2]);
        files[0].clone()
    }

    #[test]
    fn what_is_saved_is_read_and_nothing_else() {
        let whole = written();
        assert!(Capsule::parse(&whole).is_ok());
        for len in 0..whole.len().min(2000) {
            assert!(Capsule::parse(&whole[..len]).is_err());
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(Capsule::parse(&longer).is_err());
        let mut random = 1u64;
        for _ in 0..20_000 {
            let mut copy = whole.clone();
            for _ in 0..3 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (random >> 33) as usize % copy.len();
                copy[at] = (random >> 20) as u8;
            }
            if let Ok(capsule) = Capsule::parse(&copy) {
                let _ = (capsule.is_in_program(), capsule.has_handles());
            }
        }
    }

    #[test]
    fn a_directory_must_take_files() {
        let refused = |path: &str| super::directory(Path::new(path)).unwrap_err().os_errno();
        assert_eq!((refused("/no/such/directory"), refused("/proc/version")), (2, 20));
    }
}
