"""What one function says of itself: its role, its variables, what lets it run, and settings that are not carried."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.aws.discovery.environment import guess, matches, of_arn
from connectors.aws.discovery.model import Catalogue, Entry, Kind, NotCovered, Resource, Topic
from connectors.aws.discovery.services import Services
from connectors.aws.errors import AwsRefusal
from replicator.errors import AccessError, ConfigurationError

OFF = "DISABLED"
"""A rule or a schedule that is off."""

PARTS_OF_AN_ARN = 7
"""Without a version or an alias."""


@dataclass(slots=True)
class Gathered:
    """What is found bit by bit: why each resource is there, entry points, and what is not covered."""

    reasons: dict[Resource, list[str]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    not_covered: list[NotCovered] = field(default_factory=list)

    def add(self, resource: Resource, reason: str) -> None:
        """One more reason for a resource."""
        reasons = self.reasons.setdefault(resource, [])
        if reason not in reasons:
            reasons.append(reason)

    def leave(self, topic: Topic, text: str) -> None:
        """A line about what is not covered, said once."""
        line = NotCovered(topic, text)
        if line not in self.not_covered:
            self.not_covered.append(line)


@dataclass(frozen=True, slots=True)
class Function:
    """A function as configured. `arns` are its own and those of its aliases."""

    name: str
    arns: tuple[str, ...]
    role: str
    variables: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)


async def find_function(services: Services, name: str) -> Function:
    """Raises ConfigurationError for one that there is not, or that may not be looked at: nothing can be told then."""
    try:
        found = await services.asking.sure(
            "lambda:GetFunctionConfiguration", services.functions.get_function_configuration, FunctionName=name
        )
    except AwsRefusal as refusal:
        problem = "there is no such function" if refusal.code == "ResourceNotFoundException" else str(refusal)
        fix = "Check its name, --region, and the account of the credentials: aws lambda list-functions"
        raise ConfigurationError(f"--function {name}", problem, fix) from refusal
    except AccessError as error:
        fix = "Give credentials by the environment, a profile or a role that have the policy of docs/init.md"
        raise ConfigurationError(f"--function {name}", str(error), fix) from error
    arn = ":".join(str(found["FunctionArn"]).split(":")[:PARTS_OF_AN_ARN])
    aliases = [alias async for alias in _aliases(services, str(found["FunctionName"]))]
    variables = found.get("Environment", {}).get("Variables", {})
    return Function(str(found["FunctionName"]), (arn, *aliases), str(found.get("Role", "")), variables, found)


async def _aliases(services: Services, name: str) -> AsyncIterator[str]:
    pages = services.asking.pages(
        "lambda:ListAliases",
        f"aliases of {name}",
        services.functions.list_aliases,
        ("NextMarker", "Marker"),
        FunctionName=name,
    )
    async for page in pages:
        for alias in page.get("Aliases", ()):
            yield str(alias["AliasArn"])


def read_variables(function: Function, there: Catalogue, gathered: Gathered) -> None:
    """The resources that variables name, and the names of those that look like something else."""
    for name, value in sorted(function.variables.items()):
        found = matches(value, there)
        for resource in found:
            gathered.add(resource, f"environment variable {name} of {function.name}")
        if not found and (told := guess(name, value)):
            gathered.leave(Topic.VARIABLES, f"{name} of {function.name}: looks like {told}")


async def read_mappings(services: Services, function: Function, there: Catalogue, gathered: Gathered) -> None:
    """Event source mappings of the function and of its aliases."""
    seen: set[str] = set()
    for arn in function.arns:
        pages = services.asking.pages(
            "lambda:ListEventSourceMappings",
            f"event source mappings of {function.name}",
            services.functions.list_event_source_mappings,
            ("NextMarker", "Marker"),
            FunctionName=arn,
        )
        async for page in pages:
            for mapping in page.get("EventSourceMappings", ()):
                if mapping["UUID"] not in seen:
                    seen.add(mapping["UUID"])
                    _mapping(function, mapping, there, gathered)


def _mapping(function: Function, mapping: Mapping[str, Any], there: Catalogue, gathered: Gathered) -> None:
    uuid, source = str(mapping["UUID"]), str(mapping.get("EventSourceArn", ""))
    resource = of_arn(source, there)
    told = f"event source mapping {uuid} of {function.name}"
    if resource is None:
        service = source.split(":")[2] if source.startswith("arn:") else "a source of its own"
        gathered.leave(Topic.ENTRIES, f"{told} reads from {service}, which is not carried; the mapping can be switched")
    else:
        gathered.add(resource, told)
    if failed := mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"):
        gathered.leave(Topic.FUNCTIONS, f"{told}: what fails goes to {failed}")
    _, partition, _, region, account, *_ = function.arns[0].split(":")
    gathered.entries.append(
        Entry(
            name=f"{function.name}-{resource.name if resource else uuid[:8]}",
            fields={"type": "event_source_mapping", "uuid": uuid},
            function=function.name,
            resource=resource,
            arn=f"arn:{partition}:lambda:{region}:{account}:event-source-mapping:{uuid}",
            reason=f"{told}, {mapping.get('State', 'in an unknown state')}",
            off=mapping.get("State") == "Disabled",
        )
    )


async def read_rules(services: Services, function: Function, there: Catalogue, gathered: Gathered) -> None:
    """Rules of every event bus that target the function."""
    buses = services.asking.pages(
        "events:ListEventBuses", "event buses", services.events.list_event_buses, ("NextToken", "NextToken")
    )
    names = [str(bus["Name"]) async for page in buses for bus in page.get("EventBuses", ())]
    for bus in names or ["default"]:
        for arn in function.arns:
            pages = services.asking.pages(
                "events:ListRuleNamesByTarget",
                f"rules of bus {bus} for {function.name}",
                services.events.list_rule_names_by_target,
                ("NextToken", "NextToken"),
                TargetArn=arn,
                EventBusName=bus,
            )
            async for page in pages:
                for name in page.get("RuleNames", ()):
                    await _rule(services, function, str(name), bus, there, gathered)


async def _rule(
    services: Services, function: Function, name: str, bus: str, there: Catalogue, gathered: Gathered
) -> None:
    """What a bucket sends by way of EventBridge shows in the rule's pattern."""
    told = f"rule {name} of bus {bus} for {function.name}"
    rule = (
        await services.asking.ask(
            "events:DescribeRule", told, services.events.describe_rule, Name=name, EventBusName=bus
        )
        or {}
    )
    _, partition, _, region, account, *_ = function.arns[0].split(":")
    buckets = [b for b in _buckets_of(rule.get("EventPattern", "")) if b.name in there.buckets]
    for bucket in buckets:
        gathered.add(bucket, told)
    place = name if bus == "default" else f"{bus}/{name}"
    gathered.entries.append(
        Entry(
            name=f"{function.name}-{name}",
            fields={"type": "rule", "name": name, **({} if bus == "default" else {"bus": bus})},
            function=function.name,
            resource=buckets[0] if buckets else None,
            arn=str(rule.get("Arn", f"arn:{partition}:events:{region}:{account}:rule/{place}")),
            reason=f"{told}, {rule.get('State', 'in an unknown state')}",
            off=rule.get("State") == OFF,
        )
    )


