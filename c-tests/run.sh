#!/bin/sh
# run.sh [TEST...]: gives the runner the tests named, or all that `make test-c` has built.
set -eu
cd "$(dirname "$0")/.."
export CAROM_LIBRARY="$PWD/build/lib/libcarom.so" CAROM_HEADER="$PWD/include/carom.h"
export CAROM_ARCHIVE="${CARGO_TARGET_DIR:-$PWD/target}/release/libcarom.a"
python=python3
if /usr/bin/python3 -c 'import cffi' 2>/dev/null; then
    python=/usr/bin/python3
fi

if [ $# -eq 0 ]; then
    for source in c-tests/test_*.c c-tests/test_*.cpp; do
        name=${source##*/}
        set -- "$@" "build/c-tests/${name%.*}"
    done
    for test in c-tests/python/test_*.py; do
        set -- "$@" "$python $test"
    done
    # An example is a test with the arguments of each of its lines /* test: ... */
    for source in examples-c/*.c; do
        [ -e "$source" ] || continue
        name=${source##*/}
        program=build/examples/${name%.*}
        while read -r line; do
            [ -z "$line" ] || set -- "$@" "$line"
        done <<END
$(sed -n "s|^/\* test: *\(.*\) \*/\$|$program \1|p" "$source")
END
    done
    set -- "$@" -t 120
    for test in c-tests/test_*.sh; do
        set -- "$@" "$test"
    done
fi
exec build/c-tests/runner "$@"
