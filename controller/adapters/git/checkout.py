"""Checkouts: immutable folders under their commit, complete or absent.

Refuses repositories above the limits before a file of theirs is written, and files that would pass for ours.
"""

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from controller.adapters import storage
from controller.adapters.git import faults
from controller.adapters.git.command import Failed, GitSettings, Limits, TimedOut, TooLarge
from controller.adapters.git.commits import LINK, TreeEntry, check, entries, object_id, submodules
from controller.adapters.git.mirror import Mirrors, too_large
from controller.adapters.git.remote import Remote, place
from controller.adapters.locks import Locks
from controller.core import layout
from controller.core.errors import Invalid, Transient
from controller.core.inputs.repository import is_sha256

Result = TypeVar("Result")

DEPTH = 8  # of submodules in submodules
MODULES = 64  # submodules of one checkout
SYMLINK = "120000"  # mode of a link's entry in a tree
VERIFIED = 32 * 1024**2  # bytes of a checkout that are read once more
REMEMBERED = 10_000  # checkouts

CONFIG = "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n"
SHA256 = "[extensions]\n\tobjectFormat = sha256\n"


@dataclass(slots=True)
class Draft:
    """One checkout that is being built: its repository, its folder, and what it may still take, submodules included."""

    url: str
    root: Path
    files: int
    bytes: int
    modules: int = MODULES

    def take(self, listed: list[TreeEntry]) -> None:
        """Subtract a commit's files. Raises TooLarge."""
        self.files -= len(listed)
        self.bytes -= sum(entry.size for entry in listed)
        self.modules -= 1
        if self.files < 0 or self.bytes < 0 or self.modules < 0:
            raise TooLarge

    def enter(self, path: str, depth: int) -> None:
        """Raise Invalid unless a submodule's folder is a plain one of the checkout, and not too deep."""
        folder = self.root / path
        real = folder.resolve() == self.root.resolve() / path and folder.is_dir()
        if not real or depth > DEPTH:
            why = f"it is more than {DEPTH} deep" if real else "its folder leaves the checkout"
            line = f'{place(self.url)}: submodule "{faults.clean(path)}": {why}: remove it'
            raise Invalid("RepositoryRefused", [line])


