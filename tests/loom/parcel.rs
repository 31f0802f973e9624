//! Messages in place: put, leased, come back.

use super::memory::{AsWritten, Loom, NoAcquire, NoRelease, Orders, W32, W64};
use super::model::{Plain, Thread, catches, holds, together};
use carom::shm::memory::{Word32, Word64};
use carom::shm::parcel::{CAME_BACK, EVER, Parcel, SENT, let_come_back, oldest};
use loom::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The life word of a parcel that `owner` has reserved: its kind, and whose it is.
fn reserved_by(owner: u64) -> u64 {
    25 | owner << 36
}

struct Message<O: Orders> {
    life: W64<O>,
    number: W64<O>,
    tail: W64<O>,
    parcels: W32<O>,
    bytes: Plain,
    /// How many had it.
    taken: W64<O>,
}

fn message<O: Orders>() -> Arc<Message<O>> {
    Arc::new(Message {
        life: W64::new(reserved_by(1)),
        number: W64::new(0),
        tail: W64::new(0),
        parcels: W32::new(EVER),
        bytes: Plain::new(),
        taken: W64::new(0),
    })
}

impl<O: Orders> Message<O> {
    fn parcel(&self) -> Parcel<'_, Loom<O>> {
        Parcel { life: &self.life, number: &self.number, generation: 0 }
    }

    fn consume(&self, me: u32) {
        assert_eq!(self.bytes.get(), 7);
        assert!(self.parcel().consume(me));
        self.taken.fetch_add(1, Relaxed);
    }
}

/// The producer lets go of it while a consumer, who has seen the commit, claims it.
fn leased<O: Orders>() {
    let message = message::<O>();
    let (producer, consumer) = (message.clone(), message.clone());
    together([
        Box::new(move |me| {
            producer.bytes.set(7);
            producer.number.store(0, Relaxed);
            producer.tail.store(1, Release);
            producer.parcel().send(me);
        }) as Thread,
        Box::new(move |me| {
            if consumer.tail.load(Acquire) == 1 && consumer.parcel().claim_front(me) {
                consumer.consume(me);
            }
        }),
    ]);
    // Whoever was late has not brought it back to life.
    let consumed = message.taken.load(Relaxed) == 1;
    assert_eq!(message.life.load(Relaxed) & SENT != 0, !consumed);
}

/// It comes back, and two look for it.
fn comes_back<O: Orders>() {
    let message = message::<O>();
    let owner = message.clone();
    let looks = || {
        let message = message.clone();
        Box::new(move |me| {
            if message.parcels.load(Acquire) & CAME_BACK == 0 {
                return;
            }
            let found = oldest(&message.parcels, 1, std::iter::once(message.parcel()));
            if found.is_some_and(|parcel| parcel.claim_returned(me)) {
                message.consume(me);
            }
        }) as Thread
    };
    let returns = Box::new(move |me| {
        owner.bytes.set(7);
        assert!(owner.parcel().send(me));
        let_come_back::<Loom<O>>(&owner.parcels);
    }) as Thread;
    together([returns, looks(), looks()]);
    let taken = message.taken.load(Relaxed);
    assert!(taken <= 1);
    // What nobody has is still said to be there.
    assert!(taken == 1 || message.parcels.load(Relaxed) & CAME_BACK != 0);
}

#[test]
fn parcels() {
    holds("parcel, claimed as it is let go", leased::<AsWritten>);
    holds("parcel, comes back to one of two", comes_back::<AsWritten>);
}

#[test]
fn bug_parcels() {
    catches("bug: a parcel is put with Relaxed", leased::<NoRelease>);
    catches("bug: a parcel is claimed with Relaxed", leased::<NoAcquire>);
    catches("bug: a parcel is let go with Relaxed", comes_back::<NoRelease>);
}
