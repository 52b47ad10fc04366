"""Makes one environment with uv: `python3 install_build.py '<json>'`, by the Python that will run the stage.

The versions of a lock are taken where there is one; where they are not available any more, that is said and everything
is resolved again (`only_locked`: refused). Several may build the same at once: each has a folder of its own and holds a
lock on it, `.complete` is written last, and only then does the folder get its name. What killed builds of this machine
left is removed first; all other halves are the sweeper's (docs/adr/0014). Where the order says `published`, stages use
it before its modules are compiled, which goes on here once the controller knows of it (docs/adr/0031). What goes wrong
is left as JSON in the file `failure`: exit code, reason, message in one line.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import signal
import sys
import time
import urllib.parse
from concurrent import futures
from importlib import metadata
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, NoReturn, Optional

if TYPE_CHECKING:
    from controller.runtime import (
        install_cause,
        install_compile,
        install_progress,
        install_requirements,
        install_resolve,
        install_uv,
        install_wheels,
        stage_environment,
        stage_order,
        stage_text,
        stage_wake,
    )
else:  # published side by side: the script's folder is where Python looks first
    import install_cause
    import install_compile
    import install_progress
    import install_requirements
    import install_resolve
    import install_uv
    import install_wheels
    import stage_environment
    import stage_order
    import stage_text
    import stage_wake

say = install_progress.say
PARTIAL = ".partial-"  # environment.partial-MACHINE-RANDOM: a build under way, or what is left of one
BOOT = "/proc/sys/kernel/random/boot_id"  # what all containers of a machine share, and only as long as it runs
WAKE = 2.0  # seconds
CALLS = 2  # one may find the controller busy, or come before the volume shows it what was made
NOBODY = b"404"  # waits: its run was stopped
NICEST = 19
SYNCS = 16  # files that are written to the disk at once
HEAD_START = 3.0  # seconds in which what waited for the environment starts, and needs the processors


class Job(NamedTuple):
    """What to make. Absolute paths."""

    uv: str
    project: str
    requirements: str  # the file that says what to install
    environment: str  # what `.complete` will hold
    target: str
    scratch: str
    cache: str
    failure: str
    sources: Dict[str, str]  # address in a requirement -> folder of its checkout
    lock: str  # "": the newest versions that fit
    only_locked: bool = False
    compiles: bool = False  # the modules; else who uses it can write what it compiles
    published: str = ""  # where stages find it, if it is compiled while they use it; "": before
    wake: str = ""  # what to call once it can be used (see stage_wake.py)


def build(job: Job, document: install_requirements.RequirementsDocument, progress: install_progress.Progress) -> int:
    """Make the environment; return its folder as a descriptor: it may be moved at any time. Raises Unable, OSError."""
    _remove_dead(job.target)
    shutil.rmtree(job.scratch, ignore_errors=True)
    os.makedirs(job.scratch)
    prepared = install_requirements.prepare(document, job.project, job.sources, job.scratch)
    partial = f"{job.target}{PARTIAL}{_machine()}-{os.urandom(4).hex()}"
    try:
        held = _locked_folder(partial)
        os.makedirs(job.cache, exist_ok=True)
        cache = os.open(job.cache, os.O_RDONLY | os.O_CLOEXEC)  # to the end of this process
        try:
            _fill(job._replace(target=partial), prepared, held, progress)
            return _settle(partial, job, held)
        except (OSError, stage_order.Unable) as error:
            was_taken = not _is_at(job.cache, cache)
            if was_taken and (other := finished(job)) is not None:
                say("another build of the same was quicker: what it has made is used")
                return other
            if not was_taken and (_is_at(partial, held) or _is_at(job.target, held)):
                raise
            taken = f"{prepared.name}: the build's folder was taken away while it was under way"
            raise stage_order.Unable("InstallFailed", taken, stage_order.MAY_PASS) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _locked_folder(path: str) -> int:
    """Make a folder and lock it; return the lock, which ends with this process."""
    while True:
        os.mkdir(path)
        try:
            held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # another build looked before we held the lock, took it for dead and removed it
            continue
        with contextlib.suppress(OSError):  # where nobody can lock, nobody removes
            fcntl.flock(held, fcntl.LOCK_EX)
        if _is_at(path, held):
            return held
        os.close(held)


def _remove_dead(target: str) -> None:
    """Remove what killed builds of this machine left: locks are known to no other machine on every file system."""
    for left in glob.glob(f"{glob.escape(target)}{PARTIAL}{_machine()}-*"):
        with contextlib.suppress(OSError):
            held = os.open(left, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)


def _machine() -> str:
    return stage_order.read_text(BOOT, 100).strip()[:8] or "here"


def _is_at(path: str, held: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(held))
    except OSError:
        return False


def finished(job: Job) -> Optional[int]:
    """Return a descriptor of this environment where it is there and whole, published or to be; else None."""
    for place in filter(None, (job.published, job.target)):
        with contextlib.suppress(OSError):
            if stage_environment.complete(place) == job.environment and not stage_environment.damage(place):
                return os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _settle(partial: str, job: Job, held: int) -> int:
    """Rename a finished folder to its name; return it, or what another build was quicker with. Damage makes room."""
    try:
        os.rename(partial, job.target)
    except OSError:
        if not os.path.isdir(job.target):
            raise
        if (other := finished(job._replace(published=""))) is not None:
            return other
        damaged = f"{partial}-damaged"  # nobody locks it: it goes now, or with the next build
        os.rename(job.target, damaged)
        os.rename(partial, job.target)
        shutil.rmtree(damaged, ignore_errors=True)
    return held


def _fill(job: Job, prepared: install_requirements.Prepared, held: int, progress: install_progress.Progress) -> None:
    environment = install_uv.settings(dict(os.environ), job.scratch, job.cache)
    uv = install_uv.Uv(job.uv, prepared.name, environment, progress)
    venv = ["venv", "--relocatable", *install_uv.system_packages(), "--no-project", "--python", sys.executable]
    made = uv.run(["--quiet", *venv, job.target], job.scratch)
    if made.code:
        raise install_cause.explain(made, prepared, install_resolve.Known())
    install_uv.show_image(job.target)
    index = install_uv.indexes(environment, prepared.files[0].items)
    with progress.step(f"choosing versions from {index}"):
        _install(job, uv, prepared, index)
    lines = "".join(f"{line}\n" for line in lock(job.target, prepared.places))
    _write(held, stage_environment.LOCK, f"# sha256: {stage_order.digest(lines)}\n{lines}")
    shutil.copyfile(job.requirements, os.path.join(job.target, install_requirements.FILE))
    _write(held, stage_environment.PYTHON, json.dumps(stage_environment.identity()))
    if damage := stage_environment.damage(job.target):
        raise OSError(errno.EIO, f"the installation has ended, and {damage}", job.target)
    if job.compiles:
        _write(held, stage_environment.UNCOMPILED, "")
    if job.compiles and not job.published:
        install_compile.compile_modules(held, job.target, progress)
    if not job.only_locked:  # one for a single pod dies with its machine
        _sync(job.target)
    _write(held, stage_environment.COMPLETE, f"{job.environment}\n")


def _install(job: Job, uv: install_uv.Uv, prepared: install_requirements.Prepared, index: str) -> None:
    python = os.path.join(job.target, "bin", "python")
    base = ["pip", "install", "--python", python]
    install = [*base, *prepared.arguments]
    search = install_wheels.Search(uv, python, prepared, job.scratch)
    wheels = install_wheels.Advice() if job.only_locked else install_wheels.advise(search, prepared)
    key = "`python`" if prepared.name.startswith("bodywork.yaml") else "PYTHON"
    known = install_resolve.Known(index, search.newest, wheels.remedy, key, prepared.as_of)
    uv.progress.warning = wheels.warning  # versions that do not fit each other fail before anything is compiled
    if job.lock:
        done = _try(job, uv, [*install, "--constraints", job.lock], prepared.folder)
        if not done.code:
            return
        failure = install_cause.explain(done, prepared, known)
        if job.only_locked or failure.code != stage_order.HOPELESS or failure.reason != "InstallFailed":
            raise failure
        say(f"the versions of the earlier build are not available any more: {failure}")
        say("everything is resolved again")
    done = _try(job, uv, install, prepared.folder)
    if done.code and prepared.newest and install_cause.UNDATED in done.output:
        say("the index does not say when files were uploaded: the newest packages are taken")
        done = _try(job, uv, [*base, *prepared.newest], prepared.folder)
    if done.code:
        raise install_cause.explain(done, prepared, known)


def _try(job: Job, uv: install_uv.Uv, install: List[str], folder: str) -> install_uv.Done:
    """Install, without what the image has if that works."""
    known = install_uv.image_options(uv, install, folder, job.scratch)
    if known:
        done = uv.run([*install, *known], folder)
        if not done.code:
            return done
    return uv.run(install, folder)


def lock(target: str, places: Dict[str, str]) -> List[str]:
    """Return NAME==VERSION of every package in the environment, sorted, then the origin of those that no index has."""
    found = list(metadata.distributions(path=[install_uv.packages_folder(target)]))
    versions = [f"{name}=={version}" for name, version in sorted(install_uv.versions(found).items())]
    origins = []
    for distribution in found:
        name, direct = distribution.metadata["Name"], distribution.read_text("direct_url.json")
        if name and direct:
            name, url = stage_text.canonical(name), _url_of(direct)
            for folder in sorted(places, key=len, reverse=True):
                beginning = install_requirements.url(folder)
                if url == beginning or url.startswith(f"{beginning}/"):  # as the user wrote it
                    url = places[folder] + urllib.parse.unquote(url[len(beginning) :])
                    break
            origins.append(f"# {name} is from {install_uv.without_credentials(url)}")
    return versions + sorted(origins)


def _url_of(direct: str) -> str:
    """Return the address in a direct_url.json, which a package may have brought along."""
    try:
        return str(json.loads(direct)["url"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return "somewhere"


def _write(folder: int, name: str, text: str) -> None:
    """Write a file into the folder that we made, and into no other that has its path by now."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with open(os.open(name, flags, 0o644, dir_fd=folder), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: str) -> None:
    """Write all files of a folder to the disk, many at once: they share what a disk takes long for. Raises OSError."""
    paths = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in ("", *names)]
    with futures.ThreadPoolExecutor(SYNCS) as pool:
        for _ in pool.map(_sync_each, (paths[start::SYNCS] for start in range(SYNCS))):
            pass


