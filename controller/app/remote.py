"""The requests of one namespace, for commands: what a person may ask of a cluster and of the controller there.

Composition root of every command that talks to a cluster. Everything goes with the rights of whoever calls it.
"""

import json
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from controller.adapters.kube.person import SERVICE, USED, Person, join, loaded
from controller.adapters.kube.transport import Body
from controller.app.unpack import unpack
from controller.core import fate, names
from controller.core.documents import codec
from controller.core.documents import status as statuses
from controller.core.documents.run import RunFile
from controller.core.errors import Invalid, NotFound, NotYet, Refused, Transient
from controller.core.inputs import checks, request
from controller.core.model import Object, Record, Request

if TYPE_CHECKING:
    from controller.core.doctor import Finding

BINDING = "ask the namespace's administrator to bind you to the Role coachwork-user (deploy/components/user-role)"
RESTART_SECONDS, RESTART_PAUSE = 20.0, 1.0  # that a controller's pod may take to be replaced; between two looks
TRIGGER_LIMIT = 128  # characters: what goes with a trigger repeats it, and has a limit of its own


@dataclass(frozen=True, slots=True)
class Standing:
    """A request as it stands: its ConfigMap, and what is recorded of it (`recorded`: whether anything is yet)."""

    configmap: Object
    record: Record
    recorded: bool

    @property
    def name(self) -> str:
        """Give the request's name."""
        return str(self.configmap["metadata"]["name"])

    @property
    def data(self) -> Mapping[str, str]:
        """Give the request's keys."""
        return self.configmap.get("data") or {}

    @property
    def trigger(self) -> str:
        """Give the trigger that it states."""
        return str((self.configmap["metadata"].get("annotations") or {}).get(names.TRIGGER, ""))


