#!/bin/bash
# Installs, and builds a C and a C++ program outside the tree against what was installed: by pkg-config, by
# find_package, before and after the prefix has moved; and with carom as a subdirectory. Then with two copies in one process.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
cp -r c-tests/consumer "$scratch/consumer"

run_all() { # DIRECTORY of built consumers
    for which in carom carom_shared carom_static; do
        "$1/${which}_c"
        "$1/${which}_cpp"
    done
    "$1/host" "$1/libplugin.so"
}

not_shared() { # PROGRAM must not need the shared library
    if readelf -d "$1" | grep 'NEEDED.*libcarom'; then
        echo "$1 needs the shared library"
        exit 1
    fi
}

pkg_config() { # PREFIX, its library directory
    export PKG_CONFIG_PATH=$1/$2/pkgconfig
    test "$(pkg-config --modversion carom)" = "$version"
    cc "$scratch/consumer/main.c" -o "$scratch/c" $(pkg-config --cflags --libs carom)
    c++ "$scratch/consumer/main.cpp" -o "$scratch/cpp" $(pkg-config --cflags --libs carom)
    LD_LIBRARY_PATH=$1/$2 "$scratch/c"
    LD_LIBRARY_PATH=$1/$2 "$scratch/cpp"
    # Static: the archive by its name, since -lcarom alone would take the shared library.
    libs=$(pkg-config --static --libs carom)
    cc "$scratch/consumer/main.c" -o "$scratch/c" $(pkg-config --cflags carom) ${libs/-lcarom/-l:libcarom.a}
    c++ "$scratch/consumer/main.cpp" -o "$scratch/cpp" $(pkg-config --cflags carom) ${libs/-lcarom/-l:libcarom.a}
    for program in "$scratch/c" "$scratch/cpp"; do
        "$program"
        not_shared "$program"
    done
    pkg-config --exists "carom >= $version"
    ! pkg-config --exists "carom > $version"
    # The program that comes with it finds the library by itself: it says how to use it.
    code=0
    "$1/bin/carom-replay" 2>/dev/null || code=$?
    test $code = 2
}

cmake_package() { # PREFIX, and a directory to build in
    cmake -S "$scratch/consumer" -B "$2" -DCMAKE_PREFIX_PATH="$1" -DWANTED="${version%.*}"
    cmake --build "$2" -j 2
    run_all "$2"
    readelf -d "$2/carom_c" | grep -q 'libcarom\.so\.'
    not_shared "$2/carom_static_c"
}

# A multiarch directory, with DESTDIR, as a distribution installs it.
DESTDIR=$scratch/stage PREFIX=/usr LIBDIR=lib/multi-arch scripts/install.sh "$CAROM_ARCHIVE" build/lib
pkg_config "$scratch/stage/usr" lib/multi-arch
test "$(readlink "$scratch/stage/usr/lib/multi-arch/libcarom.so.${version%%.*}")" = "libcarom.so.$version"
if grep -rIl "$scratch" "$scratch/stage"; then
    echo "these name the directory that they were installed to"
    exit 1
fi

# A prefix, moved.
PREFIX=$scratch/prefix scripts/install.sh "$CAROM_ARCHIVE" build/lib
pkg_config "$scratch/prefix" lib
cmake_package "$scratch/prefix" "$scratch/unmoved"
mv "$scratch/prefix" "$scratch/moved"
pkg_config "$scratch/moved" lib
cmake_package "$scratch/moved" "$scratch/build"

# The wrong version is refused: another minor one, and a later patch.
for wanted in 0.999 1.0 "${version%.*}.999"; do
    if cmake -S "$scratch/consumer" -B "$scratch/refused" -DCMAKE_PREFIX_PATH="$scratch/moved" -DWANTED=$wanted \
        >/dev/null 2>&1; then
        echo "find_package accepts $wanted"
        exit 1
    fi
done

# As a subdirectory, which installs too.
cmake -S "$scratch/consumer" -B "$scratch/sub" -DSUBDIRECTORY="$PWD/cmake" -DBUILD_SHARED_LIBS=OFF \
    -DCAROM_CARGO_TARGET_DIR="${CAROM_ARCHIVE%/release/libcarom.a}" -DCMAKE_INSTALL_PREFIX="$scratch/installed"
cmake --build "$scratch/sub" -j 2
run_all "$scratch/sub"
not_shared "$scratch/sub/carom_c"
cmake --install "$scratch/sub"
pkg_config "$scratch/installed" lib
