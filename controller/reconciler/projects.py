"""What a run runs: a project at a commit, with the credentials, packages and Secrets that it needs."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from controller.core import images, plan, secrets
from controller.core.inputs import credentials, index, podtemplate, project
from controller.core.model import Environment, GitCredentials, Pipeline, Policy, ProjectTree, Record, Request, RunSpec
from controller.core.plan import Observed
from controller.reconciler import reading, repeat
from controller.reconciler.archive import Archive
from controller.reconciler.environments import Base, Builders, Project
from controller.reconciler.observe import builds, wanted_builds
from controller.reconciler.ports import Cluster, Source, Volume
from controller.reconciler.view import View

REMEMBERED_PROJECTS = 256


class Projects:
    """Finds projects and decides what a run of one is made of; remembers those that were read."""

    def __init__(self, view: View, cluster: Cluster, source: Source, volume: Volume, policy: Policy) -> None:
        """Take what it stands on."""
        self._view, self._cluster = view, cluster
        self._source, self._volume, self._policy = source, volume, policy
        self._archive = Archive(volume, policy.version)
        self._builders = Builders(source, volume)
        self._read = lru_cache(REMEMBERED_PROJECTS)(self._read_anew)

    def resolve(self, request: Request) -> str:
        """Give the commit that the request's `ref` is now. Raises Invalid, NotYet, Transient."""
        return self._source.resolve(request.repository, request.ref, self._credentials(request))

    def at(self, request: Request, commit: str, before: Mapping[str, str]) -> tuple[RunSpec, Pipeline]:
        """Return what a run of this commit is made of, that goes on from a run whose stages are as `before` says.

        Raises Invalid with all problems, NotYet, Transient.
        """
        opened = self._credentials(request)
        self._source.publish(request.repository, commit, opened)
        tree, pipeline = self._read(request.repository, commit, request.path, request.image or self._policy.image)
        spec, notes = self._spec(Project(request, commit, tree, pipeline, opened), before)
        return spec, replace(pipeline, warnings=(*pipeline.warnings, *notes))

    def again(self, request: Request, record: Record, seen: Observed, before: Mapping[str, str]) -> RunSpec:
        """Give what the run that `request` wants repeated was made of; its environments may be gone by now.

        Raises Invalid("RunNotKept"), Transient.
        """
        spec = repeat.recall(self._volume, request, record, seen)
        stages = set(plan.to_run(request, self.pipeline(request, spec), before, spec.part))
        wanted = tuple(item for item in spec.environments if stages.intersection(item.stages))
        for source in (source for item in wanted for source in item.sources):
            self._publish(request, source.repository, source.commit)
        return replace(spec, environments=self._begun(request, wanted))

    def pipeline(self, request: Request, spec: RunSpec) -> Pipeline:
        """Give the pipeline of an active run; its checkout is made again where it is lost. Raises as `at`."""
        self._publish(request, spec.repository, spec.commit)
        return self._read(spec.repository, spec.commit, spec.path, spec.image)[1]

    def begun(self, seen: Observed, record: Record) -> Observed:
        """Give what is seen with the builds of a run that was not yet recorded when that was seen."""
        return replace(seen, builds=wanted_builds(self._view, self._cluster, self._volume, record))

    def with_secrets(self, seen: Observed, pipeline: Pipeline, record: Record) -> Observed:
        """Give what is seen with the Secrets that the stages want, before the first step of a run is open."""
        if record.step:
            return seen
        waiting = {name for name, stage in record.stages.items() if stage.state == "Waiting"}
        wanted = secrets.wanted(pipeline, pipeline.stages.keys() & {*waiting, pipeline.run_on_failure})
        there = {name: self._cluster.get("Secret", name) for name in wanted}
        return replace(
            seen,
            missing=secrets.missing(wanted, there, self._policy.namespace),
            secrets=secrets.versions(there),
        )

    def _publish(self, request: Request, repository: str, commit: str) -> None:
        """Have a checkout; what opens the request's repository goes to no other server."""
        if not self._source.published(repository, commit):
            opened = credentials.fitting(self._credentials(request), request.repository, repository)
            self._source.publish(repository, commit, opened)

    def _credentials(self, request: Request) -> GitCredentials:
        """Read what opens the request's repository, anew each time: a Secret may be another by now. Raises Invalid."""
        secret = self._cluster.get("Secret", request.git_secret) if request.git_secret else None
        return credentials.git_credentials(secret, request.git_secret, request.repository)

    def _spec(self, found: Project, before: Mapping[str, str]) -> tuple[RunSpec, tuple[str, ...]]:
        """Return what a run is started with, and what is to be said about it. Raises as `at`."""
        request, name = found.request, found.request.index_secret
        stages = plan.to_run(request, found.pipeline, before)
        chosen = images.choose(found.pipeline, stages, request.image, self._policy)
        settings = index.settings(self._cluster.get("Secret", name), name) if name else index.Index()
        image, template = request.image or self._policy.image, self._template(request)
        platform = self._policy.platform or podtemplate.architecture(template)
        spec = RunSpec(
            repository=request.repository,
            commit=found.commit,
            path=request.path,
            tree=found.tree.digest,
            image=image,
            project_name=request.project_name,
            env=request.env,
            deadline=request.deadline,
            index_secret=name,
            index_keys=settings.keys,
            parameters=request.parameters,
            pod_template=template,
            images=chosen.images,
        )
        bases = {
            stage: Base(f"{images.of_stage(spec, found.pipeline, stage)}\n{platform}", chosen.pythons[stage])
            for stage in stages
        }
        decided, notes = self._builders.decide(found, stages, bases, settings)
        return replace(spec, environments=self._begun(request, decided)), (*chosen.notes, *notes)

    def _template(self, request: Request) -> str:
        """Read the request's pod template, anew for each run: how it is now counts until the run's end."""
        if not request.pod_template:
            return ""
        found = self._cluster.get("ConfigMap", request.pod_template)
        return podtemplate.read(found, request.pod_template, self._policy.claim)

    def _begun(self, request: Request, environments: Iterable[Environment]) -> tuple[Environment, ...]:
        """Give environments for a new run: one that was swept is built as it was, an older failed build counts not."""
        begun = []
        for item in environments:
            self._archive.recall_build(request, item.folder)
            job = builds(self._view, self._cluster, self._volume, [item])[item.folder].job
            begun.append(replace(item, stale=job.uid if job and job.state == "Failed" else ""))
        return tuple(begun)

    def _read_anew(self, repository: str, commit: str, path: str, image: str) -> tuple[ProjectTree, Pipeline]:
        tree = reading.whole(self._source, repository, commit, path)
        return tree, project.load(tree, python=images.otherwise(image, self._policy))
