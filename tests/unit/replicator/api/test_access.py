"""Promises of who may change something over HTTP."""

from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import SecretStr

from replicator.api.access import Access

TOKEN = "a token of some length"
LOOPBACK, ELSEWHERE = ("127.0.0.1", 40000), ("10.1.2.3", 40000)


async def ask(
    token: str | None, client: tuple[str, int], headers: dict[str, str], method: str = "POST"
) -> httpx.Response:
    """What a route answers that is guarded so; its body is who asks."""
    app, access = FastAPI(), Access(SecretStr(token) if token else None)

    @app.api_route("/change", methods=["GET", "POST"])
    async def change(actor: Annotated[str, Depends(access)]) -> str:
        return actor

    transport = httpx.ASGITransport(app, client=client)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        return await http.request(
            method, "/change", headers={"Content-Type": "application/json", "Host": "127.0.0.1:8080", **headers}
        )


@pytest.mark.parametrize("host", [LOOPBACK, ("::1", 40000)])
async def test_without_a_configured_token_this_machine_may_and_no_other(host: tuple[str, int]) -> None:
    assert (await ask(None, host, {})).status_code == 200
    assert (await ask(None, ELSEWHERE, {})).status_code == 403
    assert (await ask(None, ELSEWHERE, {"X-Forwarded-For": "127.0.0.1"})).status_code == 403


@pytest.mark.parametrize("client", [LOOPBACK, ELSEWHERE])
async def test_with_one_only_who_has_it_may(client: tuple[str, int]) -> None:
    assert (await ask(TOKEN, client, {"Authorization": f"Bearer {TOKEN}"})).status_code == 200
    for wrong in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, "Bearer ä"):
        answer = await ask(TOKEN, client, {"Authorization": wrong} if wrong.isascii() else {})
        assert answer.status_code == 401, wrong
        assert TOKEN not in answer.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_what_a_page_in_a_browser_could_send_is_refused(kind: str) -> None:
    assert (await ask(None, LOOPBACK, {"Content-Type": kind})).status_code == 415
    assert (await ask(None, LOOPBACK, {"Content-Type": kind}, method="GET")).status_code == 200


async def test_who_asks_is_told_for_the_audit_log_and_cannot_forge_a_line() -> None:
    assert (await ask(None, LOOPBACK, {})).json() == "127.0.0.1"
    said = (await ask(None, LOOPBACK, {"X-Replicator-Actor": "ann\t" + "x" * 200})).json()
    assert said == "ann" + "x" * 96 + " (127.0.0.1)"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_a_token_a_page_that_calls_this_machine_by_its_own_name_is_refused(method: str) -> None:
    """A browser takes it for the page's own origin then, and lets it read what comes back."""
    for name in ("rebound.example", "rebound.example:8080", "", "127.0.0.1.example", "10.1.2.3:8080"):
        assert (await ask(None, LOOPBACK, {"Host": name}, method)).status_code == 403, name
    for name in ("localhost:8080", "[::1]:8080", "127.0.0.1"):
        assert (await ask(None, LOOPBACK, {"Host": name}, method)).status_code == 200, name
    assert (await ask(TOKEN, ELSEWHERE, {"Host": "replicator", "Authorization": f"Bearer {TOKEN}"})).status_code == 200
