#!/bin/sh
# points.sh FILE [LEAST]: adds up what the levels have written to FILE (CAROM_POINTS), a line per operation:
# LEVEL|OPERATION|POINTS|HANGS|LOSSES|LEAKS. A point is a victim that was killed at an instruction or access, and everything
# looked at afterwards; in the simulator one for each schedule in which that happened. Fails if anything was found, or if
# there are fewer points than LEAST.
set -eu
sort "$1" | awk -F'|' -v least="${2:-1}" '
    { operations[$1]++; points[$1] += $3; found[$1] += $4 + $5 + $6; all += $3; hangs += $4; losses += $5; leaks += $6 }
    END {
        for (level in points)
            printf "points: %-10s %9d points of %3d operations, %d findings\n", level, points[level], operations[level], found[level]
        printf "points: %-10s %9d points: %d hangs, %d losses, %d leaks\n", "in all", all, hangs, losses, leaks
        if (all < least) printf "points: fewer than %d\n", least
        exit all < least || hangs + losses + leaks > 0
    }'
