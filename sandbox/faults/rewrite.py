"""Makes a cloud that names its own address in its answers name the proxy's instead.

A Cosmos account document says which endpoint to use next, SQS names queues by URL: a client that believed them
would go round the proxy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.faults.wire import Message

TEXT_TYPES = ("json", "xml", "text")
LOOPBACK_NAMES = ("127.0.0.1", "localhost")


class Rewriter:
    """Replaces `//target-host:port` by `//proxy-host:port` in headers and uncompressed text bodies.

    It cannot tell the service's own addresses from a document that happens to contain one.
    """

    def __init__(self, target_host: str, target_port: int, own_host: str, own_port: int) -> None:
        names = {target_host, *LOOPBACK_NAMES} if target_host in LOOPBACK_NAMES else {target_host}
        self._sought = [f"//{name}:{target_port}".encode() for name in sorted(names)]
        self._own = f"//{own_host}:{own_port}".encode()

    def concerns(self, response: Message) -> bool:
        """Whether the body is one that may name an address; only then need it be buffered."""
        kind = response.headers.get("content-type", "")
        plain = "content-encoding" not in response.headers
        return plain and response.length != 0 and any(text in kind for text in TEXT_TYPES)

    def rewrite(self, response: Message) -> None:
        """Rewrite a response whose body is buffered. One that names no address of the target is left alone."""
        content = self._replace(response.content)
        head = self._replace(response.head)
        if content == response.content and head == response.head:
            return
        response.head = head
        response.set_content(content)

    def _replace(self, data: bytes) -> bytes:
        for sought in self._sought:
            data = data.replace(sought, self._own)
        return data
