"""An API server in memory, for tests of the loop: objects, versions, owners, and hands to play kubelet with.

It keeps two views: what is stored, and what the watch caches have heard of (`sync` lets them hear all). It models only
what the reconciler uses, and raises on the rest.
"""

import base64
import copy
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from controller.core import names, sweep
from controller.core.errors import AlreadyExists, Conflict
from controller.core.model import Object

KINDS = ("ConfigMap", "Secret", "Job", "Pod", "Deployment", "Service", "Ingress", "Event", "CronJob")


class MemoryCluster:
    """The Cluster port over dictionaries. `hook(verb, moment)` is called before and after each write."""

    def __init__(
        self, *, lagging: bool = False, hook: Callable[[str, str], None] = lambda _verb, _moment: None
    ) -> None:
        self.stored: dict[tuple[str, str], Object] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.events: list[str] = []  # names of all that were sent, taken or not
        self._heard: dict[tuple[str, str], Object] = {}
        self._lagging = lagging
        self.listener: Callable[[str, Object | None, Object | None], None] = lambda _kind, _old, _new: None
        self._version = 0
        self.hook = hook
        self.refuse: dict[tuple[str, str], Exception] = {}  # (verb, name) -> what such a write meets

    # --- the port ----------------------------------------------------------------------------------

    def get(self, kind: str, name: str) -> Object | None:
        return copy.deepcopy(self.stored.get((kind, name)))

    def pods_of_job(self, uid: str) -> Sequence[Object]:
        return [item for (kind, _), item in self.stored.items() if kind == "Pod" and _owner(item) == uid]

    def references(self) -> frozenset[PurePosixPath]:
        return sweep.references(list(self.stored.values()))

    def create(self, manifest: Object) -> Object:
        with self._write("create", manifest):
            if _key(manifest) in self.stored:
                raise AlreadyExists(manifest["metadata"]["name"])
            return self._store(_by_us({**manifest, "metadata": {**manifest["metadata"], "uid": str(uuid.uuid4())}}))

    def apply(self, manifest: Object) -> Object:
        with self._write("apply", manifest):
            live = self.stored.get(_key(manifest))
            if live is None or live["metadata"]["uid"] != manifest["metadata"]["uid"]:
                raise Conflict("another uid")
            metadata = {**live["metadata"], **manifest["metadata"]}
            return self._store(_by_us({**live, **manifest, "metadata": metadata}))

    def replace(self, manifest: Object) -> Object:
        with self._write("replace", manifest):
            live = self.stored.get(_key(manifest))
            if live is None or live["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
                raise Conflict("moved on")
            return self._store(
                _by_us({**manifest, "metadata": {**manifest["metadata"], "uid": live["metadata"]["uid"]}})
            )

    def delete(self, kind: str, name: str, uid: str) -> None:
        with self._write("delete", {"kind": kind, "metadata": {"name": name}}):
            live = self.stored.get((kind, name))
            if live and live["metadata"]["uid"] == uid:
                del self.stored[kind, name]
                self.collect()

    # --- the world ---------------------------------------------------------------------------------

    def sync(self, *kinds: str) -> None:
        """Let the watch caches hear of everything, or of these kinds only: each kind has a watch of its own."""
        for key in {*self._heard, *self.stored}:
            old, new = self._heard.get(key), copy.deepcopy(self.stored.get(key))
            if (kinds and key[0] not in kinds) or old == new:
                continue
            self.listener(key[0], old, new)
            self._heard.pop(key, None)
            if new is not None:
                self._heard[key] = new

    def hear(self) -> None:
        """Let the watch caches hear of everything, unless they lag."""
        if not self._lagging:
            self.sync()

    def collect(self) -> None:
        """Remove what has a controlling owner that is gone, until nothing is."""
        while True:
            living = {item["metadata"]["uid"] for item in self.stored.values()}
            orphans = [key for key, item in self.stored.items() if _owner(item) and _owner(item) not in living]
            if not orphans:
                return
            for key in orphans:
                del self.stored[key]

    def ask(
        self,
        name: str,
        *,
        trigger: str = "",
        cancel: str = "",
        resume: str = "",
        only: str = "",
        env: str = "",
        **data: str,
    ) -> Object:
        """Create or update a request as a user would.

        `data`'s underscores are hyphens, `env` is the value of ALPHA, `at_KEY` is the annotation coachwork.io/KEY.
        """
        live = self.stored.get(("ConfigMap", name))
        said = {names.TRIGGER: trigger, names.CANCEL: cancel, names.FROM: resume, names.ONLY: only}
        said |= {f"{names.DOMAIN}/{key.removeprefix('at_')}": data.pop(key) for key in [*data] if key.startswith("at_")}
        metadata: Object = {
            "name": name,
            "namespace": "test",
            "labels": {names.ROLE: names.ROLE_REQUEST},
            "annotations": {key: value for key, value in said.items() if value},
            "uid": live["metadata"]["uid"] if live else str(uuid.uuid4()),
        }
        plain = {key.replace("_", "-"): value for key, value in data.items()} | ({"env.ALPHA": env} if env else {})
        return self._store({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": plain})

    def put(self, item: Object) -> Object:
        """Create or update an object exactly as it is, its uid included."""
        return self._store(item)

    def secret(self, name: str, **values: str) -> None:
        """Create a Secret."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"name": name, "uid": str(uuid.uuid4())}
        self._store({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    def edit(self, kind: str, name: str, change: Callable[[Object], object]) -> None:
        """Change an object in place as a user would."""
        item = copy.deepcopy(self.stored[kind, name])
        change(item)
        item["metadata"].setdefault("managedFields", []).clear()
        item["metadata"]["managedFields"].append({"manager": "kubectl-edit"})
        self._store(item)

    def remove(self, kind: str, name: str) -> None:
        """Delete as a user would; the collector follows."""
        self.stored.pop((kind, name), None)
        self.collect()

    def of_kind(self, kind: str) -> list[Object]:
        """Give all objects of one kind, as created."""
        return [item for (found, _), item in self.stored.items() if found == kind]

    def end_job(self, job: Object, exit_code: int = 0, message: str = "") -> None:
        """Let a Job's only attempt end: a pod with its exit code and termination message, and the Job's condition."""
        good = exit_code == 0
        cause = json.dumps({"reason": "Completed" if good else "ExitCode", "message": message or "ended"})
        state = {"terminated": {"exitCode": exit_code, "message": cause}}
        status = {
            "phase": "Succeeded" if good else "Failed",
            "containerStatuses": [{"name": names.STAGE_CONTAINER, "state": state}],
        }
        self._pod(job, f"{job['metadata']['name']}-p", status)
        condition = {"type": "Complete" if good else "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
        live = self.stored[_key(job)]
        self._store({**live, "status": {"conditions": [condition], "failed": 0 if good else 1}})

    def begin_pod(self, job: Object) -> str:
        """Let a Job's pod run; give its name."""
        name = f"{job['metadata']['name']}-p"
        self._pod(job, name, {"phase": "Running"})
        return name

    def roll_out(self, deployment: Object) -> None:
        """Let a Deployment come up at its present generation; pods that broke down are gone then."""
        live = self.stored[_key(deployment)]
        for key in [key for key, item in self.stored.items() if _owner(item) == live["metadata"]["uid"]]:
            del self.stored[key]
        wanted, generation = live["spec"]["replicas"], live["metadata"]["generation"]
        counts = dict.fromkeys(("updatedReplicas", "replicas", "availableReplicas", "readyReplicas"), wanted)
        status = {"observedGeneration": generation, **counts}
        if live.get("status") != status:
            self._store({**live, "status": status})

    def break_down(self, deployment: Object, message: str) -> None:
        """Let a Deployment's new pod end with the launcher's own exit code."""
        live = self.stored[_key(deployment)]
        cause = json.dumps({"reason": "StartupTimeout", "message": message})
        container = {
            "name": names.STAGE_CONTAINER,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 121, "message": cause}},
        }
        self._pod(
            live, f"{live['metadata']['name']}-{self._version}", {"phase": "Running", "containerStatuses": [container]}
        )
        self._store({**live, "status": {"observedGeneration": live["metadata"]["generation"], "updatedReplicas": 1}})

    def _pod(self, owner: Object, name: str, status: Object) -> None:
        template = owner["spec"]["template"]["metadata"]
        reference = {"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        metadata = {
            **copy.deepcopy(template),
            "name": name,
            "uid": str(uuid.uuid4()),
            "ownerReferences": [{**reference, "controller": True}],
        }
        self._store({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})

    # --- inside ------------------------------------------------------------------------------------

    def _write(self, verb: str, manifest: Object) -> "_Write":
        return _Write(self, verb, manifest)

    def _store(self, item: Object) -> Object:
        assert item["kind"] in KINDS, item["kind"]
        self._version += 1
        live = self.stored.get(_key(item), {}).get("metadata", {})
        metadata = {
            **item["metadata"],
            "resourceVersion": str(self._version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        if item["kind"] == "Deployment":
            same = item.get("spec") == self.stored.get(_key(item), {}).get("spec")
            metadata["generation"] = live.get("generation", 0) + (0 if same else 1)
        self.stored[_key(item)] = copy.deepcopy({**item, "metadata": metadata})
        self.hear()
        return copy.deepcopy(self.stored[_key(item)])


class _Write:
    """One write: the hook before it, the note of it and the hook after it (unless it was refused)."""

    def __init__(self, cluster: MemoryCluster, verb: str, manifest: Object) -> None:
        self._cluster, self._verb, self._manifest = cluster, verb, manifest

    def __enter__(self) -> None:
        if (self._verb, self._manifest["kind"]) == ("create", "Event"):
            self._cluster.events.append(self._manifest["metadata"]["name"])
        self._cluster.hook(self._verb, "before")
        if error := self._cluster.refuse.get((self._verb, self._manifest["metadata"]["name"])):
            raise error

    def __exit__(self, kind: type[BaseException] | None, _value: object, _trace: object) -> None:
        if kind is None:
            self._cluster.writes.append((self._verb, self._manifest["kind"], self._manifest["metadata"]["name"]))
            self._cluster.hear()
            self._cluster.hook(self._verb, "after")


def _by_us(item: Object) -> Object:
    return {**item, "metadata": {**item["metadata"], "managedFields": [{"manager": names.MANAGER}]}}


def _key(item: Object) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


def _owner(item: Object) -> str:
    references: Iterator[Object] = iter(item["metadata"].get("ownerReferences") or ())
    return next((str(reference["uid"]) for reference in references if reference.get("controller")), "")
