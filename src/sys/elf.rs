//! The dynamic loader: which module an address is in, which modules are loaded, loading one more.
//!
//! The loader's list is behind a lock that the C library does not reset at fork (glibc's
//! `dl_load_write_lock`: tried with 2.36, a child whose parent had another thread in dl_iterate_phdr
//! hangs at its first own call). So whoever forks calls [`before_fork`], which takes a picture of the
//! list if it has changed; every forked child looks at the picture first, and only what is not on it
//! leads to the loader.

use super::own::{self, own};
use crate::error::{Error, Result};
use std::ffi::{CStr, CString, OsStr, c_int, c_void};
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicPtr, Ordering};

/// What the linker calls a build. Longer ids than 32 bytes (sha1 has 20) count with their first 32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuildId {
    len: u8,
    bytes: [u8; 32],
}

impl BuildId {
    /// `None` for no bytes: that is no build-id.
    pub fn new(bytes: &[u8]) -> Option<BuildId> {
        let bytes = &bytes[..bytes.len().min(32)];
        let mut id = BuildId { len: bytes.len() as u8, bytes: [0; 32] };
        id.bytes[..bytes.len()].copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(id)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }
}

/// A loaded program or shared library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Module {
    /// Absolute, as far as it could be found out.
    pub path: Vec<u8>,
    /// `None` where the linker was not asked for one.
    pub build_id: Option<BuildId>,
    /// What the loader added to the addresses in the file.
    pub base: usize,
    /// Where its code is.
    pub text: Vec<Range<usize>>,
    /// The program itself: never unloaded, and never loaded as a module elsewhere.
    pub is_program: bool,
}

impl Module {
    /// Whether code of the module is at `address`.
    pub fn has_code_at(&self, address: usize) -> bool {
        self.text.iter().any(|range| range.contains(&address))
    }

    /// Bytes of code: tells builds apart, badly, where there is no build-id.
    pub fn text_size(&self) -> u64 {
        self.text.iter().map(|range| range.len() as u64).sum()
    }
}

/// The module that has code at `address`. The kernel's vdso is none.
pub fn module_of(address: usize) -> Option<Module> {
    if let Some(module) = picture().and_then(|picture| picture.modules.iter().find(|m| m.has_code_at(address))) {
        return Some(module.clone());
    }
    collect(|loaded| loaded.has_code_at(address)).modules.pop()
}

/// The loaded module of this build. Two copies of a library can have one build-id: the one at `path`
/// is preferred. Without a build-id, path and size of the code have to do.
pub fn find_module(path: &[u8], build_id: Option<BuildId>, text_size: u64) -> Option<Module> {
    let pictured = find_pictured(path, build_id, text_size);
    pictured.or_else(|| best_of(&collect(|_| true).modules, path, build_id, text_size))
}

/// The same without a call of the loader, which may not return in a child of a fork.
pub fn find_pictured(path: &[u8], build_id: Option<BuildId>, text_size: u64) -> Option<Module> {
    picture().and_then(|picture| best_of(&picture.modules, path, build_id, text_size))
}

fn best_of(modules: &[Module], path: &[u8], build_id: Option<BuildId>, text_size: u64) -> Option<Module> {
    let fits = |module: &Module| match build_id {
        Some(_) => module.build_id == build_id,
        None => module.build_id.is_none() && module.path == path && module.text_size() == text_size,
    };
    let exact = modules.iter().find(|module| fits(module) && module.path == path);
    exact.or_else(|| modules.iter().find(|module| fits(module))).cloned()
}

/// Loads the module at `path` and keeps it for the life of the process.
pub fn open_module(path: &[u8]) -> Result<()> {
    let name = CString::new(path).map_err(|_| Error::Function("a module whose path has a NUL in it".into()))?;
    // SAFETY: `name` is a C string that outlives the call. Constructors of the module run: that is what
    // whoever passed a function of it asked for. The handle is dropped on purpose, so it stays open.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if !handle.is_null() {
        // Whoever comes through dlopen has found the loader's locks free.
        own().loader_tried.store(true, Ordering::Release);
        return Ok(());
    }
    // SAFETY: dlerror returns NULL or a C string that stays until this thread's next dl call; it is
    // copied before that.
    let reason = unsafe {
        let text = libc::dlerror();
        if text.is_null() { "no reason given".into() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    };
    Err(Error::Function(format!("cannot load the module of the function: {reason}").into()))
}

