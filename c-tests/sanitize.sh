#!/bin/sh
# sanitize.sh: the C and C++ tests with ASan and UBSan in them, then under valgrind what needs no other process: valgrind
# before 3.21 has no pidfd_open.
#
# A report fails the run wherever it was made, even in a worker whose death the test expects: it goes to a file.
set -eu
cd "$(dirname "$0")/.."
reports=$PWD/build/sanitize/reports
alone="header lifetime misuse shareable_list shared_memory sync values version"
rm -rf "$reports"
mkdir -p "$reports"
export CAROM_LIBRARY="$PWD/build/lib/libcarom.so" CAROM_HEADER="$PWD/include/carom.h"
export CAROM_ARCHIVE="${CARGO_TARGET_DIR:-$PWD/target}/release/libcarom.a"

show() { # FILE...
    for report in "$@"; do
        echo "--- $report" >&2
        cat "$report" >&2
    done
}

set -- -t 60
for source in c-tests/test_*.c c-tests/test_*.cpp; do
    name=${source##*/}
    program=build/sanitize/${name%.*}
    for symbol in __asan_init __asan_report_ __ubsan_handle_; do
        nm -u "$program" | grep -q "$symbol" || { echo "$program is not instrumented: no $symbol" >&2; exit 1; }
    done
    set -- "$@" "$program"
done
failed=0
# Tests crash on purpose, and look at the signal: so no handler.
signals=handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:handle_abort=0
checks=detect_leaks=1:detect_stack_use_after_return=1:check_initialization_order=1:strict_string_checks=1
export ASAN_OPTIONS="exitcode=99:allocator_may_return_null=1:$signals:$checks:log_path=$reports/asan"
export UBSAN_OPTIONS="print_stacktrace=1:$signals:log_path=$reports/ubsan"
build/c-tests/runner "$@" || failed=1
set -- "$reports"/asan.* "$reports"/ubsan.*
for report in "$@"; do
    if [ -s "$report" ]; then
        show "$report"
        failed=1
    fi
done

# The first line of an error begins with == and one blank; what is said about unknown system calls begins with --. The limit
# (512 MiB) makes the arena small, since the search for leaks reads all of it.
set -- -t 60
for name in $alone; do
    set -- "$@" "valgrind -q --fair-sched=try --error-exitcode=99 --leak-check=full \
        --errors-for-leak-kinds=definite,indirect --log-file=$reports/valgrind.%p build/c-tests/test_$name"
done
(
    ulimit -S -f 1048576
    CAROM_TEST_ALONE=1 build/c-tests/runner "$@"
) || failed=1
for report in "$reports"/valgrind.*; do
    if grep '^==[0-9]*== [^ ]' "$report" | grep -qv 'Process terminating'; then
        show "$report"
        failed=1
    fi
done
exit $failed
