"""The networks of the IKE tests: a gateway with charon on the left, its peer on the right.

    host 10.1.0.10 - gateway 192.0.2.1 - router - 198.51.100.2 peer, 10.2.0.0/24 behind it
"""

import copy

from charon import Charon, psk_connection, psk_secret
from flow import Flow
from shell import wait_for
from traffic import Capture

LEFT, RIGHT = "192.0.2.1", "198.51.100.2"
LEFT_NET, RIGHT_NET = "10.1.0.0/24", "10.2.0.0/24"
LEFT_HOST, RIGHT_HOST = "10.1.0.10", "10.2.0.10"
CLEAR = "ip and (net 10.1.0.0/16 or net 10.2.0.0/16)"


def connection(ends, networks, if_id=1, **options):
    """A connection with one child SA "net" between two networks; if_id None binds by policies."""
    bound = {} if if_id is None else {"if_id_in": if_id, "if_id_out": if_id}
    child = {"local_ts": networks[0], "remote_ts": networks[1], **options.pop("child_options", {})}
    names = ("left", "right") if ends[0] == LEFT else ("right", "left")
    return psk_connection(*ends, *names, child_options=child, **{"mobike": False, **bound, **options})


def port(name, device, address):
    """A port of a gateway's configuration."""
    return {"name": name, "device": f"af_packet,iface={device}", "addresses": [address]}


class Network:
    """Both ends with their charons; `reset` brings back how it was made."""

    prefix = ""

    def __init__(self, lab):
        self.lab = lab
        self.left, self.router, self.right = (lab.namespace(self.prefix + name) for name in ("left", "router", "right"))
        lab.link(self.left, "wan", self.router, "near")
        lab.link(self.right, "wan", self.router, "far")
        self.router.address("near", "192.0.2.254/24")
        self.router.address("far", "198.51.100.254/24")
        self.router.forward()
        self.left_host = self._host("left-host", self.left, LEFT_HOST, "10.1.0.1")
        self.gateway = self._gateway(self.left, "left", LEFT, RIGHT, LEFT_NET, RIGHT_NET, "192.0.2.254")
        self.left_charon = Charon(lab, self.left, self.prefix + "left", "penstock", sa_socket=self.gateway.folder / "sa.sock")
        self.make_right()
        self.charons = (self.left_charon, self.right_charon)
        self.configure()
        for charon in self.charons:
            charon.start()
        self.clear = Capture(self.router, "near", CLEAR)

    def make_right(self):
        """Makes the peer: `right_charon`, `right_host`."""
        raise NotImplementedError

    def _host(self, name, gateway, address, gateway_address):
        host = self.lab.namespace(self.prefix + name)
        self.lab.link(gateway, "lan", host, "eth0")
        host.address("eth0", f"{address}/24")
        host.route("default", gateway_address)
        return host

    def _gateway(self, space, name, local, remote, near, far, router):
        return self.lab.gateway(space, {
            "instance": self.prefix + name,
            "ports": [port("lan0", "lan", near.replace(".0/24", ".1/24")), port("wan0", "wan", f"{local}/24")],
            "tunnels": [{"name": "site", "if_id": 1, "local": local, "remote": remote}],
            "routes": [
                {"prefix": far, "via": [{"tunnel": "site"}]},
                {"prefix": "0.0.0.0/0", "via": [{"address": router}]},
            ],
            "protected": [far],
        })

    def configure(self, left=None, right=None, both=None):
        """The connection "site" on both sides; the dicts are laid over it."""
        both = both or {}
        for charon, ends, networks, more in (
            (self.left_charon, (LEFT, RIGHT), (LEFT_NET, RIGHT_NET), left),
            (self.right_charon, (RIGHT, LEFT), (RIGHT_NET, LEFT_NET), right),
        ):
            options = copy.deepcopy({**both, **(more or {})})
            child = {**both.get("child_options", {}), **(more or {}).get("child_options", {})}
            if_id = 1 if charon.kind == "penstock" else None
            charon.connections = {"site": connection(ends, networks, options.pop("if_id", if_id), **{**options, "child_options": child})}
            charon.secrets = {"ike-1": psk_secret("left", "right")}

    def load(self, **options):
        """`configure`, and both charons take it."""
        self.configure(**options)
        for charon in self.charons:
            charon.load()

    def up(self, initiator=None):
        """Brings "net" up and waits until both sides have it."""
        (initiator or self.left_charon).initiate("net")
        for charon in self.charons:
            charon.wait_children("net")
        wait_for(lambda: self.gateway.tunnel("site").up, "Penstock's tunnel", 30)

    def wait_rekeyed(self, old_spi, timeout=45):
        """Waits until the child SA "net" of this inbound SPI has given way to another, which is returned."""
        def fresh():
            found = self.left_charon.children("net")
            replaced = found and old_spi not in {child["spi-in"] for child in found} and self.right_charon.children("net")
            return found[0] if replaced else None

        return wait_for(fresh, f"another child SA than {old_spi}", timeout, every=0.1)

    def flow(self, rate=200, flows=4):
        """A running probe stream between both hosts of which nothing is lost."""
        flow = Flow(self.lab, self.left_host, LEFT_HOST, self.right_host, RIGHT_HOST, flows=flows, rate=rate).start()
        flow.wait_whole()
        return flow

    def reset(self):
        """No SA and no policy, as configured at first."""
        for peer in [peer for peer in self.lab.peers if isinstance(peer, Flow)]:
            peer.close()
            self.lab.peers.remove(peer)
        self.configure()
        for charon in self.charons:
            if not charon.running():
                charon.start(load=False)
            charon.connections, kept = {}, charon.connections
            charon.load()
            for sa in charon.list_sas():
                charon.terminate(ike=sa["name"], force=True, check=False)
            charon.connections = kept
        for charon in self.charons:
            wait_for(lambda who=charon: not who.list_sas(), f"no SA at {charon.name}", 30)
            charon.load()
        for gateway in self.lab.gateways:
            wait_for(lambda who=gateway: not who.control.show("sas"), f"no SA in {gateway.name}", 30)

    def story(self):
        """The logs of all that ran."""
        return self.lab.logs()


class StockPair(Network):
    """The peer is a stock strongSwan that does ESP itself."""

    prefix = "s-"

    def make_right(self):
        self.right.address("wan", f"{RIGHT}/24")
        self.right.route("default", "198.51.100.254")
        self.right_charon = Charon(self.lab, self.right, self.prefix + "right", inside=[f"{RIGHT_HOST}/24"], inside_routes=[LEFT_NET])
        self.right_host = self.right


class PenstockPair(Network):
    """The peer is a Penstock too."""

    prefix = "p-"

    def make_right(self):
        self.right_host = self._host("right-host", self.right, RIGHT_HOST, "10.2.0.1")
        self.right_gateway = self._gateway(self.right, "right", RIGHT, LEFT, RIGHT_NET, LEFT_NET, "198.51.100.254")
        self.right_charon = Charon(
            self.lab, self.right, self.prefix + "right", "penstock", sa_socket=self.right_gateway.folder / "sa.sock")
