"""Promises of the settings that switch a function: as the host reads them, no other touched, put back exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.functions.settings import is_off, ours, put_back, turned

DOTTED, SCORED = "AzureWebJobs.onOrder.Disabled", "AzureWebJobs_onOrder_Disabled"

SETTINGS = st.dictionaries(
    st.sampled_from([DOTTED, SCORED, DOTTED.lower(), "AzureWebJobs.onOrder2.Disabled", "WEBSITE_RUN", "key"]),
    st.sampled_from(["true", "True", "1", " true ", "0", "false", "", "yes"]),
)


@given(SETTINGS, st.booleans())
def test_turned_is_as_asked_idempotent_and_touches_nothing_else(settings: dict[str, str], enabled: bool) -> None:
    result = turned(settings, "onOrder", enabled=enabled)
    assert is_off(result, "onOrder") is not enabled
    assert turned(result, "onOrder", enabled=enabled) == result
    assert _others(result) == _others(settings)


@given(SETTINGS, st.lists(st.booleans(), max_size=4), SETTINGS)
def test_put_back_is_exact_whatever_was_done_and_leaves_what_others_did(
    settings: dict[str, str], turns: list[bool], later: dict[str, str]
) -> None:
    now = settings
    for enabled in turns:
        now = turned(now, "onOrder", enabled=enabled)
    now = {**now, **_others(later)}
    result = put_back(now, "onOrder", ours(settings, "onOrder"))
    assert ours(result, "onOrder") == ours(settings, "onOrder")
    assert _others(result) == _others(now)


def _others(settings: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in ours(settings, "onOrder")}


@pytest.mark.parametrize(
    ("settings", "off"),
    [({}, False), ({DOTTED: "true"}, True), ({SCORED: "1"}, True), ({DOTTED: "false", SCORED: "TRUE"}, True),
     ({DOTTED: "0"}, False), ({DOTTED.upper(): "true"}, True), ({"AzureWebJobs.other.Disabled": "true"}, False)],
)  # fmt: skip
def test_the_host_takes_either_name_in_any_case(settings: dict[str, str], off: bool) -> None:
    assert is_off(settings, "onOrder") is off


def test_a_first_setting_has_the_documented_name() -> None:
    assert turned({}, "onOrder", enabled=False) == {DOTTED: "true"}
    assert turned({}, "onOrder", enabled=True) == {}
