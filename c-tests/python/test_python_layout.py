"""What examples-python/carom_python.py has copied from the header by hand is as the header has it: structs, constants,
functions. It needs nothing but ctypes; here cffi reads the header."""

import ctypes
import os
import re
import sys

import cffi

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples-python"))
import carom_python  # noqa: E402

with open(os.environ["CAROM_HEADER"]) as file:
    declarations = file.read().split("/* cdef: begin */")[1].split("/* cdef: end */")[0]
ffi = cffi.FFI()
ffi.cdef(declarations)
library = ffi.dlopen(os.environ["CAROM_LIBRARY"])

STRUCTS = {
    "carom_argument": carom_python.Argument,
    "carom_process_options": carom_python.ProcessOptions,
    "carom_pool_event": carom_python.Event,
    "carom_pool_options": carom_python.PoolOptions,
}
structs = [it for it in vars(carom_python).values() if isinstance(it, type) and issubclass(it, ctypes.Structure)]
assert sorted(map(id, structs)) == sorted(map(id, STRUCTS.values())), "a struct that nothing is compared with"


def differences(name, struct):
    """Between a struct and the header's, which may have more behind it: the library asks for the size."""
    theirs = dict(ffi.typeof(name).fields)
    found = [] if ctypes.sizeof(struct) <= ffi.sizeof(name) else ["larger"]
    for (field, kind), expected in zip(struct._fields_, theirs):
        ours = getattr(struct, field)
        there = theirs[expected]
        if (field, ours.offset, ours.size) != (expected, there.offset, ffi.sizeof(there.type)):
            found.append(f"{field} at {ours.offset}, {ours.size} bytes: {expected} at {there.offset}")
    return found


for name, struct in STRUCTS.items():
    assert not differences(name, struct), (name, differences(name, struct))
assert ctypes.sizeof(carom_python.Argument) == ffi.sizeof("carom_argument"), "arrays of it cross the border"


class Drifted(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("workers", ctypes.c_int64), ("events", ctypes.c_uint32)]


assert len(differences("carom_pool_options", Drifted)) == 2

constants = dict(re.findall(r"^#define CAROM_(\w+) (-?\w+)", declarations, flags=re.M))
for name in ("ARGUMENT_BYTES", "POOL_WORKER_WANTED", "FOREVER", "EMSGSIZE"):
    assert getattr(carom_python, name) == int(constants[name], 0), name

declared = 0
for function in vars(carom_python).values():
    if isinstance(function, ctypes._CFuncPtr) and (name := getattr(function, "__name__", "")).startswith("carom_"):
        pointer = ffi.typeof(getattr(library, name))
        assert [ctypes.sizeof(it) for it in function.argtypes] == [ffi.sizeof(it) for it in pointer.args], name
        result = ctypes.sizeof(function.restype) if function.restype else None
        assert result == (ffi.sizeof(pointer.result) if pointer.result.kind != "void" else None), name
        declared += 1
assert declared > 20
