//! Files and lines, from the debug information of an ELF file (DWARF), or of the file beside it that distributions install.
//! Only read, and only so much; where it is damaged there are no lines.

use super::elf::BuildId;
use super::symbols::Symbols;
use addr2line::Context;
use addr2line::gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Debug information beyond this is not read: it takes a tenth of a second.
const MOST: u64 = 256 << 20;
/// Functions that are inlined in each other at one place.
const DEEPEST: usize = 32;

type Slice<'s> = EndianSlice<'s, LittleEndian>;

/// A place in a source, in a function, or in one that is inlined there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    /// What the function is called, as the linker has it.
    pub function: Option<String>,
    /// `/path/of/file.c:123`
    pub place: Option<String>,
}

/// Where in the sources these addresses of the file are: for each the innermost function first, empty where nobody knows.
pub fn of(symbols: &Symbols, build_id: Option<BuildId>, addresses: &[Option<u64>]) -> Vec<Vec<Line>> {
    let Some(id) = build_id else { return find(symbols, None, addresses) };
    // No waiting: in a forked child the lock may be held for ever.
    let known = KNOWN.try_lock().ok();
    let mut lines: Vec<_> = addresses
        .iter()
        .map(|address| {
            known.as_ref()?.iter().find(|known| known.0 == id && Some(known.1) == *address).map(|known| known.2.clone())
        })
        .collect();
    drop(known);
    let missing: Vec<_> =
        addresses.iter().zip(&lines).map(|(address, line)| address.filter(|_| line.is_none())).collect();
    if missing.iter().any(Option::is_some) {
        let found = find(symbols, Some(id), &missing);
        if let Ok(mut known) = KNOWN.try_lock() {
            let news = missing.iter().zip(&found).filter_map(|(address, lines)| Some((id, (*address)?, lines.clone())));
            known.extend(news);
            let surplus = known.len().saturating_sub(MOST_KNOWN);
            known.drain(..surplus);
        }
        lines.iter_mut().zip(found).filter(|(line, _)| line.is_none()).for_each(|(line, found)| *line = Some(found));
    }
    lines.into_iter().map(Option::unwrap_or_default).collect()
}

/// What was found lately, since many tasks crash at the same place: to read the debug information of the C library takes 20 ms.
static KNOWN: Mutex<VecDeque<(BuildId, u64, Vec<Line>)>> = Mutex::new(VecDeque::new());
const MOST_KNOWN: usize = 256;

fn find(symbols: &Symbols, build_id: Option<BuildId>, addresses: &[Option<u64>]) -> Vec<Vec<Line>> {
    // Its reader is made for hostile bytes; should it panic nevertheless, there are no lines.
    let lines = catch_unwind(AssertUnwindSafe(|| match has_lines(symbols) {
        true => read(symbols, addresses),
        false => read(&separate(build_id?)?, addresses),
    }));
    lines.ok().flatten().unwrap_or_else(|| vec![Vec::new(); addresses.len()])
}

fn has_lines(symbols: &Symbols) -> bool {
    symbols.section(SectionId::DebugInfo.name(), MOST).is_some()
}

/// The file of debug information that belongs to a build: `/usr/lib/debug/.build-id/12/3456….debug`.
fn separate(id: BuildId) -> Option<Symbols> {
    let (first, rest) = id.as_bytes().split_first()?;
    let mut path = format!("/usr/lib/debug/.build-id/{first:02x}/");
    rest.iter().try_for_each(|byte| write!(path, "{byte:02x}")).ok()?;
    let symbols = Symbols::open(format!("{path}.debug").as_bytes())?;
    (symbols.build_id() == Some(id)).then_some(symbols)
}

fn read(symbols: &Symbols, addresses: &[Option<u64>]) -> Option<Vec<Vec<Line>>> {
    let mut left = MOST;
    let sections = DwarfSections::load(|id| {
        let needed = !matches!(
            id,
            SectionId::DebugLoc | SectionId::DebugLocLists | SectionId::DebugMacro | SectionId::DebugMacinfo
        );
        let bytes = if needed { symbols.section(id.name(), left) } else { None }.unwrap_or_default();
        left -= bytes.len() as u64;
        Ok::<_, ()>(bytes)
    });
    let sections = sections.ok()?;
    let dwarf = sections.borrow(|bytes| EndianSlice::new(bytes, LittleEndian));
    let context = Context::from_dwarf(dwarf).ok()?;
    Some(addresses.iter().map(|address| address.map(|address| at(&context, address)).unwrap_or_default()).collect())
}

fn at(context: &Context<Slice<'_>>, address: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else { return lines };
    while let Ok(Some(frame)) = frames.next() {
        let function = frame.function.and_then(|function| Some(function.raw_name().ok()?.into_owned()));
        let place = frame.location.and_then(|location| match (location.file, location.line) {
            (Some(file), Some(line)) => Some(format!("{}:{line}", file.replace(char::is_control, "?"))),
            _ => None,
        });
        lines.push(Line { function, place });
        if lines.len() == DEEPEST {
            break;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::elf;
    use std::os::unix::ffi::OsStrExt;

    #[inline(never)]
    fn somewhere() -> usize {
        somewhere as fn() -> usize as usize
    }

    fn own() -> (Vec<u8>, u64) {
        let address = somewhere();
        let module = elf::module_of(address).unwrap();
        // Of a program that is linked to address 0, as all are now.
        (module.path.clone(), (address - module.base) as u64)
    }

    #[test]
    fn a_function_has_a_file_and_a_line() {
        let (path, address) = own();
        let symbols = Symbols::open(&path).unwrap();
        let lines = of(&symbols, symbols.build_id(), &[Some(address), None, Some(u64::MAX)]);
        let line = lines[0].last().unwrap();
        assert!(line.place.as_ref().is_some_and(|place| place.contains("src/sys/lines.rs:")), "{line:?}");
        assert!(lines[1].is_empty() && lines[2].is_empty());
    }

    #[test]
    fn damaged_information_does_no_harm() {
        let (path, address) = own();
        let program = Symbols::open(&path).unwrap();
        // A small file of the same kind, where most damage hits.
        let source = std::env::temp_dir().join(format!("carom-lines-{}.c", std::process::id()));
        let object = source.with_extension("so");
        std::fs::write(&source, "static int f(int n) { return n + 1; } int g(int n) { return f(n) * 2; }\n").unwrap();
        let mut cc = std::process::Command::new("cc");
        cc.args(["-g", "-O2", "-shared", "-fPIC", "-o"]).arg(&object).arg(&source);
        assert!(cc.status().unwrap().success());
        let whole = std::fs::read(&object).unwrap();
        let mut random = 7u64;
        for _ in 0..500 {
            let mut copy = whole.clone();
            for _ in 0..8 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = 64 + (random >> 33) as usize % (copy.len() - 64);
                copy[at] = (random >> 20) as u8;
            }
            std::fs::write(&object, &copy).unwrap();
            if let Some(symbols) = Symbols::open(object.as_os_str().as_bytes()) {
                let addresses: Vec<_> = (0..64).map(|at| Some(0x1000 + 8 * at)).collect();
                assert_eq!(of(&symbols, None, &addresses).len(), 64);
                let _ = symbols.functions(&addresses);
            }
        }
        let _ = (std::fs::remove_file(source), std::fs::remove_file(object));
        assert!(!of(&program, None, &[Some(address)])[0].is_empty());
    }
}
