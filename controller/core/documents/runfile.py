"""What is told of a run, in run.json once it has ended: all that it ran with, and how it went. No secret's value."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from controller.core.documents.record import plain
from controller.core.model import Attempt, PastRun, Record, RunSpec

_ORIGIN = re.compile(r"# (\S+) is from (.+)")  # as install_build.py writes it


def run_file(
    request: str,
    record: Record,
    attempts: Mapping[str, Sequence[Attempt]],
    locks: Mapping[str, str],
    version: str,
) -> Mapping[str, Any]:
    """Give the content. `attempts` by stage, `locks` by environment folder, `version` of the controller.

    The outcome is "" while the run is under way.
    """
    spec = record.spec
    past = next((past for past in record.history if past.run == record.run), PastRun())
    return {
        "request": request,
        "run": record.run,
        "outcome": past.outcome,
        "reason": record.reason,
        "message": record.message,
        "ref": record.ref,
        "started": record.started,
        "finished": record.finished,
        "controller": version,
        **(_spec(spec, locks) if spec else {}),
        "image_digests": {name: stage.image for name, stage in record.stages.items() if stage.image},
        "stages": {
            name: {**_plain(plain(stage)), "attempts": [_plain(plain(item)) for item in attempts.get(name, ())]}
            for name, stage in record.stages.items()
        },
    }


def _spec(spec: RunSpec, locks: Mapping[str, str]) -> Mapping[str, Any]:
    told = plain(spec)
    for key in ("index_keys", "env", "secrets", "environments", "images", "taken"):
        told.pop(key)
    return {
        **told,
        "env": dict(spec.env),
        "images": dict(spec.images),
        "secrets": [{"name": name, "resource_version": version} for name, version in spec.secrets],
        "environments": [
            {**plain(item), "packages": packages(locks.get(item.folder, ""))} for item in spec.environments
        ],
    }


def _plain(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: item for key, item in value.items() if item not in ("", None, [])}


def packages(lock: str) -> Mapping[str, str]:
    """Give the version of each package by its name; with where it is from, if from no index."""
    lines = [line.strip() for line in lock.splitlines()]
    found = dict(line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    for origin in filter(None, map(_ORIGIN.fullmatch, lines)):
        found[origin[1]] = f"{found.get(origin[1], '')} from {origin[2]}".strip()
    return found
