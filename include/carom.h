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
 * Deaths      A process may be killed at any instruction. What it held is put right within moments, by whoever joins it
 *             or by the keeper, a small process that carom has for this. (A thread that ends, and a process that is
 *             stopped, are not dead: what they hold stays held.) What the others see:
 *
 *             |           | what the dead one did | the others                                              |
 *             |-----------|-----------------------|---------------------------------------------------------|
 *             | lock,     | holds it              | acquire is CAROM_EOWNERDEAD, and not holding it, for    |
 *             | recursive |                       | everybody until one recovers it; or CAROM_OK, by option |
 *             |           | waits                 | nothing: a wake that it was sent goes to another        |
 *             |           | releases it           | it is free, or as if it held it                         |
 *             | value,    | holds the lock        | as a lock: lock, get, set, copy. The bytes are as it    |
 *             | array     |                       | left them, perhaps half changed                         |
 *             |           | adds, swaps, stores   | all of it is done or nothing                            |
 *             | semaphore | has units, plain      | the units are gone                                      |
 *             |           | has units, owned      | the units are back, and who waits for one goes on       |
 *             |           | waits                 | nothing: the unit that it was woken for is another's    |
 *             |           | releases a unit       | the unit is back, or as if it had it                    |
 *             | condition | holds the lock        | as a lock; but of those who wait one at most gets       |
 *             |           |                       | CAROM_EOWNERDEAD, and holds the lock, recovered         |
 *             |           | notifies              | it holds the lock: see above. All who wait look again   |
 *             |           | waits                 | nothing: for its notification the others look again     |
 *             | event     | sets it               | it is set, and all who wait go on; or it is not set     |
 *             |           | waits                 | nothing                                                 |
 *             | barrier   | is there, or runs     | CAROM_EBROKEN for who waits and who comes, until it is  |
 *             |           | the action            | reset                                                   |
 *             |           | has not come yet      | nothing: they wait for as long as their time-out says   |
 *             |           | has left              | nothing                                                 |
 *             | pipe      | sends                 | the message is there, whole, or it is not               |
 *             |           | receives              | the message is taken, or there for the next one         |
 *             |           | was the last one at   | what was sent is received, then CAROM_ECLOSED; who      |
 *             |           | its end               | sends gets that at once                                 |
 *             | queue     | puts                  | the message is there, whole, or it is not               |
 *             |           | gets                  | the message is taken, or there for the next one         |
 *             |           | waits                 | nothing: a wake that it was sent goes to another        |
 *             |           | reserved a message    | nothing: its memory is given back                       |
 *             |           | leased a message      | it comes again, before all others, and says how often;  |
 *             |           |                       | or it goes to the dead letters, by option               |
 *             |           | was the last one who  | what was put is got, then CAROM_ECLOSED                 |
 *             |           | could put             |                                                         |
 *             |           | got a task that is    | carom_queue_join is CAROM_EWORKERLOST, until somebody   |
 *             |           | not done              | calls carom_queue_task_done in its place                |
 *
 * Limits      of what there can be at once. Beyond one is the status that stands there, and room again once something is freed
 *             or has ended. Threads, and how many wait for one object, are limited by the system only.
 *
 *             | of                                           |     at most | beyond       |
 *             |----------------------------------------------|-------------|--------------|
 *             | processes of a family                        |        4095 | CAROM_ENOMEM |
 *             | workers of a pool                            |        1024 | CAROM_EINVAL |
 *             | functions that the workers of a family run   |        1024 | CAROM_ENOMEM |
 *             | functions that a process registers           |        1024 | CAROM_ENOMEM |
 *             | bytes of a function's name                   |          63 | CAROM_EINVAL |
 *             | objects in an arena of 256 MiB               |      262143 | CAROM_ENOMEM |
 *             | bytes of an object, of arguments, of a reply | 17179869168 | CAROM_ENOMEM |
 *             | lists and maps in each other                 |          64 | CAROM_EINVAL |
 *             | units of a semaphore that are owned          |        4096 | CAROM_EINVAL |
 *             | parties of a barrier                         |        4096 | CAROM_EINVAL |
 *             | queues and ends of pipes that are polled     |        4096 | CAROM_ENOMEM |
 *
 *             (Processes are workers and keepers, too. The arena, the memory that a family shares, has 64 GiB of address
 *             space, of which only what is used costs memory; less where the address space or the size of files is limited,
 *             and then objects are fewer, and smaller. It holds 16 million at most.)
 *
 * Platform    Linux 5.4 or later with glibc 2.31 or later, on x86_64; written for aarch64 too, but not run there yet. What an
 *             older kernel than 6.15 costs stands in README.md.
 *
 * Fork        Objects work in every process that carom started. After a fork that carom did not make, every call in the
 *             child returns CAROM_EFORKED until it attaches; _free is allowed. (Named memory and shareable lists belong
 *             to no family: they work in every process.)
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
#define CAROM_EACCES -13                /* permission denied: by a mode, or for want of the right key */
#define CAROM_EEXIST -17                /* there is one already */
#define CAROM_EINVAL -22                /* an argument makes no sense */
#define CAROM_EDEADLK -35               /* the caller holds this lock already */
#define CAROM_EMSGSIZE -90              /* the buffer is too small, or the message has another size */
#define CAROM_ENOTSUP -95               /* not supported here */
#define CAROM_EALREADY -114             /* it has been done, and is not done twice */
#define CAROM_EADDRINUSE -98            /* the address is in use */
#define CAROM_ETIMEDOUT -110            /* not within its time */
#define CAROM_ECONNREFUSED -111         /* nobody listens there */
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
#define CAROM_EMEMORYLIMIT -5013        /* the task was ended by its memory limit */
#define CAROM_EPANIC -5012              /* the library has a bug, and caught it */

/**
 * One run of a function, as the function sees it. Valid until the function returns, in the process in which it runs.
 */
typedef struct carom_call carom_call;

/** A start method, for what takes one. Opaque. */
typedef struct carom_context carom_context;

/** A process that this one started. Opaque. */
typedef struct carom_process carom_process;

/** A lock. Opaque. */
typedef struct carom_lock carom_lock;

/** A semaphore. Opaque. */
typedef struct carom_semaphore carom_semaphore;

/** A condition. Opaque. */
typedef struct carom_condition carom_condition;

/** An event. Opaque. */
typedef struct carom_event carom_event;

/** A barrier. Opaque. */
typedef struct carom_barrier carom_barrier;

/** A shared value. Opaque. */
typedef struct carom_value carom_value;

/** A shared array. Opaque. */
typedef struct carom_array carom_array;

/** A queue. Opaque. */
typedef struct carom_queue carom_queue;

/** One end of a connection. Opaque. */
typedef struct carom_connection carom_connection;

/** Where others connect to. Opaque. */
typedef struct carom_listener carom_listener;

/** Memory with a name. Opaque. */
typedef struct carom_shared_memory carom_shared_memory;

/** A list in named memory. Opaque. */
typedef struct carom_shareable_list carom_shareable_list;

/** What becomes of one task. Opaque. */
typedef struct carom_result carom_result;

/** A pool of workers. Opaque. Used by the process that made it only. */
typedef struct carom_pool carom_pool;

/** Results of many items, as they come. Opaque. */
typedef struct carom_iterator carom_iterator;

/** A task that died, read from a file. Opaque. Needs no family: works in every process. */
typedef struct carom_capsule carom_capsule;

/** A manager. Opaque. */
typedef struct carom_manager carom_manager;

/** A dict of a manager. Opaque. */
typedef struct carom_dict carom_dict;

/** A list of a manager. Opaque. */
typedef struct carom_list carom_list;

/** An object of a manager that has no handle type of its own. Opaque. */
typedef struct carom_proxy carom_proxy;

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
 * and never return. Nor does it where the program was started to run one task again, with `CAROM_REPLAY` in its
 * environment: see `carom_capsule_open`. argc and argv are what the new program of such a child is called with; they
 * may be 0 and NULL. May be called again. A library, or an interpreter's module, does not call it: its host begins
 * otherwise, see `carom_set_executable`.
 *
 * Returns `CAROM_OK`, or `CAROM_EINVAL` for a negative argc.
 */
carom_status carom_init(int argc, char **argv);

/**
 * A clean end: terminates the daemonic children of this process (SIGTERM), then joins the others, and calls what
 * `carom_exit_register` was told. Pools and managers are ended by their own functions. What is not ended so ends with
 * the program, whichever way that ends.
 *
 * Blocks up to `timeout_ms`; `CAROM_ETIMEDOUT` if a child still runs then.
 */
carom_status carom_shutdown(int64_t timeout_ms);

/**
 * Makes a process that was forked without carom a member of the family: until then every call in it returns
 * `CAROM_EFORKED`. Nothing to do, and `CAROM_OK`, in a process that is one. `CAROM_ENOTSUP` where the system has no
 * pidfd_open.
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

#define CAROM_LOG_OFF 0                 /* Nothing is said. */
#define CAROM_LOG_ERROR 1               /* What carom could not do, and no status tells. */
#define CAROM_LOG_WARNING 2             /* What is not as it should be, and was put right. */
#define CAROM_LOG_INFO 3                /* Births, deaths, repairs. */
#define CAROM_LOG_DEBUG 4               /* Everything. */

/**
 * Gets a line of the log. `message` is borrowed until it returns. Called on whatever thread has something to say, with
 * no lock held; lines of its own calls of carom are dropped. Keepers, workers and other children of the process do not
 * have it: their lines go to stderr.
 */
typedef void (*carom_log_callback)(uint32_t level, const char *message, void *ctx);

/**
 * Lines of the log up to `level` go to `callback` from now on; NULL: to stderr. Without this call the environment
 * variable `CAROM_LOG=error|warning|info|debug` decides, and nothing is said if it is not set.
 *
 * Never blocks. `CAROM_EINVAL` for an unknown level.
 */
carom_status carom_log_set(carom_log_callback callback, void *ctx, uint32_t level);

/** How many processors this process may use: its affinity, and its cgroup's quota in whole processors; at least 1. */
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
/**
 * A file descriptor: `integer`. For processes only. The function finds a duplicate there, closed by exec and its own to
 * close (under start method fork, the descriptor that it has anyway).
 */
#define CAROM_ARGUMENT_FD 2
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
 * The array that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the array is gone.
 */
carom_status carom_call_array(carom_call *call, size_t index, carom_array **array);

/**
 * The semaphore that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the semaphore is gone.
 */
carom_status carom_call_semaphore(carom_call *call, size_t index, carom_semaphore **semaphore);

/**
 * The condition that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the condition is gone.
 */
carom_status carom_call_condition(carom_call *call, size_t index, carom_condition **condition);

/**
 * The event that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the event is gone.
 */
carom_status carom_call_event(carom_call *call, size_t index, carom_event **event);

/**
 * The barrier that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the barrier is gone.
 */
carom_status carom_call_barrier(carom_call *call, size_t index, carom_barrier **barrier);

/**
 * The connection that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it. Until
 * then this process counts among those who have that end of a pipe; a process that was started with it, also before it
 * calls this. One over a socket is opened once.
 *
 * `CAROM_EBADHANDLE` for another kind, or if nobody has that end any more.
 */
carom_status carom_call_connection(carom_call *call, size_t index, carom_connection **connection);

/**
 * The listener that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind.
 */
carom_status carom_call_listener(carom_call *call, size_t index, carom_listener **listener);

/**
 * The queue that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the queue is gone.
 */
carom_status carom_call_queue(carom_call *call, size_t index, carom_queue **queue);

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
 * `CAROM_EMSGSIZE` where the caller wants another size (map), `CAROM_ENOMEM` if the arena is full: an earlier reply is
 * gone then.
 */
carom_status carom_call_reply(carom_call *call, const void *data, size_t len);

/**
 * Replies with a value of any kind, copied: a method of an object of a manager. The last reply counts.
 *
 * `CAROM_EPERM` where nobody takes a value: tasks and processes reply with bytes.
 */
carom_status carom_call_reply_value(carom_call *call, const carom_argument *value);

/**
 * What a method of a type of the program's own works at: what `carom_call_set_object` said of this object. NULL
 * elsewhere.
 *
 * Never blocks.
 */
void *carom_call_object(const carom_call *call);

/**
 * Says what was made: in the function that makes an object of a manager, and in a method whose result becomes one. It
 * stays as it is in the server's memory, and comes back from `carom_call_object`.
 *
 * Never blocks. `CAROM_EPERM` elsewhere.
 */
carom_status carom_call_set_object(carom_call *call, void *object);

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
 * What a task knows of itself: whether it should stop, and which job it is.
 */

/** Names a job for ever: printable as two numbers, and unique beyond this machine. */
typedef struct carom_job_id {
    /** Of the pool. */
    uint64_t high;
    /** Of the job in it. */
    uint64_t low;
} carom_job_id;

/** What a task wants to be called when it should stop. */
typedef void (*carom_hook)(void *ctx);

/**
 * 1 if the task should stop: it is past its soft time limit, or was cancelled. It may go on until its hard limit; what
 * it returns counts as always. 0 in a process, and before.
 *
 * Never blocks. `CAROM_EBADHANDLE` for a call that is over.
 */
int32_t carom_call_should_stop(const carom_call *call);

/**
 * Which attempt at its task this is: 1, or more where `max_attempts` allows it. 0 in a process.
 *
 * Never blocks. `CAROM_EBADHANDLE` for a call that is over.
 */
int32_t carom_call_attempt(const carom_call *call);

/**
 * Which job its task is, the same in each attempt, and as the verdict has it; of the items of a map that is waited for,
 * the map. All zero in a process.
 *
 * Never blocks. `CAROM_EBADHANDLE` for a call that is over.
 */
carom_status carom_call_job_id(const carom_call *call, carom_job_id *job);

/**
 * The `correlation_id` of its task's options, "" if there is none, and in a process. Never NULL; valid until the
 * function returns. "" for a call that is over.
 *
 * Never blocks.
 */
const char *carom_call_correlation_id(const carom_call *call);

/**
 * Calls `hook(ctx)` once when the task should stop, if it has not returned by then; at once, if it should already. For
 * example `sqlite3_interrupt`. Each item of a map sets its own; NULL takes it back.
 *
 * The hook runs in a signal handler, on the thread that runs the task: it may do what is async-signal-safe, and
 * `carom_event_set`. Besides, a system call that the task is blocked in returns EINTR (the signal is SIGURG; without
 * that the task notices at its next blocking call of carom, which returns `CAROM_ESOFTLIMIT` once).
 *
 * Never blocks. `CAROM_EBADHANDLE` for a call that is over.
 */
carom_status carom_call_on_stop(carom_call *call, carom_hook hook, void *ctx);

/* ---------------------------------------------------------------------------------------------------------------------
 * Start methods, and contexts: a start method to be passed on.
 * - fork: the process has a copy of this program's memory (copied when it is written to) and of its descriptors. It costs
 *   least, but more the more memory this program has. Locks of other threads are in the copy as they were: in a program
 *   with threads the process must call only what is safe after fork. (carom is.)
 * - spawn: the program begins anew, in `carom_init`; nothing is shared but what was passed, and static variables are as in a
 *   new program. Threads here do not matter. It costs the start of a program.
 * - forkserver: a copy of a small server with one thread, which was begun anew once: it has what the server has loaded
 *   (`carom_forkserver_preload`) and what was passed, nothing of this program's. Threads here do not matter. It costs as fork
 *   of a small program, however large this one is.
 * - Which: a program with threads, forkserver; another one, fork. spawn where a process shall have nothing of anybody, or
 *   where a library must begin anew in it, as those of GPUs. All three are in each Linux; where a guide says that Windows
 *   and macOS have spawn only, or that frameworks do not survive a fork, forkserver is what is meant by it here.
 * - Numbers: fork, and a pool of `carom_cpu_count` workers that find the data in their memory. A service with threads that
 *   runs for long: spawn or forkserver, and a pool with `max_tasks` = 100 or so: what leaks in a worker ends with it. Several
 *   programs or machines: forkserver, and a manager.
 * - Where: a program says once, early in `main`, what is meant where nothing is said (`carom_start_method_set`), and starts its
 *   forkserver before it has threads. A library takes a context from its caller, or makes its own, and leaves the default
 *   alone. Objects do not belong to a context: a queue or a lock works in processes of all methods at once.
 * - Whatever the method: exit codes are true, and a process ends when this one dies. Examples: examples-c/contexts.c,
 *   context_basics.c, context_selection.c, context_pools.c, context_distributed.c, start_methods.c. What billiard says
 *   about contexts, word by word: docs/porting.md.
 */

/**
 * A context of the start method "fork", "spawn" or "forkserver"; NULL: of the default one, which is fixed by that.
 *
 * Never blocks. `CAROM_EINVAL` for another name.
 */
carom_status carom_context_new(const char *method, carom_context **context);

/** Name of the context's start method, static; "" for a bad handle, never NULL. */
const char *carom_context_name(carom_context *context);

/** Ends this handle; what was started with it goes on. NULL is nothing. */
void carom_context_free(carom_context *context);

/**
 * What is started without a context is started by `method` from now on. NULL, with `force`, makes it unset again.
 *
 * Never blocks. `CAROM_EALREADY` if it was set before, or used (which sets it to "fork"), and `force` is 0;
 * `CAROM_EINVAL` for an unknown name.
 */
carom_status carom_start_method_set(const char *method, uint32_t force);

/**
 * Name of the default start method, static. With `allow_none` it is left unset if it is: `CAROM_ENOENT`; else it is
 * fixed.
 *
 * Never blocks.
 */
carom_status carom_start_method_get(uint32_t allow_none, const char **method);

/**
 * Names of the start methods that work here, static, the default first: as many as fit into `capacity`.
 *
 * How many there are, which may be more than `capacity`: 0 where the system has no pidfd_open. Never blocks.
 */
int64_t carom_start_method_list(const char **methods, size_t capacity);

/**
 * What start methods other than fork execute: `path`, with `argv` (NULL-terminated, its first element the name; NULL:
 * only the path). It must call `carom_init` first in its main, with this library. Path NULL: `libexec/carom-worker` of
 * the installation, a program that does nothing else; it finds functions of shared libraries, not those of this
 * program.
 *
 * Without this call it is this program itself (/proc/self/exe, with its arguments) if it has called `carom_init`, else
 * the worker. Both are copied. Never blocks. `CAROM_EINVAL` for an empty path; `CAROM_ENOTSUP` if there is no worker
 * beside the library.
 */
carom_status carom_set_executable(const char *path, const char *const *argv);

/**
 * Starts the forkserver of this process, if it has none that lives; the first process of that method would do the same.
 * It is a small process of the program that `carom_set_executable` says, and ends with this one; if it dies, the next
 * start makes another, and what it had forked goes on. It ignores SIGINT. Environment and working directory of what it
 * forks are as they were when it was started.
 *
 * Blocks until it serves. The statuses of `carom_process_start`; `CAROM_EBROKEN` if a function of the preload fails.
 */
