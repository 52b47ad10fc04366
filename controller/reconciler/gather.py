"""Look up what a decision asks for: each question once, the answer a value, or the error that came instead.

What is looked up may be put on the volume first (a checkout, what builds an environment); nothing is recorded yet, and
a sweep takes what no run will use.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from types import MappingProxyType
from typing import assert_never

from controller.core import images, layout
from controller.core.errors import Busy, Invalid, NotYet, Refused, Transient
from controller.core.inputs import credentials, project
from controller.core.model import GitCredentials, Object, Pipeline, Policy, ProjectTree, Request
from controller.core.plan import Needs, needs
from controller.core.plan.needs import Need
from controller.once import once
from controller.reconciler.environments import Builders
from controller.reconciler.jobs import build
from controller.reconciler.observe import holder
from controller.reconciler.ports import Cluster, Source, Volume
from controller.reconciler.runfolders import RunFolders
from controller.reconciler.view import View

REMEMBERED_PROJECTS = 256
SECRETS_KEPT = 30.0  # seconds; at most, whether anybody asks again or not
UNSAID = 10.0  # seconds in which a pass waits for another one, and no record says so
FILE_ROUNDS = 40  # of files that name files (twice as many as requirements may have), and of modules that import others


def read_project(
    source: Source, repository: str, commit: str, path: str, left_out: Mapping[str, str] = MappingProxyType({})
) -> ProjectTree:
    """Return all that the core has to know of a published project. Raises Invalid, Transient.

    Other files may be as they like: too large, unreadable, links out of the repository. `left_out` says why some of
    them are not there.
    """
    tree = source.read(repository, commit, path)
    tree = replace(tree, faults={**left_out, **tree.faults})
    for _ in range(FILE_ROUNDS):
        if not (unread := project.unread(tree)):
            break
        tree = source.extend(repository, commit, tree, unread)
    return tree


@dataclass(frozen=True, slots=True)
class Moment:
    """When the news came that a pass is about (by time.monotonic), and when it began, by both clocks."""

    news: float
    monotonic: float
    now: datetime

    def of(self, since: datetime | None) -> float:
        """Return when a question counts from, by time.monotonic; None: from the news."""
        return self.news if since is None else self.monotonic - (self.now - since).total_seconds()


class Gatherer:
    """Answers the questions of decisions; remembers projects that were read, and for a while Secrets of Git."""

    def __init__(
        self, view: View, cluster: Cluster, source: Source, volume: Volume, folders: RunFolders, policy: Policy
    ) -> None:
        self._view, self._cluster, self._source, self._volume = view, cluster, source, volume
        self._folders, self._policy = folders, policy
        self._builders = Builders(source, volume)
        self._guard = threading.Lock()
        self._secrets: dict[str, tuple[float, Object | None]] = {}  # when each was read
        self._read = once(REMEMBERED_PROJECTS, self._read_project)

    def gather(self, request: Request, open_: Needs, moment: Moment) -> Mapping[Need, object]:
        """Return an answer to each question. Raises Busy where another pass is at it, as long as that is no news.

        A poll is nothing that the rest of a pass has to wait for: it comes later.
        """
        answers: dict[Need, object] = {}
        for question in open_.questions:
            try:
                answers[question] = self._answer(request, question, moment)
            except Busy as busy:
                polled = isinstance(question, needs.Commit) and question.since is not None
                if not polled and moment.monotonic - moment.news < UNSAID:
                    raise
                answers[question] = busy
            except (Invalid, NotYet, Transient) as error:
                answers[question] = error
            except Refused as refused:  # a right that is missing, of a look-up: no stage's fault
                answers[question] = Transient("RejectedByCluster", str(refused))
        return answers

    def _answer(  # noqa: C901, PLR0911, PLR0912 (a case each)
        self, request: Request, question: Need, moment: Moment
    ) -> object:
        match question:
            case needs.Commit():
                since = moment.of(question.since)
                opened = self._credentials(request, since)
                return self._source.resolve(request.repository, request.ref, opened, since)
            case needs.Project():
                self._publish(request, question.repository, question.commit, moment, begins=question.begins)
                return self._read(question.repository, question.commit, question.path, question.image)
            case needs.Contents(project=place):
                return self._source.contents(place.repository, place.commit, place.path)
            case needs.KeptSpec():
                return self._folders.spec(request, question.run)
            case needs.KeptRun():
                return self._folders.run(request, question.run)
            case needs.Environments():
                self._folders.retire(request, question.record)
                return self._builders.decide(request, question, self._credentials(request, moment.news), moment.news)
            case needs.BuildOf():
                return build(self._view, self._cluster, self._volume, question.folder)
            case needs.Sources():
                self._sources(request, question, moment)
            case needs.Holder():
                live = self._cluster.get(question.kind, question.name)
                return holder(self._cluster, request.uid, live) if live else ""
            case needs.NewestRun():
                return self._volume.newest_run(request.name, request.uid, question.after)
            case needs.RunFolder():
                self._folders.begin(request, question)
            case needs.Inherited():
                self._folders.adopt(request, question.run, question.base)
            case needs.Live():
                return self._cluster.get(question.kind, question.name)
            case needs.Room():
                return self._volume.room()
            case _:
                assert_never(question)
        return None

    def _read_project(self, repository: str, commit: str, path: str, image: str) -> tuple[ProjectTree, Pipeline]:
        tree = read_project(self._source, repository, commit, path)
        return tree, project.load(tree, python=images.of_request(image, self._policy))

    def _sources(self, request: Request, question: needs.Sources, moment: Moment) -> None:
        if question.record:
            self._folders.retire(request, question.record)
        for item in question.environments:
            for source in item.sources:
                self._publish(request, source.repository, source.commit, moment)
            self._folders.recall_build(request, item.folder)
        self._volume.prepare(path for path in question.serving if path.is_relative_to(layout.RUNS))
        for path in sorted(question.serving):
            if path == layout.checkout(request.repository, path.name):
                with suppress(Invalid):  # pushed over since: the run is of another commit
                    self._publish(request, request.repository, path.name, moment)

    def _publish(self, request: Request, repository: str, commit: str, moment: Moment, *, begins: bool = False) -> None:
        """Put a checkout on the volume; what opens the request's repository goes to no other server.

        For a run that `begins` it is marked as used, too, and the mirror is there then, whose history is read. An
        active run needs neither, and goes on without the Secret.
        """
        if begins or not self._source.published(repository, commit):
            opened = credentials.fitting(self._credentials(request, moment.news), request.repository, repository)
            self._source.publish(repository, commit, opened)

    def _credentials(self, request: Request, since: float) -> GitCredentials:
        """Return what opens the request's repository, as the Secret is now, or was then or later. Raises Invalid."""
        secret = self._secret(request.git_secret, since) if request.git_secret else None
        return credentials.git_credentials(secret, request.git_secret, request.repository)

    def _secret(self, name: str, since: float) -> Object | None:
        """Read a Secret, unless somebody has read it since (docs/adr/0030)."""
        began, secret = self._secrets.get(name, (-inf, None))
        if began < since:
            began = time.monotonic()
            secret = self._cluster.get("Secret", name)
            with self._guard:
                if not self._secrets:  # all that are kept are let go together
                    letting_go = threading.Timer(SECRETS_KEPT, self._let_go)
                    letting_go.daemon = True
                    letting_go.start()
                self._secrets[name] = (began, secret)
        return secret

    def _let_go(self) -> None:
        with self._guard:
            self._secrets.clear()
