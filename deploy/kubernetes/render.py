"""Writes what follows from other files: the alerts as a PrometheusRule, and every overlay as kustomize renders it.

    python deploy/kubernetes/render.py

Needs kubectl. The tests say when it has to be run again.
"""

import subprocess
from pathlib import Path

import yaml

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus" / "rules"

RULE = HERE / "components" / "servicemonitor" / "prometheusrule.yaml"

OVERLAYS = ("base", "overlays/servicemonitor", "overlays/replicas", "overlays/aks", "overlays/eks")


def prometheus_rule(rules: Path = RULES) -> str:
    """The text of the PrometheusRule that holds the groups of all rule files, in the order of their names."""
    groups = [g for file in sorted(rules.glob("*.yaml")) for g in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "replicator"},
        "spec": {"groups": groups},
    }
    head = "# Written by render.py from deploy/prometheus/rules: change it there.\n"
    return head + yaml.safe_dump(resource, sort_keys=False, width=120, allow_unicode=True)


def rendered(overlay: str) -> str:
    """What kustomize makes of an overlay. Raises CalledProcessError where it refuses."""
    command = ["kubectl", "kustomize", str(HERE / overlay)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 -- constant arguments


def rendering(overlay: str) -> Path:
    """Where it is kept."""
    return HERE / "rendered" / f"{overlay.rpartition('/')[2]}.yaml"


if __name__ == "__main__":
    if RULES.is_dir():
        RULE.write_text(prometheus_rule(), encoding="utf-8")
    for name in OVERLAYS:
        rendering(name).write_text(rendered(name), encoding="utf-8")