carom_status carom_forkserver_start(void);

/**
 * The forkserver of this process runs `function` once, with `arguments` (copied), before it forks anything: what it
 * loads or computes, its children have. To be called before the server is started; a server that takes the place of a
 * dead one runs it again. More than one run in the order of the calls. It must leave no thread and no child process
 * behind.
 *
 * Never blocks. `CAROM_EFUNCTION` as `carom_process_start`.
 */
carom_status carom_forkserver_preload(carom_function function, const carom_argument *arguments, size_t count);

/* ---------------------------------------------------------------------------------------------------------------------
 * A function running in a process of its own.
 */

/** A resource limit of a new process. Frozen: arrays of it cross the border. */
typedef struct carom_process_limit {
    /** RLIMIT_… */
    int32_t resource;
    /** 0. */
    uint32_t reserved;
    /** As rlim_cur. */
    uint64_t soft;
    /** As rlim_max. */
    uint64_t hard;
} carom_process_limit;

/** Options of a process. */
typedef struct carom_process_options {
    /** sizeof(carom_process_options) */
    size_t size;
    /**
     * Its name, copied. NULL: "Process-1", counted; a child of that "Process-1:1". With a context "ForkProcess-1" and
     * so on.
     */
    const char *name;
    /**
     * Not 0: `carom_shutdown` terminates it instead of joining it. 0: as this process is; the first one of a family is
     * no daemon. (A daemon may have children.)
     */
    uint32_t daemon;
    /** 0. */
    uint32_t reserved;
    /** Its start method; NULL: the default one. */
    carom_context *context;
    /** Its working directory. NULL: this process's; under forkserver, the server's. */
    const char *directory;
    /** All of its environment, "NAME=value", NULL-terminated. NULL: this process's; under forkserver, the server's. */
    const char *const *environment;
    /**
     * Its standard input: a descriptor of this process, which it gets a duplicate of. 0 and `CAROM_NONE`: nothing to be
     * read. (To pass descriptor 0, duplicate it.)
     */
    int32_t stdin_fd;
    /** Its standard output, likewise. 0: this process's; `CAROM_NONE`: nowhere. */
    int32_t stdout_fd;
    /** Its standard error, likewise. */
    int32_t stderr_fd;
    /** Its process group. 0: this process's; `CAROM_NONE`: a new one, which it leads. */
    int32_t process_group;
    /** Not 0: it leads a new session, without a terminal. */
    uint32_t new_session;
    /** Added to its nice value. */
    int32_t nice;
    /**
     * What it gets when this process dies. 0: SIGKILL; a signal: that one, once; `CAROM_NONE`: nothing, it lives on.
     */
    int32_t parent_death_signal;
    /** 0. */
    uint32_t reserved2;
    /** Its resource limits, where they are not this process's: `limit_count` of them. */
    const carom_process_limit *limits;
    /** How many `limits` there are. */
    size_t limit_count;
    /**
     * Not 0: signals are ignored and blocked there as in the thread that starts it. What has a handler here is handled
     * under start method fork, where the handler is a copy; under the others, which have none of this program's memory,
     * it has its default disposition, as after execve.
     */
    uint32_t keep_signals;
    /** Not 0: it is no daemon, though this process is one. */
    uint32_t no_daemon;
} carom_process_options;

/**
 * Starts a process that runs `function` with `arguments` (copied; `count` may be 0, a last argument of kind map does
 * what keyword arguments do). Options may be NULL.
 *
 * In the child: default signal dispositions, an empty signal mask, stdin from /dev/null; when the function returns, or
 * calls `exit`, what is in stdout and stderr goes out, and the process ends by `_exit`: no atexit handler of this
 * program runs there. If this process dies, so does the child.
 *
 * Fork: it has a copy of this process's memory and its descriptors. Blocks for as long as fork does. The child's memory
 * of other threads' locks is as they were: in a program with threads it should call only what is safe after fork.
 * Spawn: the program begins anew, and runs the function in `carom_init`; any static function of the program or of a
 * shared library can be one, but static variables are as in a new program. Descriptors do not reach it, but those among
 * the arguments. Blocks until it has got so far, at most 10 seconds. Forkserver: as spawn, but it is a fork of a small
 * server, and has what that has loaded: see `carom_forkserver_start`. It is no child of this process for the kernel: no
 * SIGCHLD tells of its end, and waitpid does not find it.
 *
 * `CAROM_EFUNCTION` for a function that is NULL, in no module (a closure made at run time), or in none that the new
 * program finds; `CAROM_EBROKEN` if the new program ends, or waits, before it calls `carom_init`; `CAROM_EINVAL` for
 * options and arguments that make no sense; `CAROM_ENOMEM`; `CAROM_ENOTSUP` where the system has no pidfd_open; or the
 * errno of fork or execve, or of what the options ask for. Then there is no process, and nothing of the function has
 * run.
 */
carom_status carom_process_start(carom_function function, const carom_argument *arguments, size_t count,
                                 const carom_process_options *options, carom_process **process);

/**
 * A process for which the host itself forks, so that Python's os.fork, or a framework with hooks of its own, does it:
 * prepares what `carom_process_start` would start under start method fork. Then fork; in the child call
 * `carom_fork_child`, in the parent `carom_fork_parent`. If the fork fails, free the process.
 *
 * A function made at run time (a ctypes callback) works if it is registered. Statuses as `carom_process_start`;
 * `CAROM_EINVAL` for a context of another method.
 */
carom_status carom_fork_prepare(carom_function function, const carom_argument *arguments, size_t count,
                                const carom_process_options *options, carom_process **process);

/**
 * In the parent, right after its fork: `pid` is the child, which runs the function from now on. Must be called soon:
 * the child waits for it.
 *
 * `CAROM_EPERM` if the process was not prepared, or is forked already. Another status: the child has been ended, and
 * reaped, without having run anything.
 */
carom_status carom_fork_parent(carom_process *process, int32_t pid);

/**
 * In the child, right after the fork: runs the function, and ends the process with what it returns. Does not return,
 * but for misuse.
 *
 * `CAROM_EPERM` if this is no child of a fork, or the process was not prepared.
 */
carom_status carom_fork_child(carom_process *process);

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

/** Sends SIGINT, otherwise as `carom_process_terminate`. */
carom_status carom_process_interrupt(carom_process *process);

/**
 * The process has ended, and is asked for nothing more: every other function but `carom_process_name`,
 * `carom_process_daemon` and `carom_process_free` gives `CAROM_ECLOSED` from now on. Once more is nothing.
 *
 * Never blocks. `CAROM_EAGAIN` while it runs.
 */
carom_status carom_process_close(carom_process *process);

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
 * Copies the key of this process: what `carom_authkey_set` said here or, before it was started, in the process that
 * started it, by whichever method; else a key that all processes of this family have, and nobody else, 32 random bytes
 * that are made up when they are asked for first. Managers for which no other key is said have it; listeners and
 * clients do where it is passed to them (`authkey` of their options). It never stands in an environment or a command
 * line. `*len` is its length (`len` may be NULL).
 *
 * Never blocks. `CAROM_EMSGSIZE` for a small buffer.
 */
carom_status carom_authkey_get(void *key, size_t capacity, size_t *len);

/**
 * Another key for this process, and for what it starts from now on: `len` bytes, copied, at most 4096. NULL and 0: the
 * family's again. What runs already, and what is open, keeps its own. (So does a pool's template, and all of its
 * workers have that.)
 *
 * Never blocks. `CAROM_EINVAL` for an empty key, or a longer one.
 */
carom_status carom_authkey_set(const void *key, size_t len);

/**
 * Handles of the living children that this process started, each yours to free: as many as fit into `capacity`. Reaps
 * those that have ended.
 *
 * How many there are, which may be more than `capacity`, or a status. Never blocks.
 */
int64_t carom_process_children(carom_process **processes, size_t capacity);

/** Called once, at a clean end of a process. `ctx` is what was passed with it. */
typedef void (*carom_exit_callback)(void *ctx);

/**
 * The calling process calls `callback` before it ends: after its function has returned, or called `exit`, and before
 * what is in its streams goes out; the last that was registered first; then what those have registered. In the program
 * itself `carom_shutdown` does. A process that dies of a signal, or calls `_exit`, calls nothing; a forked child
 * inherits nothing.
 *
 * Never blocks. `CAROM_EINVAL` for NULL.
 */
carom_status carom_exit_register(carom_exit_callback callback, void *ctx);

/* ---------------------------------------------------------------------------------------------------------------------
 * Held by a process, released by anyone (a recursive one by the thread that holds it), and never lost with a dead
 * holder.
 * - Which primitive: a lock for steps that must not mix, a recursive one where functions that take it call each other;
 *   a semaphore for things of which there are so many; an event for what has happened; a condition to wait until
 *   shared data are as they have to be; a barrier for work in phases. For a single number, a value's atomic functions.
 * - Order: who needs two locks takes them in the same order as everybody else, or tries the second (time-out 0) and
 *   gives the first back. Nothing here finds a deadlock; who acquires a plain lock again waits for himself.
 * - Time-outs: none is needed against the death of a holder. One is needed where a holder may be stuck, and says so.
 * - Cost: some 15 ns for acquire and release while nobody else wants it, without a system call. To be put to sleep and
 *   woken takes a thousand times as long: hold it briefly, compute outside, and let what is independent have its own.
 * - Release it on every way out of a function, errors too. What a thread holds when it ends stays held until its
 *   process ends.
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
 * Units that are taken and given back. Owned ones come back when the process that took them dies.
 * - For what there are so many of: connections, licences, workers at a time. Take before use, give back after.
 * - Bounded, if a unit given back twice would be a mistake: it is refused. To a plain one it is one unit more.
 * - Owned, if a user may die: plain units die with it. Plain, if one takes and another gives: items in a queue, turns.
 * - No replacement for a lock: the single unit of a plain one is lost with its holder. It costs as much.
 */

/** Options of a semaphore. */
typedef struct carom_semaphore_options {
    /** sizeof(carom_semaphore_options) */
    size_t size;
    /**
     * Not 0: units belong to the process that took them, come back when it dies, and are given back by it alone; at
     * most 4096. 0: units of the dead are gone.
     */
    uint32_t owned;
    /** 0. */
    uint32_t reserved;
} carom_semaphore_options;

/**
 * Makes a semaphore with `value` units, 0 or more. Options may be NULL.
 *
 * Never blocks. `CAROM_EINVAL` for fewer than 0 units, or more than 4096 owned ones; `CAROM_ENOMEM`.
 */
carom_status carom_semaphore_new(int64_t value, const carom_semaphore_options *options, carom_semaphore **semaphore);

/**
 * Makes a semaphore that never has more than `value` units.
 *
 * As `carom_semaphore_new`.
 */
carom_status carom_bounded_semaphore_new(int64_t value, const carom_semaphore_options *options,
                                         carom_semaphore **semaphore);

/**
 * Takes a unit, waiting up to `timeout_ms` for one; 0 tries once.
 *
 * `CAROM_ETIMEDOUT`, `CAROM_EBADHANDLE`.
 */
carom_status carom_semaphore_acquire(carom_semaphore *semaphore, int64_t timeout_ms);

/**
 * Gives a unit back; a plain semaphore may be given more than were taken.
 *
 * Never blocks. `CAROM_EPERM` if a bounded one has all its units, or this process owns none of an owned one.
 */
carom_status carom_semaphore_release(carom_semaphore *semaphore);

/** Units left at this moment, or `CAROM_EBADHANDLE`. */
int64_t carom_semaphore_value(carom_semaphore *semaphore);

/** Ends this handle, as `carom_lock_free`. */
void carom_semaphore_free(carom_semaphore *semaphore);

/* ---------------------------------------------------------------------------------------------------------------------
 * Waiting, without a lock, for news about what the lock guards.
 * - Whoever waits: acquire, wait_for, use the data, release. wait alone may end without news: let it stand in a loop
 *   that looks at the data. Whoever changes the data notifies before the lock is released.
 * - notify(1) if each waiter can use each news; notify_all if they wait for different things, and at the end.
 * - A time-out limits the wait, not the acquiring behind it: hold the lock briefly everywhere.
 * - For one bit that stays as it is, an event is simpler; for counting, a semaphore.
 */

/**
 * Says whether the wait is over: not 0 if it is. Called with the lock held, on the thread that waits; it must not
 * unwind.
 */
typedef int32_t (*carom_predicate)(void *ctx);

/**
 * Makes a condition over `lock`, plain or recursive, which lives as long as the condition; NULL: over a recursive lock
 * of its own.
 *
 * Never blocks. `CAROM_ENOMEM`, `CAROM_EBADHANDLE`.
 */
carom_status carom_condition_new(carom_lock *lock, carom_condition **condition);

/** Acquires the condition's lock, as `carom_lock_acquire`. */
carom_status carom_condition_acquire(carom_condition *condition, int64_t timeout_ms);

/** Acquires the condition's lock and takes a dead holder's mark away, as `carom_lock_recover`. */
carom_status carom_condition_recover(carom_condition *condition, int64_t timeout_ms);

/** Releases the condition's lock, as `carom_lock_release`. */
carom_status carom_condition_release(carom_condition *condition);

/**
 * Releases the lock, all its levels, waits up to `timeout_ms` for a notification, and acquires it again, however long
 * that takes. The lock is held after it, whatever it returns, except `CAROM_EPERM` and `CAROM_EBADHANDLE`. May return
 * `CAROM_OK` without a notification: look at what you wait for.
 *
 * `CAROM_ETIMEDOUT`; `CAROM_EOWNERDEAD` if a process died holding the lock: it is recovered, and held; `CAROM_EPERM` if
 * the caller does not hold it.
 */
carom_status carom_condition_wait(carom_condition *condition, int64_t timeout_ms);

/**
 * Waits, as `carom_condition_wait`, until `predicate` says so. It is asked first, and after each notification.
 *
 * `CAROM_OK` if it said so; else as `carom_condition_wait`.
 */
carom_status carom_condition_wait_for(carom_condition *condition, carom_predicate predicate, void *ctx,
                                      int64_t timeout_ms);

/**
 * Wakes up to `count` of those who wait. The caller holds the lock.
 *
 * Never blocks. `CAROM_EPERM` if the caller does not hold the lock, `CAROM_EINVAL` for a negative count.
 */
carom_status carom_condition_notify(carom_condition *condition, int64_t count);

/**
 * Wakes all who wait. The caller holds the lock.
 *
 * As `carom_condition_notify`.
 */
carom_status carom_condition_notify_all(carom_condition *condition);

/** Ends this handle, as `carom_lock_free`. */
void carom_condition_free(carom_condition *condition);

/* ---------------------------------------------------------------------------------------------------------------------
 * A flag that many wait for.
 * - For what happens once, or begins and ends: ready, paused, stop. Who comes after it was set does not wait, so
 *   nothing is missed; but it counts nothing, and lets all go on, never one.
 * - The primitive for a signal handler: set may be called there.
 * - Give the wait a time-out if whoever is to set the event may die first: nobody knows who that is.
 */

/**
 * Makes an event, not set.
 *
 * Never blocks. `CAROM_ENOMEM`.
 */
carom_status carom_event_new(carom_event **event);

/**
 * Sets the event: whoever waits goes on, also if it is cleared at once; whoever comes does not wait.
 *
 * Never blocks. Async-signal-safe.
 */
carom_status carom_event_set(carom_event *event);

/**
 * Clears the event.
 *
 * Never blocks.
 */
carom_status carom_event_clear(carom_event *event);

/**
 * 1 if the event is set, 0 if not.
 *
 * Never blocks.
 */
int32_t carom_event_is_set(carom_event *event);

/**
 * Waits up to `timeout_ms` until the event is set.
 *
 * `CAROM_ETIMEDOUT`, `CAROM_EBADHANDLE`.
 */
carom_status carom_event_wait(carom_event *event, int64_t timeout_ms);

/** Ends this handle, as `carom_lock_free`. */
void carom_event_free(carom_event *event);

/* ---------------------------------------------------------------------------------------------------------------------
 * So many parties wait until all are there. A party that dies there breaks the barrier.
 * - For work in phases: what anybody did before it, all see behind it. The action runs alone, between two phases: the
 *   place to check, sum up, or swap buffers.
 * - Give it a time-out: a party that dies, or gives up, before it arrives is not known to be missing.
 * - It breaks for all: who gets `CAROM_EBROKEN` stops, or all agree on who resets it. Who cannot come aborts it.
 */

#define CAROM_DEFAULT -3                /* A timeout: the barrier's own. */

/** Options of a barrier. */
typedef struct carom_barrier_options {
    /** sizeof(carom_barrier_options) */
    size_t size;
    /** Runs in the last party to arrive, before anybody goes on; the barrier breaks if it fails. NULL: nothing does. */
    carom_function action;
    /** The time-out of waits with `CAROM_DEFAULT`. 0 and `CAROM_NONE`: they wait for ever. */
    int64_t timeout_ms;
} carom_barrier_options;

/**
 * Makes a barrier for 1 to 4096 parties. Options may be NULL.
 *
 * Never blocks. `CAROM_EINVAL` for another number of parties, or another negative time-out than `CAROM_NONE`;
 * `CAROM_EFUNCTION` for an action in no module, `CAROM_ENOMEM`.
 */
carom_status carom_barrier_new(int64_t parties, const carom_barrier_options *options, carom_barrier **barrier);

/**
 * Arrives, and waits up to `timeout_ms` (or `CAROM_DEFAULT`) until all parties are there.
 *
 * The index of the arrival, 0 for the first, or a status: `CAROM_ETIMEDOUT` (the barrier is broken then, unless the
 * caller was one too many and waited for the others to leave), `CAROM_EBROKEN` (a party died here, or ran out of time,
 * or the barrier was reset or aborted), `CAROM_ETASKFAILED` in the party whose run of the action failed.
 */
int64_t carom_barrier_wait(carom_barrier *barrier, int64_t timeout_ms);

/**
 * Empties the barrier; who waits gets `CAROM_EBROKEN`. A broken barrier is whole again.
 *
 * Never blocks.
 */
carom_status carom_barrier_reset(carom_barrier *barrier);

/**
 * Breaks the barrier until it is reset; who waits, and who comes, gets `CAROM_EBROKEN`.
 *
 * Never blocks.
 */
carom_status carom_barrier_abort(carom_barrier *barrier);

/** How many parties the barrier takes. */
int64_t carom_barrier_parties(carom_barrier *barrier);

/** How many parties wait at this moment. */
int64_t carom_barrier_waiting(carom_barrier *barrier);

