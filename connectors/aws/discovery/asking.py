"""Calls that only read. What may not be read is noted once for each permission and left out."""

from collections.abc import AsyncIterator
from typing import Final

from connectors.aws.calls import Operation, Patience, Response, soon
from connectors.aws.discovery.model import NotCovered, Topic
from replicator.errors import AccessError

PATIENCE: Final = Patience(attempts=4, first_pause_s=0.3, timeout_s=20.0)

MOST_PAGES: Final = 200
"""Of one listing. Beyond them nothing is looked at, which is told."""

READS: Final = frozenset(
    {
        "dynamodb:DescribeTable",
        "dynamodb:ListTables",
        "events:DescribeRule",
        "events:ListEventBuses",
        "events:ListRuleNamesByTarget",
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:GetRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:ListRolePolicies",
        "lambda:GetFunctionConfiguration",
        "lambda:GetPolicy",
        "lambda:ListAliases",
        "lambda:ListEventSourceMappings",
        "lambda:ListFunctionEventInvokeConfigs",
        "lambda:ListFunctionUrlConfigs",
        "s3:GetBucketNotification",
        "s3:GetEncryptionConfiguration",
        "s3:ListAllMyBuckets",
        "scheduler:GetSchedule",
        "scheduler:ListSchedules",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ListQueues",
    }
)
"""All that is asked for. docs/init.md shows the policy."""


class Asking:
    """Keeps what could not be read, by permission."""

    def __init__(self) -> None:
        self._refused: dict[str, list[str]] = {}
        self._cut: list[str] = []

    async def ask(self, permission: str, about: str, operation: Operation, **parameters: object) -> Response | None:
        """The answer; None where the permission is missing, which is remembered with what it was `about`.

        Raises AwsRefusal, and ConfigurationError where the service does not answer.
        """
        try:
            return await self.sure(permission, operation, **parameters)
        except AccessError:
            self._refused.setdefault(permission, []).append(about)
            return None

    async def sure(self, permission: str, operation: Operation, **parameters: object) -> Response:
        """As `ask`, where nothing could go on without: raises AccessError for a missing permission."""
        assert permission in READS  # noqa: S101 — whoever adds a call adds its permission
        return await soon("aws", operation, parameters, PATIENCE, final=(AccessError,))

    async def pages(
        self, permission: str, about: str, operation: Operation, token: tuple[str, str], **parameters: object
    ) -> AsyncIterator[Response]:
        """Page after page. `token` names the member that leads on in an answer, and what it is in a request."""
        told, asked = token
        more: dict[str, object] = {}
        for _ in range(MOST_PAGES):
            answer = await self.ask(permission, about, operation, **parameters, **more)
            if answer is None:
                return
            yield answer
            if not answer.get(told):
                return
            more = {asked: answer[told]}
        self._cut.append(f"{permission}: after {MOST_PAGES} pages nothing more was looked at ({about})")

    def leave_out(self, what: str, why: Exception) -> None:
        """What could not be read for another reason than a permission."""
        self._cut.append(f"{what}: {why}")

    def not_covered(self) -> list[NotCovered]:
        """What was left out for want of a permission, or for its length."""
        refused = [_refused(permission, about) for permission, about in self._refused.items()]
        return [NotCovered(Topic.NOT_LOOKED_AT, text) for text in (*refused, *self._cut)]


def _refused(permission: str, about: list[str]) -> str:
    others = f" and {len(about) - 1} more" if len(about) > 1 else ""
    return f"{permission} is not permitted, so this was not looked at: {about[0]}{others}"
