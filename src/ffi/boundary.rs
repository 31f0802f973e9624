//! What every function of the C face goes through: panics become statuses, errors are kept for
//! `carom_last_error`, outputs are written on success only.

use crate::error::{Error, Result, Status};
use std::cell::RefCell;
use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const MESSAGE: usize = 512;

/// The last error of a thread.
pub struct Record {
    pub status: Status,
    pub os_errno: i32,
    message: [u8; MESSAGE],
}

thread_local! {
    static LAST: RefCell<Record> = const { RefCell::new(Record { status: 0, os_errno: 0, message: [0; MESSAGE] }) };
}

impl Record {
    /// The message as C reads it.
    pub fn message(&self) -> *const c_char {
        self.message.as_ptr().cast()
    }
}

/// Looks at the last error of this thread.
pub fn last<T>(look: impl FnOnce(&Record) -> T) -> T {
    LAST.with_borrow(look)
}

/// Keeps an error for `carom_last_error`; its status.
#[cold]
pub fn fail(error: &Error) -> Status {
    use std::io::Write;
    let status = error.status();
    // A thread that is ending has no last error any more; the status must suffice there.
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            last.status = status;
            last.os_errno = error.os_errno();
            let room = MESSAGE - 1;
            let mut rest = &mut last.message[..room];
            let _ = write!(rest, "{error}");
            let end = room - rest.len();
            last.message[end] = 0;
        }
    });
    status
}

/// Runs a body in which nothing may escape into C.
#[inline(always)]
fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(panic) => Err(panicked(panic)),
    }
}

#[cold]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Panic(text.unwrap_or_default().into())
}

/// A function that returns a status.
#[inline(always)]
pub fn status(body: impl FnOnce() -> Result<()>) -> Status {
    match guarded(body) {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

/// A function that returns an answer, or a status.
#[inline(always)]
pub fn answer<T: From<i32>>(body: impl FnOnce() -> Result<T>) -> T {
    match guarded(body) {
        Ok(answer) => answer,
        Err(error) => T::from(fail(&error)),
    }
}

/// A function that returns a pointer, or NULL.
pub fn pointer<T>(body: impl FnOnce() -> Result<*mut T>) -> *mut T {
    guarded(body).unwrap_or_else(|error| {
        fail(&error);
        std::ptr::null_mut()
    })
}

/// A function that makes a handle: NULL in `out` until there is one.
pub fn create<T>(out: *mut *mut T, body: impl FnOnce() -> Result<*mut T>) -> Status {
    status(|| {
        write(out, std::ptr::null_mut())?;
        write(out, body()?)
    })
}

/// Whether [`write`] would work.
pub fn check<T>(out: *mut T) -> Result<()> {
    if out.is_null() || !out.is_aligned() {
        return Err(Error::invalid("the place for an output is NULL, or not aligned"));
    }
    Ok(())
}

/// Writes an output that must be there.
pub fn write<T>(out: *mut T, value: T) -> Result<()> {
    check(out)?;
    // SAFETY: not NULL and aligned; that it is the caller's own memory of this type is what a C function
    // can only be promised, and every comment of the header asks for it.
    unsafe { out.write(value) };
    Ok(())
}

/// Reads a number that is an input and an output.
pub fn read(place: *mut u64) -> Result<u64> {
    check(place)?;
    // SAFETY: not NULL and aligned; the caller's own, as in `write`.
    Ok(unsafe { place.read() })
}

/// Writes an output that may be left out.
pub fn write_optional<T>(out: *mut T, value: T) {
    if !out.is_null() {
        let _ = write(out, value);
    }
}

/// Gives a text to the caller, with a zero byte behind it.
pub fn write_text(said: &[u8], text: *mut c_char, capacity: usize, len: *mut usize) -> Result<()> {
    let room = bytes_mut(text.cast::<c_void>(), capacity)?;
    let needed = said.len() + 1;
    if room.len() < needed {
        write_optional(len, needed);
        return Err(Error::MessageSize { needed, capacity });
    }
    room[..said.len()].copy_from_slice(said);
    room[said.len()] = 0;
    write_optional(len, said.len());
    Ok(())
}

/// The bytes of an input. NULL is fine where there are none.
pub fn bytes<'a>(data: *const c_void, len: usize) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > isize::MAX as usize {
        return Err(Error::invalid("data is NULL, or its length absurd"));
    }
    // SAFETY: not NULL and of a possible size; the caller's promise, as in `write`. Bytes have no
    // alignment and no invalid values.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// A key; `None` for NULL.
pub fn key<'a>(data: *const c_void, len: usize) -> Result<Option<&'a [u8]>> {
    match (data.is_null(), len) {
        (true, 0) => Ok(None),
        (true, _) => Err(Error::invalid("the key is NULL, but has a length")),
        (false, len) => bytes(data, len).map(Some),
    }
}

/// The bytes of an output buffer. NULL is fine where there are none.
pub fn bytes_mut<'a>(data: *mut c_void, len: usize) -> Result<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    if data.is_null() || len > isize::MAX as usize {
        return Err(Error::invalid("a buffer is NULL, or its size absurd"));
    }
    // SAFETY: as `bytes`; nobody else uses an output buffer during the call.
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), len) })
}

