//! Arenas that are none, or no longer: whoever maps one, and whoever follows an offset or an index in one, gets a status.
//! `c-tests/torture_hostile.c` does the same from C, while others are at work.
//!
//! CAROM_HOSTILE_SECONDS: how long (1 without). CAROM_HOSTILE_SEED: of the random numbers, printed.

use carom::error::Error;
use carom::family;
use carom::shm::arena::Arena;
use carom::shm::cell::{Cell, Kind, Reference};
use carom::shm::heap::Heap;
use carom::shm::pipe::{TAKEN, Tried};
use carom::shm::pipe_cell::{self, End};
use carom::shm::plan::PlanRef;
use carom::shm::queue_cell::Ends;
use carom::shm::region::Region;
use carom::shm::{check, functions, repair};
use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// Longer than anything takes that has an end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `act` gives; it is told apart from an endless loop.
fn ends<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(act()));
    told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what} does not end"))
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    /// Mostly near something that matters.
    fn word(&mut self, arena: Arena) -> u64 {
        let ends = [0, 1, 15, 16, 4096, arena.heap_at(), arena.size(), arena.cell_limit(), 1 << 32, u64::MAX];
        match self.below(4) {
            0 => ends[self.below(ends.len() as u64) as usize].wrapping_add(self.below(64)).wrapping_sub(32),
            1 => arena.heap_at() + self.below(4096) * 16,
            2 => self.below(1 << 20),
            _ => self.next() >> self.below(64),
        }
    }
}

fn memory_file(size: u64, seals: i32, begin: &[u8]) -> OwnedFd {
    // SAFETY: plain calls; the descriptor is new and nobody else's.
    let mut file = unsafe {
        let fd = libc::memfd_create(c"hostile".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        assert!(fd >= 0);
        File::from_raw_fd(fd)
    };
    file.set_len(size).unwrap();
    file.write_all(begin).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&file), libc::F_ADD_SEALS, seals) }, 0);
    file.into()
}

#[test]
fn what_is_no_arena_is_not_attached() {
    let mut random = Random(1);
    let noise: Vec<u8> = (0..65536).map(|_| random.next() as u8).collect();
    let sealed = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // A header whose size is right, and whose stamp is another build's.
    let mut other_build = vec![0; 4096];
    other_build[..8].copy_from_slice(&(64 * MIB).to_le_bytes());
    let files = [
        ("noise", memory_file(64 * MIB, sealed, &noise)),
        ("zeros", memory_file(64 * MIB, sealed, &[])),
        ("another build's", memory_file(64 * MIB, sealed, &other_build)),
        ("too small", memory_file(4096, sealed, &other_build)),
        ("a byte", memory_file(1, sealed, &[])),
        ("empty", memory_file(0, sealed, &[])),
        ("could be cut", memory_file(64 * MIB, 0, &other_build)),
        ("no memory file", File::open("/dev/null").unwrap().into()),
        ("a directory", File::open("/").unwrap().into()),
    ];
    for (what, file) in files {
        let attached = Arena::attach(file);
        let refused = matches!(attached, Err(Error::Broken(_) | Error::NoMemory(_) | Error::Os { .. }));
        assert!(refused, "{what} was attached");
    }
}

fn follow_anything(arena: Arena, random: &mut Random) {
    let (offset, len) = (random.word(arena), random.word(arena));
    if let Some(region) = Region::of(arena, offset, len) {
        assert!(offset + len <= arena.size() && region.len() as u64 == len);
    }
    assert!(arena.word(offset).is_none() || (offset + 8 <= arena.size() && offset % 8 == 0));
    assert!(arena.cell(offset).is_none() || offset < arena.cell_limit());
    let _ = Reference::from_bits(offset).cell(arena);
    let _ = Heap::of(arena).capacity(offset);
    let _ = functions::get(arena, offset as u32);
    if let Ok(plan) = PlanRef::open(arena, offset) {
        let _ = (plan.phase(), plan.lanes().len());
    }
}

