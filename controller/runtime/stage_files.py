"""What to do about files, programs and libraries that are not there, and about full disks.

It looks only at files: the commit's, and on a laptop at those of the user's own folder.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from controller.runtime.stage_cause import MEMORY
    from controller.runtime.stage_order import HAND_OVER, files
    from controller.runtime.stage_remedy import FailedScript
    from controller.runtime.stage_text import pairs
else:  # published side by side: the script's folder is where Python looks first
    from stage_cause import MEMORY
    from stage_order import HAND_OVER, files
    from stage_text import pairs

LIMIT, MOST_FILES = 10.0, 5000  # seconds for git, and files of the commit that are looked at
TEMPORARY, SHARED_MEMORY = "/tmp/", "/dev/shm"  # noqa: S108 - only compared with paths of the script
RECIPE = "docs/how-to/images.md of Coachwork"
_WRITING = re.compile(r"""(,|\bmode=)\s*["'][bt]*[wax][bt+]*["']|\bmkdir\(""")
_HIDDEN = re.compile(r"\..*|__pycache__")
# Debian's packages of what packages of PyPI load or call
LIBRARIES = pairs(
    """
    libGL=libgl1 libEGL=libegl1 libSM=libsm6 libX11=libx11-6 libXext=libxext6 libXrender=libxrender1
    libatomic=libatomic1 libcairo=libcairo2 libexpat=libexpat1 libfontconfig=libfontconfig1 libgeos_c=libgeos-c1v5
    libgfortran=libgfortran5 libglib-2.0=libglib2.0-0 libgobject-2.0=libglib2.0-0 libgomp=libgomp1
    libgthread-2.0=libglib2.0-0 libmagic=libmagic1 libmariadb=libmariadb3 libnss3=libnss3 libodbc=unixodbc
    libopenblas=libopenblas0 libpango-1.0=libpango-1.0-0 libpangocairo-1.0=libpangocairo-1.0-0 libpq=libpq5
    libsndfile=libsndfile1 libtk8.6=libtk8.6 libusb-1.0=libusb-1.0-0 libxcb=libxcb1 libxml2=libxml2 libxslt=libxslt1.1
    """
)
PROGRAMS = pairs(
    """
    R=r-base-core Rscript=r-base-core convert=imagemagick curl=curl dot=graphviz ffmpeg=ffmpeg g++=g++ gcc=gcc git=git
    gs=ghostscript java=default-jre-headless jq=jq make=make mysql=default-mysql-client mysqldump=default-mysql-client
    node=nodejs pandoc=pandoc pdfinfo=poppler-utils pdftotext=poppler-utils pdftoppm=poppler-utils
    pg_dump=postgresql-client psql=postgresql-client rsync=rsync ssh=openssh-client tesseract=tesseract-ocr unzip=unzip
    wget=wget zip=zip
    """
)

CALLED = (  # a program that a shell did not find, or that packages of PyPI miss in words of their own
    r"returned non-zero exit status 127|\b(?P<program>\w+) is not installed or it's not in your PATH"
    r"|failed to execute \w+\('(?P<executable>\w+)'\)|Is (?P<poppler>poppler) installed"
    r"|(?P<java>JAVA)_(GATEWAY_EXITED|HOME)"
)
NO_COMPILER = (
    r"g\+\+ not (?:detected|available)|No working C\+\+ compiler found|Failed to find C compiler"  # at run time
)
_SHELL = re.compile(r"^\S*sh: (?:(?:line )?\d+: )?([\w.+-]+): (?:command )?not found$", re.MULTILINE)


def library(match: re.Match[str], failed: FailedScript) -> str:
    """Return how a stage gets a library of the system that a package loads."""
    name = match.group("library")
    if re.match(r"lib(cuda|nvidia-ml|nvcuvid)\.", name):
        driver = "install it" if failed.local else "ask for one with `GPU = 1`"
        return f"`{name}` comes with a GPU's driver: {driver}, or use a package for CPUs"
    package = LIBRARIES.get(name.partition(".so")[0], "")
    headless = ""
    if any("-packages/cv2/" in frame.named for frame in failed.said.trace):
        headless = f"name opencv-python-headless instead of opencv-python in {failed.places.requirements}, or "
    return _lacking(f"`{name}`", package, failed, headless)


def called(match: re.Match[str], failed: FailedScript) -> str:
    """Return how a stage gets a program that was not found by a shell or a package."""
    named = [word for word in match.groupdict().values() if word] or _SHELL.findall(failed.said.output)[-1:]
    name = {"poppler": "pdfinfo", "JAVA": "java"}.get(named[0], named[0]) if named else ""
    return _program(name, failed) if name else ""


def compiler(_match: re.Match[str], failed: FailedScript) -> str:
    """Return how a stage gets what PyTensor, PyTorch and Triton compile with while they compute."""
    return _lacking("C++ compiler", PROGRAMS["g++"], failed)


def _program(name: str, failed: FailedScript) -> str:
    """Return how a stage gets a program that it calls."""
    if "/" not in name:
        return _lacking(f"program `{name}`", PROGRAMS.get(name, ""), failed)
    path = os.path.join(failed.places.folder, name)
    if os.path.isfile(path):
        return f"{name} is there, but {failed.machine} has not what its first line names, or that line ends in \\r"
    return ""


def _lacking(what: str, package: str, failed: FailedScript, instead: str = "") -> str:
    """Return where to get a library or a program of the system: on a laptop from its own packages, else in an image."""
    debian = f"the Debian package {package}" if package else "the Debian package that has it"
    if failed.local:
        here = f"{instead}install {debian}, or your system's own"
        return f"{failed.machine} has no {what}: {here}; on a cluster the stage's image needs it, too: {RECIPE}"
    return f"{failed.machine} has no {what}: {instead}use an image with {debian}; {RECIPE} has the recipe"


def denied(match: re.Match[str], failed: FailedScript) -> str:
    """Return how a stage gets a program that is not on a PATH of which a folder can't be searched (execvp(3))."""
    return _program(ast.literal_eval(match.group("path")), failed) if _is_called(failed) else ""


def _is_called(failed: FailedScript) -> bool:
    calls = ("_execute_child", "_posix_spawn", "_execvpe")  # the second is where `subprocess` of Python 3.13 ends
    return bool(failed.said.trace) and failed.said.trace[-1].function in calls


def missing(match: re.Match[str], failed: FailedScript) -> str:
    """Return why a file or a program is not there although it may be there elsewhere."""
    places, name = failed.places, ast.literal_eval(match.group("path"))
    if _is_called(failed):
        return _program(name, failed)
    path = os.path.normpath(os.path.join(places.folder, name))
    if path.startswith(places.checkout + os.sep):
        return _not_committed(os.path.relpath(path, places.checkout), failed)
    if _is_below(path, "COACHWORK_ARTIFACTS", "COACHWORK_PREVIOUS", "COACHWORK_CACHE"):
        return ""
    if path.startswith(TEMPORARY):
        return f"on a cluster each stage has a /tmp of its own: {HAND_OVER}"
    if path.startswith(("/home/", "/Users/", "/root/")):
        return "this path exists on one machine only: commit the file and name it from the script's own folder"
    return ""


def _not_committed(path: str, failed: FailedScript) -> str:
    """Return why a path is not in the private copy of the commit; "" where the script itself removed it."""
    if os.path.lexists(os.path.join(failed.published, path)):
        return left_out(path, failed)
    places = failed.places
    own = os.path.relpath(places.folder, places.checkout)
    name = re.sub(r"^(\.\./)+", "", os.path.relpath(path, own))
    at_top = [os.path.normpath(os.path.join(os.path.relpath(places.project, places.checkout), name)), name]
    said = only_in_own_folder(path, failed)
    found = "" if said else _elsewhere(name, at_top, failed)
    if found:
        return f"{found} is in the commit, and the script runs in {own}/: open {os.path.relpath(found, own)}"
    for each in at_top:
        said = said or only_in_own_folder(each, failed)
    if said:
        return said
    folder = os.path.dirname(path)
    if any(_WRITING.search(frame.code) for frame in failed.said.trace):
        kept = "what later stages read goes to COACHWORK_ARTIFACTS"
        return f"Git keeps no empty folder, as {folder} would be: make it with os.makedirs before writing; {kept}"
    return f"the commit has no {path}: commit it, or, if an earlier stage makes it, hand it over in COACHWORK_ARTIFACTS"


def left_out(path: str, failed: FailedScript) -> str:
    """Return why a path of the commit is not in the private copy, "" where it was there."""
    inner = os.path.relpath(os.path.join(failed.places.checkout, path), failed.places.project)
    others = [each for each in (*failed.left_out, "..") if f"{inner}/".startswith(f"{each}/")]
    if not failed.left_out or not others:
        return ""
    whose = "outside of the project" if others == [".."] else f"in {others[0]}, which is no input of this stage"
    return f"{path} is {whose}: with `REUSE = True` a stage sees its inputs alone: move it to a folder of no stage"


def _elsewhere(name: str, at_top: Sequence[str], failed: FailedScript) -> str:
    """Return the path in the commit that a name means: at the top, or the only file so called, in whatever case."""
    top = next((path for path in at_top if os.path.lexists(os.path.join(failed.published, path))), "")
    if top:
        return top
    paths = [os.path.relpath(path, failed.published) for path in files(failed.published, MOST_FILES, _HIDDEN.fullmatch)]
    ends = [path for path in paths if f"/{path}".lower().endswith(f"/{name}".lower())]
    ends = ends or [path for path in paths if os.path.basename(path).lower() == os.path.basename(name).lower()]
    return ends[0] if len(ends) == 1 else ""


def only_in_own_folder(path: str, failed: FailedScript) -> str:
    """Return why a path of the user's folder is not in the commit; "" on a cluster, and where it is not there."""
    if not failed.folder or not os.path.lexists(os.path.join(failed.folder, path)):
        return ""
    rule = _ignored_by(os.path.join(failed.folder, path))
    if rule:
        how = f"`git add -f {path}` takes it in, or keep data in COACHWORK_CACHE or a bucket"
        return f"{path} is in your folder, but git ignores it ({rule}), so that it is not part of the run: {how}"
    return f"{path} is in your folder, but not in the run's commit: it came later"


def _ignored_by(path: str) -> str:
    """Return the rule by which git, as the user has it, ignores a file, "" for none."""
    folder, name = os.path.split(path)
    command = ["git", "-C", folder, "check-ignore", "--verbose", "-z", "--stdin"]
    own = {**os.environ, "HOME": os.path.expanduser("~")}  # where its settings are; our variables have no home
    try:
        answer = subprocess.run(
            command, input=os.fsencode(name), env=own, capture_output=True, timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    source, line, rule = [*os.fsdecode(answer.stdout).split("\0"), "", ""][:3]
    return f"{rule} in line {line} of {source}" if answer.returncode == 0 else ""


def disk(_match: re.Match[str], failed: FailedScript) -> str:
    """Return which disk is full, where a path says it, and what to do."""
    found = re.search(r"'(/[^']*)'", failed.said.text)
    path = os.path.normpath(os.path.join(failed.places.folder, found.group(1))) if found else ""
    if _is_below(path, "COACHWORK_ARTIFACTS", "COACHWORK_CACHE"):
        return "the shared volume is full: delete old runs, lower keep-runs, or enlarge it"
    if path.startswith(SHARED_MEMORY):
        return f"{SHARED_MEMORY} is full; it is part of the memory: {MEMORY}"
    if path.startswith((os.path.dirname(failed.places.checkout) + os.sep, TEMPORARY)):
        return "the pod's own disk is full: write less, or to COACHWORK_CACHE"
    return "full is the shared volume, if it was written to COACHWORK_ARTIFACTS or COACHWORK_CACHE, else the pod's disk"


def _is_below(path: str, *variables: str) -> bool:
    folders = [os.environ.get(variable, "") for variable in variables]
    return any(folder and f"{path}/".startswith(f"{folder}/") for folder in folders)
