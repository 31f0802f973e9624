//! Function identity across processes: what a unit test cannot show in one.

use carom::function::{self, IDENTITY_SIZE, Identity};
use carom::sys::elf;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The tests fork and look at process-wide state of the loader: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs `body` in a forked child, which has five seconds; whether it returned true.
fn in_child(body: impl FnOnce() -> bool) -> bool {
    // A child knows that it is one by a page that the kernel wipes.
    carom::sys::own::create().unwrap();
    // SAFETY: the child calls `body` and ends. glibc makes malloc usable in it; no `body` here takes
    // another lock.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0);
        if pid == 0 {
            libc::alarm(5);
            libc::_exit(if body() { 0 } else { 1 });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        status == 0
    }
}

/// A small system library as a build of its own, which nobody has loaded. None where there is none.
fn private_library(name: &str) -> Option<PathBuf> {
    let libc_path = elf::module_of(libc::getpid as *const () as usize)?.path;
    let original = Path::new(std::ffi::OsStr::from_bytes(&libc_path)).parent()?.join("libutil.so.1");
    let mut bytes = std::fs::read(original).ok()?;
    // The note's header for 20 bytes of sha1, then the id: its first bytes become the name's.
    let header = [4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, b'G', b'N', b'U', 0];
    let id = bytes.windows(16).position(|window| window == header)? + 16;
    bytes[id..id + 8].copy_from_slice(name.as_bytes().first_chunk::<8>()?);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, bytes).ok()?;
    Some(path)
}

fn start_of_code(path: &Path) -> Option<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with(path.to_str().unwrap()) && line.contains("r-xp"))?;
    let start = usize::from_str_radix(line.split('-').next()?, 16).ok()?;
    Some(elf::module_of(start)?.text[0].start)
}

#[test]
fn a_library_that_only_the_sender_has_is_loaded_by_the_receiver() {
    let _alone = alone();
    let Some(library) = private_library("only the sender.so") else { return eprintln!("skipped: no libutil.so.1") };
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors, which then are owned by the files made of them.
    let (mut reader, mut writer) = unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        (std::fs::File::from_raw_fd(ends[0]), std::fs::File::from_raw_fd(ends[1]))
    };
    assert_eq!(start_of_code(&library), None);
    let sent = in_child(|| {
        elf::open_module(library.as_os_str().as_bytes()).unwrap();
        let identity = function::identify(start_of_code(&library).unwrap()).unwrap();
        writer.write_all(&identity.to_bytes()).is_ok()
    });
    assert!(sent);
    let mut bytes = [0; IDENTITY_SIZE];
    reader.read_exact(&mut bytes).unwrap();
    let identity = Identity::from_bytes(&bytes).unwrap();
    assert_eq!(identity.path(), Some(library.as_os_str().as_bytes()));
    let address = function::resolve(&identity).unwrap();
    assert_eq!(Some(address), start_of_code(&library));
}

#[test]
fn a_relative_path_travels_as_an_absolute_one() {
    let _alone = alone();
    let Some(library) = private_library("relative.so") else { return eprintln!("skipped: no libutil.so.1") };
    let up = "../".repeat(std::env::current_dir().unwrap().components().count());
    let relative = format!("./{up}{}", library.display());
    elf::open_module(relative.as_bytes()).unwrap();
    let start = start_of_code(&library).unwrap();
    let identity = function::identify(start).unwrap();
    assert_eq!(identity.path(), Some(library.as_os_str().as_bytes()));
    assert_eq!(function::resolve(&identity).unwrap(), start);
}

#[test]
fn a_rebuilt_library_is_refused() {
    let _alone = alone();
    let Some(library) = private_library("rebuilt.so") else { return eprintln!("skipped: no libutil.so.1") };
    elf::open_module(library.as_os_str().as_bytes()).unwrap();
    let identity = function::identify(start_of_code(&library).unwrap()).unwrap();
    let mut bytes = identity.to_bytes();
    bytes[32] ^= 1;
    let error = function::resolve(&Identity::from_bytes(&bytes).unwrap()).unwrap_err();
    assert!(error.to_string().contains("another build"), "{error}");
}

#[test]
fn a_child_resolves_while_another_thread_of_the_parent_was_in_the_loader() {
    let _alone = alone();
    static INSIDE: AtomicBool = AtomicBool::new(false);
    static LEAVE: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" fn linger(_: *mut libc::dl_phdr_info, _: libc::size_t, _: *mut libc::c_void) -> libc::c_int {
        INSIDE.store(true, Ordering::SeqCst);
        while !LEAVE.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        1
    }
    let address = libc::getpid as *const () as usize;
    let identity = function::identify(address).unwrap();
    elf::before_fork();
    let resolved = std::thread::scope(|scope| {
        // SAFETY: the callback has the required signature and uses no data.
        scope.spawn(|| unsafe { libc::dl_iterate_phdr(Some(linger), std::ptr::null_mut()) });
        while !INSIDE.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let resolved = in_child(|| {
            function::resolve(&identity) == Ok(address)
                && function::identify(address).as_ref() == Ok(&identity)
                && function::slot_of(address, |_| Ok(3)) == Ok(3)
                && function::slot_of(address, |_| Ok(4)) == Ok(3)
        });
        LEAVE.store(true, Ordering::SeqCst);
        resolved
    });
    assert!(resolved);
}

#[test]
fn pictures_follow_what_is_loaded() {
    let _alone = alone();
    elf::before_fork();
    let Some(library) = private_library("later on.so") else { return eprintln!("skipped: no libutil.so.1") };
    elf::open_module(library.as_os_str().as_bytes()).unwrap();
    elf::before_fork();
    let start = start_of_code(&library).unwrap();
    assert!(in_child(|| elf::generation() == 0 && elf::module_of(start).is_some_and(|module| module.base < start)));
    assert!(elf::generation() > 0);
}
