//! Messages in place, and those that are brought to the dead letters: who reserved, leased or brings one dies at every access, and so
//! does who repairs that. What is explored is in `parcel_tests.rs`.

use super::calls::{Note, check, fence, forget};
use super::keepers::{KEEPER, hex, is_dead, keep, show, start_keepers};
use super::machine::with;
use super::memory::Simulated;
use super::ring::{Ring, lock, slot};
use super::runner::Scenario;
use carom::shm::gate::Gate;
use carom::shm::lock_word::LockWord;
use carom::shm::memory::{Word32, Word64};
use carom::shm::parcel::{self, CAME_BACK, EVER, Parcel, SENT};
use carom::shm::queue::{COPIED, Store, count};
use carom::shm::wait_word::WaitWord;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

const PRODUCER: u32 = 0;
const CONSUMER: u32 = 1;
/// Of the dead letters.
const READER: u32 = 3;
const CELLS: usize = 5;

/// Whose a parcel is: of the queue, or of that of the dead letters.
const QUEUE: u64 = 0;
const LETTERS: u64 = 1;

/// What is modelled of a cell's life word besides what [`parcel`] knows: kind, generation, creator.
const KIND: u64 = 0xff;
const USED: u64 = 25;
const GENERATION_ONE: u64 = 1 << 16;
const GENERATION: u64 = 0xf_ffff << 16;
const OWNER: u64 = 0xfff << 36;

#[derive(Clone, Copy)]
pub struct Plan {
    pub producers: u64,
    pub consumers: u64,
    pub rounds: u64,
    /// Every second message is put as bytes, and copied to be leased.
    pub copied: bool,
    /// Who gets a message for the first time returns it.
    pub returns: bool,
    /// A repair comes to the parcels before it comes to the queue.
    pub parcels_first: bool,
    /// So often a message is delivered, then it goes to the dead letters, of which there is a reader; 0 for any number of times.
    pub most: u64,
    /// Wrong: a repair does not look what the dead one was putting.
    pub unsettled: bool,
    /// Who has a message is busy with it for ever, and producers stay.
    pub holds_one: bool,
    /// Wrong: who takes one that came back tells nobody of the rest.
    pub forgets_the_rest: bool,
    /// Wrong: a producer lets go before the record is there.
    pub sends_early: bool,
    /// Wrong: who returns one does not say so.
    pub silent: bool,
    /// Wrong: a repair does not say that one may have come back.
    pub trusts_words: bool,
    /// Wrong: the record names nothing but the copy.
    pub only_copy: bool,
    /// Wrong: the end of the producers is the end, whatever is leased.
    pub hasty: bool,
    /// Wrong: who looks for the end looks who has messages before all of them are taken.
    pub looks_early: bool,
    /// Wrong: the look for those that came back clears the word behind it.
    pub clears_late: bool,
    /// Wrong: who brings one to the dead letters does not tell those who wait for the end.
    pub quiet_burial: bool,
    /// Wrong: it is taken from one queue, then put into the other.
    pub two_steps: bool,
    /// Wrong: its number stays what it was.
    pub keeps_number: bool,
    /// Wrong: who lets go of one wakes the queue that it was of.
    pub tells_old_queue: bool,
}

pub const PLAN: Plan = Plan {
    producers: 1,
    consumers: 1,
    rounds: 2,
    copied: false,
    returns: false,
    parcels_first: false,
    most: 0,
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
    quiet_burial: false,
    two_steps: false,
    keeps_number: false,
    tells_old_queue: false,
};

struct Cell<M: Simulated> {
    life: M::W64,
    number: M::W64,
    value: M::W64,
    deliveries: M::W64,
    queue: M::W64,
}

/// What there is of the queue of the dead letters: its ring stays empty.
struct Letters<M: Simulated> {
    word: M::W32,
    lock: LockWord<M>,
    news: (WaitWord<M>, M::W32),
}

pub struct Lent<M: Simulated> {
    ring: Ring<M>,
    word: M::W32,
    letters: Letters<M>,
    putting: M::W64,
    cells: Vec<Cell<M>>,
    there: Vec<M::W64>,
    acked: Note,
    /// Bit per message: somebody was shown it; consumed it.
    shown: Note,
    consumed: Note,
    /// How often each was shown, four bits for each.
    times: Note,
    plan: Plan,
}

