#!/usr/bin/env bash
# Installs what Penstock needs from Debian 12's packages. Does nothing when all are there.
#   install_deps.sh [build|test|bench|all]     default: build
set -euo pipefail

build=(meson ninja-build ccache pkg-config g++ libdpdk-dev dpdk libipsec-mb-dev libssl-dev libspdlog-dev
  libfmt-dev libexpected-dev libcli11-dev libyaml-cpp-dev libprotobuf-dev protobuf-compiler libmnl-dev
  libevent-dev libnftables-dev libsystemd-dev libpcap-dev libcap-ng-dev libgtest-dev libgmock-dev
  libbenchmark-dev scdoc iproute2 iputils-ping iperf3 ethtool procps nftables tcpdump
  traceroute python3 python3-protobuf python3-yaml)
test=(clang clang-format shellcheck codespell libclang-rt-dev python3 python3-pytest python3-pytest-timeout python3-scapy
  python3-protobuf python3-cryptography python3-yaml tshark nftables ethtool tcpdump traceroute
  debootstrap debian-archive-keyring e2fsprogs qemu-system-x86
  charon-systemd strongswan-swanctl libcharon-extra-plugins libcharon-extauth-plugins libstrongswan-standard-plugins
  libstrongswan-extra-plugins frr bird2 bzip2 xz-utils)
bench=(linux-perf dpkg-dev xz-utils dpdk-dev)

case "${1:-build}" in
  build) wanted=("${build[@]}") ;;
  test) wanted=("${build[@]}" "${test[@]}") ;;
  bench) wanted=("${build[@]}" "${bench[@]}") ;;
  all) wanted=("${build[@]}" "${test[@]}" "${bench[@]}") ;;
  *)
    echo "install_deps.sh: '$1' is unknown; expected build, test, bench or all" >&2
    exit 2
    ;;
esac

missing=()
for package in "${wanted[@]}"; do
  if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
    missing+=("$package")
  fi
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install_deps.sh: needs root to install: ${missing[*]}" >&2
  command -v sudo >/dev/null && echo "run: sudo $0 ${1:-build}" >&2
  exit 1
fi
echo "installing ${#missing[@]} Debian packages"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The tests start the daemons of these packages themselves: the packages must not.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$log" "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "install_deps.sh: apt-get failed; see above" >&2
  exit 1
fi
