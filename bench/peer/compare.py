"""Penstock against DPDK's ipsec-secgw, side by side: see docs/performance.md."""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
from pathlib import Path

from cases import DIRECTIONS, FLOWS, FRAMES, SUITES, Case, secgw_config
from processes import Hugepages, PeerError, Program, run_json

NULL_PORT = 1


class Comparison:
    def __init__(self, options, hugepages, folder):
        self.options = options
        self.folder = Path(folder)
        self.cpu = options.cpu
        self.hugepages = hugepages
        self.machine = {}

    # Common EAL arguments; DPDK's own telemetry counts what comes out.
    def _eal(self, prefix, lcores, pcap):
        memory = ["--in-memory"] if self.hugepages else ["--no-huge", "-m", "512"]
        return ["-l", lcores, "--file-prefix", prefix, *memory, "--no-pci",
                "--vdev", f"net_pcap0,rx_pcap={pcap},infinite_rx=1", "--vdev", "net_null0,no-rx=1"]

    def _bench(self, case, *more):
        return run_json([self.options.bench, "--cpus", self.cpu, "--forward-mode", case.direction,
                         "--suite", case.suite.name, "--frame", case.frame, "--flows", FLOWS,
                         "--replay-window", 0, *more])

    def input_of(self, case):
        pcap = self.folder / f"{case}.pcap".replace(" ", "_")
        if not pcap.exists():
            self._bench(case, "--write-input", pcap)
        return pcap

    def penstock(self, case):
        found = self._bench(case, "--ports", "--input", self.input_of(case), "--no-stages",
                            "--seconds", self.options.seconds, "--json", "-")
        self.machine = found["machine"]
        return found["results"][0]["packets_per_second"]

    def secgw(self, case, driver):
        config = self.folder / "secgw.cfg"
        config.write_text(secgw_config(case), encoding="utf-8")
        prefix = f"penstock-peer-{os.getpid()}"
        unprotected = "0x2" if case.direction == "esp-encap" else "0x1"
        arguments = [self.options.secgw, *self._eal(prefix, str(self.cpu), self.input_of(case)),
                     "--vdev", f"{driver}0", "--", "-p", "0x3", "-P", "-u", unprotected, "-l",
                     "--config", f"(0,0,{self.cpu}),(1,0,{self.cpu})", "-f", str(config)]
        with Program(arguments, prefix, self.folder / "secgw.log") as program:
            program.wait_for_traffic(NULL_PORT)
            return program.packets_per_second(NULL_PORT, self.options.seconds)

    def harness(self, frame):
        """dpdk-testpmd forwarding untouched frames: what the ports alone allow."""
        case = Case(SUITES[0], "esp-encap", frame)
        prefix = f"penstock-peer-{os.getpid()}"
        main = 0 if self.cpu != 0 else 1
        arguments = ["dpdk-testpmd", *self._eal(prefix, f"{main},{self.cpu}", self.input_of(case)),
                     "--main-lcore", str(main), "--", "--forward-mode=io", "--nb-cores=1",
                     "--auto-start", "--burst=64"]
        with Program(arguments, prefix, self.folder / "testpmd.log") as program:
            program.wait_for_traffic(NULL_PORT)
            return program.packets_per_second(NULL_PORT, self.options.seconds)


def compare(comparison, case, rounds):
    """Alternating runs; the sample uses the driver that was faster in the first round."""
    drivers = list(case.suite.drivers)
    ours, theirs = [], {driver: [] for driver in drivers}
    for _ in range(rounds):
        ours.append(comparison.penstock(case))
        for driver in drivers:
            theirs[driver].append(comparison.secgw(case, driver))
        drivers = [max(drivers, key=lambda name: theirs[name][0])]
    driver = drivers[0]
    ratio = statistics.median(ours) / statistics.median(theirs[driver])
    return {
        "direction": case.direction, "suite": case.suite.name, "frame": case.frame,
        "secgw_driver": driver, "penstock": ours, "secgw": theirs[driver],
        "ratio": ratio, "target": case.target, "met": ratio >= case.target,
    }


def spread(values):
    return (max(values) - min(values)) / statistics.median(values) * 50


def print_table(results, harness):
    print(f"{'direction':<10} {'suite':<25} {'frame':>5} {'secgw':>8} {'+-%':>4} {'penstock':>8} "
          f"{'+-%':>4} {'ratio':>6}  target")
    for row in results:
        verdict = "met" if row["met"] else "MISSED"
        print(f"{row['direction']:<10} {row['suite']:<25} {row['frame']:>5} "
              f"{statistics.median(row['secgw']) / 1e6:>8.2f} {spread(row['secgw']):>4.0f} "
              f"{statistics.median(row['penstock']) / 1e6:>8.2f} {spread(row['penstock']):>4.0f} "
              f"{row['ratio']:>6.2f}  at least {row['target']:.1f} x: {verdict}")
    for frame, rate in harness.items():
        print(f"{'io':<10} {'(dpdk-testpmd)':<25} {frame:>5} {rate / 1e6:>8.2f}")
    print("Mpps of one worker core's time; medians of alternating runs, half the range as +-")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench-peer", description=__doc__)
    parser.add_argument("--bench", default="build/bench/penstock-bench", help=argparse.SUPPRESS)
    parser.add_argument("--secgw", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)),
                        help="CPU of the measured worker (default: the last)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating runs of each case")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--suites", default=",".join(suite.name for suite in SUITES))
    parser.add_argument("--frames", default=",".join(map(str, FRAMES)))
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--quick", action="store_true", help="one short run of each case")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, min(options.seconds, 0.5)
    names = options.suites.split(",")
    unknown = set(names) - {suite.name for suite in SUITES}
    if unknown:
        parser.error(f"--suites {','.join(unknown)}: expected some of "
                     f"{', '.join(suite.name for suite in SUITES)}")
    options.frames = [int(frame) for frame in options.frames.split(",")]
    options.suites = [suite for suite in SUITES if suite.name in names]
    return options


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run(options, folder):
    with Hugepages() as hugepages:
        comparison = Comparison(options, hugepages.enough, folder)
        cases = [Case(suite, direction, frame) for suite in options.suites
                 for direction in DIRECTIONS for frame in options.frames]
        results, harness = [], {}
        if shutil.which("dpdk-testpmd") and len(os.sched_getaffinity(0)) > 1:
            for frame in options.frames:
                progress(f"dpdk-testpmd io {frame}")
                harness[frame] = comparison.harness(frame)
        for number, case in enumerate(cases, 1):
            progress(f"{number}/{len(cases)} {case}")
            results.append(compare(comparison, case, options.rounds))
        progress("")
    print_table(results, harness)
    if options.json:
        Path(options.json).write_text(json.dumps(
            {"machine": comparison.machine, "harness": harness, "results": results}, indent=2) + "\n",
            encoding="utf-8")
    missed = [row for row in results if row["ratio"] < 1]
    return 1 if missed else 0


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="penstock-peer-") as folder:
        try:
            return run(options, folder)
        except PeerError as error:
            print(f"bench-peer: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
