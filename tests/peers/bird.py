"""BIRD 2 in a namespace."""

import pathlib
import re

from process import Process
from shell import CommandFailed, run, wait_for


class Bird:
    """One BIRD; `config` is the text of its configuration file, without the log."""

    def __init__(self, lab, namespace, config, name=None):
        self.namespace = namespace
        self.name = name or namespace.name
        self.config = config
        self.folder = pathlib.Path(lab.folder) / f"bird-{self.name}"
        self.folder.mkdir(parents=True)
        self.file, self.socket = self.folder / "bird.conf", self.folder / "bird.ctl"
        self.log_file = self.folder / "bird.log"
        self._process = Process(namespace, ["bird", "-f", "-c", self.file, "-s", self.socket], self.folder / "output.log")
        lab.peers.append(self)

    def start(self):
        """Starts it and waits until it answers."""
        self.write_config()
        self.socket.unlink(missing_ok=True)
        self._process.start()
        wait_for(self._answers, f"BIRD of {self.name} to answer; its log: {self.log_file}", 30)
        return self

    def write_config(self):
        """Writes the configuration as it is in `config` now."""
        self.file.write_text(f'log "{self.log_file}" all;\n{self.config}\n')

    def _answers(self):
        self._process.check_running()
        try:
            return "BIRD" in self.birdc("show", "status")
        except CommandFailed:
            return False

    def reload(self):
        """Takes the configuration as it is in `config` now."""
        self.write_config()
        return self.birdc("configure")

    def running(self):
        """True while it is there."""
        return self._process.running()

    def stop(self):
        """Ends it in peace: its sessions are closed."""
        self._process.stop()

    def kill(self):
        """SIGKILL: its neighbours hear nothing, and the routes it made stay."""
        self._process.kill()

    def restart(self):
        """Ends it in peace and starts it again."""
        self.stop()
        return self.start()

    def close(self):
        """Ends it for good."""
        self.kill()

    def birdc(self, *words):
        """Asks it, and returns what it says."""
        return run("birdc", "-s", self.socket, *words)

    def bgp_state(self, protocol):
        """State of a BGP protocol: "Established" and others; empty when there is none of that name."""
        found = re.search(r"BGP state:\s+(\S+)", self.birdc("show", "protocols", "all", protocol))
        return found[1] if found else ""

    def wait_bgp(self, *protocols, state="Established", timeout=60):
        """Waits until these BGP protocols are in a state."""
        wait_for(lambda: all(self.bgp_state(each) == state for each in protocols),
                 f"BGP of {self.name} by {', '.join(protocols)} to be {state}", timeout, every=0.1)

    def log(self):
        """All that it has logged."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""
