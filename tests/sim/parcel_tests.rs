//! What is explored of messages in place and of dead letters, and the seeded bugs that must be caught.

use super::explore::Limits;
use super::keepers::limits;
use super::memory::Sim;
use super::parcel::{Lent, PLAN, Plan};
use super::report::{Shows, catches, holds};
use std::time::Duration;

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

/// A message that was returned or cost a life goes to the dead letters.
const LETHAL: Plan = Plan { most: 1, returns: true, rounds: 1, consumers: 2, ..PLAN };

#[test]
fn letters_returned() {
    holds("dead letters, returned once, 2 consumers, 2 kills", limits(2, 0, 60_000), lent(LETHAL));
    let plan = Plan { parcels_first: true, ..LETHAL };
    holds("dead letters, repaired before their queue", limits(2, 0, 30_000), lent(plan));
}

#[test]
fn letters_of_the_dead() {
    let plan = Plan { returns: false, ..LETHAL };
    holds("dead letters, of who was killed, 2 consumers, 3 kills", limits(3, 0, 60_000), lent(plan));
}

#[test]
fn letters_copied() {
    let plan = Plan { copied: true, consumers: 1, rounds: 2, ..LETHAL };
    holds("dead letters, copied and in place, 2 kills", limits(2, 0, 40_000), lent(plan));
}

#[test]
fn letters_random() {
    let plan = Plan { most: 2, producers: 2, rounds: 2, copied: true, ..LETHAL };
    let limits = Limits { spurious: 2, random: Duration::from_millis(1500), buffered: true, ..limits(5, 0, 0) };
    holds("dead letters, 2 producers, 2 consumers, 5 kills", limits, lent(plan));
}

#[test]
fn bug_letters_quiet_burial() {
    wrong("bug: who brings one away does not say so", Shows::Hang, 0, Plan { quiet_burial: true, ..LETHAL });
}

#[test]
fn bug_letters_in_two_steps() {
    wrong("bug: taken from one queue, then put into another", Shows::Violation, 1, Plan { two_steps: true, ..LETHAL });
}

#[test]
fn bug_letters_keep_their_number() {
    let plan = Plan { keeps_number: true, consumers: 1, ..LETHAL };
    wrong("bug: a dead letter has its old number", Shows::Hang, 0, plan);
}

#[test]
fn bug_letters_tell_their_old_queue() {
    let plan = Plan { tells_old_queue: true, consumers: 1, ..LETHAL };
    wrong("bug: a dead letter wakes its old queue", Shows::Hang, 0, plan);
}
