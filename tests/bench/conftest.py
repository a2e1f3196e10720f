"""What the tests of the benchmark need: the program, and the report's modules."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench" / "comparison"))


@pytest.fixture(scope="session")
def program():
    """penstock-bench, or a skip that says what is missing."""
    path = pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build")) / "bench" / "penstock-bench"
    if not path.exists():
        pytest.skip("penstock-bench is not built")
    return path


@pytest.fixture
def bench(program):
    """Runs penstock-bench to its end."""
    def run(*arguments):
        return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    return run


@pytest.fixture
def measured(bench):
    """Runs penstock-bench and gives its JSON."""
    def run(*arguments):
        done = bench(*(() if "--seconds" in arguments else ("--seconds", "0.1")), "--batch", "128", "--json", "-", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run
