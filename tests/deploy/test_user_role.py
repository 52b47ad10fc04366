"""The Role for people: what the commands ask for, what `kubectl` needs beside it, and nothing that reaches further."""

from pathlib import Path
from typing import Any

import yaml

from controller.adapters.kube.person import SERVICE, USED

ROLE = Path(__file__).parents[2] / "deploy" / "components" / "user-role" / "role.yaml"
OF_KUBECTL = {"watch", "update"}  # kubectl wait, edit and replace


def rules() -> dict[str, dict[str, Any]]:
    """Return the rules by their one resource."""
    role = yaml.safe_load(ROLE.read_text(encoding="utf-8"))
    assert (role["kind"], role["metadata"]["name"]) == ("Role", "coachwork-user")
    assert all(rule["apiGroups"] == [""] and len(rule["resources"]) == 1 for rule in role["rules"])
    return {rule["resources"][0]: rule for rule in role["rules"]}


def test_the_role_grants_what_the_commands_use_and_what_kubectl_needs_and_no_more() -> None:
    granted = {resource: set(rule["verbs"]) for resource, rule in rules().items()}
    assert granted == {
        "configmaps": USED["configmaps"] | OF_KUBECTL,
        "services/proxy": set(USED["services/proxy"]),
    }


def test_people_reach_the_controllers_pages_and_no_other_service() -> None:
    assert rules()["services/proxy"]["resourceNames"] == [SERVICE]
