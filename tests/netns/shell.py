"""Running commands and waiting for conditions."""

import subprocess
import time


class CommandFailed(Exception):
    """A command ended with an error; the message holds its output."""


def run(*command, check=True, timeout=60, text_input=None):
    """Runs a command to its end and returns its standard output."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout,
        input=text_input,
        check=False,
    )
    if check and done.returncode != 0:
        raise CommandFailed(
            f"{' '.join(str(word) for word in command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def wait_for(condition, what, timeout=10.0, every=0.02):
    """Calls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s in vain for {what}")
        time.sleep(every)
