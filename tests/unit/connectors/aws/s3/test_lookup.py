"""Single objects: what is there is told whole or with its obstacle, and only what S3 calls absent is absent."""

import itertools

import pytest
from botocore.exceptions import ClientError

from connectors.aws.s3.lookup import Lookups
from connectors.aws.s3.missing import SINGLE, missing_keys
from fakes.buckets import BucketBench, s3_error
from fakes.virtual import in_virtual_time
from replicator.clocks import elapsed_s
from replicator.errors import PositionLostError
from replicator.model import Operation
from replicator.telemetry import SOURCE
from sandbox.workload import object_keys

AWKWARD = sorted({key for _, key in object_keys()})


@in_virtual_time
async def test_objects_and_missing_ones_in_the_order_asked_for() -> None:
    bench = BucketBench(["a", "b"])
    bench.client.put("c", b"content", tags={"t": "1"}, Metadata={"m": "2"})
    found = await bench.lookups.of(["c", "none", "a", "c"])
    assert list(found) == ["c", "none", "a"]
    record = found["c"].record
    assert (record.size, record.tags, record.metadata, record.obstacle) == (7, {"t": "1"}, {"m": "2"}, "")
    assert record.content is not None
    assert found["c"].version == record.version
    assert found["none"].operation is Operation.DELETE
    assert await bench.lookups.of([]) == {}


@in_virtual_time
async def test_lookups_are_parallel_and_within_the_budget() -> None:
    bench = BucketBench([f"k{n}" for n in range(100)])
    began = elapsed_s()
    await bench.lookups.of(list(bench.client.objects))
    assert elapsed_s() - began < 0.2
    bench.caller.budget.set_limit(50.0)
    began = elapsed_s()
    await bench.lookups.of(list(bench.client.objects))
    assert elapsed_s() - began > 2.5


@in_virtual_time
async def test_tags_are_left_alone_when_told_so() -> None:
    bench = BucketBench()
    bench.client.put("a", tags={"t": "1"})
    found = await Lookups(bench.bucket, tags=False).of(["a"])
    assert found["a"].record.tags == {}
    assert not bench.client.calls["get_object_tagging"]


@in_virtual_time
async def test_a_key_outside_the_prefix_is_no_object_of_this_source() -> None:
    bench = BucketBench(["in/a", "out"], prefix="in/")
    found = await bench.lookups.of(["in/a", "out"])
    assert [change.operation for change in found.values()] == [Operation.UPSERT, Operation.DELETE]
    assert await missing_keys(bench.bucket, bench.lookups, ["in/a", "out"]) == {"out"}


@pytest.mark.parametrize(
    ("code", "status"), [("403", 403), ("400", 400), ("405", 405)], ids=["denied", "customer's key", "other"]
)
def test_a_refused_head_is_an_obstacle_never_an_absence(code: str, status: int) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = BucketBench(["a", "ab"])
        for key in ("a", "none"):
            bench.client.denied["head_object", key] = s3_error("HeadObject", code, status)
            bench.client.denied["get_object", key] = s3_error("GetObject", "AccessDenied", 403, "not kms:Decrypt")
        found = await bench.lookups.of(["a", "none"])
        record = found["a"].record
        assert found["a"].operation is Operation.UPSERT
        assert record.obstacle.startswith("AccessDenied: not kms:Decrypt (permit s3:GetObject")
        assert (record.size, record.content, record.listed) == (1, None, False)
        assert found["none"].operation is Operation.DELETE, "the listing shows that there is none"
        assert await missing_keys(bench.bucket, bench.lookups, ["a"]) == set()

    run()


@in_virtual_time
async def test_a_refused_head_has_the_version_of_the_listing() -> None:
    """So that the next comparison does not look at it again unless it changes."""
    bench = BucketBench(["a"])
    whole = (await bench.lookups.of(["a"]))["a"]
    bench.client.denied["head_object", "a"] = s3_error("HeadObject", "403", 403)
    assert (await bench.lookups.of(["a"]))["a"].version == whole.version


@in_virtual_time
async def test_refused_tags_are_an_obstacle_and_not_none() -> None:
    bench = BucketBench(["a"])
    bench.client.denied["get_object_tagging", "a"] = s3_error("GetObjectTagging", "AccessDenied", 403)
    record = (await bench.lookups.of(["a"]))["a"].record
    assert "s3:GetObjectTagging" in record.obstacle


@in_virtual_time
async def test_an_object_deleted_between_head_and_tags_is_absent() -> None:
    bench = BucketBench(["a"])

    def fault(operation: str) -> Exception | None:
        if operation == "get_object_tagging":
            bench.client.objects.clear()
        return None

    bench.client.fault = fault
    assert (await bench.lookups.of(["a"]))["a"].operation is Operation.DELETE


