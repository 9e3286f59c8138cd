"""Promises of the way to Blob Storage: certificates are verified, credentials asked for, many headers can be read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import pytest
from azure.core.credentials import AccessToken

from connectors.azure.blob import client
from fakes.authority import CertificateAuthority
from fakes.blobs import WHERE, bench, ready
from fakes.fetching import behind_tls
from fakes.objects import put
from replicator.errors import ConfigurationError
from replicator.model import GuardedResult

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.azurite import Azurite


class Credential:
    """In the place of DefaultAzureCredential."""

    closed = False
    asked: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.asked = scopes
        return AccessToken("token", int(time.time()) + 3600)


async def test_an_endpoint_with_tls_is_verified_by_the_bundle(azurite: Azurite, tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    async with behind_tls(azurite, authority.serving("127.0.0.1")) as account:
        async with ready(azurite, to=account.endpoint, ca_bundle=authority.bundle) as trusting:
            assert await trusting.replace(put("a", bytes(400_000))) == GuardedResult()
            assert await trusting.names() == ["a"]
        async with bench(azurite, to=account.endpoint) as doubting:
            with pytest.raises(ConfigurationError, match="certificate of the endpoint is not accepted") as refused:
                await doubting.target.connect(())
            assert refused.value.where == f"{WHERE}.ca_bundle"


async def test_without_a_key_the_default_credential_is_asked(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azurite, as it is started here, takes keys alone."""
    credential = Credential()
    monkeypatch.setattr(client, "default_credential", lambda: credential)
    authority = CertificateAuthority(tmp_path)
    async with (
        behind_tls(azurite, authority.serving("127.0.0.1")) as account,
        bench(azurite, to=account.endpoint, ca_bundle=authority.bundle, key=None) as new,
    ):
        with pytest.raises(ConfigurationError, match=r"docs/permissions\.md"):
            await new.target.connect(())
    assert credential.asked == ("https://storage.azure.com/.default",)
    assert credential.closed


async def test_a_blob_with_more_metadata_than_clients_read_by_default_is_read(azurite: Azurite) -> None:
    async with ready(azurite) as made:
        change = put("a", b"1", metadata={f"n{number}": "v" for number in range(300)})
        assert await made.replace(change) == GuardedResult()
        assert (await made.observe("a")).digest == made.target.fingerprint(change)