/** 1 if the barrier is broken, 0 if not. */
int32_t carom_barrier_broken(carom_barrier *barrier);

/** Ends this handle, as `carom_lock_free`. */
void carom_barrier_free(carom_barrier *barrier);

/* ---------------------------------------------------------------------------------------------------------------------
 * Typed bytes that a family shares, with a lock of their own (recursive), a given one, or none.
 * - get and set are one locked step each, some 25 ns; the two are no increment. For more than one step: lock, use the
 *   pointer (carom_value_data, taken once; plain memory), unlock.
 * - Values that change together have one lock: get_lock from the first, and `lock` in the options of the others.
 * - A counter or a flag needs no lock: add, swap, load and store are atomic, and never half done by a dead one.
 * - Raw, without a lock, is for data that one process writes before the others read (a join, a barrier, an event lies
 *   in between), or of which each has its own part. Else it is a race: of two increments at a time one is lost.
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
 * Copies the value to `data`, which has exactly its size, with its lock held if it has one (waiting up to `timeout_ms`
 * for it).
 *
 * `CAROM_EMSGSIZE` for another size; else as `carom_value_lock`.
 */
carom_status carom_value_get(carom_value *value, void *data, size_t len, int64_t timeout_ms);

/** Copies `data`, which has exactly the value's size, to the value, as `carom_value_get` reads it. */
carom_status carom_value_set(carom_value *value, const void *data, size_t len, int64_t timeout_ms);

/**
 * Reads an integer value atomically, without its lock.
 *
 * Never blocks. `CAROM_EINVAL` for a type that is no integer.
 */
carom_status carom_value_load(carom_value *value, int64_t *number);

/**
 * Writes an integer value atomically, without its lock; what does not fit is cut off; a bool becomes 0 or 1.
 *
 * As `carom_value_load`.
 */
carom_status carom_value_store(carom_value *value, int64_t number);

/**
 * Adds to an integer value, but no bool, atomically, without its lock, wrapping around; `*before` is what was there
 * (`before` may be NULL).
 *
 * As `carom_value_load`.
 */
carom_status carom_value_add(carom_value *value, int64_t delta, int64_t *before);

/**
 * Writes `number` to an integer value if it is `expected`, atomically, without its lock; `*before` is what was there:
 * `number` was written if that is `expected`.
 *
 * As `carom_value_load`.
 */
carom_status carom_value_swap(carom_value *value, int64_t expected, int64_t number, int64_t *before);

/**
 * A new value with the same type and bytes as this one has now, and no lock.
 *
 * `CAROM_ENOMEM`; else as `carom_value_get` with `timeout_ms`.
 */
carom_status carom_value_copy(carom_value *value, carom_value **copy, int64_t timeout_ms);

/**
 * Gives a value that was made without a lock one: `lock`, or a recursive one of its own for NULL. The same value, for
 * every process.
 *
 * Never blocks. `CAROM_EEXIST` if it has a lock.
 */
carom_status carom_value_synchronize(carom_value *value, carom_lock *lock);

/**
 * Ends this handle. The value goes when no process needs it any more. NULL is nothing.
 *
 * Never blocks; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_value_free(carom_value *value);

/* ---------------------------------------------------------------------------------------------------------------------
 * Many items of one type that a family shares, guarded as a value is.
 * - get and set copy any number of items under one lock: a call for a thousand costs a few calls for one.
 * - In place: through carom_array_data, with the lock held for as long as the items must belong together.
 * - Raw where each process has its own items, as rows of a matrix, and the others read when it is done. Parts that are
 *   written at the same time had better lie 64 bytes apart, a cache line, or they slow each other down.
 */

/**
 * Makes an array of `count` items of a type, or of `item_size` raw bytes each (for a type its size, or 0). `initial`,
 * of `count` items, is copied; NULL means zeros. Options may be NULL. Costs no descriptor.
 *
 * Never blocks. As `carom_value_new`.
 */
carom_status carom_array_new(uint32_t type_, size_t item_size, size_t count, const void *initial,
                             const carom_shared_options *options, carom_array **array);

/** Where the items lie in this process; valid while the process has a handle of the array. NULL for a bad handle. */
void *carom_array_data(carom_array *array);

/** How many items, or `CAROM_EBADHANDLE`. */
int64_t carom_array_count(carom_array *array);

/** Type of the items, as the array was made with, or `CAROM_EBADHANDLE`. */
int32_t carom_array_type(carom_array *array);

/**
 * Copies `count` items from index `first` on to `data`, with the array's lock held if it has one (waiting up to
 * `timeout_ms` for it).
 *
 * `CAROM_EINVAL` beyond the end, `CAROM_EMSGSIZE` if `capacity` bytes are too few; else as `carom_value_lock`.
 */
carom_status carom_array_get(carom_array *array, size_t first, size_t count, void *data, size_t capacity,
                             int64_t timeout_ms);

/**
 * Copies `len` bytes of whole items from `data` to the array, from index `first` on, as `carom_array_get` reads them.
 *
 * `CAROM_EINVAL` beyond the end, or if `len` is no number of whole items; else as `carom_value_lock`.
 */
carom_status carom_array_set(carom_array *array, size_t first, const void *data, size_t len, int64_t timeout_ms);

/** Acquires the array's lock, as `carom_value_lock`. */
carom_status carom_array_lock(carom_array *array, int64_t timeout_ms);

/** Acquires the array's lock and takes a dead holder's mark away, as `carom_lock_recover`. */
carom_status carom_array_recover(carom_array *array, int64_t timeout_ms);

/** Releases the array's lock, as `carom_lock_release`. */
carom_status carom_array_unlock(carom_array *array);

/** The lock that guards the array, as `carom_value_get_lock`. */
carom_status carom_array_get_lock(carom_array *array, carom_lock **lock);

/** Gives an array that was made without a lock one, as `carom_value_synchronize`. */
carom_status carom_array_synchronize(carom_array *array, carom_lock *lock);

/** Ends this handle, as `carom_value_free`. */
void carom_array_free(carom_array *array);

/* ---------------------------------------------------------------------------------------------------------------------
 * Messages from any process of the family to any other, in order, each to one who gets it.
 * - A message whose put has returned is there: it needs nobody's life, thread or flush, and whoever put it may end.
 * - Bounded by messages, by bytes, or not at all. A bounded one makes producers wait for consumers: set a limit where
 *   the one side may be faster for long. What a queue needed at its peak goes back when it was emptied.
 * - The end: whoever will put no more closes. When nobody is left who could put, get says `CAROM_ECLOSED` once the queue is
 *   empty, and never before. Those who could are the process that made it, every process that was started with it, kept it
 *   or has put, and every task that was given it: until it closes or frees its handle, or ends, however it ends. Who
 *   merely inherited the handle by fork does not count. A consumer that was given the queue closes it first.
 * - A process killed inside a call leaves the queue as it was before the call, or after it. What it had got is its own; what it
 *   had leased is not: see `carom_queue_peek`.
 * - Cost: some 40 ns a call while nobody need be woken. A batch is one call, and a copy of each message.
 */

/** Options of a queue. */
typedef struct carom_queue_options {
    /** sizeof(carom_queue_options) */
    size_t size;
    /** Messages that it holds at most. 0: any number. */
    uint64_t max_items;
    /** Bytes of messages that it holds at most. 0: any number, as far as the arena goes. */
    uint64_t max_bytes;
    /**
     * How often a message is delivered at most, if those who lease it die or return it; then it goes to `dead_letters`,
     * which must be given. 0: any number of times.
     */
    uint32_t max_deliveries;
    /** 0. */
    uint32_t reserved;
    /**
     * Where messages go that were delivered `max_deliveries` times: a queue, not one of tasks, that was made before. It
     * stays as long as this one, which counts among those who may put there; its limits do not apply to them.
     */
    carom_queue *dead_letters;
    /**
     * Not 0: one thread only puts: the first that does. Faster, since it needs no lock. Another one gets `CAROM_EPERM`,
     * until that thread has closed or freed its handle, was told `CAROM_ECLOSED`, or has ended, with its process or
     * (for other threads of that) without.
     */
    uint32_t single_producer;
    /** Not 0: one thread only gets, and peeks: as `single_producer`. Not for a queue of tasks (`CAROM_EINVAL`). */
    uint32_t single_consumer;
} carom_queue_options;

/**
 * Makes a queue, empty. Options may be NULL. Usable in every process of the family: inherited by fork, or as an
 * argument. Costs no descriptor and no thread.
 *
 * Never blocks. `CAROM_ENOMEM`.
 */
carom_status carom_queue_new(const carom_queue_options *options, carom_queue **queue);

/**
 * Makes a queue of tasks: for each that is got, `carom_queue_task_done` is called once it is done, and
 * `carom_queue_join` waits for all. Options may be NULL.
 *
 * As `carom_queue_new`.
 */
carom_status carom_joinable_queue_new(const carom_queue_options *options, carom_queue **queue);

/**
 * Makes a queue without limits: `carom_queue_new` without options, under billiard's name.
 *
 * As `carom_queue_new`.
 */
carom_status carom_simple_queue_new(carom_queue **queue);

/**
 * Puts a message of `len` bytes, 0 or more, waiting up to `timeout_ms` for room; 0 tries once.
 *
 * `CAROM_ETIMEDOUT` if it is full. `CAROM_ECLOSED` if it was shut down, or closed by this process through this handle;
 * also if it is full and nobody is left to make room: every other process has ended, and this one never got anything.
 * `CAROM_EMSGSIZE` for more bytes than `max_bytes`, `CAROM_ENOMEM` if the arena has no room. A message of which the
 * status is not `CAROM_OK` is not in the queue.
 */
carom_status carom_queue_put(carom_queue *queue, const void *data, size_t len, int64_t timeout_ms);

/**
 * Gets the oldest message, waiting up to `timeout_ms` for one; 0 tries once. `*len` is its length; `len` may be NULL.
 *
 * `CAROM_ETIMEDOUT` if it is empty; `CAROM_ECLOSED` if it is empty, and closed by all who could put, or shut down.
 * `CAROM_EMSGSIZE` if the message is longer than `capacity`: it stays in the queue, and `*len` is what it needs.
 */
carom_status carom_queue_get(carom_queue *queue, void *data, size_t capacity, size_t *len, int64_t timeout_ms);

/**
 * Puts `count` messages of `item_size` bytes each, which lie behind each other, as one: nobody ever sees some of them
 * only. Waits as `carom_queue_put` until there is room for all.
 *
 * Errors as `carom_queue_put`; `CAROM_EMSGSIZE` also for more messages than `max_items`.
 */
carom_status carom_queue_put_many(carom_queue *queue, const void *data, size_t item_size, size_t count,
                                  int64_t timeout_ms);

/**
 * Gets up to `max` messages, as many as there are, at least one: message `n` to `data + n * item_size`, its length to
 * `lens[n]`. Waits up to `timeout_ms` for the first. `lens` may be NULL, where all messages have the same length.
 *
 * How many, or a status as of `carom_queue_get`: `CAROM_EMSGSIZE` if the first one is longer than `item_size`; a later
 * one that is stays in the queue.
 */
int64_t carom_queue_get_many(carom_queue *queue, void *data, size_t item_size, size_t max, size_t *lens,
                             int64_t timeout_ms);

/** Messages in the queue at this moment, or `CAROM_EBADHANDLE`. */
int64_t carom_queue_size(carom_queue *queue);

/** 1 if the queue is empty at this moment, 0 if not, or `CAROM_EBADHANDLE`. */
int32_t carom_queue_empty(carom_queue *queue);

/** 1 if a put would have to wait at this moment, 0 if not, or `CAROM_EBADHANDLE`. */
int32_t carom_queue_full(carom_queue *queue);

/**
 * A descriptor for poll and its like: readable when there may be something to get, or the end, after a get through this
 * handle has said `CAROM_ETIMEDOUT`; when there may be room, after a put has; and sometimes for nothing. So an event
 * loop calls with time-out 0 until it is `CAROM_ETIMEDOUT`, then polls. It belongs to the handle: never read, write or
 * close it. In a forked child ask again. Who puts makes a system call only if somebody polls and has found nothing.
 *
 * Never blocks. `CAROM_ENOMEM` if the family polls more than 4096 queues and pipes; -EMFILE; `CAROM_ENOTSUP` for a
 * manager's queue.
 */
int32_t carom_queue_fd(carom_queue *queue);

/**
 * This process puts no more through this handle. When nobody is left who could put, every get of the empty queue says
 * `CAROM_ECLOSED`. Getting goes on.
 *
 * Never blocks. Closing again is nothing.
 */
carom_status carom_queue_close(carom_queue *queue);

/**
 * Nobody puts any more, in no process: every put says `CAROM_ECLOSED`, those that wait too. What is in the queue can be
 * got, then get says `CAROM_ECLOSED`.
 *
 * Never blocks.
 */
carom_status carom_queue_shutdown(carom_queue *queue);

/**
 * A task that was got from a joinable queue is done. By the process that got it, or any other.
 *
 * Never blocks. `CAROM_EPERM` if every task that was got is done already, or the queue is not joinable.
 */
carom_status carom_queue_task_done(carom_queue *queue);

/**
 * Waits up to `timeout_ms` until every task that was put is done.
 *
 * `CAROM_ETIMEDOUT`; `CAROM_EWORKERLOST` if the queue is empty, and what is not done was got by processes that are
 * dead: every join says so until somebody has called `carom_queue_task_done` in their place. `CAROM_EPERM` if the queue
 * is not joinable.
 */
carom_status carom_queue_join(carom_queue *queue, int64_t timeout_ms);

/**
 * Ends this handle, and closes it first. The queue, with what is in it, goes when no process needs it any more. NULL is
 * nothing.
 *
 * Never blocks; as `carom_lock_free`.
 */
void carom_queue_free(carom_queue *queue);

/* ---------------------------------------------------------------------------------------------------------------------
 * Messages of a queue in place: written and read where they lie, in memory that all processes share. Nothing is copied, whatever the length.
 * - Putting: `carom_queue_reserve`, write to `data`, `carom_queue_commit`. A producer that dies before has put nothing, and its memory is given back.
 * - Getting: `carom_queue_peek` leases the oldest message: no other process gets it. `carom_queue_consume` when it is done with;
 *   `carom_queue_return` to let another have it. If a consumer dies in between, its message is delivered again, before all others, and
 *   `deliveries` says so. (What `carom_queue_get` returns is consumed with that.)
 * - A message that kills whoever leases it: `max_deliveries` and `dead_letters` of the queue's options.
 * - How it was put and how it is got are independent of each other. A message that was put by copy and is shorter than 32 KiB is copied once more
 *   to be leased.
 * - A joinable queue: what was consumed is a task that was got, and wants its `carom_queue_task_done`.
 *   What went to the dead letters counts as done.
 * - A message may be a handle: `carom_queue_put_handle`. Who gets next finds what kind it is: `CAROM_EPERM` says that it is the other one.
 * - Messages in place belong to the process that reserved or leased them, to all of its threads, and not to its forks.
 */

/** A message in place, as `carom_queue_reserve` and `carom_queue_peek` show it. */
typedef struct carom_message {
    /** sizeof(carom_message), set by the caller. */
    size_t size;
    /** Its bytes, aligned to 16. Until it is committed, consumed or returned; never freed by the caller. */
    void *data;
    /** Bytes at `data`. */
    uint64_t len;
    /** What names it in its queue. */
    uint64_t id;
    /**
     * How often it was delivered, this time included: more than 1 if somebody who had leased it died, or returned it. 0
     * for a reserved one.
     */
    uint32_t deliveries;
    /** 0. */
    uint32_t reserved;
} carom_message;

/**
 * Takes memory for a message of up to `len` bytes, 0 or more, to be written to `message->data` and then committed, or
 * returned. What is in it before is anything.
 *
 * Never blocks: there is room in the queue once it is committed. `CAROM_ECLOSED` as `carom_queue_put`; `CAROM_ENOMEM`
 * if the arena has no room.
 */
carom_status carom_queue_reserve(carom_queue *queue, size_t len, carom_message *message);

/**
 * Puts the first `len` bytes of a reserved message, waiting up to `timeout_ms` for room; 0 tries once. After `CAROM_OK`
 * its data is not this process's any more; otherwise it is still reserved, to be committed again or returned.
 *
 * Errors as `carom_queue_put`. `CAROM_EMSGSIZE` also for more than was reserved. `CAROM_EBADHANDLE` for a message that
 * this process has not reserved here.
 */
carom_status carom_queue_commit(carom_queue *queue, const carom_message *message, size_t len, int64_t timeout_ms);

/**
 * Leases the oldest message, waiting up to `timeout_ms` for one; 0 tries once. It is to be read at `message->data`
 * (writing there is allowed too), and then consumed or returned. A process may lease several.
 *
 * `CAROM_ETIMEDOUT` if there is none. `CAROM_ECLOSED` as `carom_queue_get`: never while another process has leased a
 * message, which may come back. `CAROM_ENOMEM` if the arena has no room for a copy.
 */
carom_status carom_queue_peek(carom_queue *queue, carom_message *message, int64_t timeout_ms);

/**
 * A leased message is done with: it never comes again, and its memory goes.
 *
 * Waits for no other call's end. `CAROM_EBADHANDLE` for a message that this process has not leased here, or has
 * consumed or returned.
 */
carom_status carom_queue_consume(carom_queue *queue, const carom_message *message);

/**
 * Gives a message back. A reserved one is dropped. A leased one is delivered again, before all others, to whoever gets
 * or peeks next.
 *
 * Never blocks. Errors as `carom_queue_consume`.
 */
carom_status carom_queue_return(carom_queue *queue, const carom_message *message);

/**
 * Puts an object of the family as a message: whatever may be an argument, another queue too. The message keeps it, and
 * one that is got is open for whoever got it; `handle` stays the caller's, who may free it at once. Counts as a message
 * of 0 bytes.
 *
 * `CAROM_EBADHANDLE` for what is no such handle; `CAROM_EINVAL` for this queue itself; `CAROM_ENOTSUP` for a connection
 * over a socket; else as `carom_queue_put`.
 */
carom_status carom_queue_put_handle(carom_queue *queue, void *handle, int64_t timeout_ms);

/**
 * Gets the oldest message, which is a handle, of the kind that was put; it is yours to free. A process that dies in
 * between leaves it in the queue.
 *
 * `CAROM_EPERM` if what comes next is no handle (and from `carom_queue_get`, `carom_queue_get_many` and
 * `carom_queue_peek` if it is one): it stays. Else as `carom_queue_get`.
 */
carom_status carom_queue_get_handle(carom_queue *queue, void **handle, int64_t timeout_ms);

