"""Bad input: a clear status, no crash, no storm of retries, and the other requests go on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.e2e import Coachwork, Files, Record, told
from tests.support.e2e_projects import batch, project

PASSES = 30  # over one request in a test's time: a storm would make hundreds
MOST = {"coachwork_git_calls_total": 300, "coachwork_reconciles_total": 1500}  # the other tests of that time included


@dataclass
class Ground:
    """The installation, with a check at the end that it is well."""

    coachwork: Coachwork

    def tell(self, name: str, files: Files | None = None, **keys: Any) -> Record:
        """Return the record of a request with these files and keys."""
        if files is not None:
            self.coachwork.git.push(name, files)
        self.coachwork.request(name, **keys)
        return self.coachwork.wait_for(name, lambda data: bool(data.get("message")) and data["phase"] != "Running")

    def invalid(self, record: Record, reason: str, *parts: str) -> None:
        """Check that the record is Invalid for this reason, in one bounded line that has these parts."""
        assert (record["phase"], record["reason"]) == ("Invalid", reason), told(record)
        assert len(record["message"].encode()) <= 1024
        text = record["message"] + record.get("problems", "")
        assert not re.search(r"[^\n\x20-\x7e\u00a0-\uffff]", text)
        for part in parts:
            assert part in text, told(record)


@pytest.fixture
def ground(coachwork: Coachwork) -> Iterator[Ground]:
    """The installation; after the test another request still runs, and nothing was tried without end."""
    before = coachwork.metrics()
    yield Ground(coachwork)
    made = list(coachwork._made)  # noqa: SLF001 - the fixture belongs to it
    name = coachwork.name("neighbour")
    record = coachwork.start(name, project(name, "one", batch("one", "print('as ever')")))
    assert record["phase"] == "Ready", told(record)
    after = coachwork.metrics()
    assert after['coachwork_reconciles_total{result="defect"}'] == 0
    for prefix, limit in MOST.items():
        assert sum(after[key] - before.get(key, 0) for key in after if key.startswith(prefix)) <= limit, prefix
    for bad in made:
        passes = coachwork.passes(bad)
        assert len(passes) <= PASSES, passes[-5:]
        assert "defect in a pass" not in {line["event"] for line in passes}


def test_an_unreachable_host_is_reported_and_tried_with_patience(ground: Ground) -> None:
    name = ground.coachwork.name("unreachable")
    record = ground.tell(name, repository="http://nowhere.invalid/acme/iris")
    assert (record["phase"], record["reason"]) == ("Pending", "GitUnreachable"), told(record)
    assert "nowhere.invalid" in record["message"]


def test_a_repository_that_comes_later_runs_with_the_next_trigger(ground: Ground) -> None:
    name = ground.coachwork.name("late")
    ground.invalid(ground.tell(name), "RepositoryNotFound", "check the URL")
    ground.coachwork.git.push(name, project(name, "one", batch("one", "")))
    assert ground.coachwork.trigger(name, "now")["phase"] == "Ready"


def test_an_unknown_ref(ground: Ground) -> None:
    name = ground.coachwork.name("ref")
    record = ground.tell(name, project(name, "one", batch("one", "")), ref="no-such-branch")
    ground.invalid(record, "RefNotFound", "no-such-branch")


def test_a_repository_without_a_project_file(ground: Ground) -> None:
    name = ground.coachwork.name("no-project")
    record = ground.tell(name, {"README.md": "hello", "models/iris/bodywork.ini": ""})
    ground.invalid(record, "NoProject", "bodywork.ini", "models/iris")


def test_credentials_in_the_address_are_refused_and_never_shown(ground: Ground) -> None:
    name, coachwork = ground.coachwork.name("creds"), ground.coachwork
    record = ground.tell(name, repository="https://ann:pa55-w0rd@example.invalid/iris")
    ground.invalid(record, "InvalidRequest", "repository: it holds credentials")
    told = [
        str(record),
        str(coachwork.events(name)),
        coachwork.log(),
        str(coachwork.get("configmap", f"{name}-status")),
    ]
    assert not [text for text in told if "pa55-w0rd" in text]


@pytest.mark.parametrize("address", ["ext::sh -c 'touch /tmp/owned'", "--upload-pack=touch /tmp/owned", "file:///var"])
def test_an_address_that_git_must_not_be_given_is_refused(ground: Ground, address: str) -> None:
    record = ground.tell(ground.coachwork.name("address"), repository=address)
    assert (record["phase"], record.get("run", "0")) == ("Invalid", "0"), told(record)
    assert "owned" not in ground.coachwork.shell("ls", "/tmp")  # noqa: S108 - in the pod


@pytest.mark.parametrize("script", [bytes(range(1, 256)) * 40, b"import os\nif os:\nprint(1)\n"])
def test_a_script_that_does_not_compile_is_reported_with_its_line_before_anything_runs(
    ground: Ground, script: bytes
) -> None:
    name = ground.coachwork.name("gibberish")
    files = {**project(name, "one", batch("one", "")), "one/main.py": script}
    near = str(files["one/config.ini"]).replace("EXECUTABLE_SCRIPT", "GPUS = 1\nEXECUTABLE_SCRIPT")
    record = ground.tell(name, {**files, "one/config.ini": near, "notebooks/config.ini": b"\xff" * 3_000_000})
    ground.invalid(
        record, "InvalidProject", "one/main.py:", "Error: ", "warning: one/config.ini: ", "[default] GPUS: unknown key"
    )
    assert record.get("run", "0") == "0"


def test_a_yaml_bomb(ground: Ground) -> None:
    name = ground.coachwork.name("bomb")
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10))
    record = ground.tell(name, {"bodywork.yaml": f"l0: &l0 [lol, lol]\n{levels}version: '1.1'\n"})
    ground.invalid(record, "InvalidProject", "bodywork.yaml")
