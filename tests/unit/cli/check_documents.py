#!/usr/bin/env python3
"""Compares what penstockctl --help knows with its man page, and tries the completion.

usage: check_documents.py PENSTOCKCTL MAN_PAGE COMPLETION
"""

import os
import pathlib
import re
import subprocess
import sys


def commands_of(tool, words=()):
    """Every command with the options of its help: {("show", "sas"): {"--spi", ...}}."""
    text = subprocess.run([tool, *words, "--help"], capture_output=True, text=True, check=True).stdout
    found = {words: set(re.findall(r"^ +(?:-h,)?(--[a-z-]+)", text, re.MULTILINE))}
    section = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.MULTILINE)
    for name in re.findall(r"^  ([a-z-]+)", section.group(1), re.MULTILINE) if section else ():
        found |= commands_of(tool, (*words, name))
    return found


def sections_of(page):
    """The man page's text by command: what stands below '*show sas*' until the next command."""
    sections = {}
    current = ()
    for line in page.splitlines():
        head = re.match(r"^\*((?:[a-z-]+ ?)+)\*", line)
        if head and not line.startswith("*-"):
            current = tuple(head.group(1).split())
        sections[current] = sections.get(current, "") + line + "\n"
    return sections


def check_page(commands, page):
    """What one of the two has and the other does not."""
    sections = sections_of(page)
    problems = []
    for words, options in commands.items():
        inner = any(other[: len(words)] == words and other != words for other in commands)
        if words and not inner and words not in sections:
            problems.append(f"the man page has no section '*{' '.join(words)}*'")
            continue
        documented = set(re.findall(r"\*(--[a-z-]+)", sections.get(words, "")))
        for option in sorted(options - documented - {"--help"}):
            if not (words and option == "--detail"):
                problems.append(f"the man page says nothing of {' '.join(words)} {option}")
        everything = options | commands[()]
        for option in sorted(documented - everything):
            problems.append(f"the man page has {' '.join(words)} {option}, the tool has not")
    return problems


def complete(tool, script, *words):
    """What the completion offers for the last word."""
    code = (
        f"source {script}; COMP_WORDS=(penstockctl \"$@\"); COMP_CWORD=$#; _penstockctl; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = os.environ | {"PATH": f"{pathlib.Path(tool).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", code, "bash", *words], capture_output=True, text=True, check=True, env=environment
    )
    return set(done.stdout.split())


def check_completion(commands, tool, script):
    """Commands, options and fixed values must be offered."""
    problems = []
    for words, wanted in (
        (("",), {words[0] for words in commands if words}),
        (("show", "t"), {"tunnels"}),
        (("--json", "show", "sas", "--"), commands[("show", "sas")] | commands[()]),
        (("add", "sa", "--key-s"), {"--key-stdin"}),
        (("add", "sa", "--direction", ""), {"in", "out"}),
        (("set", "log-level", "d"), {"debug"}),
    ):
        offered = complete(tool, script, *words)
        if offered != wanted:
            problems.append(f"completing {words}: {sorted(offered)} instead of {sorted(wanted)}")
    return problems


def main():
    tool, page, script = (str(pathlib.Path(argument).resolve()) for argument in sys.argv[1:4])
    commands = commands_of(tool)
    problems = check_page(commands, pathlib.Path(page).read_text())
    problems += check_completion(commands, tool, script)
    print("\n".join(problems) or f"{len(commands)} commands agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
