#!/bin/bash
# abi.sh DIRECTORY: writes what a program that is built knows of the library: DIRECTORY/carom.abi, its types and functions as
# libabigail describes them; DIRECTORY/layout, where the members of its structs are; DIRECTORY/constants, its numbers.
#
# Made from the header, by a library of empty functions in C: the real one is Rust, whose debug information says nothing of C types, and
# c-tests/test_library.sh sees to it that both have the same functions. So it hardly depends on the compiler.
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo '#include <carom.h>' | "${CC:-cc}" -I"$source/include" -E -P - >"$scratch/plain.h"
python3 - "$scratch/plain.h" >"$scratch/carom.c" <<'END'
import re, sys
text = open(sys.argv[1]).read()
print("#include <carom.h>")
for declaration in re.findall(r"(?<![^;}\n])\s*((?:const )?\w+[\s*]+carom_\w+\([^;{}]*\));", text):
    if not declaration.startswith("typedef"):
        print(declaration, "{ __builtin_trap(); }")
END
"${CC:-cc}" -I"$source/include" -g -gdwarf-4 -O0 -w -shared -fPIC -o "$scratch/libcarom.so" "$scratch/carom.c"
python3 - "$scratch/plain.h" >"$scratch/layout.c" <<'END'
import re, sys
text = open(sys.argv[1]).read()
print("#include <carom.h>\n#include <stdio.h>\n#define MEMBER(s, m) printf(#s \" \" #m \" %zu %zu\\n\", offsetof(s, m), sizeof((s *)0)->m)")
print("int main(void) {")
for members, name in re.findall(r"struct \w+ \{(.*?)\} (\w+);", text, re.S):
    names = [re.search(r"\(\*(\w+)\)|(\w+)(?:\[\w+\])?$", member.strip()) for member in members.split(";") if member.strip()]
    names = [found.group(1) or found.group(2) for found in names]
    for member in names:
        if member != "reserved":  # must be 0, and so may get a meaning
            print(f"MEMBER({name}, {member});")
    if names[0] != "size":
        print(f'printf("{name} %zu\\n", sizeof({name}));')
print("}")
END
"${CC:-cc}" -I"$source/include" -o "$scratch/layout" "$scratch/layout.c"
"$scratch/layout" | LC_ALL=C sort >"$1/layout"
abidw --no-show-locs --no-corpus-path --no-comp-dir-path --no-parameter-names --out-file "$scratch/carom.abi" "$scratch/libcarom.so"
sed "s|path='[^']*/carom.c'|path='carom.c'|" "$scratch/carom.abi" >"$1/carom.abi"
echo '#include <carom.h>' | "${CC:-cc}" -I"$source/include" -E -dM - |
    sed -n 's/^#define \(CAROM_[A-Z0-9_]*\) \(-\{0,1\}[0-9]*\)$/\1 \2/p' | grep -v '^CAROM_VERSION' | LC_ALL=C sort >"$1/constants"
