"""What a run leaves on the volume beside its logs and artifacts: what it uses, what it ran with, what it installed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from controller.core import layout
from controller.core.documents import attempt, codec
from controller.core.documents import run as documents
from controller.core.documents.run import RunFile
from controller.core.model import Attempt, Record, Request, RunSpec
from controller.core.plan.needs import RunFolder
from controller.reconciler.ports import Volume

Copy: TypeAlias = Callable[[str, str, int, str], PurePosixPath]  # request, uid, run, folder -> the run's copy


@dataclass(frozen=True, slots=True)
class Archive:
    """Keeps it. `version` is the controller's."""

    volume: Volume
    version: str

    def begin(self, request: Request, question: RunFolder) -> None:
        """Note what a new run uses, so that no sweep takes it, and give it the artifacts that it goes on from.

        Done before the run is recorded: a run that never was is swept. Raises Invalid, Transient.
        """
        owner = (request.name, request.uid)
        self.volume.keep_text(layout.uses(*owner, question.run), documents.write_uses(question.uses))
        if question.base:
            self.volume.inherit(layout.artifacts(*owner, question.base), layout.artifacts(*owner, question.run))

    def spec(self, request: Request, run: int) -> RunSpec | None:
        """Return what a kept run was started with, None if it is not kept. Raises RecordTooNew, Transient."""
        text = self.volume.read_document(layout.run_spec(request.name, request.uid, run))
        return codec.honoured(documents.read_spec(text))

    def run(self, request: Request, run: int) -> RunFile:
        """Return the file of a kept run, an empty one if it is not kept. Raises Transient."""
        text = self.volume.read_document(layout.run_record(request.name, request.uid, run))
        return codec.view(documents.read(text)) or RunFile()

    def end(self, request: Request, record: Record) -> None:
        """Write what a run that has just ended was started with, how it went, and what builds its environments again.

        A pass with a stale view can't have begun another run by now. Raises Transient.
        """
        environments = record.spec.environments if record.spec else ()
        locks = {item.folder: self.volume.packages(item.folder) for item in environments}
        owner = (request.name, request.uid, record.run)
        for folder, text in locks.items():
            self._copy(text, layout.lock(*owner, folder))
            self._copy(self._requirements(folder), layout.requirements(*owner, folder))
        content = documents.of_record(request.name, record, self._attempts(request, record), locks, self.version)
        self.volume.keep_text(layout.run_record(request.name, request.uid, record.run), documents.write(content))
        if record.spec:
            self.volume.keep_text(layout.run_spec(*owner), documents.write_spec(record.spec))

    def _copy(self, text: str, path: PurePosixPath) -> None:
        if text:
            self.volume.keep_text(path, text)

    def _requirements(self, folder: str) -> str:
        """Give what an environment is made of: from itself, or from its build, which may have failed."""
        published = self.volume.recall_text(layout.environment(folder) / layout.REQUIREMENTS)
        return published or self.volume.recall_text(layout.build_requirements(folder))

    def _attempts(self, request: Request, record: Record) -> dict[str, Sequence[Attempt]]:
        builds = {item.name: item.folder for item in record.spec.environments} if record.spec else {}
        folders = {
            name: layout.build_logs(builds[name])
            if name in builds
            else layout.logs(request.name, request.uid, record.run, name)
            for name, stage in record.stages.items()
            if stage.state != "Reused"
        }
        return {name: self.volume.attempts(folder) for name, folder in folders.items()}

    def recall_build(self, request: Request, folder: str) -> None:
        """Have an environment that was swept built as it was: what for and which versions, as a kept run remembers."""
        if not self.volume.has_environment(folder):
            self._recall(request, folder, layout.lock, layout.build_lock(folder))
            self._recall(request, folder, layout.requirements, layout.build_requirements(folder))

    def _recall(self, request: Request, folder: str, copy: Copy, path: PurePosixPath) -> None:
        if self.volume.recall_text(path):
            return
        for run in self.volume.runs(request.name, request.uid):
            if text := self.volume.recall_text(copy(request.name, request.uid, run, folder)):
                self.volume.keep_text(path, text)
                return

    def retire(self, request: Request, record: Record) -> None:
        """Have environments whose Python is not the image's any more built anew: stages of earlier runs met it."""
        for run in {record.run, record.release_run} - {0}:
            for stage in record.stages:
                text = self.volume.recall_text(layout.outdated(request.name, request.uid, run, stage))
                if folder := attempt.read_outdated(text):
                    self.volume.retire_environment(folder)
