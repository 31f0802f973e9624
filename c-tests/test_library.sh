#!/bin/bash
# What the library exports is what the header declares and the version script names; who it says it is; how to link it.
set -euo pipefail
cd "$(dirname "$0")/.."
library=build/lib/libcarom.so
failed=0
same() { # WHAT, and two texts that should be equal
    diff <(echo "$2") <(echo "$3") >/dev/null && return
    echo "$1:"
    diff <(echo "$2") <(echo "$3") || failed=1
}

declared=$(sed -n '/cdef: begin/,/cdef: end/p' include/carom.h | grep -v '^ *[/#*]' | grep -v typedef |
    grep -oE '\bcarom_\w+\(' | tr -d '(' | sort)
named=$(sed -n 's/^ *\(carom_\w*\);/\1/p' include/carom.map | sort)
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sort)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
node=CAROM_${version%.*}

same "header (<) and include/carom.map (>)" "$declared" "$named"
# A function that the map lacks is hidden, so the exports alone would not show it.
same "header (<) and exported by the library (>)" "$(sed "s/\$/@@$node/" <<<"$declared")" "$exported"
same "functions of the archive (<) and the header (>)" \
    "$(nm -g --defined-only "$CAROM_ARCHIVE" 2>/dev/null | awk '$2 == "T" && $3 ~ /^carom_/ { print $3 }' | sort)" "$declared"
same "SONAME" "libcarom.so.${version%%.*}" "$(readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')"
same "file" "libcarom.so.$version" "$(basename "$(readlink -f "$library")")"

# No function of a C library that is newer than the platform line says. (2.33 and 2.34 gave new versions to functions that were there
# before, in libc or in libraries that it took over: built there the library needs that one, built with an older one it does not.)
oldest=$(sed -n 's/^ \* Platform .*glibc \([0-9.]*\) or later.*/\1/p' include/carom.h)
newer=$(objdump -T "$library" | sed -n 's/.*(GLIBC_\([0-9.]*\)) */\1 /p' | awk -v oldest="$oldest" '{
    split($1, version, "."); split(oldest, least, ".")
    if (version[1] + 0 > least[1] + 0 || version[1] == least[1] && version[2] + 0 > least[2] + 0) print $2 }' |
    grep -vE '^([fl]?stat(64)?|mknod|pthread_[a-z_]*|sem_[a-z]*|dl(open|error|sym|addr|close|info)|shm_(open|unlink)|timer_[a-z]*|__libc_start_main)$' || true)
test -n "$oldest" && test -z "$newer" || { echo "newer than glibc $oldest:" $newer; failed=1; }

# A task that asks whether it should stop pays for two loads: of the address of its worker's word, and of the word, which says whether the
# call is the one that runs here and goes on.
if [ "$(uname -m)" = x86_64 ]; then
    way=$(objdump -d --no-show-raw-insn --disassemble=carom_call_should_stop "$library" | sed '1,/>:$/d;/\bret/q')
    loads=$(grep -v '\blea\b' <<<"$way" | grep -c '(%' || true)
    test "$loads" = 2 || { echo "carom_call_should_stop: $loads loads"; echo "$way"; failed=1; }
fi

# The documented link line of the static library is the one that the compiler asks for.
asked=$(cat "$CAROM_ARCHIVE.libs")
same "native libraries that rustc asks for (<), in cmake/native-libs (>)" "$asked" "$(cat cmake/native-libs)"
grep -qF -- "libcarom.a $asked" README.md || { echo "README.md does not say: libcarom.a $asked"; failed=1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cc -Iinclude c-tests/test_version.c -o "$scratch/static" "$CAROM_ARCHIVE" $asked
"$scratch/static"
exit $failed
