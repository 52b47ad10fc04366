"""A branch that goes or is pushed over while a run needs its commit: it runs that commit, or ends with one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.adapters.git import Git
from controller.core import layout
from controller.core.model import GitCredentials, Record
from controller.reconciler import Reconciler
from tests.support.gitserver import SETTINGS, GitServer, Repository
from tests.support.world import World, project

FILES = project("a >> b")


class Raced(Git):
    """Somebody else is quicker, once: between the answer of the remote and the checkout."""

    between: Callable[[], None] | None = None

    def resolve(
        self, repository: str, ref: str, credentials: GitCredentials | None = None, _since: float | None = None
    ) -> str:
        """Ask the remote each time: the clock of a World is not the one by which answers are shared."""
        return super().resolve(repository, ref, credentials)

    def publish(self, repository: str, commit: str, credentials: GitCredentials | None = None) -> None:
        between, self.between = self.between, None
        if between:
            between()
        super().publish(repository, commit, credentials)


class Served(World):
    """A World whose projects are in Git."""

    def __init__(self, root: Path, url: str) -> None:
        self.url, self.git = url, Raced(root, SETTINGS)
        super().__init__(root)

    def restart(self) -> None:
        self.reconciler = Reconciler(
            self.view, self.cluster, self.git, self.volume, self.metrics, self.clock, self.policy
        )

    def ask(self, **data: str) -> None:
        self.cluster.ask("iris", repository=self.url, ref="work", project_name="iris", **data)

    def end(self) -> Record:
        """Return the record of a run that is over, after which a line says all that is wrong."""
        last = self.finish_all()
        assert last.message.isprintable()
        return last

    def commits(self) -> set[str]:
        """Return the commits that the Jobs run."""
        orders = (job["spec"]["template"]["spec"]["containers"][0]["command"] for job in self.jobs().values())
        return {json.loads("".join(order[2:]))["commit"] for order in orders}


@pytest.fixture
def work(iris: Repository) -> Repository:
    iris.git("checkout", "--quiet", "-b", "work")
    iris.commit(FILES)
    return iris


@pytest.fixture
def served(memory: Path, server: GitServer) -> Served:
    return Served(memory, server.url("iris"))


def pushed_over(work: Repository) -> None:
    work.git("reset", "--quiet", "--hard", "HEAD~1")
    work.commit({**FILES, "b/run.py": "print('other')\n"})


def removed(work: Repository) -> None:
    work.git("checkout", "--quiet", "main")
    work.git("branch", "--quiet", "-D", "work")


def pruned(work: Repository) -> None:
    work.git("reflog", "expire", "--expire=now", "--all")
    work.git("gc", "--quiet", "--prune=now")


def pushed_over_and_pruned(work: Repository) -> None:
    pushed_over(work)
    pruned(work)


def removed_and_pruned(work: Repository) -> None:
    removed(work)
    pruned(work)


def deleted(work: Repository) -> None:
    shutil.rmtree(work.folder)


CHANGES = [
    (pushed_over, ""),
    (removed, ""),
    (pushed_over_and_pruned, "RefNotFound"),
    (removed_and_pruned, "RefNotFound"),
    (deleted, "RepositoryNotFound"),
]


def holds(served: Served, last: Record, commit: str, reason: str) -> None:
    """Assert that a run was one of its commit, or went no further for this reason, which a line says."""
    assert served.commits() <= {commit}
    assert last.reason == (reason or "Succeeded")
    assert last.message.startswith(f"repository {served.url}: " if reason else "run 1 succeeded")


@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_between_the_answer_and_the_checkout(
    served: Served, work: Repository, change: Callable[[Repository], None], reason: str
) -> None:
    commit = work.git("rev-parse", "HEAD")
    served.git.between = lambda: change(work)
    served.ask()
    holds(served, served.end(), commit, reason)


@pytest.mark.parametrize(
    ("change", "reason", "lost"),
    [(deleted, "", False), (pushed_over_and_pruned, "", False), *((*row, True) for row in CHANGES)],
)
def test_while_a_run_is_active(
    served: Served, work: Repository, change: Callable[[Repository], None], reason: str, *, lost: bool
) -> None:
    commit = work.git("rev-parse", "HEAD")
    served.ask()
    served.settle()
    change(work)
    if lost:
        shutil.rmtree(served.root / layout.checkout(served.url, commit))
        shutil.rmtree(served.root / layout.mirror(served.url))
        served.git = Raced(served.root, SETTINGS)
    served.restart()
    holds(served, served.end(), commit, reason)
    assert ("iris-b-1" in served.jobs()) is not bool(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [(pushed_over_and_pruned, ""), (removed, "RefNotFound"), (deleted, "RepositoryNotFound")],
)
def test_between_two_polls(served: Served, work: Repository, change: Callable[[Repository], None], reason: str) -> None:
    served.ask(poll="30s")
    assert served.end().phase == "Ready"
    change(work)
    served.clock.pass_(61)
    served.cluster.sync()
    last = served.end()
    assert last.phase == "Ready"
    if reason:
        assert (last.run, last.poll_problem.split(":")[0]) == (1, reason)
    else:
        assert (last.run, last.poll_problem, last.poll_commit) == (2, "", work.git("rev-parse", "HEAD"))
