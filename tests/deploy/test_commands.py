"""`make help` and `.ci/run`, as whoever meets the project first uses them."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CLUSTER = """#!/bin/sh
echo "cluster $*" >> "$LOG"
case "$1" in
  status) exit "$STATUS" ;;
  up) echo 'export KUBECONFIG=/kubeconfig' ;;
esac
"""
MAKEFILE = """
check:
\t@echo "make check" >> "$$LOG"; exit $$CHECK
test:
\t@echo "make test in $${PWD##*/} of $${HOME##*/} $(PYTHON) $(ARGS)" >> "$$LOG"; exit $$TEST
test-long:
\t@echo "make test-long" >> "$$LOG"
e2e:
\t@echo "make e2e $$KUBECONFIG $(E2E_LOAD_IMAGE)" >> "$$LOG"; exit $$E2E
"""
BECOME = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""
PYTHONS = {"3.12": "exit 1", "3.13": "exit 0", "3.14": "exit 1"}  # one can be used; another, 3.11, has run all tests
ALONE = [
    "make check",
    "make test in coachwork of the home of somebody else",
    "make test in 3.13 of ci python3.13 tests/unit tests/contract tests/deploy",
    "make test-long",
]


def test_make_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")] == targets


class Checkout:
    """A copy of .ci/run with commands around it that only write down how they were called."""

    def __init__(self, folder: Path, *, cluster: bool) -> None:
        self.root, self.log = folder / "coachwork", folder / "log"
        self.write(self.root / ".ci/run", (ROOT / ".ci/run").read_text())
        self.write(self.root / "Makefile", MAKEFILE)
        for command in (["init"], ["add", "."], ["commit", "--message=all"]):
            identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
            subprocess.run(["git", *identity, *command], cwd=self.root, check=True, capture_output=True)
        self.write(self.root / ".venv/bin/python", "#!/bin/sh\necho 3.11\n")
        self.write(folder / "bin/setpriv", BECOME)
        for version, script in PYTHONS.items():
            self.write(folder / f"bin/python{version}", f"#!/bin/sh\n{script}\n")
        self.path, self.home = f"{folder}/bin:/usr/bin:/bin:/usr/local/bin", folder / "ci"
        if cluster:
            self.write(folder / "shared/cluster/cluster", CLUSTER)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *, up: bool = False, check: int = 0, test: int = 0, e2e: int = 0) -> tuple[bool, list[str]]:
        environ = {"LOG": str(self.log), "STATUS": str(int(not up)), "CHECK": str(check), "TEST": str(test)}
        done = subprocess.run(
            [self.root / ".ci/run"],
            env={"PATH": self.path, "HOME": str(self.home), **environ, "E2E": str(e2e)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ("ci: passed" in done.stdout) == (done.returncode == 0)
        return done.returncode == 0, [line.strip() for line in self.log.read_text().splitlines()]


def test_ci_needs_no_cluster(tmp_path: Path) -> None:
    assert Checkout(tmp_path, cluster=False).run() == (True, ALONE)


def test_ci_starts_the_cluster_that_is_beside_it_and_stops_it(tmp_path: Path) -> None:
    assert Checkout(tmp_path, cluster=True).run() == (
        True,
        [
            *ALONE,
            "cluster status",
            "cluster up",
            "make e2e /kubeconfig ../shared/cluster/cluster image",
            "cluster down",
        ],
    )


def test_ci_leaves_a_cluster_that_was_up_before(tmp_path: Path) -> None:
    passed, calls = Checkout(tmp_path, cluster=True).run(up=True)
    assert passed
    assert "cluster down" not in calls


def test_ci_fails_with_the_end_to_end_tests_and_still_stops_the_cluster(tmp_path: Path) -> None:
    passed, calls = Checkout(tmp_path, cluster=True).run(e2e=1)
    assert not passed
    assert calls[-1] == "cluster down"


@pytest.mark.parametrize("cluster", [True, False])
def test_ci_fails_with_the_checks_and_starts_no_cluster(tmp_path: Path, *, cluster: bool) -> None:
    assert Checkout(tmp_path, cluster=cluster).run(check=1) == (False, ["make check"])


def test_ci_fails_where_tests_fail_for_somebody_else(tmp_path: Path) -> None:
    assert Checkout(tmp_path, cluster=True).run(test=1) == (False, ALONE[:2])
