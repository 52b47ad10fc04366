"""The Role for people: what the commands ask for, what `kubectl` needs beside it, and nothing that reaches further."""

from pathlib import Path
from typing import Any

import yaml

from controller.adapters.kube.person import ONLY, USED

ROLE = Path(__file__).parents[2] / "deploy" / "components" / "user-role" / "role.yaml"
OF_KUBECTL = {"watch", "update"}  # kubectl wait, edit and replace


def rules() -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the rules by their one group and their one resource."""
    role = yaml.safe_load(ROLE.read_text(encoding="utf-8"))
    assert (role["kind"], role["metadata"]["name"]) == ("Role", "coachwork-user")
    return {(*rule["apiGroups"], *rule["resources"]): rule for rule in role["rules"]}


def test_the_role_grants_what_the_commands_use_and_what_kubectl_needs_and_no_more() -> None:
    granted = {place: set(rule["verbs"]) for place, rule in rules().items()}
    assert granted == {**USED, ("", "configmaps"): USED["", "configmaps"] | OF_KUBECTL}


def test_people_reach_the_controllers_pages_and_deployment_and_no_others() -> None:
    named = {place[1]: rule["resourceNames"] for place, rule in rules().items() if "resourceNames" in rule}
    assert named == {resource: [name] for resource, name in ONLY.items()}
