#!/bin/sh
# newer-python.sh: prints the path of a Python 3.12 or later, whose connections have keys as ours have them.
#
# That is one of this machine's, if it has one. Else it is Debian 13's in build/python, with a C library of its own and started by that
# library's loader: its packages are fetched once, and unpacked there. Nothing is installed, and apt's lists and sources stay as they are:
# it runs on a configuration of its own, in which it checks Debian's signature.
set -eu
cd "$(dirname "$0")/.."

new_enough() { "$1" -c 'import sys, ctypes; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; }
for python in python3 python3.12 python3.13 python3.14 python3.15 /usr/bin/python3 "$HOME"/.pyenv/versions/*/bin/python3 \
    "$HOME"/.local/share/uv/python/*/bin/python3 "$PWD/build/python/python3"; do
    if new_enough "$python"; then
        command -v "$python"
        exit
    fi
done

say() { echo "$@" >&2; }
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if ! command -v apt-get >/dev/null || ! [ -r $keys ]; then
    say "There is no Python 3.12 or later here, and no apt-get with Debian's keys to fetch one. Install one."
    exit 1
fi
say "There is no Python 3.12 or later here: fetching Debian 13's (24 MB) to build/python, for one test."
mkdir -p build
scratch=$(mktemp -d build/python.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
root="$PWD/$scratch"
mkdir -p "$root/apt/etc/apt.conf.d" "$root/apt/etc/preferences.d" "$root/apt/lists/partial" "$root/apt/archives/partial" "$root/python"
: >"$root/apt/status"
echo "deb [signed-by=$keys] ${CAROM_DEBIAN:-http://deb.debian.org/debian} trixie main" >"$root/apt/etc/sources.list"
{
    # How this machine reaches a mirror, and nothing else of its configuration.
    apt-config dump | grep -E '^Acquire::(http|https|Check-)' || true
    cat <<END
Dir "$root/apt";
Dir::Etc "$root/apt/etc";
Dir::Etc::Parts "$root/apt/etc/apt.conf.d";
Dir::State "$root/apt";
Dir::State::status "$root/apt/status";
Dir::Cache "$root/apt";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
END
} >"$root/apt/apt.conf"

fetch() {
    export APT_CONFIG="$root/apt/apt.conf"
    # An index that cannot be had is only a warning to apt-get update: the next line fails then.
    apt-get update -q && apt-get install -y -q --download-only --no-install-recommends python3.13-minimal libpython3.13-stdlib
}
tries=1
until fetch >"$root/log" 2>&1; do
    cat "$root/log" >&2
    if [ $tries = 3 ]; then
        say "Python could not be fetched from Debian's mirror. Install a Python 3.12 or later, or try again."
        exit 1
    fi
    sleep $((tries * 5))
    tries=$((tries + 1))
done
for package in "$root"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$root/python"
done
cat >"$root/python/python3" <<'END'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for loader in "$here"/usr/lib/*/ld-linux-*.so.*; do :; done
PYTHONHOME="$here/usr" exec "$loader" --argv0 "$0" --library-path "${loader%/*}" "$here/usr/bin/python3.13" "$@"
END
chmod +x "$root/python/python3"
new_enough "$root/python/python3" || {
    say "The Python that was fetched does not run."
    exit 1
}
# Two at once: the first counts.
mv -T "$root/python" build/python 2>/dev/null || new_enough "$PWD/build/python/python3"
echo "$PWD/build/python/python3"
