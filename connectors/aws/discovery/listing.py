"""What there is in the account, by name: what a variable or a policy says is compared with it."""

from connectors.aws.discovery.model import Catalogue
from connectors.aws.discovery.services import Services
from connectors.aws.errors import AwsRefusal
from connectors.aws.sqs.places import queue_name
from replicator.errors import ConfigurationError

ABOUT = "which {} there are, so that variables and policies can be compared with them"


async def list_everything(services: Services, function_arn: str) -> Catalogue:
    """Of the account and region of a function. What may not be listed is left empty, and is noted by `Asking`."""
    _, partition, _, region, account, *_ = function_arn.split(":")
    found: list[dict[str, str]] = []
    for told, listing in (("tables", _tables), ("buckets", _buckets), ("queues", _queues)):
        try:
            found.append(await listing(services, region))
        except (AwsRefusal, ConfigurationError) as error:
            services.asking.leave_out(ABOUT.format(told), error)
            found.append({})
    tables, buckets, queues = found
    return Catalogue(partition, region, account, frozenset(tables), buckets, frozenset(queues))


async def _tables(services: Services, region: str) -> dict[str, str]:
    """As all of these, by name with the region."""
    found: dict[str, str] = {}
    token = ("LastEvaluatedTableName", "ExclusiveStartTableName")
    pages = services.asking.pages(
        "dynamodb:ListTables", ABOUT.format("tables"), services.dynamodb.list_tables, token, Limit=100
    )
    async for page in pages:
        found |= dict.fromkeys(page["TableNames"], region)
    return found


async def _queues(services: Services, region: str) -> dict[str, str]:
    found: dict[str, str] = {}
    pages = services.asking.pages(
        "sqs:ListQueues",
        ABOUT.format("queues"),
        services.sqs.list_queues,
        ("NextToken", "NextToken"),
        MaxResults=1000,
    )
    async for page in pages:
        found |= {queue_name(url): region for url in page.get("QueueUrls", ())}
    return found


async def _buckets(services: Services, region: str) -> dict[str, str]:
    """Without paging where the service knows none."""
    found: dict[str, str] = {}
    permission, about, operation = "s3:ListAllMyBuckets", ABOUT.format("buckets"), services.s3.list_buckets
    try:
        token = ("ContinuationToken", "ContinuationToken")
        async for page in services.asking.pages(permission, about, operation, token, MaxBuckets=1000):
            found |= {b["Name"]: b.get("BucketRegion", region) for b in page.get("Buckets", ())}
    except AwsRefusal:
        answer = await services.asking.ask(permission, about, operation) or {}
        found = {b["Name"]: region for b in answer.get("Buckets", ())}
    return found
