"""Why uv failed, in one line: the requirement's place, the cause, the remedy; and whether another attempt may help.

Written against what uv 0.9 to 0.13 says. What is not known here is said in uv's own words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Sequence

if TYPE_CHECKING:
    from controller.runtime import install_resolve, stage_packages
    from controller.runtime.install_requirements import File, ListedItem, Prepared, url
    from controller.runtime.install_uv import Done, by_host, without_credentials
    from controller.runtime.stage_order import HOPELESS, MAY_PASS, VOLUME_FULL, Unable
    from controller.runtime.stage_text import canonical
else:  # published side by side
    import install_resolve
    import stage_packages
    from install_requirements import url
    from install_uv import by_host, without_credentials
    from stage_order import HOPELESS, MAY_PASS, VOLUME_FULL, Unable
    from stage_text import canonical

LIMIT = 900  # characters
RESERVE = 100  # of them for a place
CUT = "… (the log has all of it)"
UNDATED = "missing an upload date"
_PYTHON = f"Python {install_resolve.PYTHON}"
_UNRESOLVED = "No solution found when resolving"
_WHEEL = "pin a version that has a wheel"
_LAST = re.compile(r"[^\s#]*/([^\s#\[]+)")  # part of a path or an address
_FAILED = re.compile(r"Failed to (?:build|download and build) `([^`]+)`")
_ADDRESS = re.compile(r"(?:Failed to fetch: |for url \(|\bAn index(?: URL)? \()`?(\w+://[^\s)`]+)")
_ERROR = re.compile(r"[Ee]rror: ")
_CALL_FAILED = re.compile(r"error: (?:[Cc]ommand|subprocess)|subprocess\.CalledProcessError")
_COMPILER = re.compile(
    r"(?:command '(?:[^']*/)?(?P<a>[\w.+-]+)' failed: No such file"
    r"|unable to execute '?(?P<b>[\w.+-]+)'?: No such file"
    r"|error: (?P<c>[\w.+-]+): (?:command )?not found"
    r"|\[Errno 2\] No such file or directory: '(?P<d>gcc|g\+\+|cc|c\+\+|gfortran|make|cmake|cargo|rustc|swig)'"
    r"|(?P<e>pg_config|mysql_config|pkg-config) (?:executable )?(?:is required|not found)"
    r"|Unknown compiler\(s\): \[\[?'(?P<f>[\w.+-]+)'"
    r"|(?P<g>CMAKE_C\w*_COMPILER) not set"
    r"|can't find (?P<h>Rust) compiler"
    r"|(?P<i>Cargo), the Rust package manager, is not installed"
    r"|Could not find (?P<j>cmake) executable)"
)


class Diagnosis(NamedTuple):
    """A cause that was recognised: reason, exit code, words, and the user's line ("": the first that they name)."""

    reason: str
    code: int
    text: str
    place: str = ""


def explain(done: Done, prepared: Prepared, known: install_resolve.Known) -> Unable:
    """Return the failure of a call of uv, at the user's own file and line where it speaks of one."""
    plain = re.sub(r"(\s)\s{99,}", r"\1", done.output)  # of so much space patterns take the square
    direct = next(filter(None, (_direct(plain, file) for file in prepared.files)), "")
    output = _in_users_words(plain, prepared)
    items = [item for file in prepared.files for item in file.items]
    found = _recognised(output, known) or _build(output, items)
    if done.code < 0 and not found:
        found = _settled(f"the installation was killed by signal {-done.code}")
    if prepared.as_of and UNDATED in output:
        why = "the index does not say when files were uploaded: write RESOLVE_AS_OF = now"
        found = found or _settled(f"no packages as of {prepared.as_of} can be chosen, since {why}")
    said = cause_of(output, done.code)
    if not found and _UNRESOLVED in output:
        place, text = install_resolve.find(said, output, items, known)
        found = _settled(text)._replace(place=place)
    finding = found or _settled(f"{said}{install_resolve.hint(output)}")
    failed, remedy = _FAILED.search(output), known.remedy
    if remedy and failed and " @ " not in failed[1] and finding.code == HOPELESS:
        finding = finding._replace(text=f"{finding.text[: LIMIT - len(remedy) - RESERVE]}; {remedy}")
    place = direct or finding.place or _named(finding.text, items) or _named(output, items) or prepared.name
    return Unable(finding.reason, _cut(f"{place}: {finding.text}"), finding.code)


