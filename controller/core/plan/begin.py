"""What a new run is made of: a commit or a kept run, the stages that it starts, images, packages, free names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from controller.core import images, manifests, names, sweep, times
from controller.core.errors import Invalid
from controller.core.facts.owners import taken
from controller.core.inputs import index, podtemplate
from controller.core.manifests import RunContext
from controller.core.model import (
    Pipeline,
    Policy,
    Record,
    Request,
    RunSpec,
    Service,
    StageRecord,
)
from controller.core.parts import going_on_from, select, states_before, to_run
from controller.core.plan import needs, reuse
from controller.core.plan.decision import Known, Observed
from controller.core.plan.needs import Key, Live, Project
from controller.core.plan.services import key_of
from controller.core.plan.settle import retained
from controller.core.plan.trigger import Pending, absorb, may_reuse


def prepared(
    known: Known, request: Request, pending: Pending, observed: Observed, policy: Policy, now: datetime
) -> tuple[Record, RunContext]:
    """Return the record of a run that could begin now. Raises Invalid with all that keeps it, NotYet, Transient."""
    spec, pipeline, stages, notes = _chosen(known, request, pending, observed, policy)
    environments = spec.environments
    serving = sweep.mounted(observed.release) if observed.release else frozenset()
    retired = known.record if request.rerun else None  # else by `Environments`
    sources = needs.Sources(environments, serving, retired)
    newest = needs.NewestRun(known.record.run)
    observed.require(sources, newest, *(needs.BuildOf(item.folder) for item in environments))
    observed.ask(sources)
    jobs = [(item, observed.ask(needs.BuildOf(item.folder)).job) for item in environments]
    # an earlier failed build is over and done with
    unbuilt = (replace(item, stale=job.uid if job and job.state == "Failed" else "") for item, job in jobs)
    services = tuple(stage.name for stage in pipeline.stages.values() if isinstance(stage.work, Service))
    spec = replace(
        spec,
        environments=tuple(unbuilt),
        steps=pipeline.steps,
        services=services,
        on_failure=pipeline.run_on_failure,
    )
    record = _started(known, request, pending, spec, stages, observed.ask(newest) + 1, now)
    context = context_of(request, record, spec, pipeline, policy)
    context, lost = _with_free_names(request, context, observed)
    problems = (*pipeline.warnings, *notes, *context.renamed(), *context.overruled(), *lost)
    return replace(record, spec=context.spec, problems=problems), context


def _chosen(
    known: Known, request: Request, pending: Pending, observed: Observed, policy: Policy
) -> tuple[RunSpec, Pipeline, dict[str, StageRecord], tuple[str, ...]]:
    """Return what a run is started with, its project, the records that its stages begin with, and what is to be said.

    It is a kept run once more, or what a commit holds.
    """
    commit = commit_of(known, request, pending, observed)
    before = states_before(request, known.record, lambda run: observed.ask(needs.KeptRun(run)))
    earlier = going_on_from(request, known.record)
    if request.rerun:
        spec = recalled(known, request, observed)
        _, pipeline = observed.ask(project_of(spec))
        stages = select(request, pipeline, earlier, before, spec.part)
        started = set(to_run(pipeline, stages))
        environments = tuple(item for item in spec.environments if started.intersection(item.stages))
        return replace(spec, environments=environments), pipeline, stages, ()
    project = Project(request.repository, commit, request.path, request.image or policy.image, begins=True)
    _, pipeline = observed.ask(project)
    stages = select(request, pipeline, earlier, before)
    spec, notes = _made_of(known, request, project, to_run(pipeline, stages), observed, policy)
    if pipeline.reuse and may_reuse(request, pending):
        spec, stages = reuse.taken(known.record, spec, pipeline, observed.ask(needs.Contents(project)), observed)
    return spec, pipeline, stages, notes


def context_of(request: Request, record: Record, spec: RunSpec, pipeline: Pipeline, policy: Policy) -> RunContext:
    """Return what the manifests of a run are made from."""
    return RunContext(
        request=request.name,
        uid=request.uid,
        run=record.run,
        spec=record.spec or spec,
        pipeline=pipeline,
        policy=policy,
        previous=record.release_run,
        numbers=record.release_numbers,
    )


def project_of(spec: RunSpec) -> Project:
    """Return the question for the project of a run that was started."""
    return Project(spec.repository, spec.commit, spec.path, spec.image)


def commit_of(known: Known, request: Request, pending: Pending, observed: Observed) -> str:
    """Return the commit that a run is of. Raises Invalid, NotYet, Transient."""
    if request.wrong and pending.trigger:
        raise Invalid("InvalidTrigger", request.wrong)
    if request.rerun:
        return recalled(known, request, observed).commit
    return pending.commit if pending.cause == "Polled" else observed.ask(needs.Commit())


def recalled(known: Known, request: Request, observed: Observed) -> RunSpec:
    """Return what a run that repeats a kept one is started with: all of it, under the parameters of `request`.

    Raises Invalid (RunNotKept, RecordTooNew), Transient.
    """
    spec = observed.ask(needs.KeptSpec(request.rerun))
    if spec is None:
        runs = sorted(retained(known.record, request.keep_runs, observed) - {0})
        remedy = f"kept are {', '.join(map(str, runs))}" if runs else "none has run yet"
        raise Invalid("RunNotKept", [f"run {request.rerun} is not kept, or damaged, so it can't be repeated: {remedy}"])
    parameters = dict(spec.parameters) | dict(request.parameters)
    parameters_now = tuple(sorted(parameters.items()))
    return replace(spec, parameters=parameters_now, rerun=request.rerun, taken=(), base=0, reuse=(), secrets=())


def begun(
    known: Known, request: Request, pending: Pending, observed: Observed, policy: Policy, now: datetime
) -> tuple[Record, RunContext]:
    """Return what `prepared` does, once the volume has what the run begins with. Raises as it does.

    Where what was to be reused can't be had, all stages run.
    """
    record, context = prepared(known, request, pending, observed, policy, now)
    try:
        _ready(record, observed)
    except Invalid as lost:
        if not context.spec.reuse:
            raise
        record, context = prepared(known, replace(request, whole=True), pending, observed, policy, now)
        _ready(record, observed)
        record = replace(record, problems=(*record.problems, f"nothing is reused: {lost.problems[0]}"))
    return record, context


def _ready(record: Record, observed: Observed) -> None:
    if spec := record.spec:
        uses = frozenset(sweep.uses(spec))
        observed.ask(needs.RunFolder(record.run, spec.base, uses, needed=bool(spec.reuse)))


def _made_of(
    known: Known, request: Request, project: Project, stages: Sequence[str], observed: Observed, policy: Policy
) -> tuple[RunSpec, tuple[str, ...]]:
    """Return what a run of a commit is started with, and what is to be said about it."""
    tree, pipeline = observed.ask(project)
    choice = images.choose(pipeline, stages, request.image, policy)
    name, secret = request.pod_template, request.index_secret
    settings = index.settings(observed.ask(Live("Secret", secret)), secret) if secret else index.Index()
    template = podtemplate.read(observed.ask(Live("ConfigMap", name)), name, policy.claim) if name else ""
    spec = RunSpec(
        repository=request.repository,
        commit=project.commit,
        path=request.path,
        tree=tree.digest,
        image=project.image,
        project_name=request.project_name,
        env=request.env,
        deadline=request.deadline,
        index_secret=request.index_secret,
        index_keys=settings.keys,
        parameters=request.parameters,
        pod_template=template,
        images=choice.images,
    )
    platform = policy.platform or podtemplate.architecture(template)
    bases = tuple(
        (stage, needs.Base(f"{images.of_stage(spec, pipeline, stage)}\n{platform}", choice.pythons[stage]))
        for stage in stages
    )
    question = needs.Environments(project, bases, settings, tree, pipeline, known.record)
    environments, notes = observed.ask(question)
    return replace(spec, environments=environments), (*choice.notes, *notes)


def _started(
    known: Known,
    request: Request,
    pending: Pending,
    spec: RunSpec,
    stages: Mapping[str, StageRecord],
    number: int,
    now: datetime,
) -> Record:
    """Return the record of a new run: its number, its commit, what it handles. Its first step is not open yet."""
    record = known.record
    partial = request.only or request.resume or spec.part
    base = going_on_from(request, record) if partial else spec.base
    part = tuple(name for name, stage in stages.items() if stage.state == "Waiting") if partial else ()
    return replace(
        absorb(request, record, known.digest, "" if spec.rerun else spec.commit),
        phase="Running",
        reason="Started",
        message=f"run {number} of commit {spec.commit[:12]} has started",
        problems=(),
        run=number,
        step=0,
        spec=replace(spec, trigger=pending.trigger, cause=pending.cause, base=base, part=part),
        ref=request.ref or "HEAD",
        started=times.text(now),
        finished="",
        stages={**{item.name: StageRecord() for item in spec.environments}, **stages},
    )


def _with_free_names(request: Request, context: RunContext, observed: Observed) -> tuple[RunContext, tuple[str, ...]]:
    """Return the context without second names of services that others hold, and a warning for each.

    Raises Invalid with all other names that are taken, NotYet.
    """
    keys = tuple(dict.fromkeys(_names(request, context)))
    observed.require(*(needs.Holder(*key) for key in keys))
    owners = {key: observed.ask(needs.Holder(*key)) for key in keys}
    problems, warnings = [], []
    for (kind, name), owner in owners.items():
        if owner and kind == "Service" and name in context.aliases():
            context, warning = context.without(name, owner)
            warnings.append(warning)
        elif owner:
            problems.append(taken(kind, name, owner))
    if problems:
        raise Invalid("NameTaken", problems)
    return context, tuple(warnings)


def _names(request: Request, context: RunContext) -> Iterator[Key]:
    """Yield the names of all objects that a run will need."""
    stages = context.pipeline.stages
    if request.schedule:
        yield "CronJob", request.name
    if any(isinstance(stage.work, Service) for stage in stages.values()):
        yield "ConfigMap", names.release_of(context.request)
    steps = (*context.pipeline.steps, tuple(filter(None, [context.pipeline.run_on_failure])))
    for stage in (stages[name] for step in steps for name in step):
        yield from map(key_of, manifests.stage_objects(context, stage))
