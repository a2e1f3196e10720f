"""Runs the whole comparison, or pieces of it, and writes the report: see bench/README.md."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "peer"))

from measure import PIECES, Measurer  # noqa: E402  pylint: disable=wrong-import-position
from processes import PeerError  # noqa: E402  pylint: disable=wrong-import-position
from render import render  # noqa: E402  pylint: disable=wrong-import-position
from verdicts import verdicts  # noqa: E402  pylint: disable=wrong-import-position


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--build", default="build", help=argparse.SUPPRESS)
    parser.add_argument("--secgw", help=argparse.SUPPRESS)
    parser.add_argument("--out", default="bench-results", help="folder of the records and the report")
    parser.add_argument("--pieces", default=",".join(PIECES), help=f"some of {','.join(PIECES)}, or none: only the report")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each case, in turns")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="CPU of the measured worker")
    parser.add_argument("--quick", action="store_true", help="one short run of each case")
    parser.add_argument("--write-docs", action="store_true", help="write docs/performance.md and its plots, too")
    options = parser.parse_args()
    options.pieces = [] if options.pieces == "none" else options.pieces.split(",")
    unknown = set(options.pieces) - set(PIECES)
    if unknown:
        parser.error(f"--pieces {','.join(sorted(unknown))}: expected some of {', '.join(PIECES)}, or none")
    if options.quick:
        options.rounds, options.seconds = 1, min(options.seconds, 0.3)
    return options


def load(folder):
    """All records of a folder, by piece."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def write(page, pictures, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, encoding="utf-8")
    folder = file.parent / "performance"
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (folder / name).write_text(picture, encoding="utf-8")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse_arguments()
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    measurer = Measurer(options.build, options.secgw, options.cpu, options.rounds, options.seconds)
    for number, piece in enumerate(options.pieces, 1):
        print(f"{number}/{len(options.pieces)} {piece}", file=sys.stderr, flush=True)
        try:
            found = getattr(measurer, piece)()
        except PeerError as error:
            print(f"bench: {piece}: {error}", file=sys.stderr)
            return 2
        (folder / f"{piece}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    record = load(folder)
    page, pictures = render(record)
    write(page, pictures, folder / "performance.md")
    if options.write_docs:
        write(page, pictures, Path("docs/performance.md"))
    for one in verdicts(record):
        print(f"{one.state:<12} {one.what}: {one.measured or '-'} ({one.target or 'see performance.md'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
