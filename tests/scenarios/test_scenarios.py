"""The scenarios, as people run them."""

import pytest

from catalog import SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    """Every check of a scenario passes."""
    scenario = SCENARIOS[name]()
    scenario.run()
    failed = [f"{check.name}: {check.detail}" for check in scenario.checks if not check.passed]
    assert scenario.checks and not failed, "\n".join(failed)
