"""A stock charon-systemd of strongSwan in a namespace, with its own sockets, files and configuration."""

import os
import pathlib
import socket

from lab import build_folder
from process import Process
from settings import merge, parse_raw, render
from shell import run, wait_for

PLUGIN = build_folder() / "ike_bridge" / "charon" / "libstrongswan-kernel-penstock.so"

# Only what the tests negotiate: a charon with every plugin of the packages takes a second to start.
COMMON_PLUGINS = "random nonce openssl hmac kdf pem x509 pubkey pkcs1 pkcs8 constraints"
PEER_PLUGINS = "socket-default vici eap-identity eap-mschapv2 eap-tls"


class Charon:
    """One IKE daemon. Kind `stock` does ESP itself (kernel-libipsec, UDP-encapsulated only, on the TUN device ipsec0);
    kind `penstock` leaves it to the gateway whose SA socket it is given.

    `connections`, `secrets`, `pools` and `authorities` are the sections of swanctl.conf as dicts; change them and call
    `load`. `inside` are addresses put on ipsec0, `inside_routes` prefixes that are routed through it.
    `options` is laid over the section charon-systemd of strongswan.conf, `levels` over the log levels.
    """

    # pylint: disable-next=too-many-arguments
    def __init__(self, lab, namespace, name=None, kind="stock", *, sa_socket=None, connections=None, secrets=None, pools=None,
                 authorities=None, inside=(), inside_routes=(), ports=None, options=None, levels=None):
        if kind not in ("stock", "penstock"):
            raise ValueError(f"kind '{kind}' is unknown; expected stock or penstock")
        if (kind == "penstock") != (sa_socket is not None):
            raise ValueError("a charon of kind penstock, and no other, needs the SA socket of its gateway")
        self.namespace = namespace
        self.name = name or namespace.name
        self.kind = kind
        self.connections, self.secrets = connections or {}, secrets or {}
        self.pools, self.authorities = pools or {}, authorities or {}
        self.inside, self.inside_routes = list(inside), list(inside_routes)
        self.folder = pathlib.Path(lab.folder) / f"charon-{self.name}"
        self.folder.mkdir(parents=True)
        for part in ("x509", "x509ca", "private"):
            (self.folder / part).mkdir()
        self.log_file = self.folder / "charon.log"
        self.vici = self.folder / "charon.vici"
        self._settings = self._strongswan(sa_socket, ports, options or {}, levels or {})
        self._environment = {"STRONGSWAN_CONF": self.folder / "strongswan.conf", "SWANCTL_DIR": self.folder}
        # charon asks for a plugin's constructor among the symbols that it has before it looks in its own folder for a file:
        # so the one of the build can be used without installing it.
        preload = {"LD_PRELOAD": PLUGIN} if kind == "penstock" else {}
        self._process = Process(
            namespace, ["/usr/sbin/charon-systemd"], self.folder / "output.log", {**self._environment, **preload})
        lab.peers.append(self)

    def _strongswan(self, sa_socket, ports, options, levels):
        kernel = "kernel-libipsec"
        plugins = {"vici": {"socket": f"unix://{self.vici}"}}
        if self.kind == "penstock":
            kernel = "kernel-penstock"
            plugins[kernel] = {"socket": sa_socket}
        daemon = {
            "load": f"{COMMON_PLUGINS} {kernel} kernel-netlink {PEER_PLUGINS}",
            "plugins": plugins,
            "install_routes": False,
            "install_virtual_ip": False,
            # kernel-libipsec makes routes for its selectors all the same: behind those of the test, where they do nothing.
            "routing_table_prio": 40000,
            # A peer that is gone is noticed in seconds: 1, 1.4, 2 and 2.7 s for a request and its repetitions.
            "retransmit_tries": 3,
            "retransmit_timeout": 1.0,
            "retransmit_base": 1.4,
            "journal": {"default": -1},
            "filelog": {"log": {
                "path": self.log_file, "flush_line": True, "append": True, "time_format": "%H:%M:%S", "time_add_ms": True,
                "default": 1, "ike": 1, "cfg": 1, "knl": 1, "enc": 1, "net": 1, **levels,
            }},
        }
        if ports:
            daemon["port"], daemon["port_nat_t"] = ports
        return {"charon-systemd": merge(daemon, options), "swanctl": {"load": COMMON_PLUGINS}}

    def set_option(self, more):
        """Lays settings over the section charon-systemd; they hold from the next start."""
        self._settings = merge(self._settings, {"charon-systemd": more})

    def start(self, load=True, timeout=30):
        """Starts the daemon and, unless told otherwise, loads its connections."""
        (self.folder / "strongswan.conf").write_text(render(self._settings) + "\n")
        self.vici.unlink(missing_ok=True)
        self._process.start()
        wait_for(self._answers, f"charon of {self.name} to answer; its log:\n{self.log_file}", timeout)
        if self.kind == "stock" and (self.inside or self.inside_routes):
            self._dress_device()
        if load:
            self.load()
        return self

    def _answers(self):
        self._process.check_running()
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.vici))
                return True
            except OSError:
                return False

    def _dress_device(self):
        wait_for(lambda: "ipsec0" in self.namespace.run("ip", "-o", "link", "show"), "the device ipsec0")
        self.namespace.address("ipsec0", *self.inside)
        for prefix in self.inside_routes:
            self.namespace.run("ip", "route", "replace", prefix, "dev", "ipsec0")

    def running(self):
        """True while the daemon is there."""
        return self._process.running()

    def stop(self):
        """Ends the daemon; it says goodbye to its peers."""
        self._process.stop()

    def kill(self):
        """SIGKILL: its peers hear nothing."""
        self._process.kill()

    def restart(self, load=True):
        """Ends the daemon in peace, if it is there, and starts it again."""
        self.stop()
        return self.start(load)

    def send_signal(self, number):
        """Sends the daemon a signal."""
        self._process.send_signal(number)

    def close(self):
        """Ends the daemon for good; nobody needs to hear of it."""
        self.kill()

    def swanctl(self, *words, check=True, timeout=60):
        """Runs swanctl against this daemon and returns its output."""
        settings = [f"{name}={value}" for name, value in self._environment.items()]
        return run("env", *settings, "swanctl", *words, "--uri", f"unix://{self.vici}", check=check, timeout=timeout)

    def load(self):
        """Writes swanctl.conf as the dicts are now, and loads all of it."""
        content = {"connections": self.connections, "secrets": self.secrets, "pools": self.pools, "authorities": self.authorities}
        file = self.folder / "swanctl.conf"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(render(content) + "\n")
        return self.swanctl("--load-all", "--clear", "--noprompt", "--file", file)

    def initiate(self, child=None, ike=None, timeout=30, check=True):
        """Brings up a child SA (or an IKE SA alone) and waits for it; returns swanctl's output."""
        return self.swanctl("--initiate", *self._which(child, ike), "--timeout", timeout, check=check, timeout=timeout + 15)

    def terminate(self, child=None, ike=None, force=False, timeout=30, check=True):
        """Takes down SAs; with `force` without waiting for the peer's answer."""
        return self.swanctl("--terminate", *self._which(child, ike), *(["--force"] if force else []),
                            "--timeout", timeout, check=check, timeout=timeout + 15)

    def rekey(self, child=None, ike=None, reauth=False):
        """Rekeys SAs; it does not wait for the end of it."""
        return self.swanctl("--rekey", *self._which(child, ike), *(["--reauth"] if reauth else []))

    @staticmethod
    def _which(child, ike):
        return [*(["--child", child] if child else []), *(["--ike", ike] if ike else [])]

    def list_sas(self, *words):
        """IKE SAs: dicts of swanctl's own names, with `name` and, in "child-sas", their child SAs, each with its `name`."""
        sas = []
        for message in parse_raw(self.swanctl("--list-sas", "--raw", "--pretty", *words)):
            sas += [{"name": name, **fields} for name, fields in message.items() if isinstance(fields, dict)]
        return sas

    def established(self, connection=None):
        """Established IKE SAs, of one connection or of all."""
        return [sa for sa in self.list_sas() if sa["state"] == "ESTABLISHED" and connection in (None, sa["name"])]

    def children(self, child=None):
        """Installed child SAs, of one name or of all."""
        return [fields for sa in self.list_sas() for fields in sa.get("child-sas", {}).values()
                if fields["state"] == "INSTALLED" and child in (None, fields["name"])]

    def wait_established(self, connection=None, count=1, timeout=45):
        """Waits for `count` established IKE SAs, and returns them."""
        return wait_for(lambda: self._enough(self.established(connection), count),
                        f"{count} established IKE SAs of {connection or 'any connection'} at {self.name}", timeout, every=0.1)

    def wait_children(self, child=None, count=1, timeout=45):
        """Waits for `count` installed child SAs, and returns them."""
        return wait_for(lambda: self._enough(self.children(child), count),
                        f"{count} installed child SAs of {child or 'any name'} at {self.name}", timeout, every=0.1)

    @staticmethod
    def _enough(found, count):
        return found if len(found) >= count else None

    def log(self):
        """All that the daemon has logged."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def wait_log(self, text, count=1, timeout=45):
        """Waits until a text stands so many times in the log."""
        wait_for(lambda: self.log().count(text) >= count, f"'{text}' in the log of {self.name}", timeout, every=0.1)


def psk_connection(local, remote, local_id=None, remote_id=None, child="net", **options):
    """A connection with pre-shared keys and one child SA between any addresses, as the clouds do.

    `options` are those of the connection; `child_options` in it are laid over the child's.
    """
    child_options = options.pop("child_options", {})
    return merge({
        "version": 2,
        "local_addrs": local,
        "remote_addrs": remote,
        "proposals": "aes256-sha256-ecp256",
        "encap": True,
        "local": {"auth": "psk", "id": local_id or local},
        "remote": {"auth": "psk", "id": remote_id or remote},
        "children": {child: merge({
            "local_ts": "0.0.0.0/0", "remote_ts": "0.0.0.0/0", "esp_proposals": "aes256gcm16", "start_action": "none",
        }, child_options)},
    }, options)


def psk_secret(*ids, secret="a shared key of the tests"):
    """A section of `secrets` for a pre-shared key between these identities."""
    return {**{f"id-{number}": identity for number, identity in enumerate(ids)}, "secret": secret}
