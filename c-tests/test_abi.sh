#!/bin/bash
# A program that was built with an older header goes on: nothing of what abi/ describes is gone or another now. What is new may be
# missing there; `make abi` writes the description anew.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v abidiff >/dev/null && test "$(uname -m)" = x86_64 || exit 77
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compare() { # DIRECTORY: what is incompatible with abi/ in it
    abidiff --no-added-syms --no-show-locs --suppressions abi/compatible abi/carom.abi "$1/carom.abi" || return 1
    local gone
    for what in constants layout; do
        gone=$(LC_ALL=C comm -23 abi/$what "$1/$what")
        test -z "$gone" || { echo "gone, or another now ($what):"; echo "$gone"; return 1; }
    done
}

mkdir "$scratch/now"
scripts/abi.sh "$scratch/now"
compare "$scratch/now" || {
    echo
    echo "Programs that are built would break. Before 1.0 that is allowed with a new minor version, and a line under ABI in CHANGELOG.md:"
    echo "if it is meant, run make abi and commit abi/."
    exit 1
}

# It would be seen: another argument, a member in the middle of a struct, another number, a function that is gone. And growth is none.
changed() { # WHAT, sed script for the header, 1 if it is incompatible
    rm -rf "$scratch/tree"
    mkdir -p "$scratch/tree/include" "$scratch/tree/scripts" "$scratch/tree/abi"
    cp scripts/abi.sh "$scratch/tree/scripts"
    sed "$2" include/carom.h >"$scratch/tree/include/carom.h"
    ! cmp -s include/carom.h "$scratch/tree/include/carom.h" || { echo "$1: changes nothing"; exit 1; }
    "$scratch/tree/scripts/abi.sh" "$scratch/tree/abi"
    local code=0
    compare "$scratch/tree/abi" >"$scratch/said" || code=1
    test $code = "$3" || { echo "$1: $code, not $3"; cat "$scratch/said"; exit 1; }
}
changed "another argument" 's/^carom_status carom_pool_close(carom_pool \*pool);/carom_status carom_pool_close(carom_pool *pool, int how);/' 1
changed "another result" 's/^carom_status carom_pool_close(/void carom_pool_close(/' 1
changed "a member in the middle" 's/^    int32_t workers;/    int64_t workers;/' 1
changed "another number" 's/^#define CAROM_ETIMEDOUT .*/#define CAROM_ETIMEDOUT -111/' 1
changed "a function that is gone" '/^carom_status carom_pool_close(/d' 1
changed "a frozen struct that grows" 's/^} carom_argument;/    int64_t more;\n} carom_argument;/' 1
changed "a struct that grows" 's/^} carom_pool_options;/    int64_t more;\n} carom_pool_options;/' 0
changed "a new function" 's/^carom_status carom_pool_close(/carom_status carom_pool_more(carom_pool *pool);\n&/' 0
changed "a new number" 's/^#define CAROM_ETIMEDOUT .*/&\n#define CAROM_ENEW -5999/' 0
