"""Every fault does what it says to a real client and a real server, and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

from sandbox.faults import (
    Answer,
    CutAfter,
    CutBefore,
    Delay,
    Duplicate,
    EditBody,
    FaultProxy,
    HoldDelivery,
    Pass,
    Stall,
)
from sandbox.faults.control import control
from sandbox.workload import create_orders_table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from sandbox.aws import AwsServer

LOOPBACK = "127.0.0.1"
CUT = (aiohttp.ClientConnectionError, ConnectionResetError)
BIG = bytes(range(256)) * 40_000  # ten megabytes


class Target:
    """An HTTP server that remembers what reached it, in order, as "METHOD path body"."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.port = 0
        self.holding = asyncio.Event()
        self.abandoned = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        shown = body.decode() if len(body) < 100 else f"{len(body)} bytes"
        self.received.append(f"{request.method} {request.path_qs} {shown}")
        match request.path:
            case "/chunked":
                return await self.stream(request, body)
            case "/held":
                return await self.hold()
            case "/self":
                return web.json_response({"self": f"http://{LOOPBACK}:{self.port}/dbs"})
            case "/close":
                return web.Response(text="bye", headers={"Connection": "close"})
        return web.json_response({"number": len(self.received), "bytes": len(body)})

    async def stream(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for at in range(0, len(body), 100_000):
            await response.write(body[at : at + 100_000])
        return response

    async def hold(self) -> web.Response:
        self.holding.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.abandoned.set()
        return web.Response()


@asynccontextmanager
async def target_and_proxy(**options: Any) -> AsyncIterator[tuple[Target, FaultProxy, aiohttp.ClientSession]]:
    target = Target()
    application = web.Application(client_max_size=2 * len(BIG))
    application.router.add_route("*", "/{path:.*}", target.handle)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    target.port = runner.addresses[0][1]
    try:
        async with (
            FaultProxy(LOOPBACK, target.port, **options) as proxy,
            aiohttp.ClientSession(proxy.endpoint) as client,
        ):
            yield target, proxy, client
    finally:
        await runner.cleanup()


async def in_parts(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 300_000):
        yield data[at : at + 300_000]


async def post(client: aiohttp.ClientSession, path: str = "/", body: bytes = b"x") -> dict[str, Any]:
    async with client.post(path, data=body) as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def test_requests_pass_over_one_kept_connection() -> None:
    async with target_and_proxy() as (target, proxy, client):
        answers = [await post(client, f"/{n}?q", b"body") for n in range(20)]
        assert [answer["number"] for answer in answers] == list(range(1, 21))
        assert target.received[3] == "POST /3?q body"
        assert (proxy.counters.connections, proxy.counters.requests, proxy.counters.forwarded) == (1, 20, 20)
        assert 1 <= proxy.counters.peak_requests_per_s <= 20


@pytest.mark.parametrize("expect100", [False, True])
async def test_large_bodies_stream_both_ways(expect100: bool) -> None:
    async with target_and_proxy() as (target, _, client):
        async with client.post("/chunked", data=in_parts(BIG), expect100=expect100) as response:
            assert await response.read() == BIG
        async with client.put("/sized", data=io.BytesIO(BIG), expect100=expect100) as response:
            assert (await response.json())["bytes"] == len(BIG)
        assert target.received == [f"POST /chunked {len(BIG)} bytes", f"PUT /sized {len(BIG)} bytes"]


async def test_head_and_closing_responses_stay_in_step() -> None:
    async with target_and_proxy() as (_, proxy, client):
        async with client.head("/") as response:
            assert response.status == 200
        async with client.get("/close") as response:
            assert await response.text() == "bye"
        assert (await post(client))["number"] == 3
        assert proxy.counters.connections == 2


async def test_cut_before_leaves_no_trace_at_the_target() -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.inject(CutBefore(), method="POST", path="^/b", count=1)
        await post(client, "/a")
        with pytest.raises(CUT):
            await post(client, "/b")
        await post(client, "/b2")
        assert target.received == ["POST /a x", "POST /b2 x"]
        assert proxy.counters.struck == {"cut_before": 1}


async def test_cut_after_lets_the_effect_happen() -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.inject(CutAfter(), count=1)
        with pytest.raises(CUT):
            await post(client, "/once")
        assert target.received == ["POST /once x"]


async def test_a_cut_is_a_reset_not_a_clean_close() -> None:
    async with target_and_proxy() as (_, proxy, _client):
        proxy.inject(CutBefore())
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_held_write_lands_after_a_later_one() -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.inject(HoldDelivery(), body="first", count=1)
        with pytest.raises(CUT):
            await post(client, body=b"first")
        await post(client, body=b"second")
        assert [(late.method, late.target) for late in proxy.late.pending] == [("POST", "/")]
        proxy.release()
        await proxy.settled()
        assert target.received == ["POST / second", "POST / first"]
        assert [(late.status, late.error) for late in proxy.late.delivered] == [(200, None)]
        assert (proxy.counters.requests, proxy.counters.forwarded) == (2, 2)


async def test_held_writes_land_by_themselves_when_due() -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.inject(HoldDelivery(seconds=0.02), count=2)
        for body in (b"1", b"2"):
            with pytest.raises(CUT):
                await post(client, body=body)
        await proxy.settled()
        assert sorted(target.received) == ["POST / 1", "POST / 2"]
        assert proxy.late.pending == []


async def test_a_late_delivery_to_a_dead_target_says_so() -> None:
    async with target_and_proxy() as (_, proxy, client):
        proxy.inject(HoldDelivery())
        with pytest.raises(CUT):
            await post(client)
        proxy.link.target_port = 1
        proxy.release()
        await proxy.settled()
        assert "Connect" in str(proxy.late.delivered[0].error)


@pytest.mark.parametrize("data", [b"a 12 b 12", "in parts"])
async def test_an_edited_body_arrives_whole_and_in_step(data: bytes | str) -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.inject(EditBody(pattern=re.compile("12"), replacement="345"), count=1)
        body = data if isinstance(data, bytes) else in_parts(b"a 12 b 12")
        async with client.post("/", data=body) as response:
            assert response.status == 200
        await post(client, body=b"12")
        assert target.received == ["POST / a 345 b 345", "POST / 12"]


async def test_an_invented_answer_never_reaches_the_target() -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.inject(Answer(status=429, headers={"x-ms-retry-after-ms": "7"}, body=b'{"code":"429"}'), count=1)
        async with client.post("/", data=in_parts(BIG)) as response:
            assert response.status == 429
            assert response.headers["x-ms-retry-after-ms"] == "7"
            assert await response.json(content_type=None) == {"code": "429"}
        assert (await post(client))["number"] == 1
        assert (target.received, proxy.counters.connections) == (["POST / x"], 1)


async def test_a_delay_comes_before_the_target_sees_anything() -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.inject(Delay(seconds=0.05), path="/slow")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(post, client, "/slow")
            tasks.start_soon(post, client, "/fast")
        assert target.received == ["POST /fast x", "POST /slow x"]


async def test_a_stall_lasts_until_it_is_lifted() -> None:
    async with target_and_proxy() as (target, proxy, client), anyio.create_task_group() as tasks:
        with proxy.inject(Stall(), path="/stuck") as rule:
            tasks.start_soon(post, client, "/stuck")
            await rule.wait_for_hits()
            await post(client, "/other")
            assert target.received == ["POST /other x"]
        tasks.start_soon(post, client, "/stuck")
    assert target.received == ["POST /other x", "POST /stuck x", "POST /stuck x"]


async def test_a_stall_ends_when_the_client_leaves() -> None:
    async with target_and_proxy() as (target, proxy, client), anyio.create_task_group() as tasks:
        rule = proxy.inject(Stall(), path="/stuck")
        tasks.start_soon(post, client, "/stuck")
        await rule.wait_for_hits()
        tasks.cancel_scope.cancel()
    assert target.received == []


async def test_a_client_that_leaves_is_noticed_by_the_target() -> None:
    """A long poll that is given up must not stay open behind the proxy."""
    async with target_and_proxy() as (target, _, client), anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, "/held")
        await target.holding.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(30):
            await target.abandoned.wait()


