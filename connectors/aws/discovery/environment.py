"""What environment variables tell. Values are compared and forgotten: only names come out of here. Pure."""

import re

from connectors.aws.discovery.model import Catalogue, Kind, Resource

SEPARATORS = re.compile(r"[\s,;|]+")

QUEUE_URL = re.compile(r"https?://[^/]+/(?P<account>\d{12})/(?P<name>[A-Za-z0-9_-]{1,80}(\.fifo)?)/?")
BUCKET_URL = re.compile(r"s3[an]?://(?P<name>[A-Za-z0-9._-]{3,255})(/.*)?")

STORES = {
    "a secret": r"(^|_)(SECRETS?|PASSWORD|PASSWD|PWD|TOKEN|CREDENTIALS?|APIKEY|KEY|PRIVATE|CERT\w*|SSM|PARAMETER)(_|$)",
    "a relational database": r"(^|_)(RDS|PG|POSTGRES\w*|MYSQL\w*|MARIADB|AURORA|ORACLE|MSSQL|JDBC|DB|DATABASE)(_|$)",
    "a cache": r"(^|_)(REDIS|ELASTICACHE|MEMCACHED?|VALKEY|CACHE)(_|$)",
    "a document store": r"(^|_)(MONGO\w*|DOCDB|DOCUMENTDB|CASSANDRA|KEYSPACES|NEPTUNE)(_|$)",
    "a search service": r"(^|_)(ELASTIC\w*|OPENSEARCH|SOLR|ALGOLIA)(_|$)",
    "a stream or a topic": r"(^|_)(KAFKA|MSK|KINESIS|FIREHOSE|SNS|TOPIC|RABBIT\w*|AMQP|MQTT)(_|$)",
}
"""By what is guessed of a name."""

VALUES = {
    "a relational database": r"^(jdbc:|postgres(ql)?:|mysql:|mariadb:|sqlserver:)|\.rds\.amazonaws\.com",
    "a cache": r"^(rediss?|memcached):|\.cache\.amazonaws\.com",
    "a document store": r"^mongodb(\+srv)?:|\.docdb\.amazonaws\.com",
    "a search service": r"\.(es|aoss)\.amazonaws\.com",
    "a stream or a topic": r"^(amqps?|kafka|mqtts?):|^arn:[\w-]+:(sns|kinesis|firehose|kafka):",
    "a secret": r"^arn:[\w-]+:(secretsmanager|ssm):",
}
"""By what is guessed of a value."""

OF_LAMBDA = re.compile(r"^(AWS_|_|LAMBDA_|POWERTOOLS_|NODE_|PYTHON|JAVA_TOOL_)")
"""Names that belong to the service and its libraries."""


def matches(value: str, there: Catalogue) -> list[Resource]:
    """The tables, buckets and queues there are that a value names: alone, in a list, by ARN or by URL."""
    found = [_resource(part.strip("\"'[]"), there) for part in SEPARATORS.split(value[:4096])]
    return list(dict.fromkeys(r for several in found for r in several))


def guess(name: str, value: str) -> str:
    """What a variable that names no resource looks like; empty for nothing."""
    if OF_LAMBDA.match(name):
        return ""
    for told, pattern in VALUES.items():
        if re.search(pattern, value[:4096].lower()):
            return told
    return next((told for told, pattern in STORES.items() if re.search(pattern, _words(name))), "")


def _words(name: str) -> str:
    """`dbUrl` as `DB_URL`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def _resource(text: str, there: Catalogue) -> list[Resource]:
    if text.startswith("arn:"):
        one = of_arn(text, there)
        return [one] if one is not None and one.name in there.names(one.kind) else []
    if url := QUEUE_URL.fullmatch(text):
        known = url["account"] == there.account and url["name"] in there.queues
        return [Resource(Kind.QUEUE, url["name"])] if known else []
    if url := BUCKET_URL.fullmatch(text):
        return [Resource(Kind.BUCKET, url["name"])] if url["name"] in there.buckets else []
    return [Resource(kind, text) for kind in Kind if text in there.names(kind)]


def of_arn(arn: str, there: Catalogue) -> Resource | None:
    """The table, bucket or queue of this account and region that an ARN is about, or a part of; None for another
    thing. Names may hold wildcards.
    """
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return None
    _, _, service, region, account, rest = parts
    if service == "s3":
        return Resource(Kind.BUCKET, rest.partition("/")[0])
    if account != there.account or region != there.region:
        return None
    if service == "dynamodb" and rest.startswith("table/"):
        return Resource(Kind.TABLE, rest.split("/")[1])
    return Resource(Kind.QUEUE, rest) if service == "sqs" else None
