//! The simulated machine: words, processes, futexes, and what the kernel does at a death.
//!
//! All of it lives in one table per test thread, so that a word is only an index into it: it has the
//! size that it has in shared memory, and a run starts over by copying the table's first state back.
//! Every operation on a word suspends the process that does it *before* it happens; the explorer
//! (`explore.rs`) decides who goes on, and who dies there.
//!
//! Sequentially consistent: what it cannot find are missing memory orderings.

use carom::shm::memory::Wake;
use corosensei::Yielder;
use std::cell::RefCell;

pub type Yield = Yielder<(), ()>;

/// What a process is about to do to a word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    Begin,
    Load,
    Store,
    Swap,
    Exchange,
    Add,
    Name,
    Unname,
    Wait,
    Wake,
    Choose(u8),
    Await,
    Fork,
    Signal,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    pub op: Op,
    pub word: u32,
}

/// No word of the table.
pub const NOTHING: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Its next access may happen.
    Ready,
    /// In a futex.
    Asleep { word: u32, alarm: u32, deadline: bool },
    /// Waits for the death of a process that is not in `known`, or for its timer.
    Awaiting { known: u64, timer: bool },
    /// Killed; the kernel has not yet looked at the word it had named.
    Exiting,
    /// Killed; the kernel owes one wake.
    ExitWaking { word: u32 },
    /// Killed, and known to be dead by whoever looks.
    Dead,
    /// Has returned.
    Done,
}

/// What ended [`await_death`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Death(usize),
    Timer,
}

pub struct Process {
    pub name: &'static str,
    pub role: u32,
    pub argument: u64,
    pub status: Status,
    /// May sleep for ever: the run is over without it.
    pub daemon: bool,
    /// The explorer may kill it.
    pub mortal: bool,
    /// Somebody sent it SIGKILL.
    pub doomed: bool,
    /// Named in the robust list.
    pub pending: u32,
    pub next: Access,
    /// Everything that it has read so far, as a hash: with it, its local state.
    pub history: u64,
    pub position: u32,
    /// The load that follows a spin hint is no scheduling point: while nobody else runs, it reads
    /// what it read before, and a later first look is another schedule.
    quiet: bool,
    wake: Wake,
    event: Event,
    pub yielder: *const Yield,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    pub kills: u8,
    pub timeouts: u8,
    pub spurious: u8,
    pub forced: u8,
}

struct Word {
    name: String,
    show: fn(u64) -> String,
    initial: u64,
}

#[derive(Default)]
pub struct Machine {
    words: Vec<Word>,
    pub values: Vec<u64>,
    pub value_hash: u64,
    pub processes: Vec<Process>,
    /// Sleepers of all words, longest first.
    pub sleepers: Vec<usize>,
    /// Who must run up to its next access before anything else happens.
    pub woken: Vec<usize>,
    pub current: Option<usize>,
    pub used: Used,
    pub violation: Option<String>,
    pub trace: Option<Vec<String>>,
}

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::default();
}

/// Access to this thread's machine; never held across a suspension.
pub fn with<R>(action: impl FnOnce(&mut Machine) -> R) -> R {
    MACHINE.with(|machine| action(&mut machine.borrow_mut()))
}

pub fn mix(hash: u64, value: u64) -> u64 {
    let mut x = hash ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^= x >> 32;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 29)
}

impl Machine {
    pub fn clear(&mut self) {
        *self = Machine::default();
    }

    /// Back to the state before the first access.
    pub fn restart(&mut self) {
        self.values.clear();
        self.values.extend(self.words.iter().map(|word| word.initial));
        self.value_hash = 0;
        self.processes.clear();
        self.sleepers.clear();
        self.woken.clear();
        self.current = None;
        self.used = Used::default();
        self.violation = None;
    }

    pub fn new_word(&mut self, name: String, initial: u64, show: fn(u64) -> String) -> u32 {
        self.words.push(Word { name, show, initial });
        self.values.push(initial);
        (self.words.len() - 1) as u32
    }

    pub fn start(&mut self, name: &'static str, role: u32, argument: u64, daemon: bool, mortal: bool) -> usize {
        let begin = Access { op: Op::Begin, word: NOTHING };
        self.processes.push(Process {
            name,
            role,
            argument,
            status: Status::Ready,
            daemon,
            mortal,
            doomed: false,
            pending: NOTHING,
            next: begin,
            history: mix(role as u64 + 1, argument),
            position: 0,
            quiet: false,
            wake: Wake::Look,
            event: Event::Timer,
            yielder: std::ptr::null(),
        });
        let id = self.processes.len() - 1;
        self.woken.push(id);
        id
    }

    pub fn log(&mut self, who: Option<usize>, line: impl FnOnce(&Machine) -> String) {
        if self.trace.is_none() {
            return;
        }
        let name = who.map_or("setup".into(), |who| format!("{}#{}", self.processes[who].name, who + 1));
        let line = format!("  {name:<12} {}", line(self));
        self.trace.as_mut().expect("checked above").push(line);
    }

    pub fn word_name(&self, word: u32) -> &str {
        self.words.get(word as usize).map_or("-", |word| word.name.as_str())
    }

    pub fn show(&self, word: u32, value: u64) -> String {
        (self.words[word as usize].show)(value)
    }

    fn write(&mut self, word: u32, value: u64) -> u64 {
        let old = std::mem::replace(&mut self.values[word as usize], value);
        if old != value {
            let salt = word as u64 + 1;
            self.value_hash ^= mix(salt, old) ^ mix(salt, value);
        }
        old
    }

