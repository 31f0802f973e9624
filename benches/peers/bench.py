"""The Python peers. usage: bench.py multiprocessing|billiard|futures SECTIONS   (letters; L: the lost task, which takes billiard 11 s)"""
import importlib
import os
import signal
import statistics
import sys
import time
import traceback

now = time.perf_counter
CPUS = sorted(os.sched_getaffinity(0))


def emit(peer, metric, value, unit):
    print(f"{peer} {metric} {value:.6g} {unit}", flush=True)


def pin(nth):
    os.sched_setaffinity(0, [CPUS[nth % len(CPUS)]])


def noop():
    pass


def inc(x):
    return x + 1


def square(x):
    return x * x


def echo(data):
    return data


def hang(x):
    time.sleep(60)


# ---- A: a process -----------------------------------------------------------------------------------------------------------
def section_A(peer, ctx):
    def once():
        p = ctx.Process(target=noop)
        p.start()
        p.join()
    once()
    n, t = 60, now()
    for _ in range(n):
        once()
    emit(f"{peer}.Process(fork)", "A.start_exit_join", (now() - t) / n * 1e6, "us")


# ---- B: a lock --------------------------------------------------------------------------------------------------------------
def contend(lock, value, n, nth, ready, go):
    pin(nth)
    ready.release()
    go.acquire()
    acquire, release = lock.acquire, lock.release
    for _ in range(n):
        acquire()
        value.value += 1
        release()


def section_B(peer, ctx):
    lock = ctx.Lock()
    acquire, release = lock.acquire, lock.release
    pin(0)
    n, t = 300000, now()
    for _ in range(n):
        acquire()
        release()
    emit(f"{peer}.Lock", "B.lock_uncontended", (now() - t) / n * 1e9, "ns")
    value, ready, go, n = ctx.RawValue("l", 0), ctx.Semaphore(0), ctx.Semaphore(0), 50000
    ps = [ctx.Process(target=contend, args=(lock, value, n, k, ready, go)) for k in range(2)]
    for p in ps:
        p.start()
    for p in ps:
        ready.acquire()
    t = now()
    for p in ps:
        go.release()
    for p in ps:
        p.join()
    assert value.value == 2 * n, value.value
    emit(f"{peer}.Lock", "B.lock_contended_2p", 2 * n / (now() - t), "ops/s")


# ---- E: a pool of two workers -------------------------------------------------------------------------------------------------
def measure_tasks(name, submit, result, apply, map):
    n, t = 20000, now()
    results = [submit(i) for i in range(n)]
    assert sum(result(r) for r in results) == n * (n + 1) // 2
    emit(name, "E.pool_apply_async", n / (now() - t), "tasks/s")
    n, t = 1000, now()
    for i in range(n):
        apply(i)
    emit(name, "E.pool_apply_roundtrip_awake", (now() - t) / n * 1e9, "ns")
    times = []
    for i in range(300):
        time.sleep(.0003)       # everybody falls asleep; not measured
        t = now()
        apply(i)
        times.append(now() - t)
    emit(name, "E.pool_apply_roundtrip_asleep", statistics.median(times) * 1e9, "ns")
    items = [float(i) for i in range(1000000)]
    t = now()
    out = map(square, items)
    seconds = now() - t
    assert len(out) == len(items) and out[-1] == items[-1] ** 2
    emit(name, "E.pool_map_1e6", len(items) / seconds, "tasks/s")


def measure_large(name, apply):
    size, n = 1 << 20, 32
    sent = bytearray(size)
    t = now()
    for i in range(n):
        sent[i] = i + 1
        received = apply(bytes(sent))
        assert len(received) == size and received[i] == i + 1
    emit(name, "E.pool_1MiB_in_and_out", n * 2 * size / (now() - t) / 1e9, "GB/s")


