"""Controllers of several versions take turns at one request: what each leaves, in the cluster and on the volume, is all
that the next one gets.

`take` plays this version here, and another one in a process of its own: this file runs there, too, against the
`tests/support/world.py` of that version.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

RELEASE = "1b93b7c"  # 0.1.0: what tests/support/records-0.1.0 was written by
ROOT = Path(__file__).parents[2]
LIMIT = 100  # seconds

Step = Sequence[Any]
"""["ask", {...}], ["build"], ["begin", stage], ["fail", stage], ["settle"] or ["finish"]."""


def released(folder: Path) -> Path | None:
    """Return the released version's tree, taken from the repository itself; None where its history is cut off."""
    if not folder.exists():
        archive = subprocess.run(
            ["git", "archive", RELEASE], cwd=ROOT, capture_output=True, timeout=LIMIT, check=False
        )  # fmt: skip
        if archive.returncode:
            return None
        folder.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, timeout=LIMIT, check=True)
    return folder


def take(turns: Mapping[str, tuple[Any, Sequence[Step]]], tree: Path | None = None) -> dict[str, Any]:
    """Let one version (`tree`; None: this one) take a turn at each of several worlds; return what it leaves of each."""
    if tree is None:
        return {name: play(*turn) for name, turn in turns.items()}
    played = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(turns).encode(),
        env={"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin"},
        cwd=tree,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert not played.returncode, played.stderr.decode()
    left: dict[str, Any] = json.loads(played.stdout)
    return left


def play(state: dict[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """Take steps from a state of the world (its volume is the folder `root`); return the state after them."""
    from tests.support.world import REPOSITORY, World  # noqa: PLC0415 (another version's, in its own process)

    world: Any = World(Path(state["root"]))
    for files in state["commits"]:
        world.source.push(files)
    world.clock.now = datetime.fromisoformat(state["now"])
    put = world.cluster.put if hasattr(world.cluster, "put") else world.cluster._store  # noqa: SLF001
    for item in state["objects"]:
        put(item)
    world.restart()
    for verb, *arguments in steps:
        match verb:
            case "ask":
                world.cluster.ask("iris", repository=REPOSITORY, **arguments[0])
            case "settle":
                world.settle()
            case "build":
                for job in [job for name, job in world.jobs().items() if name.startswith("env-")]:
                    world.build(job)
            case "finish":
                world.finish_all()
            case "begin" | "fail":
                job, cluster = world.jobs()[f"iris-{arguments[0]}-1"], world.cluster
                cluster.begin_pod(job) if verb == "begin" else cluster.end_job(job, 3, "ValueError: no rows")
    objects = json.loads(json.dumps([*world.cluster.stored.values()]))  # a store's own can't be changed
    return {**state, "now": world.clock().isoformat(), "objects": objects}


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    json.dump({name: play(*turn) for name, turn in json.load(sys.stdin).items()}, sys.stdout)
