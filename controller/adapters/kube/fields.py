"""Who set which field of an object: our creates have to become applies, or what they set would never go away.

Server-side apply removes a field that its last apply had and this one has not. What a plain create set belongs to an
"Update" of the same manager instead, which no apply takes back (KEP-555; on 1.34 a variable that a new version drops
stayed in the Deployment). So the entry is turned into an "Apply" once, before the first apply, as client-go's
`csaupgrade` does for kubectl.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controller.core import names
from controller.core.model import Object

FieldsEntry = Mapping[str, Any]


def is_ours(entry: FieldsEntry, operation: str) -> bool:
    """Return whether the entry is about fields that our own `operation` (Apply, Update) set, the status left out."""
    return (
        entry.get("manager") == names.MANAGER and entry.get("operation") == operation and not entry.get("subresource")
    )


def created(item: Object) -> bool:
    """Return whether a plain create or update of ours still holds fields of the object."""
    return any(is_ours(entry, "Update") for entry in item["metadata"].get("managedFields") or ())


def as_applied(entries: Sequence[FieldsEntry]) -> list[FieldsEntry]:
    """Return the entries with what our updates hold handed over to our apply."""
    mine = [entry for entry in entries if is_ours(entry, "Apply") or is_ours(entry, "Update")]
    others = [entry for entry in entries if entry not in mine]
    fields: Mapping[str, Any] = {}
    for entry in mine:
        fields = _union(fields, entry.get("fieldsV1") or {})
    return [*others, {**mine[-1], "operation": "Apply", "fieldsV1": fields}] if mine else others


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    both = {key: _union(one[key], other[key]) for key in one.keys() & other.keys()}
    return {**one, **other, **both}