def section_E(peer, ctx):
    if peer == "futures":
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2, mp_context=ctx) as ex:
            list(ex.map(inc, range(100)))
            measure_tasks("ProcessPoolExecutor", lambda i: ex.submit(inc, i), lambda f: f.result(), lambda i: ex.submit(inc, i).result(),
                          lambda f, items: list(ex.map(f, items, chunksize=len(items) // 8)))   # the chunk that the pools choose
            measure_large("ProcessPoolExecutor", lambda data: ex.submit(echo, data).result())
        return
    pool = ctx.Pool(2)
    pool.map(inc, range(100))
    measure_tasks(f"{peer}.Pool", lambda i: pool.apply_async(inc, (i,)), lambda r: r.get(), lambda i: pool.apply(inc, (i,)), pool.map)
    measure_large(f"{peer}.Pool", lambda data: pool.apply(echo, (data,)))
    pool.terminate()
    pool.join()
    n, t = 2, now()
    for _ in range(n):
        p = ctx.Pool(2)
        p.terminate()
        p.join()
    emit(f"{peer}.Pool", "E.pool_create_terminate", (now() - t) / n * 1e6, "us")


# ---- F: a value ---------------------------------------------------------------------------------------------------------------
def section_F(peer, ctx):
    value, n = ctx.Value("l", 0), 50000
    t = now()
    for _ in range(n):
        with value.get_lock():
            value.value += 1
    emit(f"{peer}.Value", "F.counter_locked_1p", n / (now() - t), "ops/s")
    n, t = 300, now()
    values = [ctx.Value("l", 0) for _ in range(n)]
    del values
    emit(f"{peer}.Value", "F.make_and_free_value", (now() - t) / n * 1e9, "ns")


# ---- D: messages through a queue -----------------------------------------------------------------------------------------------
def drain(queue, count, ready):
    ready.set()
    for _ in range(count):
        queue.get()


def section_D(peer, ctx):
    for size, count in ((64, 50_000), (1 << 16, 2_000), (1 << 20, 100)):
        queue, ready, message = ctx.Queue(), ctx.Event(), b"x" * size
        consumer = ctx.Process(target=drain, args=(queue, count, ready))
        consumer.start()
        ready.wait()
        t = now()
        for _ in range(count):
            queue.put(message)
        consumer.join()
        name = {64: "64B", 1 << 16: "64KiB", 1 << 20: "1MiB"}[size]
        emit(f"{peer}.Queue", f"D.queue_1p1c_{name}", count / (now() - t), "msg/s")


# ---- G: managers -------------------------------------------------------------------------------------------------------------
def section_G(peer, ctx):
    name, n = f"{peer}.Manager", 2000
    t = now()
    manager = ctx.Manager()
    emit(name, "G.start", (now() - t) * 1e6, "us")
    shared, queue = manager.dict(), manager.Queue()
    shared["key"] = 7
    for metric, call in ("get_rtt", lambda: shared["key"]), ("set_rtt", lambda: shared.__setitem__("key", 7)):
        t = now()
        for _ in range(n):
            call()
        rate = n / (now() - t)
        emit(name, "G." + metric, rate, "ops/s")
        # It has one way for all, whoever asks.
        emit(name, "G." + metric.replace("rtt", "family"), rate, "ops/s")
    # Key by key, as it has to be where several are read and written; a dict as a whole would be one pickle.
    t = now()
    for key in range(n):
        shared[key] = key
    emit(name, "G.update_100", n / (now() - t), "keys/s")
    t = now()
    for _ in range(n):
        queue.put(7)
        queue.get()
    emit(name, "G.queue_put_get", n / (now() - t), "pairs/s")
    manager.shutdown()


# ---- H: the memory of an idle worker ------------------------------------------------------------------------------------------
def rollup(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        fields = [line.split() for line in lines]
    return {f[0][:-1]: int(f[1]) for f in fields if f[-1] == "kB"}


def section_H(peer, ctx):
    pool = ctx.Pool(8)
    pool.map(inc, range(1000))
    time.sleep(.3)
    rolls = [rollup(w.pid) for w in pool._pool]
    for metric, keys in ("private", ("Private_Dirty", "Private_Clean")), ("pss", ("Pss",)):
        emit(f"{peer}.Pool", f"H.idle_worker_{metric}", sum(r[k] for r in rolls for k in keys) / len(rolls), "KiB")
    pool.terminate()
    pool.join()


# ---- I: the death of a worker ---------------------------------------------------------------------------------------------------
# Only until the pool lists the new worker, which flatters them: whether it then works is another question. Killing an idle worker
# hangs multiprocessing.Pool for good in a third of all tries, because the idle worker holds the queue's lock; its terminate(), which
# the garbage collector would call, hangs as well. Hence `kept`.
kept = []


def section_I(peer, ctx):
    pool = ctx.Pool(2)
    kept.append(pool)
    pool.map(inc, range(10))
    time.sleep(2.3 if peer == "billiard" else .3)      # its supervisor looks every 0.8 s, at first not at all
    old, t = pool._pool[0].pid, now()
    os.kill(old, signal.SIGKILL)
    while True:
        pids = [w.pid for w in list(pool._pool)]
        if len(pids) == 2 and old not in pids:
            break
        if now() - t > 10:
            return
        time.sleep(.0002)
    emit(f"{peer}.Pool", "I.worker_replaced", (now() - t) * 1e6, "us")


def section_L(peer, ctx):
    if peer == "futures":
        from concurrent.futures import ProcessPoolExecutor
        name, ex = "ProcessPoolExecutor(then-broken)", ProcessPoolExecutor(2, mp_context=ctx)
        kept.append(ex)
        result = ex.submit(hang, 1)
        get = result.result
        time.sleep(.3)
        pid = list(ex._processes)[0]
    else:
        name, pool = f"{peer}.Pool", ctx.Pool(2)
        kept.append(pool)
        pool.map(inc, range(10))
        time.sleep(2.2)
        result = pool.apply_async(hang, (1,))
        get = result.get
        time.sleep(.5)
        pid = result._worker_pid or pool._pool[0].pid
    t = now()
    os.kill(pid, signal.SIGKILL)
    try:
        get(timeout=30)
    except BaseException as e:      # billiard wraps it in an exception that is no Exception
        emit(name, "I.lost_worker_reported", (now() - t) * 1e6, "us")


if __name__ == "__main__":
    peer, failed = sys.argv[1], 0
    module = importlib.import_module("multiprocessing" if peer == "futures" else peer)
    for letter in sys.argv[2]:
        try:
            globals()["section_" + letter](peer, module.get_context("fork"))
        except Exception:
            traceback.print_exc()
            failed = 1
        os.sched_setaffinity(0, CPUS)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(failed)    # what is left of the pools ends with the process group (collect.py)
