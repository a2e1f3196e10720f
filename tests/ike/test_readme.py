"""The README's section about strongSwan does what it says, between two gateways with charon on both."""

import pathlib
import re
import shlex

import pytest

from charon import Charon
from lab import Lab
from shell import wait_for

README = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## strongSwan\n(.*?)(?=^## )", README, re.MULTILINE | re.DOTALL)[1]
BLOCKS = [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^    .*\n)+", SECTION, re.MULTILINE)]
# The other end's view of the same.
MIRRORED = {"192.0.2.1": "192.0.2.2", "192.0.2.2": "192.0.2.1", "= left": "= right", "= right": "= left"}


@pytest.fixture(name="lab")
def fixture_lab():
    """A lab of the test's own."""
    made = Lab("readme-")
    try:
        yield made
    finally:
        made.close()


def mirrored(text):
    """swanctl.conf of the peer. The secret belongs to both ends as it stands."""
    connections, secrets = text.split("secrets {")
    swapped = re.sub("|".join(map(re.escape, MIRRORED)), lambda match: MIRRORED[match[0]], connections)
    return swapped + "secrets {" + secrets


def test_the_readmes_strongswan_section(lab):
    """The plugin's settings, swanctl.conf and commands as printed; ping goes through what was negotiated."""
    plugin, configuration, commands = BLOCKS
    assert set(re.findall(r"^  (\w+) =", plugin, re.MULTILINE)) == {"load", "socket"}
    left, right = lab.site_to_site()
    charons = []
    for site, text in ((left, configuration), (right, mirrored(configuration))):
        charon = Charon(lab, site.gateway.namespace, kind="penstock", sa_socket=site.gateway.folder / "sa.sock")
        charon.start(load=False)
        (charon.folder / "swanctl.conf").write_text(text)
        charons.append(charon)
    charons[1].swanctl("--load-all", "--noprompt", "--file", charons[1].folder / "swanctl.conf")

    printed = {}
    for command in commands.splitlines():
        words = shlex.split(command)
        if words[0] == "swanctl":
            file = ["--noprompt", "--file", charons[0].folder / "swanctl.conf"] if words[1] == "--load-all" else []
            printed[words[1]] = charons[0].swanctl(*words[1:], *file)
        else:
            assert words[0] == "penstockctl"
            printed[words[2]] = left.gateway.ctl(*words[1:])
    assert "site: #" in printed["--list-sas"] and "INSTALLED" in printed["--list-sas"]
    assert re.search(r"tun1 .*up", printed["tunnels"])
    assert "site/net" in printed["sas"]
    wait_for(lambda: right.gateway.tunnel("tun1").up, "the tunnel at the other gateway")
    left.host.run("ping", "-c", "3", "-i", "0.2", "-W", "5", right.host_address)
