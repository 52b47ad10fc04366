"""What an upgrade must leave as it is, byte for byte: it is made here again, and compared with what 0.1.0 made.

A manifest of another text rolls every service, another key builds every environment again, another name or path orphans
what is there. The files in recorded-0.1.0 are data; this module is all of the tests that knows what to call for them:
moving or renaming those functions changes this file only. Where a change is meant, say so in CHANGELOG.md, write
the files again and look at what Git says of them:

    python -m tests.support.recorded --write
"""

import base64
import copy
import json
import re
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from controller import settings
from controller.adapters.volume import Archive
from controller.core import layout, names
from controller.core.documents import requirements as documents
from controller.core.documents.seal import opened
from controller.core.inputs import podtemplate
from controller.core.inputs import request as requests
from controller.core.inputs.requirements import Requirements, key, lines, of_stage
from controller.core.model import Batch, Object, Stage
from tests.support import recorded_scenarios as scenarios
from tests.support.recorded_scenarios import DOCUMENTED, SCENARIOS, Files, Scenario, Step
from tests.support.world import REPOSITORY, World

FOLDER = Path(__file__).parent / "recorded-0.1.0"
WIDTH = 120
UID = "0f8f2e2e-7a39-4c07-b6d1-3a2f2a1e9d11"
LIVE = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
MADE = ("CronJob", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "PodDisruptionBudget", "Service")


def render(value: object) -> str:
    """Return the text of a recorded file: JSON, in which what fits on a line is on one."""
    return f"{_rendered(value, '')}\n"


def _rendered(value: object, indent: str) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(indent) + len(text) <= WIDTH or not value or not isinstance(value, dict | list):
        return text
    inner = indent + " "
    if isinstance(value, list):
        return f"[\n{inner}" + f",\n{inner}".join(_rendered(item, inner) for item in value) + f"\n{indent}]"
    pairs = (f"{json.dumps(key, ensure_ascii=False)}: {_rendered(item, inner)}" for key, item in sorted(value.items()))
    return f"{{\n{inner}" + f",\n{inner}".join(pairs) + f"\n{indent}}}"


def recorded(name: str) -> str:
    """Return the text of one recorded file as 0.1.0 made it; "" where there is none."""
    path = FOLDER / f"{name}.json"
    return path.read_text(encoding="utf-8") if path.exists() else ""


# --- runs: manifests, and the documents next to them ------------------------------------------------


def run(name: str, root: Path) -> Mapping[str, str]:
    """Return the files that a scenario makes: its manifests, and its documents in the cluster and on the volume."""
    scenario = SCENARIOS[name]
    world = _world(scenario, root)
    made: dict[str, Object] = {}  # as last written, what is gone by now included
    world.cluster.hook = lambda _verb, _moment: made.update(_objects(world, MADE))
    manifests: list[dict[str, Object]] = []
    for step in (Step(fails=scenario.fails), *scenario.steps):
        before = dict(made)
        _take(world, scenario, step)
        manifests.append({key: item for key, item in made.items() if before.get(key) != item})
    found = {f"manifests/{name}": render(manifests)}
    if name in DOCUMENTED:
        found[f"documents/{name}"] = render({**dict(_objects(world, ["ConfigMap"])), **_files(world, scenario.name)})
    return found


def _world(scenario: Scenario, root: Path) -> World:
    environ = {"COACHWORK_NAMESPACE": "test", "COACHWORK_IMAGE": "python:3.12-slim", **scenario.settings}
    world = World(root, policy=settings.policy(settings.load(environ, {}), "t0"))
    world.source.push(dict(scenario.files))
    for name, values in scenario.secrets.items():  # first of all: a Secret's version is in what is made
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        world.cluster.put(_object("Secret", name, data=data))
    for name, texts in scenario.config_maps.items():
        world.cluster.put(_object("ConfigMap", name, data=dict(texts)))
    for name in scenario.services:
        world.cluster.put(_object("Service", name, spec={}))
    return world


