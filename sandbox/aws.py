"""The AWS side of the sandbox: one ministack in a process of its own, on loopback, gone when it is left.

Used by the demo, the integration tests and the scenarios:

    async with AwsServer() as aws:        # or, from a synchronous fixture: with AwsServer() as aws:
        ... aws.endpoint, aws.access_key, aws.secret_key, aws.region

Nothing is persisted. Signatures are not verified; a twelve-digit access key acts as an account of its own.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.to_thread
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from sandbox.aws_http import OneAttempt
from sandbox.lifeline import ends_with_parent

if TYPE_CHECKING:
    from types import TracebackType

LOOPBACK = "127.0.0.1"
READY_PATH = "/_ministack/health"
RESET_PATH = "/_ministack/reset"
OUTPUT_TAIL_BYTES = 4_000
POLL_S = 0.02

_LAUNCHER = ends_with_parent(
    """
from ministack.app import main
main()
""",
    orphaned="""
import shutil
shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
os._exit(0)
""",
)


class AwsServerError(Exception):
    """The local AWS could not be started or reset; the message carries the end of the server's own output."""


class AwsServer:
    """A ministack bound to loopback. Enter it, synchronously or not, to start it; leave it to end it.

    `port` 0 takes a free one. `start_deadline_s` bounds the wait for readiness, `stop_deadline_s` the wait
    between SIGTERM and SIGKILL.
    """

    access_key = "test"
    secret_key = "test"  # noqa: S105 -- the server checks no signature
    region = "us-east-1"

    def __init__(self, port: int = 0, *, start_deadline_s: float = 30, stop_deadline_s: float = 5) -> None:
        self.port = port
        self._start_deadline_s = start_deadline_s
        self._stop_deadline_s = stop_deadline_s
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._session = AioSession()  # keeps the services' descriptions, whose parsing is most of what a client costs

    @property
    def endpoint(self) -> str:
        """Base URL of every service, without a trailing slash."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of the ordinary credentials chain needs in its environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, service: str, **config: Any) -> Any:
        """`async with server.client("dynamodb") as client`, with these settings; botocore's have no static type."""
        return self._session.create_client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=AioConfig(http_session_cls=OneAttempt, **config),
        )

    @property
    def pid(self) -> int | None:
        """Process id of the server, None while it does not run."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises AwsServerError, with the end of the server's output, if it exits or is not ready in time.
        """
        if self._process is not None:
            raise AwsServerError(f"ministack is already running on port {self.port}")
        self.port = _unused_port(self.port)
        self._folder = Path(tempfile.mkdtemp(prefix="sandbox-aws-"))
        try:
            self._process = _launch(self._folder, self.port, self.region)
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server by its process id: SIGTERM, then SIGKILL at the deadline. Harmless if none runs."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(self._stop_deadline_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def reset(self) -> None:
        """Empty every service of every account, in milliseconds. Raises AwsServerError if that fails."""
        status = await anyio.to_thread.run_sync(_status, self.port, "POST", RESET_PATH)
        if status != http.HTTPStatus.OK:
            raise AwsServerError(f"reset of {self.endpoint} answered {status}: {self._output_tail()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await anyio.to_thread.run_sync(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):  # bounded by the stop deadline
            await anyio.to_thread.run_sync(self.stop)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_deadline_s
        while _status(self.port, "GET", READY_PATH) != http.HTTPStatus.OK:
            if process.poll() is not None:
                raise AwsServerError(f"ministack exited with {process.returncode}: {self._output_tail()}")
            if time.monotonic() > deadline:
                raise AwsServerError(
                    f"ministack did not answer on port {self.port} within {self._start_deadline_s} s: "
                    f"{self._output_tail()}"
                )
            time.sleep(POLL_S)

    def _output_tail(self) -> str:
        if self._folder is None:
            return "(it is not running)"
        output = _output_file(self._folder).read_bytes()[-OUTPUT_TAIL_BYTES:]
        return output.decode(errors="replace").strip() or "(it printed nothing)"


def _launch(folder: Path, port: int, region: str) -> subprocess.Popen[bytes]:
    """Start the server; its output and its scratch files go to `folder`."""
    with _output_file(folder).open("wb") as output:
        return subprocess.Popen(  # noqa: S603 -- a constant program
            [sys.executable, "-I", "-c", _LAUNCHER],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(folder, port, region),
            start_new_session=True,  # Ctrl-C at the terminal is for the parent, which then ends this one
        )


def _environment(folder: Path, port: int, region: str) -> dict[str, str]:
    """Everything the server may know: no AWS_* variable of the parent, no Docker, no second listener."""
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "MINISTACK_REGION": region,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent.sock",
        "LOG_LEVEL": "WARNING",
    }


def _output_file(folder: Path) -> Path:
    return folder / "output.log"


def _unused_port(wanted: int) -> int:
    """The wanted port, or any for 0. Raises AwsServerError if another process listens there already."""
    try:
        with socket.create_server((LOOPBACK, wanted)) as probe:
            port: int = probe.getsockname()[1]
            return port
    except OSError as error:
        raise AwsServerError(f"port {wanted} of {LOOPBACK} is not free: {error}") from error


def _status(port: int, method: str, path: str) -> int | None:
    """Status of one request, None if nothing answers. Plain http.client: it knows no proxy variables."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
