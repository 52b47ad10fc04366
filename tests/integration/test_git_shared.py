"""What many requests cost a Git server and this machine: questions and processes are counted, on a real server."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import yaml

from controller.adapters.git import Git
from controller.adapters.volume import Volume
from controller.app.pod import git_settings
from controller.core.errors import Transient
from controller.core.model import GitCredentials, Object
from controller.reconciler import Reconciler, View, gather
from controller.settings import load
from tests.support.byhand import ByHand
from tests.support.eventually import eventually
from tests.support.gitserver import SETTINGS, GitServer, Repository, hitch, refusal, serving
from tests.support.manyrequests import ENVIRON, Controller
from tests.support.world import POLICY, REPOSITORY, Clock, Projects, project
from tests.support.world import Counter as Outcomes

# --- one question for all who asked before ---------------------------------------------------------


def at_once(actions: list[Callable[[], object]]) -> list[object]:
    with ThreadPoolExecutor(8) as pool:
        return [future.result(60) for future in [pool.submit(action) for action in actions]]


def test_one_question_serves_all_who_asked_before_it_began_whatever_their_ref(
    server: GitServer, iris: Repository, volume: Path
) -> None:
    shared = list[None]()
    git, url = Git(volume, SETTINGS, on_shared=lambda: shared.append(None)), server.url("iris")
    commits = {"": iris.git("rev-parse", "HEAD")}
    for number in range(10):
        iris.git("checkout", "--quiet", "-b", f"branch-{number}")
        commits[f"branch-{number}"] = iris.commit({"number": f"{number}"})
    iris.git("checkout", "--quiet", "main")
    since = time.monotonic()
    refs = [*commits] * 4
    assert at_once([partial(git.resolve, url, ref, None, since) for ref in refs]) == [*commits.values()] * 4
    assert (server.count("/info/refs"), len(shared)) == (1, len(refs) - 1)
    pushed = iris.commit({"a": "b"})
    assert git.resolve(url, "main", None, since) == commits[""]  # as good an answer as then
    assert git.resolve(url, "main", None, time.monotonic()) == pushed
    assert git.resolve(url, "main") == pushed
    assert server.count("/info/refs") == 3


def test_what_a_server_says_to_one_is_given_to_nobody_with_other_credentials(
    server: GitServer, iris: Repository, git: Git
) -> None:
    url, ada, since = server.url("iris"), GitCredentials("ada", "right"), time.monotonic()
    server.login = ("ada", "right")
    commit = iris.git("rev-parse", "HEAD")
    for ref in ("main", commit):  # what a whole commit needs is looked at, too
        assert git.resolve(url, ref, ada, since) == commit
        for other in (None, GitCredentials("ada", "wrong"), GitCredentials("bob", "right")):
            assert refusal(lambda ref=ref, other=other: git.resolve(url, ref, other, since))[0] in {  # type: ignore[misc]
                "GitRefused", "RepositoryRefused",
            }  # fmt: skip
        assert git.resolve(url, ref, ada, since) == commit


def test_a_server_in_trouble_is_asked_once_for_all_and_again_for_those_who_come_back(
    server: GitServer, iris: Repository, git: Git
) -> None:
    url, since = server.url("iris"), time.monotonic()
    server.fault = "500"
    said = at_once([lambda: hitch(lambda: git.resolve(url, "main", None, since))[0]] * 20)
    assert said == ["GitServerError"] * 20
    assert server.count("/info/refs") == 1
    server.fault = ""
    assert git.resolve(url, "main", None, time.monotonic()) == iris.git("rev-parse", "HEAD")


# --- many requests at once -------------------------------------------------------------------------


def test_many_requests_of_one_repository_ask_once_and_see_what_was_pushed_before_their_triggers(
    server: GitServer, volume: Path
) -> None:
    iris, controller = server.repository("iris"), Controller(volume)
    for number in range(40):
        controller.ask(f"q{number}", repository=server.url("iris"))
    for run in (1, 2):
        commit = iris.commit(project("a") | {"run": f"{run}"})
        controller.trigger(f"t{run}")
        calls = controller.finish(run)
        assert {record["poll-commit"] for record in controller.records()} == {commit}
        assert (calls["ls-remote"], calls["fetch"], calls["checkout-index"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("repositories", "branches", "is_commit"),
    [(1, 1, False), (1, 1, True), (1, 10, False), (5, 1, False)],
    ids=["a repository", "a commit", "ten branches", "five repositories"],
)
def test_a_commit_that_is_known_costs_no_process_but_the_question_and_one_reading(
    server: GitServer, volume: Path, repositories: int, branches: int, *, is_commit: bool
) -> None:
    controller = Controller(volume)
    for place, branch in product(range(repositories), range(branches)):
        repository = Repository(server.root / f"r{place}") if branch else server.repository(f"r{place}")
        repository.git("checkout", "--quiet", "-B", f"b{branch}")
        commit = repository.commit(project("a") | {"branch": f"{branch}"})
        for number in range(20 // repositories // branches):
            ref = commit if is_commit else f"b{branch}"
            controller.ask(f"q{place}-{branch}-{number}", repository=server.url(f"r{place}"), ref=ref)
    commits = repositories * branches
    first = controller.finish(1)
    assert first["fetch"] == first["init"] == repositories
    assert first["read-tree"] == first["checkout-index"] == commits
    controller.trigger("again")
    questions = 0 if is_commit else repositories
    assert (
        controller.finish(2) == Counter({"ls-remote": questions, "rev-parse": commits, "ls-tree": commits}) + Counter()
    )


def test_a_slow_host_holds_up_nobody_else_however_many_of_its_repositories_wait(
    server: GitServer, volume: Path, tmp_path: Path
) -> None:
    controller, names = Controller(volume), [f"q{number}" for number in range(40)]
    with serving(tmp_path / "slow") as slow:
        slow.repository("iris").commit(project("a"))
        for name in names:
            (slow.root / f"{name}.git").symlink_to(slow.root / "iris" / ".git")
            controller.ask(name, repository=slow.url(name))
        server.repository("iris").commit(project("a"))
        controller.ask("quick", repository=server.url("iris"))
        slow.fault = "late"
        with controller.running() as metrics:
            eventually(lambda: ("Job", "quick-a-1") in controller.cluster.stored)
            assert slow.count("/info/refs") == 2  # half of the places wait for it, and nobody for a place
            assert [key for key in controller.cluster.stored if key[0] == "Job"] == [("Job", "quick-a-1")]
            slow.released.set()
            eventually(lambda: all(("Job", f"{name}-a-1") in controller.cluster.stored for name in names), 60)
            assert (metrics.value("coachwork_reconciles_total", result="not-yet") or 0) < 10 * len(names)
    calls = Counter(controller.calls)
    assert calls["ls-remote"] == calls["fetch"] == 1 + len(names)


def test_no_run_is_older_than_its_trigger_whatever_is_pushed_and_asked_meanwhile(
    server: GitServer, volume: Path
) -> None:
    iris, controller, names = server.repository("iris"), Controller(volume), [f"q{number}" for number in range(6)]
    pushed, before = [iris.commit(project("a"))], dict[tuple[str, str], int]()
    for name in names:
        controller.ask(name, repository=server.url("iris"), run_on_create="false")

    def finished() -> set[str | None]:
        """End what runs; return the last trigger of each request that is finished, None where none is."""
        for job in controller.cluster.of_kind("Job"):
            if "status" not in job:
                controller.cluster.end_job(job)
        return {record.get("finished-trigger") for record in controller.records()}

    with controller.running():
        eventually(lambda: len([key for key in controller.cluster.stored if key[1].endswith("-status")]) == len(names))
        for number in range(30):
            pushed.append(iris.commit({"number": f"{number}"}))
            for name in names[number % 3 :: 3] if number < 29 else names:
                trigger = f"t{number}" if number < 29 else "last"
                before[name, trigger] = len(pushed) - 1
                controller.cluster.ask(name, trigger=trigger, **controller.data[name])
            finished()
            if number == 15:  # however slow this machine is: else one run could serve all triggers
                eventually(lambda: None not in finished(), 60)
        eventually(lambda: finished() == {"last"}, 60)
    runs = [
        (pushed.index(past["commit"]), before[name, past["trigger"]])
        for name, record in zip(names, controller.records(), strict=True)
        for past in yaml.safe_load(record["history"])
        if past["outcome"] == "Succeeded"
    ]
    assert len(runs) >= 2 * len(names)
    assert [run for run in runs if run[0] < run[1]] == []
    assert Counter(controller.calls)["ls-remote"] <= len(before)


# --- Secrets and polls -------------------------------------------------------------------------------


class Counted(ByHand):
    """A cluster that counts what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.read = Counter[str]()

    def get(self, kind: str, name: str) -> Object | None:
        self.read[kind] += 1
        return super().get(kind, name)


