#!/bin/bash
# Every start method in a program that is linked with the shared library, with the static one, and in plug-ins that are
# linked with either, of a program that knows nothing of carom.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
hosts=c-tests/hosts
native=$(cat cmake/native-libs)
cc="${CC:-cc} -O1 -Wall -Wextra -Iinclude"

$cc $hosts/program.c $hosts/plugin.c -o "$scratch/shared" -Lbuild/lib -lcarom -Wl,-rpath,"$PWD/build/lib"
"$scratch/shared"
$cc $hosts/program.c $hosts/plugin.c -o "$scratch/static" "$CAROM_ARCHIVE" $native
"$scratch/static"

$cc $hosts/loader.c -o "$scratch/loader" -ldl
$cc -shared -fPIC $hosts/plugin.c -o "$scratch/plugin.so" -Lbuild/lib -lcarom -Wl,-rpath,"$PWD/build/lib"
"$scratch/loader" "$scratch/plugin.so"

# With a carom of its own inside: the worker beside it begins in that.
mkdir "$scratch/inside"
$cc -shared -fPIC $hosts/plugin.c -o "$scratch/inside/plugin.so" "$CAROM_ARCHIVE" $native
if "$scratch/loader" "$scratch/inside/plugin.so" 2>"$scratch/said"; then
    echo "there is no worker, and it works"
    exit 1
fi
grep -q "carom-worker" "$scratch/said"
cp build/lib/carom-worker "$scratch/inside"
"$scratch/loader" "$scratch/inside/plugin.so"
