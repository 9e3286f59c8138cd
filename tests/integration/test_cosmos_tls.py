"""Promise: an https endpoint is always verified, against the authorities of `ca_bundle` where one is named."""

import ssl
from pathlib import Path

import pytest

from connectors.azure.cosmos.config import CosmosTargetConfig
from connectors.azure.cosmos.target import open_target
from fakes.authority import CertificateAuthority
from fakes.records import key_of, upsert
from fakes.targets import WHERE, cosmos_config, target_context
from replicator.errors import ConfigurationError
from replicator.model import Rule
from sandbox.cosmos import CosmosServer

pytestmark = pytest.mark.embedded("cosmos", "a certificate of its own")

HOSTS = ("127.0.0.1", "localhost")


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


async def refusal(config: CosmosTargetConfig) -> ConfigurationError:
    """What is said instead of connecting."""
    with pytest.raises(ConfigurationError) as refused:
        async with open_target(config, target_context()) as target:
            await target.connect(("id",))
    return refused.value


@pytest.mark.parametrize("host", HOSTS)
async def test_with_the_bundle_everything_works(authority: CertificateAuthority, host: str) -> None:
    """Reads, writes and what the SDK asks in the background."""
    async with (
        CosmosServer(tls=authority.serving(*HOSTS)) as server,
        open_target(
            cosmos_config(server.endpoint.replace("127.0.0.1", host), ca_bundle=authority.bundle), target_context()
        ) as target,
    ):
        await target.connect(("id",))
        await target.create()
        assert await target.apply([upsert("a", 1)], Rule.FOLLOW) == []
        assert (await target.observe([key_of("a")]))[key_of("a")].guard is not None


@pytest.mark.parametrize("host", HOSTS)
async def test_without_the_bundle_the_field_and_the_fix_are_named(authority: CertificateAuthority, host: str) -> None:
    """On loopback too, where the SDK by itself would verify nothing."""
    async with CosmosServer(tls=authority.serving(*HOSTS)) as server:
        refused = await refusal(cosmos_config(server.endpoint.replace("127.0.0.1", host)))
        assert refused.where == f"{WHERE}.ca_bundle"
        assert "the certificate of the endpoint is not accepted (unable to get local issuer" in refused.problem
        assert "PEM file" in refused.fix
        assert server.stats()["operations"] == {}, "nothing was sent to a stranger"


async def test_the_bundle_replaces_all_other_authorities(authority: CertificateAuthority, tmp_path: Path) -> None:
    other = CertificateAuthority(tmp_path, "another authority")
    async with CosmosServer(tls=authority.serving(*HOSTS)) as server:
        refused = await refusal(cosmos_config(server.endpoint, ca_bundle=other.bundle))
    assert refused.where == f"{WHERE}.ca_bundle"


async def test_a_certificate_for_another_name_is_not_accepted(authority: CertificateAuthority) -> None:
    async with CosmosServer(tls=authority.serving("shop.example")) as server:
        refused = await refusal(cosmos_config(server.endpoint, ca_bundle=authority.bundle))
    assert "certificate is not valid for '127.0.0.1'" in refused.problem
    assert "endpoint" in refused.fix


async def test_https_to_a_port_that_speaks_plain_http_is_told_apart() -> None:
    async with CosmosServer() as server:
        refused = await refusal(cosmos_config(server.endpoint.replace("http://", "https://")))
    assert refused.where == WHERE
    assert "cannot be reached" in refused.problem


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"])
async def test_a_bundle_that_cannot_be_used_is_named_before_anything_is_sent(
    tmp_path: Path, content: str | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    refused = await refusal(cosmos_config("https://127.0.0.1:9", ca_bundle=bundle))
    assert refused.where == f"{WHERE}.ca_bundle"
    assert str(bundle) in refused.problem


async def test_the_system_s_authorities_hold_where_no_bundle_is_named(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenSSL finds them, so `SSL_CERT_FILE` replaces them."""
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(authority.bundle))
    async with (
        CosmosServer(tls=authority.serving(*HOSTS)) as server,
        open_target(cosmos_config(server.endpoint), target_context()) as target,
    ):
        await target.connect(("id",))
