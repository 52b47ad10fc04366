"""`make help` and `.ci/run`, as whoever meets the project first uses them."""

import json
import re
import shutil
import subprocess
import sys
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
\t@echo "make check $(PYTHON)" >> "$$LOG"; exit $$CHECK
test:
\t@mkdir -p .venv/bin && printf '#!/bin/sh\\necho 3.12\\n' >.venv/bin/python && chmod +x .venv/bin/python
\t@echo "make test in $${PWD##*/} of $${HOME##*/} $(PYTHON) $(ARGS)" >> "$$LOG"; exit $$TEST
test-long:
\t@echo "make test-long" >> "$$LOG"
e2e:
\t@echo "make e2e $$KUBECONFIG $(E2E_LOAD_IMAGE) $${E2E_SERVER##*/coachwork/}" >> "$$LOG"; exit $$E2E
"""
BECOME = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""
PYTHONS = {"3.11": "exit 0", "3.12": "exit 0", "3.13": "exit 0", "3.14": "exit 1"}  # the last can't be used
ALONE = [
    "make check python3.13",
    "audit",
    "make test in coachwork of the home of somebody else",
    "make test in 3.11 of ci python3.11 tests/unit tests/contract tests/deploy",
    "make test-long",
]


def test_make_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")] == targets


UV = """#!/bin/sh
case "$1" in export) exit ;; esac
while [ $# -gt 1 ]; do
  case "$1" in --output) report="$2" ;; esac
  shift
done
answer="$(dirname "$0")/$(basename "$report")"
test -e "$answer" && cp "$answer" "$report" || echo "ConnectionError: no way" >&2
exit 1
"""


def report(name: str, *vulnerabilities: str, **more: str) -> str:
    """Return what pip-audit says of one package."""
    found = [{"id": each, "fix_versions": ["9"]} for each in vulnerabilities]
    item: dict[str, object] = {"name": name, "version": "2.4.1", "vulns": found, **more}
    return json.dumps({"dependencies": [item], "fixes": []})


KNOWN = report("jinja2", "PYSEC-1")


@pytest.mark.parametrize(
    ("known", "used", "says"),
    [
        (KNOWN, report("uv"), "audit: no vulnerability is known"),
        (KNOWN, report("uv", "PYSEC-2"), ""),
        (KNOWN, None, "NOT DONE: the index does not answer any more: ConnectionError: no way"),
        (None, None, "NOT DONE: the index here knows of no vulnerabilities: ConnectionError: no way"),
        (report("jinja2"), report("uv"), "NOT DONE: the index here knows of no vulnerabilities: it names none"),
        (report("jinja2", skip_reason="no such package"), report("uv"), "not known: no such package"),
    ],
)
def test_a_known_vulnerability_fails_and_a_service_that_knows_of_none_is_named(
    tmp_path: Path, known: str | None, used: str | None, says: str
) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    binaries = tmp_path / ".venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    (binaries / "uv").write_text(UV)
    (binaries / "uv").chmod(0o755)
    for name, text in {"known.json": known, "used.json": used}.items():
        if text is not None:
            (binaries / name).write_text(text)
    command = [tmp_path / ".ci/audit"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0, says in done.stdout) == (bool(says), True), done.stderr
    assert says or "uv 2.4.1: PYSEC-2 fixed in 9" in done.stderr


class Checkout:
    """A copy of .ci/run with commands around it that only write down how they were called."""

    def __init__(self, folder: Path, *, cluster: bool) -> None:
        self.root, self.log = folder / "coachwork", folder / "log"
        self.write(self.root / ".ci/run", (ROOT / ".ci/run").read_text())
        self.write(self.root / ".ci/audit", '#!/bin/sh\necho audit >> "$LOG"\n')
        self.write(self.root / "Makefile", MAKEFILE)
        for command in (["init"], ["add", "."], ["commit", "--message=all"]):
            identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
            subprocess.run(["git", *identity, *command], cwd=self.root, check=True, capture_output=True)
        self.write(self.root / ".venv/bin/python", "#!/bin/sh\necho 3.13\n")
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

    def run(
        self, *, up: bool = False, ci: bool = False, check: int = 0, test: int = 0, e2e: int = 0
    ) -> tuple[bool, list[str]]:
        environ = {"LOG": str(self.log), "STATUS": str(int(not up)), "CHECK": str(check), "TEST": str(test)}
        environ |= {"CI": "true"} if ci else {}
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
            "make e2e /kubeconfig ../shared/cluster/cluster image .ci/server",
            "cluster down",
        ],
    )


@pytest.mark.parametrize(("ci", "server"), [(False, ""), (True, ".ci/server")])
def test_ci_leaves_a_cluster_that_was_up_before(tmp_path: Path, server: str, *, ci: bool) -> None:
    passed, calls = Checkout(tmp_path, cluster=True).run(up=True, ci=ci)
    assert passed
    assert "cluster down" not in calls
    assert calls[-1] == f"make e2e /kubeconfig ../shared/cluster/cluster image {server}".strip()


def test_ci_fails_with_the_end_to_end_tests_and_still_stops_the_cluster(tmp_path: Path) -> None:
    passed, calls = Checkout(tmp_path, cluster=True).run(e2e=1)
    assert not passed
    assert calls[-1] == "cluster down"


@pytest.mark.parametrize("cluster", [True, False])
def test_ci_fails_with_the_checks_and_starts_no_cluster(tmp_path: Path, *, cluster: bool) -> None:
    assert Checkout(tmp_path, cluster=cluster).run(check=1) == (False, ALONE[:1])


def test_ci_fails_where_tests_fail_for_somebody_else(tmp_path: Path) -> None:
    assert Checkout(tmp_path, cluster=True).run(test=1) == (False, ALONE[:3])
