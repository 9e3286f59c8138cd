"""Promise: what is applied to a cluster is valid, keeps to what the docs say of it, and is what kustomize renders."""

import importlib.util
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from connectors import registry
from replicator.config.loading import parse_config
from replicator.config.models import MigrationConfig

ROOT = Path(__file__).parents[3]
KUBERNETES = ROOT / "deploy" / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"

VERSIONS = ("1.31", "1.37")
"""Of Kubernetes: the oldest that has everything that is used, and the newest whose schemas there are."""

Resource = Mapping[str, Any]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", KUBERNETES / "render.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RENDER = _script()
OVERLAYS: tuple[str, ...] = RENDER.OVERLAYS

REPLICAS = "overlays/replicas"
"""The one with several, and their state in blobs."""


def resources(overlay: str) -> list[Resource]:
    return list(yaml.safe_load_all(RENDER.rendering(overlay).read_text("utf-8")))


def one(overlay: str, kind: str) -> Resource:
    (found,) = (r for r in resources(overlay) if r["kind"] == kind)
    return found


def workload(overlay: str) -> Resource:
    """What runs the pods."""
    return one(overlay, "Deployment" if overlay == REPLICAS else "StatefulSet")


def pod(overlay: str) -> Resource:
    spec: Resource = workload(overlay)["spec"]["template"]["spec"]
    return spec


def container(overlay: str) -> Resource:
    (only,) = pod(overlay)["containers"]
    assert isinstance(only, dict)
    return only


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_is_what_the_api_takes(overlay: str) -> None:
    """Strictly: a misspelt member is an error, too."""
    for resource in resources(overlay):
        custom = SCHEMAS / f"{resource['kind'].lower()}.json"
        if custom.exists():
            jsonschema.validate(resource, json.loads(custom.read_text("utf-8")))
        else:
            for version in VERSIONS:
                kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_committed_is_what_kustomize_renders(overlay: str) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not there: that the rendered files are up to date was not looked at")
    now = list(yaml.safe_load_all(RENDER.rendered(overlay)))
    assert resources(overlay) == now, "run deploy/kubernetes/render.py"


def test_nothing_else_is_committed_as_rendered() -> None:
    assert {RENDER.rendering(o) for o in OVERLAYS} == set((KUBERNETES / "rendered").iterdir())


def test_the_rules_are_those_of_prometheus() -> None:
    if not RENDER.RULES.is_dir():
        pytest.skip("deploy/prometheus/rules is not there")
    assert RENDER.RULE.read_text("utf-8") == RENDER.prometheus_rule(), "run deploy/kubernetes/render.py"


def config(overlay: str = "base") -> MigrationConfig:
    """As a pod loads it."""
    text = one(overlay, "ConfigMap")["data"]["migration.yaml"]
    return parse_config(text, registry(), {"REPLICATOR_TOKEN": "sixteen characters", "POD_IP": "10.0.0.7"})


def test_the_config_is_valid_and_fits_its_surroundings() -> None:
    """Its state is on the volume, probes reach it, and it finishes before it is killed, a receive included."""
    shown = config()
    mounts = {mount["name"]: mount["mountPath"] for mount in container("base")["volumeMounts"]}
    assert str(shown.state.folder) == mounts["state"]
    assert f"{mounts['config']}/migration.yaml" in container("base")["args"]
    (port,) = (p["containerPort"] for p in container("base")["ports"])
    assert shown.http.listen == f"0.0.0.0:{port}"
    assert pod("base")["terminationGracePeriodSeconds"] >= shown.limits.drain_deadline_s + 20 + 10
    assert one("base", "ConfigMap")["metadata"]["name"].startswith("replicator-config-")


