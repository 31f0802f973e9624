#!/usr/bin/env python3
"""A dict and a queue of one manager from ctypes, by several processes of Python's own making."""

import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

library = ctypes.CDLL(os.environ["CAROM_LIBRARY"])
OK, ENOENT, EMSGSIZE, ETIMEDOUT = 0, -2, -90, -110
BYTES, HANDLE, NIL, BOOL, INTEGER, REAL, STRING, LIST, MAP = 0, 1, 3, 4, 5, 6, 7, 8, 9
PATIENCE = 20000


class Argument(ctypes.Structure):
    pass


Argument._fields_ = [("kind", c_uint32), ("reserved", c_uint32), ("data", c_void_p), ("len", c_uint64),
                     ("integer", c_int64), ("real", c_double), ("handle", c_void_p)]


def declare(name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


A = POINTER(Argument)
error_message = declare("carom_error_message", c_char_p)
attach = declare("carom_attach", c_int32)
manager_new = declare("carom_manager_new", c_int32, c_void_p, c_void_p)
manager_dict = declare("carom_manager_dict", c_int32, c_void_p, c_void_p, c_void_p)
manager_queue = declare("carom_manager_queue", c_int32, c_void_p, c_void_p, c_void_p)
manager_shutdown = declare("carom_manager_shutdown", c_int32, c_void_p, c_int64)
manager_free = declare("carom_manager_free", None, c_void_p)
dict_set = declare("carom_dict_set", c_int32, c_void_p, A, A)
dict_get = declare("carom_dict_get", c_int32, c_void_p, A, A, c_void_p, c_size_t, c_void_p)
dict_free = declare("carom_dict_free", None, c_void_p)
proxy_call = declare("carom_proxy_call", c_int32, c_void_p, c_char_p, A, c_size_t, A, c_void_p, c_size_t, c_void_p, c_int64)
queue_put = declare("carom_queue_put", c_int32, c_void_p, c_char_p, c_size_t, c_int64)
queue_get = declare("carom_queue_get", c_int32, c_void_p, c_void_p, c_size_t, c_void_p, c_int64)
queue_free = declare("carom_queue_free", None, c_void_p)


def check(status, wanted=OK):
    assert status == wanted, (status, wanted, error_message())


def to_argument(value, keep):
    """An argument of a Python value; `keep` holds what it points to."""
    if value is None:
        return Argument(kind=NIL)
    if isinstance(value, bool):
        return Argument(kind=BOOL, integer=value)
    if isinstance(value, int):
        return Argument(kind=INTEGER, integer=value)
    if isinstance(value, float):
        return Argument(kind=REAL, real=value)
    if isinstance(value, (bytes, str)):
        data = value.encode() if isinstance(value, str) else value
        buffer = ctypes.create_string_buffer(data, len(data))
        keep.append(buffer)
        return Argument(kind=STRING if isinstance(value, str) else BYTES, data=ctypes.addressof(buffer), len=len(data))
    flat = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
    array = (Argument * len(flat))(*[to_argument(item, keep) for item in flat])
    keep.append(array)
    return Argument(kind=MAP if isinstance(value, dict) else LIST, data=ctypes.addressof(array), len=len(value))


def to_value(it):
    if it.kind == NIL:
        return None
    if it.kind == BOOL:
        return bool(it.integer)
    if it.kind in (INTEGER, REAL):
        return it.integer if it.kind == INTEGER else it.real
    if it.kind in (BYTES, STRING):
        data = ctypes.string_at(it.data, it.len)
        return data.decode() if it.kind == STRING else data
    count = it.len * (2 if it.kind == MAP else 1)
    items = [to_value(item) for item in (Argument * count).from_address(it.data)] if count else []
    return dict(zip(items[::2], items[1::2])) if it.kind == MAP else items


def call(proxy, method, *arguments, timeout=0):
    keep = []
    array = (Argument * len(arguments))(*[to_argument(argument, keep) for argument in arguments])
    reply, size, needed = Argument(), 64, c_size_t()
    while True:
        data = ctypes.create_string_buffer(size)
        status = proxy_call(proxy, method.encode(), array, len(arguments), byref(reply), data, size, byref(needed), timeout)
        if status != EMSGSIZE:
            return to_value(reply) if status == OK else status
        size = needed.value + 16


def in_child(body):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            check(attach())
            body()
            code = 0
        finally:
            os._exit(code)
    return pid


def main():
    manager, shared, queue = c_void_p(), c_void_p(), c_void_p()
    check(manager_new(None, byref(manager)))
    check(manager_dict(manager, None, byref(shared)))
    check(manager_queue(manager, None, byref(queue)))
    value = {"text": "über", "bytes": b"\0\xff", "list": [1, -(1 << 63), 0.5, None, True, []], 7: {"deep": [[["x"]]]}}
    keep = []
    key = to_argument("value", keep)
    check(dict_set(shared, byref(key), byref(to_argument(value, keep))))
    assert call(shared, "get", "value") == value
    assert call(shared, "get", "nothing") == ENOENT
    assert call(queue, "get", timeout=10) == ETIMEDOUT

    def produce():
        for number in range(100):
            assert call(queue, "put", {"id": number, "data": "x" * number}) is None
        for _ in range(3):
            assert call(queue, "put", None) is None

    def consume():
        while True:
            task = call(queue, "get", timeout=PATIENCE)
            if task is None:
                return
            assert call(shared, "set", task["id"], [len(task["data"]), os.getpid()]) is None
            assert call(shared, "increment", "done") >= 1

    pids = [in_child(produce)] + [in_child(consume) for _ in range(3)]
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0
    assert call(shared, "get", "done") == 100
    copy = call(shared, "copy")
    assert len(copy) == 102 and all(copy[number][0] == number for number in range(100))
    assert {copy[number][1] for number in range(100)} <= set(pids[1:])
    assert call(queue, "empty") is True
    # The functions of all queues put and get bytes.
    data, length = ctypes.create_string_buffer(16), c_size_t()
    check(queue_put(queue, b"some bytes", 10, 0))
    check(queue_get(queue, data, 4, byref(length), 0), EMSGSIZE)
    check(queue_get(queue, data, 16, byref(length), 0))
    assert data.raw[:length.value] == b"some bytes"
    queue_free(queue)
    dict_free(shared)
    check(manager_shutdown(manager, PATIENCE))
    manager_free(manager)


main()
