"""The Service Bus target over TLS, WebSockets and proxies: what it trusts, and what it asks for.

The local broker speaks plain AMQP, so a bridge stands before it; the SDK is led there as to a private gateway.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web
from azure.identity import CredentialUnavailableError
from integration.test_cosmos_client import forward_proxy
from integration.test_cosmos_credentials import Credential

from connectors.azure.servicebus import links
from connectors.azure.servicebus.config import ServiceBusTargetConfig
from connectors.azure.servicebus.links import opener
from connectors.azure.servicebus.mapping import MappingRules, to_servicebus
from fakes.authority import CertificateAuthority
from fakes.buses import WHERE, job
from fakes.servicebus import lying
from replicator.errors import AccessError, TransientError, UnreachableError
from sandbox.servicebus import EMULATOR_KEY, QueueSettings, ServiceBusServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.usefixtures("hurried"), pytest.mark.embedded("servicebus", "a certificate of its own")]

HOST = "127.0.0.1"


@asynccontextmanager
async def bridge(broker: ServiceBusServer, tls: ssl.SSLContext) -> AsyncIterator[tuple[int, list[str]]]:
    """A port that speaks AMQP over WebSockets for the broker, and the paths that were asked for."""
    asked: list[str] = []

    async def upgrade(request: web.Request) -> web.WebSocketResponse:
        asked.append(request.path)
        socket = web.WebSocketResponse(protocols=("AMQPWSB10",))
        await socket.prepare(request)
        async with await anyio.connect_tcp(broker.host, broker.port) as stream, anyio.create_task_group() as tasks:

            async def down() -> None:
                with suppress(ConnectionError):
                    async for data in stream:
                        await socket.send_bytes(data)

            tasks.start_soon(down)
            async for message in socket:
                await stream.send(message.data)
            tasks.cancel_scope.cancel()
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", upgrade)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


def led_to(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """The SDK takes another port only for a gateway that stands before the namespace."""
    options = links._options

    def leading(*given: Any) -> dict[str, Any]:
        return {**options(*given), "custom_endpoint_address": f"sb://{HOST}:{port}"}

    monkeypatch.setattr(links, "_options", leading)


def config(**settings: Any) -> ServiceBusTargetConfig:
    """Of a namespace with the broker's key, whose signatures name a host and no port."""
    settings = {"namespace": HOST, "key": EMULATOR_KEY, "websockets": True, **settings}
    return ServiceBusTargetConfig(type="servicebus", queue="jobs", **settings)


async def sent(settings: ServiceBusTargetConfig) -> None:
    async with opener(settings, WHERE) as open_link:
        with anyio.fail_after(30):
            link = await open_link()
        await link.send([to_servicebus(job(n).record, MappingRules()) for n in range(3)])
        await link.close()


async def test_messages_pass_over_websockets_and_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    async with ServiceBusServer({"jobs": QueueSettings()}) as broker:
        async with bridge(broker, authority.serving(HOST)) as (port, asked):
            led_to(monkeypatch, port)
            await sent(config(ca_bundle=authority.bundle))
        assert asked == ["/$servicebus/websocket"]
        assert lying(broker, "jobs") == ["0", "1", "2"]


async def test_a_certificate_of_somebody_else_is_not_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours, theirs = CertificateAuthority(tmp_path, "ours"), CertificateAuthority(tmp_path, "theirs")
    async with ServiceBusServer({"jobs": QueueSettings()}) as broker:
        async with bridge(broker, theirs.serving(HOST)) as (port, asked):
            led_to(monkeypatch, port)
            for settings in (config(ca_bundle=ours.bundle), config()):
                with pytest.raises(TransientError, match="certificate"):
                    await sent(settings)
        assert asked == []


async def test_the_proxy_of_the_config_is_used() -> None:
    async with forward_proxy() as (address, asked):
        with pytest.raises(TransientError):
            await sent(config(proxy=address, namespace="shop.servicebus.windows.net"))
    assert asked == ["CONNECT shop.servicebus.windows.net:443 HTTP/1.1"]


@pytest.mark.parametrize("websockets", [True, False])
async def test_nobody_at_the_address_is_no_connection_and_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch, websockets: bool
) -> None:
    if websockets:
        led_to(monkeypatch, 1)
    with pytest.raises(TransientError):
        await sent(config(websockets=websockets))


@pytest.fixture
def credential(monkeypatch: pytest.MonkeyPatch) -> Credential:
    """Stands for DefaultAzureCredential."""
    made = Credential()
    monkeypatch.setattr(links, "default_credential", lambda: made)
    return made


@pytest.mark.parametrize("error", [None, CredentialUnavailableError("nothing in the environment")])
async def test_without_a_key_the_default_credential_is_asked_and_what_is_wrong_with_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credential: Credential, error: Exception | None
) -> None:
    """The local broker takes no tokens; of a gateway's namespace the SDK calls that a lost connection."""
    credential.error = error
    authority = CertificateAuthority(tmp_path)
    async with (
        ServiceBusServer({"jobs": QueueSettings()}) as broker,
        bridge(broker, authority.serving(HOST)) as (port, _),
    ):
        led_to(monkeypatch, port)
        with pytest.raises(AccessError if error else UnreachableError, match="nothing in the env" if error else "amqp"):
            await sent(config(ca_bundle=authority.bundle, key=None))
    assert credential.asked == ("https://servicebus.azure.net//.default",)
    assert credential.closed
