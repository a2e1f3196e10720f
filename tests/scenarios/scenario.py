"""What every scenario is: a network that is built, checks that pass or fail, and hints for those who keep it."""

import contextlib
import json
import os
import time

from lab import Lab, build_folder
from shell import CommandFailed, run
from traffic import Capture

PREFIX = "scenario-"
FAULTS = (AssertionError, TimeoutError, CommandFailed, RuntimeError, OSError, LookupError)


class Check:
    """One thing that must hold: whether it does, and what was seen."""

    def __init__(self, name):
        self.name = name
        self.passed = False
        self.detail = ""

    def require(self, condition, otherwise):
        """Fails the check when the condition does not hold."""
        if not condition:
            raise AssertionError(otherwise)


class Stopped(Exception):
    """A scenario cannot go on: a check failed that all later ones need."""


class Scenario:
    """Base of the scenarios. They give `name`, `title`, `about`, `build`, `examine` and `hints`."""

    name = ""
    title = ""
    about = ""
    # pcap-filter expression of what must never be seen between the gateways.
    clear_text = ""

    def __init__(self, say=print, keep=False):
        self.lab = Lab(PREFIX, keep)
        self.checks = []
        self.seconds = 0.0
        self._say = say
        self._began = time.monotonic()
        self._captures = []

    def build(self):
        """Makes the network and starts everything in it."""
        raise NotImplementedError

    def examine(self):
        """Makes the checks, in order."""
        raise NotImplementedError

    def hints(self):
        """Lines on what can be tried in the running network: pairs of a command and a remark."""
        return []

    def run(self):
        """Builds and examines; True when all checks passed. Everything is taken down unless it is to be kept."""
        try:
            self.step(f"{self.name}: {self.title}")
            with self.checking("everything starts", vital=True):
                self.build()
            self.examine()
            with self.checking("nothing of the inside is in clear between the gateways") as check:
                check.detail = self._nothing_in_clear(check)
        except Stopped:
            pass
        finally:
            self.seconds = time.monotonic() - self._began
            if not self.passed:
                self.say_logs()
            self.lab.close()
        return self.passed

    @property
    def passed(self):
        """True when there were checks and none failed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def step(self, text):
        """Says what happens now."""
        self._say(f"[{time.monotonic() - self._began:5.1f} s] {text}")

    def say_logs(self):
        """Says what the daemons have logged, for those who look for the reason."""
        self._say(self.lab.logs())

    @contextlib.contextmanager
    def checking(self, name, vital=False):
        """What is in the block is one check; an error in it fails the check. After a vital one nothing else is tried."""
        check = Check(name)
        self.checks.append(check)
        try:
            yield check
            check.passed = True
        except FAULTS as error:
            check.detail = f"{type(error).__name__}: {error}"
        self.step(f"{'ok    ' if check.passed else 'FAILED'} {name}{': ' if check.detail else ''}{check.detail}")
        if vital and not check.passed:
            raise Stopped

    def watch_wire(self, namespace, device):
        """Watches a device between the gateways for what must not be in clear there."""
        self._captures.append(Capture(namespace, device, self.clear_text))

    def _nothing_in_clear(self, check):
        check.require(self._captures, "no wire was watched")
        for capture in self._captures:
            capture.stop()
            if os.path.getsize(capture.path) > 24:
                raise AssertionError("seen:\n" + run("tcpdump", "-c", "5", "-nr", capture.path, check=False))
        return f"{len(self._captures)} wires watched from the first to the last packet"

    def report(self):
        """The result as a value for JSON."""
        return {
            "scenario": self.name,
            "passed": self.passed,
            "seconds": round(self.seconds, 1),
            "checks": [{"name": check.name, "passed": check.passed, "detail": check.detail} for check in self.checks],
        }

    def write_json(self, file):
        """Writes the result into a file."""
        with open(file, "w", encoding="utf-8") as out:
            json.dump(self.report(), out, indent=2)
            out.write("\n")

    def table(self):
        """The checks as an aligned table."""
        width = max(len(check.name) for check in self.checks)
        lines = [f"{'CHECK':{width}}  RESULT  SEEN"]
        for check in self.checks:
            detail = check.detail.splitlines() or [""]
            lines.append(f"{check.name:{width}}  {'passed' if check.passed else 'FAILED':6}  {detail[0]}".rstrip())
            lines += [" " * (width + 10) + line for line in detail[1:]]
        good = sum(check.passed for check in self.checks)
        lines.append(f"{self.name}: {good} passed, {len(self.checks) - good} failed, {self.seconds:.0f} s")
        return "\n".join(lines)

    def control_command(self, gateway, *words):
        """A penstockctl command line for a hint."""
        return f"{build_folder()}/dataplane/penstockctl --socket {gateway.folder}/control.sock {' '.join(words)}"

    # --- pieces of networks ---------------------------------------------------------------------------

    def router(self, name):
        """A namespace that forwards, by flows where it has several ways, and takes packets by whatever way they come."""
        space = self.lab.namespace(name)
        space.forward()
        for setting in ("all.rp_filter", "default.rp_filter"):
            space.run("sysctl", "-qw", f"net.ipv4.conf.{setting}=0")
        space.run("sysctl", "-qw", "net.ipv4.fib_multipath_hash_policy=1")
        return space

    def wire(self, left, left_device, left_address, right, right_device, right_address):  # pylint: disable=too-many-arguments
        """A wire between two namespaces, with addresses on it where they are given."""
        self.lab.link(left, left_device, right, right_device)
        for space, device, address in ((left, left_device, left_address), (right, right_device, right_address)):
            if address:
                space.address(device, address)

    def host(self, name, address, router):
        """A host of one address, "10.1.0.4/16", and its router's namespace, where the device has its name; returns the host."""
        space = self.lab.namespace(name)
        self.lab.link(space, "eth0", router, name)
        space.address("eth0", address)
        return space
