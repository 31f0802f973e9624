"""Python functions as targets of carom's processes and as tasks of its pools, by ctypes alone.

    from carom_python import Pool, Process

    process = Process(work, (1, 2), method="fork")
    process.start()
    assert process.join() == 0
    with Pool(4, method="spawn") as pool:
        assert pool.map(square, range(10)) == [n * n for n in range(10)]

fork: os.fork makes the copies, with its hooks (carom's host-forks form), so locks and threads of the interpreter are in
order there. spawn and forkserver: this file is the program that is begun anew; functions are found there by module and
name, as multiprocessing does it, also those of __main__, which must therefore guard what it does.

For carom all of Python's functions are one function of C's, which it knows by its name: which one to call is an argument.
"""

import ctypes as c
import os
import pickle
import runpy
import sys
import traceback

library = c.CDLL(os.environ.get("CAROM_LIBRARY", "libcarom.so.0"))

ARGUMENT_BYTES = 0
POOL_WORKER_WANTED = 256
FOREVER = -1


class Argument(c.Structure):
    _fields_ = [("kind", c.c_uint32), ("reserved", c.c_uint32), ("data", c.c_void_p), ("len", c.c_uint64),
                ("integer", c.c_int64), ("real", c.c_double), ("handle", c.c_void_p)]


class ProcessOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("name", c.c_char_p), ("daemon", c.c_uint32), ("reserved", c.c_uint32),
                ("context", c.c_void_p)]


class Event(c.Structure):
    _fields_ = [("size", c.c_size_t), ("kind", c.c_uint32), ("pid", c.c_int32)]


Function = c.CFUNCTYPE(c.c_int32, c.c_void_p)
OnEvent = c.CFUNCTYPE(None, c.POINTER(Event), c.c_void_p)


class PoolOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("workers", c.c_int32), ("events", c.c_uint32), ("time_limit_ms", c.c_int64),
                ("soft_time_limit_ms", c.c_int64), ("capture_stderr", c.c_uint32), ("restartable", c.c_uint32),
                ("max_tasks", c.c_uint64), ("max_memory", c.c_uint64), ("memory_limit", c.c_int64),
                ("max_restarts", c.c_int32), ("max_restart_freq_s", c.c_int32),
                ("initializer", c.c_void_p), ("initializer_arguments", c.c_void_p), ("initializer_count", c.c_size_t),
                ("finalizer", c.c_void_p), ("finalizer_arguments", c.c_void_p), ("finalizer_count", c.c_size_t),
                ("capsules", c.c_char_p), ("max_waiting", c.c_uint64), ("on_event", OnEvent), ("ctx", c.c_void_p),
                ("context", c.c_void_p), ("max_waiting_bytes", c.c_uint64), ("semaphore", c.c_void_p),
                ("acknowledge", c.c_uint32), ("service_thread", c.c_uint32), ("host_forks", c.c_uint32), ("reserved", c.c_uint32)]