/// The bytes of an input of which there are some, for the short way of calls: nothing is said about what is wrong.
#[inline(always)]
pub fn some_bytes<'a>(data: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: as `bytes`.
    (!data.is_null() && len <= isize::MAX as usize).then(|| unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// The same for an output buffer.
#[inline(always)]
pub fn some_bytes_mut<'a>(data: *mut c_void, len: usize) -> Option<&'a mut [u8]> {
    // SAFETY: as `bytes_mut`.
    (!data.is_null() && len <= isize::MAX as usize).then(|| unsafe { std::slice::from_raw_parts_mut(data.cast(), len) })
}

/// The items of an input array. NULL is fine where there are none.
pub fn items<'a, T>(data: *const T, count: usize) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() || !data.is_aligned() || count > isize::MAX as usize / size_of::<T>() {
        return Err(Error::invalid("an array is NULL, or its count absurd"));
    }
    // SAFETY: as `bytes`; T is a repr(C) struct without invalid values.
    Ok(unsafe { std::slice::from_raw_parts(data, count) })
}

/// The places of an output array. NULL is fine where there are none.
pub fn items_mut<'a, T>(data: *mut T, count: usize) -> Result<&'a mut [T]> {
    if count == 0 {
        return Ok(&mut []);
    }
    if data.is_null() || !data.is_aligned() || count > isize::MAX as usize / size_of::<T>() {
        return Err(Error::invalid("an array is NULL, or its count absurd"));
    }
    // SAFETY: as `bytes_mut`; T is a pointer or an integer, valid whatever its bytes are.
    Ok(unsafe { std::slice::from_raw_parts_mut(data, count) })
}

/// A text of the caller's; `None` for NULL.
pub fn text<'a>(text: *const c_char) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL; the caller's promise that it ends with a zero byte.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Error::invalid("a text is not UTF-8"))
}

/// A text of the caller's as it is, for the kernel; `None` for NULL.
pub fn c_text<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: not NULL; the caller's promise that it ends with a zero byte.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// Copies of an array of texts: of so many, or up to the NULL at its end. None for NULL.
pub fn c_texts(texts: *const *const c_char, count: Option<usize>) -> Result<Vec<CString>> {
    if texts.is_null() {
        return Ok(Vec::new());
    }
    check(texts.cast_mut())?;
    let mut copies = Vec::new();
    while count.is_none_or(|count| copies.len() < count) {
        // SAFETY: the caller's promise: an array of `count` elements, or one that ends with NULL.
        let text = unsafe { *texts.add(copies.len()) };
        let Some(text) = c_text(text) else { break };
        copies.push(text.to_owned());
    }
    Ok(copies)
}

/// A path of the caller's; `None` for NULL.
pub fn path<'a>(path: *const c_char) -> Option<&'a Path> {
    c_text(path).map(|path| Path::new(OsStr::from_bytes(path.to_bytes())))
}

/// A text of the caller's, whatever its bytes are, for people to read; "" for NULL.
pub fn lossy_text<'a>(text: *const c_char) -> std::borrow::Cow<'a, str> {
    if text.is_null() {
        return "".into();
    }
    // SAFETY: not NULL; the caller's promise that it ends with a zero byte.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> String {
        last(|last| {
            // SAFETY: `fail` ends every message with a zero byte.
            unsafe { CStr::from_ptr(last.message()) }.to_string_lossy().into_owned()
        })
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let panicked = Error::Panic("".into()).status();
        assert_eq!(status(|| panic!("ball {}", 8)), panicked);
        assert_eq!(message(), "internal error: ball 8");
        assert_eq!(answer::<i64>(|| panic!("pocket")), panicked as i64);
        assert!(pointer::<u8>(|| panic!("cue")).is_null());
        let mut out = std::ptr::without_provenance_mut::<u8>(8);
        assert_eq!(create(&mut out, || panic!("chalk")), panicked);
        assert!(out.is_null());
        assert_eq!(message(), "internal error: chalk");
    }

    #[test]
    fn a_message_is_cut_and_ends() {
        let long = "x".repeat(2 * MESSAGE);
        assert_eq!(status(|| Err(Error::invalid(long))), Error::invalid("").status());
        assert_eq!(message().len(), MESSAGE - 1);
    }
}
