"""`python -m bench.scale N [--kill] [--keep]`: N one-stage requests at once, and a restart with all of them finished.

On the cluster of KUBECONFIG, with an installation of bench/overlay, and with nodes that KWOK plays (labelled
`type=kwok`, tainted `kwok.x-k8s.io/node`): the API server, the Job controller and the scheduler are real, the pods of
Jobs succeed at once. `--kill`: all pods wait for a node; the controller is killed while N runs are active, and they
may go on at the same moment. `--local`: without a cluster, see bench/scale_local.py.
"""

import json
import re
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from bench.machine import machine, p95, posix
from bench.stage_start import cluster
from controller.adapters.kube.kinds import permitted
from controller.adapters.kube.login import login
from controller.adapters.kube.resource import Resource
from controller.adapters.kube.transport import Timeouts, Transport
from controller.adapters.kube.watch import Watch, WatchCache
from controller.core import names
from controller.core.snapshot import Snapshot
from tests.support.e2e import NAMESPACE, Coachwork
from tests.support.e2e_projects import batch, project
from tests.support.incluster_git import InClusterGit
from tests.support.kubectl import Failed, eventually, kubectl, listed

TEMPLATE = "bench-fake-nodes"
GO = "coachwork.io/bench"  # label of nodes that pods of `--kill` wait for
AT_ONCE = 16  # creates of requests
LIMIT = 1800  # seconds without a run that ends
IDLE = 15.0  # seconds in which a finished installation should do nothing
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ([0-9.e+-]+)$", re.MULTILINE)
MEMORY = """
for p in /proc/[0-9]*; do
  if tr '\\0' ' ' <$p/cmdline | grep -q '[c]oachwork controller'; then
    grep -E 'VmHWM|VmRSS' $p/status; echo pid ${p#/proc/}; break; fi
done
cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpuacct/cpuacct.usage 2>/dev/null | grep -E '^usage_usec|^[0-9]+$'
"""


# --- what is seen -----------------------------------------------------------------------------------


@dataclass
class Seen:
    """The phases of records as a watch brings them, and the Jobs that were made."""

    ended: dict[str, float] = field(default_factory=dict)  # request -> when its run was first over
    phases: Counter[str] = field(default_factory=Counter)
    active: set[str] = field(default_factory=set)
    jobs: Counter[str] = field(default_factory=Counter)  # request -> Jobs of different uids
    writes: list[float] = field(default_factory=list)  # when records changed
    moved: threading.Condition = field(default_factory=threading.Condition)

    def changed(self, kind: str, old: Snapshot | None, new: Snapshot | None) -> None:
        """Take note of a change."""
        if new is None:
            return
        before, item = old.opened() if old else None, new.opened()
        labels, now = names.labels_of(item), time.time()
        request = labels.get(names.REQUEST, "")
        with self.moved:
            if kind == "Job":
                self.jobs[request] += before is None or before["metadata"]["uid"] != item["metadata"]["uid"]
            elif labels.get(names.ROLE) == names.ROLE_STATUS:
                self.writes.append(now)
                phase = labels.get(names.PHASE, "")
                (self.active.add if phase == "Running" else self.active.discard)(request)
                if phase in ("Ready", "Failed", "Invalid", "Cancelled") and request not in self.ended:
                    self.ended[request] = now
                    self.phases[phase] += 1
            self.moved.notify_all()

    def wait(self, reached: Callable[[], int], count: int, what: str) -> None:
        """Wait until `reached` is `count`. Raises Failed where nothing moves any more."""
        with self.moved:
            last, since = -1, time.monotonic()
            while (found := reached()) < count:
                if found != last:
                    last, since = found, time.monotonic()
                if time.monotonic() - since > LIMIT:
                    raise Failed(f"{what}: {found} of {count}, and nothing more within {LIMIT} s: {dict(self.phases)}")
                self.moved.wait(1.0)


@contextmanager
def watching(transport: Transport, *kinds: str) -> Iterator[Seen]:
    """Yield what watches of these kinds see."""
    seen, watches = Seen(), list[Watch]()
    for kind in kinds:
        feed = Resource(transport, permitted(kind, "watch"), NAMESPACE, "bench")
        watches.append(Watch(feed, WatchCache(kind, seen.changed)))
    try:
        for watch in watches:
            watch.start()
        if not all(watch.wait_synced(60) for watch in watches):
            raise Failed("no list within 60 s")
        yield seen
    finally:
        for watch in watches:
            watch.stop()


