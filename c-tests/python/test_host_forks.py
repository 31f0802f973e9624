"""Python functions as targets of processes: os.fork makes the copy, with its hooks, and carom does the rest."""

import ctypes as c
import os
import signal
import sys
import threading

library = c.CDLL(os.environ["CAROM_LIBRARY"])
for name in ("carom_error_message", "carom_status_name"):
    getattr(library, name).restype = c.c_char_p
p, i32, i64, u64, size_t = c.c_void_p, c.c_int32, c.c_int64, c.c_uint64, c.c_size_t
library.carom_fork_prepare.argtypes = [p, p, size_t, p, p]
library.carom_fork_parent.argtypes = [p, i32]
library.carom_fork_child.argtypes = library.carom_process_free.argtypes = library.carom_process_kill.argtypes = [p]
library.carom_process_join.argtypes = [p, i64]
library.carom_process_exitcode.argtypes = [p, p]
library.carom_function_register.argtypes = [c.c_char_p, p]
library.carom_call_read.argtypes = [p, size_t, p, size_t]
library.carom_process_free.restype = None
PATIENCE_MS = 20000


class Argument(c.Structure):
    _fields_ = [("kind", c.c_uint32), ("reserved", c.c_uint32), ("data", p), ("len", u64), ("integer", i64),
                ("real", c.c_double), ("handle", p)]


def check(status):
    assert status == 0, (library.carom_status_name(status), library.carom_error_message())


# One function of C's for all of Python's: it is told which by its number.
targets = {}


@c.CFUNCTYPE(i32, p)
def run(call):
    number = i64()
    check(library.carom_call_read(call, 0, c.byref(number), 8))
    try:
        target, args = targets[number.value]
        return int(target(*args) or 0)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback
        traceback.print_exc()
        return 1


check(library.carom_function_register(b"python", c.cast(run, p)))


class Process:
    """As multiprocessing.Process, as far as this test needs it."""

    def __init__(self, target, args=()):
        self.number = len(targets)
        targets[self.number] = (target, args)
        self.handle = p()

    def start(self):
        argument = Argument(kind=5, integer=self.number)
        check(library.carom_fork_prepare(c.cast(run, p), c.byref(argument), 1, None, c.byref(self.handle)))
        self.pid = os.fork()
        if self.pid == 0:
            library.carom_fork_child(self.handle)
            os._exit(99)
        check(library.carom_fork_parent(self.handle, self.pid))

    def join(self):
        check(library.carom_process_join(self.handle, PATIENCE_MS))
        code = i32()
        check(library.carom_process_exitcode(self.handle, c.byref(code)))
        library.carom_process_free(self.handle)
        return code.value


forked = []
os.register_at_fork(before=lambda: forked.append("before"), after_in_child=lambda: forked.append("child"))
memory = {"answer": 42}


def ends_with(code):
    assert forked[-1] == "child"
    return code if memory["answer"] == 42 else 1


def outcome(target, *args):
    process = Process(target, args)
    process.start()
    return process.join()


assert outcome(ends_with, 0) == 0
assert outcome(ends_with, 17) == 17
assert outcome(lambda: memory["answer"]) == 42
assert forked[-1] == "before"


def exits():
    raise SystemExit(5)


def raises():
    sys.stderr = open(os.devnull, "w")
    raise ValueError("nobody sees this")


assert outcome(exits) == 5
assert outcome(raises) == 1
assert outcome(lambda: os.kill(os.getpid(), signal.SIGKILL)) == -signal.SIGKILL

# Python's locks, threads and allocator are in order in the child, while other threads are busy.
stop = threading.Event()


def busy():
    while not stop.is_set():
        sorted(str(i) for i in range(1000))


def uses_threads():
    results = []
    threads = [threading.Thread(target=lambda: results.append(sum(range(1000)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(results)


threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
processes = [Process(uses_threads) for _ in range(8)]
for process in processes:
    process.start()
assert [process.join() for process in processes] == [4] * 8
stop.set()
for thread in threads:
    thread.join()
