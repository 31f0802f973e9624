/*
 * carom 0.1.0: processes, pools of them, and what they share, for C and C++. This header is the manual.
 * Generated from src/ffi by `make header`; never edited.
 *
 * Names       carom_<noun>_<verb>; types carom_<noun>; constants CAROM_<NAME>.
 *
 * Status      Every function that can fail returns a carom_status: CAROM_OK (0), -1 to -4095 a negated errno, below
 *             -5000 carom's own. Another status than CAROM_OK means that the call did not happen: there is nothing to
 *             undo, release or free; outputs are as they were, and handles that it would have given are NULL. Functions
 *             that ask (is_set, ready, size, fd) return the answer, 0 or more, or a status. The status suffices to
 *             decide; carom_last_error has the detail for this thread. A string that you are shown is never NULL.
 *
 * Parameters  Handle, function, inputs, options, outputs, timeout. Data, capacity and length stand side by side.
 *
 * Zero        in an options struct is the default; NULL options are all defaults. "Without" is CAROM_NONE (-1), never
 *             0. Set `size` to the sizeof of the struct and the rest to zero: `carom_pool_options options = { .size =
 *             sizeof options };`. The structs grow in later versions; a program built with an older header stays valid.
 *
 * Timeouts    Milliseconds of the monotonic clock, last, as in poll(); CAROM_FOREVER (-1) waits, 0 tries once. Not
 *             within its time is CAROM_ETIMEDOUT, for 0 too; CAROM_EAGAIN means that there is no answer yet. EINTR does
 *             not surface unless the thread asked for it.
 *
 * Buffers     Inputs are copied before a call returns. Outputs go into your buffer: data, capacity, &len (len may be
 *             NULL). Too small is CAROM_EMSGSIZE, *len is what it takes, and the message stays where it was.
 *
 * Lifetime    What a call, an event or a callback shows is borrowed until it ends. Every other handle that you get is
 *             yours, and the function to end it is its _free.
 *
 * Handles     A handle that is freed, used again, foreign or of another kind gives CAROM_EBADHANDLE; it is never
 *             followed. Nothing but _free invalidates one. _free(NULL) does nothing; _free never waits and never calls
 *             back, on any thread, in a finalizer, and in a forked child, where it ends this process's view only.
 *             Handles are shared between processes as arguments and in messages, under every start method.
 *
 * Callbacks   take your `ctx` last and hold no lock of ours. They must not unwind: no longjmp, no exception through
 *             them. They run when the documented function is called, on its thread, and never otherwise. A
 *             carom_function runs in another process and has no ctx: it gets its arguments from its carom_call.
 *
 * Threads     Every function may be called from every thread, on the same handle too, also while another thread frees
 *             it. carom starts no thread, installs no signal handler and reaps no child but its own, unless you ask it
 *             to.
 *
 * Fork        Objects work in every process that carom started. After a fork that carom did not make, every call in the
 *             child returns CAROM_EFORKED until it attaches; _free is allowed.
 */
#ifndef CAROM_H
#define CAROM_H

#include <stddef.h>
#include <stdint.h>

/** Version of this header; carom_version() is that of the library in use. */
#define CAROM_VERSION "0.1.0"
#define CAROM_VERSION_MAJOR 0
#define CAROM_VERSION_MINOR 1
#define CAROM_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* Between the two marks stands only what a parser of plain declarations reads, such as that of Python's cffi. */
/* cdef: begin */

#define CAROM_OK 0                      /* success */
#define CAROM_EPERM -1                  /* not permitted now, or not for this caller */
#define CAROM_ENOENT -2                 /* no such thing */
#define CAROM_EINTR -4                  /* interrupted by a signal */
#define CAROM_E2BIG -7                  /* an options struct has a field set that this library does not know */
#define CAROM_EAGAIN -11                /* no answer yet */
#define CAROM_ENOMEM -12                /* out of memory, or a limit is reached */
#define CAROM_EEXIST -17                /* there is one already */
#define CAROM_EINVAL -22                /* an argument makes no sense */
#define CAROM_EDEADLK -35               /* the caller holds this lock already */
#define CAROM_EMSGSIZE -90              /* the buffer is too small, or the message has another size */
#define CAROM_ENOTSUP -95               /* not supported here */
#define CAROM_ETIMEDOUT -110            /* not within its time */
#define CAROM_ECANCELED -125            /* cancelled before it was done */
#define CAROM_EOWNERDEAD -130           /* the holder of the lock died while it held it */
#define CAROM_EWORKERLOST -5001         /* the worker died while it ran the task */
#define CAROM_ETIMELIMIT -5002          /* the task was ended by its time limit */
#define CAROM_ETASKFAILED -5003         /* the task ran and failed */
#define CAROM_EBROKEN -5004             /* the object cannot go on */
#define CAROM_ECLOSED -5005             /* the object takes no more */
#define CAROM_EEND -5007                /* nothing more will come */
#define CAROM_EFUNCTION -5008           /* a function that no other process could find */
#define CAROM_EBADHANDLE -5009          /* a handle that is freed, foreign, of another kind, or never was one */
#define CAROM_ESOFTLIMIT -5010          /* the task is past its soft time limit */
#define CAROM_EFORKED -5011             /* this process was forked without carom */
#define CAROM_EPANIC -5012              /* the library has a bug, and caught it */