@dataclass(frozen=True)
class Usage:
    """What the controller and the API server have used so far."""

    samples: Mapping[str, float]  # of the controller
    server: Mapping[str, float]
    cpu: float  # seconds, of the controller's whole container
    peak: float  # MiB, of its process
    pid: str
    restarts: int

    def total(self, name: str, *labels: str) -> float:
        """Return the sum of the controller's samples of this name with these labels."""
        return _total(self.samples, name, *labels)


def usage(coachwork: Coachwork) -> Usage:
    """Return it as it is now."""
    text = coachwork.shell("sh", "-c", MEMORY)
    peak = re.search(r"VmHWM:\s+(\d+)", text)
    pid = re.search(r"pid (\d+)", text)
    used = re.search(r"^(?:usage_usec (\d+)|(\d+))$", text, re.MULTILINE)
    if not (peak and pid and used):
        raise Failed(f"no controller runs: {text}")
    seconds = int(used[1]) / 1e6 if used[1] else int(used[2]) / 1e9
    (pod,) = listed(NAMESPACE, "pods", "app.kubernetes.io/component=controller")
    restarts = pod["status"]["containerStatuses"][0]["restartCount"]
    samples = coachwork.metrics()
    return Usage(samples, _server(), seconds, int(peak[1]) / 1024, pid[1], restarts)


def _server() -> Mapping[str, float]:
    """Return the API server's own samples that say what it used and how long it took."""
    wanted = ("process_cpu_seconds_total", "apiserver_request_duration_seconds_")
    lines = (line for line in kubectl("get", "--raw", "/metrics").splitlines() if line.startswith(wanted))
    return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines)}


def _total(samples: Mapping[str, float], name: str, *labels: str) -> float:
    keys = (key for key in samples if key.partition("{")[0] == name and all(label in key for label in labels))
    return sum(samples[key] for key in keys)


def latencies(before: Usage, after: Usage) -> Iterator[str]:
    """Yield the API server's own latencies in between: of each kind of call how many, mean, and the 99th percentile."""
    for verb, resource in (
        *(("POST", kind) for kind in ("configmaps", "jobs", "pods", "events")),
        *(("PUT", kind) for kind in ("configmaps", "jobs")),
        *(("PATCH", kind) for kind in ("pods", "jobs")),
    ):
        labels, of = (f'verb="{verb}"', f'resource="{resource}"'), "apiserver_request_duration_seconds"

        def grown(name: str, *more: str, labels: tuple[str, ...] = labels) -> float:
            return _total(after.server, name, *labels, *more) - _total(before.server, name, *labels, *more)

        if count := grown(f"{of}_count"):
            bounds = sorted({float(found) for key in after.server for found in re.findall(r'le="([0-9.]+)"', key)})
            late = next((le for le in bounds if grown(f"{of}_bucket", f'le="{le:g}"') >= 0.99 * count), float("inf"))
            mean = 1000 * grown(f"{of}_sum") / count
            yield f"  {verb:6}{resource:11}{count:8.0f} calls   mean {mean:6.1f} ms   99 % within {1000 * late:6.0f} ms"


# --- what is done -----------------------------------------------------------------------------------


def prepare(git: InClusterGit, *, held: bool) -> str:
    """Make the pod template and the repository of one batch stage; return its address."""
    node = {"type": "kwok"} | ({GO: "yes"} if held else {})
    taint = [{"key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule"}]
    template = {"data": {"pod.yaml": json.dumps({"spec": {"nodeSelector": node, "tolerations": taint}})}}
    kubectl("-n", NAMESPACE, "create", "configmap", TEMPLATE, "--dry-run=client", "-o", "name")
    metadata = {"name": TEMPLATE, "namespace": NAMESPACE}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **template}
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(manifest))
    kubectl("label", "nodes", "-l", "type=kwok", f"{GO}-")
    name = f"scale-{uuid.uuid4().hex[:5]}"
    git.push(name, project("scale", "only", batch("only", "print('hello')\n")))
    return git.url(name)


