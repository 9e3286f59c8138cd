"""Promise: the page of queues names every property there is, and no other."""

import re

from unit.docs.pages import text

from connectors.azure.servicebus.properties import OURS

METRICS = {"replicator_possible_duplicates_total"}
PAGE = "docs/connectors/sqs-to-servicebus.md"


def test_every_property_of_ours_is_named() -> None:
    assert set(re.findall(r"\breplicator_[a-z_0-9]+", text(PAGE))) - METRICS == OURS
