"""Which environments a run needs: texts to keys, Git requirements to commits, keys to folders. Once, at its start."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.core import errors, layout
from controller.core.documents import requirements as documents
from controller.core.inputs import credentials, requirements
from controller.core.inputs.project import asof, written
from controller.core.inputs.project.asof import AsOf
from controller.core.inputs.requirements import Missing, Requirements
from controller.core.model import (
    AS_OF_COMMIT,
    Environment,
    GitCredentials,
    GitSource,
    Pipeline,
    ProjectTree,
    Request,
    Stage,
)
from controller.core.plan.needs import Environments
from controller.reconciler.ports import Source, Volume


@dataclass(frozen=True, slots=True)
class Project:
    """A project at a commit, and what opens its repository."""

    request: Request
    commit: str
    tree: ProjectTree
    pipeline: Pipeline
    credentials: GitCredentials | None = None


TRIED_AGAIN = "; it is tried again"  # what Git's errors end with: here it is tried for a while only


@dataclass(frozen=True, slots=True)
class Builders:
    """What is asked while environments are decided."""

    source: Source
    volume: Volume

    def decide(
        self, request: Request, question: Environments, opened: GitCredentials | None
    ) -> tuple[tuple[Environment, ...], tuple[str, ...]]:
        """Return the environments of these stages, each once, and what is to be said of them.

        What builds those that are not there is on the volume then. Raises Invalid with the problems of all
        requirements, NotYet, Transient.
        """
        project = Project(request, question.project.commit, question.tree, question.pipeline, opened)
        bases, index = dict(question.bases), question.index
        found: dict[str, list[str]] = {}
        sources: dict[str, tuple[GitSource, ...]] = {}
        texts: dict[str, str] = {}
        every = self._wanted(project, tuple(bases))
        by_default = bool(project.pipeline.bodywork_image) and project.pipeline.resolve_as_of == AS_OF_COMMIT
        days = {stage: self._as_of(project, stage, wanted, bases[stage].python) for stage, wanted in every.items()}
        published = self._sources(project, every)
        for stage, wanted in every.items():
            resolved = tuple(published[address] for address in wanted.addresses)
            key = requirements.key(
                wanted,
                image=bases[stage].text,
                paths=self._fingerprint(project, wanted),
                commits={item.address: item.commit for item in resolved},
                index=index.digest,
                as_of=days[stage].day,
            )
            found.setdefault(key, []).append(stage)
            sources[key] = resolved
            texts.setdefault(key, documents.write(wanted, days[stage].day, by_default=by_default))
        folders = {self.volume.environment(key): key for key in found}
        for folder, key in folders.items():
            self._tell(folder, texts[key])
        seen = zip(folders.items(), _names(project.pipeline), strict=False)
        decided = tuple(Environment(name, folder, tuple(found[key]), sources[key]) for (folder, key), name in seen)
        return decided, tuple(asof.notes(project.pipeline, days))

    def _as_of(self, project: Project, stage: str, wanted: Requirements, python: str) -> AsOf:
        """Return as of which day a stage's packages are taken."""
        if project.pipeline.resolve_as_of != AS_OF_COMMIT:
            return AsOf(project.pipeline.resolve_as_of)
        request, files = project.request, written.files(one.place for one in wanted.entries)
        changed = self.source.last_change(
            request.repository, project.commit, request.path, files, written.Meaning(stage)
        )
        return asof.decide(changed, wanted.entries, python)

    def _tell(self, folder: str, text: str) -> None:
        """Leave for the builder what an environment is made of.

        A build that runs may read it at any time: for one key it differs only in the names that messages have.
        """
        path = layout.build_requirements(folder)
        if not self.volume.has_environment(folder) and self.volume.recall_text(path) != text:
            self.volume.keep_text(path, text)

    def _wanted(self, project: Project, stages: Sequence[str]) -> Mapping[str, Requirements]:
        """Give what each stage wants that wants packages."""
        problems: list[str] = []
        found: dict[str, Requirements] = {}
        for name in stages:
            try:
                wanted = self._of_stage(project, project.pipeline.stages[name])
            except errors.Invalid as invalid:
                problems += [line for line in invalid.problems if line not in problems]
            else:
                found |= {name: wanted} if wanted else {}
        if problems:
            raise errors.Invalid("InvalidProject", problems)
        return found

    def _of_stage(self, project: Project, stage: Stage) -> Requirements | None:
        wanted = requirements.of_stage(stage, project.tree.files, project.tree.texts)
        if isinstance(wanted, Missing):  # of a tree that was not read whole
            raise errors.Invalid("InvalidProject", [f"{file}: could not be read" for file in wanted.files])
        return wanted

    def _sources(self, project: Project, every: Mapping[str, Requirements]) -> Mapping[str, GitSource]:
        """Return the commits of all Git requirements, by address. Raises Invalid with all their problems, Transient.

        A server that can't be reached is a problem too: what it holds up has to be told, and not for ever.
        """
        found: dict[str, GitSource] = {}
        reason, problems = "", dict[str, str]()
        for stage, wanted in every.items():
            for address in (address for address in wanted.addresses if address not in {*found, *problems}):
                try:
                    found[address] = self._source(project, address)
                except errors.Invalid as invalid:
                    reason, said = invalid.reason, "; ".join(invalid.problems)
                except errors.Transient as error:
                    if not error.reason.startswith("Git"):
                        raise
                    reason, said = reason or "GitRequirementUnreachable", str(error).replace(TRIED_AGAIN, "")
                if address not in found:
                    problems[address] = f"{wanted.place_of(address)} (stage {stage}): {said}"
        if problems:
            raise errors.Invalid(reason, problems.values())
        return found

    def _source(self, project: Project, address: str) -> GitSource:
        """Give a Git requirement's commit, published: stage images have no git."""
        repository, ref = requirements.git_address(address)
        opened = credentials.fitting(project.credentials, project.request.repository, repository)
        commit = self.source.resolve(repository, ref, opened)
        self.source.publish(repository, commit, opened)
        return GitSource(address, repository, commit)

    def _fingerprint(self, project: Project, wanted: Requirements) -> str:
        request = project.request
        if not wanted.paths:
            return ""
        return self.source.fingerprint(request.repository, project.commit, request.path, wanted.paths)


def _names(pipeline: Pipeline) -> Iterator[str]:
    """Give names for environments that no stage of the project has: environment, environment-2, ..."""
    number = 0
    while True:
        number += 1
        name = "environment" if number == 1 else f"environment-{number}"
        if name not in pipeline.stages:
            yield name
