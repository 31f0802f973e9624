//! The explorer: which process goes on, and which one dies, at every access.
//!
//! Depth first over choice sequences, each run replayed from the start. A state is known by its
//! words and by everything that each process has read; a run that reaches a known state stops
//! there. First schedules without preemptions, then with one, and so on, at last without a bound,
//! as far as the number of runs allows; then random schedules.

use super::machine::{Access, Event, Machine, Op, Status, mix, with};
use super::runner::{Runner, Scenario};
use carom::shm::memory::Wake;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How far to go.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Deaths per run.
    pub kills: u8,
    /// Deadlines that pass per run although something else could happen.
    pub timeouts: u8,
    /// Wake-ups per run for nothing.
    pub spurious: u8,
    /// Stores are buffered as on x86-64.
    pub buffered: bool,
    /// Runs of the systematic search.
    pub runs: u64,
    /// Time for random schedules after it.
    pub random: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { kills: 1, timeouts: 0, spurious: 0, buffered: false, runs: 400_000, random: Duration::ZERO }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Run(usize),
    Pick(usize, u8),
    Exit(usize),
    Flush(usize),
    Kill(usize),
    Deliver(usize),
    Timeout(usize),
    Spurious(usize),
    Death(usize, usize),
    Timer(usize),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Somebody sleeps for ever (else a rule was broken).
    pub hang: bool,
    pub what: String,
    pub trace: Vec<String>,
}

#[derive(Default)]
pub struct Report {
    pub runs: u64,
    pub states: usize,
    pub kills: u64,
    pub kill_points: usize,
    pub steps: u64,
    pub failure: Option<Failure>,
    /// Preemptions up to which every schedule was tried.
    pub preemptions: Option<u32>,
    pub complete: bool,
}

enum End {
    Finished,
    Known,
    Failed { hang: bool, what: String },
}

#[derive(Default)]
struct Known(u64);
impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys")
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
type States = HashMap<u64, u32, BuildHasherDefault<Known>>;

enum Mode {
    Search,
    Random { seed: u64 },
    Replay,
}

const ALL: u32 = u32::MAX;
const LONGEST_RUN: usize = 4000;
const FORCED: u8 = 8;
const STATES: usize = 6_000_000;

pub struct Explorer {
    runner: Runner,
    limits: Limits,
    /// (picked, out of): the choices of the current run.
    path: Vec<(u16, u16)>,
    states: States,
    kill_points: HashSet<(usize, u32, Access)>,
    report: Report,
    options: Vec<(Act, u32)>,
    /// Preemptions allowed; `ALL` for any number.
    bound: u32,
}

/// Explores a scenario that was made after `Machine::clear`.
pub fn explore(scenario: &'static dyn Scenario, limits: Limits) -> Report {
    let mut explorer = Explorer {
        runner: Runner::new(scenario),
        limits,
        path: Vec::new(),
        states: States::default(),
        kill_points: HashSet::new(),
        report: Report::default(),
        options: Vec::new(),
        bound: 0,
    };
    with(|machine| machine.buffered = limits.buffered);
    explorer.search();
    if explorer.report.failure.is_none() {
        explorer.random();
    }
    explorer.report.kill_points = explorer.kill_points.len();
    explorer.report
}

impl Explorer {
    fn search(&mut self) {
        for bound in [0, 1, 2, 3, ALL] {
            self.states.clear();
            self.path.clear();
            self.bound = bound;
            loop {
                if self.report.runs >= self.limits.runs || self.states.len() > STATES {
                    self.report.states = self.report.states.max(self.states.len());
                    return;
                }
                if self.attempt(&mut Mode::Search) {
                    return;
                }
                while self.path.last().is_some_and(|&(picked, of)| picked + 1 == of) {
                    self.path.pop();
                }
                match self.path.last_mut() {
                    Some(last) => last.0 += 1,
                    None => break,
                }
            }
            self.report.states = self.report.states.max(self.states.len());
            self.report.preemptions = Some(bound);
            self.report.complete = bound == ALL;
        }
    }

    fn random(&mut self) {
        let begun = Instant::now();
        let mut seed = super::seed();
        self.bound = ALL;
        while begun.elapsed() < self.limits.random {
            for _ in 0..100 {
                seed = mix(seed, 1);
                self.path.clear();
                if self.attempt(&mut Mode::Random { seed }) {
                    return;
                }
            }
        }
    }

    /// One run; true if it failed, with the trace in the report.
    fn attempt(&mut self, mode: &mut Mode) -> bool {
        self.report.runs += 1;
        let End::Failed { hang, what } = self.caught(mode) else { return false };
        with(|machine| machine.trace = Some(Vec::new()));
        self.caught(&mut Mode::Replay);
        let trace = with(|machine| machine.trace.take()).unwrap_or_default();
        self.report.failure = Some(Failure { hang, what, trace });
        true
    }

    fn caught(&mut self, mode: &mut Mode) -> End {
        match catch_unwind(AssertUnwindSafe(|| self.run(mode))) {
            Ok(end) => end,
            Err(panic) => {
                with(|machine| machine.current = None);
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
                End::Failed { hang: false, what: format!("panic: {}", text.unwrap_or_default()) }
            }
        }
    }

