"""Runs the benchmarks in interleaved rounds and prints one table and the goals. Called by run.sh, which builds everything.

usage: collect.py BUILD_DIR [SECTIONS]      ROUNDS (3), THUMBS (a program) in the environment"""
import json
import os
import platform
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
SAME_MODE = 1.6     # the machine's modes lie a factor 3 apart, and a probe repeats within 1.2


@dataclass
class Program:
    name: str
    command: list
    once: bool = False      # only in the first round: slow, and far from every goal
    carom: bool = False     # its failure is a failure of the benchmark


def sections(build, thumbs):
    def c(name): return Program(f"carom/{name}", [f"{build}/carom/{name}"], carom=True)
    def peer(name): return Program(f"peers/{name}", [f"{build}/peers/{name}"])
    def py(module, letter, **more):
        return Program(f"peers/bench.py {module} {letter}", [f"{build}/venv/bin/python", f"{HERE}/peers/bench.py", module, letter], **more)
    def there(name, letter): return [Program(f"peers/{name} {letter}", [f"{build}/peers/{name}", letter])] if os.path.exists(f"{build}/peers/{name}") else []
    def both(letter, **more): return [py("multiprocessing", letter), py("billiard", letter, **more)]
    return {
        "A": [c("a_process"), peer("a_process"), *both("A")],
        "B": [c("b_lock"), peer("b_lock"), *both("B")],
        "C": [c("c_wait")],
        "D": [c("d_queue"), peer("d_queue"), *there("iceoryx2", "D"), *both("D")],
        "E": [c("e_pool"), c("e_map"), peer("e_pool"), *there("rayon", "E"), *both("E"), py("futures", "E")],
        "F": [c("f_value"), *both("F")],
        "G": [c("g_connection"), c("g_manager"), *there("redis", "G"), *there("iceoryx2", "G"), *both("G")],
        "H": [c("h_memory"), *both("H")],
        "I": [c("i_death"), *both("I", once=True), py("futures", "L"), py("billiard", "L", once=True)],
        "T": [Program("examples/thumbs", [thumbs, "--bench"], carom=True)],
    }


# A goal bounds what carom costs (time, or 1/rate) as a multiple of a peer's cost in the same round; `faster` is the inverse.
@dataclass
class Goal:
    metric: str
    peer: str           # "": the bound is absolute
    at_most: float = 0
    faster: float = 0
    unit: str = ""
    aim: bool = False   # wanted, not required


# The best of these is to be beaten.
BEST_LOCKS = "glibc-mutex-pshared-robust", "sem_t-pshared", "boost-interprocess_mutex"

WAITS = "event", "condition"

