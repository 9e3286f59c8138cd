"""Promise: every page is read, bounded; what may not be read is noted, and what fails for a moment is asked again."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from connectors.aws.discovery import asking
from connectors.aws.discovery.asking import MOST_PAGES, Asking
from fakes.virtual import in_virtual_time
from replicator.errors import ConfigurationError

TOKEN = ("NextMarker", "Marker")


class Listing:
    """Pages that each lead on by a token; `fails` are the errors of the next calls."""

    __name__ = "list_aliases"

    def __init__(self, pages: int, *fails: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.fails = list(fails)
        self._pages = pages

    async def __call__(self, *_: Any, **parameters: Any) -> dict[str, Any]:
        self.asked.append(parameters)
        if self.fails:
            code = self.fails.pop(0)
            status = 403 if code == "AccessDeniedException" else 500
            answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(answer, "ListAliases")
        page = int(parameters.get("Marker", "0"))
        return {"Items": [page], **({"NextMarker": f"{page + 1}"} if page + 1 < self._pages else {})}


async def read(told: Asking, listing: Listing) -> list[int]:
    pages = told.pages("lambda:ListAliases", "aliases of f", listing, TOKEN, FunctionName="f")
    return [item async for page in pages for item in page["Items"]]


@in_virtual_time
async def test_every_page_is_read_with_the_same_question() -> None:
    listing = Listing(3)
    told = Asking()
    assert await read(told, listing) == [0, 1, 2]
    assert [asked["FunctionName"] for asked in listing.asked] == ["f", "f", "f"]
    assert told.not_covered() == []


@in_virtual_time
async def test_an_endless_listing_ends_and_is_told() -> None:
    told = Asking()
    assert len(await read(told, Listing(10**9))) == MOST_PAGES
    (line,) = told.not_covered()
    assert "aliases of f" in line.text


@in_virtual_time
async def test_what_may_not_be_read_is_told_once_and_asked_once() -> None:
    told = Asking()
    listing = Listing(1, "AccessDeniedException", "AccessDeniedException")
    assert await read(told, listing) == []
    assert await read(told, listing) == []
    assert len(listing.asked) == 2
    (line,) = told.not_covered()
    assert line.text == "lambda:ListAliases is not permitted, so this was not looked at: aliases of f and 1 more"


@in_virtual_time
async def test_what_fails_for_a_moment_is_asked_again_and_for_good_is_an_error() -> None:
    assert await read(Asking(), Listing(2, "ServiceUnavailable", "ThrottlingException")) == [0, 1]
    with pytest.raises(ConfigurationError, match=r"^aws"):
        await read(Asking(), Listing(1, *["ServiceUnavailable"] * asking.PATIENCE.attempts))
