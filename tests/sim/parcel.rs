//! Messages in place: who reserved or leased one dies at every access, and so does who repairs that.

use super::calls::{Note, check, fence, forget};
use super::explore::Limits;
use super::keepers::{KEEPER, hex, is_dead, keep, limits, start_keepers};
use super::machine::with;
use super::memory::{Sim, Simulated};
use super::report::{Shows, catches, holds};
use super::ring::{Ring, lock, slot};
use super::runner::Scenario;
use carom::shm::memory::{Word32, Word64};
use carom::shm::parcel::{self, CAME_BACK, EVER, Parcel, SENT};
use carom::shm::queue::{COPIED, Store, count};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;

const PRODUCER: u32 = 0;
const CONSUMER: u32 = 1;
const CELLS: usize = 5;

/// What is modelled of a cell's life word besides what [`parcel`] knows: kind, generation, creator.
const KIND: u64 = 0xff;
const USED: u64 = 25;
const GENERATION_ONE: u64 = 1 << 16;
const GENERATION: u64 = 0xf_ffff << 16;
const OWNER: u64 = 0xfff << 36;

#[derive(Clone, Copy)]
struct Plan {
    producers: u64,
    consumers: u64,
    rounds: u64,
    /// Every second message is put as bytes, and copied to be leased.
    copied: bool,
    /// Who gets a message for the first time returns it.
    returns: bool,
    /// A repair comes to the parcels before it comes to the queue.
    parcels_first: bool,
    /// Wrong: a repair does not look what the dead one was putting.
    unsettled: bool,
    /// Who has a message is busy with it for ever, and producers stay.
    holds_one: bool,
    /// Wrong: who takes one that came back tells nobody of the rest.
    forgets_the_rest: bool,
    /// Wrong: a producer lets go before the record is there.
    sends_early: bool,
    /// Wrong: who returns one does not say so.
    silent: bool,
    /// Wrong: a repair does not say that one may have come back.
    trusts_words: bool,
    /// Wrong: the record names nothing but the copy.
    only_copy: bool,
    /// Wrong: the end of the producers is the end, whatever is leased.
    hasty: bool,
    /// Wrong: who looks for the end looks who has messages before all of them are taken.
    looks_early: bool,
    /// Wrong: the look for those that came back clears the word behind it.
    clears_late: bool,
}

const PLAN: Plan = Plan {
    producers: 1,
    consumers: 1,
    rounds: 2,
    copied: false,
    returns: false,
    parcels_first: false,
    unsettled: false,
    holds_one: false,
    forgets_the_rest: false,
    sends_early: false,
    silent: false,
    trusts_words: false,
    only_copy: false,
    hasty: false,
    looks_early: false,
    clears_late: false,
};

struct Cell<M: Simulated> {
    life: M::W64,
    number: M::W64,
    value: M::W64,
    deliveries: M::W64,
}

struct Lent<M: Simulated> {
    ring: Ring<M>,
    word: M::W32,
    putting: M::W64,
    cells: Vec<Cell<M>>,
    there: Vec<M::W64>,
    acked: Note,
    /// Bit per message: somebody was shown it; consumed it.
    shown: Note,
    consumed: Note,
    plan: Plan,
}

impl<M: Simulated> Lent<M> {
    fn new(plan: Plan) -> Self {
        let word = |name: &str| M::word64(name, 0, hex);
        let cell = |i: usize| Cell {
            life: word(&format!("life {i}")),
            number: word(&format!("number {i}")),
            value: word(&format!("value {i}")),
            deliveries: word(&format!("deliveries {i}")),
        };
        Lent {
            ring: Ring::new(false),
            word: M::word32("came back", 0),
            putting: word("putting"),
            cells: (0..CELLS).map(cell).collect(),
            there: (0..plan.producers).map(|i| M::word64(&format!("there {i}"), 1, hex)).collect(),
            acked: Note::new("acked"),
            shown: Note::new("shown"),
            consumed: Note::new("consumed"),
            plan,
        }
    }

