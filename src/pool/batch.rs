//! Many tasks with one result: maps that are not waited for, maps over lists of arguments and over ranges.
#![forbid(unsafe_code)]

use super::extras::Extras;
use super::job::{Job, Verdict};
use super::map::{Outputs, Shape, chunk_size};
use super::work::{Order, Work};
use super::{Pool, TaskOptions};
use crate::error::{Error, Result};
use crate::pin::Pins;
use crate::shm::memory::Deadline;
use crate::wire::{self, Argument};
use std::ops::Range;
use std::sync::Arc;

/// The encoded arguments of item `index`.
pub type Arguments<'a> = &'a mut dyn FnMut(u64) -> Result<Vec<u8>>;

/// The parts of a range.
pub struct Ranges {
    range: Range<i64>,
    size: u64,
}

impl Ranges {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.range.end.abs_diff(self.range.start).div_ceil(self.size)
    }

    /// The first index of a part, and the one behind its last.
    pub fn bounds(&self, part: u64) -> (i64, i64) {
        let first = self.range.start + (part * self.size) as i64;
        (first, first.saturating_add_unsigned(self.size).min(self.range.end))
    }
}

impl Pool {
    /// Submits a task for each of `count` items, whose name in verdicts is `name(index)`; the whole tells what becomes of
    /// them.
    pub fn batch(
        self: &Arc<Pool>,
        address: usize,
        count: u64,
        options: &TaskOptions,
        name: impl Fn(u64) -> u64,
        arguments: Arguments<'_>,
    ) -> Result<Arc<Job>> {
        self.own()?;
        let function = self.function(address)?;
        let order = self.order(options)?;
        self.with_desk(|desk| desk.check_open())?;
        let whole =
            Arc::new(Job::with_extras(self, 0, options.context, Some(Box::new(Extras::of_whole(options, count)))));
        if let Some(first) = options.key.as_ref().and_then(|key| self.keys.claim(key, &whole)) {
            return Ok(first);
        }
        if count == 0 {
            whole.settle_whole();
            self.with_desk(|desk| desk.tell_done(Some(whole.clone())));
            return Ok(whole);
        }
        let part = |index| {
            let extras = Box::new(Extras::of_part(&whole));
            Arc::new(Job::with_extras(self, name(index), options.context, Some(extras)))
        };
        let jobs: Vec<_> = (0..count).map(part).collect();
        whole.parts().into_iter().for_each(|parts| parts.set(jobs.clone()));
        let submitted = self.submit_parts(&jobs, function, order, options, arguments);
        submitted.inspect_err(|error| {
            whole.fail(Verdict::of(Err(error.clone()), 0));
            self.with_desk(|desk| desk.forget(&whole));
            // Those that were never submitted are never settled, and would keep the whole for ever, as it does them.
            jobs.iter().for_each(|job| _ = job.extras().and_then(Extras::leave));
        })?;
        Ok(whole)
    }

    fn submit_parts(
        &self,
        jobs: &[Arc<Job>],
        function: u32,
        order: Order,
        options: &TaskOptions,
        arguments: Arguments<'_>,
    ) -> Result<()> {
        for (index, job) in jobs.iter().enumerate() {
            let arguments = arguments(index as u64)?;
            let toll = self.await_room(options.patience_ns, arguments.len())?;
            let pins = Pins::of(self.family(), &arguments)?;
            let follows = options.follows(index as u64);
            self.submit(
                Work { toll, follows, ..Work::single(job.clone(), function, order, None, pins) },
                (&*arguments).into(),
            )?;
        }
        Ok(())
    }

    /// The same for the items of an array.
    pub fn map_async(
        self: &Arc<Pool>,
        address: usize,
        items: &[u8],
        item_size: usize,
        count: usize,
        options: &TaskOptions,
    ) -> Result<Arc<Job>> {
        let item = |index: u64| &items[index as usize * item_size..(index as usize + 1) * item_size];
        let arguments = &mut |index| wire::to_vec(&[Argument::Bytes(item(index))]);
        self.batch(address, count as u64, options, |index| index, arguments)
    }

