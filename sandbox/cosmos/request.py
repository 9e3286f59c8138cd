"""A request as the handlers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.cosmos import wire
from sandbox.cosmos.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cosmos.routes import Route
    from sandbox.cosmos.wire import Json, JsonObject

PAGE_SIZE = "x-ms-max-item-count"
MAX_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked; header names are matched without regard to case."""

    route: Route
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> JsonObject:
        """The body as a JSON object; 400 otherwise."""
        return wire.parse_object(self.body)

    def query(self) -> tuple[str, dict[str, Json]]:
        """Query text and parameters by name; 400 when there is no text."""
        body = self.json()
        text, parameters = body.get("query"), body.get("parameters")
        if not isinstance(text, str):
            raise bad_request("The request has no query text.")
        named = [entry for entry in parameters if isinstance(entry, dict)] if isinstance(parameters, list) else []
        return text, {str(entry.get("name")): entry.get("value") for entry in named}

    def page_size(self, default: int) -> int:
        """How many documents a page may have; -1 and absence leave it to the server."""
        text = self.headers.get(PAGE_SIZE, "")
        if not text or text == "-1":
            return default
        if not text.isdecimal() or int(text) == 0:
            raise bad_request(f"The page size {text!r} is not valid.")
        return int(text)

    def flag(self, header: str) -> bool:
        """Whether a header says true."""
        return self.headers.get(header, "").lower() == "true"
