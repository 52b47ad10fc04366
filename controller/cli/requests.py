"""The requests of one namespace, as commands read and change them, with the rights of the person who calls."""

import json
import shlex
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

from controller.adapters.kube.person import Person
from controller.adapters.pages import RESTART_SECONDS, Reader
from controller.core import fate, names
from controller.core.documents import codec
from controller.core.documents import status as statuses
from controller.core.documents.run import RunFile
from controller.core.errors import Invalid, NotFound, Transient
from controller.core.model import Object, Record, Request
from controller.core.text import nearest, quoted

TRIGGER_LIMIT = 128  # characters: what goes with a trigger repeats it, and has a limit of its own
RUN_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Standing:
    """A request as it stands: its ConfigMap, and its record (`recorded`: whether the controller has written one)."""

    configmap: Object
    record: Record
    recorded: bool
    written: str = ""  # when the controller last wrote the record, in RFC 3339

    @property
    def name(self) -> str:
        """Return the request's name."""
        return str(self.configmap["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Return the request's uid."""
        return str(self.configmap["metadata"]["uid"])

    @property
    def data(self) -> Mapping[str, str]:
        """Return the request's keys."""
        return self.configmap.get("data") or {}

    @property
    def trigger(self) -> str:
        """Return the trigger that the request states."""
        return str((self.configmap["metadata"].get("annotations") or {}).get(names.TRIGGER, ""))


class Requests:
    """The requests of one namespace of a cluster, or of this machine, which only `coachwork run` makes and changes.

    Every method raises Transient where the cluster can't be used.
    """

    def __init__(
        self,
        person: Reader,
        where: Mapping[str, str] = MappingProxyType({}),
        elsewhere: Callable[[str], str] = lambda _name: "",
    ) -> None:
        """Read from `person`, to whom the options `where` led; `elsewhere` says where else a name is known."""
        self.person, self._elsewhere = person, elsewhere
        self.namespace = person.namespace
        self._where = {option: value for option, value in where.items() if value}

    def command(self, *words: str) -> str:
        """Return a command of ours as it can be typed to reach the same cluster and namespace."""
        return shlex.join(["coachwork", *words, *(word for option in self._where.items() for word in option)])

    def kubectl(self) -> str:
        """Return the beginning of a command of kubectl for the same cluster and namespace."""
        others = (word for option in self._where.items() if option[0] != "-n" for word in option)
        return shlex.join(["kubectl", "-n", self.namespace, *others])

    @property
    def cluster(self) -> Person:
        """The cluster, to change something on it."""
        assert isinstance(self.person, Person), "a command that changes something is never given this machine"  # noqa: S101
        return self.person

    def all(self) -> list[Standing]:
        """Return all requests, by name. Raises NotFound where the namespace does not exist."""
        every: dict[str, dict[str, Object]] = {names.ROLE_REQUEST: {}, names.ROLE_STATUS: {}}
        for item in self.person.labelled(names.ROLE, tuple(every)):
            every[item["metadata"]["labels"][names.ROLE]][item["metadata"]["name"]] = item
        requests, statuses = every.values()
        return [_standing(requests[name], statuses.get(names.status_of(name))) for name in sorted(requests)]

    def one(self, name: str) -> Standing:
        """Return one request. Raises NotFound with the nearest name."""
        found = self.person.get(name) if name else None
        if found is not None and _is_request(found):
            return _standing(found, self.person.get(names.status_of(name)))
        known: list[str] = []
        with suppress(Transient):  # the nearest name is a courtesy: it needs another right
            known = [standing.name for standing in self.all()]
        remedy = nearest(name, known) if known else self.person.remedy
        problem = f"no {self.person.what} {quoted(name)} {self.person.place}: {remedy}"
        if not known:
            try:
                self.person.ready()  # raises what is wrong, if it is more than the absence of requests
            except NotFound as error:
                problem = str(error)
        raise NotFound(f"{problem}{self._elsewhere(name)}")

    def deploy(self, name: str, data: Mapping[str, str], trigger: str, *, guessed: bool = False) -> Standing:
        """Create or update a request, and run it under this trigger ("": only if the change starts a run).

        Where the name is `guessed`, a request of another repository or folder is left alone.

        Raises Invalid with all problems before anything is written, or where the name is another ConfigMap's, NotFound
        where the namespace does not exist, Transient where no controller runs.
        """
        annotations = {names.TRIGGER: trigger} if trigger else {}
        metadata: Object = {"name": name, "labels": {names.ROLE: names.ROLE_REQUEST}, "annotations": annotations}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
        from controller.core.inputs import request  # noqa: PLC0415 (loads pydantic, which only some commands need)

        request.parse(manifest)
        self.person.ready()
        if there := self.person.get(name):
            if not _is_request(there):
                problem = f"ConfigMap {name} of namespace {self.namespace} is not a request: choose another --name"
                raise Invalid("NameTaken", [problem])
            before = there.get("data") or {}
            if guessed and any(before.get(key, "") != data.get(key, "") for key in ("repository", "path")):
                known = f"{quoted(before.get('repository', ''))}, folder {quoted(before.get('path', '.'))}"
                line = f"request {name} deploys {known}: give --name {name} to change that, or another --name"
                raise Invalid("NameTaken", [line])
            metadata["uid"] = there["metadata"]["uid"]
        return _standing(self.cluster.apply(manifest), None)

    def trigger(
        self,
        standing: Standing,
        trigger: str,
        *,
        parameters: Iterable[tuple[str, str]] = (),
        rerun: int = 0,
        resume: str = "",
        whole: bool = False,
    ) -> None:
        """Run the request under this id: with parameters, as an earlier run (`rerun`), from a stage on (`resume`).

        `whole`: reuse nothing.

        Raises Invalid where an id or a stage is malformed, NotFound where the request is gone.
        """
        check_trigger(trigger)
        values = dict(parameters)
        parts = {
            names.SET: json.dumps(values, separators=(",", ":")) if values else "",
            names.RERUN: str(rerun or ""),
            names.FROM: resume,
            names.ALL: "true" if whole else "",
        }
        annotations = {names.TRIGGER: trigger}
        annotations |= {annotation: f"{trigger} {value}" for annotation, value in parts.items() if value}
        if _parsed(standing.name, {}, annotations).resume != resume:
            raise Invalid("UnknownStage", [f"--from: no stage {quoted(resume)}"])
        self._annotate(standing, annotations)

    def cancel(self, standing: Standing, run: int) -> None:
        """Cancel this run. Raises NotFound where the request is gone."""
        self._annotate(standing, {names.CANCEL: str(run)})

    def _annotate(self, standing: Standing, annotations: Mapping[str, str]) -> None:
        self.cluster.patch(standing.name, standing.uid, {"metadata": {"annotations": dict(annotations)}})

    def set_keys(self, standing: Standing, keys: Mapping[str, str | None]) -> None:
        """Set keys of the request, or remove them (None). Raises Invalid for a wrong value, NotFound."""
        _parsed(standing.name, {key: value for key, value in keys.items() if value is not None}, {})
        self.cluster.patch(standing.name, standing.uid, {"data": dict(keys)})

    def delete(self, standing: Standing) -> None:
        """Delete the request, and with it all that it owns. Raises NotFound where it is gone."""
        self.cluster.delete(standing.name, standing.uid)


def number(standing: Standing, run: str) -> int:
    """Return the number of the run that a person names: a number, `latest` or `good`. Raises Invalid, NotFound."""
    record = standing.record
    if run.isascii() and run.isdigit() and len(run) <= RUN_DIGITS:
        if not 1 <= int(run) <= record.run:
            raise NotFound(f"{standing.name} has no run {run}: the latest is {record.run}")
        return int(run)
    if run not in {"latest", "good"}:
        raise Invalid("WrongUse", [f"expected a run's number, latest or good, got {quoted(run)}"])
    found = record.run if run == "latest" else fate.good_run(record)
    if not found:
        raise NotFound(f"{standing.name} has no {'good ' if run == 'good' else ''}run yet")
    return found


def run_file(person: Reader, name: str, run: int, patience: float = RESTART_SECONDS) -> RunFile:
    """Return what a run left, or what is known of it while it is active. Raises NotFound, Transient."""
    answer = person.answer("api", "runs", name, str(run), patience=patience)
    return codec.printable(codec.view(codec.from_plain(RunFile, answer, "what the run left")) or RunFile())


def new_trigger() -> str:
    """Return an id that no trigger had before."""
    return f"cli-{uuid.uuid4().hex[:12]}"


def check_trigger(trigger: str) -> None:
    """Raise Invalid for an id that a trigger can't have."""
    if not trigger or len(trigger) > TRIGGER_LIMIT or not trigger.isprintable():
        raise Invalid("WrongUse", [f"--id: expected at most {TRIGGER_LIMIT} printable characters"])


def _standing(configmap: Object, status: Object | None) -> Standing:
    uid = str(configmap["metadata"].get("uid", ""))
    record = codec.view(statuses.read((status or {}).get("data") or {}, uid))
    writes = ((status or {}).get("metadata") or {}).get("managedFields") or ()
    written = max((str(entry.get("time") or "") for entry in writes), default="")
    return Standing(configmap, codec.printable(record or Record(uid)), record is not None, written)


def _parsed(name: str, data: Mapping[str, str], annotations: Mapping[str, str]) -> Request:
    """Return the request that such keys and annotations state. Raises Invalid with all that is wrong with them."""
    from controller.core.inputs import request  # noqa: PLC0415 (loads pydantic, which only some commands need)

    metadata = {"name": name, "annotations": dict(annotations)}
    return request.parse({"metadata": metadata, "data": {"repository": "https://example.com/x", **data}})


def _is_request(configmap: Object) -> bool:
    return (configmap["metadata"].get("labels") or {}).get(names.ROLE) == names.ROLE_REQUEST