    fn learn(&mut self, value: u64) {
        if let Some(current) = self.current {
            let process = &mut self.processes[current];
            process.history = mix(process.history, value);
        }
    }

    /// The access happens. `Store` shows its writer nothing, all others show the old value.
    fn perform(&mut self, op: Op, word: u32, change: impl FnOnce(u64) -> u64) -> u64 {
        let old = self.values[word as usize];
        let new = change(old);
        self.write(word, new);
        self.learn(if op == Op::Store { 1 } else { old });
        self.log(self.current, |machine| {
            let name = machine.word_name(word);
            let (old, new) = (machine.show(word, old), machine.show(word, new));
            match op {
                Op::Load => format!("load     {name} = {old}"),
                Op::Exchange if old == new => format!("exchange {name}: {old} kept"),
                _ => format!("{:<8} {name}: {old} -> {new}", format!("{op:?}").to_lowercase()),
            }
        });
        old
    }

    /// Wakes up to `count` sleepers of `word`, longest first.
    pub fn wake(&mut self, word: u32, count: u32, why: Wake) -> u32 {
        let mut woken = 0;
        let mut at = 0;
        while at < self.sleepers.len() && woken < count {
            let sleeper = self.sleepers[at];
            let Status::Asleep { word: one, alarm: two, .. } = self.processes[sleeper].status else {
                unreachable!("a sleeper is asleep")
            };
            if one == word || two == word {
                self.rouse(sleeper, why);
                woken += 1;
            } else {
                at += 1;
            }
        }
        woken
    }

    /// Ends one sleep.
    pub fn rouse(&mut self, sleeper: usize, why: Wake) {
        self.sleepers.retain(|&other| other != sleeper);
        let process = &mut self.processes[sleeper];
        process.status = Status::Ready;
        process.wake = why;
        process.history = mix(process.history, 0x77 + why as u64);
        self.woken.push(sleeper);
    }

    /// Ends one wait for a death.
    pub fn notify(&mut self, waiter: usize, event: Event) {
        let process = &mut self.processes[waiter];
        process.status = Status::Ready;
        process.event = event;
        let what = if let Event::Death(dead) = event { dead as u64 } else { 0x99 };
        process.history = mix(process.history, what);
        self.woken.push(waiter);
        self.log(Some(waiter), |_| format!("sees     {event:?}"));
    }

    /// SIGKILL, wherever it is.
    pub fn kill(&mut self, victim: usize) {
        self.log(Some(victim), |machine| {
            let Access { op, word } = machine.processes[victim].next;
            format!("KILLED   before {op:?} {}", machine.word_name(word))
        });
        self.sleepers.retain(|&other| other != victim);
        let process = &mut self.processes[victim];
        process.status = if process.pending == NOTHING { Status::Dead } else { Status::Exiting };
        process.history = 0;
    }

    /// One step of the kernel's exit path, as documented at `Memory::pending_set`.
    pub fn exit_step(&mut self, victim: usize) {
        const OWNER: u64 = 0x3fff_ffff;
        const DIED: u64 = 1 << 30;
        const WAITERS: u64 = 1 << 31;
        let status = self.processes[victim].status;
        let next = match status {
            Status::Exiting => {
                let word = std::mem::replace(&mut self.processes[victim].pending, NOTHING);
                let old = self.values[word as usize];
                let (new, wake) = match old & OWNER {
                    owner if owner == victim as u64 + 1 => ((old & !OWNER) | DIED, old & WAITERS != 0),
                    owner => (old, owner == 0),
                };
                self.write(word, new);
                self.log(Some(victim), |machine| {
                    let (old, new) = (machine.show(word, old), machine.show(word, new));
                    format!("(kernel) {}: {old} -> {new}", machine.word_name(word))
                });
                if wake { Status::ExitWaking { word } } else { Status::Dead }
            }
            Status::ExitWaking { word } => {
                let woken = self.wake(word, 1, Wake::Look);
                self.log(Some(victim), |_| format!("(kernel) wakes {woken}"));
                Status::Dead
            }
            other => other,
        };
        self.processes[victim].status = next;
    }

    fn fall_asleep(&mut self, word: u32, expected: u32, alarm: Option<(u32, u32)>, deadline: bool) -> bool {
        let same = |word: u32, value: u32| self.values[word as usize] as u32 == value;
        let asleep = same(word, expected) && alarm.is_none_or(|(word, value)| same(word, value));
        self.learn(0x30 + asleep as u64);
        let who = self.current.expect("only processes sleep");
        self.log(Some(who), |machine| {
            let now = machine.show(word, machine.values[word as usize]);
            format!("wait     {} = {now}: {}", machine.word_name(word), if asleep { "sleeps" } else { "changed" })
        });
        if asleep {
            let alarm = alarm.map_or(NOTHING, |(word, _)| word);
            self.processes[who].status = Status::Asleep { word, alarm, deadline };
            self.sleepers.push(who);
        }
        asleep
    }
}

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
    step(Op::Wake, word);
    with(|machine| {
        let woken = machine.wake(word, count, Wake::Look);
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

/// Whether a process is dead, as its pidfd would say.
pub fn is_dead(process: usize) -> bool {
    with(|machine| {
        let dead = machine.processes[process].status == Status::Dead;
        machine.learn(dead as u64);
        dead
    })
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
