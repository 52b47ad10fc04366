"""What every manifest of a run is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.core import images, names
from controller.core.documents.status import owner_reference
from controller.core.model import (
    INGRESS_PATH,
    Environment,
    Failure,
    Object,
    Pipeline,
    Policy,
    RunSpec,
    Service,
    Stage,
)


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run of one request, with its pipeline. `previous` is the last good run, 0 for none."""

    request: str
    uid: str
    run: int
    spec: RunSpec
    pipeline: Pipeline
    policy: Policy
    previous: int = 0
    failure: Failure | None = None  # what the failure stage hears of
    numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    """By stage: those of the last good run."""

    @property
    def project(self) -> str:
        """The project's name: the request's, else its own."""
        return self.spec.project_name or self.pipeline.name

    def service_name(self, stage: str) -> str:
        """Return the name of a service stage's objects."""
        return names.service(self.project, stage)

    def alias(self, stage: str) -> str:
        """Return the second name of a service, "" where it has none: no Service can have it, or another has it."""
        alias = names.kubernetes_name(stage)
        own = {self.service_name(name) for name in self.pipeline.stages}
        free = self.pipeline.is_yaml and alias not in own and alias not in self.spec.taken
        return alias if free and alias[0].isalpha() else ""

    def aliases(self) -> Mapping[str, str]:
        """Return the service stages by their second names."""
        services = (name for name, stage in self.pipeline.stages.items() if isinstance(stage.work, Service))
        return {alias: name for name in services if (alias := self.alias(name))}

    def without(self, alias: str, holder: str) -> tuple["RunContext", str]:
        """Return the context without a second name that `holder` has, and the warning that says so."""
        stage = self.aliases()[alias]
        spec = replace(self.spec, taken=(*self.spec.taken, alias))
        line = f"stage {stage}: the name {alias} leads elsewhere, Service {alias} belongs to {holder}: "
        line += f"call {self.service_name(stage)}, or use COACHWORK_URL_{names.variable(stage)}"
        return replace(self, spec=spec), line

    def public_path(self, stage: str) -> str:
        """Return the path at which an Ingress leads to a service, "" where paths are not published."""
        return self.policy.ingress.path.format(
            namespace=self.policy.namespace,
            request=self.request,
            project=names.kubernetes_name(self.project),
            stage=names.kubernetes_name(stage),
            service=self.service_name(stage),
        )

    def job_name(self, stage: str) -> str:
        """Return the name of a batch stage's Job."""
        indexed = self.pipeline.stages[stage].parallel is not None
        return names.job(self.request, stage, self.run, indexed=indexed)

    def peers_name(self, stage: str) -> str:
        """Return the name of the Service by which the peers of a stage find each other."""
        return names.peers(self.job_name(stage))

    def image_of(self, stage: str) -> str:
        """Return the image that a stage runs in."""
        return images.of_stage(self.spec, self.pipeline, stage)

    def environment_of(self, stage: str) -> Environment | None:
        """Return the environment that a stage's packages are in, None where it needs none."""
        return next((item for item in self.spec.environments if stage in item.stages), None)

    def renamed(self) -> tuple[str, ...]:
        """Return a warning for each service whose name is not PROJECT--STAGE, which old code calls."""
        lines = []
        for name, stage in self.pipeline.stages.items():
            plain = f"{names.kubernetes_name(self.project)}--{names.kubernetes_name(name)}"
            if isinstance(stage.work, Service) and plain != self.service_name(name):
                variable = f"COACHWORK_URL_{names.variable(name)}"
                why = f"its service is {self.service_name(name)}, since a Service can't be named {plain}"
                lines.append(f"stage {name}: {why} (use {variable}, or shorten the project's name)")
        return tuple(lines)

    def overruled(self) -> tuple[str, ...]:
        """Return a warning for each variable of the run that the indexes of a stage have values of their own of."""
        given = {name for name, _ in (*self.spec.env, *self.spec.parameters)}
        return tuple(
            f"stage {name}: {variable} has the values of FOR_EACH there, and not that of the request or the trigger"
            for name, stage in self.pipeline.stages.items()
            if stage.parallel
            for variable, _ in stage.parallel.each
            if variable in given
        )

    def follows_batch(self, stage: str) -> bool:
        """Return whether a batch stage runs in a step before the stage's: then each run replaces the service."""
        for step in self.pipeline.steps:
            if stage in step:
                return False
            if any(not isinstance(self.pipeline.stages[name].work, Service) for name in step):
                return True
        return False

    def unversioned(self, stage: str) -> "RunContext":
        """Return the context without what differs from run to run though nothing changed: what a digest is taken of."""
        run = self.run if self.follows_batch(stage) else 0
        spec = replace(self.spec, commit=self.spec.tree, trigger="", cause="", deadline=None)
        ingress = self.policy.ingress
        if ingress.path == INGRESS_PATH:  # it follows from the other names: a release that adds it rolls nothing
            ingress = replace(ingress, path="")
        policy = replace(self.policy, tools="", node="", ingress=ingress)
        return replace(self, run=run, spec=spec, previous=0, policy=policy)


def metadata(context: RunContext, name: str, stage: Stage, *, run: bool = True) -> Object:
    """Return an object's metadata: labels of app.kubernetes.io and of ours, and the request as its owner."""
    return {
        "name": name,
        "namespace": context.policy.namespace,
        "labels": labels(context, stage, run=run),
        "ownerReferences": [owner_reference(context.request, context.uid)],
    }


def labels(context: RunContext, stage: Stage, *, run: bool = True) -> dict[str, str]:
    """Return the labels of an object; `run`: it belongs to this run only."""
    common = {
        "app.kubernetes.io/name": names.label_value(stage.name),
        "app.kubernetes.io/part-of": names.label_value(context.project),
        names.MANAGED_BY: names.MANAGER,
        names.REQUEST: context.request,
        **selector(context, stage),
    }
    return {**common, names.RUN: str(context.run)} if run else common


def selector(context: RunContext, stage: Stage) -> Mapping[str, str]:
    """Return what selects a stage's pods: the request's uid and the stage only, the same in every run."""
    return {names.REQUEST_UID: context.uid, names.STAGE: names.label_value(stage.name)}
