"""Queues, pipes and connections from Python: structs from the header by cffi, or written down by ctypes; os.fork and carom_attach; selectors and
asyncio, which poll their descriptors."""

import asyncio
import ctypes
import os
import selectors
import signal
import socket

from header import PATIENCE, carom, check, ffi, made

MESSAGES = 200


def pipe():
    ends = ffi.new("carom_connection *[2]")
    check(carom.carom_pipe_new(ffi.NULL, ends, ends + 1))
    return ends[0], ends[1]


def recv(end, timeout=PATIENCE):
    """The next message, None if there is none in time, b'' at the end."""
    data, length = ffi.new("char[]", 4096), ffi.new("size_t *")
    status = carom.carom_connection_recv(end, data, 4096, length, timeout)
    if status in (carom.CAROM_ETIMEDOUT, carom.CAROM_ECLOSED):
        return None if status == carom.CAROM_ETIMEDOUT else b""
    check(status)
    return bytes(ffi.buffer(data, length[0]))


def get(queue, timeout=0):
    data, length = ffi.new("char[]", 4096), ffi.new("size_t *")
    status = carom.carom_queue_get(queue, data, 4096, length, timeout)
    if status == carom.CAROM_ETIMEDOUT:
        return None
    check(status)
    return bytes(ffi.buffer(data, length[0]))


def forked(body):
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            check(carom.carom_attach())
            code = body() or 0
        finally:
            os._exit(code)
    return pid


def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# A child of os.fork that attaches: messages by a queue, answers by a pipe, and a lock by it too.
queue = made("carom_queue", carom.carom_queue_new, ffi.NULL)
left, right = pipe()


def echoes():
    carom.carom_connection_free(left)
    for number in range(MESSAGES):
        message = get(queue, PATIENCE)
        check(carom.carom_connection_send(right, message, len(message), PATIENCE))
    lock = made("carom_lock", carom.carom_lock_new, ffi.NULL)
    check(carom.carom_lock_acquire(lock, 0))
    check(carom.carom_connection_send_handle(right, lock, PATIENCE))
    os.kill(os.getpid(), signal.SIGKILL)


child = forked(echoes)
with selectors.DefaultSelector() as selector:
    selector.register(carom.carom_connection_fd(left), selectors.EVENT_READ)
    put = got = 0
    while got < MESSAGES:
        if put < MESSAGES:
            message = b"message %d" % put
            check(carom.carom_queue_put(queue, message, len(message), 0))
            put += 1
        answer = recv(left, 0)
        if answer is not None:
            assert answer == b"message %d" % got
            got += 1
        elif put == MESSAGES:
            assert selector.select(PATIENCE / 1000)
out = ffi.new("void **")
check(carom.carom_connection_recv_handle(left, out, PATIENCE))
lock = ffi.cast("carom_lock *", out[0])
assert ended(child) == -signal.SIGKILL
check(carom.carom_lock_acquire(lock, PATIENCE), carom.CAROM_EOWNERDEAD)
check(carom.carom_lock_recover(lock, 0))
check(carom.carom_lock_release(lock))
carom.carom_lock_free(lock)
check(carom.carom_connection_send(left, b"x", 1, 0))    # we have the other end too
carom.carom_connection_free(right)
check(carom.carom_connection_send(left, b"x", 1, PATIENCE), carom.CAROM_ECLOSED)
carom.carom_connection_free(left)


# An asyncio loop reads a queue that another process fills.
def fills():
    for number in range(MESSAGES):
        message = b"%d" % number
        check(carom.carom_queue_put(queue, message, len(message), 0))


async def drains():
    loop, done, numbers = asyncio.get_running_loop(), asyncio.Event(), []

    def readable():
        while (message := get(queue)) is not None:
            numbers.append(int(message))
        if len(numbers) == MESSAGES:
            done.set()

    fd = carom.carom_queue_fd(queue)
    loop.add_reader(fd, readable)
    pid = forked(fills)
    await asyncio.wait_for(done.wait(), PATIENCE / 1000)
    loop.remove_reader(fd)
    assert numbers == list(range(MESSAGES)) and ended(pid) == 0


asyncio.run(drains())

# carom_wait as ctypes sees it, for a queue, a socket and a plain descriptor; Python's socket is handed over.
class Waitable(ctypes.Structure):
    _fields_ = [("handle", ctypes.c_void_p), ("fd", ctypes.c_int32), ("ready", ctypes.c_uint32)]


library = ctypes.CDLL(os.environ["CAROM_LIBRARY"])
library.carom_wait.restype, library.carom_wait.argtypes = ctypes.c_int64, [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64]
library.carom_connection_send.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64]
assert ctypes.sizeof(Waitable) == ffi.sizeof("carom_waitable")
ours, theirs = socket.socketpair()
connection = made("carom_connection", carom.carom_connection_open, ours.detach())
read, write = os.pipe()
address = lambda handle: int(ffi.cast("uintptr_t", handle))
items = (Waitable * 3)(Waitable(address(queue), -1, 0), Waitable(address(connection), -1, 0), Waitable(None, read, 0))
assert library.carom_wait(items, 3, 0) == carom.CAROM_ETIMEDOUT
theirs.sendall(b"\0\0\0\5hello")
assert library.carom_wait(items, 3, PATIENCE) == 1 and [item.ready for item in items] == [0, 1, 0]
check(carom.carom_queue_put(queue, b"x", 1, 0))
os.write(write, b"x")
assert library.carom_wait(items, 3, PATIENCE) == 3
assert recv(connection) == b"hello" and get(queue) == b"x"
assert library.carom_connection_send(address(connection), b"bytes", 5, 0) == 0
assert theirs.recv(100) == b"\0\0\0\5bytes"
theirs.close()
assert recv(connection) == b""
carom.carom_connection_free(connection)
carom.carom_queue_free(queue)
os.close(read)
os.close(write)
