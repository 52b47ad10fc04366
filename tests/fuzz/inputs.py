"""What people write: requests with their annotations, projects, requirements, pod templates, settings, keys."""

import base64
import importlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from controller import settings
from controller.core import manifests, numbers, slots
from controller.core.documents import requirements as documents
from controller.core.documents import status
from controller.core.documents.codec import Good
from controller.core.errors import Invalid
from controller.core.inputs import annotations, credentials, cron, index, podtemplate, repository, secretsfile
from controller.core.inputs import request as requests
from controller.core.inputs import requirements as texts
from controller.core.inputs.project import load
from controller.core.manifests import RunContext
from controller.core.model import Batch, Pipeline, Policy, ProjectTree, Record, Request, RunSpec, Stage
from controller.core.pages import listing
from tests.fuzz.target import Target

NOW = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
POLICY = Policy(namespace="ns", image="python:3.12-slim", claim="coachwork", tools="t0")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def a_request(item: Any) -> Iterable[str]:
    """What a request says is the same however often it is read, and all that follows from it can be made."""
    item.setdefault("metadata", {}).setdefault("name", "iris")
    data, stated = item.get("data"), item["metadata"].get("annotations") or {}
    annotations.read(stated)
    requests.identity(item)
    if isinstance(data, dict):
        listing.row("iris", data, None).next(NOW)
        slots.of_request(data, NOW)
    found = requests.read(item)
    assert requests.read(json.loads(json.dumps(item))) == found
    requests.digest(found)
    if found.schedule:
        manifests.cronjob(found, POLICY)
    _is_recorded(found)
    return found.wrong


def _is_recorded(request: Request) -> None:
    """Hold that a run that begins with what a request says is recorded as it is, and read again."""
    spec = RunSpec(
        request.repository, "c" * 40, request.path, "t" * 40, request.image,
        env=request.env, trigger=request.trigger, parameters=request.parameters, rerun=request.rerun,
    )  # fmt: skip
    record = Record("uid", run=1, spec=spec, handled=(request.trigger,), ref=request.ref)
    data = status.write(record)
    json.dumps(data, ensure_ascii=False).encode()
    read = status.read(data, "uid")
    assert isinstance(read, Good)
    assert read.value.spec == spec
    assert status.read_copy(status.copy(data), "uid") == read


def a_project(files: Mapping[str, Any]) -> Iterable[str]:
    """A folder is a pipeline whose objects can all be applied, or a list of problems; YAML and ini alike."""
    contents = {path: str(text).encode("utf-8", "surrogatepass") for path, text in files.items() if _is_path(path)}
    found = load(ProjectTree(digest="t", files=frozenset(contents), texts=contents))
    for stage in found.stages.values():
        _is_applied(found, stage)
        _is_installed(texts.of_stage(stage, contents.keys(), contents))
    return found.warnings


def _is_path(path: str) -> bool:
    """Return whether Git could have such a path, and the checkout gave it: a name that is not UTF-8 is left out."""
    parts = path.split("/")
    return "\0" not in path and path.isprintable() and not {"", ".", ".."} & {*parts}


def _is_applied(pipeline: Pipeline, stage: Stage) -> None:
    spec = RunSpec("https://git.example/iris", "c" * 40, ".", "t" * 40, "python:3.12-slim")
    context = RunContext("iris", "uid", 7, spec, pipeline, POLICY)
    is_batch = isinstance(stage.work, Batch)
    for item in [manifests.job(context, stage)] if is_batch else manifests.service_objects(context, stage):
        json.dumps(item, ensure_ascii=False, allow_nan=False).encode()
        assert NAME.fullmatch(item["metadata"]["name"]), item["metadata"]["name"]


def a_requirement_file(files: Mapping[str, Any]) -> Iterable[str]:
    """Requirements come to the same lines again, and the builder reads of its document what was written."""
    contents = {path: str(text).encode("utf-8", "surrogatepass") for path, text in files.items() if _is_path(path)}
    main = "train/requirements.txt"
    contents.setdefault(main, b"")
    stage = Stage("train", "train", "train.py", Batch(), requirements_file=main)
    return _is_installed(texts.of_stage(stage, contents.keys(), contents))


