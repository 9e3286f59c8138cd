"""Which signatures open what."""

from __future__ import annotations

import pytest

from fakes.servicebus import token_for
from sandbox.servicebus.auth import EMULATOR_KEY, KEY_NAME, Authority, covers, path_of
from sandbox.servicebus.broker.errors import UNAUTHORIZED, RefusedError

AUTHORITY = Authority(EMULATOR_KEY)


def test_a_token_opens_what_it_names() -> None:
    assert AUTHORITY.check(token_for("sb://host:1/orders", 60), "sb://host:1/orders") == "orders"
    assert AUTHORITY.check(token_for("sb://host:1/orders", 60), "amqps://other/Orders/$management") == "orders"
    assert AUTHORITY.check(token_for("https://host:1", 60), "anything/at/all") == ""


LIVES_S = 86_400
"""Longer than any run of the tests: the tokens below are made when they are collected."""


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (token_for("sb://host/orders", LIVES_S).replace("sig=", "sig=A"), "InvalidSignature"),
        (token_for("sb://host/orders", LIVES_S).replace("orders", "others"), "InvalidSignature"),
        (token_for("sb://host/orders", LIVES_S).replace(KEY_NAME, "Other"), "InvalidSignature"),
        (token_for("sb://host/orders", LIVES_S).replace("&se=", "&se=9"), "InvalidSignature"),
        (token_for("sb://host/orders", -1), "ExpiredToken"),
        (token_for("sb://host/other", LIVES_S), "InvalidAudience"),
        ("SharedAccessSignature sr=x", "MalformedToken"),
        ("Bearer eyJ", "no Microsoft Entra tokens"),
    ],
)
def test_any_other_token_is_refused_with_a_reason(token: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as refused:
        AUTHORITY.check(token, "sb://host/orders")
    assert refused.value.condition == UNAUTHORIZED


@pytest.mark.parametrize(
    ("opened", "wanted", "open_"),
    [
        ("", "orders", True),
        ("orders", "orders", True),
        ("orders", "ORDERS/$management", True),
        ("orders", "orders2", False),
        ("orders/$deadletterqueue", "orders", False),
    ],
)
def test_a_path_covers_what_lies_below_it(opened: str, wanted: str, open_: bool) -> None:
    assert covers(opened, wanted) is open_


def test_addresses_are_urls_or_bare_paths() -> None:
    assert path_of("amqps://host:5671/site/orders/") == "site/orders"
    assert path_of("orders/$management") == "orders/$management"


def test_the_key_itself_is_a_password() -> None:
    assert AUTHORITY.check_password(KEY_NAME, EMULATOR_KEY)
    assert not AUTHORITY.check_password(KEY_NAME, "é")
    assert not AUTHORITY.check_password("other", EMULATOR_KEY)
