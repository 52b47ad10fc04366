"""Whose an object is."""

from controller.core import names
from controller.core.model import Object
from controller.core.text import clean

_REMEDIES = {"CronJob": "rename the request, remove `schedule`, or remove the other"}
_REMEDY = "rename the project or the stage, set `project-name`, or remove the other"


def owner(thing: Object) -> Object:
    """Return the reference to an object's controlling owner, {} where it has none."""
    references = (thing.get("metadata") or {}).get("ownerReferences") or ()
    return next((dict(item) for item in references if item.get("controller")), {})


def owner_uid(thing: Object) -> str:
    """Return the uid of an object's controlling owner, "" where it has none."""
    return str(owner(thing).get("uid", ""))


def keeper_uid(thing: Object) -> str:
    """Return the uid of the request that an object of a name of ours is for: its owner, else what its label says.

    Somebody may have taken the owner away. It is not to be removed for that: it may be a copy that somebody has made.
    """
    return owner_uid(thing) or names.labels_of(thing).get(names.REQUEST_UID, "")


def leaving(kind: str, thing: Object) -> str:
    """Return the sentence for an object that is being deleted and is still there."""
    metadata = thing["metadata"]
    finalizers = clean(", ".join(map(str, metadata.get("finalizers") or ())))
    held = f", and goes once its finalizers are removed: {finalizers}" if finalizers else ""
    return f"{kind} {metadata['name']} is being deleted{held}"


def owner_name(thing: Object) -> str:
    """Return how a message names an object's owner."""
    reference = owner(thing)
    return f"{reference.get('kind')} {reference.get('name')}" if reference else "nobody of ours"


def taken(kind: str, name: str, holder: str) -> str:
    """Return the sentence for a name that another holds."""
    return f"{kind} {name} belongs to {holder} ({_REMEDIES.get(kind, _REMEDY)})"
