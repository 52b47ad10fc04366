"""What the watch caches hold, indexed by what the reconciler asks for: once, for every implementation of the port.

A cluster reports each change (`changed`), in order for each object; a look-up never blocks, and costs what it returns,
however many requests there are. What is returned is the caller's own.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeAlias

from controller.core import names
from controller.core.documents import status as statuses
from controller.core.facts import news
from controller.core.model import Children, Object
from controller.core.snapshot import Snapshot

Index: TypeAlias = Literal["request", "environment", "subject", "role", "active", "awaited"]
"""request: label; environment: the folder that it builds; subject: uid that an Event is about; role: of a ConfigMap;
active: the request whose record says that a run is under way;
awaited: an environment's folder that the run in this record waits for, or may, or that a pass has asked for."""

WRITTEN = ("ConfigMap", "Job")  # kinds of which a pass knows what it writes: services others may change on the way


class View:
    """The caches as the reconciler reads them. Safe to use from many threads."""

    def __init__(
        self,
        wake: Callable[[str], None],
        later: Callable[[str, float], None] | None = None,
        first: Callable[[str], None] | None = None,
    ) -> None:
        """`wake` is called with the name of each request that a change is about: it is quick, and asks nothing here.

        `later` instead, with seconds, where the change can wait for so long; `first`, where a run is under way.
        """
        self._calm, self._later, self._first = wake, later or (lambda key, _seconds: wake(key)), first or wake
        self._passing = threading.local()
        self._subscribers: list[Callable[[str], None]] = []
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], Snapshot] = {}  # by kind and name
        self._found: dict[tuple[str, Index, str], dict[str, str]] = defaultdict(dict)  # names, with whom they are about

    def subscribe(self, on_change: Callable[[str], None]) -> None:
        """Call `on_change` with the name of each request that changed, or whose record did; it asks nothing here."""
        self._subscribers.append(on_change)

    def changed(self, kind: str, old: Snapshot | None, new: Snapshot | None) -> None:
        """Take note of a change (`old` is None for a new object, `new` for one that is gone), and wake its requests.

        An object that changed hands is about two requests.
        """
        if (about := new or old) is None:
            return
        name = about.name
        item = new.opened() if new else None
        with self._lock:
            before = self._held.pop((kind, name), None)
            known = before.opened() if before else None
            if known:
                for index, value in _entries(kind, known):
                    self._remove((kind, index, value), name)
            seconds = news(kind, known, item, self._pods_of(item) if kind == "Job" else ())
            if new and item:
                self._held[kind, name] = new
                for index, value in _entries(kind, item):
                    self._found[kind, index, value][name] = owner_key(kind, item) or ""
            keys = {key for each in (known, item) if each for key in self._about(kind, each)}
            if kind in WRITTEN and (known or not self._found.get(("Event", "subject", _uid(item)))):
                keys.discard(getattr(self._passing, "name", ""))
            for key in sorted(keys if seconds is not None else ()):  # still locked: no news is found before its wake
                if seconds:
                    self._later(key, seconds)
                else:
                    self._wake(key)
        self._report(kind, known, item)

    def _report(self, kind: str, *items: Object | None) -> None:
        """Call the subscribers about what changed of a request itself."""
        if kind == "ConfigMap" and self._subscribers:
            for key in filter(None, {owner_key(kind, item) for item in items if item}):
                for on_change in self._subscribers:
                    on_change(key)

    @contextmanager
    def passing(self, name: str) -> Iterator[None]:
        """Let what this thread writes in the block, of records and Jobs, not wake the request `name`.

        A decision is final until there is news, or says that it is not; what it was about to write is none. All else
        is: what happens meanwhile to an environment that it asks for (`build`), which no record may name yet, and an
        Event that came before the Job that it is about.
        """
        self._passing.name, self._passing.asked = name, set()
        try:
            yield
        finally:
            self._passing.name = ""
            with self._lock:
                for folder in self._passing.asked:
                    self._remove(("ConfigMap", "awaited", folder), f"{name}/")

    def _remove(self, key: tuple[str, Index, str], name: str) -> None:
        """Remove one name from an index."""
        entry = self._found[key]
        del entry[name]
        if not entry:
            del self._found[key]

    def _pods_of(self, job: Object | None) -> Sequence[Object]:
        """Return the pods that may be a Job's."""
        if job is None:
            return ()
        if folder := names.environment_of(job):
            return self._get("Pod", "environment", folder)
        return self._get("Pod", "request", owner_key("Job", job) or "")

    def _about(self, kind: str, item: Object) -> Iterator[str]:
        """Yield the requests that an object is about. An Event that comes before its Job wakes when the Job does."""
        if kind == "Event":
            involved = item.get("involvedObject") or {}
            kind = str(involved.get("kind"))
            subject = self._held.get((kind, str(involved.get("name")))) if kind in {"Job", "Pod"} else None
            if subject is None:
                return
            item = subject.opened()
        if folder := names.environment_of(item):  # a build belongs to no request: all that wait for it are woken
            yield from filter(None, self._found.get(("ConfigMap", "awaited", folder), {}).values())
        elif key := owner_key(kind, item):
            yield key

    def wake(self, name: str) -> bool:
        """Wake the request `name` if a run is under way, and all whose run waits for the environment of this folder.

        Returns whether there is any.
        """
        with self._lock:
            keys = {*filter(None, self._found.get(("ConfigMap", "awaited", name), {}).values())}
            if ("ConfigMap", "active", name) in self._found:
                keys.add(name)
            for key in sorted(keys):
                self._wake(key)
        return bool(keys)

    def _wake(self, key: str) -> None:
        """Wake a request: what is under way goes on before something else begins."""
        (self._first if ("ConfigMap", "active", key) in self._found else self._calm)(key)

    # --- look-ups --------------------------------------------------------------------------------

    def requests(self) -> Sequence[str]:
        """Return the names of all requests."""
        with self._lock:
            return sorted(self._found.get(("ConfigMap", "role", names.ROLE_REQUEST), ()))

    def request(self, name: str) -> Object | None:
        """Return the request's ConfigMap (label coachwork.io/role=request)."""
        return self._config_map(name, names.ROLE_REQUEST)

    def status(self, name: str) -> Object | None:
        """Return the ConfigMap NAME-status."""
        return self._config_map(names.status_of(name), names.ROLE_STATUS)

    def release(self, name: str) -> Object | None:
        """Return the ConfigMap NAME-release."""
        return self._config_map(names.release_of(name), names.ROLE_RELEASE)

    def children(self, name: str) -> Children:
        """Return everything labelled coachwork.io/request=NAME, by name, and the warnings about its Jobs and Pods."""
        with self._lock:
            return Children(
                jobs=(jobs := self._get("Job", "request", name)),
                pods=(pods := self._get("Pod", "request", name)),
                deployments=self._get("Deployment", "request", name),
                services=self._get("Service", "request", name),
                ingresses=self._get("Ingress", "request", name),
                autoscalers=self._get("HorizontalPodAutoscaler", "request", name),
                budgets=self._get("PodDisruptionBudget", "request", name),
                cronjobs=self._get("CronJob", "request", name),
                events=self._warnings((*jobs, *pods)),
            )

    def build(self, folder: str) -> Children:
        """Return the Job that builds an environment (label coachwork.io/environment=FOLDER), its pods and warnings.

        A change of them wakes every request with an active run that wants it, and one whose
        pass asks here, until that is over: builds belong to no request.
        """
        with self._lock:
            if asking := getattr(self._passing, "name", ""):
                self._passing.asked.add(folder)
                self._found["ConfigMap", "awaited", folder][f"{asking}/"] = asking  # not the name of an object
            jobs, pods = self._get("Job", "environment", folder), self._get("Pod", "environment", folder)
            return Children(jobs=jobs, pods=pods, events=self._warnings((*jobs, *pods)))

    def _config_map(self, name: str, role: str) -> Object | None:
        with self._lock:
            there = name in self._found.get(("ConfigMap", "role", role), {})
            held = self._held["ConfigMap", name] if there else None
        return held.opened() if held else None

    def _get(self, kind: str, index: Index, value: str) -> Sequence[Object]:
        """Return what an index has, by name."""
        return [self._held[kind, name].opened() for name in sorted(self._found.get((kind, index, value), ()))]

    def _warnings(self, subjects: Sequence[Object]) -> Sequence[Object]:
        uids = set(map(_uid, subjects))
        events = [event for uid in uids for event in self._get("Event", "subject", uid)]
        return sorted(events, key=lambda event: str(event["metadata"]["name"]))


