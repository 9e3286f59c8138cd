"""Promise: many keys are answered by few listings, whatever lies between them, and by single reads otherwise."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.connectors.azure.blob.test_label import properties

from connectors.azure.blob.calls import Calls
from connectors.azure.blob.label import LabelRules, label_of
from connectors.azure.blob.names import sort_key
from connectors.azure.blob.observing import MANY, Observer
from fakes.objects import stored
from fakes.targets import open_delivery
from replicator.model import ABSENT
from replicator.telemetry import Metrics, PipelineTelemetry

RULES = LabelRules()


def refusal(status: int, code: str) -> HttpResponseError:
    headers = {"x-ms-error-code": code, "x-ms-request-id": "r"}
    response: Any = SimpleNamespace(
        status_code=status, headers=headers, reason=code, content_type="", text=lambda *_: ""
    )
    kind = ResourceNotFoundError if status == 404 else HttpResponseError
    return kind(message=code, response=response)


class Pages:
    """One page; a token where more would follow."""

    def __init__(self, blobs: list[BlobProperties], token: str | None) -> None:
        self._blobs = blobs
        self.continuation_token = token

    def by_page(self) -> "Pages":
        return self

    async def __anext__(self) -> AsyncIterator[BlobProperties]:
        async def blobs() -> AsyncIterator[BlobProperties]:
            for blob in self._blobs:
                yield blob

        return blobs()


class Holding:
    """A container that holds these names, and counts what it is asked."""

    def __init__(self, names: list[str], *, short: int | None = None, order: Any = sort_key) -> None:
        self.names = sorted(names, key=order)
        self.short = short
        self.listings = 0
        self.reads: list[str] = []

    def list_blobs(self, *, include: list[str], start_from: str, results_per_page: int) -> Pages:
        self.listings += 1
        after = [name for name in self.names if sort_key(name) >= sort_key(start_from)]
        most = min(results_per_page, self.short or results_per_page)
        return Pages([self.blob(name) for name in after[:most]], "more" if len(after) > most else None)

    def get_blob_client(self, name: str) -> Any:
        async def get_blob_properties() -> BlobProperties:
            self.reads.append(name)
            if name not in self.names:
                raise refusal(404, "BlobNotFound")
            return self.blob(name)

        return SimpleNamespace(get_blob_properties=get_blob_properties)

    def blob(self, name: str) -> BlobProperties:
        return properties(label_of(stored(name, version=f"v of {name}"), RULES), name=name, etag=f"0x{name}")


def observer(container: Any, prefix: str = "") -> Observer:
    return Observer(container, Calls(open_delivery(), PipelineTelemetry(Metrics(), "p")), RULES, prefix)


def versions(observed: dict[str, Any]) -> dict[str, str]:
    return {key: seen.version for key, seen in observed.items() if seen != ABSENT}


async def test_a_run_of_keys_takes_a_few_listings_and_no_single_read() -> None:
    keys = [f"k{n:04}" for n in range(1000)]
    container = Holding([key for key in keys if not key.endswith("7")])
    observed = await observer(container).observe(keys)
    assert versions(observed) == {key: f"v of {key}" for key in container.names}
    assert set(observed) == set(keys)
    assert (container.listings, container.reads) == (1, [])


async def test_a_few_keys_are_read_one_by_one() -> None:
    container = Holding(["a", "b"])
    keys = ["a", "x", *(f"y{n}" for n in range(MANY - 3))]
    assert versions(await observer(container).observe(keys)) == {"a": "v of a"}
    assert container.listings == 0


async def test_keys_far_apart_are_soon_read_one_by_one() -> None:
    names = [f"k{n:05}" for n in range(20_000)]
    container = Holding(names)
    keys = names[::1000]
    assert versions(await observer(container).observe(keys)) == {key: f"v of {key}" for key in keys}
    assert container.listings <= 2
    assert len(container.reads) >= len(keys) - 5


async def test_pages_shorter_than_asked_for_are_gone_on_from() -> None:
    names = [f"k{n:03}" for n in range(200)]
    container = Holding(names, short=20)
    assert versions(await observer(container).observe(names)) == {key: f"v of {key}" for key in names}
    assert (container.listings, container.reads) == (10, [])


async def test_an_empty_page_that_is_not_the_last_decides_nothing() -> None:
    names = [f"k{n:03}" for n in range(50)]
    container = Holding(names, short=0)
    container.list_blobs = lambda **_: Pages([], "more")  # type: ignore[method-assign]
    assert versions(await observer(container).observe(names)) == {key: f"v of {key}" for key in names}


async def test_a_listing_in_another_order_is_not_believed_and_not_asked_for_again() -> None:
    """As where names are listed like paths."""
    names = [*(f"order\uff5e{n:02}" for n in range(20)), *(f"order\U00010000{n:02}" for n in range(20))]
    container = Holding(names, order=lambda name: name)
    looking = observer(container)
    for _ in range(2):
        assert versions(await looking.observe(names)) == {key: f"v of {key}" for key in names}
    assert container.listings == 1


async def test_keys_behind_a_prefix_and_keys_that_no_blob_can_have() -> None:
    container = Holding([f"p/{n:02}" for n in range(20)])
    keys = [f"{n:02}" for n in range(20)]
    observed = await observer(container, "p/").observe([*keys, "..", "a\\b"])
    assert versions(observed) == {key: f"v of p/{key}" for key in keys}
    assert observed[".."] == observed["a\\b"] == ABSENT


async def test_a_name_that_the_service_does_not_take_is_not_there() -> None:
    container = Holding([])

    def get_blob_client(_: str) -> Any:
        async def refused() -> BlobProperties:
            raise refusal(400, "InvalidResourceName")

        return SimpleNamespace(get_blob_properties=refused)

    container.get_blob_client = get_blob_client  # type: ignore[method-assign,assignment]
    assert await observer(container).observe(["a"]) == {"a": ABSENT}


NAMES = st.text(st.sampled_from("ab/-\uff5e\U00010000"), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.sets(NAMES, max_size=60), st.sets(NAMES, max_size=60), st.sampled_from([None, 1, 3, 10]))
async def test_what_is_answered_is_what_is_there(held: set[str], asked: set[str], short: int | None) -> None:
    container = Holding(sorted(held), short=short)
    observed = await observer(container).observe(sorted(asked))
    assert versions(observed) == {key: f"v of {key}" for key in held & asked}
    assert set(observed) == asked
