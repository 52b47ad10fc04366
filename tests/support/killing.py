"""Controllers that are killed again and again on a real cluster while runs go on, and the proof that nobody noticed.

Each stage appends a line to a file in its request's cache: what ran twice, or never, shows there.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support.e2e import Coachwork, Record, told
from tests.support.e2e_projects import batch, project, server, service

NOTE = """
import os, pathlib, time
with open(pathlib.Path(os.environ["COACHWORK_CACHE"]) / "effects", "a") as file:
    file.write(os.environ["COACHWORK_RUN"] + " " + os.environ["COACHWORK_STAGE"] + "\\n")
time.sleep({seconds})
"""
BAD = NOTE.format(seconds=0) + "raise SystemExit('gone wrong')\n"
LIMIT = 600  # seconds of a run while its controller is killed
KILL_GIT = 'for p in /proc/[0-9]*; do read -r c < $p/comm && [ "$c" = git ] && kill -9 ${p#/proc/}; done; true'


def note(name: str, seconds: float = 1, requirements: str = "") -> dict[str, str]:
    """Return a batch stage that leaves its line, and takes some time."""
    return batch(name, NOTE.format(seconds=seconds), requirements=requirements)


@dataclass
class Load:
    """One request that is triggered again as soon as its run is over."""

    name: str
    files: Callable[[int], dict[str, str | bytes]]  # by the number of the run
    phase: str
    stages: frozenset[str]  # that leave a line in each run
    runs: int = 0
    last: Record = field(default_factory=dict)


def loads(coachwork: Coachwork) -> list[Load]:
    """Return requests of all kinds: steps, a failing stage with its sibling, a service, environments."""

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

    steps_, failing_, serving_, packages_ = map(coachwork.name, ("steps", "failing", "serving", "packages"))
    return [
        Load(steps_, steps, "Ready", frozenset({"one", "two", "three", "four"})),
        Load(failing_, failing, "Failed", frozenset({"good", "bad", "sibling"})),
        Load(serving_, serving, "Ready", frozenset({"train"})),
        Load(packages_, packages, "Ready", frozenset({"use"})),
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
                if run == 1:
                    self.coachwork.request(load.name, keep_runs="2")
                else:
                    self.coachwork.annotate(load.name, trigger=f"t{run}")
                wanted = {"finished_trigger": f"t{run}"} if run > 1 else {}
                load.last, load.runs = self.coachwork.ended(load.name, seconds=LIMIT, run=str(run), **wanted), run
        except Exception as error:  # noqa: BLE001 - a thread of the test: reported by the main one
            self.failures.append(f"{load.name}: {type(error).__name__}: {error}")

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
        if late := [job for job in self.jobs(load.name) if not job.endswith(f"-{load.runs}")]:
            yield f"{load.name}: Jobs of earlier runs are left: {late}"

    def jobs(self, name: str) -> list[str]:
        """Return the names of a request's Jobs."""
        return [job["metadata"]["name"] for job in self.coachwork.objects(name, "jobs")]


def orphans(coachwork: Coachwork) -> list[str]:
    """Return what nobody owns any more: partial folders on the volume, processes of git.

    What a controller was removing when it was killed lies in `.trash-*`, and is the next sweep's (docs/adr/0012).
    """
    script = (
        "find /var/lib/coachwork -maxdepth 4 -name '.partial-*' -mmin -120;"
        ' for p in /proc/[0-9]*; do read -r c < $p/comm && [ "$c" = git ] && echo $p $c; done; true'
    )
    return coachwork.shell("sh", "-c", script).splitlines()


__all__ = ["KILL_GIT", "Storm", "orphans"]
