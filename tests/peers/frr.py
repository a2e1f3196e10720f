"""FRR in a namespace: zebra, staticd, bgpd and bfdd of Debian's package, each a process that can be killed by itself."""

import json
import pathlib
import shutil

from process import Process
from shell import run, wait_for

DAEMONS = ("zebra", "staticd", "bfdd", "bgpd")
PROGRAMS = pathlib.Path("/usr/lib/frr")


class Frr:
    """One FRR. `config` is the text of frr.conf; every daemon reads it and takes what is its own.

    With `fpm` (an address and port, "127.0.0.1:2620") zebra sends its routes to a gateway there. `arguments` are more
    words for a daemon's command line, as {"zebra": ["-K", "60"]}.
    """

    # pylint: disable-next=too-many-arguments
    def __init__(self, lab, namespace, config, name=None, *, fpm=None, daemons=DAEMONS, arguments=None):
        self.namespace = namespace
        self.name = name or namespace.name
        self.config = config
        self.fpm = fpm
        # FRR's programs know a pathspace by its name, below these two folders only.
        self.folders = [pathlib.Path(place) / self.name for place in ("/etc/frr", "/var/run/frr")]
        self.file = self.folders[0] / "frr.conf"
        self.log_file = self.folders[1] / "frr.log"
        self._output = pathlib.Path(lab.folder) / f"frr-{self.name}.log"
        self._processes = {}
        for daemon in daemons:
            module = ["-M", "dplane_fpm_nl"] if daemon == "zebra" and fpm else []
            self._processes[daemon] = Process(
                namespace,
                [PROGRAMS / daemon, "-N", self.name, "-f", self.file, "--log", f"file:{self.log_file}", *module,
                 *(arguments or {}).get(daemon, [])],
                self._output)
        lab.peers.append(self)

    def start(self, daemon=None, wait_fpm=False):
        """Starts all daemons, or one. With `wait_fpm` no other starts before zebra feeds the gateway: else bgpd may announce
        a route that the gateway has not yet.
        """
        if daemon is None:
            self._make_folders()
            for each in self._processes:
                self.start(each)
                if wait_fpm and each == "zebra":
                    port = self.fpm.rsplit(":", 1)[1]
                    wait_for(lambda: self.namespace.run("ss", "-Htn", "state", "established", "dport", "=", f":{port}"),
                             f"zebra of {self.name} to feed {self.fpm}", 60)
            return self
        self.file.write_text(self._whole_config())
        process = self._processes[daemon]
        process.start()
        wait_for(lambda: self._answers(daemon, process), f"{daemon} of {self.name} to answer; its log: {self.log_file}", 30)
        return self

    def _make_folders(self):
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            shutil.chown(folder, "frr", "frr")
        (self.folders[0] / "vtysh.conf").touch()

    def _whole_config(self):
        lines = ["frr defaults traditional", f"hostname {self.name}", self.config]
        if self.fpm:  # without this line zebra does not connect, and with it after 3 s
            address, port = self.fpm.rsplit(":", 1)
            lines.append(f"fpm address {address} port {port}")
        return "\n".join(lines) + "\n"

    def _answers(self, daemon, process):
        process.check_running()
        return "FRRouting" in self._vtysh("-d", daemon, "-c", "show version", check=False)

    def running(self, daemon=None):
        """True while all daemons are there, or the one."""
        return all(process.running() for each, process in self._processes.items() if daemon in (None, each))

    def stop(self, daemon=None):
        """Ends all daemons in peace, or one."""
        for each in self._chosen(daemon):
            self._processes[each].stop()

    def kill(self, daemon=None):
        """SIGKILL to all daemons, or to one."""
        for each in self._chosen(daemon):
            self._processes[each].kill()

    def restart(self, daemon=None):
        """Ends and starts all daemons, or one."""
        self.stop(daemon)
        return self.start(daemon)

    def _chosen(self, daemon):
        # zebra last: the others tell it what they withdraw.
        return [daemon] if daemon else reversed(list(self._processes))

    def close(self):
        """Ends everything and removes the folders."""
        self.kill()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _vtysh(self, *words, check=True):
        return run("ip", "netns", "exec", self.namespace.name, "vtysh", "-N", self.name, *words, check=check)

    def vtysh(self, *commands):
        """Runs commands, one after the other, and returns what they print."""
        return self._vtysh(*[word for command in commands for word in ("-c", command)])

    def show(self, command):
        """What a show command says as JSON."""
        return json.loads(self.vtysh(f"{command} json") or "{}")

    def configure(self, *commands):
        """Changes the running configuration."""
        return self.vtysh("configure terminal", *commands)

    def bgp_state(self, neighbor):
        """State of a BGP session: "Established" and others; empty when there is none."""
        return self.show("show bgp neighbors").get(neighbor, {}).get("bgpState", "")

    def wait_bgp(self, *neighbors, state="Established", timeout=60):
        """Waits until the BGP sessions with all of these neighbours are in a state."""
        wait_for(lambda: all(self.bgp_state(each) == state for each in neighbors),
                 f"BGP of {self.name} with {', '.join(neighbors)} to be {state}", timeout, every=0.1)

    def bfd_up(self, peer):
        """True while the BFD session with a peer is up."""
        return any(row.get("peer") == peer and row.get("status") == "up" for row in self.show("show bfd peers"))

    def wait_bfd(self, *peers, up=True, timeout=60):
        """Waits until BFD with all of these peers is up, or down."""
        wait_for(lambda: all(self.bfd_up(peer) == up for peer in peers),
                 f"BFD of {self.name} with {', '.join(peers)} to be {'up' if up else 'down'}", timeout, every=0.1)

    def routes(self, family="ip"):
        """Selected routes of zebra: {prefix: its JSON}."""
        found = {}
        for prefix, entries in self.show(f"show {family} route").items():
            found.update({prefix: entry for entry in entries if entry.get("selected")})
        return found

    def wait_route(self, prefix, next_hops=1, timeout=60):
        """Waits until a route is selected with so many active next hops, as resolved, and returns its JSON."""
        def ready():
            route = self.routes("ipv6" if ":" in prefix else "ip").get(prefix)
            active = [hop for hop in route.get("nexthops", []) if hop.get("active") and not hop.get("recursive")] if route else []
            return route if len(active) == next_hops else None

        return wait_for(ready, f"{prefix} with {next_hops} next hops at {self.name}", timeout, every=0.1)

    def log(self):
        """All that the daemons have logged and printed, but for each one's complaints of the others' commands."""
        lines = [line for file in (self._output, self.log_file) if file.exists()
                 for line in file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)]
        return "".join(line for line in lines if "No such command on config line" not in line)
