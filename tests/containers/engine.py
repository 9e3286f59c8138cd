"""What is asked of the Docker engine: is it there, has it the images, and one container at a time.

Only imported when containers were asked for: the ordinary suite needs neither an engine nor the library.
"""

from __future__ import annotations

import gc
import os
import socket
import time
import warnings
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # read on import; its image might not be to be had

import docker
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from sandbox.aws import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from containers.clouds import Cloud, Image

START_DEADLINE_S = 60.0
POLL_S = 0.05
TAIL_LINES = 40


class ContainersError(Exception):
    """There is no engine, an image cannot be had, or a container did not start; the message says what to do."""


def check(wanted: Mapping[Cloud, Iterable[Image]]) -> None:
    """Returns once the engine has every image of these clouds; it pulls those it has not. Raises ContainersError."""
    client = _client()
    try:
        for cloud, images in wanted.items():
            for image in images:
                _have(client, cloud, image)
    finally:
        client.close()


def _client() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the library leaves its socket open where nobody answers
        try:
            return docker.from_env()
        except DockerException as error:
            said = str(error)
        gc.collect()
    raise ContainersError(
        f"No Docker engine answers: {said}. Start one, or say where it is with DOCKER_HOST. "
        f"`make test` runs the same tests without."
    )


def _have(client: Any, cloud: Cloud, image: Image) -> None:
    try:
        client.images.get(image.name)
    except docker.errors.ImageNotFound:
        try:
            client.images.pull(image.name)
        except DockerException as error:
            raise ContainersError(
                f"The image {image.name} for {cloud} is not here and cannot be pulled: {error}. {image.variable} names "
                f"another, `make container-images` builds those of aws and azurite, and CLOUDS=aws,azurite leaves the "
                f"others out."
            ) from error


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def described(image: Image, ports: Mapping[int, int], environment: Mapping[str, str]) -> DockerContainer:
    """A container that was not started; its ports are those of loopback, so that they stay what they are."""
    container = DockerContainer(image.name).with_envs(**environment)
    published: dict[str, Any] = {f"{inside}/tcp": (LOOPBACK, outside) for inside, outside in ports.items()}
    container.ports = published
    return container


def started(container: DockerContainer, answers: Callable[[], bool], deadline_s: float = START_DEADLINE_S) -> None:
    """Starts it and returns once it answers; if it does not it is gone.

    Raises ContainersError with the end of what it printed.
    """
    try:
        container.start()
        _wait(container, answers, deadline_s)
    except DockerException as error:
        container.stop()
        raise ContainersError(f"{container.image} could not be started: {error}") from error
    except BaseException:
        container.stop()
        raise


def _wait(container: DockerContainer, answers: Callable[[], bool], deadline_s: float) -> None:
    wrapped = container.get_wrapped_container()
    deadline = time.monotonic() + deadline_s
    while not answers():
        wrapped.reload()
        if wrapped.status not in {"created", "running"}:
            raise ContainersError(f"{container.image} ended: {_tail(container)}")
        if time.monotonic() > deadline:
            raise ContainersError(f"{container.image} did not answer within {deadline_s} s: {_tail(container)}")
        time.sleep(POLL_S)


def _tail(container: DockerContainer) -> str:
    printed: bytes = container.get_wrapped_container().logs(tail=TAIL_LINES)
    return printed.decode(errors="replace").strip() or "(it printed nothing)"
