//! What became of tasks, read from their slots.

use super::super::bay::arguments_of;
use super::super::evidence::Evidence;
use super::super::job::{Job, Limit, Verdict};
use super::super::work::{What, Work, kept};
use super::Desk;
use crate::error::Error;
use crate::shm::lane::{State, Task};
use crate::shm::plan::{NOTHING_FAILED, PlanRef, Sentence, Slot, TOO_LATE, Terms, WRONG_REPLY};
use crate::shm::region::Region;
use crate::sys::signals;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// A task that is final: its slot, what its word is, and its terms, if it has any.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub slot: &'static Slot,
    pub task: Task,
    pub terms: Option<&'static Terms>,
}

impl Desk {
    /// Settles a task whose slot is final, as far as it is not to be done again; its job.
    pub(super) fn settle(&mut self, work: Work, end: End) -> Option<Arc<Job>> {
        if end.task.state() == State::Revoked {
            // Work that was taken back to be done elsewhere is no longer here.
            return work.cancel(&Error::Cancelled);
        }
        if work.discarded {
            return None;
        }
        let What::Single { job, .. } = &work.what else {
            self.settle_chunk(work, end);
            return None;
        };
        let slot = end.slot;
        if end.task.state() == State::Done && slot.failed_item.load(Relaxed) == NOTHING_FAILED {
            job.note_attempt(work.attempt);
            job.succeed(slot, reply_of(self.plan, slot));
        } else {
            let mut verdict = self.judge(end, job.item, job.submitted_ns);
            verdict.attempt = work.attempt;
            if work.is_again(&verdict)
                && let Ok(arguments) = kept(arguments_of(self.plan, slot))
            {
                let attempt = work.attempt + 1;
                self.waiting.push_front(Work { arguments, attempt, ..work });
                return None;
            }
            job.note_attempt(work.attempt);
            job.fail(verdict);
        }
        work.hand_over()
    }

    /// Settles the items of a chunk that were begun. The others, and what is to be done again, go to whoever is free.
    fn settle_chunk(&mut self, work: Work, end: End) {
        let What::Chunk { map, next, end: to } = &work.what else { return };
        let (slot, item, to) = (end.slot, end.task.item(), *to);
        let failed = slot.failed_item.load(Relaxed);
        // Items before `behind` were at work; from `rest` on they were not; between them is what is done again.
        let (behind, rest) = match end.task.state() {
            State::Done if !map.is_abandoned() => {
                let left_at = slot.left_at().filter(|at| (*next..to).contains(at)).unwrap_or(to);
                (left_at, left_at)
            }
            _ if self.over.is_some() || map.is_abandoned() => {
                let why = self.over.clone().unwrap_or(Error::Cancelled);
                map.fail(item, to, &Verdict::of(Err(why), item));
                (to, to)
            }
            _ => {
                let mut verdict = self.judge(end, item, map.submitted_ns);
                verdict.attempt = work.attempt;
                let again = work.is_again(&verdict);
                if !again {
                    map.fail(item, item + 1, &verdict);
                }
                (item + !again as u64, item + 1)
            }
        };
        if slot.code.load(Acquire) == TOO_LATE {
            map.fail(*next, to, &self.failed(slot, *next));
        } else if failed != NOTHING_FAILED {
            map.note_codes(*next, behind, &self.failed(slot, failed));
        }
        map.done(behind - next);
        let part =
            |from, to, attempt| Work { attempt, ..Work::chunk(map.clone(), from, to, work.function, work.order) };
        if rest < to {
            self.waiting.push_front(part(rest, to, 1));
        }
        if behind < rest {
            self.waiting.push_front(part(behind, rest, work.attempt + 1));
        }
    }

    /// The verdict on an item whose function said that it failed.
    fn failed(&self, slot: &'static Slot, item: u64) -> Verdict {
        let mut verdict = Verdict::of(Ok(()), item);
        verdict.pid = slot.pid.load(Relaxed);
        let code = slot.code.load(Acquire);
        if code == WRONG_REPLY {
            verdict.status = Err(Error::MessageSize { needed: 0, capacity: 0 });
            verdict.message = "the reply is missing, or of another size".into();
            return verdict;
        }
        if code == TOO_LATE {
            verdict.status = Err(Error::TimedOut);
            verdict.message = "the task was not begun before it expired".into();
            return verdict;
        }
        verdict.code = code as i32;
        verdict.message = String::from_utf8_lossy(reply_of(self.plan, slot)).into_owned();
        verdict.status = Err(failure(verdict.code, &verdict.message));
        verdict
    }

