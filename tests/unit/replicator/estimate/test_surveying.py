"""Promise: what the operator gives stands instead of what was found, and a connector without figures is unknown."""

from typing import Any, cast

from fakes.scripted import ScriptedSource
from replicator.estimate.arithmetic import estimate
from replicator.estimate.figures import CHANGES_UNKNOWN, ChangeRate, Origin, SourceFigures
from replicator.estimate.surveying import Given, Survey


def test_what_is_given_stands_instead_of_what_was_found() -> None:
    found = SourceFigures(records=5, changes=ChangeRate(1.0, 2.0))
    assert Given().over(found) == found
    given = Given(changes_per_s=7.0, records=9).over(found)
    assert (given.records, given.changes) == (9, ChangeRate(7.0, 7.0, Origin.CONFIGURED))
    asked = SourceFigures(notes=(f"{CHANGES_UNKNOWN}: forbidden", "mind this"))
    assert Given(changes_per_s=7.0).over(asked).notes == ("mind this",)
    assert Given(records=7).over(asked).notes == asked.notes


async def test_a_connector_without_figures_is_unknown_not_an_error() -> None:
    source = cast("Any", object.__new__(ScriptedSource))
    sides = await Survey(source, cast("Any", object()), lambda _: None, probe=True).run(Given())
    steps = estimate("p", *sides).steps
    assert {step.seconds for step in steps} == {None}
    assert "no figures" in sides[0].notes[0]
