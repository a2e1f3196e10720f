"""A virtual machine with a Debian kernel, whose own ESP is the peer: booted once, commanded over a serial port."""

import base64
import os
import pathlib
import socket
import subprocess

from shell import wait_for

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "penstock" / "guest"


class GuestFailed(Exception):
    """A command in the guest ended with an error; the message holds its output."""


class Guest:
    """qemu with one network card on a TAP device of a namespace's bridge; nothing that it writes to its disk stays."""

    def __init__(self, space, bridge, folder):
        self.console = pathlib.Path(folder) / "guest-console.log"
        agent = pathlib.Path(folder) / "guest-agent.sock"
        space.run("ip", "tuntap", "add", "guest0", "mode", "tap")
        space.run("ip", "link", "set", "guest0", "master", bridge, "up")
        self._process = space.popen(
            "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", "tcg", "-m", "384", "-display", "none", "-no-reboot",
            "-kernel", CACHE / "vmlinuz", "-initrd", CACHE / "initrd",
            "-append", "root=/dev/vda rw console=ttyS0 quiet init=/etc/init.sh net.ifnames=0 panic=-1 mitigations=off",
            "-drive", f"file={CACHE / 'image'},format=raw,if=virtio,snapshot=on",
            "-netdev", "tap,id=net,ifname=guest0,script=no,downscript=no",
            "-device", "virtio-net-pci,netdev=net,mac=52:54:00:12:34:56",
            "-serial", f"file:{self.console}", "-serial", f"unix:{agent},server=on,wait=off",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        )
        wait_for(agent.exists, "qemu to open the guest's serial port", 30)
        self._agent = socket.socket(socket.AF_UNIX)
        self._agent.connect(str(agent))
        self._lines = self._agent.makefile("rb")

    def wait_ready(self, timeout=180):
        """Waits until the guest takes commands."""
        self._agent.settimeout(timeout)
        try:
            if self._lines.readline().strip() == b"ready":
                return self
        except TimeoutError:
            pass
        raise GuestFailed(f"the guest did not come up; its console:\n{self.console.read_text(errors='replace')[-4000:]}")

    def run(self, script, check=True, timeout=120):
        """Runs a piece of shell in the guest and returns what it printed; one command after another."""
        self._agent.settimeout(timeout)
        self._agent.sendall(base64.b64encode(script.encode()) + b"\n")
        status, output = (self._lines.readline().strip() + b" ").split(b" ", 1)
        text = base64.b64decode(output).decode(errors="replace")
        if check and status != b"0":
            raise GuestFailed(f"{script}\nexit {status.decode()}\n{text}")
        return text

    def close(self):
        """Switches it off."""
        self._process.kill()
        self._process.wait(timeout=10)
        self._agent.close()
