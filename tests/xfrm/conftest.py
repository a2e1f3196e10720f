"""One guest for the whole folder; what holds after every scenario is checked after each test."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers"), str(HERE.parent / "netns")]

import pytest  # noqa: E402  pylint: disable=wrong-import-position

from checks import checked  # noqa: E402  pylint: disable=wrong-import-position
from guest import CACHE  # noqa: E402  pylint: disable=wrong-import-position
from lab import Lab, build_folder  # noqa: E402  pylint: disable=wrong-import-position
from site_of_guest import GuestSite  # noqa: E402  pylint: disable=wrong-import-position


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
    elif not (CACHE / "made-from").exists():
        reason = "there is no guest; run scripts/guest_image.sh"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remembers whether the test itself failed."""
    outcome = yield
    if call.when == "call":
        item.passed = outcome.get_result().passed


@pytest.fixture(scope="session")
def guest_site():
    """The gateway and the guest."""
    lab = Lab("xfrm-")
    made = None
    try:
        made = GuestSite(lab)
        yield made
    finally:
        if made:
            made.close()
        lab.close()


@pytest.fixture
def site(guest_site, request):  # pylint: disable=redefined-outer-name
    """The same, without SAs, and checked after the test."""
    guest_site.clear()
    yield from checked_site(guest_site, request)


def checked_site(made, request):
    """The checks of every scenario, with the site in place of its lab."""
    for _ in checked(made.lab, request):
        yield made