def _cut(text: str) -> str:
    return text if len(text) <= LIMIT else f"{text[: LIMIT - len(CUT)]}{CUT}"


def _in_users_words(output: str, prepared: Prepared) -> str:
    """Return the output with the user's own names of folders and addresses, without our files and credentials."""
    for file in prepared.files:
        path = _wrapped(file.path)
        output = re.sub(rf"\s+in\s+`{path}`\s+at\s+position\s+\d+|:\s+{path}:\d+:\d+", "", output)
    for folder in sorted(prepared.places, key=len, reverse=True):
        for written in (url(folder), f"file://{folder}", folder):
            output = output.replace(written, prepared.places[folder])
    return without_credentials(output)


# --- what is recognised ---------------------------------------------------------------------------


def _settled(text: str) -> Diagnosis:
    return Diagnosis("InstallFailed", HOPELESS, text)


def _passing(text: str) -> Diagnosis:
    return Diagnosis("InstallFailed", MAY_PASS, text)


# The first that matches is the cause: of the machine, the index or the proxy before it, the connection, the request.
RULES = (
    (
        r"No space left on device|Disk quota exceeded|os error (28|122)\b",
        Diagnosis(VOLUME_FULL, MAY_PASS, "no room is left on the shared volume: delete old runs or enlarge it"),
    ),
    (
        r"(?m)^\s*(MemoryError\b|.*Cannot allocate memory|.*fatal error: Killed signal)",
        Diagnosis(
            "OutOfMemory", HOPELESS, "the installation needs more memory than it may use: give environment builds more"
        ),
    ),
    (
        r"invalid peer certificate(?:: (?P<why>\S+))?|certificate verify failed|UnknownIssuer|self.signed cert",
        _settled(
            "the certificate of {index} is not trusted{why}: "
            "put its authority into `ca.crt` of the request's `index-secret`"
        ),
    ),
    (
        r"\b(?P<said>401 Unauthorized|403 Forbidden)",
        _settled("{index} answers {said}: check the credentials in the request's `index-secret`"),
    ),
    (
        r"proxy authorization required|407 Proxy Authentication Required",
        _settled(
            "the proxy on the way to {index} refuses its user and password (407): check HTTPS_PROXY and "
            "HTTP_PROXY in the request's `index-secret`; on a laptop, in the shell"
        ),
    ),
    (r"tunnel error|socks", _passing("the proxy on the way to {index} fails: {cause}")),
    (
        r"HTTP status (?:server|client) error \((?P<said>(?:5\d\d|408|429)(?: [^)]*)?)\)",
        _passing("{index} answers {said}"),
    ),
    (r"operation timed out", _passing("{index} does not answer: check its address, NetworkPolicies and the proxy")),
    (
        r"error sending request|dns error|tcp connect error|connection reset",
        _passing("{index} can't be reached: {cause}: check its address, NetworkPolicies and the proxy"),
    ),
    (
        r"Hash-checking is required, but no trusted hash was provided for: `(?P<said>[^`]+)`",
        _settled(
            "`{said}` is needed by what is asked for, and no line has its hash: one makes them required of all, "
            "as in pip: `pip-compile --generate-hashes` writes them all"
        ),
    ),
    (
        r"(?s)Hash mismatch for `(?P<said>[^`]+)`.*?Computed:\s+(?P<why>sha\d+:[0-9a-f]+)",
        _settled(
            "Hash mismatch for `{said}`: {index} has a file with another hash{why}: "
            "if it is the file that you want, write its hash"
        ),
    ),
    (
        r"Git executable not found|git.*: No such file or directory",
        _settled(
            "a `git+` requirement needs git, which the image does not have: use an image with git, or name a release"
        ),
    ),
)


