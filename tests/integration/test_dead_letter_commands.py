"""Promises of `replicator dead-letters`: every letter is reached, however many there are, and its key shown whole."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fakes.served import Served, served
from replicator.documents import key_text

MANY = 1500
"""More than any one answer holds."""


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


def key(number: int) -> str:
    return key_text({"customer": "c", "order": f"{number:05}"})


class TestRetry:
    def test_all_of_a_pipeline_are_reached_behind_any_number_of_others(self, place: Served) -> None:
        """Those that are refused again stand in nobody's way, and are asked for once."""
        others, ours = [key(n) for n in range(MANY)], [key(n) for n in range(MANY + 7)]
        place.refuse("customers", others)
        place.refuse("orders", ours)
        stubborn = set(ours[::10])
        place.daemon.refuses = stubborn.__contains__
        said = place.replicator("dead-letters", "retry", "orders", "--all", expect=1)
        assert said == "1,356 resolved, 151 still open\n"
        assert place.left("orders") == stubborn
        assert place.left("customers") == set(others)
        assert [k for page in place.daemon.asked for k in page] == ours
        assert max(map(len, place.daemon.asked)) <= 100, "each request is answered in bounded time"

    def test_nothing_to_do_is_fine(self, place: Served) -> None:
        assert place.replicator("dead-letters", "retry", "orders", "--all") == ("no dead letters of orders are open\n")
        answer = json.loads(place.replicator("dead-letters", "retry", "orders", "--all", "--json"))
        assert answer == {"resolved": 0, "open": 0, "unknown": []}

    def test_for_machines(self, place: Served) -> None:
        place.refuse("orders", [key(1), key(2)])
        place.daemon.refuses = key(2).__eq__
        said = place.replicator("dead-letters", "retry", "orders", "--all", "--json", expect=1)
        assert json.loads(said) == {"resolved": 1, "open": 1, "unknown": []}

    def test_single_keys_however_their_json_is_spelled(self, place: Served) -> None:
        place.refuse("orders", [key(1), key(2), "no json"])
        spelled = '{ "order": "0000\\u0031", "customer": "c" }'
        said = place.replicator("dead-letters", "retry", "orders", "--key", spelled, "--key", "no json")
        assert said == "2 resolved, 0 still open\n"
        assert place.left("orders") == {key(2)}

    def test_a_key_without_a_dead_letter_is_named(self, place: Served) -> None:
        place.refuse("orders", [key(1)])
        _, error = place.said("dead-letters", "retry", "orders", "--key", key(1), "--key", "x", expect=2)
        assert "no dead letter of orders is open for x" in error
        assert place.left("orders") == set(), "the other one was taken up"

    @pytest.mark.parametrize("options", [[], ["--all", "--key", "k"]])
    def test_it_is_said_which_ones(self, place: Served, options: list[str]) -> None:
        """A forgotten option is not a success."""
        _, error = place.said("dead-letters", "retry", "orders", *options, expect=2)
        assert "either --key" in error
        assert place.daemon.asked == []

    def test_what_was_done_is_told_when_the_daemon_goes_no_further(self, place: Served) -> None:
        place.refuse("orders", [key(n) for n in range(250)])
        place.daemon.failed = lambda: len(place.daemon.asked) == 2
        output, error = place.said("dead-letters", "retry", "orders", "--all", expect=2)
        assert output == ""
        assert "200 resolved, 0 still open when it was broken off" in error
        assert "409: pipelines.orders: has failed" in error

    def test_an_unknown_pipeline_is_named(self, place: Served) -> None:
        for command in (["retry", "nope", "--all"], ["retry", "nope", "--key", "k"], ["list", "nope"]):
            _, error = place.said("dead-letters", *command, expect=2)
            assert "there is no pipeline nope" in error
            assert len(error.splitlines()) == 1, "nothing was begun that could be broken off"


