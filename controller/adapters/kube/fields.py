"""Who set which field of an object: our creates have to become applies, or what they set would never go away.

Server-side apply removes a field that its last apply had and this one has not. What a plain create set belongs to an
"Update" of the same manager instead, which no apply takes back (KEP-555; on 1.34 a variable that a new version drops
stayed in the Deployment). So the entry is turned into an "Apply" once, before the first apply, as client-go's
`csaupgrade` does for kubectl.

The number of pods is the other way round: once an apply leaves it to an autoscaler, it would be removed, and so become
1, where nobody has set it since. So it belongs to nobody before that apply, and stays as it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controller.core import names
from controller.core.model import Object

_SPEC, _NUMBER = "f:spec", "f:replicas"

FieldsEntry = Mapping[str, Any]


def is_ours(entry: FieldsEntry, operation: str) -> bool:
    """Return whether the entry is about fields that our own `operation` (Apply, Update) set, the status left out."""
    return (
        entry.get("manager") == names.MANAGER and entry.get("operation") == operation and not entry.get("subresource")
    )


def created(item: Object) -> bool:
    """Return whether a plain create or update of ours still holds fields of the object."""
    return any(is_ours(entry, "Update") for entry in item["metadata"].get("managedFields") or ())


def leaves_number(manifest: Object) -> bool:
    """Return whether it leaves the number of pods to an autoscaler."""
    return manifest["kind"] == "Deployment" and "replicas" not in manifest["spec"]


def is_to_hand_over(live: Object, manifest: Object) -> bool:
    """Return whether entries of ours have to change before the manifest is applied."""
    entries = filter(_is_mine, live["metadata"].get("managedFields") or ())
    numbered = any(_NUMBER in ((entry.get("fieldsV1") or {}).get(_SPEC) or {}) for entry in entries)
    return created(live) or (numbered and leaves_number(manifest))


def handed_over(live: Object, manifest: Object) -> list[FieldsEntry]:
    """Return the entries with all that is ours in that of our apply, and without what this one leaves to others."""
    entries: Sequence[FieldsEntry] = live["metadata"].get("managedFields") or ()
    mine = [*filter(_is_mine, entries)]
    fields: Mapping[str, Any] = {}
    for entry in mine:
        fields = _union(fields, entry.get("fieldsV1") or {})
    if leaves_number(manifest):
        fields = {**fields, _SPEC: {key: item for key, item in fields.get(_SPEC, {}).items() if key != _NUMBER}}
    others = [entry for entry in entries if entry not in mine]
    return [*others, {**mine[-1], "operation": "Apply", "fieldsV1": fields}] if mine else others


def _is_mine(entry: FieldsEntry) -> bool:
    return is_ours(entry, "Apply") or is_ours(entry, "Update")


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    both = {key: _union(one[key], other[key]) for key in one.keys() & other.keys()}
    return {**one, **other, **both}
