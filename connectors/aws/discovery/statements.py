"""What the policies of a role tell. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from connectors.aws.discovery.environment import of_arn
from connectors.aws.discovery.model import Catalogue, Kind, NotCovered, Resource, Topic

CARRIED = {"dynamodb": Kind.TABLE, "s3": Kind.BUCKET, "sqs": Kind.QUEUE}

ORDINARY = frozenset({"logs", "xray", "cloudwatch", "sts", "iam"})
"""Services that every function may use, and none that holds its data."""

NETWORK = "networkinterface"
"""Part of the actions of a function within a VPC, which hold no data either."""

MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class Read:
    """What was read: resources with the reason why each is there, and lines about what is not covered."""

    resources: tuple[tuple[Resource, str], ...] = ()
    not_covered: tuple[NotCovered, ...] = ()


def read_policy(document: Mapping[str, Any], told: str, there: Catalogue) -> Read:
    """Of one policy, which is `told` so."""
    resources: list[tuple[Resource, str]] = []
    left: list[NotCovered] = []
    statements = document.get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") == "Allow":
            found = _statement(statement, told, there)
            resources += found.resources
            left += found.not_covered
    return Read(tuple(resources), tuple(dict.fromkeys(left)))


def _statement(statement: Mapping[str, Any], told: str, there: Catalogue) -> Read:
    for name in ("NotAction", "NotResource"):
        if name in statement:
            text = f"{told} has a statement with {name}, which permits more than it names"
            return Read(not_covered=(NotCovered(Topic.UNRESOLVED, text),))
    by_service: dict[str, list[str]] = {}
    for action in several(statement.get("Action")):
        by_service.setdefault(action.partition(":")[0].lower(), []).append(action)
    resources: list[tuple[Resource, str]] = []
    left: list[NotCovered] = []
    for service, actions in by_service.items():
        if service in CARRIED:
            for arn in several(statement.get("Resource")):
                _carried(service, actions, arn, told, there, resources, left)
        else:
            left += _other(service, actions, told)
    return Read(tuple(resources), tuple(left))


def _carried(
    service: str,
    actions: list[str],
    arn: str,
    told: str,
    there: Catalogue,
    resources: list[tuple[Resource, str]],
    left: list[NotCovered],
) -> None:
    """Adds what an ARN names to either list."""
    reason = f"{told} allows {_listed(actions)}"
    resource = of_arn(arn, there)
    if resource is None or resource.kind is not CARRIED[service]:
        left.append(NotCovered(Topic.UNRESOLVED, f"{reason} on {arn}{_why_not(arn)}"))
    elif any(sign in resource.name for sign in "*?$"):
        known = sorted(n for n in there.names(resource.kind) if fnmatchcase(n, resource.name))
        left.append(NotCovered(Topic.UNRESOLVED, f"{reason} on {arn}: {_matching(resource.kind, known)}"))
    elif there.names(resource.kind) and resource.name not in there.names(resource.kind):
        left.append(NotCovered(Topic.UNRESOLVED, f"{reason} on {arn}: there is no such {resource.kind}"))
    else:
        resources.append((resource, reason))


def _other(service: str, actions: list[str], told: str) -> Iterator[NotCovered]:
    if service == "*":
        yield NotCovered(Topic.UNRESOLVED, f"{told} allows every action of every service")
    elif service not in ORDINARY and not all(NETWORK in action.lower() for action in actions):
        yield NotCovered(Topic.SERVICES, f"{service}: {told} allows {_listed(actions)}")


def _why_not(arn: str) -> str:
    return "" if arn == "*" else ": in another account or region, or nothing that is carried"


def _matching(kind: Kind, names: list[str]) -> str:
    if not names:
        return f"no {kind} of the account is known to match"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{kind}s that match: {', '.join(names[:MOST_NAMES])}{more}"


def _listed(actions: list[str]) -> str:
    return ", ".join(actions[:MOST_NAMES]) + (" and more" if len(actions) > MOST_NAMES else "")


def several(value: Any) -> list[str]:
    """A policy has one text, or a list of them."""
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
