"""From the names of functions to all that they use."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio

from connectors.aws.config import AwsAccess
from connectors.aws.discovery.functions import (
    OFF,
    Function,
    Gathered,
    find_function,
    read_mappings,
    read_other_ways,
    read_rules,
    read_settings,
    read_variables,
)
from connectors.aws.discovery.listing import list_everything
from connectors.aws.discovery.model import Catalogue, Discovery, Entry, Kind, NotCovered, Resource, Topic
from connectors.aws.discovery.resources import describe_bucket, describe_queues, describe_table, notifications
from connectors.aws.discovery.roles import read_role
from connectors.aws.discovery.services import Services, open_services
from connectors.aws.errors import AwsRefusal
from replicator.errors import ConfigurationError
from replicator.wording import counted

Announce = Callable[[str], None]

AT_ONCE = 10
"""Buckets that are asked for their notifications at the same time."""

MOST_BUCKETS = 2000
"""Whose notifications are looked at; those that are named otherwise come first."""


async def discover(access: AwsAccess, names: Sequence[str], announce: Announce) -> Discovery:
    """Changes nothing. Raises ConfigurationError for a function that there is not, or a service that does not answer;
    what else may not be read is among what is not covered.
    """
    async with open_services(access) as services:
        functions = [await find_function(services, name) for name in dict.fromkeys(names)]
        announce("listing tables, buckets and queues")
        there = await list_everything(services, functions[0].arns[0])
        gathered = Gathered()
        for function in functions:
            announce(f"reading function {function.name}")
            await _read(services, function, there, gathered)
        announce(f"looking at schedules and at the notifications of {counted(len(there.buckets), 'bucket')}")
        await _tried(services, "schedules", partial(_schedules, services, functions, gathered))
        await _tried(services, "notifications", partial(_bucket_entries, services, functions, there, gathered))
        announce(f"describing {counted(len(gathered.reasons), 'resource')}")
        return await _described(services, functions, there, gathered)


async def _read(services: Services, function: Function, there: Catalogue, gathered: Gathered) -> None:
    """Each part by itself: what the service refuses of one does not hide the others."""
    read_variables(function, there, gathered)
    read_settings(function, gathered)
    parts = (
        ("event source mappings", partial(read_mappings, services, function, there, gathered)),
        ("rules", partial(read_rules, services, function, there, gathered)),
        ("policies of the role", partial(read_role, services, function, there, gathered)),
        ("other ways in", partial(read_other_ways, services, function, gathered)),
    )
    for told, part in parts:
        await _tried(services, f"{told} of {function.name}", part)


async def _tried(services: Services, told: str, part: Callable[[], Awaitable[None]]) -> None:
    """What a service refuses, or does not answer, hides nothing of the others."""
    try:
        await part()
    except (AwsRefusal, ConfigurationError) as error:
        services.asking.leave_out(told, error)


async def _schedules(services: Services, functions: Sequence[Function], gathered: Gathered) -> None:
    """The service lists them all, and only each one's own definition names its role."""
    owners = {arn: function.name for function in functions for arn in function.arns}
    pages = services.asking.pages(
        "scheduler:ListSchedules", "schedules", services.scheduler.list_schedules, ("NextToken", "NextToken")
    )
    async for page in pages:
        for schedule in page.get("Schedules", ()):
            function = owners.get(schedule.get("Target", {}).get("Arn", ""))
            if function is None:
                continue
            name, group = str(schedule["Name"]), str(schedule.get("GroupName", "default"))
            told = f"schedule {name} of group {group} for {function}"
            one = await services.asking.ask(
                "scheduler:GetSchedule", told, services.scheduler.get_schedule, Name=name, GroupName=group
            )
            gathered.entries.append(
                Entry(
                    name=f"{function}-{name}",
                    fields={"type": "schedule", "name": name, **({} if group == "default" else {"group": group})},
                    function=function,
                    resource=None,
                    arn=str(schedule["Arn"]),
                    reason=f"{told}, {schedule.get('State', 'in an unknown state')}",
                    role=str((one or {}).get("Target", {}).get("RoleArn", "")),
                    off=schedule.get("State") == OFF,
                )
            )


async def _bucket_entries(
    services: Services, functions: Sequence[Function], there: Catalogue, gathered: Gathered
) -> None:
    """Notifications that lead to one of the functions show only in the configuration of each bucket."""
    owners = {arn: function.name for function in functions for arn in function.arns}
    named = [resource.name for resource in gathered.reasons if resource.kind is Kind.BUCKET]
    names = list(dict.fromkeys([*named, *sorted(there.buckets)]))
    if len(names) > MOST_BUCKETS:
        text = f"notifications of {counted(len(names) - MOST_BUCKETS, 'bucket')}: there are more than {MOST_BUCKETS:,}"
        gathered.leave(Topic.NOT_LOOKED_AT, text)
    limiter = anyio.CapacityLimiter(AT_ONCE)
    found: dict[str, list[Entry]] = {}

    async def look(bucket: str) -> None:
        document: dict[str, Any] = {}
        async with limiter:
            try:
                document = await notifications(services, bucket) or {}
            except ConfigurationError as error:
                services.asking.leave_out(f"notifications of bucket {bucket}", error)
        found[bucket] = list(_entries(bucket, document, owners, there))

    async with anyio.create_task_group() as group:
        for name in names[:MOST_BUCKETS]:
            group.start_soon(look, name)
    for name in sorted(found):
        for entry in found[name]:
            gathered.add(Resource(Kind.BUCKET, name), entry.reason)
            gathered.entries.append(entry)


def _entries(bucket: str, document: dict[str, Any], owners: dict[str, str], there: Catalogue) -> list[Entry]:
    resource = Resource(Kind.BUCKET, bucket)
    return [
        Entry(
            name=f"{owners[entry['LambdaFunctionArn']]}-{bucket}",
            fields={"type": "s3_notification", "bucket": bucket, "id": str(entry["Id"])},
            function=owners[entry["LambdaFunctionArn"]],
            resource=resource,
            arn=there.arn(resource),
            reason=f"notification {entry['Id']} of the bucket to {owners[entry['LambdaFunctionArn']]}",
        )
        for entry in document.get("LambdaFunctionConfigurations", [])
        if entry.get("LambdaFunctionArn") in owners
    ]


async def _described(
    services: Services, functions: Sequence[Function], there: Catalogue, gathered: Gathered
) -> Discovery:
    reasons = gathered.reasons
    tables = [r for r in reasons if r.kind is Kind.TABLE]
    buckets = [r for r in reasons if r.kind is Kind.BUCKET]
    queues = {r: reasons[r] for r in reasons if r.kind is Kind.QUEUE}
    return Discovery(
        there,
        tuple(function.name for function in functions),
        tuple([await describe_table(services, r, reasons[r], gathered) for r in tables]),
        tuple([await describe_bucket(services, r, reasons[r], there, gathered) for r in buckets]),
        tuple(await describe_queues(services, queues, there, gathered)),
        tuple(gathered.entries),
        tuple(_sorted([*gathered.not_covered, *services.asking.not_covered()])),
    )


def _sorted(lines: Sequence[NotCovered]) -> list[NotCovered]:
    """By topic, in the order in which the topics are told."""
    order = list(Topic)
    return sorted(lines, key=lambda line: (order.index(line.topic), line.text))
