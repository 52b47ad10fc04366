"""One git process: with a clean environment, hard limits, and an end to its whole process group.

Refuses the surroundings' configuration and credentials; CA and proxy variables pass. Credentials come from private.py.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from git.cmd import Git

PASSED = frozenset({
    *("PATH", "LD_LIBRARY_PATH", "TMPDIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
})  # fmt: skip

CONFIG = {
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.askPass": "",
    "core.attributesFile": os.devnull,
    "core.autocrlf": "false",
    "core.symlinks": "true",  # a link is data until somebody follows it; tree.py doesn't follow those that leave
    "core.sharedRepository": "group",
    "credential.helper": "",
    "http.followRedirects": "initial",
    "http.lowSpeedLimit": "1",  # with lowSpeedTime: a git that outlives a killed controller ends by itself
    "http.lowSpeedTime": "300",
    "fetch.unpackLimit": "1",  # keep packs: few files, fsynced by git
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # As `git clone`: old histories are full of what fsck calls an error, and no file comes out of them. The commit that
    # runs is judged when it is written: `..` and `.git` by git's index, .gitmodules by commits.py.
    "transfer.fsckObjects": "false",
}

CLEAN = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
ENVIRONMENT = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "LANGUAGE": "C",
    "LC_ALL": "C",
}

POLL = 0.2  # seconds between two checks of the clock and the watched folder
STDOUT_LIMIT = 64 * 1024 * 1024  # bytes: the refs of a very large repository, or 100,000 long paths
STDERR_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class GitSettings:
    """Limits on everything that a repository or its server can do to us. Times are seconds."""

    resolve_timeout: float = 20  # one ls-remote
    fetch_timeout: float = 300  # one fetch, one checkout
    max_bytes: int = 2 * 1024**3  # of one mirror, and of one checkout with its submodules
    max_files: int = 100_000  # of one checkout with its submodules
    max_text: int = 1024 * 1024  # bytes of one file that the core reads
    allow_file: bool = False  # file:// and absolute paths
    concurrency: int = 4  # git processes that talk to remotes at once
    pause: float = 30  # in which a host that did not answer is left alone
    wait: float = 5  # for one of them, or for a lock, before the pass comes back later; 0: it is called when it can


class Failed(Exception):
    """Git ended with an error; `stderr` is as hostile as the remote."""

    def __init__(self, status: int, stderr: str) -> None:
        self.status, self.stderr = status, stderr
        super().__init__(f"git exited with status {status}")


class TimedOut(Exception):
    """Git, with all its children, was ended at its time limit."""


class TooLarge(Exception):
    """Git was ended because what it wrote exceeded a limit."""


@dataclass(slots=True)
class Limits:
    """When a git process has to end: after `seconds`, or when `folder` holds more than `bytes`."""

    seconds: float
    folder: Path | None = None
    bytes: int = 0
    _deadline: float = field(init=False)
    _next_check: float = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Start the clock."""
        self._deadline = time.monotonic() + self.seconds

    def left(self) -> float:
        """Return the seconds until the deadline. Raises TimedOut."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimedOut
        return left

    def check(self, *, now: bool = False) -> None:
        """Measure the folder if it is time to (a large one less often). Raises TooLarge."""
        started = time.monotonic()
        if self.folder is None or (started < self._next_check and not now):
            return
        if size_of(self.folder, self.bytes) > self.bytes:
            raise TooLarge
        ended = time.monotonic()
        self._next_check = ended + max(POLL, 5 * (ended - started))


def size_of(folder: Path, enough: int) -> int:
    """Return the bytes of all files below `folder`, counting no further than just above `enough`."""
    total, folders = 0, [os.fspath(folder)]
    while folders and total <= enough:
        # A file that git renames or removes meanwhile is not an error.
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                with suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_size
    return total


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs git. `home` is an empty folder, None: a person's own settings count; `on_call` gets outcomes and times."""

    home: Path | None
    allow_file: bool = False
    on_call: Callable[[str, str, float], None] | None = None

    def run(
        self, arguments: Sequence[str], limits: Limits, env: Mapping[str, str] | None = None, given: str = ""
    ) -> bytes:
        """Return git's standard output. `arguments` start with the subcommand, `given` is its standard input.

        Raises Failed, TimedOut, TooLarge.
        """
        with self._counted(arguments[0]):
            config = dict(CONFIG)
            if self.allow_file:
                config["protocol.file.allow"] = "always"
            if env and "GIT_SSH_COMMAND" in env:  # else ssh would use whatever keys the surroundings have
                config["protocol.ssh.allow"] = "always"
            settings = [part for key, value in config.items() for part in ("-c", f"{key}={value}")]
            environment = {**ENVIRONMENT, **self._home()}
            # A git whose curl is built on GnuTLS (Debian's) knows nothing of SSL_CERT_FILE.
            if "SSL_CERT_FILE" in os.environ and "GIT_SSL_CAINFO" not in os.environ:
                environment["GIT_SSL_CAINFO"] = os.environ["SSL_CERT_FILE"]
            environment |= env or {}
            # GitPython always adds to os.environ and never removes; `env -u` does, and shows names only in argv.
            unset = [part for name in sorted(set(os.environ) - PASSED - set(environment)) for part in ("-u", name)]
            command = ["env", *unset, *("git", "--no-pager", *settings), *arguments]
            with _started(command, environment, given) as process:
                out, err = _drain(process, limits)
                status = process.wait(limits.left())
            if status:
                raise Failed(status, err.decode(errors="replace"))
            limits.check(now=True)
            return out

    def _home(self) -> dict[str, str]:
        """Return what says where git reads its settings."""
        if self.home:
            home = {name: str(self.home) for name in ("HOME", "XDG_CONFIG_HOME")}
            return {**CLEAN, **home, "GIT_CEILING_DIRECTORIES": str(self.home.parent)}
        own = (
            "GIT_CONFIG",
            "HOME",
            "XDG_CONFIG_HOME",
            "SUDO_UID",
        )  # the last: git also trusts the user who called sudo
        return {name: value for name, value in os.environ.items() if name.startswith(own)}

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        outcome, began = "error", time.monotonic()
        try:
            yield
            outcome = "ok"
        except (TimedOut, subprocess.TimeoutExpired) as error:
            outcome = "timeout"
            raise TimedOut from error
        except TooLarge:
            outcome = "too-large"
            raise
        finally:
            if self.on_call:
                self.on_call(operation, outcome, time.monotonic() - began)


