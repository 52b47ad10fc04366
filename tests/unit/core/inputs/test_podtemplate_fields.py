"""Every field of a pod of the newest Kubernetes that is claimed is allowed in a template, or refused by its name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import kubernetes_validate
import pytest
from pydantic import BaseModel

from controller.core.inputs import engine
from controller.core.inputs.podtemplate.forms import POD
from tests.deploy.test_schemas import NEWEST, OLDEST

SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
Spot = tuple[str, Any, dict[str, Any]]
"""A path in a pod, the form that a template has there, and Kubernetes' own definition of it."""


def definitions(version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"v{version}.0-local" / "_definitions.json").read_text())["$defs"]
    return found


def walk(path: str, form: Any, schema: dict[str, Any], known: dict[str, Any]) -> Iterator[Spot]:
    """Yield each part of a pod that a template may say, the outermost first."""
    while "$ref" in schema or "items" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema["items"]
    while get_args(form):  # of a list, or of what stands beside a type
        form = get_args(form)[0]
    if not (isinstance(form, type) and issubclass(form, BaseModel)):
        return
    yield path, form, schema
    for key in engine.keys(form):
        inner = schema["properties"].get(key)
        if inner is not None:
            yield from walk(f"{path}.{key}".lstrip("."), engine.keys(form)[key], inner, known)


def spots(version: str) -> list[Spot]:
    known = definitions(version)
    return list(walk("", POD, known["io.k8s.api.core.v1.Pod"], known))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_field_of_a_pod_is_allowed_or_refused_by_its_name(version: str) -> None:
    missed = {
        f"{path}.{field}"
        for path, form, schema in spots(version)
        for field in schema["properties"].keys() - engine.keys(form).keys() - form.refused.keys()
    }
    assert missed == set()


def test_every_field_of_a_template_is_one_of_kubernetes_own() -> None:
    invented = {
        f"{path}.{field}"
        for path, form, schema in spots(NEWEST)
        for field in (engine.keys(form).keys() | form.refused.keys()) - schema["properties"].keys()
    }
    assert invented == set()


def test_the_walk_reaches_the_innermost_parts() -> None:
    paths = {path for path, _, _ in spots(NEWEST)}
    assert len(paths) > 60
    assert "spec.volumes.ephemeral.volumeClaimTemplate.spec.selector.matchExpressions" in paths
    assert "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.podAffinityTerm" in paths
    assert "spec.containers.env.valueFrom.secretKeyRef" in paths


@pytest.mark.parametrize(("path", "form"), [(path, form) for path, form, _ in spots(NEWEST)])
def test_a_refused_field_is_distinguished_from_a_misspelt_one(path: str, form: Any) -> None:
    for field in form.refused:
        faults = {fault.location: fault.sentence for fault in engine.check(form, {field: {}})[1]}
        assert "unknown key" not in faults[field,], path
    assert "unknown key" in engine.check(form, {"x-y": {}})[1][-1].sentence