fn use_the_heap(arena: Arena, cells: &[&'static Cell], random: &mut Random) {
    let cell = cells[random.below(cells.len() as u64) as usize];
    let len = random.below(20_000);
    if cell.block.load(Relaxed) == 0 {
        let _ = Heap::of(arena).take(len, &cell.block);
    } else {
        let _ = Heap::of(arena).give(&cell.block);
    }
}

#[test]
fn a_damaged_arena_gives_a_status() {
    let seconds = std::env::var("CAROM_HOSTILE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let seed = std::env::var("CAROM_HOSTILE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    println!("hostile: seed {seed}");
    let family = family::current().unwrap();
    let (arena, slot) = (family.arena, family.me.slot);
    let mut random = Random(seed);
    let kinds = [Kind::Value, Kind::Semaphore, Kind::Barrier, Kind::Pool, Kind::Lock, Kind::Array];
    let cells: Vec<_> = kinds.iter().map(|kind| Cell::claim(arena, *kind, slot).unwrap()).collect();
    assert!(check::check(arena).is_ok());
    // One after the other: they have one arena.
    segments_in_a_circle_are_no_endless_loop(arena, slot);
    a_segment_outside_the_chain_is_no_endless_loop(arena, slot, &cells[0].block);
    messages_that_were_all_taken_are_no_endless_loop(arena, slot);
    let (mut rounds, mut found) = (0u64, 0u64);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < until {
        // Not the first words of the arena, which `check` alone asks; nor the lock of the heap, which this thread would
        // wait for: see the hostile test in C.
        let places = [arena.function_at(0), arena.offset_of(cells[random.below(6) as usize]), arena.heap_at()];
        let place = places[random.below(3) as usize] + random.below(16) * 8;
        let word = arena.word(place).unwrap();
        let before = word.swap(random.word(arena), Relaxed);
        for _ in 0..20 {
            follow_anything(arena, &mut random);
            use_the_heap(arena, &cells, &mut random);
        }
        found += check::check(arena).is_err() as u64;
        repair::collect(arena, slot);
        // Mostly one at a time: much damage hides more.
        if random.below(8) != 0 {
            word.store(before, Relaxed);
        }
        rounds += 1;
    }
    println!("hostile: {rounds} words written, damage found {found} times");
    assert!(rounds > 0 && found > 0);
}

/// A queue of two segments: where they are.
fn queue_of_two_segments(arena: Arena, slot: u32) -> (Ends, [u64; 2]) {
    let ends = Ends::make(arena, slot).unwrap();
    let queue = ends.queue(arena).unwrap();
    loop {
        let mut batch = queue.begin();
        queue.push(&mut batch, 1000, 0).unwrap();
        queue.commit(batch);
        let mut segments = Vec::new();
        queue.each_segment(&mut |field| segments.push(field.load(Relaxed)));
        segments.retain(|segment| *segment != 0);
        if let Ok(segments) = segments.try_into() {
            return (ends, segments);
        }
    }
}

/// The second segment of a queue names the first one as the next.
fn segments_in_a_circle_are_no_endless_loop(arena: Arena, slot: u32) {
    let (damaged, segments) = queue_of_two_segments(arena, slot);
    let next = arena.word(segments[1]).unwrap();
    next.store(segments[0], Relaxed);
    assert!(matches!(ends("a look at all blocks", move || check::check(arena)), Err(Error::Broken(_))));
    // Longer than each of them: it would be in the next one, or in that behind.
    let put = move || {
        let queue = damaged.queue(arena)?;
        queue.push(&mut queue.begin(), 30_000, 0)
    };
    assert!(matches!(ends("a put", put), Err(Error::Broken(_))));
    next.store(0, Relaxed);
    damaged.inlet.let_go(arena, damaged.generation, slot);
    assert!(check::check(arena).is_ok());
}

/// The first segment has none behind it, though what is taken is there.
fn a_segment_outside_the_chain_is_no_endless_loop(arena: Arena, slot: u32, field: &'static AtomicU64) {
    let (damaged, segments) = queue_of_two_segments(arena, slot);
    let take_all = move || {
        let queue = damaged.queue(arena)?;
        while let Some(front) = queue.front(&damaged.outlet.len)? {
            if front.at < segments[0] || front.at > segments[0] + 4096 {
                arena.word(segments[0]).unwrap().store(0, Relaxed);
            }
            queue.take(front)?;
        }
        Ok(())
    };
    assert!(matches!(ends("a get", take_all), Err(Error::Broken(_))));
    ends("the end", move || damaged.inlet.let_go(arena, damaged.generation, slot));
    // The second one was lost.
    field.store(segments[1], Relaxed);
    Heap::of(arena).give(field).unwrap();
    assert!(check::check(arena).is_ok());
}

/// All that a pipe has room for was taken, and is not said to be, however the slots are marked.
fn messages_that_were_all_taken_are_no_endless_loop(arena: Arena, slot: u32) {
    let [left, _] = pipe_cell::make(arena, [pipe_cell::RECEIVES | pipe_cell::SENDS; 2], slot).unwrap();
    let end = End::of(arena, left).unwrap();
    for len in [TAKEN, u64::MAX] {
        end.into.slots.iter().for_each(|slot| slot.len.store(len, Relaxed));
        end.into.tail.word.store(end.into.head.word.load(Relaxed).wrapping_add(1 << 62), Relaxed);
        let receive = move || {
            let tried = end.into.try_receive(|| true, |_, _| Ok::<_, ()>(()), |_, _| {});
            matches!(tried, Tried::Nothing)
        };
        assert!(ends("a receive", receive));
    }
}
