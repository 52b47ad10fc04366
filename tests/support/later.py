"""What a later version could write: documents with something new at every level, and documents of another version."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from controller.core import names

NOVELTY: Mapping[str, Any] = {"novelty": ["x", {"y": 1}], "nothing": 0, "silence": "", "none": []}


def extended(data: Mapping[str, str]) -> dict[str, str]:
    """Return a record in which each part of each part has something new."""
    changed = {"run-metrics": "rmse: 1\n", "empty": "", "stage-colour.train": "red"}
    for key, extend in _PARTS.items():
        if key in data:
            changed[key] = yaml.safe_dump(extend(yaml.safe_load(data[key])), sort_keys=False)
    return sealed({**data, **changed})


def sealed(data: Mapping[str, str]) -> dict[str, str]:
    """Return a record with the digest of today."""
    rest = {key: value for key, value in data.items() if key != "digest"}
    return {**rest, "digest": names.digest(json.dumps(rest, sort_keys=True), 64)}


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**item, **copy.deepcopy(dict(NOVELTY))}


def extended_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run was started with, with something new in each part."""
    environments = [_item({**each, "sources": [*map(_item, each["sources"])]}) for each in spec["environments"]]
    return _item({**spec, "environments": environments})


def extended_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run left, with something new in each part."""
    stages = {
        name: _item({**stage, "attempts": [*map(_item, stage["attempts"])]}) for name, stage in run["stages"].items()
    }
    return extended_spec({**run, "stages": stages, "secrets": [*map(_item, run["secrets"])]})


_PARTS: Mapping[str, Callable[[Any], Any]] = {
    "run-spec": extended_spec,
    "stages": lambda stages: {name: _item(stage) for name, stage in stages.items()},
    "history": lambda history: [*map(_item, history)],
    "failure": _item,
}
