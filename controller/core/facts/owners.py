"""Whose an object is."""

from controller.core.model import Object

_REMEDIES = {"CronJob": "rename the request, remove `schedule`, or remove the other"}
_REMEDY = "rename the project or the stage, set `project-name`, or remove the other"


def owner(thing: Object) -> Object:
    """Return the reference to an object's controlling owner, {} where it has none."""
    references = (thing.get("metadata") or {}).get("ownerReferences") or ()
    return next((dict(item) for item in references if item.get("controller")), {})


def owner_uid(thing: Object) -> str:
    """Return the uid of an object's controlling owner, "" where it has none."""
    return str(owner(thing).get("uid", ""))


def owner_name(thing: Object) -> str:
    """Return how a message names an object's owner."""
    reference = owner(thing)
    return f"{reference.get('kind')} {reference.get('name')}" if reference else "nobody of ours"


def taken(kind: str, name: str, holder: str) -> str:
    """Return the sentence for a name that another holds."""
    return f"{kind} {name} belongs to {holder} ({_REMEDIES.get(kind, _REMEDY)})"
