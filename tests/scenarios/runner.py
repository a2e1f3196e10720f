"""What `scripts/scenario` runs: lists the scenarios, runs one, takes a kept one down."""

import argparse
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers"), str(HERE.parent / "netns")]

from catalog import SCENARIOS  # noqa: E402  pylint: disable=wrong-import-position
from kept import take_down  # noqa: E402  pylint: disable=wrong-import-position
from scenario import PREFIX  # noqa: E402  pylint: disable=wrong-import-position


def show_list():
    """One line for each scenario, and one on who stands where."""
    for scenario in SCENARIOS.values():
        print(f"{scenario.name:34}{scenario.title}\n{'':34}{scenario.about}")


def run(name, keep, json_file):
    """Runs a scenario; the exit status says whether all checks passed."""
    scenario = SCENARIOS[name](lambda text: print(text, flush=True), keep)
    passed = scenario.run()
    print("\n" + scenario.table())
    if json_file:
        scenario.write_json(json_file)
    if keep:
        hints = scenario.hints()
        print("\nIt keeps running. Try:")
        for command, remark in hints:
            print(f"  {command}\n      # {remark}")
        print("Take it down: scripts/scenario stop")
    return 0 if passed else 1


def stop():
    """Takes down what was kept."""
    there = take_down(PREFIX)
    for place in ("/etc/frr", "/var/run/frr"):
        for folder in pathlib.Path(place).glob(f"{PREFIX}*"):
            shutil.rmtree(folder, ignore_errors=True)
    print("the scenario is taken down" if there else "no scenario is running")


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="scenario", description="Reference networks with Penstock in them.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the scenarios")
    runs = commands.add_parser("run", help="build a network, make its checks, print a table")
    runs.add_argument("name", choices=SCENARIOS, metavar="NAME")
    runs.add_argument("--keep", action="store_true", help="leave it running, with hints of what to try")
    runs.add_argument("--json", metavar="FILE", help="write the result there too")
    commands.add_parser("stop", help="take down what --keep left")
    words = parser.parse_args()
    if words.command == "list":
        show_list()
    elif words.command == "stop":
        stop()
    else:
        take_down(PREFIX)
        sys.exit(run(words.name, words.keep, words.json))


if __name__ == "__main__":
    main()