/**
 * One run of a function, as the function sees it. Valid until the function returns, in the process in which it runs.
 */
typedef struct carom_call carom_call;

/** A process that this one started. Opaque. */
typedef struct carom_process carom_process;

/** A lock. Opaque. */
typedef struct carom_lock carom_lock;

/** A shared value. Opaque. */
typedef struct carom_value carom_value;

/* ---------------------------------------------------------------------------------------------------------------------
 * Versions, errors, the log, and the moments in a program's life that concern all of it.
 */

/** What every fallible function returns: `CAROM_OK`, a negated errno (-1…-4095), or one of carom's own below -5000. */
typedef int32_t carom_status;

#define CAROM_FOREVER -1                /* A timeout that never passes. */
#define CAROM_NONE -1                   /* "Without", in an options struct where 0 means the default. */

/** Detail of an error, see `carom_last_error`. */
typedef struct carom_error {
    /** sizeof(carom_error), set by the caller. */
    size_t size;
    /** The status that the call returned. */
    carom_status status;
    /** The errno behind it, 0 where there is none. */
    int32_t os_errno;
    /** What was wrong, in English; never NULL. Valid until the next failing call of this thread. */
    const char *message;
} carom_error;

/**
 * Version of the library in use, "major.minor.patch". Static; compare it with `CAROM_VERSION` to detect a header of
 * another version.
 */
const char *carom_version(void);

/**
 * To be called first in `main`, before any other thread is made: children of start methods other than fork begin here,
 * and never return. (0, NULL) is legal where there is no `main`. May be called again.
 *
 * Returns `CAROM_OK`, or `CAROM_EINVAL` for a negative argc.
 */
carom_status carom_init(int argc, char **argv);

/**
 * A clean end: terminates the daemonic children of this process (SIGTERM), then joins the others. Pools are ended by
 * their own functions. What is not ended so ends with the program, whichever way that ends.
 *
 * Blocks up to `timeout_ms`; `CAROM_ETIMEDOUT` if a child still runs then.
 */
carom_status carom_shutdown(int64_t timeout_ms);

/**
 * Makes a process that was forked without carom a member of the family: until then every call in it returns
 * `CAROM_EFORKED`. Nothing to do, and `CAROM_OK`, in a process that is one.
 */
carom_status carom_attach(void);

/**
 * Detail of the last error of the calling thread; of success if there was none.
 *
 * `CAROM_EINVAL` if `error` is NULL or its size is not set.
 */
carom_status carom_last_error(carom_error *error);

/**
 * The message of the last error of the calling thread, "" if there was none; never NULL. Valid until the next failing
 * call of this thread.
 */
const char *carom_error_message(void);

/** Name of a status, as "CAROM_ETIMEDOUT"; "unknown status" for what is none. Never NULL, static, async-signal-safe. */
const char *carom_status_name(carom_status status);

/** What a status means, in a few words of English. Never NULL, static, async-signal-safe. */
const char *carom_status_message(carom_status status);

/** How many processors this process may use: its affinity, and its cgroup's quota rounded up; at least 1. */
int32_t carom_cpu_count(void);

/* ---------------------------------------------------------------------------------------------------------------------
 * One callable type for everything that runs in another process, and one struct for everything that travels.
 */

/**
 * What runs in another process: a pool's task, a process's target. 0 is success; anything else fails and discards the
 * reply. A task's verdict keeps the whole number; a process exits with it if it is 1…255, else with 255.
 *
 * It must not unwind (a C++ exception that leaves it ends its process) and may call whatever it likes; if it calls
 * `exit`, its process ends.
 */
