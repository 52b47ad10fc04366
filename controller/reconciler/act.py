"""Carry actions out on the cluster, and return which objects it refused."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.core import errors, manifests, names, times
from controller.core.facts import drift
from controller.core.facts.owners import taken
from controller.core.model import Cause, Object, Request
from controller.core.plan import Action, Create, Delete, Emit, Notify, Publish, Refusal, Restore, Tidy, Write
from controller.reconciler.observe import holder
from controller.reconciler.ports import Clock, Cluster, Messenger, Volume

STALE_DELAY = 0.2  # until the watch has brought what a write met
RESTORE_PAUSE = timedelta(seconds=10)  # between two writes to an object that somebody else keeps changing
EVENT_LIFE = timedelta(hours=1)  # the API server's own default
EVENTS = 4096  # that are remembered
REJECTIONS = 3  # the same object met with the same 500 so often is an object that the server can't take


class Sent:
    """The Events that are there, as far as this process knows: the cluster keeps each for an hour."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, name: str, now: datetime) -> bool:
        """Return whether there is an Event of this name."""
        with self._lock:
            return name in self._until and now < self._until[name] <= now + EVENT_LIFE

    def note(self, name: str, now: datetime) -> None:
        """Note that there is an Event of this name; of too many the oldest is forgotten."""
        with self._lock:
            self._until[name] = now + EVENT_LIFE
            self._until.move_to_end(name)
            while len(self._until) > EVENTS:
                self._until.popitem(last=False)