GOALS = [
    Goal("A.start_exit_join", "fork+_exit", at_most=1.15),
    Goal("A.start_exit_join_spawn", "vfork+exec-same", at_most=1.3),
    Goal("A.start_exit_join_forkserver", "fork+_exit-small", at_most=1.35),
    Goal("A.start_exit_join_forkserver_1GiB", "fork+_exit-small", at_most=1.35),
    Goal("B.lock_uncontended", "glibc-mutex-pshared-robust", at_most=1.0),
    Goal("B.lock_uncontended", "sem_t-pshared", at_most=1.1),
    Goal("B.lock_uncontended", "futex-mutex", at_most=1.1, aim=True),
    Goal("B.semaphore_uncontended", "glibc-mutex-pshared-robust", at_most=1.0),
    Goal("B.semaphore_uncontended", "sem_t-pshared", at_most=1.1),
    Goal("B.rlock_uncontended", "sem_t-pshared", at_most=1.2),
    *(Goal("B.lock_contended_2p", peer, faster=1.3) for peer in BEST_LOCKS),
    *(Goal("B.lock_contended_2p", peer, faster=1.5, aim=True) for peer in BEST_LOCKS),
    *(Goal(f"C.{noun}_awake", "shm-spin", at_most=3) for noun in WAITS),
    *(Goal(f"C.{noun}_asleep", "futex", at_most=1.1) for noun in WAITS),
    *(Goal(f"C.{noun}_one_cpu", "futex", at_most=1.2) for noun in WAITS),
    Goal("D.queue_1p1c_64B", "vyukov+yield+futex", at_most=1.25),
    Goal("D.queue_1p1c_64B", "boost-message_queue", faster=3.5),
    Goal("D.queue_1p1c_64B", "multiprocessing.Queue", faster=70),
    Goal("D.queue_2p2c_64B", "vyukov+yield+futex", at_most=1.25),
    Goal("D.queue_2p2c_64B", "boost-message_queue", faster=3.5),
    Goal("D.queue_1p1c_64B_batch32", "shm-spsc", at_most=1.25),
    *(Goal(f"D.queue_1p1c_{size}", "shm-spsc", at_most=1.25) for size in ("1KiB", "64KiB", "1MiB")),
    *(Goal(f"D.queue_1p1c_{size}", "boost-message_queue", faster=1) for size in ("1KiB", "64KiB", "1MiB")),
    *(Goal(f"D.queue_1p1c_{size}", "iceoryx2-copy", faster=1) for size in ("1KiB", "64KiB", "1MiB")),
    Goal("D.queue_single_64B", "vyukov+yield+futex", at_most=1.25),
    Goal("D.queue_single_64B_batch32", "shm-spsc", at_most=1.25),
    Goal("D.queue_single_1KiB", "shm-spsc", at_most=1.25),
    *(Goal(f"D.queue_place_{size}", "shm-spsc-in-place", at_most=1 / 0.9) for size in ("64KiB", "1MiB")),
    *(Goal(f"D.queue_lent_{size}", "iceoryx2-loan", faster=4) for size in ("64B", "64KiB", "1MiB")),
    Goal("D.queue_new", "", at_most=2, unit="us"),
    Goal("E.pool_map_1e6", "multiprocessing.Pool", faster=25),
    Goal("E.pool_map_1e6", "billiard.Pool", faster=25),
    Goal("E.pool_apply_async", "billiard.Pool", faster=100),
    Goal("E.pool_apply_roundtrip_asleep", "futex-two-wakes", at_most=1.1),
    Goal("E.pool_apply_roundtrip_awake", "", at_most=600, unit="ns"),
    Goal("E.pool_create_terminate", "2x(fork+_exit+waitpid)", at_most=3),
    Goal("E.pool_map_callback", "chunks-indirect-call", at_most=1 / 0.35),
    Goal("E.pool_map_range", "chunks-inlined", at_most=1.25),
    Goal("E.pool_map_range", "rayon", at_most=1.0),
    Goal("E.pool_map_chunk_1", "", at_most=100, unit="ns"),
    Goal("E.pool_1MiB_in_and_out", "billiard.Pool", faster=20),
    Goal("E.pool_recycle", "", at_most=6000, unit="us"),
    Goal("F.counter_locked_1p", "futex-mutex+inc", at_most=1.11),
    Goal("F.counter_atomic_1p", "atomic-fetch_add", at_most=1.05),
    Goal("F.make_and_free_value", "", at_most=250, unit="ns"),
    Goal("G.pipe_awake", "shm-spin", at_most=3),
    Goal("G.pipe_asleep", "futex", at_most=1.1),
    Goal("G.pipe_awake", "iceoryx2-polling", faster=1),
    Goal("G.queue_awake", "shm-spin", at_most=3),
    Goal("G.queue_awake", "iceoryx2-polling", faster=1),
    Goal("G.queue_asleep", "futex", at_most=1.1),
    Goal("G.socket_roundtrip", "seqpacket", at_most=1.0),
    Goal("G.64B", "seqpacket", at_most=1.0),
    Goal("G.1MiB", "seqpacket", at_most=1.11),
    Goal("G.1MiB", "stream", at_most=1.11),
    Goal("G.get_rtt", "C-socket-server", at_most=1.05),
    Goal("G.get_rtt", "redis", at_most=1),
    Goal("G.set_rtt", "redis", at_most=1),
    Goal("G.get_16_clients", "redis", at_most=1),
    Goal("G.set_rtt", "C-socket-server", at_most=1.05),
    *(Goal(f"G.{call}_family", "multiprocessing.Manager", faster=70) for call in ("get", "set")),
    Goal("G.update_100", "multiprocessing.Manager", faster=20),
    Goal("G.start", "fork+_exit", at_most=10),
    Goal("H.idle_worker_private", "", at_most=100, unit="KiB"),
    Goal("H.idle_worker_wakeups", "", at_most=0, unit="wakes"),
    Goal("H.pool_descriptors", "", at_most=3, unit="fds"),
    Goal("I.lost_worker_reported", "pidfd-poll", at_most=4),
    Goal("I.worker_replaced", "pidfd-poll+fork", at_most=1.5),
    Goal("thumbs.seconds", "plain-loop", at_most=0.6),
]


