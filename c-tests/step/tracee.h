/*
 * A process that is stepped through, and can be run to any of its instructions.
 *
 * One run is recorded under single-step: the address of each instruction, in order. Later runs go at full speed to an
 * address that comes seldom, shortly before the one that is wanted, by a breakpoint, and step from there. So a point costs
 * some ten microseconds besides the process itself. A run that takes another way than the recorded one misses its point; that
 * is counted. (A repeated string instruction is one instruction here.)
 */
#ifndef STEP_TRACEE_H
#define STEP_TRACEE_H

#include "../support.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>

enum { MOST_STEPS = 1 << 17, REACH = 96 };

/* How a tracee stopped, or did not. */
enum stop { AT_TRAP, ASLEEP, THROUGH, DEAD };

static struct trace {
    uint64_t at[MOST_STEPS];
    uint32_t before[MOST_STEPS]; /* how often the address came before */
    long count;
    long sleep; /* steps before it fell asleep and was woken; -1 if it never did */
} *trace;

static struct tracee {
    pid_t pid;
    uint64_t breakpoint; /* 0: none */
    long covered;        /* the text under it */
    int generation;      /* whose fork is followed: 0 its own no more */
    uint64_t entry;      /* not 0: what that process executes is stepped, from here on; else it ends there */
} tracee;

static flag *through; /* the tracee is behind its operation */

/* ---- one machine or the other ---- */

#if defined __x86_64__
enum { TRAP_BYTES = 1 };
static const long trap_mask = 0xff, trap_code = 0xcc;
typedef struct user_regs_struct registers;
#define PC(registers) (registers).rip
#elif defined __aarch64__
enum { TRAP_BYTES = 0 }; /* the pc stays at a brk */
static const long trap_mask = 0xffffffff, trap_code = 0xd4200000;
typedef struct user_regs_struct registers;
#define PC(registers) (registers).pc
#endif

static inline registers registers_of(pid_t pid) {
    registers it;
    struct iovec place = {&it, sizeof it};
    CHECK_EQ(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &place), 0);
    return it;
}

static inline void set_registers(pid_t pid, registers *it) {
    struct iovec place = {it, sizeof *it};
    CHECK_EQ(ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &place), 0);
}

static inline uint64_t pc_of(pid_t pid) { return PC(registers_of(pid)); }

/* ---- breakpoints ---- */

static inline void uncover(pid_t pid) {
    if (tracee.breakpoint) CHECK_EQ(ptrace(PTRACE_POKETEXT, pid, tracee.breakpoint, tracee.covered), 0);
}

static inline void break_at(uint64_t address) {
    errno = 0;
    tracee.covered = ptrace(PTRACE_PEEKTEXT, tracee.pid, address, 0);
    CHECK_EQ(errno, 0);
    tracee.breakpoint = address;
    CHECK_EQ(ptrace(PTRACE_POKETEXT, tracee.pid, address, (tracee.covered & ~trap_mask) | trap_code), 0);
}

static inline void break_nowhere(void) {
    uncover(tracee.pid);
    tracee.breakpoint = 0;
}

/* ---- waiting ---- */

static int64_t patient_until; /* all that a point needs is done before */

/* What has been done of an operation under one script, and what was found there, once at most: then it ends. */
static struct count {
    long instructions, points, missed, hangs, leaks;
    long all; /* points there are: `instructions`, and one asleep, where it sleeps */
    long at; /* the instruction of the point under way */
} *count;

/* What the first processes of this session do: the system call and where. */
static inline void tell_of_some(void) {
    int left = 5;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && left > 0 && (entry = readdir(proc))) {
        char path[300], name[64] = "", call[256] = "";
        static const char *const files[] = {"comm", "syscall"};
        pid_t pid = atoi(entry->d_name);
        if (pid <= 0 || getsid(pid) != getsid(0)) continue;
        left--;
        for (int i = 0; i < 2; i++) {
            snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, files[i]);
            FILE *file = fopen(path, "re");
            if (file && fgets(i ? call : name, i ? sizeof call : sizeof name, file)) (i ? call : name)[strcspn(i ? call : name, "\n")] = 0;
            if (file) fclose(file);
        }
        fprintf(stderr, "  pid %d %s %c in %s\n", (int)pid, name, state_of(pid, pid), call);
    }
    if (proc) closedir(proc);
}

