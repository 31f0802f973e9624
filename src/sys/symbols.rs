//! Names of functions, from the ELF file that they are in: the full symbol table if the file has one, else that of what
//! it exports. A small reader: nothing in a file is believed, nothing of it is mapped (a file that is cut meanwhile is
//! an error, and not a signal).

use super::elf::{BuildId, build_id_of_notes};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

const SHT_SYMTAB: u32 = 2;
const SHT_DYNAMIC: u32 = 6;
const SHT_NOBITS: u32 = 8;
const SHF_COMPRESSED: u64 = 1 << 11;
const PACKED_ZLIB: u32 = 1;
/// Where in a packed section the bytes begin.
const PACKED_AT: usize = 24;
const SHT_NOTE: u32 = 7;
const SHT_DYNSYM: u32 = 11;
const PT_LOAD: u32 = 1;
const DT_SONAME: u64 = 14;
/// Tables beyond this are not read.
const MOST: u64 = 1 << 28;
/// Names beyond this are cut; those of C++ are long.
const NAME: usize = 4096;
const SYMBOL: usize = 24;
/// Names of sections beyond this are not read.
const MOST_NAMES: u64 = 1 << 20;
/// Symbols that are read at once.
const AT_ONCE: u64 = 4096;

/// An ELF file, open.
pub struct Symbols {
    file: File,
    sections: Vec<Section>,
    /// Their names, each ended by a zero byte.
    names: Vec<u8>,
    /// Its loaded parts: offset in the file, length there, address.
    loads: Vec<[u64; 3]>,
    /// The file's number, see stat.
    pub inode: u64,
}

#[derive(Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
    link: u32,
    align: u64,
}

/// The function at some place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// How far behind its beginning the place is.
    pub offset: u64,
}

fn half(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?).into())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn read(file: &File, offset: u64, len: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).ok().filter(|len| *len as u64 <= MOST)?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

impl Symbols {
    /// The file at `path`, if it is a regular one and an ELF file for this kind of processor.
    pub fn open(path: &[u8]) -> Option<Symbols> {
        let mut options = OpenOptions::new();
        // Not for ever, should it be a pipe by now.
        let file = options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(OsStr::from_bytes(path));
        let file = file.ok()?;
        let about = file.metadata().ok().filter(|about| about.is_file())?;
        let header = read(&file, 0, 64)?;
        if header.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let table = |at: u64, size: u64, count: u64| {
            let entries = read(&file, at, size.checked_mul(count)?)?;
            (size >= 56).then(|| entries.chunks_exact(size as usize).map(<[u8]>::to_vec).collect::<Vec<_>>())
        };
        let loads = table(long(&header, 32)?, half(&header, 54)?, half(&header, 56)?)?;
        let sections = table(long(&header, 40)?, half(&header, 58)?, half(&header, 60)?).unwrap_or_default();
        let load = |entry: &Vec<u8>| {
            let of_code = word(entry, 0)? == PT_LOAD;
            of_code.then(|| Some([long(entry, 8)?, long(entry, 32)?, long(entry, 16)?])).flatten()
        };
        let loads = loads.iter().filter_map(load).collect();
        let sections =
            sections.iter().map(|entry| Section::read(entry)).collect::<Option<Vec<_>>>().unwrap_or_default();
        let names = sections.get(half(&header, 62)? as usize).filter(|names: &&Section| names.size <= MOST_NAMES);
        let names = names.and_then(|names| read(&file, names.offset, names.size)).unwrap_or_default();
        Some(Symbols { file, sections, names, loads, inode: about.ino() })
    }

