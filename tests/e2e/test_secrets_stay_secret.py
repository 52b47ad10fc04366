"""A canary: the value of a Secret is nowhere but in the Secret, and in the memory of the stage that asked for it."""

import base64
import json
import urllib.parse
import uuid
from collections.abc import Iterator

import pytest

from tests.support.e2e import NAMESPACE, VOLUME, Coachwork, eventually, kubectl, told
from tests.support.e2e_projects import batch, project

SINGS = """
import base64, os, pathlib, sys, time, urllib.parse
value = os.environ["CANARY"]
print("raw", value)
print("in a line: " + value + " and on", file=sys.stderr)
print("encoded", base64.b64encode(value.encode()).decode(), urllib.parse.quote(value, safe=""))
artifacts = pathlib.Path(os.environ["COACHWORK_ARTIFACTS"])
while not (artifacts / "go").exists():
    time.sleep(0.1)
raise ValueError("refused: " + value)
"""


@pytest.fixture
def canary(coachwork: Coachwork) -> Iterator[tuple[str, str]]:
    """Yield a Secret's name and the value of its key CANARY."""
    name, value = coachwork.name("canary"), f"canary/{uuid.uuid4().hex}+?"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"CANARY": value}}
    kubectl("-n", NAMESPACE, "create", "-f", "-", text=json.dumps(secret))
    yield name, value
    kubectl("-n", NAMESPACE, "delete", "secret", name)


def forms(value: str) -> list[str]:
    """Return the ways to write the value that anybody would look for."""
    return [value, base64.b64encode(value.encode()).decode(), urllib.parse.quote(value, safe="")]


def heard(value: str, text: str) -> list[str]:
    """Return the forms of the value that a text holds."""
    return [form for form in forms(value) if form in text]


def test_the_value_of_a_secret_is_nowhere_to_be_found(coachwork: Coachwork, canary: tuple[str, str]) -> None:
    name, value = canary
    coachwork.git.push(name, project(name, "one", batch("one", SINGS, more=f"[secrets]\nCANARY = {name}")))
    coachwork.request(name)
    coachwork.running(name, "one")
    (pod,) = coachwork.pods(name, "one")
    where = ("-n", NAMESPACE, "exec", pod["metadata"]["name"], "--", "sh", "-c")
    look = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
    said = eventually(lambda: kubectl("-n", NAMESPACE, "logs", pod["metadata"]["name"]), "output of the stage")
    assert heard(value, said + kubectl(*where, look)) == []
    coachwork.shell("touch", f"{VOLUME}/runs/{name}-{coachwork.uid(name)}/1/artifacts/go")
    record = coachwork.ended(name)
    assert record["phase"] == "Failed", told(record)
    assert "refused: ***" in record["message"], told(record)
    objects = kubectl("-n", NAMESPACE, "get", "configmaps,jobs,pods,deployments,services,events", "-o", "yaml")
    assert heard(value, objects) == []
    assert heard(value, kubectl("-n", NAMESPACE, "logs", pod["metadata"]["name"])) == []
    assert heard(value, coachwork.log()) == []
    assert heard(value, coachwork.http("coachwork", "/metrics").body) == []
    for form in forms(value):
        assert coachwork.shell("sh", "-c", f"grep -rlF -- '{form}' {VOLUME} || true") == ""
