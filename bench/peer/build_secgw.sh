#!/usr/bin/env bash
# Builds DPDK's ipsec-secgw sample of the installed DPDK version from the source package's original
# tarball, outside the tree, and prints the path of the program. Keeps it for the next time.
#   build_secgw.sh [CACHE_DIR]      default: ${XDG_CACHE_HOME:-~/.cache}/penstock/peer
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

cache=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock/peer}
version=$(pkg-config --modversion libdpdk)
program=$cache/ipsec-secgw-$version
if [ -x "$program" ]; then
  echo "$program"
  exit 0
fi
mkdir -p "$cache"
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

tarball=$("$here/../../scripts/source_package.sh" dpdk "$version")
tar -xf "$tarball" --wildcards '*/examples/ipsec-secgw/*' '*/examples/common/*'
cd ./*/examples/ipsec-secgw
# The sample asks ports for checksum offload, which the virtual ports of the comparison lack.
sed -i 's/\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM,/.offloads = 0,/' ipsec-secgw.c
if ! make shared >"$work/log" 2>&1; then
  tail -n 20 "$work/log" >&2
  echo "build_secgw.sh: ipsec-secgw does not build; see above" >&2
  exit 1
fi
mv build/ipsec-secgw-shared "$program"
echo "$program"
