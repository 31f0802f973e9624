#!/bin/bash
# The runner and the checks can fail: each of these must.
set -euo pipefail
unset CAROM_TEST_TIMEOUT_MULTIPLIER # else what is to take too long does not
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cc -Iinclude c-tests/misbehave/checks.c -o "$scratch/checks" -Lbuild/lib -lcarom -Wl,-rpath,"$PWD/build/lib"

expect() { # TEXT in the runner's output for the test COMMAND, which it gives SECONDS, if few are meant
    output=$(build/c-tests/runner -t "${3:-30}" "$2") || true
    grep -qF -- "$1" <<<"$output" && return
    echo "no '$1' for: $2"
    echo "$output"
    exit 1
}

expect "1 passed, 0 failed" "true"
expect "1 passed, 0 failed" "$scratch/checks"
expect "0 passed, 0 failed, 1 skipped" "sh -c 'exit 77'"
expect "exited with 3" "sh -c 'exit 3'"
expect "not found" "no-such-program"
expect "ended by signal 11" "sh -c 'kill -SEGV \$\$'"
expect "not done within 0.5 s" "sleep 20" 0.5
expect "left behind" "sh -c 'setsid sleep 20 & exit 0'"
expect "/dev/shm/carom-left" "touch /dev/shm/carom-left"
expect "not 4294967295" "$scratch/checks eq"
expect "(-110)" "$scratch/checks status"
expect "a, not b" "$scratch/checks string"
expect "new descriptor" "$scratch/checks descriptor"
expect "a zombie is left" "$scratch/checks zombie"
expect "a child is left" "$scratch/checks child"
