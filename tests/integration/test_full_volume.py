"""A full volume: said in the status with what helps, swept, and gone on from without anybody's help."""

import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from structlog.testing import capture_logs

from controller.adapters.git import Git, GitSettings
from controller.adapters.telemetry import PrometheusMetrics
from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.app.controller import App, Shared
from controller.core import layout
from controller.core.errors import Transient
from controller.settings import load
from tests.support.byhand import ByHand
from tests.support.eventually import eventually
from tests.support.gitserver import Repository
from tests.support.smallvolume import enlarge, fill, small, unprivileged
from tests.support.world import REPOSITORY, Projects, World, project

LONG_AGO = 1_000_000_000.0


def test_a_full_volume_is_reported_with_what_is_free_and_what_helps_and_the_run_begins_when_there_is_room(
    tmp_path: Path,
) -> None:
    with small(tmp_path, "2m") as folder:
        world = World(folder)
        world.source.push(project("a"))
        fill(folder / "runs" / "other")
        world.cluster.ask("iris", repository=REPOSITORY)
        world.pass_()
        said = world.data()
        assert (said["phase"], said["reason"]) == ("Pending", "VolumeFull")
        assert "0 B of 2 MiB are free: enlarge the claim, lower keep-runs or delete requests" in said["message"]
        writes = len(world.cluster.writes)
        world.pass_()
        assert len(world.cluster.writes) == writes, "the same news is written once"
        enlarge(folder, "4m")
        assert world.settle().phase == "Running"
        assert world.finish_all().phase == "Ready"


def test_a_volume_that_fills_up_amid_a_run_loses_nothing_of_it(tmp_path: Path) -> None:
    with small(tmp_path, "2m") as folder:
        world = World(folder)
        world.source.push(project("a >> b"))
        world.cluster.ask("iris", repository=REPOSITORY)
        world.settle()
        fill(folder / "runs" / "other")
        world.cluster.end_job(world.jobs()["iris-a-1"])
        assert world.settle().reason == "VolumeFull"
        assert set(world.jobs()) == {"iris-a-1"}
        (folder / "runs" / "other").unlink()
        assert world.finish_all().phase == "Ready"
        assert set(world.jobs()) == {"iris-a-1", "iris-b-1"}


def test_what_nobody_needs_makes_room_for_the_request_that_met_a_full_volume(tmp_path: Path) -> None:
    with small(tmp_path, "256m") as folder, capture_logs() as logs:
        cluster, source, metrics = ByHand(), Projects(), PrometheusMetrics("0")
        environ = {"COACHWORK_NAMESPACE": "test", "COACHWORK_IMAGE": "python:3.12-slim", "COACHWORK_WORKERS": "1"}
        source.push(project("a"))
        app = App(load(environ, {}), cluster, Volume(folder), source, metrics, shared=Shared(Sweeper(folder)))
        old = folder / layout.environment("e1")
        fill(old / "filler")
        os.utime(old, (LONG_AGO, LONG_AGO))
        assert app.start(threading.Event())
        try:
            cluster.ask("iris", repository=REPOSITORY)
            eventually(lambda: ("Job", "iris-a-1") in cluster.stored)
            assert not app.trouble()
        finally:
            app.stop()
        assert not old.exists()
        assert metrics.value("coachwork_swept_total", kind="environments") == 1
        assert (metrics.value("coachwork_swept_bytes_total", kind="environments") or 0) > 50 << 20
        assert (metrics.value("coachwork_volume_size_bytes") or 0) == 256 << 20
        assert [line["things"] for line in logs if line["event"] == "swept"] == [{"environments": 1}]


@pytest.mark.parametrize("room", ["64k", "2m"], ids=["for no mirror", "for no checkout"])
def test_git_on_a_full_volume_says_so_and_goes_on_when_there_is_room(tmp_path: Path, room: str) -> None:
    repository = Repository(tmp_path / "repository")
    repository.folder.mkdir()
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.commit({"bodywork.ini": "", **{f"data/{number}": os.urandom(700_000).hex() for number in range(2)}})
    url = f"file://{repository.folder}"
    with small(tmp_path, room) as folder:
        git = Git(folder, GitSettings(allow_file=True))
        commit = git.resolve(url, "")
        for _ in range(2):
            with pytest.raises(Transient) as caught:
                git.publish(url, commit)
            assert caught.value.reason == "VolumeFull"
        enlarge(folder, "64m")
        git.publish(url, commit)


def test_no_run_goes_on_from_artifacts_that_can_t_be_read() -> None:
    with TemporaryDirectory() as name:
        world = World(Path(name))
        world.source.push(project("a >> b"))
        world.cluster.ask("iris", repository=REPOSITORY)
        world.finish_all()
        uid = world.cluster.stored["ConfigMap", "iris"]["metadata"]["uid"]
        locked = world.root / layout.artifacts("iris", uid, 1) / "model"
        locked.write_text("42")
        with unprivileged(world.root):
            locked.chmod(0o000)
            world.cluster.ask("iris", repository=REPOSITORY, trigger="x", resume="x b")
            kept = world.settle()
        assert (kept.phase, kept.run, kept.finished_trigger) == ("Ready", 1, "x")
        refused = kept.history[0]
        assert (refused.outcome, refused.reason) == ("Refused", "ArtifactsUnreadable")
        assert 'artifacts of run 1: "model" can\'t be read' in refused.message
        assert "iris-b-2" not in world.jobs()
        locked.chmod(0o600)
        world.cluster.ask("iris", repository=REPOSITORY, trigger="y", resume="y b")
        assert world.finish_all().phase == "Ready"
