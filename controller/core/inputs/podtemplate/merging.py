"""A template under a pod of ours, by the rules of strategic merge.

Mappings are merged key by key, lists that have a merge key (core/v1: `patchMergeKey`) item by item, other lists and
values are ours where we have one. Stricter than strategic merge in one thing: an item of ours replaces the template's
of the same key as a whole, so that no field of a foreign item gets into it. Ours come first.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from controller.core import names
from controller.core.model import Object

MERGE_KEYS: Mapping[str, str] = {"volumes": "name", "volumeMounts": "mountPath", "env": "name"}
"""Merge keys of the lists that both a template and our own pods have."""
# Of the pod that builds an environment: what decides where it goes and what it may pull. Volumes, variables and
# amounts (a GPU) are the stages' own; an environment is shared by all who ask for the same packages.
OF_BUILDS = frozenset({
    "imagePullSecrets", "nodeSelector", "tolerations", "affinity", "schedulerName", "priorityClassName",
    "runtimeClassName", "dnsPolicy", "dnsConfig", "hostAliases",
})  # fmt: skip
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def under_stage(template: str, pod: Object) -> Object:
    """Give a stage's pod template (metadata, spec) with the run's template ("": none) under it."""
    return _under(json.loads(template), pod) if template else pod


def under_build(template: str, pod: Object) -> Object:
    """Give the pod template of an environment build with what of the run's template ("": none) is for builds."""
    if not template:
        return pod
    found = json.loads(template)
    spec = {key: value for key, value in found.get("spec", {}).items() if key in OF_BUILDS}
    return _under({**found, "spec": spec}, pod)


def secret_variables(template: str) -> tuple[str, ...]:
    """Give the names of the variables whose values are Secrets'."""
    return tuple(
        item["name"] for item in _stage(template).get("env") or () if "secretKeyRef" in item.get("valueFrom", {})
    )


def architecture(template: str) -> str:
    """Give the processor that the template wants its nodes to have, "" where it says none."""
    selector = json.loads(template).get("spec", {}).get("nodeSelector", {}) if template else {}
    return str(selector.get("kubernetes.io/arch", ""))


def _stage(template: str) -> Object:
    containers = json.loads(template).get("spec", {}).get("containers") or () if template else ()
    return next((item for item in containers if item["name"] == names.STAGE_CONTAINER), {})


def _under(template: Object, pod: Object) -> Object:
    spec: Object = template.get("spec", {})
    ours: Object = pod["spec"]
    (container,) = ours["containers"]
    theirs: Object = next(iter(spec.get("containers") or ()), {})
    merged = _merged({key: value for key, value in spec.items() if key not in ("containers", "affinity")}, ours)
    merged["containers"] = [_container(theirs, container)]
    if affinity := _affinity(spec.get("affinity", {}), ours.get("affinity", {})):
        merged["affinity"] = affinity
    return {"metadata": _merged(template.get("metadata", {}), pod["metadata"]), "spec": merged}


def _container(under: Object, over: Object) -> Object:
    merged = _merged({key: value for key, value in under.items() if key != "resources"}, over)
    if resources := _resources(under.get("resources", {}), over.get("resources", {})):
        merged["resources"] = resources
    return merged


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Object:
    """Give `under` with `over` on it."""
    found = dict(over)
    for key, value in under.items():
        if key not in over:
            found[key] = value
        elif isinstance(value, dict) and isinstance(over[key], dict):
            found[key] = _merged(value, over[key])
        elif key in MERGE_KEYS:
            found[key] = _items(value, over[key], MERGE_KEYS[key])
    return found


def _items(under: Iterable[Object], over: Iterable[Object], key: str) -> list[Object]:
    ours = list(over)
    known = {item[key] for item in ours}
    return [*ours, *(item for item in under if item[key] not in known)]


def _resources(under: Object, over: Object) -> Object:
    """Give amounts: of a resource that the project names, by request or limit, the project's alone.

    Else a request of the project could be above a limit of the template, which no API server takes.
    """
    named = {name for amounts in over.values() for name in amounts}
    found = {}
    for part in ("requests", "limits"):
        amounts = {name: amount for name, amount in under.get(part, {}).items() if name not in named}
        found[part] = {**amounts, **over.get(part, {})}
    return {part: amounts for part, amounts in found.items() if amounts}


def _affinity(under: Object, over: Object) -> Object:
    """Give both affinities at once: terms of one list are alternatives, so ours goes into each of the template's."""
    merged = {**under, **{key: value for key, value in over.items() if key not in under}}
    if "nodeAffinity" not in under or "nodeAffinity" not in over:
        return merged
    theirs, ours = _terms(under), _terms(over)
    both = [_both(one, other) for one in theirs for other in ours] if theirs and ours else theirs or ours
    nodes = {**over["nodeAffinity"], **under["nodeAffinity"]}
    return {**merged, "nodeAffinity": {**nodes, _REQUIRED: {"nodeSelectorTerms": both}} if both else nodes}


def _terms(affinity: Object) -> list[Object]:
    required = affinity["nodeAffinity"].get(_REQUIRED, {})
    return list(required.get("nodeSelectorTerms", ()))


def _both(one: Object, other: Object) -> Object:
    """Give the term that a node fits which fits both."""
    return {key: [*one.get(key, ()), *other.get(key, ())] for key in sorted(one.keys() | other.keys())}
