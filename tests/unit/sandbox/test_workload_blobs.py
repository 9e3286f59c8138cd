"""What reads a container for comparisons finds what the connector writes, although it shares no code with it."""

import pytest

from connectors.azure.blob.metadata import encode_metadata, encode_tags
from sandbox.workload import METADATA, TAGS
from sandbox.workload.blobs import read_metadata, read_tags

SIDECAR = {"replicator_digest": "0", "replicator_etag": "%22"}


@pytest.mark.parametrize("label", METADATA)
def test_metadata_is_read_back(label: str) -> None:
    assert read_metadata({**encode_metadata(METADATA[label]), **SIDECAR}) == METADATA[label]


def test_an_empty_value_that_a_listing_leaves_out_is_one() -> None:
    assert read_metadata({"empty": None}) == {"empty": ""}


@pytest.mark.parametrize("label", TAGS)
def test_tags_are_read_back(label: str) -> None:
    assert read_tags(encode_tags(TAGS[label])) == TAGS[label]
