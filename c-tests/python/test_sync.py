"""Synchronization through ctypes: threads of the interpreter, a callback as predicate, no closure as action."""

import ctypes
import os
import threading

library = ctypes.CDLL(os.environ["CAROM_LIBRARY"])
library.carom_error_message.restype = ctypes.c_char_p
for waits in ("barrier_wait", "semaphore_value"):
    getattr(library, "carom_" + waits).restype = ctypes.c_int64

FOREVER, TIMEDOUT, EPERM, EFUNCTION = ctypes.c_int64(-1), -110, -1, -5008


def new(noun, *arguments):
    handle = ctypes.c_void_p()
    status = getattr(library, "carom_" + noun + "_new")(*arguments, ctypes.byref(handle))
    assert status == 0, (noun, status, library.carom_error_message())
    return handle


def ok(status):
    assert status == 0, (status, library.carom_error_message())


# The interpreter's other threads run while one waits.
semaphore = new("semaphore", ctypes.c_int64(0), None)
taken = []


def take():
    ok(library.carom_semaphore_acquire(semaphore, FOREVER))
    taken.append(threading.get_ident())


threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in threads:
    ok(library.carom_semaphore_release(semaphore))
for thread in threads:
    thread.join()
assert len(set(taken)) == 4 and library.carom_semaphore_value(semaphore) == 0
assert library.carom_semaphore_acquire(semaphore, ctypes.c_int64(0)) == TIMEDOUT

# A predicate is called on the thread that waits, so it may be a closure.
Predicate = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
condition = new("condition", None)
items, asked_on = [], set()


@Predicate
def has_three(_):
    asked_on.add(threading.get_ident())
    return len(items) >= 3


def put():
    for item in range(3):
        ok(library.carom_condition_acquire(condition, FOREVER))
        items.append(item)
        ok(library.carom_condition_notify(condition, ctypes.c_int64(1)))
        ok(library.carom_condition_release(condition))


assert library.carom_condition_wait_for(condition, has_three, None, ctypes.c_int64(0)) == EPERM
assert not asked_on
ok(library.carom_condition_acquire(condition, FOREVER))
putter = threading.Thread(target=put)
putter.start()
ok(library.carom_condition_wait_for(condition, has_three, None, FOREVER))
ok(library.carom_condition_release(condition))
putter.join()
assert asked_on == {threading.get_ident()}

# An event, and a barrier; an action would run in another process, so it is no closure.
event = new("event")
barrier = new("barrier", ctypes.c_int64(3), None)
indices = []


def meet():
    ok(library.carom_event_wait(event, FOREVER))
    indices.append(library.carom_barrier_wait(barrier, FOREVER))


threads = [threading.Thread(target=meet) for _ in range(3)]
for thread in threads:
    thread.start()
ok(library.carom_event_set(event))
for thread in threads:
    thread.join()
assert sorted(indices) == [0, 1, 2]


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("action", ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)),
                ("timeout_ms", ctypes.c_int64)]


options = Options(ctypes.sizeof(Options), has_three, 0)
refused = ctypes.c_void_p(1)
assert library.carom_barrier_new(ctypes.c_int64(2), ctypes.byref(options), ctypes.byref(refused)) == EFUNCTION
assert refused.value is None

# Values and arrays are the interpreter's memory too.
array = new("array", ctypes.c_uint32(ord("d")), ctypes.c_size_t(0), ctypes.c_size_t(5), None, None)
library.carom_array_data.restype = ctypes.POINTER(ctypes.c_double)
view = library.carom_array_data(array)
view[3] = 2.5
copied = (ctypes.c_double * 2)()
ok(library.carom_array_get(array, ctypes.c_size_t(2), ctypes.c_size_t(2), copied, ctypes.sizeof(copied), FOREVER))
assert list(copied) == [0.0, 2.5]

for noun, handle in (("array", array), ("barrier", barrier), ("event", event), ("condition", condition),
                     ("semaphore", semaphore)):
    getattr(library, f"carom_{noun}_free")(handle)
