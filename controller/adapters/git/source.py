"""The reconciler's Source, on git: resolve, publish, read."""

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from controller.adapters import storage
from controller.adapters.git import private
from controller.adapters.git.checkout import Checkouts
from controller.adapters.git.command import Failed, GitSettings, Runner, TimedOut, TooLarge
from controller.adapters.git.commits import Meaning, entries, last_change, submodules
from controller.adapters.git.faults import clean
from controller.adapters.git.mirror import Mirrors
from controller.adapters.git.remote import (
    Remote,
    check_opened,
    check_repository,
    checking,
    pick,
    place,
    unknown_ref,
)
from controller.adapters.git.snapshot import Snapshot, find, left_out, take
from controller.adapters.git.syntax import modules
from controller.adapters.git.tree import ProjectFiles, fingerprint, inside, read, sources, texts
from controller.adapters.locks import Turn
from controller.core import layout
from controller.core.errors import Invalid, Transient
from controller.core.inputs import repository as grammar
from controller.core.model import GitCredentials, ProjectTree, Unread
from controller.core.text import near
from controller.once import once

SHOWN = 10  # folders in a message
REMEMBERED = 1024  # days of last changes


class Git:
    """Git repositories on the shared volume. May be used by many threads at once."""

    def __init__(
        self,
        root: Path,
        settings: GitSettings | None = None,
        on_call: Callable[[str, str, float], None] | None = None,
        on_shared: Callable[[], None] = lambda: None,
        on_failure: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        """Use the volume's root.

        For metrics, `on_call(operation, outcome, seconds)` is called for each git process, `on_shared()` for each
        answer of a remote that serves again, `on_failure(reason)` for each error of a method.
        """
        self._on_failure = on_failure
        self._settings = settings or GitSettings()
        self._root = root.resolve()
        private.sweep()
        home = self._root / layout.MIRRORS / ".home"
        storage.make(home)
        self._runner = Runner(home, self._settings.allow_file, on_call)
        self._mirrors = Mirrors(self._root, self._settings, self._runner, on_shared)
        self._checkouts = Checkouts(self._root, self._settings, self._mirrors)
        turn = partial(Turn, self._settings.wait, "another pass looks up since when files mean what they mean")
        self._last_change = once(REMEMBERED, self._changed_last, turn)  # some hundred git processes

    def resolve(
        self, repository: str, ref: str, credentials: GitCredentials | None = None, since: float | None = None
    ) -> str:
        """Return the full commit that `ref` ("" for HEAD) names on the remote, by at most one ls-remote and no fetch.

        That is now; or then, where somebody with these credentials has asked at `since` (monotonic) or later.
        Something is fetched only for a commit, full or abbreviated, that the mirror lacks; a full one is resolved only
        for those who may read the remote, if credentials ever opened it. A tag wins over a branch of its name, and both
        over an abbreviated commit, as in gitrevisions(7). Raises Invalid (RepositoryRefused, RepositoryNotFound,
        RepositoryEmpty, RepositoryTooLarge, RefNotFound, RefAmbiguous, and those of git-secret, all Git*), Transient,
        NotYet.
        """
        with self._answering(repository):
            remote = self._remote(repository, credentials)
            with checking("RefNotFound", "ref"):
                grammar.ref(ref)
            if grammar.is_commit(ref.lower()):
                commit, mirror = ref.lower(), self._mirrors.folder(repository)
                storage.mark_used(mirror)
                if not mirror.exists() or not self._checkouts.complete(repository, commit):
                    commit = self._mirrors.have(remote, commit)
                self._mirrors.check_access(remote, since)  # the mirror knows whether that is needed
                return commit
            refs = self._mirrors.advertised(remote, since)
            if not refs.commits:
                raise Invalid("RepositoryEmpty", [f"{place(repository)}: it is empty: push a commit"])
            commit = pick(refs.commits, ref or "HEAD")
            if not commit and grammar.ABBREVIATED.fullmatch(ref.lower()):
                commit = self._abbreviated(remote, ref.lower(), next(iter(refs.commits.values())))
            if not commit:
                raise unknown_ref(repository, refs, ref)
            return commit

    def published(self, repository: str, commit: str) -> bool:
        """Return whether the checkout of `commit` is on the volume, complete, with the mirror that `read` asks.

        Raises Invalid, Transient.
        """
        self._check(repository)
        _check_commit(commit)
        with self._answering(repository):
            return self._checkouts.complete(repository, commit) and self._mirrors.folder(repository).exists()

    def publish(self, repository: str, commit: str, credentials: GitCredentials | None = None) -> None:
        """Publish the checkout of `commit`, submodules included, on the volume, complete.

        Submodules get the credentials on the repository's own server only. Whether the credentials open the repository
        is `resolve`'s to say: a checkout that is there already costs no question to the remote. Raises Invalid (as
        `resolve`), Transient, NotYet.
        """
        with self._answering(repository):
            remote = self._remote(repository, credentials)
            _check_commit(commit)
            self._checkouts.publish(remote, commit)

    def read(self, repository: str, commit: str, path: str) -> ProjectTree:
        """Return what the core reads of the project in folder `path` of a published checkout.

        Raises Invalid (PathNotFound, RepositoryTooLarge), Transient (NotPublished).
        """
        with self._open(repository, commit, path) as reading:
            storage.mark_used(self._mirrors.folder(repository))
            inner = reading.project.relative_to(reading.root).as_posix()
            name = f"{commit}^{{tree}}" if inner == "." else f"{commit}:{inner}"
            digest = self._mirrors.name(repository, name)
            listed = entries(self._mirrors, repository, commit)
            if not digest:
                if inner == "." or any(entry.path.startswith(f"{inner}/") for entry in listed):
                    raise Failed(0, "a tree that can't be named")
                line = f'path: "{clean(path)}" is inside a submodule: give that repository itself'
                raise Invalid("PathNotFound", [line])
            self._checkouts.verify(repository, commit, listed)
            found = read(reading)
            empty = [
                f"{clean(module.path)}: is a submodule that .gitmodules gives no address for: its folder is empty"
                for module in submodules(self._mirrors, repository, commit, listed)
                if not module.url
            ]
        warnings = (*found.warnings(), *empty)
        return ProjectTree(digest, frozenset(found.files), {}, found.faults, warnings, path)

    def extend(self, repository: str, commit: str, tree: ProjectTree, wanted: Unread) -> ProjectTree:
        """Return the tree with what else is wanted of its files; each is there then, or its fault is.

        Raises Invalid (as `read`), Transient (NotPublished).
        """
        with self._open(repository, commit, tree.path) as reading:
            found = texts(reading, wanted.texts, tree.texts)
            faults = dict(reading.faults)
            known = modules(sources(reading, wanted.modules)) if wanted.modules else {}
        return replace(
            tree,
            texts={**tree.texts, **found},
            faults={**faults, **tree.faults},
            modules={**tree.modules, **known},
        )

    def contents(self, repository: str, commit: str, path: str) -> Mapping[str, str]:
        """Return what tells the content of each file below the project from any other, by the file's path.

        Links are files, submodules are one each. Of the rest of the repository, with a / first, it has what converts
        the project's files as they are checked out, and where a link leads to the project, all. Raises Invalid (as
        `read`), Transient (NotPublished).
        """
        with self._open(repository, commit, path) as reading:
            inner = reading.project.relative_to(reading.root).as_posix()
            listed = entries(self._mirrors, repository, commit)
            empty = {item.path for item in submodules(self._mirrors, repository, commit, listed) if not item.url}
        project, linked = "" if inner == "." else f"{inner}/", inner != posixpath.normpath(path)

        def name(file: str) -> str:
            """Return what a file is called, "" for one that does not count."""
            if not linked and file.startswith(project):
                return file.removeprefix(project)
            folder, _, last = f"/{file}".rpartition("/")
            converts = last == ".gitattributes" and f"/{project}".startswith(f"{folder}/")
            return f"/{file}" if linked or converts else ""

        return {
            called: f"{entry.mode} {'' if entry.path in empty else entry.object}"
            for entry in listed
            if (called := name(entry.path))
        }

    def fingerprint(self, repository: str, commit: str, path: str, names: Iterable[str]) -> str:
        """Return a digest of the content of files and folders below the project: equal for equal content.

        Raises Invalid (as `read`), Transient (NotPublished).
        """
        with self._open(repository, commit, path) as reading:
            return fingerprint(reading, names, self._settings.max_bytes)

    def last_change(self, repository: str, commit: str, path: str, files: Sequence[str], meaning: Meaning) -> str:
        """Return the day since which these files of the project mean what they mean; "" for what is not committed.

        Raises Invalid (as `resolve`), Transient, NotYet.
        """
        self._check(repository)
        _check_commit(commit)
        with checking("PathNotFound", "path"):
            grammar.folder(path)
        with self._answering(repository):
            return self._last_change(repository, commit, path, tuple(files), meaning)

    def _changed_last(self, repository: str, commit: str, path: str, files: tuple[str, ...], meaning: Meaning) -> str:
        return last_change(self._mirrors, repository, commit, path, files, meaning)

    def snapshot(self, folder: Path) -> Snapshot:
        """Return a folder of this machine as it stands, as a commit that `publish` takes; needs `allow_file`.

        Raises Invalid (FolderUnreadable, and as `resolve`), Transient, NotYet.
        """
        found = find(folder)
        self._check(found.url)
        with self._answering(found.url):
            return take(self._mirrors, found)

    def left_out(self, folder: Path) -> Mapping[str, str]:
        """Return why files that lie in a folder are not in its snapshot, by name. Raises as `snapshot`."""
        found = find(folder)
        with self._answering(found.url):
            return left_out(self._mirrors, found)

    @contextmanager
    def _open(self, repository: str, commit: str, path: str) -> Iterator[ProjectFiles]:
        """Yield a reading of the project in folder `path` of a published checkout."""
        self._check(repository)
        _check_commit(commit)
        with checking("PathNotFound", "path"):
            grammar.folder(path)
        with self._answering(repository):
            if not self._checkouts.complete(repository, commit):
                raise Transient("NotPublished", f"{place(repository)}: no complete checkout of {commit} on the volume")
            root = self._checkouts.path(repository, commit)
            yield ProjectFiles(root, _project(root, path), self._settings.max_files, self._settings.max_text)

    @contextmanager
    def _answering(self, repository: str) -> Iterator[None]:
        """Count errors, and turn what a local git process or the volume says into ours.

        What the remote says, mirror.py translates. A mirror that git can't read is removed: who has credentials
        for it fetches it again.
        """
        try:
            with storage.translated(f"work with {place(repository)}", reason="VolumeFailed"):
                made = self._mirrors.made(repository)
                try:
                    yield
                except (Failed, TimedOut, TooLarge) as error:
                    if isinstance(error, Failed):
                        self._mirrors.give_up(repository, error, made)
                    line = f"{place(repository)}: its mirror on the shared volume can't be used; it is tried again"
                    raise Transient("GitFailed", line) from error
        except (Invalid, Transient) as error:
            self._on_failure(error.reason)
            raise

    def _check(self, repository: str) -> None:
        check_repository(repository, allow_file=self._settings.allow_file)

    def _remote(self, repository: str, credentials: GitCredentials | None) -> Remote:
        """Return the repository with what opens it, judged. Raises Invalid (RepositoryRefused, GitSecretRequired)."""
        self._check(repository)
        remote = Remote(repository, credentials if credentials != GitCredentials() else None)
        check_opened(remote)
        return remote

    def _abbreviated(self, remote: Remote, prefix: str, other: str) -> str:
        """Return the commit that `prefix` is the start of, "" if none; `other` is any whole id of the repository."""
        found = self._mirrors.expand(remote.url, prefix)
        if not found:
            self._mirrors.update(remote, other)
            found = self._mirrors.expand(remote.url, prefix)
        if len(found) > 1:
            line = f"{place(remote.url)}: {prefix} is the start of {' and '.join(found)}: give more digits"
            raise Invalid("RefAmbiguous", [line])
        return found[0] if found else ""


def _check_commit(commit: str) -> None:
    if not grammar.is_commit(commit):
        raise Invalid("RefNotFound", [f'"{clean(commit, 100)}" is not a full commit: resolve it first'])


def _project(root: Path, path: str) -> Path:
    """Return the project's real folder. Raises Invalid(PathNotFound)."""
    try:
        project = (root / path).resolve(strict=True)
    except (OSError, RuntimeError):  # not there, a file on the way, a name too long, or a loop of links
        raise _no_folder(root, path) from None
    if not inside(root, project):
        line = f'path: "{clean(path)}" is a symbolic link that leaves the repository: give a folder of its own'
        raise Invalid("PathNotFound", [line])
    if not project.is_dir():
        raise Invalid("PathNotFound", [f'path: "{clean(path)}" is a file: give the folder that holds the project'])
    return project


def _no_folder(root: Path, path: str) -> Invalid:
    """Return the error for a folder that is not there, with the nearest ones that are."""
    folder, missing = root, path
    for part in Path(path).parts:
        if part not in _folders(folder):
            missing = part
            break
        folder /= part
    there = _folders(folder)
    shown = ", ".join(clean(name, 60) for name in near(missing, there, SHOWN) or there[:SHOWN])
    where = "its root" if folder == root else folder.relative_to(root).as_posix()
    line = f'path: no folder "{clean(path)}" in the repository: {where} has {shown or "no folders"}'
    return Invalid("PathNotFound", [line])


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as listing:
        return sorted(entry.name for entry in listing if entry.is_dir(follow_symlinks=False) and entry.name != ".git")