def _sync_each(paths: List[str]) -> None:
    for path in paths:
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # a link
            continue
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _have_published(job: Job, folder: int) -> None:
    """Call the controller until the environment is published, or nobody waits for it. Raises OSError."""
    for _ in range(CALLS):
        answer = stage_wake.call(job.wake, WAKE)
        time.sleep(HEAD_START)
        if not _is_at(job.target, folder):  # whatever the answers were
            return
    if answer.split()[1:2] != [NOBODY]:
        raise OSError(f"not published after {CALLS} calls of the controller")


def _compile(job: Job, folder: int, name: str, progress: install_progress.Progress) -> None:
    """Compile an environment that stages may use from now on; the controller is woken first, to publish it.

    Raises OSError, Unable where it was not: it learns of the environment when this process ends, so that is now.
    """
    try:
        if not _is_at(job.published, folder):
            _have_published(job, folder)
        os.nice(NICEST)
        install_compile.compile_modules(folder, job.published, progress)
    except OSError as error:
        if error.errno in stage_order.FULL:
            raise
        later = f"{name}: installed; compiled by the next attempt: {error}"
        raise stage_order.Unable("NotCompiled", later, stage_order.MAY_PASS) from error


def main() -> None:
    """Build; on failure leave the cause and exit with its code; when it has to end, leave what it was doing."""
    job, name = Job(**json.loads("".join(sys.argv[1:]))), "requirements"
    progress = install_progress.Progress(os.path.join(os.path.dirname(job.target), install_progress.FILE))

    def leave(left: Dict[str, Any], code: int) -> NoReturn:
        stage_order.write_atomically(job.failure, left, durable=False)
        sys.exit(code)  # what is half goes on the way out

    def stop(*_: object) -> NoReturn:
        leave({"doing": progress.doing(), "made": held is not None}, 128 + signal.SIGTERM)

    held: Optional[int] = None
    signal.signal(signal.SIGTERM, stop)
    try:
        document = install_requirements.read(job.requirements)
        name = document.file
        held = finished(job) if job.published else None
        if held is None:
            held = build(job, document, progress)
        if job.published:
            _compile(job, held, name, progress)
    except stage_order.Unable as error:
        failure = error
    except OSError as error:
        full = error.errno in stage_order.FULL
        code = stage_order.MAY_PASS if full else stage_order.HOPELESS
        failure = stage_order.Unable(stage_order.VOLUME_FULL if full else "InstallFailed", f"{name}: {error}", code)
    else:
        if os.path.dirname(job.cache) == os.path.dirname(job.target):  # nobody else's: no build is to need it again
            shutil.rmtree(job.cache, ignore_errors=True)
        return
    leave({"code": failure.code, "reason": failure.reason, "message": str(failure)}, failure.code)


if __name__ == "__main__":
    main()