typedef int32_t (*carom_function)(carom_call *call);

#define CAROM_ARGUMENT_BYTES 0          /* Bytes: `data`, `len`. */
#define CAROM_ARGUMENT_HANDLE 1         /* A handle of an object that can be shared: a lock, a value. */
#define CAROM_ARGUMENT_FD 2             /* A file descriptor: `integer`. */
#define CAROM_ARGUMENT_NIL 3            /* Nothing. */
#define CAROM_ARGUMENT_BOOL 4           /* A truth value: `integer`, 0 or 1. */
#define CAROM_ARGUMENT_INTEGER 5        /* An integer: `integer`. */
#define CAROM_ARGUMENT_REAL 6           /* A floating-point number: `real`. */
#define CAROM_ARGUMENT_STRING 7         /* A text: `data`, `len`; no terminating zero is needed, and none is counted. */
#define CAROM_ARGUMENT_LIST 8           /* A list: `data` is a `carom_argument[len]`. */
#define CAROM_ARGUMENT_MAP 9            /* A map: `data` is a `carom_argument[2 * len]`, key, value, key, value. */

/**
 * What travels: arguments, messages, replies. The zero kind is bytes. Frozen: this struct never grows, since arrays of
 * it cross the border.
 */
typedef struct carom_argument {
    /** `CAROM_ARGUMENT_…` */
    uint32_t kind;
    /** 0. */
    uint32_t reserved;
    /** Bytes, string, list, map. */
    const void *data;
    /** Bytes, or elements of a list, or pairs of a map. */
    uint64_t len;
    /** Integer, bool, descriptor. */
    int64_t integer;
    /** Real. */
    double real;
    /** Handle. */
    void *handle;
} carom_argument;

/**
 * Gives a function a name by which every process of the family knows it. Needed only where address and module do not
 * tell: for functions made at run time. To be called before `carom_init`, and before the pool that runs it is made.
 * `name` is copied: 1 to 63 printable characters.
 *
 * `CAROM_EEXIST` if the name is another function's, `CAROM_EINVAL` for a bad name, `CAROM_EFUNCTION` for NULL.
 */
carom_status carom_function_register(const char *name, carom_function function);

/**
 * How many arguments the call has.
 *
 * Never blocks. `CAROM_EBADHANDLE` for a call that is over.
 */
int64_t carom_call_count(const carom_call *call);

/**
 * Copies argument `index`, which must have exactly `len` bytes, to `data`. Integers and reals are read as int64_t and
 * double.
 *
 * `CAROM_EMSGSIZE` for another length, `CAROM_EINVAL` if there is no such argument or it has no bytes.
 */
carom_status carom_call_read(carom_call *call, size_t index, void *data, size_t len);

/**
 * Shows argument `index` in place: bytes and strings are aligned to 16, lists and maps are arrays of `carom_argument`,
 * as they were passed. All of it, handles too, is borrowed until the function returns.
 *
 * `CAROM_EINVAL` if there is no such argument, `CAROM_EBADHANDLE` for a handle of an object that is gone.
 */
carom_status carom_call_argument(carom_call *call, size_t index, carom_argument *argument);

/**
 * The lock that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the lock is gone.
 */
carom_status carom_call_lock(carom_call *call, size_t index, carom_lock **lock);

/**
 * The value that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the value is gone.
 */
carom_status carom_call_value(carom_call *call, size_t index, carom_value **value);

/**
 * Keeps a handle that `call` lent: it lives until its own `_free`.
 *
 * `CAROM_EBADHANDLE` if the handle was not lent by this call.
 */
carom_status carom_handle_keep(carom_call *call, void *handle);

/**
 * Replies with a copy of `len` bytes. The last reply counts; a function that returns anything but 0 has none. A process
 * has nobody to reply to: there it does nothing.
 *
 * `CAROM_EMSGSIZE` where the caller wants another size (map), `CAROM_ENOMEM` if the arena is full.
 */
carom_status carom_call_reply(carom_call *call, const void *data, size_t len);

/**
 * Room for a reply of up to `len` bytes, to be written in place and then committed; `*data` is aligned to 16. NULL in a
 * process, which has nobody to reply to.
 *
 * Errors as `carom_call_reply`.
 */
carom_status carom_call_reserve(carom_call *call, size_t len, void **data);