class Checkouts:
    """All checkouts on the volume."""

    def __init__(self, root: Path, settings: GitSettings, mirrors: Mirrors) -> None:
        self._root = root
        self._settings = settings
        self._mirrors = mirrors
        self._locks = Locks(settings.wait)
        self._verified: set[Path] = set()

    def path(self, url: str, commit: str) -> Path:
        """Return the checkout's folder, whether it exists or not."""
        return self._root / layout.checkout(url, commit)

    def complete(self, url: str, commit: str) -> bool:
        """Return whether the checkout is there, whole."""
        try:
            return (self.path(url, commit) / layout.COMPLETE).read_bytes() == commit.encode()
        except (FileNotFoundError, NotADirectoryError):
            return False

    def publish(self, remote: Remote, commit: str) -> None:
        """Publish the checkout, whole, and make the mirror to read it. Raises Invalid, Transient, NotYet."""
        url = remote.url
        target = self.path(url, commit)
        storage.mark_used(target)
        if self.complete(url, commit):
            if not self._mirrors.folder(url).exists():  # swept; `read` has no credentials to fetch it with
                self._mirrors.have(remote, commit)
            return
        storage.make(target.parent)
        with self._locks.hold(target.parent / f".lock-{commit[:2]}", place(url)):
            if self.complete(url, commit):
                return
            storage.sweep_partials(target)
            with storage.partial(target) as folder:
                draft = Draft(url, folder, self._settings.max_files, self._settings.max_bytes)
                try:
                    self._lay(draft, remote, commit, "", 0)
                except TooLarge:
                    raise too_large(url, self._settings) from None
                except TimedOut:
                    limit = self._settings.fetch_timeout
                    line = f"{place(url)}: the checkout took longer than {limit:g} s; it is tried again"
                    raise Transient("GitTimeout", line) from None
                _seal(folder, commit)
                storage.replace(folder, target, self._root / layout.CHECKOUTS)
                self._note(target)

    def verify(self, url: str, commit: str, listed: Iterable[TreeEntry]) -> None:
        """Have a checkout written again, and raise Transient, where a file of it is not what was committed.

        Once for each that this process has not written itself: files of another that died with its machine may never
        have reached the disk. What lies in submodules, or beyond VERIFIED bytes, is believed.
        """
        root = self.path(url, commit)
        if root in self._verified:
            return
        listed = [entry for entry in listed if entry.mode != LINK]
        is_converted = any(entry.path.rpartition("/")[2] == ".gitattributes" for entry in listed)  # sizes may differ
        left = 0 if is_converted else VERIFIED
        for entry in listed:
            left -= entry.size
            if not _is_as_committed(root, entry, whole=left >= 0, sized=not is_converted):
                storage.ask()
                (root / layout.COMPLETE).unlink(missing_ok=True)  # the next to publish it makes it again
                line = f"{place(url)}: {faults.clean(entry.path)} of the checkout on the shared volume is damaged"
                raise Transient("NotPublished", f"{line}; it is written again")
        self._note(root)

    def _note(self, root: Path) -> None:
        """Note that a checkout is as committed."""
        if len(self._verified) >= REMEMBERED:
            self._verified.clear()
        self._verified.add(root)

    def _lay(self, draft: Draft, remote: Remote, commit: str, below: str, depth: int) -> None:
        """Write a commit's files into folder `below` of the checkout, then those of its submodules."""
        url = remote.url
        self._mirrors.have(remote, commit)
        listed = self._sound(remote, commit, lambda: entries(self._mirrors, url, commit))
        draft.take(listed)
        if not below and any(entry.path.split("/")[0] == layout.COMPLETE for entry in listed):
            line = f"{place(draft.url)}: {layout.COMPLETE} at its root is a name that Coachwork needs: rename it"
            raise Invalid("RepositoryRefused", [line])
        self._sound(remote, commit, lambda: self._write(draft, url, commit, below))
        found = self._sound(remote, commit, lambda: submodules(self._mirrors, url, commit, listed))
        modules = [module for module in found if module.url]  # else source.py warns of its empty folder
        for module in modules:
            there = remote.at(module.url)
            check(module, there, allow_file=self._settings.allow_file)
            inside = f"{below}/{module.path}".lstrip("/")
            draft.enter(inside, depth + 1)
            self._mirrors.have(there, module.commit)  # first: whether it is another's shows then
            self._mirrors.check_access(there)
            self._lay(draft, there, module.commit, inside, depth + 1)
        if modules:  # no sweep takes their mirrors as long as this one is needed
            names = sorted({layout.mirror(module.url).name for module in modules})
            storage.write(self._mirrors.folder(url) / layout.SUBMODULES, "\n".join(names))

    def _sound(self, remote: Remote, commit: str, action: Callable[[], Result], *, again: bool = True) -> Result:
        """Work with the mirror; one in which that fails is broken, and made again once."""
        try:
            return action()
        except Failed as failed:
            if faults.known(failed.stderr) or not again:
                raise faults.error(place(remote.url), failed.stderr) from None
            storage.refuse_full(self._root)  # which is not the mirror's fault
        self._mirrors.rebuild(remote, commit)
        self._mirrors.have(remote, commit)
        return self._sound(remote, commit, action, again=False)

    def _write(self, draft: Draft, url: str, commit: str, below: str) -> None:
        """Write a commit's files by git's plumbing, which runs no hook, and no filter where none is configured."""
        index = draft.root / ".git" / "index"  # no file of a commit can be below .git
        storage.make(index.parent)
        env = {"GIT_WORK_TREE": str(draft.root / below), "GIT_INDEX_FILE": str(index)}
        limits = Limits(self._settings.fetch_timeout, draft.root, self._settings.max_bytes)
        try:
            self._mirrors.local(url, ["read-tree", commit], limits, **env)
            self._mirrors.local(url, ["checkout-index", "--all", "--force", "--quiet"], limits, **env)
        finally:
            index.unlink(missing_ok=True)


def _is_as_committed(root: Path, entry: TreeEntry, *, whole: bool, sized: bool) -> bool:
    """Return whether a file of a checkout is what its commit has: its size if `sized`, and all if `whole`."""
    path = root / entry.path
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) != (entry.mode == SYMLINK):
            return False
        if sized and status.st_size != entry.size:
            return False
        if not whole:
            return sized or bool(status.st_size) == bool(entry.size)
        content = os.fsencode(path.readlink()) if entry.mode == SYMLINK else path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    return object_id("blob", content, like=entry.object) == entry.object


def _seal(folder: Path, commit: str) -> None:
    """Make the folder answer `git rev-parse HEAD`, and mark it whole: the last thing before the rename."""
    git = folder / ".git"
    for part in (git / "objects", git / "refs"):
        storage.make(part)
    config = CONFIG.format(version=1) + SHA256 if is_sha256(commit) else CONFIG.format(version=0)
    (git / "config").write_text(config, encoding="utf-8")
    (git / "HEAD").write_text(f"{commit}\n", encoding="utf-8")
    storage.write(folder / layout.COMPLETE, commit)
    for file in (git / "config", git / "HEAD", folder / layout.COMPLETE):
        file.chmod(0o664)
    storage.sync(folder)
