//! Runs simulated processes: one stackful coroutine each, on stacks that are used again.

use super::machine::{Status, Yield, with};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};

/// What is explored: the words, and what each process does with them.
///
/// One value serves all runs: whatever changes must be in words or notes, which start over.
pub trait Scenario: 'static {
    /// Starts the first processes. (`Machine::start`.)
    fn begin(&self);
    /// What a process does.
    fn process(&self, role: u32, argument: u64);
    /// What must hold when every process that is not a daemon has ended.
    fn end(&self) {}
}

type Process = Coroutine<(), (), (), DefaultStack>;

const STACK: usize = 128 << 10;

pub struct Runner {
    scenario: &'static dyn Scenario,
    processes: Vec<Option<Process>>,
    stacks: Vec<DefaultStack>,
}

impl Runner {
    pub fn new(scenario: &'static dyn Scenario) -> Runner {
        Runner { scenario, processes: Vec::new(), stacks: Vec::new() }
    }

    /// The state before the first access, every process ready for its first.
    pub fn restart(&mut self) {
        for at in 0..self.processes.len() {
            self.discard(at);
        }
        self.processes.clear();
        with(|machine| machine.restart());
        self.scenario.begin();
        self.settle();
    }

    /// The process will never run again, and none of its destructors does: as after SIGKILL.
    pub fn discard(&mut self, process: usize) {
        let Some(mut coroutine) = self.processes[process].take() else { return };
        if !coroutine.done() {
            // SAFETY: what is on the stack are references to the scenario, which is never freed, and
            // plain values; leaking them is harmless, and nothing outside points into the stack but
            // the yielder pointer, which is used only while the coroutine runs.
            unsafe { coroutine.force_reset() };
        }
        self.stacks.push(coroutine.into_stack());
    }

    /// The scenario's last look.
    pub fn finish(&mut self) {
        self.scenario.end();
    }

    /// One process goes on until its next access, then whoever it woke goes up to its own.
    pub fn resume(&mut self, process: usize) {
        self.advance(process);
        self.settle();
    }

    /// Whoever was woken runs its private steps up to its next access. Nothing that others could
    /// see happens in them, so this is one order for all.
    pub fn settle(&mut self) {
        loop {
            let next = with(|machine| if machine.woken.is_empty() { None } else { Some(machine.woken.remove(0)) });
            match next {
                Some(process) => self.advance(process),
                None => return,
            }
        }
    }

    fn advance(&mut self, process: usize) {
        if self.processes.len() <= process {
            self.processes.resize_with(process + 1, || None);
        }
        if self.processes[process].is_none() {
            self.processes[process] = Some(self.create(process));
        }
        with(|machine| machine.current = Some(process));
        let coroutine = self.processes[process].as_mut().expect("made above");
        let result = coroutine.resume(());
        with(|machine| {
            machine.current = None;
            if let CoroutineResult::Return(()) = result {
                machine.drain(process);
                machine.processes[process].status = Status::Done;
                machine.processes[process].history = 1;
                machine.log(Some(process), |_| "returns".into());
            }
        });
    }

    fn create(&mut self, process: usize) -> Process {
        let stack = self.stacks.pop().unwrap_or_else(|| DefaultStack::new(STACK).expect("memory for a stack"));
        let scenario = self.scenario;
        let (role, argument) = with(|machine| {
            let process = &machine.processes[process];
            (process.role, process.argument)
        });
        Coroutine::with_stack(stack, move |yielder: &Yield, ()| {
            with(|machine| machine.processes[process].yielder = yielder);
            scenario.process(role, argument);
        })
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        for process in 0..self.processes.len() {
            self.discard(process);
        }
    }
}
