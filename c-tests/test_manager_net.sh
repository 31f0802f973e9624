#!/bin/bash
# A manager's server in one network namespace and its client in another, with nothing between them but a pair of interfaces: so they
# meet as two machines do, by an address and a key. Whoever has another key is not let in.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != inside ]; then
    unshare -rn true 2>/dev/null && command -v ip nsenter >/dev/null || { echo "skipped: no network namespaces here"; exit 77; }
    exec unshare -rn bash c-tests/test_manager_net.sh inside
fi
directory=$(mktemp -d)
there=
end() { # with what was said, if it is not what was wanted
    [ "$1" = 0 ] || tail -n 5 "$directory"/{said,nobody,refused} 2>/dev/null || true
    [ -z "$there" ] || { kill "$there" && wait "$there"; } 2>/dev/null || true
    rm -rf "$directory"
}
trap 'end $?' EXIT
unshare -n sleep 60 &
there=$!
until [ "$(readlink "/proc/$there/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do kill -0 "$there"; done
over_there() { nsenter -t "$there" -n "$@"; }
ip link add carom0 type veth peer name carom1 netns "$there" 2>/dev/null || { echo "skipped: no veth here"; exit 77; }
ip addr add 10.99.0.1/24 dev carom0
ip link set carom0 up
ip link set lo up
over_there ip addr add 10.99.0.2/24 dev carom1
over_there ip link set carom1 up
over_there ip link set lo up

head -c 32 /dev/urandom >"$directory/key"
head -c 32 /dev/urandom >"$directory/other"
build/examples/remote_queue serve 10.99.0.1:47800 <"$directory/key" >"$directory/said" &
server=$!
# Nobody is there over there, and whoever has another key is not let in.
if over_there build/examples/remote_queue 127.0.0.1:47800 <"$directory/key" 2>"$directory/nobody"; then exit 1; fi
grep -q CAROM_ECONNREFUSED "$directory/nobody"
until over_there bash -c ': >/dev/tcp/10.99.0.1/47800' 2>/dev/null; do kill -0 "$server"; done
if over_there build/examples/remote_queue 10.99.0.1:47800 <"$directory/other" 2>"$directory/refused"; then exit 1; fi
grep -q CAROM_EACCES "$directory/refused"
over_there build/examples/remote_queue 10.99.0.1:47800 <"$directory/key"
wait "$server"
grep -q "20 results" "$directory/said"
