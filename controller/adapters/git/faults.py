"""Git's words to our errors: the one table, and the cleaning of everything that is shown.

Refuses to pass on control characters, credentials, and what differs from one try to the next.
"""

import re
from dataclasses import dataclass
from typing import Literal

from controller.core.errors import Invalid, Transient

TEXT_LIMIT = 300  # characters of one cleaned piece of foreign text


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a pattern in git's standard error, and what it means."""

    pattern: str
    kind: Literal["invalid", "transient"]
    reason: str
    sentence: str  # cause and remedy


TABLE = (
    Row(
        r"No space left on device|Disk quota exceeded",
        "transient",
        "VolumeFull",
        "the shared volume is full: enlarge it, or keep fewer runs",
    ),
    Row(
        r"returned error: (401|403|407)|could not read Username|Authentication failed|terminal prompts disabled",
        "invalid",
        "RepositoryRefused",
        "the server refuses access or asks for credentials: the repository is private or does not exist; check the URL",
    ),
    Row(
        r"returned error: (404|410)|[Rr]epository .*not found|does not appear to be a git repository"
        r"|is this a git repository\?",
        "invalid",
        "RepositoryNotFound",
        "there is no Git repository at this address: check the URL",
    ),
    Row(
        r"transport '.*' not allowed|unable to update url base from redirection|[Pp]rotocol .* (not supported|disabled)"
        r"|dubious ownership",
        "invalid",
        "RepositoryRefused",
        "git does not follow this address: give the repository's own https address",
    ),
    Row(
        r"not our ref|couldn't find remote ref|does not allow request for unadvertised object",
        "invalid",
        "RefNotFound",
        "the repository does not have this commit: push it, or give another `ref`",
    ),
    Row(
        r"fsck error|fsck-objects|object [0-9a-f]{40}: \w+: ",
        "invalid",
        "RepositoryRefused",
        "the repository holds a broken or dangerous object: run `git fsck` there and mend it",
    ),
    Row(
        r"certificate|SSL|TLS|gnutls",
        "transient",
        "GitCertificate",
        "the server's certificate is not trusted: give the controller its CA by SSL_CERT_FILE, or mend the server",
    ),
    Row(
        r"returned error: (429|5\d\d)",
        "transient",
        "GitServerError",
        "the server is in trouble; it is tried again",
    ),
    Row(
        r"Could not resolve|Failed to connect|[Cc]ouldn't connect|Connection (refused|timed out|reset)|unreachable"
        r"|No route to host|Could not connect",
        "transient",
        "GitUnreachable",
        "the server can't be reached: check the host name, the network and the proxy; it is tried again",
    ),
    Row(
        r"early EOF|RPC failed|disconnect|hung up|transfer closed|Empty reply|Recv failure|Send failure|index-pack"
        r"|timed out|Operation too slow|expected flush|bad line length|outstanding read data",
        "transient",
        "GitInterrupted",
        "the connection broke off; it is tried again",
    ),
)


def known(stderr: str) -> Row | None:
    """Give the table's line for what git said, None if it has none."""
    return next((row for row in TABLE if re.search(row.pattern, stderr)), None)


def error(place: str, stderr: str) -> Invalid | Transient:
    """Give our error for what git said about `place` (which is clean already)."""
    row = known(stderr)
    if row is None:
        return Transient("GitFailed", f"{place}: git failed; it is tried again ({detail(stderr)})")
    message = f"{place}: {row.sentence} ({detail(stderr)})"
    return Invalid(row.reason, [message]) if row.kind == "invalid" else Transient(row.reason, message)


def detail(stderr: str) -> str:
    """Give the telling line of git's standard error, cleaned; the same for the same fault."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return clean((telling or lines or ["it said nothing"])[0].removeprefix("fatal: ").removeprefix("error: "))


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """Give foreign text as one printable line of at most `limit` characters, without credentials, times and ids."""
    text = re.sub(r"://[^\s'\"]*@", "://", text[: 10 * limit])
    text = re.sub(r" after \d+ (ms|milliseconds)\b", "", text)
    text = re.sub(r"\btmp_(pack|idx|obj|rev)_\w+", r"tmp_\1", text)
    text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
