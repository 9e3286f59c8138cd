"""Promises of `replicator estimate`: what is unknown or never ends is said so, to people and to machines."""

import io
import json
import math
import sys
from unittest.mock import patch

import pytest
from rich.console import Console

from replicator.cli import main
from replicator.cli.estimate import _numbers, as_document
from replicator.cli.estimate_views import bytes_text, needs_text, render, time_text
from replicator.errors import ConfigurationError
from replicator.estimate.arithmetic import MigrationEstimate, PipelineEstimate, Step, StepName
from replicator.estimate.figures import ChangeRate, Origin
from replicator.estimate.prices import load_prices

STEPS = (
    Step(StepName.COPY, 1000, 3600.0, {"cosmos.request_unit": 6000.0, "egress.byte": 2e9}, Origin.MEASURED),
    Step(StepName.CATCH_UP, math.inf, math.inf, None, Origin.ASSUMED),
    Step(StepName.DRAIN, 0, 6.0, {}, Origin.CONFIGURED),
    Step(StepName.VERIFICATION, 1000, None, {"new.meter": 1.0}, Origin.ASSUMED),
)
FOUND = MigrationEstimate((PipelineEstimate("orders", STEPS, 1000, 500.0, ChangeRate(1.5, 20.0), ("mind this",)),))


def shown(*, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=200, color_system=None, highlight=False)
    render(FOUND, load_prices(None), console, example_prices=True)
    return file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_people_are_told_everything(terminal: bool) -> None:
    text = shown(terminal=terminal)
    for said in (
        "orders: 1,000 records of 500 bytes on average to copy, 1.5 changes/s on average and 20.0 at the busiest",
        "60.0 min",
        "2.0 GB egress",
        "never ends",
        "unknown",
        "orders: note: mind this",
        "example prices, not yours",
        "what has no price: new.meter",
    ):
        assert said in text


def test_machines_are_told_null_for_what_is_unknown_and_no_infinity() -> None:
    document = json.loads(
        json.dumps(as_document("shop", FOUND, load_prices(None), example_prices=True), allow_nan=False)
    )
    copy, catch_up, _, verification = document["pipelines"]["orders"]["steps"]
    assert copy["needs"] == {"cosmos.request_unit": 6000.0, "egress.byte": 2e9}
    assert copy["cost"] == pytest.approx(6000 / 1e6 * 0.25 + 2 * 0.09)
    assert (catch_up["seconds"], catch_up["never"], catch_up["cost"]) == (None, True, None)
    assert (verification["seconds"], verification["never"], verification["unpriced"]) == (None, False, ["new.meter"])
    assert (document["lead_s"], document["lead_never"], document["cost"]) == (None, True, None)
    assert document["example_prices"] is True


def test_the_words() -> None:
    assert [time_text(s) for s in (None, math.inf, 90.0)] == ["unknown", "never ends", "90.0 s"]
    assert [bytes_text(b) for b in (1.0, 999.0, 1500.0, 2e9)] == ["1 byte", "999 bytes", "1.5 KB", "2.0 GB"]
    assert needs_text({}) == "nothing"


@pytest.mark.parametrize("text", ["orders", "orders=", "orders=-1", "orders=inf", "orders=nan", "orders=many"])
def test_what_is_no_number_of_a_pipeline_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no PIPELINE=N"):
        _numbers("--records", [text])


def test_numbers_by_pipeline() -> None:
    assert _numbers("--records", ["a=5", "b=2.5"]) == {"a": 5.0, "b": 2.5}


def test_the_example_of_prices_needs_no_config(capsys: pytest.CaptureFixture[str]) -> None:
    with patch.object(sys, "argv", ["replicator", "estimate", "--print-prices"]), pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert "currency: USD" in capsys.readouterr().out
