"""The targets, and what a record says about each."""

import statistics
from dataclasses import dataclass

GCM = "aes-gcm-16-128"
CBC = "aes-cbc-256-hmac-sha1-96"
# VPP's cycles of the whole path with full vectors, of one machine: a ruler, not a run beside ours.
VPP_CBC = {"esp-encap": {64: 398, 512: 656, 1400: 1164}, "esp-decap": {64: 367, 512: 604, 1400: 1067}}


@dataclass(frozen=True)
class Verdict:
    what: str
    target: str
    measured: str
    state: str  # met, missed, or not measured

    @staticmethod
    def of(what, target, measured, met):
        return Verdict(what, target, measured, "met" if met else "missed")


def _peer(record):
    for row in record.get("peer", {}).get("results", ()):
        least = row["target"]
        yield Verdict.of(f"{row['direction']} {row['suite']} {row['frame']} against ipsec-secgw", f"at least {least:.1f} x",
                         f"{row['ratio']:.2f} x", row["ratio"] >= least)


def _harness(record):
    """85 % of the harness's own limit: its cycles and the cipher's together, at 1400 bytes."""
    peer = record.get("peer", {})
    harness = peer.get("harness", {}).get("1400")
    cipher = record.get("cipher_cycles")
    megahertz = peer.get("machine", {}).get("tsc_mhz")
    if not (harness and cipher and megahertz):
        return
    hertz = float(megahertz) * 1e6
    for row in peer["results"]:
        if row["suite"] != GCM or row["frame"] != 1400:
            continue
        limit = hertz / (hertz / harness + cipher[row["direction"]])
        share = statistics.median(row["penstock"]) / limit
        yield Verdict.of(f"{row['direction']} {GCM} 1400 against the harness's limit", "at least 85 %", f"{share:.0%}", share >= 0.85)


def _memory(record):
    for row in record.get("memory", {}).get("results", ()):
        what = f"{row['mode']} {row['suite']} {row['frame']} in memory"
        if row["suite"] == GCM and row["frame"] in (64, 1400):
            most = {64: 105, 1400: 300}[row["frame"]]
            yield Verdict.of(what, f"at most {most} cycles", f"{row['cycles']:.0f}", row["cycles"] <= most)
        if row["suite"] == CBC:
            vpp = VPP_CBC[row["mode"]][row["frame"]]
            most = vpp / 1.3 if row["frame"] == 64 else vpp
            text = f"at most {most:.0f} cycles (VPP {vpp})"
            yield Verdict.of(what, text, f"{row['cycles']:.0f}", row["cycles"] <= most)


LEAST_SHARE = {"replay window": 0.95, "10,000 SAs": 0.75, "1,000,000 routes": 0.85, "16-way ECMP": 0.95}
AGAINST = {"replay window": "window off", "10,000 SAs": "1 SA", "1,000,000 routes": "1 route", "16-way ECMP": "single next hops"}


def _pairs(record):
    for row in record.get("pairs", ()):
        share = statistics.median(row["base"]) / statistics.median(row["tried"])
        least = LEAST_SHARE[row["name"]]
        yield Verdict.of(f"{row['name']}, {row['mode']}, against {AGAINST[row['name']]}", f"at least {least:.0%}", f"{share:.0%}",
                         share >= least)


def _sizes(record):
    for row in record.get("pairs", ()):
        more = row["bytes"]["tried"] - row["bytes"]["base"]
        if row["name"] == "10,000 SAs" and row["mode"] == "esp-encap":
            each = more / 9999
            yield Verdict.of("memory of an SA, its keys' schedule, tunnel and route", "at most 2 KiB beyond the schedule",
                             f"{each:.0f} bytes in all", each <= 2048 + 1024)
        if row["name"] == "1,000,000 routes" and row["mode"] == "esp-encap":
            yield Verdict.of("memory of 1,000,000 routes", "at most 256 MiB", f"{more / 2**20:.0f} MiB", more <= 256 << 20)


def _control(record):
    rates = record.get("rekey", {}).get("rates")
    if rates:
        rate = statistics.median(rates)
        yield Verdict.of("SAs replaced while a worker forwards, no packet lost", "at least 20,000 a second", f"{rate:,.0f}", rate >= 20000)
    idle = record.get("idle")
    if idle:
        share = statistics.median(run["share"] for run in idle)
        delay = statistics.median(run["delay_p99"] for run in idle)
        yield Verdict.of("idle worker", "under 5 % of a core", f"{share:.1%}", share < 0.05)
        yield Verdict.of("first packet after idle (p99)", "at most 200 us", f"{delay:.0f} us", delay <= 200)


# What stands for each row of the table of targets: a piece that was not run leaves a gap that is said.
GROUPS = (("against ipsec-secgw", _peer), ("85 % of the harness's limit", _harness), ("whole path in memory", _memory),
          ("replay window, SAs, routes, ECMP", _pairs), ("memory", _sizes), ("SA replacement and idle workers", _control))


def verdicts(record):
    found = []
    for name, group in GROUPS:
        rows = list(group(record))
        found += rows or [Verdict(name, "", "", "not measured")]
    fpm = record.get("fpm")
    if fpm:
        found.append(Verdict.of("FPM routes into the live FIB", "at least 500,000 a second", f"{fpm['rate']:,.0f}", fpm["rate"] >= 500000))
    else:
        found.append(Verdict("FPM routes into the live FIB", "at least 500,000 a second", "", "not measured"))
    return found
