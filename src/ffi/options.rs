//! Structs with a size: what a newer or older header may pass, and get.
//!
//! As the kernel does it (copy_struct_from_user): a shorter struct's missing tail reads as zero, a
//! longer one's surplus must be zero, else it asks for something that this library does not know.

use crate::error::{Error, Result};

/// A repr(C) struct whose first field is `size_t size`.
///
/// # Safety
/// Every field is an integer, a pointer or an `Option` of a function pointer: all bytes zero are valid,
/// and so is whatever C puts there.
pub unsafe trait Sized_: Sized + Copy {
    /// What a program compiled against the first header passes at least.
    const LEAST: usize;
}

/// A struct with every field zero: all defaults.
pub fn zeroed<T: Sized_>() -> T {
    // SAFETY: all bytes zero are a valid T, by the contract of `Sized_`.
    unsafe { std::mem::zeroed() }
}

/// Reads an options struct; NULL means all defaults.
pub fn read<T: Sized_>(options: *const T) -> Result<T> {
    let mut copy = zeroed::<T>();
    if options.is_null() {
        return Ok(copy);
    }
    let size = declared(options)?;
    // SAFETY: the caller says that `size` bytes are there; no more than fit are copied, as bytes.
    unsafe {
        let known = size.min(size_of::<T>());
        std::ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut copy).cast::<u8>(), known);
        let surplus = std::slice::from_raw_parts(options.cast::<u8>().add(known), size - known);
        if surplus.iter().any(|byte| *byte != 0) {
            return Err(Error::TooBig);
        }
    }
    Ok(copy)
}

/// Writes a struct that shows something; as much as the caller has room for. Its size field stays the
/// caller's.
pub fn write<T: Sized_>(out: *mut T, mut value: T) -> Result<()> {
    check(out)?;
    let size = declared(out)?;
    // SAFETY: the size is T's first field, by the contract of `Sized_`; the caller says that `size`
    // bytes are there; no more are written.
    unsafe {
        (&raw mut value).cast::<usize>().write(size);
        std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), out.cast::<u8>(), size.min(size_of::<T>()));
    }
    Ok(())
}

/// Refuses what a caller put into a field that has no meaning yet: one day it will have one.
pub fn unused(field: u32) -> Result<()> {
    if field == 0 { Ok(()) } else { Err(Error::TooBig) }
}

/// Whether [`write`] would work.
pub fn check<T: Sized_>(out: *const T) -> Result<()> {
    if out.is_null() {
        return Err(Error::invalid("the place for an output is NULL"));
    }
    declared(out).map(|_| ())
}

fn declared<T: Sized_>(options: *const T) -> Result<usize> {
    if !options.is_aligned() {
        return Err(Error::invalid("a struct is not aligned"));
    }
    // SAFETY: not NULL (the callers check), aligned; the first field is a size_t, by contract.
    let size = unsafe { options.cast::<usize>().read() };
    if !(T::LEAST..=4096).contains(&size) {
        return Err(Error::invalid("the size field of a struct is not set to its sizeof"));
    }
    Ok(size)
}
