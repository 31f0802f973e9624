#!/bin/bash
# Ctrl-C in the main job, while its workers are at work: it ends by SIGINT, and nothing of it is left.
set -eu -m
cd "$(dirname "$0")/.."
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
interrupted=0
for try in 1 2 3 4 5 6 7 8 9; do
    [ "$interrupted" -lt 3 ] || break
    # With job control it is a process group of its own, as on a terminal; whoever runs this in the background ignores SIGINT.
    TMPDIR=$directory env --default-signal=INT build/examples/thumbs --damage --quiet --out /dev/null > "$directory/out" 2>&1 &
    host=$!
    until pgrep -g "$host" . > /dev/null && pgrep -s 0 -x carom-worker > "$directory/workers"; do
        kill -0 "$host" || { echo "it ended before a worker was seen:"; cat "$directory/out"; exit 1; }
    done
    kill -INT -- "-$host"
    status=0
    wait "$host" || status=$?
    case $status in
    130) interrupted=$((interrupted + 1)) ;;
    0) ;; # it was done before the signal came
    *) echo "try $try: status $status, not 130"; cat "$directory/out"; exit 1 ;;
    esac
    while pgrep -s 0 carom- > "$directory/left"; do :; done # the runner's watchdog ends this
    rm -f "$directory/out" "$directory/workers" "$directory/left"
    [ -z "$(ls -A "$directory")" ] || { echo "files are left:"; ls -A "$directory"; exit 1; }
done
[ "$interrupted" = 3 ] || { echo "it was never at work when the signal came"; exit 1; }