/// Changes whenever a module is loaded or unloaded; 0 while only the picture is looked at.
pub fn generation() -> u64 {
    if picture().is_some() {
        return 0;
    }
    let mut generation = 0;
    each_loaded(&mut |loaded| {
        generation = loaded.generation();
        false
    });
    generation
}

/// The modules as they were at some moment.
struct Picture {
    generation: u64,
    modules: Vec<Module>,
}

/// The latest picture. Read by children of forks only, and there nobody writes it any more: that is
/// why a writer may free the one before, whatever the other threads of its process do.
static PICTURE: AtomicPtr<Picture> = AtomicPtr::new(std::ptr::null_mut());
/// To be called before a fork whose child will ask for functions. Cheap if nothing was loaded since
/// the last time.
pub fn before_fork() {
    // A child takes no pictures: it may be looking at one. One thread takes it, others fork with the one before.
    if !own::is_founder() || own().picturing.swap(true, Ordering::Acquire) {
        return;
    }
    let old = PICTURE.load(Ordering::Acquire);
    // SAFETY: a picture is freed only below, by the one thread that has set `picturing`: this one.
    let known = unsafe { old.as_ref() }.map(|picture| picture.generation);
    if known != Some(generation()) {
        let new = Box::into_raw(Box::new(collect(|_| true)));
        PICTURE.store(new, Ordering::Release);
        if !old.is_null() {
            // SAFETY: `old` came from Box::into_raw above, in an earlier call, and is no longer
            // published. In this process nobody reads a picture without `picturing`, see there.
            drop(unsafe { Box::from_raw(old) });
        }
    }
    own().picturing.store(false, Ordering::Release);
}

/// The picture, in a child of a fork that has no proof yet that the loader's locks are free.
fn picture() -> Option<&'static Picture> {
    if own::is_founder() || own().loader_tried.load(Ordering::Acquire) {
        return None;
    }
    // SAFETY: this process is a child of a fork, where `before_fork` replaces no picture: the one that the
    // parent left lives for ever.
    unsafe { PICTURE.load(Ordering::Acquire).as_ref() }
}

/// One element of the loader's list, while the loader's lock is held.
struct Loaded<'l> {
    info: &'l libc::dl_phdr_info,
    headers: &'l [libc::Elf64_Phdr],
    is_first: bool,
}

impl Loaded<'_> {
    fn generation(&self) -> u64 {
        // Both only grow, so their sum is never the same twice.
        self.info.dlpi_adds.wrapping_add(self.info.dlpi_subs)
    }

    fn range(&self, header: &libc::Elf64_Phdr) -> Range<usize> {
        let start = (self.info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        start..start.saturating_add(header.p_memsz as usize)
    }

    /// The segments of a type, with these permissions at least.
    fn segments(&self, kind: u32, flags: u32) -> impl Iterator<Item = &libc::Elf64_Phdr> {
        self.headers.iter().filter(move |header| header.p_type == kind && header.p_flags & flags == flags)
    }

    fn has_code_at(&self, address: usize) -> bool {
        self.segments(libc::PT_LOAD, libc::PF_X).any(|header| self.range(header).contains(&address))
    }

    fn is_vdso(&self) -> bool {
        // SAFETY: getauxval only reads what the kernel gave the process at its start.
        let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
        self.segments(libc::PT_LOAD, 0).any(|header| self.range(header).contains(&vdso))
    }

    fn build_id(&self) -> Option<BuildId> {
        self.segments(libc::PT_NOTE, 0).find_map(|header| {
            let notes = self.range(header);
            let readable = |load: &libc::Elf64_Phdr| {
                let load = self.range(load);
                load.start <= notes.start && notes.end <= load.end
            };
            if notes.is_empty() || !self.segments(libc::PT_LOAD, libc::PF_R).any(readable) {
                return None;
            }
            // SAFETY: the notes lie inside a readable segment (just checked), and the module stays
            // loaded while `self` exists, because the loader's lock is held (see `each_loaded`).
            let bytes = unsafe { std::slice::from_raw_parts(notes.start as *const u8, notes.len()) };
            build_id_of_notes(bytes, header.p_align as usize)
        })
    }

    fn describe(&self) -> Module {
        let name: &[u8] = if self.info.dlpi_name.is_null() {
            b""
        } else {
            // SAFETY: dlpi_name is a C string of the loader, valid while its lock is held.
            unsafe { CStr::from_ptr(self.info.dlpi_name) }.to_bytes()
        };
        Module {
            path: name.to_vec(),
            build_id: self.build_id(),
            base: self.info.dlpi_addr as usize,
            text: self.segments(libc::PT_LOAD, libc::PF_X).map(|header| self.range(header)).collect(),
            is_program: self.is_first && name.is_empty(),
        }
    }
}

