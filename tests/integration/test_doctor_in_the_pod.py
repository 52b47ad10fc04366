"""The doctor in the controller's pod: one question that fails, or a request that is wrong, silences no other."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.adapters.kube.cluster import Kube, connect
from controller.app import doctor as module
from controller.app.doctor import Doctor
from controller.core.doctor import CHECKS, Finding, from_json
from controller.core.errors import Busy, Transient
from controller.core.model import GitCredentials, Policy
from controller.core.snapshot import Snapshot
from controller.reconciler import View
from tests.support.apiproxy import ApiServer, status
from tests.support.eventually import eventually
from tests.support.world import Projects

POLICY = Policy(namespace="ns", image="coachwork:0.1.0", claim="coachwork", tools="t", version="1.2.3")
ELSEWHERE = "https://git.example/away"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    api = ApiServer()
    api.script("list", status(404, "NotFound"), resource="coachwork")  # the claim
    yield api
    api.stop()


@pytest.fixture
def view() -> View:
    return View(lambda _name: None)


@pytest.fixture
def kube(server: ApiServer, tmp_path: Path) -> Kube:
    return connect(kubeconfig=server.kubeconfig(tmp_path / "config"))


@pytest.fixture
def source() -> Projects:
    found = Projects(faults={ELSEWHERE: Transient("GitUnreachable", "no answer")})
    found.push({})
    return found


def ask(view: View, name: str, **data: str) -> None:
    keys = {key.replace("_", "-"): value for key, value in {"repository": "https://git.example/x", **data}.items()}
    labels = {"coachwork.io/role": "request"}
    item = {"metadata": {"name": name, "uid": "u", "labels": labels}, "data": keys}
    view.changed("ConfigMap", None, Snapshot.of("ConfigMap", item))


def examine(kube: Kube, view: View, source: Projects, root: Path) -> dict[str, list[Finding]]:
    """Return the findings by check."""
    answer = Doctor(kube, view, source, root, POLICY).examine()
    assert answer["version"] == "1.2.3"
    findings = from_json(answer["findings"])  # type: ignore[arg-type]  # a list
    return {check: [finding for finding in findings if finding.check == check] for check in CHECKS}


def test_each_check_is_answered_whatever_becomes_of_the_others(
    server: ApiServer, kube: Kube, view: View, source: Projects, tmp_path: Path
) -> None:
    server.script("list", status(500, "InternalError"), resource="cronjobs")
    server.script("list", status(404, "NotFound"), resource="no-such-secret")
    ask(view, "iris")
    ask(view, "away", repository=ELSEWHERE)
    ask(view, "sick", git_secret="no-such-secret")
    ask(view, "wrong", keep_runs="none", pod_template="t")
    found = examine(kube, view, source, tmp_path)
    assert {check for check in CHECKS if not found[check]} == {"controller", "version", "your rights"}
    assert found["cronjobs"][0].message.startswith("could not be examined: ")
    assert "PersistentVolumeClaim coachwork not found" in found["claim"][0].message
    assert [line.message.split(":")[0] for line in found["requests"]] == ["sick", "wrong"]
    assert "no-such-secret" in found["requests"][0].message
    assert [line.message for line in found["git"]] == ["away: no answer"]
    assert "no volume is mounted" in found["volume"][0].message


def test_an_examination_waits_for_no_pass_that_never_ends(
    kube: Kube, view: View, source: Projects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    source.faults[ELSEWHERE] = Busy(5.0, "another pass is asking it", lambda _call: None)
    ask(view, "away", repository=ELSEWHERE)
    assert [line.state for line in examine(kube, view, source, tmp_path)["git"]] == ["wrong"]
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("doctor")])


class Impatient(Projects):
    """A source that asks for an examination from within one."""

    def __init__(self) -> None:
        super().__init__()
        self.doctor: Doctor | None = None
        self.refused: list[str] = []

    def resolve(
        self, repository: str, ref: str, credentials: GitCredentials | None = None, since: float | None = None
    ) -> str:
        assert self.doctor
        try:
            self.doctor.examine()
        except Transient as error:
            self.refused.append(error.reason)
        return super().resolve(repository, ref, credentials, since)


def test_only_one_examination_runs_at_a_time(kube: Kube, view: View, tmp_path: Path) -> None:
    source = Impatient()
    source.doctor = Doctor(kube, view, source, tmp_path, POLICY)
    ask(view, "iris")
    source.doctor.examine()
    assert source.refused == ["ControllerBusy"]
