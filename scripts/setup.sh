#!/bin/sh
# setup.sh run|test|sanitize|bench: installs what `make run` and so on needs and is not here. Says so before.
#
# Packages are those of Debian and its relatives. Elsewhere, or without root, it says what is missing, and fails.
set -eu

missing=""
need() { # PACKAGE, and a command that succeeds if it is here
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
program() { command -v "$1"; }
header() { echo "#include <$1>" | ${CC:-cc} -E -include stdio.h -; }
header_cxx() { echo "#include <$1>" | ${CXX:-c++} -E -x c++ -; }
python_with_cffi() { /usr/bin/python3 -c 'import cffi' || python3 -c 'import cffi'; }

if ! cargo --version >/dev/null 2>&1 || ! program "${CC:-cc}" >/dev/null; then
    echo "carom needs Rust (https://rustup.rs) and a C compiler." >&2
    exit 1
fi

# The examples, which every goal builds.
need libpng-dev header png.h
need libjpeg-dev header jpeglib.h
need libuv1-dev header uv.h
need adwaita-icon-theme test -d /usr/share/icons/Adwaita
case $1 in
test)
    need g++ program g++
    need clang program clang++
    need cmake program cmake
    need pkg-config program pkg-config
    need python3-cffi python_with_cffi
    need procps program pgrep
    need abigail-tools program abidiff
    # A minimal Rust lacks these two.
    if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        echo "make test needs rustfmt and clippy; adding them with rustup."
        rustup component add rustfmt clippy
    fi
    "${0%/*}/newer-python.sh" >/dev/null
    ;;
sanitize)
    need g++ program g++
    need binutils program nm
    need valgrind program valgrind
    ;;
bench)
    need g++ program g++
    need libboost-dev header_cxx boost/interprocess/sync/interprocess_mutex.hpp
    need python3-venv python3 -c 'import venv, ensurepip'
    ;;
esac
# What only some rows of the benchmarks need: without it they are missing. Its service is not to be begun here (RUNLEVEL).
if [ "$1" = bench ] && ! { program redis-server && header hiredis/hiredis.h; } >/dev/null 2>&1; then
    echo "make bench compares with redis, which is not here; trying to install it."
    root=""
    [ "$(id -u)" = 0 ] || root="sudo -n"
    $root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends redis-server libhiredis-dev ||
        echo "no redis: its rows are missing"
fi
[ -n "$missing" ] || exit 0

echo "make $1 needs these packages, which are not installed:$missing"
root=""
if [ "$(id -u)" != 0 ]; then
    root="sudo -n"
fi
if ! program apt-get >/dev/null || ! $root true 2>/dev/null; then
    echo "They cannot be installed from here (no apt-get, or no root). Install them, then run make $1 again." >&2
    exit 1
fi
install() { $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; }
echo "Installing them with apt-get."
install || { $root apt-get update -q && install; } || {
    echo "apt-get could not install:$missing" >&2
    exit 1
}
