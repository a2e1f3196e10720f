"""One network for all tests with a stock peer; what holds after every test is checked after each."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers"), str(HERE.parent / "netns")]

import pytest  # noqa: E402  pylint: disable=wrong-import-position

from charon import PLUGIN  # noqa: E402  pylint: disable=wrong-import-position
from lab import Lab, build_folder  # noqa: E402  pylint: disable=wrong-import-position
from network import PenstockPair, StockPair  # noqa: E402  pylint: disable=wrong-import-position


def pytest_collection_modifyitems(items):
    """Says why nothing can run where it cannot."""
    reason = None
    if os.geteuid() != 0:
        reason = "needs root for network namespaces"
    elif not os.path.exists("/dev/net/tun"):
        reason = "needs /dev/net/tun"
    elif not (build_folder() / "dataplane" / "penstockd").exists():
        reason = "penstockd is not built"
    elif not PLUGIN.exists():
        reason = "kernel-penstock is not built; run scripts/strongswan_headers.sh and meson setup --reconfigure"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remembers whether the test itself failed."""
    outcome = yield
    if call.when == "call":
        item.passed = outcome.get_result().passed


def _network(kind):
    lab = Lab("ike-")
    try:
        yield kind(lab)
    finally:
        lab.close()


@pytest.fixture(scope="session")
def stock_network():
    """A gateway with charon, and a stock strongSwan."""
    yield from _network(StockPair)


@pytest.fixture(scope="session")
def penstock_network():
    """Two gateways with a charon each."""
    yield from _network(PenstockPair)


def _fresh(network, request):
    network.reset()
    yield network
    if not getattr(request.node, "passed", False):
        print(network.story())


@pytest.fixture
def stock(stock_network, request):
    """The network with the stock peer, with no SA in it."""
    yield from _fresh(stock_network, request)


@pytest.fixture
def pair(penstock_network, request):
    """The network with Penstock on both sides, with no SA in it."""
    yield from _fresh(penstock_network, request)
