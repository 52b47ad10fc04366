"""NAME-release: the service objects of the last good run as they were applied, and whose they are."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import yaml

from controller.core import names
from controller.core.documents import codec
from controller.core.documents.codec import Answer, Corrupt, Good, TooNew
from controller.core.model import Object
from controller.core.safeyaml import DUMPER, LOADER

REMEMBERED = 64  # texts
KINDS = ("Deployment", "Service", "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget")  # that we read


def write(run: int, commit: str, objects: Sequence[Object]) -> dict[str, str]:
    """Return the data of the ConfigMap."""
    unshared = [json.loads(json.dumps(item)) for item in objects]  # YAML would write what they share as aliases
    text = str(yaml.dump_all(unshared, Dumper=DUMPER, sort_keys=False))
    return {"run": str(run), "commit": commit, "digest": names.digest(text, 64), "objects": text}


def read(data: Mapping[str, str], name: str) -> Answer[tuple[Object, ...]]:
    """Return the objects that the data of the ConfigMap `name` holds. They are shared: nobody may change them."""
    what = f"ConfigMap {name}"
    if problem := codec.newer(data, what):
        return TooNew((), problem)
    text = data.get("objects", "")
    if data.get("digest") != names.digest(text, 64):
        return Corrupt(())
    objects = _loaded(text)
    return TooNew((), codec.too_new(what, "its objects are not known")) if objects is None else Good(objects)


@lru_cache(REMEMBERED)
def _loaded(text: str) -> tuple[Object, ...] | None:
    """Return the objects of a text, None where it holds anything else. Remembered: a pass asks several times."""
    try:
        items = [item for item in yaml.load_all(text, Loader=LOADER) if item]
    except codec.NO_YAML:
        return None
    return tuple(items) if all(map(_is_known, items)) else None


def _is_known(item: object) -> bool:
    """Return whether it is an object of a service with all that is read of one, or of a kind that we never read."""
    match item:
        case {"kind": "Deployment", "metadata": {"name": str(), "labels": {names.STAGE: str()}}, "spec": dict()}:
            return True
        case {
            "kind": "Service",
            "metadata": {"name": str(), "labels": {names.STAGE: str()}},
            "spec": {"ports": [{"port": int()}, *_]},
        }:
            return True
        case {
            "kind": "Ingress",
            "metadata": {"name": str(), "labels": {names.STAGE: str()}},
            "spec": {"rules": [{"http": {"paths": [{"path": str()}, *_]}}, *_]},
        }:
            return True
        case {
            "kind": "HorizontalPodAutoscaler" | "PodDisruptionBudget",
            "metadata": {"name": str(), "labels": {names.STAGE: str()}},
            "spec": dict(),
        }:
            return True
        case {"kind": str(kind), "metadata": {"name": str()}}:  # of a newer version, perhaps: it stays as it is
            return kind not in KINDS
    return False
