"""The measurements of the whole comparison, in pieces that can be run apart; each gives a JSON value."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "peer"))

from processes import run_json  # noqa: E402  pylint: disable=wrong-import-position

GCM = "aes-gcm-16-128"
CBC = "aes-cbc-256-hmac-sha1-96"
MODES = ("esp-encap", "esp-decap")
FRAMES = (64, 512, 1400)

# Pairs of runs whose throughput is compared: arguments of the tried one, and of what it is held against.
PAIRS = {
    "replay window": (["--replay-window", "1024", "--esn"], ["--replay-window", "0", "--esn"], ("esp-decap",)),
    "10,000 SAs": (["--sas", "10000", "--flows", "65536"], ["--flows", "65536"], MODES),
    "1,000,000 routes": (["--routes", "1000000", "--flows", "65536"], ["--flows", "65536"], MODES),
    "16-way ECMP": (["--sas", "16", "--ecmp", "16"], ["--sas", "16", "--routes", "16"], ("esp-encap",)),
}


class Measurer:
    def __init__(self, build, secgw, cpu, rounds, seconds):
        self._build = Path(build)
        self._secgw = secgw
        self._cpu = cpu
        self._rounds = rounds
        self._seconds = seconds

    def _bench(self, *arguments):
        seconds = () if "--seconds" in arguments else ("--seconds", self._seconds)
        return run_json([self._build / "bench/penstock-bench", "--cpus", self._cpu, *seconds, "--json", "-",
                         *arguments])

    def memory(self):
        """Cycles of the whole path in memory, with stages; the round with the median is kept."""
        rows = {}
        machine = None
        for _ in range(self._rounds):
            found = self._bench("--suite", f"{GCM},{CBC}", "--frame", ",".join(map(str, FRAMES)))
            machine = found["machine"]
            for row in found["results"]:
                rows.setdefault((row["mode"], row["suite"], row["frame"]), []).append(row)
        results = []
        for runs in rows.values():
            runs.sort(key=lambda row: row["cycles"])
            results.append({**runs[len(runs) // 2], "runs": [row["cycles"] for row in runs]})
        return {"machine": machine, "results": results}

    def pairs(self):
        """Alternating runs of two configurations at 64-byte frames."""
        found = []
        for name, (tried, base, modes) in PAIRS.items():
            for mode in modes:
                cycles = {"tried": [], "base": []}
                size = {}
                for _ in range(self._rounds):
                    for which, arguments in (("tried", tried), ("base", base)):
                        row = self._bench("--forward-mode", mode, "--frame", 64, "--no-stages", *arguments)["results"][0]
                        cycles[which].append(row["cycles"])
                        size[which] = row["site_bytes"]
                found.append({"name": name, "mode": mode, **cycles, "bytes": size})
        return found

    def rekey(self):
        """SAs replaced while a worker forwards: any lost packet is an error of the run."""
        rates = []
        for _ in range(self._rounds):
            row = self._bench("--forward-mode", "esp-both", "--sas", 64, "--frame", 512, "--no-stages", "--rekey",
                              1_000_000)["results"][0]
            rates.append(row["rekeys_per_second"])
        return {"rates": rates}

    def idle(self):
        """What a worker in adaptive polling takes while nothing comes."""
        return [self._bench("--idle", "--seconds", 2)["idle"] for _ in range(self._rounds)]

    def search(self):
        """Rates without loss, and latencies."""
        return self._bench("--search", "--frame", "64,1400", "--no-stages")["results"]

    def crypto(self):
        """The cipher alone, in the first level cache."""
        program = self._build / "bench/micro/crypto_bench"
        done = subprocess.run(["taskset", "-c", str(self._cpu), str(program), "--benchmark_format=json",
                               "--benchmark_min_time=0.1"], capture_output=True, text=True, check=True)
        return [{key: row[key] for key in row if key in ("name", "real_time", "time_unit", "cycles", "cycles/packet")}
                for row in json.loads(done.stdout)["benchmarks"]]

    def peer(self):
        """Penstock, ipsec-secgw and dpdk-testpmd between the same ports, in turns."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "peer.json"
            script = Path(__file__).resolve().parent.parent / "peer/compare.py"
            done = subprocess.run(
                [sys.executable, str(script), "--bench", str(self._build / "bench/penstock-bench"), "--secgw",
                 str(self._secgw), "--cpu", str(self._cpu), "--rounds", str(self._rounds), "--seconds",
                 str(self._seconds), "--suites", f"{GCM},{CBC}", "--json", str(target)],
                stdout=subprocess.DEVNULL, check=False)
            if not target.exists():
                raise SystemExit(f"bench: the comparison with ipsec-secgw ended with status {done.returncode}")
            return json.loads(target.read_text(encoding="utf-8"))


PIECES = ("memory", "pairs", "rekey", "idle", "search", "crypto", "peer")
