"""A ConfigMap with `pod.yaml` -> the template as canonical JSON, with all its problems at once.

Refuses what fields.py does not list, mounts of volumes that the template does not have, and the claim that all stages
share: mounted whole, it would show a stage what every other one wrote.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from controller.core import names
from controller.core.errors import Invalid
from controller.core.inputs import checks
from controller.core.inputs.podtemplate.fields import POD
from controller.core.inputs.podtemplate.shape import problems
from controller.core.inputs.project import yamltext
from controller.core.model import Object
from controller.core.text import QUOTE_LIMIT, clean, quoted

KEY = "pod.yaml"
LIMIT = 32 * 1024  # bytes: the template is kept with each run, and is in each of its services' manifests
MISSING, UNUSABLE = "PodTemplateMissing", "InvalidPodTemplate"

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(configmap: Object | None, name: str, claim: str) -> str:
    """Give the template that ConfigMap `name` holds as canonical JSON: equal for equal content.

    `claim` is the shared volume's. Raises Invalid with all problems, PodTemplateMissing or InvalidPodTemplate.
    """
    place = f"pod-template {name}"
    if configmap is None:
        remedy = f"kubectl create configmap {name} --from-file={KEY}"
        raise Invalid(MISSING, [f"{place}: there is no such ConfigMap in the controller's namespace: {remedy}"])
    found = configmap.get("data") or {}
    if not isinstance(found.get(KEY), str):
        others = ", ".join(sorted(clean(key, QUOTE_LIMIT) for key in found)[:5]) or "none"
        raise Invalid(UNUSABLE, [f"{place}: has no key {KEY} (its keys: {others}): make it --from-file={KEY}"])
    template, lines = parse(found[KEY])
    lines += _together(template, claim) if not lines else []
    kept = "" if lines else canonical(template)
    if len(kept) > LIMIT:
        lines = [f"is {len(kept)} characters long with all aliases (*name) written out: {LIMIT} at most"]
    if lines:
        told = checks.bounded((f"{place}: {KEY}: {line}" for line in lines), "and more problems: mend these first")
        raise Invalid(UNUSABLE, told)
    return kept


def parse(text: str) -> tuple[Object, list[str]]:
    """Give what pod.yaml says, without what it leaves empty, and its problems; with problems, nothing is promised."""
    if len(text) > LIMIT:
        return {}, [f"is {len(text)} characters long: {LIMIT} at most"]
    try:
        document, lines = yamltext.parse(text)
        if lines:
            return {}, list(lines)
        # Read once more, as kubectl does (YAML 1.1: 0440 is octal); the first reading found it harmless.
        document = _stated(yaml.load(text, Loader=_Loader))  # noqa: S506 (a safe loader, the C one)
    except yamltext.Unreadable as error:
        return {}, [str(error)]
    except (yaml.YAMLError, ValueError) as error:
        return {}, [f"is no YAML: {error}"]
    found = list(_keys(document)) or list(problems(POD, document if document is not None else {}))
    return (document if isinstance(document, dict) else {}), found


def canonical(template: Object) -> str:
    """Give the template as it is kept: only what is merged, in one order; "" where that is nothing."""
    metadata = {key: value for key, value in (template.get("metadata") or {}).items() if key != "name" and value}
    parts = {"metadata": metadata, "spec": template.get("spec") or {}}
    kept = {key: value for key, value in parts.items() if value}
    return json.dumps(kept, sort_keys=True, separators=(",", ":")) if kept else ""


def _stated(value: Any) -> Any:
    """Give a value without the fields that are left empty: to Kubernetes they are not there."""
    if isinstance(value, dict):
        return {key: _stated(item) for key, item in value.items() if item is not None}
    return [_stated(item) for item in value] if isinstance(value, list) else value


def _keys(value: Any) -> Iterator[str]:
    """Give a problem for each key that is no text to YAML: `on`, 1, a day."""
    if isinstance(value, dict):
        yield from (f"the key {quoted(key)} is no text: put it in quotes" for key in value if type(key) is not str)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _keys(item)


def _together(template: Object, claim: str) -> list[str]:
    """Give what is wrong with parts that are right by themselves."""
    spec = template.get("spec") or {}
    lines = []
    volumes = spec.get("volumes") or []
    for number, volume in enumerate(volumes):
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") == claim:
            path = f"spec.volumes[{number}].persistentVolumeClaim.claimName"
            lines.append(f"{path}: {claim} is Coachwork's own volume, with all that others wrote: name another")
    known = {volume["name"] for volume in volumes}
    for number, mount in enumerate(_mounts(spec)):
        if mount["name"] not in known:
            path = f"spec.containers[0].volumeMounts[{number}].name"
            lines.append(f"{path}: {quoted(mount['name'])} is no volume of the template: {_volumes(known)}")
    return lines


def _mounts(spec: Object) -> list[Object]:
    return [
        mount
        for container in spec.get("containers") or ()
        if container["name"] == names.STAGE_CONTAINER
        for mount in container.get("volumeMounts") or ()
    ]


def _volumes(known: set[str]) -> str:
    return f"choose from {', '.join(sorted(known))}" if known else "add it to spec.volumes"
