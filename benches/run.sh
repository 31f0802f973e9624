#!/usr/bin/env bash
# Builds carom's benchmarks and their peers, runs them in interleaved rounds and prints one table and the goals.
#
# usage: benches/run.sh [SECTIONS]     letters: A process, B lock, C wait, D queue, E pool, F value, G connection and manager, H memory, I death, T the thumbs example; default: all
#
# environment: ROUNDS (3), CAROM_LIB_DIR (build/lib), CAROM_INCLUDE_DIR (include), CAROM_EXAMPLES_DIR (build/examples)
# Results also go to build/bench/results.json. Exit status 1: carom's programs are missing, failed or gave a wrong answer.
set -euo pipefail

# Directories given by the caller are relative to the caller.
lib=${CAROM_LIB_DIR:+$(realpath "$CAROM_LIB_DIR")}
include=${CAROM_INCLUDE_DIR:+$(realpath "$CAROM_INCLUDE_DIR")}
examples=${CAROM_EXAMPLES_DIR:+$(realpath "$CAROM_EXAMPLES_DIR")}
cd "$(dirname "$0")/.."
lib=${lib:-$PWD/build/lib}
include=${include:-$PWD/include}
examples=${examples:-$PWD/build/examples}
out=$PWD/build/bench
mkdir -p "$out/carom" "$out/peers"

# What the peers need. The packages are named in one place, for make and for this script.
scripts/setup.sh bench >&2
# A marker, because a venv whose pip failed half-way also has a python.
if [ ! -e "$out/venv/complete" ]; then
    rm -rf "$out/venv"
    python3 -m venv "$out/venv"
    "$out/venv/bin/pip" install -q --disable-pip-version-check billiard==4.3.2 >&2
    touch "$out/venv/complete"
fi

# ---- build ----
for source in benches/peers/*.cpp; do
    "${CXX:-c++}" -std=c++17 -O2 -Wall -Wextra -o "$out/peers/$(basename "$source" .cpp)" "$source" -pthread
done
# Some minutes the first time; without a net its rows are missing, and the others still run.
for crate in iceoryx2 rayon; do
    rm -f "$out/peers/$crate"
    if cargo build -q --release --manifest-path "benches/peers/$crate/Cargo.toml" --target-dir "$out/$crate" >&2; then
        cp "$out/$crate/release/$crate-peer" "$out/peers/$crate"
    else
        echo "no $crate: its rows are missing" >&2
    fi
done
# It starts a server of its own at a temporary unix socket, and ends it.
rm -f "$out/peers/redis"
if ! command -v redis-server >/dev/null ||
    ! "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -o "$out/peers/redis" benches/peers/redis.c -lhiredis 2>/dev/null; then
    echo "no redis: its rows are missing" >&2
fi
rm -f "$out"/carom/*    # never measure yesterday's
if [ -e "$lib/libcarom.so" ]; then
    for source in benches/carom/*.c; do
        name=$(basename "$source" .c)
        # One that does not build is reported below the table; the others still run.
        "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -Wpedantic -I"$include" -o "$out/carom/$name" "$source" \
            -L"$lib" -Wl,-rpath,"$lib" -lcarom -pthread || echo "carom/$name does not build" >&2
    done
else
    echo "no $lib/libcarom.so: peers only (make lib, or set CAROM_LIB_DIR)" >&2
fi

THUMBS=$examples/thumbs exec "$out/venv/bin/python" benches/collect.py "$out" "$@"
