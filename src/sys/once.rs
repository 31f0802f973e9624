//! Values made once per process, that a forked child can replace without touching its parent's.

use std::sync::atomic::{AtomicPtr, Ordering};

/// The value; made now if there is none, or only one that is not good any more: that one is never freed,
/// for somebody may still look at it.
pub fn get_or_make<T>(
    place: &'static AtomicPtr<T>,
    is_good: impl FnOnce(&T) -> bool,
    make: impl FnOnce() -> T,
) -> &'static T {
    let old = place.load(Ordering::Acquire);
    // SAFETY: `place` only ever holds NULL or a leaked box, see below.
    if let Some(value) = unsafe { old.as_ref() }.filter(|value| is_good(value)) {
        return value;
    }
    let made = Box::into_raw(Box::new(make()));
    match place.compare_exchange(old, made, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: `made` is a box that is never freed.
        Ok(_) => unsafe { &*made },
        Err(other) => {
            // SAFETY: nobody has seen `made`; `other` is a leaked box.
            unsafe {
                drop(Box::from_raw(made));
                &*other
            }
        }
    }
}

/// The value, if there is one.
pub fn get<T>(place: &'static AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: as in `get_or_make`; `replace` frees nothing either.
    unsafe { place.load(Ordering::Acquire).as_ref() }
}

/// Another value from now on. The one before is never freed, for somebody may still look at it.
pub fn replace<T>(place: &'static AtomicPtr<T>, value: T) {
    place.store(Box::into_raw(Box::new(value)), Ordering::Release);
}
