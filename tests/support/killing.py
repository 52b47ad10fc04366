"""Controllers that are killed again and again on a real cluster while runs go on, and the proof that nobody noticed.

Each stage appends a line to a file in its request's cache: what ran twice, or never, shows there.
"""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.e2e import NAMESPACE, Coachwork, Record, eventually, kubectl, told
from tests.support.e2e_projects import batch, project, server, service
from tests.support.kubectl import Object

NOTE = """
import os, pathlib, time
with open(pathlib.Path(os.environ["COACHWORK_CACHE"]) / "effects", "a") as file:
    file.write(os.environ["COACHWORK_RUN"] + " " + os.environ["COACHWORK_STAGE"] + "\\n")
time.sleep({seconds})
"""
BAD = NOTE.format(seconds=0) + "raise SystemExit('gone wrong')\n"
LIMIT = 600  # seconds of a run while its controller is killed
LOOP = "while :; do coachwork controller & echo $! > /tmp/controller.pid; wait $!; done"
KILL = "kill -9 $(cat /tmp/controller.pid)"
KILL_GIT = 'for p in /proc/[0-9]*; do read -r c < $p/comm && [ "$c" = git ] && kill -9 ${p#/proc/}; done; true'


def note(name: str, seconds: float = 1, requirements: str = "") -> dict[str, str]:
    """Return a batch stage that leaves its line, and takes some time."""
    return batch(name, NOTE.format(seconds=seconds), requirements=requirements)


@contextmanager
def in_a_loop(coachwork: Coachwork) -> Iterator[str]:
    """Let a shell start the controller again, at once, and nobody else: the kubelet gets slower; yield its pod."""
    container = {"name": "controller", "command": ["sh", "-c", LOOP], "args": [], "livenessProbe": None}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    rollout = ("-n", NAMESPACE, "rollout")
    kubectl("-n", NAMESPACE, "patch", "deployment", "coachwork", "-p", json.dumps(patch))
    try:
        kubectl(*rollout, "status", "deployment/coachwork", "--timeout=180s", seconds=200)
        yield coachwork.controller()
    finally:
        kubectl(*rollout, "undo", "deployment/coachwork")
        kubectl(*rollout, "status", "deployment/coachwork", "--timeout=180s", seconds=200)


@dataclass
class Load:
    """One request that is triggered again as soon as its run is over, by a pod of its schedule if it has one."""

    name: str
    files: Callable[[int], dict[str, str | bytes]]  # by the number of the run
    phase: str
    stages: frozenset[str]  # that leave a line in each run
    schedule: str = ""
    runs: int = 0
    last: Record = field(default_factory=dict)


def loads(coachwork: Coachwork) -> list[Load]:
    """Return requests of all kinds: steps, a failing stage with its sibling, a service, environments, a schedule."""

    def steps(_run: int) -> dict[str, str | bytes]:
        return project(steps_, "one >> two, three >> four", *map(note, ("one", "two", "three", "four")))

    def failing(_run: int) -> dict[str, str | bytes]:
        return project(
            failing_,
            "good >> bad, sibling >> never",
            note("good"),
            batch("bad", BAD),
            note("sibling", 0),
            note("never"),
        )

    def serving(run: int) -> dict[str, str | bytes]:
        return project(serving_, "train >> web", note("train"), service("web", server(f"run {run}")))

    def packages(run: int) -> dict[str, str | bytes]:
        return project(packages_, "use", note("use", requirements=f"six ; python_version != '9.{run}'\n"))

    def slots(_run: int) -> dict[str, str | bytes]:
        return project(slots_, "tick", note("tick"))

    titles = ("steps", "failing", "serving", "packages", "slots")
    steps_, failing_, serving_, packages_, slots_ = map(coachwork.name, titles)
    return [
        Load(steps_, steps, "Ready", frozenset({"one", "two", "three", "four"})),
        Load(failing_, failing, "Failed", frozenset({"good", "bad", "sibling"})),
        Load(serving_, serving, "Ready", frozenset({"train"})),
        Load(packages_, packages, "Ready", frozenset({"use"})),
        Load(slots_, slots, "Ready", frozenset({"tick"}), "0 0 1 1 *"),
    ]


