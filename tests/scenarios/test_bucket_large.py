"""Promise 5 for a bucket: an object of any size goes through little memory, is never seen in part, and is finished by
the next run where this one was stopped.
"""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.aws import AwsServer
from sandbox.faults import Delay, Stall
from scenarios.bucket_world import BucketWorld, bucket_world, held_blob
from scenarios.migration import Daemon, running

MB, MIB = 1_000_000, 1024 * 1024
PART_BYTES = 50 * MB
BOUND_BYTES = {200 * MB: 200 * MB, 2000 * MB: 300 * MB}
"""Most memory resident, by the size of the object: a bare daemon has some 80 MB."""

KEY = "large.bin"


def parts(size: int) -> Iterator[bytes]:
    """The same bytes in each but for its number."""
    filling = random.Random(size).randbytes(PART_BYTES - 4)
    for number in range(size // PART_BYTES):
        yield number.to_bytes(4) + filling


async def upload(w: BucketWorld, size: int) -> None:
    """Without the whole of it in memory here."""
    where = {"Bucket": w.bucket, "Key": KEY}
    upload = {**where, "UploadId": (await w.s3.create_multipart_upload(**where))["UploadId"]}
    sent = []
    for number, part in enumerate(parts(size), start=1):
        answer = await w.s3.upload_part(**upload, PartNumber=number, Body=part)
        sent.append({"PartNumber": number, "ETag": answer["ETag"]})
    await w.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
