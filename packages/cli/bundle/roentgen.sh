#!/bin/sh
# Starts the worker of this folder with the Node and the libraries of this folder; nothing is fetched or compiled. The folder can be moved.
set -eu

self=$0
case $self in
  */*) ;;
  *) self=$(command -v -- "$self") ;;
esac
while [ -L "$self" ]; do
  readlink=readlink
  for folder in /bin /usr/bin; do
    [ ! -x "$folder/readlink" ] || readlink="$folder/readlink"
  done
  link=$("$readlink" "$self")
  case $link in
    /*) self=$link ;;
    *) self="${self%/*}/$link" ;;
  esac
done
root=$(CDPATH='' cd -- "${self%/*}/.." && pwd -P)

usage() {
  text='usage: roentgen worker                      run a worker; its settings are environment variables (NATS_URL, S3_ENDPOINT, ...)
       roentgen worker selftest [--device auto|cpu|cuda] [--quick] [--json]   check this machine'
  printf '%s\n' "$text" >&2
  exit 2
}

[ "${1-}" = worker ] || usage
shift
case ${1-} in
  '') entry=main ;;
  selftest)
    entry=selftest-main
    shift
    ;;
  *) usage ;;
esac

# Written when the bundle was unpacked, on a machine whose own libstdc++ is missing or too old.
if [ -e "$root/runtime/use-own-libraries" ]; then
  LD_LIBRARY_PATH="$root/runtime/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  export LD_LIBRARY_PATH
fi
cd -- "$root"
exec "$root/runtime/node" --import tsx "services/worker/src/$entry.ts" "$@"
