"""What there is in the account, by name: what a variable or a policy says is compared with it."""

from connectors.aws.discovery.model import Catalogue
from connectors.aws.discovery.services import Services
from connectors.aws.errors import AwsRefusal
from connectors.aws.sqs.places import queue_name

ABOUT = "which {} there are, so that variables and policies can be compared with them"


async def list_everything(services: Services, function_arn: str) -> Catalogue:
    """Of the account and region of a function. What may not be listed is left empty, and is noted by `Asking`."""
    _, partition, _, region, account, *_ = function_arn.split(":")
    return Catalogue(
        partition,
        region,
        account,
        frozenset(await _tables(services)),
        await _buckets(services, region),
        frozenset(await _queues(services)),
    )


async def _tables(services: Services) -> list[str]:
    found: list[str] = []
    token = ("LastEvaluatedTableName", "ExclusiveStartTableName")
    pages = services.asking.pages(
        "dynamodb:ListTables", ABOUT.format("tables"), services.dynamodb.list_tables, token, Limit=100
    )
    async for page in pages:
        found += page["TableNames"]
    return found


async def _queues(services: Services) -> list[str]:
    found: list[str] = []
    pages = services.asking.pages(
        "sqs:ListQueues",
        ABOUT.format("queues"),
        services.sqs.list_queues,
        ("NextToken", "NextToken"),
        MaxResults=1000,
    )
    async for page in pages:
        found += [queue_name(url) for url in page.get("QueueUrls", ())]
    return found


async def _buckets(services: Services, region: str) -> dict[str, str]:
    """With their regions; without paging where the service knows none."""
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