    /// Waits for a batch and writes the replies, as [`Pool::map`] does. Out of time, what is left of it is
    /// stopped.
    pub fn finish_batch(&self, whole: &Arc<Job>, shape: Shape, outputs: Outputs<'_>) -> Result<Option<Verdict>> {
        let Outputs { out, statuses, deadline } = outputs;
        whole.wait(deadline).inspect_err(|_| self.with_desk(|desk| desk.forget(whole)))?;
        let mut failed = None;
        let mut own = Vec::new();
        let statuses = statuses.unwrap_or_else(|| {
            own.resize(shape.count, 0);
            &mut own
        });
        for (index, job) in whole.parts().into_iter().flat_map(|parts| parts.jobs()).enumerate() {
            let verdict = read_part(job, index, shape.reply_size, out);
            if let Some(status) = statuses.get_mut(index) {
                *status = verdict.as_ref().and_then(|verdict| verdict.status.as_ref().err()).map_or(0, Error::status);
            }
            failed = failed.or(verdict);
        }
        Ok(failed)
    }

    /// A range in parts of so many indexes; 0: by billiard's rule.
    pub fn ranges(&self, range: Range<i64>, chunk: u64) -> Result<Ranges> {
        let count = range.end.checked_sub(range.start).and_then(|count| usize::try_from(count).ok());
        let count = count.ok_or(Error::invalid("a range ends before it begins, or is too long"))?;
        let size = chunk_size(count, self.with_desk(|desk| desk.lanes()), chunk);
        Ok(Ranges { range, size })
    }

    /// Submits a task for each part of a range, named by its first index.
    pub fn batch_of_ranges(
        self: &Arc<Pool>,
        address: usize,
        ranges: &Ranges,
        options: &TaskOptions,
        arguments: Arguments<'_>,
    ) -> Result<Arc<Job>> {
        // A range is a chunk by itself.
        let options = TaskOptions { chunk: 0, ..options.clone() };
        self.batch(address, ranges.count(), &options, |index| ranges.bounds(index).0 as u64, arguments)
    }

    /// Runs the function over the indexes of `range`, a part of it at a time: its arguments are the first index and the one
    /// behind the last, then `rest`. The verdict is of the failed part with the lowest indexes.
    pub fn map_range(
        self: &Arc<Pool>,
        address: usize,
        range: Range<i64>,
        rest: &[Argument<'_>],
        options: &TaskOptions,
        deadline: Deadline,
    ) -> Result<Option<Verdict>> {
        let ranges = self.ranges(range, options.chunk)?;
        let arguments = &mut |index| {
            let (begin, end) = ranges.bounds(index);
            let mut all = vec![Argument::Integer(begin), Argument::Integer(end)];
            all.extend_from_slice(rest);
            wire::to_vec(&all)
        };
        let options = options.clone().awaited()?;
        let whole = self.batch_of_ranges(address, &ranges, &options, arguments)?;
        let shape = Shape { item_size: 0, count: ranges.count() as usize, reply_size: 0 };
        self.finish_batch(&whole, shape, Outputs { out: &mut [], statuses: None, deadline })
    }
}

/// The reply of a part into its place, or why there is none.
fn read_part(job: &Job, index: usize, size: usize, out: &mut [u8]) -> Option<Verdict> {
    if let Some(verdict) = job.failure() {
        return Some(verdict.clone());
    }
    if !job.is_settled() {
        return Some(Verdict::of(Err(Error::Cancelled), job.item));
    }
    let fits = job.with_reply(|reply| {
        let fits = size == 0 || reply.len() == size;
        if fits && size > 0 {
            out[index * size..(index + 1) * size].copy_from_slice(reply);
        }
        fits
    });
    (!fits).then(|| Verdict::of(Err(Error::MessageSize { needed: size, capacity: 0 }), job.item))
}
