"""The boxes of the scenarios' networks: Penstock with its charon, and a cloud's or router's tunnel endpoint."""

import itertools

from charon import Charon, psk_connection, psk_secret

IKE_LIFETIME = 28800


def port(name, device, *addresses):
    """A port of Penstock's configuration on a virtual Ethernet device."""
    return {"name": name, "device": f"af_packet,iface={device}", "addresses": list(addresses)}


def penstock(lab, namespace, connections, options=None, **config):
    """A Penstock instance and its charon: (gateway, charon), both running, the connections loaded.

    `connections` is {name: (tunnel, connection)}; the child SAs of a connection are bound to its tunnel.
    """
    gateway = lab.gateway(namespace, {"instance": namespace.name, **config})
    if_ids = {tunnel["name"]: tunnel["if_id"] for tunnel in config["tunnels"]}
    for tunnel, connection in connections.values():
        for child in connection["children"].values():
            child["if_id_in"] = child["if_id_out"] = if_ids[tunnel]
    charon = Charon(
        lab, namespace, kind="penstock", sa_socket=gateway.folder / "sa.sock",
        connections={name: connection for name, (_, connection) in connections.items()}, secrets={"ike-1": psk_secret()}, options=options)
    return gateway, charon.start()


def endpoint(lab, namespace, connection, **options):
    """A tunnel endpoint as a cloud has it: stock strongSwan, one tunnel; running, its connection loaded."""
    return Charon(lab, namespace, connections={"penstock": connection}, secrets={"ike-1": psk_secret()}, **options).start()


def connection(local, remote, *, dpd=0, initiate=False, **options):
    """A site-to-site connection by pre-shared key. With `dpd` (seconds) a dead peer is noticed; who initiates tries for ever."""
    child = {"dpd_action": "restart" if initiate else "clear", "start_action": "start" if initiate else "none",
             "close_action": "start" if initiate else "none", **options.pop("child_options", {})}
    return psk_connection(
        local, remote, rekey_time=f"{IKE_LIFETIME}s", dpd_delay=f"{dpd}s", keyingtries=0, mobike=False, unique="never",
        child_options=child, **options)


class TunnelInterface:
    """A tunnel interface of an office's router, "Tunnel0": behind the device is a box of its own with stock strongSwan.

    One kernel-libipsec has one tunnel for all addresses, so a router with two tunnels has two of these. What the router
    sends to `gateway` on the device is encrypted; `inside` are the prefixes that the far side has, `office` the near ones.
    """

    _numbers = itertools.count(1)

    # pylint: disable-next=too-many-arguments
    def __init__(self, scenario, router, device, address, *, internet, outside, peer, inside, office, **options):
        number = next(self._numbers)
        self.space = scenario.router(f"{device.lower()}-box")
        self.gateway = f"100.64.0.{number}"
        scenario.lab.link(router, device, self.space, "router")
        router.run("ip", "address", "add", address, "peer", f"{self.gateway}/32", "dev", device)
        self.space.run("ip", "address", "add", self.gateway, "peer", f"{address}/32", "dev", "router")
        head, last = outside.rsplit(".", 1)
        near = f"{head}.{int(last) - 1}"
        scenario.wire(self.space, "wan", f"{outside}/30", internet, device.lower(), f"{near}/30")
        self.space.route("default", near)
        for prefix in office:
            self.space.route(prefix, address)
        for prefix in inside:
            router.route(prefix, self.gateway)
        self.charon = endpoint(scenario.lab, self.space, connection(outside, peer, initiate=True, **options), inside_routes=inside)