def test_polls_of_one_repository_are_one_question_in_an_interval_and_write_nothing(
    server: GitServer, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, clock, names, calls = Counted(), Clock(), [f"q{number}" for number in range(40)], list[str]()
    iris, view = server.repository("iris"), View(lambda _name: None)
    git = Git(volume, git_settings(load(ENVIRON, {})), lambda operation, *_: calls.append(operation))
    reconciler = Reconciler(view, cluster, git, Volume(volume), Outcomes(), clock, POLICY)
    cluster.start(view.changed)
    iris.commit(project("a"))
    server.login = ("ada", "x")
    cluster.secret("opens", username="ada", password="x")
    cluster.edit("Secret", "opens", lambda item: item.update(type="kubernetes.io/basic-auth"))

    began, real = clock.now, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + (clock.now - began).total_seconds())

    def round_(seconds: float) -> float:
        """Make a pass over each request; return after how many seconds all are due."""
        clock.pass_(seconds)
        asked = time.monotonic()
        return max(reconciler.reconcile(name, lambda: asked) or 0.0 for name in names)

    for name in names:
        cluster.ask(name, repository=server.url("iris"), git_secret="opens", poll="1h", run_on_create="false")
    due = round_(0)
    due = round_(due)  # the first commit is only noted
    calls.clear()
    cluster.writes.clear()
    cluster.read.clear()
    for _ in range(3):
        due = round_(due)
        assert (calls, cluster.writes, cluster.read) == (["ls-remote"], [], {"Secret": 1})
        calls.clear()
        cluster.read.clear()
    iris.commit(project("a"))
    round_(due)
    assert all(("Job", f"{name}-a-1") in cluster.stored for name in names)
    assert (calls.count("ls-remote"), calls.count("fetch"), cluster.read["Secret"]) == (1, 1, 1)


