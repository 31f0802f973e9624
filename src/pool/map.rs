//! A map: one function over many items, in chunks, with one verdict per item.
#![forbid(unsafe_code)]

use super::desk::{Desk, Goal};
use super::job::{JobId, Verdict};
use super::work::Work;
use super::{Pool, TaskOptions};
use crate::error::{Error, Result, Status};
use crate::family::Family;
use crate::shm::cell::{Cell, Kind, SETTLED};
use crate::shm::heap::Heap;
use crate::shm::job_note;
use crate::shm::memory::Deadline;
use crate::shm::plan::{Chunk, WRONG_ITEM};
use crate::shm::region::Region;
use crate::sys::clock::now_ns;
use std::ffi::CStr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a map that is waited for puts what it has, and until when.
pub struct Outputs<'a> {
    /// The replies, one behind the other.
    pub out: &'a mut [u8],
    /// One status per item, where the caller wants them.
    pub statuses: Option<&'a mut [Status]>,
    /// When the caller waits no longer.
    pub deadline: Deadline,
}

/// The memory of a map, and what is known of its items.
pub struct Map {
    family: Family,
    cell: &'static Cell,
    shape: Shape,
    /// Its name.
    pub id: JobId,
    correlation: Option<Arc<CStr>>,
    /// When it was submitted.
    pub submitted_ns: u64,
    /// Items whose outcome is not known.
    left: AtomicU64,
    /// Chunks that workers may be working on.
    busy: AtomicU64,
    abandoned: AtomicBool,
    failures: Mutex<Failures>,
}

/// How many items of which size.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Bytes of an item.
    pub item_size: usize,
    /// Items.
    pub count: usize,
    /// Bytes of a reply, 0 for none.
    pub reply_size: usize,
}

/// What failed, beyond what the codes say.
#[derive(Default)]
struct Failures {
    /// The failed item with the lowest index.
    first: Option<Verdict>,
    /// Items that have a status of their own: lost, out of time, cancelled.
    ranges: Vec<(u64, u64, Status)>,
    /// Items of chunks in which a function failed: what became of each stands in the codes.
    coded: Vec<(u64, u64)>,
}

impl Map {
    fn new(family: Family, pool: u64, id: JobId, shape: Shape, correlation: Option<Arc<CStr>>) -> Result<Map> {
        let too_many = Error::NoMemory("more items than the arena holds");
        let replies = shape.count.checked_mul(shape.reply_size).ok_or(too_many.clone())?;
        let codes = shape.count.checked_mul(4).ok_or(too_many)?;
        let cell = Cell::claim(family.arena, Kind::Bulk, family.me.slot)?;
        cell.type_code.store(pool as u32, Release);
        // From here on `drop` cleans up.
        let map = Map {
            family,
            cell,
            shape,
            id,
            correlation,
            submitted_ns: now_ns(),
            left: AtomicU64::new(shape.count as u64),
            busy: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
            failures: Mutex::default(),
        };
        let heap = Heap::of(family.arena);
        let len = shape.count * shape.item_size;
        let whole = job_note::with_name(len, map.name()).ok_or(Error::invalid("the name of a task is absurd"))?;
        let items = heap.take(whole as u64, &cell.block)?;
        if let Some(place) = Region::of(family.arena, items, whole as u64) {
            job_note::write_name(place, len, map.name());
        }
        heap.take(replies as u64, &cell.extra[0])?;
        heap.take(codes as u64, &cell.extra[1])?;
        Ok(map)
    }

    fn region(&self, field: &AtomicU64, size: usize) -> Result<Region> {
        let region = Region::of(self.family.arena, field.load(Acquire), (self.shape.count * size) as u64);
        region.ok_or(Error::Panic("memory of a map is not in the arena".into()))
    }

    /// What the host calls it; empty for nothing.
    pub fn name(&self) -> &CStr {
        self.correlation.as_deref().unwrap_or_default()
    }

    fn items(&self) -> Result<Region> {
        self.region(&self.cell.block, self.shape.item_size)
    }

    fn replies(&self) -> Result<Region> {
        self.region(&self.cell.extra[0], self.shape.reply_size)
    }

    fn codes(&self) -> Result<Region> {
        self.region(&self.cell.extra[1], 4)
    }

    /// What a worker needs to know of a chunk that ends at `end`.
    pub fn chunk(&self, end: u64) -> Chunk {
        Chunk {
            items: self.cell.block.load(Acquire),
            item_size: self.shape.item_size as u64,
            replies: if self.shape.reply_size == 0 { 0 } else { self.cell.extra[0].load(Acquire) },
            reply_size: self.shape.reply_size as u64,
            codes: self.cell.extra[1].load(Acquire),
            end,
            count: self.shape.count as u64,
        }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A chunk goes to a worker.
    pub fn begin_chunk(&self) {
        self.busy.fetch_add(1, AcqRel);
    }

    /// No worker has to do with the chunk any more.
    pub fn end_chunk(&self) {
        self.busy.fetch_sub(1, AcqRel);
    }

    /// The outcome of so many items is known.
    pub fn done(&self, items: u64) {
        self.left.fetch_sub(items, AcqRel);
    }

    /// An item failed; the first one is shown to the caller.
    pub fn note(&self, verdict: &Verdict) {
        let mut failures = self.failures();
        if failures.first.as_ref().is_none_or(|first| verdict.item < first.item) {
            failures.first = Some(verdict.clone());
        }
    }

    /// A function failed over an item of these, which a worker has done.
    pub fn note_codes(&self, from: u64, to: u64, verdict: &Verdict) {
        self.note(verdict);
        self.failures().coded.push((from, to));
    }

    /// These items have this verdict.
    pub fn fail(&self, from: u64, to: u64, verdict: &Verdict) {
        self.note(verdict);
        let status = verdict.status.as_ref().err().map_or(0, Error::status);
        self.failures().ranges.push((from, to, status));
    }

    /// Nobody waits for it any more.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Acquire)
    }