    fn run(&mut self, mode: &mut Mode) -> End {
        self.runner.restart();
        let mut last = usize::MAX;
        let mut preemptions = 0;
        let mut depth = 0;
        for _ in 0..LONGEST_RUN {
            if let Some(what) = with(|machine| machine.violation.clone()) {
                return End::Failed { hang: false, what };
            }
            self.list_options(last);
            let bound = self.bound;
            self.options.retain(|&(_, cost)| cost <= bound - preemptions);
            if self.options.is_empty() || only_daemons() {
                return self.ended();
            }
            let picked = if self.options.len() == 1 {
                0
            } else if depth < self.path.len() {
                depth += 1;
                self.path[depth - 1].0 as usize
            } else {
                let picked = match mode {
                    Mode::Search if self.known(last, preemptions) => return End::Known,
                    Mode::Search | Mode::Replay => 0,
                    Mode::Random { seed } => self.roll(seed),
                };
                self.path.push((picked as u16, self.options.len() as u16));
                depth += 1;
                picked
            };
            let (act, cost) = self.options[picked];
            preemptions += cost;
            self.report.steps += 1;
            self.apply(act, &mut last, depth == self.path.len());
        }
        End::Failed { hang: true, what: "goes round for ever".into() }
    }

    /// No process can go on, or none that matters is left.
    fn ended(&mut self) -> End {
        if let Some(what) = with(stuck) {
            return End::Failed { hang: true, what };
        }
        self.runner.finish();
        match with(|machine| machine.violation.clone()) {
            Some(what) => End::Failed { hang: false, what },
            None => End::Finished,
        }
    }

    fn apply(&mut self, act: Act, last: &mut usize, fresh: bool) {
        match act {
            Act::Run(who) | Act::Pick(who, _) => {
                if let Act::Pick(who, number) = act {
                    with(|machine| machine.processes[who].next.op = Op::Choose(number));
                }
                *last = who;
                self.runner.resume(who);
            }
            Act::Kill(victim) | Act::Deliver(victim) => {
                let by_us = matches!(act, Act::Kill(_));
                let (position, next) = with(|machine| {
                    machine.used.kills += by_us as u8;
                    machine.kill(victim);
                    (machine.processes[victim].position, machine.processes[victim].next)
                });
                if fresh && by_us {
                    self.report.kills += 1;
                    self.kill_points.insert((victim, position, next));
                }
                self.runner.discard(victim);
            }
            Act::Flush(who) => with(|machine| machine.flush(who)),
            Act::Exit(victim) => with(|machine| machine.exit_step(victim)),
            Act::Timeout(who) => with(|machine| {
                machine.used.timeouts += 1;
                machine.log(Some(who), |_| "deadline passes".into());
                machine.rouse(who, Wake::TimedOut);
            }),
            Act::Spurious(who) => with(|machine| {
                machine.used.spurious += 1;
                machine.log(Some(who), |_| "wakes for nothing".into());
                machine.rouse(who, Wake::Look);
            }),
            Act::Death(who, dead) => with(|machine| machine.notify(who, Event::Death(dead))),
            Act::Timer(who) => with(|machine| {
                machine.used.timeouts += 1;
                machine.notify(who, Event::Timer);
            }),
        }
        self.runner.settle();
    }

    fn list_options(&mut self, last: usize) {
        let limits = self.limits;
        let options = &mut self.options;
        options.clear();
        with(|machine| {
            let was_last = machine.processes.get(last).is_some_and(|process| process.status == Status::Ready);
            // It names a word in its own robust list: nobody else can tell when.
            let private = was_last && matches!(machine.processes[last].next.op, Op::Name | Op::Unname);
            let count = machine.processes.len();
            let order = std::iter::once(last).chain((0..count).filter(|&who| who != last));
            for who in order.filter(|&who| who < count && (!private || who == last)) {
                let process = &machine.processes[who];
                let cost = (was_last && who != last) as u32;
                match (process.status, process.next.op) {
                    (Status::Ready, Op::Choose(count)) => {
                        options.extend((0..count).map(|number| (Act::Pick(who, number), cost)));
                    }
                    (Status::Ready, Op::WakeOne) if machine.sleepers_of(process.next.word).nth(1).is_some() => {
                        let sleepers = machine.sleepers_of(process.next.word).count() as u8;
                        options.extend((0..sleepers).map(|number| (Act::Pick(who, number), cost)));
                    }
                    (Status::Ready, _) => options.push((Act::Run(who), cost)),
                    _ => {}
                }
            }
            for who in (0..count).filter(|&who| !private || who == last) {
                list_events(machine, who, limits, options);
            }
            let luck = |&(act, _): &(Act, u32)| matches!(act, Act::Kill(_) | Act::Spurious(_));
            if options.iter().all(luck) && !force_time(machine, options) {
                // Nothing but luck could still move anybody.
                options.clear();
            }
        });
    }

