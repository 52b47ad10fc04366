"""What somebody has changed of an object that we applied, and the object as it has to be again.

A value that differs is not enough: an admission webhook may have changed it on the way in, and would do so again. So
it is drift only if the field is no longer ours: the API server notes in `managedFields` who set a field last, and it
notes a webhook's change as its caller's. What others add (containers, variables, annotations) is theirs and stays, and
so does what Kubernetes' own controllers set, such as an autoscaler's number of replicas.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from controller.core import names
from controller.core.model import Object
from controller.core.text import parse_quantity

Path: TypeAlias = tuple[str | Object, ...]
"""The way to a field: names of fields, and items of lists by what they are known by."""

SHOWN = 3  # fields that a message names
KUBERNETES = "kube-controller-manager"  # the manager that its own controllers write as
_OWNED = ("labels", "annotations", "ownerReferences")  # of the metadata
_ITEMS: Mapping[str, tuple[str, ...]] = {  # lists whose items the API knows by a field, the first that an item has
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "ownerReferences": ("uid",),
}
_WHOLE = ("selector", "nodeSelector")  # maps that have one owner as a whole: a key more is a change
_REPLACED = (*_WHOLE, "env", "volumes", "readinessProbe")  # parts of which must not be mixed with another's
_ATOMS = (  # mappings that have one owner as a whole, too, and whose fields are compared one by one
    "secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef", "secretRef", "configMapRef",
    "requiredDuringSchedulingIgnoredDuringExecution",
)  # fmt: skip
_AMOUNTS = ("requests", "limits", "sizeLimit")


@dataclass(frozen=True, slots=True)
class Drift:
    """What differs, and who did it."""

    fields: str
    by: str


def differs(wanted: Object, live: Object) -> bool:
    """Return whether anything that `wanted` sets is otherwise in `live`."""
    return any(_differences(wanted, live))


def read(wanted: Object, live: Object) -> Drift | None:
    """Return what of `wanted` others have changed; `live` has its managedFields whole."""
    entries = [item for item in live["metadata"].get("managedFields") or () if item.get("subresource") != "status"]
    lost = [path for path in _differences(wanted, live) if not _is_held(entries, path, (names.MANAGER, KUBERNETES))]
    if not lost:
        return None
    fields = list(dict.fromkeys(map(_dotted, lost)))
    more = f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else ""
    return Drift(f"{', '.join(fields[:SHOWN])}{more}", _authors(entries, lost) or "somebody")


def _authors(entries: Sequence[Object], lost: Sequence[Path]) -> str:
    """Return who holds these fields, or else the lists that they were in; nobody holds what is gone."""
    others = [item for item in entries if item.get("manager") != names.MANAGER]
    for paths in (lost, [path[: _last_item(path)] for path in lost if _last_item(path)]):
        if found := {str(item.get("manager")) for item in others for path in paths if _is_held([item], path)}:
            return ", ".join(sorted(found))
    return ""


def _last_item(path: Path) -> int:
    return max((number for number, step in enumerate(path) if not isinstance(step, str)), default=0)


def mended(wanted: Object, live: Object) -> Object:
    """Return `live` with all that `wanted` sets, for an update; what others added stays, but for ports."""
    metadata = {key: value for key, value in wanted["metadata"].items() if key in _OWNED}
    spec = _unpaused(unheld(wanted, live), live)
    return {
        **live,
        "metadata": _laid_over(metadata, live["metadata"], ""),
        "spec": _laid_over(spec, live["spec"], ""),
    }


def unheld(wanted: Object, live: Object) -> Object:
    """Return `wanted` without what Kubernetes' own controllers have set since; `live` has its managedFields whole."""
    entries, spec = live["metadata"].get("managedFields") or (), wanted.get("spec") or {}
    held = [key for key in spec if _is_held(entries, ("spec", key), (KUBERNETES,))]
    return {**wanted, "spec": {key: item for key, item in spec.items() if key not in held}} if held else wanted


# --- by value -------------------------------------------------------------------------------------


def _differences(wanted: Object, live: Object) -> Iterator[Path]:
    for key in _OWNED:
        yield from _in(wanted["metadata"].get(key), live["metadata"].get(key), ("metadata", key))
    yield from _in(_unpaused(wanted, live), live.get("spec"), ("spec",))


