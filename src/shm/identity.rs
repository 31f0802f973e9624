//! Who this process is in its family.
//!
//! One word in a page that the kernel wipes in every forked child, whoever forks: a child that
//! carom did not make finds zero, however it was made.
#![forbid(unsafe_code)]

use super::member::MemberId;
use crate::error::Result;
use crate::sys::own::{self, own};
use std::sync::atomic::Ordering;

/// Makes the page. To be called by one thread, once.
pub fn create() -> Result<()> {
    own::create()
}

/// The member that this process is; `None` before it is one, and in a child of a foreign fork.
#[inline(always)]
pub fn get() -> Option<MemberId> {
    let bits = own().member.load(Ordering::Relaxed);
    (bits != 0).then(|| MemberId::from_bits(bits))
}

/// This process is `me` from now on.
pub fn set(me: MemberId) {
    own().member.store(me.to_bits(), Ordering::Release);
}
