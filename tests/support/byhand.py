"""An API whose cluster is played by hand: `LocalCluster` without its controllers and its node.

What it stores, refuses and reports is the production code's (`adapters/local/api.py`), held to the contract suite. It
adds a hand that plays kubelet and controllers, caches that lag, and moments at which the controller can be killed. All
objects that it hands out refuse to be changed: they are what it has stored.
"""

import base64
import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from controller.adapters.local.api import Api
from controller.adapters.local.store import Change, Store
from controller.adapters.local.workloads import collect
from controller.core import names
from controller.core.model import Object
from controller.core.snapshot import OnChange, Snapshot

KINDS = (
    "ConfigMap", "Secret", "Job", "Pod", "Deployment", "Service", "Ingress", "HorizontalPodAutoscaler",
    "PodDisruptionBudget", "Event", "CronJob", "Lease",
)  # fmt: skip


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("an object of the store is shared: nobody may change it")


class _Fixed(dict[str, Any]):
    """A mapping of the API that refuses to be changed; a deep copy of it may be."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}


class _FixedList(list[Any]):
    """A list of the API that refuses to be changed; a deep copy of it may be."""

    __setitem__ = __delitem__ = __iadd__ = append = extend = insert = pop = remove = clear = sort = reverse = _refuse

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [copy.deepcopy(value, memo) for value in self]


def _fixed(value: Any) -> Any:
    match value:
        case dict():
            return _Fixed({key: _fixed(item) for key, item in value.items()})
        case list():
            return _FixedList(map(_fixed, value))
    return value


def request_of(
    name: str,
    *,
    trigger: str = "",
    cancel: str = "",
    resume: str = "",
    only: str = "",
    env: str = "",
    **data: str,
) -> Object:
    """Return a request as a user would write it.

    `data`'s underscores are hyphens, `env` is the value of ALPHA, `at_KEY` is the annotation coachwork.io/KEY.
    """
    said = {names.TRIGGER: trigger, names.CANCEL: cancel, names.FROM: resume, names.ONLY: only}
    said |= {f"{names.DOMAIN}/{key.removeprefix('at_')}": data.pop(key) for key in [*data] if key.startswith("at_")}
    metadata: Object = {
        "name": name,
        "labels": {names.ROLE: names.ROLE_REQUEST},
        "annotations": {key: value for key, value in said.items() if value},
    }
    plain = {key.replace("_", "-"): value for key, value in data.items()} | ({"env.ALPHA": env} if env else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": plain}


class ByHand(Api):
    """One namespace. `hook(verb, moment)` is called before and after each write of the controller's."""

    def __init__(
        self, *, lagging: bool = False, hook: Callable[[str, str], None] = lambda _verb, _moment: None
    ) -> None:
        self.stored: dict[tuple[str, str], Object] = {}  # to be read
        self.writes: list[tuple[str, str, str]] = []
        self.events: list[str] = []  # names of all that were sent, taken or not
        self.refuse: dict[tuple[str, str], Exception] = {}  # (verb, name) -> what such a call meets
        self.hook = hook
        self._lagging = lagging
        self._news: list[tuple[str, Snapshot | None, Snapshot | None]] = []  # that the caches have not learned of
        store = Store("test")
        store.subscribe(self._keep)
        super().__init__(store, lambda _manifest: None)
        store.subscribe(self._follow)

    def _keep(self, change: Change) -> None:
        key = change.item["kind"], change.item["metadata"]["name"]
        assert key[0] in KINDS, key
        if change.new is None:
            del self.stored[key]
        else:
            self.stored[key] = _fixed(change.new)  # in its place: other threads read

    def _follow(self, change: Change) -> None:
        """Play garbage collector for what is deleted, and kubelet for pods that are to end."""
        if change.new is None:
            collect(self._store, change)
        elif change.item["kind"] == "Pod" and "deletionTimestamp" in change.new["metadata"]:
            self._store.remove(change.new)

    # --- the watches -------------------------------------------------------------------------------

    def start(self, on_change: OnChange) -> None:
        """Report all changes, at once or, where the caches lag, by `sync`."""

        def report(kind: str, old: Snapshot | None, new: Snapshot | None) -> None:
            self._news.append((kind, old, new))
            if not self._lagging:
                self.sync()

        self._to = on_change
        super().start(report)

    @property
    def latest(self) -> Object:
        """Return what the controller has written last; it is there still."""
        _, kind, name = self.writes[-1]
        return self.stored[kind, name]

    @property
    def behind(self) -> int:
        """Return of how many changes the caches have not learned."""
        return len(self._news)

    def sync(self, *kinds: str, name: str = "", but: int = 0) -> None:
        """Let the caches learn of everything, or of these kinds only (each has a watch of its own), or of one name.

        `but`: of so many of the latest changes they learn later.
        """
        news, self._news = self._news[: self.behind - but], self._news[self.behind - but :]
        for kind, old, new in news:
            about = new or old
            if (kinds and kind not in kinds) or (name and about and about.name != name):
                self._news.append((kind, old, new))
            else:
                self._to(kind, old, new)

    # --- the controller's writes -------------------------------------------------------------------

    @contextmanager
    def _write(self, verb: str, kind: str, name: str) -> Iterator[None]:
        if (verb, kind) == ("create", "Event"):
            self.events.append(name)
        self.hook(verb, "before")
        if error := self.refuse.get((verb, name)):
            raise error
        yield
        self.writes.append((verb, kind, name))
        self.hook(verb, "after")

    def get(self, kind: str, name: str) -> Object | None:
        if error := self.refuse.get(("get", name)):
            raise error
        return self.stored.get((kind, name))

    def create(self, manifest: Object) -> Object:
        with self._write("create", manifest["kind"], manifest["metadata"]["name"]):
            return super().create(manifest)

    def apply(self, manifest: Object) -> Object:
        with self._write("apply", manifest["kind"], manifest["metadata"]["name"]):
            return super().apply(manifest)

    def replace(self, manifest: Object) -> Object:
        with self._write("replace", manifest["kind"], manifest["metadata"]["name"]):
            return super().replace(manifest)

    def delete(self, kind: str, name: str, uid: str) -> None:
        with self._write("delete", kind, name):
            super().delete(kind, name, uid)

    # --- people ------------------------------------------------------------------------------------

    def ask(self, name: str, **asked: str) -> None:
        """Create or update a request as a user would; `asked` as `request_of` takes it."""
        self.put(request_of(name, **asked))

    def put(self, item: Object) -> None:
        """Create or update an object as it is, with the uid that it names, if any."""
        if (item["kind"], item["metadata"]["name"]) in self.stored:
            self._store.edit(item, lambda live: {**item, "metadata": {**live["metadata"], **item["metadata"]}})
        else:
            self._store.create(item, uid=item["metadata"].get("uid", ""))

    def secret(self, name: str, **values: str | bytes) -> None:
        """Create a Secret, or put another in its place."""
        raw = {key: value if isinstance(value, bytes) else value.encode() for key, value in values.items()}
        data = {key: base64.b64encode(value).decode() for key, value in raw.items()}
        self.put({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})

    def edit(self, kind: str, name: str, change: Callable[[Object], object]) -> None:
        """Change an object as `kubectl edit` would; `change` returns another one, or changes the one that it gets."""

        def changed(item: Object) -> Object:
            made = change(item)
            return made if isinstance(made, dict) and "metadata" in made else item

        super().edit(kind, name, changed)

    def write_over(self, name: str, data: Mapping[str, str]) -> None:
        """Write over some of a ConfigMap's keys."""
        self.edit("ConfigMap", name, lambda item: item["data"].update(data))

    def unlabel(self, kind: str, name: str) -> None:
        """Take the labels off an object, as a careless `kubectl label` would: no watch selects it any more."""
        self.edit(kind, name, lambda item: item["metadata"].update(labels={}))

    def orphan(self, kind: str, name: str) -> None:
        """Delete an object and let what it owns live, as `kubectl delete --cascade=orphan` does."""
        owner = self.stored[kind, name]
        for item in self._store.owned(owner["metadata"]["uid"]):
            self._store.edit(item, lambda live: {**live, "metadata": {**live["metadata"], "ownerReferences": []}})
        self.remove(kind, name)

    def of_kind(self, kind: str) -> list[Object]:
        """Return all objects of one kind, as created."""
        return [self.stored[kind, item["metadata"]["name"]] for item in self._store.of_kind(kind)]

    # --- the cluster -------------------------------------------------------------------------------

    def collect(self) -> None:
        """Collect all that has no living owner: a stale pass may have made objects of a request that is gone."""
        for item in list(self.stored.values()):
            collect(self._store, Change(None, item))

    def end_job(
        self, job: Object, exit_code: int = 0, message: str = "ended", *, reason: str = "", at: str = ""
    ) -> None:
        """Let a Job's only attempt end: a pod with its exit code and termination message, and the Job's condition."""
        good = exit_code == 0
        said = {"reason": reason or ("Completed" if good else "ExitCode"), "message": message}
        state = {"terminated": {"exitCode": exit_code, "message": json.dumps(said)}}
        status = {
            "phase": "Succeeded" if good else "Failed",
            "containerStatuses": [{"name": names.STAGE_CONTAINER, "state": state}],
        }
        self._pod(job, f"{job['metadata']['name']}-p", status)
        condition = {"type": "Complete" if good else "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
        condition |= {"lastTransitionTime": at} if at else {}
        self._store.note(job, {"conditions": [condition], "failed": 0 if good else 1})

    def begin_pod(self, job: Object, phase: str = "Running", image: str = "", conditions: Sequence[Object] = ()) -> str:
        """Let a Job's pod run, or be in another phase; return its name."""
        name = f"{job['metadata']['name']}-p"
        shown = {"containerStatuses": [{"name": names.STAGE_CONTAINER, "imageID": image}]} if image else {}
        self._pod(job, name, {"phase": phase, **shown, "conditions": list(conditions)})
        return name

    def end_pod(self, name: str) -> None:
        """Let a pod end well whose Job may be gone."""
        self._store.note(self.stored["Pod", name], {"phase": "Succeeded"})

    def roll_out(self, deployment: Object) -> None:
        """Let a Deployment come up at its present generation; pods that broke down are gone then."""
        live = self.stored["Deployment", deployment["metadata"]["name"]]
        for pod in self._store.owned(live["metadata"]["uid"]):
            self._store.remove(pod)
        self.count(live, live["spec"]["replicas"], live["spec"]["replicas"])

    def count(self, deployment: Object, there: int, ready: int) -> None:
        """Let so many pods of a Deployment's present template be there, and so many of them be ready."""
        counts = {"updatedReplicas": there, "replicas": there, "availableReplicas": ready, "readyReplicas": ready}
        self._store.note(deployment, {"observedGeneration": deployment["metadata"]["generation"], **counts})

    def scale(self, deployment: str, number: int) -> None:
        """Set the number of pods, as an autoscaler does."""
        live = self.stored["Deployment", deployment]
        own = {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale"}
        entry = {**own, "fieldsV1": {"f:spec": {"f:replicas": {}}}}

        def scaled(item: Object) -> Object:
            metadata = {**item["metadata"], "managedFields": [*item["metadata"]["managedFields"], entry]}
            return {**item, "metadata": metadata, "spec": {**item["spec"], "replicas": number}}

        self._store.edit(live, scaled)

    def break_down(self, deployment: Object, message: str) -> None:
        """Let a Deployment's new pod end with the launcher's own exit code."""
        live = self.stored["Deployment", deployment["metadata"]["name"]]
        cause = json.dumps({"reason": "StartupTimeout", "message": message})
        container = {
            "name": names.STAGE_CONTAINER,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 121, "message": cause}},
        }
        name = f"{live['metadata']['name']}-{live['metadata']['resourceVersion']}"
        self._pod(live, name, {"phase": "Running", "containerStatuses": [container]})
        none = dict.fromkeys(("replicas", "availableReplicas", "readyReplicas"))
        self._store.note(live, {"observedGeneration": live["metadata"]["generation"], "updatedReplicas": 1, **none})

    def _pod(self, owner: Object, name: str, status: Object) -> None:
        if (live := self._store.get("Pod", name)) is None:
            reference = {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
            template = copy.deepcopy(owner["spec"]["template"]["metadata"])
            template["labels"] = {**(template.get("labels") or {}), names.CONTROLLER_UID: reference["uid"]}
            metadata = {**template, "name": name, "ownerReferences": [{**reference, "controller": True}]}
            live = self._store.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
        self._store.note(live, status)
