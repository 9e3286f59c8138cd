"""Promises of the probe: only an answer of success in time is one, each request finds clients' way anew; the arithmetic
of pauses never tells less than what was seen.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from replicator.config.models import ProbeConfig
from replicator.cutover.pause import first
from replicator.cutover.probe import open_probe

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def application(statuses: Sequence[int], delay_s: float = 0.0) -> AsyncIterator[tuple[str, list[str]]]:
    """Answers with these, one after the other, and keeps what it was asked and from which port."""
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        peer = request.transport.get_extra_info("peername")[1] if request.transport else 0
        said = f"{request.method} {request.headers.get('Authorization', '-')} {await request.text()}"
        asked.append(f"{said} {peer}")
        await anyio.sleep(delay_s)
        return web.Response(status=statuses[len(asked) - 1], headers={"Location": "/"})

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/orders", asked
    finally:
        await runner.cleanup()


async def test_only_an_answer_of_success_is_one_and_no_connection_is_kept() -> None:
    statuses = [200, 204, 302, 404, 500, 200]
    async with application(statuses) as (url, asked):
        config = ProbeConfig(url=url, body='{"probe": true}', token="t0ken")
        async with open_probe(config) as probe:
            assert probe is not None
            worked = [(await probe.works(), probe.said) for _ in statuses]
    assert [works for works, _ in worked] == [True, True, False, False, False, True]
    assert [said for _, said in worked] == [f"answered with {status}" for status in statuses]
    assert all(said.startswith('POST Bearer t0ken {"probe": true}') for said in asked)
    assert len({said.rpartition(" ")[2] for said in asked}) == len(statuses)


async def test_nobody_there_and_nobody_in_time_are_failures() -> None:
    async with application([200], delay_s=5) as (url, _), open_probe(ProbeConfig(url=url, timeout_s=0.1)) as probe:
        assert probe is not None
        assert not await probe.works()
        assert probe.said == "gives no answer (TimeoutError)"
    async with open_probe(ProbeConfig(url=url, method="GET")) as probe:
        assert probe is not None
        assert not await probe.works()
        assert probe.said == "gives no answer (ClientConnectorError)"
    async with open_probe(None) as nothing:
        assert nothing is None


@given(st.lists(st.tuples(st.floats(0.01, 10), st.booleans()), max_size=40))
def test_the_pause_is_the_longest_time_between_two_that_worked_with_a_failure_between(
    requests: list[tuple[float, bool]],
) -> None:
    found, now = first(T0), T0
    worked, failed, longest = T0, False, 0.0
    for after_s, works in requests:
        now += timedelta(seconds=after_s)
        found = found.after(now, works=works)
        if works:
            longest = max(longest, (now - worked).total_seconds()) if failed else longest
            worked, failed = now, False
        else:
            failed = True
    under_way = (now - worked).total_seconds() if failed else 0.0
    assert found.pause_s == pytest.approx(max(longest, under_way))
    assert (found.attempts, found.failures) == (len(requests) + 1, sum(not works for _, works in requests))


def test_what_nobody_has_tried_counts_as_a_pause() -> None:
    found = first(T0).after(T0 + timedelta(seconds=1), works=True).unwatched()
    found = found.after(T0 + timedelta(seconds=31), works=True)
    assert found.pause_s == 30
    assert found.failures == 0
