"""A shared volume with runs on it, as the controller and the launcher would have left them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from controller.adapters.volume import Archive, Volume
from controller.core import layout
from controller.core.documents import codec
from controller.core.documents import status as statuses
from controller.core.model import Environment, Record, RunSpec, StageRecord

UID = "1b2c3d4e-0000-4000-8000-000000000001"
OTHER = "1b2c3d4e-0000-4000-8000-000000000002"
LONG_AGO = "2026-01-01T00:00:00Z"
SPEC = RunSpec(repository="https://example.com/iris", commit="c", path=".", tree="t", image="i")
JOB, DEPLOYMENT = ("Job/iris-train-1",), ("Deployment/iris--serve",)


class KeptRuns:
    """What one request left on the volume, and an archive that reads it."""

    def __init__(self, root: Path, name: str = "iris", uid: str = UID) -> None:
        self.root, self.name, self.uid = root, name, uid
        self.living = ""
        self.archive = Archive(root, living=lambda _name: self.living)
        self._volume = Volume(root)

    def path(self, place: object) -> Path:
        """Return the absolute path of a place on the volume."""
        return self.root / str(place)

    def run(self, number: int, **words: object) -> Path:
        """Make a run's folder, with a run.json where there is something to say; return the folder."""
        place = layout.run(self.name, self.uid, number)
        self._volume.prepare([place])
        if words:
            path = layout.run_record(self.name, self.uid, number)
            self._volume.keep_text(path, codec.to_json({"run": number, **words}))
        return self.path(place)

    def record(
        self,
        run: int,
        stages: Mapping[str, StageRecord] | None = None,
        *,
        active: bool = True,
        release: int = 0,
        environments: tuple[Environment, ...] = (),
        on_failure: str = "",
    ) -> None:
        """Write the record's copy."""
        kept = Record(
            request_uid=self.uid,
            phase="Running" if active else "Ready",
            run=run,
            spec=replace(SPEC, environments=environments, on_failure=on_failure),
            started=LONG_AGO,
            finished="" if active else LONG_AGO,
            stages=stages or {},
            release_run=release,
        )
        self._volume.keep_text(layout.record(self.name, self.uid), statuses.copy(statuses.write(kept)))

    def log(self, run: int, stage: str, attempt: int, text: bytes, index: int | None = None) -> Path:
        """Write an attempt's log, of a parallel stage that of an index; return its path."""
        folder = layout.logs(self.name, self.uid, run, stage) / ("" if index is None else str(index))
        self._volume.prepare([folder])
        path = self.path(folder) / f"{attempt}.log"
        path.write_bytes(text)
        return path

    def end(self, log: Path, exit_code: int = 0, **words: object) -> None:
        """Write what the launcher writes at an attempt's end."""
        log.with_suffix(".json").write_text(json.dumps({"exit_code": exit_code, **words}))

    def artifact(self, run: int, path: str, content: bytes = b"x") -> Path:
        """Write a file among a run's artifacts; return its path."""
        file = self.path(layout.artifacts(self.name, self.uid, run)) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file
