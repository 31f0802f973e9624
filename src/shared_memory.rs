//! Memory with a name, for whoever knows the name: of the family or not, now or later.
//!
//! It needs no family: it works in every process, also in one that was forked without carom.
#![forbid(unsafe_code)]

use crate::error::{Error, Result};
use crate::sys::named_memory::{self, Identity, Mapping, View};
use std::ffi::{CStr, CString};
use std::fmt::Write;

/// How often a name is made up before that is given up.
const ATTEMPTS: usize = 100;

/// A mapping of named memory.
pub struct SharedMemory {
    name: CString,
    identity: Identity,
    mapping: Mapping,
}

/// A name as users give it: a slash may stand before it, as shm_open wants it and Python does not.
fn checked(name: &str) -> Result<CString> {
    let bare = name.trim_start_matches('/');
    if bare.is_empty() || bare == "." || bare == ".." || bare.contains('/') {
        return Err(Error::invalid("a name has no slash but before it, and is not empty, . or .."));
    }
    if bare.len() > libc::NAME_MAX as usize {
        return Err(Error::Os { call: "shm_open", errno: libc::ENAMETOOLONG });
    }
    CString::new(bare).map_err(|_| Error::invalid("a name has a zero byte"))
}

fn made_up() -> Result<CString> {
    let mut name = String::from("carom_");
    for byte in &named_memory::random()[..4] {
        let _ = write!(name, "{byte:02x}");
    }
    checked(&name)
}

impl SharedMemory {
    /// New memory of `size` zero bytes, to which `fill` writes before others see it. `None`: under a name that is made up.
    pub fn create(
        name: Option<&str>,
        size: usize,
        mode: u32,
        fill: &dyn Fn(&View<'_>) -> Result<()>,
    ) -> Result<SharedMemory> {
        let given = name.map(checked).transpose()?;
        if size == 0 {
            return Err(Error::invalid("shared memory has at least one byte"));
        }
        if size > isize::MAX as usize {
            return Err(Error::NoMemory("larger than any memory"));
        }
        if mode & !0o777 != 0 {
            return Err(Error::invalid("a mode is at most 0777"));
        }
        for _ in 0..ATTEMPTS {
            let name = given.clone().map_or_else(made_up, Ok)?;
            match named_memory::create(&name, size, mode, fill) {
                Err(error) if given.is_none() && error.os_errno() == libc::EEXIST => (),
                Err(error) => return Err(error),
                Ok((mapping, identity)) => return Ok(SharedMemory { name, identity, mapping }),
            }
        }
        Err(Error::Exists("every name that was made up is taken"))
    }

    /// The memory that has this name.
    pub fn open(name: &str, writable: bool) -> Result<SharedMemory> {
        let name = checked(name)?;
        let (mapping, identity) = named_memory::open(&name, writable)?;
        Ok(SharedMemory { name, identity, mapping })
    }

    /// Its name, without a slash.
    pub fn name(&self) -> &CStr {
        &self.name
    }

    /// Where it lies in this process, until it is closed.
    pub fn data(&self) -> Result<*mut u8> {
        self.mapping.address().ok_or(CLOSED)
    }

    /// Its bytes, which stay while they are looked at.
    pub fn view(&self) -> Result<View<'_>> {
        self.mapping.enter().ok_or(CLOSED)
    }

    /// Unmaps it in this process.
    pub fn close(&self) {
        self.mapping.close();
    }

    /// Takes the name away, unless it is another object's by now.
    pub fn unlink(&self) -> Result<()> {
        if named_memory::identify(&self.name)? != self.identity {
            return Err(Error::NotFound("the name is another object's now"));
        }
        named_memory::unlink(&self.name)
    }
}

const CLOSED: Error = Error::Closed("the memory is closed in this process");

/// Takes a name away. The memory goes when nobody has it mapped any more.
pub fn unlink(name: &str) -> Result<()> {
    named_memory::unlink(&checked(name)?)
}
