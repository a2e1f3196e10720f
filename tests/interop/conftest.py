"""What all of these tests share: the gateway, and what must be true after each."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "netns")]

import pytest  # noqa: E402  pylint: disable=wrong-import-position

pytest.register_assert_rewrite("testbed", "esp_peer")


def pytest_collection_modifyitems(items):
    """Namespaces and raw sockets are root's."""
    reason = None
    if os.geteuid() != 0:
        reason = "needs root for network namespaces and raw sockets"
    elif not os.path.exists("/dev/net/tun"):
        reason = "needs /dev/net/tun for the gateway's mirror devices"
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", params=["auto", "openssl"])
def shared_testbed(request):
    """One gateway for all tests; then one with the second crypto engine for all of them again."""
    from testbed import Testbed  # pylint: disable=import-outside-toplevel

    testbed = Testbed(request.param)
    request.config.stash[TESTBED] = testbed
    yield testbed
    testbed.close()


TESTBED = pytest.StashKey()


@pytest.fixture
def testbed(shared_testbed):
    """The gateway without SAs. Afterwards nothing has leaked, nothing was lost count of, and it is alive."""
    from shell import wait_for  # pylint: disable=import-outside-toplevel

    shared_testbed.clean_up()
    yield shared_testbed
    assert shared_testbed.gateway.process.poll() is None, "penstockd has ended"
    assert shared_testbed.host.listen() == [], "the host got more than the test expected"
    assert shared_testbed.peer.listen() == [], "the peer got more than the test expected"
    assert shared_testbed.leaks() == []
    wait_for(shared_testbed.gateway.balanced, "the counters to balance")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test's report shows the gateway's log, drops and counters."""
    del call
    report = (yield).get_result()
    testbed = item.config.stash.get(TESTBED, None)
    if not report.failed or testbed is None:
        return
    report.sections.append(("gateway log", testbed.lab.logs()))
    try:
        for what in ("drops", "sas", "neighbors"):
            report.sections.append((f"show {what}", "\n".join(str(row) for row in testbed.control.show(what))))
        report.sections.append(("show counters", str(testbed.control.counters())))
    except Exception as error:  # pylint: disable=broad-except
        report.sections.append(("gateway", f"does not answer: {error}"))
