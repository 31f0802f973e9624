#!/bin/sh
# seeded.sh [SECONDS]: puts bugs in (SECONDS: of the soak), and prints which level of the tests catches which. A bug that nobody catches, or a level
# that catches none, fails; but for the soak, which finds them by chance. The simulator and loom have theirs in their own sources
# (`bug_...`, a back end each); those of the stepping harness are in the library (`sys/seeded.rs`), in a build that nobody ships.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-10}
target=${CARGO_TARGET_DIR:-$PWD/target}/seeded
table=build/seeded/table
mkdir -p build/seeded
: >"$table"

# NAME|OPERATION|SCRIPT: at which the harness is to find it.
stepped() {
    cat <<'END'
heap: a half-done take is not finished first|memory, 3000 bytes|alone
heap: a record is cleared before it is done|memory, 3000 bytes|alone
cell: who ends it for the dead gives no block back|memory, 3000 bytes|alone
repair: the dead keep their locks|lock|alone
repair: the dead keep their units|semaphore, owned|alone
repair: a barrier does not break|barrier, last|alone
keeper: a death between the forks is an error|keeper, born half-way|alone
template: what a dead worker ran stays open|worker, task|alone
repair: a place that the dead claimed stays taken|spawn, its starter|alone
server: its death is that of who was not forked yet|server, forking|alone
END
}

cargo rustc --release --lib --crate-type staticlib --target-dir "$target" -- --cfg carom_seeded 2>build/seeded/cargo ||
    { cat build/seeded/cargo >&2; exit 1; }
cmake/relink.sh "$target/release/libcarom.a" build/seeded
# However slow the machine is: at every instruction, until it is caught.
stepped | while IFS='|' read -r bug operation script; do
    if CAROM_SEEDED="$bug" LD_LIBRARY_PATH="$PWD/build/seeded" \
        build/c-tests/torture_step 0 "$operation" "$script" >build/seeded/out 2>&1; then
        echo "NOT CAUGHT|$bug|stepping: $operation" >>"$table"
    else
        echo "stepping|$bug|$operation: $(grep -m 1 ': pid ' build/seeded/out | sed 's/.*: pid [0-9]*: //; s/|/ /g' | cut -c 1-60)" >>"$table"
    fi
done
# Chance finds some of them too.
for bug in "repair: the dead keep their units" "template: what a dead worker ran stays open" "cell: who ends it for the dead gives no block back"; do
    if ! CAROM_SEEDED="$bug" LD_LIBRARY_PATH="$PWD/build/seeded" build/c-tests/torture_soak "$seconds" 1 >build/seeded/out 2>&1; then
        echo "soak|$bug|$(grep -m 1 ': pid ' build/seeded/out | sed 's/.*: pid [0-9]*: //; s/|/ /g' | cut -c 1-60)" >>"$table"
    fi
done
# The same library without a bug must pass, else it proves nothing.
LD_LIBRARY_PATH="$PWD/build/seeded" build/c-tests/torture_step 2 "memory, 3000 bytes" alone >/dev/null

cargo test --release --test sim bug -- --nocapture 2>/dev/null |
    sed -n 's/^sim: bug: \(.*[^ ]\)  *runs .* s  caught: \(.*\)$/simulator|\1|\2/p' >>"$table"
cargo test --release --test loom bug -- --nocapture 2>/dev/null |
    sed -n 's/^loom: bug: \(.*[^ ]\)  *[0-9.]* s  *caught.*$/loom|\1|/p' >>"$table"

sort "$table" | awk -F'|' '{ printf "seeded: %-11s %-62s %s\n", $1, $2, $3; count[$1]++ }
    END { printf "seeded: %d catches: %d by stepping, %d by the simulator, %d by loom, %d by the soak; %d not caught\n", NR,
        count["stepping"], count["simulator"], count["loom"], count["soak"], count["NOT CAUGHT"];
        exit count["NOT CAUGHT"] > 0 || count["stepping"] == 0 || count["simulator"] == 0 || count["loom"] == 0 || NR < 15 }'
