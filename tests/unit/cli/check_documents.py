#!/usr/bin/env python3
"""Compares penstockctl --help with its man page, tries the completion, and looks for the schema's fields in penstock.yaml(5).

usage: check_documents.py PENSTOCKCTL MAN_PAGE COMPLETION CONFIG_PAGE SCHEMA
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


def sections_of(page, commands):
    """The man page's text by command: what stands below '*show sas*' until the next command."""
    sections = {}
    current = ()
    for line in page.splitlines():
        head = re.match(r"^\*((?:[a-z-]+ ?)+)\*", line)
        if head and tuple(head.group(1).split()) in commands:
            current = tuple(head.group(1).split())
        sections[current] = sections.get(current, "") + line + "\n"
    return sections


def check_page(commands, page):
    """What one of the two has and the other does not."""
    sections = sections_of(page, commands)
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
        everything = options | commands[()] | {"--detail"}  # explained once, for all of show
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


def check_config_page(page, schema):
    """Every field of the configuration must be explained."""
    fields = set(re.findall(r"^ *(?:optional |repeated )?[A-Za-z0-9]+ ([a-z_0-9]+) = \d+;", schema, re.MULTILINE))
    return [f"penstock.yaml(5) says nothing of {field}" for field in sorted(fields) if f"*{field}*" not in page]


def main():
    tool, page, script, config_page, schema = (str(pathlib.Path(argument).resolve()) for argument in sys.argv[1:6])
    commands = commands_of(tool)
    problems = check_page(commands, pathlib.Path(page).read_text())
    problems += check_completion(commands, tool, script)
    problems += check_config_page(pathlib.Path(config_page).read_text(), pathlib.Path(schema).read_text())
    print("\n".join(problems) or f"{len(commands)} commands agree")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
