"""`python -m bench.kills N`: N times `kill -9` of a controller on a real cluster, with runs of all kinds under way.

On the cluster of KUBECONFIG, with an installation of deploy/overlays/dev, whose controller is put into a shell loop
first: the kubelet's own restarts get slower and slower. A third of the kills take git with it, or a build's pod. Each
stage's side effect is counted on the volume, each Job by the bench's own watch. Fails if anything is lost, doubled or
stuck.
"""

import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.machine import machine
from bench.stage_start import cluster
from controller.adapters.kube.kinds import permitted
from controller.adapters.kube.login import login
from controller.adapters.kube.resource import Resource
from controller.adapters.kube.transport import Timeouts, Transport
from controller.adapters.kube.watch import Watch, WatchCache
from controller.core.snapshot import Snapshot
from tests.support.e2e import NAMESPACE
from tests.support.killing import KILL, KILL_GIT, Storm, in_a_loop, orphans
from tests.support.kubectl import Failed, eventually, kubectl, listed

LEAST, MOST = 0.2, 6.0  # seconds between two kills: some come before the controller is ready


@contextmanager
def counting() -> Iterator[Mapping[str, set[str]]]:
    """Yield the uids of all Jobs that are ever there, by name, from a watch of its own."""
    client, _ = login("", "")
    feed = Resource(Transport(client, lambda *_: None, Timeouts()), permitted("Job", "watch"), NAMESPACE, "bench")
    uids: dict[str, set[str]] = defaultdict(set)

    def changed(_kind: str, _old: Snapshot | None, new: Snapshot | None) -> None:
        if new:
            uids[new.name].add(new.opened()["metadata"]["uid"])

    watch = Watch(feed, WatchCache("Job", changed))
    watch.start()
    try:
        if not watch.wait_synced(60):
            raise Failed("no list of Jobs within 60 s")
        yield uids
    finally:
        watch.stop()


class Hand:
    """Kills the controller each time, and now and then more than that."""

    def __init__(self, pod: str) -> None:
        self._pod, self._turns = pod, itertools.count(1)
        self.done = dict.fromkeys(("controller", "git", "build"), 0)

    def __call__(self) -> None:
        """Kill once."""
        turn = next(self._turns)
        script = KILL if turn % 3 else f"{KILL}; {KILL_GIT}"
        kubectl("-n", NAMESPACE, "exec", self._pod, "--", "sh", "-c", script)
        self.done["controller"] += 1
        self.done["git"] += not turn % 3
        if turn % 10 == 0:
            self.done["build"] += self._kill_build()
        if turn % 20 == 0:
            print(f"  {turn} kills", flush=True)

    def _kill_build(self) -> bool:
        pods = listed(NAMESPACE, "pods", "coachwork.io/environment")
        running = [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]
        for name in running[:1]:
            kubectl("-n", NAMESPACE, "delete", "pod", name, "--force", "--grace-period=0", "--ignore-not-found")
        return bool(running)


def main() -> None:
    """Kill, and report."""
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():  # noqa: PLR2004
        sys.exit("usage: python -m bench.kills N")
    count = int(sys.argv[1])
    print(f"machine: {machine()}")
    print("method:  kill -9 by `kubectl exec` at random moments, 0.2 to 6 s after the last; a shell starts it again;")
    print("         requests with steps, a failing stage, a service, packages, a schedule; one run after the other")
    began = time.monotonic()
    try:
        with cluster() as coachwork, counting() as jobs, in_a_loop(coachwork) as pod:
            storm, hand = Storm(coachwork), Hand(pod)
            storm.live(hand, count, least=LEAST, most=MOST)
            runs = {load.name: load.runs for load in storm.loads}
            twice = [name for name, uids in jobs.items() if len(uids) > 1 and not name.startswith("env-")]
            left = eventually(lambda: [orphans(coachwork)], "look at the volume")[0]
    except Failed as failed:
        sys.exit(f"bench.kills: {failed}")
    print(f"{count} kills within {time.monotonic() - began:.0f} s: {hand.done}; runs {runs}, {len(jobs)} Jobs made")
    print(f"  Jobs made twice: {twice}; left behind: {left}; machine now: {machine()}")
    if left or twice:
        sys.exit("bench.kills: see above")


if __name__ == "__main__":
    main()
