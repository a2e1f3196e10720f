"""How the two sides can agree: authentication, versions, suites of the clouds, PFS groups, large IKE messages."""

import pytest

from network import LEFT_HOST, RIGHT_HOST
from pki import Pki
from shell import wait_for
from traffic import ping

# As initiator, in its order (interop: Azure VPN Gateway).
AZURE_IKE = "aes256-sha1-modp1024,aes256-sha256-modp1024,aes128-sha1-modp1024,aes128-sha256-modp1024"
AZURE_ESP = "aes256gcm16,aes256-sha1,3des-sha1,aes256-sha256,aes128-sha1,3des-sha256"
AWS_ESP = ("aes128-sha1,aes128-sha256,aes128-sha384,aes128-sha512,aes256-sha1,aes256-sha256,aes256-sha384,aes256-sha512,"
           "aes128gcm16,aes256gcm16")
AWS_IKE = "aes128-sha1-modp2048,aes256-sha256-modp2048,aes128gcm16-prfsha256-ecp256,aes256gcm16-prfsha384-ecp384"
PFS_GROUPS = ["modp1024", "modp1536", "modp2048", "modp3072", "modp4096", "ecp256", "ecp384", "ecp521", "modp1024s160",
              "modp2048s224", "modp2048s256"]


def carries(network):
    """Both hosts answer each other; a stock peer that does ESP in user space may miss a packet on a loaded machine."""
    for host, address in ((network.left_host, RIGHT_HOST), (network.right_host, LEFT_HOST)):
        wait_for(lambda who=host, to=address: ping(who, to, count=5, every_ms=5, check=False) == 5, f"five answers of {address}", 30)


def suite_of(child):
    """The suite of a child SA as swanctl tells it, in the words of a proposal."""
    key = child.get("encr-keysize", "")
    text = {"AES_CBC": f"aes{key}", "AES_GCM_16": f"aes{key}gcm16"}[child["encr-alg"]]
    if "integ-alg" in child:
        text += "-" + {"HMAC_SHA1_96": "sha1", "HMAC_SHA2_256_128": "sha256", "HMAC_SHA2_384_192": "sha384",
                       "HMAC_SHA2_512_256": "sha512"}[child["integ-alg"]]
    return text


def test_pre_shared_keys_and_what_is_shown(stock):
    """The stock peer initiates; both tools count the same traffic, and the gateway knows charon's names."""
    stock.up(stock.right_charon)
    stock.flow().stop()
    child = stock.left_charon.children("net")[0]
    sas = {f"{sa.spi:08x}": sa for sa in stock.gateway.control.show("sas")}
    assert {sa.name for sa in sas.values()} == {"site/net"}
    assert int(child["packets-in"]) == sas[child["spi-in"]].packets > 0
    assert int(child["bytes-out"]) == sas[child["spi-out"]].bytes > 0
    assert "site/net" in stock.gateway.ctl("show", "sas")
    stock.left_charon.terminate(ike="site")
    assert not stock.gateway.control.show("sas")
    assert not stock.right_charon.list_sas()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("initiator", ["gateway", "peer"])
def test_either_side_initiates_in_either_version(stock, version, initiator):
    """IKEv2, and IKEv1 in main mode."""
    stock.load(both={"version": version})
    stock.up(stock.left_charon if initiator == "gateway" else stock.right_charon)
    assert stock.left_charon.established("site")[0]["version"] == str(version)
    carries(stock)


def certify(network, key):
    """Both sides show certificates of one authority."""
    authority = Pki(key=key)
    for mine, other, name in ((network.left_charon, network.right_charon, "left.example"),
                              (network.right_charon, network.left_charon, "right.example")):
        mine.connections["site"]["local"] = {"auth": "pubkey", "certs": authority.certify(mine, name), "id": name}
        other.connections["site"]["remote"] = {"auth": "pubkey", "id": name}


@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_certificates(stock, key):
    """With certificates of either kind."""
    certify(stock, key)
    for charon in stock.charons:
        charon.load()
    stock.up()
    carries(stock)


def test_eap_mschapv2(stock):
    """The peer shows a user's password inside EAP, the gateway's charon a certificate."""
    certify(stock, "ecdsa")
    stock.left_charon.connections["site"]["remote"] = {"auth": "eap-mschapv2", "id": "*", "eap_id": "%any"}
    stock.right_charon.connections["site"]["local"] = {"auth": "eap-mschapv2", "id": "user@example", "eap_id": "user"}
    for charon in stock.charons:
        charon.secrets["eap-1"] = {"id": "user", "secret": "a password of the tests"}
        charon.load()
    stock.up(stock.right_charon)
    assert stock.left_charon.established("site")[0]["remote-eap-id"] == "user"
    carries(stock)


