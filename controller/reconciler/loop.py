"""The straight line of one pass: request and record in, decision out, record first, then the actions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from controller.core import errors, layout, names, plan
from controller.core.documents import codec, release
from controller.core.documents import status as statuses
from controller.core.documents.codec import Good, TooNew
from controller.core.facts.workloads import owner_uid, run_of
from controller.core.inputs import request as requests
from controller.core.manifests import RunContext
from controller.core.model import Cause, Object, Pipeline, Policy, Record, Request, RunSpec
from controller.core.plan import Decision, Observed, Pending, Refusal
from controller.reconciler import repeat
from controller.reconciler.act import STALE_DELAY, Actor
from controller.reconciler.archive import Archive
from controller.reconciler.observe import observe, with_drift
from controller.reconciler.poll import Poller
from controller.reconciler.ports import Clock, Cluster, Metrics, Source, Volume
from controller.reconciler.projects import Projects
from controller.reconciler.view import View

VOLUME_FULL = "VolumeFull"
ROOM = "enlarge the claim, lower keep-runs or delete requests; it goes on by itself"
TAKEN_DELAY = 60.0  # nothing can be recorded while another holds the record's name


@dataclass(frozen=True, slots=True)
class _Known:
    """A request with what is recorded of it; `status` is the ConfigMap that the record was read from."""

    request: Request
    problems: tuple[str, ...]
    digest: str
    record: Record
    status: Object | None


class Reconciler:
    """Brings one request after the other to where it should be. Safe in several threads, with a key in one each."""

    def __init__(
        self,
        view: View,
        cluster: Cluster,
        source: Source,
        volume: Volume,
        metrics: Metrics,
        clock: Clock,
        policy: Policy,
    ) -> None:
        """Take what it stands on."""
        self._view, self._cluster, self._volume = view, cluster, volume
        self._metrics, self._clock, self._policy = metrics, clock, policy
        self._archive = Archive(volume, policy.version)
        self._projects = Projects(view, cluster, source, volume, policy)
        self._actor = Actor(cluster, volume, clock, policy.namespace)
        self._poller = Poller(self._projects.resolve, clock)

    def reconcile(self, name: str) -> float | None:
        """Make one pass over the request `name`.

        Gives after how many seconds to look again, None: when something changes. Raises NotYet, Transient.
        """
        configmap = self._view.request(name)
        if configmap is None or "deletionTimestamp" in configmap["metadata"]:
            self._forget(name)
            return None
        try:
            decision, refusals = self._pass(configmap, ())
            if refusals:
                self._pass(configmap, refusals)
                raise errors.Transient(refusals[0].cause.reason, refusals[0].cause.message)
        except codec.RecordTooNew as newer:
            self._block(configmap, newer)
            return None
        except errors.Conflict as conflict:
            raise errors.NotYet(STALE_DELAY, str(conflict)) from conflict
        except errors.Refused as refused:  # of a look-up, a deletion or the record: no stage's fault
            raise errors.Transient("RejectedByCluster", str(refused)) from refused
        if decision.record.active and decision.record.reason == VOLUME_FULL:  # a build's: whoever sees it makes room
            raise errors.Transient(VOLUME_FULL, decision.record.message)
        return decision.requeue_after

    def _forget(self, name: str) -> None:
        """Remove what a deleted request left on the volume, once its pods are gone (their end comes as an event)."""
        self._poller.forget(name)
        children = self._view.children(name)
        if children.pods or children.jobs or children.deployments:
            return
        live = self._cluster.get("ConfigMap", name)  # a request that lost its label is in no cache, and lives
        self._volume.forget(name, living=live["metadata"]["uid"] if live else "")

    def _pass(self, configmap: Object, refusals: Sequence[Refusal]) -> tuple[Decision, Sequence[Refusal]]:
        known = self._known(configmap)
        try:
            seen = observe(self._view, self._cluster, self._volume, known.request, known.record, refusals)
            decision = self._decide(known, seen)
            self._actor.prepare(decision.actions)
            manifest = self._manifest(known.request, decision.record)
            self._keep(known, decision, manifest["data"])
        except (errors.Transient, errors.NotYet) as error:
            self._report(
                known, self._manifest(known.request, _stumbled(known.record, self._with_room(error), self._clock()))
            )
            raise
        except errors.Invalid as invalid:  # what we wrote ourselves was written over
            damaged = errors.Transient(invalid.reason, invalid.problems[0])
            self._report(known, self._manifest(known.request, _stumbled(known.record, damaged, self._clock())))
            raise damaged from invalid
        self._report(known, manifest)
        for outcome in filter(None, (decision.outcome, *decision.not_begun)):
            self._metrics.run_ended(outcome)
        refused = self._actor.carry_out(known.request, decision.actions)
        if decision.outcome and not known.problems:  # an invalid request does not say what it wants kept
            self._tidy(known.request, decision, seen)
        return decision, refused

    # --- what is known -----------------------------------------------------------------------------

    def _known(self, configmap: Object) -> _Known:
        problems: tuple[str, ...] = ()
        try:
            request = requests.read(configmap)
        except errors.Invalid as invalid:
            request, problems = requests.identity(configmap), invalid.problems
        status = self._status(request)
        if released := self._view.release(request.name):
            codec.honoured(release.read(released.get("data") or {}, released["metadata"]["name"]))
        return _Known(
            request=request,
            problems=problems,
            digest="" if problems else requests.digest(request),
            record=self._record(request, status),
            status=status,
        )

    def _status(self, request: Request) -> Object | None:
        status = self._view.status(request.name)
        # another request's: creating ours tells whether it is on its way out
        return status if status and owner_uid(status) == request.uid else None

    def _record(self, request: Request, status: Object | None) -> Record:
        """Return the record, or its copy where it is lost; else a new one, counting on from what older runs left.

        Raises RecordTooNew.
        """
        written = statuses.read((status or {}).get("data") or {}, request.uid)
        if not isinstance(written, Good | TooNew):
            written = statuses.restored(written, statuses.read_copy(self._copy(request), request.uid))
        if record := codec.honoured(written):
            return record
        children = self._view.children(request.name)
        released = self._view.release(request.name)
        left = (*children.jobs, *children.deployments, *([released] if released else []))
        mine = [item for item in left if owner_uid(item) == request.uid]
        return Record(request_uid=request.uid, run=max(map(run_of, mine), default=0))

    def _copy(self, request: Request) -> str:
        return self._volume.read_document(layout.record(request.name, request.uid))

    def _block(self, configmap: Object, newer: codec.RecordTooNew) -> None:
        """Say that nothing is done about a request whose record can't be honoured, and leave the rest of it alone."""
        request, line = requests.identity(configmap), newer.problems[0]
        status = self._status(request)
        known = (status or {}).get("data") or statuses.copied(self._copy(request))
        data = statuses.blocked(known, request.uid, line)
        empty = Record(request.uid, "Blocked")
        manifest = {**self._manifest(request, empty), "data": data}
        if status:
            labels = {**(status["metadata"].get("labels") or {}), names.PHASE: "Blocked"}
            manifest["metadata"] = {**manifest["metadata"], "labels": labels}
        self._report(_Known(request, (), "", empty, status), manifest)
        news = plan.Emit(f"blocked-{line}", "Warning", newer.reason, line)
        self._actor.carry_out(request, [news])

    # --- what follows ------------------------------------------------------------------------------

    def _decide(self, known: _Known, seen: Observed) -> Decision:
        """Decide on the run, and on what goes on beside it: the schedule, and the looks at `ref`."""
        if known.problems and not known.record.active:
            seen = self._with_drift(seen, plan.released(seen))
            return plan.refuse_request(known.request, known.record, known.problems, seen, self._clock())
        look = self._poller.look(known.request, known.record)
        decision = plan.told(self._decide_run(known, seen, look.commit), look.problem)
        if not known.problems:  # an invalid request does not say what it wants
            decision = plan.keep_schedule(known.request, decision, seen, self._policy)
        return look.reminded(decision, self._clock())

    def _decide_run(self, known: _Known, seen: Observed, commit: str) -> Decision:
        request, record, now = known.request, known.record, self._clock()
        wanted = plan.pending(request, record, known.digest, commit)
        if refused := self._refusal(known, wanted, seen):
            return self._declined(known, refused, seen)
        if record.active and record.spec:
            if cause := plan.replacement(request, record, wanted):
                return plan.fail(request, record, cause, seen, now, "Cancelled")
            return self._advance(request, plan.overlap(request, record, wanted, now, known.digest), record.spec, seen)
        if wanted and not request.suspend:
            return self._begin(known, wanted, seen)
        skipped = plan.skip(request, record, known.digest, commit)
        return plan.settle(request, skipped, self._with_drift(seen, plan.released(seen)), now)

    def _refusal(self, known: _Known, wanted: Pending | None, seen: Observed) -> errors.Invalid | None:
        """Return why the request's trigger is refused at once: nothing waits, or makes way, for what can't start."""
        request, record = known.request, known.record
        if request.suspend or not record.request_digest:
            return None
        if request.wrong:
            return errors.Invalid("InvalidTrigger", request.wrong) if plan.is_news(request, record) else None
        if wanted is None or not wanted.trigger or wanted.trigger != request.trigger:
            return None
        try:
            if request.rerun and not (record.active and request.rerun == record.run):
                repeat.recall(self._volume, request, record, seen)
            if plan.replacement(request, record, wanted) and (request.rerun or request.only or request.resume):
                self._prepared(known, request, wanted, seen, self._commit(known, request, wanted, seen))
        except errors.Invalid as invalid:
            return invalid if plan.is_refusal(request, record, invalid.reason) else None
        except (errors.NotYet, errors.Transient):  # nobody can tell now
            return None
        return None

    def _declined(self, known: _Known, refused: errors.Invalid, seen: Observed) -> Decision:
        """Refuse the request's trigger; all else goes on as if it had not come."""
        request, now = known.request, self._clock()
        declined = plan.decline(request, known.record, refused.problems, refused.reason, now)
        record = declined.record
        if record.active and record.spec:
            rest = self._advance(request, record, record.spec, seen)
        else:
            rest = plan.settle(request, record, self._with_drift(seen, plan.released(seen)), now)
        actions = (*declined.actions, *rest.actions)
        return replace(rest, actions=actions, requeue_after=0.0, not_begun=declined.not_begun)

    def _advance(self, request: Request, record: Record, spec: RunSpec, seen: Observed) -> Decision:
        try:
            pipeline = self._projects.pipeline(request, spec)
        except errors.Invalid as invalid:  # its checkout is lost and can't be had again, or is read otherwise now
            cause = Cause(invalid.reason, "; ".join(invalid.problems))
            return plan.fail(request, record, cause, seen, self._clock())
        return self._go_on(self._context(request, record, spec, pipeline), request, record, seen)

    def _go_on(self, context: RunContext, request: Request, record: Record, seen: Observed) -> Decision:
        seen = self._projects.with_secrets(seen, context.pipeline, record)
        seen = self._with_drift(seen, plan.held(context, record, seen))
        return plan.advance(context, request, record, seen, self._clock())

    def _begin(self, known: _Known, wanted: Pending, seen: Observed) -> Decision:
        """Open the first step of a new run; or record why there is none."""
        request, now, commit = plan.asked(known.request, wanted), self._clock(), ""
        try:
            self._archive.retire(request, known.record)
            commit = self._commit(known, request, wanted, seen)
            record, context = self._prepared(known, request, wanted, seen, commit)
            self._archive.begin(request, record)
        except errors.Invalid as invalid:
            if plan.may_come(known.record, invalid.reason, now, self._policy.start_grace):
                raise errors.Transient(invalid.reason, "; ".join(invalid.problems)) from invalid
            if plan.is_refusal(request, known.record, invalid.reason):
                return self._declined(known, invalid, seen)
            return plan.refuse(request, known.record, invalid.lines, invalid.reason, now, known.digest, commit)
        begun = self._go_on(context, request, record, self._projects.begun(seen, record))
        return replace(begun, actions=(plan.announce(record), *begun.actions))

    def _with_drift(self, seen: Observed, held: Mapping[str, Sequence[Object]]) -> Observed:
        return with_drift(self._cluster, seen, (item for items in held.values() for item in items))

    def _commit(self, known: _Known, request: Request, wanted: Pending, seen: Observed) -> str:
        """Return the commit that a run is of, resolved once. Raises Invalid, NotYet, Transient."""
        if request.wrong and wanted.trigger:
            raise errors.Invalid("InvalidTrigger", request.wrong)
        if request.rerun:
            return repeat.recall(self._volume, request, known.record, seen).commit
        return wanted.commit if wanted.cause == "Polled" else self._poller.resolve(request)

    def _prepared(
        self, known: _Known, request: Request, wanted: Pending, seen: Observed, commit: str
    ) -> tuple[Record, RunContext]:
        """Return the record of a run that could begin now. Raises Invalid with all that keeps it, NotYet, Transient."""
        before = repeat.before(self._volume, request, known.record)
        if request.rerun:
            spec = self._projects.again(request, known.record, seen, before)
            pipeline = self._projects.pipeline(request, spec)
        else:
            spec, pipeline = self._projects.at(request, commit, before)
        stages = plan.chosen(request, pipeline, plan.going_on_from(request, known.record), before, spec.part)
        record = plan.start(request, known.record, wanted, spec, stages, self._clock(), known.digest)
        context = self._context(request, record, spec, pipeline)
        context, taken = self._actor.check_names(request, context)
        return replace(record, spec=context.spec, problems=(*pipeline.warnings, *context.renamed(), *taken)), context

    def _context(self, request: Request, record: Record, spec: RunSpec, pipeline: Pipeline) -> RunContext:
        return RunContext(
            request=request.name,
            uid=request.uid,
            run=record.run,
            spec=record.spec or spec,
            pipeline=pipeline,
            policy=self._policy,
            previous=record.release_run,
        )

    # --- what is written ---------------------------------------------------------------------------

    def _with_room(self, error: errors.Transient | errors.NotYet) -> errors.Transient | errors.NotYet:
        """Give an error that a full volume has led to with how full it is, and what helps."""
        if not isinstance(error, errors.Transient) or error.reason != VOLUME_FULL:
            return error
        free = self._volume.room()
        return errors.Transient(VOLUME_FULL, f"{error} ({f'{free}: ' if free else ''}{ROOM})")

    def _manifest(self, request: Request, record: Record) -> Object:
        return statuses.manifest(request.name, request.uid, self._policy.namespace, record)

    def _keep(self, known: _Known, decision: Decision, data: Mapping[str, str]) -> None:
        """Write on the volume what the cluster is told next: the record's copy if it is new, a run that ended."""
        if decision.outcome:
            self._archive.end(known.request, decision.record)
            repeat.keep(self._volume, known.request, decision.record)
        if not known.status or known.status.get("data") != data:
            self._volume.keep_text(layout.record(known.request.name, known.request.uid), statuses.copy(data))

    def _report(self, known: _Known, manifest: Object) -> None:
        """Write NAME-status if it says anything new, and if nobody wrote since."""
        if known.status and known.status.get("data") == manifest["data"]:
            return
        try:
            if known.status:
                version = known.status["metadata"]["resourceVersion"]
                self._cluster.replace({**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}})
            else:
                self._cluster.create(manifest)
        except (errors.Conflict, errors.AlreadyExists) as moved:
            self._meet_record(known.request, manifest)
            raise errors.NotYet(STALE_DELAY, "the record was written since it was read") from moved

    def _meet_record(self, request: Request, manifest: Object) -> None:
        """Undo what a stale view has written on the volume; label a record again that lost its labels."""
        try:
            live = self._actor.meet(request, manifest)
            self._volume.keep_text(layout.record(request.name, request.uid), statuses.copy(live.get("data") or {}))
            if (live["metadata"].get("labels") or {}).get(names.ROLE) != names.ROLE_STATUS:
                labelled = {**live["metadata"], "labels": manifest["metadata"]["labels"]}
                self._cluster.replace({**live, "metadata": labelled})
        except errors.Conflict:
            return
        except errors.Invalid as taken:
            self._actor.carry_out(request, [plan.Emit("record-taken", "Warning", "NameTaken", taken.problems[0])])
            raise errors.NotYet(TAKEN_DELAY, taken.problems[0]) from taken

    def _tidy(self, request: Request, decision: Decision, seen: Observed) -> None:
        kept = plan.kept_runs(decision.record, request.keep_runs, seen)
        self._volume.keep_only(request.name, request.uid, kept)


def _stumbled(record: Record, error: errors.Transient | errors.NotYet, now: datetime) -> Record:
    """Give the record that says what a pass waits for."""
    if isinstance(error, errors.NotYet):
        return plan.stumble(record, "Running" if record.active else "Queued", "NotYet", str(error), now)
    return plan.stumble(record, "Running" if record.active else "Pending", error.reason, str(error), now)
