#!/bin/sh
# relink.sh ARCHIVE OUTPUT_DIRECTORY: makes the shared library that is installed out of the static one, and the worker,
# which loads it.
#
# A version script does not work on the shared library that cargo links: rustc hands the linker a script of its own.
# So the archive is linked once more, and only what include/carom.map names is exported, with a version.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
archive=$1
output=$2
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/Cargo.toml" | head -n 1)
soname=libcarom.so.${version%%.*}

mkdir -p "$output"
"${CC:-cc}" -shared -o "$output/libcarom.so.$version" \
    -Wl,--whole-archive "$archive" -Wl,--no-whole-archive \
    -Wl,-soname,"$soname" -Wl,--version-script,"$source/include/carom.map" \
    -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,--build-id \
    $(cat "$source/cmake/native-libs")
ln -sf "libcarom.so.$version" "$output/$soname"
ln -sf "$soname" "$output/libcarom.so"
"${CC:-cc}" -O2 -Wall -Wextra "$source/libexec/carom-worker.c" -o "$output/carom-worker" -ldl
