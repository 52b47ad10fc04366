"""What `kubectl kustomize` makes of an overlay; needs kubectl, but no cluster."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.settings import PREFIX

DEPLOY = Path(__file__).parents[2] / "deploy"
OVERLAYS = ("dev", "production")
COMPONENTS = tuple(sorted(path.name for path in (DEPLOY / "components").iterdir()))


@cache
def objects(overlay: str) -> tuple[dict[str, Any], ...]:
    """Return the overlay's objects; skips the test where there is no kubectl."""
    return built(DEPLOY / "overlays" / overlay)


def built(folder: Path) -> tuple[dict[str, Any], ...]:
    """Return the objects of a kustomization; skips the test where there is no kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH, and only it can build deploy/")
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kustomize warns: {done.stderr}"
    return tuple(yaml.safe_load_all(done.stdout))


def composed(folder: Path, overlay: str, *components: str, namespace: str) -> tuple[dict[str, Any], ...]:
    """Return the objects of an overlay of one's own, written into an empty `folder` as docs/how-to/install.md says."""
    write_overlay(folder, overlay, *components, namespace=namespace)
    return built(folder)


def write_overlay(
    folder: Path, overlay: str, *components: str, namespace: str, deploy: Path = DEPLOY, **more: Any
) -> None:
    """Write an overlay of one's own with these components, in a namespace of its own; `more` are further keys."""
    below = deploy / "overlays" / overlay
    own = yaml.safe_load((below / "kustomization.yaml").read_text(encoding="utf-8")).get("components", ())
    there = [(below / name).resolve() for name in own]
    places = [(deploy / "components" / name).resolve() for name in components]
    move = [{"op": "replace", "path": "/metadata/name", "value": namespace}]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(deploy / "overlays" / overlay, folder)],
        "components": [os.path.relpath(place, folder) for place in places if place not in there],
        "patches": [{"target": {"kind": "Namespace"}, "patch": yaml.safe_dump(move)}],
        **more,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")


def one(overlay: str, kind: str, name: str = "coachwork") -> dict[str, Any]:
    """Return the one object of this kind and name."""
    (found,) = (item for item in objects(overlay) if (item["kind"], item["metadata"]["name"]) == (kind, name))
    return found


def settings(overlay: str) -> dict[str, str]:
    """Return the settings of the controller's container; what the downward API fills in as "x"."""
    return settings_of(objects(overlay))


def settings_of(items: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the settings that the controller among these objects gets, as the kubelet puts them together."""
    every = {(item["kind"], item["metadata"]["name"]): item for item in items}
    template = every["Deployment", "coachwork"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    environ: dict[str, str] = {}
    for source in container["envFrom"]:
        environ |= every["ConfigMap", source["configMapRef"]["name"]]["data"]
    for item in container["env"]:
        field = item.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        annotation = re.fullmatch(r"metadata\.annotations\['(.*)'\]", field)
        value = template["metadata"]["annotations"][annotation[1]] if annotation else item.get("value", "x")
        environ[item["name"]] = re.sub(r"\$\((\w+)\)", lambda name: environ[name[1]], value)
    return {name: value for name, value in environ.items() if name.startswith(PREFIX)}
