"""One bare mirror for each repository: what the remote advertises, and fetching what is missing.

Refuses to fetch what is there already, and to keep a mirror that git can't read.
"""

import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from controller.adapters import storage
from controller.adapters.git import faults, private
from controller.adapters.git.answers import Answers
from controller.adapters.git.command import Failed, GitSettings, Limits, Runner, TooLarge
from controller.adapters.git.places import Places
from controller.adapters.git.remote import Refs, Remote, place
from controller.adapters.locks import Locks
from controller.core import layout
from controller.core.errors import Invalid, Transient
from controller.core.inputs.repository import COMMIT, is_sha256
from controller.core.text import format_size

BRANCHES_AND_TAGS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")  # not the hosts' refs/pull/*
KEPT = "refs/coachwork/"  # commits that no branch or tag of the remote holds
PRIVATE = "coachwork-private"  # in a mirror that credentials were used for: it gives nothing to those without
ALTERNATES = "objects/info/alternates"
TOO_LARGE = "RepositoryTooLarge"
CANDIDATES = 16  # objects looked at for an abbreviated commit

FETCH = (
    *("fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head"),
    *("--no-recurse-submodules", "--no-auto-maintenance", "--update-shallow"),
)


class Mirrors:
    """All mirrors on the volume."""

    def __init__(self, root: Path, settings: GitSettings, runner: Runner, on_shared: Callable[[], None]) -> None:
        self._root = root
        self._settings = settings
        self._runner = runner
        self._locks = Locks(settings.wait)
        self._places = Places(settings.concurrency, settings.wait, settings.pause)
        self._answers = Answers(settings.wait, on_shared)

    def advertised(self, remote: Remote, since: float | None = None) -> Refs:
        """Return the remote's refs, annotated tags also peeled as `NAME^{}`, of now or of `since` (monotonic) or later.

        Raises Invalid, Transient, NotYet.
        """
        asked = time.monotonic() if since is None else since
        return self._answers.get(remote, asked, lambda: self._ask(remote))

    def _ask(self, remote: Remote) -> Refs:
        question = ["ls-remote", "--symref", "--", remote.url]
        out = self._remote(remote, question, Limits(self._settings.resolve_timeout))
        lines = out.decode(errors="replace").split("\n")
        found = (re.fullmatch(rf"({COMMIT})\t(.+)", line) for line in lines)
        default = next(filter(None, (re.fullmatch(r"ref: refs/heads/(.+)\tHEAD", line) for line in lines)), None)
        return Refs({line[2]: line[1] for line in found if line}, default[1] if default else "")

    def check_access(self, remote: Remote, since: float | None = None) -> None:
        """Ask the remote about the credentials before a mirror that others' credentials filled gives anything away.

        Raises Invalid, Transient, NotYet.
        """
        if (self.folder(remote.url) / PRIVATE).exists():
            self.advertised(remote, since)

    def commit(self, url: str, name: str) -> str:
        """Return the commit that the object `name` (all digits) of the mirror is or points to, "" if it has none."""
        return self.name(url, f"{name}^{{commit}}")

    def name(self, url: str, revision: str) -> str:
        """Return the id of the object that `revision` names in the mirror, "" if it has none."""
        if not self.folder(url).exists():
            return ""
        try:
            return self.local(url, ["rev-parse", "--verify", "--end-of-options", revision]).decode().strip()
        except Failed:  # missing, or the mirror is broken: both are mended by a fetch
            return ""

    def expand(self, url: str, prefix: str) -> Sequence[str]:
        """Return the mirror's commits whose ids start with `prefix`."""
        try:
            objects = self.local(url, ["rev-parse", f"--disambiguate={prefix}"]).decode().split()
        except Failed:
            return []
        return sorted(name for name in objects[:CANDIDATES] if self.commit(url, name) == name)

    def local(
        self, url: str, arguments: Sequence[str], limits: Limits | None = None, given: str = "", /, **env: str
    ) -> bytes:
        """Run git in the mirror, without the remote, and `given` some input. Raises Failed, TimedOut, TooLarge."""
        environment = {"GIT_DIR": str(self.folder(url)), **env}
        return self._runner.run(arguments, limits or Limits(self._settings.fetch_timeout), environment, given)

    def have(self, remote: Remote, name: str) -> str:
        """Return the commit that the object `name` (all digits) is or points to, fetched if the mirror lacks it.

        Raises Invalid (RefNotFound where the remote does not have it either), Transient, NotYet.
        """
        mirror = self.folder(remote.url)
        storage.mark_used(mirror)
        if commit := self.commit(remote.url, name):
            return commit
        with self._held(remote.url):
            commit = self.commit(remote.url, name)  # somebody else may have fetched it meanwhile
            if not commit:
                self._update(remote, name)
                commit = self.commit(remote.url, name)
            if not commit:  # no branch or tag holds it: a pull request's, or one before a forced push
                self._fetch(remote, mirror, [], [f"+{name}:{KEPT}{name}"])
                commit = self.commit(remote.url, name)
        if not commit:
            line = f"{place(remote.url)}: {name} is not a commit: give a branch, a tag or a commit"
            raise Invalid("RefNotFound", [line])
        return commit

    def update(self, remote: Remote, name: str) -> None:
        """Fetch all branches and tags. `name` is any object's, all digits. Raises Invalid, Transient, NotYet."""
        with self._held(remote.url):
            self._update(remote, name)

    def rebuild(self, remote: Remote, name: str) -> None:
        """Replace a broken mirror by a new clone; `name` as for `update`. Raises Invalid, Transient, NotYet."""
        with self._held(remote.url):
            self._create(remote, sha256=is_sha256(name))

    def made(self, url: str) -> tuple[int, int] | None:
        """Return what tells a mirror from one that is made in its place later, None where there is none."""
        with suppress(OSError):
            found = (self.folder(url) / "config").stat()
            return found.st_ino, found.st_mtime_ns
        return None

    def give_up(self, url: str, failed: Failed, made: tuple[int, int] | None) -> None:
        """Remove a mirror that git can't read, unless something else is to blame. Raises OSError, NotYet.

        `made` is of the mirror that was read: another pass may have put a sound one in its place meanwhile.
        """
        if faults.known(failed.stderr) or faults.is_stopped(failed.status, failed.stderr):
            return
        storage.refuse_full(self._root)
        with self._held(url):
            if self.made(url) == made:
                storage.discard(self.folder(url), self._root / layout.MIRRORS)

    def folder(self, url: str) -> Path:
        """Return the mirror's folder, whether it exists or not."""
        return self._root / layout.mirror(url)

    def create_empty(self, url: str, *, sha256: bool) -> None:
        """Make a mirror with such ids, with nothing in it, unless there is one. Raises NotYet."""
        path = self.folder(url)
        with self._held(url):
            _unlock(path)
            if not path.exists() or _has_sha256(path) != sha256:
                self._create(Remote(url), sha256=sha256, empty=True)

    def borrow(self, url: str, objects: Path) -> None:
        """Let the mirror read the objects of a repository of this machine, instead of copying them."""
        file = self.folder(url) / ALTERNATES
        storage.make(file.parent)
        file.write_text(f"{objects}\n", encoding="utf-8")

    def borrows(self, url: str) -> bool:
        """Return whether the mirror reads the objects of a repository of this machine."""
        return (self.folder(url) / ALTERNATES).exists()

    def _held(self, url: str) -> AbstractContextManager[None]:
        path = self.folder(url)
        storage.make(path.parent)
        storage.mark_used(path)
        return self._locks.hold(path.with_suffix(".lock"), place(url))

    def _update(self, remote: Remote, name: str) -> None:
        """Fetch into the mirror, or make it. A failure that is not the remote's means that the mirror is broken."""
        path, sha256 = self.folder(remote.url), is_sha256(name)
        if not path.exists() or _has_sha256(path) != sha256:
            self._create(remote, sha256=sha256)
            return
        _unlock(path)
        try:
            self._fetch(remote, path, ["--prune"], BRANCHES_AND_TAGS)
        except Transient as error:
            if error.reason != "GitFailed":
                raise
            self._create(remote, sha256=sha256)
        except Invalid as error:
            if error.reason != TOO_LARGE:
                raise
            # Forced pushes may have left more than the repository is now; this also frees the space.
            storage.discard(path, path.parent)
            self._create(remote, sha256=sha256)
        finally:
            for file in [*path.glob("objects/pack/tmp_*"), *path.glob("objects/pack/.tmp-*")]:  # of an ended git
                file.unlink(missing_ok=True)

    def _create(self, remote: Remote, *, sha256: bool, empty: bool = False) -> None:
        path, ids = self.folder(remote.url), f"--object-format={'sha256' if sha256 else 'sha1'}"
        storage.sweep_partials(path)
        with storage.partial(path) as folder:

            def init() -> None:
                limits = Limits(self._settings.fetch_timeout)
                self._runner.run(["init", "--quiet", "--bare", "--template=", ids, "--", str(folder)], limits)

            if empty:
                init()
            else:
                self._fetch(remote, folder, [], BRANCHES_AND_TAGS, init)
            storage.replace(folder, path, path.parent)

    def _fetch(
        self,
        remote: Remote,
        folder: Path,
        options: Sequence[str],
        refspecs: Sequence[str],
        first: Callable[[], None] = lambda: None,
    ) -> None:
        if remote.credentials:
            (folder / PRIVATE).touch()
        limits = Limits(self._settings.fetch_timeout, folder, self._settings.max_bytes)
        self._remote(remote, [*FETCH, *options, "--", remote.url, *refspecs], limits, first, GIT_DIR=str(folder))

    def _remote(
        self,
        remote: Remote,
        arguments: Sequence[str],
        limits: Limits,
        first: Callable[[], None] = lambda: None,
        /,
        **env: str,
    ) -> bytes:
        """Run git with the remote, in one of the few places for that, and translate what may go wrong.

        `first` is called once there is a place.
        """
        question = arguments[0] == "ls-remote"
        with self._places.take(remote.url, limits.seconds, question=question), private.opened(remote) as opening:
            first()
            try:
                return self._runner.run(arguments, limits, {**opening, **env})
            except TooLarge:
                raise too_large(remote.url, self._settings) from None
            except Failed as failed:
                raise faults.error(place(remote.url), failed.stderr) from None


def too_large(url: str, settings: GitSettings) -> Invalid:
    """Return the error for a repository that exceeds a limit of the settings."""
    limits = f"{format_size(settings.max_bytes)}, {settings.max_files} files"
    line = f"{place(url)}: larger than the limits ({limits}): keep data out of Git"
    return Invalid(TOO_LARGE, [line])


def _unlock(mirror: Path) -> None:
    """Remove the locks that a killed git has left: they would stop all others."""
    for file in [*mirror.glob("*.lock"), *mirror.glob("refs/**/*.lock")]:
        file.unlink(missing_ok=True)


def _has_sha256(mirror: Path) -> bool:
    """Return whether a mirror is made for SHA-256 ids; a broken one says nothing, and is made again where it fails."""
    with suppress(OSError, ValueError):
        return "objectformat = sha256" in (mirror / "config").read_text(encoding="utf-8").lower()
    return False
