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

# The end says which failed, and why, however much is before it.
at_the_end() { # TEXT among the last 20 lines of OUTPUT
    tail -n 20 <<<"$2" | grep -qF -- "$1" && return
    echo "no '$1' at the end of:"
    echo "$2"
    exit 1
}
output=$(build/c-tests/runner "sh -c 'seq 1000; echo one >&2; exit 3'" "true" "$scratch/checks status" true) && exit 1
at_the_end "not ok 1 - sh -c" "$output"
at_the_end "# one" "$output"
at_the_end "# exited with 3" "$output"
at_the_end "(-110)" "$output"
output=$(c-tests/evidence.sh sh -c 'echo cause >&2; seq 1000 >&2; echo last >&2; seq 2000; exit 5' 2>&1) && exit 1
at_the_end "FAILED with 5: sh -c" "$output"
at_the_end "cause" "$output"
at_the_end "last" "$output"
test "$(c-tests/evidence.sh sh -c 'echo told >&2' 2>&1)" = told
