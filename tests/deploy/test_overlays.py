"""What a platform engineer applies: rights in one namespace, restricted pods, settings that the controller knows."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.kube.kinds import RIGHTS
from controller.core.model import Policy
from controller.settings import PREFIX, Settings, load
from tests.support.kustomize import objects, one, settings

pytestmark = pytest.mark.parametrize("overlay", ["dev", "production"])

ROOT = Path(__file__).parents[2]
KINDS = {
    "Namespace",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Deployment",
    "Service",
}


def pod(overlay: str) -> dict[str, Any]:
    spec: dict[str, Any] = one(overlay, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(overlay: str) -> dict[str, Any]:
    (only,) = pod(overlay)["containers"]
    assert isinstance(only, dict)
    return only


def test_nothing_but_the_namespace_itself_is_cluster_wide(overlay: str) -> None:
    policies = {"dev": set[str](), "production": {"NetworkPolicy"}}[overlay]
    assert {item["kind"] for item in objects(overlay)} == KINDS | policies
    places = {item["metadata"].get("namespace") for item in objects(overlay) if item["kind"] != "Namespace"}
    assert places == {"coachwork"}


def test_the_namespace_enforces_the_restricted_pod_security_level(overlay: str) -> None:
    labels = one(overlay, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_controller_is_admitted_as_restricted(overlay: str) -> None:
    """Each field that https://kubernetes.io/docs/concepts/security/pod-security-standards/ wants, and more."""
    context, own = pod(overlay)["securityContext"], container(overlay)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all({"persistentVolumeClaim", "emptyDir"} & volume.keys() for volume in pod(overlay)["volumes"])


def test_controller_stages_and_image_share_one_uid(overlay: str) -> None:
    uid = Policy(namespace="", image="", claim="", tools="").uid
    context = pod(overlay)["securityContext"]
    assert {context["runAsUser"], context["runAsGroup"], context["fsGroup"]} == {uid}
    assert f"USER {uid}:{uid}\n" in (ROOT / "Dockerfile").read_text()


def test_there_is_one_controller_at_a_time(overlay: str) -> None:
    spec = one(overlay, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_controller_is_found_by_its_component_label_and_the_service_finds_it(overlay: str) -> None:
    labels = one(overlay, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "controller"
    service = one(overlay, "Service")["spec"]
    assert service["selector"].items() <= labels.items()
    ports = [(port["name"], port["port"], port["targetPort"]) for port in service["ports"]]
    assert ports == [("http", 80, "http"), ("wake", 81, "wake")]
    assert settings(overlay)["COACHWORK_WAKE"] == f"{one(overlay, 'Service')['metadata']['name']}:81"


def test_probes_ask_the_port_that_the_controller_is_told_to_serve(overlay: str) -> None:
    main = container(overlay)
    assert main["ports"] == [
        {"name": "http", "containerPort": int(settings(overlay)["COACHWORK_PORT"])},
        {"name": "wake", "containerPort": int(settings(overlay)["COACHWORK_WAKE_PORT"])},
    ]
    assert main["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert main["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}


def test_a_controller_that_can_not_start_says_why_in_its_pods_state(overlay: str) -> None:
    assert container(overlay)["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_requests_and_limits_are_set(overlay: str) -> None:
    resources = container(overlay)["resources"]
    assert {"cpu", "memory"} <= resources["requests"].keys() & resources["limits"].keys()


def test_every_setting_is_one_that_the_controller_knows_and_accepts(overlay: str) -> None:
    environ = settings(overlay)
    assert environ.keys() <= {PREFIX + option.name.upper() for option in fields(Settings)}
    loaded = load(environ, {})
    mounts = {mount["name"]: mount["mountPath"] for mount in container(overlay)["volumeMounts"]}
    assert str(loaded.volume) == mounts["volume"]
    assert loaded.claim == one(overlay, "PersistentVolumeClaim")["metadata"]["name"]
    assert one(overlay, "ServiceAccount", loaded.service_account)["automountServiceAccountToken"] is False


def test_service_links_set_no_settings(overlay: str) -> None:
    assert pod(overlay)["enableServiceLinks"] is False


def test_triggers_and_stages_that_name_no_image_get_the_controllers_own(overlay: str) -> None:
    assert settings(overlay)["COACHWORK_IMAGE"] == container(overlay)["image"]
    assert settings(overlay)["COACHWORK_TRIGGER_IMAGE"] == container(overlay)["image"]
    assert re.search(r":(dev|[0-9]+\.[0-9]+\.[0-9]+)$", container(overlay)["image"])


def test_only_the_controller_and_triggers_have_rights_and_secrets_are_only_read_by_name(overlay: str) -> None:
    for binding in (item for item in objects(overlay) if item["kind"] == "RoleBinding"):
        name = binding["metadata"]["name"]
        accounts = {"coachwork-reader": ["coachwork-reader", "coachwork"]}.get(name, [name])
        assert name in {"coachwork", "coachwork-trigger", "coachwork-reader"}
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account, "namespace": "coachwork"} for account in accounts
        ]
        assert binding["roleRef"]["name"] == name
    rules = [rule for item in objects(overlay) if item["kind"] == "Role" for rule in item["rules"]]
    granted = {name for rule in rules for name in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])}
    assert not granted & {"*", "pods/exec", "serviceaccounts", "roles", "rolebindings"}
    assert [rule["verbs"] for rule in rules if "secrets" in rule["resources"]] == [["get"]]


def test_the_role_grants_exactly_what_the_table_of_kinds_uses(overlay: str) -> None:
    granted = {
        (group, resource): frozenset(rule["verbs"])
        for rule in one(overlay, "Role")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == dict(RIGHTS)
    assert len(granted) == sum(len(r["apiGroups"]) * len(r["resources"]) for r in one(overlay, "Role")["rules"])


def test_the_volume_asks_for_what_the_cluster_can_be_expected_to_have(overlay: str) -> None:
    claim, loaded = one(overlay, "PersistentVolumeClaim")["spec"], load(settings(overlay), {})
    expected = {"dev": (["ReadWriteOnce"], True), "production": (["ReadWriteMany"], False)}
    assert (claim["accessModes"], bool(loaded.node)) == expected[overlay]
    assert "storageClassName" not in claim


def test_the_image_comes_from_where_the_overlay_says(overlay: str) -> None:
    main = container(overlay)
    if overlay == "dev":
        assert (main["image"], main["imagePullPolicy"]) == ("coachwork:dev", "IfNotPresent")
    else:
        assert main["image"].startswith("registry.example.com/")


def test_a_client_takes_every_object(overlay: str) -> None:
    """Names, labels and quantities are strings where the API wants strings (YAML turns `true` and `1` into others)."""
    for item in objects(overlay):
        assert {"apiVersion", "kind", "metadata"} <= item.keys()
        texts = {
            **item["metadata"].get("labels", {}),
            **item.get("data", {}),
            **item["metadata"].get("annotations", {}),
        }
        assert all(isinstance(value, str) for value in texts.values()), json.dumps(item)
    annotations = one(overlay, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in annotations.values())
