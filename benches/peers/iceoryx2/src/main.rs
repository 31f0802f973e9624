//! D and G. iceoryx2: publish and subscribe between two processes, polling. A subscriber takes part before anything is measured: what is sent
//! before its first receive may be dropped.
use iceoryx2::prelude::*;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Instant;

#[repr(C, align(128))]
struct Gate {
    ready: AtomicU32,
    taken: AtomicU64,
    over: AtomicU32,
}

fn gate() -> &'static Gate {
    let (read_write, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping of a page, zero, which is a valid Gate; never unmapped.
    unsafe { &*libc::mmap(std::ptr::null_mut(), 4096, read_write, shared, -1, 0).cast::<Gate>() }
}

fn pin(cpu: usize) {
    // SAFETY: a set of ours; zero is an empty one.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Runs `body` in a child on the second processor.
fn spawn(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: plain call.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            pin(1);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: plain call.
            unsafe { libc::_exit(outcome.is_err() as i32) }
        }
        pid => pid,
    }
}

fn join(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: a status of ours.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!(status, 0, "the child failed");
}

fn await_one(word: &AtomicU32) {
    while word.load(SeqCst) == 0 {
        std::thread::yield_now();
    }
}

type Service = iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()>;

fn node() -> Node<ipc::Service> {
    set_log_level(LogLevel::Error);
    NodeBuilder::new().signal_handling_mode(SignalHandlingMode::Disabled).create::<ipc::Service>().unwrap()
}

fn service(node: &Node<ipc::Service>, name: &str, buffer: usize) -> Service {
    let builder = node.service_builder(&name.try_into().unwrap()).publish_subscribe::<[u8]>();
    let builder = builder.enable_safe_overflow(false).history_size(0).subscriber_max_buffer_size(buffer);
    builder.subscriber_max_borrowed_samples(4).max_publishers(2).max_subscribers(2).open_or_create().unwrap()
}

fn name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("carom-bench/{what}/{}/{}", std::process::id(), COUNT.fetch_add(1, SeqCst))
}

fn there_and_back() {
    const ROUNDS: u64 = 100_000;
    let (gate, there, back) = (gate(), name("there"), name("back"));
    let (to, from) = (there.clone(), back.clone());
    let child = spawn(move || {
        let node = node();
        let (to, from) = (service(&node, &to, 8), service(&node, &from, 8));
        let (subscriber, publisher) = (
            to.subscriber_builder().create().unwrap(),
            from.publisher_builder().initial_max_slice_len(64).create().unwrap(),
        );
        gate.ready.store(1, SeqCst);
        for _ in 0..ROUNDS {
            let sample = loop {
                if let Some(sample) = subscriber.receive().unwrap() {
                    break sample;
                }
            };
            publisher.loan_slice_uninit(64).unwrap().write_from_slice(sample.payload()).send().unwrap();
        }
        await_one(&gate.over);
    });
    let node = node();
    let (to, from) = (service(&node, &there, 8), service(&node, &back, 8));
    let subscriber = from.subscriber_builder().create().unwrap();
    await_one(&gate.ready);
    let publisher = to.publisher_builder().initial_max_slice_len(64).create().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let begin = Instant::now();
    for round in 0..ROUNDS {
        let mut message = [0; 64];
        message[..8].copy_from_slice(&round.to_ne_bytes());
        publisher.loan_slice_uninit(64).unwrap().write_from_slice(&message).send().unwrap();
        let sample = loop {
            if let Some(sample) = subscriber.receive().unwrap() {
                break sample;
            }
        };
        assert_eq!(sample.payload(), message);
    }
    let ns = begin.elapsed().as_nanos() as f64 / ROUNDS as f64;
    gate.over.store(1, SeqCst);
    join(child);
    for metric in ["G.pipe_awake", "G.queue_awake"] {
        println!("iceoryx2-polling {metric} {ns} ns");
    }
}

/// Copied: in and out. Lent: of each message only the first bytes are touched.
fn through(metric: &str, size: usize, messages: u64, copied: bool) {
    let (gate, name) = (gate(), name("queue"));
    let (theirs, buffer) = (name.clone(), if size > 65536 { 8 } else { 64 });
    let child = spawn(move || {
        let node = node();
        let subscriber = service(&node, &theirs, buffer).subscriber_builder().create().unwrap();
        let mut out = vec![0; size];
        gate.ready.store(1, SeqCst);
        for number in 0..messages {
            let sample = loop {
                if let Some(sample) = subscriber.receive().unwrap() {
                    break sample;
                }
                std::hint::spin_loop();
            };
            let some = if copied { size } else { 8 };
            out[..some].copy_from_slice(&sample.payload()[..some]);
            assert_eq!(out[..8], number.to_ne_bytes());
            gate.taken.store(number + 1, SeqCst);
        }
    });
    let node = node();
    let service = service(&node, &name, buffer);
    await_one(&gate.ready);
    let builder = service.publisher_builder().initial_max_slice_len(size);
    let publisher = builder.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered).create().unwrap();
    let mut data = vec![7; size];
    let mut begin = Instant::now();
    for number in 0..messages {
        let mut loan = publisher.loan_slice_uninit(size).unwrap();
        data[..8].copy_from_slice(&number.to_ne_bytes());
        if copied {
            loan.write_from_slice(&data).send().unwrap();
        } else {
            // SAFETY: at least 8 bytes; whatever the others are, they are bytes, and nobody reads them.
            unsafe {
                loan.payload_mut().as_mut_ptr().cast::<u64>().write_unaligned(number);
                loan.assume_init().send().unwrap();
            }
        }
        if number == 0 {
            while gate.taken.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            begin = Instant::now();
        }
    }
    join(child);
    let rate = (messages - 1) as f64 / begin.elapsed().as_secs_f64();
    println!("iceoryx2-{} {metric} {rate} msg/s", if copied { "copy" } else { "loan" });
}

fn main() {
    pin(0);
    let section = std::env::args().nth(1).unwrap_or_default();
    if section != "D" {
        there_and_back();
    }
    if section == "G" {
        return;
    }
    for (copied, kind) in [(true, "1p1c"), (false, "lent")] {
        let row = |length: &str| format!("D.queue_{kind}_{length}");
        through(&row("64B"), 64, 500_000, copied);
        through(&row("1KiB"), 1024, 300_000, copied);
        through(&row("64KiB"), 65536, 20_000, copied);
        through(&row("1MiB"), 1 << 20, 2_000, copied);
    }
}
