"""The policies of a function's role."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from connectors.aws.discovery.functions import Function, Gathered
from connectors.aws.discovery.model import Catalogue
from connectors.aws.discovery.services import Services
from connectors.aws.discovery.statements import read_policy

PAGE = ("Marker", "Marker")


async def read_role(services: Services, function: Function, there: Catalogue, gathered: Gathered) -> None:
    """Inline and attached ones: what they name, and what they name that is not carried."""
    role = function.role.rpartition("/")[2]
    async for told, document in _policies(services, role):
        read = read_policy(document, told, there)
        for resource, reason in read.resources:
            gathered.add(resource, reason)
        for line in read.not_covered:
            gathered.leave(line.topic, line.text)


async def _policies(services: Services, role: str) -> AsyncIterator[tuple[str, Mapping[str, Any]]]:
    asking, iam = services.asking, services.iam
    inline = asking.pages(
        "iam:ListRolePolicies", f"inline policies of role {role}", iam.list_role_policies, PAGE, RoleName=role
    )
    async for page in inline:
        for name in page.get("PolicyNames", ()):
            told = f"policy {name} of role {role}"
            answer = await asking.ask("iam:GetRolePolicy", told, iam.get_role_policy, RoleName=role, PolicyName=name)
            if answer is not None:
                yield told, answer["PolicyDocument"]
    attached = asking.pages(
        "iam:ListAttachedRolePolicies",
        f"attached policies of role {role}",
        iam.list_attached_role_policies,
        PAGE,
        RoleName=role,
    )
    async for page in attached:
        for policy in page.get("AttachedPolicies", ()):
            told = f"policy {policy['PolicyName']} attached to role {role}"
            document = await _attached(services, str(policy["PolicyArn"]), told)
            if document is not None:
                yield told, document


async def _attached(services: Services, arn: str, told: str) -> Mapping[str, Any] | None:
    """Its default version, which is the one that counts."""
    asking, iam = services.asking, services.iam
    policy = await asking.ask("iam:GetPolicy", told, iam.get_policy, PolicyArn=arn)
    if policy is None:
        return None
    version = policy["Policy"]["DefaultVersionId"]
    answer = await asking.ask("iam:GetPolicyVersion", told, iam.get_policy_version, PolicyArn=arn, VersionId=version)
    return None if answer is None else answer["PolicyVersion"]["Document"]
