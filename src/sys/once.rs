//! Values made once per process, that a forked child can replace without touching its parent's.

use std::sync::atomic::{AtomicPtr, Ordering};

/// The value, if there is one.
pub fn get<T>(place: &'static AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: `place` only ever holds NULL or a leaked box, see below.
    unsafe { place.load(Ordering::Acquire).as_ref() }
}

/// The value; made now if there is none.
pub fn get_or_make<T>(place: &'static AtomicPtr<T>, make: impl FnOnce() -> T) -> &'static T {
    if let Some(value) = get(place) {
        return value;
    }
    let made = Box::into_raw(Box::new(make()));
    match place.compare_exchange(std::ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
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

/// Puts a new value in place. The old one is never freed: somebody may still look at it.
pub fn replace<T>(place: &'static AtomicPtr<T>, value: T) {
    place.store(Box::into_raw(Box::new(value)), Ordering::Release);
}