@pytest.mark.parametrize("fragmentation", ["force", "no"], ids=["ike-fragments", "ip-fragments"])
def test_ike_messages_larger_than_the_path(stock, fragmentation):
    """Certificates do not fit the packets of the path: IKE cuts its messages, or IP does."""
    stock.configure(both={"fragmentation": fragmentation})
    certify(stock, "rsa")
    for charon in stock.charons:
        charon.connections["site"]["send_cert"] = "always"
        charon.load()
    for space, device in ((stock.right, "wan"), (stock.router, "far")):
        space.run("ip", "link", "set", device, "mtu", 800)
    try:
        stock.up(stock.right_charon)
        carries(stock)
    finally:
        for space, device in ((stock.right, "wan"), (stock.router, "far")):
            space.run("ip", "link", "set", device, "mtu", 1500)


@pytest.mark.parametrize("suite", ["aes256gcm16", "aes256-sha1", "aes256-sha256", "aes128-sha1"])
def test_azure_offers(stock, suite):
    """Azure offers all that it has in its order; the gateway takes the one it is told to."""
    stock.load(left={"proposals": AZURE_IKE, "child_options": {"esp_proposals": suite}},
               right={"proposals": AZURE_IKE, "child_options": {"esp_proposals": AZURE_ESP}})
    stock.up(stock.right_charon)
    child = stock.left_charon.children("net")[0]
    assert suite_of(child) == suite
    carries(stock)


@pytest.mark.parametrize("suite", AWS_ESP.split(","))
def test_aws_accepts(stock, suite):
    """AWS answers, the gateway initiates, as AWS has it by default."""
    stock.load(left={"proposals": AWS_IKE, "child_options": {"esp_proposals": suite}},
               right={"proposals": AWS_IKE, "child_options": {"esp_proposals": AWS_ESP}})
    stock.up(stock.left_charon)
    assert suite_of(stock.left_charon.children("net")[0]) == suite
    carries(stock)


@pytest.mark.parametrize("suite", ["3des-sha1", "3des-sha256"])
def test_3des_is_refused_with_a_reason(stock, suite):
    """Even if charon is told to accept it: the gateway has none, says so, and the peer hears NO_PROPOSAL_CHOSEN."""
    stock.load(both={"child_options": {"esp_proposals": suite}})
    before = stock.left_charon.log().count("adding an inbound SA failed")
    assert "NO_PROPOSAL_CHOSEN" in stock.right_charon.initiate("net", check=False) + stock.right_charon.log()
    assert stock.left_charon.log().count("adding an inbound SA failed") > before
    assert not stock.gateway.control.show("sas")


@pytest.mark.parametrize("group", PFS_GROUPS)
def test_pfs_groups(stock, group):
    """Every group that the clouds know for the second phase: used when the child SA is rekeyed."""
    stock.load(both={"child_options": {"esp_proposals": f"aes256gcm16-{group}"}})
    stock.up()
    old = stock.left_charon.children("net")[0]["spi-in"]
    stock.right_charon.rekey(child="net")
    fresh = stock.wait_rekeyed(old)
    assert fresh["dh-group"] == {"modp1024s160": "MODP_1024_160", "modp2048s224": "MODP_2048_224", "modp2048s256": "MODP_2048_256"}.get(
        group, group.upper().replace("MODP", "MODP_").replace("ECP", "ECP_"))
    carries(stock)


@pytest.mark.parametrize("option, words", [
    ({"mode": "transport", "local_ts": "dynamic", "remote_ts": "dynamic"}, "transport"), ({"ipcomp": True}, "IPComp"),
    ({"mark_in": "7", "mark_out": "7"}, "mark"), ({"ah_proposals": "sha256", "esp_proposals": None}, "AH"),
], ids=["transport", "ipcomp", "marks", "ah"])
def test_what_cannot_be_honoured_is_refused(pair, option, words):
    """Charon's log says what and why; nothing is installed by half."""
    pair.load(both={"child_options": option})
    before = pair.left_charon.log().count(words)
    pair.left_charon.initiate("net", check=False, timeout=5)
    log = pair.left_charon.log() + pair.right_charon.log()
    assert "failed: " in log and log.count(words) > before, log[-3000:]
    if "ipcomp" not in option:  # the child SA is then negotiated without
        assert not pair.gateway.control.show("sas")