/// What `each_loaded` calls; false ends the walk.
type Visit<'v> = &'v mut dyn FnMut(&Loaded<'_>) -> bool;

/// Walks the loader's list, under the loader's lock. `visit` must not panic or call the loader.
fn each_loaded(visit: Visit<'_>) {
    struct State<'v> {
        visit: Visit<'v>,
        is_first: bool,
    }

    unsafe extern "C" fn step(info: *mut libc::dl_phdr_info, _size: libc::size_t, state: *mut c_void) -> c_int {
        // SAFETY: the loader passes an info that is valid during the call, and our own `state`, which
        // nothing else refers to meanwhile. glibc since 2.3 and every musl fill all fields used here.
        let (info, state) = unsafe { (&*info, &mut *state.cast::<State<'_>>()) };
        let headers = if info.dlpi_phdr.is_null() {
            &[]
        } else {
            // SAFETY: the loader vouches for `dlpi_phnum` headers there while its lock is held.
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) }
        };
        let loaded = Loaded { info, headers, is_first: std::mem::take(&mut state.is_first) };
        if (state.visit)(&loaded) { 0 } else { 1 }
    }

    let mut state = State { visit, is_first: true };
    // SAFETY: `step` has the required signature and `state` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(step), (&raw mut state).cast()) };
}

