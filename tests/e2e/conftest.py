"""The installation that the end-to-end tests share: made once for all workers, taken down by the last one.

Needs KUBECONFIG of a test cluster whose nodes hold the image coachwork:dev (`make e2e` sees to that).
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.e2e import NAMESPACE, Coachwork
from tests.support.incluster_git import InClusterGit
from tests.support.kubectl import Failed, kubectl

GIT_NAMESPACE = f"{NAMESPACE}-e2e-git"
OVERLAY = Path(__file__).parent / "overlay"
ROLLOUT = "--timeout=120s"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(480))
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session", autouse=True)
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install, unless another worker has; remove it again as the last one that leaves."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with _visitors(shared) as count:
        if count.enter() == 1:
            count.found = _install()
    yield
    with _visitors(shared) as count:
        if count.leave() == 0:
            _remove(found=count.found)


@pytest.fixture(scope="session")
def git(installation: None, tmp_path_factory: pytest.TempPathFactory) -> InClusterGit:  # noqa: ARG001 - it must be there
    return InClusterGit(GIT_NAMESPACE, tmp_path_factory.mktemp("git"))


@pytest.fixture
def coachwork(git: InClusterGit) -> Iterator[Coachwork]:
    """The installation, for one test; its requests go with it."""
    it = Coachwork(git)
    yield it
    it.clean()


class _Visitors:
    """How many workers use the installation, and whether it was there before them."""

    def __init__(self, content: str) -> None:
        state = json.loads(content or "{}")
        self.inside: int = state.get("inside", 0)
        self.found: bool = state.get("found", False)

    def enter(self) -> int:
        self.inside += 1
        return self.inside

    def leave(self) -> int:
        self.inside -= 1
        return self.inside


@contextmanager
def _visitors(folder: Path) -> Iterator[_Visitors]:
    """Yield the count, with all other workers kept out meanwhile."""
    with (folder / "installation").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        count = _Visitors(file.read())
        yield count
        file.truncate(0)
        file.write(json.dumps({"inside": count.inside, "found": count.found}))


def _install() -> bool:
    """Install the controller and the Git server; return whether a controller was there already.

    One that was there is restarted: the image under its tag may be a new one.
    """
    for namespace in (NAMESPACE, GIT_NAMESPACE):
        _outlive(namespace)
    found = bool(kubectl("-n", NAMESPACE, "get", "deployment", "coachwork", "--ignore-not-found", "-o", "name"))
    kubectl("apply", "-k", str(OVERLAY))
    if found:
        kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/coachwork")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GIT_NAMESPACE, "labels": labels}}
    kubectl("apply", "-f", "-", text=json.dumps(space))
    InClusterGit(GIT_NAMESPACE, Path()).start()
    kubectl("-n", NAMESPACE, "rollout", "status", "deployment/coachwork", ROLLOUT, seconds=150)
    return found


def _outlive(namespace: str) -> None:
    """Wait until a namespace that is being deleted is gone."""
    phase = kubectl("get", "namespace", namespace, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
    if phase == "Terminating":
        kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=180s", seconds=200)


def _remove(*, found: bool) -> None:
    """Remove what `_install` made; a controller that was there before stays, with the dev settings.

    Fails if the controller, since its last start, met what its authors had not thought of.
    """
    log = kubectl("-n", NAMESPACE, "logs", "deployment/coachwork", "--tail=-1")
    defects = [line for line in log.splitlines() if '"level": "error"' in line or not line.startswith("{")]
    try:
        _take_down(found=found)
    finally:
        assert not defects, "\n".join(defects[:20])


def _take_down(*, found: bool) -> None:
    kubectl("delete", "namespace", GIT_NAMESPACE, "--wait=false")
    if found:
        kubectl("apply", "-k", str(OVERLAY.parents[2] / "deploy" / "overlays" / "dev"))
        return
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    try:
        kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=180s", seconds=200)
    except Failed as error:
        raise AssertionError(f"namespace {NAMESPACE} does not go away: {error}") from None