class Remote:
    """The requests of one namespace of a cluster."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self.namespace = person.namespace

    # --- looking ------------------------------------------------------------------------------------

    def all(self) -> list[Standing]:
        """Give all requests, by name. Raises NotFound where there is no such namespace, Transient."""
        found = self._person.listed(names.ROLE, (names.ROLE_REQUEST, names.ROLE_STATUS))
        by_role: dict[str, dict[str, Object]] = {names.ROLE_REQUEST: {}, names.ROLE_STATUS: {}}
        for item in found:
            by_role[item["metadata"]["labels"][names.ROLE]][item["metadata"]["name"]] = item
        requests = by_role[names.ROLE_REQUEST]
        return [
            _standing(requests[name], by_role[names.ROLE_STATUS].get(names.status_of(name)))
            for name in sorted(requests)
        ]

    def one(self, name: str) -> Standing:
        """Give one request. Raises NotFound with the nearest name, Transient."""
        configmap = self._named(name)
        return _standing(configmap, self._person.get(names.status_of(name)))

    def _named(self, name: str) -> Object:
        found = self._person.get(name) if name else None
        if found is None or not _is_request(found):
            raise NotFound(self._unknown(name))
        return found

    def _unknown(self, name: str) -> str:
        """Give the sentence for a request that is not there. The nearest name is a courtesy: it needs another right."""
        known: list[str] = []
        with suppress(Transient):
            known = [standing.name for standing in self.all()]
        if not known:
            self.ready()  # raises what is wrong, if it is not just that there is no request
        there = f"no request {checks.shown(name)} in namespace {self.namespace}"
        remedy = (
            checks.nearest(name, known) if known else "make it with coachwork deploy, or name another namespace with -n"
        )
        return f"{there}: {remedy}"

    def number(self, standing: Standing, run: str) -> int:
        """Give the number of the run that a person names: a number, `latest` or `good`. Raises Invalid, NotFound."""
        kept = standing.record
        if run.isascii() and run.isdigit() and len(run) < 10:  # noqa: PLR2004 (more digits than runs)
            if not 1 <= int(run) <= kept.run:
                raise NotFound(f"{standing.name} has no run {run}: the latest is {kept.run}")
            return int(run)
        if run not in {"latest", "good"}:
            raise Invalid("WrongUse", [f"a run is a number, latest or good, got {checks.shown(run)}"])
        found = kept.run if run == "latest" else fate.good_run(kept)
        if not found:
            raise NotFound(f"{standing.name} has no {'good ' if run == 'good' else ''}run yet")
        return found

    # --- asking -------------------------------------------------------------------------------------

    def deploy(self, name: str, data: Mapping[str, str], trigger: str) -> Standing:
        """Make or update a request, and have it run under this trigger ("": only if that changes what runs).

        Raises Invalid with all problems before anything is written, or where the name is another ConfigMap's, NotFound
        where there is no such namespace, Transient where no controller is there.
        """
        annotations = {names.TRIGGER: trigger} if trigger else {}
        metadata: Object = {"name": name, "labels": {names.ROLE: names.ROLE_REQUEST}, "annotations": annotations}
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
        request.parse(manifest)
        self.ready()
        there = self._person.get(name)
        if there is not None and not _is_request(there):
            problem = f"ConfigMap {name} of namespace {self.namespace} is no request: choose another --name"
            raise Invalid("NameTaken", [problem])
        if there is not None:
            metadata["uid"] = there["metadata"]["uid"]
        return _standing(self._person.apply(manifest), None)

    def trigger(
        self,
        standing: Standing,
        trigger: str,
        *,
        parameters: Sequence[tuple[str, str]] = (),
        rerun: int = 0,
        resume: str = "",
    ) -> None:
        """Have it run under this id: with parameters, as an earlier run (`rerun`), from a stage on (`resume`).

        Raises Invalid where the id can't be one, NotFound where the request is gone, Transient.
        """
        check_trigger(trigger)
        given = json.dumps(dict(parameters), separators=(",", ":")) if parameters else ""
        parts = {names.SET: given, names.RERUN: str(rerun or ""), names.FROM: resume}
        marks = {annotation: f"{trigger} {value}" for annotation, value in parts.items() if value}
        annotations = {names.TRIGGER: trigger, **marks}
        if _stated(standing.name, {}, annotations).resume != resume:
            raise Invalid("UnknownStage", [f"--from: no stage {checks.shown(resume)}"])
        self._annotate(standing, annotations)

    def check_rerun(self, standing: Standing, run: int, resume: str) -> None:
        """Refuse a run that is no longer kept, or a stage that it does not have ("": all). Raises NotFound, Invalid.

        Who may not ask the controller, or reaches none, goes on: the controller refuses it then.
        """
        place = f"/api/runs/{quote(standing.name, safe='')}/{run}"
        try:
            told = loaded(self._person.page(place, {}, accept="*/*", follow=False))
        except Transient:
            return
        stages = told.get("stages") if isinstance(told, dict) else None
        if not resume or not isinstance(stages, dict):
            return
        known = stages.keys() - {item.get("name") for item in _listed(told.get("environments"))}
        if resume not in known:
            line = f"--from: run {run} has no stage {checks.shown(resume)}: {checks.nearest(resume, map(str, known))}"
            raise Invalid("UnknownStage", [line])

    def cancel(self, standing: Standing, run: int) -> None:
        """Have this run cancelled. Raises NotFound where the request is gone, Transient."""
        self._annotate(standing, {names.CANCEL: str(run)})

    def _annotate(self, standing: Standing, annotations: Mapping[str, str]) -> None:
        self._change(standing, {"metadata": {"annotations": dict(annotations)}})

    def state(self, standing: Standing, keys: Mapping[str, str | None]) -> None:
        """Set keys of the request, or remove them (None). Raises Invalid where a value is wrong."""
        _stated(standing.name, {key: value for key, value in keys.items() if value is not None}, {})
        self._change(standing, {"data": dict(keys)})

    def delete(self, standing: Standing) -> None:
        """Delete the request, and with it all that it owns."""
        self._person.delete(standing.name, standing.configmap["metadata"]["uid"])

    def _change(self, standing: Standing, change: Object) -> None:
        self._person.patch(standing.name, standing.configmap["metadata"]["uid"], change)

    # --- what the controller keeps ---------------------------------------------------------------------

    def _page(self, path: str, query: Mapping[str, str], *, accept: str = "*/*", follow: bool = False) -> Body:
        """Give a page of the controller's; one that is being replaced by another pod is given the time to come up.

        Raises as Person.page.
        """
        until = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                return self._person.page(path, query, accept=accept, follow=follow)
            except Transient as error:
                if error.reason != "ControllerDown" or time.monotonic() >= until:
                    raise
            time.sleep(RESTART_PAUSE)

    def ready(self) -> None:
        """See that a controller is there to do what is asked. Raises Transient where none is, NotFound (the namespace).

        Who may not look (a CronJob's pod) goes on without.
        """
        try:
            with self._page("/readyz", {}):
                return
        except Transient as error:
            if error.reason == "ControllerMissing" and not self._person.lives():
                raise NotFound(f"no namespace {checks.shown(self.namespace)}: name another with -n") from None
            if error.reason != "Forbidden":
                raise

    def doctor(self) -> tuple[str, list["Finding"]]:
        """Give the controller's version and what its own doctor finds. Raises NotFound, Transient."""
        return examination(loaded(self._page("/api/doctor", {})))

    def rights(self) -> list["Finding"]:
        """Give which of the rights that commands need this person has. Raises Transient."""
        from controller.core import doctor  # noqa: PLC0415 - no other command pays for its imports

        wanted = {("", resource): frozenset(map(str, verbs)) for resource, verbs in USED.items()}
        try:
            lacking = self._person.examiner().lacking(wanted, {"services/proxy": SERVICE})
        except (Refused, NotYet) as error:
            raise Transient("Forbidden", str(error)) from error
        return doctor.rights("your rights", wanted, lacking, BINDING, "note")

    def run_record(self, name: str, run: str) -> RunFile:
        """Return what a run left: a number, `latest` or `good`. Raises NotFound, Transient."""
        found = loaded(self._page(f"/api/runs/{quote(name, safe='')}/{quote(run, safe='')}", {}))
        return codec.printable(codec.view(codec.from_plain(RunFile, found, "what the run left")) or RunFile())

    def logs(self, name: str, run: str) -> list[dict[str, Any]]:
        """Give what logs a run has, one entry for each attempt of each stage."""
        return _listed(loaded(self._page(f"/api/logs/{quote(name, safe='')}", {"run": run})))

    def log(self, name: str, stage: str, query: Mapping[str, str]) -> Body:
        """Give one log's bytes: `run`, `attempt`, `tail` lines, and with `follow` until it ends."""
        path = f"/api/logs/{quote(name, safe='')}/{quote(stage, safe='')}"
        return self._page(path, query, follow=bool(query.get("follow")))

    def artifacts(self, name: str, run: str) -> list[dict[str, Any]]:
        """Give the artifacts of a run: path, size, modified."""
        return _listed(loaded(self._page(f"/api/artifacts/{quote(name, safe='')}", {"run": run})))

    def fetch(self, name: str, run: str, path: str, target: Path) -> None:
        """Write one artifact to a file, whole or not at all. Raises NotFound, Transient, Invalid (the file here)."""
        place = f"/api/artifacts/{quote(name, safe='')}/{quote(run, safe='')}/{quote(path, safe='/')}"
        with self._page(place, {}) as body, _here(target), _whole(target) as file:
            while chunk := body.read(1 << 20):
                file.write(chunk)

    def fetch_all(self, name: str, run: str, path: str, folder: Path) -> None:
        """Unpack a run's artifacts below `path` ("": all) into a folder; nothing is written outside it.

        Raises NotFound, Transient, Invalid (the folder here).
        """
        below = f"/{quote(path, safe='/')}" if path else ""
        place = f"/api/artifacts/{quote(name, safe='')}/{quote(run, safe='')}{below}"
        with self._page(place, {}, accept="application/x-tar") as body, _here(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                unpack(body, folder)
            except tarfile.TarError as error:
                raise Transient("ControllerBusy", f"the artifacts did not come whole: {error}") from error


@contextmanager
def remote(namespace: str, context: str, kubeconfig: str) -> Iterator[Remote]:
    """Give the requests of the namespace that these lead to, as `kubectl` would. Raises Transient (BadKubeconfig)."""
    person = join(namespace, context=context, kubeconfig=kubeconfig)
    try:
        yield Remote(person)
    finally:
        person.close()


def examination(answer: Any) -> tuple[str, list["Finding"]]:
    """Return the version and the findings that a controller's answer states. Raises Transient where it is none."""
    from controller.core import doctor  # noqa: PLC0415 - as above

    if not isinstance(answer, dict):
        raise Transient("ControllerBusy", "the controller's answer is no examination")
    return str(answer.get("version", "")), doctor.from_json(_listed(answer.get("findings")))


def new_trigger() -> str:
    """Give an id that no trigger had before."""
    return f"cli-{uuid.uuid4().hex[:12]}"


def check_trigger(trigger: str) -> None:
    """Raise Invalid where a trigger's id can't be one."""
    if not trigger or len(trigger) > TRIGGER_LIMIT or not trigger.isprintable():
        raise Invalid("WrongUse", [f"--id: expected at most {TRIGGER_LIMIT} printable characters"])


def _standing(configmap: Object, status: Object | None) -> Standing:
    uid = str(configmap["metadata"].get("uid", ""))
    data = (status or {}).get("data") or {}
    record = codec.view(statuses.read(data, uid)) or Record(uid)
    return Standing(configmap, codec.printable(record), recorded=data.get("request-uid") == uid)


def _stated(name: str, data: Mapping[str, str], annotations: Mapping[str, str]) -> Request:
    """Return what keys and annotations of a request would state. Raises Invalid with all that is wrong with them."""
    metadata = {"name": name, "annotations": dict(annotations)}
    return request.parse({"metadata": metadata, "data": {"repository": "https://example.com/x", **data}})


def _is_request(configmap: Object) -> bool:
    return (configmap["metadata"].get("labels") or {}).get(names.ROLE) == names.ROLE_REQUEST


def _listed(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


@contextmanager
def _here(place: Path) -> Iterator[None]:
    """Tell trouble with a file of this machine as what it is."""
    try:
        yield
    except OSError as error:
        raise Invalid("WrongUse", [f"--to: {place}: {error.strerror or error}"]) from error


@contextmanager
def _whole(target: Path) -> Iterator[Any]:
    """Give a file that gets its name once it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
