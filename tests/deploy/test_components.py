"""What a platform engineer adds to an overlay."""

import os
from pathlib import Path

import pytest
import yaml

from tests.support.kustomize import DEPLOY, built


@pytest.mark.parametrize("overlay", ["dev", "production"])
def test_the_network_policy_closes_the_controllers_port_but_for_those_it_names(overlay: str, tmp_path: Path) -> None:
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "team-b",
        "resources": [os.path.relpath(DEPLOY / "overlays" / overlay, tmp_path)],
        "components": [os.path.relpath(DEPLOY / "components" / "network-policy", tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    found = built(tmp_path)
    (policy,) = (item for item in found if item["kind"] == "NetworkPolicy")
    (controller,) = (item for item in found if item["kind"] == "Deployment")
    template = controller["spec"]["template"]
    assert policy["metadata"]["namespace"] == "team-b"
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    (container,) = template["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for rule in policy["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= ports
        (admitted,) = rule["from"]
        assert admitted.get("podSelector") or admitted["ipBlock"]["cidr"].startswith("192.0.2.")
