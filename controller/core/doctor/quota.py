"""The doctor about ResourceQuotas and LimitRanges: whether they would refuse our pods."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from controller.core.doctor.finding import Finding
from controller.core.manifests import amounts
from controller.core.model import Object, Policy

Amounts: TypeAlias = Mapping[tuple[str, str], str]
"""(`requests` or `limits`, resource) -> quantity, of one container."""

STAGES, BUILDS, SCHEDULES = "stages that name none", "builds of environments", "schedules"
# A quota of cpu or memory wants each pod to say what it counts, and one of anything else does not
# (kubernetes, pkg/quota/v1/evaluator/core/pods.go).
_COUNTED: Final = {
    **{f"{part}.{resource}": (part, resource) for part in ("requests", "limits") for resource in ("cpu", "memory")},
    **{resource: ("requests", resource) for resource in ("cpu", "memory")},
}


def quota(policy: Policy, quotas: Iterable[Object], ranges: Iterable[Object]) -> list[Finding]:
    """Return the quotas and limits of the namespace that would refuse pods of ours, or that none would."""
    every, bounds = list(quotas), [(item, limit) for item in ranges for limit in item["spec"].get("limits") or ()]
    added = [limit for _, limit in bounds if limit.get("type") == "Container"]
    resources = {STAGES: {}, BUILDS: amounts.of_builds(policy), SCHEDULES: amounts.OF_TRIGGERS}
    pods = {
        who: _ranged(amounts.completed({"resources": given}, policy)["resources"], added)
        for who, given in resources.items()
    }
    found = [*_open(every, pods), *_out_of_bounds(bounds, pods)]
    line = f"{len(every)} ResourceQuotas, {len(bounds)} limits of LimitRanges: none refuses our pods"
    return found or [Finding("quota", "ok", line)]


def _open(quotas: Iterable[Object], pods: Mapping[str, Amounts]) -> Iterator[Finding]:
    """Yield the quotas that count what pods leave open."""
    for item in quotas:
        counted = {_COUNTED[key] for key in item["spec"].get("hard") or {} if key in _COUNTED}
        lacks = {who: counted - pod.keys() for who, pod in pods.items() if _covers(item["spec"], who, pod)}
        if lacking := sorted({key for keys in lacks.values() for key in keys}):
            whose = ", ".join(who for who, keys in lacks.items() if keys)
            line = f"{item['metadata']['name']} refuses pods without {', '.join(map('.'.join, lacking))}: {whose}"
            settings = " and ".join(sorted({f"COACHWORK_DEFAULT_{part.upper()}" for part, _ in lacking}))
            remedy = f"set {settings}, like cpu=500m, memory=1Gi, or make a LimitRange with defaults"
            yield Finding("quota", "wrong", line, remedy)


def _out_of_bounds(bounds: Iterable[tuple[Object, Object]], pods: Mapping[str, Amounts]) -> Iterator[Finding]:
    """Yield what LimitRanges refuse of pods: amounts too small or large, or above the limit that they give."""
    remedy = "set COACHWORK_DEFAULT_REQUESTS, COACHWORK_DEFAULT_LIMITS or COACHWORK_INSTALL_MEMORY to fit"
    outer = [
        (item["metadata"]["name"], part, resource, str(amount), sign)
        for item, limit in bounds
        if limit.get("type") in ("Container", "Pod")
        for edge, part, sign in (("max", "limits", 1), ("min", "requests", -1))
        for resource, amount in (limit.get(edge) or {}).items()
    ]
    for who, pod in pods.items():
        own = [
            ("their default limit", "requests", resource, amount, 1)
            for (part, resource), amount in pod.items()
            if part == "limits"
        ]
        for whose, part, resource, edge, sign in [*outer, *own]:
            has = pod.get((part, resource))
            if has is None or sign * amounts.number(has) > sign * amounts.number(edge):
                allowed = f"{whose} allows {'at most' if sign > 0 else 'at least'} {edge}"
                yield Finding("quota", "wrong", f"{part}.{resource} of {who} is {has or 'open'}, {allowed}", remedy)


def _ranged(resources: Object, added: Iterable[Object]) -> Amounts:
    """Return what a container has when LimitRanges have added theirs; a limit alone is its request, too."""
    limits, requests = dict(resources.get("limits") or {}), dict(resources.get("requests") or {})
    requests = {**limits, **requests}
    for limit in added:
        limits = {**(limit.get("default") or {}), **limits}
        requests = {**(limit.get("default") or {}), **(limit.get("defaultRequest") or {}), **requests}
    parts = {"requests": requests, "limits": limits}
    return {(part, resource): str(amount) for part, found in parts.items() for resource, amount in found.items()}


def _covers(spec: Object, who: str, pod: Amounts) -> bool:
    """Return whether a quota counts such a pod at all: its scopes may leave it out."""
    selected = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    scopes = {*(spec.get("scopes") or ()), *(str(item.get("scopeName")) for item in selected)}
    without = {  # what ours are not, unless a pod template says so
        "BestEffort", "PriorityClass", "CrossNamespacePodAffinity",
        *(["Terminating"] if who == SCHEDULES else ["NotTerminating"] if who == BUILDS else []),  # by their deadlines
        *([] if pod else ["NotBestEffort"]),
    }  # fmt: skip
    return not scopes & without