/* ---------------------------------------------------------------------------------------------------------------------
 * Messages between two ends: a pipe, for processes of the family, or a socket, at whose other end may be any program,
 * also one in Python: there a message is framed as multiprocessing.connection frames it (send_bytes, recv_bytes; nothing
 * is pickled).
 * - Which: a pipe for two processes that talk, a queue for many that share work; a socket for strangers and other
 *   machines. Over a pipe a message costs no system call while both sides are awake.
 * - A message is sent whole or not at all, and received whole or not at all, whatever times out or dies. Those who send at
 *   once at one end do not mix their messages; each message is received by one.
 * - The end is part of the conversation: free what you have passed on, or the other side waits for you.
 * - Who sends waits while the other end does not read (a socket holds some 200 KiB, a pipe 64 messages). Two ends that
 *   both only send wait for ever: give the send a time-out, or receive in another thread.
 * - For event loops: call with time-out 0 until it is `CAROM_ETIMEDOUT`, then poll the descriptor. What was received
 *   ahead does not make it readable.
 * - A connection over a socket is copied by fork, as its descriptor is. From then on one of the processes may use it,
 *   and the others free theirs: neither the kernel nor we keep messages of two processes apart, and the other end sees
 *   the end only when all have freed it. If another thread was sending or receiving at the fork, the child's copy is
 *   `CAROM_EBROKEN`. It needs no family: it works in every process.
 * - As an argument a connection over a socket goes to a process, of any start method, with what was received ahead (not to a
 *   task: a pool's workers live already, `CAROM_ENOTSUP`). The process goes on with it, and the caller frees its handle.
 *   `CAROM_EPERM` while another thread uses it, or has received or sent a part of a long message.
 * - Trust: a length that the other end of a socket claims costs no memory. Who sends what is no message is cut off.
 */

/** Options of a pipe. */
typedef struct carom_pipe_options {
    /** sizeof(carom_pipe_options) */
    size_t size;
    /** Not 0: messages go from the right end to the left one only. */
    uint32_t one_way;
    /** 0. */
    uint32_t reserved;
} carom_pipe_options;

/**
 * Makes a pipe, for processes of the family: two ends, each for any number of processes and threads, whose messages do
 * not mix. Options may be NULL. Costs no descriptor until somebody asks for one to poll, and no system call while
 * nobody sleeps. Pass an end as an argument to a process or a task, and then free it here: an end is gone when all who
 * have it have closed or freed it, or are dead. To have inherited it by fork does not count, until it is used.
 *
 * 64 messages fit in between, of more than 16 KiB each 4; a message may be as long as the arena has room. Descriptors
 * cannot be sent, handles can.
 *
 * Never blocks. `CAROM_ENOMEM`.
 */
carom_status carom_pipe_new(const carom_pipe_options *options, carom_connection **left, carom_connection **right);

/**
 * Makes a connection of a connected stream socket: inherited, from socketpair, from another library. The descriptor is
 * the connection's from now on, and is closed with it; where the call fails it stays yours.
 *
 * Never blocks. -EBADF if it is not open; `CAROM_EINVAL` if it is not a stream socket, or one that listens.
 */
carom_status carom_connection_open(int32_t fd, carom_connection **connection);

/**
 * Sends a message of `len` bytes, waiting up to `timeout_ms` for room. `CAROM_OK`: it will be received whole, unless a
 * process or machine dies before.
 *
 * If its first bytes went in time and the last did not, the call is `CAROM_OK` too: the rest is kept here, and goes out
 * with the next calls on the connection, before all else; see `carom_connection_flush`. With `CAROM_FOREVER` nothing is
 * ever kept.
 *
 * `CAROM_ETIMEDOUT`: nothing of it was sent. `CAROM_ECLOSED` if the other end is gone (no SIGPIPE is raised), or this
 * one closed. `CAROM_ENOMEM`.
 */
carom_status carom_connection_send(carom_connection *connection, const void *data, size_t len, int64_t timeout_ms);

/**
 * Receives the next message into `data`, waiting up to `timeout_ms` for it. `*len`, which may be NULL, is its length.
 *
 * `CAROM_EMSGSIZE` if it does not fit: it stays, and `*len` is what it takes. `CAROM_ETIMEDOUT`: what came of it is
 * kept. `CAROM_ECLOSED` once the other end is gone and all of its messages are received; `CAROM_EBROKEN` if it went in
 * the middle of one, or sent what is no message: nothing more will come. `CAROM_EPERM` if what comes next is a
 * descriptor, see `carom_connection_recv_fd`.
 */
carom_status carom_connection_recv(carom_connection *connection, void *data, size_t capacity, size_t *len,
                                   int64_t timeout_ms);

/**
 * Sends a copy of an open descriptor of any kind, between two messages; yours stays open. AF_UNIX only. Python receives
 * it with multiprocessing.reduction.recv_handle.
 *
 * -EBADF if it is not open; `CAROM_ENOTSUP` over the internet; else as `carom_connection_send`.
 */
carom_status carom_connection_send_fd(carom_connection *connection, int32_t fd, int64_t timeout_ms);

/**
 * Receives a descriptor, which is yours to close; it is closed by exec. AF_UNIX only. Python sends one with
 * multiprocessing.reduction.send_handle.
 *
 * `CAROM_EPERM` if what comes next is a message; -EMFILE if this process had no room for it, and it is lost;
 * `CAROM_ENOTSUP` over the internet; else as `carom_connection_recv`.
 */
carom_status carom_connection_recv_fd(carom_connection *connection, int32_t *fd, int64_t timeout_ms);

/**
 * Sends an object of the family between two messages: whatever may be an argument, an end of another pipe too. What it
 * names is kept until it is received or the pipe is gone; `handle` stays the caller's, who may free it at once. Over
 * pipes only.
 *
 * `CAROM_EBADHANDLE` for what is no such handle; `CAROM_EINVAL` for an end of this pipe; `CAROM_ENOTSUP` over a socket,
 * and for a connection over one; else as `carom_connection_send`.
 */
carom_status carom_connection_send_handle(carom_connection *connection, void *handle, int64_t timeout_ms);

/**
 * Receives a handle, of the kind that was sent, which is yours to free.
 *
 * `CAROM_EPERM` if what comes next is a message (and from `carom_connection_recv` if it is a handle); `CAROM_ENOTSUP`
 * over a socket; else as `carom_connection_recv`.
 */
carom_status carom_connection_recv_handle(carom_connection *connection, void **handle, int64_t timeout_ms);

/**
 * Waits up to `timeout_ms` until nothing is left of a message that was begun, see `carom_connection_send`. An event
 * loop polls the descriptor for writing while this is `CAROM_ETIMEDOUT`. What is left when the connection is freed or
 * the process ends is lost.
 *
 * `CAROM_ETIMEDOUT`, `CAROM_ECLOSED`.
 */
carom_status carom_connection_flush(carom_connection *connection, int64_t timeout_ms);

/**
 * Waits up to `timeout_ms` for something to receive: 1 if there is a message, a descriptor or the end, 0 if not. Of a
 * message of more than 32 KiB perhaps only the beginning has come; a receive with time-out 0 then takes what there is,
 * and keeps it.
 *
 * `CAROM_ECLOSED` if this end is closed.
 */
int32_t carom_connection_poll(carom_connection *connection, int64_t timeout_ms);

/**
 * A descriptor for poll and its like: readable when there may be something to receive, after a receive or poll has
 * found nothing. That of a socket is writable when there may be room; that of a pipe is readable then too, after a send
 * has found none, and sometimes for nothing. It belongs to the connection: never read, write or close it. In a forked
 * child ask again.
 *
 * Never blocks. `CAROM_ECLOSED` if this end is closed; `CAROM_ENOMEM` if the family polls more than 4096 pipes and
 * queues; -EMFILE.
 */
int32_t carom_connection_fd(carom_connection *connection);

/**
 * 1 if this end can receive, 0 if it is the sending end of a one-way pipe, or closed.
 *
 * Never blocks.
 */
int32_t carom_connection_readable(carom_connection *connection);

/**
 * 1 if this end can send, 0 if it is the receiving end of a one-way pipe, or closed.
 *
 * Never blocks.
 */
int32_t carom_connection_writable(carom_connection *connection);

/**
 * 1 if this end is closed in this process, 0 if not.
 *
 * Never blocks.
 */
int32_t carom_connection_closed(carom_connection *connection);

/**
 * Closes this end in this process; the handle stays. What other threads wait for here is `CAROM_ECLOSED`. What is
 * closed already stays so.
 *
 * Waits, at most, for other threads to leave.
 */
carom_status carom_connection_close(carom_connection *connection);

/**
 * Ends this handle, and closes this end in this process. NULL is nothing.
 *
 * Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_connection_free(carom_connection *connection);

/* ---------------------------------------------------------------------------------------------------------------------
 * Where connections over sockets come from: a listener waits at an address, clients connect to it.
 * - Addresses: "/run/my.sock" or "./my.sock" (AF_UNIX; the name in the file system is taken away when the listener is freed
 *   by the process that made it; what a killed one leaves is in the way, `CAROM_EADDRINUSE`, until somebody unlinks it),
 *   "@name" (AF_UNIX, abstract: goes with its listener, whoever kills it; seen by all of the network namespace),
 *   "127.0.0.1:8080", "[::1]:8080", "localhost:8080" (AF_INET, AF_INET6; port 0: any that is free). Names of hosts are
 *   not looked up.
 * - Key: with an `authkey` on both sides each proves to the other that it has it, by HMAC-SHA256 as CPython 3.12 and later
 *   do it (authkey=); the key itself never travels. What comes after is neither encrypted nor signed: over a network it is
 *   for whoever is in between to read and change. A listener with a key and a client without, or the other way round,
 *   do not understand each other. Older Pythons, which know MD5 only, are refused.
 * - As an argument a listener goes to a process, of any start method, which accepts there too, with the same key. The name of a
 *   path is taken away by the process that made it.
 * - Without a key everybody comes in who can reach the address: a path is the user's alone unless `mode` says more.
 */

/** Options of a listener or a client. */
typedef struct carom_link_options {
    /** sizeof(carom_link_options) */
    size_t size;
    /** What both sides must have, copied. NULL: no key. (The one of this process: `carom_authkey_get`.) */
    const void *authkey;
    /** Bytes of the key. */
    size_t authkey_len;
    /** Listener: how many may wait to be accepted, as for listen(2). 0: 128. */
    uint32_t backlog;
    /** Listener at a path: who may connect, as for open(2), less the umask. 0: 0600, the user alone. */
    uint32_t mode;
} carom_link_options;

/**
 * Listens at `address`, copied. NULL: at an abstract one that is made up, see `carom_listener_address`. Options may be
 * NULL. Works in every process, and in a forked child too, where both may accept; each connection goes to one of them.
 *
 * Never blocks. `CAROM_EADDRINUSE` if somebody listens there, or there is such a name; -ENAMETOOLONG for a path of more
 * than 107 bytes; `CAROM_EINVAL` for no address, or an empty key; `CAROM_EACCES`, `CAROM_ENOENT` or another errno of
 * bind.
 */
carom_status carom_listener_new(const char *address, const carom_link_options *options, carom_listener **listener);

/**
 * Where it listens, as `carom_client_open` takes it: with the port that it got. "" for a bad handle, never NULL. Valid
 * until the handle is freed.
 *
 * Never blocks.
 */
const char *carom_listener_address(carom_listener *listener);

/**
 * Waits up to `timeout_ms` for somebody who connects and, where there is a key, has it. Whoever has another, says
 * nothing or says nonsense is sent away, and delays nobody: up to 128 prove themselves at once, each for ten seconds at
 * most, in this call and the next ones. May be called by several threads.
 *
 * `CAROM_ETIMEDOUT`; `CAROM_ECLOSED` if it is freed meanwhile; -EMFILE if the process has no descriptor left, and those
 * who connect wait.
 */
carom_status carom_listener_accept(carom_listener *listener, carom_connection **connection, int64_t timeout_ms);

/**
 * A descriptor for poll and its like: readable when there may be somebody to accept, sometimes for nothing. It belongs
 * to the listener: never read or close it. In a forked child ask again.
 *
 * Never blocks.
 */
int32_t carom_listener_fd(carom_listener *listener);

/**
 * Ends this handle and stops to listen in this process. Connections that were accepted stay; who was not accepted is
 * sent away. NULL is nothing.
 *
 * Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_listener_free(carom_listener *listener);

/**
 * Connects to the listener at `address`, waiting up to `timeout_ms` until it has room and, where there is a key, both
 * have proved that they have it. Options may be NULL.
 *
 * `CAROM_ETIMEDOUT`; `CAROM_EACCES` if the other side has another key, wants or knows no key, or is an older Python;
 * also if the path is another user's. `CAROM_ECONNREFUSED` or `CAROM_ENOENT` if nobody listens there; `CAROM_ECLOSED`
 * if the other side goes; -ENAMETOOLONG; `CAROM_EINVAL`; or another errno of connect.
 */
carom_status carom_client_open(const char *address, const carom_link_options *options, carom_connection **connection,
                               int64_t timeout_ms);

/* ---------------------------------------------------------------------------------------------------------------------
 * Waiting for several things at once, of whatever kinds.
 */

/** Something to wait for. Frozen: this struct never grows, since arrays of it cross the border. */
typedef struct carom_waitable {
    /** A connection, listener, process, pool or queue. NULL: `fd` is waited for. */
    void *handle;
    /** A descriptor of yours, if `handle` is NULL. */
    int32_t fd;
    /** Output: 1 if it is ready, 0 if not. */
    uint32_t ready;
} carom_waitable;

/**
 * Waits up to `timeout_ms` until one of the items is ready, or more: how many, and `ready` of each. A connection is
 * ready when there is something to receive (or the end), a listener when there is somebody to accept, a process when it
 * has ended, a pool when there is an event for `carom_pool_next_event`, a queue when there is something to get (or the
 * end), a descriptor when it is readable or hung up. Moves all of them on meanwhile: handshakes, rests of messages, the
 * tasks of pools. If another thread is receiving from a connection or accepting, that is ready too, perhaps for
 * nothing.
 *
 * `CAROM_ETIMEDOUT` if none is; then, and after every other status, no `ready` was changed. -EBADF for a descriptor
 * that is not open; `CAROM_EBADHANDLE` for what is no handle of these kinds; `CAROM_ECLOSED` for a closed connection;
 * `CAROM_ENOTSUP` for a manager's queue or pool; `CAROM_EPERM` for a process or pool of another process; `CAROM_ENOMEM`
 * if the family polls more than 4096 queues and pipes; `CAROM_EINVAL` for no items at all with `CAROM_FOREVER`, or more
 * than there may be descriptors.
 */
int64_t carom_wait(carom_waitable *items, size_t count, int64_t timeout_ms);

/* ---------------------------------------------------------------------------------------------------------------------
 * Memory with a name, for programs that share nothing but the name: others of the user's, Python's
 * multiprocessing.shared_memory, the same program tomorrow. It is in no family, and works in every process; a child of
 * whatever fork has it too. To a pool's task pass its name. Within a family, values and arrays are cheaper, have
 * locks, and go when nobody needs them; a name stays until it is unlinked, whoever dies. (But Python before 3.13
 * unlinks, when it ends, whatever it had attached to; since then with track=False it does not.)
 */

/** Options of memory with a name. */
typedef struct carom_shared_memory_options {
    /** sizeof(carom_shared_memory_options) */
    size_t size;
    /** Who may use what is made, as for open(2), less the umask. 0: 0600, the user alone. */
    uint32_t mode;
    /** Not 0: what is opened is mapped for reading only; to write there is SIGSEGV. */
    uint32_t read_only;
} carom_shared_memory_options;

/**
 * Makes `size` zero bytes under `name`, which nothing may have yet. A slash may stand before it. NULL: under a name
 * made up, see `carom_shared_memory_name`. Options may be NULL. Others see it under its name once it is whole; all of
 * it is reserved, so that want of memory is a status now and not SIGBUS later.
 *
 * The name stays, with the memory, until somebody unlinks it: also when this process dies. The handle costs no
 * descriptor.
 *
 * Never blocks but for the kernel to find the memory. `CAROM_EEXIST`: the name is taken, and what has it is as it was.
 * `CAROM_EINVAL` for a size of 0, or a name that is empty, has another slash or is not UTF-8; -ENAMETOOLONG for one of
 * more than 255 bytes. `CAROM_ENOMEM` if /dev/shm, the machine or this process's limits (address space, file size) have
 * no room for it. Or the errno of shm_open.
 */
carom_status carom_shared_memory_new(const char *name, size_t size, const carom_shared_memory_options *options,
                                     carom_shared_memory **memory);

/**
 * Maps the memory that has this name, all of it, whoever made it. Options may be NULL.
 *
 * Never blocks. `CAROM_ENOENT` if there is none; `CAROM_EAGAIN` if it has no bytes yet, since another library is about
 * to make it; `CAROM_EINVAL` as `carom_shared_memory_new`, and for a `mode`; `CAROM_ENOMEM` if the address space has no
 * room. Or the errno of shm_open: -EACCES if it is another user's.
 */
carom_status carom_shared_memory_open(const char *name, const carom_shared_memory_options *options,
                                      carom_shared_memory **memory);

/**
 * Where it lies in this process, at the beginning of a page; valid until it is closed or freed here. NULL for a bad
 * handle, or if it is closed.
 *
 * Never blocks. Nothing guards what is there. Whoever may write to it may also cut it off: an access behind its end is
 * SIGBUS then.
 */
void *carom_shared_memory_data(carom_shared_memory *memory);

/**
 * How many bytes: as many as it was made with, or as the object had when it was opened. Or `CAROM_EBADHANDLE`,
 * `CAROM_ECLOSED`.
 *
 * Never blocks.
 */
int64_t carom_shared_memory_size(carom_shared_memory *memory);

/**
 * Its name, without a slash, as Python's SharedMemory takes it; "" for a bad handle, never NULL. Valid until the handle
 * is freed.
 *
 * Never blocks.
 */
const char *carom_shared_memory_name(carom_shared_memory *memory);

/**
 * Unmaps it in this process; its address is good for nothing from now on. The name, the memory and the handle stay, but
 * data and size are `CAROM_ECLOSED`. What is closed already stays so.
 *
 * Never blocks. `CAROM_EBADHANDLE`.
 */
carom_status carom_shared_memory_close(carom_shared_memory *memory);

/**
 * Takes its name away, also if it is closed. Whoever has it mapped keeps it; it goes with the last.
 *
 * Never blocks. `CAROM_ENOENT` if the name is gone, or another object's by now.
 */
carom_status carom_shared_memory_unlink(carom_shared_memory *memory);

/**
 * Takes the name of whatever memory has it away: what a process left that died.
 *
 * Never blocks. `CAROM_ENOENT` if there is none; else as `carom_shared_memory_open`.
 */
