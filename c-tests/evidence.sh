#!/bin/sh
# evidence.sh COMMAND...: runs it. If it fails, the last lines of the output say which command that was, how it ended, and what
# it had printed on standard error: of a long run often nothing but the end is kept.
set -eu
said=$(mktemp)
trap 'rm -f "$said"' EXIT
code=0
"$@" 2>>"$said" || code=$? # at its end, whoever else writes there
if [ "$code" -eq 0 ]; then
    cat "$said" >&2
    exit 0
fi
lines=$(wc -l <"$said")
printf 'FAILED with %d: %s\n' "$code" "$*"
# What came first is often the cause.
if [ "$lines" -le 17 ]; then
    cut -c 1-300 "$said"
else
    head -n 8 "$said" | cut -c 1-300
    echo "... $((lines - 16)) lines more ..."
    tail -n 8 "$said" | cut -c 1-300
fi
exit "$code"
