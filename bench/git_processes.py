"""How many git processes requests at once cost the controller: first, and when it knows their commits already.

Controller, Git and Git server are the real ones; the cluster is played by hand.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench.machine import machine
from tests.support.gitserver import Repository, serving
from tests.support.manyrequests import Controller
from tests.support.world import project

SHAPES = (  # repositories, branches of each, whether requests name the commit
    ("one repository", 1, 1, False),
    ("one commit by its id", 1, 1, True),
    ("one repository, 20 branches", 1, 20, False),
    ("20 repositories of one host", 20, 1, False),
)


def measured(count: int, repositories: int, branches: int, *, is_commit: bool) -> tuple[Counter[str], Counter[str]]:
    """Return the git processes of so many requests: the first time, and of a controller that is started later."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder, "served")) as server:
        controller = Controller(Path(folder, "volume"))
        refs = list[tuple[str, str]]()
        for place in range(repositories):
            repository = server.repository(f"r{place}")
            refs += [(server.url(f"r{place}"), made(repository, branch, is_commit)) for branch in range(branches)]
        for number in range(count):
            address, ref = refs[number % len(refs)]
            controller.ask(f"q{number}", repository=address, ref=ref)
        seconds = max(60.0, count)
        first = controller.finish(1, seconds)
        controller.trigger("again")
        return first, controller.finish(2, seconds)


def made(repository: Repository, branch: int, is_commit: bool) -> str:
    """Return a new branch of the repository, or its commit."""
    repository.git("checkout", "--quiet", "-B", f"b{branch}")
    commit = repository.commit(project("a") | {"branch": f"{branch}"})
    return commit if is_commit else f"b{branch}"


def main() -> None:
    """Print a table."""
    count = int(sys.argv[1]) if sys.argv[1:] else 100
    print(machine())
    print(f"method: {count} requests wait when a controller starts; its git processes are counted until all runs ended")
    for title, repositories, branches, is_commit in SHAPES:
        print(f"{title}:")
        for moment, calls in zip(
            ("new", "known"), measured(count, repositories, branches, is_commit=is_commit), strict=True
        ):
            kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(calls.items()))
            print(
                f"  {moment:5} {calls.total():5} processes, {calls.total() / count:.2f} a request ({kinds or 'none'})"
            )


if __name__ == "__main__":
    main()
