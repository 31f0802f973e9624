"""Named memory and lists, from Python's multiprocessing.shared_memory to ours and back."""

import ctypes
import os
import subprocess
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import ShareableList, SharedMemory

library = ctypes.CDLL(os.environ["CAROM_LIBRARY"])

BYTES, NIL, BOOL, INTEGER, REAL, STRING = 0, 3, 4, 5, 6, 7
ENOENT, EEXIST, EMSGSIZE = -2, -17, -90


class Argument(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("len", ctypes.c_uint64),
        ("integer", ctypes.c_int64),
        ("real", ctypes.c_double),
        ("handle", ctypes.c_void_p),
    ]


handle, pointer, size = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
out = ctypes.POINTER(handle)
for name, result, arguments in [
    ("shared_memory_new", ctypes.c_int32, [ctypes.c_char_p, size, pointer, out]),
    ("shared_memory_open", ctypes.c_int32, [ctypes.c_char_p, pointer, out]),
    ("shared_memory_data", pointer, [handle]),
    ("shared_memory_size", ctypes.c_int64, [handle]),
    ("shared_memory_name", ctypes.c_char_p, [handle]),
    ("shared_memory_unlink", ctypes.c_int32, [handle]),
    ("shared_memory_free", None, [handle]),
    ("shareable_list_new", ctypes.c_int32, [ctypes.POINTER(Argument), size, ctypes.c_char_p, out]),
    ("shareable_list_open", ctypes.c_int32, [ctypes.c_char_p, out]),
    ("shareable_list_get", ctypes.c_int32, [handle, size, ctypes.POINTER(Argument), pointer, size, ctypes.POINTER(size)]),
    ("shareable_list_set", ctypes.c_int32, [handle, size, ctypes.POINTER(Argument)]),
    ("shareable_list_count", ctypes.c_int64, [handle]),
    ("shareable_list_index_of", ctypes.c_int64, [handle, ctypes.POINTER(Argument)]),
    ("shareable_list_count_of", ctypes.c_int64, [handle, ctypes.POINTER(Argument)]),
    ("shareable_list_name", ctypes.c_char_p, [handle]),
    ("shareable_list_unlink", ctypes.c_int32, [handle]),
    ("shareable_list_free", None, [handle]),
]:
    function = getattr(library, "carom_" + name)
    function.restype, function.argtypes = result, arguments
library.carom_error_message.restype = ctypes.c_char_p


def ok(status):
    assert status == 0, (status, library.carom_error_message())


def made(function, *arguments):
    it = handle()
    ok(function(*arguments, ctypes.byref(it)))
    return it


def argument(value):
    if value is None:
        return Argument(kind=NIL)
    if isinstance(value, bool):
        return Argument(kind=BOOL, integer=value)
    if isinstance(value, int):
        return Argument(kind=INTEGER, integer=value)
    if isinstance(value, float):
        return Argument(kind=REAL, real=value)
    raw = value.encode() if isinstance(value, str) else value
    it = Argument(kind=STRING if isinstance(value, str) else BYTES, len=len(raw))
    it.keep = ctypes.create_string_buffer(raw, max(len(raw), 1))
    it.data = ctypes.cast(it.keep, pointer)
    return it


def item(list, index):
    it, length, data = Argument(), size(), ctypes.create_string_buffer(1000)
    ok(library.carom_shareable_list_get(list, index, it, data, len(data), ctypes.byref(length)))
    text = data.raw[: length.value]
    return {
        NIL: lambda: None,
        BOOL: lambda: bool(it.integer),
        INTEGER: lambda: it.integer,
        REAL: lambda: it.real,
        STRING: text.decode,
        BYTES: lambda: text,
    }[it.kind]()


def items(list):
    return [item(list, i) for i in range(library.carom_shareable_list_count(list))]


def same(a, b):
    return [(type(x), x) for x in a] == [(type(x), x) for x in b]


def track(name):
    """Before 3.13 attaching tells the tracker too, which would unlink the name when this test is over."""
    resource_tracker.unregister("/" + name, "shared_memory")


# ------------------------------------------------------------------------------------------------------------- memory
ours = made(library.carom_shared_memory_new, None, 10001, None)
name = library.carom_shared_memory_name(ours).decode()
theirs = SharedMemory(name=name)
assert theirs.name == name and theirs.size == 10001 == library.carom_shared_memory_size(ours)
assert bytes(theirs.buf) == bytes(10001)
theirs.buf[10000] = 77
data = (ctypes.c_uint8 * 10001).from_address(library.carom_shared_memory_data(ours))
assert data[10000] == 77
data[0] = 78
assert theirs.buf[0] == 78
try:
    SharedMemory(name=name, create=True, size=1)
    raise AssertionError("it was overwritten")
except FileExistsError:
    pass
theirs.close()
theirs.unlink()
assert library.carom_shared_memory_unlink(ours) == ENOENT
library.carom_shared_memory_free(ours)

