"""What to change, from the last words of a script that failed: one table of patterns, causes and remedies.

Where the words do not say it, frames and what lies around do: packages, requirements, sources, the user's folder on a
laptop. It looks only at files; where nothing is certain, there is no remedy.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from typing import TYPE_CHECKING, Callable, Dict, Mapping, NamedTuple, Sequence, Tuple, Union

if TYPE_CHECKING:
    from controller.runtime import stage_files, stage_imports, stage_versions
    from controller.runtime.stage_cause import MEMORY, Said
    from controller.runtime.stage_order import ScriptPlaces, read_text
else:  # published side by side: the script's folder is where Python looks first
    import stage_files
    import stage_imports
    import stage_versions
    from stage_cause import MEMORY
    from stage_order import read_text

MOST_BYTES, MOST_SHOWN = 256 * 1024, 4
URL = "COACHWORK_URL_"
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
    local: bool = False  # on a laptop
    left_out: Sequence[str] = ()  # with REUSE: what of the project the stage does without

    @property
    def machine(self) -> str:
        """Return what has the programs and libraries of the system."""
        return "this machine" if self.local else "the image"


class Remedy(NamedTuple):
    """What to change ("": unknown), and whether another attempt would end in the same way."""

    reason: str
    text: str
    hopeless: bool


def find(failed: FailedScript) -> Remedy:
    """Return the remedy of the first rule that matches the last words of a script, or their cause's, and has one."""
    said = failed.said
    cases = [failed, failed._replace(said=said.cause)] if said.cause else [failed]
    # what the script raised itself may pass, and so may what it went on after
    surely = said.final and bool(said.trace) and not said.trace[-1].is_own_raise
    for case, rule in itertools.product(cases, RULES):
        match = re.search(rule.pattern, case.said.text)
        words = rule.remedy if isinstance(rule.remedy, str) else rule.remedy(match, case) if match else ""
        if match and words:
            return Remedy(rule.reason, words, surely and rule.hopeless)
    return Remedy("ExitCode", "", surely and _is_uncompiled(said))


def _is_uncompiled(said: Said) -> bool:
    """Return whether a file did not compile, and no text that is the script's data."""
    return said.text.startswith(_SYNTAX) and not said.trace[-1].function and os.path.isfile(said.trace[-1].path)


# --- hosts -------------------------------------------------------------------------------------------------


def _host(_match: re.Match[str], failed: FailedScript) -> str:
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


# --- variables ---------------------------------------------------------------------------------------------


def _variable(match: re.Match[str], failed: FailedScript) -> str:
    """Return where a variable is set that the script reads from its environment; "" for the key of another mapping."""
    frame = failed.said.trace[-1] if failed.said.trace else None
    if not frame or frame.function != "__getitem__" or os.path.basename(frame.named) not in ("os.py", "<frozen os>"):
        return ""
    name = match.group("name")
    near = difflib.get_close_matches(name, os.environ, 1, 0.8)
    where = "in `[env]`, or as a Secret in `[secrets]`, of the stage"
    own = f"; what your shell exports does not reach stages, but `--env {name}=VALUE` does" if failed.folder else ""
    return f"the stage has no variable {name}: {f'did you mean {near[0]}? Else ' if near else ''}set it {where}{own}"


# --- the rules ---------------------------------------------------------------------------------------------


class Rule(NamedTuple):
    """What last words mean: the status' reason, and the remedy or what looks for one ("": another rule may have it)."""

    pattern: str
    reason: str
    remedy: Union[str, Callable[["re.Match[str]", FailedScript], str]]
    hopeless: bool = False  # another attempt would end in the same way


