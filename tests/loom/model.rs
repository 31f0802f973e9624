//! Runs models, and says what was explored.

use super::memory::be;
use loom::cell::UnsafeCell;
use loom::thread;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Plain memory: an access that another thread's may meet is a violation.
pub struct Plain(UnsafeCell<u64>);

// SAFETY: that nobody uses it while another one writes it is what the models check.
unsafe impl Sync for Plain {}

impl Plain {
    pub fn new() -> Plain {
        Plain(UnsafeCell::new(0))
    }
    pub fn get(&self) -> u64 {
        // SAFETY: see above; loom panics where it is not so.
        self.0.with(|place| unsafe { *place })
    }
    pub fn set(&self, value: u64) {
        // SAFETY: as above.
        self.0.with_mut(|place| unsafe { *place = value });
    }
}

/// What a thread of a model does; it is given its number.
pub type Thread = Box<dyn FnOnce(u32)>;

/// Runs one function per thread, the last in the calling one, and waits for all. Threads are numbered from 1.
pub fn together<const N: usize>(threads: [Thread; N]) {
    let mut started = Vec::new();
    for (thread, number) in threads.into_iter().zip(1..) {
        if number == N as u32 {
            be(number);
            thread(number);
        } else {
            started.push(thread::spawn(move || {
                be(number);
                thread(number);
            }));
        }
    }
    started.into_iter().for_each(|thread| thread.join().unwrap());
}

/// How long a model is explored at most.
fn patience() -> Duration {
    let seconds = std::env::var("CAROM_LOOM_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(4.0))
}

fn explore(model: impl Fn() + Sync + Send + 'static) -> u64 {
    let runs: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.max_branches = 20_000;
    builder.max_duration = Some(patience());
    builder.check(move || {
        runs.fetch_add(1, Relaxed);
        model();
    });
    runs.load(Relaxed)
}

/// Which seeded bug this process is about, if it is about one.
const BUG: &str = "CAROM_LOOM_BUG";

/// Nothing may be found.
pub fn holds(name: &str, model: impl Fn() + Sync + Send + 'static) {
    let begun = Instant::now();
    let runs = explore(model);
    let time = begun.elapsed();
    let verdict = if time < patience() { "holds" } else { "holds so far" };
    println!("loom: {name:<60} runs {runs:>8}  {:>5.1} s  {verdict}", time.as_secs_f64());
}

/// The seeded bug must be found: by a process of its own, which may not survive it, for a panic leaves loom's threads
/// half-way.
pub fn catches(name: &str, model: impl Fn() + Sync + Send + 'static) {
    match std::env::var(BUG) {
        Ok(bug) if bug == name => {
            explore(model);
            std::process::exit(0);
        }
        Ok(_) => return,
        Err(_) => {}
    }
    let begun = Instant::now();
    let this = std::thread::current();
    let arguments = ["--exact", this.name().expect("a test has a name"), "--nocapture"];
    let mut command = Command::new(std::env::current_exe().expect("it runs"));
    command.args(arguments).env(BUG, name).env("RUST_BACKTRACE", "0").env("CAROM_LOOM_SECONDS", "60");
    let output = command.output().expect("it runs again");
    let said = String::from_utf8_lossy(&output.stderr);
    let what = said.lines().skip_while(|line| !line.contains("panicked")).nth(1).unwrap_or("");
    let found = if output.status.success() { "NOT CAUGHT".into() } else { format!("caught: {what:.40}") };
    println!("loom: {name:<60} {:>14} {:>5.1} s  {found}", "", begun.elapsed().as_secs_f64());
    assert!(!output.status.success() && !what.is_empty(), "{name}: the seeded bug was not caught");
}