def _is_installed(wanted: Any) -> Iterable[str]:
    if not isinstance(wanted, texts.Requirements):
        return
    texts.key(wanted, image="i", paths="p", commits={}, index="", as_of="")
    for entry in wanted.entries:
        assert "\n" not in entry.text
        assert texts.remark(entry.item).isprintable()
    content = json.loads(documents.write(wanted, ""))
    assert tuple(item["text"] for item in content["items"]) == (*wanted.lines, *wanted.constraints)
    known = importlib.import_module("install_requirements").ListedItem
    for item in content["items"]:
        known(**item)
        yield item["place"]


def a_pod_template(text: str) -> None:
    """A template that is taken is in normal form, and lies under pods without changing what is ours."""
    found = podtemplate.read({"data": {"pod.yaml": text}}, "gpu", "coachwork")
    if not found:
        return
    assert podtemplate.read({"data": {"pod.yaml": found}}, "gpu", "coachwork") == found
    own = {"name": "stage", "image": "i", "command": ["x"], "volumeMounts": [{"name": "v", "mountPath": "/project"}]}
    pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [own], "volumes": [{"name": "v"}]}}
    for under in (podtemplate.under_stage, podtemplate.under_other):
        merged = under(found, pod)
        json.dumps(merged, allow_nan=False)
        assert merged["spec"]["containers"][0]["command"] == ["x"]
    podtemplate.secret_variables(found)
    podtemplate.architecture(found)


def a_schedule(text: str) -> Iterable[str]:
    """A schedule and its zone: its next times come one after the other, to a minute."""
    schedule, _, zone = text.partition("|")
    try:
        cron.schedule(schedule)
        cron.time_zone(zone)
    except ValueError as error:
        return [str(error)]
    found, now = list[str](), NOW
    for _ in range(3):
        if not (slot := slots.following(schedule, zone, now)):
            break
        assert slot > now
        assert slot.second == 0
        found, now = [*found, str(slot)], slot
    return found


def a_gate(text: str) -> Iterable[str]:
    """A gate is comparisons that the launcher can be given."""
    found, problems = numbers.parse(text)
    order = numbers.order(found, {"accuracy": 1e308, "rmse": -0.5})
    json.dumps(order, allow_nan=False)
    return problems


def an_address(text: str) -> Iterable[str]:
    """An address that is taken is taken again as it is; no password is repeated of one that is not."""
    said = []
    for read in (repository.address, repository.ref, repository.folder, texts.git_address):
        try:
            taken = read(text)
        except ValueError as error:
            said.append(str(error))
        else:
            assert read is texts.git_address or read(str(taken)) == taken
            repository.server(text)
            repository.relative("https://git.example/a/b", text)
    assert "s3cr3t" not in "".join(said) or "://u:s3cr3t@" not in text or text.count("s3cr3t") > 1
    return said


def secrets(item: Mapping[str, Any]) -> Iterable[str]:
    """A Secret opens a repository or says why not; its settings of indexes, likewise; a file of secrets, too."""
    plain = {key: str(value) for key, value in item.get("data", {}).items()}
    coded = {key: base64.b64encode(value.encode(errors="surrogatepass")).decode() for key, value in plain.items()}
    said = list[str]()
    for secret in ({"type": item.get("type"), "data": coded}, {"type": item.get("type"), "data": plain}):
        for address in ("https://git.example/a", "ssh://git@git.example/a"):
            try:
                credentials.git_credentials(secret, "keys", address)
            except Invalid as error:
                said += error.problems
        try:
            index.variables(index.settings(secret, "index").keys)
        except Invalid as error:
            said += error.problems
    for value in plain.values():
        said += secretsfile.parse(value[:50_000].encode(errors="surrogatepass"))[1]
    return said


def the_settings(variables: Mapping[str, Any]) -> None:
    """The controller's settings are a policy, or all that is wrong with them."""
    found = settings.load({str(key): str(value) for key, value in variables.items()}, {})
    settings.policy(found, "t")


TARGETS = (
    Target("requests", a_request, 7_000, typed=True),
    Target("projects", a_project, 7_000),
    Target("requirements", a_requirement_file, 10_000),
    Target("pod-templates", a_pod_template, 5_000),
    Target("schedules", a_schedule, 3_000),
    Target("gates", a_gate, 2_000),
    Target("addresses", an_address, 5_000),
    Target("secrets", secrets, 2_000, typed=True),
    Target("settings", the_settings, 2_000, typed=True),
)
