//! Explores scenarios, says what it did, and keeps the grand total.

use super::explore::{Failure, Limits, Report, explore};
use super::machine::with;
use super::runner::Scenario;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Total {
    scenarios: u32,
    bugs: u32,
    runs: u64,
    states: u64,
    kills: u64,
    kill_points: u64,
    hangs: u32,
    violations: u32,
}

static TOTAL: Mutex<Option<Total>> = Mutex::new(None);

/// How many times the default effort: CAROM_SIM_SECONDS over what the default takes.
fn effort() -> f64 {
    let seconds = std::env::var("CAROM_SIM_SECONDS").ok().and_then(|seconds| seconds.parse::<f64>().ok());
    let base = seconds.map_or(1.0, |seconds| seconds / DEFAULT_SECONDS);
    if cfg!(debug_assertions) { base / 20.0 } else { base }
}

const DEFAULT_SECONDS: f64 = 33.0;

/// Explores what `make` makes; the limits are those of effort 1.
fn explored<S: Scenario>(limits: Limits, effort: f64, make: impl FnOnce() -> S) -> (Report, Duration) {
    with(|machine| machine.clear());
    let scenario: &'static S = Box::leak(Box::new(make()));
    let runs = (limits.runs as f64 * effort) as u64;
    let random = limits.random.mul_f64(effort);
    let begun = Instant::now();
    (explore(scenario, Limits { runs, random, ..limits }), begun.elapsed())
}

fn count(name: &str, verdict: &str, report: &Report, time: Duration) {
    let mut total = TOTAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let total = total.get_or_insert_with(Total::default);
    total.runs += report.runs;
    total.states += report.states as u64;
    total.kills += report.kills;
    total.kill_points += report.kill_points as u64;
    println!(
        "sim: {name:<44} runs {:>8}  states {:>8}  kills {:>8} at {:>5} points  {:>5.1} s  {verdict}",
        report.runs,
        report.states,
        report.kills,
        report.kill_points,
        time.as_secs_f64(),
    );
    println!(
        "sim: so far {} scenarios, {} seeded bugs caught: runs {}  states {}  kills {} at {} points  hangs {}  violations {}",
        total.scenarios,
        total.bugs,
        total.runs,
        total.states,
        total.kills,
        total.kill_points,
        total.hangs,
        total.violations
    );
}

fn tally(change: impl FnOnce(&mut Total)) {
    let mut total = TOTAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    change(total.get_or_insert_with(Total::default));
}

/// A line for `c-tests/points.sh`, in one write: others append too. Not for the bugs that are seeded.
fn note_points(name: &str, report: &Report) {
    let Some(path) = std::env::var_os("CAROM_POINTS") else { return };
    let hangs = report.failure.as_ref().is_some_and(|failure| failure.hang) as u32;
    let losses = report.failure.as_ref().is_some_and(|failure| !failure.hang) as u32;
    let line = format!("simulator|{name}|{}|{hangs}|{losses}|0\n", report.kills);
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("CAROM_POINTS can be written");
}

fn print_trace(name: &str, failure: &Failure) {
    println!("sim: {name}: {}", failure.what);
    for line in &failure.trace {
        println!("{line}");
    }
}

/// Nothing may be found.
pub fn holds<S: Scenario>(name: &str, limits: Limits, make: impl FnOnce() -> S) {
    let (report, time) = explored(limits, effort(), make);
    let depth = match (report.complete, report.preemptions) {
        (true, _) => "exhaustive".into(),
        (false, Some(bound)) => format!("all up to {bound} preemptions, and more"),
        (false, None) if limits.runs == 0 => "random schedules".into(),
        (false, None) => "in part".into(),
    };
    tally(|total| {
        total.scenarios += 1;
        if let Some(failure) = &report.failure {
            total.hangs += failure.hang as u32;
            total.violations += !failure.hang as u32;
        }
    });
    let verdict = report.failure.as_ref().map_or(depth, |failure| failure.what.clone());
    count(name, &verdict, &report, time);
    note_points(name, &report);
    if let Some(failure) = &report.failure {
        print_trace(name, failure);
        panic!("{name}: {}", failure.what);
    }
}

/// What a seeded bug must show as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shows {
    Hang,
    Violation,
}

/// The bug must be found, however slow the machine is: the search ends with it.
pub fn catches<S: Scenario>(name: &str, shows: Shows, limits: Limits, make: impl FnOnce() -> S) {
    let (report, time) = explored(limits, effort().max(1.0), make);
    let Some(failure) = &report.failure else {
        count(name, "NOT CAUGHT", &report, time);
        panic!("{name}: the seeded bug was not caught");
    };
    tally(|total| total.bugs += 1);
    count(name, &format!("caught: {}", failure.what), &report, time);
    // In a debug build an assertion of the source may see the bug first.
    let asserted = cfg!(debug_assertions) && failure.what.starts_with("panic");
    let as_expected = asserted || failure.hang == (shows == Shows::Hang);
    if std::env::var_os("CAROM_SIM_TRACE").is_some() || !as_expected {
        print_trace(name, failure);
    }
    assert!(as_expected, "{name}: shows as {}", failure.what);
}
