"""What a platform engineer adds to an overlay."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from controller.core.model import Policy
from tests.support.kustomize import (
    COMPONENTS,
    DEPLOY,
    OVERLAYS,
    built,
    composed,
    objects,
    settings,
    settings_of,
    write_overlay,
)

GUIDE = DEPLOY.parent / "docs" / "how-to" / "install.md"

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


def added(folder: Path, overlay: str, component: str, kind: str) -> list[dict[str, Any]]:
    """Return the objects of a kind that are there with the component, in the namespace of another team."""
    found = [item for item in composed(folder, overlay, component, namespace="team-b") if item["kind"] == kind]
    assert {item["metadata"]["namespace"] for item in found} == {"team-b"}
    return found


def test_the_network_policy_closes_the_controllers_port_but_for_those_it_names(overlay: str, tmp_path: Path) -> None:
    found = added(tmp_path, overlay, "network-policy", "NetworkPolicy")
    (policy,) = (item for item in found if item["metadata"]["name"] == "coachwork")
    (controller,) = added(tmp_path, overlay, "network-policy", "Deployment")
    template = controller["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    (container,) = template["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for rule in policy["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= ports
        (admitted,) = rule["from"]
        assert admitted.get("podSelector") or admitted["ipBlock"]["cidr"].startswith("192.0.2.")
        pages = {port["port"] for port in rule["ports"]} != {"wake"}
        assert ("podSelector" in admitted and "namespaceSelector" not in admitted) is not pages


def test_every_account_pulls_with_the_secret_of_the_registry(overlay: str, tmp_path: Path) -> None:
    accounts = added(tmp_path, overlay, "pull-secret", "ServiceAccount")
    policy = Policy(namespace="", image="", claim="", tools="")
    assert {item["metadata"]["name"] for item in accounts} >= {
        "coachwork",
        policy.service_account,
        policy.trigger_account,
    }
    assert all(item["imagePullSecrets"] == [{"name": "registry"}] for item in accounts)


def test_the_dashboards_are_where_grafana_looks_for_them(overlay: str, tmp_path: Path) -> None:
    boards = [
        item
        for item in added(tmp_path, overlay, "grafana-dashboard", "ConfigMap")
        if item["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
    ]
    (board,) = boards
    folder = DEPLOY / "components" / "grafana-dashboard"
    files = {"coachwork.json": "operators.json", "coachwork-requests.json": "requests.json"}
    assert board["data"] == {key: (folder / name).read_text(encoding="utf-8") for key, name in files.items()}


def test_every_overlay_that_a_page_shows_can_be_built(overlay: str, tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path, dirs_exist_ok=True)
    pages = [page.read_text(encoding="utf-8") for page in GUIDE.parent.glob("*.md")]
    shown = [text for page in pages for text in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    shown = [text for text in shown if "kind: Kustomization" in text]
    assert len(shown) >= 4
    for at, text in enumerate(shown):
        folder = tmp_path / "overlays" / f"ours-{at}"
        folder.mkdir()
        (folder / "kustomization.yaml").write_text(re.sub(r"\.\./(dev|production)", f"../{overlay}", text))
        assert len(built(folder)) >= len(objects(overlay)) - 1  # without the namespace, where it is there already


def test_stages_and_schedules_get_the_image_that_an_overlay_on_top_names(overlay: str, tmp_path: Path) -> None:
    lower = {"dev": "coachwork", "production": "registry.example.com/coachwork"}[overlay]
    image = {"name": lower, "newName": "registry.example.org/ours", "newTag": "7"}
    write_overlay(tmp_path, overlay, namespace="team-b", images=[image])
    found = built(tmp_path)
    (controller,) = (item for item in found if item["kind"] == "Deployment")
    assert controller["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.org/ours:7"
    settings = settings_of(found)
    assert settings["COACHWORK_IMAGE"] == settings["COACHWORK_TRIGGER_IMAGE"] == "registry.example.org/ours:7"


def test_an_overlay_that_copies_the_image_itself_as_0_1_0_asked_for_goes_on_working(
    overlay: str, tmp_path: Path
) -> None:
    variables = [f"[name=controller].env.[name=COACHWORK_{name}].value" for name in ("IMAGE", "TRIGGER_IMAGE")]
    deployment, containers = {"kind": "Deployment", "name": "coachwork"}, "spec.template.spec.containers"
    copied = {
        "source": {**deployment, "fieldPath": f"{containers}.[name=controller].image"},
        "targets": [{"select": deployment, "fieldPaths": [f"{containers}.{name}" for name in variables]}],
    }
    write_overlay(tmp_path, overlay, namespace="team-b", replacements=[copied])
    assert settings_of(built(tmp_path))["COACHWORK_IMAGE"] == settings(overlay)["COACHWORK_IMAGE"]


def test_who_administers_only_a_namespace_applies_and_deletes_nothing_cluster_wide(
    overlay: str, tmp_path: Path
) -> None:
    found = composed(tmp_path, overlay, "existing-namespace", namespace="team-b")
    assert {item["metadata"]["namespace"] for item in found} == {"team-b"}
    assert len(found) == len(objects(overlay)) - 1


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_guide_names_every_component_and_none_that_does_not_exist(overlay: str, component: str) -> None:
    shown = set(re.findall(r"^\| `([\w-]+)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    assert component in shown, overlay
    assert shown <= set(COMPONENTS)
