"""A record as a page of Markdown with plots."""

import statistics

from plots import bars, stacks
from verdicts import GCM, verdicts

HEAD = """# Performance

Written by `scripts/bench --write-docs`. How it is measured is told in `bench/README.md`. Compare figures within one table only: machines differ,
and a shared one changes from minute to minute. Medians of alternating runs; +- is half the range in percent.
"""


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def _spread(values):
    return f"{(max(values) - min(values)) / statistics.median(values) * 50:.0f}"


def _machine(record):
    facts = record.get("memory", {}).get("machine") or record.get("peer", {}).get("machine") or {}
    return "## Machine\n" + _table(("fact", "value"), [(name, str(value)) for name, value in facts.items()])


def _verdicts(record):
    rows = [(one.what, one.target, one.measured, one.state) for one in verdicts(record)]
    missed = sum(row[3] == "missed" for row in rows)
    gaps = sum(row[3] == "not measured" for row in rows)
    return (f"## Targets: {len(rows) - missed - gaps} met, {missed} missed, {gaps} not measured\n"
            + _table(("what", "target", "measured", "verdict"), rows))


def _memory(record, pictures):
    rows = record.get("memory", {}).get("results", ())
    if not rows:
        return ""
    text = "## The whole path in memory: TSC cycles per packet\n" + _table(
        ("mode", "suite", "frame", "median", "p10", "p90", "+-%", "Gbps"),
        [(row["mode"], row["suite"], str(row["frame"]), f"{row['cycles']:.0f}", f"{row['cycles_p10']:.0f}",
          f"{row['cycles_p90']:.0f}", _spread(row["runs"]), f"{row['gigabits_per_second']:.1f}") for row in rows])
    groups = {f"{row['mode'][4:]} {row['frame']}": row["stages"] for row in rows if row["suite"] == GCM}
    pictures["stages.svg"] = stacks("Cycles per packet by stage, AES-GCM-128", groups)
    return text + "\n![stages](performance/stages.svg)\n"


def _peer(record, pictures):
    peer = record.get("peer", {})
    rows = peer.get("results", ())
    if not rows:
        return ""
    text = "## Against ipsec-secgw: Mpps of one core's time, replay window off\n" + _table(
        ("direction", "suite", "frame", "ipsec-secgw", "+-%", "Penstock", "+-%", "ratio"),
        [(row["direction"], row["suite"], str(row["frame"]), f"{statistics.median(row['secgw']) / 1e6:.2f}", _spread(row["secgw"]),
          f"{statistics.median(row['penstock']) / 1e6:.2f}", _spread(row["penstock"]), f"{row['ratio']:.2f}") for row in rows])
    for suite in dict.fromkeys(row["suite"] for row in rows):
        chosen = [row for row in rows if row["suite"] == suite]
        series = {name: [tuple(value / 1e6 for value in (statistics.median(row[key]), min(row[key]), max(row[key])))
                         for row in chosen] for name, key in (("ipsec-secgw", "secgw"), ("Penstock", "penstock"))}
        name = f"peer-{suite}.svg"
        pictures[name] = bars(f"Mpps, {suite}", [f"{row['direction'][4:]} {row['frame']}" for row in chosen], series)
        text += f"\n![{suite}](performance/{name})\n"
    for frame, rate in peer.get("harness", {}).items():
        text += f"\nThe ports alone (dpdk-testpmd, io mode), {frame} bytes: {rate / 1e6:.1f} Mpps.\n"
    return text


def _pairs(record):
    rows = record.get("pairs", ())
    if not rows:
        return ""
    return "## Against the simplest case: 64-byte frames, GCM-128, cycles\n" + _table(
        ("what", "mode", "cycles", "+-%", "simplest", "+-%"),
        [(row["name"], row["mode"], f"{statistics.median(row['tried']):.0f}", _spread(row["tried"]),
          f"{statistics.median(row['base']):.0f}", _spread(row["base"])) for row in rows])


def _search(record):
    rows = record.get("search", ())
    if not rows:
        return ""
    text = ("## Rates without loss, and latency\nPackets arrive evenly into a ring of 1024. NDR: no packet lost; PDR: at most 0.5 %.\n\n"
            + _table(("mode", "frame", "NDR Mpps", "PDR Mpps"),
                     [(row["mode"], str(row["frame"]), f"{row['search']['ndr'] / 1e6:.2f}", f"{row['search']['pdr'] / 1e6:.2f}")
                      for row in rows]))
    return text + "\n" + _table(
        ("mode", "frame", "load of PDR", "p50 us", "p90 us", "p99 us", "p99.9 us"),
        [(row["mode"], str(row["frame"]), f"{one['load']:.0%}", *(f"{one[key]:.1f}" for key in ("p50", "p90", "p99", "p999")))
         for row in rows for one in row["search"]["latencies"]])


def render(record):
    """The page, and the pictures by file name."""
    pictures = {}
    parts = [HEAD, _verdicts(record), _memory(record, pictures), _pairs(record), _peer(record, pictures), _search(record), _machine(record)]
    return "\n".join(part for part in parts if part), pictures