@contextmanager
def _started(command: list[str], env: Mapping[str, str], given: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start git in a session of its own, and leave nothing of it running.

    GitPython's own kill_after_timeout finds children through `pgrep` or `ps`, which small images lack, and lists them
    once: a git-remote-https may live on and hold the connection. A process group needs neither.
    """
    # In a new session git has no terminal to ask on either; the umask lets the group write on the shared volume.
    with TemporaryFile() if given else nullcontext() as file:  # not a pipe: one that is full has to be waited for
        if file:
            file.write(os.fsencode(given))
            file.seek(0)
        # In a folder of a working tree git would take all names for those below it.
        handle = Git("/").execute(command, file, as_process=True, env=env, start_new_session=True, umask=0o002)
    process = handle.proc
    if process is None:
        raise AssertionError("GitPython gave no process")
    try:
        yield process
    finally:
        if process.returncode is None:  # not reaped yet, so its id and its group are still its own
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def _drain(process: "subprocess.Popen[bytes]", limits: Limits) -> tuple[bytes, bytes]:
    """Read both streams to their ends, bounded, with an eye on the limits."""
    out, err = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(_stream(process.stdout), selectors.EVENT_READ, out)
        selector.register(_stream(process.stderr), selectors.EVENT_READ, err)
        while selector.get_map():
            for key, _ in selector.select(min(POLL, limits.left())):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fileobj)
                key.data.extend(chunk)
            del err[STDERR_LIMIT:]
            if len(out) > STDOUT_LIMIT:
                raise TooLarge
            limits.check()
    return bytes(out), bytes(err)


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AssertionError("git was started without pipes")
    return stream