/**
 * The first `len` reserved bytes are the reply.
 *
 * `CAROM_EMSGSIZE` for more than was reserved, `CAROM_EPERM` if nothing was.
 */
carom_status carom_call_commit(carom_call *call, size_t len);

/**
 * Says why the function fails: `return carom_call_fail(call, 3, "bad magic");`. `message` is copied, its first 160
 * bytes at most; NULL is "".
 *
 * Returns `code`, or 1 if that is 0.
 */
int32_t carom_call_fail(carom_call *call, int32_t code, const char *message);

/* ---------------------------------------------------------------------------------------------------------------------
 * A function running in a process of its own.
 */

/** Options of a process. */
typedef struct carom_process_options {
    /** sizeof(carom_process_options) */
    size_t size;
    /** Its name, copied. NULL: "Process-1", counted. */
    const char *name;
    /** Not 0: `carom_shutdown` terminates it instead of joining it. */
    uint32_t daemon;
    /** 0. */
    uint32_t reserved;
} carom_process_options;

/**
 * Starts a process that runs `function` with `arguments` (copied; `count` may be 0, a last argument of kind map does
 * what keyword arguments do), under start method fork: it has a copy of this process's memory and its descriptors.
 * Options may be NULL.
 *
 * In the child: default signal dispositions, an empty signal mask, stdin from /dev/null; when the function returns, or
 * calls `exit`, what is in stdout and stderr goes out, and the process ends by `_exit`: no atexit handler of this
 * program runs there. If this process dies, so does the child.
 *
 * Blocks for as long as fork does. `CAROM_EFUNCTION` for a function that is NULL, or in no module (a closure made at
 * run time); `CAROM_ENOMEM`, or the errno of fork. The child's memory of other threads' locks is as they were: in a
 * program with threads it should call only what is safe after fork.
 */
carom_status carom_process_start(carom_function function, const carom_argument *arguments, size_t count,
                                 const carom_process_options *options, carom_process **process);

/**
 * Waits up to `timeout_ms` until the process has ended.
 *
 * `CAROM_ETIMEDOUT`; `CAROM_EPERM` in any process but the one that started it.
 */
carom_status carom_process_join(carom_process *process, int64_t timeout_ms);

/**
 * 1 while the process runs, 0 once it has ended.
 *
 * Never blocks. `CAROM_EPERM` in any process but the one that started it.
 */
int32_t carom_process_is_alive(carom_process *process);

/**
 * How the process ended: 0…255, or -N if signal N ended it. Correct also where this program ignores SIGCHLD or reaps
 * every child itself, on Linux 6.15 and later; before, only for processes that left by themselves.
 *
 * Never blocks. `CAROM_EAGAIN` while it runs, `CAROM_ENOENT` where nobody can tell.
 */
carom_status carom_process_exitcode(carom_process *process, int32_t *code);

/**
 * Sends SIGTERM to the process (and to nothing else, even if its number is used again). `CAROM_OK` if it has ended
 * already.
 *
 * Never blocks. `CAROM_EPERM` in any process but the one that started it.
 */
carom_status carom_process_terminate(carom_process *process);

/** Sends SIGKILL, otherwise as `carom_process_terminate`. */
carom_status carom_process_kill(carom_process *process);

/** Process id, or `CAROM_EBADHANDLE`. */
int32_t carom_process_pid(carom_process *process);

/** Name of the process; "" for a bad handle, never NULL. Valid until the handle is freed. */
const char *carom_process_name(carom_process *process);

/** 1 if the process was started as a daemon, 0 if not. */
int32_t carom_process_daemon(carom_process *process);

/**
 * A descriptor for poll and its like, readable once the process has ended. It belongs to the handle: never read or
 * close it.
 *
 * `CAROM_EBADHANDLE`.
 */
int32_t carom_process_fd(carom_process *process);

/**
 * Ends this handle; the process runs on, and leaves no zombie. NULL is nothing.
 *
 * Never waits or kills; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_process_free(carom_process *process);

/**
 * The calling process: its pid, and its name ("MainProcess" in the first), static. Either may be NULL.
 *
 * Never blocks.
 */
carom_status carom_process_current(int32_t *pid, const char **name);

/**
 * The process that started the calling one: its pid, and 1 while it lives. Either may be NULL.
 *
 * Never blocks. `CAROM_ENOENT` in the first process of a family.
 */
carom_status carom_process_parent(int32_t *pid, int32_t *alive);