carom_status carom_shared_memory_unlink_name(const char *name);

/**
 * Ends this handle and unmaps the memory here; the name stays. NULL is nothing.
 *
 * Never blocks; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_shared_memory_free(carom_shared_memory *memory);

/* ---------------------------------------------------------------------------------------------------------------------
 * Numbers, truth values, texts, bytes and None in named memory, each in a slot of fixed size: the same, bit for bit,
 * as Python's multiprocessing.shared_memory.ShareableList, for programs of both languages. Nothing guards it: let a
 * lock, where there is one, keep two from one item at a time. Whatever bytes others write there, a call ends with a
 * status.
 */

/**
 * Makes a list of `count` items under `name`; NULL: under a name made up. Numbers have a slot of 8 bytes; a text or
 * bytes has as much room as it needs and up to 8 bytes more, rounded to 8: it can be replaced by what fits there. The
 * number of items is fixed.
 *
 * Never blocks. `CAROM_EINVAL` for arguments of other kinds, and for texts that are not UTF-8; `CAROM_EMSGSIZE` for a
 * text or bytes of 9,999,992 bytes or more; else as `carom_shared_memory_new`.
 */
carom_status carom_shareable_list_new(const carom_argument *arguments, size_t count, const char *name,
                                      carom_shareable_list **list);

/**
 * Opens the list that has this name, whoever made it.
 *
 * Never blocks. `CAROM_ENOENT` if there is nothing; `CAROM_EBROKEN` if what is there cannot be a list; else as
 * `carom_shared_memory_open`.
 */
carom_status carom_shareable_list_open(const char *name, carom_shareable_list **list);

/**
 * Shows item `index`: `*argument` has its kind and its number. A text or bytes is copied to `data`, to which
 * `argument->data` points then; `*len` is its length (`len` may be NULL), 0 for other kinds. As in Python, zeros at the
 * end of a text or bytes are not part of it.
 *
 * Never blocks. `CAROM_EINVAL` beyond the end; `CAROM_EMSGSIZE` if `capacity` is too small: `*len` is what it takes.
 * `CAROM_EBROKEN` if somebody wrote nonsense there, `CAROM_ECLOSED`.
 */
carom_status carom_shareable_list_get(carom_shareable_list *list, size_t index, carom_argument *argument, void *data,
                                      size_t capacity, size_t *len);

/**
 * Replaces item `index`, also by one of another kind.
 *
 * Never blocks. `CAROM_EMSGSIZE` if a text or bytes does not fit into the slot; `CAROM_EINVAL` beyond the end, and as
 * `carom_shareable_list_new`; `CAROM_EBROKEN`, `CAROM_ECLOSED`. The item is as it was then.
 */
carom_status carom_shareable_list_set(carom_shareable_list *list, size_t index, const carom_argument *argument);

/**
 * How many items, or `CAROM_EBADHANDLE`, `CAROM_ECLOSED`.
 *
 * Never blocks.
 */
int64_t carom_shareable_list_count(carom_shareable_list *list);

/**
 * Index of the first item that equals this one. Numbers are compared by what they are worth: 1, 1.0 and true are equal.
 *
 * Never blocks. `CAROM_ENOENT` if there is none; else as `carom_shareable_list_set`.
 */
int64_t carom_shareable_list_index_of(carom_shareable_list *list, const carom_argument *argument);

/**
 * How many items equal this one, as `carom_shareable_list_index_of` compares them, or a status.
 *
 * Never blocks.
 */
int64_t carom_shareable_list_count_of(carom_shareable_list *list, const carom_argument *argument);

/** Name of the memory in which the list lies, as `carom_shared_memory_name`. */
const char *carom_shareable_list_name(carom_shareable_list *list);

/**
 * Unmaps the list in this process, as `carom_shared_memory_close`: other calls than name, unlink and free are
 * `CAROM_ECLOSED` then.
 */
carom_status carom_shareable_list_close(carom_shareable_list *list);

/** Takes the name of the list's memory away, as `carom_shared_memory_unlink`. */
carom_status carom_shareable_list_unlink(carom_shareable_list *list);

/** Ends this handle, as `carom_shared_memory_free`; the name stays. */
void carom_shareable_list_free(carom_shareable_list *list);

/* ---------------------------------------------------------------------------------------------------------------------
 * Results: what became of a task, while it is under way and after.
 */

#define CAROM_LIMIT_TIME 1              /* The task's time limit. */
/** Processor time: the task's limit, or that of the system (RLIMIT_CPU), and then the worker died of SIGXCPU. */
#define CAROM_LIMIT_CPU 2
#define CAROM_LIMIT_FILE_SIZE 3         /* The size of a file, likewise (RLIMIT_FSIZE): SIGXFSZ. */
#define CAROM_LIMIT_MEMORY 4            /* The memory limit of the task or the pool. */

/**
 * Hears of a result, on a thread of the host that is in one of the calls that `carom_pool_dispatch` names. It may call
 * everything; it must not unwind.
 */
typedef void (*carom_result_callback)(carom_result *result, void *ctx);

/** What became of a task, with the evidence. */
typedef struct carom_verdict {
    /** sizeof(carom_verdict), set by the caller. */
    size_t size;
    /**
     * `CAROM_OK`, `CAROM_ETASKFAILED`, `CAROM_EWORKERLOST`, `CAROM_ETIMELIMIT`, `CAROM_EMEMORYLIMIT`,
     * `CAROM_ECANCELED`, `CAROM_ETIMEDOUT` (`expires_ms`), `CAROM_EBROKEN` (the pool was), `CAROM_EMSGSIZE` (a reply
     * that is missing or of the wrong size).
     */
    carom_status status;
    /** What the function returned, 0 if it never did. */
    int32_t code;
    /** The signal that ended the worker, 0 for none. */
    int32_t signal;
    /**
     * `si_code` of that signal, as the handler of sigaction sees it; 0 if it is not one of those of a crash (`SIGSEGV`,
     * `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGABRT`, `SIGTRAP`, `SIGSYS`), or nobody could write it down: the task had a
     * handler of its own, or blocked the signal.
     */
    int32_t signal_code;
    /** With what the worker left, if it left over the task (it called `exit`); -1 if nobody can tell how it ended. */
    int32_t exitcode;
    /** The worker, 0 if the task was never begun. */
    int32_t pid;
    /** 1: the first attempt. */
    uint32_t attempt;
    /** Which limit the task hit, one of `CAROM_LIMIT_…`; 0 for none. */
    uint32_t limit;
    /** Name of the job. */
    carom_job_id job;
    /** Index of the item, 0 for a task of its own. */
    uint64_t item;
    /** Where the fault was (`si_addr`), if `signal_code` is above 0: somebody's `kill` has none. */
    uint64_t fault_address;
    /** From the submission to the begin. */
    int64_t queued_ns;
    /** From the begin to the end; of an item of a map, from the begin of its chunk. */
    int64_t elapsed_ns;
    /**
     * Processor time of the worker from the begin to the end, all threads together, to about 50 us; also of a task that
     * was killed. Like `elapsed_ns`, of a map's item since the begin of its chunk. 0 if nobody knows.
     */
    int64_t cpu_ns;
    /**
     * Peak resident memory of the worker while it was at the task, if it died over it: with what it inherited, and what
     * earlier tasks left in it, but without what they had for a while, to 1 MiB for each. Of a map's item since the
     * begin of its chunk. Of the worker's whole life where /proc/self/clear_refs cannot be written. 0 if nobody knows.
     */
    uint64_t max_rss_bytes;
    /**
     * What the function said when it failed, or how the worker ended; "" on success. Never NULL; valid until the result
     * is freed, or, from a synchronous call, until the next one of this thread.
     */
    const char *message;
    /**
     * Where the worker crashed, one line for each call: `#0 png_read_row+0x1a4 (libpng16.so.16) at /src/pngread.c:523`,
     * function, module, and file and line where there is debug information (in the module, or in /usr/lib/debug); `#1
     * 0x7f3a01c2 (libx.so+0x1c2)` where the function has no name, `, inlined` at the end of those that have no frame of
     * their own. Names of C++ and Rust are as in the source. Made when the verdict is asked for, from files of the same
     * build only. "" if it did not crash, or nobody could write it down. Never NULL; valid as long as `message`.
     */
    const char *backtrace;
    /**
     * The last that the task wrote to stderr, up to 4096 bytes, from the beginning of a line on, if its worker died
     * over it and the pool's options ask for it (`capture_stderr`); of a map's item: its chunk. Else "". Never NULL;
     * valid as long as `message`.
     */
    const char *stderr_tail;
    /**
     * The capsule of the task, if its worker died over it and the pool's options name a directory (`capsules`):
     * `carom-replay FILE` runs it once more. Else "". Never NULL; valid as long as `message`.
     */
    const char *capsule;
} carom_verdict;

/**
 * Waits up to `timeout_ms` until the task is settled, well or badly. Moves the pool on from this thread.
 *
 * `CAROM_ETIMEDOUT`.
 */
carom_status carom_result_wait(carom_result *result, int64_t timeout_ms);

/**
 * 1 once the task is settled, 0 before. Moves the pool on.
 *
 * Never blocks.
 */
int32_t carom_result_ready(carom_result *result);

/**
 * 1 if the task succeeded, 0 if it did not.
 *
 * Never blocks. `CAROM_EAGAIN` before it is settled.
 */
int32_t carom_result_successful(carom_result *result);

/**
 * Waits up to `timeout_ms`, then copies the reply to `data`; `*len` is its length (`len` may be NULL). Of many tasks
 * with one result: their replies, one behind the other.
 *
 * The status of the task's verdict if it did not succeed; `CAROM_ETIMEDOUT`; `CAROM_EMSGSIZE` if `capacity` is too
 * small: `*len` is what it takes, and the reply stays. In a forked process, which may read what it inherited,
 * `CAROM_EPERM` for a reply of 32 KiB or more: the memory stays its pool's.
 */
carom_status carom_result_get(carom_result *result, void *data, size_t capacity, size_t *len, int64_t timeout_ms);

/**
 * What became of the task. Set `verdict->size` first.
 *
 * Never blocks. `CAROM_EAGAIN` before it is settled.
 */
carom_status carom_result_verdict(carom_result *result, carom_verdict *verdict);

/**
 * Writes a verdict to `fd` as a person reads it: a few lines, of which all but the first are indented. Only what it
 * has: backtrace and memory are those of a worker that died.
 *
 * May block as `write` does, and leaves SIGPIPE to the host. `CAROM_EINVAL`; the errno of `write`: a part may have been
 * written.
 */
carom_status carom_verdict_print(const carom_verdict *verdict, int32_t fd);

/**
 * Ends this handle. Before the task is settled: it is forgotten, and runs on. NULL is nothing.
 *
 * Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_result_free(carom_result *result);

/* ---------------------------------------------------------------------------------------------------------------------
 * What can be done about a task that is under way.
 */

/**
 * 1 if a worker has begun the task, or has come to it and waits for `carom_result_accept`; 0 if none has yet, or it was
 * cancelled before. Of a task that is begun again, this attempt.
 *
 * Never blocks.
 */
int32_t carom_result_accepted(carom_result *result);

/**
 * The worker that runs the task, or ran it; 0 if none has begun it.
 *
 * Never blocks.
 */
int32_t carom_result_pid(carom_result *result);

/**
 * The task is not wanted any more. If no worker has begun it, none ever does. If one has, the task is told that it
 * should stop, as by its soft limit, and its worker is killed if it has not done so within `grace_ms`; `CAROM_NONE`: it
 * is not killed.
 *
 * Never blocks. Wait for the result: `CAROM_ECANCELED` if it was in time. A task that is settled stays as it is.
 */
carom_status carom_result_cancel(carom_result *result, int64_t grace_ms);

/**
 * The same with a signal to the worker, at once; whoever survives that is killed half a second later. 0: SIGTERM.
 *
 * Never blocks. `CAROM_EINVAL` for what is no signal.
 */
carom_status carom_result_terminate(carom_result *result, int32_t signal_number);

/**
 * The task may begin, in a pool with `acknowledge`: at once if a worker waits with it, else as soon as one comes to it.
 * Of many with one result: all of them. A task that has begun or is settled, or of a pool without that option, stays as
 * it is.
 *
 * Never blocks.
 */
carom_status carom_result_accept(carom_result *result);

/**
 * Nobody wants to know: the result is settled now, with `CAROM_ECANCELED`. What no worker has begun never is; what one
 * has runs on, and its reply is dropped.
 *
 * Never blocks. A result that is settled stays as it is.
 */
carom_status carom_result_discard(carom_result *result);

/**
 * The `correlation_id` of the task's options, "" if it has none. Never NULL; valid until the result is freed. "" for
 * what is no result.
 *
 * Never blocks.
 */
const char *carom_result_correlation_id(carom_result *result);

/**
 * Waits up to `timeout_ms` until one of `count` results is settled. Moves their pools on from this thread; where they
 * are of several pools, it looks at them every few milliseconds.
 *
 * The index of the first one that is; `CAROM_ETIMEDOUT`; `CAROM_EINVAL` for none, `CAROM_EBADHANDLE` if one of them is
 * no result.
 */
int64_t carom_result_wait_any(carom_result *const *results, size_t count, int64_t timeout_ms);

/**
 * Writes the name of a job to `text`: 32 hexadecimal digits and a zero byte.
 *
 * `CAROM_EMSGSIZE` if `capacity` is below 33, `CAROM_EINVAL`.
 */
carom_status carom_job_id_text(const carom_job_id *id, char *text, size_t capacity);

/* ---------------------------------------------------------------------------------------------------------------------
 * What pools report, for event loops and for whoever asks.
 */

#define CAROM_POOL_WORKER_UP 1          /* A worker began: `pid`. */
#define CAROM_POOL_WORKER_DOWN 2        /* A worker ended: `pid`, `exitcode`, `reason`. */
/**
 * A worker has begun a task, or waits with it for `carom_result_accept`: `pid`, `job`, `ctx`, `result`. Whoever wants
 * this is woken at each.
 */
#define CAROM_POOL_ACCEPTED 4
#define CAROM_POOL_DONE 8               /* A task is settled: `job`, `ctx`, `result`. */
/**
 * A task is past its soft time limit, or was cancelled while it ran, and was told so: `pid`, `job`, `ctx`, `result`.
 */
#define CAROM_POOL_SOFT_LIMIT 16
#define CAROM_POOL_HARD_LIMIT 32        /* A task was ended by its time limit: likewise. Its DONE comes next. */
#define CAROM_POOL_DRAINED 64           /* The pool is closed or terminated, and every task is settled. */
#define CAROM_POOL_BROKEN 128           /* Too many workers died: every task is settled with `CAROM_EBROKEN`. */
/** A pool with `host_forks` wants a worker: see `carom_pool_prepare`. It comes whether or not `events` names it. */
#define CAROM_POOL_WORKER_WANTED 256
/**
 * A task with a time limit has begun: `pid`, `job`, `ctx`, `result`, `soft_ms`, `hard_ms`. For hosts with timers of
 * their own; the pool needs none.
 */
#define CAROM_POOL_LIMIT_SET 512
#define CAROM_POOL_LIMIT_CANCELLED 1024 /* And it is over. */
#define CAROM_REASON_LEFT 1             /* The worker left by itself, with exit code 0. */
#define CAROM_REASON_DIED 2             /* The worker died, or was killed by somebody else. */
/** The worker was killed since its task was out of time, or had used its processor time. */
#define CAROM_REASON_TIME_LIMIT 3
#define CAROM_REASON_STOPPED 4          /* The worker was killed since the pool was terminated. */
#define CAROM_REASON_RECYCLED 5         /* The worker has done `max_tasks` tasks, or the pool was restarted. */
#define CAROM_REASON_SHRUNK 6           /* The worker was one too many: `carom_pool_shrink`. */
#define CAROM_REASON_INITIALIZER 7      /* The worker's initializer failed. */
#define CAROM_REASON_MEMORY_LIMIT 8     /* The worker was killed since its task had more memory than it may. */
#define CAROM_REASON_CANCELLED 9        /* The worker was killed since its task was cancelled or terminated. */

/** What a pool reports. */
typedef struct carom_pool_event {
    /** sizeof(carom_pool_event), set by the caller. */
    size_t size;
    /** One of `CAROM_POOL_…`. */
    uint32_t kind;
    /** The worker, 0 for none. */
    int32_t pid;
    /** How it ended: 0…255, minus a signal, or -256 where nobody can tell. */
    int32_t exitcode;
    /** Why it ended, one of `CAROM_REASON_…`. */
    uint32_t reason;
    /** The job that it is about. */
    carom_job_id job;
    /** The `ctx` of its task's options. */
    void *ctx;
    /** Its result, borrowed until this thread's next event, or until the callback returns. */
    carom_result *result;
    /** Its soft time limit, 0 for none. */
    int64_t soft_ms;
    /** Its time limit, 0 for none. */
    int64_t hard_ms;
} carom_pool_event;

/**
 * Hears of an event, on a thread of the host that is in `carom_pool_dispatch` or `carom_pool_join`. It may call
 * everything, also of this pool. It must not unwind.
 */
typedef void (*carom_pool_callback)(const carom_pool_event *event, void *ctx);

/**
 * A descriptor for poll and its like: readable when there may be something for `carom_pool_dispatch` or
 * `carom_pool_next_event`, sometimes for nothing. It belongs to the pool: never read or close it.
 */
int32_t carom_pool_fd(carom_pool *pool);

/**
 * Moves the pool on without waiting: collects what is settled, hands out what waits. For event loops, when the
 * descriptor is readable. `budget`: at most so many callbacks; 0: no limit, and what is left over makes the descriptor
 * readable again. Callbacks of a pool and of its tasks run here and in `carom_pool_join`, those of a task also in a
 * wait for or get of its own result: nowhere else.
 *
 * How many events wait for `carom_pool_next_event`, or a status.
 */
int64_t carom_pool_dispatch(carom_pool *pool, size_t budget);

/**
 * Waits up to `timeout_ms` for the next event of a kind that `options->events` named. Set `event->size` first. Moves
 * the pool on from this thread. DONE events come in the order in which tasks are settled; tasks of a map have none.
 *
 * `CAROM_ETIMEDOUT`.
 */
carom_status carom_pool_next_event(carom_pool *pool, carom_pool_event *event, int64_t timeout_ms);

/**
 * How long the host may leave the pool alone, in milliseconds: `CAROM_FOREVER`, until the descriptor is readable. No
 * limit needs a timer of the host.
 *
 * Never blocks.
 */
int64_t carom_pool_next_deadline(carom_pool *pool);

/* ---------------------------------------------------------------------------------------------------------------------
 * How pools and their tasks are to be.
 */

