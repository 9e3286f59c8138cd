"""A draft: the texts of the files, and what is told of them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from connectors import DRAFTED
from connectors.aws.config import AwsAccess
from connectors.aws.discovery.discovering import discover
from connectors.aws.discovery.model import Discovery, Topic
from connectors.drafting.config_text import config_text
from connectors.drafting.leftovers import not_covered_text, too_long
from connectors.drafting.policies import aws_policy, azure_roles, unnamed_keys
from connectors.drafting.proposal import propose
from replicator.errors import ConfigurationError

CONFIG, POLICY, ROLES, NOT_COVERED = DRAFTED

MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """`texts` by the name of the file. `found` counts what each config holds, `not_covered` lines by topic; `refused`
    are those about what might not be read. `blanks` are environment variables to be set.
    """

    functions: tuple[str, ...]
    texts: Mapping[str, str]
    found: Mapping[str, int]
    not_covered: Mapping[str, int]
    refused: tuple[str, ...]
    blanks: tuple[str, ...]


async def draft(functions: Sequence[str], access: AwsAccess, announce: Callable[[str], None]) -> Draft:
    """Only reads. Raises ConfigurationError for a function that there is not, or where nothing is to be migrated."""
    return drafted(await discover(access, functions, announce), access)


def drafted(found: Discovery, access: AwsAccess) -> Draft:
    """Pure. Raises ConfigurationError where nothing is to be migrated."""
    _require_something(found)
    proposal, policy = propose(found), aws_policy(found)
    lines = [*found.not_covered, *unnamed_keys(found), *too_long(policy)]
    endpoint = {"endpoint": access.endpoint} if access.endpoint else {}
    texts = {
        CONFIG: config_text(proposal, {"region": found.catalogue.region, **endpoint}),
        POLICY: json.dumps(policy, indent=2) + "\n",
        ROLES: azure_roles(proposal),
        NOT_COVERED: not_covered_text(found, lines),
    }
    return Draft(
        found.functions,
        texts,
        {
            "tables": len(found.tables),
            "buckets": len(found.buckets),
            "queues": len(found.queues),
            "triggers": len(found.entries),
        },
        {topic.name.lower(): sum(line.topic is topic for line in lines) for topic in Topic},
        tuple(line.text for line in lines if line.topic is Topic.NOT_LOOKED_AT),
        tuple(proposal.blanks),
    )


def _require_something(found: Discovery) -> None:
    if found.tables or found.buckets or found.queues:
        return
    told = "; ".join([line.text for line in found.not_covered][:MOST_TOLD])
    raise ConfigurationError(
        ", ".join(found.functions),
        "no table, bucket or queue was found, so there is nothing to migrate",
        f"Name other functions, or permit what was not looked at ({told or 'nothing else was found'})",
    )
