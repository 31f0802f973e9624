"""Objects and processes from ctypes: a plain fork and carom_attach, and functions that no other process could find."""

import ctypes
import os
import signal
from ctypes import byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_void_p

library = ctypes.CDLL(os.environ["CAROM_LIBRARY"])
OK, EPERM, EINVAL, ETIMEDOUT, EOWNERDEAD = 0, -1, -22, -110, -130
EFUNCTION, EBADHANDLE, EFORKED = -5008, -5009, -5011
I64 = ord("q")
PATIENCE = 20000

FUNCTION = ctypes.CFUNCTYPE(c_int32, c_void_p)


def declare(name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


error_message = declare("carom_error_message", c_char_p)
lock_new = declare("carom_lock_new", c_int32, c_void_p, c_void_p)
lock_acquire = declare("carom_lock_acquire", c_int32, c_void_p, c_int64)
lock_recover = declare("carom_lock_recover", c_int32, c_void_p, c_int64)
lock_release = declare("carom_lock_release", c_int32, c_void_p)
lock_free = declare("carom_lock_free", None, c_void_p)
value_new = declare("carom_value_new", c_int32, c_uint32, c_void_p, c_size_t, c_void_p, c_void_p)
value_data = declare("carom_value_data", c_void_p, c_void_p)
value_lock = declare("carom_value_lock", c_int32, c_void_p, c_int64)
value_unlock = declare("carom_value_unlock", c_int32, c_void_p)
value_free = declare("carom_value_free", None, c_void_p)
attach = declare("carom_attach", c_int32)
process_start = declare("carom_process_start", c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p)
process_join = declare("carom_process_join", c_int32, c_void_p, c_int64)
process_exitcode = declare("carom_process_exitcode", c_int32, c_void_p, c_void_p)
process_free = declare("carom_process_free", None, c_void_p)
process_children = declare("carom_process_children", c_int64, c_void_p, c_size_t)
function_register = declare("carom_function_register", c_int32, c_char_p, c_void_p)


def check(found, wanted):
    assert found == wanted, (found, wanted, error_message())


def forked(body):
    """Runs `body` in a child of os.fork; how that ended."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = body() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


lock, value = c_void_p(), c_void_p()
check(lock_new(None, byref(lock)), OK)
check(value_new(I64, byref(c_int64(5)), 8, None, byref(value)), OK)
data = ctypes.cast(value_data(value), ctypes.POINTER(c_int64))
assert data[0] == 5


def stranger():
    handle = c_void_p(1)
    check(lock_acquire(lock, 0), EFORKED)
    assert b"carom_attach" in error_message()
    check(lock_new(None, byref(handle)), EFORKED)
    assert handle.value is None
    check(value_lock(value, 0), EFORKED)
    assert value_data(value) is None
    lock_free(lock)
    value_free(value)
    return 3


def counts():
    check(attach(), OK)
    for _ in range(2000):
        check(value_lock(value, PATIENCE), OK)
        data[0] += 1
        check(value_unlock(value), OK)
    return 4


def dies_holding():
    check(attach(), OK)
    check(lock_acquire(lock, 0), OK)
    os.kill(os.getpid(), signal.SIGKILL)


assert forked(stranger) == 3
check(lock_acquire(lock, 0), OK)  # what the stranger freed was its own view
check(lock_release(lock), OK)

pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(counts())
        finally:
            os._exit(99)
    pids.append(pid)
counts()
for pid in pids:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
assert data[0] == 5 + 4 * 2000, data[0]

assert forked(dies_holding) == -signal.SIGKILL
check(lock_acquire(lock, -1), EOWNERDEAD)
check(lock_recover(lock, 0), OK)
check(lock_release(lock), OK)

# A closure made at run time is no function of a module: another process would run something else, or crash.
closure = FUNCTION(lambda call: 7)
process = c_void_p(1)
check(process_start(ctypes.cast(closure, c_void_p), None, 0, None, byref(process)), EFUNCTION)
assert process.value is None
message = error_message().decode()
assert "carom_function_register" in message, message

# Registered it runs, under fork: the child has the interpreter as it was.
check(function_register(b"seven", ctypes.cast(closure, c_void_p)), OK)
check(process_start(ctypes.cast(closure, c_void_p), None, 0, None, byref(process)), OK)
check(process_join(process, PATIENCE), OK)
code = c_int32()
check(process_exitcode(process, byref(code)), OK)
assert code.value == 7, code.value
process_free(process)
check(process_children(None, 0), 0)

# Numbers that are no handles.
for strange in (None, 1, 0xFFFF_FFFF, 0xA5A5_A5A5_A5A5_A5A5, 2**64 - 1, value.value):
    check(lock_acquire(strange, 0), EBADHANDLE)
    lock_free(strange)

value_free(value)
lock_free(lock)
lock_free(lock)
check(lock_acquire(lock, 0), EBADHANDLE)
