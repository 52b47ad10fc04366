"""What to change, from the last words of a script that failed: one table of patterns, causes and remedies.

Where the words do not say it, frames and what lies around do: packages, requirements, sources, the user's folder on a
laptop. It looks only at files; where nothing is certain, there is no remedy.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import subprocess
from typing import TYPE_CHECKING, Callable, Dict, Mapping, NamedTuple, Tuple, Union

if TYPE_CHECKING:
    from controller.runtime import stage_versions
    from controller.runtime.stage_cause import MEMORY, Said
    from controller.runtime.stage_order import HAND_OVER, ScriptPlaces, read_text
else:  # published side by side: the script's folder is where Python looks first
    import stage_versions
    from stage_cause import MEMORY
    from stage_order import HAND_OVER, read_text

MOST_BYTES, MOST_SHOWN = 256 * 1024, 4
LIMIT = 10.0  # seconds for git
URL = "COACHWORK_URL_"
TEMPORARY, SHARED_MEMORY = "/tmp/", "/dev/shm"  # noqa: S108 - only compared with paths of the script
_OWN_IMPORT = ("ImportError:", "ModuleNotFoundError:")
_SYNTAX = ("SyntaxError:", "IndentationError:", "TabError:")
_UNRESOLVED = (
    r"Name or service not known|Name does not resolve|Temporary failure in name resolution|Failed to resolve"
    r"|nodename nor servname|No address associated with hostname|getaddrinfo failed"
)
_HOST = re.compile(r"host='([\w.-]+)'|Failed to resolve '([\w.-]+)'|host ([\w.-]+):\d|host name \"([\w.-]+)\"")
_ADDRESS = re.compile(r"https?://(?:[^/@\s\"']*@)?([\w.-]+)")
_LITERAL = re.compile(r"[\"']([\w.-]+)[\"']")


class FailedScript(NamedTuple):
    """What is known of a script that failed."""

    said: Said
    places: ScriptPlaces
    published: str  # the checkout that the copy was made of
    environment: str = ""  # the folder of its packages
    folder: str = ""  # on a laptop: the user's own folder of which the commit was made


class Remedy(NamedTuple):
    """What to change ("": unknown), and whether another attempt would end in the same way."""

    reason: str
    text: str
    hopeless: bool


def find(failed: FailedScript) -> Remedy:
    """Return the remedy of the first rule that matches the last words of a script and has one."""
    text = failed.said.text
    hopeless = failed.said.final and (_is_own_import(failed) or bool(re.search(stage_versions.ABI, text)))
    for pattern, reason, remedy in RULES:
        match = re.search(pattern, text)
        if not match:
            continue
        names = {"requirements": failed.places.requirements, **match.groupdict()}
        words = remedy.format(**names) if isinstance(remedy, str) else remedy(match, failed)
        if words:
            return Remedy(reason, words, hopeless)
    return Remedy("ExitCode", "", hopeless)


def _is_own_import(failed: FailedScript) -> bool:
    """Return whether an import or the compiler failed, and no `raise` of the script's own, or code that is its data."""
    said = failed.said
    if not said.trace:
        return False
    deepest = said.trace[-1]
    if said.text.startswith(_OWN_IMPORT):
        return not (deepest.place and deepest.code.startswith("raise"))
    return said.text.startswith(_SYNTAX) and not deepest.function and os.path.isfile(deepest.path)


# --- hosts -------------------------------------------------------------------------------------------------


def _host(_match: "re.Match[str]", failed: FailedScript) -> str:
    """Return the address of the service stage that a host name that nobody knows is meant for.

    Where the exception names no host, the files of its frames and the stage's variables may: in an address, or, in
    files, as a word that is a service's name exactly.
    """
    services = {name[len(URL) :]: url for name, url in os.environ.items() if name.startswith(URL)}
    named = [host for groups in _HOST.findall(failed.said.text) for host in groups if host]
    hosts = [(host, False) for host in named]
    if not hosts:
        sources = [read_text(frame.path, MOST_BYTES) for frame in reversed(failed.said.trace) if frame.place]
        values = [value for name, value in os.environ.items() if not name.startswith("COACHWORK_")]
        hosts += [(host, False) for text in (*sources, *values) for host in _ADDRESS.findall(text)]
        hosts += [(word, True) for text in sources for word in _LITERAL.findall(text)]
    for host, exactly in hosts:
        service = _service(host, services, exactly)
        if service:
            return f"`{host}` is not a name here: the service is at {URL}{service}, here {services[service]}"
    if services and named and "." not in named[0]:
        known = ", ".join(f"{URL}{name} = {url}" for name, url in sorted(services.items())[:MOST_SHOWN])
        return f"`{named[0]}` is not a name here; the project's services are at {known}"
    return ""


