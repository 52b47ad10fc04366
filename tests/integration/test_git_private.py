"""Private repositories against a real HTTPS server with a private authority, and a real SSH server."""

import contextlib
import logging
import secrets
import shutil
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest
import trustme

from controller.adapters.git import Git
from controller.core import layout
from controller.core.model import GitCredentials
from tests.support import connectproxy, gitserver, sshserver
from tests.support.damage import harm
from tests.support.eventually import eventually
from tests.support.gitserver import SETTINGS, GitServer, Repository, published, serving
from tests.support.sshserver import SshServer, private_text, public_text

ADA = GitCredentials(username="ada", password="hunter2-s3cret")
PLACES = [Path("/dev/shm"), Path(tempfile.gettempdir())]  # noqa: S108 - where secrets are laid


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(tmp_path: Path, authority: trustme.CA) -> Iterator[GitServer]:
    """HTTPS with a certificate of the private authority, for `ada` only."""
    (tmp_path / "served").mkdir()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(tmp_path / "served", context) as git:
        git.login = (ADA.username, ADA.password)
        yield git


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[GitServer]:
    """HTTP, on another port, for everybody."""
    (tmp_path / "plain").mkdir()
    with serving(tmp_path / "plain") as git:
        yield git


@pytest.fixture
def ada(authority: trustme.CA) -> GitCredentials:
    return replace(ADA, authority=authority.cert_pem.bytes().decode())


@pytest.fixture
def iris(server: GitServer) -> Repository:
    repository = server.repository("iris")
    repository.commit({"a": "1"})
    return repository


@dataclass(frozen=True)
class Keys:
    """Keys as they may be made: slow ones once."""

    ed25519: asyncssh.SSHKey
    rsa: asyncssh.SSHKey
    ecdsa: asyncssh.SSHKey


@pytest.fixture(scope="module")
def keys() -> Keys:
    kinds = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256")
    return Keys(*(asyncssh.generate_private_key(kind) for kind in kinds))


@pytest.fixture
def shell(tmp_path: Path, keys: Keys) -> Iterator[SshServer]:
    """SSH with an ed25519 host key, for an RSA key."""
    (tmp_path / "ssh").mkdir()
    GitServer(tmp_path / "ssh").repository("iris").commit({"a": "1"})
    with sshserver.serving(SshServer(tmp_path / "ssh", keys.ed25519, keys.rsa)) as it:
        yield it


def keyed(shell: SshServer, **more: str) -> GitCredentials:
    known = GitCredentials(private_key=private_text(shell.client_key), known_hosts=shell.known_hosts)
    return replace(known, **more)


def refusal(action: Callable[[], object]) -> tuple[str, str]:
    """Return reason and text of what only the user can mend; the same the second time, and with no secret in it."""
    return twice(gitserver.refusal, action)


def hitch(action: Callable[[], object]) -> tuple[str, str]:
    return twice(gitserver.hitch, action)


def twice(said: Callable[[Callable[[], object]], tuple[str, str]], action: Callable[[], object]) -> tuple[str, str]:
    first, second = said(action), said(action)
    assert first == second
    assert ADA.password not in first[1]
    assert "coachwork-git-" not in first[1]
    return first


def laid(word: str) -> list[Path]:
    """Return the files with a secret of this test; other tests have files of their own there."""
    found = []
    for file in (file for place in PLACES for file in place.glob("coachwork-git-*/*")):
        with contextlib.suppress(OSError):
            found += [file] if word in file.read_text() else []
    return found


# --- https ------------------------------------------------------------------------------------------


def test_a_password_and_a_private_authority_open_a_repository(
    server: GitServer, iris: Repository, git: Git, volume: Path, ada: GitCredentials
) -> None:
    checkout = published(git, volume, server.url(iris.folder.name), credentials=ada)
    assert (checkout / "a").read_text() == "1"
    assert set(server.logins) == {f"{ADA.username}:{ADA.password}"}


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ada lovelace", "two  words "),
        ("$(touch x)`y`", "'\"\\$HOME%41*?[a-z]"),
        ("-n", "-e\\n"),
        ("ada@example.com", "p@ss:w/o#rd"),
        ("größe", "пароль"),
        ("x-access-token", "github_pat_" + "x" * 900),
    ],
)
def test_any_user_name_and_password_arrive_as_they_are(
    server: GitServer, iris: Repository, git: Git, ada: GitCredentials, username: str, password: str
) -> None:
    server.login = (username, password)
    given = replace(ada, username=username, password=password)
    assert git.resolve(server.url("iris"), "", given) == iris.git("rev-parse", "HEAD")


