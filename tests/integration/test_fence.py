"""A controller that no longer leads changes nothing: neither in the cluster nor on the volume."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from controller.adapters import storage
from controller.adapters.git import Git, GitSettings
from controller.adapters.kube.cluster import Kube, connect
from controller.adapters.volume import Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.core import layout, sweep
from controller.core.errors import NotYet
from controller.core.model import Object
from controller.reconciler.ports import Volume as VolumePort
from tests.support.apiproxy import ApiServer, status, stream
from tests.support.gitserver import Repository
from tests.support.kills import watched

UID = "1b2c3d4e-0000-4000-8000-000000000001"
RUN = layout.run("iris", UID, 1)
ITEM: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "iris", "uid": "u", "resourceVersion": "1"},
}
CLUSTER: dict[str, Callable[[Kube], object]] = {
    "create": lambda kube: kube.create(ITEM),
    "apply": lambda kube: kube.apply(ITEM),
    "replace": lambda kube: kube.replace(ITEM),
    "delete": lambda kube: kube.delete("Job", "iris-a-1", "u"),
}
VOLUME: dict[str, Callable[[Volume], object]] = {
    "prepare": lambda volume: volume.prepare([PurePosixPath("runs/new")]),
    "publish_environment": lambda volume: volume.publish_environment("made"),
    "retire_environment": lambda volume: volume.retire_environment("e1"),
    "keep_text": lambda volume: volume.keep_text(RUN / "run.json", "{}"),
    "inherit": lambda volume: volume.inherit(RUN / "artifacts", RUN / "copy"),
    "adopt": lambda volume: volume.adopt(RUN / "artifacts", RUN / "copy", RUN / "mine"),
    "keep_only": lambda volume: volume.keep_only("iris", UID, frozenset({2})),
    "forget": lambda volume: volume.forget("iris"),
}
READING = {
    *("read_document", "environment", "has_environment", "is_uncompiled", "made_environment", "packages"),
    *("recall_text", "room", "attempts", "last_attempt", "last_attempts", "newest_run", "runs"),
}


class Fence:
    """Closes when it is asked for the n-th time; 0: never."""

    def __init__(self, closes: int) -> None:
        self.asked, self.closes = 0, closes

    def __call__(self) -> None:
        self.asked += 1
        if self.asked >= self.closes > 0:
            raise NotYet(2.0, "another controller leads: other holds the Lease coachwork")


@pytest.fixture
def server() -> Iterator[ApiServer]:
    api = ApiServer()
    yield api
    api.stop()


@pytest.mark.parametrize("call", CLUSTER.values(), ids=CLUSTER)
def test_no_call_that_changes_anything_is_sent(
    server: ApiServer, tmp_path: Path, call: Callable[[Kube], object]
) -> None:
    server.script("list", status(404, "NotFound"), resource="iris")
    kube = connect(kubeconfig=server.kubeconfig(tmp_path / "config"), fence=Fence(1))
    with pytest.raises(NotYet, match="another controller leads"):
        call(kube)
    assert {verb for verb, _ in server.calls} <= {"list"}
    kube.stop()


def test_what_is_only_asked_of_the_api_server_is_asked(server: ApiServer, tmp_path: Path) -> None:
    kube = connect(kubeconfig=server.kubeconfig(tmp_path / "config"), fence=Fence(1))
    review = b'{"kind": "SelfSubjectAccessReview", "status": {"allowed": true}}'
    server.script("create", stream(review), resource="selfsubjectaccessreviews")
    assert kube.examiner().lacking({("", "pods"): frozenset({"list"})}) == {}
    assert kube.pods_of_job("u") == []
    kube.stop()


def seen(root: Path) -> dict[str, str]:
    """Return what others see of a volume: all names but hidden ones and locks, and the texts of files."""
    found = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith((layout.TRASH, storage.PARTIAL))]
        for name in [*names, *files]:
            path = Path(folder, name)
            if not name.endswith(".lock"):
                found[str(path.relative_to(root))] = path.read_text() if path.is_file() else ""
    return found


def filled(root: Path) -> Volume:
    volume = Volume(root)
    volume.prepare([RUN / "artifacts", layout.environment("e1"), layout.built("made"), layout.ENVIRONMENTS])
    volume.keep_text(RUN / "run.json", '{"first": 1}')
    volume.keep_text(RUN / "artifacts" / "model", "weights")
    volume.keep_text(layout.built("made") / layout.COMPLETE, "made")
    return volume


@pytest.mark.parametrize("method", VOLUME)
def test_what_a_write_to_the_volume_does_takes_no_effect_once_the_fence_is_closed(tmp_path: Path, method: str) -> None:
    with storage.fenced(counting := Fence(0)):
        volume = filled(tmp_path / "count")
        before, first = seen(tmp_path / "count"), counting.asked + 1
        VOLUME[method](volume)
        assert seen(tmp_path / "count") != before, "it does something"
    for closes in range(first, counting.asked + 1):
        root = tmp_path / str(closes)
        with storage.fenced(fence := Fence(closes)):
            volume = filled(root)
            with pytest.raises(NotYet):
                VOLUME[method](volume)
            assert fence.asked == closes, "nothing else is tried"
    assert seen(tmp_path / str(first)) == before


@pytest.mark.parametrize("method", VOLUME)
def test_a_write_to_the_volume_asks_once_more_right_before_it_takes_effect(tmp_path: Path, method: str) -> None:
    volume, since = filled(tmp_path), list[str]()
    effects = list[str]()

    def reached(what: str) -> None:
        if what in ("before rename", "before replace"):
            assert since == ["asked"], f"{what} after {since}"
            effects.append(what)
        since.append(what)

    with storage.fenced(lambda: since.__setitem__(slice(None), ["asked"])), watched(reached):
        VOLUME[method](volume)
    assert effects or method in ("prepare", "retire_environment")


def test_all_of_the_volume_is_either_only_read_or_fenced() -> None:
    methods = {name for name in vars(VolumePort) if not name.startswith("_")}
    assert methods == READING | set(VOLUME)


def test_a_sweep_takes_nothing_away(tmp_path: Path) -> None:
    filled(tmp_path)
    before, living = seen(tmp_path), frozenset[PurePosixPath]()
    long_after = 4e9
    with storage.fenced(fence := Fence(0)):
        while True:
            fence.asked, fence.closes = 0, fence.closes + 1
            try:
                Sweeper(tmp_path).sweep(lambda: living, sweep.CALM, long_after)
            except NotYet:
                assert fence.closes > 2 or seen(tmp_path) == before
            else:
                break
    assert fence.closes > 2
    assert seen(tmp_path) != before


def test_no_checkout_and_no_mirror_is_published(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.folder.mkdir()
    repository.git("init", "--quiet", "--initial-branch=main")
    commit = repository.commit({"bodywork.ini": ""})
    url = f"file://{repository.folder}"
    git = Git(tmp_path / "volume", GitSettings(allow_file=True))
    with storage.fenced(fence := Fence(0)):
        while not git.published(url, commit):
            fence.asked, fence.closes = 0, fence.closes + 1
            before = git.published(url, commit), (tmp_path / "volume" / layout.mirror(url)).exists()
            try:
                git.publish(url, commit)
            except NotYet:
                assert fence.asked == fence.closes
                if fence.closes == 1:
                    assert before == (False, False)
    assert fence.closes > 3


def test_what_was_begun_before_another_wrote_takes_no_effect_after(tmp_path: Path) -> None:
    first, second, path = Volume(tmp_path), Volume(tmp_path), RUN / "record.yaml"
    meanwhile = [lambda: second.keep_text(path, "newer")]

    def reached(what: str) -> None:
        if what == "before replace" and meanwhile:  # it has asked, and stands still
            meanwhile.pop()()

    with storage.fenced(Fence(0)):
        with watched(reached), pytest.raises(NotYet):
            first.keep_text(path, "older")
        assert first.recall_text(path) == "newer"
        first.keep_text(path, "newest")
    assert [item.read_text() for item in (tmp_path / path).parent.iterdir()] == ["newest"]