def _recognised(output: str, known: install_resolve.Known) -> Diagnosis | None:
    """Return the diagnosis of the first rule that matches."""
    for pattern, diagnosis in RULES:
        match = re.search(pattern, output)
        if match:
            named = {"said": "", "why": "", **match.groupdict("")}
            asked = _ADDRESS.search(output)  # without the package's own part where it is the last
            named["index"] = by_host([asked[1]]) if asked else known.asked
            causes = re.findall(r"^\s*(?:cause|Caused by): (.*)$", output, re.MULTILINE)
            named["cause"] = re.sub(r" \(os error \d+\)", "", causes[-1]) if causes else "no connection"
            named["why"] = f" ({named['why']})" if named["why"] else ""
            return diagnosis._replace(text=diagnosis.text.format(**named))
    return None


def _build(output: str, items: Sequence[ListedItem]) -> Diagnosis | None:
    """Return why a package could not be built."""
    failed, compiler = _FAILED.search(output), _COMPILER.search(output)
    if not failed:
        return None
    package, has_address = failed[1], " @ " in failed[1]
    name = package.partition("==")[0]
    if name in stage_packages.OTHERWISE and any(item.name == name for item in items):
        written = stage_packages.OTHERWISE[name]
        return _settled(f"`{name}` can't be built: write {written}, which has the module `{name}`")
    no_wheel = "" if has_address else f"has no wheel for {_PYTHON} here and "
    if compiler:
        tool = next(filter(None, compiler.groups()))
        remedy = "use an image with a compiler" if has_address else f"{_WHEEL}, or use an image with a compiler"
        return _settled(f"`{package}` {no_wheel}must be compiled, and the image has no `{tool}`: {remedy}")
    why = _last_words(output)
    if has_address:
        return _settled(f"`{package}` can't be built: {why}: correct it there") if why else None
    more = install_resolve.hint(output)
    return _settled(f"`{package}` {no_wheel}can't be built: {why}{more}: {_WHEEL}") if why else None


def _last_words(output: str) -> str:
    """Return what a build that failed said: its last line, of a command that failed its last error; "" for nothing."""
    call = output.rfind("Call to `")
    block = output[call:].partition("\nhint:")[0].splitlines() if call >= 0 else [""]
    said = [line.strip() for line in block[1:] if re.search(r"\w", line) and not re.match(r"\s*\[std\w+\]", line)]
    errors = [line for line in said if _ERROR.search(line) and not _CALL_FAILED.match(line)]
    return errors[-1] if errors and _CALL_FAILED.match(said[-1]) else said[-1] if said else block[0]


# --- uv's own words -------------------------------------------------------------------------------


def cause_of(output: str, code: int) -> str:
    """Return uv's whole explanation in one line: from its `error:` on, without frames and hints."""
    lines = [re.sub(r"^[^\w`\[(]+", "", line) for line in output.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith(("error:", "No solution", "Failed to"))]
    said = lines[starts[-1] if starts else 0 :]
    ends = [number for number, line in enumerate(said) if line.startswith("hint:")]
    text = " ".join(" ".join(said[: ends[0] if ends else None]).split()).replace("error: ", "", 1)
    text = re.sub(r"No solution found when resolving dependencies:?( cause:)? ", "", text)
    text = re.sub(r" cause: |: cause: ", ": ", text)
    return text or f"uv exited with code {code}"


def _direct(output: str, file: File) -> str:
    """Return the place of the line that uv points at in a file of ours, "" if it points at none."""
    path = _wrapped(file.path)
    position = re.search(rf"`{path}`\s+at\s+position\s+(\d+)", output)
    line = re.search(rf"{path}:(\d+):\d+", output)
    if position:
        number = "\n".join(file.texts).encode()[: int(position[1])].count(b"\n") + 1
    elif line:
        number = int(line[1])
    else:
        return ""
    return file.items[min(number, len(file.items)) - 1].place  # what has no end is missed behind the last line


def _wrapped(path: str) -> str:
    """Return the pattern of a path in uv's output, which breaks long lines where a space is."""
    return r"\s+".join(map(re.escape, path.split(" ")))


def _named(text: str, items: Sequence[ListedItem]) -> str:
    """Return the place of the first item whose package a text speaks of, "" if that can't be known."""
    said = canonical(text)
    for item in items:
        last = _LAST.match(item.text)
        name = item.name or (canonical(last[1]) if last else "")
        if name and re.search(rf"(?<![a-z0-9-]){re.escape(name)}(?![a-z0-9-])", said):
            return item.place
    return ""
