#!/bin/sh
# link-replay.sh SOURCE LIBRARY_DIRECTORY PROGRAM LIBDIR: makes carom-replay, which finds the library in ../LIBDIR seen from itself.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$(dirname "$3")"
"${CC:-cc}" -O2 -Wall -Wextra -Werror -I"$source/include" "$1" -o "$3" -L"$2" -lcarom -Wl,-rpath,"\$ORIGIN/../$4"
