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

/* ---------------------------------------------------------------------------------------------------------------------
 * Versions and statuses.
 */

/** What every fallible function returns: `CAROM_OK`, a negated errno (-1…-4095), or one of carom's own below -5000. */
typedef int32_t carom_status;

/**
 * Version of the library in use, "major.minor.patch". Static; compare it with `CAROM_VERSION` to detect a header of
 * another version.
 */
const char *carom_version(void);

/** Name of a status, as "CAROM_ETIMEDOUT"; never NULL, static, async-signal-safe. */
const char *carom_status_name(carom_status status);

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
