"""Paths: on the shared volume (relative to its root), and inside a stage's container. The one place that knows them."""

import re
from pathlib import PurePosixPath

from controller.core import names

OWNER = r"([^.].*)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"  # a request's folder: its name, its uid
COMPLETE = ".complete"  # holds the commit or key of an immutable folder; written before the rename that publishes it

# --- on the volume ------------------------------------------------------------------------------

MIRRORS, CHECKOUTS, RUNS, TOOLS = (PurePosixPath(name) for name in ("mirrors", "checkouts", "runs", "tools"))
ENVIRONMENTS, BUILDS = PurePosixPath("environments"), PurePosixPath("builds")
BUILD_CACHE = BUILDS / "cache"  # uv's on a laptop; in a cluster each build has its own (docs/adr/0042)
SCRATCH = PurePosixPath("scratch")  # on a laptop only: private folders of pods, below their project's
PYTHONS = PurePosixPath("pythons")  # on a laptop only: virtual environments without packages
TRASH = ".trash-"  # start of the name of what is being removed, in the top folder that it was in
LOCK = "lock.txt"  # in an environment: every package that was installed, as NAME==VERSION
REQUIREMENTS = "requirements.json"  # of a build, and in an environment: what it is made of, in normal form
PYTHON = "python.json"  # in an environment: the Python that it was made with (runtime/stage_environment.py)
SUBMODULES = "coachwork-submodules"  # in a mirror: the names of its submodules' mirrors, of the last checkout
USES = "uses.json"  # in a run's folder
PROGRESS = "progress.json"  # in a build's folder
UNCOMPILED = ".uncompiled"  # in an environment: not all of its modules are compiled, which is no reason not to use it
STALE = ".stale"  # in an environment: its Python is no longer the image's; the next run builds another


def repository_key(url: str) -> str:
    """Return a folder name for a repository: readable, and unique by a hash of the URL as given."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", url.rsplit("://", maxsplit=1)[-1].removesuffix(".git"))
    readable = readable.strip("-")[-40:].strip("-")
    return f"{readable}-{names.digest(url, 12)}".lstrip("-")


def mirror(url: str) -> PurePosixPath:
    """Return the folder of the repository's bare mirror."""
    return MIRRORS / f"{repository_key(url)}.git"


def checkout(url: str, commit: str) -> PurePosixPath:
    """Return the folder of the published checkout."""
    return CHECKOUTS / repository_key(url) / commit


def request(name: str, uid: str) -> PurePosixPath:
    """Return the folder of everything that one request keeps."""
    return RUNS / f"{name}-{uid}"


def run(name: str, uid: str, number: int) -> PurePosixPath:
    """Return the folder of one run."""
    return request(name, uid) / str(number)


def run_in(path: PurePosixPath) -> int | None:
    """Return the run whose folder `path` is in, None where it is in none (the request's cache, a checkout)."""
    parts = path.parts
    within = len(parts) > 2 and path.is_relative_to(RUNS)  # noqa: PLR2004 (runs, the request's folder, the run's)
    return int(parts[2]) if within and re.fullmatch(r"[0-9]+", parts[2]) else None


def artifacts(name: str, uid: str, number: int) -> PurePosixPath:
    """Return the folder of one run's artifacts."""
    return run(name, uid, number) / "artifacts"


def inherited(name: str, uid: str, number: int, base: int) -> PurePosixPath:
    """Return the folder of what a run goes on from, until it has begun."""
    return run(name, uid, number) / f".inherited-{base}"


def all_logs(name: str, uid: str, number: int) -> PurePosixPath:
    """Return the folder of the logs of a run's stages."""
    return run(name, uid, number) / "logs"


def logs(name: str, uid: str, number: int, stage: str) -> PurePosixPath:
    """Return the folder of one stage's logs in one run: <attempt>.log and <attempt>.json."""
    return all_logs(name, uid, number) / names.kubernetes_name(stage)


