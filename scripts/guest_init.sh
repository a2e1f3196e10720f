#!/bin/bash
# Init of the virtual machine of tests/xfrm: brings up what IPsec needs, then runs the commands of the second
# serial port. A command is one line of base64; its answer is the exit status and the output, again in base64.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
mount -t proc none /proc
mount -t sysfs none /sys
mountpoint -q /dev || mount -t devtmpfs none /dev
mkdir -p /dev/pts /run/lock
mount -t devpts none /dev/pts
mount -t tmpfs none /run
for module in virtio_pci virtio_net esp4 esp6 xfrm_user xfrm_interface tunnel4 tunnel6 gcm ccm cbc aes_generic \
  sha1_generic sha256_generic sha512_generic hmac echainiv seqiv chacha20poly1305 authenc authencesn; do
  modprobe -q "$module"
done
ip link set lo up
port=/dev/ttyS1
stty -F "$port" raw -echo 115200
exec 3<>"$port"
echo ready >&3
while read -r line <&3; do
  output=$(base64 -d <<<"$line" | timeout 60 bash 2>&1 3>&-)
  status=$?
  printf '%s %s\n' "$status" "$(base64 -w 0 <<<"$output")" >&3
done
