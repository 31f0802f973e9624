//! The life of a cell: who takes the last reason away takes the object apart, and nobody else does; who claims it anew finds
//! nothing of it.

use super::memory::{AsWritten, Loom, NoAcquire, NoFence, NoRelease, Orders, W64};
use super::model::{Plain, Thread, catches, holds, together};
use carom::shm::cell::Kind;
use carom::shm::life::Life;
use carom::shm::memory::Word64;
use carom::shm::parcel::Parcel;
use loom::sync::Arc;
use loom::thread::yield_now;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// An object, and what may refer to it.
struct Object<O: Orders> {
    life: Life<Loom<O>>,
    /// What another cell says that it refers to: not 0 is this one.
    refers_to: W64<O>,
    /// Number of a message, its queue.
    number: W64<O>,
    queue: W64<O>,
    data: Plain,
    /// How often it was taken apart.
    ended: W64<O>,
}

/// Of process 1.
fn object<O: Orders>(kind: Kind) -> Arc<Object<O>> {
    let object = Object {
        life: Life::from_word(W64::new(0)),
        refers_to: W64::new(0),
        number: W64::new(0),
        queue: W64::new(1),
        data: Plain::new(),
        ended: W64::new(0),
    };
    assert!(object.life.claim(kind, 1));
    Arc::new(object)
}

impl<O: Orders> Object<O> {
    /// As `Cell::collect`, with one cell to look through.
    fn collect(&self, me: u32) {
        let Some(seen) = self.life.let_go_of() else { return };
        let is_kept = seen.is_kept() && self.refers_to.load(Acquire) != 0;
        let is_wanted = seen.is_sent() && self.queue.load(Acquire) != 0;
        if !is_kept && !is_wanted && self.life.begin_end(seen, me) {
            self.data.set(0);
            self.ended.fetch_add(1, Relaxed);
            self.life.free(1);
        }
    }

    fn let_go(&self, me: u32) {
        self.data.get();
        if self.life.let_go(0, me).is_some() {
            self.collect(me);
        }
    }

    /// As `Cell::refer`, and the end of what refers.
    fn is_referred_to(&self, me: u32) {
        self.refers_to.compare_exchange(0, 1, AcqRel, Relaxed).unwrap();
        if !self.life.keep(Kind::Value as u8, 0) {
            return self.refers_to.store(0, Release);
        }
        assert!(self.life.look().is_object(), "what is referred to was taken apart");
        self.data.get();
        self.refers_to.swap(0, AcqRel);
        self.collect(me);
    }

    fn parcel(&self) -> Parcel<'_, Loom<O>> {
        Parcel { life: self.life.word(), number: &self.number, generation: 0 }
    }
}

/// Its creator lets go while somebody begins to refer to it, uses it, and ends too.
fn kept<O: Orders>() {
    let object = object::<O>(Kind::Value);
    let (creator, other) = (object.clone(), object.clone());
    together([Box::new(move |me| creator.let_go(me)) as Thread, Box::new(move |me| other.is_referred_to(me))]);
    assert_eq!(object.ended.load(Relaxed), 1, "it was not taken apart once");
}

/// The next one is made of it as it goes; who is late with the old one's generation does nothing to it.
fn claimed_anew<O: Orders>() {
    let object = object::<O>(Kind::Value);
    let (creator, next) = (object.clone(), object.clone());
    together([
        Box::new(move |me| {
            creator.let_go(me);
            assert!(creator.life.let_go(0, me).is_none() && !creator.life.keep(Kind::Value as u8, 0));
        }) as Thread,
        Box::new(move |me| {
            while !next.life.claim(Kind::Value, me) {
                yield_now();
            }
            next.data.set(7);
        }),
    ]);
    let life = object.life.look();
    assert!(life.generation() == 1 && life.is_object() && object.data.get() == 7);
}

/// A message is given back, or consumed, while its queue goes.
fn lease<O: Orders>(consumes: bool) {
    let object = object::<O>(Kind::Parcel);
    assert!(object.parcel().claim_front(1));
    let (consumer, queue) = (object.clone(), object.clone());
    together([
        Box::new(move |me| {
            if !consumes {
                return consumer.let_go(me);
            }
            consumer.data.get();
            assert!(consumer.parcel().consume(me));
            consumer.collect(me);
        }) as Thread,
        Box::new(move |me| {
            queue.queue.swap(0, AcqRel);
            queue.collect(me);
        }),
    ]);
    assert_eq!(object.ended.load(Relaxed), 1, "it was not taken apart once");
}

#[test]
fn lives() {
    holds("life, let go as somebody refers to it", kept::<AsWritten>);
    holds("life, claimed anew as it ends", claimed_anew::<AsWritten>);
    holds("life, a lease returned as its queue ends", || lease::<AsWritten>(false));
    holds("life, a lease consumed as its queue ends", || lease::<AsWritten>(true));
}

#[test]
fn bug_lives() {
    catches("bug: a cell is let go and freed with Relaxed", kept::<NoRelease>);
    catches("bug: no fence before the look who needs a cell", kept::<NoFence>);
    catches("bug: no fence before the look who needs a message", || lease::<NoFence>(false));
    catches("bug: a cell is claimed with Relaxed", claimed_anew::<NoAcquire>);
}
