"""Bytes, descriptors and keys between our connections and Python's multiprocessing.connection.

Keys are as Python 3.12 and later have them; an older Python checks that it is refused, and has a newer one do the rest.
"""

import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.reduction import recv_handle, send_handle

library = ctypes.CDLL(os.environ["CAROM_LIBRARY"])
EACCES, EMSGSIZE, ETIMEDOUT, ECLOSED = -13, -90, -110, -5005
PATIENCE = 20000


class Options(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("authkey", ctypes.c_char_p),
        ("authkey_len", ctypes.c_size_t),
        ("backlog", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
    ]


handle, size, ms = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
out, options = ctypes.POINTER(handle), ctypes.POINTER(Options)
for name, result, arguments in [
    ("listener_new", ctypes.c_int32, [ctypes.c_char_p, options, out]),
    ("listener_address", ctypes.c_char_p, [handle]),
    ("listener_accept", ctypes.c_int32, [handle, out, ms]),
    ("listener_free", None, [handle]),
    ("client_open", ctypes.c_int32, [ctypes.c_char_p, options, out, ms]),
    ("connection_open", ctypes.c_int32, [ctypes.c_int32, out]),
    ("connection_send", ctypes.c_int32, [handle, ctypes.c_char_p, size, ms]),
    ("connection_recv", ctypes.c_int32, [handle, ctypes.c_void_p, size, ctypes.POINTER(size), ms]),
    ("connection_send_fd", ctypes.c_int32, [handle, ctypes.c_int32, ms]),
    ("connection_recv_fd", ctypes.c_int32, [handle, ctypes.POINTER(ctypes.c_int32), ms]),
    ("connection_free", None, [handle]),
]:
    function = getattr(library, "carom_" + name)
    function.restype, function.argtypes = result, arguments
library.carom_error_message.restype = ctypes.c_char_p


def ok(status):
    assert status == 0, (status, library.carom_error_message())


def made(function, *inputs, timeout=()):
    it = handle()
    ok(function(*inputs, ctypes.byref(it), *timeout))
    return it


def with_key(key):
    return None if key is None else ctypes.byref(Options(ctypes.sizeof(Options), key, len(key), 0, 0))


def send(connection, data):
    ok(library.carom_connection_send(connection, data, len(data), PATIENCE))


def receive(connection):
    length = size()
    if library.carom_connection_recv(connection, None, 0, ctypes.byref(length), PATIENCE) == EMSGSIZE:
        data = ctypes.create_string_buffer(length.value)
        ok(library.carom_connection_recv(connection, data, length, ctypes.byref(length), PATIENCE))
        return data.raw
    return b""


def in_thread(target, *arguments):
    outcome = []

    def run():
        try:
            outcome.append(target(*arguments))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join()
        return outcome[0]

    return join


def python_address(address):
    """As Python writes it."""
    if address.startswith("@"):
        return "\0" + address[1:]
    if address.startswith("/"):
        return address
    host, _, port = address.rpartition(":")
    return host, int(port)


def talk(ours, theirs):
    """Messages of many sizes, both ways."""
    for length in [0, 1, 5, 16384, 16385, 100_000, 3_000_000]:
        data = os.urandom(length)
        got = in_thread(theirs.recv_bytes)
        send(ours, data)
        assert got() == data
        done = in_thread(theirs.send_bytes, data)
        assert receive(ours) == data
        assert done() is None
    theirs.send_bytes(b"the last")
    theirs.close()
    assert receive(ours) == b"the last"
    assert library.carom_connection_recv(ours, None, 0, None, PATIENCE) == ECLOSED


directory = tempfile.mkdtemp()
addresses = [directory + "/ours", "@carom-test-python-%d" % os.getpid(), "127.0.0.1:0"]


def both_ways(key):
    for address in addresses:
        listener = made(library.carom_listener_new, address.encode(), with_key(key))
        there = python_address(library.carom_listener_address(listener).decode())
        theirs = in_thread(lambda: Client(there, authkey=key))
        ours = made(library.carom_listener_accept, listener, timeout=[PATIENCE])
        talk(ours, theirs())
        library.carom_connection_free(ours)
        library.carom_listener_free(listener)

        with Listener(python_address(address), authkey=key) as their_listener:
            there = their_listener.address
            text = "%s:%d" % there if isinstance(there, tuple) else address
            theirs = in_thread(their_listener.accept)
            ours = made(library.carom_client_open, text.encode(), with_key(key), timeout=[PATIENCE])
            talk(ours, theirs())
            library.carom_connection_free(ours)


def refused(their_key, our_key):
    """Neither side lets the other in."""
    none = handle()
    with Listener(python_address(addresses[1]), authkey=their_key) as their_listener:
        theirs = in_thread(their_listener.accept)
        status = library.carom_client_open(addresses[1].encode(), with_key(our_key), ctypes.byref(none), PATIENCE)
        assert status == EACCES, status
        assert isinstance(theirs(), (AuthenticationError, EOFError, OSError))
    listener = made(library.carom_listener_new, None, with_key(our_key))
    there = python_address(library.carom_listener_address(listener).decode())
    theirs = in_thread(lambda: Client(there, authkey=their_key))
    status = library.carom_listener_accept(listener, ctypes.byref(none), 500)
    assert status == ETIMEDOUT, status
    library.carom_listener_free(listener)
    error = theirs()
    assert isinstance(error, (AuthenticationError, EOFError, OSError)), error
    return error


def descriptors():
    ours_fd, theirs_fd = socket.socketpair()
    ours, theirs = made(library.carom_connection_open, ours_fd.detach()), Connection(theirs_fd.detach())
    read, write = os.pipe()
    theirs.send_bytes(b"before")
    send_handle(theirs, write, None)
    theirs.send_bytes(b"after")
    assert receive(ours) == b"before"
    fd = ctypes.c_int32()
    ok(library.carom_connection_recv_fd(ours, ctypes.byref(fd), PATIENCE))
    assert receive(ours) == b"after"
    ok(library.carom_connection_send_fd(ours, fd, PATIENCE))
    os.close(fd.value)
    fd = recv_handle(theirs)
    send(ours, b"last")
    assert theirs.recv_bytes() == b"last"
    os.write(fd, b"through")
    assert os.read(read, 10) == b"through"
    for fd in fd, read, write:
        os.close(fd)
    theirs.close()
    library.carom_connection_free(ours)


both_ways(None)
descriptors()
if sys.version_info >= (3, 12):
    both_ways(b"secret")
    both_ways(b"k" * 500)
    assert isinstance(refused(b"Secret", b"secret"), AuthenticationError)
else:
    assert isinstance(refused(b"secret", b"secret"), AuthenticationError)
assert os.listdir(directory) == []
os.rmdir(directory)
if sys.version_info < (3, 12):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/newer-python.sh")
    python = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    os.execv(python, [python, __file__])
