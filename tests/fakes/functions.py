"""AWS as far as functions are read, scripted: each client answers by the name of the operation."""

from collections.abc import Awaitable, Callable
from typing import Any

from botocore.exceptions import ClientError

from connectors.aws.discovery.asking import Asking
from connectors.aws.discovery.services import Services

Answers = dict[str, Any]
"""By operation: an answer, a function of the parameters that gives one, or the code of a refusal."""


class ScriptedClient:
    """What is not scripted is answered with nothing at all."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def operation(*_: Any, **parameters: Any) -> Any:
            answer = self._answers.get(name, {})
            answer = answer(**parameters) if callable(answer) else answer
            if isinstance(answer, str):
                refusal: Any = {"Error": {"Code": answer}, "ResponseMetadata": {"HTTPStatusCode": 400}}
                raise ClientError(refusal, name)
            return answer

        operation.__name__ = name
        return operation


def services(
    functions: Answers | None = None,
    *,
    iam: Answers | None = None,
    events: Answers | None = None,
    s3: Answers | None = None,
    sqs: Answers | None = None,
    dynamodb: Answers | None = None,
) -> Services:
    """Of these answers."""
    clients = (functions, iam, events, None, s3, dynamodb, sqs)
    return Services(Asking(), *[ScriptedClient(answers or {}) for answers in clients])