async def test_a_duplicate_is_delivered_twice_and_answered_once() -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.inject(Duplicate(), count=1)
        assert (await post(client, "/a", b"twice"))["number"] == 1
        assert (await post(client, "/b"))["number"] == 3
        assert target.received == ["POST /a twice", "POST /a twice", "POST /b x"]
        assert (proxy.counters.requests, proxy.counters.forwarded) == (2, 3)


async def test_refuse_is_a_target_that_is_down() -> None:
    async with target_and_proxy() as (target, proxy, client):
        await post(client)
        proxy.refuse()
        for _ in range(3):
            with pytest.raises(CUT):
                await post(client)
        assert proxy.counters.refused == proxy.counters.connections - 1 >= 2
        proxy.accept()
        await post(client)
        assert len(target.received) == 2


async def test_a_target_that_is_really_down_looks_the_same() -> None:
    async with FaultProxy(LOOPBACK, 1) as proxy, aiohttp.ClientSession(proxy.endpoint) as client:
        with pytest.raises(CUT):
            await post(client)


async def test_a_pause_loses_nothing() -> None:
    async with target_and_proxy() as (target, proxy, client):
        proxy.pause()
        watch = proxy.inject(Pass())
        async with anyio.create_task_group() as tasks:
            for n in range(5):
                tasks.start_soon(post, client, f"/{n}")
            await watch.wait_for_hits(5)
            await anyio.wait_all_tasks_blocked()
            assert target.received == []
            proxy.resume()
        assert len(target.received) == 5


