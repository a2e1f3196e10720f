"""S1: two Penstock instances, four tunnels to AWS, BGP inside each, ECMP everywhere; and each part killed while traffic runs."""

from bird import Bird
from boxes import connection, endpoint, penstock, port
from flow import Flow
from frr import Frr
from scenario import Scenario
from shell import wait_for
from traffic import ping

HOST, FAR_HOST = "10.1.0.4", "10.2.0.4"
INSTANCES = (0, 1)
OUTSIDE = {0: "203.0.113.2", 1: "203.0.113.6"}
# (name, instance, number of the tunnel there, inside address of Penstock, of AWS)
TUNNELS = (
    ("aws1", 0, 1, "169.254.21.2", "169.254.21.1"),
    ("aws2", 0, 2, "169.254.22.2", "169.254.22.1"),
    ("aws3", 1, 1, "169.254.21.6", "169.254.21.5"),
    ("aws4", 1, 2, "169.254.22.6", "169.254.22.5"),
)
FLOWS = 512  # enough for each tunnel's share to come close to a quarter
RATE = 500
LEAST_SHARE = 0.15


def before(address):
    """The address before one: the router's end of a link."""
    head, last = address.rsplit(".", 1)
    return f"{head}.{int(last) - 1}"


class Endpoint:
    """An AWS tunnel endpoint: strongSwan and BIRD."""

    def __init__(self, scenario, number, name, inside):
        self.space = scenario.router(name)
        outside = f"198.51.100.{4 * number + 2}"
        self.outside = outside
        scenario.wire(self.space, "wan", f"{outside}/30", scenario.internet, name, f"{before(outside)}/30")
        self.space.route("default", before(outside))
        scenario.wire(self.space, "vpc", f"10.2.250.{4 * number + 2}/30", scenario.vpc, name, f"10.2.250.{4 * number + 1}/30")
        _, instance, _, far_inside, _ = TUNNELS[number]
        self.charon = endpoint(scenario.lab, self.space, connection(outside, OUTSIDE[instance], dpd=1), inside=[f"{inside}/30"])
        self.bird = Bird(scenario.lab, self.space, f"""
router id {outside};
protocol device {{ scan time 2; }}
protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}
template bgp quick {{
  direct; graceful restart off; hold time 5; keepalive time 1; connect delay time 1; connect retry time 1; error wait time 1, 2;
}}
protocol bgp azure from quick {{
  local {inside} as 64512; neighbor {far_inside} as 65000;
  ipv4 {{ import all; export where proto = "vpc"; next hop self; }};
}}
protocol bgp vpc from quick {{
  local 10.2.250.{4 * number + 2} as 64512; neighbor 10.2.250.{4 * number + 1} as 64512;
  ipv4 {{ import all; export where proto = "azure"; next hop self; }};
}}
""").start()

    def kill(self):
        """The machine is gone, with its network device."""
        self.charon.kill()
        self.bird.kill()
        self.space.run("ip", "link", "set", "vpc", "down")

    def start(self):
        """A new machine in its place; it has none of the old one's routes."""
        self.space.run("ip", "route", "flush", "proto", "bird")
        self.space.run("ip", "link", "set", "vpc", "up")
        self.charon.start()
        self.bird.start()


class Instance:
    """A Penstock instance: the gateway, its charon, its FRR."""

    def __init__(self, scenario, number):
        self.space = scenario.lab.namespace(f"azure{number}")
        self.router = f"10.1.250.{4 * number + 1}"
        outside = OUTSIDE[number]
        scenario.wire(self.space, "eth1", None, scenario.internet, f"azure{number}", f"{before(outside)}/30")
        scenario.wire(self.space, "eth0", None, scenario.vnet, f"azure{number}", f"{self.router}/30")
        mine = [(name, place, inside, far) for name, instance, place, inside, far in TUNNELS if instance == number]
        remotes = {name: scenario.endpoints[name].outside for name, *_ in mine}
        self.gateway, self.charon = penstock(
            scenario.lab, self.space,
            {name: (name, connection(outside, remotes[name], dpd=2, initiate=True)) for name, *_ in mine},
            ports=[port("lan0", "eth0", f"10.1.250.{4 * number + 2}/30"), port("wan0", "eth1", f"{outside}/30")],
            tunnels=[{"name": name, "if_id": place, "local": outside, "remote": remotes[name], "addresses": [f"{inside}/30"]}
                     for name, place, inside, _ in mine],
            routes=[{"prefix": "0.0.0.0/0", "via": [{"address": before(outside)}]},
                    {"prefix": "10.1.0.0/16", "via": [{"address": self.router}]}],  # its own VNet it need not learn
            protected=["10.2.0.0/16"], fpm={"sweep_seconds": 2},
        )
        self.inside_neighbors = [far for *_, far in mine]
        # AWS initiates BGP; a route is announced once it is in the tables, so that nothing comes before its way is known.
        tunnels = "\n".join(f" neighbor {far} remote-as 64512\n neighbor {far} passive" for far in self.inside_neighbors)
        self.frr = Frr(scenario.lab, self.space, f"""
router bgp 65000
 bgp router-id {outside}
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp suppress-fib-pending
 bgp bestpath as-path multipath-relax
 timers bgp 1 5
{tunnels}
 neighbor {self.router} remote-as 65001
 neighbor {self.router} timers connect 1
 address-family ipv4 unicast
  network 10.1.0.0/16
  maximum-paths 8
 exit-address-family
""", fpm="127.0.0.1:2620", daemons=("zebra", "bgpd")).start(wait_fpm=True)

    def kill(self):
        """The machine is gone: nobody is told anything."""
        self.gateway.stop(9)
        self.charon.kill()
        self.frr.kill()

    def start(self):
        """It boots."""
        self.gateway.start()
        self.charon.start()
        self.frr.start(wait_fpm=True)