_NUMPY = r"^AttributeError: module 'numpy' has no attribute '(bool|int|float|complex|object|str|long)'"
_NUMPY_2 = r"^AttributeError: .*`np\.\w+` was removed in the NumPy 2\.0 release"
_PICKLED = r"^AttributeError: Can't get attribute '(?P<name>[^']+)' on <module '(?P<module>[\w.]+)'"
_NO_ATTRIBUTE = (
    r"^AttributeError: (?:partially initialized )?module '(?P<module>[\w.]+)'(?: from '.+')? "
    r"has no attribute '(?P<name>[^']+)'"
)
_NO_MODULE = r"^ModuleNotFoundError: No module named '(?P<module>[\w.]+)'"
_NO_NAME = (
    r"^ImportError: cannot import name '(?P<name>[^']+)' from (?:partially initialized module )?'(?P<module>[\w.]+)'"
)
_NO_FILE = r"""No such file or directory: (?P<path>'(?:[^'\\]|\\.)+'|"(?:[^"\\]|\\.)+")"""
_DENIED = r"^PermissionError: .*Permission denied: (?P<path>'[^'/\\]+')"
_NO_LIBRARY = (
    r"^(?:\w+\.)*(?:ImportError|OSError): (?:.*\s)?(?P<library>[^\s:]+\.so[^\s:]*): cannot open shared object file"
)
_WANTED = (
    r"^(ImportError:.*\b(is|are) required|.*(\bneeds? to be installed|\bmust install|\bnot installed"
    r"|issing optional dependency|\bpip install|\b[Pp]lease install)).*"
)
_NO_MEMORY = r"^(\w+\.)*(MemoryError|_ArrayMemoryError)\b|Cannot allocate memory|Unable to allocate \S+ \w*B"
_NOBODY = r"^EOFError: EOF when reading a line|StdinNotImplementedError"
_ASKS = "nobody is there to answer `input()`: read a variable, os.environ, that `[env]` or `--set` gives"
_READ_ONLY = "write to the stage's own folder, COACHWORK_ARTIFACTS of a batch stage or COACHWORK_CACHE"
_GUARD = 'only below `if __name__ == "__main__":`, since each new one runs the script\'s other lines'
_START, _SET = f"start processes {_GUARD}", f"start processes, and call `set_start_method`, {_GUARD}"
RULES: Tuple[Rule, ...] = (
    Rule(f"{stage_versions.ABI}|{stage_versions.AFTER_1}", "ImportError", stage_versions.compiled, hopeless=True),
    Rule(f"{_NUMPY}|{_NUMPY_2}", "ExitCode", stage_versions.removed, hopeless=True),
    Rule(_PICKLED, "ExitCode", stage_versions.pickled),
    Rule(_NO_ATTRIBUTE, "ExitCode", stage_versions.pickled),  # Python 3.14's words for it, and for a mistake
    Rule(_NO_MODULE, "ImportError", stage_versions.pickled),
    Rule(r"^ValueError: node array from the pickle has an incompatible dtype", "ExitCode", stage_versions.pickled),
    Rule(_UNRESOLVED, "ExitCode", _host),
    Rule(_NO_FILE, "ExitCode", stage_files.missing, hopeless=True),
    Rule(_DENIED, "ExitCode", stage_files.denied, hopeless=True),
    Rule(stage_files.CALLED, "ExitCode", stage_files.called, hopeless=True),
    Rule(stage_files.NO_COMPILER, "ExitCode", stage_files.compiler, hopeless=True),
    Rule(_NO_MODULE, "ImportError", stage_imports.missing, hopeless=True),
    Rule(r"^ImportError: attempted relative import", "ImportError", stage_imports.relative, hopeless=True),
    Rule(_NO_NAME, "ImportError", stage_imports.unnamed, hopeless=True),
    Rule(_NO_ATTRIBUTE, "ExitCode", stage_imports.unnamed, hopeless=True),
    Rule(_NO_LIBRARY, "ImportError", stage_files.library, hopeless=True),
    Rule(_NOBODY, "ExitCode", _ASKS, hopeless=True),
    Rule(_WANTED, "ImportError", stage_imports.wanted, hopeless=True),
    Rule(r"^ImportError:", "ImportError", stage_imports.fitting, hopeless=True),
    Rule(r"^RuntimeError: An attempt has been made to start a new process", "ExitCode", _START, hopeless=True),
    Rule(r"^RuntimeError: context has already been set", "ExitCode", _SET, hopeless=True),
    Rule(r"^KeyError: '(?P<name>[^']+)'", "ExitCode", _variable, hopeless=True),
    Rule(_NO_MEMORY, "OutOfMemory", MEMORY),
    Rule(r"No space left on device|Disk quota exceeded|database or disk is full", "DiskFull", stage_files.disk),
    Rule(r"Read-only file system", "ExitCode", _READ_ONLY),
    Rule(r"Address already in use", "ExitCode", "another process of the stage has the port"),
)