def _object(kind: str, name: str, **parts: Any) -> Object:
    metadata = {"name": name, "namespace": "test", "uid": f"uid-of-{name}"}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **parts}


def _take(world: World, scenario: Scenario, step: Step) -> None:
    """Let the user do what the step says, and the run that follows come to its end."""
    name = scenario.name
    if step.push:
        world.source.push(dict(step.push))
    item = _object("ConfigMap", name, data={"repository": REPOSITORY, **scenario.data, **step.data})
    item["metadata"] |= {
        "uid": UID,
        "labels": {names.ROLE: names.ROLE_REQUEST},
        "annotations": {f"{names.DOMAIN}/{key}": value for key, value in step.annotations.items()},
    }
    world.cluster.put(item)
    if step.fails:
        world.settle(name)
        for job in world.cluster.of_kind("Job"):
            if job["metadata"]["labels"][names.STAGE] == step.fails:
                world.cluster.end_job(job, 3, "ValueError: no rows")
            else:
                world.cluster.begin_pod(job)
    world.finish_all(name)


def _objects(world: World, kinds: Collection[str]) -> Iterator[tuple[str, Object]]:
    """Yield all that the controller has made, by kind and name, without what the API server adds."""
    for (kind, name), item in world.cluster.stored.items():
        if kind in kinds and names.MANAGED_BY in item["metadata"].get("labels", {}):
            made = {key: value for key, value in copy.deepcopy(item).items() if key != "status"}
            made["metadata"] = {key: value for key, value in made["metadata"].items() if key not in LIVE}
            yield f"{kind}/{name}", made


def _files(world: World, name: str) -> Mapping[str, object]:
    """Return the documents that a request has on the volume, by their paths."""
    folder = world.root / layout.request(name, UID)
    found = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".json", ".yaml", ".txt")
    }
    plain = {name: _unsealed(text) if name.endswith(".json") else text for name, text in found.items()}
    return {name: _of_version_1(text) if re.search(r"/locks/.*json$", name) else text for name, text in plain.items()}


def _unsealed(text: str) -> str:
    """Return a document of JSON as 0.1.0 wrote it: without the digest at its end."""
    start = (opened(text) or "").removesuffix("}")
    return f"{start}\n}}\n" if "\n" in start else f"{start}}}\n"


# --- texts and what is made of them -------------------------------------------------------------------


def _wanted(files: Files) -> Requirements:
    file = "train/requirements.txt"
    stage = Stage("train", "train", "run.py", Batch(), requirements_file=file, requirements=lines(files[file]))
    found = of_stage(stage, frozenset(files), {name: text.encode() for name, text in files.items()})
    assert isinstance(found, Requirements)
    return found


def keys() -> object:
    """Return the keys of environments, each with what it is made of."""

    def of(files: Files, decided: Files) -> object:
        found = _wanted(files)
        commits = dict.fromkeys(found.addresses, "c" * 40)
        return {**decided, "files": files, "commits": commits, "key": key(found, commits=commits, **decided)}

    return {
        name: [of(files, decided) for decided in scenarios.DECIDED] for name, files in scenarios.REQUIREMENTS.items()
    }


def builders() -> object:
    """Return what the builder of each environment reads."""
    return {
        name: [
            _of_version_1(documents.write(_wanted(files), "")),
            _of_version_1(documents.write(_wanted(files), "2021-03-05", by_default=True)),
        ]
        for name, files in scenarios.REQUIREMENTS.items()
    }


def _of_version_1(text: str) -> str:
    """Return a requirements.json without what version 2 added: a builder of 0.1.0 may read it."""
    content = json.loads(text)
    del content["version"], content["items"]
    return json.dumps(content, ensure_ascii=False) + "\n"


def templates() -> object:
    """Return pod templates as a run keeps them."""
    maps = {name: _object("ConfigMap", "gpu", data={"pod.yaml": text}) for name, text in scenarios.TEMPLATES.items()}
    return {name: podtemplate.read(item, "gpu", "coachwork") for name, item in maps.items()}


