#!/bin/sh
# The header compiles by itself, without a warning, in every C and C++ that it promises.
set -eu
cd "$(dirname "$0")/.."
flags="-Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only"
for compiler in gcc clang; do
    for standard in c99 c11 c17 c2x; do
        echo "$compiler $standard"
        $compiler $flags -std=$standard c-tests/standards/macros.c
    done
done
for compiler in g++ clang++; do
    for standard in c++11 c++14 c++17 c++20; do
        echo "$compiler $standard"
        $compiler $flags -std=$standard -x c++ c-tests/standards/macros.c
    done
done
[ ! -e include/carom.hpp ] || for compiler in g++ clang++; do
    for standard in c++17 c++20; do
        echo "$compiler $standard carom.hpp"
        echo '#include <carom.hpp>' | $compiler $flags -std=$standard -x c++ -
    done
done
