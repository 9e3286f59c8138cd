"""What the interface answers where it refuses, and how that is published."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import HTTPException
from pydantic import BaseModel

from replicator.errors import ConfigurationError, LeaseLostError


class Refusal(BaseModel):
    """Why something was not done."""

    detail: str


REASONS = {
    404: "There is no such pipeline, or no such dead letter.",
    409: "The pipeline has failed, is paused, has not begun yet or is being stopped, or another daemon has taken over.",
    429: "Too many others are waiting.",
    503: "It has not begun yet or is being stopped, or too much is asked for at a time.",
    504: "Not within the time that was given.",
}

Published = dict[int | str, dict[str, Any]]


def refusals(*codes: int) -> Published:
    """For `responses` of a route that may answer so."""
    return {code: {"model": Refusal, "description": REASONS[code]} for code in codes}


@contextmanager
def refused() -> Iterator[None]:
    """Answers 409 to what a daemon cannot do."""
    try:
        yield
    except (ConfigurationError, LeaseLostError) as error:
        raise HTTPException(409, str(error)) from error
