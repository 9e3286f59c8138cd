"""Promise: messages that count speak as a person would."""

import pytest

from replicator.wording import counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 records"), (1, "1 record"), (2, "2 records"), (1234567, "1,234,567 records")]
)
def test_one_is_singular_and_everything_else_plural(count: int, text: str) -> None:
    assert counted(count, "record") == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 keys are open"), (1, "1 key is open"), (2, "2 keys are open")])
def test_a_plural_may_be_more_than_an_s(count: int, text: str) -> None:
    assert counted(count, "key is open", "keys are open") == text