def declare(name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


p, i32, i64, size_t, status = c.c_void_p, c.c_int32, c.c_int64, c.c_size_t, c.c_int32
error_message = declare("carom_error_message", c.c_char_p)
status_name = declare("carom_status_name", c.c_char_p, i32)
init = declare("carom_init", status, i32, p)
set_executable = declare("carom_set_executable", status, c.c_char_p, p)
function_register = declare("carom_function_register", status, c.c_char_p, Function)
call_argument = declare("carom_call_argument", status, p, size_t, p)
call_reply = declare("carom_call_reply", status, p, c.c_char_p, size_t)
call_fail = declare("carom_call_fail", i32, p, i32, c.c_char_p)
context_new = declare("carom_context_new", status, c.c_char_p, p)
context_free = declare("carom_context_free", None, p)
process_start = declare("carom_process_start", status, Function, p, size_t, p, p)
process_join = declare("carom_process_join", status, p, i64)
process_exitcode = declare("carom_process_exitcode", status, p, p)
process_pid = declare("carom_process_pid", i32, p)
process_kill = declare("carom_process_kill", status, p)
process_free = declare("carom_process_free", None, p)
fork_prepare = declare("carom_fork_prepare", status, Function, p, size_t, p, p)
fork_parent = declare("carom_fork_parent", status, p, i32)
fork_child = declare("carom_fork_child", status, p)
pool_new = declare("carom_pool_new", status, p, p)
pool_prepare = declare("carom_pool_prepare", status, p, p)
pool_dispatch = declare("carom_pool_dispatch", i64, p, size_t)
pool_apply_async = declare("carom_pool_apply_async", status, p, Function, p, size_t, p, p)
pool_close = declare("carom_pool_close", status, p)
pool_terminate = declare("carom_pool_terminate", status, p)
pool_join = declare("carom_pool_join", status, p, i64)
pool_free = declare("carom_pool_free", None, p)
result_wait = declare("carom_result_wait", status, p, i64)
result_get = declare("carom_result_get", status, p, p, size_t, p, i64)
result_free = declare("carom_result_free", None, p)
EMSGSIZE = -90


class Error(Exception):
    """A status of carom's that is not CAROM_OK."""

    def __init__(self, code):
        super().__init__(status_name(code).decode(), error_message().decode(errors="replace"))
        self.status = code


def check(code):
    if code != 0:
        raise Error(code)


# --- What runs in a process of carom's -------------------------------------------------------------------------------

# Targets of processes that are forked need not be found by name: the child has this memory.
targets = {}


def name_of(function):
    """Where another interpreter finds a function."""
    module = function.__module__
    path = getattr(sys.modules.get("__main__"), "__file__", None) if module == "__main__" else None
    return module, path and os.path.abspath(path), function.__qualname__


def find(module, path, name):
    if module == "__main__" and path and path != getattr(sys.modules["__main__"], "__file__", None):
        if "__carom_main__" not in sys.modules:
            namespace = runpy.run_path(path, run_name="__carom_main__")
            sys.modules["__carom_main__"] = type(sys)("__carom_main__")
            vars(sys.modules["__carom_main__"]).update(namespace)
        found = sys.modules["__carom_main__"]
    else:
        __import__(module)
        found = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part)
    return found


@Function
def run(call):
    replies = False
    try:
        argument = Argument()
        check(call_argument(call, 0, c.byref(argument)))
        where, args, replies = pickle.loads(c.string_at(argument.data, argument.len))
        target, args = targets[where] if isinstance(where, int) else (find(*where), args)
        returned = target(*args)
        if not replies:
            return int(returned or 0)
        reply = pickle.dumps((True, returned))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        if replies:
            return call_fail(call, 1, "".join(traceback.format_exception_only(error)).strip().encode())
        traceback.print_exc()
        return 1
    check(call_reply(call, reply, len(reply)))
    return 0


def arguments_of(where, args, replies):
    """An argument, and what it points to."""
    data = pickle.dumps((where, args, replies))
    buffer = c.create_string_buffer(data, len(data))
    return Argument(kind=ARGUMENT_BYTES, data=c.cast(buffer, p), len=len(data)), buffer


check(function_register(b"carom_python.run", run))


def use_python():
    """What spawn and forkserver begin: an interpreter that does nothing but load this file."""
    words = [sys.executable.encode(), os.path.abspath(__file__).encode(), None]
    check(set_executable(words[0], (c.c_char_p * 3)(*words)))


def context(method):
    handle = p()
    check(context_new(method.encode(), c.byref(handle)))
    return handle


# --- Processes and pools ---------------------------------------------------------------------------------------------

