"""Which environments a run needs: texts to keys, Git requirements to commits, keys to folders. Once, at its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from controller.core import errors, layout
from controller.core.documents import requirements as documents
from controller.core.documents.seal import sealed
from controller.core.inputs import credentials, requirements
from controller.core.inputs.project import asof
from controller.core.inputs.project.asof import AsOf
from controller.core.inputs.requirements import Requirements, Unknown
from controller.core.model import AS_OF_COMMIT, Environment, GitCredentials, GitSource, Request
from controller.core.plan.needs import Environments
from controller.reconciler.ports import Source, Volume


@dataclass(frozen=True, slots=True)
class Builders:
    """Decides on environments, and leaves for their builders what they are made of."""

    source: Source
    volume: Volume

    def decide(
        self, request: Request, question: Environments, opened: GitCredentials | None, since: float | None = None
    ) -> tuple[tuple[Environment, ...], tuple[str, ...]]:
        """Return the environments of these stages, each once, and what is worth knowing about them.

        What builds those that are not there is on the volume then. Raises Invalid with the problems of all
        requirements, NotYet, Transient.
        """
        pipeline, bases, place = question.pipeline, dict(question.bases), question.project
        every = _requirements(question)
        days = {stage: self._as_of(question, stage, needed, bases[stage].python) for stage, needed in every.items()}
        by_default = bool(pipeline.bodywork_image) and pipeline.resolve_as_of == AS_OF_COMMIT
        commits = self._sources(request, every, opened, since)
        stages: dict[str, list[str]] = {}
        texts: dict[str, str] = {}
        sources: dict[str, tuple[GitSource, ...]] = {}
        for stage, needed in every.items():
            resolved = tuple(commits[address] for address in needed.addresses)
            paths = needed.paths
            key = requirements.key(
                needed,
                image=bases[stage].text,
                paths=self.source.fingerprint(place.repository, place.commit, place.path, paths) if paths else "",
                commits={item.address: item.commit for item in resolved},
                index=question.index.digest,
                as_of=days[stage].day,
            )
            stages.setdefault(key, []).append(stage)
            sources[key] = resolved
            texts.setdefault(key, documents.write(needed, days[stage].day, by_default=by_default))
        folders = {self.volume.environment(key): key for key in stages}
        for folder, key in folders.items():
            self._leave(folder, texts[key])
        names = ("environment" if number == 1 else f"environment-{number}" for number in count(1))
        free = (name for name in names if name not in pipeline.stages)
        named = zip(free, folders.items(), strict=False)
        decided = tuple(Environment(name, folder, tuple(stages[key]), sources[key]) for name, (folder, key) in named)
        return decided, tuple(asof.notes(pipeline, days))

    def _as_of(self, question: Environments, stage: str, needed: Requirements, python: str) -> AsOf:
        """Return as of which day a stage's packages are taken."""
        place, day = question.project, question.pipeline.resolve_as_of
        if day != AS_OF_COMMIT:
            return AsOf(day)
        files = tuple(dict.fromkeys(one.file for one in needed.entries))
        changed = self.source.last_change(place.repository, place.commit, place.path, files, asof.Meaning(stage))
        return asof.decide(changed, needed.entries, python)

    def _leave(self, folder: str, text: str) -> None:
        """Leave for the builder what an environment is made of.

        A build that runs may read it at any time: for one key it differs only in the names that messages have.
        """
        path = layout.build_requirements(folder)
        if not self.volume.has_environment(folder) and self.volume.recall_text(path) != sealed(text):
            self.volume.keep_text(path, text)

    def _sources(
        self, request: Request, every: Mapping[str, Requirements], opened: GitCredentials | None, since: float | None
    ) -> Mapping[str, GitSource]:
        """Return the commits of all Git requirements, by address; they are published, since stage images have no git.

        Raises Invalid with all their problems, Transient. A server that can't be reached is a problem, too: what it
        holds up has to be said, and not for ever.
        """
        found: dict[str, GitSource] = {}
        reason, problems = "", dict[str, str]()
        for stage, needed in every.items():
            for address in (address for address in needed.addresses if address not in {*found, *problems}):
                repository, ref = requirements.git_address(address)
                fitting = credentials.fitting(opened, request.repository, repository)
                try:
                    commit = self.source.resolve(repository, ref, fitting, since)
                    self.source.publish(repository, commit, fitting)
                    found[address] = GitSource(address, repository, commit)
                    continue
                except errors.Invalid as invalid:
                    reason, problem = invalid.reason, "; ".join(invalid.problems)
                except errors.Transient as error:
                    if not error.reason.startswith("Git"):
                        raise
                    reason, problem = reason or "GitRequirementUnreachable", str(error).replace(errors.TRIED_AGAIN, "")
                problems[address] = f"{needed.place_of(address)} (stage {stage}): {problem}"
        if problems:
            raise errors.Invalid(reason, problems.values())
        return found


def _requirements(question: Environments) -> Mapping[str, Requirements]:
    """Return what each stage needs that needs packages. Raises Invalid with the problems of all."""
    problems: dict[str, None] = {}
    found: dict[str, Requirements] = {}
    for name, _ in question.bases:
        try:
            needed = requirements.of_stage(question.pipeline.stages[name], question.tree.files, question.tree.texts)
        except errors.Invalid as invalid:
            problems |= dict.fromkeys(invalid.problems)
            continue
        if isinstance(needed, Unknown):  # of a tree that was not read whole
            problems |= {f"{file}: could not be read": None for file in needed.files}
        elif needed:
            found[name] = needed
    if problems:
        raise errors.Invalid("InvalidProject", problems)
    return found
