"""What penstock-bench accepts, and what it says about the rest."""

import pytest


@pytest.mark.parametrize("arguments, expected", [
    (["--forward-mode", "esp-sideways"], "expected esp-encap, esp-decap, esp-both or io"),
    (["--suite", "rot13"], "rot13"),
    (["--frame", "10"], "--frame 10: expected"),
    (["--ports", "--rekey", "5", "--replay-window", "0"], "in memory only"),
    (["--forward-mode", "esp-encap", "--lose", "0.1"], "before decapsulation"),
    (["--forward-mode", "esp-decap", "--lose", "1.5"], "--lose 1.5: expected a share"),
    (["--forward-mode", "esp-both", "--search"], "one gateway"),
    (["--rekey", "-1"], "--rekey -1: expected"),
    (["--forward-mode", "esp-decap", "--reorder", "100000"], "--reorder 100000: expected at most the batch"),
    (["-m", "64", "--", "--frame", "64"], "EAL argument -m"),
    (["--no-such-option"], "see --help"),
])
def test_a_wrong_command_line_is_refused_with_a_reason(bench, arguments, expected):
    done = bench(*arguments)
    assert done.returncode != 0
    assert expected in done.stderr, done.stderr


def test_the_names_of_testpmd_are_understood(measured):
    found = measured("--forward-mode=esp-encap", "--txpkts=64,256", "--nb-cores=1", "--no-stages")
    assert [row["frame"] for row in found["results"]] == [64, 256]


def test_help_names_every_option(bench):
    done = bench("--help")
    assert done.returncode == 0
    for option in ("--rekey", "--lose", "--reorder", "--search", "--idle", "--txpkts", "--nb-cores"):
        assert option in done.stdout
