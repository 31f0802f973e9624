#!/bin/bash
# What `make run` shows: each limit is named for the file that runs into it, and costs that file only.
set -euo pipefail
cd "$(dirname "$0")/.."
said=$(build/examples/thumbs --damage --out /dev/null /usr/share/icons/Adwaita/64x64)
echo "$said"
grep -q '^  memory limit  *1  image-bomb.png$' <<<"$said"
grep -q '^  stopped: too slow  *1  endless-scans.jpg$' <<<"$said"
grep -q '^  time limit  *1  mail-without-attachment.jpg$' <<<"$said"
grep -q '^  SIGSEGV  *1  forged-size.png$' <<<"$said"
grep -q '^thumbs: .* 1 timed out, 1 stopped, 1 too big, 0 lost, ' <<<"$said"
