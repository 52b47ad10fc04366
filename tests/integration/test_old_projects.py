"""Old projects, unchanged, on a machine without a cluster: their Pythons, packages and answers; how they fail."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from controller.adapters import pythons
from controller.core import names
from tests.support.cli import CommandLine
from tests.support.old_projects import FOLDER, PROJECTS, REFUSED, OldProject

pytestmark = pytest.mark.timeout(300)  # packages come from PyPI


def case(old: OldProject) -> object:
    """Return the parameters of a test that runs the project."""
    return pytest.param(old, id=old.folder, marks=[pytest.mark.long] if old.long else [])


def test_every_project_of_the_folder_is_tried() -> None:
    assert {*REFUSED, *(old.folder for old in PROJECTS)} == {path.name for path in FOLDER.iterdir() if path.is_dir()}


@pytest.mark.parametrize("old", PROJECTS, ids=lambda old: old.folder)
def test_an_old_project_is_valid_and_each_stage_gets_its_python(
    old: OldProject, coachwork: CommandLine, tmp_path: Path
) -> None:
    folder = str(old.committed(tmp_path / "project"))
    ended = coachwork.run("validate", folder)
    assert (ended.code, ended.out.split(": ")[1].split(",")[0]) == (0, "valid"), ended.err
    assert old.advised in ended.err
    plan = coachwork.run("plan", folder)
    if old.unreachable:
        assert (plan.code, old.unreachable in plan.err) == (2, True), plan.err
        return
    assert plan.code == 0, plan.err
    pods = [item["spec"]["template"] for item in yaml.safe_load_all(plan.out) if item["kind"] in ("Job", "Deployment")]
    images = {
        pod["metadata"]["labels"][names.STAGE]: pod["spec"]["containers"][0]["image"]
        for pod in pods
        if names.STAGE in pod["metadata"]["labels"]
    }
    assert [part for part in old.plans if part not in plan.out] == []
    assert images == {stage: f"python:{python}-slim" for stage, python in old.pythons.items()}


@pytest.fixture
def temporary() -> Iterator[None]:
    """Remove the file that a project leaves behind."""
    yield
    Path("/tmp/coachwork-masonry.txt").unlink(missing_ok=True)  # noqa: S108 - on which the project relies


def on_this_machine(old: OldProject) -> OldProject:
    """Return the project, if the machine has all its Pythons."""
    for version in sorted(set(old.pythons.values())):
        if not pythons.find(version):
            pytest.skip(f"no Python {version} on this machine: uv python install {version}")
    return old


@pytest.mark.usefixtures("temporary")
@pytest.mark.parametrize("old", [case(old) for old in PROJECTS if old.says])
def test_an_old_project_runs_as_it_is(old: OldProject, coachwork: CommandLine, tmp_path: Path) -> None:
    folder = on_this_machine(old).committed(tmp_path / "project")
    ended = coachwork.run("run", str(folder), "--exit-when-ready")
    assert ended.code == 0, ended.out + ended.err
    assert "Ready: run 1 at" in ended.out
    assert old.serves in ended.out
    for words in old.warns:
        assert any(line.startswith("warning: ") and words in line for line in ended.err.splitlines()), ended.err
    for stage, line in old.says.items():
        (log,) = coachwork.home.glob(f"runs/*/1/logs/{names.kubernetes_name(stage)}/1.log")
        assert any(said.startswith(line) for said in log.read_text().splitlines()), log.read_text()
    assert coachwork.processes() == []


@pytest.mark.parametrize("old", [case(old) for old in PROJECTS if old.fails])
def test_a_mishap_is_reported_with_its_place_and_remedy_and_not_repeated(
    old: OldProject, coachwork: CommandLine, tmp_path: Path
) -> None:
    folder = on_this_machine(old).committed(tmp_path / "project")
    for failure in old.fails:
        ended = coachwork.run("run", str(folder), *(["--only", failure.stage] if failure.stage else []))
        (line,) = [line for line in ended.out.splitlines() if line.startswith(f"{failure.reason}: ")]
        assert [part for part in failure.told if part not in line] == [], ended.out + ended.err
        assert ended.code == {"Failed": 1, "Invalid": 2}[failure.reason]
    assert [*coachwork.home.glob("runs/*/*/logs/*/2.log")] == []
    assert coachwork.processes() == []


@pytest.mark.parametrize("folder", REFUSED)
def test_all_that_is_wrong_is_reported_at_once_with_its_line(folder: str, coachwork: CommandLine) -> None:
    ended = coachwork.run("validate", str(FOLDER / folder))
    assert (ended.code, ended.err) == (2, REFUSED[folder])


class Refusing(http.server.BaseHTTPRequestHandler):
    """A proxy that knows nobody."""

    def do_CONNECT(self) -> None:
        self.send_error(407)


def test_a_proxy_of_the_shell_that_refuses_its_password_is_reported(coachwork: CommandLine, tmp_path: Path) -> None:
    (old,) = (old for old in PROJECTS if old.folder == "yaml-1.1-source")
    folder = on_this_machine(old).committed(tmp_path / "project")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = {"HTTPS_PROXY": f"http://me:pw-secret@127.0.0.1:{server.server_port}"}
        proxy |= {
            "UV_DEFAULT_INDEX": "https://packages.example/simple/",
            "UV_CACHE_DIR": str(tmp_path / "cache"),
            "UV_HTTP_RETRIES": "0",
        }
        ended = coachwork.run("run", str(folder), **proxy)
        server.shutdown()
    assert ended.code == 1
    assert "the proxy on the way to the package index packages.example " in ended.out, ended.out
    assert "refuses its user and password (407)" in ended.out
    assert "pw-secret" not in ended.out + ended.err