impl<M: Simulated> Lent<M> {
    pub fn new(plan: Plan) -> Self {
        let word = |name: &str| M::word64(name, 0, hex);
        let cell = |i: usize| Cell {
            life: word(&format!("life {i}")),
            number: word(&format!("number {i}")),
            value: word(&format!("value {i}")),
            deliveries: word(&format!("deliveries {i}")),
            queue: word(&format!("queue {i}")),
        };
        Lent {
            ring: Ring::new(false),
            word: M::word32("came back", 0),
            letters: Letters {
                word: M::word32("letters came back", 0),
                lock: LockWord::from_word(word("letters' lock")),
                news: (WaitWord::from_word(M::word64("letters", 0, show)), M::word32("letters woken", 0)),
            },
            putting: word("putting"),
            cells: (0..CELLS).map(cell).collect(),
            there: (0..plan.producers + plan.consumers).map(|i| M::word64(&format!("there {i}"), 1, hex)).collect(),
            acked: Note::new("acked"),
            shown: Note::new("shown"),
            consumed: Note::new("consumed"),
            times: Note::new("times"),
            plan,
        }
    }

    fn word_of(&self, queue: u64) -> &M::W32 {
        if queue == LETTERS { &self.letters.word } else { &self.word }
    }

    fn news_of(&self, queue: u64) -> Gate<'_, M> {
        match queue {
            LETTERS => Gate { wait: &self.letters.news.0, woken: &self.letters.news.1 },
            _ => self.ring.news(),
        }
    }

    /// The parcels of a queue, by their cells.
    fn parcels_of(&'static self, queue: u64) -> impl Iterator<Item = usize> {
        let all_of_one = self.plan.most == 0;
        (0..CELLS).filter(move |at| all_of_one || self.cells[*at].queue.load(Acquire) == queue)
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
            let now = if self.plan.most == 0 || self.plan.tells_old_queue { QUEUE } else { cell.queue.load(Acquire) };
            parcel::let_come_back::<M>(self.word_of(now));
            self.news_of(now).rouse_all();
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
            M::poke64(&cell.queue, QUEUE);
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

    fn oldest(&'static self, queue: u64, taken: u64) -> Option<usize> {
        if self.plan.clears_late {
            let found = (0..CELLS).find(|at| self.parcel(*at).came_back(taken));
            self.word.store(EVER | if found.is_some() { CAME_BACK } else { 0 }, Relaxed);
            return found;
        }
        let parcels = self.parcels_of(queue).map(|at| self.parcel(at));
        let found = parcel::oldest(self.word_of(queue), taken, parcels)?;
        (0..CELLS).find(|at| std::ptr::eq(&self.cells[*at].life, found.life))
    }

    /// Which cell was leased.
    fn try_lease(&'static self) -> Option<usize> {
        loop {
            if self.ring.size() == 0 && self.word.load(Acquire) & CAME_BACK == 0 {
                return None;
            }
            lock(&self.ring.head_lock);
            let (mut found, mut dead) = (self.find_returned(), false);
            if let Some(at) = found {
                dead = self.plan.most != 0 && self.cells[at].deliveries.load(Relaxed) >= self.plan.most;
            } else {
                found = self.find_front();
            }
            self.ring.head_lock.release(0);
            if found.is_some() {
                let came_back = || !self.plan.forgets_the_rest && self.word.load(Acquire) & CAME_BACK != 0;
                self.ring.news().rouse(|| self.ring.size() + came_back() as u64);
            }
            match found {
                Some(at) if dead => self.bury(at),
                found => return found,
            }
        }
    }

    fn find_returned(&'static self) -> Option<usize> {
        if self.word.load(Acquire) & CAME_BACK == 0 {
            return None;
        }
        let taken = count(self.ring.head.load(Relaxed));
        self.oldest(QUEUE, taken).filter(|at| self.parcel(*at).claim_returned(slot()))
    }

    fn find_front(&'static self) -> Option<usize> {
        let queue = self.ring.queue();
        let front = queue.front(&self.ring.seen_tail).expect("undamaged")?;
        let named = Self::at_of(front.message);
        let claimed = named.filter(|(at, generation)| self.parcel_of(*at, *generation).claim_front(slot()));
        let mut found = claimed.map(|(at, _)| at);
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
        found
    }

    fn bury(&'static self, at: usize) {
        let parcel = self.parcel(at);
        parcel::expect::<M>(&self.letters.word);
        if !self.plan.keeps_number {
            parcel.mark_taken();
        }
        if self.plan.two_steps {
            check(parcel.consume(slot()), "what is leased is somebody else's");
            self.cells[at].queue.store(LETTERS, Release);
            self.cells[at].life.store(self.cells[at].life.load(Relaxed) | SENT, Release);
            parcel::let_come_back::<M>(&self.letters.word);
            self.news_of(LETTERS).rouse_all();
        } else {
            self.cells[at].queue.store(LETTERS, Release);
            self.let_go(at, parcel.generation as u64, slot());
        }
        if !self.plan.quiet_burial {
            self.ring.news().rouse_all();
        }
    }

    fn try_letter(&'static self) -> Option<usize> {
        if self.letters.word.load(Acquire) & CAME_BACK == 0 {
            return None;
        }
        lock(&self.letters.lock);
        let found = self.oldest(LETTERS, 0).filter(|at| self.parcel(*at).claim_returned(slot()));
        self.letters.lock.release(0);
        found
    }

    fn is_over(&'static self) -> bool {
        let mut producers = self.there[..self.plan.producers as usize].iter();
        let open = producers.any(|there| there.load(Acquire) == 1);
        if open || self.plan.hasty {
            return !open;
        }
        if self.ring.size() != 0 && !self.plan.looks_early {
            return false;
        }
        let taken = count(self.ring.head.load(Acquire));
        let mut parcels = self.parcels_of(QUEUE).map(|at| self.parcel(at));
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
        if self.plan.most != 0 {
            self.news_of(LETTERS).rouse_all();
        }
    }

    fn consumer(&'static self, who: u64) {
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
            let Some(at) = leased else { break };
            if self.show(at, QUEUE) && self.plan.holds_one {
                return;
            }
        }
        if self.plan.most != 0 {
            // Here it is all for the reader; other consumers do not hear that one has had enough.
            self.there[who as usize].store(0, Release);
            fence();
            self.news_of(LETTERS).rouse_all();
        }
    }

    /// Those who put there are all who may bring a letter.
    fn reader(&'static self) {
        let mut turn = 0;
        loop {
            forget(turn);
            turn += 1;
            let letter = self.try_letter().or_else(|| {
                let look = || match self.try_letter() {
                    None if self.are_no_letters_left() => {
                        fence();
                        Some(self.try_letter())
                    }
                    found => found.map(Some),
                };
                self.news_of(LETTERS).wait_until(None, || None, look).flatten()
            });
            let Some(at) = letter else { return };
            self.show(at, LETTERS);
        }
    }

    fn are_no_letters_left(&'static self) -> bool {
        let gone = self.there.iter().all(|there| there.load(Acquire) == 0);
        gone && !self.parcels_of(LETTERS).any(|at| self.parcel(at).owner_if_sent().is_some_and(|owner| owner != slot()))
    }

    /// Whether it was not returned.
    fn show(&'static self, at: usize, queue: u64) -> bool {
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
        self.times.set(self.times.get() + (1 << (4 * value)));
        check(self.times.get() >> (4 * value) & 0xf <= deliveries, "a delivery is not counted");
        let often = self.plan.most != 0 && deliveries > self.plan.most;
        check(often == (queue == LETTERS), "a message is in the wrong queue");
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
        self.news_of(queue).wait.notify(u32::MAX);
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
        for lock in [&self.ring.tail_lock, &self.ring.head_lock, &self.letters.lock] {
            lock.repair(dead, force);
        }
        if let Some(there) = self.there.get(dead as usize - 1) {
            there.store(0, Release);
        }
        let queues = if self.plan.most == 0 { QUEUE..=QUEUE } else { QUEUE..=LETTERS };
        for queue in queues {
            let word = self.word_of(queue);
            if !self.plan.trusts_words && word.load(Acquire) & EVER != 0 {
                parcel::let_come_back::<M>(word);
            }
            self.news_of(queue).broadcast(force);
        }
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
            let consumers = self.plan.producers..self.plan.producers + self.plan.consumers;
            consumers.for_each(|who| _ = machine.start("consumer", CONSUMER, who, false, true));
            if self.plan.most != 0 {
                machine.start("reader", READER, 0, false, true);
            }
        });
        start_keepers();
    }

    fn process(&self, role: u32, argument: u64) {
        // SAFETY: `report::explored` leaks the scenario, so it lives for ever.
        let whole = unsafe { &*(self as *const Self) };
        match role {
            PRODUCER => whole.producer(argument),
            CONSUMER => whole.consumer(argument),
            READER => whole.reader(),
            KEEPER => {
                let first = self.there.len() + (self.plan.most != 0) as usize;
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
        let unread = self.plan.most != 0 && is_dead(producers + consumers);
        let lost = (self.acked.get() & !self.consumed.get()).count_ones() as u64;
        let sent = |queue| {
            let is_sent = |at: &usize| self.cells[*at].life.load(Acquire) & SENT != 0;
            whole.parcels_of(queue).filter(is_sent).count() as u64
        };
        let letters = if unread { sent(LETTERS) } else { 0 };
        if !survived {
            let all = whole.ring.size() + sent(QUEUE) + letters;
            return check(lost <= all, "a message is lost with its consumer");
        }
        check(lost <= letters, "a message is lost");
        check(whole.ring.size() == 0, "a consumer ended before the messages did");
        for cell in &self.cells {
            let life = cell.life.load(Acquire);
            let owner = ((life & OWNER) >> 36) as usize;
            // What the dead had may not be repaired yet.
            let dead = owner != 0 && is_dead(owner - 1) || unread && cell.queue.load(Acquire) == LETTERS;
            let left = life & SENT == 0 || self.plan.holds_one;
            check(dead || left || life & KIND == 0, "a parcel is left that nobody gets");
        }
    }
}
