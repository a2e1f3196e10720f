"""Two sites that tell each other their networks by BGP through two tunnels."""

from client import control_pb
from frr import Frr
from shell import wait_for

FPM = "127.0.0.1:2620"
TUNNELS = ("tun1", "tun2")
NETWORKS = {"10.2.0.0/24": "ip", "2001:db8:2::/64": "ipv6"}  # that the left gateway learns


def inside(tunnel, number, family=4):
    """The address of a site's end (1 or 2) of a tunnel."""
    return f"169.254.2{tunnel}.{number}" if family == 4 else f"2001:db8:2{tunnel}::{number}"


def fpm_options(**more):
    """The section `fpm` of a gateway."""
    return {"listen": FPM, **more}


def make_gateways(lab, **fpm):
    """Both gateways, which have two tunnels with SAs and inside addresses, and no route but those they are told."""
    sites = lab.site_to_site(tunnels=len(TUNNELS), start=False)
    for number, site in enumerate(sites, 1):
        config = site.gateway.config
        config["routes"] = []
        config["fpm"] = fpm_options(**fpm)
        for index, tunnel in enumerate(config["tunnels"], 1):
            tunnel["addresses"] = [f"{inside(index, number)}/30", f"{inside(index, number, 6)}/64"]
        site.gateway.start()
    lab.mark()
    for tunnel in TUNNELS:
        lab.pair(tunnel)
    return sites


def bgp_config(number, bfd=False):
    """frr.conf of one site: BGP with the other through each tunnel, in both families."""
    peer = 3 - number
    neighbors = [(inside(tunnel, peer, family), family) for tunnel in (1, 2) for family in (4, 6)]
    lines = [
        f"router bgp {65000 + number}", f" bgp router-id 192.0.2.{number}", " no bgp ebgp-requires-policy",
        " no bgp network import-check", " no bgp default ipv4-unicast", " bgp graceful-restart",
        " bgp graceful-restart preserve-fw-state", " timers bgp 3 30",
    ]
    for address, _ in neighbors:
        lines += [f" neighbor {address} remote-as {65000 + peer}", f" neighbor {address} timers connect 1",
                  f" neighbor {address} advertisement-interval 0"]
        if bfd:
            lines += [f" neighbor {address} bfd 5 300 300"]
    for family, name, network in ((4, "ipv4", f"10.{number}.0.0/24"), (6, "ipv6", f"2001:db8:{number}::/64")):
        lines += [f" address-family {name} unicast", f"  network {network}"]
        lines += [f"  neighbor {address} activate" for address, of in neighbors if of == family]
        lines += [" exit-address-family"]
    return "\n".join([*lines, "!"])


class BgpSites:
    """The two sites, each with its FRR, when all that there is to learn is in force."""

    def __init__(self, lab, *, bfd=False, **fpm):
        self.left, self.right = make_gateways(lab, **fpm)
        self.frr = [
            Frr(lab, site.gateway.namespace, bgp_config(number, bfd), fpm=FPM, arguments={"zebra": ["-K", "120"]}).start()
            for number, site in enumerate((self.left, self.right), 1)
        ]
        self.wait_learned()

    def neighbors(self, number):
        """All that the FRR of a site (1 or 2) speaks BGP with."""
        return [inside(tunnel, 3 - number, family) for tunnel in (1, 2) for family in (4, 6)]

    def wait_sessions(self):
        """Waits until BGP is established everywhere."""
        for number, frr in enumerate(self.frr, 1):
            frr.wait_bgp(*self.neighbors(number))

    def wait_learned(self):
        """Waits until both gateways send into both tunnels what they have learned."""
        self.wait_sessions()
        for number, site in ((1, self.left), (2, self.right)):
            for prefix in (f"10.{3 - number}.0.0/24", f"2001:db8:{3 - number}::/64"):
                wait_for(lambda site=site, prefix=prefix: tunnels_of(site.gateway, prefix) == set(TUNNELS),
                         f"{prefix} by both tunnels at {site.gateway.name}", 60, every=0.1)


def learned(gateway, prefix):
    """The gateway's route that zebra gave it for exactly this prefix, or nothing."""
    rows = [row for row in gateway.control.show("routes", prefix=prefix, source="bgp") if row.prefix == prefix]
    return rows[0] if rows else None


def tunnels_of(gateway, prefix):
    """The tunnels that a learned prefix goes by."""
    row = learned(gateway, prefix)
    return {hop.tunnel for hop in row.next_hops} if row and row.active else set()


def fpm(gateway):
    """show fpm."""
    return gateway.control.call("show_fpm", control_pb.ShowFpm())[0].fpm