async def test_answers_that_name_the_target_name_the_proxy() -> None:
    async with target_and_proxy(rewrite_authority=True) as (_, proxy, client):
        async with client.get("/self") as response:
            assert await response.json() == {"self": f"{proxy.endpoint}/dbs"}
        async with client.post("/chunked", data=in_parts(BIG)) as response:
            assert await response.read() == BIG


async def test_a_client_that_speaks_no_http_is_cut_off() -> None:
    async with target_and_proxy() as (target, proxy, _):
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert target.received == []


async def test_the_callers_error_comes_out_as_it_is() -> None:
    async def fail() -> None:
        async with FaultProxy(LOOPBACK, 1):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


@asynccontextmanager
async def echo_through_raw_proxy() -> AsyncIterator[tuple[FaultProxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with server, FaultProxy(LOOPBACK, port, protocol="tcp") as proxy:
        reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        try:
            yield proxy, reader, writer
        finally:
            writer.transport.abort()
            await anyio.lowlevel.checkpoint()


async def test_raw_bytes_pass_and_each_half_closes_by_itself() -> None:
    async with echo_through_raw_proxy() as (proxy, reader, writer):

        async def send() -> None:
            writer.write(BIG)
            await writer.drain()
            writer.write_eof()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            assert await reader.read(-1) == BIG
        assert proxy.counters.raw_bytes == 2 * len(BIG)


async def test_raw_connections_can_be_cut_refused_paused_and_delayed() -> None:
    async with echo_through_raw_proxy() as (proxy, reader, writer):
        proxy.link.raw_delay_s = 0.01
        proxy.pause()
        writer.write(b"AMQP")
        await anyio.wait_all_tasks_blocked()
        assert proxy.counters.raw_bytes == 0
        proxy.resume()
        assert await reader.readexactly(4) == b"AMQP"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        proxy.refuse()
        second_reader, second = await asyncio.open_connection(LOOPBACK, proxy.port)
        with pytest.raises(ConnectionResetError):
            await second_reader.read()
        second.close()


async def test_other_processes_steer_it_over_the_control_endpoint() -> None:
    async with (
        target_and_proxy() as (target, proxy, client),
        control(proxy) as url,
        aiohttp.ClientSession(url) as remote,
    ):
        spec = {"action": {"kind": "hold_delivery", "seconds": None}, "body": "late", "count": 1}
        async with remote.post("/rules", json=spec) as response:
            rule_id = (await response.json())["id"]
        with pytest.raises(CUT):
            await post(client, body=b"late")
        async with remote.get("/status") as response:
            status = await response.json()
        assert status["rules"] == [{"id": rule_id, "hits": 1, "peak_per_s": 1, **spec}]
        assert [late["target"] for late in status["pending"]] == ["/"]
        assert status["struck"] == {"hold_delivery": 1}
        for method, path, expected in [
            ("POST", "/release", 204),
            ("GET", "/settled", 204),
            ("DELETE", f"/rules/{rule_id}", 204),
            ("DELETE", f"/rules/{rule_id}", 404),
            ("POST", "/refuse", 204),
            ("POST", "/explode", 404),
            ("DELETE", "/rules", 204),
        ]:
            async with remote.request(method, path) as response:
                assert (path, response.status) == (path, expected)
        async with remote.post("/rules", json={"action": {"kind": "explode"}}) as response:
            assert response.status == 400
        assert target.received == ["POST / late"]
        assert proxy.refusing


async def test_it_runs_as_a_process_until_it_is_told_to_end() -> None:
    async with target_and_proxy() as (target, _, _client):
        process = await anyio.open_process(
            [sys.executable, "-m", "sandbox.faults", f"{LOOPBACK}:{target.port}"], stderr=None
        )
        async with process:
            assert process.stdout is not None
            ready = json.loads(await process.stdout.receive())
            async with aiohttp.ClientSession() as client:
                async with client.post(ready["endpoint"] + "/x", data=b"x") as response:
                    assert response.status == 200
                async with client.get(ready["control"] + "/status") as response:
                    assert (await response.json())["forwarded"] == 1
            os.kill(process.pid, signal.SIGTERM)
            assert await process.wait() == 0
        assert target.received == ["POST /x x"]


async def test_dynamodb_streams_are_read_through_it(
    aws: AwsServer, aws_client: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    """The SDK's own requests are told apart by their target header; a cut one is repeated by the SDK or us."""
    async with (
        FaultProxy(LOOPBACK, aws.port) as proxy,
        aws_client("dynamodb", endpoint=proxy.endpoint) as tables,
        aws_client("dynamodbstreams", endpoint=proxy.endpoint) as streams,
    ):
        arn = await create_orders_table(tables, "through-proxy")
        reads = proxy.inject(Pass(), headers={"X-Amz-Target": r"DynamoDBStreams_20120810\.GetRecords"})
        throttle = b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}'
        proxy.inject(Answer(status=400, body=throttle), headers={"X-Amz-Target": "GetRecords"}, count=1)
        item = {"customer": {"S": "c"}, "order_id": {"S": "o"}}
        await tables.put_item(TableName="through-proxy", Item=item)
        (shard,) = (await streams.describe_stream(StreamArn=arn))["StreamDescription"]["Shards"]
        iterator = await streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        with pytest.raises(streams.exceptions.ClientError, match="ThrottlingException"):
            await streams.get_records(ShardIterator=iterator["ShardIterator"])
        page = await streams.get_records(ShardIterator=iterator["ShardIterator"])
        assert [record["dynamodb"]["NewImage"] for record in page["Records"]] == [item]
        assert "date" in page["ResponseMetadata"]["HTTPHeaders"]
        assert reads.hits == 2


async def test_queue_urls_and_uploads_go_through_it(
    aws: AwsServer, aws_client: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    async with (
        FaultProxy(LOOPBACK, aws.port, rewrite_authority=True) as proxy,
        aws_client("sqs", endpoint=proxy.endpoint) as queues,
        aws_client("s3", endpoint=proxy.endpoint) as buckets,
    ):
        url = (await queues.create_queue(QueueName="through-proxy"))["QueueUrl"]
        assert url.startswith(proxy.endpoint)
        await queues.send_message(QueueUrl=url, MessageBody="x")
        await buckets.create_bucket(Bucket="through-proxy")
        await buckets.put_object(Bucket="through-proxy", Key="k", Body=BIG)
        answer = await buckets.get_object(Bucket="through-proxy", Key="k")
        async with answer["Body"] as body:
            assert await body.read() == BIG