    // ---- what `shm/cell.rs` and `shm/parcel_cell.rs` do

    fn parcel(&'static self, at: usize) -> Parcel<'static, M> {
        let generation = (self.cells[at].life.load(Acquire) & GENERATION) / GENERATION_ONE;
        self.parcel_of(at, generation)
    }

    fn parcel_of(&'static self, at: usize, generation: u64) -> Parcel<'static, M> {
        Parcel { life: &self.cells[at].life, number: &self.cells[at].number, generation: generation as u32 }
    }

    /// A parcel and its reference.
    fn make(&'static self, value: u64) -> (usize, u64) {
        parcel::expect::<M>(&self.word);
        for (at, cell) in self.cells.iter().enumerate() {
            let life = cell.life.load(Relaxed);
            let claimed = (life & GENERATION) | USED | (slot() as u64) << 36;
            if life & KIND == 0 && cell.life.compare_exchange(life, claimed, AcqRel, Relaxed).is_ok() {
                cell.value.store(value, Relaxed);
                return (at, (life & GENERATION) << 16 | (at as u64 + 1));
            }
        }
        check(false, "no cell is left: parcels are lost");
        unreachable!("checked")
    }

    fn at_of(reference: u64) -> Option<(usize, u64)> {
        let reference = reference & !COPIED;
        ((reference & 0xffff) as usize).checked_sub(1).map(|at| (at, reference >> 32 & 0xf_ffff))
    }

    fn let_go(&'static self, at: usize, generation: u64, who: u32) {
        let cell = &self.cells[at];
        let mut life = cell.life.load(Acquire);
        loop {
            let mine = life & KIND == USED && (life & OWNER) >> 36 == who as u64;
            if !mine || (life & GENERATION) / GENERATION_ONE != generation {
                return;
            }
            match cell.life.compare_exchange(life, life & !OWNER, AcqRel, Acquire) {
                Ok(_) => break,
                Err(now) => life = now,
            }
        }
        self.collect(at);
        if life & SENT != 0 && !self.plan.silent {
            parcel::let_come_back::<M>(&self.word);
            self.ring.news().rouse_all();
        }
    }

    fn collect(&'static self, at: usize) {
        let cell = &self.cells[at];
        let life = cell.life.load(Acquire);
        if life & KIND != USED || life & (OWNER | SENT) != 0 {
            return;
        }
        // The end of a cell is in `c-tests/step`: here it is one step.
        let next = (life + GENERATION_ONE) & GENERATION;
        if cell.life.compare_exchange(life, next, AcqRel, Acquire).is_ok() {
            M::poke64(&cell.deliveries, 0);
        }
    }

    // ---- what `queue/lent.rs` does

    fn put_bytes(&'static self, value: u64) {
        lock(&self.ring.tail_lock);
        let queue = self.ring.queue();
        let mut batch = queue.begin();
        let at = queue.push(&mut batch, 8, 0).expect("there is room");
        queue.store.word(at).expect("inside").store(value, Relaxed);
        queue.commit(batch);
        self.ring.tail_lock.release(0);
        self.ring.news().rouse(|| self.ring.size());
    }

    fn put_parcel(&'static self, value: u64) {
        let (at, reference) = self.make(value);
        let parcel = self.parcel_of(at, reference >> 32 & 0xf_ffff);
        lock(&self.ring.tail_lock);
        let queue = self.ring.queue();
        let mut batch = queue.begin();
        queue.push(&mut batch, 8, reference).expect("there is room");
        parcel.number.store(queue.next_number(), Relaxed);
        self.putting.store(reference, Release);
        if self.plan.sends_early {
            parcel.send(slot());
        }
        queue.commit(batch);
        if !self.plan.sends_early {
            parcel.send(slot());
        }
        self.ring.tail_lock.release(0);
        self.ring.news().rouse(|| self.ring.size());
    }

    fn oldest(&'static self, taken: u64) -> Option<usize> {
        if self.plan.clears_late {
            let found = (0..CELLS).find(|at| self.parcel(*at).came_back(taken));
            self.word.store(EVER | if found.is_some() { CAME_BACK } else { 0 }, Relaxed);
            return found;
        }
        let found = parcel::oldest(&self.word, taken, (0..CELLS).map(|at| self.parcel(at)))?;
        (0..CELLS).find(|at| std::ptr::eq(&self.cells[*at].life, found.life))
    }

    /// Which cell was leased.
    fn try_lease(&'static self) -> Option<usize> {
        if self.ring.size() == 0 && self.word.load(Acquire) & CAME_BACK == 0 {
            return None;
        }
        lock(&self.ring.head_lock);
        let queue = self.ring.queue();
        let mut found = None;
        if self.word.load(Acquire) & CAME_BACK != 0 {
            let taken = count(self.ring.head.load(Relaxed));
            found = self.oldest(taken).filter(|at| self.parcel(*at).claim_returned(slot()));
        }
        if found.is_none()
            && let Some(front) = queue.front(&self.ring.seen_tail).expect("undamaged")
        {
            let named = Self::at_of(front.message);
            let claimed = named.filter(|(at, generation)| self.parcel_of(*at, *generation).claim_front(slot()));
            found = claimed.map(|(at, _)| at);
            let has_bytes = front.message == 0 || front.message & COPIED != 0 && !self.plan.only_copy;
            if found.is_none() && has_bytes {
                let (at, reference) = self.make(queue.store.word(front.at).expect("inside").load(Relaxed));
                self.cells[at].number.store(front.number, Relaxed);
                queue.set_copy(&front, reference).expect("undamaged");
                self.parcel(at).claim_front(slot());
                found = Some(at);
            }
            queue.take(front).expect("undamaged");
            check(found.is_some(), "a record without its message");
        }
        self.ring.head_lock.release(0);
        if found.is_some() {
            let came_back = || !self.plan.forgets_the_rest && self.word.load(Acquire) & CAME_BACK != 0;
            self.ring.news().rouse(|| self.ring.size() + came_back() as u64);
        }
        found
    }

    fn is_over(&'static self) -> bool {
        let open = self.there.iter().any(|there| there.load(Acquire) == 1);
        if open || self.plan.hasty {
            return !open;
        }
        if self.ring.size() != 0 && !self.plan.looks_early {
            return false;
        }
        let taken = count(self.ring.head.load(Acquire));
        let mut parcels = (0..CELLS).map(|at| self.parcel(at));
        !parcels.any(|parcel| parcel.owner_if_sent().is_some_and(|owner| owner != slot()) && parcel.is_taken(taken))
    }

    // ---- the parties

    fn producer(&'static self, who: u64) {
        for round in 0..self.plan.rounds {
            forget(round);
            let number = who * self.plan.rounds + round;
            if self.plan.copied && number.is_multiple_of(2) {
                self.put_bytes(number);
            } else {
                self.put_parcel(number);
            }
            self.acked.set(self.acked.get() | 1 << number);
        }
        if self.plan.holds_one {
            return;
        }
        self.there[who as usize].store(0, Release);
        fence();
        self.ring.news().rouse_all();
    }

    fn consumer(&'static self) {
        let mut turn = 0;
        loop {
            forget(turn);
            turn += 1;
            let leased = self.try_lease().or_else(|| {
                let look = || match self.try_lease() {
                    None if self.is_over() => {
                        fence();
                        Some(self.try_lease())
                    }
                    found => found.map(Some),
                };
                self.ring.news().wait_until(None, || None, look).flatten()
            });
            let Some(at) = leased else { return };
            if self.show(at) && self.plan.holds_one {
                return;
            }
        }
    }

    /// Whether it was not returned.
    fn show(&'static self, at: usize) -> bool {
        let cell = &self.cells[at];
        let deliveries = cell.deliveries.load(Relaxed) + 1;
        cell.deliveries.store(deliveries, Relaxed);
        let value = cell.value.load(Relaxed);
        let parcel = self.parcel(at);
        let bit = 1 << value;
        check(value < self.plan.producers * self.plan.rounds, "a message that nobody put");
        check(self.consumed.get() & bit == 0, "a consumed message comes again");
        check(self.shown.get() & bit == 0 || deliveries > 1, "a message comes again without a word");
        self.shown.set(self.shown.get() | bit);
        if self.plan.returns && deliveries == 1 {
            self.let_go(at, parcel.generation as u64, slot());
            return false;
        }
        if self.plan.holds_one {
            self.consumed.set(self.consumed.get() | bit);
            return true;
        }
        check(parcel.consume(slot()), "what is leased is somebody else's");
        self.consumed.set(self.consumed.get() | bit);
        self.collect(at);
        self.ring.news().wait.notify(u32::MAX);
        true
    }

    fn settle(&'static self, dead: u32) {
        if self.ring.tail_lock.owner(0) != Some(dead) || self.plan.unsettled {
            return;
        }
        if let Some((at, generation)) = Self::at_of(self.putting.load(Acquire)) {
            self.parcel_of(at, generation).send_for_the_dead(dead, count(self.ring.tail.load(Acquire)));
        }
    }

    /// The cells in any order: the parcels may come first.
    fn repair(&'static self, dead: u32, force: bool) {
        self.settle(dead);
        if self.plan.parcels_first {
            self.repair_parcels(dead);
        }
        self.ring.tail_lock.repair(dead, force);
        self.ring.head_lock.repair(dead, force);
        if let Some(there) = self.there.get(dead as usize - 1) {
            there.store(0, Release);
        }
        if !self.plan.trusts_words && self.word.load(Acquire) & EVER != 0 {
            parcel::let_come_back::<M>(&self.word);
        }
        self.ring.news().broadcast(force);
        if !self.plan.parcels_first {
            self.repair_parcels(dead);
        }
    }

    fn repair_parcels(&'static self, dead: u32) {
        for at in 0..CELLS {
            let generation = self.parcel(at).generation as u64;
            self.let_go(at, generation, dead);
            self.collect(at);
        }
    }
}

impl<M: Simulated> Scenario for Lent<M> {
    fn begin(&self) {
        with(|machine| {
            (0..self.plan.producers).for_each(|who| _ = machine.start("producer", PRODUCER, who, false, true));
            (0..self.plan.consumers).for_each(|who| _ = machine.start("consumer", CONSUMER, who, false, true));
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        // SAFETY: `report::explored` leaks the scenario, so it lives for ever.
        let whole = unsafe { &*(self as *const Self) };
        match role {
            PRODUCER => whole.producer(argument),
            CONSUMER => whole.consumer(),
            KEEPER => {
                let first = (self.plan.producers + self.plan.consumers) as usize;
                keep(first, argument, false, |dead, force| whole.repair(dead, force));
            }
            _ => {}
        }
    }

    fn end(&self) {
        // SAFETY: as in `process`.
        let whole = unsafe { &*(self as *const Self) };
        let (producers, consumers) = (self.plan.producers as usize, self.plan.consumers as usize);
        let survived = (producers..producers + consumers).any(|who| !is_dead(who));
        let lost = self.acked.get() & !self.consumed.get();
        if survived {
            check(lost == 0, "a message is lost");
            check(whole.ring.size() == 0, "a consumer ended before the messages did");
            for cell in &self.cells {
                let life = cell.life.load(Acquire);
                let owner = ((life & OWNER) >> 36) as usize;
                // What the dead had may not be repaired yet.
                let dead = owner != 0 && is_dead(owner - 1);
                let left = life & SENT == 0 || self.plan.holds_one;
                check(dead || left || life & KIND == 0, "a parcel is left that nobody gets");
            }
            return;
        }
        let sent = self.cells.iter().filter(|cell| cell.life.load(Acquire) & SENT != 0).count() as u64;
        check(lost.count_ones() as u64 <= whole.ring.size() + sent, "a message is lost with its consumer");
    }
}

fn lent(plan: Plan) -> impl FnOnce() -> Lent<Sim> {
    move || Lent::new(plan)
}

#[test]
fn parcels_one_to_one() {
    holds("messages in place, 1 producer, 1 consumer, 2 kills", limits(2, 0, 40_000), lent(PLAN));
}

#[test]
fn parcels_one_to_two() {
    let plan = Plan { consumers: 2, rounds: 1, ..PLAN };
    holds("messages in place, 1 producer, 2 consumers, 2 kills", limits(2, 0, 40_000), lent(plan));
    let plan = Plan { returns: true, ..plan };
    holds("messages in place, the same, returned once", limits(2, 0, 30_000), lent(plan));
    let plan = Plan { parcels_first: true, ..plan };
    holds("messages in place, repaired before their queue", limits(2, 0, 30_000), lent(plan));
}

#[test]
fn parcels_copied() {
    let plan = Plan { consumers: 2, rounds: 1, copied: true, ..PLAN };
    holds("messages copied to be leased, 2 consumers, 2 kills", limits(2, 0, 40_000), lent(plan));
}

#[test]
fn parcels_random() {
    let plan = Plan { producers: 2, consumers: 2, rounds: 2, copied: true, returns: true, ..PLAN };
    let limits = Limits { spurious: 2, random: Duration::from_millis(1500), buffered: true, ..limits(3, 0, 0) };
    holds("messages in place, 2 producers, 2 consumers, 3 kills", limits, lent(plan));
}

#[track_caller]
fn wrong(name: &str, shows: Shows, kills: u8, plan: Plan) {
    catches(name, shows, limits(kills, 0, 500_000), lent(plan));
}

#[test]
fn bug_parcel_unsettled() {
    let plan = Plan { unsettled: true, ..PLAN };
    wrong("bug: what the dead one was putting goes with it", Shows::Violation, 1, plan);
}

#[test]
fn bug_parcel_sent_early() {
    wrong("bug: a parcel is the queue's before it is put", Shows::Violation, 1, Plan { sends_early: true, ..PLAN });
}

const BUSY: Plan = Plan { holds_one: true, returns: true, rounds: 2, consumers: 2, ..PLAN };

#[test]
fn parcels_busy() {
    holds("messages in place, returned, then held for ever", limits(0, 0, 200_000), lent(BUSY));
}

#[test]
fn bug_parcel_forgets_the_rest() {
    let plan = Plan { forgets_the_rest: true, ..BUSY };
    wrong("bug: who takes one that came back tells nobody of the rest", Shows::Hang, 0, plan);
}

#[test]
fn bug_parcel_silent_return() {
    let plan = Plan { silent: true, returns: true, rounds: 1, ..PLAN };
    wrong("bug: who returns a message does not say so", Shows::Hang, 0, plan);
}

#[test]
fn bug_parcel_repair_trusts_words() {
    let plan = Plan { trusts_words: true, returns: true, rounds: 1, consumers: 2, ..PLAN };
    wrong("bug: a repair does not look for what came back", Shows::Hang, 1, plan);
}

#[test]
fn bug_parcel_only_copy() {
    let plan = Plan { only_copy: true, copied: true, rounds: 1, consumers: 2, ..PLAN };
    wrong("bug: a copy that went with its maker was all there was", Shows::Violation, 1, plan);
}

#[test]
fn bug_parcel_hasty_end() {
    let plan = Plan { hasty: true, rounds: 1, consumers: 2, ..PLAN };
    wrong("bug: an end while another has a message", Shows::Violation, 1, plan);
}

#[test]
fn bug_parcel_looks_early() {
    // Many steps have to fall into each other, which a search from the front does not come to.
    let plan = Plan { looks_early: true, rounds: 1, consumers: 2, ..PLAN };
    let limits = Limits { random: Duration::from_secs(20), ..limits(1, 0, 0) };
    catches("bug: who has messages is looked at before all are taken", Shows::Violation, limits, lent(plan));
}

#[test]
fn bug_parcel_clears_late() {
    let plan = Plan { clears_late: true, returns: true, rounds: 2, consumers: 2, ..PLAN };
    wrong("bug: a word is cleared behind the look", Shows::Hang, 0, plan);
}
