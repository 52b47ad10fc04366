"""Each overlay and component as a platform engineer applies it, in a namespace that enforces `restricted`."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.e2e import NAMESPACE
from tests.support.e2e_projects import batch, project
from tests.support.incluster_git import InClusterGit
from tests.support.kubectl import eventually, kubectl, listed
from tests.support.kustomize import COMPONENTS, DEPLOY, OVERLAYS, write_overlay

OF_OPERATORS = {"prometheus-operator": "servicemonitors.monitoring.coreos.com"}  # what a component needs to be there
ENFORCED = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
RUN_SECONDS = "--timeout=180s"


@cache
def usable() -> tuple[str, ...]:
    """Return the components whose kinds the cluster knows."""
    there = kubectl("get", "customresourcedefinitions", "-o", "name")
    return tuple(name for name in COMPONENTS if OF_OPERATORS.get(name, "") in there)


@pytest.fixture
def namespace() -> Iterator[str]:
    """Yield the name of a namespace that does not exist yet; it is gone at the end."""
    name = f"{NAMESPACE}-e2e-{uuid.uuid4().hex[:6]}"
    yield name
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def create(namespace: str) -> None:
    """Make the namespace, as restricted as the overlays do."""
    item = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": ENFORCED}}
    kubectl("apply", "-f", "-", text=json.dumps(item))


def applied(*arguments: str, text: str = "") -> str:
    """Return what `kubectl apply` says; it has nothing to complain about."""
    command = ["kubectl", "apply", *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_cluster_accepts_each_component_on_each_overlay(
    overlay: str, component: str, namespace: str, tmp_path: Path
) -> None:
    if component not in usable():
        pytest.skip(f"the cluster has no {OF_OPERATORS[component]}")
    create(namespace)
    write_overlay(tmp_path, overlay, component, namespace=namespace)
    said = applied("--dry-run=server", "-k", str(tmp_path))
    assert "deployment.apps/coachwork created" in said


def test_the_cluster_accepts_the_samples_and_admits_the_pods_of_an_examples_servers() -> None:
    for path in [*(DEPLOY / "samples").iterdir(), *(DEPLOY.parent / "examples/mlflow-and-minio/cluster").iterdir()]:
        for item in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            item["metadata"]["namespace"] = NAMESPACE
            applied("--dry-run=server", "-f", "-", text=json.dumps(item))


def test_an_installation_with_all_components_runs_a_project_and_leaves_nothing(
    git: InClusterGit, namespace: str, tmp_path: Path
) -> None:
    write_overlay(tmp_path, "dev", *(name for name in usable() if name != "existing-namespace"), namespace=namespace)
    applied("-k", str(tmp_path))
    kubectl("-n", namespace, "rollout", "status", "deployment/coachwork", RUN_SECONDS, seconds=200)
    name = f"installed-{uuid.uuid4().hex[:6]}"
    git.push(name, project(name, "one", batch("one", "print('here')")))
    request: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "one", "namespace": namespace, "labels": {"coachwork.io/role": "request"}},
        "data": {"repository": git.url(name), "schedule": "0 6 * * *"},
    }
    applied("-f", "-", text=json.dumps(request))
    kubectl("-n", namespace, "wait", "--for=create", "configmap/one-status", "--timeout=60s")
    ready = ("configmap/one-status", "--for=jsonpath={.data.phase}=Ready", RUN_SECONDS)
    kubectl("-n", namespace, "wait", *ready, seconds=200)
    eventually(lambda: listed(namespace, "cronjobs", "coachwork.io/request=one"), "the schedule's CronJob")
    kubectl("delete", "-k", str(tmp_path), "--wait=false")
    kubectl("wait", "--for=delete", f"namespace/{namespace}", RUN_SECONDS, seconds=200)
    wide = ("get", "clusterroles,clusterrolebindings,persistentvolumes", "-o", "json")
    eventually(lambda: namespace not in kubectl(*wide), "end of the volume, which the storage class sees to")


def test_who_administers_only_a_namespace_installs_and_removes_everything(namespace: str, tmp_path: Path) -> None:
    create(namespace)
    kubectl("-n", namespace, "create", "rolebinding", "ada", "--clusterrole=admin", "--user=ada")
    write_overlay(tmp_path, "dev", "existing-namespace", "user-role", namespace=namespace)
    applied("--as=ada", "-k", str(tmp_path))
    kubectl("-n", namespace, "rollout", "status", "deployment/coachwork", RUN_SECONDS, seconds=200)
    kubectl("--as=ada", "delete", "-k", str(tmp_path), "--timeout=120s", seconds=150)
    left = kubectl("-n", namespace, "get", "all,configmaps,persistentvolumeclaims,roles", "-o", "name").split()
    assert [name for name in left if not name.startswith("pod/")] == ["configmap/kube-root-ca.crt"]