/**
 * Workers that are the caller itself: a task runs in the call that submits it, or in one that waits. For debuggers,
 * sanitizers and unit tests: no limit is enforced, `exit` and a crash are the program's, and up to 16 tasks may wait
 * for each other.
 */
#define CAROM_INLINE -2
#define CAROM_RETRY_CRASH 1             /* The worker crashed, left, or was killed by somebody else. */
#define CAROM_RETRY_TIME 2              /* The task was out of time: its own, or processor time. */
#define CAROM_RETRY_MEMORY 4            /* The task was out of memory. */

/** Options of a pool. */
typedef struct carom_pool_options {
    /** sizeof(carom_pool_options) */
    size_t size;
    /** Workers, up to 1024. 0: one per processor; `CAROM_NONE`: none yet, see `carom_pool_grow`. */
    int32_t workers;
    /** Events that `carom_pool_next_event` shall give, `CAROM_POOL_…` added. 0: none. */
    uint32_t events;
    /**
     * How long a task, or an item of a map, may run before its worker is killed and replaced. 0 and `CAROM_NONE`: no
     * limit.
     */
    int64_t time_limit_ms;
    /**
     * How long it may run before it should stop: `carom_call_should_stop` says so, a hook is called, a system call that
     * it is blocked in returns EINTR. Shorter than `time_limit_ms`. 0 and `CAROM_NONE`: no limit.
     */
    int64_t soft_time_limit_ms;
    /**
     * 1: what a worker that dies wrote to stderr last is in the verdict (`stderr_tail`). Workers write to a pipe then,
     * of which the keeper passes everything on to the stderr that the program had when it made the pool, in order; so
     * to a task stderr is no terminal, and its lines may come a moment later. Whoever does not read the program's
     * stderr stops the workers that write, and nobody else. Each task costs a system call more (0.2 us). 0: they write
     * there themselves.
     */
    uint32_t capture_stderr;
    /** 1: `carom_pool_restart` is allowed. */
    uint32_t restartable;
    /** Tasks, or items of maps, after which a worker is replaced. 0: never. */
    uint64_t max_tasks;
    /**
     * Bytes of memory, beyond what it was born with, after which a worker is replaced when it has done its task. 0:
     * never.
     */
    uint64_t max_memory;
    /**
     * Bytes at which it is killed over its task (`CAROM_EMEMORYLIMIT`). 0 and `CAROM_NONE`: no limit. Both are measured
     * every few milliseconds.
     */
    int64_t memory_limit;
    /**
     * How many workers may die, or fail to begin, within `max_restart_freq_s` before the pool is broken; those killed
     * for a limit do not count. `CAROM_NONE`: none. 0: ten per worker, of those only that have begun no task since
     * their birth, and none if others do: an initializer that always fails breaks the pool, tasks do not.
     */
    int32_t max_restarts;
    /** In seconds. 0: 1, or, if `max_restarts` is 0 too, 10. */
    int32_t max_restart_freq_s;
    /** Runs first in each worker. If it fails, the worker ends, and the next one tries. */
    carom_function initializer;
    /** Its arguments, copied. Handles among them are the worker's as long as it lives. */
    const carom_argument *initializer_arguments;
    /** How many. */
    size_t initializer_count;
    /** Runs last in each worker that leaves by itself: for none of those that are killed, die, or call `exit`. */
    carom_function finalizer;
    /** Its arguments, copied. */
    const carom_argument *finalizer_arguments;
    /** How many. */
    size_t finalizer_count;
    /**
     * A directory: each task whose worker dies over it (also for want of time; not because the pool ends) is saved
     * there, see `carom_capsule_open`, as `PROGRAM.PID.SECONDS.capsule`, whole or not at all, readable for its owner
     * only: it holds the arguments and the environment. Arguments of more than 64 MiB are not saved. Nobody removes
     * these files. NULL: none.
     */
    const char *capsules;
    /**
     * Tasks that the pool takes before one is settled: a submission of more waits for room, see `submit_ms`. 0: any
     * number.
     */
    uint64_t max_waiting;
    /** Hears of the events, which then do not wait for `carom_pool_next_event`. */
    carom_pool_callback on_event;
    /** For `on_event`. */
    void *ctx;
    /**
     * Its start method; NULL: the default one. Workers are forked by a template. Under fork that is a copy of this
     * program at the moment in which the pool is made; under spawn the program begun anew, in `carom_init`; under
     * forkserver a copy of the server.
     */
    carom_context *context;
    /**
     * Bytes of arguments, as they lie in shared memory, of tasks that are not settled: a submission beyond them waits
     * as for `max_waiting`. One that is bigger than that goes alone. 0: any number.
     */
    uint64_t max_waiting_bytes;
    /**
     * Each task has a unit of it until it is settled: a submission waits for one as for `max_waiting`. Units may come
     * from elsewhere too, which the pool notices within some milliseconds. The pool keeps the semaphore. NULL: none.
     * Like these two, it is not for maps that are waited for.
     */
    carom_semaphore *semaphore;
    /**
     * 1: a worker that comes to a task (ACCEPTED) waits with it until `carom_result_accept`; until then it can be
     * cancelled for certain. Not for calls that wait for their tasks, which accept them.
     */
    uint32_t acknowledge;
    /**
     * 1: a thread of ours in this program moves the pool on and calls all callbacks, with all signals blocked. It ends
     * with the pool: `carom_pool_join` waits for that, `carom_pool_free` does not. 0: no thread.
     */
    uint32_t service_thread;
    /**
     * 1: the host itself forks the workers, as `CAROM_POOL_WORKER_WANTED` asks for them, see `carom_pool_prepare`: for
     * Python's os.fork, and frameworks with hooks of their own. Start method fork only, and not with `capture_stderr`.
     */
    uint32_t host_forks;
    /** 0. */
    uint32_t reserved;
} carom_pool_options;

/** Options of a task, or of many. */
typedef struct carom_task_options {
    /** sizeof(carom_task_options) */
    size_t size;
    /** 0: the pool's. `CAROM_NONE`: none. */
    int64_t time_limit_ms;
    /**
     * Items of many that go to one worker together. `carom_pool_map`: that are one task, which touches nothing else
     * between them; 0: a quarter of each worker's share. Elsewhere each is a task of its own, with its own result; a
     * worker that has nothing to do takes from the others; 0: 1.
     */
    uint64_t chunk_size;
    /** What the events of these tasks show. */
    void *ctx;
    /** Map: one status per item, `CAROM_OK` for those that succeeded. May be NULL. */
    carom_status *statuses;
    /**
     * Synchronous calls: the verdict, of the failed item with the lowest index; status `CAROM_OK` if none failed. May
     * be NULL.
     */
    carom_verdict *verdict;
    /** 0: the pool's. `CAROM_NONE`: none. */
    int64_t soft_time_limit_ms;
    /**
     * Processor time that the task, or a chunk of a map, may take before its worker is killed. 0: no limit. Measured
     * every 5 ms.
     */
    int64_t cpu_time_limit_ms;
    /**
     * Bytes of memory that its worker may hold, beyond what it was born with, before it is killed. 0: the pool's.
     * `CAROM_NONE`: no limit. Measured every 5 ms.
     */
    int64_t memory_limit;
    /** It is not begun later than this after its submission: then its status is `CAROM_ETIMEDOUT`. 0: whenever. */
    int64_t expires_ms;
    /**
     * What waits for a worker is begun in the order of this, the highest first. A pool that has seen one that is not 0
     * gives each worker one task ahead, no more.
     */
    int32_t priority;
    /**
     * How often the task, or an item of a map, may be begun; 0 is 1. More than once only if it may be done twice: what
     * a dead worker has done of it, it has done.
     */
    uint32_t max_attempts;
    /** For which ends of its worker it is begun again, `CAROM_RETRY_…` added. 0: `CAROM_RETRY_CRASH`. */
    uint32_t retry_on;
    /**
     * How long a submission may wait for room where `max_waiting`, `max_waiting_bytes` or the semaphore leaves none
     * (`CAROM_ETIMEDOUT`). 0: as long as it takes. `CAROM_NONE`: not at all (`CAROM_EAGAIN`).
     */
    int64_t submit_ms;
    /** Maps that are not waited for: 1: the first failure settles the result, and what is not begun never is. */
    uint32_t fail_fast;
    /**
     * Hears that the task has succeeded, with `ctx`; of many with one result, that all have. What it gets is borrowed
     * until it returns. See `carom_pool_dispatch` for where this and the next three are called; `ctx` must stay until
     * then.
     */
    carom_result_callback on_result;
    /** Hears that it has not. */
    carom_result_callback on_error;
    /** Hears that a worker has begun the task: of those that are one task each. */
    carom_result_callback on_accepted;
    /** Hears that the task is past its soft limit, or was ended by its hard one, as its event says: likewise. */
    carom_pool_callback on_timeout;
    /**
     * A name of the host's for the task, or for many with one result and each of them: see
     * `carom_result_correlation_id`, `carom_call_correlation_id`. Copied. NULL: none.
     */
    const char *correlation_id;
    /**
     * Of submissions with the same key only the first is done: the others get the same result (same job, a handle of
     * its own each), whatever they would have run. The key is free again once that task has failed, or is settled and
     * all its handles are freed. For `carom_pool_apply`, and for what gives a result at once; elsewhere `CAROM_EINVAL`.
     * Copied. NULL: none.
     */
    const char *idempotency_key;
} carom_task_options;

/* ---------------------------------------------------------------------------------------------------------------------
 * Pools: workers that may die, and tasks that know what became of them.
 */

/**
 * Makes a pool: workers begin at once, forked from a template that this call forks from the program as it is now.
 * Options may be NULL.
 *
 * Workers start with default signal dispositions but ignore SIGINT, have stdin from /dev/null, stdout and stderr of the
 * program, and no other descriptor of it. A worker that dies costs the task that it was running, and is replaced. If
 * this process dies, its workers do. No thread is made but by `service_thread`.
 *
 * Blocks for as long as two forks do. `CAROM_EINVAL` for a bad number of workers, or limits that contradict each other,
 * `CAROM_ENOTSUP` where the system has no pidfd_open, `CAROM_ENOMEM`, or the errno of fork or eventfd, or of a
 * directory for capsules in which no file can be made.
 */
carom_status carom_pool_new(const carom_pool_options *options, carom_pool **pool);

/**
 * Runs `function` with `arguments` in a worker, waits for it, and copies the reply to `data`; `*len` is its length
 * (`len` may be NULL).
 *
 * The status of the verdict if the task did not succeed (`CAROM_ETASKFAILED`, `CAROM_EWORKERLOST`, `CAROM_ETIMELIMIT`,
 * …). `CAROM_ETIMEDOUT`: it is not begun any more; if it was, it runs on and its reply is dropped. `CAROM_EMSGSIZE` for
 * a small buffer: the reply is gone then. `CAROM_EFUNCTION`, `CAROM_ECLOSED`.
 */
carom_status carom_pool_apply(carom_pool *pool, carom_function function, const carom_argument *arguments, size_t count,
                              const carom_task_options *options, void *data, size_t capacity, size_t *len,
                              int64_t timeout_ms);

/**
 * Submits a task: `function` with `arguments`, which are copied. `*result` tells what becomes of it; `result` may be
 * NULL where the events do.
 *
 * Never blocks on a worker. `CAROM_EFUNCTION` for a function that is NULL, or in no module (a closure made at run
 * time); `CAROM_ECLOSED` after close or terminate; `CAROM_EPERM` in another process than the one that made the pool;
 * `CAROM_ENOMEM`.
 */
carom_status carom_pool_apply_async(carom_pool *pool, carom_function function, const carom_argument *arguments,
                                    size_t count, const carom_task_options *options, carom_result **result);

/**
 * Runs `function` over the `count` items of an array, waits for all of them, and writes their replies, `out_size` bytes
 * each, to `out` (NULL and 0 if there are none). Each item is argument 0 of a call. Items go to workers in chunks; a
 * worker that dies costs the item that it was at, the others go on.
 *
 * `CAROM_OK`, or the status of the failed item with the lowest index; its slot of `out`, and that of any other failed
 * item, is as it was. `options->statuses` and `options->verdict` say more. `CAROM_ETIMEDOUT`: what is not begun never
 * is, and `out` is not touched. `CAROM_EFUNCTION`, `CAROM_ECLOSED`, `CAROM_ENOMEM`.
 */
carom_status carom_pool_map(carom_pool *pool, carom_function function, const void *items, size_t item_size,
                            size_t count, const carom_task_options *options, void *out, size_t out_size,
                            int64_t timeout_ms);

/**
 * Prepares a worker that a pool with `host_forks` wants: after a `CAROM_POOL_WORKER_WANTED`, at the beginning one for
 * each worker, then for each that died or left. Then the host forks; in the child it calls `carom_fork_child`, which
 * works until the pool needs the worker no more, and does not return; in the parent `carom_fork_parent`. The worker has
 * all that this program has at that moment, its descriptors too. If the fork fails, free the process: the pool asks
 * again. The process may also be freed once it is forked; it is among `carom_process_children`, and the library reaps
 * it.
 *
 * Nothing forks on its own there: calls that wait (for results, room, the end) call `on_event` for the workers that are
 * wanted, and where none is left, and none is being forked, return `CAROM_EAGAIN`; then fork, and call again.
 *
 * Never blocks. `CAROM_EAGAIN`: none is wanted (any more). `CAROM_EPERM` without `host_forks`; `CAROM_ECLOSED` once the
 * pool has ended; `CAROM_ENOMEM`.
 */
carom_status carom_pool_prepare(carom_pool *pool, carom_process **worker);

/**
 * Takes no more tasks; those that it has are finished, and then its workers leave when it is joined.
 *
 * Never blocks.
 */
carom_status carom_pool_close(carom_pool *pool);

/**
 * Ends the pool at once: tasks that are not settled are `CAROM_ECANCELED`, their workers killed.
 *
 * Never blocks.
 */
carom_status carom_pool_terminate(carom_pool *pool);

/**
 * Waits up to `timeout_ms` until every task is settled and every worker is gone. Only after `carom_pool_close` or
 * `carom_pool_terminate`.
 *
 * `CAROM_EPERM` before those; `CAROM_ETIMEDOUT`.
 */
carom_status carom_pool_join(carom_pool *pool, int64_t timeout_ms);

/**
 * Ends this handle, and the pool if it is not joined: its workers are killed, without waiting for them; tasks that are
 * not settled are `CAROM_ECANCELED`. Results stay readable until their own free. NULL is nothing.
 *
 * Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_pool_free(carom_pool *pool);

/* ---------------------------------------------------------------------------------------------------------------------
 * Many tasks with one result.
 */

/**
 * Submits a task for each of the `count` items of an array, which are copied; each is argument 0 of its call, and
 * replies with as many bytes as it likes. `*result` is settled when all of them are: it has failed if one of them has,
 * with the verdict of the first of those. `carom_result_item` has them one by one. `result` may be NULL; `on_result`
 * and `on_error` hear of the whole. An item is a task: there are no chunks.
 *
 * As `carom_pool_apply_async`.
 */
carom_status carom_pool_map_async(carom_pool *pool, carom_function function, const void *items, size_t item_size,
                                  size_t count, const carom_task_options *options, carom_result **result);

/**
 * The same over `count` lists of `per_item` arguments each.
 *
 * As `carom_pool_map_async`.
 */
carom_status carom_pool_starmap_async(carom_pool *pool, carom_function function, const carom_argument *arguments,
                                      size_t per_item, size_t count, const carom_task_options *options,
                                      carom_result **result);

/**
 * Runs `function` over `count` lists of `per_item` arguments each, waits for all of them, and writes their replies,
 * `out_size` bytes each, to `out`.
 *
 * As `carom_pool_map`.
 */
carom_status carom_pool_starmap(carom_pool *pool, carom_function function, const carom_argument *arguments,
                                size_t per_item, size_t count, const carom_task_options *options, void *out,
                                size_t out_size, int64_t timeout_ms);

/**
 * Runs `function` over the indexes from `begin` to before `end`, a range of them at a time, and waits for all of them:
 * arguments 0 and 1 of a call are the first index and the one behind the last, int64_t both, and then come `arguments`.
 * For work on shared memory in place: nothing is copied, and nothing replied. `options->chunk_size` is the length of a
 * range; 0: a quarter of each worker's share.
 *
 * `CAROM_OK`, or the status of the failed range with the lowest index, which is `verdict.item`. `CAROM_ETIMEDOUT`: what
 * is not begun never is. `CAROM_EINVAL` for an end before the begin; else as `carom_pool_map`.
 */
carom_status carom_pool_map_range(carom_pool *pool, carom_function function, int64_t begin, int64_t end,
                                  const carom_argument *arguments, size_t count, const carom_task_options *options,
                                  int64_t timeout_ms);

/**
 * Of how many tasks it is the result: 1 unless there were many.
 *
 * Never blocks.
 */
int64_t carom_result_count(carom_result *result);

/**
 * The result of one of many tasks, settled or not; it is yours to free.
 *
 * Never blocks. `CAROM_ENOENT` if there are not so many.
 */
carom_status carom_result_item(carom_result *result, size_t index, carom_result **item);

/* ---------------------------------------------------------------------------------------------------------------------
 * One function over many items, whose results are handed out one by one.
 */

/**
 * Gives the arguments of the next item: writes up to `max` and returns how many; 0 at the end, or a status, which ends
 * the input and comes out of `carom_iterator_next` after the results of the items before it. Runs in the call that made
 * the iterator and in `carom_iterator_next`, on their thread; what it points to must stay until it is called again or
 * the iterator is freed.
 */
typedef int64_t (*carom_source)(void *ctx, carom_argument *arguments, size_t max);

/** Many items: an array (`data`), argument lists (`arguments`), or a `source`; exactly one of them. */
typedef struct carom_items {
    /** sizeof(carom_items) */
    size_t size;
    /** Array of `count` items, copied. */
    const void *data;
    /** Bytes of an item of `data`. */
    size_t item_size;
    /** Items of `data`, or lists in `arguments`. */
    size_t count;
    /** `count` lists of `per_item` arguments each, copied. */
    const carom_argument *arguments;
    /** Arguments of an item. */
    size_t per_item;
    /** Gives items as there is room for them. */
    carom_source source;
    /** For `source`. */
    void *ctx;
} carom_items;

/**
 * Runs `function` over many items and gives their results in the order of the items; `verdict.item` says which it is.
 * Items are submitted as there is room for them, in this call and in `carom_iterator_next`: some 16 per worker are
 * under way at once.
 *
 * `CAROM_EINVAL` unless exactly one of data, arguments and source is set; else as `carom_pool_apply_async`.
 */
carom_status carom_pool_imap(carom_pool *pool, carom_function function, const carom_items *items,
                             const carom_task_options *options, carom_iterator **iterator);