    /// Whether this state was explored before with as many preemptions left.
    fn known(&mut self, last: usize, preemptions: u32) -> bool {
        let key = with(|machine| {
            let used = machine.used;
            let small = [used.kills, used.timeouts, used.spurious, used.forced];
            let mut key = mix(machine.value_hash, u32::from_le_bytes(small) as u64);
            if self.bound != ALL {
                key = mix(key, last as u64);
            }
            for process in &machine.processes {
                let (kind, detail) = match process.status {
                    Status::Ready => (0, 0),
                    Status::Asleep { word, alarm, deadline } => {
                        (1 + deadline as u64, (word as u64) << 32 | alarm as u64)
                    }
                    Status::Awaiting { known, timer } => (3 + timer as u64, known),
                    Status::Exiting => (5, 0),
                    Status::ExitWaking { word } => (6, word as u64),
                    Status::Dead => (7, 0),
                    Status::Done => (8, 0),
                };
                let robust = (process.pending as u64) << 32 | process.held as u64;
                let flags = mix(kind | (process.doomed as u64) << 4, robust);
                key = mix(mix(mix(key, flags), process.history), detail);
                for &(word, value) in &process.buffer {
                    key = mix(mix(key, word as u64 + 1), value);
                }
            }
            machine.sleepers.iter().fold(key, |key, &sleeper| mix(key, sleeper as u64))
        });
        let spent = if self.bound == ALL { 0 } else { preemptions };
        match self.states.get_mut(&key) {
            Some(least) if *least <= spent => true,
            Some(least) => {
                *least = spent;
                false
            }
            None => {
                self.states.insert(key, spent);
                false
            }
        }
    }

    fn roll(&self, seed: &mut u64) -> usize {
        *seed = mix(*seed, 0x51ce);
        let stay = self.options.first().is_some_and(|&(act, cost)| cost == 0 && matches!(act, Act::Run(_)));
        if stay && *seed & 3 != 0 {
            return 0;
        }
        *seed = mix(*seed, 0x51ce);
        let picked = (*seed >> 8) as usize % self.options.len();
        // Deaths late in a run should be as likely as early ones.
        if matches!(self.options[picked].0, Act::Kill(_)) && *seed & 7 != 0 { 0 } else { picked }
    }
}

/// What may happen to a process without its doing.
fn list_events(machine: &Machine, who: usize, limits: Limits, options: &mut Vec<(Act, u32)>) {
    let process = &machine.processes[who];
    let (timeouts, spurious) = (machine.used.timeouts < limits.timeouts, machine.used.spurious < limits.spurious);
    let mut event = |act: Act| options.push((act, 0));
    if !process.buffer.is_empty() {
        event(Act::Flush(who));
    }
    match process.status {
        Status::Dead | Status::Done => return,
        Status::Exiting | Status::ExitWaking { .. } => return event(Act::Exit(who)),
        Status::Asleep { deadline, .. } => {
            if deadline && timeouts {
                event(Act::Timeout(who));
            }
            if spurious {
                event(Act::Spurious(who));
            }
        }
        Status::Awaiting { known, timer } => {
            let processes = machine.processes.iter().enumerate();
            let mut dead = processes.filter(|(_, process)| process.status == Status::Dead);
            if let Some((dead, _)) = dead.find(|(other, _)| known >> other & 1 == 0) {
                event(Act::Death(who, dead));
            }
            if timer && timeouts {
                event(Act::Timer(who));
            }
        }
        Status::Ready => {}
    }
    if process.doomed {
        event(Act::Deliver(who));
    } else if process.mortal && machine.used.kills < limits.kills {
        event(Act::Kill(who));
    }
}

/// Nothing else can happen, so time passes.
fn force_time(machine: &mut Machine, options: &mut Vec<(Act, u32)>) -> bool {
    let before = options.len();
    if machine.used.forced == FORCED {
        return false;
    }
    for (who, process) in machine.processes.iter().enumerate() {
        match process.status {
            Status::Asleep { deadline: true, .. } => options.push((Act::Timeout(who), 0)),
            Status::Awaiting { timer: true, .. } => options.push((Act::Timer(who), 0)),
            _ => {}
        }
    }
    let passes = options.len() > before;
    machine.used.forced += passes as u8;
    passes
}

fn only_daemons() -> bool {
    with(|machine| {
        machine.processes.iter().all(|process| process.daemon || matches!(process.status, Status::Done | Status::Dead))
    })
}

/// Who sleeps for ever, when nothing can happen any more.
fn stuck(machine: &mut Machine) -> Option<String> {
    let sleeps = |status| matches!(status, Status::Asleep { .. } | Status::Awaiting { .. });
    let stuck = machine.processes.iter().enumerate().filter(|(_, process)| !process.daemon && sleeps(process.status));
    let names: Vec<_> = stuck
        .map(|(who, process)| match process.status {
            Status::Asleep { word, .. } => format!("{}#{} on {}", process.name, who + 1, machine.word_name(word)),
            _ => format!("{}#{}", process.name, who + 1),
        })
        .collect();
    if names.is_empty() { None } else { Some(format!("asleep for ever: {}", names.join(", "))) }
}
