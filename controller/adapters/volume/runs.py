"""Which requests and runs there are on the volume, and what is told about each run."""

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from controller.adapters.volume.tree import Tree
from controller.core import layout
from controller.core.documents import record as records
from controller.core.documents.runfile import run_file
from controller.core.kept import GOOD, Kept, NoAnswer, choose, nearest, shown
from controller.core.model import Record

READ_LIMIT = 4 * 1024 * 1024
REMEMBERED = 256  # records
_FOLDER = re.compile(r"([a-z0-9][-a-z0-9]{0,99})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_RUN = re.compile(r"[1-9][0-9]{0,8}")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Runs:
    """Requests and runs as the volume tells them. Methods raise NoAnswer and OSError."""

    def __init__(self, tree: Tree, living: Callable[[str], str]) -> None:
        """Take what gives the uid of the living request of a name, "" where none is known."""
        self._tree, self._living = tree, living
        self._records: dict[str, tuple[tuple[int, ...], Record | None]] = {}  # by uid, with the file's version

    def request(self, name: str) -> Kept:
        """Give the living request of this name; where none is known the newest one that left a folder."""
        found = [_FOLDER.fullmatch(entry) for entry in self._tree.names(layout.RUNS, _FOLDER)]
        owners = [(match[1], match[2]) for match in found if match]
        uids = [uid for owner, uid in owners if owner == name]
        if living := self._living(name):
            uids = [uid for uid in uids if uid == living]
            if not uids:
                raise NoAnswer("absent", f"{name} has no run yet: see its record, {name}-status")
        if not uids:
            line = f"no request {shown(name)} has left a run here; {nearest(name, {owner for owner, _ in owners})}"
            raise NoAnswer("absent", line)
        uid = max(uids, key=lambda uid: self._written(name, uid))
        runs = self._tree.names(layout.request(name, uid), _RUN)
        return Kept(name, uid, self.record(name, uid), tuple(sorted(map(int, runs), reverse=True)))

    def record(self, name: str, uid: str) -> Record | None:
        """Give the record's copy; None where there is none that can be read. It is parsed again only if it is new."""
        file = self._tree.look(layout.record(name, uid))
        if file is None:
            return None
        with io.BufferedReader(file) as text:
            status = os.fstat(file.fileno())
            version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            known = self._records.get(uid)
            if known and known[0] == version:
                return known[1]
            record = _parsed(text.read(READ_LIMIT), uid)
        if len(self._records) >= REMEMBERED:
            self._records.clear()
        self._records[uid] = (version, record)
        return record

    def told(self, kept: Kept, run: int) -> Mapping[str, Any] | None:
        """Give what is told about a run: its run.json, else what the record says of it; None where nothing is."""
        text = self._tree.read(layout.run_record(kept.name, kept.uid, run), READ_LIMIT)
        try:
            loaded = json.loads(text) if text else None
        except (ValueError, RecursionError):
            loaded = None
        if isinstance(loaded, dict):
            return loaded
        return _from_record(kept.name, kept.record) if kept.record and kept.record.run == run else None

    def choose(self, kept: Kept, which: str) -> int:
        """Give the run that `which` means: a number, latest or good."""
        return choose(kept, which, self._good(kept) if which == GOOD else 0)

    def _good(self, kept: Kept) -> int:
        """Give the run that is released, else the last one that succeeded, 0 where there is none."""
        if kept.record and kept.record.release_run in kept.runs:
            return kept.record.release_run
        told = ((run, self.told(kept, run)) for run in kept.runs)
        return next((run for run, words in told if words and words.get("outcome") == "Succeeded"), 0)

    def _written(self, name: str, uid: str) -> float:
        file = self._tree.look(layout.record(name, uid))
        if file is None:
            return 0.0
        with file:
            return os.fstat(file.fileno()).st_mtime


def _parsed(text: bytes, uid: str) -> Record | None:
    try:
        loaded = yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader, the C one)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(loaded, dict):
        return None
    return records.readable({str(key): str(value) for key, value in loaded.items()}, uid)


def _from_record(name: str, record: Record) -> Mapping[str, Any]:
    """Give, in run.json's terms, what the record knows of its run."""
    told = run_file(name, record, attempts={}, locks={}, version="")
    return {
        **told,
        "phase": record.phase,
        "stages": {stage: records.plain(item) for stage, item in record.stages.items()},
    }


def environments(told: Mapping[str, Any]) -> dict[str, PurePosixPath]:
    """Give the log folder of each environment of a run by its name. What is told may be anything."""
    listed = told.get("environments")
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    return {
        str(item["name"]): layout.build_logs(str(item["folder"])) for item in items if {"name", "folder"} <= {*item}
    }


def stages(told: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Give what is told of each stage by its name."""
    listed = told.get("stages")
    return (
        {str(name): item for name, item in listed.items() if isinstance(item, dict)} if isinstance(listed, dict) else {}
    )
