"""A pool from Python by ctypes: structs filled by hand, functions of libraries, closures refused or registered."""

import ctypes as c
import os
import select
import signal

library = c.CDLL(os.environ["CAROM_LIBRARY"])
for name in ("carom_error_message", "carom_status_name"):
    getattr(library, name).restype = c.c_char_p
library.carom_call_count.restype = c.c_int64
library.carom_pool_dispatch.restype = c.c_int64
p, i32, i64, u64, size_t = c.c_void_p, c.c_int32, c.c_int64, c.c_uint64, c.c_size_t
library.carom_pool_new.argtypes = [p, p]
library.carom_pool_apply_async.argtypes = [p, p, p, size_t, p, p]
library.carom_pool_map.argtypes = [p, p, p, size_t, size_t, p, p, size_t, i64]
library.carom_pool_next_event.argtypes = [p, p, i64]
library.carom_pool_fd.argtypes = [p]
library.carom_pool_dispatch.argtypes = [p, size_t]
library.carom_pool_join.argtypes = [p, i64]
library.carom_result_wait.argtypes = [p, i64]
library.carom_result_verdict.argtypes = [p, p]
for name in ("carom_pool_close", "carom_pool_free", "carom_result_free"):
    getattr(library, name).argtypes = [p]
library.carom_pool_free.restype = library.carom_result_free.restype = None
library.carom_call_read.argtypes = [p, size_t, p, size_t]
library.carom_call_reply.argtypes = [p, p, size_t]
library.carom_function_register.argtypes = [c.c_char_p, p]

ETIMEDOUT, EFUNCTION, ETASKFAILED, EWORKERLOST = -110, -5008, -5003, -5001
WORKER_UP, WORKER_DOWN, DONE = 1, 2, 8
PATIENCE_MS = 20000


class Options(c.Structure):
    _fields_ = [("size", size_t), ("workers", i32), ("events", c.c_uint32), ("time_limit_ms", i64)]


class Argument(c.Structure):
    _fields_ = [("kind", c.c_uint32), ("reserved", c.c_uint32), ("data", p), ("len", u64), ("integer", i64),
                ("real", c.c_double), ("handle", p)]


class Verdict(c.Structure):
    _fields_ = [("size", size_t), ("status", i32), ("code", i32), ("signal", i32), ("signal_code", i32),
                ("exitcode", i32), ("pid", i32), ("attempt", c.c_uint32), ("limit", c.c_uint32), ("job", u64 * 2),
                ("item", u64), ("fault_address", u64), ("queued_ns", i64), ("elapsed_ns", i64), ("cpu_ns", i64),
                ("max_rss_bytes", u64), ("message", c.c_char_p), ("backtrace", c.c_char_p),
                ("stderr_tail", c.c_char_p)]


class Event(c.Structure):
    _fields_ = [("size", size_t), ("kind", c.c_uint32), ("pid", i32), ("exitcode", i32), ("reason", c.c_uint32),
                ("job", u64 * 2), ("ctx", p), ("result", p)]


def check(status, wanted=0):
    assert status == wanted, (library.carom_status_name(status), library.carom_error_message())


def verdict_of(result):
    check(library.carom_result_wait(result, PATIENCE_MS))
    verdict = Verdict(size=c.sizeof(Verdict))
    check(library.carom_result_verdict(result, c.byref(verdict)))
    return verdict


def submit(pool, function, count=0):
    arguments, result = (Argument * max(count, 1))(), p()
    check(library.carom_pool_apply_async(pool, function, arguments, count, None, c.byref(result)))
    return result


closure_type = c.CFUNCTYPE(i32, p)


@closure_type
def closure(call):
    return 7


@closure_type
def double(call):
    x = c.c_double()
    if library.carom_call_read(call, 0, c.byref(x), 8) != 0:
        return 1
    x.value *= 2
    return library.carom_call_reply(call, c.byref(x), 8)


check(library.carom_function_register(b"double", c.cast(double, p)))
options = Options(size=c.sizeof(Options), workers=2, events=DONE | WORKER_DOWN)
pool = p()
check(library.carom_pool_new(c.byref(options), c.byref(pool)))

# A function of a library: its result is the code.
count = c.cast(library.carom_call_count, p)
for n in (0, 3):
    result = submit(pool, count, n)
    verdict = verdict_of(result)
    check(verdict.status, ETASKFAILED if n else 0)
    assert verdict.code == n and verdict.message is not None and verdict.pid > 0
    library.carom_result_free(result)

# A closure is refused, a registered one runs in an interpreter that the template has a copy of.
result = p()
check(library.carom_pool_apply_async(pool, c.cast(closure, p), None, 0, None, c.byref(result)), EFUNCTION)
assert b"register" in library.carom_error_message(), library.carom_error_message()
items, replies = (c.c_double * 100)(*range(100)), (c.c_double * 100)()
check(library.carom_pool_map(pool, c.cast(double, p), items, 8, 100, None, replies, 8, PATIENCE_MS))
assert list(replies) == [2.0 * n for n in range(100)]

# An event loop, and a worker that is killed from outside.
fd = library.carom_pool_fd(pool)
assert fd >= 0
poll = select.poll()
poll.register(fd, select.POLLIN)
result = submit(pool, count, 1)
victim = verdict_of(result).pid
library.carom_result_free(result)
os.kill(victim, signal.SIGKILL)
seen = []
while not any(kind == WORKER_DOWN for kind, *_ in seen):
    assert poll.poll(PATIENCE_MS), "the descriptor is silent"
    event = Event(size=c.sizeof(Event))
    while library.carom_pool_next_event(pool, c.byref(event), 0) == 0:
        seen.append((event.kind, event.pid, event.exitcode, event.result))
        event = Event(size=c.sizeof(Event))
assert [kind for kind, *_ in seen].count(DONE) == 3, seen
assert (WORKER_DOWN, victim, -signal.SIGKILL, None) in seen, seen

assert library.carom_pool_dispatch(pool, 0) == 0
check(library.carom_pool_close(pool))
check(library.carom_pool_join(pool, PATIENCE_MS))
library.carom_pool_free(pool)
