#!/usr/bin/env bash
# Makes the virtual machine whose kernel is the peer of tests/xfrm: Debian with a kernel that has ESP, iproute2
# and strongSwan, and an init that runs the commands which come over its second serial port.
#   guest_image.sh [FOLDER]     default: ${XDG_CACHE_HOME:-~/.cache}/penstock/guest; does nothing when it is up to date
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock/guest}
packages=linux-image-cloud-amd64,initramfs-tools,kmod,udev,iproute2,iputils-ping,procps,nftables,tcpdump
packages+=,charon-systemd,strongswan-swanctl,libstrongswan-standard-plugins
wanted=$(cat "$0" "$here/guest_init.sh" | sha256sum | cut -d ' ' -f 1)
[ "$(cat "$folder/made-from" 2>/dev/null)" = "$wanted" ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "guest_image.sh: needs root to install a Debian into a folder" >&2
  exit 1
fi
mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
[ "$(cat "$folder/made-from" 2>/dev/null)" = "$wanted" ] && exit 0
work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The archive and the proxy that this machine's apt uses.
# shellcheck disable=SC2016  # apt-get expands
archive_of_apt() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | sed -n 1p
}
archive=$(archive_of_apt)
if [ -z "$archive" ]; then
  apt-get -q update >"$work/log" 2>&1 || true
  archive=$(archive_of_apt)
fi
proxy=$(apt-config dump --format '%v' Acquire::http::Proxy)
[ -z "$proxy" ] || export http_proxy=$proxy
if [ -z "$archive" ]; then
  echo "guest_image.sh: apt knows no archive of Debian 12 (bookworm)" >&2
  exit 1
fi
if ! timeout 900 debootstrap --variant=minbase --include="$packages" bookworm "$work/root" "$archive" >"$work/log" 2>&1; then
  tail -n 20 "$work/log" >&2
  tail -n 20 "$work/root/debootstrap/debootstrap.log" >&2 || true
  exit 1
fi
install -m 755 "$here/guest_init.sh" "$work/root/etc/init.sh"
mv "$work"/root/boot/vmlinuz-* "$work/vmlinuz"
mv "$work"/root/boot/initrd.img-* "$work/initrd"
rm -rf "$work"/root/var/cache/apt "$work"/root/var/lib/apt/lists
mke2fs -q -t ext4 -d "$work/root" "$work/image" 1500M
rm -f "$folder/made-from"
mv "$work/vmlinuz" "$work/initrd" "$work/image" "$folder"
echo "$wanted" >"$folder/made-from"
