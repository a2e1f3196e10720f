"""A Penstock gateway with a host behind it, and the guest as its peer on the same wire."""

from guest import Guest
from traffic import ping

OUTSIDE = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8:ff::1", "2001:db8:ff::2")}
GUEST_INSIDE = {4: "10.2.0.10", 6: "2001:db8:2::10"}
NETWORKS = {4: ("10.1.0.0/24", "10.2.0.0/24"), 6: ("2001:db8:1::/64", "2001:db8:2::/64")}
TUNNELS = {4: "tun1", 6: "tun2"}

SETUP = """
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0
ip link set eth0 up
ip addr add 192.0.2.2/24 dev eth0
ip addr add 2001:db8:ff::2/64 dev eth0 nodad
ip addr add 10.2.0.10/24 dev lo
ip addr add 2001:db8:2::10/64 dev lo nodad
ip route add 10.1.0.0/24 via 192.0.2.1 src 10.2.0.10
ip -6 route add 2001:db8:1::/64 via 2001:db8:ff::1 src 2001:db8:2::10
"""


class GuestSite:
    """Everything of the folder: built once. `tun1` has IPv4 outer addresses, `tun2` IPv6 ones."""

    def __init__(self, lab):
        self.lab = lab
        left, _ = lab.site_to_site(start=False)  # the guest stands where the right gateway would
        config = left.gateway.config
        config["tunnels"] = [
            {"name": TUNNELS[outer], "if_id": number, "local": OUTSIDE[outer][0], "remote": OUTSIDE[outer][1]}
            for number, outer in ((1, 4), (2, 6))
        ]
        self.guest = Guest(lab.wire, "bridge", lab.folder)
        self.host, self.host_address = left.host, {4: left.host_address, 6: left.host_address6}
        self.gateway = left.gateway.start()
        lab.gateways[:] = [self.gateway]
        self.guest.wait_ready().run(SETUP)

    def steer(self, outer):
        """Sends what is for the guest's networks into the tunnel of this outer family."""
        for inner in (4, 6):
            self.gateway.control.add_route(NETWORKS[inner][1], [{"tunnel": TUNNELS[outer]}])

    def clear(self):
        """No SA and no policy in the guest."""
        self.guest.run("ip xfrm state flush; ip xfrm policy flush; ip link del ipsec1 2>/dev/null; true")
        self.guest.run(SETUP, check=False)

    def start_charon(self):
        """strongSwan in the guest, with its kernel for ESP; it also opens the kernel's port for ESP in UDP."""
        self.guest.run("echo 'charon-systemd { interfaces_use = eth0 }' >/etc/strongswan.d/test.conf\n"
                       "pgrep -x charon-systemd >/dev/null || { setsid charon-systemd >/var/log/charon 2>&1 </dev/null & }\n"
                       "for try in $(seq 300); do test -S /run/charon.vici && exit 0; sleep 0.1; done; exit 1")

    def ping_both_ways(self, inner=4, count=3, sizes=(56, 1300), options=()):
        """From the host to the guest and back."""
        for size in sizes:
            ping(self.host, GUEST_INSIDE[inner], count=count, size=size, options=options)
            self.ping_host(inner, count, size, options)

    def ping_host(self, inner=4, count=3, size=56, options=()):
        """From inside the guest to the host; all must come back."""
        words = " ".join(str(option) for option in options)
        output = self.guest.run(
            f"ping -{inner} -n -c {count} -i 0.05 -W 5 -s {size} {words} -I {GUEST_INSIDE[inner]} {self.host_address[inner]}",
            check=False)
        assert f" {count} received" in output, output + self.guest.run("ip -s xfrm state; cat /proc/net/xfrm_stat")

    def close(self):
        """Switches the guest off."""
        self.guest.close()
