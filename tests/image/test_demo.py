"""Promise: the demo's image needs nothing but itself, not even a network."""

from __future__ import annotations

from typing import Any

from image.boxes import STATE, box, ended, volume


def test_it_migrates_everything_without_a_network(engine: Any, demo: Any) -> None:
    with (
        volume(engine) as state,
        box(
            engine,
            demo,
            ["demo", "--seconds", "5"],
            network_mode="none",
            volumes={state.name: {"bind": STATE, "mode": "rw"}},
        ) as container,
    ):
        code, said = ended(container, 600)
        assert code == 0, said
        assert said.count(": EQUAL, ") == 4
        assert "\nEQUAL: everything is on the other side." in said
        assert container.diff() is None
