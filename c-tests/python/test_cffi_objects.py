"""Objects, processes and pools from cffi, which has the structs and constants from the header."""

import os
import signal

from header import PATIENCE, carom, check, ffi, made, sized

# Options by name, their size checked.
lock = made("carom_lock", carom.carom_lock_new, sized("carom_lock_options", ignore_owner_death=1))
out = ffi.new("carom_lock **")
check(carom.carom_lock_new(sized("carom_lock_options", size=3), out), carom.CAROM_EINVAL)
assert out[0] == ffi.NULL
error = sized("carom_error")
check(carom.carom_last_error(error))
assert error.status == carom.CAROM_EINVAL and ffi.string(error.message)

counter = made("carom_value", carom.carom_value_new, carom.CAROM_I64, ffi.new("int64_t *", 40), 8, ffi.NULL)
data = ffi.cast("int64_t *", carom.carom_value_data(counter))
assert data[0] == 40


def forked(body):
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = body() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def stranger():
    check(carom.carom_lock_acquire(lock, 0), carom.CAROM_EFORKED)
    check(carom.carom_value_lock(counter, 0), carom.CAROM_EFORKED)
    carom.carom_lock_free(lock)
    return 3


def dies_holding():
    check(carom.carom_attach())
    check(carom.carom_value_lock(counter, 0))
    data[0] += 1
    check(carom.carom_lock_acquire(lock, 0))
    os.kill(os.getpid(), signal.SIGKILL)


assert forked(stranger) == 3
assert forked(dies_holding) == -signal.SIGKILL
assert data[0] == 41
check(carom.carom_value_lock(counter, carom.CAROM_FOREVER), carom.CAROM_EOWNERDEAD)
check(carom.carom_value_recover(counter, 0))
check(carom.carom_value_unlock(counter))
check(carom.carom_lock_acquire(lock, carom.CAROM_FOREVER))  # this one does not mind
check(carom.carom_lock_release(lock))


# A callback of cffi is a closure: refused, by a process and by a pool, with a message that says what to do.
@ffi.callback("int32_t(carom_call *)")
def closure(call):
    return 0


pool = made("carom_pool", carom.carom_pool_new, sized("carom_pool_options", workers=1))
process, result = ffi.new("carom_process **"), ffi.new("carom_result **")
check(carom.carom_process_start(closure, ffi.NULL, 0, ffi.NULL, process), carom.CAROM_EFUNCTION)
assert b"carom_function_register" in ffi.string(carom.carom_error_message())
check(carom.carom_pool_apply_async(pool, closure, ffi.NULL, 0, ffi.NULL, result), carom.CAROM_EFUNCTION)
assert b"carom_function_register" in ffi.string(carom.carom_error_message())
assert process[0] == ffi.NULL and result[0] == ffi.NULL


# The pool is its maker's: a child of a fork is told so, before and after it attaches.
def with_the_parents_pool():
    check(carom.carom_pool_join(pool, 0), carom.CAROM_EFORKED)
    check(carom.carom_attach())
    check(carom.carom_pool_apply_async(pool, closure, ffi.NULL, 0, ffi.NULL, result), carom.CAROM_EPERM)
    check(carom.carom_pool_close(pool), carom.CAROM_EPERM)
    check(carom.carom_pool_terminate(pool), carom.CAROM_EPERM)
    carom.carom_pool_free(pool)
    return 5


assert forked(with_the_parents_pool) == 5
check(carom.carom_pool_close(pool))
check(carom.carom_pool_join(pool, PATIENCE))
carom.carom_pool_free(pool)

for handle in (lock, counter, ffi.NULL):
    check(carom.carom_process_join(ffi.cast("carom_process *", handle), 0), carom.CAROM_EBADHANDLE)

carom.carom_value_free(counter)
carom.carom_lock_free(lock)