@in_virtual_time
async def test_an_object_made_again_meanwhile_is_looked_at_again() -> None:
    bench = BucketBench(["a"])
    gone = iter([s3_error("GetObjectTagging", "NoSuchKey", 404)])
    bench.client.fault = lambda operation: next(gone, None) if operation == "get_object_tagging" else None
    record = (await bench.lookups.of(["a"]))["a"].record
    assert record.obstacle == ""
    assert record.content is not None
    assert bench.client.calls["head_object"] == 2


@in_virtual_time
async def test_a_404_of_something_before_s3_is_not_believed() -> None:
    """A proxy's error page must not delete anything."""
    bench = BucketBench(["a"])
    answer = {"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPStatusCode": 404, "HTTPHeaders": {}}}
    errors = iter([ClientError(answer, "HeadObject")] * 5)
    bench.client.fault = lambda _: next(errors, None)
    assert (await bench.lookups.of(["a"]))["a"].operation is Operation.UPSERT
    assert bench.client.calls["head_object"] == 6


@in_virtual_time
async def test_a_bucket_that_is_gone_is_no_bucket_of_missing_objects() -> None:
    bench = BucketBench(["a"])
    bench.client.gone = True
    with pytest.raises(PositionLostError):
        await bench.lookups.of(["a"])
    with pytest.raises(PositionLostError):
        await missing_keys(bench.bucket, bench.lookups, ["a"])


@in_virtual_time
async def test_a_bucket_that_goes_while_single_keys_are_asked_for_stops_the_pipeline() -> None:
    bench = BucketBench([f"k{n:06d}" for n in range(0, 60_000, 2)])

    def fault(operation: str) -> Exception | None:
        bench.client.gone = operation == "head_object" or bench.client.gone
        return None

    bench.client.fault = fault
    with pytest.raises(PositionLostError):
        await missing_keys(bench.bucket, bench.lookups, ["k000001", "k050000"])


@in_virtual_time
async def test_being_denied_everything_is_waited_out() -> None:
    bench = BucketBench(["a"])
    began = elapsed_s()
    degraded: list[bool] = []

    def fault(operation: str) -> Exception | None:
        degraded.append(bench.telemetry.sides[SOURCE].degraded)
        status = 403 if elapsed_s() - began < 60 else 0
        return s3_error(operation, "AccessDenied", 403) if status else None

    bench.client.fault = fault
    found = await bench.lookups.of(["a"])
    assert found["a"].operation is Operation.UPSERT
    assert any(degraded)


@in_virtual_time
async def test_a_throttle_of_a_head_makes_the_budget_give_way() -> None:
    bench = BucketBench(["a"])
    errors = iter([s3_error("HeadObject", "503", 503)])
    bench.client.fault = lambda _: next(errors, None)
    before = bench.caller.budget.limit_per_s
    await bench.lookups.of(["a"])
    assert (bench.caller.budget.per_s or 0) < before


class TestMissing:
    @in_virtual_time
    async def test_dense_keys_are_answered_by_listing(self) -> None:
        bench = BucketBench([f"k{n:05d}" for n in range(0, 5000, 2)])
        asked = [f"k{n:05d}" for n in range(5000)]
        missing = await missing_keys(bench.bucket, bench.lookups, asked)
        assert missing == {f"k{n:05d}" for n in range(1, 5000, 2)}
        assert bench.client.calls["list_objects_v2"] <= 4
        assert not bench.client.calls["head_object"]

    @in_virtual_time
    async def test_sparse_keys_are_asked_for_one_by_one(self) -> None:
        bench = BucketBench([f"k{n:06d}" for n in range(0, 60_000, 2)])
        asked = [f"k{n:06d}" for n in range(0, 60_000, 501)]
        missing = await missing_keys(bench.bucket, bench.lookups, asked)
        assert missing == {key for key in asked if key not in bench.client.objects}
        assert bench.client.calls["list_objects_v2"] <= 2 * (len(asked) // SINGLE + 1)

    @in_virtual_time
    async def test_awkward_keys_there_or_not_in_any_order(self) -> None:
        for page, kept in itertools.product((3, 1000), (0, 1)):
            bench = BucketBench(AWKWARD[kept::2], page=page)
            missing = await missing_keys(bench.bucket, bench.lookups, AWKWARD[::-1])
            assert missing == set(AWKWARD[1 - kept :: 2])

    @in_virtual_time
    async def test_no_keys_no_requests(self) -> None:
        bench = BucketBench(["a"])
        assert await missing_keys(bench.bucket, bench.lookups, []) == set()
        assert not bench.client.calls