def create(transport: Transport, address: str, prefix: str, count: int) -> float:
    """Create the requests, as many at once as the API server takes; return the seconds that it took."""
    requests = Resource(transport, permitted("ConfigMap", "create"), NAMESPACE, "bench")

    def one(number: int) -> None:
        labels = {names.ROLE: names.ROLE_REQUEST, "coachwork.io/bench": prefix}
        data = {"repository": address, "pod-template": TEMPLATE}
        metadata = {"name": f"{prefix}-{number}", "labels": labels}
        requests.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(count)))
    return time.monotonic() - began


def kill(pid: str) -> float:
    """Kill the controller without a word; return when."""
    at = time.time()
    kubectl("-n", NAMESPACE, "exec", "deployment/coachwork", "--", "sh", "-c", f"kill -9 {pid} || true")
    return at


def begun_again(restarts: int) -> None:
    """Wait until the controller is ready after one restart more."""

    def ready() -> bool:
        (pod,) = listed(NAMESPACE, "pods", "app.kubernetes.io/component=controller")
        (status,) = pod["status"]["containerStatuses"]
        return bool(status["restartCount"] > restarts and status["ready"])

    eventually(ready, "controller that is ready again", seconds=300)


def started(coachwork: Coachwork) -> tuple[float, float]:
    """Return when the controller's container began (in whole seconds), and when the controller was ready."""
    (pod,) = listed(NAMESPACE, "pods", "app.kubernetes.io/component=controller")
    begun = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    lines = (json.loads(line) for line in coachwork.log().splitlines() if '"controller ready"' in line)
    return posix(begun), max(posix(line["time"]) for line in lines)


