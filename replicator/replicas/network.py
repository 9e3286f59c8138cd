"""How replicas reach each other: by TCP, encrypted, with a certificate that only the leader has."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio
import structlog
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from replicator.config.models import ReplicasConfig
from replicator.errors import ConfigurationError
from replicator.replicas.channel import Broken
from replicator.replicas.invitation import Identity, Invitation

CONNECT_WITHIN_S = 3.0

PEER = "leader"
"""What the leader is called within the connection: the certificate itself says who it is, not a name."""

Listening = Callable[[Invitation], Awaitable[None]]
"""Is told where the leader is reached, once it is."""

Serve = Callable[[ByteStream], Awaitable[None]]
"""Serves one connection to its end."""


class Network(Protocol):
    """What connects replicas."""

    async def listen(self, config: ReplicasConfig, identity: Identity, listening: Listening, serve: Serve) -> None:
        """Until cancelled. Raises ConfigurationError where nobody can listen."""

    async def connect(self, invitation: Invitation) -> ByteStream | None:
        """A connection to the leader; None where nobody answers there, or somebody else does."""


class TlsNetwork:
    """Every connection is encrypted."""

    async def listen(self, config: ReplicasConfig, identity: Identity, listening: Listening, serve: Serve) -> None:
        """See `Network`."""
        host, port = config.address
        try:
            listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
        except OSError as error:
            problem = f"cannot listen on {config.listen} ({error})"
            raise ConfigurationError("replicas.listen", problem, "Choose another address or port") from error
        async with _Listener(listener, identity.serving(), standard_compatible=False) as encrypted:
            found = listener.extra(SocketAttribute.local_port)  # noqa: S610 — anyio's, not Django's
            await listening(Invitation(config.advertised, found, identity.token, identity.certificate))
            await encrypted.serve(serve)

    async def connect(self, invitation: Invitation) -> ByteStream | None:
        """See `Network`."""
        try:
            with anyio.fail_after(CONNECT_WITHIN_S):
                return await anyio.connect_tcp(
                    invitation.host,
                    invitation.port,
                    tls=True,
                    ssl_context=invitation.trusting(),
                    tls_standard_compatible=False,
                    tls_hostname=PEER,
                )
        except (TimeoutError, *Broken):
            return None


class _Listener(TLSListener):
    """Whoever fails to speak TLS is not worth a stack trace in the log."""

    @staticmethod
    async def handle_handshake_error(exc: BaseException, stream: Any) -> None:
        await anyio.aclose_forcefully(stream)
        if not isinstance(exc, Exception):
            raise exc
        structlog.get_logger().debug("a connection to the port of replicas came to nothing", error=str(exc))