def owner_key(kind: str, item: Object) -> str | None:
    """Return the name of the request that an object is about: its own name for a request, else by its label.

    None where it belongs to no request, as an object that says nothing usable about itself.
    """
    labels = names.labels_of(item)
    if kind == "ConfigMap" and labels.get(names.ROLE) == names.ROLE_REQUEST:
        return item["metadata"].get("name") or None
    if kind == "ConfigMap" and labels.get(names.ROLE) not in {names.ROLE_STATUS, names.ROLE_RELEASE}:
        return None
    return labels.get(names.REQUEST) or None


def _uid(item: Object | None) -> str:
    """Return an object's uid, as Events name it."""
    return str((item or {}).get("metadata", {}).get("uid"))


def _entries(kind: str, item: Object) -> Iterator[tuple[Index, str]]:
    """Yield the entries of the indexes that lead to an object."""
    match kind:
        case "ConfigMap":
            labels = names.labels_of(item)
            yield "role", str(labels.get(names.ROLE))
            if labels.get(names.ROLE) == names.ROLE_STATUS and labels.get(names.PHASE) == "Running":
                yield "active", str(labels.get(names.REQUEST))
                yield from (("awaited", folder) for folder in statuses.environments(item))
        case "Event":
            yield "subject", str((item.get("involvedObject") or {}).get("uid"))
        case _:
            if key := owner_key(kind, item):
                yield "request", key
            if folder := names.environment_of(item):
                yield "environment", folder
