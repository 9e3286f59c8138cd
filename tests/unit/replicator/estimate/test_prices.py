"""Promises of the price table: linear, every meter that a connector names has an example, and mistakes are named."""

import re
from pathlib import Path

import pytest
from unit.docs.pages import sources

from replicator.errors import ConfigurationError
from replicator.estimate.arithmetic import EGRESS
from replicator.estimate.prices import Cost, Price, cost, example, load_prices


def test_costs_are_linear_and_what_has_no_price_is_named() -> None:
    prices = {"a": Price(price=2.0, per=10), "b": Price(price=0.0, per=1)}
    assert cost({"a": 25.0, "b": 7.0}, prices) == Cost(5.0)
    assert cost({"a": 5.0, "z": 1.0, "c": 1.0, "d": 0.0}, prices) == Cost(1.0, ("c", "z"))


def test_the_example_has_a_price_for_every_meter_and_for_nothing_else() -> None:
    pattern = r'^[A-Z_]+ = "((?:dynamodb|s3|sqs|cosmos|blob|servicebus)\.[a-z_]+)"$'
    named = set(re.findall(pattern, sources("connectors"), flags=re.MULTILINE))
    assert len(named) > 8
    assert set(load_prices(None).meters) == {*named, EGRESS}


def test_an_edited_example_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(example().replace("currency: USD", "currency: EUR"))
    assert load_prices(path).currency == "EUR"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("currency: EUR", "meters"),
        ("currency: EUR\nmeters: {a: {price: -1, per: 1}}", "meters.a.price"),
        ("currency: EUR\nmeters: {a: {price: 1, per: 0}}", "meters.a.per"),
        ("currency: EUR\nmeters: {a: {price: 1, per: 1, pre: 1}}", "meters.a.pre"),
        ("a: [", "no YAML"),
        ("", "the file"),
    ],
)
def test_what_is_no_table_is_refused_with_the_place(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"prices\.yaml") as refused:
        load_prices(path)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_prices(tmp_path / "none.yaml")
