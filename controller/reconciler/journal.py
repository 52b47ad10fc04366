"""The record of a request: read from the cluster, else from its copy on the volume; written to the volume first."""

from collections.abc import Sequence
from dataclasses import dataclass

from controller.core import errors, layout, names
from controller.core.documents import release
from controller.core.documents import status as statuses
from controller.core.documents.codec import Good, TooNew
from controller.core.facts.owners import owner_uid
from controller.core.facts.workloads import run_of
from controller.core.inputs import request as requests
from controller.core.model import Object, Record, Request
from controller.core.plan import Action, Decision, Emit, Known, Publish
from controller.reconciler.act import STALE_DELAY, Actor
from controller.reconciler.ports import Cluster, Volume
from controller.reconciler.runfolders import RunFolders
from controller.reconciler.view import View

STALE = "the record was written since it was read"
TAKEN_DELAY = 60.0  # nothing can be recorded while another holds the record's name


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What is known of a request, and the ConfigMap NAME-status that it was read from."""

    known: Known
    status: Object | None


@dataclass(frozen=True, slots=True)
class Journal:
    """Reads and writes it."""

    view: View
    cluster: Cluster
    volume: Volume
    folders: RunFolders
    actor: Actor
    namespace: str

    def read(self, configmap: Object) -> JournalEntry:
        """Return what is known of a request: its record, or the copy where that is lost. Raises Transient."""
        problems: tuple[str, ...] = ()
        try:
            request = requests.read(configmap)
        except errors.Invalid as invalid:
            request, problems = requests.identity(configmap), invalid.problems
        status = self.view.status(request.name)
        if status and owner_uid(status) not in ("", request.uid):
            status = None  # another request's: creating ours shows whether it is on its way out
        found = statuses.read((status or {}).get("data") or {}, request.uid)
        if not isinstance(found, Good | TooNew):
            found = statuses.restored(found, statuses.read_copy(self._copied(request), request.uid))
        if released := self.view.release(request.name):
            answer = release.read(released.get("data") or {}, released["metadata"]["name"])
            found = TooNew(Record(request.uid), answer.problem) if isinstance(answer, TooNew) else found
        if isinstance(found, Good | TooNew):
            return JournalEntry(Known(request, found, problems), status)
        children = self.view.children(request.name)  # without a record to go by, their labels name the last run
        left = (*children.jobs, *children.deployments, *([released] if released else []))
        last_run = max((run_of(item) for item in left if owner_uid(item) == request.uid), default=0)
        return JournalEntry(Known(request, found, problems, last_run), status)

    def _copied(self, request: Request) -> str:
        """Return the record's copy. Where that can't be read there may be no record to say so in: an Event does."""
        try:
            return self.volume.read_document(layout.record(request.name, request.uid))
        except errors.Transient as error:
            self.actor.carry_out(request, [Emit("record-unread", "Warning", error.reason, str(error))])
            raise

    def copy(self, entry: JournalEntry, decision: Decision, manifest: Object) -> None:
        """Write on the volume what comes before the record: a run that ended, and the record's copy. Raises Transient.

        The folders of the pods that follow are there then, too. What only says why a pass ended early has no copy.
        """
        request, data = entry.known.request, manifest["data"]
        if decision.record.phase == "Blocked" or (decision.error and not decision.actions):
            return
        self.actor.prepare(decision.actions)
        if decision.outcome:
            self.folders.end(request, decision.record)
        if decision.late_images:
            self.folders.name_images(request, decision.record.run, decision.late_images)
        if not entry.status or entry.status.get("data") != data:
            self.volume.keep_text(layout.record(request.name, request.uid), statuses.copy(data))

    def manifest(self, entry: JournalEntry, record: Record) -> Object:
        """Return NAME-status as it is to be. Raises Transient."""
        request, status = entry.known.request, entry.status
        manifest = statuses.manifest(request.name, request.uid, self.namespace, record)
        if record.phase == "Blocked":  # all that it holds stays as it is, but for the words
            remains = (status or {}).get("data") or statuses.copied(self._copied(request))
            manifest["data"] = statuses.blocked(remains, request.uid, record.message)
            labels = names.labels_of(status or {}) or manifest["metadata"]["labels"]
            manifest["metadata"]["labels"] = {**labels, names.PHASE: record.phase}
        return manifest

    def write(self, entry: JournalEntry, manifest: Object, actions: Sequence[Action]) -> None:
        """Write NAME-status if it says anything new, and if nobody wrote since. Raises NotYet, Refused, Transient.

        Where it says nothing new but something is to be done to objects, it is read: to whose record is of before a
        roll-out or a roll-back, the other release would look like somebody's edit, and be put back.
        """
        status = entry.status
        if status and status.get("data") == manifest["data"] and _is_labelled(status, manifest):
            if not all(isinstance(action, Publish | Emit) for action in actions):
                live = self.cluster.get("ConfigMap", manifest["metadata"]["name"])
                if not live or live.get("data") != status["data"]:
                    raise errors.NotYet(STALE_DELAY, STALE)
            return
        try:
            if status:
                version = status["metadata"]["resourceVersion"]
                self.cluster.replace({**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}})
            else:
                self.cluster.create(manifest)
        except errors.Conflict as moved:
            self._meet(entry.known, manifest)
            raise errors.NotYet(STALE_DELAY, STALE) from moved

    def _meet(self, known: Known, manifest: Object) -> None:
        """Undo what a stale view has written on the volume; label a record again that lost its labels."""
        request = known.request
        try:
            live = self.actor.meet(request, manifest)
            data = live.get("data") or {}
            if not isinstance(statuses.read(data, request.uid), Good | TooNew):  # somebody edited it: as it was read
                data = statuses.write(known.record)
            self.volume.keep_text(layout.record(request.name, request.uid), statuses.copy(data))
            if names.labels_of(live).get(names.ROLE) != names.ROLE_STATUS:
                labelled = {**live["metadata"], "labels": manifest["metadata"]["labels"]}
                self.cluster.replace({**live, "metadata": labelled})
        except errors.Conflict:
            return
        except errors.Invalid as taken:
            self.actor.carry_out(request, [Emit("record-taken", "Warning", "NameTaken", taken.problems[0])])
            raise errors.NotYet(TAKEN_DELAY, taken.problems[0]) from taken


def _is_labelled(status: Object, manifest: Object) -> bool:
    """Return whether a record has the owner and the labels by which it is found, and is still ours."""
    labels = names.labels_of(manifest).items() <= names.labels_of(status).items()
    return labels and owner_uid(status) == owner_uid(manifest)