/**
 * The same, and gives the results as they come, in whatever order.
 *
 * As `carom_pool_imap`.
 */
carom_status carom_pool_imap_unordered(carom_pool *pool, carom_function function, const carom_items *items,
                                       const carom_task_options *options, carom_iterator **iterator);

/**
 * Waits up to `timeout_ms` for the next settled item; `*result` is yours to free. Moves the pool on from this thread.
 *
 * `CAROM_EEND` after the last; `CAROM_ETIMEDOUT`; a status of the source.
 */
carom_status carom_iterator_next(carom_iterator *iterator, carom_result **result, int64_t timeout_ms);

/**
 * Ends this handle. Items that are under way run on, and are forgotten. NULL is nothing.
 *
 * Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_iterator_free(carom_iterator *iterator);

/* ---------------------------------------------------------------------------------------------------------------------
 * Capsules: tasks that died, saved to be run once more.
 */

/** The function is in the program itself, not in a shared library: only that program can run it. */
#define CAROM_CAPSULE_IN_PROGRAM 1
/** The program calls `carom_init`, so it can be run for this task alone: see `carom_capsule_open`. */
#define CAROM_CAPSULE_HAS_INIT 2
/** Among the arguments is a handle or a descriptor, which is gone with its program: the task cannot be run. */
#define CAROM_CAPSULE_HAS_HANDLES 4

/** What a capsule holds. All pointers are valid until it is freed, and never NULL. */
typedef struct carom_capsule_description {
    /** sizeof(carom_capsule_description), set by the caller. */
    size_t size;
    /** `CAROM_CAPSULE_…`, added. */
    uint32_t flags;
    /** The worker that died. */
    int32_t pid;
    /** The signal that ended it, 0 for none. */
    int32_t signal;
    /** With what it left, if it did; -1 if nobody can tell how it ended. */
    int32_t exitcode;
    /** Index of the item, 0 for a task of its own. */
    uint64_t item;
    /** The function: its registered name, or module and offset. */
    const char *function;
    /** The program. */
    const char *program;
    /** Its working directory. */
    const char *directory;
    /** Its environment, `NAME=value`, ended by NULL, as execve wants it. */
    const char *const *environment;
} carom_capsule_description;

/**
 * Reads the capsule in a file, such as `verdict.capsule` names. The library's program `carom-replay FILE` does all of
 * this, and prints the verdict; `carom-replay
 * --gdb FILE` and `--valgrind` run the task under those.
 *
 * A function of a shared library can be run anywhere: the library is loaded, and must be the same build. One of a
 * program only there, so the program is started with `CAROM_REPLAY=FILE` in its environment: its `carom_init` runs the
 * task in a worker, prints the verdict and ends the program, with 0 if the task succeeded, 1 if not, 2 if it could not
 * be run. With `CAROM_REPLAY_HERE=1` too it runs it in the calling thread. What the program does before `carom_init`
 * happens, what it does behind that does not. A closure made at run time cannot be run again, nor can a task with a
 * handle or a descriptor among its arguments. A capsule says what is run, and with which environment: run only those
 * that you trust.
 *
 * May block as reading a file does. The errno of `open`; `CAROM_EBROKEN` for what is no capsule, or damaged;
 * `CAROM_ENOMEM`.
 */
carom_status carom_capsule_open(const char *path, carom_capsule **capsule);

/**
 * What it holds. Set `info->size` first.
 *
 * Never blocks.
 */
carom_status carom_capsule_info(const carom_capsule *capsule, carom_capsule_description *info);

/**
 * Runs the task in this thread, and nowhere else: if it crashes, so does this process. `*code` is what its function
 * returned. For debuggers, and for a test of what once crashed.
 *
 * Blocks as long as the task does. `CAROM_ENOTSUP` for a task with handles among its arguments, `CAROM_EFUNCTION` if
 * the function is not here, or of another build.
 */
carom_status carom_capsule_apply(const carom_capsule *capsule, int32_t *code);

/**
 * Submits the task to a pool, as `carom_pool_apply_async`; also what was an item of a map.
 *
 * Never blocks on a worker. `CAROM_ENOTSUP` and `CAROM_EFUNCTION` as `carom_capsule_apply`, else as
 * `carom_pool_apply_async`.
 */
carom_status carom_capsule_apply_async(const carom_capsule *capsule, carom_pool *pool,
                                       const carom_task_options *options, carom_result **result);

/**
 * Ends this handle. NULL is nothing.
 *
 * Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_capsule_free(carom_capsule *capsule);

/* ---------------------------------------------------------------------------------------------------------------------
 * The workers of a pool: how many there are, what they are at, and new ones for old.
 */

/** Tasks run in other processes: a crash is a verdict, limits are kept, what runs can be ended. */
#define CAROM_CAN_ISOLATE 1
#define CAROM_CAN_MEASURE 2             /* Memory is measured: `max_memory` and `memory_limit` work. */
#define CAROM_CAN_SHARE 4               /* Locks, values, queues and the like are arguments. */
#define CAROM_CAN_GROW 8                /* `carom_pool_grow` and `carom_pool_shrink` work. */
#define CAROM_CAN_RESTART 16            /* `carom_pool_restart` works. */
#define CAROM_CAN_HOLD 32               /* Tasks wait for `carom_result_accept`. */

/** One worker, as it is now. */
typedef struct carom_worker_info {
    /** sizeof(carom_worker_info), set by the caller. */
    size_t size;
    /** Its process; 0: it died, or has not begun, and will be there soon. */
    int32_t pid;
    /** 1: it runs a task. */
    uint32_t busy;
    /** Since its birth. */
    int64_t age_ns;
    /** Tasks that it has begun; of a map, chunks. */
    uint64_t tasks;
    /** Its resident memory, shared and inherited pages included; 0 where nobody can tell. */
    uint64_t rss_bytes;
    /** The job that it is at, if it is busy. */
    carom_job_id job;
    /** The item of it. */
    uint64_t item;
    /** Since the begin of the task; of a map, of the chunk. */
    int64_t elapsed_ns;
} carom_worker_info;

/** A pool in figures, as it is now. */
typedef struct carom_pool_statistics {
    /** sizeof(carom_pool_statistics), set by the caller. */
    size_t size;
    /** Its workers. */
    uint32_t workers;
    /** Of them, those at a task. */
    uint32_t busy;
    /** Tasks that no worker has begun; of maps that are waited for, chunks. */
    uint64_t waiting;
    /** Tasks that it has taken so far; likewise. */
    uint64_t submitted;
    /** Results that are settled. */
    uint64_t settled;
    /** Of them, those that did not succeed. */
    uint64_t failed;
    /** Workers that died, or failed to begin. */
    uint32_t deaths;
    /** 1: it takes no more. */
    uint32_t closed;
    /** 1: too many workers died. */
    uint32_t broken;
    /** 0. */
    uint32_t reserved;
} carom_pool_statistics;

/**
 * Shows the figures of a pool. Set `statistics->size` first.
 *
 * Never blocks.
 */
carom_status carom_pool_info(carom_pool *pool, carom_pool_statistics *statistics);

/**
 * Looks after the pool without waiting, and calls no callback: collects what is settled, hands out what waits, and
 * begins a new template for one that died. Every other call does that too, and workers are replaced without it; a host
 * that otherwise leaves the pool alone calls it every few seconds.
 *
 * Never blocks. The errno of a fork that failed; `CAROM_ENOMEM`.
 */
carom_status carom_pool_maintain(carom_pool *pool);

/**
 * What the pool can do, `CAROM_CAN_…` added. It stays the same as long as the pool lives.
 *
 * Never blocks.
 */
int64_t carom_pool_capabilities(carom_pool *pool);

/**
 * Adds `count` workers. A pool has room for four times as many as it was made with, for 64 at least, and for 1024 at
 * most.
 *
 * Never blocks: they are there soon. `CAROM_ENOMEM` for too many, `CAROM_ECLOSED`, `CAROM_EBROKEN`.
 */
carom_status carom_pool_grow(carom_pool *pool, uint32_t count);

/**
 * Takes `count` workers away that have nothing to do.
 *
 * Never blocks: they leave soon. `CAROM_EAGAIN` if not so many are idle, and then none is taken away; `CAROM_EINVAL` if
 * there are not so many; `CAROM_ECLOSED`, `CAROM_EBROKEN`.
 */
carom_status carom_pool_shrink(carom_pool *pool, uint32_t count);

/**
 * Replaces every worker: those that are idle at once, the others once they have done the task that they are at. No task
 * is lost. Only with `options->restartable`.
 *
 * Never blocks. `CAROM_EPERM` without that option, `CAROM_ECLOSED`, `CAROM_EBROKEN`.
 */
carom_status carom_pool_restart(carom_pool *pool);

/**
 * What worker `index` is at: they are numbered from 0, and keep their numbers unless the pool shrinks. Set `info->size`
 * first.
 *
 * Never blocks. `CAROM_ENOENT` behind the last one.
 */
carom_status carom_pool_worker(carom_pool *pool, size_t index, carom_worker_info *info);

/**
 * A descriptor that is readable once the worker with this pid is dead. It is yours to close.
 *
 * Never blocks. `CAROM_ENOENT` if the pool has no such worker.
 */
int32_t carom_pool_sentinel(carom_pool *pool, int32_t pid);

/**
 * Ends what the worker with this pid is at, by a signal to it; whoever survives that is killed half a second later. 0:
 * SIGTERM. The task is `CAROM_ECANCELED`, the worker is replaced.
 *
 * Never blocks. `CAROM_ENOENT` if the pool has no such worker, or it is at no task; `CAROM_EINVAL` for what is no
 * signal.
 */
carom_status carom_pool_terminate_job(carom_pool *pool, int32_t pid, int32_t signal_number);

/**
 * 1 if no worker has died, or failed to begin, since the pool was made; 0 if one has.
 *
 * Never blocks.
 */
int32_t carom_pool_did_start_ok(carom_pool *pool);

/* ---------------------------------------------------------------------------------------------------------------------
 * Objects that a process of ours serves to others: of the family, of other programs, on other machines.
 * - What each call costs is a round trip to the server: two processes are woken, some 20 to 40 us here, a thousand times
 *   a shared value's. So do with one call what one call can do (`carom_dict_increment`, `carom_dict_update`, a slice of a
 *   list, `carom_dict_apply`), keep what is asked for often, and put numbers that all of a family change all the time into
 *   values and arrays instead. A process of the server's family that asks one thing after the other waits for no wake-up as long
 *   as the server has not fallen asleep, some 50 us after the last request: then a round trip takes a microsecond or two.
 * - One call is one step: others see all of what it does, or nothing. What takes several calls is put together by
 *   `carom_dict_apply`, or guarded by a lock of the manager.
 * - A manager makes the handle types that this library has for the same things: its queues, values, arrays, locks, semaphores,
 *   conditions, events and barriers are used by the functions above (only signal handlers must leave them alone), and travel as arguments
 *   and inside of each other: a list in a dict. An object lives as long as anybody has a handle of it or another object
 *   contains it; objects that contain each other live until the server ends.
 * - Programs that share nothing but address and key find each other's objects in the manager's directory.
 * - A process that dies lets go of what it had: its locks are a dead holder's, its waits are over, what it had got from a
 *   queue and not received goes to the next. A server that dies takes its objects with it: `CAROM_ECLOSED` where
 *   the request was not sent, `CAROM_EBROKEN` where nobody knows whether it was done. So does one that does not
 *   answer in time.
 * - The server ends with the process that started it.
 * - At a local address only processes of the server's user, and of root, are let in, whatever key they have. Who has the key may do everything. The key is proved, never sent; what is sent after that is not encrypted: between
 *   machines use a network that you trust, or a tunnel.
 */

/** A method of a type. Frozen: arrays of it cross the border. */
typedef struct carom_method {
    /** Its name, by which `carom_proxy_call` calls it. */
    const char *name;
    /**
     * Runs in the server with the arguments of the call; `carom_call_object` is the object, `carom_call_reply_value`
     * and `carom_call_reply` give the result.
     */
    carom_function function;
    /**
     * NULL: its result is a value. A type of this manager: its result becomes an object of that, and the caller gets a
     * handle of it. The reply is what that is made of (a list that of a list), or, for a type of the program's own,
     * what `carom_call_set_object` has set.
     */
    const char *result_type;
    /**
     * 0: it runs on the server's loop, alone, and everybody waits until it is done. 1: it may block: it runs in one of
     * the server's threads, guards the object itself, and may call other objects of this manager.
     */
    uint32_t blocking;
    /** 0. */
    uint32_t reserved;
} carom_method;

/** A type of objects that a program brings along. Frozen: arrays of it cross the border. */
typedef struct carom_type {
    /** Its name, for `carom_manager_create`. */
    const char *name;
    /**
     * Makes an object: gets the arguments, and tells by `carom_call_set_object` what it has made. NULL only with
     * `no_create`.
     */
    carom_function create;
    /**
     * Ends one, when nobody needs it any more, or with the server, unless a method is at it. NULL: nothing is to be
     * done.
     */
    carom_function destroy;
    /** All that can be called, `method_count` of them. */
    const carom_method *methods;
    /** How many `methods` there are. */
    size_t method_count;
    /** Not 0: its objects come from methods only, by their `result_type`. */
    uint32_t no_create;
    /** 0. */
    uint32_t reserved;
} carom_type;

/** Options of a manager. */
typedef struct carom_manager_options {
    /** sizeof(carom_manager_options) */
    size_t size;
    /** Where the server listens, as `carom_listener_new` takes it. NULL: at an abstract address that is made up. */
    const char *address;
    /** The key that whoever connects must have, copied. NULL: this process's, see `carom_authkey_get`. */
    const void *authkey;
    /** Length of the key. */
    size_t authkey_len;
    /** How the server is started, NULL for the default. */
    carom_context *context;
    /**
     * How long the server may take for an answer, besides the time for which a call waits at its object. 0: 30 seconds.
     * `CAROM_NONE`: for ever.
     */
    int64_t request_timeout_ms;
    /** Bytes that its objects may take, about; what is beyond is `CAROM_ENOMEM`. 0: 1 GiB. */
    uint64_t max_bytes;
    /**
     * How values are written. NULL or "msgpack": every kind of them, as MessagePack. "bytes": by the program itself:
     * what is stored in dicts, lists, namespaces and queues is bytes or a handle, and anything else is `CAROM_EINVAL`.
     * For the server only: who opens a manager need not say it.
     */
    const char *serializer;
    /**
     * Types besides its own, `type_count` of them, copied. Their functions are found in the server as those of a
     * process.
     */
    const carom_type *types;
    /** How many `types` there are. */
    size_t type_count;
    /** Runs in the server before it serves. If it fails there is no manager. NULL: nothing does. */
    carom_function initializer;
    /** Its arguments, copied; no descriptors. */
    const carom_argument *initializer_arguments;
    /** How many. */
    size_t initializer_count;
    /** Bytes of what its objects may take that one process may have brought, about. 0: as many as all together. */
    uint64_t max_client_bytes;
} carom_manager_options;

/** What a manager's server has, see `carom_manager_info`. */
typedef struct carom_manager_facts {
    /** sizeof(carom_manager_facts), set by the caller. */
    size_t size;
    /** Objects. */
    uint64_t objects;
    /** Bytes that they take, about. */
    uint64_t bytes;
    /** Processes that are connected. */
    uint64_t clients;
    /** Calls that wait. */
    uint64_t waiting;
    /** The server's process, as its machine numbers it. */
    int32_t pid;
    /** 0. */
    uint32_t reserved;
} carom_manager_facts;

/** Options of `carom_manager_create`. */
typedef struct carom_create_options {
    /** sizeof(carom_create_options) */
    size_t size;
    /** Not 0: the object stays until the server ends, whether anybody has a handle of it or not. */
    uint32_t persistent;
    /** 0. */
    uint32_t reserved;
} carom_create_options;

/**
 * Starts a server and gives its manager. Options may be NULL.
 *
 * Waits until the server serves; its initializer may take as long as an answer. `CAROM_ETASKFAILED` if that fails;
 * `CAROM_EEXIST`, `CAROM_ENOENT` for types of a name that is known, or a result of one that is not; `CAROM_EFUNCTION`;
 * `CAROM_EADDRINUSE` or another status of `carom_listener_new` if it cannot listen there; `CAROM_EBROKEN` if it ends
 * before; `CAROM_EINVAL`, also for another serializer; else as `carom_process_start`.
 */
carom_status carom_manager_new(const carom_manager_options *options, carom_manager **manager);

/**
 * A manager of a server that runs already: of another program, on another machine. The options say its address and key.
 *
 * Waits up to `timeout_ms`. Statuses as `carom_client_open`; `CAROM_EBROKEN` if no manager listens there, or one of
 * another version.
 */
carom_status carom_manager_open(const carom_manager_options *options, carom_manager **manager, int64_t timeout_ms);

/**
 * Serves in the calling thread, until somebody who is connected calls `carom_manager_shutdown`. The options say address
 * and key.
 *
 * Blocks. Statuses as `carom_listener_new`.
 */
carom_status carom_manager_serve(const carom_manager_options *options);

/**
 * Where the server listens, as `carom_manager_open` takes it, written to `text` and ended by a zero byte. `*len`, which
 * may be NULL, is its length without that.
 *
 * Never blocks. `CAROM_EMSGSIZE` if it does not fit: `*len` is what it takes, with the zero byte.
 */
carom_status carom_manager_address(carom_manager *manager, char *text, size_t capacity, size_t *len);

/**
 * What the server has at this moment.
 *
 * Waits for the server. `CAROM_ECLOSED`, `CAROM_EBROKEN` if it is gone.
 */
carom_status carom_manager_info(carom_manager *manager, carom_manager_facts *facts);

/**
 * What the server has at this moment, in words, written to `text` and ended by a zero byte: a line for each client,
 * with its process, and each object, with who needs it. For people: it may look different one day.
 *
 * Waits for the server. `CAROM_EMSGSIZE` if it does not fit: `*len` is what it takes, with the zero byte.
 * `CAROM_ECLOSED`, `CAROM_EBROKEN` if it is gone.
 */
carom_status carom_manager_print(carom_manager *manager, char *text, size_t capacity, size_t *len);

/**
 * Ends the server, and waits up to `timeout_ms` for its end, where this process started it. One that does not answer is
 * killed. Its objects are gone; calls that wait are `CAROM_EBROKEN`.
 *
 * `CAROM_ETIMEDOUT`; `CAROM_ECLOSED` or `CAROM_EBROKEN` if another process started it, and it is gone already.
 */
carom_status carom_manager_shutdown(carom_manager *manager, int64_t timeout_ms);

