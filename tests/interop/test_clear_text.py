"""Nothing of a protected network is on the wire in clear. Each test here looks for it; this one looks where it is tempting."""

from inner import packet, to_far
from testbed import FAR_HOST, HOST, STRANGER


def test_without_an_sa_nothing_leaves(testbed):
    """Neither before the first SA nor after the last."""
    to_all = [packet(version, HOST[version], far[version]) for far in FAR_HOST.values() for version in (4, 6)]
    with testbed.drops(no_outbound_sa=len(to_all)):
        testbed.host.send(*to_all)
    pair = testbed.sa_pair()
    assert len(testbed.send_to_peer(to_far(pair, 4), to_far(pair, 6))) == 2
    pair.remove()
    with testbed.drops(no_outbound_sa=len(to_all)):
        testbed.host.send(*to_all)
    assert testbed.peer.listen() == []
    testbed.host.listen()  # what the gateway has to say about it is no matter here


def test_the_search_for_clear_text_finds_it(testbed):
    """To an unprotected neighbour the same bytes do go in clear, and are seen."""
    pair = testbed.sa_pair()
    sent = packet(4, HOST[4], STRANGER[4])
    assert len(testbed.send_to_peer(sent, to_far(pair, 4))) == 2
    assert len(testbed.leaks()) == 1
    testbed.peer.clear()
