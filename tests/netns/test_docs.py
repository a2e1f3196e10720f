"""What the documents say exists: commands, options, files, folders, examples."""

import pathlib
import re
import shlex
import subprocess

import pytest

from lab import ROOT, build_folder

PROGRAMS = {"penstockctl": build_folder() / "dataplane" / "penstockctl", "penstockd": build_folder() / "dataplane" / "penstockd"}
DOCUMENTS = sorted(
    path for pattern in ("README.md", "*/README.md", "*/*/README.md", "*/*/*/README.md", "docs/*.md", "docs/*.scd")
    for path in ROOT.glob(pattern) if not path.relative_to(ROOT).parts[0].startswith(("build", "."))
)
SOURCES = ("bench", "config", "dataplane", "docs", "fpm_client", "ike_bridge", "packaging", "scripts", "tests")


def name_of(path):
    """A document's path from the top, for test ids."""
    return str(path.relative_to(ROOT))


def help_of(program, words=()):
    """Output of --help of a command."""
    return subprocess.run([str(PROGRAMS[program]), *words, "--help"], capture_output=True, text=True, check=True).stdout


def commands_of(program, words=()):
    """Every command of a program with its options: {("show", "sas"): {"--spi", ...}}."""
    text = help_of(program, words)
    found = {words: set(re.findall(r"^ +(?:-h,)?(--[a-z-]+)", text, re.MULTILINE))}
    section = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.MULTILINE)
    for name in re.findall(r"^  ([a-z-]+)", section[1], re.MULTILINE) if section else ():
        found |= commands_of(program, (*words, name))
    return found


@pytest.fixture(scope="module")
def commands():
    """Of both programs."""
    return {program: commands_of(program) for program in PROGRAMS}


def command_lines(text):
    """Lines of code that call one of the programs, as words."""
    for line in text.splitlines():
        quoted = re.findall(r"`([^`]+)`", line)
        for piece in [line, *quoted]:
            for part in re.split(r"\||&&|;", piece):
                part = re.sub(r"^(\$|#)? *(sudo )?", "", part.strip())
                if not re.match(r"(?:build/dataplane/)?penstock(ctl|d) ", part):
                    continue
                if part == line.strip() and not line.startswith(("    ", "\t", "penstock", "$ ", "sudo")):
                    continue  # a sentence that begins with the name
                try:
                    words = shlex.split(part, comments=True)
                except ValueError:
                    continue  # a piece of a sentence
                if words[1] != "-":  # the NAME section of a man page
                    yield [words[0].rsplit("/", 1)[-1], *words[1:]]


def unknown_of(words, commands):
    """What a command line has that the program has not."""
    known = commands[words[0]]
    command = ()
    problems = []
    for word in words[1:]:
        if word.startswith("--"):
            option = re.match(r"--[a-z-]+", word)
            if option and option[0] not in known[command] | known[()] | {"--help"}:
                problems.append(option[0])
        elif (*command, word) in known:
            command = (*command, word)
        elif any(other[:len(command)] == command and len(other) > len(command) for other in known) and re.fullmatch("[a-z-]+", word):
            if not command and len(words) > 2 and words[words.index(word) - 1].startswith("--"):
                continue  # an option's value
            problems.append(word)
    return problems


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_in_documents_exist(document, commands):
    wrong = [(" ".join(words), problems) for words in command_lines(document.read_text())
             if (problems := unknown_of(words, commands))]
    assert wrong == []


def test_the_search_for_wrong_commands_finds_them(commands):
    text = "    penstockctl show tunels\n    penstockctl show sas --spy 1\n`penstockctl drops` or `penstockctl show drops --all`\n"
    assert [unknown_of(words, commands) for words in command_lines(text)] == [["tunels"], ["--spy"], ["drops"], []]


@pytest.mark.parametrize("program", PROGRAMS)
def test_man_page_has_every_option_and_no_other(program, commands):
    page = (ROOT / "docs" / f"{program}.8.scd").read_text()
    options = set().union(*commands[program].values())
    written = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", page))
    assert options - written - {"--help"} == set()
    assert written - options == set()
    for command in commands[program]:
        if command:
            assert command[-1] in page, f"{program} {' '.join(command)}"


def test_every_show_of_the_documents_is_there(commands):
    shows = {command[1] for command in commands["penstockctl"] if command[:1] == ("show",) and len(command) == 2}
    assert {"status", "ports", "workers", "tunnels", "sas", "policies", "routes", "nexthop-groups", "neighbors", "counters", "drops",
            "stages"} <= shows


@pytest.mark.parametrize("example", sorted((ROOT / "config" / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_correct(example):
    done = subprocess.run([str(PROGRAMS["penstockd"]), "--check", "--config", str(example)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readmes_first_configuration_is_correct(tmp_path):
    text = (ROOT / "README.md").read_text()
    block = re.search(r"^    instance: .*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    file = tmp_path / "first.yaml"
    file.write_text(re.sub(r"^    ", "", block[0], flags=re.MULTILINE))
    done = subprocess.run([str(PROGRAMS["penstockd"]), "--check", "--config", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def tracked_folders():
    """Folders of the tree that hold files of ours."""
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    if not files:
        pytest.skip("not a git tree")
    return {pathlib.PurePath(file).parts[0] for file in files if "/" in file}, \
        {str(pathlib.PurePath(*pathlib.PurePath(file).parts[:2])) for file in files
         if file.count("/") >= 2 and file.startswith("dataplane/")}


def test_every_folder_says_what_it_is_for():
    tops, parts = tracked_folders()
    missing = [folder for folder in sorted((tops & set(SOURCES)) | parts)
               if not (ROOT / folder / "README.md").exists()]
    assert missing == []


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.suffix == ".md"], ids=name_of)
def test_links_and_paths_lead_somewhere(document):
    text = document.read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]
    # `folder/file` in code quotes: from here, from the top, or a name of C++, which goes without its ending.
    quoted = [path for path in re.findall(r"`((?:[\w.-]+/)+[\w.*-]*)`", text) if path.split("/")[0] in (*SOURCES, "..", ".")]
    missing = []
    for path in [*links, *quoted]:
        if path and not any(list(base.glob(path + end)) or (base / path).exists()
                            for base in (document.parent, ROOT, ROOT / "dataplane") for end in ("", ".h", ".cc")):
            missing.append(path)
    assert missing == []


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.suffix == ".md" and path.parent != ROOT], ids=name_of)
def test_file_tables_name_files_that_exist(document):
    """The first column of a README's table names files of its folder, with or without their ending."""
    missing = []
    for line in document.read_text().splitlines():
        cell = re.match(r"\| *(`[^|]+`) *\|", line)
        for name in re.findall(r"`([a-z_]+\.(?:h|cc|py|sh|proto|yaml))`", cell[1] if cell else ""):
            if not list(document.parent.glob(f"**/{name}")):
                missing.append(name)
    assert missing == []


def test_every_drop_reason_of_the_documents_exists():
    header = (ROOT / "dataplane" / "packet" / "drop_reason.h").read_text()
    reasons = set(re.findall(r'X\(\w+, "(\w+)"', header))
    assert len(reasons) > 30
    for document in DOCUMENTS:
        for line in document.read_text().splitlines():
            named = re.search(r"capture drop ([a-z_]+)", line)
            assert not named or named[1] in reasons, f"{name_of(document)}: {line}"
