"""Python functions as targets of processes and as tasks of pools: by os.fork, by spawn, by the forkserver."""

import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples-python"))
from carom_python import Lost, Pool, Process  # noqa: E402

PATIENCE = 8000
EWORKERLOST, ETASKFAILED, ETIMELIMIT = -5001, -5003, -5002
forked = []


def returns(code):
    return code


def exits(code):
    raise SystemExit(code)


def raises():
    sys.stderr = open(os.devnull, "w")
    raise ValueError("nobody sees this")


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def square(number):
    return number * number


def complains(word):
    raise ValueError("not " + word)


def sleeps():
    signal.pause()


def much(count):
    return b"x" * count


def uses_threads():
    results = []
    threads = [threading.Thread(target=lambda: results.append(square(7))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(results)


def hooks():
    return list(forked)


def outcome(method, target, *args):
    process = Process(target, args, method=method)
    process.start()
    assert process.pid > 0
    return process.join(PATIENCE)


def processes(method):
    assert outcome(method, returns, 17) == 17
    assert outcome(method, exits, 5) == 5
    assert outcome(method, raises) == 1
    assert outcome(method, dies) == -signal.SIGKILL
    assert outcome(method, uses_threads) == 4 * 49
    process = Process(sleeps, method=method)
    process.start()
    process.kill()
    assert process.join(PATIENCE) == -signal.SIGKILL


def fails(status, result):
    try:
        result.get(PATIENCE)
    except Lost as lost:
        assert lost.status == status, lost
        return lost.args[1]
    raise AssertionError("it has a result")


def pools(method):
    with Pool(2, method=method) as pool:
        assert pool.map(square, range(50)) == [n * n for n in range(50)]
        assert len(pool.apply(much, (100000,))) == 100000
        assert pool.apply(uses_threads) == 4 * 49
        assert "ValueError: not nice" in fails(ETASKFAILED, pool.apply_async(complains, ("nice",)))
        # Who dies costs his task, and is replaced.
        for _ in range(3):
            fails(EWORKERLOST, pool.apply_async(dies))
        assert pool.map(square, range(50)) == [n * n for n in range(50)]
        waiting = [pool.apply_async(square, (n,)) for n in range(20)]
        pool.close()
        pool.join(PATIENCE)
        assert [result.get() for result in waiting] == [n * n for n in range(20)]
    with Pool(1, method=method, time_limit_ms=300) as pool:
        fails(ETIMELIMIT, pool.apply_async(sleeps))
        assert pool.apply(square, (9,)) == 81


def at_fork():
    """The hooks run in every process, and functions without a name can be targets."""
    os.register_at_fork(before=lambda: forked.append("before"), after_in_child=lambda: forked.append("child"))
    assert outcome("fork", lambda: len(forked)) == 2
    with Pool(1) as pool:
        assert pool.apply(hooks)[-2:] == ["before", "child"]


def among_threads():
    """Locks and allocator of the interpreter are in order in the children of a program with busy threads."""
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            sorted(str(i) for i in range(1000))

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [outcome("fork", uses_threads) for _ in range(4)] == [4 * 49] * 4
        with Pool(2) as pool:
            assert pool.map(square, range(20)) == [n * n for n in range(20)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        processes(method)
        pools(method)
    at_fork()
    among_threads()
