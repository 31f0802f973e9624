//! A block is given back once, whoever dies at that. What repairs after a death may die too, at any instruction: the next one
//! does it again, with what it finds.
//!
//! The heap is not generic over `Memory`, so this is no scenario of `tests/sim`: processes are stepped through `Heap::give` and
//! killed, and it is the kernel that frees the lock.

use carom::shm::arena::Arena;
use carom::shm::heap::{Heap, HeapRoot};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

const LEN: u64 = 200;

/// Of the instructions at which one may be while another one dies, every so many one; the last, behind its look at the field
/// and before its lock, is among them.
const STRIDE: usize = 20;

/// Three fields of the arena that nobody else uses, and two blocks of one free list.
struct Blocks {
    arena: Arena,
    heap: Heap,
    field: &'static AtomicU64,
    others: [&'static AtomicU64; 2],
    /// The blocks, in the order of the list.
    order: [u64; 2],
}

impl Blocks {
    fn new() -> Blocks {
        let arena = Arena::create().unwrap();
        let fields = [1, 2, 3].map(|slot| &arena.member(slot).letter);
        let heap = Heap::of(arena);
        let others = [fields[1], fields[2]];
        let order = others.map(|field| heap.take(LEN, field).unwrap());
        let blocks = Blocks { arena, heap, field: fields[0], others, order };
        blocks.put_back();
        blocks
    }

    fn put_back(&self) {
        self.others.iter().rev().for_each(|field| self.heap.give(field).unwrap());
    }

    fn take(&self) {
        assert_eq!(self.heap.take(LEN, self.field).unwrap(), self.order[0]);
    }

    /// The block is in its list, once, and nobody's.
    fn check(&self, when: &str) {
        assert_eq!(self.field.load(Relaxed), 0, "the field has its block still: {when}");
        let order = self.others.map(|field| self.heap.take(LEN, field).unwrap());
        assert_eq!(order, self.order, "the free list is damaged: {when}");
        self.put_back();
    }

    /// All that giving changes: the heap's own words, the header of the block, the field.
    fn words(&self) -> Vec<u64> {
        // SAFETY: the heap's words are in the arena, which is never unmapped, and are atomics of 4 and 8 bytes.
        let root = unsafe {
            let words = std::ptr::from_ref(&self.arena.header().heap).cast::<AtomicU64>();
            std::slice::from_raw_parts(words, size_of::<HeapRoot>() / 8)
        };
        let header = [16, 8].map(|before| self.arena.word(self.order[0] - before).unwrap());
        root.iter().chain(header).chain([self.field]).map(|word| word.load(SeqCst)).collect()
    }
}

/// A process that gives the field's block back, step by step.
struct Giver(libc::pid_t);

impl Giver {
    fn start(blocks: &Blocks) -> Giver {
        // SAFETY: the child calls only what a forked child of a threaded process may.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // SAFETY: plain system calls; it ends without running what the parent would run.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::raise(libc::SIGSTOP);
                let _ = blocks.heap.give(blocks.field);
                libc::_exit(0);
            }
        }
        let giver = Giver(pid);
        assert!(giver.is_stopped());
        // SAFETY: it is stopped, and this thread traces it. A test that fails leaves nobody behind.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, libc::PTRACE_O_EXITKILL) }, 0);
        giver
    }

    /// Waits; whether it is there still.
    fn is_stopped(&self) -> bool {
        let mut status = 0;
        // SAFETY: `status` is ours, and the child too.
        assert_eq!(unsafe { libc::waitpid(self.0, &mut status, 0) }, self.0);
        assert!(libc::WIFSTOPPED(status) || libc::WIFEXITED(status) || libc::WIFSIGNALED(status));
        libc::WIFSTOPPED(status)
    }

    fn go(&self, how: libc::c_uint) -> bool {
        // SAFETY: the child is stopped, and this thread traces it.
        assert_eq!(unsafe { libc::ptrace(how as _, self.0, 0, 0) }, 0);
        self.is_stopped()
    }

    /// Whether it has come so far.
    fn step(&self, steps: usize) -> bool {
        (0..steps).all(|_| self.go(libc::PTRACE_SINGLESTEP as _))
    }

    fn die(self) {
        // SAFETY: it is our child, not reaped yet.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        while self.is_stopped() {}
    }
}

/// After how many instructions something has changed.
fn changes(blocks: &Blocks) -> Vec<usize> {
    blocks.take();
    let giver = Giver::start(blocks);
    let mut changes = Vec::new();
    let mut words = blocks.words();
    let mut steps = 0;
    while giver.step(1) {
        steps += 1;
        let now = blocks.words();
        if now != words {
            changes.push(steps);
            words = now;
        }
    }
    blocks.check("nobody died");
    changes
}

#[test]
fn a_block_is_given_back_once() {
    let blocks = Blocks::new();
    let changes = changes(&blocks);
    let (first, last) = (changes[0], changes[changes.len() - 1]);
    assert!(changes.len() >= 5, "giving changes too little: {changes:?}");

    // One dies at it, then the next one gives.
    for at in first.saturating_sub(50)..last + 50 {
        blocks.take();
        let giver = Giver::start(&blocks);
        if giver.step(at) {
            giver.die();
        }
        blocks.heap.give(blocks.field).unwrap();
        blocks.check(&format!("killed at instruction {at} of {last}"));
    }

    // One dies at it while the next one has looked already, but not changed anything.
    for seen in (0..first).rev().step_by(STRIDE) {
        for at in &changes {
            blocks.take();
            let (next, giver) = (Giver::start(&blocks), Giver::start(&blocks));
            assert!(next.step(seen) && giver.step(*at));
            giver.die();
            while next.go(libc::PTRACE_CONT as _) {}
            // If it saw half of it, it left the rest to whoever comes next.
            blocks.heap.give(blocks.field).unwrap();
            blocks.check(&format!("killed at instruction {at} of {last}, while another one was at {seen}"));
        }
    }
}
