"""The least that a proposed migration needs at both clouds. Pure."""

from typing import Any

from connectors.aws.discovery.model import Bucket, Catalogue, Discovery, Kind, NotCovered, Queue, Resource, Table, Topic
from connectors.aws.permissions import SWITCHES, Needed, policy
from connectors.azure.roles import Targets, role_script
from connectors.drafting.proposal import MARKER, Proposal


def aws_policy(found: Discovery) -> dict[str, Any]:
    """For exactly these resources and triggers."""
    there = found.catalogue
    queues = [there.arn(Resource(Kind.QUEUE, queue.name)) for queue in found.queues]
    switched = {kind: [entry.arn for entry in found.entries if entry.fields["type"] == kind] for kind in SWITCHES}
    return policy(
        Needed(
            tables=[there.arn(Resource(Kind.TABLE, table.name)) for table in found.tables],
            buckets=[there.arn(Resource(Kind.BUCKET, bucket.name)) for bucket in found.buckets],
            taken=[*queues, *(bucket.own_queue for bucket in found.buckets if bucket.own_queue)],
            keys=[key for key, _ in _keys(found) if key],
            switched=switched,
            roles=[entry.role for entry in found.entries if entry.role],
        )
    )


def unnamed_keys(found: Discovery) -> list[NotCovered]:
    """Lines about encryption keys that a policy cannot name."""
    return [
        NotCovered(
            Topic.RESOURCES, f"{name} is encrypted with a key that is named by an alias: permit kms:Decrypt on it"
        )
        for key, name in _keys(found)
        if not key
    ]


def _keys(found: Discovery) -> list[tuple[str, str]]:
    """ARNs of keys, empty for those that only an alias names, each with what is encrypted."""
    sources: tuple[Table | Bucket | Queue, ...] = (*found.tables, *found.buckets, *found.queues)
    return [
        (_key_arn(source.encryption_key, found.catalogue), source.name)
        for source in sources
        if source.encryption_key and not source.encryption_key.removeprefix("alias/").startswith("aws/")
    ]


def _key_arn(key: str, there: Catalogue) -> str:
    if "alias/" in key:
        return ""
    return key if key.startswith("arn:") else f"arn:{there.partition}:kms:{there.region}:{there.account}:key/{key}"


def azure_roles(proposal: Proposal) -> str:
    """A script of role assignments."""
    blobs = [pipeline.target for pipeline in proposal.pipelines if isinstance(pipeline.source, Bucket)]
    return role_script(
        Targets(
            cosmos=[p.target for p in proposal.pipelines if isinstance(p.source, Table)],
            blobs=[*blobs, MARKER] if blobs else [],
            queues=[p.target for p in proposal.pipelines if isinstance(p.source, Queue)],
            functions=bool(proposal.triggers),
            state=bool(proposal.pipelines),
        )
    )