/**
 * Handles of the living children that this process started, each yours to free: as many as fit into `capacity`. Reaps
 * those that have ended.
 *
 * How many there are, which may be more than `capacity`, or a status. Never blocks.
 */
int64_t carom_process_children(carom_process **processes, size_t capacity);

/* ---------------------------------------------------------------------------------------------------------------------
 * Held by a process, released by anyone (a recursive one by the thread that holds it), and never lost with a dead holder.
 */

/** Options of a lock. */
typedef struct carom_lock_options {
    /** sizeof(carom_lock_options) */
    size_t size;
    /** Not 0: a lock whose holder died is acquired plainly, without `CAROM_EOWNERDEAD`. */
    uint32_t ignore_owner_death;
    /** 0. */
    uint32_t reserved;
} carom_lock_options;

/**
 * Makes a lock, held by nobody. Options may be NULL. Usable in every process of the family: inherited by fork, or as an
 * argument. Costs no descriptor.
 *
 * Never blocks. `CAROM_ENOMEM` if the family has too many objects.
 */
carom_status carom_lock_new(const carom_lock_options *options, carom_lock **lock);

/**
 * Makes a recursive lock: the thread that holds it may acquire it again, and releases it as often.
 *
 * As `carom_lock_new`.
 */
carom_status carom_rlock_new(const carom_lock_options *options, carom_lock **lock);

/**
 * Acquires the lock, waiting up to `timeout_ms`; 0 tries once. Barging: no order among those who wait.
 *
 * `CAROM_ETIMEDOUT`; `CAROM_EOWNERDEAD` if a process died holding it: then it is NOT held, and every acquire says so
 * until one caller has called `carom_lock_recover`. `CAROM_EBADHANDLE` also if it is freed meanwhile.
 */
carom_status carom_lock_acquire(carom_lock *lock, int64_t timeout_ms);

/**
 * Acquires the lock and takes a dead holder's mark away: the caller looks after what the lock guards. Waits as
 * `carom_lock_acquire`.
 *
 * `CAROM_ETIMEDOUT`, `CAROM_EBADHANDLE`.
 */
carom_status carom_lock_recover(carom_lock *lock, int64_t timeout_ms);

/**
 * Releases the lock. Any process may do that for a plain lock, whoever holds it; only the holding thread for a
 * recursive one.
 *
 * Never blocks. `CAROM_EPERM` if nobody holds it, or another thread a recursive one.
 */
carom_status carom_lock_release(carom_lock *lock);

/**
 * 1 if somebody holds the lock at this moment, 0 if not.
 *
 * Never blocks. `CAROM_EBADHANDLE`.
 */
int32_t carom_lock_locked(carom_lock *lock);

/**
 * Ends this handle. The lock goes when no process needs it any more. NULL is nothing.
 *
 * Never blocks; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_lock_free(carom_lock *lock);

/* ---------------------------------------------------------------------------------------------------------------------
 * Typed bytes that a family shares, with a lock of their own (recursive), a given one, or none.
 */

#define CAROM_RAW 0                     /* Raw bytes, of any length. */
/** char, 'c'. The types are billiard's letters: `carom_value_new('i', …)` works. */
#define CAROM_CHAR 99
#define CAROM_I8 98                     /* int8_t, 'b'. */
#define CAROM_U8 66                     /* uint8_t, 'B'. */
#define CAROM_BOOLEAN 63                /* bool, '?'. */
#define CAROM_I16 104                   /* int16_t, 'h'. */
#define CAROM_U16 72                    /* uint16_t, 'H'. */
#define CAROM_I32 105                   /* int32_t, 'i'. */
#define CAROM_U32 73                    /* uint32_t, 'I'. */
#define CAROM_WCHAR 117                 /* wchar_t, 'u'. */
#define CAROM_I64 113                   /* int64_t, 'q' (and 'l'). */
#define CAROM_U64 81                    /* uint64_t, 'Q' (and 'L'). */
#define CAROM_F32 102                   /* float, 'f'. */
#define CAROM_F64 100                   /* double, 'd'. */

/** Options of a shared value. */
typedef struct carom_shared_options {
    /** sizeof(carom_shared_options) */
    size_t size;
    /** Guards the value instead of a lock of its own; lives as long as the value. NULL: its own. */
    carom_lock *lock;
    /** Not 0: no lock. */
    uint32_t no_lock;
    /** Alignment of the data in bytes, a power of two up to 4096. 0: 16 for raw bytes, the type's size for a type. */
    uint32_t alignment;
} carom_shared_options;