class AzureAwsActiveActive(Scenario):
    """Everything is there twice or more: what is killed is not missed for long."""

    name = "azure-aws-active-active"
    title = "two instances, four tunnels to AWS, BGP inside, ECMP; each part is killed under traffic"
    about = "Penstock is the Azure side (10.1.0.0/16) with FRR; AWS is strongSwan and BIRD before a VPC (10.2.0.0/16)"
    clear_text = "net 10.1.0.0/16 or net 10.2.0.0/16 or net 169.254.0.0/16"

    def build(self):
        self.internet, self.vnet, self.vpc = (self.router(name) for name in ("internet", "vnet-router", "vpc-router"))
        self.vnet_host, self.vpc_host = self.host("vnet-host", f"{HOST}/24", self.vnet), self.host("vpc-host", f"{FAR_HOST}/24", self.vpc)
        for router, host, address in ((self.vnet, self.vnet_host, "10.1.0.1"), (self.vpc, self.vpc_host, "10.2.0.1")):
            router.address(host.name.removeprefix(self.lab.prefix), f"{address}/24")
            host.route("default", address)
        self.step("AWS: four endpoints, and a VPC router that spreads over them")
        self.endpoints = {name: Endpoint(self, number, name, inside) for number, (name, *_, inside) in enumerate(TUNNELS)}
        self._vpc_router()
        self.step("Azure: two Penstock instances, and a VNet router that spreads over them")
        self._vnet_router()
        self.instances = [Instance(self, number) for number in INSTANCES]
        for number in INSTANCES:
            self.watch_wire(self.internet, f"azure{number}")

    def _vpc_router(self):
        sessions = "\n".join(f"protocol bgp {name} from quick {{ local 10.2.250.{4 * number + 1} as 64512; "
                             f"neighbor 10.2.250.{4 * number + 2} as 64512; }}" for number, (name, *_) in enumerate(TUNNELS))
        self.vpc_bird = Bird(self.lab, self.vpc, f"""
router id 10.2.0.1;
protocol device {{ scan time 2; }}
protocol kernel {{ merge paths on; ipv4 {{ export where source = RTS_BGP; }}; }}
protocol static {{ ipv4; route 10.2.0.0/16 unreachable; }}
template bgp quick {{
  direct; graceful restart off; hold time 5; keepalive time 1; connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 {{ import all; export where source = RTS_STATIC; next hop self; }};
}}
{sessions}
""").start()

    def _vnet_router(self):
        neighbors = "\n".join(f" neighbor 10.1.250.{4 * number + 2} remote-as 65000\n neighbor 10.1.250.{4 * number + 2} timers connect 1"
                              for number in INSTANCES)
        self.vnet_frr = Frr(self.lab, self.vnet, f"""
router bgp 65001
 no bgp ebgp-requires-policy
 timers bgp 1 5
{neighbors}
 address-family ipv4 unicast
  maximum-paths 8
 exit-address-family
""", daemons=("zebra", "bgpd")).start()

    # --- checks ---------------------------------------------------------------------------------------

    def examine(self):
        with self.checking("4 IKE and 4 child SAs are up", vital=True) as check:
            for instance in self.instances:
                instance.charon.wait_established(count=2)
                instance.charon.wait_children(count=2)
            check.detail = ", ".join(f"{name}: {self._tunnel(name).state}" for name, *_ in TUNNELS)
        with self.checking("4 BGP sessions are up inside the tunnels", vital=True) as check:
            for instance in self.instances:
                instance.frr.wait_bgp(*instance.inside_neighbors, instance.router)
            self._whole_again()
            check.detail = ", ".join(inside for *_, inside in TUNNELS)
        with self.checking("the VNet host reaches the VPC host", vital=True) as check:
            check.detail = f"{ping(self.vnet_host, FAR_HOST, count=20)} of 20 pings"
        self.flow = Flow(self.lab, self.vnet_host, HOST, self.vpc_host, FAR_HOST, flows=FLOWS, rate=RATE).start()
        self.flow.wait_whole()
        with self.checking(f"{FLOWS} flows use all four tunnels, both ways") as check:
            check.detail = self._shares(check)
        self._failure("tunnel aws1", self._cut_tunnel, self._mend_tunnel)
        endpoint2 = self.endpoints["aws2"]
        self._failure("endpoint aws2", endpoint2.kill, endpoint2.start)
        one, other = self.instances
        self._failure("instance 0", one.kill, one.start, self._aws_forgets)
        self._failure("charon of instance 1", other.charon.kill, other.charon.start)
        self._failure("FRR of instance 1", other.frr.kill, lambda: other.frr.start(wait_fpm=True))
        self.flow.stop()

    def _tunnel(self, name):
        instance = next(instance for each, instance, *_ in TUNNELS if each == name)
        return self.instances[instance].gateway.tunnel(name)

    def _whole_again(self):
        """Waits until every way is in every table."""
        self.vnet_frr.wait_route("10.2.0.0/16", next_hops=2)
        for instance in self.instances:
            instance.frr.wait_route("10.2.0.0/16", next_hops=2)
        wait_for(lambda: self.vpc.run("ip", "route", "show", "10.1.0.0/16").count("nexthop") == 4, "four ways back at the VPC router", 60)

    def _shares(self, check):
        names = [name for name, *_ in TUNNELS]
        before_ = [(self._tunnel(name).out_packets, self._tunnel(name).in_packets) for name in names]
        wait_for(lambda: sum(self._tunnel(name).out_packets for name in names) - sum(out for out, _ in before_) >= 4 * FLOWS, "traffic", 60)
        after = [(self._tunnel(name).out_packets, self._tunnel(name).in_packets) for name in names]
        text = []
        for way, index in (("out", 0), ("in", 1)):
            counts = [now[index] - then[index] for now, then in zip(after, before_)]
            shares = [count / sum(counts) for count in counts]
            check.require(min(shares) >= LEAST_SHARE, f"{way}: shares are {shares}")
            text.append(f"{way}: " + " ".join(f"{share:.0%}" for share in shares))
        return ", ".join(text)

    def _cut_tunnel(self):
        """What is between the two outer addresses vanishes."""
        self.internet.run("nft", "-f", "-", text_input=(
            "table ip cut {\nchain pass {\ntype filter hook forward priority 0\n"
            f"ip saddr {OUTSIDE[0]} ip daddr {self.endpoints['aws1'].outside} drop\n"
            f"ip saddr {self.endpoints['aws1'].outside} ip daddr {OUTSIDE[0]} drop\n}}\n}}\n"))

    def _mend_tunnel(self):
        self.internet.run("nft", "delete", "table", "ip", "cut")

    def _aws_forgets(self):
        """AWS has noticed that its peer is not there any more."""
        wait_for(lambda: not any(self.endpoints[name].charon.established() for name in ("aws1", "aws2")), "AWS to notice", 60, every=0.2)

    def _failure(self, what, kill, start, between=lambda: None):
        """Kills a part and brings it back, each while traffic runs.

        On a loaded machine a packet may be lost that nobody dropped: coming back is tried a second time then.
        """
        with self.checking(f"{what} is killed: traffic goes on") as check:
            check.detail = str(self._during(kill))
        with self.checking(f"{what} comes back: nothing is lost") as check:
            between()
            report = self._during(lambda: (start(), self._whole_again()))
            check.detail = str(report)
            if report.lost:
                self._during(kill)
                between()
                report = self._during(lambda: (start(), self._whole_again()))
                check.detail += f"\nonce more: {report}"
            check.require(report.lost == 0, check.detail)

    def _during(self, action):
        """What is lost while something is done and until all flows are whole again."""
        with self.flow.window() as window:
            action()
            self.flow.wait_whole()
        return window.report

    def hints(self):
        gateway = self.instances[0].gateway
        return [
            (self.control_command(gateway, "show", "tunnels"), "tunnels of instance 0"),
            (self.control_command(gateway, "show", "nexthop-groups"), "how it spreads over them"),
            (f"ip netns exec {self.instances[0].space.name} vtysh -N {self.instances[0].frr.name} -c 'show bgp summary'", "its BGP"),
            (f"ip netns exec {self.vnet_host.name} ping {FAR_HOST}", "through all of it"),
            (f"ip netns pids {self.instances[1].space.name} | xargs kill -9", "kills instance 1"),
        ]