def digests() -> object:
    """Return the digests of requests: another one starts a run."""
    maps = {
        name: _object("ConfigMap", "iris", data={"repository": REPOSITORY, **data})
        for name, data in scenarios.REQUESTS.items()
    }
    return {
        name: {"data": item["data"], "digest": requests.digest(requests.parse(item))} for name, item in maps.items()
    }


def object_names() -> object:
    """Return the names, labels and variables that follow from names of people's own."""
    made: Mapping[str, Callable[[str], str]] = {
        "Job": lambda text: names.job("iris", text, 12),
        "Service": lambda text: names.service("iris", text),
        "Service of a project": lambda text: names.service(text, "web"),
        "request": names.request,
        "label": names.label_value,
        "variable": names.variable,
        "logs": lambda text: str(layout.logs("iris", UID, 12, text)),
    }
    return {text: {what: make(text) for what, make in made.items()} for text in scenarios.NAMES}


def paths() -> object:
    """Return where things are on the volume."""
    one, folder = ("iris", UID, 12), "0123456789abcdef0123-2"
    of_run = (layout.run, layout.artifacts, layout.uses, layout.run_spec, layout.run_record)
    of_build = (layout.environment, layout.build, layout.built, layout.build_logs, layout.build_lock)
    found = {make.__name__: str(make(*one)) for make in of_run} | {
        make.__name__: str(make(folder)) for make in of_build
    }
    found |= {make.__name__: str(make(*one[:2])) for make in (layout.request, layout.cache, layout.record)}
    found |= {make.__name__: str(make(*one, folder)) for make in (layout.lock, layout.requirements)}
    found |= {"build_requirements": str(layout.build_requirements(folder)), "tools": str(layout.tools("t0"))}
    for url in scenarios.REPOSITORIES:
        found |= {
            f"mirror of {url}": str(layout.mirror(url)),
            f"checkout of {url}": str(layout.checkout(url, "c" * 40)),
        }
    return found


# --- documents that 0.1.0 left on a volume ------------------------------------------------------------

RECORDS = sorted((Path(__file__).parent / "records-0.1.0").glob("*.json"))


def shown(record: Mapping[str, Any], root: Path) -> tuple[dict[str, Any], dict[tuple[str, str, int], Any]]:
    """Return what is shown of a record's runs, their outcomes by number, and of their attempts, the exit codes.

    A run that has not ended has the outcome "".
    """
    uid = record["request"]["metadata"]["uid"]
    folder = layout.request("iris", uid)
    files = {folder / name: text for name, text in record["files"].items()} | record.get("volume", {})
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    archive = Archive(root, living=lambda _name: uid)
    runs = {str(run["run"]): run.get("outcome") for run in archive.runs("iris")}
    attempts = {
        (run, str(item["stage"]), int(str(item["attempt"]))): item["exit_code"]
        for run in runs
        for item in archive.logs("iris", run)
    }
    return runs, attempts


TABLES: Mapping[str, Callable[[], object]] = {
    "environment-keys": keys,
    "builders": builders,
    "pod-templates": templates,
    "request-digests": digests,
    "names": object_names,
    "paths": paths,
}


def made() -> Iterator[tuple[str, str]]:
    """Yield all files by their names, as the code of today makes them."""
    for name in SCENARIOS:
        with tempfile.TemporaryDirectory() as root:
            yield from run(name, Path(root)).items()
    for name, table in TABLES.items():
        yield name, render(table())


def main() -> None:
    """Write all files again, and remove those that nothing makes any more."""
    files = dict(made())
    for name, text in files.items():
        path = FOLDER / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in listed() - files.keys():
        (FOLDER / f"{name}.json").unlink()


def listed() -> set[str]:
    """Return the names of all recorded files."""
    return {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.json")}


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.support.recorded --write")
    main()