static inline void hangs(const char *what) {
    if (count) count->hangs = 1;
    tell_of_some();
    check_fail_(__FILE__, __LINE__, what, "", "", "");
}

static void tick(int signal) {
    (void)signal;
    if (patient_until && now_ms() > patient_until) hangs("hangs");
}

/* Ends a wait of this process now and then, to look whether the tracee sleeps. */
static inline void tick_on(void) {
    struct sigaction action = {.sa_handler = tick};
    struct itimerval often = {{0, 4000}, {0, 4000}};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static inline pid_t next_stop(pid_t pid, int *status) {
    pid_t seen;
    do seen = waitpid(pid, status, __WALL);
    while (seen < 0 && errno == EINTR);
    return seen;
}

/* A process that the tracee forked: followed if it is the one that is meant, else let go, without our breakpoint. (One that
 * shares the tracee's memory takes it away for both, until `await` hears that it has it no more.) */
static inline void forked(pid_t parent) {
    unsigned long child = 0;
    int status;
    CHECK_EQ(ptrace(PTRACE_GETEVENTMSG, parent, 0, &child), 0);
    if (next_stop((pid_t)child, &status) != (pid_t)child || !WIFSTOPPED(status)) return;
    uncover((pid_t)child);
    if (tracee.generation == 0) {
        ptrace(PTRACE_DETACH, child, 0, 0);
        return;
    }
    tracee.generation--;
    tracee.pid = (pid_t)child;
    ptrace(PTRACE_DETACH, parent, 0, 0);
}

enum {
    OPTIONS = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
              PTRACE_O_EXITKILL
};

static inline void go(int how) { ptrace(how, tracee.pid, 0, 0); }

/* Waits until the tracee, which goes on as `how` says, stops by our doing. `sleeps`: it will sleep, which is looked for
 * eagerly. Signals of its own reach it. */
static enum stop await(int how, int sleeps) {
    int status, asleep = 0;
    for (;;) {
        pid_t seen = waitpid(tracee.pid, &status, sleeps ? __WALL | WNOHANG : __WALL);
        if (seen <= 0) {
            if (seen < 0 && errno != EINTR) return DEAD;
            asleep = state_of(tracee.pid, tracee.pid) == 'S' ? asleep + 1 : 0;
            if (asleep >= 2) return ASLEEP;
            if (sleeps) usleep(20);
            continue;
        }
        if (!WIFSTOPPED(status)) return DEAD;
        int signal = WSTOPSIG(status), event = status >> 16;
        asleep = 0;
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            pid_t parent = tracee.pid;
            forked(parent);
            if (tracee.pid != parent && tracee.generation == 0) return AT_TRAP;
            signal = 0;
        } else if (event == PTRACE_EVENT_VFORK_DONE) {
            if (tracee.breakpoint) break_at(tracee.breakpoint);
            signal = 0;
        } else if (event == PTRACE_EVENT_EXEC) {
            tracee.breakpoint = 0; /* gone with the memory */
            return tracee.entry ? AT_TRAP : THROUGH;
        } else if (signal == SIGTRAP && event == 0) {
            return AT_TRAP;
        } else if (signal == SIGSTOP && event == 0 && atomic_load(through)) {
            return THROUGH;
        } else if (event || signal == SIGTRAP || signal == SIGSTOP) {
            signal = 0;
        }
        ptrace(how, tracee.pid, 0, signal);
    }
}

static inline enum stop step(void) {
    go(PTRACE_SINGLESTEP);
    return await(PTRACE_SINGLESTEP, 0);
}

/* The tracee stopped at its breakpoint: as if there had been none. */
static inline void step_back(void) {
    registers now = registers_of(tracee.pid);
    PC(now) = tracee.breakpoint;
    set_registers(tracee.pid, &now);
}

/* Whether the tracee, going on, comes to something. `begin` is called once it moves, and is NULL then. */
static inline int comes_to_a_trap(void (**begin)(void)) {
    go(PTRACE_CONT);
    if (*begin) (*begin)();
    *begin = NULL;
    return await(PTRACE_CONT, 0) == AT_TRAP;
}

/* Goes on until the descendant that is meant is there, stopped at its first instruction, or at that of what it executes. */
static inline int is_born(void (**begin)(void)) {
    while (tracee.generation > 0)
        if (!comes_to_a_trap(begin)) return 0;
    if (!tracee.entry) return 1;
    if (!comes_to_a_trap(begin)) return 0;
    break_at(tracee.entry);
    if (!comes_to_a_trap(begin)) return 0;
    step_back();
    break_nowhere();
    return 1;
}

