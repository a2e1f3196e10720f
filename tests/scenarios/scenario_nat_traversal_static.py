"""S4: an on-premises gateway behind a NAT, static routes; Penstock in the cloud, or behind the NAT itself."""

from boxes import IKE_LIFETIME, connection, endpoint, penstock, port
from flow import Flow
from nat import Nat
from scenario import Scenario
from shell import run, wait_for
from traffic import Capture, ping

PRIVATE, HIDDEN_BEHIND, CLOUD = "172.20.10.210", "203.0.113.4", "203.0.113.46"
VNET, VNET_HOST = "172.16.0.0/16", "172.16.1.10"
SITES = {"site100": "172.20.100", "site200": "172.20.200"}
PORTS = ((20000, 24999), (30000, 34999))
UDP_TIMEOUT = 4  # seconds after which the NAT forgets a silent mapping
KEEPALIVE = "udp port 4500 and udp[4:2] == 9 and udp[8] == 0xff"


class NatTraversalStatic(Scenario):
    """Penstock is the cloud gateway; the on-premises one is strongSwan behind a NAT."""

    name = "nat-traversal-static"
    title = "the on-premises gateway is behind a NAT, Penstock is the cloud's"
    about = "static routes, UDP 4500, a NAT that changes its port while traffic runs, keepalives"
    clear_text = "net 172.16.0.0/16 or net 172.20.100.0/24 or net 172.20.200.0/24"
    penstock_on_premises = False

    def build(self):
        lab = self.lab
        self.office, router, self.cloud = (lab.namespace(name) for name in ("office", "nat", "cloud"))
        lab.link(self.office, "wan", router, "inside")
        lab.link(router, "outside", self.cloud, "wan")
        router.address("inside", "172.20.10.1/24")
        router.address("outside", f"{HIDDEN_BEHIND}/24")
        self.nat = Nat(router, "outside", PORTS[0])
        for name in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"):
            router.run("sysctl", "-qw", f"net.netfilter.{name}={UDP_TIMEOUT}")
        self.watch_wire(router, "outside")
        self.hosts = {}
        for name, network in SITES.items():
            self.hosts[name] = self.host(name, f"{network}.10/24", self.office)
            self.hosts[name].route("default", f"{network}.1")
        self.vnet_host = self.host("vnet-host", f"{VNET_HOST}/16", self.cloud)
        self.vnet_host.route("default", "172.16.0.1")
        self.step("the gateways")
        if self.penstock_on_premises:
            self._stock_cloud()
            self._penstock_office()
        else:
            self._penstock_cloud()
            self._stock_office()

    # The on-premises side initiates, whoever it is.  A stock peer hears of a changed mapping from IKE messages only,
    # hence the dead-peer detection of the side behind the NAT; where Penstock is the cloud nothing but ESP tells it.
    def _to_cloud(self, dpd):
        return connection(PRIVATE, CLOUD, dpd=dpd, initiate=True, local_id="office", remote_id="cloud", child_options={
            "local_ts": [f"{network}.0/24" for network in SITES.values()], "remote_ts": VNET})

    def _to_office(self):
        return connection(CLOUD, "%any", local_id="cloud", remote_id="office", child_options={
            "local_ts": VNET, "remote_ts": [f"{network}.0/24" for network in SITES.values()]})

    def _penstock_cloud(self):
        self.gateway, self.cloud_charon = penstock(
            self.lab, self.cloud, {"office": ("office", self._to_office())},
            ports=[port("lan0", "vnet-host", "172.16.0.1/16"), port("wan0", "wan", f"{CLOUD}/24")],
            tunnels=[{"name": "office", "if_id": 1, "local": CLOUD, "remote": HIDDEN_BEHIND}],
            routes=[{"prefix": f"{network}.0/24", "via": [{"tunnel": "office"}]} for network in SITES.values()],
            protected=[f"{network}.0/24" for network in SITES.values()])

    def _stock_cloud(self):
        self._dress(self.cloud, f"{CLOUD}/24", {"vnet-host": "172.16.0.1/16"})
        self.cloud_charon = endpoint(self.lab, self.cloud, self._to_office(),
                                     inside_routes=[f"{network}.0/24" for network in SITES.values()])

    def _penstock_office(self):
        self.gateway, self.office_charon = penstock(
            self.lab, self.office, {"cloud": ("cloud", self._to_cloud(dpd=2))}, options={"keep_alive": 1},
            ports=[*[port(f"lan{number}", name, f"{network}.1/24") for number, (name, network) in enumerate(SITES.items())],
                   port("wan0", "wan", f"{PRIVATE}/24")],
            tunnels=[{"name": "cloud", "if_id": 1, "local": PRIVATE, "remote": CLOUD}],
            routes=[{"prefix": VNET, "via": [{"tunnel": "cloud"}]}, {"prefix": "0.0.0.0/0", "via": [{"address": "172.20.10.1"}]}],
            protected=[VNET])

    def _stock_office(self):
        self._dress(self.office, f"{PRIVATE}/24", {name: f"{network}.1/24" for name, network in SITES.items()})
        self.office.route("default", "172.20.10.1")
        self.office_charon = endpoint(self.lab, self.office, self._to_cloud(dpd=0), options={"keep_alive": 1}, inside_routes=[VNET])

    @staticmethod
    def _dress(space, outside, insides):
        space.address("wan", outside)
        for device, address in insides.items():
            space.address(device, address)
        space.forward()

    def examine(self):
        with self.checking("the tunnel is up, with the cloud's lifetime", vital=True) as check:
            self.office_charon.wait_children()
            self.cloud_charon.wait_children()
            wait_for(lambda: self._tunnel().up, "Penstock's tunnel", 30)
            left = int(self.office_charon.established()[0]["rekey-time"])
            check.require(IKE_LIFETIME * 0.85 < left <= IKE_LIFETIME, f"the IKE SA is rekeyed in {left} s")
            check.detail = f"IKE SA rekeyed in {left} s of {IKE_LIFETIME}"
        with self.checking("UDP 4500 is in use, the NAT is seen") as check:
            sas = self.gateway.control.show("sas")
            check.require(sas and all(sa.udp_encapsulation for sa in sas), "not all SAs of Penstock are UDP-encapsulated")
            peer = self.cloud_charon.established()[0]
            check.require(peer["remote-host"] == HIDDEN_BEHIND, f"the cloud sees {peer['remote-host']}")
            check.require(PORTS[0][0] <= int(peer["remote-port"]) <= PORTS[0][1], f"the cloud sees port {peer['remote-port']}")
            check.detail = f"the cloud sees {peer['remote-host']}:{peer['remote-port']}, the office is {PRIVATE}:4500"
        with self.checking("100 of 100 pings both ways, to both networks") as check:
            for name, network in SITES.items():
                ping(self.hosts[name], VNET_HOST, count=100, every_ms=10)
                ping(self.vnet_host, f"{network}.10", count=100, every_ms=10)
            check.detail = "400 of 400"
        with self.checking("the NAT changes its port while traffic runs: traffic goes on") as check:
            check.detail = self._port_changes(check)
        with self.checking("keepalives hold the mapping while nothing else is sent") as check:
            check.detail = self._silence(check)

    def _tunnel(self):
        return self.gateway.control.show("tunnels")[0]

    def _seen_port(self):
        """The port of the office as the cloud's SA sends to it."""
        if self.penstock_on_premises:
            return int(self.cloud_charon.established()[0]["remote-port"])
        return max((sa.destination_port for sa in self.gateway.control.show("sas") if sa.direction == "out"), default=0)

    def _port_changes(self, check):
        flow = Flow(self.lab, self.hosts["site100"], f"{SITES['site100']}.10", self.vnet_host, VNET_HOST, flows=8, rate=300).start()
        flow.wait_whole()
        before = self._seen_port()
        with flow.window() as window:
            self.nat.remap(*PORTS[1])
            wait_for(lambda: PORTS[1][0] <= self._seen_port() <= PORTS[1][1], "the new port at the cloud", 45)
            flow.wait_whole()
        flow.stop()
        check.require(window.report["forward"].received > 0, "nothing came from the office")
        return f"port {before} became {self._seen_port()}\n{window.report}"

    def _silence(self, check):
        """Longer than the NAT remembers nothing but keepalives; then the cloud speaks first."""
        before = self._seen_port()
        with Capture(self.nat.namespace, "outside", KEEPALIVE) as capture:
            def heard():
                return len(run("tcpdump", "-nr", capture.path, check=False).splitlines())

            wait_for(lambda: heard() >= 1.5 * UDP_TIMEOUT, "keepalives", 60, every=0.2)
            received = ping(self.vnet_host, f"{SITES['site200']}.10", count=10)
        check.require(self._seen_port() == before, f"the port was {before} and is {self._seen_port()}")
        return f"{heard()} keepalives, the NAT forgets after {UDP_TIMEOUT} s; then {received} of 10 pings from the cloud"

    def hints(self):
        return [
            (self.control_command(self.gateway, "show", "sas"), "addresses and ports of the SAs"),
            (f"ip netns exec {self.vnet_host.name} ping {SITES['site100']}.10", "from the cloud to the office"),
            (f"ip netns exec {self.nat.namespace.name} tcpdump -ni outside", "nothing but UDP 4500"),
            (f"ip netns exec {self.nat.namespace.name} nft list ruleset", "the NAT"),
        ]


class NatTraversalStaticOnPremises(NatTraversalStatic):
    """The same with the roles swapped."""

    name = "nat-traversal-static-on-premises"
    title = "Penstock is the on-premises gateway behind a NAT"
    penstock_on_premises = True
