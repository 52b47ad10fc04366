"""What a run leaves on the volume next to its logs and artifacts: what it uses, ran with, and installed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from controller.core import layout
from controller.core.documents import attempt, codec
from controller.core.documents import run as documents
from controller.core.documents.codec import Absent, Corrupt, Good, TooNew
from controller.core.documents.run import RunFile
from controller.core.documents.seal import is_sound, is_sound_lock
from controller.core.model import Attempt, Record, Request, RunSpec
from controller.core.plan.needs import RunFolder
from controller.reconciler.ports import Volume

NEWEST = 5  # attempts of an index that a run's file names: with 256 of them it is read whole


def _kept(attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """Return the attempts without older ones of an index of many, and without the numbers of all but its last."""
    last = {attempt.index: attempt.number for attempt in attempts}
    return [
        attempt if attempt.index is None or attempt.number == last[attempt.index] else replace(attempt, metrics={})
        for attempt in attempts
        if attempt.index is None or attempt.number > last[attempt.index] - NEWEST
    ]


@dataclass(frozen=True, slots=True)
class RunFolders:
    """Writes and reads it. `version` is the controller's."""

    volume: Volume
    version: str

    def begin(self, request: Request, question: RunFolder) -> None:
        """Note what a new run uses, so that no sweep takes it, and copy the artifacts that it goes on from.

        Done before the run is recorded: a run that never was is swept, and another of its number, which may go on from
        elsewhere, does not find them. Raises Invalid, NotYet, Transient.
        """
        owner = (request.name, request.uid)
        self.volume.keep_text(layout.uses(*owner, question.run), documents.write_uses(question.uses))
        if question.base:
            copy = layout.inherited(*owner, question.run, question.base)
            self.volume.inherit(layout.artifacts(*owner, question.base), copy, needed=question.needed)

    def adopt(self, request: Request, run: int, base: int) -> None:
        """Give a run that has begun the artifacts that it goes on from. Raises Invalid, NotYet, Transient."""
        owner = (request.name, request.uid)
        copy = layout.inherited(*owner, run, base)
        self.volume.adopt(layout.artifacts(*owner, base), copy, layout.artifacts(*owner, run))

    def spec(self, request: Request, run: int) -> RunSpec | None:
        """Return what a kept run was started with, None if it is not kept. Raises RecordTooNew, Transient."""
        text = self.volume.read_document(layout.run_spec(request.name, request.uid, run))
        return codec.honoured(documents.read_spec(text))

    def run(self, request: Request, run: int) -> RunFile:
        """Return the file of a kept run, an empty one if it is not kept, or damaged. Raises Transient."""
        text = self.volume.read_document(layout.run_record(request.name, request.uid, run))
        match documents.read(text):
            case Good(file) | TooNew(file):
                return file
            case Absent() | Corrupt():
                return RunFile()

    def end(self, request: Request, record: Record) -> None:
        """Write what a run that has just ended was started with, how it went, and what builds its environments again.

        A pass with a stale view can't have begun another run by now. Raises Transient.
        """
        owner = (request.name, request.uid, record.run)
        builds = {item.name: item.folder for item in record.spec.environments} if record.spec else {}
        locks = {folder: self.volume.packages(folder) for folder in builds.values()}
        for folder, text in locks.items():
            published = self.volume.recall_text(layout.environment(folder) / layout.REQUIREMENTS)
            made_of = published or self.volume.recall_text(layout.build_requirements(folder))
            copies = {layout.lock(*owner, folder): text, layout.requirements(*owner, folder): made_of}
            for path, copy in copies.items():
                if copy:
                    self.volume.keep_text(path, copy)
        attempts = {
            name: _kept(
                self.volume.attempts(
                    layout.build_logs(builds[name]) if name in builds else layout.logs(*owner, name), stage.indexes
                )
            )
            for name, stage in record.stages.items()
            if stage.state != "Reused"
        }
        file = documents.of_record(request.name, record, attempts, locks, self.version)
        self.volume.keep_text(layout.run_record(*owner), documents.write(file))
        if record.spec:
            self.volume.keep_text(layout.run_spec(*owner), documents.write_spec(record.spec))

    def name_images(self, request: Request, run: int, images: Mapping[str, str]) -> None:
        """Add images that nodes named after the run's end to its file. Raises Transient."""
        file = self.run(request, run)
        if file.outcome and not images.items() <= file.image_digests.items():
            file = replace(file, image_digests={**file.image_digests, **images})
            self.volume.keep_text(layout.run_record(request.name, request.uid, run), documents.write(file))

    def recall_build(self, request: Request, folder: str) -> None:
        """Put back what builds a swept environment as it was: its requirements and versions, from a kept run."""
        if self.volume.has_environment(folder):
            return
        for path, copy_in, is_whole in (
            (layout.build_lock(folder), layout.lock, is_sound_lock),
            (layout.build_requirements(folder), layout.requirements, is_sound),
        ):
            if is_whole(self.volume.recall_text(path)):
                continue
            runs = self.volume.runs(request.name, request.uid)
            texts = (self.volume.recall_text(copy_in(request.name, request.uid, run, folder)) for run in runs)
            if text := next(filter(is_whole, texts), ""):
                self.volume.keep_text(path, text)

    def retire(self, request: Request, record: Record) -> None:
        """Retire environments whose Python is no longer the image's: stages of earlier runs have met that."""
        for run in {record.run, record.release_run} - {0}:
            for stage in record.stages:
                text = self.volume.recall_text(layout.outdated(request.name, request.uid, run, stage))
                if folder := attempt.read_outdated(text):
                    self.volume.retire_environment(folder)
