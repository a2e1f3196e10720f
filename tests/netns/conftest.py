"""Fixtures of the scenario tests: a network for each test, or one for a module, checked after every test."""

import os
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "peers"))

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
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remembers whether the test itself failed."""
    outcome = yield
    report = outcome.get_result()
    if call.when == "call":
        item.passed = report.passed


@pytest.fixture
def lab(request):
    """A lab of the test's own; the test builds what it needs in it. It may stand beside the module's."""
    made = Lab("own-")
    try:
        yield from checked(made, request)
    finally:
        made.close()


@pytest.fixture(scope="module")
def shared_network():
    """Two sites with one tunnel, for all tests of a module."""
    made = Lab()
    try:
        made.site_to_site()
        yield made
    finally:
        made.close()


@pytest.fixture
def network(shared_network, request):  # pylint: disable=redefined-outer-name
    """The module's two sites; SAs are fresh in each test, and the checks are made after each."""
    yield from checked(shared_network, request)
