"""One daemon of a peer in a namespace: started in the foreground, its output in a file, killed without a trace."""

import signal
import subprocess


class Process:
    """A program that runs inside a namespace until it is stopped, killed, or its lab is closed."""

    def __init__(self, namespace, command, log, environment=None):
        self.namespace = namespace
        self.command = [str(word) for word in command]
        self.log = log
        self.environment = environment or {}
        self._process = None

    def start(self):
        """Starts it; its output is appended to the log."""
        if self.running():
            raise RuntimeError(f"{self.command[0]} already runs in {self.namespace.name}")
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        with open(self.log, "ab") as log:
            self._process = self.namespace.popen(
                *(["env", *settings] if settings else []), *self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def running(self):
        """True while it is there."""
        return self._process is not None and self._process.poll() is None

    def check_running(self):
        """Raises with the end of the log when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                text = log.read()[-4000:]
            raise RuntimeError(f"{self.command[0]} in {self.namespace.name} ended with {self._process.returncode}:\n{text}")

    def send_signal(self, number):
        """Sends it a signal, e.g. to stop it for a while."""
        self._process.send_signal(number)

    def stop(self, timeout=15):
        """Asks it to end, and waits; kills it when it does not."""
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self):
        """SIGKILL: nothing is tidied up or told to anybody."""
        if self.running():
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
        self._process = None
