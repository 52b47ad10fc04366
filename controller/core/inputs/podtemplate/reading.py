"""A ConfigMap with `pod.yaml` -> the template as canonical JSON, with all its problems at once.

Refuses what forms.py does not list, mounts of volumes that the template does not have, and the claim that all stages
share: mounted whole, it would show a stage what every other one wrote.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from controller.core.errors import Invalid
from controller.core.inputs import engine, kinds
from controller.core.inputs.engine import Broken
from controller.core.inputs.project import yamltext
from controller.core.model import Object
from controller.core.safeyaml import LOADER
from controller.core.text import clean, nearest, quoted

KEY = "pod.yaml"
LIMIT = 32 * 1024  # bytes: the template is kept with each run, and is in each of its services' manifests
MISSING, UNUSABLE = "PodTemplateMissing", "InvalidPodTemplate"


def read(configmap: Object | None, name: str, claim: str) -> str:
    """Return the template that ConfigMap `name` holds as canonical JSON: equal for equal content.

    `claim` is the shared volume's. Raises Invalid with all problems, PodTemplateMissing or InvalidPodTemplate.
    """
    place = f"pod-template {name}"
    if configmap is None:
        remedy = f"kubectl create configmap {name} --from-file={KEY}"
        raise Invalid(MISSING, [f"{place}: not found in the controller's namespace: {remedy}"])
    found = configmap.get("data") or {}
    if not isinstance(found.get(KEY), str):
        others = ", ".join(sorted(map(clean, found))[:5]) or "none"
        raise Invalid(UNUSABLE, [f"{place}: has no key {KEY} (its keys: {others}): make it --from-file={KEY}"])
    template, lines = _parse(found[KEY], claim)
    text = "" if lines else canonical(template)
    if len(text) > LIMIT:
        lines = [f"is {len(text)} characters long with all aliases (*name) written out: {LIMIT} at most"]
    if lines:
        raise Invalid(UNUSABLE, kinds.bounded(f"{place}: {KEY}: {line}" for line in lines))
    return text


def canonical(template: Object) -> str:
    """Return the template as it is recorded: only what is merged, in one order; "" where that is nothing."""
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if key != "name" and value}
    parts = {"metadata": metadata, "spec": template.get("spec") or {}}
    stated = {key: value for key, value in parts.items() if value}
    return json.dumps(stated, sort_keys=True, separators=(",", ":")) if stated else ""


def _parse(text: str, claim: str) -> tuple[Object, list[str]]:
    """Return what pod.yaml says, without what it leaves empty, and its problems; with problems, nothing is promised."""
    if len(text) > LIMIT:
        return {}, [f"is {len(text)} characters long: {LIMIT} at most"]
    try:
        document, lines = yamltext.parse(text)
        if lines:
            return {}, list(lines)
        # Read once more, as kubectl does (YAML 1.1: 0440 is octal); the first reading found it harmless.
        document = _stated(yaml.load(text, Loader=LOADER))  # noqa: S506 (a safe loader, the C one)
    except yamltext.Unreadable as error:
        return {}, [str(error)]
    except (yaml.YAMLError, ValueError) as error:
        return {}, [f"not valid YAML: {error}"]
    from controller.core.inputs.podtemplate.forms import POD  # noqa: PLC0415 (0.1 s, which only a template costs)

    if lines := tuple(_keys(document)):
        return {}, list(lines)
    template = {} if document is None else document
    _, faults = engine.check(POD, template)
    broken = [(fault.location, fault.sentence) for fault in faults] or _together(template, claim)
    return template, [": ".join(filter(None, (engine.path(place), sentence))) for place, sentence in broken]


def _stated(value: Any) -> Any:
    """Return a value without the fields that are left empty: to Kubernetes they are not there."""
    if isinstance(value, dict):
        return {key: _stated(item) for key, item in value.items() if item is not None}
    return [_stated(item) for item in value] if isinstance(value, list) else value


def _keys(value: Any) -> Iterator[str]:
    """Yield a problem for each key that is not text to YAML: `on`, 1, a day."""
    if isinstance(value, dict):
        yield from (f"the key {quoted(key)} is not text: put it in quotes" for key in value if type(key) is not str)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _together(template: Object, claim: str) -> Iterator[Broken]:
    """Yield what is wrong with parts that are right by themselves."""
    spec = template.get("spec") or {}
    volumes, containers = spec.get("volumes") or [], spec.get("containers") or []
    for number, volume in enumerate(volumes):
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") == claim:
            sentence = f"{claim} is Coachwork's own volume, with all that others wrote: name another"
            yield ("spec", "volumes", number, "persistentVolumeClaim", "claimName"), sentence
    known = {volume["name"] for volume in volumes}
    for number, mount in enumerate(mount for container in containers for mount in container.get("volumeMounts") or ()):
        if mount["name"] not in known:
            remedy = nearest(mount["name"], known) if known else "add it to spec.volumes"
            place = ("spec", "containers", 0, "volumeMounts", number, "name")
            yield place, f"{quoted(mount['name'])} is not a volume of the template: {remedy}"
