"""What is under deploy/samples does what the controller would do, with the accounts that are installed."""

from pathlib import Path
from typing import Any

import yaml

from controller.core import manifests
from controller.core.inputs import request
from controller.core.model import Policy, Request
from tests.support.kustomize import DEPLOY, objects, one

POLICY = Policy(namespace="coachwork", image="coachwork:dev", claim="coachwork", tools="t")


def sample(name: str) -> dict[str, Any]:
    """Return the one object of a sample."""
    (item,) = yaml.safe_load_all(Path(DEPLOY / "samples" / name).read_text(encoding="utf-8"))
    assert isinstance(item, dict)
    return item


def test_every_sample_is_looked_at_here() -> None:
    assert {path.name for path in (DEPLOY / "samples").iterdir()} == {"cronjob.yaml"}


def test_a_cronjob_of_ones_own_is_what_the_key_schedule_makes() -> None:
    written = sample("cronjob.yaml")
    spec = written["spec"]
    asked = Request("train-and-serve", "u", "x", schedule=spec["schedule"], time_zone=spec["timeZone"])
    assert spec == manifests.cronjob(asked, POLICY)["spec"]
    data = {"repository": "https://example.com/x", "schedule": spec["schedule"], "time-zone": spec["timeZone"]}
    assert request.parse({"metadata": {"name": asked.name}, "data": data}).schedule


def test_it_takes_no_name_that_is_the_controller_s() -> None:
    written = sample("cronjob.yaml")
    labels = written["spec"]["jobTemplate"]["metadata"]["labels"]
    assert written["metadata"]["name"] != labels["coachwork.io/request"]
    assert len(written["metadata"]["name"]) <= 52


def test_the_account_of_triggers_may_read_and_patch_configmaps_and_nothing_else() -> None:
    for overlay in ("dev", "production"):
        rules = one(overlay, "Role", POLICY.trigger_account)["rules"]
        assert rules == [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}]
        account = one(overlay, "ServiceAccount", POLICY.trigger_account)
        assert account["automountServiceAccountToken"] is False
        namespaces = {item["metadata"].get("namespace") for item in objects(overlay) if item["kind"] == "Role"}
        assert namespaces == {sample("cronjob.yaml")["metadata"]["namespace"]}
