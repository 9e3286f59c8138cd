"""Promise: what is to be set up for notifications is told with commands that do it, and loses no entry there is."""

import json
import shlex

from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.coverage import KINDS, missing_kinds
from connectors.aws.s3.planning import QUEUE_ARN, without_queue

CONFIG = S3SourceConfig(type="s3", bucket="init.media", prefix="in/")


def test_the_commands_make_a_queue_and_an_entry_beside_the_others() -> None:
    other = {"Id": "mine", "QueueArn": "arn:other", "Events": ["s3:ObjectAcl:Put"]}
    queue, entry = without_queue({"QueueConfigurations": [other]}, CONFIG)
    assert "--queue-name init-media-events" in queue.fix
    words = shlex.split(entry.fix)
    document = json.loads(words[words.index("--notification-configuration") + 1])
    assert other in document["QueueConfigurations"]
    assert missing_kinds(document, QUEUE_ARN, "in/") == []


def test_where_events_go_elsewhere_no_command_would_take_them_away() -> None:
    entry = {"Id": "to-lambda", "LambdaFunctionArn": "arn", "Events": ["s3:ObjectCreated:*"]}
    _, told = without_queue({"LambdaFunctionConfigurations": [entry]}, CONFIG)
    assert told.fix == ""
    assert next(iter(KINDS)) in told.text