/**
 * Waits up to `timeout_ms` until the server has ended.
 *
 * `CAROM_ETIMEDOUT`; `CAROM_EPERM` in another process than the one that started it.
 */
carom_status carom_manager_join(carom_manager *manager, int64_t timeout_ms);

/**
 * The manager that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the manager is gone.
 */
carom_status carom_call_manager(carom_call *call, size_t index, carom_manager **manager);

/**
 * Ends this handle. In the process that started the server that ends it, and its objects, without a wait; to know that
 * it has ended, call `carom_manager_shutdown` before. NULL is nothing.
 *
 * Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_manager_free(carom_manager *manager);

/**
 * Makes an object of a type, by name: "set", "Namespace", or one of the program's own. Options may be NULL.
 *
 * Arguments: a Namespace nothing or a map, a set nothing or a list.
 *
 * The object's methods are called with `carom_proxy_call`. Waits for the server. `CAROM_EINVAL` for other arguments, or
 * a type that has a constructor of its own (dict, list, locks …); `CAROM_ENOENT` for an unknown type; `CAROM_ENOMEM`;
 * `CAROM_ECLOSED`, `CAROM_EBROKEN`.
 */
carom_status carom_manager_create(carom_manager *manager, const char *type_name, const carom_argument *arguments,
                                  size_t count, const carom_create_options *options, carom_proxy **proxy);

/**
 * The dict that every manager has, also one that was opened: where programs find each other's objects, by whatever
 * names they agree on. What is in it stays until it is taken out. Statuses of this and those below as
 * `carom_manager_create`.
 */
carom_status carom_manager_directory(carom_manager *manager, carom_dict **dict);

/**
 * Makes a queue, empty; options may be NULL. Messages of `carom_queue_put` and `carom_queue_get` are bytes;
 * `carom_proxy_call` puts and gets values of any kind. `carom_queue_task_done` and `carom_queue_join` work with every
 * one.
 *
 * Others do not end it: `carom_queue_close` concerns this process's handle only, a get says `CAROM_ECLOSED` after
 * `carom_queue_shutdown`. What somebody got who died before he received it goes to the next.
 */
carom_status carom_manager_queue(carom_manager *manager, const carom_queue_options *options, carom_queue **queue);

/**
 * Makes a value of a type, for `carom_value_get`, `carom_value_set`, `carom_value_add` and the others that need no
 * pointer: what these do is one step, so it has no lock. `initial` may be NULL for zero; `len` is the type's size or 0,
 * of `CAROM_RAW` (a struct) how many bytes it has. `carom_proxy_call` shows a `CAROM_U64` from 2^63 on as the negative
 * integer of the same 64 bits, and takes it so; raw bytes are bytes there.
 *
 * `CAROM_ENOTSUP` from functions for locks and pointers; `CAROM_EINVAL` for an unknown type; `CAROM_EMSGSIZE` if `len`
 * is not the type's size.
 */
carom_status carom_manager_value(carom_manager *manager, uint32_t type_, const void *initial, size_t len,
                                 carom_value **value);

/**
 * Makes an array of `count` items of a type, or of `item_size` raw bytes each (for a type its size, or 0), for
 * `carom_array_get` and `carom_array_set`; `initial`, of `count` items, may be NULL for zeros. As
 * `carom_manager_value`.
 */
carom_status carom_manager_array(carom_manager *manager, uint32_t type_, size_t item_size, size_t count,
                                 const void *initial, carom_array **array);

/** Makes a lock, held by nobody. It belongs to the process that acquires it; see `carom_lock_new`. */
carom_status carom_manager_lock(carom_manager *manager, carom_lock **lock);

/** Makes a recursive lock; see `carom_rlock_new`. */
carom_status carom_manager_rlock(carom_manager *manager, carom_lock **lock);

/** Makes a semaphore with `value` units, 0 or more; see `carom_semaphore_new`. */
carom_status carom_manager_semaphore(carom_manager *manager, int64_t value, carom_semaphore **semaphore);

/** Makes a semaphore that never has more than `value` units; see `carom_bounded_semaphore_new`. */
carom_status carom_manager_bounded_semaphore(carom_manager *manager, int64_t value, carom_semaphore **semaphore);

/**
 * Makes a condition over a lock of the same manager; NULL: over a recursive lock of its own. See `carom_condition_new`.
 */
carom_status carom_manager_condition(carom_manager *manager, carom_lock *lock, carom_condition **condition);

/** Makes an event, not set; see `carom_event_new`. */
carom_status carom_manager_event(carom_manager *manager, carom_event **event);

/**
 * Makes a barrier for so many parties; see `carom_barrier_new`. Options may be NULL. The action runs in the server, on
 * its loop, without arguments; who comes last gets `CAROM_ETASKFAILED` if it fails.
 *
 * `CAROM_ENOTSUP` for a time-out: each wait has its own.
 */
carom_status carom_manager_barrier(carom_manager *manager, int64_t parties, const carom_barrier_options *options,
                                   carom_barrier **barrier);

/* ---------------------------------------------------------------------------------------------------------------------
 * Pools of a manager: tasks of its clients, run by processes of its server.
 */

/**
 * Makes a pool of the server's. Options may be NULL; those for workers, limits, `max_tasks`, `max_memory`,
 * `max_restarts`, `restartable`, initializer, finalizer and context have a meaning here, the others are
 * `CAROM_ENOTSUP`. Of task options all have but callbacks, `idempotency_key` and `submit_ms`.
 *
 * Waits for the server, which forks twice. Statuses as `carom_pool_new` and `carom_manager_create`.
 */
carom_status carom_manager_pool(carom_manager *manager, const carom_pool_options *options, carom_pool **pool);

/**
 * The pool of a manager that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the pool is gone.
 */
carom_status carom_call_pool(carom_call *call, size_t index, carom_pool **pool);

/* ---------------------------------------------------------------------------------------------------------------------
 * Dicts of a manager: keys and values that many processes share. A key is any scalar: nil, a bool, a number, bytes, a
 * string; a value is whatever an argument can be, handles of objects of the same manager included.
 */

/** Makes a dict with what is in a map; NULL: an empty one. Statuses as `carom_manager_create`. */
carom_status carom_manager_dict(carom_manager *manager, const carom_argument *contents, carom_dict **dict);

/** Sets what `key` stands for. */
carom_status carom_dict_set(carom_dict *dict, const carom_argument *key, const carom_argument *new_value);

/**
 * What `key` stands for: `*found`, and what that points to in `data`, as in `carom_proxy_call`.
 *
 * `CAROM_ENOENT` if there is no such key; `CAROM_EMSGSIZE` if it does not fit, and `*len` is what it takes.
 */
carom_status carom_dict_get(carom_dict *dict, const carom_argument *key, carom_argument *found, void *data,
                            size_t capacity, size_t *len);

/** The same, and takes the key out. What does not fit stays. */
carom_status carom_dict_pop(carom_dict *dict, const carom_argument *key, carom_argument *found, void *data,
                            size_t capacity, size_t *len);

/**
 * The key that came last, and what it stands for: a list of the two, as in `carom_dict_get`; takes the key out.
 * `CAROM_ENOENT` if there is none.
 */
carom_status carom_dict_popitem(carom_dict *dict, carom_argument *pair, void *data, size_t capacity, size_t *len);

/** What `key` stands for; if there is no such key it is set to `new_value` first. As `carom_dict_get`. */
carom_status carom_dict_setdefault(carom_dict *dict, const carom_argument *key, const carom_argument *new_value,
                                   carom_argument *found, void *data, size_t capacity, size_t *len);

/** Takes a key out. `CAROM_ENOENT` if there is none. */
carom_status carom_dict_delete(carom_dict *dict, const carom_argument *key);

/** 1 if there is such a key, 0 if not, or a status. */
int32_t carom_dict_contains(carom_dict *dict, const carom_argument *key);

/**
 * Adds `by` to the whole number that `key` stands for, 0 if there is none, in one step. `*after`, which may be NULL, is
 * the sum.
 *
 * `CAROM_EINVAL` if it stands for something else, or the sum has more than 64 bits.
 */
carom_status carom_dict_increment(carom_dict *dict, const carom_argument *key, int64_t by, int64_t *after);

/**
 * Sets `key` to `new_value` if it stands for what equals `expected` (NULL: if there is no such key), in one step: 1 if
 * it did, 0 if not, or a status.
 */
int32_t carom_dict_swap(carom_dict *dict, const carom_argument *key, const carom_argument *expected,
                        const carom_argument *new_value);

/** Sets all keys of a map, in one step. */
carom_status carom_dict_update(carom_dict *dict, const carom_argument *map);

/**
 * Several calls in one step: all happen, or none and the status is that of the first that cannot. Each is a list: the
 * name of the method (get, contains, set, setdefault, pop, delete, increment, swap), then its arguments, see there.
 * `*results` is a list of their results, as in `carom_proxy_call`.
 *
 * `CAROM_EMSGSIZE` if the results do not fit: then all has happened.
 */
carom_status carom_dict_apply(carom_dict *dict, const carom_argument *calls, size_t count, carom_argument *results,
                              void *data, size_t capacity, size_t *len);

/** How many keys there are, or a status. */
int64_t carom_dict_len(carom_dict *dict);

/** Takes all keys out. */
carom_status carom_dict_clear(carom_dict *dict);

/**
 * Walks through the dict in the order in which its keys came: `*pairs` is a map of the next ones, at most `most` (0: as
 * many as fit), as in `carom_proxy_call`. `*cursor` is 0 at the beginning, and moves on. Each key that stays is met
 * once, whatever others do meanwhile.
 *
 * How many pairs there are, 0 at the end, or a status: `CAROM_EMSGSIZE` if not even the next one fits.
 */
int64_t carom_dict_items(carom_dict *dict, uint64_t *cursor, carom_argument *pairs, size_t most, void *data,
                         size_t capacity, size_t *len);

/** All keys, in their order: a list, as in `carom_dict_get`. `carom_dict_items` gives as many as fit. */
carom_status carom_dict_keys(carom_dict *dict, carom_argument *found, void *data, size_t capacity, size_t *len);

/** All values, in the order of their keys: a list, as in `carom_dict_get`. */
carom_status carom_dict_values(carom_dict *dict, carom_argument *found, void *data, size_t capacity, size_t *len);

/** The whole dict: a map, as in `carom_dict_get`. */
carom_status carom_dict_copy(carom_dict *dict, carom_argument *found, void *data, size_t capacity, size_t *len);

/**
 * Waits up to `timeout_ms` until `key` is set, or taken out, after the change that `*version` names (0: any), and moves
 * that on. `*found` is what it stands for now, nil if it is not there, as in `carom_proxy_call`. Of several changes the
 * last one is seen.
 *
 * 1 if there is such a key, 0 if not, or a status: `CAROM_ETIMEDOUT`, `CAROM_EMSGSIZE`.
 */
int32_t carom_dict_wait(carom_dict *dict, const carom_argument *key, uint64_t *version, carom_argument *found,
                        void *data, size_t capacity, size_t *len, int64_t timeout_ms);

/**
 * The dict of a manager that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the dict is gone.
 */
carom_status carom_call_dict(carom_call *call, size_t index, carom_dict **dict);

/** Ends this handle, as `carom_proxy_free`. */
void carom_dict_free(carom_dict *dict);

/* ---------------------------------------------------------------------------------------------------------------------
 * Lists of a manager: items in order that many processes share. An index below 0 counts from the end. Statuses as for
 * dicts; `CAROM_ENOENT` for an index outside of the list, or an item that it does not have.
 */

/** Makes a list of `count` items, which may be none. Statuses as `carom_manager_create`. */
carom_status carom_manager_list(carom_manager *manager, const carom_argument *items, size_t count, carom_list **list);

/** Adds an item at the end. */
carom_status carom_list_append(carom_list *list, const carom_argument *item);

/** Adds `count` items at the end, in one step. */
carom_status carom_list_extend(carom_list *list, const carom_argument *items, size_t count);

/** Adds the items of another list of the same manager at the end, in one step; of itself too. */
carom_status carom_list_extend_from(carom_list *list, carom_list *other);

/**
 * The list `count` times, one behind the other, in one step; 0 empties it.
 *
 * `CAROM_ENOMEM`, and nothing is changed, if that is more than the manager may hold.
 */
carom_status carom_list_repeat(carom_list *list, size_t count);

/** Puts an item before the one at `index`; beyond the end, at the end. */
carom_status carom_list_insert(carom_list *list, int64_t index, const carom_argument *item);

/**
 * The item at `index`: `*found`, and what that points to in `data`, as in `carom_proxy_call`.
 *
 * `CAROM_EMSGSIZE` if it does not fit, and `*len` is what it takes.
 */
carom_status carom_list_get(carom_list *list, int64_t index, carom_argument *found, void *data, size_t capacity,
                            size_t *len);

/** The same, and takes the item out. What does not fit stays. */
carom_status carom_list_pop(carom_list *list, int64_t index, carom_argument *found, void *data, size_t capacity,
                            size_t *len);

/**
 * The items from `start` to before `stop`, cut off at the ends of the list: a list, as in `carom_list_get`. 0 and
 * INT64_MAX are all.
 */
carom_status carom_list_slice(carom_list *list, int64_t start, int64_t stop, carom_argument *found, void *data,
                              size_t capacity, size_t *len);

/** Puts `count` items in the place of those from `start` to before `stop`, in one step; none: these are taken out. */
carom_status carom_list_set_slice(carom_list *list, int64_t start, int64_t stop, const carom_argument *items,
                                  size_t count);

/**
 * Walks through the list: `*items` is a list of the next ones, at most `most` (0: as many as fit), as in
 * `carom_list_get`. `*cursor` is 0 at the beginning, and moves on: it is the index of the next one. So what others
 * insert or take out before it moves the walk.
 *
 * How many items there are, 0 at the end, or a status: `CAROM_EMSGSIZE` if not even the next one fits.
 */
int64_t carom_list_items(carom_list *list, uint64_t *cursor, carom_argument *items, size_t most, void *data,
                         size_t capacity, size_t *len);

/** The same from the last one to the first; the cursor is 0 at the beginning here too, and then its own. */
int64_t carom_list_reversed(carom_list *list, uint64_t *cursor, carom_argument *items, size_t most, void *data,
                            size_t capacity, size_t *len);

/** Another item at `index`. */
carom_status carom_list_set(carom_list *list, int64_t index, const carom_argument *item);

/** Takes the item at `index` out. */
carom_status carom_list_delete(carom_list *list, int64_t index);

/** Takes out the first item that equals `item`. */
carom_status carom_list_remove(carom_list *list, const carom_argument *item);

/** Index of the first item that equals `item`, or a status. */
int64_t carom_list_index(carom_list *list, const carom_argument *item);

/** How many items equal `item`, or a status. */
int64_t carom_list_count(carom_list *list, const carom_argument *item);

/** 1 if an item equals `item`, 0 if none does, or a status. */
int32_t carom_list_contains(carom_list *list, const carom_argument *item);

/**
 * Sorts the list, equal items as they were; `descending` not 0: the largest first.
 *
 * `CAROM_EINVAL`, and nothing is changed, if the items have no common order: numbers, texts, bytes, or lists of such.
 */
carom_status carom_list_sort(carom_list *list, int32_t descending);

/** Turns the list round. */
carom_status carom_list_reverse(carom_list *list);

/** How many items there are, or a status. */
int64_t carom_list_len(carom_list *list);

/** Takes all items out. */
carom_status carom_list_clear(carom_list *list);

/**
 * The list of a manager that argument `index` is. Borrowed until the function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the list is gone.
 */
carom_status carom_call_list(carom_call *call, size_t index, carom_list **list);

/** Ends this handle, as `carom_proxy_free`. */
void carom_list_free(carom_list *list);

/* ---------------------------------------------------------------------------------------------------------------------
 * Objects of a manager, by the names of their methods.
 */

/**
 * Calls a method of an object of a manager: a handle of any type. Waits up to `timeout_ms` where the method waits, and
 * for the server.
 *
 * The result is `*reply`; what that points to lies in `data`, which has room for `capacity` bytes; `*len`, which may be
 * NULL, is what it took, 0 for a scalar. A handle in it is yours to free with the function of its type.
 *
 * `CAROM_EMSGSIZE` if it does not fit: `*len` is what is needed, and what was to be taken out of the object is still
 * there. `CAROM_ENOENT` for an unknown method, and for what is not in the object; `CAROM_EINVAL` for other arguments;
 * `CAROM_ETIMEDOUT`; `CAROM_ENOMEM`; `CAROM_EBADHANDLE` if the object is gone; `CAROM_ECLOSED`, `CAROM_EBROKEN` for the
 * server.
 */
carom_status carom_proxy_call(void *object, const char *method, const carom_argument *arguments, size_t count,
                              carom_argument *reply, void *data, size_t capacity, size_t *len, int64_t timeout_ms);

/**
 * The object of a manager, of a type that has no handle of its own, that argument `index` is. Borrowed until the
 * function returns; `carom_handle_keep` keeps it.
 *
 * `CAROM_EBADHANDLE` for another kind, or if the object is gone.
 */
carom_status carom_call_proxy(carom_call *call, size_t index, carom_proxy **proxy);

/**
 * Ends this handle. The object goes when nobody needs it any more. NULL is nothing.
 *
 * Never waits; may run in a finalizer, and in a forked child, where it ends that process's view only.
 */
void carom_proxy_free(carom_proxy *proxy);

/* ---------------------------------------------------------------------------------------------------------------------
 * The memory that a family shares, as a whole: for debugging.
 */

/** What is in the memory of the family, see `carom_arena_check`. */
typedef struct carom_arena_info {
    /** sizeof(carom_arena_info), set by the caller. */
    size_t size;
    /** Processes that belong to the family; keepers and workers too, and dead ones until their death is repaired. */
    uint32_t members;
    /** Functions that workers of pools run, or ran. */
    uint32_t functions;
    /** Objects that are not freed, or that a living process may still use; also what the library makes for itself. */
    uint64_t objects;
    /** Blocks of memory that belong to objects. */
    uint64_t blocks;
    /** Blocks that wait to be used again. */
    uint64_t free_blocks;
    /** Bytes of all blocks. */
    uint64_t bytes;
} carom_arena_info;

/**
 * Looks whether the memory that the family shares is as it should be, and counts what is in it, for debugging: after a
 * test, or when a program of the family may have written where it should not. `info` may be NULL. Changes nothing, but
 * repairs what a process that died in the middle of an allocation left, as any allocation would.
 *
 * Safe at any time, whatever others do; allocations of others wait meanwhile, about a microsecond for every ten blocks.
 * Allocates. `CAROM_EBROKEN` if something is damaged: the message names the first such thing. What users put into
 * values and messages is not looked at.
 */
carom_status carom_arena_check(carom_arena_info *info);

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