    fn of_kind(&self, kind: u32) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.kind == kind)
    }

    /// What the linker called this build.
    pub fn build_id(&self) -> Option<BuildId> {
        let id = |section: &Section| {
            build_id_of_notes(&read(&self.file, section.offset, section.size)?, section.align as usize)
        };
        self.of_kind(SHT_NOTE).find_map(id)
    }

    /// What the library calls itself.
    pub fn soname(&self) -> Option<String> {
        let dynamic = self.of_kind(SHT_DYNAMIC).next()?;
        let entries = read(&self.file, dynamic.offset, dynamic.size)?;
        let name = entries.chunks_exact(16).find(|entry| long(entry, 0) == Some(DT_SONAME))?;
        self.text(dynamic.link, long(name, 8)?)
    }

    fn text(&self, table: u32, at: u64) -> Option<String> {
        let table = self.sections.get(table as usize)?;
        let len = table.size.checked_sub(at)?.min(NAME as u64);
        let bytes = read(&self.file, table.offset.checked_add(at)?, len)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(bytes.get(..end)?);
        (!text.is_empty()).then(|| text.replace(char::is_control, "?"))
    }

    /// What is in the section of this name, `most` bytes of it at most, unpacked where it is packed.
    pub fn section(&self, name: &str, most: u64) -> Option<Vec<u8>> {
        let is_it = |section: &&Section| {
            let rest = self.names.get(section.name as usize..).and_then(|rest| rest.strip_prefix(name.as_bytes()));
            rest.is_some_and(|rest| rest.first() == Some(&0))
        };
        let section = self.sections.iter().find(is_it).filter(|section| section.kind != SHT_NOBITS)?;
        let bytes = read(&self.file, section.offset, Some(section.size).filter(|size| *size <= most)?)?;
        if section.flags & SHF_COMPRESSED == 0 {
            return Some(bytes);
        }
        let packed = bytes.get(PACKED_AT..).filter(|_| word(&bytes, 0) == Some(PACKED_ZLIB))?;
        let size = long(&bytes, 8)?.min(most);
        miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(packed, usize::try_from(size).ok()?).ok()
    }

    /// The function that each of these addresses is in, see [`Symbols::address_of`].
    pub fn functions(&self, addresses: &[Option<u64>]) -> Vec<Option<Function>> {
        let mut found = vec![None; addresses.len()];
        let tables = self.of_kind(SHT_SYMTAB).chain(self.of_kind(SHT_DYNSYM));
        for table in tables {
            let _ = self.search(table, addresses, &mut found);
        }
        found
    }

    /// The address that the linker gave to the byte at this offset in the file.
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        let load = |[start, len, address]: &[u64; 3]| {
            let behind = offset.checked_sub(*start).filter(|behind| behind < len)?;
            address.checked_add(behind)
        };
        self.loads.iter().find_map(load)
    }

    /// Looks through one table for what is not found yet.
    fn search(&self, table: &Section, addresses: &[Option<u64>], found: &mut [Option<Function>]) -> Option<()> {
        let count = table.size.min(MOST) / SYMBOL as u64;
        // Distance, and where the name is.
        let mut best = vec![None::<(u64, u32)>; addresses.len()];
        for first in (0..count).step_by(AT_ONCE as usize) {
            let len = (count - first).min(AT_ONCE) * SYMBOL as u64;
            let symbols = read(&self.file, table.offset.checked_add(first * SYMBOL as u64)?, len)?;
            for symbol in symbols.chunks_exact(SYMBOL) {
                let (name, value, size) = (word(symbol, 0)?, long(symbol, 8)?, long(symbol, 16)?);
                let kind = *symbol.get(4)? & 15;
                // Functions, and indirect ones; not what is defined elsewhere.
                if !matches!(kind, 2 | 10) || half(symbol, 6)? == 0 {
                    continue;
                }
                for (address, best) in addresses.iter().zip(&mut best) {
                    let behind = address.and_then(|address| address.checked_sub(value));
                    let Some(behind) = behind.filter(|behind| *behind < size) else { continue };
                    if best.is_none_or(|(before, _)| behind < before) {
                        *best = Some((behind, name));
                    }
                }
            }
        }
        for (best, found) in best.iter().zip(found) {
            if let (Some((offset, name)), None) = (best, &found) {
                *found = self.text(table.link, u64::from(*name)).map(|name| Function { name, offset: *offset });
            }
        }
        Some(())
    }
}

impl Section {
    fn read(entry: &[u8]) -> Option<Section> {
        let (name, kind, link, flags) = (word(entry, 0)?, word(entry, 4)?, word(entry, 40)?, long(entry, 8)?);
        Some(Section {
            name,
            kind,
            flags,
            offset: long(entry, 24)?,
            size: long(entry, 32)?,
            link,
            align: long(entry, 48)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::elf;

    #[inline(never)]
    fn somewhere() -> usize {
        somewhere as fn() -> usize as usize
    }

    #[test]
    fn a_local_function_is_found_by_its_place_in_the_file() {
        let address = somewhere();
        let module = elf::module_of(address).unwrap();
        let symbols = Symbols::open(&module.path).unwrap();
        assert_eq!(symbols.build_id(), module.build_id);
        let place = (address - module.base) as u64;
        let offset = symbols.loads.iter().find(|load| (load[2]..load[2] + load[1]).contains(&place)).unwrap();
        let functions = symbols.functions(&[symbols.address_of(place - offset[2] + offset[0]), None]);
        let function = functions[0].as_ref().unwrap();
        assert!(function.name.contains("somewhere") && function.offset == 0, "{function:?}");
        assert_eq!(functions[1], None);
    }

    #[test]
    fn a_library_says_its_name() {
        let module = elf::module_of(libc::getpid as *const () as usize).unwrap();
        assert_eq!(Symbols::open(&module.path).unwrap().soname().as_deref(), Some("libc.so.6"));
    }

    #[test]
    fn what_is_no_elf_file_is_refused_and_damage_does_no_harm() {
        assert!(Symbols::open(b"/dev/null").is_none() && Symbols::open(b"/").is_none());
        assert!(Symbols::open(b"/no/such/file").is_none() && Symbols::open(b"/etc/passwd").is_none());
        let module = elf::module_of(libc::getpid as *const () as usize).unwrap();
        let whole = std::fs::read(OsStr::from_bytes(&module.path)).unwrap();
        let path = std::env::temp_dir().join(format!("carom-symbols-{}", std::process::id()));
        for round in 0..200u64 {
            let mut copy = whole[..whole.len() - (round as usize * 997 % 4096)].to_vec();
            for at in 0..8 {
                let place = (round * 31 + at * 7) as usize % 64;
                copy[6.max(place)] = (round * 73 + at * 11) as u8;
            }
            std::fs::write(&path, &copy).unwrap();
            if let Some(symbols) = Symbols::open(path.as_os_str().as_bytes()) {
                let _ = (
                    symbols.build_id(),
                    symbols.soname(),
                    symbols.functions(&[Some(0x30000), Some(u64::MAX), Some(0)]),
                );
            }
        }
        std::fs::remove_file(path).unwrap();
    }
}