    /// What the slot says about a task that is final and did not succeed.
    fn judge(&self, end: End, item: u64, submitted_ns: u64) -> Verdict {
        let (slot, state) = (end.slot, end.task.state());
        let mut verdict = Verdict::of(Ok(()), item);
        let (started, ended) = (slot.started_ns.load(Relaxed), slot.ended_ns.load(Relaxed));
        verdict.pid = slot.pid.load(Relaxed);
        verdict.queued_ns = started.saturating_sub(submitted_ns);
        verdict.elapsed_ns = ended.saturating_sub(started);
        verdict.cpu_ns = slot.cpu_ns.load(Relaxed);
        match state {
            State::Done => {
                let failed = self.failed(slot, item);
                (verdict.code, verdict.message, verdict.status) = (failed.code, failed.message, failed.status);
            }
            _ if self.over.is_some() => verdict.status = Err(self.over.clone().unwrap_or(Error::Cancelled)),
            _ => lost(&mut verdict, end, Evidence::of(self.plan.arena, slot)),
        }
        verdict
    }
}

fn reply_of(plan: PlanRef, slot: &'static Slot) -> &'static [u8] {
    let len = slot.reply_len.load(Relaxed);
    let block = slot.reply_block.load(Acquire);
    let place = if block != 0 { Region::of(plan.arena, block, len) } else { slot.reply().part(0, len as usize) };
    place.map_or(&[], Region::frozen)
}

fn failure(code: i32, message: &str) -> Error {
    match (code, message) {
        (code, "") => Error::TaskFailed(format!("the function returned {code}").into()),
        (_, message) => Error::TaskFailed(message.to_string().into()),
    }
}

/// The verdict on a task whose worker died over it.
fn lost(verdict: &mut Verdict, end: End, evidence: Option<Evidence>) {
    let (slot, state) = (end.slot, end.task.state());
    let sentence = || end.terms.map_or(Sentence::Time, |terms| Sentence::from_word(terms.sentence.load(Relaxed)));
    let sentence = (state == State::Expired).then(sentence);
    // If nobody can tell how the worker ended, it may have told itself.
    let told = || evidence.as_ref().and_then(|evidence| evidence.crash.as_ref()).map(|crash| -crash.signal);
    let exit = crate::pool::exit_of(slot.exit.load(Relaxed)).or_else(told);
    verdict.max_rss_bytes = slot.max_rss.load(Relaxed);
    match exit {
        Some(code) if code < 0 => verdict.signal = -code,
        Some(code) => verdict.exit_code = code,
        None => verdict.exit_code = -1,
    }
    let how = || match exit {
        Some(code) if code < 0 => format!("the worker was ended by signal {}", -code),
        Some(code) => format!("the worker left with exit code {code}"),
        None => "the worker died".into(),
    };
    let (limit, error) = match (sentence, verdict.signal) {
        (Some(Sentence::Time), _) => (Limit::Time, Error::TimeLimit),
        (Some(Sentence::Cpu), _) => (Limit::Cpu, Error::TimeLimit),
        (Some(Sentence::Memory), _) => (Limit::Memory, Error::MemoryLimit),
        (Some(Sentence::Cancelled), _) => (Limit::None, Error::Cancelled),
        (None, signals::OUT_OF_CPU) => (Limit::Cpu, Error::WorkerLost(how().into())),
        (None, signals::FILE_TOO_LARGE) => (Limit::FileSize, Error::WorkerLost(how().into())),
        (None, _) => (Limit::None, Error::WorkerLost(how().into())),
    };
    (verdict.limit, verdict.status) = (limit, Err(error));
    verdict.message = verdict.status.as_ref().err().map(|error| error.to_string()).unwrap_or_default();
    // A time limit may have come while it wrote.
    verdict.evidence = evidence.map(|mut evidence| {
        evidence.crash = evidence.crash.filter(|crash| crash.signal == verdict.signal);
        Arc::new(evidence)
    });
}
