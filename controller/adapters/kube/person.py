"""The command line's client: plain calls with a person's own rights; nothing watched, nothing cached.

Apart from the controller's `Kube` and its table of kinds on purpose: what a command may do is decided by the rights of
the person who calls it (`deploy/components/user-role`), and must never widen the controller's. Every error says what
to do.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from controller.adapters.kube import translate
from controller.adapters.kube.examine import Examiner
from controller.adapters.kube.kinds import KINDS
from controller.adapters.kube.login import login
from controller.adapters.kube.readers import ACCOUNT, SERVICE, UNKNOWN, Token
from controller.adapters.kube.resource import Resource
from controller.adapters.kube.transport import Body, Call, Forwarded, Timeouts, Transport
from controller.adapters.pages import RESTART_SECONDS, Reader
from controller.core import names, times
from controller.core.errors import Conflict, Invalid, NotFound, NotYet, Refused, Transient
from controller.core.model import Object
from controller.core.text import clean, quoted

Verb: TypeAlias = Literal["get", "list", "create", "patch", "delete"]  # create: an apply of what is not there yet

USED: Final[Mapping[tuple[str, str], frozenset[Verb]]] = MappingProxyType({
    ("", "configmaps"): frozenset[Verb]({"get", "list", "create", "patch", "delete"}),
    ("", "services/proxy"): frozenset[Verb]({"get"}),
    ("", "serviceaccounts/token"): frozenset[Verb]({"create"}),
    ("apps", "deployments"): frozenset[Verb]({"get"}),
})  # fmt: skip
"""API group and resource -> RBAC verbs: all that commands ask for."""

DEPLOYMENT: Final = "coachwork"  # of the controller
ONLY: Final = MappingProxyType({
    "services/proxy": SERVICE, "serviceaccounts/token": ACCOUNT, "deployments": DEPLOYMENT
})  # fmt: skip
"""The objects that commands ask for, by resource, where it is one."""

PUBLIC: Final = (("readyz",),)  # pages that want no token
MANAGER: Final = f"{names.MANAGER}-cli"  # of the fields that a command states; the controller has others
TIMEOUTS: Final = Timeouts(connect=4.0, read=30.0)
UNSAID: Final = 2.0  # seconds of a call after which a person learns what it waits for
QUIET: Final = 45.0  # seconds that a page which is kept up to date may say nothing: three signs of life
SILENCE: Final = 3600.0  # seconds that a log which is followed may say nothing
INSTALL: Final = "kubectl apply -k deploy/overlays/dev, or name its namespace with -n"
RESTART_PAUSE: Final = 1.0  # seconds between two calls meanwhile


class Person(Reader):
    """The ConfigMaps and the controller's pages of one namespace. Every method raises Transient."""

    def __init__(self, transport: Transport, namespace: str, server: str, notice: Callable[[str], None]) -> None:
        """Call by `transport`; a `notice` is a line about what a call waits for."""
        self.namespace, self._server, self._notice = namespace, server, notice
        self.place = f"in namespace {namespace}"
        self.remedy = "make it with coachwork deploy, or name another namespace with -n"
        self._transport = transport
        self._slow = False  # whether a notice has said so
        self._config_maps = Resource(transport, KINDS["ConfigMap"], namespace, MANAGER)
        self._token = Token(transport, namespace)
        self._pages = f"/api/v1/namespaces/{quote(namespace, safe='')}/services/{SERVICE}/proxy"

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    # --- ConfigMaps --------------------------------------------------------------------------------

    def get(self, name: str) -> Object | None:
        """Return a ConfigMap, None if it is not there. Raises NotFound where the namespace does not exist."""
        with self._explaining("get", "configmaps"):
            return self._config_maps.get(name)

    def labelled(self, label: str, values: Sequence[str]) -> list[Object]:
        """Return the ConfigMaps with one of these values of a label. Raises NotFound as `get`."""
        with self._explaining("list", "configmaps"):
            return list(self._config_maps.listed(("labelSelector", f"{label} in ({','.join(values)})")))

    def apply(self, manifest: Object) -> Object:
        """Apply a ConfigMap on the server, by force. Raises Invalid where the server rejects it."""
        with self._explaining("patch", "configmaps"):
            return self._config_maps.apply(manifest)

    def patch(self, name: str, uid: str, change: Object) -> Object:
        """Merge a change into the ConfigMap of this uid. Raises NotFound where it is gone, Invalid."""
        change = {**change, "metadata": {**change.get("metadata", {}), "uid": uid}}
        with self._explaining("patch", "configmaps", name):
            return self._config_maps.patch(name, change)

    def delete(self, name: str, uid: str) -> None:
        """Delete the ConfigMap of this uid and what it owns. Raises NotFound where it is gone."""
        with self._explaining("delete", "configmaps", name):
            self._config_maps.delete(name, uid)

    # --- the controller's pages -----------------------------------------------------------------------

    def page(
        self,
        *parts: str,
        query: Mapping[str, str] = MappingProxyType({}),
        accept: str = "*/*",
        patience: float = RESTART_SECONDS,
    ) -> Body:
        """Return a page of the controller's HTTP port, through the API server; `parts` are the components of its path.

        A controller that does not answer gets `patience` seconds to be replaced by another pod. Raises NotFound,
        Invalid and Transient in the controller's own words, or because no controller runs. What can't come in time is
        not waited for.
        """
        path = "".join(f"/{quote(part, safe='')}" for part in parts)
        given = tuple((key, value) for key, value in query.items() if value)
        call = Call("get", "services/proxy", "GET", self._pages + path, given, accept=accept)
        silence = SILENCE if query.get("follow") else TIMEOUTS.read
        until, down = time.monotonic() + patience, ""

        def send(call: Call) -> Body:
            return self._transport.body(call, self._failure, silence)

        while True:
            try:
                with self._noticing():
                    return send(call) if parts in PUBLIC else self._token.shown(call, send)
            except (Refused, NotYet, Transient) as error:
                if getattr(error, "reason", "") != "ControllerDown":
                    raise self._explained(error, "get", "services/proxy") from error
                if not down:
                    down, comes = self._down()
                    until = until if comes else 0.0
                    if until > time.monotonic():
                        self._notice(f"{down}; waiting for it, {patience:.0f} s at most")
                if time.monotonic() >= until:
                    raise Transient("ControllerDown", down) from error
            time.sleep(RESTART_PAUSE)

    def forward(self, target: str, accept: str) -> Forwarded:
        """Return what the controller answers to this target, whatever it is. Raises as `page`, at once."""
        call = Call("get", "services/proxy", "GET", self._pages + target, accept=accept)

        def failure(said: translate.Answer) -> Exception | None:
            own = isinstance(said.status.get("error"), str) or said.status.get("kind") != "Status"
            return None if own and said.code != HTTPStatus.UNAUTHORIZED else self._failure(said)

        silence = SILENCE if "follow=1" in target else QUIET
        try:
            return self._token.shown(call, lambda call: self._transport.forwarded(call, failure, silence))
        except (Refused, NotYet, Transient) as error:
            if getattr(error, "reason", "") == "ControllerDown":
                raise Transient("ControllerDown", self._down()[0]) from error
            raise self._explained(error, "get", "services/proxy") from error

    def _down(self) -> tuple[str, bool]:
        """Return in one line how the controller that does not answer stands, and whether it may be back in a moment."""
        pods = f"kubectl -n {self.namespace} describe pods -l app.kubernetes.io/component=controller"
        try:
            found = Resource(self._transport, KINDS["Deployment"], self.namespace, MANAGER).get(DEPLOYMENT)
        except (Refused, NotYet, Transient):
            return f"the controller in namespace {self.namespace} does not answer: ask who runs it, or {pods}", True
        wanted, ready, since = _replicas(found or {})
        counts = f"Deployment {DEPLOYMENT} has {ready} of {wanted} pods ready" if found else f"no {DEPLOYMENT}"
        what = f"the controller in namespace {self.namespace} {'does not answer' if ready else 'is not running'}"
        remedy = pods if wanted else f"kubectl -n {self.namespace} scale deployment/{DEPLOYMENT} --replicas=1"
        return f"{what} ({counts}): {remedy}", wanted > 0 and since < RESTART_SECONDS

    def ready(self, patience: float = RESTART_SECONDS) -> None:
        """Check that a controller runs. Raises Transient where none does, NotFound where the namespace does not exist.

        A caller without the right to know (a CronJob's pod) passes.
        """
        try:
            with self.page("readyz", patience=patience):
                return
        except Transient as error:
            if error.reason == "ControllerMissing" and not self._namespace_exists():
                raise NotFound(f"no namespace {quoted(self.namespace)}: name another with -n") from None
            if error.reason != "Forbidden":
                raise

    def _namespace_exists(self) -> bool:
        """Return whether the namespace exists; True where this person may not know."""
        path = f"/api/v1/namespaces/{quote(self.namespace, safe='')}"
        try:
            self._transport.call(Call("get", "namespaces", "GET", path))
        except (translate.ObjectGone, NotYet):
            return False
        except Refused:
            return True
        return True

    def _failure(self, said: translate.Answer) -> Exception:
        """Return the error for a page's answer: the controller's own, or the API server's about it."""
        if isinstance(said.status.get("error"), str):
            return _own(said.code, clean(said.status["error"]))
        match said.code:
            case 404 if said.detail("kind") == "services":
                return Transient("ControllerMissing", f"no controller in namespace {self.namespace}: {INSTALL}")
            case 404 if not said.status:
                return Transient("ControllerTooOld", "the controller is older than this command: update it")
            case 502 | 503 | 504 if said.status.get("kind") == "Status":
                return Transient("ControllerDown", "the controller does not answer")
        return translate.failure(said)

    def examiner(self) -> Examiner:
        """Return what examines this person's own rights."""
        return Examiner(self._transport, self.namespace)

    # --- errors ---------------------------------------------------------------------------------------

    @contextmanager
    def _explaining(self, verb: str, resource: str, name: str = "") -> Iterator[None]:
        """Raise errors of the API server as `_explained` has them; a Conflict about `name` says that it is gone."""
        try:
            with self._noticing():
                yield
        except Conflict:
            if not name:
                raise
            raise NotFound(f"{name} was deleted meanwhile") from None
        except (Refused, NotYet, Transient) as error:
            raise self._explained(error, verb, resource) from error

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Say once, if a call takes longer than people wait in silence, what it waits for."""

        def say() -> None:
            if not self._slow:
                self._slow = True
                self._notice(f"waiting for an answer from {self._server}, {TIMEOUTS.read:.0f} s at most")

        timer = threading.Timer(UNSAID, say)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _explained(self, error: Exception, verb: str, resource: str) -> Exception:
        """Return an error of the API server as a person needs it: one line, with what to do."""
        match error:
            case Refused(forbidden=True) if "quota" not in str(error):
                return Transient(
                    "Forbidden",
                    f"no right to {verb} {resource} in namespace {self.namespace} (or there is no such namespace): ask "
                    "its administrator to bind you to the Role coachwork-user, or name another namespace with -n",
                )
            case Refused():
                return Invalid("RejectedByCluster", [str(error)])
            case NotYet():
                return NotFound(f"namespace {self.namespace}: {error}: name another with -n")
            case Transient(reason="Unauthorized" | "ApiUnavailable"):
                remedy = _OUT_OF_REACH["TLS" if "TLS" in str(error) else error.reason]
                return Transient(error.reason, f"{self._server}: {error}: {remedy}", retry_after=error.retry_after)
        return error


_OUT_OF_REACH: Final[Mapping[str, str]] = {
    "Unauthorized": "they may have expired, log in again; or name others with --context",
    "ApiUnavailable": "is the cluster up, and is it the one that you mean (--context)?",
    "TLS": "get a fresh kubeconfig of this cluster",
}


def _replicas(deployment: Object) -> tuple[int, int, float]:
    """Return how many pods are wanted, how many are ready, and for how many seconds too few have been available."""
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    available: Object = next((one for one in status.get("conditions") or () if one.get("type") == "Available"), {})
    since = times.moment(str(available.get("lastTransitionTime"))) if available.get("status") == "False" else None
    age = (datetime.now(UTC) - since).total_seconds() if since else 0.0
    return int(spec.get("replicas") or 0), int(status.get("readyReplicas") or 0), age


def join(
    namespace: str = "", *, context: str = "", kubeconfig: str = "", notice: Callable[[str], None] = lambda _line: None
) -> Person:
    """Return the namespace of a cluster that a kubeconfig, or a pod's own account, leads to. Does not call it yet.

    Without `namespace`: the context's or the pod's, else `coachwork`. `notice` gets lines about what calls wait for.
    Raises Transient("BadKubeconfig").
    """
    try:
        client, own = login(kubeconfig, context)
    except Invalid as invalid:
        raise Transient(invalid.reason, invalid.problems[0]) from invalid
    transport = Transport(client, lambda *_: None, TIMEOUTS)
    return Person(transport, namespace or own or names.MANAGER, clean(str(client.configuration.host)), notice)


def _own(code: int, sentence: str) -> Exception:
    """Return the error for what the controller itself answered."""
    match code:
        case 401:
            return Transient(UNKNOWN, sentence)
        case 403:
            return Transient("Forbidden", sentence)
        case 404 | 410:
            return NotFound(sentence)
        case code if 400 <= code < 500 and code != 429:  # noqa: PLR2004 - the codes of HTTP
            return Invalid("WrongUse", [sentence])
        case _:
            return Transient("ControllerBusy", sentence)
