"""The doctor in the controller's pod: questions the cluster, Git and the volume, all at once and within bounds."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog

from controller.adapters.kube.cluster import Kube
from controller.adapters.kube.kinds import RIGHTS
from controller.adapters.volume.probe import probe
from controller.core import doctor
from controller.core.doctor import Finding, Reached
from controller.core.errors import Busy, Conflict, Invalid, NotYet, Refused, Transient
from controller.core.inputs import credentials, repository, request
from controller.core.model import GitCredentials, Object, Policy, Request
from controller.reconciler import Source, View

SECONDS: Final = 20.0  # of a whole examination: a command waits for it, through the API server
RIGHTS_PAUSE: Final = 15 * 60.0  # between two looks at the controller's own rights: some 50 calls each
GIT_AT_ONCE: Final = 4
MOST_REQUESTS: Final = 200  # that are examined, by name
ROLE_REMEDY: Final = "apply deploy/base/role.yaml of the controller's release (kubectl apply -k)"

Answer = TypeVar("Answer")

_log = structlog.get_logger()


class Doctor:
    """Examines the installation that it runs in."""

    def __init__(
        self,
        cluster: Kube,
        view: View,
        source: Source,
        root: Path,
        policy: Policy,
        on_lacking: Callable[[Collection[tuple[str, str]]], None] = lambda _rights: None,
    ) -> None:
        """`on_lacking` is called with the rights (verb, resource) that are missing, whenever somebody has looked."""
        self._cluster, self._view, self._source, self._policy = cluster, view, source, policy
        self._examiner, self._on_lacking = cluster.examiner(), on_lacking
        self._busy = threading.Lock()
        examiner, claim, node = self._examiner, policy.claim, policy.node
        self._parts: Mapping[str, Callable[[], list[Finding]]] = {
            "rights": self._rights,
            "volume": lambda: doctor.volume(probe(root), str(root)),
            "claim": lambda: [doctor.claim(examiner.claim(claim), claim, node)],
            "images": lambda: doctor.images(
                policy, [pod for name in view.requests() for pod in view.children(name).pods]
            ),
            "requests": self._requests,
            "git": self._git,
            "kubernetes": lambda: [doctor.kubernetes(examiner.release())],
            "clock": lambda: [doctor.clock((datetime.now(UTC) - examiner.clock()).total_seconds())],
            "pod security": self._pod_security,
            "quota": lambda: doctor.quota(policy, examiner.all_of("ResourceQuota"), examiner.all_of("LimitRange")),
            "cronjobs": lambda: doctor.cronjobs(examiner.all_of("CronJob", "watch"), self._scheduled()),
            "autoscalers": lambda: doctor.autoscalers(examiner.all_of("HorizontalPodAutoscaler", "watch")),
        }

    def examine(self) -> dict[str, object]:
        """Return the controller's version and all findings. Raises Transient while another examination runs."""
        if not self._busy.acquire(blocking=False):
            raise Transient("ControllerBusy", "an examination is under way already")
        try:
            calls = {check: partial(self._part, check) for check in self._parts}
            slow = {
                check: [Finding(check, "note", f"no answer within {SECONDS:.0f} s", "try again")] for check in calls
            }
            parts = _all_at_once(calls, slow, SECONDS + 2, len(calls))
        finally:
            self._busy.release()
        return {"version": self._policy.version, "findings": [asdict(one) for part in parts for one in part]}

    def preflight(self, stopping: threading.Event) -> None:
        """Log what is wrong and quickly known, and again and again whether rights are missing; never raises."""
        checks = ["volume", "rights"]
        while not stopping.is_set():
            for finding in (finding for check in checks for finding in self._part(check)):
                if finding.state == "wrong":
                    _log.warning("preflight", check=finding.check, problem=finding.message, remedy=finding.remedy)
            checks = ["rights"]
            stopping.wait(RIGHTS_PAUSE)

    def _part(self, check: str) -> list[Finding]:
        """Return a part's findings, or why it could not be examined."""
        try:
            return self._parts[check]()
        except (Conflict, Transient, NotYet, Refused, Invalid) as error:
            return [Finding(check, "wrong", f"could not be examined: {error}")]

    # --- parts ---------------------------------------------------------------------------------------

    def _rights(self) -> list[Finding]:
        lacking = self._examiner.lacking()
        self._on_lacking({(verb, resource) for (_, resource), verbs in lacking.items() for verb in verbs})
        return doctor.rights("rights", RIGHTS, lacking, ROLE_REMEDY)

    def _pod_security(self) -> list[Finding]:
        stage, loose = doctor.trial_stage(self._policy), doctor.trial_loose(self._policy)
        admitted = self._examiner.offered(stage)
        try:
            warned = self._examiner.offered(loose)
        except Refused as refused:  # by an admission policy: stricter than Pod Security's warning
            return [Finding("pod security", "ok", f"a loose pod is refused outright: {refused}")]
        return [doctor.pod_security(self._policy.namespace, admitted, warned)]

    def _scheduled(self) -> Mapping[str, bool]:
        return {item["metadata"]["name"]: bool((item.get("data") or {}).get("schedule")) for item in self._configmaps()}

    def _requests(self) -> list[Finding]:
        every, found = self._configmaps(), list[Finding]()
        for configmap in every[:MOST_REQUESTS]:
            parsed = _parsed(configmap)
            named = (parsed.git_secret, parsed.index_secret, parsed.notify_secret) if parsed else ()
            secrets = {name: self._cluster.get("Secret", name) for name in named if name}
            template = self._cluster.get("ConfigMap", parsed.pod_template) if parsed and parsed.pod_template else None
            found += doctor.one_request(configmap, secrets, template, self._policy.claim)
        return doctor.requests(len(every), found)

    def _git(self) -> list[Finding]:
        every = [parsed for configmap in self._configmaps()[:MOST_REQUESTS] if (parsed := _parsed(configmap))]
        since = time.monotonic()
        calls = {parsed.name: partial(self._reach, parsed, since) for parsed in every}
        slow: dict[str, Reached | None] = {parsed.name: Reached(parsed.name) for parsed in every}
        return doctor.git(filter(None, _all_at_once(calls, slow, SECONDS + 1, GIT_AT_ONCE)))

    def _reach(self, parsed: Request, since: float) -> Reached | None:
        """Ask a request's remote for what `ref` is, or was since then; for a commit, whether it answers at all.

        None where its Secret is wrong: that is reported with the requests.
        """
        ref = "" if repository.is_commit(parsed.ref.lower()) else parsed.ref
        try:
            secret = self._cluster.get("Secret", parsed.git_secret) if parsed.git_secret else None
            opened = credentials.git_credentials(secret, parsed.git_secret, parsed.repository)
        except (Invalid, Transient, NotYet, Refused):
            return None
        try:
            return Reached(parsed.name, self._resolve(parsed.repository, ref, opened, since))
        except Invalid as invalid:
            return Reached(parsed.name, problems=invalid.problems)
        except (Transient, NotYet, Refused) as error:
            return Reached(parsed.name, problems=(str(error),))

    def _resolve(self, address: str, ref: str, opened: GitCredentials, since: float) -> str:
        """Resolve `ref`, waiting for passes that are at it for as long as an examination lasts."""
        while True:
            try:
                return self._source.resolve(address, ref, opened, since)
            except Busy as busy:
                over = threading.Event()
                busy.then(over.set)
                over.wait(left := since + SECONDS - time.monotonic())
                if left <= 0:
                    raise

    def _configmaps(self) -> list[Object]:
        found = (self._view.request(name) for name in self._view.requests())
        return [item for item in found if item is not None]


def _all_at_once(
    calls: Mapping[str, Callable[[], Answer]], slow: Mapping[str, Answer], seconds: float, workers: int
) -> Iterable[Answer]:
    """Return what the calls return, or `slow` of those that take longer than so many seconds."""
    pool = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="doctor")
    futures: dict[str, Future[Answer]] = {key: pool.submit(call) for key, call in calls.items()}
    wait(futures.values(), seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    return [
        future.result() if future.done() and not future.cancelled() else slow[key] for key, future in futures.items()
    ]


def _parsed(configmap: Object) -> Request | None:
    try:
        return request.read(configmap)
    except Invalid:
        return None