/* ---- recording ---- */

static inline void note_step(uint64_t at) {
    static uint64_t keys[2 * MOST_STEPS];
    static uint32_t counts[2 * MOST_STEPS];
    if (trace->count == 0) memset(counts, 0, sizeof counts);
    if (trace->count == MOST_STEPS || (trace->count && trace->at[trace->count - 1] == at)) return;
    size_t place = at * 0x9e3779b97f4a7c15u >> 46;
    while (counts[place] && keys[place] != at) place = (place + 1) % (2 * MOST_STEPS);
    keys[place] = at;
    trace->before[trace->count] = counts[place]++;
    trace->at[trace->count++] = at;
}

/* Steps through the whole operation of a stopped tracee. `begin` is called once it goes on; `wake` when it sleeps: where
 * there is nobody to wake it, or when it sleeps again, it is over. */
static void record(void (*begin)(void), void (*wake)(void)) {
    trace->count = 0;
    trace->sleep = -1;
    if (!is_born(&begin)) return;
    for (;;) {
        /* Some ten thousand steps may take longer than anything else that is waited for. */
        if (trace->count % 1024 == 0) patient_until = now_ms() + 4 * PATIENCE_MS;
        note_step(pc_of(tracee.pid));
        go(PTRACE_SINGLESTEP);
        if (begin) begin();
        begin = NULL;
        enum stop stop = await(PTRACE_SINGLESTEP, 0);
        if (stop == ASLEEP && wake && trace->sleep < 0) {
            trace->sleep = trace->count;
            wake();
            stop = await(PTRACE_SINGLESTEP, 0);
        }
        if (stop != AT_TRAP || trace->count == MOST_STEPS) return;
    }
}

/* ---- going there again ---- */

/* From where to step to `k`: where a breakpoint is hit least often for it. */
static inline long cheapest(long k) {
    long least = trace->sleep >= 0 && k >= trace->sleep ? trace->sleep : 0;
    long best = k, from = k - REACH > least ? k - REACH : least;
    for (long j = k; j >= from; j--)
        if (2 * (long)trace->before[j] + k - j < 2 * (long)trace->before[best] + k - best) best = j;
    return best;
}

/* Past the breakpoint at which the tracee is. */
static inline enum stop step_over(void) {
    uint64_t address = tracee.breakpoint;
    break_nowhere();
    enum stop stop = step();
    if (stop == AT_TRAP) break_at(address);
    return stop;
}

/* Runs a stopped tracee to the instruction `k` of the trace, which it has not done yet. AT_TRAP: it is there. */
static enum stop run_to(long k, void (*begin)(void), void (*wake)(void)) {
    if (!is_born(&begin)) return THROUGH;
    long from = cheapest(k);
    int sleeps = wake && trace->sleep >= 0 && k >= trace->sleep;
    break_at(trace->at[from]);
    go(PTRACE_CONT);
    if (begin) begin();
    for (uint32_t hits = 0;;) {
        enum stop stop = await(PTRACE_CONT, sleeps);
        if (stop == ASLEEP && sleeps) {
            sleeps = 0;
            wake();
            continue;
        }
        if (stop != AT_TRAP) {
            if (stop == THROUGH) break_nowhere();
            tracee.breakpoint = 0;
            return stop;
        }
        step_back();
        if (hits++ == trace->before[from]) break;
        if (step_over() != AT_TRAP) return THROUGH;
        go(PTRACE_CONT);
    }
    break_nowhere();
    for (; from < k; from++)
        if (step() != AT_TRAP) return THROUGH;
    return AT_TRAP;
}

/* Runs all of it, unstepped. */
static void run_through(void (*begin)(void), void (*wake)(void)) {
    if (!is_born(&begin)) return;
    go(PTRACE_CONT);
    if (begin) begin();
    if (await(PTRACE_CONT, 0) == ASLEEP && wake) {
        wake();
        await(PTRACE_CONT, 0);
    }
}

/* Runs it until it sleeps. */
static enum stop run_to_sleep(void (*begin)(void)) {
    if (!is_born(&begin)) return THROUGH;
    go(PTRACE_CONT);
    if (begin) begin();
    return await(PTRACE_CONT, 1);
}
#endif