def _unpaused(wanted: Object, live: Object) -> Object:
    """Return the spec that is wanted; of a Deployment that somebody has paused, that it is not: it never rolls out."""
    spec: Object = wanted.get("spec") or {}
    return {**spec, "paused": False} if (live.get("spec") or {}).get("paused") else spec


def _in(wanted: Any, live: Any, path: Path) -> Iterator[Path]:
    key = path[-1]
    if isinstance(wanted, dict) and key not in _WHOLE:
        for name, value in wanted.items():
            yield from _in(value, live.get(name) if isinstance(live, dict) else None, (*path, name))
    elif isinstance(wanted, list) and key in _ITEMS:
        for item in wanted:
            yield from _in(item, _match(str(key), item, live), (*path, item))
    elif not _is_same(wanted, live, any(part in _AMOUNTS for part in path)):
        yield path


def _is_same(wanted: Any, live: Any, amount: bool) -> bool:
    """Return whether a value is as wanted; the API leaves out what is empty, and writes 1024Mi as 1Gi."""
    if live is None:
        return not wanted
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        return all(not any(_in(item, other, ("",))) for item, other in zip(wanted, live, strict=True))
    return bool(wanted == live) or (amount and parse_quantity(str(wanted)) == parse_quantity(str(live)) is not None)


def _match(key: str, wanted: Object, items: Any) -> Object | None:
    """Return the item of a list that is the wanted one by name."""
    known = items if isinstance(items, Sequence) else ()
    return next((item for item in known if _identity(key, item) == _identity(key, wanted)), None)


def _identity(key: str, item: Object) -> tuple[str, ...]:
    name = next((str(item[field]) for field in _ITEMS[key] if field in item), "")
    return (name, str(item.get("protocol", "TCP"))) if key == "ports" else (name,)


def _dotted(path: Path) -> str:
    """Return how a path is shown: spec.template.spec.containers[stage].image."""
    text = ""
    for before, step in zip(("", *path), path, strict=False):
        text += f".{step}" if isinstance(step, str) else f"[{_identity(str(before), step)[0]}]"
    return text.removeprefix(".")


# --- by owner -------------------------------------------------------------------------------------


def _is_held(entries: Sequence[Object], path: Path, managers: Sequence[str] = ()) -> bool:
    """Return whether an entry, of one of these managers if any are given, holds the field at `path`."""
    return any(
        "fieldsV1" not in entry or _holds(entry["fieldsV1"], path)  # the laptop's cluster notes whole objects
        for entry in entries
        if not managers or entry.get("manager") in managers
    )


def _holds(fields: Object, path: Path) -> bool:
    before: str | Object = ""
    for step in path:
        if not fields and before in _ATOMS:
            return True
        found = fields.get(f"f:{step}") if isinstance(step, str) else _item(fields, step)
        if found is None:
            return False
        fields, before = found, step
    return True


def _item(fields: Object, item: Object) -> Object | None:
    keys = ((json.loads(key[2:]), value) for key, value in fields.items() if key.startswith("k:"))
    return next(
        (value for key, value in keys if all(item.get(name, known) == known for name, known in key.items())), None
    )


# --- as it has to be ------------------------------------------------------------------------------


def _laid_over(wanted: Any, live: Any, key: str) -> Any:
    """Return `live` with what differs from `wanted` put right, and nothing else moved: a new order rolls all pods."""
    if not any(_in(wanted, live, (key,))):
        return live
    if isinstance(wanted, dict) and isinstance(live, dict) and key not in _REPLACED:
        return {**live, **{name: _laid_over(value, live.get(name), name) for name, value in wanted.items()}}
    if isinstance(wanted, list) and isinstance(live, list) and key in _ITEMS:
        return [*_laid_items(wanted, live, key)]
    return wanted


def _laid_items(wanted: Sequence[Object], live: Sequence[Object], key: str) -> Iterator[Object]:
    """Yield the items of a list. A port of another number is one more port, of a name that is taken: it goes."""
    foreign = [item for item in live if key != "ports" and _match(key, item, wanted) is None]
    ours = dict[tuple[str, ...], Object]()
    for item in wanted:
        before = _match(key, item, live)
        ours[_identity(key, item)] = item if before is None or key in _REPLACED else _laid_over(item, before, "")
    for item in live if foreign else ():
        own = item if item in foreign else ours.pop(_identity(key, item), None)
        yield from [own] if own else []
    yield from ours.values()