def outdated(name: str, uid: str, number: int, stage: str) -> PurePosixPath:
    """Return the file by which a launcher says that its environment's Python is not the image's."""
    return logs(name, uid, number, stage) / "environment-outdated.json"


def cache(name: str, uid: str) -> PurePosixPath:
    """Return the folder that persists over the request's runs."""
    return request(name, uid) / "cache"


def record(name: str, uid: str) -> PurePosixPath:
    """Return the file that holds the copy of the record."""
    return request(name, uid) / "record.yaml"


def tools(digest: str) -> PurePosixPath:
    """Return the folder of launch.py, install.py and uv."""
    return TOOLS / digest


def environment(folder: str) -> PurePosixPath:
    """Return the folder of a published environment; immutable."""
    return ENVIRONMENTS / folder


def is_environment(folder: str) -> bool:
    """Return whether a text can be the name of an environment's folder: a key, and perhaps a number."""
    return re.fullmatch(r"[0-9a-f]{20}(-[0-9]{1,4})?", folder) is not None


def build(folder: str) -> PurePosixPath:
    """Return the folder of one environment's build: environment/, logs/, lock.txt, requirements.json."""
    return BUILDS / folder


def built(folder: str) -> PurePosixPath:
    """Return what a build makes and the controller publishes by a rename."""
    return build(folder) / "environment"


def build_logs(folder: str) -> PurePosixPath:
    """Return the folder of a build's logs: <attempt>.log and <attempt>.json, as a stage's."""
    return build(folder) / "logs"


def build_lock(folder: str) -> PurePosixPath:
    """Return the file that says which versions a build has to take; absent: the newest that fit."""
    return build(folder) / LOCK


def build_progress(folder: str) -> PurePosixPath:
    """Return the file that says how far a build is: runtime/install_progress.py writes it."""
    return build(folder) / PROGRESS


def build_requirements(folder: str) -> PurePosixPath:
    """Return the file that says what a build has to make: core/inputs writes it, runtime/install.py reads it."""
    return build(folder) / REQUIREMENTS


def lock(name: str, uid: str, number: int, folder: str) -> PurePosixPath:
    """Return the run's copy of an environment's lock."""
    return run(name, uid, number) / "locks" / f"{folder}.txt"


def requirements(name: str, uid: str, number: int, folder: str) -> PurePosixPath:
    """Return the run's copy of what an environment is made of."""
    return run(name, uid, number) / "locks" / f"{folder}.json"


def uses(name: str, uid: str, number: int) -> PurePosixPath:
    """Return the file that says what a run needs of the volume beyond its own folder: what no sweep takes away."""
    return run(name, uid, number) / USES


def run_spec(name: str, uid: str, number: int) -> PurePosixPath:
    """Return the file that says what a run was started with: written when it ends, read when it is repeated."""
    return run(name, uid, number) / "spec.json"


def run_record(name: str, uid: str, number: int) -> PurePosixPath:
    """Return the file that describes a run that has ended."""
    return run(name, uid, number) / "run.json"


# --- in the container -----------------------------------------------------------------------------

ROOT = PurePosixPath("/coachwork")
IN_CHECKOUT = ROOT / "checkout"  # read-only: the whole repository at the run's commit
IN_TOOLS = ROOT / "tools"  # read-only
IN_LOGS = ROOT / "logs"
IN_ARTIFACTS = ROOT / "artifacts"
IN_PREVIOUS = ROOT / "previous"  # read-only
IN_CACHE = ROOT / "cache"
IN_SCRATCH = ROOT / "scratch"  # private to the pod: the project's copy, the environment, HOME
IN_ENVIRONMENT = ROOT / "environment"  # read-only: the stage's packages
IN_BUILDS = ROOT / "builds"  # of a build: KEY, its own folder, one mount so that uv can rename and link
IN_INDEX = ROOT / "index"  # read-only, of a build: files of the request's index-secret
SHM = "/dev/shm"  # noqa: S108 (the pod's own memory)
IN_SOURCES = ROOT / "sources"  # read-only, of a build: the checkouts of Git requirements, 0, 1, ...
