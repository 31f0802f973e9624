#!/bin/bash
# The command that `make run` shows: it runs the task once more that crashed, and that crashes again. Under valgrind too, and under
# gdb, where they are.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/capsules"
build/examples/thumbs --damage --out "$scratch/sheet.png" --capsules "$scratch/capsules" /usr/share/icons/Adwaita/64x64 \
    >"$scratch/said"
test "$(ls "$scratch/capsules" | wc -l)" = 1
command=$(sed -n 's|^once more: ||p' "$scratch/said")
grep -q '^  #[0-9]* thumbnail+0x' "$scratch/said"

code=0
(cd / && PATH="$OLDPWD/build/bin:$PATH" $command) >"$scratch/again" || code=$?
cat "$scratch/again"
test $code = 1
grep -q '^CAROM_EWORKERLOST: ' "$scratch/again"
grep -q '^    #[0-9]* thumbnail+0x' "$scratch/again"

if command -v gdb >/dev/null; then
    code=0
    printf 'run\nbacktrace\nkill\n' | build/bin/carom-replay --gdb ${command#carom-replay } >"$scratch/gdb" 2>&1 || code=$?
    cat "$scratch/gdb"
    grep -q "received signal\|terminated with signal" "$scratch/gdb"
    grep -q '^#[0-9]* .*thumbnail' "$scratch/gdb"
fi
if command -v valgrind >/dev/null; then
    code=0
    build/bin/carom-replay --valgrind ${command#carom-replay } >"$scratch/valgrind" 2>&1 || code=$?
    grep -q 'by 0x.*: thumbnail ' "$scratch/valgrind" || { cat "$scratch/valgrind"; exit 1; }
fi