class Process:
    """As multiprocessing.Process."""

    def __init__(self, target, args=(), method="fork", name=None):
        self.target, self.args, self.method, self.name = target, tuple(args), method, name
        self.handle = p()

    def start(self):
        name = self.name.encode() if self.name else None
        options = ProcessOptions(size=c.sizeof(ProcessOptions), name=name)
        if self.method == "fork":
            return self.fork(options)
        use_python()
        argument, kept = arguments_of(name_of(self.target), self.args, False)
        options.context = context(self.method)
        started = process_start(run, c.byref(argument), 1, c.byref(options), c.byref(self.handle))
        context_free(options.context)
        check(started)

    def fork(self, options):
        number = len(targets)
        targets[number] = (self.target, self.args)
        argument, kept = arguments_of(number, (), False)
        check(fork_prepare(run, c.byref(argument), 1, c.byref(options), c.byref(self.handle)))
        fork_and_tell(self.handle)

    @property
    def pid(self):
        return process_pid(self.handle)

    def kill(self):
        check(process_kill(self.handle))

    def join(self, timeout_ms=FOREVER):
        """How it ended: its exit code, or minus the signal."""
        check(process_join(self.handle, timeout_ms))
        code = i32()
        check(process_exitcode(self.handle, c.byref(code)))
        return code.value

    def __del__(self):
        process_free(self.handle)


def fork_and_tell(handle):
    try:
        pid = os.fork()
    except OSError:
        process_free(handle)
        raise
    if pid == 0:
        fork_child(handle)
        os._exit(255)
    check(fork_parent(handle, pid))


class Lost(Error):
    """A task that will have no result: its worker died, it was out of time, ..."""


class Pool:
    """As multiprocessing.Pool; workers that die are replaced, and cost the task that they were at."""

    def __init__(self, processes, method="fork", time_limit_ms=0):
        self.handle = p()
        # Where the workers are forked by this process: called in each call that waits.
        self.on_event = OnEvent(self.fork_wanted)
        options = PoolOptions(size=c.sizeof(PoolOptions), workers=processes, time_limit_ms=time_limit_ms)
        if method == "fork":
            options.host_forks, options.on_event = 1, self.on_event
        else:
            use_python()
            options.context = context(method)
        made = pool_new(c.byref(options), c.byref(self.handle))
        context_free(options.context)
        check(made)

    def fork_wanted(self, event, ctx):
        if event.contents.kind == POOL_WORKER_WANTED:
            worker = p()
            if pool_prepare(self.handle, c.byref(worker)) == 0:
                try:
                    fork_and_tell(worker)
                finally:
                    process_free(worker)

    def apply_async(self, function, args=()):
        argument, kept = arguments_of(name_of(function), tuple(args), True)
        result = Result()
        check(pool_apply_async(self.handle, run, c.byref(argument), 1, None, c.byref(result.handle)))
        return result

    def apply(self, function, args=()):
        return self.apply_async(function, args).get()

    def map(self, function, items):
        results = [self.apply_async(function, (item,)) for item in items]
        return [result.get() for result in results]

    def close(self):
        check(pool_close(self.handle))

    def terminate(self):
        check(pool_terminate(self.handle))

    def join(self, timeout_ms=FOREVER):
        check(pool_join(self.handle, timeout_ms))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.terminate()
        self.join()
        pool_free(self.handle)
        self.handle = p()


class Result:
    """Of one task."""

    def __init__(self):
        self.handle = p()

    def get(self, timeout_ms=FOREVER):
        data, length = c.create_string_buffer(4096), size_t()
        code = result_get(self.handle, data, len(data), c.byref(length), timeout_ms)
        if code == EMSGSIZE:
            data = c.create_string_buffer(length.value)
            code = result_get(self.handle, data, len(data), c.byref(length), timeout_ms)
        if code != 0:
            raise Lost(code)
        return pickle.loads(data.raw[:length.value])[1]

    def __del__(self):
        result_free(self.handle)


if __name__ == "__main__":
    # A process of carom's begins here: it becomes what it was started for, and does not return.
    sys.modules["carom_python"] = sys.modules["__main__"]
    check(init(0, None))
    sys.exit("carom_python is a module: import it")
