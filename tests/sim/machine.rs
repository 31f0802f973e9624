//! The simulated machine: words, processes, futexes, and what the kernel does at a death.
//!
//! All of it lives in one table per test thread, so that a word is only an index into it: it has the
//! size that it has in shared memory, and a run starts over by copying the table's first state back.
//! Every operation on a word suspends the process that does it *before* it happens; the explorer
//! (`explore.rs`) decides who goes on, and who dies there.
//!
//! Sequentially consistent, or with the store buffers of x86-64. What it cannot find are orderings
//! that only the compiler or a weaker processor would break.

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
    /// Of one sleeper; the explorer says which (the kernel goes by priority, then by age).
    WakeOne,
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
    /// On the robust list proper, for as long as it lives.
    pub held: u32,
    pub next: Access,
    /// Everything that it has read so far, as a hash: with it, its local state.
    pub history: u64,
    pub position: u32,
    /// The load that follows a spin hint is no scheduling point: while nobody else runs, it reads
    /// what it read before, and a later first look is another schedule.
    pub quiet: bool,
    pub wake: Wake,
    pub event: Event,
    /// Stores that nobody else sees yet, oldest first.
    pub buffer: Vec<(u32, u64)>,
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
    /// Stores wait in a buffer of their processor, as on x86-64; else everybody sees them at once.
    pub buffered: bool,
    pub used: Used,
    pub violation: Option<String>,
    pub trace: Option<Vec<String>>,
}

impl Process {
    /// Dead once the kernel has looked at all that the process had named.
    fn leave(&mut self) {
        if self.status == Status::Exiting && self.pending == NOTHING && self.held == NOTHING {
            self.status = Status::Dead;
        }
    }
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
            held: NOTHING,
            next: begin,
            history: mix(role as u64 + 1, argument),
            position: 0,
            quiet: false,
            wake: Wake::Look,
            event: Event::Timer,
            buffer: Vec::new(),
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
        // (A spinning process says the same over and over.)
        let trace = self.trace.as_mut().expect("checked above");
        if trace.last() != Some(&line) {
            trace.push(line);
        }
    }

    pub fn word_name(&self, word: u32) -> &str {
        self.words.get(word as usize).map_or("-", |word| word.name.as_str())
    }

    pub fn show(&self, word: u32, value: u64) -> String {
        (self.words[word as usize].show)(value)
    }

    pub fn write(&mut self, word: u32, value: u64) -> u64 {
        let old = std::mem::replace(&mut self.values[word as usize], value);
        if old != value {
            let salt = word as u64 + 1;
            self.value_hash ^= mix(salt, old) ^ mix(salt, value);
        }
        old
    }

    pub fn learn(&mut self, value: u64) {
        if let Some(current) = self.current {
            let process = &mut self.processes[current];
            process.history = mix(process.history, value);
        }
    }

    /// The access happens. `Store` shows its writer nothing, all others show the old value.
    pub fn perform(&mut self, op: Op, word: u32, change: impl FnOnce(u64) -> u64) -> u64 {
        if let Some(current) = self.current.filter(|_| self.buffered) {
            match op {
                Op::Load => {
                    let buffer = &self.processes[current].buffer;
                    if let Some(&(_, own)) = buffer.iter().rev().find(|&&(other, _)| other == word) {
                        self.learn(own);
                        return own;
                    }
                }
                Op::Store => return self.store_later(current, word, change(0)),
                _ => self.drain(current),
            }
        }
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

    fn store_later(&mut self, who: usize, word: u32, value: u64) -> u64 {
        self.processes[who].buffer.push((word, value));
        self.learn(1);
        self.log(Some(who), |machine| {
            format!("store    {}: {}, not seen yet", machine.word_name(word), machine.show(word, value))
        });
        0
    }

    /// The oldest store of a process is seen by all.
    pub fn flush(&mut self, who: usize) {
        let (word, value) = self.processes[who].buffer.remove(0);
        self.write(word, value);
        self.log(Some(who), |machine| {
            format!("(buffer) {} is {} for all", machine.word_name(word), machine.show(word, value))
        });
    }

    /// A fence, an atomic change, a system call, or the end.
    pub fn drain(&mut self, who: usize) {
        while !self.processes[who].buffer.is_empty() {
            self.flush(who);
        }
    }

    /// Wakes up to `count` sleepers of `word`, longest first.
    pub fn wake(&mut self, word: u32, count: u32, why: Wake) -> u32 {
        let chosen: Vec<_> = self.sleepers_of(word).take(count as usize).collect();
        chosen.iter().for_each(|&sleeper| self.rouse(sleeper, why));
        chosen.len() as u32
    }

    /// Who sleeps on a word, longest first.
    pub fn sleepers_of(&self, word: u32) -> impl Iterator<Item = usize> + '_ {
        let on =
            move |status| matches!(status, Status::Asleep { word: one, alarm: two, .. } if one == word || two == word);
        self.sleepers.iter().copied().filter(move |&sleeper| on(self.processes[sleeper].status))
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
        self.drain(victim);
        self.sleepers.retain(|&other| other != victim);
        let process = &mut self.processes[victim];
        process.status = Status::Exiting;
        process.leave();
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
                let process = &mut self.processes[victim];
                // The list first, then what is pending.
                let listed = process.held != NOTHING;
                let named = if listed { &mut process.held } else { &mut process.pending };
                let word = std::mem::replace(named, NOTHING);
                let old = self.values[word as usize];
                let (new, wake) = match old & OWNER {
                    owner if owner == victim as u64 + 1 => ((old & !OWNER) | DIED, old & WAITERS != 0),
                    owner => (old, owner == 0 && !listed),
                };
                self.write(word, new);
                self.log(Some(victim), |machine| {
                    let (old, new) = (machine.show(word, old), machine.show(word, new));
                    format!("(kernel) {}: {old} -> {new}", machine.word_name(word))
                });
                if wake { Status::ExitWaking { word } } else { Status::Exiting }
            }
            Status::ExitWaking { word } => {
                let woken = self.wake(word, 1, Wake::Look);
                self.log(Some(victim), |_| format!("(kernel) wakes {woken}"));
                Status::Exiting
            }
            other => other,
        };
        self.processes[victim].status = next;
        self.processes[victim].leave();
    }

    pub fn fall_asleep(&mut self, word: u32, expected: u32, alarm: Option<(u32, u32)>, deadline: bool) -> bool {
        let who = self.current.expect("only processes sleep");
        self.drain(who);
        let same = |word: u32, value: u32| self.values[word as usize] as u32 == value;
        let asleep = same(word, expected) && alarm.is_none_or(|(word, value)| same(word, value));
        self.learn(0x30 + asleep as u64);
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