@pytest.fixture
def opened(volume: Path) -> tuple[Counted, Callable[[float], None]]:
    """A cluster with a request of a private repository, and what makes a pass over it about news of a moment."""
    cluster, view = Counted(), View(lambda _name: None)
    source = Projects(fault=Transient("GitUnreachable", "no answer"))
    reconciler = Reconciler(view, cluster, source, Volume(volume), Outcomes(), Clock(), POLICY)
    cluster.start(view.changed)
    cluster.secret("opens", username="ada", password="x")
    cluster.edit("Secret", "opens", lambda item: item.update(type="kubernetes.io/basic-auth"))
    cluster.ask("iris", repository=REPOSITORY, git_secret="opens")

    def pass_over(news: float) -> None:
        with suppress(Transient):
            reconciler.reconcile("iris", lambda: news)

    return cluster, pass_over


def test_a_secret_is_let_go_whether_anybody_asks_again_or_not(
    opened: tuple[Counted, Callable[[float], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "SECRETS_KEPT", 0.0)
    (cluster, pass_over), asked = opened, time.monotonic()

    def is_read_again() -> bool:
        pass_over(asked)  # as of then it would do
        return cluster.read["Secret"] > 1

    eventually(is_read_again)


def test_a_secret_that_is_read_again_and_again_takes_one_thread_to_be_let_go(
    opened: tuple[Counted, Callable[[float], None]],
) -> None:
    (cluster, pass_over), before = opened, {*threading.enumerate()}
    for _ in range(20):
        pass_over(time.monotonic())
    assert cluster.read["Secret"] == 20
    assert sum(isinstance(one, threading.Timer) for one in {*threading.enumerate()} - before) == 1
