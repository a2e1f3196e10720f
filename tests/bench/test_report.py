"""The report of recorded inputs."""

import copy
import xml.etree.ElementTree

import pytest

from render import render
from verdicts import verdicts

GCM = "aes-gcm-16-128"


def memory_row(mode, frame, cycles):
    return {"mode": mode, "suite": GCM, "frame": frame, "cycles": cycles, "cycles_p10": cycles - 2, "cycles_p90": cycles + 5,
            "gigabits_per_second": 9.5, "runs": [cycles, cycles + 1, cycles - 1], "stages": {"classify": 17.5, "esp_encrypt": 80.0}}


RECORD = {
    "memory": {"machine": {"processor": "a processor", "tsc_mhz": "2000.0"},
               "results": [memory_row("esp-encap", 64, 104.0), memory_row("esp-encap", 1400, 301.0)]},
    "peer": {"machine": {"tsc_mhz": "2000.0"}, "harness": {"1400": 20e6},
             "results": [{"direction": "esp-encap", "suite": GCM, "frame": 1400, "target": 1.4, "ratio": 1.5,
                          "penstock": [6e6, 6.1e6, 5.9e6], "secgw": [4e6, 4e6, 4.1e6]}]},
    "cipher_cycles": {"esp-encap": 200.0, "esp-decap": 190.0},
    "pairs": [{"name": "10,000 SAs", "mode": "esp-encap", "tried": [200.0], "base": [100.0],
               "bytes": {"tried": 20_000_000, "base": 1_000_000}}],
    "rekey": {"rates": [19_000.0, 25_000.0, 30_000.0]},
    "idle": [{"share": 0.04, "delay_p99": 250.0}],
}


def state_of(record, beginning):
    found = [one for one in verdicts(record) if one.what.startswith(beginning)]
    assert len(found) == 1, [one.what for one in verdicts(record)]
    return found[0]


@pytest.mark.parametrize("what, state, measured", [
    (f"esp-encap {GCM} 64 in memory", "met", "104"),
    (f"esp-encap {GCM} 1400 in memory", "missed", "301"),
    (f"esp-encap {GCM} 1400 against ipsec-secgw", "met", "1.50 x"),
    (f"esp-encap {GCM} 1400 against the harness's limit", "met", "90%"),
    ("10,000 SAs", "missed", "50%"),
    ("memory of an SA", "met", "1900 bytes in all"),
    ("SAs replaced", "met", "25,000"),
    ("idle worker", "met", "4.0%"),
    ("first packet after idle", "missed", "250 us"),
])
def test_each_target_has_its_verdict(what, state, measured):
    one = state_of(RECORD, what)
    assert (one.state, one.measured) == (state, measured)


def test_what_was_not_run_is_said():
    assert {one.state for one in verdicts({})} == {"not measured"}
    record = copy.deepcopy(RECORD)
    del record["idle"], record["rekey"]
    assert state_of(record, "SA replacement").state == "not measured"


def test_the_page_shows_tables_and_its_pictures_are_there():
    page, pictures = render(RECORD)
    assert "not measured" in page and "a processor" in page
    for name in pictures:
        assert f"(performance/{name})" in page
    assert page.count("](performance/") == len(pictures)


def test_pictures_are_sound_svg():
    _, pictures = render(RECORD)
    assert pictures
    for picture in pictures.values():
        root = xml.etree.ElementTree.fromstring(picture)
        bars = [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("fill") not in ("white", None)]
        assert len(bars) > 2
        for one in bars:
            assert float(one.get("height")) >= 0 and float(one.get("y")) >= 0
