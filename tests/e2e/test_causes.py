"""Why a stage failed, in one line, on a cluster."""

import json

import pytest

from tests.support.causes import WAYS, Way
from tests.support.e2e import NAMESPACE, Coachwork, kubectl, told
from tests.support.e2e_projects import batch, project


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_stage_that_fails_says_why_where_and_what_helps(coachwork: Coachwork, way: Way) -> None:
    name = coachwork.name(way.name)
    record = coachwork.start(name, dict(way.files(name)))
    assert (record["phase"], record["reason"]) == ("Failed", way.reason), told(record)
    assert [part for part in way.told if part not in record["message"]] == [], told(record)


def test_a_quota_that_forbids_a_stage_is_reported_at_once(coachwork: Coachwork) -> None:
    """The quota is of what no other test asks for: they go on."""
    name = coachwork.name("quota")
    stage = batch("one", "")
    stage["one/config.ini"] = stage["one/config.ini"].replace("[batch]", "GPU = 1\n[batch]")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"hard": {"requests.nvidia.com/gpu": "0"}},
    }
    kubectl("create", "-f", "-", text=json.dumps(quota))
    try:
        coachwork.git.push(name, project(name, "one", stage))
        coachwork.request(name)
        record = coachwork.wait_for(name, lambda data: data.get("reason") == "QuotaExceeded", "cause while it waits")
        assert name in record["message"]
    finally:
        kubectl("-n", NAMESPACE, "delete", "resourcequota", name)