@dataclass
class Actor:
    """The hands of the reconciler."""

    cluster: Cluster
    volume: Volume
    clock: Clock
    namespace: str
    messenger: Messenger
    wake: Callable[[str], object]
    """Wakes all that wait for an environment: its Job goes on when it is published, so no object changes."""
    _rejected: dict[str, int] = field(default_factory=dict)
    _restored: dict[str, datetime] = field(default_factory=dict)  # by uid: when it may be put back again
    _events: Sent = field(default_factory=Sent)

    def prepare(self, actions: Iterable[Action]) -> None:
        """Make the folders that the actions' pods need, before anything is recorded. Raises Transient."""
        written = (action.manifest for action in actions if isinstance(action, Write))
        if folders := [folder for manifest in written for folder in manifests.folders_of(manifest)]:
            self.volume.prepare(folders)

    def carry_out(  # noqa: C901 (a case each)
        self, request: Request, actions: Iterable[Action]
    ) -> Sequence[Refusal]:
        """Carry out all actions in their order; return what the server refused. Raises NotYet, Transient."""
        refusals: list[Refusal | None] = []
        early: errors.NotYet | None = None
        stopped = False
        for action in actions:
            if stopped and not isinstance(action, Tidy):
                continue
            match action:
                case Write():
                    try:
                        refusals.append(self._put(request, action))
                    except errors.NotYet as later:
                        early = early or later
                        stopped = not isinstance(action, Restore)  # what comes after that need not wait for it
                case Delete():
                    refusals.append(self._delete(action))
                case Publish(folder):
                    self.volume.publish_environment(folder)
                    self.wake(folder)
                case Emit():
                    self._emit(request, action)
                case Notify(letter):
                    self.messenger.send(letter)
                case Tidy(runs):
                    self.volume.keep_only(request.name, request.uid, runs)
        if early and not any(refusals):
            raise early
        return [refusal for refusal in refusals if refusal]

    def meet(self, request: Request, manifest: Object) -> Object:
        """Return the living object of a name that `request` needs, if it is the request's own.

        Raises NotYet where it goes away by itself, Invalid("NameTaken") where another holds it.
        """
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        live = self.cluster.get(kind, name)
        if live is None:
            raise errors.NotYet(STALE_DELAY, f"{kind} {name} was there and is gone")
        if other := holder(self.cluster, request.uid, live):
            raise errors.Invalid("NameTaken", [taken(kind, name, other)])
        return live

    def _delete(self, action: Delete) -> Refusal | None:
        try:
            self.cluster.delete(action.kind, action.name, action.uid)
        except errors.Refused as refused:
            cause = Cause("RejectedByCluster", f"{action.kind}/{action.name}: {refused}")
            return Refusal(None, cause, final=False)
        return None

    def _put(self, request: Request, action: Write) -> Refusal | None:
        """Write an object; return what became of it if the server refused it."""
        key = action.manifest["kind"], action.manifest["metadata"]["name"]
        name = "/".join(key)
        try:
            self._write(request, action)
        except errors.Refused as refused:
            reason = "QuotaExceeded" if refused.forbidden else "RejectedByCluster"
            return Refusal(action.stage, Cause(reason, f"{name}: {refused}"), not refused.forbidden, key)
        except errors.Invalid as invalid:
            return Refusal(action.stage, Cause(invalid.reason, invalid.problems[0]), final=True, about=key)
        except errors.Transient as transient:
            if transient.reason != "ServerError":
                raise
            self.cluster.get(*key)  # a server that can't read either, or its etcd, is what is in trouble
            self._rejected[name] = self._rejected.get(name, 0) + 1
            if self._rejected[name] < REJECTIONS:
                raise
            del self._rejected[name]
            return Refusal(action.stage, Cause("RejectedByCluster", f"{name}: {transient}"), final=True, about=key)
        self._rejected.pop(name, None)
        return None

    def _write(self, request: Request, action: Write) -> None:
        try:
            if isinstance(action, Create):
                self.cluster.create(action.manifest)
            elif isinstance(action, Restore):
                self._restore(action.manifest)
            else:
                self.cluster.apply(action.manifest)
        except errors.AlreadyExists:
            self._adopt(request, action.manifest)
        except errors.Conflict as conflict:
            raise errors.NotYet(STALE_DELAY, str(conflict)) from conflict

    def _restore(self, manifest: Object) -> None:
        """Undo what somebody changed; not at once again and again, where something else undoes it each time.

        An apply would not do: it leaves a changed port in its list, next to ours and with its name. Raises Conflict,
        NotYet.
        """
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        live = self.cluster.get(kind, name)
        if live is None:
            raise errors.NotYet(STALE_DELAY, f"{kind} {name} was there and is gone")
        uid, now = live["metadata"]["uid"], self.clock()
        for old in [key for key, again in [*self._restored.items()] if not now < again <= now + RESTORE_PAUSE]:
            self._restored.pop(old, None)
        if again := self._restored.get(uid):
            wait = (again - now).total_seconds()
            raise errors.NotYet(wait, f"{kind} {name} was put back a moment ago, and changed again")
        self.cluster.replace(drift.mended(manifest, live))
        self._restored[uid] = now + RESTORE_PAUSE

    def _adopt(self, request: Request, manifest: Object) -> None:
        """Take over an own object that the cache does not show; one whose labels were taken off gets them back."""
        if names.environment_of(manifest):  # another request's run has begun the same build
            return
        live = self.meet(request, manifest)
        labels = names.labels_of(live).items()
        if manifest["kind"] != "Job" and not names.labels_of(manifest).items() <= labels:
            self.cluster.apply(manifests.with_uid(drift.unheld(manifest, live), live["metadata"]["uid"]))

    def _emit(self, request: Request, news: Emit) -> None:
        """Make an Event. It is a courtesy: what keeps it from being made keeps nothing else."""
        now = self.clock()
        name = names.bounded(f"{request.name}.{names.digest(request.uid + news.key, 16)}", limit=253)
        if self._events.has(name, now):
            return
        about = {"name": request.name, "uid": request.uid, "namespace": self.namespace, "now": times.text(now)}
        try:
            self.cluster.create(manifests.event(about, name, news.type, news.reason, news.message))
        except errors.AlreadyExists:  # of the process before this one
            self._events.note(name, now)
        except (errors.Refused, errors.Transient, errors.NotYet):
            return
        else:
            self._events.note(name, now)