def run(program, timeout):
    """Its rows, and what went wrong or None. It leads a process group that ends with it: a Python pool whose worker was killed may
    leave workers behind, and they would hold a pipe open for ever; hence files."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(program.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        pidfd = os.pidfd_open(child.pid)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        ended = poller.poll(timeout * 1000)
        os.close(pidfd)
        os.killpg(child.pid, signal.SIGKILL)    # not reaped yet, so the group is still its own
        code = child.wait()
        out.seek(0)
        err.seek(0)
        lines, complaint = out.read().splitlines(), err.read().strip()
    if complaint:
        print(f"# {program.name}: " + complaint[-800:].replace("\n", "\n#   "), file=sys.stderr)
    rows = [(f[1], f[0], float(f[2]), f[3]) for f in map(str.split, lines) if len(f) == 4]
    return rows, f"no end within {timeout} s" if not ended else f"exit code {code}" if code else None


def probe(build):
    rows, problem = run(Program("peers/probe", [f"{build}/peers/probe"]), 30)
    return rows[0][2] if rows and not problem else None


def cpu_ticks():
    with open("/proc/stat") as f:
        ticks = [int(x) for x in f.readline().split()[1:]]
    return sum(ticks[:8]), ticks[7]


class Table:
    """metric, peer -> {round: value}; and which rounds of a section ran in one mode of the machine."""

    def __init__(self):
        self.rows, self.units, self.mode_changed = {}, {}, set()
        self.section_of = {}

    def add(self, section, round_number, metric, peer, value, unit):
        self.rows.setdefault(metric, {}).setdefault(peer, {})[round_number] = value
        self.units[metric, peer] = unit
        self.section_of[metric] = section

    def dropped(self, metric, round_number):
        return (self.section_of[metric], round_number) in self.mode_changed

    def carom(self, metric):
        return next((p for p in self.rows.get(metric, {}) if p.startswith("carom")), None)

    def values(self, metric, peer):
        """{round: value} without the rounds whose mode changed; if nothing is left, all of them and the mark '!'."""
        every = self.rows.get(metric, {}).get(peer, {})
        kept = {r: v for r, v in every.items() if not self.dropped(metric, r)}
        return (kept, "" if len(kept) == len(every) else "*") if kept else (every, "!" if every else "")

    def advantages(self, metric, peer):
        """The peer's cost over carom's, for each round in which both ran: above 1, carom is better."""
        carom = self.carom(metric)
        if not carom:
            return [], ""
        ours, mark = self.values(metric, carom)
        theirs, their_mark = self.values(metric, peer)
        pairs = [(ours[r], theirs[r]) for r in sorted(ours) if r in theirs]
        if not pairs and theirs:    # a row measured once, in a round that was dropped
            ours, mark = self.rows[metric][carom], "!"
            pairs = [(ours[r], theirs[r]) for r in sorted(ours) if r in theirs]
        rate = self.units[metric, peer].endswith("/s")
        return [(o / t if rate else t / o) for o, t in pairs if o and t], max(mark, their_mark, key="*!".find)


def number(x):
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"


def print_columns(header, rows, left):
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]
    for k, row in enumerate([header, *rows]):
        print("| " + " | ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))) + " |")
        if k == 0:
            print("|" + "|".join("-" * (w + 1) + ("-" if i in left else ":") for i, w in enumerate(widths)) + "|")


def print_table(table):
    print("\nratio: how many times worse the peer is than carom, median of the rounds, each round compared with itself (time and memory: "
          "peer/carom;\nrates: carom/peer). Above 1 carom is better. *: rounds in which the machine's mode changed are left out. "
          "!: it changed in every one.\n")
    lines = []
    for metric in sorted(table.rows):
        carom = table.carom(metric)
        for peer in sorted(table.rows[metric], key=lambda p: p != carom):
            values, mark = table.values(metric, peer)
            ratios, ratio_mark = table.advantages(metric, peer)
            v = list(values.values())
            middle = number(statistics.median(v)) + mark
            ratio = "1" if peer == carom else number(statistics.median(ratios)) + ratio_mark if ratios else "-"
            lines.append((metric, peer, middle, number(min(v)), number(max(v)), table.units[metric, peer], ratio))
    print_columns(("metric", "peer", "median", "min", "max", "unit", "ratio"), lines, {0, 1, 5})


def judge(table, goal):
    """required, measured, verdict"""
    word = "aim" if goal.aim else "goal"
    if goal.peer == "":
        values, mark = table.values(goal.metric, table.carom(goal.metric))
        measured = statistics.median(values.values()) if values else None
        required, met = f"<= {goal.at_most:g} {goal.unit}", values and measured <= goal.at_most
        shown = f"{number(measured)} {goal.unit}" if values else "-"
    else:
        ratios, mark = table.advantages(goal.metric, goal.peer)
        measured = statistics.median(ratios) if ratios else None
        if goal.faster:
            required, met = f">= {goal.faster:g}x the speed of {goal.peer}", ratios and measured >= goal.faster
        else:
            measured = 1 / measured if ratios else None
            required, met = f"<= {goal.at_most:g}x the cost of {goal.peer}", ratios and measured <= goal.at_most
        shown = f"{measured:.3g}x" if ratios else "-"
    verdict = "not measured" if measured is None else f"{word} met" if met else f"{word} missed"
    return required, shown + mark, verdict, measured


def main():
    build, letters = sys.argv[1], "".join(sys.argv[2:]).upper()
    rounds, thumbs = int(os.environ.get("ROUNDS", "3")), os.environ.get("THUMBS", "")
    plan = sections(build, thumbs)
    if unknown := set(letters) - set(plan):
        sys.exit(f"no section {', '.join(sorted(unknown))}; there are {''.join(plan)}")
    if letters:
        plan = {letter: plan[letter] for letter in plan if letter in letters}
    missing = []
    for letter, programs in plan.items():
        missing += [p.name for p in programs if not os.path.exists(p.command[0])]
        plan[letter] = [p for p in programs if os.path.exists(p.command[0])]

    table, problems, history = Table(), [], []
    print(f"{rounds} rounds on {len(os.sched_getaffinity(0))} of {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, "
          f"{time.strftime('%Y-%m-%d %H:%M')}. probe: a cache line's round trip between two CPUs, before each section and after the last")
    for r in range(rounds):
        began, (ticks, stolen) = time.time(), cpu_ticks()
        probes = [probe(build)]
        for section, programs in plan.items():
            for program in programs:
                if program.once and r > 0:
                    continue
                rows, problem = run(program, 60)
                for row in rows:
                    table.add(section, r, *row)
                if problem:
                    problems.append((program, f"round {r + 1}: {program.name}: {problem}"))
            probes.append(probe(build))
            before, after = probes[-2:]
            # Section H counts pages, which do not care.
            if section != "H" and before and after and max(before, after) > SAME_MODE * min(before, after):
                table.mode_changed.add((section, r))
        ticks_after, stolen_after = cpu_ticks()
        noise = dict(round=r + 1, probes_ns=probes, seconds=round(time.time() - began, 1), load=os.getloadavg()[0],
                     steal_percent=round(100 * (stolen_after - stolen) / max(1, ticks_after - ticks), 1))
        history.append(noise)
        shown = [number(p) if p else "-" for p in probes]
        print(f"round {r + 1}: probe before {shown[0]} ns, after {shown[-1]} ns (all: {' '.join(shown)}); "
              f"{noise['seconds']} s, load {noise['load']:.1f}, steal {noise['steal_percent']} %", flush=True)

    print_table(table)
    print("\nGOALS\n")
    measured_here = [g for g in GOALS if g.metric[0].upper() in plan]
    verdicts = [(g, *judge(table, g)) for g in measured_here]
    print_columns(("metric", "required", "measured", "verdict"), [(g.metric, *v[:3]) for g, *v in verdicts], {0, 1, 3})
    for name in missing:
        print(f"not built, not measured: {name}")
    for _, text in problems:
        print(f"FAILED {text}")

    with open(os.path.join(build, "results.json"), "w") as f:
        json.dump(dict(
            machine=dict(cpus=os.cpu_count(), kernel=platform.release(), time=time.strftime("%Y-%m-%dT%H:%M:%S%z")),
            rounds=history, missing=missing, problems=[text for _, text in problems],
            rows=[dict(metric=m, peer=p, unit=table.units[m, p], ratio_to_carom=table.advantages(m, p)[0],
                       values=[dict(round=r + 1, value=v, mode_changed=table.dropped(m, r)) for r, v in values.items()])
                  for m, peers in table.rows.items() for p, values in peers.items()],
            goals=[dict(metric=g.metric, required=v[0], measured=v[3], verdict=v[2]) for g, *v in verdicts]), f, indent=1)
    if any(p.carom for p, _ in problems) or any(name.startswith("carom/") for name in missing):
        sys.exit(1)     # a missed goal is no failure: it may be the machine's; a wrong answer or no answer is


if __name__ == "__main__":
    main()
