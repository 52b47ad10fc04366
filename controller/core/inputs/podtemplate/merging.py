"""A template under a pod of ours, by the rules of strategic merge.

Mappings are merged key by key, lists that have a merge key (core/v1: `patchMergeKey`) item by item, other lists and
values are ours where we have one. Stricter than strategic merge in one thing: an item of ours replaces the template's
of the same key as a whole, so that no field of a foreign item gets into it. Ours come first.
"""

import json
from collections.abc import Mapping
from typing import Any

from controller.core.model import Object

MERGE_KEYS: Mapping[str, str] = {"volumes": "name", "volumeMounts": "mountPath", "env": "name"}
"""Merge keys of the lists that both a template and our own pods have."""
# Of pods that run no stage, those that build an environment or that a schedule starts: what decides where they go and
# what they may pull. Volumes, variables and amounts (a GPU) are the stages' own.
OF_OTHERS = frozenset({
    "imagePullSecrets", "nodeSelector", "tolerations", "affinity", "schedulerName", "priorityClassName",
    "runtimeClassName", "dnsPolicy", "dnsConfig", "hostAliases",
})  # fmt: skip
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def under_stage(template: str, pod: Object) -> Object:
    """Return a stage's pod template (metadata, spec) with the run's template ("": none) under it."""
    return _under(json.loads(template), pod) if template else pod


def under_other(template: str, pod: Object) -> Object:
    """Return the pod template of a build or a schedule with what of a template ("": none) is not for stages alone."""
    if not template:
        return pod
    found = json.loads(template)
    spec = {key: value for key, value in found.get("spec", {}).items() if key in OF_OTHERS}
    return _under({**found, "spec": spec}, pod)


def secret_variables(template: str) -> tuple[str, ...]:
    """Return the names of the variables whose values are Secrets'."""
    containers = json.loads(template).get("spec", {}).get("containers", ()) if template else ()
    variables = [item for container in containers for item in container.get("env", ())]
    return tuple(item["name"] for item in variables if "secretKeyRef" in item.get("valueFrom", {}))


def architecture(template: str) -> str:
    """Return the processor that the template demands of its nodes, "" where it demands none."""
    selector = json.loads(template).get("spec", {}).get("nodeSelector", {}) if template else {}
    return str(selector.get("kubernetes.io/arch", ""))


def _under(template: Object, pod: Object) -> Object:
    spec: Object = template.get("spec", {})
    (container,) = pod["spec"]["containers"]
    theirs: Object = next(iter(spec.get("containers", ())), {})
    merged = _merged(_without(spec, "containers", "affinity"), pod["spec"])
    merged["containers"] = [_merged(_without(theirs, "resources"), container)]
    # Of a resource that the project names, by request or limit, the project's amounts alone: else a request of the
    # project could be above a limit of the template, which no API server takes.
    under, over = theirs.get("resources", {}), container.get("resources", {})
    named = {name for amounts in over.values() for name in amounts}
    found = {part: {**_without(under.get(part, {}), *named), **over.get(part, {})} for part in ("requests", "limits")}
    if resources := {part: amounts for part, amounts in found.items() if amounts}:
        merged["containers"][0]["resources"] = resources
    if affinity := _affinity(spec.get("affinity", {}), pod["spec"].get("affinity", {})):
        merged["affinity"] = affinity
    return {"metadata": _merged(template.get("metadata", {}), pod["metadata"]), "spec": merged}


def _without(part: Object, *fields: str) -> Object:
    return {key: value for key, value in part.items() if key not in fields}


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Object:
    """Return `under` with `over` on it."""
    found = dict(over)
    for key, value in under.items():
        if key not in over:
            found[key] = value
        elif isinstance(value, dict) and isinstance(over[key], dict):
            found[key] = _merged(value, over[key])
        elif by := MERGE_KEYS.get(key):
            known = {item[by] for item in over[key]}
            found[key] = [*over[key], *(item for item in value if item[by] not in known)]
    return found


def _affinity(under: Object, over: Object) -> Object:
    """Return both affinities at once: terms of one list are alternatives, so ours goes into each of the template's."""
    merged = {**under, **_without(over, *under)}
    if "nodeAffinity" not in under or "nodeAffinity" not in over:
        return merged
    theirs, ours = (
        list(affinity["nodeAffinity"].get(_REQUIRED, {}).get("nodeSelectorTerms", ())) for affinity in (under, over)
    )
    both = [
        {key: [*one.get(key, ()), *other.get(key, ())] for key in sorted(one.keys() | other.keys())}
        for one in theirs
        for other in ours
    ]
    terms = both or theirs or ours
    nodes = {**over["nodeAffinity"], **under["nodeAffinity"]}
    return {**merged, "nodeAffinity": {**nodes, _REQUIRED: {"nodeSelectorTerms": terms}} if terms else nodes}