theirs = SharedMemory(create=True, size=5000)
theirs.buf[:5] = b"hello"
ours = made(library.carom_shared_memory_open, theirs.name.encode(), None)
assert library.carom_shared_memory_size(ours) == 5000
assert library.carom_shared_memory_name(ours).decode() == theirs.name
assert ctypes.string_at(library.carom_shared_memory_data(ours), 5) == b"hello"
ctypes.memmove(library.carom_shared_memory_data(ours), b"olleh", 5)
assert bytes(theirs.buf[:5]) == b"olleh"
none = handle(1)
assert library.carom_shared_memory_new(theirs.name.encode(), 1, None, ctypes.byref(none)) == EEXIST and not none
theirs.close()
ok(library.carom_shared_memory_unlink(ours))
track(theirs.name)
library.carom_shared_memory_free(ours)
try:
    SharedMemory(name=theirs.name)
    raise AssertionError("it is still there")
except FileNotFoundError:
    pass

# A name with a slash before it, as C programs have them, is the same name to Python, with or without.
ours = made(library.carom_shared_memory_new, b"/carom_test_slash_%d" % os.getpid(), 8, None)
for name in "carom_test_slash_%d" % os.getpid(), "/carom_test_slash_%d" % os.getpid():
    theirs = SharedMemory(name=name)
    theirs.close()
    track(name)
ok(library.carom_shared_memory_unlink(ours))
library.carom_shared_memory_free(ours)

# -------------------------------------------------------------------------------------------------------------- lists
VALUES = [
    0, 1, -1, 2**63 - 1, -(2**63), 0.0, -2.5, 1e308, float("inf"), True, False, None, "", "a", "1234567", "12345678",
    "a longer text with blanks", b"", b"\0\1\2", b"12345678", b"\xff" * 100, "x" * 500,
]


def bytes_of(name):
    memory = SharedMemory(name=name)
    content = bytes(memory.buf)
    memory.close()
    return content


def our_list(values):
    arguments = [argument(value) for value in values]
    return made(library.carom_shareable_list_new, (Argument * len(values))(*arguments), len(values), None)


for values in VALUES, [], [7], VALUES[::-1], [None] * 9:
    # Bit for bit.
    ours, theirs = our_list(values), ShareableList(values)
    name = library.carom_shareable_list_name(ours).decode()
    assert bytes_of(name) == bytes_of(theirs.shm.name)

    attached = ShareableList(name=name)
    assert same(list(attached), values) and same(items(ours), values)
    opened = made(library.carom_shareable_list_open, theirs.shm.name.encode())
    assert same(items(opened), values)
    for value in values:
        assert library.carom_shareable_list_index_of(opened, argument(value)) == theirs.index(value)
        assert library.carom_shareable_list_count_of(opened, argument(value)) == theirs.count(value)
    library.carom_shareable_list_free(opened)
    attached.shm.close()
    theirs.shm.close()
    theirs.shm.unlink()
    ok(library.carom_shareable_list_unlink(ours))
    track(name)
    library.carom_shareable_list_free(ours)

# Every value into every slot: what Python does, and refuses, we do and refuse, and the bytes are the same.
ours, theirs = our_list(VALUES), ShareableList(VALUES)
name = library.carom_shareable_list_name(ours).decode()
attached = ShareableList(name=name)
opened = made(library.carom_shareable_list_open, theirs.shm.name.encode())
for index in range(len(VALUES)):
    for value in VALUES:
        try:
            theirs[index] = value
        except ValueError:
            assert library.carom_shareable_list_set(ours, index, argument(value)) == EMSGSIZE
            continue
        ok(library.carom_shareable_list_set(ours, index, argument(value)))
        assert same([attached[index], theirs[index], item(ours, index), item(opened, index)], [value] * 4)
    assert bytes(attached.shm.buf) == bytes(theirs.shm.buf)
assert attached.format == theirs.format
ours_again = [item(ours, i) for i in range(len(VALUES))]
for index, value in enumerate(ours_again):  # and each writes what the other reads
    attached[index] = value
    ok(library.carom_shareable_list_set(opened, index, argument(value)))
assert same(items(ours), ours_again) and same(list(theirs), ours_again)
attached.shm.close()
library.carom_shareable_list_free(opened)
theirs.shm.close()
theirs.shm.unlink()
ok(library.carom_shareable_list_unlink(ours))
track(name)
library.carom_shareable_list_free(ours)

# A text beyond ASCII: Python makes a slot for its characters, not its bytes, and cuts it off. We make room for all of it.
ours = our_list(["äöüäöüäöü", "日本語日本語"])
name = library.carom_shareable_list_name(ours).decode()
attached = ShareableList(name=name)
assert list(attached) == ["äöüäöüäöü", "日本語日本語"] == items(ours)
attached[1] = "ß" * 8
assert item(ours, 1) == "ß" * 8
attached.shm.close()
ok(library.carom_shareable_list_unlink(ours))
track(name)
library.carom_shareable_list_free(ours)

# Another interpreter.
ours = our_list([1, "text"])
name = library.carom_shareable_list_name(ours).decode()
code = f"""
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import ShareableList
it = ShareableList(name={name!r})
resource_tracker.unregister("/" + {name!r}, "shared_memory")
assert list(it) == [1, "text"]
it[0], it[1] = 2.5, None
it.shm.close()
"""
assert subprocess.run([sys.executable, "-c", code]).returncode == 0
assert same(items(ours), [2.5, None])
ok(library.carom_shareable_list_unlink(ours))
library.carom_shareable_list_free(ours)
