"""Fixtures of the routing tests: two sites whose gateways learn from their own FRR."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers"), str(HERE.parent / "netns")]

import pytest  # noqa: E402  pylint: disable=wrong-import-position

from checks import checked  # noqa: E402  pylint: disable=wrong-import-position
from lab import Lab, build_folder  # noqa: E402  pylint: disable=wrong-import-position


def pytest_configure(config):
    """Declares the marks."""
    config.addinivalue_line("markers", "drops(*reasons): drop reasons that this scenario brings about")


def pytest_collection_modifyitems(items):
    """Says why nothing can run where it cannot."""
    reason = None
    if os.geteuid() != 0:
        reason = "needs root for network namespaces"
    elif not os.path.exists("/dev/net/tun"):
        reason = "needs /dev/net/tun"
    elif not (build_folder() / "dataplane" / "penstockd").exists():
        reason = "penstockd is not built"
    elif not os.path.exists("/usr/lib/frr/zebra"):
        reason = "FRR is not installed"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remembers whether the test itself failed."""
    outcome = yield
    if call.when == "call":
        item.passed = outcome.get_result().passed


@pytest.fixture
def lab(request):
    """An empty lab, checked after the test."""
    made = Lab("routing-")
    try:
        yield from checked(made, request)
    finally:
        made.close()