class TestList:
    def test_keys_are_whole_on_any_terminal(self, place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        """They are what is copied into `retry`."""
        monkeypatch.setenv("COLUMNS", "30")
        long = key_text({"customer": "c" * 2000, "order": "o"})
        place.refuse("orders", [long])
        said = place.replicator("dead-letters", "list")
        assert f" {long}\n" in said
        assert "orders: seen 1 time, last at 20" in said
        assert "  reason  too large\n" in said
        assert said.endswith("\n1 dead letter is open\n")
        place.replicator("dead-letters", "retry", "orders", "--key", long)
        assert place.left("orders") == set()

    def test_what_a_terminal_would_obey_is_escaped_and_may_be_given_back(self, place: Served) -> None:
        tricky = key_text({"customer": "\x1b[2J\u009b2J\u202e\U000e0001é"})
        place.refuse("orders", [tricky], "bad \u009b")
        said = place.replicator("dead-letters", "list")
        assert said.replace("\n", "").isprintable()
        (line,) = [line for line in said.splitlines() if line.startswith("  key")]
        assert "é" in line
        place.replicator("dead-letters", "retry", "orders", "--key", line.removeprefix("  key").strip())
        assert place.left("orders") == set()

    def test_all_are_listed_or_those_of_one_pipeline(self, place: Served) -> None:
        place.refuse("customers", [key(n) for n in range(MANY)])
        place.refuse("orders", [key(n) for n in range(3)])
        everything = json.loads(place.replicator("dead-letters", "list", "--json"))
        assert [d["key"] for d in everything] == [key(n) for n in (*range(MANY), *range(3))]
        assert {"pipeline", "reason", "count", "committed_at"} <= set(everything[0])
        ours = json.loads(place.replicator("dead-letters", "list", "orders", "--json"))
        assert [(d["pipeline"], d["key"]) for d in ours] == [("orders", key(n)) for n in range(3)]
        assert (place.replicator("dead-letters", "list")).endswith("1,503 dead letters are open\n")

    def test_none_is_said_too(self, place: Served) -> None:
        assert place.replicator("dead-letters", "list") == "no dead letters are open\n"
        assert json.loads(place.replicator("dead-letters", "list", "--json")) == []


class TestInterface:
    """What other programs call."""

    @pytest.fixture
    def http(self, place: Served) -> Iterator[httpx.Client]:
        with httpx.Client(base_url=place.url, trust_env=False) as client:
            yield client

    def test_pages_lead_to_the_end(self, place: Served, http: httpx.Client) -> None:
        place.refuse("orders", [key(n) for n in range(5)])
        found: list[str] = []
        asked = {"limit": "2", "pipeline": "orders"}
        for _ in range(3):
            page = (http.get("/v1/dead-letters", params=asked)).json()
            found += [d["key"] for d in page["dead_letters"]]
            asked["after"] = page["next"]
        assert found == [key(n) for n in range(5)]
        assert page["next"] is None

    @pytest.mark.parametrize(
        ("query", "status"),
        [("limit=0", 422), ("limit=1001", 422), ("after=x", 400), ("pipeline=nope", 404), ("pipeline=orders", 200)],
    )
    def test_what_makes_no_sense_is_refused(self, http: httpx.Client, query: str, status: int) -> None:
        answer = http.get(f"/v1/dead-letters?{query}")
        assert answer.status_code == status
        assert answer.json()

    def test_retrying_tells_resolved_open_and_unknown(self, place: Served, http: httpx.Client) -> None:
        place.refuse("orders", [key(1), key(2)])
        place.daemon.refuses = key(2).__eq__
        body = {"pipeline": "orders", "keys": [key(1), key(2), "x"]}
        answer = http.post("/v1/dead-letters/retry", json=body)
        assert answer.json() == {"resolved": 1, "open": 1, "unknown": ["x"]}
        place.daemon.failed = lambda: True
        assert (http.post("/v1/dead-letters/retry", json=body)).status_code == 409
        assert (http.post("/v1/dead-letters/retry", json={**body, "pipeline": "nope"})).status_code == 404
        assert (http.post("/v1/dead-letters/retry", json={**body, "keys": []})).status_code == 422
