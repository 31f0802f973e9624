"""Queues from cffi, which has structs and constants from the header: views of messages in place, options, tasks, dead letters."""

from header import PATIENCE, carom, check, ffi, made, sized


def peek(queue):
    message = sized("carom_message")
    check(carom.carom_queue_peek(queue, message, PATIENCE))
    return message, ffi.buffer(message.data, message.len)


letters = made("carom_queue", carom.carom_queue_new, ffi.NULL)
options = sized("carom_queue_options", max_items=4, max_deliveries=2, dead_letters=letters)
queue = made("carom_queue", carom.carom_joinable_queue_new, options)

# Written and read through buffers, without a copy.
message = sized("carom_message")
check(carom.carom_queue_reserve(queue, 100000, message))
room = ffi.buffer(message.data, message.len)
room[0:6] = b"header"
room[99994:100000] = b"footer"
check(carom.carom_queue_commit(queue, message, 100000, 0))
leased, view = peek(queue)
assert view[0:6] == b"header" and view[99994:100000] == b"footer" and leased.deliveries == 1
check(carom.carom_queue_consume(queue, leased))
check(carom.carom_queue_join(queue, 0), carom.CAROM_ETIMEDOUT)
check(carom.carom_queue_task_done(queue))
check(carom.carom_queue_join(queue, PATIENCE))

# What nobody can do is put aside after the second attempt.
check(carom.carom_queue_put(queue, b"poison", 6, 0))
for attempt in 1, 2:
    leased, view = peek(queue)
    assert view[:] == b"poison" and leased.deliveries == attempt
    check(carom.carom_queue_return(queue, leased))
check(carom.carom_queue_peek(queue, message, 0), carom.CAROM_ETIMEDOUT)
check(carom.carom_queue_join(queue, PATIENCE))
leased, view = peek(letters)
assert view[:] == b"poison" and leased.deliveries == 3
check(carom.carom_queue_consume(letters, leased))

# A batch, and its lengths.
numbers = ffi.new("int64_t[4]", [1, 2, 3, 4])
check(carom.carom_queue_put_many(queue, numbers, 8, 4, 0))
check(carom.carom_queue_put(queue, b"x", 1, 0), carom.CAROM_ETIMEDOUT)
found, lens = ffi.new("int64_t[8]"), ffi.new("size_t[8]")
assert carom.carom_queue_get_many(queue, found, 8, 8, lens, 0) == 4
assert list(found)[:4] == [1, 2, 3, 4] and list(lens)[:4] == [8] * 4

# Any handle, of the kind that it was.
lock = made("carom_lock", carom.carom_lock_new, ffi.NULL)
check(carom.carom_queue_put_handle(queue, lock, 0))
carom.carom_lock_free(lock)
check(carom.carom_queue_get(queue, found, 8, ffi.NULL, 0), carom.CAROM_EPERM)
handle = ffi.new("void **")
check(carom.carom_queue_get_handle(queue, handle, 0))
lock = ffi.cast("carom_lock *", handle[0])
check(carom.carom_lock_acquire(lock, 0))
check(carom.carom_lock_release(lock))
carom.carom_lock_free(lock)

carom.carom_queue_free(queue)
carom.carom_queue_free(letters)