def test_each_way_of_being_refused_has_its_own_reason(
    server: GitServer, iris: Repository, git: Git, ada: GitCredentials
) -> None:
    url = server.url(iris.folder.name)
    reason, line = refusal(lambda: git.resolve(url, "", replace(ada, password="wrong")))
    assert (reason, "username and password in git-secret" in line) == ("GitRefused", True)
    reason, line = refusal(lambda: git.resolve(url, "", GitCredentials(authority=ada.authority)))
    assert (reason, "name a Secret as git-secret" in line) == ("RepositoryRefused", True)
    reason, line = hitch(lambda: git.resolve(url, "", replace(ada, authority="")))
    assert (reason, "ca.crt" in line) == ("GitCertificate", True)
    reason, line = hitch(lambda: git.resolve(url.replace("127.0.0.1", "localhost"), "", ada))
    assert (reason, "another host" in line) == ("GitCertificate", True)
    assert refusal(lambda: git.resolve(server.url("other"), "", ada))[0] == "RepositoryNotFound"


def test_the_system_s_authorities_stay_valid_with_the_secret_s(
    server: GitServer,
    iris: Repository,
    git: Git,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "system.pem").write_bytes(authority.cert_pem.bytes())
    monkeypatch.delenv("GIT_SSL_CAINFO", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    given = replace(ADA, authority=trustme.CA().cert_pem.bytes().decode())
    assert git.resolve(server.url("iris"), "", given) == iris.git("rev-parse", "HEAD")


def test_a_rotated_password_is_used_at_the_next_call(
    server: GitServer, iris: Repository, git: Git, ada: GitCredentials
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    assert git.resolve(url, "", ada) == commit
    server.login = (ADA.username, "newer")
    assert refusal(lambda: git.resolve(url, "", ada))[0] == "GitRefused"
    assert git.resolve(url, "", replace(ada, password="newer")) == commit


def test_a_redirect_to_another_server_never_gets_the_password(
    server: GitServer, iris: Repository, plain: GitServer, git: Git, ada: GitCredentials
) -> None:
    plain.login = ("eve", "eve")
    server.fault = f"redirect:http://127.0.0.1:{plain.port}"
    assert refusal(lambda: git.resolve(server.url(iris.folder.name), "", ada))[0] == "GitRefused"
    assert plain.requests
    assert not plain.logins


def test_a_redirect_on_the_same_server_is_followed_with_the_password(
    server: GitServer, iris: Repository, git: Git, ada: GitCredentials
) -> None:
    (server.root / "new").symlink_to(server.root)
    server.fault = "moved:/new"
    assert git.resolve(server.url("iris"), "", ada) == iris.git("rev-parse", "HEAD")
    assert any("/new/iris.git" in request for request in server.requests)


@pytest.mark.usefixtures("proxied")
def test_the_surroundings_proxy_is_used_and_its_refusal_is_reported(
    server: GitServer, iris: Repository, git: Git, ada: GitCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    with connectproxy.serving() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert git.resolve(url, "", ada) == commit
        assert proxy.targets
        for refusal in (407, 403):
            proxy.refusal = refusal
            assert hitch(lambda: git.resolve(url, "", ada))[0] == "GitProxy"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert git.resolve(url, "", ada) == commit


def test_the_surroundings_askpass_is_not_used(
    server: GitServer, iris: Repository, git: Git, ada: GitCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_ASKPASS", "SSH_ASKPASS", "ASKPASS_FOLDER", "GIT_SSH_COMMAND"):
        monkeypatch.setenv(name, "/bin/false")
    assert git.resolve(server.url("iris"), "", ada) == iris.git("rev-parse", "HEAD")


# --- submodules -------------------------------------------------------------------------------------


def test_submodules_get_the_password_on_the_same_server_and_nowhere_else(
    server: GitServer, iris: Repository, plain: GitServer, git: Git, volume: Path, ada: GitCredentials
) -> None:
    library = server.repository("library").commit({"c": "3"})
    iris.submodule("lib", "../library.git", library)
    assert (published(git, volume, server.url("iris"), credentials=ada) / "lib" / "c").read_text() == "3"
    plain.login = (ADA.username, ADA.password)
    elsewhere = plain.repository("elsewhere").commit({"d": "4"})
    iris.submodule("lib", plain.url("elsewhere"), elsewhere)
    assert refusal(lambda: published(git, volume, server.url("iris"), credentials=ada))[0] == "RepositoryRefused"
    assert not plain.logins


def test_a_submodule_over_ssh_that_gets_no_key_is_refused(
    server: GitServer, iris: Repository, git: Git, volume: Path, ada: GitCredentials
) -> None:
    iris.submodule("lib", "git@127.0.0.1:library.git", "1" * 40)
    reason, line = refusal(lambda: published(git, volume, server.url("iris"), credentials=ada))
    assert reason == "GitSecretRequired"
    assert '.gitmodules: submodule "lib"' in line
    assert "relative or https address" in line


# --- what requests share ----------------------------------------------------------------------------


def test_a_request_without_access_gets_no_commit_that_another_fetched(
    server: GitServer, iris: Repository, plain: GitServer, git: Git, volume: Path, ada: GitCredentials
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    published(git, volume, url, credentials=ada)
    nobody = GitCredentials(authority=ada.authority)
    for ref in ("", "main", commit, commit[:9]):
        assert refusal(lambda ref=ref: git.resolve(url, ref, nobody))[0] == "RepositoryRefused"  # type: ignore[misc]
        assert refusal(lambda ref=ref: git.resolve(url, ref, replace(ada, password="x")))[0] == "GitRefused"  # type: ignore[misc]
        assert git.resolve(url, ref, ada) == commit
    mine = plain.repository("mine")
    mine.submodule("stolen", url, commit)
    assert hitch(lambda: published(git, volume, plain.url("mine"), credentials=None))[0] == "GitCertificate"


def test_a_mirror_that_was_swept_is_fetched_again_with_the_password(
    server: GitServer, iris: Repository, git: Git, volume: Path, ada: GitCredentials
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    published(git, volume, url, credentials=ada)
    shutil.rmtree(volume / layout.mirror(url))
    git.publish(url, commit, ada)
    assert git.read(url, commit, ".").files == {"a"}


def test_a_mirror_that_is_damaged_amid_a_run_is_fetched_again_with_the_password(
    server: GitServer, iris: Repository, git: Git, volume: Path, ada: GitCredentials
) -> None:
    url, commit = server.url("iris"), iris.git("rev-parse", "HEAD")
    published(git, volume, url, credentials=ada)
    for pack in (volume / layout.mirror(url)).glob("objects/pack/*.pack"):
        harm(pack, b"")
    assert "its mirror on the shared volume can't be used" in hitch(lambda: git.read(url, commit, "."))[1]
    assert not git.published(url, commit), "or nobody with the password would come by"
    git.publish(url, commit, ada)
    assert git.read(url, commit, ".").files == {"a"}


# --- ssh --------------------------------------------------------------------------------------------


def test_a_key_opens_a_repository(shell: SshServer, git: Git, volume: Path) -> None:
    checkout = published(git, volume, shell.url("iris"), credentials=keyed(shell))
    assert (checkout / "a").read_text() == "1"
    assert all(command == "git-upload-pack '/iris.git'" for command in shell.commands)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_host_and_user_keys_of_every_type_work(tmp_path: Path, keys: Keys, git: Git, kind: str) -> None:
    (tmp_path / "ssh").mkdir()
    commit = GitServer(tmp_path / "ssh").repository("iris").commit({"a": "1"})
    key = getattr(keys, kind)
    with sshserver.serving(SshServer(tmp_path / "ssh", key, key)) as shell:
        assert git.resolve(shell.url("iris"), "", keyed(shell)) == commit


def test_hashed_hosts_and_lines_about_others_are_understood(
    shell: SshServer, keys: Keys, git: Git, tmp_path: Path
) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"# others\ngithub.com {public_text(keys.rsa)}\n{shell.known_hosts}")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True, timeout=30)
    assert "127.0.0.1" not in file.read_text()
    assert git.resolve(shell.url("iris"), "main", keyed(shell, known_hosts=file.read_text()))


def test_each_way_that_ssh_fails_has_its_own_reason(shell: SshServer, keys: Keys, git: Git) -> None:
    url, port = shell.url("iris"), shell.port
    changed = f"[127.0.0.1]:{port} {public_text(asyncssh.generate_private_key('ssh-ed25519'))}\n"
    revoked = f"@revoked [127.0.0.1]:{port} {public_text(keys.ed25519)}\n"
    other_host = f"[127.0.0.2]:{port} {public_text(keys.ed25519)}\n"
    other_type = f"[127.0.0.1]:{port} {public_text(keys.rsa)}\n"
    expected = {
        "GitHostKeyChanged": [keyed(shell, known_hosts=hosts) for hosts in (changed, revoked, other_type)],
        "GitHostKeyUnknown": [keyed(shell, known_hosts=other_host)],
        "GitRefused": [keyed(shell, private_key=private_text(keys.ecdsa))],
    }
    for reason, given in expected.items():
        for credentials in given:
            found, line = refusal(lambda it=credentials: git.resolve(url, "", it))  # type: ignore[misc]
            assert (found, "git-secret" in line) == (reason, True), line
    assert refusal(lambda: git.resolve(shell.url("nothing"), "", keyed(shell)))[0] == "RepositoryNotFound"
    assert refusal(lambda: git.resolve(url, "", None))[0] == "GitSecretRequired"
    assert refusal(lambda: git.publish(url, "0" * 40, ADA))[0] == "GitSecretRequired"


def test_an_ssh_server_that_is_not_there_is_tried_again(shell: SshServer, git: Git) -> None:
    closed = shell.url("iris").replace(f":{shell.port}", ":1")
    assert hitch(lambda: git.resolve(closed, "", keyed(shell)))[0] == "GitUnreachable"
    assert hitch(lambda: git.resolve("git@nowhere.invalid:x", "", keyed(shell)))[0] == "GitUnreachable"


# --- secrets stay secret ----------------------------------------------------------------------------


def processes(what: str) -> bytes:
    """Return command lines or environments of all processes of this machine."""
    found = []
    for file in Path("/proc").glob(f"[0-9]*/{what}"):
        with contextlib.suppress(OSError):
            found.append(file.read_bytes())
    return b"\n".join(found)


def test_while_git_runs_the_password_is_in_no_command_line_environment_or_log(
    server: GitServer, iris: Repository, git: Git, volume: Path, ada: GitCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    word, url = secrets.token_hex(16), server.url(iris.folder.name)
    server.login = (ADA.username, word)
    server.fault = "hang"
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(git.resolve, url, "", replace(ada, password=word))
        eventually(lambda: server.logins)
        seen, files = processes("cmdline") + processes("environ"), laid(word)
        modes = {stat.S_IMODE(path.stat().st_mode) for file in files for path in (file, file.parent)}
        server.released.set()
        assert asked.exception(timeout=60)
    assert url.encode() in seen  # git did run meanwhile
    assert word.encode() not in seen
    assert modes == {0o600, 0o700}
    assert not laid(word)
    assert word not in caplog.text
    assert not [file for file in volume.rglob("*") if file.is_file() and word.encode() in file.read_bytes()]


def test_nothing_is_left_when_git_is_ended_at_its_time_limit(
    server: GitServer, iris: Repository, volume: Path, ada: GitCredentials
) -> None:
    word = secrets.token_hex(16)
    server.login = (ADA.username, word)
    server.fault = "hang"
    git = Git(volume, replace(SETTINGS, resolve_timeout=2))
    assert hitch(lambda: git.resolve(server.url(iris.folder.name), "", replace(ada, password=word)))[0] == "GitTimeout"
    assert server.logins
    assert not laid(word)


KILLED = """
import os, signal, sys
from controller.adapters.git import private
from controller.adapters.git.remote import Remote
from controller.core.model import GitCredentials
with private.opened(Remote("https://h/x", GitCredentials("ada", "geheim"))) as env:
    print(env["ASKPASS_FOLDER"], flush=True)
    if sys.argv[1] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def test_what_a_killed_controller_left_is_swept_at_the_next_start_and_a_living_one_s_is_not(volume: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "die"], capture_output=True, text=True, timeout=60, check=False
    )
    dead = Path(killed.stdout.strip())
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, "live"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout
        alive = Path(living.stdout.readline().strip())
        Git(volume, SETTINGS)
        assert dead.name.startswith("coachwork-git-")
        assert not dead.exists()
        assert (alive / "password").read_text() == "geheim\n"
        living.communicate(timeout=60)
    assert not alive.exists()