def test_the_labels_of_metrics_are_what_the_alerts_look_for() -> None:
    """`job` is the service's name; `migration` its label, that of the config."""
    service = one("servicemonitor", "Service")
    monitor = one("servicemonitor", "ServiceMonitor")["spec"]
    assert service["metadata"]["name"] == "replicator"
    assert service["metadata"]["labels"]["migration"] == config().migration
    assert monitor["targetLabels"] == ["migration"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [e["port"] for e in monitor["endpoints"]] == [p["name"] for p in service["spec"]["ports"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_selector_finds_the_pods(overlay: str) -> None:
    running = workload(overlay)["spec"]
    labels = running["template"]["metadata"]["labels"]
    selectors = [
        running["selector"]["matchLabels"],
        one(overlay, "Service")["spec"]["selector"],
        one(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(overlay, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(s["labelSelector"]["matchLabels"] for s in pod(overlay).get("topologySpreadConstraints", ())),
    ]
    assert [s for s in selectors if not s or not s.items() <= labels.items()] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names_can_be_resolved_and_clouds_be_reached(overlay: str) -> None:
    """Labels that kustomize adds to the selector of the name servers would cut them off."""
    names, clouds, *_ = one(overlay, "NetworkPolicy")["spec"]["egress"]
    assert names["to"][0]["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
    assert {p["port"] for p in names["ports"]} == {53}
    assert {p["port"] for p in clouds["ports"]} == {443, 5671}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nobody_gets_in_but_who_was_named(overlay: str) -> None:
    policy = one(overlay, "NetworkPolicy")["spec"]
    ingress, *others = policy["ingress"]
    assert ingress["from"][0] == {"podSelector": {"matchLabels": {"replicator-client": "true"}}}
    assert len(ingress["from"]) == (2 if overlay.endswith("servicemonitor") else 1)
    assert ingress["ports"] == [{"port": "http", "protocol": "TCP"}]
    assert len(others) == len(policy["egress"][2:]) == (1 if overlay == REPLICAS else 0)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_daemon_has_no_rights_that_it_does_not_need(overlay: str) -> None:
    """Those of the namespace's own standard are checked by the cluster, too."""
    spec, own = pod(overlay), container(overlay)["securityContext"]
    assert one(overlay, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert not spec["automountServiceAccountToken"]
    assert not one(overlay, "ServiceAccount")["automountServiceAccountToken"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_finding_of_the_migration_takes_the_pod_away(overlay: str) -> None:
    """An open dead letter makes /readyz 503: that must neither restart a daemon nor hold up its replacement."""
    own = container(overlay)
    assert {own[p]["httpGet"]["path"] for p in ("startupProbe", "livenessProbe", "readinessProbe")} == {"/healthz"}
    assert one(overlay, "PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("overlay", sorted(set(OVERLAYS) - {REPLICAS}))
def test_one_daemon_has_a_disk_of_its_own(overlay: str) -> None:
    running = workload(overlay)["spec"]
    (claim,) = running["volumeClaimTemplates"]
    assert running["replicas"] == 1
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    classes = [r for r in resources(overlay) if r["kind"] == "StorageClass"]
    assert [c["metadata"]["name"] for c in classes] == [n for n in [claim["spec"].get("storageClassName")] if n]
    assert all(c["reclaimPolicy"] == "Retain" and "file" not in c["provisioner"] for c in classes)


def test_several_replicas_have_no_disk_on_which_each_could_keep_a_state() -> None:
    """With a file as the state store none of them starts. Nothing else of one daemon is left either."""
    kinds = {r["kind"] for r in resources(REPLICAS)}
    assert not kinds & {"StatefulSet", "StorageClass", "PersistentVolumeClaim"}
    assert workload(REPLICAS)["spec"]["replicas"] == 3
    assert "persistentVolumeClaim" not in str(pod(REPLICAS)["volumes"])
    writable = [m["mountPath"] for m in container(REPLICAS)["volumeMounts"] if not m.get("readOnly")]
    assert writable == ["/tmp"]  # noqa: S108 — the path in the container


def test_several_replicas_share_a_state_and_find_each_other() -> None:
    """The address is the pod's own, and the port the one that the pod opens."""
    shown = config(REPLICAS)
    assert shown.state.model_dump()["type"] == "blob"
    assert shown.replicas is not None
    ports = {p["name"]: p["containerPort"] for p in container(REPLICAS)["ports"]}
    assert shown.replicas.address == ("0.0.0.0", ports["replicas"])  # noqa: S104 — what the config says
    assert shown.replicas.advertised == "10.0.0.7"
    (variable,) = (e for e in container(REPLICAS)["env"] if e["name"] == "POD_IP")
    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert {**shown.model_dump(), "state": None, "replicas": None} == {**config().model_dump(), "state": None}


def test_only_replicas_of_this_migration_reach_the_port_of_replicas() -> None:
    """In both directions; 443, where their state is, is open to all overlays."""
    policy = one(REPLICAS, "NetworkPolicy")["spec"]
    ours = {"matchLabels": {"app.kubernetes.io/name": "replicator", "app.kubernetes.io/instance": "shop"}}
    port = [{"port": "replicas", "protocol": "TCP"}]
    assert policy["ingress"][-1] == {"from": [{"podSelector": ours}], "ports": port}
    assert policy["egress"][-1] == {"to": [{"podSelector": ours}], "ports": port}
    assert "replicas" not in str(policy["ingress"][:-1])


def test_one_replica_at_a_time_is_replaced_or_taken_away() -> None:
    running = workload(REPLICAS)["spec"]
    assert running["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert one(REPLICAS, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_replicas_are_spread_over_nodes_and_zones() -> None:
    """A node that is gone must not keep the replica that was there from being started on another one."""
    zones, nodes = pod(REPLICAS)["topologySpreadConstraints"]
    assert (zones["topologyKey"], zones["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "ScheduleAnyway")
    assert (nodes["topologyKey"], nodes["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")
    assert nodes["nodeTaintsPolicy"] == "Honor"


IDENTITY = {
    "overlays/aks": ("azure.workload.identity/client-id", "sts.amazonaws.com", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "overlays/eks": ("eks.amazonaws.com/role-arn", "api://AzureADTokenExchange", "AZURE_FEDERATED_TOKEN_FILE"),
}


@pytest.mark.parametrize("overlay", IDENTITY)
def test_each_cluster_has_an_identity_in_both_clouds(overlay: str) -> None:
    """Its own cloud's by the account's annotation, the other's by a token at the path that a variable names."""
    annotation, audience, variable = IDENTITY[overlay]
    assert annotation in one(overlay, "ServiceAccount")["metadata"]["annotations"]
    (volume,) = (v for v in pod(overlay)["volumes"] if "projected" in v)
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == audience
    (mount,) = (m for m in container(overlay)["volumeMounts"] if m["name"] == volume["name"])
    path = f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"
    assert path in [e.get("value") for e in container(overlay)["env"] if e["name"] == variable]


def test_the_webhook_of_azure_sees_the_pods_on_aks() -> None:
    labels = one("overlays/aks", "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert labels["azure.workload.identity/use"] == "true"
