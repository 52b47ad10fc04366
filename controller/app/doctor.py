"""The doctor in the controller's pod: asks the cluster, Git and the volume, all at once and within bounds."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from controller.adapters.kube.cluster import Kube
from controller.adapters.kube.kinds import RIGHTS
from controller.adapters.volume.probe import probe
from controller.core import doctor
from controller.core.doctor import Finding, Reached
from controller.core.errors import Invalid, NotYet, Refused, Transient
from controller.core.inputs import credentials, repository, request
from controller.core.model import GitCredentials, Object, Policy, Request
from controller.reconciler import Source, View

SECONDS: Final = 20.0  # of a whole examination: a command waits for it, through the API server
GIT_AT_ONCE: Final = 4
MOST_REQUESTS: Final = 200  # looked at, newest names last
ROLE_REMEDY: Final = "apply deploy/base/role.yaml of the controller's release (kubectl apply -k)"

_log = structlog.get_logger()


class Doctor:
    """Examines the installation that it runs in."""

    def __init__(self, cluster: Kube, view: View, source: Source, root: Path, policy: Policy) -> None:
        """Take what is examined."""
        self._cluster, self._view = cluster, view
        self._source, self._root, self._policy = source, root, policy
        self._examiner = cluster.examiner()
        self._busy = threading.Lock()

    def examine(self) -> dict[str, object]:
        """Give the controller's version and all findings. Raises Transient where an examination is under way."""
        if not self._busy.acquire(blocking=False):
            raise Transient("ControllerBusy", "an examination is under way already")
        try:
            found = self._all()
        finally:
            self._busy.release()
        return {"version": self._policy.version, "findings": doctor.to_json(found)}

    def preflight(self) -> None:
        """Log what is wrong and can be told at once; never raises, and is no part of the start's own time."""
        for finding in (*self._volume(), *self._told("rights", self._rights)):
            if finding.state == "wrong":
                _log.warning("preflight", check=finding.check, problem=finding.message, remedy=finding.remedy)

    def _all(self) -> list[Finding]:
        parts: dict[str, Callable[[], list[Finding]]] = {
            "rights": self._rights, "volume": self._volume, "claim": self._claim, "images": self._images,
            "requests": self._requests, "git": self._git, "clock": self._clock, "pod security": self._pod_security,
            "cronjobs": self._cronjobs,
        }  # fmt: skip
        pool = ThreadPoolExecutor(len(parts), thread_name_prefix="doctor")
        futures = {check: pool.submit(self._told, check, part) for check, part in parts.items()}
        wait(futures.values(), SECONDS + 2)
        pool.shutdown(wait=False, cancel_futures=True)
        return [finding for check, future in futures.items() for finding in _ended(check, future)]

    @staticmethod
    def _told(check: str, part: Callable[[], list[Finding]]) -> list[Finding]:
        """Give a part's findings, or why it could not look."""
        try:
            return part()
        except (Transient, NotYet, Refused, Invalid) as error:
            return [Finding(check, "wrong", f"could not be looked at: {error}")]

    # --- parts ---------------------------------------------------------------------------------------

    def _rights(self) -> list[Finding]:
        return doctor.rights("rights", RIGHTS, self._examiner.lacking(), ROLE_REMEDY)

    def _volume(self) -> list[Finding]:
        return doctor.volume(probe(self._root), str(self._root))

    def _claim(self) -> list[Finding]:
        policy = self._policy
        return [doctor.claim(self._examiner.claim(policy.claim), policy.claim, policy.node)]

    def _images(self) -> list[Finding]:
        pods = [pod for name in self._view.requests() for pod in self._view.children(name).pods]
        return doctor.images(self._policy, pods)

    def _clock(self) -> list[Finding]:
        return [doctor.clock((datetime.now(UTC) - self._examiner.clock()).total_seconds())]

    def _pod_security(self) -> list[Finding]:
        stage, loose = doctor.trial_stage(self._policy), doctor.trial_loose(self._policy)
        admitted = self._examiner.offered(stage)
        try:
            warned = self._examiner.offered(loose)
        except Refused as refused:  # by an admission policy: stricter than Pod Security's warning
            return [Finding("pod security", "ok", f"a loose pod is refused outright: {refused}")]
        return [doctor.pod_security(self._policy.namespace, admitted, warned)]

    def _cronjobs(self) -> list[Finding]:
        scheduled = {item["metadata"]["name"]: bool((item.get("data") or {}).get("schedule")) for item in self._asked()}
        return doctor.cronjobs(self._examiner.cronjobs(), scheduled)

    def _requests(self) -> list[Finding]:
        every = self._asked()
        found = [finding for configmap in every[:MOST_REQUESTS] for finding in self._one(configmap)]
        return doctor.requests(len(every), found)

    def _one(self, configmap: Object) -> list[Finding]:
        asked = _parsed(configmap)
        secrets = doctor.wanted_secrets(asked) if asked else ()
        there = {name: self._cluster.get("Secret", name) for name in secrets}
        template = self._cluster.get("ConfigMap", asked.pod_template) if asked and asked.pod_template else None
        return doctor.one_request(configmap, there, template, self._policy.claim)

    def _git(self) -> list[Finding]:
        every = [asked for configmap in self._asked()[:MOST_REQUESTS] if (asked := _parsed(configmap))]
        pool = ThreadPoolExecutor(GIT_AT_ONCE, thread_name_prefix="doctor-git")
        futures = {asked.name: pool.submit(self._reach, asked) for asked in every}
        wait(futures.values(), SECONDS)
        pool.shutdown(wait=False, cancel_futures=True)
        reached = (
            future.result() if future.done() and not future.cancelled() else Reached(name)
            for name, future in futures.items()
        )
        return doctor.git(filter(None, reached))

    def _reach(self, asked: Request) -> Reached | None:
        """Ask a request's remote for what `ref` is; for a commit, whether it answers at all.

        None where its Secret is wrong: that is told with the requests.
        """
        ref = "" if repository.is_commit(asked.ref.lower()) else asked.ref
        try:
            opened = self._credentials(asked)
        except (Invalid, Transient, NotYet, Refused):
            return None
        try:
            return Reached(asked.name, self._source.resolve(asked.repository, ref, opened))
        except Invalid as invalid:
            return Reached(asked.name, problems=invalid.problems)
        except (Transient, NotYet, Refused) as error:
            return Reached(asked.name, problems=(str(error),))

    def _credentials(self, asked: Request) -> GitCredentials:
        secret = self._cluster.get("Secret", asked.git_secret) if asked.git_secret else None
        return credentials.git_credentials(secret, asked.git_secret, asked.repository)

    def _asked(self) -> Sequence[Object]:
        found = (self._view.request(name) for name in self._view.requests())
        return [item for item in found if item is not None]


def _ended(check: str, future: "Future[list[Finding]]") -> Iterable[Finding]:
    if future.done() and not future.cancelled():
        return future.result()
    return [Finding(check, "note", f"no answer within {SECONDS:.0f} s", "ask again")]


def _parsed(configmap: Object) -> Request | None:
    try:
        return request.read(configmap)
    except Invalid:
        return None
