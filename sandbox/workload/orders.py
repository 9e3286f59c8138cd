"""Orders as a shop would store them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.workload.awkward import FAR_FUTURE_S

if TYPE_CHECKING:
    import random

    from sandbox.workload.calls import Attribute, Item, Key

STATUSES = ("placed", "paid", "packed", "shipped", "delivered", "returned")
CURRENCIES = ("EUR", "USD", "GBP", "JPY")
CITIES = ("Zürich", "Lyon", "Kraków", "Osaka", "São Paulo", "Tromsø", "New York")
TAGS = ("gift", "express", "fragile", "b2b", "preorder", "promo", "subscription")
NOTES = ("", "Leave at the door.", "Ring twice 🔔", 'Say "hello"', "Line one\nline two")


def order(chance: random.Random, key: Key, version: int) -> Item:
    """A realistic order; the same random state gives the same order. It uses every type DynamoDB has."""
    lines = [_line(chance) for _ in range(chance.randint(1, 5))]
    item: Item = {
        "customer": {"S": key[0]},
        "order_id": {"S": key[1]},
        "version": {"N": str(version)},
        "status": {"S": chance.choice(STATUSES)},
        "total": {"N": f"{chance.randint(100, 500_000) / 100:.2f}"},
        "currency": {"S": chance.choice(CURRENCIES)},
        "gift": {"BOOL": chance.random() < 0.2},
        "coupon": {"NULL": True} if chance.random() < 0.8 else {"S": f"SAVE{chance.randint(5, 30)}"},
        "lines": {"L": [{"M": line} for line in lines]},
        "address": {"M": _address(chance)},
        "tags": {"SS": sorted(chance.sample(TAGS, chance.randint(1, 3)))},
        "parcels": {"NS": [str(n) for n in sorted(chance.sample(range(10**9, 10**10), 2))]},
        "signature": {"B": chance.randbytes(32)},
        "labels": {"BS": sorted({chance.randbytes(8), chance.randbytes(8)})},
        "note": {"S": chance.choice(NOTES)},
    }
    if chance.random() < 0.1:
        item["expires_at"] = {"N": str(FAR_FUTURE_S + chance.randrange(10**6))}
    return item


def _line(chance: random.Random) -> dict[str, Attribute]:
    return {
        "sku": {"S": f"SKU-{chance.randrange(10_000):05d}"},
        "quantity": {"N": str(chance.randint(1, 9))},
        "price": {"N": f"{chance.randint(99, 99_999) / 100:.2f}"},
    }


def _address(chance: random.Random) -> dict[str, Attribute]:
    return {
        "city": {"S": chance.choice(CITIES)},
        "street": {"S": f"{chance.randint(1, 200)} Main Street"},
        "geo": {"L": [{"N": f"{chance.uniform(-90, 90):.6f}"}, {"N": f"{chance.uniform(-180, 180):.6f}"}]},
    }
