"""Promise: variables are matched with what there is, and only names come out."""

import pytest

from connectors.aws.discovery.environment import guess, matches
from connectors.aws.discovery.model import Catalogue, Kind, Resource

THERE = Catalogue(
    "aws",
    "eu-central-1",
    "111122223333",
    frozenset({"orders", "carts"}),
    {"media": ""},
    frozenset({"mail", "pay.fifo"}),
)

ORDERS, CARTS = Resource(Kind.TABLE, "orders"), Resource(Kind.TABLE, "carts")
MEDIA, MAIL, PAY = Resource(Kind.BUCKET, "media"), Resource(Kind.QUEUE, "mail"), Resource(Kind.QUEUE, "pay.fifo")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("orders", [ORDERS]),
        ("orders,carts", [ORDERS, CARTS]),
        ('["orders", "media"]', [ORDERS, MEDIA]),
        ("arn:aws:dynamodb:eu-central-1:111122223333:table/orders/index/by-day", [ORDERS]),
        ("arn:aws:s3:::media/in/", [MEDIA]),
        ("s3://media/in", [MEDIA]),
        ("https://sqs.eu-central-1.amazonaws.com/111122223333/pay.fifo", [PAY]),
        ("arn:aws:sqs:eu-central-1:111122223333:mail", [MAIL]),
        ("https://sqs.eu-central-1.amazonaws.com/999999999999/mail", []),
        ("arn:aws:dynamodb:us-east-1:111122223333:table/orders", []),
        ("arn:aws:sqs:eu-central-1:111122223333:gone", []),
        ("s3://elsewhere/in", []),
        ("orders-archive", []),
        ("", []),
    ],
)
def test_a_value_names_only_what_there_is(value: str, found: list[Resource]) -> None:
    assert matches(value, THERE) == found


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DB_PASSWORD", "x", "a secret"),
        ("apiToken", "x", "a secret"),
        ("REDIS_URL", "x", "a cache"),
        ("dbHost", "x", "a relational database"),
        ("STORE", "postgres://u:p@h/d", "a relational database"),
        ("WHERE", "h.cache.amazonaws.com:6379", "a cache"),
        ("ALERTS", "arn:aws:sns:eu-central-1:111122223333:alerts", "a stream or a topic"),
        ("LOG_LEVEL", "debug", ""),
        ("AWS_SECRET_ACCESS_KEY", "x", ""),
    ],
)
def test_what_looks_like_a_store_or_a_secret_is_guessed(name: str, value: str, told: str) -> None:
    assert guess(name, value) == told
