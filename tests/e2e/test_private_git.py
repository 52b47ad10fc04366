"""Private repositories: over https with a private authority, over ssh, and each way in which that goes wrong."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.e2e import NAMESPACE, Coachwork, Record, told
from tests.support.e2e_projects import batch, project
from tests.support.incluster_git import InClusterGit
from tests.support.incluster_private_git import PrivateGit
from tests.support.kubectl import eventually, kubectl

BASIC, SSH = "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth"


@pytest.fixture(scope="session")
def servers(git: InClusterGit, tmp_path_factory: pytest.TempPathFactory) -> PrivateGit:
    """The servers, with a password of their own for each worker; they go with the namespace, which is that of `git`."""
    word = secrets.token_hex(12)
    work, name = tmp_path_factory.mktemp("private"), f"private-{word[:6]}"
    it = PrivateGit(git.namespace, work, name=name, password=f"tok3n-{word}")
    it.start()
    return it


@dataclass
class Ground:
    """The installation, the private servers, and the Secrets of one test."""

    coachwork: Coachwork
    servers: PrivateGit
    made: list[str] = field(default_factory=list)

    def secret(self, name: str, kind: str, values: Mapping[str, str]) -> str:
        """Make the Secret, or another one in its place, and return its name."""
        kubectl("-n", NAMESPACE, "delete", "secret", name, "--ignore-not-found")
        item = {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "namespace": NAMESPACE}}
        kubectl("create", "-f", "-", text=json.dumps({**item, "stringData": dict(values)}))
        self.made.append(name)
        return name

    def pushed(self, word: str) -> str:
        """Return the name of a new request, whose project is on the private servers."""
        name = self.coachwork.name(word)
        self.servers.push(name, project(name, "one", batch("one", "print('as ever')")))
        return name

    def tell(self, name: str, **keys: Any) -> Record:
        """Return the record once it says why the request does not run."""
        self.coachwork.request(name, **keys)
        return self.coachwork.wait_for(name, lambda data: data.get("reason", "NotYet") != "NotYet", "a reason")


@pytest.fixture
def ground(coachwork: Coachwork, servers: PrivateGit) -> Iterator[Ground]:
    it = Ground(coachwork, servers)
    yield it
    if it.made:
        kubectl("-n", NAMESPACE, "delete", "secret", *it.made, "--ignore-not-found")


def test_a_token_and_a_private_authority_open_a_repository(ground: Ground) -> None:
    name = ground.pushed("token")
    secret = ground.secret(name, BASIC, ground.servers.login())
    ground.coachwork.request(name, repository=ground.servers.url(name), git_secret=secret)
    record = ground.coachwork.ended(name)
    assert record["phase"] == "Ready", told(record)


@pytest.mark.parametrize("form", ["ssh_url", "short_url"])
def test_a_key_and_known_hosts_open_a_repository(ground: Ground, form: str) -> None:
    name = ground.pushed("key")
    address: Callable[[str], str] = getattr(ground.servers, form)
    secret = ground.secret(name, SSH, ground.servers.key())
    ground.coachwork.request(name, repository=address(name), git_secret=secret)
    record = ground.coachwork.ended(name)
    assert record["phase"] == "Ready", told(record)


def test_a_rotated_secret_is_used_without_a_restart(ground: Ground) -> None:
    name = ground.pushed("rotated")
    pod = ground.coachwork.shell("cat", "/etc/hostname")
    secret = ground.secret(name, BASIC, ground.servers.login("outdated"))
    record = ground.tell(name, repository=ground.servers.url(name), git_secret=secret)
    assert record["reason"] == "GitRefused", told(record)
    ground.secret(name, BASIC, ground.servers.login())
    record = ground.coachwork.trigger(name, "again")
    assert record["phase"] == "Ready", told(record)
    assert ground.coachwork.shell("cat", "/etc/hostname") == pod


def test_the_password_is_seen_nowhere_while_git_runs_and_afterwards(ground: Ground) -> None:
    name, word = ground.pushed("canary"), ground.servers.password
    secret = ground.secret(name, BASIC, ground.servers.login())
    ground.servers.hang(on=True)
    try:
        ground.coachwork.request(name, repository=ground.servers.url(name), git_secret=secret)
        look = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
        seen = eventually(lambda: _with(ground.coachwork.shell("sh", "-c", look), "ls-remote"), "git in the pod")
    finally:
        ground.servers.hang(on=False)
    assert word not in seen
    record = ground.coachwork.ended(name)
    assert record["phase"] == "Ready", told(record)
    told_of = [
        json.dumps(record),
        json.dumps(ground.coachwork.events(name)),
        json.dumps(ground.coachwork.objects(name, "jobs,pods,configmaps")),
        json.dumps(ground.coachwork.metrics()),
        ground.coachwork.log(),
    ]
    assert not [text for text in told_of if word in text]
    assert not ground.coachwork.shell("sh", "-c", f"grep -rl {word} /var/lib/coachwork || true")
    # Other tests' requests use the same password: their git may run now, and its file goes when it ends.
    private = f"grep -rl {word} /tmp /dev/shm || echo none"
    eventually(lambda: ground.coachwork.shell("sh", "-c", private).strip() == "none", "end of git's private files")


def _with(text: str, word: str) -> str:
    return text if word in text else ""
