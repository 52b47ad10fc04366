"""Git's words to our errors: the one table, and the cleaning of all that is shown.

Refuses to pass on control characters, credentials, and what differs from one try to the next.
"""

import re
import signal
from dataclasses import dataclass
from typing import Literal

from controller.core.errors import Invalid, Transient
from controller.core.text import clean as cleaned

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
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|REVOKED HOST KEY",
        "invalid",
        "GitHostKeyChanged",
        "the server shows another host key than known_hosts in git-secret has: somebody may be in between; if its"
        " operator says that it changed, put the new one there",
    ),
    Row(
        r"host key is known for|Host key verification failed",
        "invalid",
        "GitHostKeyUnknown",
        "known_hosts in git-secret has no key of this server: add the one that its operator publishes, as"
        " `HOST TYPE KEY` or `[HOST]:PORT TYPE KEY`",
    ),
    Row(
        r"Load key .*: ",
        "invalid",
        "GitKeyUnusable",
        "ssh can't use ssh-privatekey in git-secret: make another key, ssh-keygen -t ed25519 -N ''",
    ),
    Row(
        r"Permission denied \(|Too many authentication failures",
        "invalid",
        "GitRefused",
        "the server refuses the key in git-secret: add its public half there, and check the user in the address",
    ),
    Row(
        r"Unable to negotiate with|no matching .* found",
        "transient",
        "GitNegotiation",
        "server and controller have no SSH algorithm in common: the server is too old; it is tried again",
    ),
    Row(
        r"from proxy after CONNECT|CONNECT tunnel failed|Proxy CONNECT|resolve proxy|returned error: 407",
        "transient",
        "GitProxy",
        "the proxy refuses: check https_proxy and no_proxy of the controller; it is tried again",
    ),
    Row(
        r"Authentication failed|returned error: 401",
        "invalid",
        "GitRefused",
        "the server refuses username and password in git-secret: wrong, expired or revoked",
    ),
    Row(
        r"could not read (Username|Password)|terminal prompts disabled",
        "invalid",
        "RepositoryRefused",
        "the server asks for credentials: the repository is private, or does not exist: check the URL, or name a Secret"
        " as git-secret; it is sent to no other server",
    ),
    Row(
        r"returned error: 403",
        "invalid",
        "RepositoryRefused",
        "the server refuses access: git-secret is missing, or may not read this repository",
    ),
    Row(
        r"returned error: (404|410)|[Rr]epository .*not found|does not appear to be a git repository"
        r"|is this a git repository\?",
        "invalid",
        "RepositoryNotFound",
        "no Git repository at this address: check the URL",
    ),
    Row(
        r"dubious ownership",
        "invalid",
        "RepositoryRefused",
        "it is another user's, and git does not read it: give its folder instead of its address, or make it your own",
    ),
    Row(
        r"transport '.*' not allowed|unable to update url base from redirection|[Pp]rotocol .* (not supported|disabled)"
        r"|[Uu]nsupported (URL|protocol)|redirect",
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
        r"mismatched algorithms: client",
        "invalid",
        "RefNotFound",
        "its commits have ids of another length (40 digits of SHA-1, or 64 of SHA-256): give the whole id, a branch or"
        " a tag",
    ),
    Row(
        r"File name too long|invalid path",
        "invalid",
        "RepositoryRefused",
        "a file in it has a name that can't be written: rename it",
    ),
    Row(
        r"(recv|send) error|non-properly terminated|SSL_(read|write|connect)|unexpected eof",
        "transient",
        "GitInterrupted",
        "the connection broke off; it is tried again",
    ),
    Row(
        r"certificate subject name|match target host|expired|expiration date|not yet (valid|activated)",
        "transient",
        "GitCertificate",
        "the server's certificate is for another host, or not valid now: mend the server",
    ),
    Row(
        r"certificate|SSL|TLS|gnutls",
        "transient",
        "GitCertificate",
        "the server's certificate is not trusted: put its authority's as ca.crt into git-secret, or give it to the"
        " controller by SSL_CERT_FILE",
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
        r"|Connection closed|timed out|Operation too slow|expected flush|bad line length|outstanding read data",
        "transient",
        "GitInterrupted",
        "the connection broke off; it is tried again",
    ),
    Row(
        r"Could not read from remote repository",
        "transient",
        "GitFailed",
        "the server gives no repository: it does not exist, or the key may not read it; it is tried again",
    ),
)


UNTELLING = "fatal: Could not read from remote repository"  # git's last word after whatever ssh said

# What git says when the fault lies in the mirror itself, whatever else it says then.
BROKEN = (
    r"unresolved deltas|bad object|corrupt|did not send all necessary objects|unable to read [0-9a-f]{40,64}"
    r"|/pack-[0-9a-f]{40,64}\."  # whatever is wrong with one that is there: what is being fetched is named tmp_pack_
)

# What ends a git that has met no fault: who stops processes, and the kernel where memory is short; and its words where
# it can have no more of what all share.
STOPPED = (-signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)
SHORT = r"Resource temporarily unavailable|Too many open files"


def is_stopped(status: int, stderr: str) -> bool:
    """Return whether git ended for want of something, or was ended, whatever it was to read."""
    return status in STOPPED or re.search(SHORT, stderr) is not None


def known(stderr: str) -> Row | None:
    """Return the table's line for what git said, None if it has none.

    Addresses and quoted names are left out, and what the server says for itself: both are free text.
    """
    lines = "\n".join(line for line in stderr.splitlines() if not line.startswith("remote:"))
    plain = re.sub(r"'[^'\n]*'|\b(https?|ssh)://[^\s']*", "''", lines)
    if re.search(BROKEN, plain):
        return None
    return next((row for row in TABLE if re.search(row.pattern, plain)), None)


def error(place: str, stderr: str) -> Invalid | Transient:
    """Return our error for what git said about `place` (which is clean already)."""
    row = known(stderr)
    if row is None:
        return Transient("GitFailed", f"{place}: git failed; it is tried again ({detail(stderr)})")
    message = f"{place}: {row.sentence} ({detail(stderr, row.pattern)})"
    return Invalid(row.reason, [message]) if row.kind == "invalid" else Transient(row.reason, message)


def detail(stderr: str, pattern: str = "") -> str:
    """Return the telling line of git's standard error, cleaned; the same for the same fault.

    That is one of git's own errors; of ssh, which has no such word, the line in which `pattern` was found.
    """
    lines = [line for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal: ", "error: ")) and not line.startswith(UNTELLING)]
    meant = [line for line in lines if pattern and re.search(pattern, line)]
    return clean((telling or meant or lines or ["it said nothing"])[0].removeprefix("fatal: ").removeprefix("error: "))


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return foreign text as one printable line of at most `limit` characters, without credentials, times and ids."""
    text = re.sub(r"://\S*@", "://", text[: 10 * limit])
    text = re.sub(r"[^\s\"']*/coachwork-git-\w+/", "", text)  # private.py: another folder each time
    text = re.sub(r" after \d+ (ms|milliseconds)\b", "", text)
    text = re.sub(r"\b\d+ (out of \d+ )?bytes\b", "bytes", text)
    text = re.sub(r"\btmp_(pack|idx|obj|rev)_\w+", r"tmp_\1", text)
    return cleaned(text, limit)