fn collect(wanted: impl Fn(&Loaded<'_>) -> bool) -> Picture {
    let mut picture = Picture { generation: 0, modules: Vec::new() };
    each_loaded(&mut |loaded| {
        picture.generation = loaded.generation();
        if wanted(loaded) && !loaded.is_vdso() {
            picture.modules.push(loaded.describe());
        }
        true
    });
    picture.modules.iter_mut().for_each(complete_path);
    picture
}

/// The loader knows a module by the path that it was opened with: none for the program, and
/// `./tasks.so` means another file after the next chdir.
fn complete_path(module: &mut Module) {
    if module.path.first() == Some(&b'/') {
        return;
    }
    let program = if module.is_program { std::fs::read_link("/proc/self/exe").ok() } else { None };
    let path = match program {
        Some(path) => Some(path.into_os_string().into_vec()),
        None => module.text.first().and_then(|text| mapped_file(text.start)),
    };
    if let Some(mut path) = path {
        // A new version was installed over it: that one will be refused by its build-id.
        if let Some(len) = path.strip_suffix(b" (deleted)").map(<[u8]>::len) {
            path.truncate(len);
        }
        module.path = path;
    } else if let Ok(path) = std::fs::canonicalize(OsStr::from_bytes(&module.path)) {
        module.path = path.into_os_string().into_vec();
    }
}

/// The file that is mapped at `address`.
fn mapped_file(address: usize) -> Option<Vec<u8>> {
    let maps = std::fs::read("/proc/self/maps").ok()?;
    maps.split(|byte| *byte == b'\n').find_map(|line| file_of_line(line, address))
}

/// `55d0c000-55d0d000 r-xp 00001000 fe:00 1234      /a path/with spaces`
fn file_of_line(line: &[u8], address: usize) -> Option<Vec<u8>> {
    let range = std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let path = line.iter().position(|byte| *byte == b'/')?;
    (start..end).contains(&address).then(|| line[path..].to_vec())
}

/// Looks for the note of the linker among all notes: u32 name length, u32 length, u32 type, name, bytes.
pub(super) fn build_id_of_notes(mut notes: &[u8], align: usize) -> Option<BuildId> {
    const NT_GNU_BUILD_ID: u32 = 3;
    // Only 4 and 8 occur; linkers also write 0 and 1 and mean 4.
    let align = if align == 8 { 8 } else { 4 };
    let padded = |len: u32| (len as usize).checked_next_multiple_of(align);
    loop {
        let word = |at: usize| Some(u32::from_le_bytes(*notes.get(at..)?.first_chunk()?));
        let (name_len, len, kind) = (word(0)?, word(4)?, word(8)?);
        let start = padded(name_len.checked_add(12)?)?;
        let payload = notes.get(start..start.checked_add(len as usize)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") && name_len == 4 {
            return BuildId::new(payload);
        }
        notes = notes.get(start.checked_add(padded(len)?)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u32, name: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [name.len() as u32, payload.len() as u32, kind] {
            note.extend(word.to_le_bytes());
        }
        for part in [name, payload] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn the_build_id_is_found_among_other_notes() {
        let id = [7; 20];
        let notes = [note(1, b"GNU\0", &[0; 16]), note(3, b"stapsdt\0", &[1; 9]), note(3, b"GNU\0", &id)].concat();
        assert_eq!(build_id_of_notes(&notes, 4).unwrap().as_bytes(), id);
        for len in 0..notes.len() {
            assert_eq!(build_id_of_notes(&notes[..len], 4), None);
        }
        assert_eq!(build_id_of_notes(&[0xff; 64], 4), None);
        assert_eq!(build_id_of_notes(&[0; 64], 8), None);
        assert_eq!(build_id_of_notes(&note(3, b"GNU\0", &[]), 4), None);
    }

    #[test]
    fn this_function_is_in_the_program() {
        let address = this_function_is_in_the_program as fn() as usize;
        let module = module_of(address).unwrap();
        assert!(module.is_program);
        assert_eq!(module.path, std::env::current_exe().unwrap().as_os_str().as_bytes());
        assert!(module.has_code_at(address) && address > module.base);
        assert_eq!(find_module(&module.path, module.build_id, module.text_size()).unwrap(), module);
    }

    #[test]
    fn a_function_of_libc_is_in_libc() {
        let module = module_of(libc::getpid as *const () as usize).unwrap();
        let path = String::from_utf8(module.path.clone()).unwrap();
        assert!(path.starts_with('/') && !module.is_program, "{path}");
        assert_eq!(find_module(&module.path, module.build_id, module.text_size()).unwrap(), module);
        if module.build_id.is_some() {
            assert_eq!(find_module(b"/another/path", module.build_id, 0).unwrap(), module);
        }
    }

    #[test]
    fn data_stack_heap_and_vdso_are_no_code() {
        static DATA: u64 = 1;
        let local = 1u8;
        let boxed = Box::new(1u8);
        // SAFETY: getauxval has no preconditions.
        let vdso = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
        for address in [&raw const DATA as usize, &raw const local as usize, &raw const *boxed as usize, vdso, 0] {
            assert_eq!(module_of(address), None);
        }
        // Code of the vdso lies behind its header, in the same page or the next.
        assert!((0..0x2000).all(|offset| module_of(vdso + offset).is_none()));
    }

    #[test]
    fn a_missing_module_gives_the_reason() {
        let error = open_module(b"/no/such/module.so").unwrap_err();
        assert!(error.to_string().contains("/no/such/module.so"), "{error}");
        assert!(matches!(open_module(b"a\0b"), Err(Error::Function(_))));
    }

    #[test]
    fn a_line_of_maps_gives_its_file() {
        let line = b"1000-2000 r-xp 00001000 fe:00 1234      /a path/x.so";
        assert_eq!(file_of_line(line, 0x1fff).unwrap(), b"/a path/x.so");
        assert_eq!(file_of_line(line, 0x2000), None);
        assert_eq!(file_of_line(b"1000-2000 rw-p 00000000 00:00 0 ", 0x1000), None);
        assert_eq!(file_of_line(b"", 0), None);
    }
}
