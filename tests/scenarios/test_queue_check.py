"""Promise: `check` says beforehand, receiving nothing, where messages would be lost or go to somebody else."""

import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.aws import AwsServer
from sandbox.workload.message_shapes import NewMessage
from scenarios.migration import run_command
from scenarios.queue_world import QueueWorld, queue_world

CODE = io.BytesIO()
with zipfile.ZipFile(CODE, "w") as archive:
    archive.writestr("handler.py", "def handler(event, context): return {}")


@asynccontextmanager
async def triggered(w: QueueWorld, name: str) -> AsyncIterator[str]:
    """A function that the queue triggers; its name."""
    function = w.queues[name].url.rpartition("/")[2]
    told = await w.sqs.get_queue_attributes(QueueUrl=w.queues[name].url, AttributeNames=["QueueArn"])
    async with w.aws.client("lambda") as functions:
        await functions.create_function(
            FunctionName=function,
            Runtime="python3.12",
            Role="arn:aws:iam::000000000000:role/none",
            Handler="handler.handler",
            Code={"ZipFile": CODE.getvalue()},
        )
        mapping = await functions.create_event_source_mapping(
            EventSourceArn=told["Attributes"]["QueueArn"], FunctionName=function, Enabled=True
        )
        try:
            yield function
        finally:
            await functions.delete_event_source_mapping(UUID=mapping["UUID"])
            await functions.delete_function(FunctionName=function)


def _add_dead_letter_pipeline(w: QueueWorld) -> None:
    """The dead-letter queue is a pipeline as well, into a queue of its own."""
    pipelines: dict[str, Any] = w.config["pipelines"]
    mail, dead = pipelines["mail"], w.queues["mail"].dead_letter_url.rpartition("/")[2]
    w.broker.namespace.create("dead-mail", w.broker.namespace.queue("mail").settings)
    pipelines["dead-mail"] = {
        "source": {**mail["source"], "queue": dead},
        "target": {**mail["target"], "queue": "dead-mail"},
    }
    w.write_config()


async def test_a_dead_letter_queue_that_nobody_migrates_and_a_function_that_is_triggered_are_errors(
    aws: AwsServer, tmp_path: Path
) -> None:
    async with queue_world(aws, tmp_path, "mail", source={"consume": "forward"}) as w:
        code, text = await run_command(w, "check")
        assert code == 2, text
        assert "which no pipeline of this migration reads" in text
        _add_dead_letter_pipeline(w)
        sender = w.sender("mail")
        await sender.send([NewMessage("x")])
        code, text = await run_command(w, "check")
        assert code == 0, text
        assert (await w.counts(w.queues["mail"].url))[0] == 1
        (message,) = (
            await w.sqs.receive_message(
                QueueUrl=w.queues["mail"].url, MessageSystemAttributeNames=["ApproximateReceiveCount"]
            )
        )["Messages"]
        assert message["Attributes"]["ApproximateReceiveCount"] == "1", "check has received nothing"
        async with triggered(w, "mail") as function:
            for command in ("check", "run"):
                code, text = await run_command(w, command)
                assert code == 2, text
                assert f"triggers {function}, and each message would go to one of both" in text
        assert w.accepted("mail") == 0
