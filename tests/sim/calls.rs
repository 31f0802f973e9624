//! What simulated processes call: accesses to words, sleeping, and the test's own questions.

use super::machine::{Access, Event, NOTHING, Op, Process, Status, mix, with};
use carom::shm::memory::Wake;

/// Lets the explorer decide what happens before the current process goes on.
pub fn suspend() {
    let yielder = with(|machine| machine.current.map(|current| machine.processes[current].yielder));
    if let Some(yielder) = yielder {
        // SAFETY: the pointer was stored by the running coroutine itself when it began, and its
        // yielder lives as long as it runs; `current` is set by whoever resumes it, to it.
        unsafe { (*yielder).suspend(()) };
    }
}

fn step(op: Op, word: u32) {
    let quiet = with(|machine| {
        let Some(current) = machine.current else { return true };
        let process = &mut machine.processes[current];
        let quiet = std::mem::take(&mut process.quiet) && op == Op::Load;
        process.next = Access { op, word };
        process.position += !quiet as u32;
        quiet
    });
    if !quiet {
        suspend();
    }
}

/// One access to a word; what it showed.
pub fn access(op: Op, word: u32, change: impl FnOnce(u64) -> u64) -> u64 {
    step(op, word);
    with(|machine| machine.perform(op, word, change))
}

/// Everybody sees what the calling process has stored.
pub fn fence() {
    with(|machine| {
        if let Some(current) = machine.current {
            machine.drain(current);
        }
    });
}

/// Everybody sees what everybody has stored.
pub fn fence_for_all() {
    with(|machine| (0..machine.processes.len()).for_each(|who| machine.drain(who)));
}

pub fn spin_hint() {
    with(|machine| {
        if let Some(current) = machine.current {
            machine.processes[current].quiet = true;
        }
    });
}

pub fn wait(word: u32, expected: u32, alarm: Option<(u32, u32)>, deadline: bool) -> Wake {
    step(Op::Wait, word);
    if !with(|machine| machine.fall_asleep(word, expected, alarm, deadline)) {
        return Wake::Look;
    }
    suspend();
    with(|machine| machine.processes[machine.current.expect("only processes sleep")].wake)
}

pub fn wake(word: u32, count: u32) -> u32 {
    step(if count == 1 { Op::WakeOne } else { Op::Wake }, word);
    fence();
    with(|machine| {
        let picked = machine.current.map(|current| machine.processes[current].next.op);
        let woken = match picked {
            Some(Op::Choose(picked)) => {
                let sleeper = machine.sleepers_of(word).nth(picked as usize).expect("one of them");
                machine.rouse(sleeper, Wake::Look);
                1
            }
            _ => machine.wake(word, count, Wake::Look),
        };
        machine.learn(woken as u64);
        machine.log(machine.current, |machine| format!("wake     {}: {woken} woken", machine.word_name(word)));
        woken
    })
}

pub fn name_pending(word: u32) {
    step(if word == NOTHING { Op::Unname } else { Op::Name }, word);
    with(|machine| {
        machine.learn(2);
        let Some(current) = machine.current else { return };
        machine.processes[current].pending = word;
    });
}

/// The word is on the caller's robust list from here on.
pub fn hold_for_life(word: u32) {
    with(|machine| {
        let current = machine.current.expect("called by a process");
        machine.processes[current].held = word;
    });
}

/// The number of the calling process: its place in the table.
pub fn me() -> usize {
    with(|machine| machine.current.expect("called by a process"))
}

/// The explorer picks one of `count`.
pub fn choose(count: u8) -> u8 {
    step(Op::Choose(count), NOTHING);
    with(|machine| {
        let Some(current) = machine.current else { return 0 };
        let Op::Choose(picked) = machine.processes[current].next.op else { unreachable!("the explorer answers") };
        machine.learn(picked as u64);
        machine.log(machine.current, |_| format!("chooses  {picked}"));
        picked
    })
}

/// Sleeps until a process that is not in `known` is dead (as on pidfds), or until a timer fires.
pub fn await_death(known: u64, timer: bool) -> Event {
    rest(known, timer);
    suspend();
    with(|machine| machine.processes[machine.current.expect("only processes wait")].event)
}

/// Starts a process; its number.
pub fn fork(name: &'static str, role: u32, argument: u64, mortal: bool) -> usize {
    step(Op::Fork, NOTHING);
    fence();
    with(|machine| {
        let child = machine.start(name, role, argument, true, mortal);
        machine.learn(child as u64);
        machine.log(machine.current, |_| format!("forks    {name}#{}", child + 1));
        child
    })
}

/// SIGKILL to another process; it arrives at some later moment.
pub fn signal(victim: usize) {
    step(Op::Signal, NOTHING);
    fence();
    with(|machine| {
        machine.learn(3);
        machine.log(machine.current, |machine| format!("signals  {}#{}", machine.processes[victim].name, victim + 1));
        machine.processes[victim].doomed = true;
    });
}

/// Never ends: an endless task.
pub fn forever() -> ! {
    rest(u64::MAX, false);
    loop {
        suspend();
    }
}

/// No access, so no scheduling point of its own.
fn rest(known: u64, timer: bool) {
    with(|machine| {
        let current = machine.current.expect("only processes wait");
        machine.drain(current);
        let process = &mut machine.processes[current];
        process.next = Access { op: Op::Await, word: NOTHING };
        process.position += 1;
        process.status = Status::Awaiting { known, timer };
    });
}

/// From here on the explorer may kill the caller.
pub fn become_mortal() {
    with(|machine| {
        let current = machine.current.expect("called by a process");
        machine.processes[current].mortal = true;
    });
}

/// The living process of a role, if there is one: what the member table would say.
pub fn living(role: u32) -> Option<usize> {
    with(|machine| {
        let lives = |process: &Process| process.role == role && process.status != Status::Dead;
        let found = machine.processes.iter().position(lives);
        machine.learn(found.map_or(u64::MAX, |found| found as u64));
        found
    })
}

/// How many processes of a role the explorer has killed by its own choice.
pub fn killed(role: u32) -> usize {
    with(|machine| {
        let dead = |process: &&Process| process.role == role && process.status == Status::Dead && !process.doomed;
        machine.processes.iter().filter(dead).count()
    })
}

/// Ends the run with a violation unless the condition holds.
pub fn check(condition: bool, rule: &str) {
    if condition {
        return;
    }
    with(|machine| {
        machine.log(machine.current, |_| format!("VIOLATES {rule}"));
        machine.violation.get_or_insert_with(|| rule.into());
    });
    while with(|machine| machine.current.is_some()) {
        suspend();
    }
}

/// The caller keeps nothing of what it has read, but `tag`: states that differ only in how it got
/// here are one.
pub fn forget(tag: u64) {
    with(|machine| {
        let current = machine.current.expect("called by a process");
        let process = &mut machine.processes[current];
        process.history = mix(mix(mix(0x5eed, process.role as u64), process.argument), tag);
    });
}

/// A variable of the test itself: part of the state, but no access of the protocol.
pub struct Note(u32);

impl Note {
    pub fn new(name: &str) -> Note {
        Note(with(|machine| machine.new_word(name.into(), 0, |value| value.to_string())))
    }
    pub fn get(&self) -> u64 {
        with(|machine| {
            let value = machine.values[self.0 as usize];
            machine.learn(value);
            value
        })
    }
    pub fn set(&self, value: u64) {
        with(|machine| {
            machine.write(self.0, value);
            machine.log(machine.current, |machine| format!("    note {} := {value}", machine.word_name(self.0)));
        });
    }
}
