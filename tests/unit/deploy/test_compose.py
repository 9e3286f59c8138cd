"""Promises of deploy/compose: it fits the images, the commands and what it mounts."""

import re
from typing import Any

import pytest
import yaml
from unit.docs.pages import ROOT, text

from replicator.config.models import LimitsConfig

FOLDER = ROOT / "deploy/compose"
SERVICES: dict[str, Any] = yaml.safe_load(text("deploy/compose/docker-compose.yaml"))["services"]
MOUNTED = [mount for service in SERVICES.values() for mount in service["volumes"] if mount.startswith(".")]


@pytest.mark.parametrize("mount", MOUNTED)
def test_what_is_mounted_exists_and_can_only_be_read(mount: str) -> None:
    source, _, mode = mount.split(":")
    assert (FOLDER / source).exists()
    assert mode == "ro"


def test_what_is_published_is_for_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_daemon_is_given_the_time_that_it_takes_to_stop() -> None:
    grace_s = float(SERVICES["replicator"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > LimitsConfig().drain_deadline_s


def test_the_images_are_those_that_are_built() -> None:
    images = {name: SERVICES[name]["image"].replace("${IMAGE:-replicator}", "replicator") for name in SERVICES}
    assert (images["replicator"], images["clouds"]) == ("replicator", "replicator-demo")
    assert re.search(r"^IMAGE \?= replicator$", text("Makefile"), flags=re.MULTILINE)


def test_both_folders_are_the_one_that_the_images_can_write() -> None:
    folder = re.findall(r"^WORKDIR (/var\S+)", text("Dockerfile"), flags=re.MULTILINE)[0]
    for name in ("clouds", "replicator"):
        assert SERVICES[name]["volumes"] == [f"shop:{folder}"]
        assert SERVICES[name]["read_only"]
        assert folder in " ".join(SERVICES[name]["command"])


def test_the_data_source_is_the_prometheus_that_is_there() -> None:
    (source,) = yaml.safe_load((FOLDER / "grafana/datasources.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES
    (provider,) = yaml.safe_load((FOLDER / "grafana/dashboards.yaml").read_text())["providers"]
    assert any(mount.split(":")[1] == provider["options"]["path"] for mount in SERVICES["grafana"]["volumes"])
