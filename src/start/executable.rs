//! Which program start methods other than fork execute.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::sys::elf;
use crate::sys::once;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// A program and how it is called.
pub struct Executable {
    /// What is executed.
    pub path: CString,
    /// All arguments, the first too.
    pub arguments: Vec<CString>,
    /// What was chosen before: never freed, for a thread may still look at it.
    before: AtomicPtr<Executable>,
}

impl Executable {
    fn new(path: CString, arguments: Vec<CString>) -> Executable {
        Executable { path, arguments, before: AtomicPtr::default() }
    }
}

/// What the host chose; what the program itself was called with. Never freed: a child may look at them.
static CHOSEN: AtomicPtr<Executable> = AtomicPtr::new(std::ptr::null_mut());
static ITSELF: AtomicPtr<Executable> = AtomicPtr::new(std::ptr::null_mut());
/// Whether this program calls `carom_init`: only then is it of use to begin it anew.
static BEGINS: AtomicBool = AtomicBool::new(false);

/// This program has called `carom_init`, with these arguments.
pub fn begins(arguments: Vec<CString>) {
    if !arguments.is_empty() {
        once::get_or_make(&ITSELF, |_| true, || Executable::new(c"/proc/self/exe".into(), arguments));
    }
    BEGINS.store(true, Ordering::Release);
}

/// Processes execute this from now on. No path: the worker that was installed with the library.
pub fn choose(path: Option<&CStr>, arguments: Vec<CString>) -> Result<()> {
    let mut chosen = match path {
        Some(path) if path.is_empty() => return Err(Error::invalid("the path of the executable is empty")),
        Some(path) => Executable::new(path.into(), vec![path.into()]),
        None => worker()?,
    };
    if !arguments.is_empty() {
        chosen.arguments = arguments;
    }
    chosen.before = AtomicPtr::new(CHOSEN.load(Ordering::Acquire));
    once::replace(&CHOSEN, chosen);
    Ok(())
}

/// What to execute: what the host chose; the program, if it is one that calls `carom_init`; else the worker.
pub fn current() -> Result<&'static Executable> {
    if let Some(chosen) = once::get(&CHOSEN) {
        return Ok(chosen);
    }
    if BEGINS.load(Ordering::Acquire) {
        let itself = || Executable::new(c"/proc/self/exe".into(), vec![own_name()]);
        return Ok(once::get_or_make(&ITSELF, |_| true, itself));
    }
    choose(None, Vec::new())?;
    once::get(&CHOSEN).ok_or(Error::Panic("a choice is gone".into()))
}

fn own_name() -> CString {
    let name = std::env::args_os().next().unwrap_or_else(|| "carom".into());
    CString::new(name.into_vec()).unwrap_or_else(|_| c"carom".into())
}

/// The worker of the installation that this library belongs to. It loads the library that it is told to.
fn worker() -> Result<Executable> {
    let here: fn() -> Result<Executable> = worker;
    let library = elf::module_of(here as usize).map(|module| module.path).unwrap_or_default();
    let library_path = Path::new(OsStr::from_bytes(&library));
    // Where it is built; of PREFIX/lib, and of PREFIX/lib/x86_64-linux-gnu.
    let mut above = library_path.ancestors().skip(1);
    let built = above.next().map(|directory| directory.join("carom-worker"));
    let installed = above.take(2).map(|home| home.join("libexec/carom-worker"));
    let found = built.into_iter().chain(installed).find(|worker| worker.is_file());
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| Error::invalid("a path has a zero byte in it"));
    let worker = found.ok_or(Error::Unsupported(
        "this program has not called carom_init (first in main), and no libexec/carom-worker is installed beside the \
         library; another start method than fork needs one of them, or carom_set_executable",
    ))?;
    let path = text(worker.as_os_str().as_bytes())?;
    Ok(Executable::new(path.clone(), vec![path, text(&library)?]))
}
