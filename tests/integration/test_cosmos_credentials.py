"""Promise: without a key the default credential is asked, and what is wrong with it is said at the start."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import pytest
from azure.core.credentials import AccessToken
from azure.identity import CredentialUnavailableError

from connectors.azure.cosmos import account, client
from connectors.azure.cosmos.target import open_target
from fakes.authority import CertificateAuthority
from fakes.targets import WHERE, cosmos_config, target_context
from replicator.errors import ConfigurationError
from sandbox.cosmos import CosmosServer

pytestmark = pytest.mark.embedded("cosmos", "a certificate of its own")

HOST = "127.0.0.1"


class Credential:
    """In the place of DefaultAzureCredential."""

    error: Exception | None = None
    delay_s = 0.0
    closed = False
    asked: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked = scopes
        await anyio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return AccessToken("token", int(time.time()) + 3600)


@pytest.fixture
def credential(monkeypatch: pytest.MonkeyPatch) -> Credential:
    made = Credential()
    monkeypatch.setattr(client, "default_credential", lambda: made)
    return made


async def refusal(server: CosmosServer, authority: CertificateAuthority) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as refused:
        async with open_target(
            cosmos_config(server.endpoint, key=None, ca_bundle=authority.bundle), target_context()
        ) as target:
            await target.connect(("id",))
    return refused.value


async def test_a_token_that_the_service_refuses_is_said(credential: Credential, tmp_path: Path) -> None:
    """The local service takes keys alone."""
    authority = CertificateAuthority(tmp_path)
    async with CosmosServer(tls=authority.serving(HOST)) as server:
        refused = await refusal(server, authority)
        assert server.stats()["operations"] == {"account.read": {"401": 1}}
    assert credential.asked == (f"https://{HOST}/.default",)
    assert refused.where == WHERE
    assert "docs/permissions.md" in refused.fix
    assert credential.closed


async def test_credentials_that_are_nowhere_are_said(credential: Credential, tmp_path: Path) -> None:
    credential.error = CredentialUnavailableError("nothing in the environment")
    authority = CertificateAuthority(tmp_path)
    async with CosmosServer(tls=authority.serving(HOST)) as server:
        refused = await refusal(server, authority)
        assert server.stats()["operations"] == {}
    assert "nothing in the environment" in refused.problem
    assert "docs/permissions.md" in refused.fix


async def test_credentials_have_more_time_than_the_connection(
    credential: Credential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default credential asks one place after the other."""
    monkeypatch.setattr("connectors.azure.probing.CONNECT_TIMEOUT_S", 0.2)
    credential.delay_s = 0.5
    authority = CertificateAuthority(tmp_path)
    async with CosmosServer(tls=authority.serving(HOST)) as server:
        refused = await refusal(server, authority)
    assert "status 401" in refused.problem
    monkeypatch.setattr(account, "TOKEN_TIMEOUT_S", 0.3)
    async with CosmosServer(tls=authority.serving(HOST)) as server:
        refused = await refusal(server, authority)
    assert "no answer within 0.3 s" in refused.problem


async def test_a_token_is_never_sent_in_the_clear(credential: Credential, tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    async with CosmosServer() as server:
        refused = await refusal(server, authority)
        assert server.stats()["operations"] == {}
    assert "non-TLS" in refused.problem


async def test_with_a_key_no_credential_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Credential:
        raise AssertionError("it would look for credentials all over the place")

    monkeypatch.setattr(client, "default_credential", never)
    async with CosmosServer() as server, open_target(cosmos_config(server.endpoint), target_context()) as target:
        await target.connect(("id",))