def _service(host: str, services: Mapping[str, str], exactly: bool) -> str:
    """Return the service that a host name means: STAGE, PROJECT--STAGE, either with a namespace, or nearly so."""
    label, _, domain = host.partition(".")
    if domain and "--" not in label and "svc" not in domain.split("."):
        return ""
    stages: Dict[str, str] = {name.lower().replace("_", "-"): name for name in services}
    stage = label.rpartition("--")[2].lower().replace("_", "-")
    near = [stage] if stage in stages else [] if exactly else difflib.get_close_matches(stage, stages, 1, 0.75)
    return stages[near[0]] if near else ""


# --- files and disks ---------------------------------------------------------------------------------------


def _file(match: "re.Match[str]", failed: FailedScript) -> str:
    """Return why a file is not there although it may be there elsewhere."""
    places = failed.places
    path = os.path.normpath(os.path.join(places.folder, ast.literal_eval(match.group("path"))))
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
        return ""
    if failed.folder and os.path.lexists(os.path.join(failed.folder, path)):
        rule = _ignored_by(os.path.join(failed.folder, path))
        if rule:
            how = f"`git add -f {path}` takes it in, or keep data in COACHWORK_CACHE or a bucket"
            return f"{path} is in your folder, but git ignores it ({rule}), so that it is not part of the run: {how}"
        return f"{path} is in your folder, but not in the run's commit: it came later"
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(os.path.join(failed.published, folder)):
        return (
            f"the commit has no folder {folder}, and Git keeps no empty one: commit what is to be read, "
            f"make the folder with os.makedirs before writing, and {HAND_OVER}"
        )
    return f"the commit has no {path}: commit what is to be read, and {HAND_OVER}"


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


def _disk(_match: "re.Match[str]", failed: FailedScript) -> str:
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


# --- the rules ---------------------------------------------------------------------------------------------

Find = Callable[["re.Match[str]", FailedScript], str]
RULES: Tuple[Tuple[str, str, Union[str, Find]], ...] = (
    (f"{stage_versions.ABI}|{stage_versions.AFTER_1}", "ImportError", stage_versions.compiled),
    (
        r"^AttributeError: module 'numpy' has no attribute '(bool|int|float|complex|object|str|long)'",
        "ExitCode",
        stage_versions.removed,
    ),
    (r"^AttributeError: .*`np\.\w+` was removed in the NumPy 2\.0 release", "ExitCode", stage_versions.removed),
    (
        r"^AttributeError: Can't get attribute '(?P<name>[^']+)' on <module '(?P<module>[\w.]+)'",
        "ExitCode",
        stage_versions.pickled,
    ),
    (  # Python 3.14's words for the same, and for a mistake in the script
        r"^AttributeError: module '(?P<module>[\w.]+)' has no attribute '(?P<name>[^']+)'",
        "ExitCode",
        stage_versions.pickled,
    ),
    (r"^ModuleNotFoundError: No module named '(?P<module>[\w.]+)'", "ImportError", stage_versions.pickled),
    (r"^ValueError: node array from the pickle has an incompatible dtype", "ExitCode", stage_versions.pickled),
    (_UNRESOLVED, "ExitCode", _host),
    (
        r"""No such file or directory: (?P<path>'(?:[^'\\]|\\.)+'|"(?:[^"\\]|\\.)+")""",
        "ExitCode",
        _file,
    ),
    (
        r"^ModuleNotFoundError: No module named '(?P<package>[^'.]+)",
        "ImportError",
        "add the package of `{package}` to {requirements}",
    ),
    (
        r"^(?:ImportError|OSError): (?P<library>\S+\.so\S*): cannot open shared object file",
        "ImportError",
        "the image has no `{library}`: use one that has it, or another package",
    ),
    (r"^ImportError:", "ImportError", "name versions that fit each other in {requirements}"),
    (
        r"^(\w+\.)*(MemoryError|_ArrayMemoryError)\b|Cannot allocate memory|Unable to allocate \S+ \w*B",
        "OutOfMemory",
        MEMORY,
    ),
    (r"No space left on device|Disk quota exceeded|database or disk is full", "DiskFull", _disk),
    (
        r"Read-only file system",
        "ExitCode",
        "write to the stage's own folder, COACHWORK_ARTIFACTS of a batch stage or COACHWORK_CACHE",
    ),
    (r"Address already in use", "ExitCode", "another process of the stage has the port"),
)
