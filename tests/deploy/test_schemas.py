"""What is applied, and what the controller makes, is valid for the oldest and the newest Kubernetes that we claim.

The schemas are those of Kubernetes' own OpenAPI document, in their strict form: an unknown field is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from controller.core import manifests
from controller.core.documents import status
from controller.core.documents.release import KINDS
from controller.core.manifests import RunContext
from controller.core.model import (
    Batch,
    Environment,
    Pipeline,
    Policy,
    Record,
    Request,
    Resources,
    RunSpec,
    Secret,
    Service,
    Stage,
)
from tests.support.kustomize import COMPONENTS, DEPLOY, OVERLAYS, composed, objects

ROOT = Path(__file__).parents[2]
OLDEST, NEWEST = "1.30", "1.37"
OF_OTHERS = "monitoring.coreos.com/v1"  # the Prometheus Operator's kinds: no part of Kubernetes, see test_monitoring.py

pytestmark = pytest.mark.parametrize("version", [OLDEST, NEWEST])


def check(item: dict[str, Any], version: str) -> None:
    """Raise ValidationError where `item` is not valid; AssertionError if there are no schemas of that version."""
    assert kubernetes_validate.validate(item, version, strict=True) == version


def requests() -> Iterator[dict[str, Any]]:
    """Yield the requests that the pages and the examples show."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    texts = [
        text
        for page in pages
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.yaml")]
    for item in (item for text in texts for item in yaml.safe_load_all(text)):
        if "apiVersion" in item and item["kind"] != "Kustomization":
            yield item


def made_by_the_controller() -> list[dict[str, Any]]:
    """Return one of each object that the controller makes, with all that a project can ask for."""
    resources = Resources(0.5, 250, 1.0, 500, 1)
    train = Stage("train", "train", "train.py", Batch(), env=(("A", "1"),), secrets=(Secret("KEY", "aws", "KEY"),))
    stages = {
        "train": replace(train, resources=resources),
        "serve": Stage(
            "serve", "serve", "serve.py", Service(port=5000, ingress=True, readiness_path="/ready", max_replicas=2)
        ),
    }
    context = RunContext(
        request="iris",
        uid="u",
        run=1,
        spec=RunSpec(repository="https://example.com/iris", commit="c", path=".", tree="t", image="i"),
        pipeline=Pipeline(name="iris", steps=(("train",), ("serve",)), stages=stages),
        policy=Policy(namespace="ml", image="i", claim="c", tools="t"),
    )
    asked = Request("iris", "u", "x", schedule="@daily", time_zone="Europe/Paris")
    return [
        manifests.job(context, stages["train"]),
        *manifests.service_objects(context, stages["serve"]),
        manifests.release(context, []),
        manifests.cronjob(asked, context.policy),
        manifests.build(context, Environment("environment", "e", ("train",))),
        status.manifest("iris", "u", "ml", Record(request_uid="u")),
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_valid(overlay: str, version: str) -> None:
    for item in objects(overlay):
        check(item, version)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_with_all_components_is_valid(overlay: str, version: str, tmp_path: Path) -> None:
    found = composed(tmp_path, overlay, *COMPONENTS, namespace="team-b")
    assert len(found) > len(objects(overlay))
    for item in found:
        if item["apiVersion"] != OF_OTHERS:
            check(item, version)


def test_the_samples_are_valid(version: str) -> None:
    for path in (DEPLOY / "samples").iterdir():
        for item in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            check(item, version)


def test_what_the_pages_and_examples_show_is_valid(version: str) -> None:
    shown = list(requests())
    assert len(shown) >= 6
    for item in shown:
        check(item, version)


def test_what_the_controller_makes_is_valid(version: str) -> None:
    kinds = {"Job", "CronJob", "ConfigMap", *KINDS}
    assert {item["kind"] for item in made_by_the_controller()} == kinds
    for item in made_by_the_controller():
        check(item, version)


def test_a_field_that_does_not_exist_would_be_found(version: str) -> None:
    (deployment,) = (item for item in made_by_the_controller() if item["kind"] == "Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        check({**deployment, "spec": {**deployment["spec"], "replica": 1}}, version)


def test_the_pages_claim_just_these_versions(version: str) -> None:
    assert version in {OLDEST, NEWEST}
    for page in ("README.md", "docs/how-to/install.md"):
        claimed = re.findall(r"Kubernetes (1\.\d+) to (1\.\d+)", (ROOT / page).read_text(encoding="utf-8"))
        assert claimed == [(OLDEST, NEWEST)], page
