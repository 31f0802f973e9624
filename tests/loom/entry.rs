//! An entry of the table of handles.

use super::memory::{AsWritten, Loom, NoAcquire, NoRelease, Orders, W64};
use super::model::{Thread, catches, holds, together};
use carom::shm::entry::Entry;
use carom::shm::memory::Word64;
use loom::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

const KIND: u8 = 1;

/// One uses a handle while another one ends it and makes another one of the entry: what it finds is its own, or nothing.
fn reuses<O: Orders>() {
    let entry =
        Arc::new(Entry::<Loom<O>> { tag: W64::new(0), cell: W64::new(0), payload: W64::new(0), owner: W64::new(0) });
    let handle = entry.install(KIND, 128, 1, 0) << 32 | 7;
    let ends = entry.clone();
    together([
        Box::new(move |_| {
            let found = entry.seen(handle, KIND);
            assert!(found.is_none() || found == Some((128, 1)));
        }) as Thread,
        Box::new(move |_| {
            assert!(ends.end(ends.tag.load(Acquire)));
            let other = ends.install(KIND, 256, 2, 0) << 32 | 7;
            assert_ne!(other, handle);
            assert_eq!(ends.seen(other, KIND), Some((256, 2)));
            assert_eq!(ends.seen(handle, KIND), None);
        }),
    ]);
}

#[test]
fn entries() {
    holds("handle, ended and made again", reuses::<AsWritten>);
}

#[test]
fn bug_entries() {
    catches("bug: a handle is made with Relaxed", reuses::<NoRelease>);
    catches("bug: a handle is looked at with Relaxed", reuses::<NoAcquire>);
}
