"""S2: one gateway, static routes, two tunnels to AWS; the second stands by."""

from boxes import connection, endpoint, penstock, port
from flow import Flow
from scenario import Scenario
from shell import wait_for
from traffic import ping

CLOUD = "203.0.113.10"
AWS = {1: "198.51.100.2", 2: "198.51.100.6"}
HOST, FAR_HOST = "172.10.0.4", "10.2.0.4"


class AzureAwsStatic(Scenario):
    """Tunnel 1 carries; when its peer is silent tunnel 2 does; when it is back, tunnel 1 again."""

    name = "azure-aws-static"
    title = "one gateway, static routes, two tunnels to AWS, one stands by"
    about = "Penstock is the Azure side (172.10.0.0/16); AWS is two strongSwan endpoints before a VPC (10.2.0.0/16)"
    clear_text = "net 172.10.0.0/16 or net 10.2.0.0/16"

    def build(self):
        lab = self.lab
        internet, cloud, self.vpc = (lab.namespace(name) for name in ("internet", "azure", "vpc-router"))
        internet.forward()
        lab.link(cloud, "eth1", internet, "azure")
        internet.address("azure", "203.0.113.1/24")
        self.vnet_host = self.host("vnet-host", f"{HOST}/16", cloud)
        self.vnet_host.route("default", "172.10.0.1")
        self.vpc_host = self.host("vpc-host", f"{FAR_HOST}/16", self.vpc)
        self.vpc_host.route("default", "10.2.0.1")
        self.vpc.address("vpc-host", "10.2.0.1/16")
        self.vpc.forward()
        self.watch_wire(internet, "azure")
        self.step("two AWS endpoints")
        self.aws = {number: self._endpoint(internet, number) for number in AWS}
        self._answer_the_way_it_came()
        self.step("the Penstock gateway")
        self.gateway, self.charon = penstock(
            lab, cloud,
            {f"aws{number}": (f"aws{number}", connection(CLOUD, address, dpd=2, initiate=True)) for number, address in AWS.items()},
            ports=[port("lan0", "vnet-host", "172.10.0.1/16"), port("wan0", "eth1", f"{CLOUD}/24")],
            tunnels=[{"name": f"aws{number}", "if_id": number, "local": CLOUD, "remote": address} for number, address in AWS.items()],
            routes=[{"prefix": "10.2.0.0/16", "via": [{"tunnel": "aws1"}, {"tunnel": "aws2", "standby": True}]},
                    {"prefix": "0.0.0.0/0", "via": [{"address": "203.0.113.1"}]}],
            protected=["10.2.0.0/16"],
        )

    def _endpoint(self, internet, number):
        near, far = AWS[number][:-1] + str(int(AWS[number][-1]) - 1), AWS[number]
        space = self.lab.namespace(f"aws{number}")
        self.lab.link(space, "wan", internet, f"aws{number}")
        internet.address(f"aws{number}", f"{near}/30")
        space.address("wan", f"{far}/30")
        space.route("default", near)
        self.lab.link(space, "vpc", self.vpc, f"aws{number}")
        space.address("vpc", f"10.255.{number}.2/24")
        self.vpc.address(f"aws{number}", f"10.255.{number}.1/24")
        space.forward()
        space.route("10.2.0.0/16", f"10.255.{number}.1")
        return endpoint(self.lab, space, connection(far, CLOUD, dpd=2), inside=[f"169.254.21.{4 * number + 1}/30"],
                        inside_routes=["172.10.0.0/16"])

    def _answer_the_way_it_came(self):
        """A virtual private gateway has one active tunnel: the one that it hears from."""
        for number in AWS:
            self.vpc.run("ip", "rule", "add", "fwmark", number, "table", number)
            self.vpc.run("ip", "route", "add", "172.10.0.0/16", "via", f"10.255.{number}.2", "table", number)
            self.vpc.run("sysctl", "-qw", f"net.ipv4.conf.aws{number}.rp_filter=0")
        self.vpc.route("172.10.0.0/16", "10.255.1.2")
        marks = "\n".join(f"iifname aws{number} ct mark set {number}" for number in AWS)
        self.vpc.run("nft", "-f", "-", text_input=(
            f"table ip active {{\nchain in {{\ntype filter hook prerouting priority -100\n{marks}\n"
            "iifname vpc-host meta mark set ct mark\n}\n}\n"))

    def examine(self):
        with self.checking("both tunnels are up", vital=True) as check:
            self.charon.wait_children(count=2)
            wait_for(lambda: all(self.gateway.tunnel(f"aws{number}").up for number in AWS), "both tunnels", 30)
            check.detail = ", ".join(f"aws{number}: {self.gateway.tunnel(f'aws{number}').state}" for number in AWS)
        with self.checking("the VNet host reaches the VPC host", vital=True) as check:
            check.detail = f"{ping(self.vnet_host, FAR_HOST, count=20)} of 20 pings"
        self.flow = Flow(self.lab, self.vnet_host, HOST, self.vpc_host, FAR_HOST, flows=16, rate=300).start()
        with self.checking("traffic is on tunnel 1, none on tunnel 2", vital=True) as check:
            self.flow.wait_whole()
            check.detail = self._carried_by(check, 1)
        with self.checking("tunnel 1's peer falls silent: traffic moves to tunnel 2") as check:
            with self.flow.window() as window:
                self.aws[1].kill()
                self.flow.wait_whole()
            check.require(window.report.lost > 0, "nothing was lost, so nothing was cut")
            check.detail = f"{window.report}\n{self._carried_by(check, 2)}"
        with self.checking("tunnel 1 comes back: traffic returns to it") as check:
            with self.flow.window() as window:
                self.aws[1].start()
                wait_for(lambda: self.gateway.tunnel("aws1").up, "tunnel aws1 to be up again", 60)
                self.flow.wait_whole()
            check.detail = f"{window.report}\n{self._carried_by(check, 1)}"
        self.flow.stop()

    def _carried_by(self, check, number):
        """Requires that from now on packets leave by one tunnel only, and come back by it."""
        def counts():
            rows = [self.gateway.tunnel(f"aws{each}") for each in AWS]
            return [count for row in rows for count in (row.out_packets, row.in_packets)]

        before = counts()
        wait_for(lambda: all(now - then >= 200 for now, then in zip(counts()[2 * number - 2:], before[2 * number - 2:2 * number])),
                 f"packets both ways on tunnel aws{number}", 30)
        after = counts()
        other = 3 - number
        for way, index in (("out of", 2 * other - 2), ("in by", 2 * other - 1)):
            check.require(after[index] - before[index] == 0, f"{after[index] - before[index]} packets {way} tunnel aws{other}")
        return f"tunnel aws{number}: {after[2 * number - 2] - before[2 * number - 2]} packets out and " \
               f"{after[2 * number - 1] - before[2 * number - 1]} in, aws{other}: none"

    def hints(self):
        host = self.vnet_host.name
        return [
            (self.control_command(self.gateway, "show", "tunnels"), "tunnels, with their packets"),
            (self.control_command(self.gateway, "lookup", FAR_HOST), "why a packet goes where it goes"),
            (f"ip netns exec {host} ping {FAR_HOST}", "through tunnel 1"),
            (f"ip netns exec {self.aws[1].namespace.name} ip link set wan down", "silences tunnel 1's peer"),
        ]