class Storm:
    """Runs under way, and one hand that kills."""

    def __init__(self, coachwork: Coachwork) -> None:
        self.coachwork, self.loads = coachwork, loads(coachwork)
        self.over, self.failures = threading.Event(), list[str]()

    def live(self, kill: Callable[[], object], count: int, *, least: float, most: float, seed: int = 0) -> None:
        """Kill so many times at random moments while all requests run one run after the other; then check them all."""
        dice = random.Random(seed)  # noqa: S311 - moments, no secrets
        threads = [threading.Thread(target=self._drive, args=(load,), daemon=True) for load in self.loads]
        for thread in threads:
            thread.start()
        for _ in range(count):
            self.over.wait(dice.uniform(least, most))
            kill()
        self.over.set()
        for thread in threads:
            thread.join(LIMIT + 60)
        assert not self.failures, "\n".join(self.failures)
        problems = [line for load in self.loads for line in self.check(load)]
        assert not problems, "\n".join(problems)

    def _drive(self, load: Load) -> None:
        """Trigger one run after the other, each with a commit of its own, until the storm is over."""
        try:
            while not self.over.is_set():
                run = load.runs + 1
                self.coachwork.git.push(load.name, load.files(run))
                wanted = self._trigger(load, run)
                load.last, load.runs = self.coachwork.ended(load.name, seconds=LIMIT, run=str(run), **wanted), run
        except Exception as error:  # noqa: BLE001 - a thread of the test: reported by the main one
            self.failures.append(f"{load.name}: {type(error).__name__}: {error}")

    def _trigger(self, load: Load, run: int) -> dict[str, str]:
        """Ask for a run; return what its record says once it is over."""
        name, trigger = load.name, f"{load.name}-slot-{run}" if load.schedule else f"t{run}"
        if run == 1 and load.schedule:
            self.coachwork.request(name, keep_runs="2", schedule=load.schedule, run_on_create="false")
            eventually(lambda: self.coachwork.objects(name, "cronjobs"), "CronJob of the schedule", seconds=LIMIT)
        elif run == 1:
            self.coachwork.request(name, keep_runs="2")
            return {}
        if load.schedule:  # the Job that the CronJob controller makes at a slot, made when the last one's run is over
            kubectl("-n", NAMESPACE, "create", "job", trigger, f"--from=cronjob/{name}")
        else:
            self.coachwork.annotate(name, trigger=trigger)
        return {"finished_trigger": trigger}

    def check(self, load: Load) -> Iterator[str]:
        """Yield what is wrong with what a request's runs have left."""
        last = load.last
        if (last["phase"], last["run"]) != (load.phase, str(load.runs)):
            yield f"{load.name}: expected {load.phase} after {load.runs} runs: {told(last)}"
        lines = Counter(self.coachwork.run_file(load.name, ".", "cache/effects").splitlines())
        wanted = {f"{run} {stage}" for run in range(1, load.runs + 1) for stage in load.stages}
        if set(lines) != wanted or set(lines.values()) != {1}:
            lost, more = sorted(wanted - set(lines)), sorted(set(lines) - wanted)
            twice = [line for line, number in lines.items() if number > 1]
            yield f"{load.name}: twice {twice}, lost {lost}, more {more}"
        triggers = Counter(past.get("trigger", "") for past in self.coachwork.history(last) if past.get("run"))
        yield from (
            f"{load.name}: trigger {name} was handled {number} times" for name, number in triggers.items() if number > 1
        )
        jobs = {job["metadata"]["name"]: job for job in self.coachwork.objects(load.name, "jobs")}
        stages = [name for name, job in jobs.items() if "coachwork.io/stage" in job["metadata"]["labels"]]
        if late := [name for name in stages if not name.endswith(f"-{load.runs}")]:
            yield f"{load.name}: Jobs of earlier runs are left: {late}"
        if lost := [name for name in jobs.keys() - set(stages) if _failed(jobs[name])]:
            yield f"{load.name}: slots whose pod does not know of their run's end: {lost}"


def _failed(job: Object) -> bool:
    return bool(job.get("status", {}).get("failed"))


def orphans(coachwork: Coachwork) -> list[str]:
    """Return what nobody owns any more: partial folders on the volume, processes of git.

    What a controller was removing when it was killed lies in `.trash-*`, and is the next sweep's (docs/adr/0012).
    """
    script = (
        "find /var/lib/coachwork -maxdepth 4 -name '.partial-*' -mmin -120;"
        ' for p in /proc/[0-9]*; do read -r c < $p/comm && [ "$c" = git ] && echo $p $c; done; true'
    )
    return coachwork.shell("sh", "-c", script).splitlines()


__all__ = ["KILL", "KILL_GIT", "Storm", "in_a_loop", "orphans"]