def _buckets_of(pattern: str) -> Iterator[Resource]:
    """Those that a pattern names outright."""
    try:
        read = json.loads(pattern or "{}")
        names = read.get("detail", {}).get("bucket", {}).get("name", []) if "aws.s3" in read.get("source", []) else []
    except (ValueError, AttributeError):
        return
    yield from (Resource(Kind.BUCKET, name) for name in names if isinstance(name, str))


async def read_other_ways(services: Services, function: Function, gathered: Gathered) -> None:
    """Who else may invoke it, by its own policy, its URL, and where its results go."""
    name, asking, client = function.name, services.asking, services.functions
    try:
        told = await asking.ask("lambda:GetPolicy", f"policy of {name}", client.get_policy, FunctionName=name)
    except AwsRefusal:  # it has none
        told = None
    for principal in _principals(str((told or {}).get("Policy", "{}"))):
        gathered.leave(Topic.ENTRIES, f"{principal} may invoke {name}")
    urls = asking.pages(
        "lambda:ListFunctionUrlConfigs",
        f"URLs of {name}",
        client.list_function_url_configs,
        ("NextMarker", "Marker"),
        FunctionName=name,
    )
    async for page in urls:
        if page.get("FunctionUrlConfigs"):
            gathered.leave(Topic.ENTRIES, f"{name} has a function URL: callers must be led to another address")
    configs = asking.pages(
        "lambda:ListFunctionEventInvokeConfigs",
        f"destinations of {name}",
        client.list_function_event_invoke_configs,
        ("NextMarker", "Marker"),
        FunctionName=name,
    )
    async for page in configs:
        for config in page.get("FunctionEventInvokeConfigs", ()):
            for when, where in sorted(config.get("DestinationConfig", {}).items()):
                if where.get("Destination"):
                    gathered.leave(Topic.FUNCTIONS, f"{name}: destination {when} is {where['Destination']}")


SWITCHED = frozenset({"s3.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com"})
"""What is found in other ways, if it is in use."""


def _principals(policy: str) -> list[str]:
    """Who is allowed, but for services whose triggers are listed."""
    found: list[str] = []
    for statement in json.loads(policy).get("Statement", []):
        principal = statement.get("Principal", {})
        named = principal.get("Service", principal.get("AWS", "")) if isinstance(principal, dict) else principal
        found += [str(one) for one in (named if isinstance(named, list) else [named]) if one not in SWITCHED]
    return sorted({one for one in found if one})


def read_settings(function: Function, gathered: Gathered) -> None:
    """What of a function itself has to be made anew on the other side."""
    name, settings = function.name, function.settings
    if layers := settings.get("Layers"):
        gathered.leave(Topic.FUNCTIONS, f"{name}: layers {', '.join(str(layer['Arn']) for layer in layers)}")
    if settings.get("VpcConfig", {}).get("SubnetIds"):
        text = f"{name}: runs in VPC subnets {', '.join(settings['VpcConfig']['SubnetIds'])}; what it reaches there"
        gathered.leave(Topic.FUNCTIONS, f"{text} must be reachable from Azure")
    if dead := settings.get("DeadLetterConfig", {}).get("TargetArn"):
        gathered.leave(Topic.FUNCTIONS, f"{name}: failed asynchronous invocations go to {dead}")
    for system in settings.get("FileSystemConfigs", ()):
        gathered.leave(Topic.FUNCTIONS, f"{name}: mounts file system {system.get('Arn', '')}")
    if settings.get("KMSKeyArn"):
        gathered.leave(Topic.FUNCTIONS, f"{name}: its variables are encrypted with a key of your own")
    if settings.get("PackageType") == "Image":
        gathered.leave(Topic.FUNCTIONS, f"{name}: its code is a container image")
