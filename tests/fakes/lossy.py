"""A client whose calls get lost, or their answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConnectionClosedError

if TYPE_CHECKING:
    from collections.abc import Callable


class Lossy:
    """Stands before a client: of the calls of `operations`, every third or so is not made or has no answer."""

    def __init__(self, client: Any, *operations: str, seed: int = 0) -> None:
        self._client = client
        self._operations = operations
        self._chance = random.Random(seed)
        self.lost = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)
        return self._losing(call) if name in self._operations else call

    def _losing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def made(**parameters: Any) -> Any:
            fate = self._chance.random()
            self.lost += fate < 0.3
            if fate < 0.15:
                raise ConnectionClosedError(endpoint_url="x")
            answer = await call(**parameters)
            if fate < 0.3:
                raise ConnectionClosedError(endpoint_url="x")
            return answer

        return made
