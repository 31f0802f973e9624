//! Who this process is in its family.
//!
//! One word in a page that the kernel wipes in every forked child, whoever forks: a child that
//! carom did not make finds zero, however it was made.

use super::member::MemberId;
use crate::error::Result;
use crate::sys::memory_file;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Address of the page, 0 before there is one. Written once per process line.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// Makes the page. To be called by one thread, once.
pub fn create() -> Result<()> {
    if PAGE.load(Ordering::Acquire) == 0 {
        PAGE.store(memory_file::fork_mark()? as usize, Ordering::Release);
    }
    Ok(())
}

fn word() -> Option<&'static AtomicU64> {
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: the page is mapped by `create` and never unmapped; any bytes are a valid AtomicU64.
    (page != 0).then(|| unsafe { &*(page as *const AtomicU64) })
}

/// How many [`words`] there are.
pub const WORDS: usize = 16;
/// Where in the page they lie, on cache lines of their own.
const WORDS_AT: usize = 64;

/// Words of this process that are zero again in every forked child; `None` before there is a family.
#[inline(always)]
pub fn words() -> Option<&'static [AtomicU64; WORDS]> {
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: as `word`; the page is larger than WORDS_AT and these words together.
    (page != 0).then(|| unsafe { &*((page + WORDS_AT) as *const [AtomicU64; WORDS]) })
}

/// The member that this process is; `None` before it is one, and in a child of a foreign fork.
#[inline(always)]
pub fn get() -> Option<MemberId> {
    let bits = word()?.load(Ordering::Relaxed);
    (bits != 0).then_some(MemberId { slot: bits as u32, generation: (bits >> 32) as u32 })
}

/// This process is `me` from now on.
pub fn set(me: MemberId) {
    if let Some(word) = word() {
        word.store((me.generation as u64) << 32 | me.slot as u64, Ordering::Release);
    }
}
