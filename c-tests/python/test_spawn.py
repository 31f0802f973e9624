"""Start methods from Python, which cannot begin in carom_init: functions of libraries, in the installed worker."""

import ctypes as c
import os

library = c.CDLL(os.environ["CAROM_LIBRARY"])
for name in ("carom_error_message", "carom_status_name", "carom_context_name"):
    getattr(library, name).restype = c.c_char_p
p, i32, i64, size_t = c.c_void_p, c.c_int32, c.c_int64, c.c_size_t
library.carom_context_new.argtypes = [c.c_char_p, p]
library.carom_context_name.argtypes = library.carom_context_free.argtypes = [p]
library.carom_process_start.argtypes = [p, p, size_t, p, p]
library.carom_process_join.argtypes = [p, i64]
library.carom_process_exitcode.argtypes = [p, p]
library.carom_process_free.argtypes = [p]
library.carom_start_method_list.argtypes = [p, size_t]
library.carom_start_method_list.restype = i64
library.carom_context_free.restype = library.carom_process_free.restype = None
EFUNCTION = -5008


class Options(c.Structure):
    _fields_ = [("size", size_t), ("name", c.c_char_p), ("daemon", c.c_uint32), ("reserved", c.c_uint32), ("context", p)]


class Argument(c.Structure):
    _fields_ = [("kind", c.c_uint32), ("reserved", c.c_uint32), ("data", p), ("len", c.c_uint64), ("integer", i64),
                ("real", c.c_double), ("handle", p)]


def check(status, wanted=0):
    assert status == wanted, (library.carom_status_name(status), library.carom_error_message())


def outcome(function, count, method):
    context, process, code = p(), p(), i32(-1000)
    check(library.carom_context_new(method, c.byref(context)))
    options = Options(size=c.sizeof(Options), context=context)
    arguments = (Argument * max(count, 1))()
    check(library.carom_process_start(function, arguments, count, c.byref(options), c.byref(process)))
    library.carom_context_free(context)
    check(library.carom_process_join(process, 8000))
    check(library.carom_process_exitcode(process, c.byref(code)))
    library.carom_process_free(process)
    return code.value


names = (c.c_char_p * 8)()
methods = names[:library.carom_start_method_list(names, 8)]
assert methods[:2] == [b"fork", b"spawn"], methods
# A carom_function of a shared library: it returns how many arguments it was given.
count_arguments = c.cast(library.carom_call_count, p)
for method in methods:
    for count in (0, 1, 17):
        assert outcome(count_arguments, count, method) == count, method


# A closure is nothing that another process could find, by whatever method.
@c.CFUNCTYPE(i32, p)
def closure(call):
    return 5


for method in methods:
    context, process = p(), p()
    check(library.carom_context_new(method, c.byref(context)))
    options = Options(size=c.sizeof(Options), context=context)
    status = library.carom_process_start(c.cast(closure, p), None, 0, c.byref(options), c.byref(process))
    check(status, EFUNCTION)
    assert b"ctypes" in library.carom_error_message()
    library.carom_context_free(context)
