"""Queues from ctypes: copied and in place, by threads and by children of os.fork, and a queue through a queue."""

import ctypes
import os
import signal
import threading
from ctypes import POINTER, Structure, byref, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

library = ctypes.CDLL(os.environ["CAROM_LIBRARY"])
OK, EPERM, ETIMEDOUT, EMSGSIZE = 0, -1, -110, -90
ECLOSED, EBADHANDLE, EFORKED = -5005, -5009, -5011
PATIENCE, FOREVER = 20000, -1


class Message(Structure):
    _fields_ = [("size", c_size_t), ("data", c_void_p), ("len", c_uint64), ("id", c_uint64),
                ("deliveries", c_uint32), ("reserved", c_uint32)]

    def __init__(self):
        super().__init__(ctypes.sizeof(Message))

    def bytes(self):
        return ctypes.string_at(self.data, self.len)


def declare(name, result, *arguments):
    function = getattr(library, "carom_" + name)
    function.restype, function.argtypes = result, arguments
    return function


error_message = declare("error_message", c_char_p)
attach = declare("attach", c_int32)
queue_new = declare("queue_new", c_int32, c_void_p, c_void_p)
queue_put = declare("queue_put", c_int32, c_void_p, c_char_p, c_size_t, c_int64)
queue_get = declare("queue_get", c_int32, c_void_p, c_void_p, c_size_t, POINTER(c_size_t), c_int64)
queue_reserve = declare("queue_reserve", c_int32, c_void_p, c_size_t, POINTER(Message))
queue_commit = declare("queue_commit", c_int32, c_void_p, POINTER(Message), c_size_t, c_int64)
queue_peek = declare("queue_peek", c_int32, c_void_p, POINTER(Message), c_int64)
queue_consume = declare("queue_consume", c_int32, c_void_p, POINTER(Message))
queue_return = declare("queue_return", c_int32, c_void_p, POINTER(Message))
queue_put_handle = declare("queue_put_handle", c_int32, c_void_p, c_void_p, c_int64)
queue_get_handle = declare("queue_get_handle", c_int32, c_void_p, c_void_p, c_int64)
queue_size = declare("queue_size", c_int64, c_void_p)
queue_close = declare("queue_close", c_int32, c_void_p)
queue_free = declare("queue_free", None, c_void_p)


def check(found, wanted=OK):
    assert found == wanted, (found, wanted, error_message())


def new():
    queue = c_void_p()
    check(queue_new(None, byref(queue)))
    return queue


def put(queue, data):
    check(queue_put(queue, data, len(data), PATIENCE))


def get(queue, timeout=PATIENCE):
    data, length = ctypes.create_string_buffer(1000), c_size_t()
    check(queue_get(queue, data, len(data), byref(length), timeout))
    return data.raw[: length.value]


def put_in_place(queue, data):
    message = Message()
    check(queue_reserve(queue, len(data), byref(message)))
    ctypes.memmove(message.data, data, len(data))
    check(queue_commit(queue, byref(message), len(data), PATIENCE))


def peek(queue):
    message = Message()
    check(queue_peek(queue, byref(message), PATIENCE))
    return message


def started(body):
    """Runs `body` in a child of os.fork; its number."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = body() or 0
        finally:
            os._exit(code)
    return pid


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


queue = new()
put(queue, b"copied")
put_in_place(queue, b"in place")
put(queue, b"")
assert queue_size(queue) == 3
short, length = ctypes.create_string_buffer(3), c_size_t()
check(queue_get(queue, short, 3, byref(length), 0), EMSGSIZE)
assert length.value == 6
message = peek(queue)
assert message.bytes() == b"copied" and message.deliveries == 1
check(queue_return(queue, byref(message)))
message = peek(queue)
assert message.bytes() == b"copied" and message.deliveries == 2
check(queue_consume(queue, byref(message)))
check(queue_consume(queue, byref(message)), EBADHANDLE)
assert get(queue) == b"in place" and get(queue) == b""
check(queue_get(queue, short, 3, None, 0), ETIMEDOUT)

# A thread waits without the interpreter's lock.
got = []
waiting = threading.Thread(target=lambda: got.append(get(queue, FOREVER)))
waiting.start()
put_in_place(queue, b"for a thread")
waiting.join()
assert got == [b"for a thread"]


# A stranger becomes one of the family, and leases; what it had when it died comes again.
def dies():
    check(queue_peek(queue, byref(Message()), 0), EFORKED)
    check(attach())
    assert peek(queue).bytes() == b"twice"
    os.kill(os.getpid(), signal.SIGKILL)


put(queue, b"twice")
assert ended(started(dies)) == -signal.SIGKILL
message = peek(queue)
assert message.bytes() == b"twice" and message.deliveries == 2
check(queue_consume(queue, byref(message)))


# A queue through a queue, to a process that was there before it.
def replies():
    check(attach())
    reply = c_void_p()
    check(queue_get_handle(queue, byref(reply), PATIENCE))
    put(reply, b"answer to " + get(queue))
    queue_free(reply)


child = started(replies)
own = new()
check(queue_put_handle(queue, own, PATIENCE))
put(queue, b"me")
assert get(own) == b"answer to me"
assert ended(child) == 0
check(queue_close(own))
check(queue_get(own, short, 3, None, FOREVER), ECLOSED)
queue_free(own)
queue_free(queue)
