#!/usr/bin/env bash
# Runs a command in a sandbox of its own: private mounts, network and processes. Whatever it makes (network
# namespaces, devices, daemons, sockets) goes with it, also when it is killed.
#   lab.sh COMMAND [ARGUMENT...]
set -euo pipefail
if [ "$(id -u)" -ne 0 ]; then
  echo "lab.sh: needs root for network namespaces; run it as: sudo $0 $*" >&2
  exit 1
fi
# shellcheck disable=SC2016  # the inner shell expands
exec unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
  bash -c '
    set -e
    for folder in /run/netns /run/penstock /run/frr /etc/frr; do
      if [ "${folder##*/}" = frr ] && [ ! -d /usr/lib/frr ]; then continue; fi
      mkdir -p "$folder"
      mount -t tmpfs -o mode=755 none "$folder"
    done
    ip link set lo up
    exec "$@"
  ' lab "$@"
