"""The straight line of one pass: read, observe, decide (and gather what that asks for), record, act."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.core import errors
from controller.core.model import Object, Policy, Record
from controller.core.plan import Decision, Known, Needs, Observed, Poll, Refusal, decide, needs
from controller.reconciler.act import STALE_DELAY, Actor
from controller.reconciler.counting import Counting
from controller.reconciler.gather import Gatherer, Moment
from controller.reconciler.journal import Journal
from controller.reconciler.observe import observe
from controller.reconciler.ports import SILENT, Clock, Cluster, Messenger, Metrics, Source, Volume
from controller.reconciler.runfolders import RunFolders
from controller.reconciler.view import View

ROUNDS = 100  # of questions before a decision; each answers at least one, and one that asks on is a defect


class Reconciler:
    """Brings one request after the other to where it should be. Safe in several threads, with a key in one each."""

    def __init__(  # noqa: PLR0913, PLR0917 (all that there is around it)
        self,
        view: View,
        cluster: Cluster,
        source: Source,
        volume: Volume,
        metrics: Metrics,
        clock: Clock,
        policy: Policy,
        messenger: Messenger = SILENT,
    ) -> None:
        self._view, self._cluster, self._volume = view, cluster, volume
        self._clock, self._policy, self._messenger = clock, policy, messenger
        folders = RunFolders(volume, policy.version)
        self._gatherer = Gatherer(view, cluster, source, volume, folders, policy)
        self._actor = Actor(cluster, volume, clock, policy.namespace, messenger, view.wake)
        self._journal = Journal(view, cluster, volume, folders, self._actor, policy.namespace)
        self._counting = Counting(volume, metrics)
        self._polls: dict[str, Poll | None] = {}

    def reconcile(self, name: str, added: Callable[[], float] = time.monotonic) -> float | None:
        """Make one pass over the request `name`; `added` returns when its latest news came (by time.monotonic).

        Returns after how many seconds to look again, None: when something changes. Raises NotYet, Transient.
        """
        configmap = self._view.request(name)
        if configmap is None or "deletionTimestamp" in configmap["metadata"]:
            self._forget(name)
            return None
        try:
            news = added()  # read after the request: what is found there came no later
            with self._view.passing(name):
                decision, refusals = self._pass(configmap, news)
                if refusals:
                    decision, _ = self._pass(configmap, news, refusals)
        except errors.Conflict as conflict:
            raise errors.NotYet(STALE_DELAY, str(conflict)) from conflict
        except errors.Refused as refused:  # of a look-up or the record: no stage's fault
            raise errors.Transient("RejectedByCluster", str(refused)) from refused
        if decision.error:
            raise decision.error
        return decision.requeue_after

    def foresee(self, configmap: Object) -> Record:
        """Return the record that a pass over a request would write first, and write and begin nothing. Raises Invalid.

        What it looks up may be put on the volume, but for artifacts that a run would go on from.
        """
        known, now = self._journal.read(configmap).known, time.monotonic()
        observed, moment = Observed(), Moment(now, now, self._clock())
        while isinstance(answer := decide(known, observed, self._policy, moment.now), Needs):
            copies = {item: None for item in answer.questions if isinstance(item, needs.RunFolder)}
            rest = Needs(tuple(item for item in answer.questions if item not in copies))
            observed = observed | copies | self._gatherer.gather(known.request, rest, moment)
        return answer.record

    def _forget(self, name: str) -> None:
        """Remove what a deleted request left on the volume, once its pods are gone (their end comes as an event)."""
        self._polls.pop(name, None)
        self._counting.forget(name)
        children = self._view.children(name)
        if children.pods or children.jobs or children.deployments:
            return
        live = self._cluster.get("ConfigMap", name)  # a request that lost its label is in no cache, and lives
        self._volume.forget(name, living=live["metadata"]["uid"] if live else "")

    def _pass(
        self, configmap: Object, news: float, refusals: Sequence[Refusal] = ()
    ) -> tuple[Decision, Sequence[Refusal]]:
        entry, moment = self._journal.read(configmap), Moment(news, time.monotonic(), self._clock())
        known = replace(entry.known, poll=self._polls.get(entry.known.request.name))
        letters = self._messenger.letters(known.request.uid) if known.record.notices else {}
        try:
            observed = observe(self._view, self._cluster, self._volume, known, refusals)
            decision = self._decision(known, replace(observed, letters=letters), moment)
            self._polls[known.request.name] = decision.poll
            manifest = self._journal.manifest(entry, decision.record)
            self._journal.copy(entry, decision, manifest)
        except errors.Busy:  # it comes back as if it had not begun
            raise
        except (errors.NotYet, errors.Transient) as error:
            decision = self._decision(known, Observed(failed=error, letters=letters), moment)
            manifest = self._journal.manifest(entry, decision.record)
        self._journal.write(entry, manifest, decision.actions)
        try:
            return decision, self._actor.carry_out(known.request, decision.actions)
        finally:  # what is written is counted, and what has to be done does not wait until the volume was read for that
            outcomes = filter(None, (decision.outcome, *decision.not_begun))
            self._counting.count(known.request, known.record, decision.record, outcomes, moment)

    def _decision(self, known: Known, observed: Observed, moment: Moment) -> Decision:
        for _ in range(ROUNDS):
            answer = decide(known, observed, self._policy, moment.now)
            if not isinstance(answer, Needs):
                return answer
            observed |= self._gatherer.gather(known.request, answer, moment)
        raise RuntimeError(f"no decision about {known.request.name} after {ROUNDS} rounds: {answer}")
