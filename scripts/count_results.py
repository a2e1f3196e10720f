"""Sums the JUnit files of a folder and prints `N passed, N failed[, N skipped]` last."""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def main():
    """Counts, lists failures and skips with their reasons; exit status 1 if anything failed."""
    passed, failed, skipped = 0, [], []
    for file in sorted(pathlib.Path(sys.argv[1]).glob("*.xml")):
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            failed.append(f"{file.stem}: unreadable results: {error}")
            continue
        for case in root.iter("testcase"):
            name = f"{file.stem}: {case.get('classname', '')} {case.get('name', '')}"
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(name)
            elif skip is not None or case.get("result") == "skipped":
                reason = (skip.get("message") or skip.text or "") if skip is not None else ""
                skipped.append(f"{name}: {' '.join(reason.split())}")
            else:
                passed += 1
    print()
    for line in skipped:
        print("skipped:", line)
    for line in failed:
        print("FAILED:", line)
    if passed == 0 and not failed:
        failed.append("no test ran")
    print(f"{passed} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