def report(before: Usage, after: Usage, seen: Seen, began: float, created: float, count: int) -> None:
    """Print what so many runs took."""
    times = sorted(at - began for at in seen.ended.values())
    tenth, most = times[count // 10], times[count * 9 // 10]
    cpu = 1000 * (after.cpu - before.cpu) / count
    calls = {verb: after.total("coachwork_api_calls_total", f'verb="{verb}"') for verb in ("get", "list")}
    calls = {verb: total - before.total("coachwork_api_calls_total", f'verb="{verb}"') for verb, total in calls.items()}

    def grown(name: str, *labels: str) -> float:
        return (after.total(name, *labels) - before.total(name, *labels)) / count

    writes = sum(
        grown("coachwork_api_calls_total", f'verb="{verb}"') for verb in ("create", "update", "patch", "delete")
    )
    events = grown("coachwork_api_calls_total", 'verb="create"', 'resource="events"')
    print(
        f"{count} requests, created within {created:.1f} s: {dict(seen.phases)}; the last ended after {times[-1]:.1f} s"
    )
    print(
        f"  runs/s: {count / times[-1]:.1f} in all, {(count * 0.8) / max(most - tenth, 0.001):.1f} from a tenth to nine"
        f" tenths; one took {median(times):.1f} s (median), {p95(times):.1f} s (95 %) from the first create"
    )
    print(f"  controller: {cpu:.1f} ms of CPU per run (git included), peak {after.peak:.0f} MiB, pid {after.pid}")
    print(
        f"  per run: {writes - events:.2f} writes and {events:.2f} Events, {calls['get'] / count:.2f} gets,"
        f" {grown('coachwork_reconciles_total'):.1f} passes, {grown('coachwork_git_calls_total'):.3f} git calls;"
        f" {calls['list']:.0f} lists in all"
    )
    server = (after.server["process_cpu_seconds_total"] - before.server["process_cpu_seconds_total"]) / count
    print(f"  API server: {1000 * server:.1f} ms of CPU per run; its own latencies:")
    print("\n".join(latencies(before, after)))
    print(f"  restarts {after.restarts - before.restarts}, Jobs made twice {_twice(seen)}, unready {_unready()}")


def _twice(seen: Seen) -> int:
    return sum(number > 1 for number in seen.jobs.values())


def _unready() -> int:
    """Return how often the kubelet found a probe of the controller to fail."""
    events = json.loads(kubectl("-n", NAMESPACE, "get", "events", "--field-selector=reason=Unhealthy", "-o", "json"))
    mine = (item for item in events["items"] if item["involvedObject"]["name"].startswith("coachwork-"))
    return sum(item.get("count") or 1 for item in mine)


# --- the measurements -------------------------------------------------------------------------------


def burst(coachwork: Coachwork, transport: Transport, address: str, count: int) -> Seen:
    """Measure so many requests at once."""
    unready = _unready()
    with watching(transport, "ConfigMap", "Job") as seen:
        before, began = usage(coachwork), time.time()
        created = create(transport, address, f"scale-{uuid.uuid4().hex[:5]}", count)
        seen.wait(lambda: len(seen.ended), count, "runs that have ended")
        report(before, usage(coachwork), seen, began, created, count)
    print(f"  (probes that had failed before: {unready})")
    return seen


def recovery(coachwork: Coachwork, transport: Transport, address: str, count: int) -> Seen:
    """Kill the controller while so many runs are active, and let their pods go on at that moment."""
    with watching(transport, "ConfigMap", "Job") as seen:
        create(transport, address, f"kill-{uuid.uuid4().hex[:5]}", count)
        seen.wait(lambda: len(seen.active), count, "active runs")
        seen.wait(lambda: len(seen.jobs), count, "Jobs")
        before = usage(coachwork)
        at = kill(before.pid)
        kubectl("label", "nodes", "-l", "type=kwok", f"{GO}=yes")
        seen.wait(lambda: len(seen.ended), count, "runs that have ended")
        first = min(when for when in seen.writes if when > at)
        after, (begun, ready) = usage(coachwork), started(coachwork)
        print(
            f"kill -9 with {count} active runs: {dict(seen.phases)}; the new container began {begun - at:.0f} s later;"
        )
        print(
            f"  from then on: ready after {ready - begun:.1f} s, first record written after {first - begun:.1f} s, last"
            f" run ended after {max(seen.ended.values()) - begun:.1f} s;"
        )
        restarts = after.restarts - before.restarts
        print(f"  restarts {restarts}, Jobs made twice {_twice(seen)}, peak {after.peak:.0f} MiB")
    return seen


def restart(coachwork: Coachwork, transport: Transport, count: int) -> None:
    """Kill the controller when all is done: how long until it is ready, what it needs, and what it writes."""
    with watching(transport, "ConfigMap") as seen:
        before = usage(coachwork)
        at = kill(before.pid)
        begun_again(before.restarts)
        threading.Event().wait(IDLE)
        after, (begun, ready) = usage(coachwork), started(coachwork)
        calls = {
            verb: after.total("coachwork_api_calls_total", f'verb="{verb}"')
            for verb in ("create", "update", "patch", "delete", "get")
        }
        made = ", ".join(f"{number:.0f} {verb}" for verb, number in calls.items())
        print(
            f"restart with {count} finished requests: ready {ready - begun:.1f} s after its container began, peak"
            f" {after.peak:.0f} MiB;"
        )
        print(
            f"  calls since its start: {made}; {after.total('coachwork_reconciles_total'):.0f} passes, records written"
            f" {len([when for when in seen.writes if when > at])}, CPU {after.cpu:.1f} s"
        )


def main() -> None:
    """Measure on the cluster of KUBECONFIG, or here."""
    options, numbers = set(sys.argv[1:]) - {*filter(str.isdigit, sys.argv[1:])}, [*filter(str.isdigit, sys.argv[1:])]
    if len(numbers) != 1 or options - {"--kill", "--keep", "--local"}:
        sys.exit("usage: python -m bench.scale N [--kill] [--keep] | N --local")
    count = int(numbers[0])
    if "--local" in options:
        from bench import scale_local  # noqa: PLC0415 - it needs no cluster, and this one nothing of it

        scale_local.main(count)
        return
    print(f"machine: {machine()}")
    print(
        "method:  one-stage requests of one repository on nodes that KWOK plays; wall clock of the bench's own watch;"
    )
    print("         CPU of the controller's cgroup, calls from its metrics, the API server's from its own")
    try:
        client, _ = login("", "")
        client.configuration.connection_pool_maxsize = AT_ONCE + 4
        transport = Transport(client, lambda *_: None, Timeouts())
        with cluster() as coachwork:
            address = prepare(coachwork.git, held="--kill" in options)
            (recovery if "--kill" in options else burst)(coachwork, transport, address, count)
            restart(coachwork, transport, count)
    except Failed as failed:
        sys.exit(f"bench.scale: {failed}")
    finally:
        if "--keep" not in options:
            kubectl("-n", NAMESPACE, "delete", "configmap", "-l", "coachwork.io/bench", "--wait=false", seconds=600)


if __name__ == "__main__":
    main()
