//! Bytes of the heap that a running call shows to a user's function.

/// An encoding that a call reads. The call takes what it shows for as lasting as what lies in the arena; so whoever makes this
/// keeps it for as long as the call runs.
pub struct Lent(*mut [u8]);

// SAFETY: the bytes are this value's own, and nobody writes them after `new`.
unsafe impl Send for Lent {}

impl Lent {
    /// Keeps the bytes, where they are, until it is dropped.
    pub fn new(bytes: Vec<u8>) -> Lent {
        Lent(Box::into_raw(bytes.into_boxed_slice()))
    }

    /// The bytes, for a call that is over before this is dropped.
    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: a box of ours, which lives until the drop; that nobody looks later is the contract of this type.
        unsafe { &*self.0 }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and dropped once.
        drop(unsafe { Box::from_raw(self.0) });
    }
}
