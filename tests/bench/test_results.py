"""What the figures are made of; never how large they are."""

import pytest

MACHINE = {"processor", "flags", "tsc_mhz", "kernel", "hypervisor", "governor", "hugepages", "load", "dpdk", "engine", "openssl", "march"}


def test_json_has_the_machine_and_agrees_with_itself(measured):
    found = measured("--frame", 64)
    assert MACHINE <= set(found["machine"])
    for row in found["results"]:
        hertz = float(found["machine"]["tsc_mhz"]) * 1e6
        assert row["packets"] > 0 and row["packets"] % 128 == 0
        assert row["cycles_p10"] <= row["cycles"] <= row["cycles_p90"]
        assert row["packets_per_second"] == pytest.approx(hertz / row["cycles"], rel=0.01)
        assert row["gigabits_per_second"] == pytest.approx(row["packets_per_second"] * 64 * 8 / 1e9, rel=0.01)
        cipher = "esp_encrypt" if row["mode"] == "esp-encap" else "esp_decrypt"
        assert row["stages"][cipher] > 0


@pytest.mark.parametrize("mode", ["esp-encap", "esp-decap", "esp-both"])
def test_rekeys_while_forwarding_lose_nothing(measured, mode):
    """A lost packet would be an error of the run."""
    row = measured("--forward-mode", mode, "--sas", 8, "--frame", 128, "--no-stages", "--rekey", 1000)["results"][0]
    assert row["rekeys_per_second"] > 0
    assert row["packets"] > 0


def test_reordering_inside_the_window_and_loss_cause_no_false_replay_drop(measured):
    row = measured("--forward-mode", "esp-decap", "--frame", 64, "--lose", 0.1, "--reorder", 64, "--replay-window", 128,
                   "--esn", "--no-stages")["results"][0]
    assert row["packets"] > 0


def test_reordering_beyond_the_window_is_dropped_as_it_should_be(bench):
    done = bench("--seconds", 0.1, "--forward-mode", "esp-decap", "--frame", 64, "--reorder", 512, "--replay-window", 32, "--no-stages")
    assert done.returncode != 0
    assert "packets were lost" in done.stderr and "replay" in done.stderr, done.stderr


def test_search_finds_rates_and_ordered_latencies(measured):
    row = measured("--forward-mode", "esp-encap", "--frame", 64, "--search", "--loss-tolerance", 0.95, "--no-stages",
                   "--seconds", 0.5)["results"][0]
    search = row["search"]
    assert 0 <= search["ndr"] and 0 < search["pdr"] <= 1.21 * row["packets_per_second"]
    assert [one["load"] for one in search["latencies"]] == [0.1, 0.5, 0.9]
    for one in search["latencies"]:
        assert 0 < one["p50"] <= one["p90"] <= one["p99"] <= one["p999"] <= one["largest"]


def test_an_idle_worker_sees_every_packet(measured):
    idle = measured("--idle", "--seconds", 0.4)["idle"]
    assert idle["packets"] > 0
    assert 0 < idle["share"] <= 1.05
    assert 0 < idle["delay_p50"] <= idle["delay_p99"] <= idle["delay_largest"]