/**
 * Makes a value of a type (`CAROM_I64`, or a letter), or of `len` raw bytes. `initial` is copied; NULL means zeros.
 * `len` must be the type's size (0 is filled in). Options may be NULL. Costs no descriptor.
 *
 * Never blocks. `CAROM_EINVAL` for an unknown type, no length, a bad alignment; `CAROM_EMSGSIZE` if `len` is not the
 * type's size; `CAROM_ENOMEM` if the arena is full.
 */
carom_status carom_value_new(uint32_t type_, const void *initial, size_t len, const carom_shared_options *options,
                             carom_value **value);

/** Where the data lies in this process; valid while the process has a handle of the value. NULL for a bad handle. */
void *carom_value_data(carom_value *value);

/** Length of the data in bytes, or `CAROM_EBADHANDLE`. */
int64_t carom_value_size(carom_value *value);

/** Type of the value, as it was made with, or `CAROM_EBADHANDLE`. */
int32_t carom_value_type(carom_value *value);

/**
 * Acquires the value's lock, as `carom_lock_acquire`.
 *
 * `CAROM_EINVAL` if the value has no lock; else as `carom_lock_acquire`.
 */
carom_status carom_value_lock(carom_value *value, int64_t timeout_ms);

/** Acquires the value's lock and takes a dead holder's mark away, as `carom_lock_recover`. */
carom_status carom_value_recover(carom_value *value, int64_t timeout_ms);

/** Releases the value's lock, as `carom_lock_release`. */
carom_status carom_value_unlock(carom_value *value);

/**
 * The lock that guards the value, as a handle of its own: yours to free, and good for other objects too.
 *
 * `CAROM_EINVAL` if the value has no lock.
 */
carom_status carom_value_get_lock(carom_value *value, carom_lock **lock);

/**
 * Ends this handle. The value goes when no process needs it any more. NULL is nothing.
 *
 * Never blocks; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_value_free(carom_value *value);

/* cdef: end */

#ifdef __cplusplus
}
#define CAROM_ARGUMENT_(kind, data, len, integer, real, handle)                                                        \
    (carom_argument{(kind), 0, (data), static_cast<uint64_t>(len), static_cast<int64_t>(integer),                      \
                    static_cast<double>(real), (handle)})
#define CAROM_NULL_ nullptr
#else
#define CAROM_ARGUMENT_(kind, data, len, integer, real, handle)                                                        \
    ((carom_argument){(kind), 0, (data), (uint64_t)(len), (int64_t)(integer), (double)(real), (handle)})
#define CAROM_NULL_ NULL
#endif

/*
 * Arguments as expressions: `carom_argument arguments[] = { CAROM_BYTES(data, size), CAROM_HANDLE(queue) };`.
 * Initialise variables and arrays with them; do not take their address, which C++ forbids. Handles are taken as they
 * are, of any kind. From languages without macros, fill the struct: all zero, its kind is bytes.
 */
#define CAROM_BYTES(data, len) CAROM_ARGUMENT_(CAROM_ARGUMENT_BYTES, data, len, 0, 0, CAROM_NULL_)
#define CAROM_STRING(text, len) CAROM_ARGUMENT_(CAROM_ARGUMENT_STRING, text, len, 0, 0, CAROM_NULL_)
#define CAROM_HANDLE(handle) CAROM_ARGUMENT_(CAROM_ARGUMENT_HANDLE, CAROM_NULL_, 0, 0, 0, handle)
#define CAROM_INTEGER(integer) CAROM_ARGUMENT_(CAROM_ARGUMENT_INTEGER, CAROM_NULL_, 0, integer, 0, CAROM_NULL_)
#define CAROM_REAL(real) CAROM_ARGUMENT_(CAROM_ARGUMENT_REAL, CAROM_NULL_, 0, 0, real, CAROM_NULL_)
#define CAROM_BOOL(truth) CAROM_ARGUMENT_(CAROM_ARGUMENT_BOOL, CAROM_NULL_, 0, (truth) ? 1 : 0, 0, CAROM_NULL_)
#define CAROM_NIL CAROM_ARGUMENT_(CAROM_ARGUMENT_NIL, CAROM_NULL_, 0, 0, 0, CAROM_NULL_)

#endif /* CAROM_H */
