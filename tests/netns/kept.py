"""Networks that were left running for people: taking them down."""

import contextlib
import os
import pathlib
import shutil
import signal
import time

from shell import run


def take_down(prefix):
    """Ends all that runs in namespaces whose names begin so, and removes them with the files; says whether there was anything."""
    left = [name for name in run("ip", "netns", "list").split() if name.startswith(prefix)]
    folders = set()
    for name in left:
        for pid in run("ip", "netns", "pids", name, check=False).split():
            with contextlib.suppress(OSError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
                folders |= {_lab_folder(pathlib.Path(word)) for word in words if "penstock-lab-" in word}
                os.kill(int(pid), signal.SIGTERM)
    time.sleep(0.5 if left else 0)
    for name in left:
        for pid in run("ip", "netns", "pids", name, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", name)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return bool(left)


def _lab_folder(path):
    while not path.name.startswith("penstock-lab-"):
        path = path.parent
    return path