    fn is_done(&self) -> bool {
        self.left.load(Acquire) == 0
    }

    /// Replies and statuses into the caller's memory, and how it went.
    fn deliver(&self, out: &mut [u8], statuses: Option<&mut [Status]>) -> Result<Option<Verdict>> {
        let failures = std::mem::take(&mut *self.failures());
        let replies = self.replies()?;
        if failures.first.is_none() {
            replies.read(out);
            statuses.into_iter().for_each(|statuses| statuses.fill(0));
            return Ok(None);
        }
        let mut own = Vec::new();
        let statuses = match statuses {
            Some(statuses) => statuses,
            None => {
                own.resize(self.shape.count, 0);
                &mut own
            }
        };
        statuses.fill(0);
        for (from, to) in &failures.coded {
            self.read_codes(*from as usize, &mut statuses[*from as usize..*to as usize])?;
        }
        for (from, to, status) in &failures.ranges {
            statuses[*from as usize..*to as usize].fill(*status);
        }
        let size = self.shape.reply_size;
        // The slots of failed items stay as they were.
        for index in (0..self.shape.count).filter(|index| size > 0 && statuses[*index] == 0) {
            let place = index * size;
            if let Some(reply) = replies.part(place, size) {
                reply.read(&mut out[place..place + size]);
            }
        }
        Ok(failures.first)
    }

    fn read_codes(&self, first: usize, statuses: &mut [Status]) -> Result<()> {
        let codes = self.codes()?;
        for (index, status) in statuses.iter_mut().enumerate() {
            let mut code = [0; 4];
            let found = codes.part((first + index) * 4, 4).is_some_and(|place| place.read(&mut code));
            *status = match i32::from_ne_bytes(code) {
                0 if found => 0,
                WRONG_ITEM => Error::MessageSize { needed: 0, capacity: 0 }.status(),
                _ => Error::TaskFailed("".into()).status(),
            };
        }
        Ok(())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // While a worker may still write there the memory stays, until the last worker is dead.
        if self.busy.load(Acquire) == 0 {
            self.cell.flags.store(SETTLED, Release);
        }
        self.cell.let_go(self.family.arena, self.cell.generation(), self.family.me.slot);
    }
}

/// Billiard's rule: four chunks per worker, rounded up.
pub(super) fn chunk_size(count: usize, workers: usize, wanted: u64) -> u64 {
    if wanted > 0 { wanted } else { (count.div_ceil(4 * workers.max(1)) as u64).max(1) }
}

impl Pool {
    /// Runs the function over `items` and writes the replies, one of `reply_size` bytes each. Waits; the verdict is of the
    /// failed item with the lowest index, if any failed.
    pub fn map(
        &self,
        address: usize,
        items: &[u8],
        shape: Shape,
        options: TaskOptions,
        outputs: Outputs<'_>,
    ) -> Result<Option<Verdict>> {
        self.own()?;
        let function = self.function(address)?;
        if shape.count == 0 {
            return Ok(None);
        }
        let options = options.awaited()?;
        let order = self.order(&options)?;
        let id = self.next_id();
        let map = Arc::new(Map::new(self.family(), self.cell_index(), id, shape, options.correlation)?);
        let size = chunk_size(shape.count, self.with_desk(|desk| desk.lanes()), options.chunk);
        let submitted = self.submit_chunks(&map, items, size, |from, to| {
            Work::chunk(map.clone(), from, to, function, order) //
        });
        let waited =
            submitted.and_then(|()| self.wait(outputs.deadline, Goal::All, |_: &mut Desk| map.is_done().then_some(())));
        if let Err(error) = waited {
            map.abandoned.store(true, Release);
            self.with_desk(|desk| desk.abandon(&map));
            return Err(error);
        }
        map.deliver(outputs.out, outputs.statuses)
    }

    /// Chunk by chunk: the first is at work while the next is copied.
    fn submit_chunks(&self, map: &Map, items: &[u8], size: u64, work: impl Fn(u64, u64) -> Work) -> Result<()> {
        let (count, item_size) = (map.shape.count as u64, map.shape.item_size);
        let place = map.items()?;
        for from in (0..count).step_by(size as usize) {
            let to = from.saturating_add(size).min(count);
            let (start, end) = (from as usize * item_size, to as usize * item_size);
            place.part(start, end - start).map(|place| place.write(&items[start..end]));
            self.submit(work(from, to), (&[][..]).into())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::chunk_size;

    #[test]
    fn chunks_follow_billiards_rule() {
        assert_eq!(chunk_size(1000, 4, 0), 63);
        assert_eq!(chunk_size(3, 4, 0), 1);
        assert_eq!(chunk_size(1000, 4, 7), 7);
        assert_eq!(chunk_size(0, 4, 0), 1);
    }
}
