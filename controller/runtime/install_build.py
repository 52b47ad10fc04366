"""Makes one environment with uv: `python3 install_build.py '<json>'`, by the Python that will run the stage.

The versions of a lock are taken where there is one; where they can't be had any more, that is said and everything is
resolved anew (`only_locked`: refused). What a killed attempt left is removed first; `.complete` is written last, and
only then does the folder get its name, so that two attempts at once never mix. What goes wrong is left as JSON in the
file `failure`: exit code, reason, message in one line.
"""

from __future__ import annotations

import compileall
import errno
import glob
import json
import os
import re
import shutil
import sys
import time
from importlib import metadata
from typing import TYPE_CHECKING, Dict, List, NamedTuple

if TYPE_CHECKING:
    from controller.runtime import (
        install_cause,
        install_image,
        install_requirements,
        install_uv,
        stage_order,
        stage_python,
    )
else:  # published side by side: the script's folder is where Python looks first
    import install_cause
    import install_image
    import install_requirements
    import install_uv
    import stage_order
    import stage_python

COMPLETE, PARTIAL = ".complete", ".partial-"
TESTS = re.compile(r"/tests?/")
MOST_WORKERS = 4  # each is a process; the container's limits may be far below the node's processors
FULL = (errno.ENOSPC, errno.EDQUOT)


class Job(NamedTuple):
    """What to make. Absolute paths."""

    uv: str
    project: str
    requirements: str  # the file that says what is wanted
    environment: str  # what `.complete` will hold
    target: str
    scratch: str
    cache: str
    failure: str
    sources: Dict[str, str]  # address in a requirement -> folder of its checkout
    lock: str  # "": the newest versions that fit
    only_locked: bool = False


def build(job: Job, wanted: install_requirements.Wanted) -> None:
    """Make the environment. Raises Refused, OSError."""
    for left in (job.target, job.scratch, *glob.glob(f"{glob.escape(job.target)}{PARTIAL}*")):
        shutil.rmtree(left, ignore_errors=True)
    os.makedirs(job.scratch)
    prepared = install_requirements.prepare(wanted, job.project, job.sources, job.scratch)
    partial = f"{job.target}{PARTIAL}{os.urandom(4).hex()}"  # of a lost node's attempt that lives on, nothing gets in
    _fill(job._replace(target=partial), prepared)
    try:
        os.rename(partial, job.target)
    except OSError:
        if not os.path.exists(os.path.join(job.target, COMPLETE)):  # else another attempt was quicker
            raise
        shutil.rmtree(partial, ignore_errors=True)


def _fill(job: Job, prepared: install_requirements.Prepared) -> None:
    environment = install_uv.settings(dict(os.environ), job.scratch, job.cache)
    uv = install_uv.Uv(job.uv, prepared.name, environment)
    venv = ["venv", "--relocatable", "--system-site-packages", "--no-project", "--python", sys.executable, job.target]
    made = uv.run(["--quiet", *venv], job.scratch)
    if made.code:
        raise install_cause.explain(made, prepared)
    install_image.see(job.target)
    _install(job, uv, prepared)
    if not job.only_locked:  # a private environment is writable: Python compiles what is imported
        _compile(job.target)
    _write(job, "lock.txt", "".join(f"{line}\n" for line in lock(job.target, prepared.places)))
    shutil.copyfile(job.requirements, os.path.join(job.target, install_requirements.FILE))
    _write(job, stage_python.FILE, json.dumps(stage_python.identity()))
    _write(job, COMPLETE, f"{job.environment}\n")


def _install(job: Job, uv: install_uv.Uv, prepared: install_requirements.Prepared) -> None:
    python = os.path.join(job.target, "bin", "python")
    install = ["pip", "install", "--no-progress", "--python", python, *prepared.arguments]
    if job.lock:
        done = _try(job, uv, [*install, "--constraints", job.lock], prepared.folder)
        if not done.code:
            return
        failure = install_cause.explain(done, prepared)
        if job.only_locked or failure.code != stage_order.HOPELESS or failure.reason != "InstallFailed":
            raise failure
        print(f"coachwork: the versions of the earlier build can't be had any more: {failure}", flush=True)
        print("coachwork: everything is resolved anew", flush=True)
    done = _try(job, uv, install, prepared.folder)
    if done.code:
        raise install_cause.explain(done, prepared)


def _try(job: Job, uv: install_uv.Uv, install: List[str], folder: str) -> install_uv.Done:
    """Install, without what the image has if that works."""
    known = install_image.options(uv, install, folder, job.scratch)
    if known:
        done = uv.run([*install, *known], folder)
        if not done.code:
            return done
    return uv.run(install, folder)


def _compile(target: str) -> None:
    """Compile what stages may import, since they can't: without the packages' own tests, often most of their files."""
    started = time.monotonic()
    folder = install_image.packages_folder(target)
    workers = min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    compileall.compile_dir(folder, quiet=2, rx=TESTS, workers=workers)
    print(f"coachwork: compiled in {time.monotonic() - started:.1f} s", flush=True)


def lock(target: str, places: Dict[str, str]) -> List[str]:
    """Give NAME==VERSION of every package in the environment, sorted, then where those come from that no index has."""
    found = list(metadata.distributions(path=[install_image.packages_folder(target)]))
    versions = [f"{name}=={version}" for name, version in sorted(install_image.versions(found).items())]
    origins = []
    for distribution in found:
        told = distribution.read_text("direct_url.json")
        if told:
            name = install_image.canonical(distribution.metadata["Name"])
            origins.append(f"# {name} is from {_origin(str(json.loads(told).get('url')), places)}")
    return versions + sorted(origins)


def _origin(url: str, places: Dict[str, str]) -> str:
    """Give an address as the user wrote it, without credentials."""
    for folder in sorted(places, key=len, reverse=True):
        beginning = f"file://{folder}"
        if url == beginning or url.startswith(f"{beginning}/"):
            url = places[folder] + url[len(beginning) :]
            break
    return install_uv.without_credentials(url)


def _write(job: Job, name: str, text: str) -> None:
    with open(os.path.join(job.target, name), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    """Build; on failure leave the cause and exit with its code."""
    job, name = Job(**json.loads(sys.argv[1])), "requirements"
    try:
        wanted = install_requirements.read(job.requirements)
        name = wanted.file
        build(job, wanted)
    except stage_order.Refused as error:
        failure = error
    except OSError as error:
        full = error.errno in FULL
        code = install_cause.MAY_PASS if full else stage_order.HOPELESS
        failure = stage_order.Refused("VolumeFull" if full else "InstallFailed", f"{name}: {error}", code)
    else:
        return
    told = {"code": failure.code, "reason": failure.reason, "message": str(failure)}
    stage_order.write_atomically(job.failure, told, durable=False)
    sys.exit(failure.code)


if __name__ == "__main__":
    main()
