"""Stages that can't start: told at once, failed after the grace (30 s in this installation)."""

import base64
import json
from datetime import datetime

import pytest

from tests.support.e2e import NAMESPACE, Coachwork, Record, kubectl, told
from tests.support.e2e_projects import batch, project, server, service


def waits(record: Record) -> bool:
    return record.get("phase") == "Running" and record.get("reason") not in ("Started", "StepRunning")


def test_a_missing_secret_is_reported_with_the_command_that_makes_it(coachwork: Coachwork) -> None:
    name = coachwork.name("no-secret")
    stage = batch("one", "", more="[secrets]\nKEY = the-vault")
    coachwork.git.push(name, project(name, "one", stage))
    coachwork.request(name)
    record = coachwork.wait_for(name, waits, "cause while it waits")
    assert "the-vault" in record["message"]
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Failed", "SecretMissing"), told(record)
    assert "create secret generic the-vault --from-literal=KEY=" in record["message"]


def test_a_secret_that_is_not_text_is_reported_until_it_is(coachwork: Coachwork) -> None:
    name = coachwork.name("no-text")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}}
    kubectl("create", "-f", "-", text=json.dumps({**secret, "data": {"KEY": base64.b64encode(b"caf\xe9").decode()}}))
    try:
        coachwork.git.push(name, project(name, "one", batch("one", "", more=f"[secrets]\nKEY = {name}")))
        coachwork.request(name)
        record = coachwork.wait_for(name, waits, "cause while it waits")
        assert (
            f"Secret {name} has bytes that no variable can hold in key KEY, not text in UTF-8 (stage one)"
            in record["message"]
        )
        kubectl("-n", NAMESPACE, "patch", "secret", name, "-p", '{"stringData": {"KEY": "coffee"}}')
        assert coachwork.ended(name)["phase"] == "Ready"
    finally:
        kubectl("-n", NAMESPACE, "delete", "secret", name)


@pytest.mark.parametrize("kind", ["batch", "service"])
def test_an_image_that_is_not_there_fails_with_its_name(coachwork: Coachwork, kind: str) -> None:
    name = coachwork.name("no-image")
    stage = batch("one", "") if kind == "batch" else service("one", server(""))
    coachwork.git.push(name, project(name, "one", stage))
    coachwork.request(name, image="nowhere.invalid/nobody/nothing:1")
    said = coachwork.waits(name, "one", 'pulling image "nowhere.invalid/nobody/nothing:1" on node ')
    assert datetime.fromisoformat(said["since"])
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Failed", "ImageUnavailable"), told(record)
    assert "nowhere.invalid/nobody/nothing:1" in record["message"]
    assert "image" in record["message"]


def test_what_no_node_has_room_for_is_reported_at_once(coachwork: Coachwork) -> None:
    name = coachwork.name("no-room")
    stage = batch("one", "")
    stage["one/config.ini"] = stage["one/config.ini"].replace("[batch]", "CPU_REQUEST = 1000\n[batch]")
    coachwork.git.push(name, project(name, "one", stage))
    coachwork.request(name)
    record = coachwork.wait_for(name, waits, "cause while it waits")
    assert (record["phase"], record["reason"]) == ("Running", "Unschedulable"), told(record)
    assert "no node has room" in coachwork.waits(name, "one", "waiting for a node")["doing"]
    assert "cpu" in record["message"].lower()


def test_another_image_needs_only_a_python(coachwork: Coachwork) -> None:
    name = coachwork.name("other-image")
    script = "import sys\nprint(sys.version_info[:2])\n"
    coachwork.git.push(name, project(name, "one", batch("one", script, requirements="six==1.17.0\n")))
    coachwork.request(name, image="python:3.10-slim")
    record = coachwork.ended(name)
    assert record["phase"] == "Ready", told(record)
    assert "(3, 10)" in coachwork.run_file(name, 1, "logs/one/1.log")


def test_an_image_without_python_is_reported(coachwork: Coachwork) -> None:
    name = coachwork.name("no-python")
    coachwork.git.push(name, project(name, "one", batch("one", "")))
    coachwork.request(name, image="busybox:1.36")
    record = coachwork.ended(name)
    assert (record["phase"], record["reason"]) == ("Failed", "ContainerFailed"), told(record)
    assert "python3" in record["message"]
