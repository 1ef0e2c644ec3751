#!/bin/sh
# Unpacks this bundle of a Roentgen worker:  sh unpack.sh FOLDER
#
# It needs Linux on x86-64 with glibc, the folder to be empty or absent, and the programs cat, chmod, gzip and mkdir in /bin or /usr/bin.
# It does not need Node, a network, or a PATH. Every part is checked against its SHA-256 before anything of the worker is written.
set -eu
umask 022

fail() {
  printf 'unpack.sh: %s\n' "$*" >&2
  exit 1
}

# Prints where a program is; nothing where it is not.
find_tool() {
  for folder in /bin /usr/bin; do
    if [ -x "$folder/$1" ]; then
      printf '%s\n' "$folder/$1"
      return
    fi
  done
  command -v "$1" || true
}

require_tool() {
  found=$(find_tool "$1")
  [ -n "$found" ] || fail "$1 is not in /bin, in /usr/bin or on the PATH; it is needed to unpack."
  printf '%s\n' "$found"
}

# part NAME SHA256: the part is there, and what it should be. Without sha256sum, Node checks it below.
part() {
  [ -f "$here/$1" ] || fail "$1 is missing beside unpack.sh: bring all parts into one folder."
  [ -n "$sha256sum" ] || return 0
  found=$("$sha256sum" <"$here/$1")
  [ "${found%% *}" = "$2" ] || fail "$1 is damaged: its SHA-256 is ${found%% *}, it should be $2. Bring this part again."
}

# runtime_file PATH NAME...: joins parts and unpacks them into one file.
runtime_file() {
  target="$work/runtime/$1"
  shift
  for name in "$@"; do
    shift
    set -- "$@" "$here/$name"
  done
  "$cat" "$@" | "$gzip" -dc >"$target" || fail "${target##*/} could not be unpacked: a part of it is damaged, or the disk is full."
  "$chmod" 755 "$target"
}

case ${1-} in
  '' | -h | --help)
    printf 'usage: sh unpack.sh FOLDER\nUnpacks a Roentgen worker into FOLDER, which is empty or does not exist.\n' >&2
    exit 2
    ;;
esac
[ $# -eq 1 ] || fail "one folder is expected, not $# arguments."

cat=$(require_tool cat)
chmod=$(require_tool chmod)
gzip=$(require_tool gzip)
mkdir=$(require_tool mkdir)
sha256sum=$(find_tool sha256sum)

case $0 in
  */*) here=${0%/*} ;;
  *) here=. ;;
esac
here=$(CDPATH='' cd -- "$here" && pwd -P)
"$mkdir" -p -- "$1"
target_folder=$(CDPATH='' cd -- "$1" && pwd -P)
for entry in "$target_folder"/* "$target_folder"/.[!.]* "$target_folder"/..?*; do
  [ -e "$entry" ] || [ -L "$entry" ] || continue
  # What an interrupted run left is written anew.
  [ "${entry##*/}" = .unpacking ] || fail "$target_folder is not empty (${entry##*/} is in it): name an empty or a new folder."
done
work="$target_folder/.unpacking"
"$mkdir" -p "$work/runtime/lib"

@@RUNTIME@@

node="$work/runtime/node"
if ! "$node" --version >/dev/null 2>&1; then
  # A machine without libstdc++: ours is in the bundle.
  LD_LIBRARY_PATH="$work/runtime/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  export LD_LIBRARY_PATH
  "$node" --version >/dev/null ||
    fail "the Node of this bundle does not run here (reason above): it needs x86-64 Linux with glibc 2.28 or newer, and a folder that programs may run from."
fi
exec "$node" "$here/unpack.mjs" "$here" "$target_folder" "$manifest_sha256"
