#!/bin/sh
# install.sh ARCHIVE DIRECTORY: installs the static library ARCHIVE, the shared one and the worker that are in DIRECTORY, carom-replay, the
# headers and the packages for pkg-config and CMake. PREFIX (/usr/local), LIBDIR (lib, in the prefix) and DESTDIR say where. STRIP=:
# keeps the debug information.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
archive=$1
directory=$2
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-lib}
libdir=${libdir#"$prefix"/}
case $libdir in
/*)
    echo "LIBDIR must lie in PREFIX ($prefix): $libdir" >&2
    exit 1
    ;;
esac
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/Cargo.toml" | head -n 1)
major=${version%%.*}
minor=${version#*.}
minor=${minor%%.*}
native=$(cat "$source/cmake/native-libs")
include=${DESTDIR:-}$prefix/include
lib=${DESTDIR:-}$prefix/$libdir
libexec=${DESTDIR:-}$prefix/libexec

# From LIBDIR/pkgconfig, which is where carom.pc is, up to the prefix: one step more than LIBDIR has parts.
up=..$(echo "/$libdir" | sed 's|/[^/][^/]*|/..|g')
fill() { # TEMPLATE, FILE, NATIVE_LIBS
    sed -e "s|@VERSION@|$version|; s|@SOVERSION@|$major|; s|@MAJOR@|$major|g; s|@MINOR@|$minor|g" \
        -e "s|@UP@|$up|; s|@LIBDIR@|$libdir|; s|@NATIVE_LIBS@|$3|" "$source/cmake/$1" >"$2"
    chmod 644 "$2"
}

install -d "$include" "$lib/pkgconfig" "$lib/cmake/carom" "$libexec"
install -m 644 "$source"/include/*.h "$include"
for header in "$source"/include/*.hpp; do
    [ ! -e "$header" ] || install -m 644 "$header" "$include"
done
install -m 644 "$archive" "$lib/libcarom.a"
install -m 755 "$directory/libcarom.so.$version" "$lib"
install -m 755 "$directory/carom-worker" "$libexec"
"${STRIP:-strip}" --strip-debug "$lib/libcarom.a" "$lib/libcarom.so.$version"
ln -sf "libcarom.so.$version" "$lib/libcarom.so.$major"
ln -sf "libcarom.so.$major" "$lib/libcarom.so"
# Linked here, since what it finds the library by depends on LIBDIR.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$source/cmake/link-replay.sh" "$source/tools/carom-replay.c" "$directory" "$scratch/carom-replay" "$libdir"
install -d "${DESTDIR:-}$prefix/bin"
install -m 755 "$scratch/carom-replay" "${DESTDIR:-}$prefix/bin"
fill carom.pc.in "$lib/pkgconfig/carom.pc" "$native"
fill caromConfig.cmake.in "$lib/cmake/carom/caromConfig.cmake" "$(echo "$native" | tr ' ' ';')"
fill caromConfigVersion.cmake.in "$lib/cmake/carom/caromConfigVersion.cmake" ""
