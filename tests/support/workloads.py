"""Small manifests for a real cluster: what the tests of the API's behaviour run."""

from typing import Any

from controller.core.model import Object

BUSYBOX = "busybox:1.36"


def labels(request: str = "iris") -> dict[str, str]:
    """Return the labels that make an object one of the request's."""
    return {"app.kubernetes.io/managed-by": "coachwork", "coachwork.io/request": request}


def config_map(name: str, role: str = "request", **metadata: Any) -> Object:
    """Return a ConfigMap of this role."""
    metadata = {"name": name, "labels": {"coachwork.io/role": role, "coachwork.io/request": "iris"}, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}}


def owned_by(owner: Object) -> list[Object]:
    """Return the owner references to an object."""
    metadata = owner["metadata"]
    return [{"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"]}]


def pod_template(script: str, restart: str, **container: Any) -> Object:
    """Return a pod template that runs a line of shell."""
    stage = {"name": "stage", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]}
    spec = {"restartPolicy": restart, "terminationGracePeriodSeconds": 1, "containers": [{**stage, **container}]}
    return {"metadata": {"labels": {**labels(), "app": "it"}}, "spec": spec}


def job(name: str, script: str, *, container: Object | None = None, owner: Object | None = None, **spec: Any) -> Object:
    """Return a Job."""
    owners = {"ownerReferences": owned_by(owner)} if owner else {}
    template = pod_template(script, "Never", **(container or {}))
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels(), **owners},
        "spec": {"backoffLimit": 0, "template": template, **spec},
    }  # fmt: skip


def deployment(name: str, *, container: Object | None = None, owner: Object | None = None, **spec: Any) -> Object:
    """Return a Deployment of one pod that sleeps."""
    owners = {"ownerReferences": owned_by(owner)} if owner else {}
    template = pod_template("sleep 3600", "Always", **(container or {}))
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels(), **owners},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "it"}}, "template": template, **spec},
    }  # fmt: skip


def conditions(workload: Object) -> dict[str, Object]:
    """Return the true and false conditions of a Job or Deployment by type."""
    return {item["type"]: item for item in workload.get("status", {}).get("conditions") or ()}
